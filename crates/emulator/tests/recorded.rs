//! Recorded streams of the real service, encoded again by the emulator, must be the same bytes.
//!
//! The recordings are not part of this repository: `OUTCROP_RECORDINGS` names their folder. Without it the
//! test prints a note and passes, except under `CI=true`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs)]

#[path = "support/clients.rs"]
mod support;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use emulator::{Options, frames};
use serde_json::Value;
use support::{post, start};

/// The folder with recordings; without one the test prints a note and passes, except under CI.
fn folder() -> Option<PathBuf> {
    let folder = env::var_os("OUTCROP_RECORDINGS").map(PathBuf::from);
    if folder.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "CI needs OUTCROP_RECORDINGS");
        println!("skipped: OUTCROP_RECORDINGS names no folder with recordings");
    }
    folder
}

fn records(folder: &Path, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(file)).expect("a recording");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

#[tokio::test]
async fn recorded_successes_are_accepted() {
    let Some(folder) = folder() else { return };
    // Without pauses between events: a busy machine makes each of them long.
    let emulator = emulator::start(Options { pace: Duration::ZERO, ..Options::default() });
    let emulator = emulator.await.expect("the emulator starts");
    let (mut accepted, mut gone, mut different, mut refused) = (0, 0, 0, Vec::new());
    for (file, operation) in [
        ("converse.jsonl", "converse"),
        ("converse_stream.jsonl", "converse-stream"),
        ("invoke_model.jsonl", "invoke"),
    ] {
        for record in records(&folder, file) {
            let (Some(model), Some(200)) = (record["model_id"].as_str(), record["status"].as_u64())
            else {
                continue;
            };
            let real =
                record["fidelity"].as_str().is_some_and(|fidelity| fidelity.starts_with("wire"));
            if !real || is_shortened(&record) || !record["request"].is_object() {
                continue;
            }
            let path = format!("/model/{}/{operation}", model.replace('/', "%2F"));
            let answer = post(emulator.addr(), &path, &record["request"]);
            match answer.status {
                200 => accepted += 1,
                404 => {
                    gone += 1;
                    // The model is retired; its response format must still be right.
                    let path = format!("/model/emulator.plain/{operation}");
                    let answer = post(emulator.addr(), &path, &record["request"]);
                    if operation != "invoke"
                        && answer.status != 200
                        && answer.message().starts_with("Malformed")
                    {
                        refused.push(format!("{} as plain: {}", record["id"], answer.message()));
                    }
                }
                400 if differs_on_purpose(&record, &answer.message()) => different += 1,
                status => {
                    refused.push(format!("{} {model} {status} {}", record["id"], answer.message()));
                }
            }
        }
    }
    println!(
        "{accepted} accepted, {gone} past their end of life, {different} different on purpose, {} refused",
        refused.len()
    );
    assert!(accepted > 150, "too few to mean anything: {accepted}");
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    emulator.stop().await;
}

#[tokio::test]
async fn recorded_refusals_have_the_same_messages() {
    let Some(folder) = folder() else { return };
    let emulator = start().await;
    let mut same = 0;
    for (file, operation) in
        [("converse.jsonl", "converse"), ("converse_stream.jsonl", "converse-stream")]
    {
        for record in records(&folder, file) {
            let (Some(model), Some(400)) = (record["model_id"].as_str(), record["status"].as_u64())
            else {
                continue;
            };
            if is_shortened(&record) {
                continue;
            }
            let expected = record["response"]["message"].as_str().expect("a message");
            // The refusals of Nova's own schema beyond the API's are not known well enough.
            if expected.starts_with("The model returned the following errors") {
                continue;
            }
            let path = format!("/model/{model}/{operation}");
            let answer = post(emulator.addr(), &path, &record["request"]);
            assert_eq!(
                (answer.status, answer.message().as_str()),
                (400, expected),
                "{}",
                record["id"]
            );
            same += 1;
        }
    }
    println!("{same} refusals in the same words");
    assert!(same >= 5, "too few to mean anything: {same}");
    emulator.stop().await;
}

/// Whether media were cut out of a request, which then differs from the one sent.
fn is_shortened(record: &Value) -> bool {
    record["request"].to_string().contains("base64 characters dropped")
}

/// Records on which the emulator deliberately differs from the service.
fn differs_on_purpose(record: &Value, message: &str) -> bool {
    // The emulator recognises only reasoning blocks that it has signed itself.
    let foreign_thought = message.contains("Invalid `signature`");
    // The emulator supports only the native bodies of Claude, Nova and the embedding models.
    let native = message.contains("does not know this model's own body")
        || record["request"].get("inputText").is_some();
    // Once served on demand in one region; now only through profiles.
    let profiled = record["model_id"] == "meta.llama3-3-70b-instruct-v1:0";
    foreign_thought || native || profiled
}

#[test]
fn recorded_frames_are_encoded_to_the_same_bytes() {
    let Some(folder) = folder() else { return };
    let (mut same, mut streams, mut padded, mut events) = (0, 0, 0, 0);
    for file in ["converse_stream.jsonl", "invoke_model_stream.jsonl"] {
        for record in records(&folder, file) {
            let Some(data) = record["response_b64"].as_str() else { continue };
            if !record["fidelity"].as_str().is_some_and(|fidelity| fidelity.starts_with("wire")) {
                continue;
            }
            let bytes = STANDARD.decode(data).expect("base64");
            streams += 1;
            let (written, parts) = rewritten(&bytes);
            assert_eq!(written, bytes, "{}", record["id"]);
            same += 1;
            for (kind, payload) in parts {
                if kind != ":event-type" || !payload.starts_with(b"{") {
                    continue;
                }
                let value: Value = serde_json::from_slice(&payload).expect("JSON");
                let Some(padding) = value["p"].as_str() else { continue };
                events += 1;
                padded += usize::from(uses_our_padding(&value, padding, &payload));
            }
        }
    }
    println!("{same} of {streams} streams, {padded} of {events} padded events");
    assert!(streams > 50, "too few recordings to mean anything: {streams}");
    assert_eq!(padded, events, "every padded payload has our order and alphabet");
}

/// Decodes every message and encodes it again; also returns the kind and payload of each.
fn rewritten(mut bytes: &[u8]) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
    let (mut out, mut parts) = (Vec::new(), Vec::new());
    while bytes.len() >= 16 {
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (total, headers) = (number(0), number(4));
        let decoded = headers_of(&bytes[12..12 + headers]);
        let payload = &bytes[12 + headers..total - 4];
        let borrowed: Vec<(&str, &str)> =
            decoded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        out.extend_from_slice(&frames::encode(&borrowed, payload));
        parts.push((decoded[0].0.clone(), payload.to_vec()));
        bytes = &bytes[total..];
    }
    (out, parts)
}

fn headers_of(mut bytes: &[u8]) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let name = usize::from(bytes[0]);
        assert_eq!(bytes[1 + name], 7, "only string headers");
        let value = usize::from(u16::from_be_bytes([bytes[2 + name], bytes[3 + name]]));
        let text = |from: usize, length: usize| {
            String::from_utf8(bytes[from..from + length].to_vec()).unwrap()
        };
        headers.push((text(1, name), text(4 + name, value)));
        bytes = &bytes[4 + name + value..];
    }
    headers
}

/// Whether the emulator's padding gives the same members in the same order, with a prefix of the same
/// alphabet.
fn uses_our_padding(value: &Value, padding: &str, payload: &[u8]) -> bool {
    let alphabet: String = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    let mut bare = value.clone();
    bare.as_object_mut().unwrap().shift_remove("p");
    let ours: Value = serde_json::from_slice(&frames::padded(bare)).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let theirs: Value = serde_json::from_slice(payload).unwrap();
    alphabet.starts_with(padding) && keys(&ours) == keys(&theirs)
}
