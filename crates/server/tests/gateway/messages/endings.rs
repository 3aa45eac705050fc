//! Every end of an answer has its own form, and only a complete answer ends cleanly.

use emulator::Step;
use serde_json::{Value, json};

use super::{CLAUDE, NOVA, asking, events, message, text_of};
use crate::rig::Rig;

fn answered(content: &Value, stop: &str) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop,
        "usage": { "inputTokens": 5, "outputTokens": 2, "totalTokens": 7 },
        "metrics": { "latencyMs": 1 },
    }))
}

/// A message in the model's own form.
pub(super) fn own_message(text: &str, stop: &str, more: &Value) -> Value {
    let mut message = json!({
        "id": "msg_bdrk_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [{ "type": "text", "text": text }], "stop_reason": stop, "stop_sequence": null,
        "usage": { "input_tokens": 5, "output_tokens": 2 },
    });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// The chunks of such a message; `more` stands in the last.
pub(super) fn own_events(text: &str, stop: &str, more: &Value) -> Vec<Value> {
    let mut opened = own_message(text, stop, &json!({}));
    opened["content"] = json!([]);
    opened["stop_reason"] = Value::Null;
    let mut last = json!({ "type": "message_stop" });
    last.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let chunks = [
        json!({ "type": "message_start", "message": opened }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": stop, "stop_sequence": null }, "usage": { "output_tokens": 2 } }),
        last,
    ];
    chunks.to_vec()
}

/// Scripts an answer of the model on its way.
pub(super) fn script(rig: &Rig, stream: bool, text: &str, stop: &str, more: &Value) {
    rig.emulator.script().push(match stream {
        true => Step::Events(own_events(text, stop, more)),
        false => Step::Answer(own_message(text, stop, more)),
    });
}

#[actix_rt::test]
async fn stop_reasons_of_converse_have_their_names_here() {
    let rig = Rig::start("").await;
    for (stop, reason) in [
        ("end_turn", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "refusal"),
        ("content_filtered", "refusal"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
        ("pause_turn", "pause_turn"),
        ("of_a_later_version", "end_turn"),
    ] {
        for stream in [false, true] {
            rig.emulator.script().push(answered(&json!([{ "text": "Granite." }]), stop));
            let answer = rig.message(&asking(NOVA, &json!({ "stream": stream }))).await;
            let answer = message(&answer);
            assert_eq!(answer["stop_reason"], reason, "{stop} {answer}");
            assert_eq!(text_of(&answer), "Granite.", "a guardrail's own message is shown");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn output_that_is_no_answer_is_an_error() {
    let rig = Rig::start("").await;
    for stop in ["malformed_model_output", "malformed_tool_use"] {
        rig.emulator.script().push(answered(&json!([{ "text": "{" }]), stop));
        let whole = rig.message(&asking(NOVA, &json!({}))).await;
        assert_eq!(whole.status, 500, "{}", String::from_utf8_lossy(&whole.body));
        assert_eq!(whole.json()["error"]["type"], "api_error");
        rig.emulator.script().push(answered(&json!([{ "text": "{" }]), stop));
        let all = events(&rig.message(&asking(NOVA, &json!({ "stream": true }))).await);
        let last = all.last().unwrap();
        assert_eq!((&last["type"], &last["error"]["type"]), (&json!("error"), &json!("api_error")));
        assert!(all.iter().all(|event| event["type"] != "message_stop"), "{all:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_models_own_end_passes_as_it_came() {
    let rig = Rig::start("").await;
    for (stop, text) in [("refusal", "I can't help with that."), ("max_tokens", "Granite forms")] {
        for stream in [false, true] {
            script(&rig, stream, text, stop, &json!({}));
            let answer = rig.message(&asking(CLAUDE, &json!({ "stream": stream }))).await;
            let answer = message(&answer);
            assert_eq!((&answer["stop_reason"], text_of(&answer)), (&json!(stop), text.to_owned()));
        }
    }
    // Cut between the end of the message and the last event.
    let mut cut = own_events("Granite.", "end_turn", &json!({}));
    cut.pop();
    rig.emulator.script().push(Step::Events(cut));
    let all = events(&rig.message(&asking(CLAUDE, &json!({ "stream": true }))).await);
    assert_eq!(all.last().unwrap()["type"], "error");
    assert!(all.iter().all(|event| event["type"] != "message_delta"), "{all:?}");
    rig.stop().await;
}
