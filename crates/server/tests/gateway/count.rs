//! Token counts through the gateway: by the id itself, by its foundation model, or by an estimate marked as
//! such; any other failure is an error.

use std::collections::BTreeMap;

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

/// The emulator's table lists the models with token counting.
const COUNTED: &str = "anthropic.claude-3-5-haiku-20241022-v1:0";
const UNCOUNTED: &str = "us.amazon.nova-lite-v1:0";

impl Rig {
    async fn count(&self, request: &Value) -> Received {
        let path = "/v1/chat/completions/input_tokens";
        self.send(Method::POST, path, request.to_string().into()).await
    }

    fn counted_ids(&self) -> Vec<String> {
        let calls = self.emulator.journal().calls();
        assert!(calls.iter().all(|call| call.operation == "count-tokens"), "{calls:#?}");
        calls.into_iter().filter_map(|call| call.model_id).collect()
    }
}

fn refusal(kind: &str, status: u16, message: &str) -> Step {
    let (kind, message) = (kind.to_owned(), message.to_owned());
    Step::Error { status, kind, message, headers: BTreeMap::new() }
}

fn asked(model: &str) -> Value {
    let parameters = json!({ "type": "object", "properties": { "b": {}, "a": {} } });
    json!({
        "model": model,
        "max_tokens": 100,
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "How old is granite?" },
        ],
        "tools": [{ "type": "function", "function": { "name": "age", "parameters": parameters } }],
    })
}

#[actix_rt::test]
async fn tokens_of_a_profile_are_counted_by_its_model() {
    let rig = Rig::start("").await;
    let profile = format!("us.{COUNTED}");
    // The message that profiles got in 2026.
    let refused = refusal("ValidationException", 400, "The provided model identifier is invalid.");
    rig.emulator.script().push_for(&profile, refused);
    let answer = rig.count(&asked(&profile)).await;
    let json = answer.json();
    assert_eq!(answer.status, 200, "{json}");
    assert_eq!(json["object"], "chat.completion.input_tokens");
    assert!(json["input_tokens"].as_u64().unwrap() > 10);
    assert_eq!(json["outcrop"]["estimated"], false);
    assert_eq!(json["outcrop"]["model"], COUNTED);
    assert_eq!(answer.header("x-outcrop-model"), Some(profile.as_str()));
    assert!(answer.header("x-amzn-requestid").is_some());
    assert_eq!(rig.counted_ids(), [profile.as_str(), COUNTED]);
    let calls = rig.emulator.journal().calls();
    let body = &calls.last().unwrap().body["input"]["converse"];
    assert_eq!(body["system"][0]["text"], "Be brief.");
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "age");
    assert!(body.get("inferenceConfig").is_none(), "CountTokens takes no such member");
    rig.stop().await;
}

#[actix_rt::test]
async fn tokens_are_estimated_and_marked_without_a_count() {
    let rig = Rig::start("").await;
    let answer = rig.count(&asked(UNCOUNTED)).await;
    let json = answer.json();
    assert_eq!(answer.status, 200, "{json}");
    assert_eq!(json["outcrop"], json!({ "estimated": true, "model": null }));
    let tokens = json["input_tokens"].as_u64().unwrap();
    assert!((10..100).contains(&tokens), "{tokens}");
    rig.stop().await;
}

#[actix_rt::test]
async fn other_failures_give_no_estimate() {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    let profile = format!("us.{COUNTED}");
    for (kind, status, message) in [
        ("ThrottlingException", 429, "Too many requests"),
        ("AccessDeniedException", 403, "You are not authorized to perform bedrock:CountTokens"),
        ("InternalServerException", 500, "no"),
        ("ValidationException", 400, "messages: text content blocks must be non-empty"),
    ] {
        rig.emulator.script().push_for(&profile, refusal(kind, status, message));
        let answer = rig.count(&asked(&profile)).await;
        assert_eq!(answer.status, status, "{}", answer.json());
        assert!(answer.json()["error"]["message"].is_string());
        assert!(rig.emulator.script().is_empty(), "{kind}: the step was taken");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn restored_reasoning_counts_as_input() {
    const THINKS: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let rig = Rig::start("").await;
    let mut request = asked(THINKS);
    request["max_tokens"] = Value::Null;
    request["reasoning_effort"] = json!("low");
    request["messages"][1]["content"] = json!("What is the age of granite?");
    let answer = rig.chat(&request).await.json();
    let calls = answer["choices"][0]["message"]["tool_calls"].clone();
    assert!(calls[0]["id"].is_string(), "{answer}");
    let result = json!({ "role": "tool", "tool_call_id": calls[0]["id"], "content": "old" });
    let messages = request["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": null, "tool_calls": calls }));
    messages.push(result);
    rig.emulator.journal().clear();
    assert_eq!(rig.count(&request).await.status, 200);
    let sent = rig.emulator.journal().calls()[0].body.to_string();
    assert!(sent.contains("reasoningContent"), "{sent}");
    rig.stop().await;
}
