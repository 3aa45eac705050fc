//! Messages: requests in the model's own body, and streams of both ways to the model, event for event.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]

use bytes::BytesMut;
use schema::anthropic::messages::MessagesRequest;
use schema::converse::response::ConverseResponse;
use serde_json::{Value, json};
use translate::answer_stream::{AnswerStream, NativeEventError, replay};
use translate::dialect::{Dialect, NativeQuestion, QuestionInput};
use translate::messages::{Messages, MessagesReply};
use translate::profile::{MessagesOperation, NativeBeta, Replay};
use translate::token_arrays::UnknownToken;
use translate::{Profile, S3Access, Stamp};

#[path = "messages/caching.rs"]
mod caching;
#[path = "support/glass.rs"]
mod glass;
#[path = "support/golden.rs"]
mod golden;
#[path = "messages/thoughts.rs"]
mod thoughts;
#[path = "messages/transcripts.rs"]
mod transcripts;

fn stamp() -> Stamp {
    Stamp { id: "msg_1".into(), created: 1, model: "m".into() }
}

fn no_tokens(_: &[u32]) -> Result<String, UnknownToken> {
    Ok(String::new())
}

fn native() -> Profile {
    Profile {
        messages: MessagesOperation::Invoke,
        native_betas: vec![NativeBeta {
            name: "search".to_owned(),
            with: vec!["tools.defer_loading".to_owned()],
            named: vec!["advanced".to_owned()],
        }],
        ..Profile::default()
    }
}

fn with_native<T>(
    request: &Value,
    profile: &Profile,
    read: impl FnOnce(NativeQuestion<'_, MessagesReply>) -> T,
) -> T {
    let text = request.to_string();
    let request: MessagesRequest<'_> = serde_json::from_str(&text).unwrap();
    let stores = S3Access::default();
    let betas = ["advanced".to_owned()];
    let input = QuestionInput {
        stores: &stores,
        restored: None,
        index: 0,
        betas: &betas,
        text_of: no_tokens,
    };
    read(Messages::native_question(&request, profile, &input).unwrap().unwrap())
}

fn body(request: &Value, profile: &Profile) -> (Value, Vec<String>) {
    with_native(request, profile, |question| {
        let ignored = question.report.ignored().iter().map(ToString::to_string).collect();
        (serde_json::from_slice(&question.body).unwrap(), ignored)
    })
}

/// The state for the answer of a model on Converse.
fn reply_on_converse(request: &Value) -> MessagesReply {
    let text = request.to_string();
    let request: MessagesRequest<'_> = serde_json::from_str(&text).unwrap();
    let stores = S3Access::default();
    let input =
        QuestionInput { stores: &stores, restored: None, index: 0, betas: &[], text_of: no_tokens };
    Messages::question(&request, &Profile::default(), &input).unwrap().reply
}

#[test]
fn parts_pass_as_they_came_with_their_keys_in_order() {
    let text = r#"{"type":"tool_use","id":"t1","name":"a","input":{"z":1,"a":[2.50,"ä"]}}"#;
    let call: Value = serde_json::from_str(text).unwrap();
    let asked = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","content":[{text}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t1","content":"y"}}]}}],"tools":[{{"name":"a","input_schema":{{"type":"object","properties":{{"z":{{}},"a":{{}}}}}}}}]}}"#
    );
    assert_eq!(call["name"], "a");
    let request: MessagesRequest<'_> = serde_json::from_str(&asked).unwrap();
    let stores = S3Access::default();
    let input =
        QuestionInput { stores: &stores, restored: None, index: 0, betas: &[], text_of: no_tokens };
    let question = Messages::native_question(&request, &native(), &input).unwrap().unwrap();
    let body = String::from_utf8(question.body).unwrap();
    assert!(body.contains(text), "{body}");
    assert!(body.contains(r#""properties":{"z":{},"a":{}}"#), "{body}");
    assert!(!body.contains("\"model\"") && !body.contains("\"stream\""), "{body}");
}

#[test]
fn deferred_tools_are_sent_with_their_beta_or_declared_at_once() {
    let request = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }],
        "tools": [{ "name": "a", "input_schema": { "type": "object" } },
            { "name": "b", "input_schema": { "type": "object" }, "defer_loading": true }] });
    let (sent, ignored) = body(&request, &native());
    assert_eq!((&sent["anthropic_beta"], &ignored), (&json!(["search"]), &Vec::new()));
    assert_eq!(sent["tools"][1]["defer_loading"], true);
    let without = Profile { native_betas: Vec::new(), ..native() };
    let (sent, ignored) = body(&request, &without);
    assert_eq!((sent.get("anthropic_beta"), sent["tools"][1].get("defer_loading")), (None, None));
    assert!(ignored.contains(&"tools.defer_loading".to_owned()), "{ignored:?}");
    assert!(ignored.contains(&"anthropic-beta.advanced".to_owned()), "{ignored:?}");
}

#[test]
fn instructions_within_the_conversation_become_text_of_the_turn_before() {
    let request = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "user", "content": "x" }, { "role": "system", "content": "Be brief." },
        { "role": "assistant", "content": "y" }, { "role": "user", "content": "z" }] });
    let (sent, _) = body(&request, &native());
    let roles: Vec<&str> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| turn["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert!(sent["messages"][0]["content"][1]["text"].as_str().unwrap().contains("Be brief."));
    let knows = Profile { native_features: vec!["messages.system".to_owned()], ..native() };
    assert_eq!(body(&request, &knows).0["messages"][1]["role"], "system");
}

#[test]
fn marks_belong_to_their_blocks_where_reasoning_is_left_out() {
    let request = json!({ "model": "m", "max_tokens": 9, "messages": [
        { "role": "user", "content": "x" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "cache_control": { "type": "ephemeral" } },
            { "type": "text", "text": "y", "cache_control": { "type": "ephemeral", "scope": "global" } }] },
        { "role": "user", "content": "z" }] });
    let signed = Profile { replay: Replay::Signed, ..native() };
    let (sent, _) = body(&request, &signed);
    let text = json!({ "type": "text", "text": "y", "cache_control": { "type": "ephemeral" } });
    assert_eq!(sent["messages"][1]["content"], json!([text]));
}

#[test]
fn a_prefill_loses_no_more_than_white_space_at_its_end() {
    let profile = Profile { trailing_assistant: true, ..native() };
    let mark = json!({ "type": "ephemeral" });
    for (content, expected) in [
        (json!("Sure \n"), json!("Sure")),
        (
            json!([{ "type": "text", "text": "Sure" }, { "type": "text", "text": " " }]),
            json!([{ "type": "text", "text": "Sure" }]),
        ),
        (
            json!([{ "type": "text", "text": "Sure ", "cache_control": mark }]),
            json!([{ "type": "text", "text": "Sure", "cache_control": mark }]),
        ),
    ] {
        let request = json!({ "model": "m", "max_tokens": 9, "messages": [
            { "role": "user", "content": "x" }, { "role": "assistant", "content": content }] });
        assert_eq!(body(&request, &profile).0["messages"][1]["content"], expected);
    }
}

#[test]
fn the_attribution_of_a_client_is_left_out() {
    let request = json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }],
        "system": [{ "type": "text", "text": "x-anthropic-billing-header: cc_version=1;" },
            { "type": "text", "text": "Be brief." }] });
    assert_eq!(
        body(&request, &native()).0["system"],
        json!([{ "type": "text", "text": "Be brief." }])
    );
}

/// Feeds events of the model's own to a stream: what it writes, and how it ends.
fn fed(events: &[&str]) -> (String, Result<(), NativeEventError>, bool) {
    let request =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }] });
    let reply = with_native(&request, &native(), |question| question.reply);
    let mut stream = Messages::stream(reply, stamp(), 0);
    let mut out = BytesMut::new();
    let mut end = Ok(());
    for event in events {
        if let Err(error) = stream.push_native(event.as_bytes(), &mut out) {
            end = Err(error);
            break;
        }
    }
    let is_complete = stream.is_complete() && stream.close(&mut out).is_ok();
    (String::from_utf8(out.to_vec()).unwrap(), end, is_complete)
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_bdrk_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#;
const BLOCK: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const DELTA: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"ä  x"}}"#;
const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const ENDING: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}"#;
const END: &str = r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":7,"invocationLatency":1,"firstByteLatency":1}}"#;

#[test]
fn the_models_own_events_pass_but_for_the_name_and_bedrocks_members() {
    let (out, end, is_complete) = fed(&[START, BLOCK, DELTA, STOP, ENDING, END]);
    assert!(end.is_ok() && is_complete);
    let start = START.replace(r#""model":"claude-x","#, "");
    for passed in [BLOCK, DELTA, STOP, ENDING] {
        assert!(out.contains(&format!("data: {passed}\n\n")), "{out}");
    }
    assert!(out.contains(r#""model":"m""#) && !out.contains("claude-x"), "{start} {out}");
    assert!(out.contains("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), "{out}");
    assert!(!out.contains("amazon-bedrock"), "{out}");
    for event in out.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
    }
}

#[test]
fn a_stream_without_its_last_event_is_not_complete() {
    let events = [START, BLOCK, DELTA, STOP, ENDING, END];
    for count in 0..events.len() {
        let (out, _, is_complete) = fed(&events[..count]);
        assert!(!is_complete && !out.contains("message_stop"), "{count} {out}");
    }
}

#[test]
fn an_error_event_of_the_model_is_a_failure() {
    let failed = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let (out, end, is_complete) = fed(&[START, failed]);
    assert!(matches!(end, Err(NativeEventError::Failed { .. })) && !is_complete);
    assert!(!out.contains("Overloaded"), "{out}");
}

#[test]
fn an_answer_of_converse_is_the_same_whole_and_streamed() {
    let request =
        json!({ "model": "m", "max_tokens": 9, "messages": [{ "role": "user", "content": "x" }],
        "tools": [{ "name": "a", "input_schema": { "type": "object" } }] })
        .to_string();
    let request: MessagesRequest<'_> = serde_json::from_str(&request).unwrap();
    let stores = S3Access::default();
    let input =
        QuestionInput { stores: &stores, restored: None, index: 0, betas: &[], text_of: no_tokens };
    let profile = Profile::default();
    assert!(Messages::native_question(&request, &profile, &input).unwrap().is_none());
    let reply = Messages::question(&request, &profile, &input).unwrap().reply;
    for (content, stop, reason) in [
        (json!([{ "text": "one" }]), "end_turn", "end_turn"),
        (json!([{ "text": "one" }]), "max_tokens", "max_tokens"),
        (json!([{ "text": "one" }]), "guardrail_intervened", "refusal"),
        (json!([{ "text": "one" }]), "content_filtered", "refusal"),
        (
            json!([{ "text": "one" }]),
            "model_context_window_exceeded",
            "model_context_window_exceeded",
        ),
        (
            json!([{ "text": "one" }, { "toolUse": { "toolUseId": "t1", "name": "a", "input": { "b": [1] } } }]),
            "tool_use",
            "tool_use",
        ),
    ] {
        let response = json!({ "output": { "message": { "role": "assistant", "content": content } },
            "stopReason": stop, "usage": { "inputTokens": 5, "outputTokens": 3, "totalTokens": 8 } })
        .to_string();
        let read = || serde_json::from_str::<ConverseResponse<'_>>(&response).unwrap();
        let whole = Messages::answer(&read(), &reply, stamp()).answer;
        let whole = serde_json::to_value(&whole).unwrap();
        assert_eq!(whole["stop_reason"], reason);
        let mut stream = Messages::stream(reply.clone(), stamp(), 0);
        let mut out = BytesMut::new();
        replay(read(), &mut stream, &mut out).unwrap();
        stream.close(&mut out).unwrap();
        stream.finish(stream.spent(), &mut out).unwrap();
        let text = String::from_utf8(out.to_vec()).unwrap();
        let of = |kind: &str| -> Vec<Value> {
            text.split_terminator("\n\n")
                .filter(|event| event.starts_with(&format!("event: {kind}\n")))
                .map(|event| serde_json::from_str(event.split_once("data: ").unwrap().1).unwrap())
                .collect()
        };
        let blocks = whole["content"].as_array().unwrap().len();
        assert_eq!(
            (of("content_block_start").len(), of("content_block_stop").len()),
            (blocks, blocks)
        );
        assert_eq!(of("message_delta")[0]["delta"]["stop_reason"], reason, "{text}");
        assert_eq!(of("message_delta")[0]["usage"]["output_tokens"], 3);
        assert_eq!(of("message_stop").len(), 1);
    }
}
