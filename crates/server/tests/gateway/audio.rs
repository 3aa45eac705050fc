//! Transcripts and translations of recordings: forms, formats, streams, refusals, accounting.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const VOXTRAL: &str = "mistral.voxtral-mini-3b-2507";
const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=xYzZY");

/// A second of silence.
pub(super) fn wav() -> Vec<u8> {
    let samples = vec![0_u8; 16_000];
    let length = u32::try_from(samples.len()).unwrap();
    let mut wav = b"RIFF".to_vec();
    wav.extend_from_slice(&(length + 36).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&[
        16, 0, 0, 0, 1, 0, 1, 0, 0x40, 0x1f, 0, 0, 0x80, 0x3e, 0, 0, 2, 0, 16, 0,
    ]);
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&length.to_le_bytes());
    wav.extend_from_slice(&samples);
    wav
}

/// A form of these fields and files (name, file name, content).
pub(super) fn form(fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Bytes {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!(
                "--xYzZY\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    for (name, file, content) in files {
        body.extend_from_slice(
            format!("--xYzZY\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\ncontent-type: application/octet-stream\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xYzZY--\r\n");
    body.into()
}

async fn post(rig: &Rig, path: &str, fields: &[(&str, &str)]) -> Received {
    let body = form(fields, &[("file", "speech.wav", &wav())]);
    rig.send_with(&[FORM], Method::POST, path, body).await
}

fn said(text: &str, stop: &str) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
        "stopReason": stop,
        "usage": { "inputTokens": 1000, "outputTokens": 500, "totalTokens": 1500 },
        "metrics": { "latencyMs": 1 },
    }))
}

#[actix_rt::test]
async fn a_recording_goes_to_the_model_with_an_instruction() {
    let rig = Rig::start("").await;
    for (path, instruction) in [
        (TRANSCRIPTIONS, "Transcribe the audio verbatim"),
        ("/audio/transcriptions", "Transcribe the audio verbatim"),
        ("/v1/audio/translations", "Translate the speech of the audio into English"),
    ] {
        rig.emulator.journal().clear();
        rig.emulator.script().push(said(" The stone is old.", "end_turn"));
        let fields = [("model", VOXTRAL), ("language", "de"), ("prompt", "Gneiss"), ("zeal", "1")];
        let answer = post(&rig, path, &fields).await;
        assert_eq!(
            answer.json(),
            json!({ "text": "The stone is old.", "usage": { "type": "tokens", "input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500 } })
        );
        assert_eq!(answer.header("x-outcrop-ignored"), Some("zeal"));
        assert!(answer.header("x-outcrop-cost-usd").is_some());
        let calls = rig.emulator.journal().calls();
        let [call] = calls.as_slice() else { panic!("{calls:?}") };
        let content = &call.body["messages"][0]["content"];
        assert_eq!(content[0]["audio"]["format"], "wav");
        let bytes = content[0]["audio"]["source"]["bytes"].as_str().unwrap();
        assert_eq!(STANDARD.decode(bytes).unwrap(), wav());
        let text = content[1]["text"].as_str().unwrap();
        assert!(text.starts_with(instruction), "{text}");
        assert!(text.contains("\"de\"") && text.contains("Gneiss"), "{text}");
        assert_eq!(call.body["inferenceConfig"]["temperature"], 0.0);
    }
    rig.stop().await;
}

/// An hour at 200 Hz.
fn long_wav() -> Vec<u8> {
    let mut long = wav();
    long.truncate(44);
    long[24..32].copy_from_slice(&[200, 0, 0, 0, 0x90, 1, 0, 0]);
    let length = 3600 * 400_u32;
    long[40..44].copy_from_slice(&length.to_le_bytes());
    long.extend(vec![0; usize::try_from(length).unwrap()]);
    long
}

#[actix_rt::test]
async fn a_long_recording_is_sent_in_portions() {
    let rig = Rig::start("").await;
    let post = async |more: &[(&str, &str)]| {
        let fields = [&[("model", VOXTRAL)], more].concat();
        let body = form(&fields, &[("file", "speech.wav", &long_wav())]);
        rig.send_with(&[FORM], Method::POST, TRANSCRIPTIONS, body).await
    };
    for _ in 0..3 {
        rig.emulator.script().push(said(" Marl. ", "end_turn"));
    }
    let answer = post(&[]).await;
    assert_eq!(
        answer.json(),
        json!({ "text": "Marl. Marl. Marl. ", "usage": { "type": "tokens", "input_tokens": 3000, "output_tokens": 1500, "total_tokens": 4500 } })
    );
    let calls = rig.emulator.journal().calls();
    let mut lengths: Vec<usize> = calls
        .iter()
        .map(|call| {
            let audio = &call.body["messages"][0]["content"][0]["audio"];
            assert_eq!(audio["format"], "wav");
            STANDARD.decode(audio["source"]["bytes"].as_str().unwrap()).unwrap().len()
        })
        .collect();
    lengths.sort_unstable();
    // The last moment before each cut is as quiet as the others, and begins the next portion.
    assert_eq!(lengths.iter().sum::<usize>(), 3 * 44 + 3600 * 400);
    assert!(lengths.iter().all(|length| length.abs_diff(1200 * 400) < 100), "{lengths:?}");
    // A portion that is cut off is no transcript, whatever the others say.
    for stop in ["end_turn", "max_tokens", "end_turn"] {
        rig.emulator.script().push(said("Marl.", stop));
    }
    assert!(post(&[]).await.status >= 400);
    let streamed = post(&[("stream", "true")]).await;
    assert_eq!((streamed.status, &streamed.json()["error"]["param"]), (400, &json!("stream")));
    rig.stop().await;
}

#[actix_rt::test]
async fn text_is_plain_text() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(said("Slate.", "end_turn"));
    let answer =
        post(&rig, TRANSCRIPTIONS, &[("model", VOXTRAL), ("response_format", "text")]).await;
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(&answer.body[..], b"Slate.\n");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_has_pieces_and_the_whole() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(said("Chalk is soft and white.", "end_turn"));
    let answer = post(&rig, TRANSCRIPTIONS, &[("model", VOXTRAL), ("stream", "true")]).await;
    assert!(answer.header("content-type").unwrap().starts_with("text/event-stream"));
    let (events, done) = answer.events();
    let (last, pieces) = events.split_last().unwrap();
    let text: String = pieces.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert!(pieces.iter().all(|event| event["type"] == "transcript.text.delta"));
    assert_eq!(
        (last["type"].as_str(), text.as_str()),
        (Some("transcript.text.done"), "Chalk is soft and white.")
    );
    assert_eq!((&last["text"], &last["usage"]["total_tokens"]), (&json!(text), &json!(1500)));
    assert!(!done, "OpenAI sends no [DONE] here");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_text_that_is_not_whole_is_no_transcript() {
    let rig = Rig::start("").await;
    for stop in ["max_tokens", "content_filtered", "guardrail_intervened"] {
        rig.emulator.script().push(said("Half a", stop));
        let refused = post(&rig, TRANSCRIPTIONS, &[("model", VOXTRAL)]).await;
        let code = refused.json()["error"]["code"].clone();
        assert_eq!((refused.status, code), (502, json!("answer_not_usable")), "{stop}");
        rig.emulator.script().push(said("Half a", stop));
        let broken = post(&rig, TRANSCRIPTIONS, &[("model", VOXTRAL), ("stream", "true")]).await;
        let (events, _) = broken.events();
        assert!(events.last().unwrap()["error"].is_object(), "{stop} {events:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_written_down_is_refused_with_its_place() {
    let rig = Rig::start("").await;
    for (fields, param, code) in [
        (vec![], "model", "missing_required_parameter"),
        (
            vec![("model", VOXTRAL), ("response_format", "srt")],
            "response_format",
            "unsupported_value",
        ),
        (
            vec![("model", VOXTRAL), ("response_format", "verbose_json")],
            "response_format",
            "unsupported_value",
        ),
        (vec![("model", VOXTRAL), ("response_format", "xml")], "response_format", "invalid_value"),
        (vec![("model", VOXTRAL), ("temperature", "hot")], "temperature", "invalid_type"),
        (vec![("model", "us.amazon.nova-micro-v1:0")], "file", "unsupported_modality"),
    ] {
        let answer = post(&rig, TRANSCRIPTIONS, &fields).await;
        let error = &answer.json()["error"];
        let found = (answer.status, error["param"].as_str(), error["code"].as_str());
        assert_eq!(found, (400, Some(param), Some(code)), "{fields:?} {error}");
    }
    for (files, param, code) in [
        (vec![], "file", "missing_required_parameter"),
        (vec![("file", "a.wav", &b""[..])], "file", "invalid_value"),
        (vec![("file", "a.txt", &b"words"[..])], "file", "unsupported_file_type"),
    ] {
        let body = form(&[("model", VOXTRAL)], &files);
        let answer = rig.send_with(&[FORM], Method::POST, TRANSCRIPTIONS, body).await;
        let error = &answer.json()["error"];
        let found = (answer.status, error["param"].as_str(), error["code"].as_str());
        assert_eq!(found, (400, Some(param), Some(code)), "{files:?} {error}");
    }
    let broken = rig.send_with(&[FORM], Method::POST, TRANSCRIPTIONS, "no form".into()).await;
    assert_eq!((broken.status, &broken.json()["error"]["code"]), (400, &json!("invalid_body")));
    let json = rig.send(Method::POST, TRANSCRIPTIONS, "{}".into()).await;
    let error = &json.json()["error"];
    assert_eq!((json.status, &error["code"]), (415, &json!("unsupported_content_type")));
    assert!(error["message"].as_str().unwrap().contains("multipart/form-data"), "{error}");
    assert!(rig.emulator.journal().calls().is_empty(), "something was sent all the same");
    rig.stop().await;
}

#[actix_rt::test]
async fn names_and_azures_paths_name_the_model() {
    let rig = Rig::start(&format!("models: {{ whisper-1: '{VOXTRAL}' }}\n")).await;
    for path in [TRANSCRIPTIONS, "/openai/deployments/whisper-1/audio/transcriptions?api-version=1"]
    {
        rig.emulator.script().push(said("x", "end_turn"));
        let answer = post(&rig, path, &[("model", "whisper-1")]).await;
        assert_eq!((answer.status, &answer.json()["text"]), (200, &json!("x")), "{path}");
    }
    let dry = [FORM, ("x-outcrop-dry-run", "true")];
    let body = form(&[("model", "whisper-1")], &[("file", "a.wav", &wav())]);
    let shown = rig.send_with(&dry, Method::POST, TRANSCRIPTIONS, body).await.json();
    assert_eq!(shown["body"]["messages"][0]["content"][0]["audio"]["format"], "wav", "{shown}");
    let speech = rig.send(Method::POST, "/v1/audio/speech", "{}".into()).await;
    let message: Value = speech.json()["error"]["message"].clone();
    assert_eq!(speech.status, 501);
    assert!(message.as_str().unwrap().contains("Amazon Polly"), "{message}");
    rig.stop().await;
}
