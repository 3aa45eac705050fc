//! Conversations are compacted by a model's summary, which comes back for its caller alone.

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::stored::{ANN, BOB, refusal, sent};
use super::{NOVA, response, weather};
use crate::rig::{Received, Rig};

impl Rig {
    async fn compact(&self, caller: (&str, &str), path: &str, request: &Value) -> Received {
        self.send_with(&[caller], Method::POST, path, request.to_string().into()).await
    }
}

fn said(text: &str, stop: &str) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
        "stopReason": stop, "usage": { "inputTokens": 20, "outputTokens": 5, "totalTokens": 25 },
    }))
}

const PATH: &str = "/v1/responses/compact";

#[actix_rt::test]
async fn a_conversation_goes_on_from_its_summary() {
    for path in [PATH, "/responses/compact", "/openai/v1/responses/compact"] {
        let rig = Rig::start("").await;
        rig.emulator.script().push(said("The launch is on Tuesday.", "end_turn"));
        let image = "data:image/png;base64,iVBORw0KGgo=";
        let parts = json!([{ "type": "input_text", "text": "b" }, { "type": "input_image", "image_url": image }]);
        let input = json!([
            { "role": "user", "content": "a" },
            { "role": "assistant", "content": "noted" },
            { "type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}" },
            { "type": "function_call_output", "call_id": "c1", "output": "fair" },
            { "role": "user", "content": parts },
        ]);
        let request = json!({ "model": NOVA, "input": input, "instructions": "Be brief.", "tools": weather() });
        let answer = rig.compact(ANN, path, &request).await;
        assert_eq!(answer.header("x-outcrop-ignored"), None);
        let compacted = answer.json();
        assert_eq!((answer.status, &compacted["object"]), (200, &json!("response.compaction")));
        assert_eq!(compacted["usage"]["total_tokens"], 25);
        let body = rig.emulator.journal().calls().last().unwrap().body.clone();
        assert_eq!(body["system"][0]["text"], "Be brief.");
        assert!(sent(&rig).last().unwrap().1.contains("Summarise the conversation"), "{body}");
        let output = compacted["output"].as_array().unwrap();
        assert_eq!(output.len(), 3, "{compacted}");
        assert_eq!(output[0]["content"], json!([{ "type": "input_text", "text": "a" }]));
        assert_eq!(output[1]["content"], parts);
        assert_eq!(output[2]["type"], "compaction");
        let capsule = output[2]["encrypted_content"].as_str().unwrap();
        assert!(capsule.starts_with("oc1.") && !capsule.contains("Tuesday"));

        let mut input = output.clone();
        input.push(json!({ "role": "user", "content": "When?" }));
        let next = json!({ "model": NOVA, "input": input });
        let answer = rig.respond_with(&[ANN], &next).await;
        assert_eq!((answer.status, answer.header("x-outcrop-ignored")), (200, None));
        let turns = sent(&rig);
        assert_eq!(turns.len(), 1, "{turns:?}");
        assert!(turns[0].1.starts_with("ab") && turns[0].1.ends_with("When?"), "{turns:?}");
        assert!(
            turns[0].1.contains("<summary>\nThe launch is on Tuesday.\n</summary>"),
            "{turns:?}"
        );
        let foreign = rig.respond_with(&[BOB], &next).await;
        assert_eq!(foreign.header("x-outcrop-ignored"), Some("input.compaction"));
        assert!(!sent(&rig)[0].1.contains("Tuesday"));
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_stored_response_is_compacted_and_so_is_a_summary() {
    let rig = Rig::start("").await;
    let first = json!({ "model": "emulator.echo", "input": "one" });
    let first = response(&rig.respond_with(&[ANN], &first).await);
    let request = json!({ "model": "emulator.echo", "previous_response_id": first["id"] });
    let compacted = rig.compact(ANN, PATH, &request).await.json();
    let turns = sent(&rig);
    let said: Vec<&str> = turns.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!((said[0], said[1], said.len()), ("one", "one", 3), "{turns:?}");
    let again = json!({ "model": "emulator.echo", "input": compacted["output"], "stream": true, "store": true });
    let again = rig.compact(ANN, PATH, &again).await;
    assert_eq!(again.header("x-outcrop-ignored"), Some("stream, store"));
    assert!(sent(&rig)[0].1.contains("<summary>"));
    let output = again.json()["output"].clone();
    let kinds: Vec<&str> =
        output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "compaction"]);
    // It is no response that could be continued.
    let id = again.json()["id"].clone();
    let next = json!({ "model": "emulator.echo", "previous_response_id": id, "input": "x" });
    assert_eq!(rig.respond_with(&[ANN], &next).await.status, 400);
    rig.stop().await;
}

#[actix_rt::test]
async fn only_the_latest_messages_of_the_user_stay() {
    let rig = Rig::start("").await;
    let long = "x".repeat(50_000);
    let input: Vec<Value> = (0..3).map(|_| json!({ "role": "user", "content": long })).collect();
    rig.emulator.script().push(said("Much x.", "end_turn"));
    let compacted = rig.compact(ANN, PATH, &json!({ "model": NOVA, "input": input })).await.json();
    assert_eq!(compacted["output"].as_array().unwrap().len(), 2, "one message and the summary");
    rig.stop().await;
}

#[actix_rt::test]
async fn an_unusable_summary_is_an_error() {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    for (text, stop) in [
        ("The launch is", "max_tokens"),
        ("", "end_turn"),
        ("I may not.", "guardrail_intervened"),
        ("I may not.", "content_filtered"),
    ] {
        rig.emulator.script().push(said(text, stop));
        let refused = rig.compact(ANN, PATH, &json!({ "model": NOVA, "input": "a" })).await;
        assert_eq!(refusal(&refused), (502, json!("answer_not_usable"), Value::Null), "{stop}");
    }
    for (request, code) in [
        (json!({ "model": NOVA }), "missing_required_parameter"),
        (json!({ "model": NOVA, "previous_response_id": "resp_x" }), "previous_response_not_found"),
    ] {
        let refused = rig.compact(ANN, PATH, &request).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!(code)));
    }
    rig.stop().await;
}
