//! The points of the Open Responses compliance tests that need no store: what they send, and what they
//! require of the answer.

use serde_json::{Value, json};

use super::{events, response, text_of};
use crate::rig::Rig;

/// A picture of one pixel.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const MODEL: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn said(role: &str, content: &Value) -> Value {
    json!({ "type": "message", "role": role, "content": content })
}

async fn answered(rig: &Rig, request: &Value) -> Value {
    let mut request = request.clone();
    request["model"] = MODEL.into();
    let whole = response(&rig.respond(&request).await);
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    assert!(!whole["output"].as_array().unwrap().is_empty());
    // The same streamed: each event once more names its type, and the last repeats the whole.
    request["stream"] = true.into();
    let all = events(&rig.respond(&request).await);
    let last = &all.last().unwrap().1;
    assert_eq!(last["type"], "response.completed");
    let kinds = |response: &Value| -> Vec<Value> {
        response["output"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect()
    };
    assert_eq!(kinds(&last["response"]), kinds(&whole));
    whole
}

#[actix_rt::test]
async fn the_points_without_a_store_are_met() {
    let rig = Rig::start("").await;
    let hello = said("user", &json!("Say hello in exactly 3 words."));
    let basic = answered(&rig, &json!({ "input": [hello] })).await;
    assert!(!text_of(&basic).is_empty());
    let phases = json!({ "input": [
        said("user", &json!("Look it up.")),
        { "type": "message", "role": "assistant", "phase": "commentary", "content": [{ "type": "output_text", "text": "Looking." }] },
        { "type": "message", "role": "assistant", "phase": "final_answer", "content": "Found." },
        said("user", &json!("Say it again.")),
    ] });
    answered(&rig, &phases).await;
    let system = json!({ "input": [said("system", &json!("You are a pirate.")), hello] });
    answered(&rig, &system).await;
    let weather = json!({ "input": [said("user", &json!("What's the weather like in San Francisco?"))], "tools": [
        { "type": "function", "name": "get_weather", "description": "Get the current weather for a location",
          "parameters": { "type": "object", "properties": { "location": { "type": "string" } }, "required": ["location"] } },
    ] });
    let called = answered(&rig, &weather).await;
    let calls: Vec<&Value> = called["output"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["type"] == "function_call")
        .collect();
    assert_eq!(calls.len(), 1, "{called}");
    assert_eq!(called["tools"][0]["strict"], Value::Null, "echoed functions have all members");
    let mut round = weather.clone();
    let input = round["input"].as_array_mut().unwrap();
    input.extend(called["output"].as_array().unwrap().iter().cloned());
    input.push(json!({ "type": "function_call_output", "call_id": calls[0]["call_id"], "output": "Sunny." }));
    assert!(text_of(&answered(&rig, &round).await).contains("Sunny."));
    let picture = json!([{ "type": "input_text", "text": "What is in this image?" }, { "type": "input_image", "image_url": PICTURE }]);
    answered(&rig, &json!({ "input": [said("user", &picture)] })).await;
    let file = json!([{ "type": "input_text", "text": "Read." }, { "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK" }]);
    answered(&rig, &json!({ "input": [said("user", &file)] })).await;
    let turns = json!({ "input": [
        said("user", &json!("My name is Alice.")), said("assistant", &json!("Hello Alice!")), said("user", &json!("What is my name?")),
    ] });
    answered(&rig, &turns).await;
    rig.stop().await;
}
