//! Scripted turns with reasoning between texts and calls: Bedrock gets back exactly what it sent, block by
//! block, whichever fields the client keeps.

use emulator::Step;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const SIGNED: &str = "us.anthropic.claude-opus-4-8";
const BOUND: &str = "us.anthropic.claude-opus-5-5";
const SEALED: [&str; 2] = ["us.openai.gpt-5.6-sol", "us.xai.grok-4.6"];

fn thought(text: &str) -> Value {
    json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": format!("c2ln{text}") } } })
}

fn redacted(data: &str) -> Value {
    json!({ "reasoningContent": { "redactedContent": data } })
}

fn text(text: &str) -> Value {
    json!({ "text": text })
}

fn call(id: &str) -> Value {
    json!({ "toolUse": { "toolUseId": id, "name": "survey", "input": { "side": id } } })
}

fn answer(content: &[Value]) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": "tool_use",
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
        "metrics": { "latencyMs": 1 },
    }))
}

fn request(model: &str, stream: bool, messages: &[Value]) -> Value {
    json!({ "model": model, "stream": stream, "reasoning_effort": "high", "messages": messages, "tools": [
        { "type": "function", "function": { "name": "survey", "parameters": { "type": "object", "properties": { "side": { "type": "string" } } } } },
    ] })
}

/// The message of an answer, with all fields that the client received.
fn message(answer: &Received, stream: bool) -> Value {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    if !stream {
        return answer.json()["choices"][0]["message"].clone();
    }
    let (mut content, mut calls, mut details) = (String::new(), Vec::<Value>::new(), Vec::new());
    for event in answer.events().0 {
        let delta = &event["choices"][0]["delta"];
        content += delta["content"].as_str().unwrap_or_default();
        details.extend(delta["reasoning_details"].as_array().into_iter().flatten().cloned());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            if call["id"].is_string() {
                calls.push(call.clone());
            } else if let Some(last) = calls.last_mut() {
                let arguments = &mut last["function"]["arguments"];
                let more = call["function"]["arguments"].as_str().unwrap();
                *arguments = (arguments.as_str().unwrap().to_owned() + more).into();
            }
        }
    }
    let content = if content.is_empty() { Value::Null } else { content.into() };
    json!({ "content": content, "tool_calls": calls, "reasoning_details": details })
}

/// The message as a client writes it into its history, followed by the results of its calls.
fn written(message: &Value, with_details: bool) -> Vec<Value> {
    let mut said = json!({ "role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"] });
    if with_details {
        said["reasoning_details"] = message["reasoning_details"].clone();
    }
    let results = message["tool_calls"].as_array().unwrap().iter();
    let results = results
        .map(|call| json!({ "role": "tool", "tool_call_id": call["id"], "content": "gneiss" }));
    std::iter::once(said).chain(results).collect()
}

/// The assistant's turns of the last call.
fn turns(rig: &Rig) -> Vec<Value> {
    let body = rig.last_call().body;
    let turns = body["messages"].as_array().unwrap().iter();
    turns.filter(|turn| turn["role"] == "assistant").map(|turn| turn["content"].clone()).collect()
}

#[actix_rt::test]
async fn a_loop_of_turns_goes_back_block_for_block() {
    let all = [
        vec![thought("A"), call("n"), thought("B"), call("s")],
        vec![
            thought("C"),
            text("West first. "),
            redacted("c2VhbGVk"),
            text("Then east."),
            call("w"),
            call("e"),
        ],
        vec![text("I look on. "), thought("D"), call("u"), redacted("c2VhbGVkMg=="), thought("E")],
        vec![
            call("x"),
            thought("F"),
            thought("G"),
            text("Deeper."),
            call("y"),
            text(" And deeper."),
        ],
    ];
    for yaml in ["", "thinking_memory: { max_mib: 0 }\n"] {
        let rig = Rig::start(yaml).await;
        for (model, stream) in [(SIGNED, false), (SIGNED, true), (BOUND, false), (BOUND, true)] {
            let mut messages = vec![json!({ "role": "user", "content": "Survey the ridge." })];
            for turn in &all {
                rig.emulator.script().push(answer(turn));
                let got = rig.chat(&request(model, stream, &messages)).await;
                assert_eq!(got.header("x-outcrop-thinking"), None);
                messages.extend(written(&message(&got, stream), !yaml.is_empty()));
            }
            rig.emulator.script().push(answer(&[text("Done.")]));
            let got = rig.chat(&request(model, stream, &messages)).await;
            assert_eq!((got.status, got.header("x-outcrop-thinking")), (200, None));
            let sent = turns(&rig);
            for (turn, sent) in all.iter().zip(&sent) {
                assert_eq!(sent, &Value::from(turn.clone()), "{model} {stream} {yaml}");
            }
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn encrypted_reasoning_is_sent_back_from_the_store_and_from_details() {
    let turn = [redacted("c2VhbGVkMQ=="), call("n"), redacted("c2VhbGVkMg=="), call("s")];
    for yaml in ["", "thinking_memory: { max_mib: 0 }\n"] {
        let rig = Rig::start(yaml).await;
        for (model, stream) in SEALED.iter().flat_map(|model| [(*model, false), (*model, true)]) {
            let mut messages = vec![json!({ "role": "user", "content": "Survey the ridge." })];
            rig.emulator.script().push(answer(&turn));
            let got = rig.chat(&request(model, stream, &messages)).await;
            messages.extend(written(&message(&got, stream), !yaml.is_empty()));
            // A client's displayed summary is not sent to the model.
            messages[1]["reasoning_content"] = "A summary.".into();
            rig.emulator.script().push(answer(&[text("Done.")]));
            let got = rig.chat(&request(model, stream, &messages)).await;
            assert_eq!((got.status, got.header("x-outcrop-thinking")), (200, None));
            assert_eq!(turns(&rig), [Value::from(turn.to_vec())], "{model} {stream}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn reasoning_without_known_positions_is_omitted_and_reported() {
    let rig = Rig::start("").await;
    let call = |id: &str| json!({ "id": id, "type": "function", "function": { "name": "survey", "arguments": "{}" } });
    let details = ["North.", "South."]
        .map(|text| json!({ "type": "reasoning.text", "text": text, "signature": "c2ln" }));
    let message = json!({ "content": null, "tool_calls": [call("n"), call("s")], "reasoning_details": details });
    let mut messages = vec![json!({ "role": "user", "content": "Survey the ridge." })];
    messages.extend(written(&message, true));
    rig.emulator.script().push(answer(&[text("Done.")]));
    let got = rig.chat(&request(SIGNED, false, &messages)).await;
    assert_eq!((got.status, got.header("x-outcrop-thinking")), (200, Some("dropped")));
    assert!(got.header("x-outcrop-ignored").unwrap().contains("messages.reasoning_details"));
    assert!(!turns(&rig)[0].to_string().contains("reasoningContent"));
    rig.stop().await;
}

#[actix_rt::test]
async fn only_refused_reasoning_costs_one_more_attempt() {
    let rig = Rig::start("").await;
    let turn = [thought("A"), call("n")];
    for (wording, is_asked_again) in [
        (
            "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.",
            true,
        ),
        ("The reasoning block is bound to another conversation", true),
        (
            "messages.1.content.2: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
            true,
        ),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", true),
        ("The tool name is bound to fail", false),
    ] {
        for stream in [false, true] {
            let mut messages = vec![json!({ "role": "user", "content": "Survey the ridge." })];
            rig.emulator.script().push(answer(&turn));
            let got = rig.chat(&request(BOUND, stream, &messages)).await;
            messages.extend(written(&message(&got, stream), false));
            rig.emulator.script().push(Step::Error {
                status: 400,
                kind: "ValidationException".to_owned(),
                message: wording.to_owned(),
                headers: std::collections::BTreeMap::new(),
            });
            if is_asked_again {
                rig.emulator.script().push(answer(&[text("Done.")]));
            }
            let got = rig.chat(&request(BOUND, stream, &messages)).await;
            let expected = if is_asked_again { (200, Some("dropped")) } else { (400, None) };
            assert_eq!((got.status, got.header("x-outcrop-thinking")), expected, "{wording}");
            if is_asked_again {
                assert!(!turns(&rig)[0].to_string().contains("reasoningContent"), "{wording}");
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_fallback_of_another_model_gets_no_reasoning() {
    let yaml = format!(
        "models:\n  dig: {{ model: {BOUND}, fallbacks: {{ general: [{SIGNED}] }} }}\nrouting: {{ retries: {{ more: 0 }} }}\n"
    );
    let rig = Rig::start(&yaml).await;
    let mut messages = vec![json!({ "role": "user", "content": "Survey the ridge." })];
    rig.emulator.script().push(answer(&[thought("A"), call("n")]));
    let got = rig.chat(&request("dig", false, &messages)).await;
    messages.extend(written(&message(&got, false), true));
    rig.emulator.script().push(Step::Error {
        status: 503,
        kind: "ServiceUnavailableException".to_owned(),
        message: "busy".to_owned(),
        headers: std::collections::BTreeMap::new(),
    });
    rig.emulator.script().push(answer(&[text("Done.")]));
    let got = rig.chat(&request("dig", false, &messages)).await;
    assert_eq!((got.status, got.header("x-outcrop-thinking")), (200, Some("dropped")));
    assert_eq!(got.header("x-outcrop-fallback"), Some(SIGNED));
    assert!(!turns(&rig)[0].to_string().contains("reasoningContent"));
    rig.stop().await;
}
