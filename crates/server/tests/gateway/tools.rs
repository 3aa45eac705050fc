//! Tools and structured answers through the whole gateway, with an emulator that applies Bedrock's rules
//! for tool conversations.

use serde_json::{Value, json};

use super::rig::Rig;

const MODELS: [&str; 2] =
    ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-lite-v1:0"];

fn weather() -> Value {
    json!({ "type": "function", "function": {
        "name": "weather.report",
        "description": "Reports the weather of a city",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" }, "at": { "type": "integer" } }, "required": ["city"] },
    } })
}

/// The calls of an answer, unary or folded from a stream: id, name, arguments.
fn calls(events: &[Value], part: &str) -> Vec<(String, String, String)> {
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for (position, call) in events
        .iter()
        .flat_map(|event| event["choices"][0][part]["tool_calls"].as_array().into_iter().flatten())
        .enumerate()
    {
        let index =
            call["index"].as_u64().map_or(position, |index| usize::try_from(index).unwrap());
        calls.resize(calls.len().max(index + 1), Default::default());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        calls[index].0 += &text(&call["id"]);
        calls[index].1 += &text(&call["function"]["name"]);
        calls[index].2 += &text(&call["function"]["arguments"]);
    }
    calls
}

fn content(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[actix_rt::test]
async fn two_parallel_calls_make_the_round_trip() {
    let rig = Rig::start("").await;
    for (model, stream) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)]) {
        let question =
            json!({ "role": "user", "content": "What is the weather in Paris and in Oslo?" });
        let mut request = json!({ "model": model, "stream": stream, "messages": [question], "tools": [weather()] });
        let answer = rig.chat(&request).await;
        let (calls, finish) = if stream {
            let (events, done) = answer.events();
            assert!(done);
            let finish =
                events.iter().rev().find_map(|event| event["choices"][0]["finish_reason"].as_str());
            (calls(&events, "delta"), finish.unwrap().to_owned())
        } else {
            let json = answer.json();
            (
                calls(std::slice::from_ref(&json), "message"),
                json["choices"][0]["finish_reason"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!((calls.len(), finish.as_str()), (2, "tool_calls"), "{model} {calls:?}");
        for ((_, name, arguments), city) in calls.iter().zip(["Paris", "Oslo"]) {
            assert_eq!(name, "weather.report");
            assert_eq!(serde_json::from_str::<Value>(arguments).unwrap()["city"], city);
        }
        // Results come back in the opposite order, with a message between them.
        let made: Vec<Value> = calls
            .iter()
            .map(|(id, name, arguments)| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }))
            .collect();
        let messages = request["messages"].as_array_mut().unwrap();
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": made }));
        messages.push(
            json!({ "role": "tool", "tool_call_id": calls[1].0, "content": "snow, minus 7" }),
        );
        messages.push(
            json!({ "role": "tool", "tool_call_id": calls[0].0, "content": "fair, plus 21" }),
        );
        request["stream"] = json!(false);
        let last = rig.chat(&request).await;
        let text =
            last.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains("minus 7") && text.contains("plus 21"), "{model}: {text}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_same_request_is_the_same_bytes_twenty_times() {
    let rig = Rig::start("").await;
    let keys: serde_json::Map<String, Value> = ["zeta", "alpha", "mid", "beta", "omega", "a1"]
        .into_iter()
        .map(|key| (key.to_owned(), json!({ "type": "string" })))
        .collect();
    let tool = json!({ "type": "function", "function": { "name": "f", "parameters": { "type": "object", "properties": keys } } });
    let request = json!({ "model": MODELS[0], "tools": [tool], "messages": [
        { "role": "user", "content": "x" },
        { "role": "assistant", "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{\"zeta\": \"1\", \"alpha\": \"2\"}" } }] },
        { "role": "tool", "tool_call_id": "c", "content": "ok" },
    ] });
    for _ in 0..20 {
        assert_eq!(rig.chat(&request).await.status, 200);
    }
    let bodies: Vec<String> =
        rig.emulator.journal().calls().iter().map(|call| call.body.to_string()).collect();
    assert_eq!(bodies.len(), 20);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    // The order is the caller's.
    assert!(bodies[0].find("zeta") < bodies[0].find("alpha"), "{}", bodies[0]);
    rig.stop().await;
}

#[actix_rt::test]
async fn tool_choice_is_obeyed() {
    let rig = Rig::start("").await;
    let request = |choice: Value| json!({ "model": MODELS[0], "tools": [weather()], "tool_choice": choice, "messages": [{ "role": "user", "content": "Hello" }] });
    let forced = json!({ "type": "function", "function": { "name": "weather.report" } });
    for choice in [json!("required"), forced] {
        let json = rig.chat(&request(choice)).await.json();
        assert_eq!(
            json["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "weather.report",
            "{json}"
        );
        assert_eq!(json["choices"][0]["finish_reason"], "tool_calls");
    }
    for choice in [json!("none"), json!("auto")] {
        let json = rig.chat(&request(choice)).await.json();
        assert!(json["choices"][0]["message"].get("tool_calls").is_none(), "{json}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn answers_keep_to_their_schema_whole_and_streamed() {
    let rig = Rig::start("").await;
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" }, "age": { "type": "integer" } }, "required": ["name", "age"], "additionalProperties": false });
    let format = json!({ "type": "json_schema", "json_schema": { "name": "person", "strict": true, "schema": schema } });
    for model in MODELS {
        let mut request = json!({ "model": model, "response_format": format, "messages": [{ "role": "user", "content": "A person with name Ann and age 7" }] });
        let whole = rig.chat(&request).await.json();
        let choice = &whole["choices"][0];
        let person: Value =
            serde_json::from_str(choice["message"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(person, json!({ "name": "Ann", "age": 7 }), "{model}");
        assert_eq!(choice["finish_reason"], "stop");
        assert!(choice["message"].get("tool_calls").is_none());
        request["stream"] = json!(true);
        let (events, done) = rig.chat(&request).await.events();
        assert!(done);
        assert_eq!(serde_json::from_str::<Value>(&content(&events)).unwrap(), person, "{model}");
        assert!(calls(&events, "delta").is_empty());
    }
    rig.stop().await;
}
