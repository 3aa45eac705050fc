//! Recorded traffic of the real Bedrock, replayed through the whole gateway. The client's result is
//! compared with the recording, which is read by a few lines independent of the translator.
//! `OUTCROP_RECORDINGS` names the folder; without it the test prints a note, and fails under `CI`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::Step;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const MODEL: &str = "us.amazon.nova-lite-v1:0";

/// Summary of an answer, from either side.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Id, name, arguments as JSON.
    pub(crate) calls: Vec<(String, String, Value)>,
    /// Signatures of reasoning blocks, if present, and redacted blocks.
    signatures: Vec<String>,
    redacted: Vec<String>,
    pub(crate) finish: String,
    /// Bedrock's own stop reason, if the finish reason does not express it.
    stop: String,
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) cache: Cache,
    /// Citations as received.
    cited: Vec<Value>,
    /// The guardrail's trace.
    guardrail: Value,
}

/// Tokens read from a cache or written to one, with their lifetimes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Cache {
    pub(crate) read: u64,
    pub(crate) written: u64,
    five_minutes: u64,
    one_hour: u64,
}

pub(crate) fn folder() -> Option<PathBuf> {
    let folder =
        std::env::var_os("OUTCROP_RECORDINGS").map(PathBuf::from).filter(|path| path.is_dir());
    if folder.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "OUTCROP_RECORDINGS must name the recordings under CI"
        );
        eprintln!("NOTE: recorded replies NOT compared: OUTCROP_RECORDINGS names no folder");
    }
    folder
}

pub(crate) fn records(folder: &std::path::Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[actix_rt::test]
async fn every_recorded_reply_arrives_whole() {
    let Some(folder) = folder() else { return };
    let rig = Rig::start("").await;
    let (mut same, mut all) = (0, 0);
    for record in records(&folder, "converse.jsonl") {
        all += 1;
        same += usize::from(unary(&rig, &record).await);
    }
    println!("recorded Converse replies: {same} of {all}");
    let (mut same_streams, mut all_streams) = (0, 0);
    for record in records(&folder, "converse_stream.jsonl") {
        all_streams += 1;
        same_streams += usize::from(stream(&rig, &record).await);
    }
    println!("recorded ConverseStream replies: {same_streams} of {all_streams}");
    assert!(all > 100 && all_streams > 40, "the recordings are not all there");
    assert_eq!((same, same_streams), (all, all_streams));
    rig.stop().await;
}

/// Cuts of each recorded stream.
const CUTS: usize = 12;

#[actix_rt::test]
async fn recorded_streams_cut_anywhere_end_in_an_error_or_complete() {
    let Some(folder) = folder() else { return };
    // A retry after a break before the first event would be answered completely.
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    let (mut good, mut all, mut broken) = (0, 0, 0);
    for (seed, record) in records(&folder, "converse_stream.jsonl").iter().enumerate() {
        let Some(bytes) = record["response_b64"].as_str().filter(|_| record["status"] == 200)
        else {
            continue;
        };
        let bytes = STANDARD.decode(bytes).unwrap();
        let recorded = recorded_events(record["events"].as_array().unwrap());
        for cut in cuts(seed, bytes.len()) {
            rig.emulator.script().push(Step::Bytes(bytes[..cut].to_vec()));
            let answer = rig.chat(&request(true)).await;
            let verdict = cut_well(&answer, &recorded);
            if let Err(rule) = verdict {
                eprintln!("{} cut at {cut} of {}: {rule}", record["id"], bytes.len());
            }
            all += 1;
            good += usize::from(verdict.is_ok());
            broken += usize::from(verdict == Ok(Ended::Broken));
        }
    }
    println!(
        "recorded streams cut at random bytes: {good} of {all} as they should be, {broken} of them errors"
    );
    assert!(all > 400 && broken > all / 2, "the recordings are not all there");
    assert_eq!(good, all);
    rig.stop().await;
}

/// Positions to cut at: after all but the last byte, and others from a generator with this seed.
fn cuts(seed: usize, length: usize) -> Vec<usize> {
    let mut state = seed as u64 + 1;
    let mut cuts = vec![length - 1];
    while cuts.len() < CUTS {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        cuts.push(usize::try_from(state >> 33).unwrap() % length);
    }
    cuts
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Whole,
    Broken,
}

/// Kind of end of a cut stream, or the error in that end.
fn cut_well(answer: &Received, recorded: &Sum) -> Result<Ended, &'static str> {
    if answer.status != 200 {
        let told = answer.status >= 500 && answer.json()["error"]["message"].is_string();
        return if told { Ok(Ended::Broken) } else { Err("an odd refusal") };
    }
    let (events, done) = answer.events();
    let (last, before) = events.split_last().ok_or("nothing at all came")?;
    if done {
        let same = folded(&events) == *recorded;
        return if same { Ok(Ended::Whole) } else { Err("it ended like a whole answer") };
    }
    let said: String =
        before.iter().map(|event| text(&event["choices"][0]["delta"]["content"])).collect();
    let finished = before.iter().any(|event| event["choices"][0]["finish_reason"].is_string());
    match (last["error"]["code"].is_string(), recorded.text.starts_with(&said), finished) {
        (true, true, false) => Ok(Ended::Broken),
        (false, ..) => Err("the last event is no error"),
        (_, false, _) => Err("the client was told what was never said"),
        (_, _, true) => Err("a finish reason before the error"),
    }
}

fn request(stream: bool) -> Value {
    json!({ "model": MODEL, "stream": stream, "stream_options": { "include_usage": true },
            "messages": [{ "role": "user", "content": "x" }] })
}

/// Replays a record; true if the client got the recorded answer.
async fn unary(rig: &Rig, record: &Value) -> bool {
    if record["status"] != 200 {
        return refusal(rig, record, false).await;
    }
    rig.emulator.script().push(Step::Answer(record["response"].clone()));
    let answer = rig.chat(&request(false)).await.json();
    agree(record, &recorded_message(&record["response"]), &answered(&answer))
}

async fn stream(rig: &Rig, record: &Value) -> bool {
    if record["status"] != 200 {
        return refusal(rig, record, true).await;
    }
    let events: Vec<Value> = record["events"].as_array().unwrap().clone();
    let step = match record["response_b64"].as_str() {
        Some(bytes) => Step::Bytes(STANDARD.decode(bytes).unwrap()),
        None => Step::Events(
            events
                .iter()
                .map(|event| json!({ event["type"].as_str().unwrap(): event["payload"] }))
                .collect(),
        ),
    };
    rig.emulator.script().push(step);
    let (received, done) = rig.chat(&request(true)).await.events();
    let recorded = recorded_events(&events);
    if recorded.finish.is_empty() {
        let error = received.last().is_some_and(|last| last["error"].is_object());
        return report(record, !done && error, "a broken stream must end in an error");
    }
    report(record, done, "a whole stream must end in [DONE]")
        && agree(record, &recorded, &folded(&received))
}

async fn refusal(rig: &Rig, record: &Value, stream: bool) -> bool {
    let headers = record["response_headers"].as_object().unwrap();
    let kind = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("x-amzn-errortype"))
        .and_then(|(_, value)| value.as_str().or_else(|| value[0].as_str()))
        .unwrap_or("ValidationException");
    let message = record["response"]["message"].as_str().unwrap();
    rig.emulator.script().push(Step::Error {
        status: u16::try_from(record["status"].as_u64().unwrap()).unwrap(),
        kind: kind.to_owned(),
        message: message.to_owned(),
        headers: std::collections::BTreeMap::new(),
    });
    let answer = rig.chat(&request(stream)).await;
    let told = answer.json()["error"]["message"].as_str().unwrap_or_default().contains(message);
    report(record, answer.status >= 400 && told, "AWS's words must survive")
}

fn agree(record: &Value, recorded: &Sum, received: &Sum) -> bool {
    if recorded != received {
        eprintln!("{}:\n recorded {recorded:#?}\n received {received:#?}", record["id"]);
    }
    recorded == received
}

fn report(record: &Value, good: bool, rule: &str) -> bool {
    if !good {
        eprintln!("{}: {rule}", record["id"]);
    }
    good
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn finish(stop: &str, calls: usize) -> String {
    match stop {
        "max_tokens" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        _ if calls > 0 => "tool_calls",
        _ => "stop",
    }
    .to_owned()
}

/// Bedrock's stop reason, empty for the three that the finish reason expresses.
fn stop(word: &str, finish: &str) -> String {
    let told = [("end_turn", "stop"), ("tool_use", "tool_calls"), ("max_tokens", "length")];
    if told.contains(&(word, finish)) { String::new() } else { word.to_owned() }
}

fn count(sum: &mut Sum, usage: &Value) {
    let number = |key: &str| usage[key].as_u64().unwrap_or(0);
    sum.prompt =
        number("inputTokens") + number("cacheReadInputTokens") + number("cacheWriteInputTokens");
    sum.completion = number("outputTokens");
    let kept = |ttl: &str| -> u64 {
        let details = usage["cacheDetails"].as_array().into_iter().flatten();
        let of_ttl = details.filter(|one| one["ttl"] == ttl);
        of_ttl.map(|one| one["inputTokens"].as_u64().unwrap()).sum()
    };
    sum.cache = Cache {
        read: number("cacheReadInputTokens"),
        written: number("cacheWriteInputTokens"),
        five_minutes: kept("5m"),
        one_hour: kept("1h"),
    };
}

/// The same from the client's usage.
fn told_of_cache(usage: &Value) -> Cache {
    let details = &usage["prompt_tokens_details"];
    let number = |path: &str| details.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    Cache {
        read: number("/cached_tokens"),
        written: number("/cache_write_tokens"),
        five_minutes: number("/cache_creation_token_details/ephemeral_5m_input_tokens"),
        one_hour: number("/cache_creation_token_details/ephemeral_1h_input_tokens"),
    }
}

/// Adds the details of reasoning blocks, each of which is sent in one piece.
fn thoughts(sum: &mut Sum, details: &Value) {
    for detail in details.as_array().into_iter().flatten() {
        sum.signatures.extend(detail["signature"].as_str().map(ToOwned::to_owned));
        sum.redacted.extend(detail["data"].as_str().map(ToOwned::to_owned));
    }
}

pub(crate) fn recorded_message(response: &Value) -> Sum {
    let mut sum = Sum::default();
    for block in response["output"]["message"]["content"].as_array().unwrap() {
        sum.text += text(&block["text"]);
        for cited in block["citationsContent"]["content"].as_array().into_iter().flatten() {
            sum.text += text(&cited["text"]);
        }
        sum.cited.extend(list(&block["citationsContent"]["citations"]));
        let thought = &block["reasoningContent"];
        sum.reasoning += text(&thought["reasoningText"]["text"]);
        let signature = thought["reasoningText"]["signature"].as_str();
        sum.signatures.extend(signature.map(ToOwned::to_owned));
        sum.redacted.extend(thought["redactedContent"].as_str().map(ToOwned::to_owned));
        let call = &block["toolUse"];
        if call.is_object() && call["type"] != "server_tool_use" {
            let (id, name) = (text(&call["toolUseId"]).to_owned(), text(&call["name"]).to_owned());
            sum.calls.push((id, name, call["input"].clone()));
        }
    }
    sum.finish = finish(text(&response["stopReason"]), sum.calls.len());
    sum.stop = stop(text(&response["stopReason"]), &sum.finish);
    count(&mut sum, &response["usage"]);
    sum.guardrail = response["trace"]["guardrail"].clone();
    sum
}

pub(crate) fn recorded_events(events: &[Value]) -> Sum {
    let mut sum = Sum::default();
    let mut inputs: Vec<(u64, String)> = Vec::new();
    let mut signatures = std::collections::BTreeMap::<u64, String>::new();
    for event in events {
        let payload = &event["payload"];
        let (delta, block) =
            (&payload["delta"], payload["contentBlockIndex"].as_u64().unwrap_or(0));
        sum.text += text(&delta["text"]);
        let thought = &delta["reasoningContent"];
        sum.reasoning += text(&thought["text"]);
        if let Some(piece) = thought["signature"].as_str() {
            signatures.entry(block).or_default().push_str(piece);
        }
        sum.redacted.extend(thought["redactedContent"].as_str().map(ToOwned::to_owned));
        sum.cited.extend(delta.get("citation").cloned());
        let call = &payload["start"]["toolUse"];
        if call.is_object() && call["type"] != "server_tool_use" {
            let (id, name) = (text(&call["toolUseId"]).to_owned(), text(&call["name"]).to_owned());
            sum.calls.push((id, name, Value::Null));
            inputs.push((block, String::new()));
        }
        if let Some((_, input)) = inputs.iter_mut().find(|(index, _)| *index == block) {
            *input += text(&delta["toolUse"]["input"]);
        }
        if event["type"] == "messageStop" {
            sum.finish = finish(text(&payload["stopReason"]), sum.calls.len());
            sum.stop = stop(text(&payload["stopReason"]), &sum.finish);
        }
        if event["type"] == "metadata" {
            count(&mut sum, &payload["usage"]);
            sum.guardrail = payload["trace"]["guardrail"].clone();
        }
    }
    sum.signatures = signatures.into_values().collect();
    for (call, (_, input)) in sum.calls.iter_mut().zip(inputs) {
        call.2 = if input.is_empty() { json!({}) } else { serde_json::from_str(&input).unwrap() };
    }
    sum
}

fn answered(answer: &Value) -> Sum {
    let (choice, usage) = (&answer["choices"][0], &answer["usage"]);
    let calls = choice["message"]["tool_calls"].as_array().into_iter().flatten();
    let mut sum = Sum {
        text: text(&choice["message"]["content"]).to_owned(),
        reasoning: text(&choice["message"]["reasoning_content"]).to_owned(),
        calls: calls
            .map(|call| {
                let function = &call["function"];
                let arguments = serde_json::from_str(text(&function["arguments"])).unwrap();
                (text(&call["id"]).to_owned(), text(&function["name"]).to_owned(), arguments)
            })
            .collect(),
        finish: text(&choice["finish_reason"]).to_owned(),
        prompt: usage["prompt_tokens"].as_u64().unwrap_or(0),
        completion: usage["completion_tokens"].as_u64().unwrap_or(0),
        cache: told_of_cache(usage),
        stop: text(&choice["outcrop"]["stop_reason"]).to_owned(),
        cited: cited(choice),
        guardrail: choice["outcrop"]["guardrail"].clone(),
        ..Sum::default()
    };
    thoughts(&mut sum, &choice["message"]["reasoning_details"]);
    sum
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn cited(choice: &Value) -> Vec<Value> {
    let all = list(&choice["outcrop"]["citations"]);
    all.iter().map(|cited| cited["citation"].clone()).collect()
}

fn folded(events: &[Value]) -> Sum {
    let mut sum = Sum::default();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for event in events {
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        sum.text += text(&delta["content"]);
        sum.reasoning += text(&delta["reasoning_content"]);
        thoughts(&mut sum, &delta["reasoning_details"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            calls.resize(calls.len().max(index + 1), Default::default());
            calls[index].0 += text(&call["id"]);
            calls[index].1 += text(&call["function"]["name"]);
            calls[index].2 += text(&call["function"]["arguments"]);
        }
        sum.finish += text(&choice["finish_reason"]);
        if choice["outcrop"].is_object() {
            (sum.cited, sum.guardrail) = (cited(choice), choice["outcrop"]["guardrail"].clone());
            text(&choice["outcrop"]["stop_reason"]).clone_into(&mut sum.stop);
        }
        if event["usage"].is_object() {
            sum.prompt = event["usage"]["prompt_tokens"].as_u64().unwrap();
            sum.completion = event["usage"]["completion_tokens"].as_u64().unwrap();
            sum.cache = told_of_cache(&event["usage"]);
        }
    }
    let calls = calls
        .into_iter()
        .map(|(id, name, arguments)| (id, name, serde_json::from_str(&arguments).unwrap()));
    sum.calls = calls.collect();
    sum
}
