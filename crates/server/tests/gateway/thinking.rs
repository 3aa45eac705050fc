//! Reasoning with tools for clients that send back only OpenAI's own fields, with an emulator that refuses
//! a tool turn whose signed reasoning blocks are missing or altered.

use emulator::{Credentials, Options, Running};
use serde_json::{Value, json};

use super::rig::Rig;

const BUDGET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const ADAPTIVE: &str = "us.anthropic.claude-opus-4-6-v1";
const ALWAYS: &str = "us.anthropic.claude-opus-5-5";
/// Makes the model answer with reasoning that only it can read.
const REDACTED: &str = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING";

fn weather() -> Value {
    json!([{ "type": "function", "function": {
        "name": "weather", "description": "Reports the weather of a city",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
    } }])
}

fn request(model: &str, stream: bool, messages: &[Value]) -> Value {
    json!({ "model": model, "stream": stream, "stream_options": { "include_usage": true }, "reasoning_effort": "low", "messages": messages, "tools": weather() })
}

/// Reasoning and calls of an answer: details, and the message as a plain client sends it back.
struct Turn {
    details: Vec<Value>,
    plain: Value,
    reasoning_tokens: Option<u64>,
    thinking: Option<String>,
}

async fn ask(rig: &Rig, request: &Value) -> Turn {
    let answer = rig.chat(request).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{text}");
    let (mut details, mut calls, mut content) = (Vec::new(), Vec::<Value>::new(), String::new());
    let (events, part) = if request["stream"] == true {
        let (events, done) = answer.events();
        assert!(done, "{text}");
        (events, "delta")
    } else {
        (vec![answer.json()], "message")
    };
    for event in &events {
        let said = &event["choices"][0][part];
        content += said["content"].as_str().unwrap_or_default();
        for detail in said["reasoning_details"].as_array().into_iter().flatten() {
            assert!(calls.is_empty(), "thoughts are whole before the first call: {text}");
            details.push(detail.clone());
        }
        for call in said["tool_calls"].as_array().into_iter().flatten() {
            if call["id"].is_string() {
                calls.push(
                    json!({ "id": call["id"], "type": "function", "function": call["function"] }),
                );
            } else if let Some(last) = calls.last_mut() {
                let arguments = &mut last["function"]["arguments"];
                let more = call["function"]["arguments"].as_str().unwrap();
                *arguments = (arguments.as_str().unwrap().to_owned() + more).into();
            }
        }
    }
    let plain = if calls.is_empty() {
        json!({ "role": "assistant", "content": content })
    } else {
        json!({ "role": "assistant", "content": null, "tool_calls": calls })
    };
    let mut counts = events.iter().map(|event| &event["usage"]["completion_tokens_details"]);
    let reasoning_tokens = counts
        .rfind(|counts| counts.is_object())
        .and_then(|counts| counts["reasoning_tokens"].as_u64());
    Turn {
        details,
        plain,
        reasoning_tokens,
        thinking: answer.header("x-outcrop-thinking").map(ToOwned::to_owned),
    }
}

fn results(turn: &Turn) -> Vec<Value> {
    let calls = turn.plain["tool_calls"].as_array().unwrap();
    let result = |call: &Value| json!({ "role": "tool", "tool_call_id": call["id"], "content": "fair, plus 21" });
    calls.iter().map(result).collect()
}

#[actix_rt::test]
async fn plain_clients_keep_reasoning_through_many_tool_turns() {
    let rig = Rig::start("").await;
    for (model, stream) in [(BUDGET, false), (BUDGET, true), (ADAPTIVE, true), (ALWAYS, false)] {
        let mut messages = Vec::new();
        for cities in ["Paris and in Oslo", "Rome", "Bergen and in Lima"] {
            let question = format!("What is the weather in {cities}?");
            messages.push(json!({ "role": "user", "content": question }));
            let turn = ask(&rig, &request(model, stream, &messages)).await;
            assert_eq!(turn.thinking, None, "{model}");
            assert_eq!(turn.details[0]["type"], "reasoning.text");
            assert_eq!(turn.details[0]["format"], "anthropic-claude-v1");
            assert!(turn.details[0]["signature"].is_string());
            assert!(turn.reasoning_tokens.is_some_and(|tokens| tokens > 0), "{model} {stream}");
            let calls = turn.plain["tool_calls"].as_array().map(Vec::len);
            assert_eq!(calls, Some(if cities.contains("and") { 2 } else { 1 }), "{}", turn.plain);
            messages.push(turn.plain.clone());
            messages.extend(results(&turn));
            let end = ask(&rig, &request(model, stream, &messages)).await;
            assert_eq!(end.thinking, None, "{model}: the thoughts were put back");
            assert!(!end.details.is_empty(), "{model}: it still thinks");
            messages.push(end.plain);
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn redacted_reasoning_is_restored_too() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        let question = format!("{REDACTED} What is the weather in Paris?");
        let mut messages = vec![json!({ "role": "user", "content": question })];
        let turn = ask(&rig, &request(BUDGET, stream, &messages)).await;
        assert_eq!(turn.details[0]["type"], "reasoning.encrypted");
        messages.push(turn.plain.clone());
        messages.extend(results(&turn));
        let end = ask(&rig, &request(BUDGET, stream, &messages)).await;
        assert_eq!((end.thinking, end.details.is_empty()), (None, false));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_sends_its_details_back_needs_no_store() {
    let rig = Rig::start("thinking_memory: { max_mib: 0 }\n").await;
    let mut messages = vec![json!({ "role": "user", "content": "What is the weather in Paris?" })];
    let turn = ask(&rig, &request(BUDGET, true, &messages)).await;
    let mut rich = turn.plain.clone();
    rich["reasoning_details"] = turn.details.clone().into();
    messages.push(rich);
    messages.extend(results(&turn));
    let end = ask(&rig, &request(BUDGET, true, &messages)).await;
    assert_eq!((end.thinking, end.details.is_empty()), (None, false));
    messages[1]["reasoning_details"][0]["text"] = "I thought otherwise.".into();
    let altered = rig.chat(&request(BUDGET, false, &messages)).await;
    assert_eq!((altered.status, altered.header("x-outcrop-thinking")), (200, Some("dropped")));
    assert_eq!(
        altered.header("x-outcrop-attempts"),
        Some("2"),
        "the emulator checks what it signed"
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn lost_reasoning_disables_reasoning_and_is_reported() {
    let rig = Rig::start("thinking_memory: { max_mib: 0 }\n").await;
    for (model, said) in [(BUDGET, "dropped"), (ADAPTIVE, "dropped"), (ALWAYS, "forgotten")] {
        let mut messages =
            vec![json!({ "role": "user", "content": "What is the weather in Paris?" })];
        let turn = ask(&rig, &request(model, false, &messages)).await;
        assert!(!turn.details.is_empty());
        messages.push(turn.plain.clone());
        messages.extend(results(&turn));
        let end = ask(&rig, &request(model, false, &messages)).await;
        assert_eq!(end.thinking.as_deref(), Some(said), "{model}");
        assert_eq!(end.details.is_empty(), said == "dropped", "{model}");
        messages.push(end.plain);
        messages.push(json!({ "role": "user", "content": "Thank you." }));
        let next = ask(&rig, &request(model, false, &messages)).await;
        assert_eq!((next.thinking, next.details.is_empty()), (None, false), "{model} thinks again");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn excluded_reasoning_is_still_saved() {
    let rig = Rig::start("").await;
    let mut messages = vec![json!({ "role": "user", "content": "What is the weather in Paris?" })];
    let mut hidden = request(BUDGET, true, &messages);
    hidden["reasoning"] = json!({ "exclude": true });
    let turn = ask(&rig, &hidden).await;
    assert!(turn.details.is_empty());
    messages.push(turn.plain.clone());
    messages.extend(results(&turn));
    let end = ask(&rig, &request(BUDGET, true, &messages)).await;
    assert_eq!((end.thinking, end.details.is_empty()), (None, false));
    rig.stop().await;
}

/// An emulator that accepts a single access key.
async fn upstream(key: &str) -> Running {
    let credentials = Some(Credentials {
        access_key_id: key.to_owned(),
        secret_access_key: format!("secret of {key}"),
        session_token: None,
    });
    emulator::start(Options { credentials, ..Options::default() }).await.unwrap()
}

fn target(key: &str, upstream: &Running) -> String {
    format!(
        "{{ model: {ALWAYS}, region: us-east-1, endpoint_url: '{}', access_key_id: {key}, secret_access_key: secret of {key} }}",
        upstream.url()
    )
}

/// A conversation up to the results of its first calls, as a plain client has it.
async fn begun(rig: &Rig, model: &str) -> (Vec<Value>, Turn) {
    let mut messages = vec![
        json!({ "role": "system", "content": "Be brief." }),
        json!({ "role": "user", "content": "What is the weather in Paris?" }),
    ];
    let turn = ask(rig, &request(model, false, &messages)).await;
    messages.push(turn.plain.clone());
    messages.extend(results(&turn));
    (messages, turn)
}

#[actix_rt::test]
async fn a_conversation_with_bound_reasoning_stays_with_its_account() {
    let (one, two) = (upstream("AKIDONE").await, upstream("AKIDTWO").await);
    let yaml = format!(
        "models:\n  both:\n    - {}\n    - {}\n",
        target("AKIDONE", &one),
        target("AKIDTWO", &two)
    );
    let rig = Rig::start(&yaml).await;
    for with_details in [false, true, false, true, false, true] {
        let before = one.journal().calls().len();
        let (mut messages, turn) = begun(&rig, "both").await;
        let in_one = one.journal().calls().len() > before;
        if with_details {
            messages[2]["reasoning_details"] = turn.details.clone().into();
        }
        for _ in 0..4 {
            let before = one.journal().calls().len();
            let answer = rig.chat(&request("both", false, &messages)).await;
            assert_eq!((answer.status, answer.header("x-outcrop-thinking")), (200, None));
            assert_eq!(one.journal().calls().len() > before, in_one, "the account is kept");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn refused_reasoning_is_left_out_of_a_second_attempt() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        let (mut messages, _) = begun(&rig, ALWAYS).await;
        messages[0]["content"] = "Be verbose.".into();
        let answer = rig.chat(&request(ALWAYS, stream, &messages)).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("x-outcrop-thinking"), Some("dropped"));
        assert_eq!(answer.header("x-outcrop-attempts"), Some("2"));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_later_response_format_keeps_the_reasoning() {
    let rig = Rig::start("").await;
    let (messages, _) = begun(&rig, ALWAYS).await;
    let mut asked = request(ALWAYS, false, &messages);
    asked["response_format"] = json!({ "type": "json_object" });
    let answer = rig.chat(&asked).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("x-outcrop-thinking"), None);
    assert_eq!(answer.header("x-outcrop-attempts"), Some("1"));
    rig.stop().await;
}

#[actix_rt::test]
async fn reasoning_of_one_model_does_not_go_to_another() {
    let rig = Rig::start("").await;
    let (mut messages, turn) = begun(&rig, ALWAYS).await;
    for with_details in [false, true] {
        if with_details {
            messages[2]["reasoning_details"] = turn.details.clone().into();
        }
        for model in [ADAPTIVE, BUDGET, "us.anthropic.claude-sonnet-5-5"] {
            let answer = rig.chat(&request(model, false, &messages)).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
            assert!(answer.header("x-outcrop-thinking").is_some(), "{model}: the loss is told");
            assert_eq!(answer.header("x-outcrop-attempts"), Some("1"), "{model}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_no_saved_reasoning() {
    let rig = Rig::start("").await;
    let (mut messages, turn) = begun(&rig, BUDGET).await;
    let thought = turn.details[0]["text"].as_str().unwrap().to_owned();
    let signature = turn.details[0]["signature"].as_str().unwrap().to_owned();
    let dry = [("x-outcrop-dry-run", "true")];
    let shown = rig.chat_with(&dry, &request(BUDGET, false, &messages)).await;
    let text = String::from_utf8_lossy(&shown.body).into_owned();
    assert_eq!(shown.status, 200, "{text}");
    assert!(text.contains("reasoningContent"), "its place is shown: {text}");
    assert!(!text.contains(&thought) && !text.contains(&signature), "{text}");
    messages[2]["reasoning_details"] = turn.details.clone().into();
    let rig2 = Rig::start("thinking_memory: { max_mib: 0 }\n").await;
    let shown = rig2.chat_with(&dry, &request(BUDGET, false, &messages)).await;
    let text = String::from_utf8_lossy(&shown.body).into_owned();
    assert!(text.contains(&signature), "the caller's own are shown: {text}");
    rig2.stop().await;
    rig.stop().await;
}
