//! Answers requested as JSON: validated by the caller's own schema, repaired if the operator allows it, and
//! marked if they do not match.

use std::time::Duration;

use emulator::Step;
use serde_json::{Value, json};

use super::cpu_time::Stopwatch;
use super::rig::{Received, Rig};

mod grammar;

/// Accepts schemas through a forced tool.
const BY_TOOL: &str = "us.amazon.nova-lite-v1:0";
/// Accepts schemas in the request.
const NATIVE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn schema() -> Value {
    json!({ "type": "object", "properties": { "age": { "type": "integer", "minimum": 1 } }, "required": ["age"] })
}

fn request(model: &str) -> Value {
    let format =
        json!({ "type": "json_schema", "json_schema": { "name": "person", "schema": schema() } });
    json!({ "model": model, "response_format": format, "messages": [{ "role": "user", "content": "Ann, aged 7" }] })
}

fn answered(content: &Value, stop: &str) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [content] } },
        "stopReason": stop,
        "usage": { "inputTokens": 10, "outputTokens": 5, "totalTokens": 15 },
        "metrics": { "latencyMs": 1 },
    }))
}

fn by_tool(input: &Value) -> Step {
    let call =
        json!({ "toolUse": { "toolUseId": "t1", "name": "structured_answer", "input": input } });
    answered(&call, "tool_use")
}

fn by_text(text: &str) -> Step {
    answered(&json!({ "text": text }), "end_turn")
}

fn content(received: &Received) -> String {
    received.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

fn word(received: &Received) -> Option<&str> {
    received.header("x-outcrop-structured-output")
}

/// The validation result in the last chunk of an answer.
fn note(event: &Value) -> &Value {
    &event["choices"][0]["outcrop"]["structured_output"]
}

#[actix_rt::test]
async fn an_answer_that_does_not_match_is_repaired_once() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    rig.emulator.script().push(by_tool(&json!({ "age": 0 })));
    rig.emulator.script().push(by_tool(&json!({ "age": 7 })));
    let received = rig.chat(&request(BY_TOOL)).await;
    assert_eq!(word(&received), Some("repaired"));
    assert_eq!(received.header("x-outcrop-attempts"), Some("2"));
    assert_eq!(content(&received), "{\"age\":7}");
    let usage = &received.json()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(20), &json!(10)));
    assert_eq!(usage["total_tokens"], 30);
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls.len(), 2);
    let messages = calls[1].body["messages"].as_array().unwrap();
    assert_eq!(messages[0], calls[0].body["messages"][0], "the cached beginning stays");
    assert_eq!(messages[1], json!({ "role": "assistant", "content": [{ "text": "{\"age\":0}" }] }));
    let told = messages[2]["content"][0]["text"].as_str().unwrap();
    assert!(told.contains("/age") && told.contains("minimum of 1"), "{told}");
    assert_eq!(calls[1].body["toolConfig"], calls[0].body["toolConfig"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_repair_call_counts_as_one_request() {
    let target = |more: &str| format!("{{ model: nova-lite, {more} }}");
    let [small, large] = [target("order: 1, rpm: 2"), "{ model: nova-pro, order: 2 }".to_owned()];
    let yaml = format!(
        "structured_output: {{ repair: once }}\nmodels:\n  both: {{ strategy: order, targets: [{small}, {large}] }}\n"
    );
    let rig = Rig::start(&yaml).await;
    rig.emulator.script().push(by_tool(&json!({ "age": 0 })));
    rig.emulator.script().push(by_tool(&json!({ "age": 7 })));
    let mut asked = request("both");
    let first = rig.chat(&asked).await;
    assert_eq!(word(&first), Some("repaired"));
    let target = |answer: &Received| answer.header("x-outcrop-target").unwrap().to_owned();
    asked["response_format"] = Value::Null;
    let second = rig.chat(&asked).await;
    assert_ne!(target(&second), target(&first), "both calls of its minute were made");
    rig.stop().await;
}

#[actix_rt::test]
async fn no_repair_call_is_made_by_default() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(by_text("{\"age\": 0}"));
    let received = rig.chat(&request(NATIVE)).await;
    assert_eq!((received.status, word(&received)), (200, Some("mismatch")));
    assert_eq!(content(&received), "{\"age\": 0}");
    assert_eq!(rig.emulator.journal().calls().len(), 1);
    let sent = &rig.emulator.journal().calls()[0].body["outputConfig"]["textFormat"]["structure"];
    let sent: Value = serde_json::from_str(sent["jsonSchema"]["schema"].as_str().unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({ "type": "object", "properties": { "age": { "type": "integer", "description": "(minimum: 1)" } }, "required": ["age"], "additionalProperties": false })
    );
    // Without a script the model follows the schema.
    let received = rig.chat(&request(NATIVE)).await;
    assert_eq!((word(&received), content(&received)), (Some("valid"), "{\"age\":7}".to_owned()));
    rig.stop().await;
}

#[actix_rt::test]
async fn an_answer_that_stays_wrong_is_passed_on_or_refused() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    for text in ["I cannot.", "{\"age\": \"old\"}"] {
        rig.emulator.script().push(by_text(text));
    }
    let received = rig.chat(&request(NATIVE)).await;
    assert_eq!((received.status, word(&received)), (200, Some("mismatch")));
    assert_eq!(content(&received), "{\"age\": \"old\"}");
    // A failed repair call does not lose the first answer.
    rig.emulator.script().push(by_text("{}"));
    rig.emulator.script().push(Step::Error {
        status: 400,
        kind: "ValidationException".to_owned(),
        message: "no".to_owned(),
        headers: Default::default(),
    });
    let received = rig.chat(&request(NATIVE)).await;
    assert_eq!((word(&received), content(&received)), (Some("mismatch"), "{}".to_owned()));
    assert_eq!(received.json()["usage"]["total_tokens"], 15);
    // A stopped repair call does not either.
    rig.emulator.script().push(by_text("{}"));
    rig.emulator.script().push(answered(&json!({ "text": "{\"ag" }), "max_tokens"));
    let received = rig.chat(&request(NATIVE)).await;
    assert_eq!((word(&received), content(&received)), (Some("mismatch"), "{}".to_owned()));
    assert_eq!(received.json()["usage"]["total_tokens"], 30);
    rig.reload("structured_output: { repair: once, on_mismatch: refuse }\n").await.unwrap();
    for text in ["{}", "{}"] {
        rig.emulator.script().push(by_text(text));
    }
    let received = rig.chat(&request(NATIVE)).await;
    let error = received.json()["error"].clone();
    assert_eq!((received.status, &error["code"]), (502, &json!("structured_output_mismatch")));
    assert_eq!(error["param"], "response_format");
    assert_eq!(received.header("x-should-retry"), Some("false"));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_says_at_its_end_that_it_does_not_match() {
    let rig = Rig::start("").await;
    let streamed = |model: &str| {
        let mut request = request(model);
        request["stream"] = json!(true);
        request["stream_options"] = json!({ "include_usage": true });
        request
    };
    for (model, step) in [
        (BY_TOOL, by_tool(&json!({ "age": 0 }))),
        (BY_TOOL, by_text("{\"age\": 0}")),
        (NATIVE, by_text("{\"age\": 0}")),
    ] {
        rig.emulator.script().push(step);
        let (events, done) = rig.chat(&streamed(model)).await.events();
        assert!(done);
        let ends: Vec<&Value> =
            events.iter().filter(|event| !event["choices"][0]["finish_reason"].is_null()).collect();
        assert_eq!(ends.len(), 1);
        assert_eq!(ends[0]["choices"][0]["finish_reason"], "stop");
        assert_eq!(ends[0]["choices"][0]["outcrop"]["structured_output"], "mismatch", "{model}");
        let noted = events.iter().filter(|event| !note(event).is_null()).count();
        assert_eq!(noted, 1);
        assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 15);
    }
    // A valid answer has no note, and one that cannot be validated is marked.
    let (events, done) = rig.chat(&streamed(NATIVE)).await.events();
    assert!(done && events.iter().all(|event| note(event).is_null()));
    let mut request = streamed(BY_TOOL);
    request["response_format"]["json_schema"]["schema"]["pattern"] = json!("((");
    let (events, done) = rig.chat(&request).await.events();
    assert!(done);
    assert!(events.iter().any(|event| note(event) == "unchecked"));
    rig.reload("structured_output: { on_mismatch: refuse }\n").await.unwrap();
    rig.emulator.script().push(by_text("{\"age\": 0}"));
    let (events, done) = rig.chat(&streamed(NATIVE)).await.events();
    assert!(!done);
    assert_eq!(events.last().unwrap()["error"]["code"], "structured_output_mismatch");
    assert!(events.iter().all(|event| event["choices"][0]["finish_reason"].is_null()));
    rig.stop().await;
}

#[actix_rt::test]
async fn the_text_of_a_shaped_answer_streams_as_it_comes() {
    let rig = Rig::start("").await;
    let mut request = request(BY_TOOL);
    request["stream"] = json!(true);
    let delta = |text: &str| json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": text } } });
    let events = [
        json!({ "messageStart": { "role": "assistant" } }),
        delta("``"),
        delta("`json\n{\"age\""),
        delta(": 7}"),
        delta("\n```"),
        json!({ "contentBlockStop": { "contentBlockIndex": 0 } }),
        json!({ "messageStop": { "stopReason": "end_turn" } }),
        json!({ "metadata": { "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 }, "metrics": { "latencyMs": 1 } } }),
    ];
    rig.emulator.script().push(Step::Events(events.to_vec()));
    let (events, done) = rig.chat(&request).await.events();
    assert!(done);
    let pieces: Vec<&str> = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .filter(|piece| !piece.is_empty())
        .collect();
    assert_eq!(pieces, ["{\"age\"", ": 7}"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn an_answer_that_stopped_early_is_not_validated() {
    let rig = Rig::start("structured_output: { repair: once, on_mismatch: refuse }\n").await;
    for (step, finish) in [
        (answered(&json!({ "text": "{\"ag" }), "max_tokens"), "length"),
        (answered(&json!({ "text": "Blocked." }), "guardrail_intervened"), "content_filter"),
        (answered(&json!({ "text": "{\"ag" }), "content_filtered"), "content_filter"),
        (
            answered(
                &json!({ "toolUse": { "toolUseId": "t", "name": "look", "input": {} } }),
                "tool_use",
            ),
            "tool_calls",
        ),
    ] {
        for stream in [false, true] {
            rig.emulator.script().push(step.clone());
            let mut request = request(NATIVE);
            request["tools"] = json!([{ "type": "function", "function": { "name": "look" } }]);
            request["stream"] = json!(stream);
            let received = rig.chat(&request).await;
            assert_eq!((received.status, word(&received)), (200, None));
            let found = if stream {
                let (events, done) = received.events();
                assert!(done && events.iter().all(|event| note(event).is_null()));
                let mut ends = events.iter().map(|event| &event["choices"][0]["finish_reason"]);
                ends.find(|end| !end.is_null()).unwrap().clone()
            } else {
                received.json()["choices"][0]["finish_reason"].clone()
            };
            assert_eq!(found, finish);
        }
    }
    rig.stop().await;
}

/// Answer text and reasoning of a stream.
fn streamed(received: &Received) -> (String, String) {
    let (events, done) = received.events();
    assert!(done, "{events:?}");
    let all = |member: &str| {
        let deltas = events.iter().map(|event| &event["choices"][0]["delta"][member]);
        deltas.filter_map(Value::as_str).collect::<String>()
    };
    (all("content"), all("reasoning_content"))
}

#[actix_rt::test]
async fn words_around_an_object_are_not_the_answer() {
    let rig = Rig::start("").await;
    let object = r#"{"name": "Ann {\"}", "of": {}}"#;
    for (text, aside) in [
        (object.to_owned(), ""),
        (format!("Here is the JSON:\n```json\n{object}\n```"), "Here is the JSON:"),
        (format!("```json\n{object}\n```"), ""),
        (format!("Sure: {object}\nAnything else?"), "Sure:\nAnything else?"),
    ] {
        for model in [BY_TOOL, NATIVE] {
            let mut request = request(model);
            request["response_format"] = json!({ "type": "json_object" });
            rig.emulator.script().push(by_text(&text));
            let received = rig.chat(&request).await;
            assert_eq!((word(&received), content(&received)), (Some("valid"), object.to_owned()));
            let message = &received.json()["choices"][0]["message"];
            assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), aside);
            rig.emulator.script().push(by_text(&text));
            request["stream"] = json!(true);
            let received = rig.chat(&request).await;
            assert_eq!(streamed(&received), (object.to_owned(), aside.to_owned()), "{text}");
        }
    }
    // Without JSON, the model gets one repair call; a stream has been seen by the client, and is marked.
    let mut request = request(BY_TOOL);
    request["response_format"] = json!({ "type": "json_object" });
    for text in ["I cannot {do} that.", "Well then: {\"a\": 1}"] {
        rig.emulator.script().push(by_text(text));
    }
    let received = rig.chat(&request).await;
    assert_eq!((word(&received), content(&received).as_str()), (Some("repaired"), "{\"a\": 1}"));
    rig.emulator.script().push(by_text("I cannot {do} that."));
    request["stream"] = json!(true);
    let received = rig.chat(&request).await;
    assert_eq!(streamed(&received).0, "I cannot {do} that.");
    assert_eq!(note(received.events().0.last().unwrap()), "mismatch");
    rig.stop().await;
    // The operator's `repair: off` is respected.
    let rig = Rig::start("structured_output: { repair: off }\n").await;
    rig.emulator.script().push(by_text("I cannot."));
    request["stream"] = json!(false);
    let received = rig.chat(&request).await;
    assert_eq!((word(&received), content(&received).as_str()), (Some("mismatch"), "I cannot."));
    rig.stop().await;
}

#[actix_rt::test]
async fn an_unreadable_repair_answer_does_not_lose_the_first() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    rig.emulator.script().push(by_text("{}"));
    let body = "{ \"output\": 1 ".to_owned();
    rig.emulator.script().push(Step::Text { body, headers: Default::default() });
    let received = rig.chat(&request(NATIVE)).await;
    assert_eq!(received.status, 200, "{:?}", received.body);
    assert_eq!((word(&received), content(&received).as_str()), (Some("mismatch"), "{}"));
    rig.stop().await;
}

#[actix_rt::test]
async fn reasoning_of_both_answers_is_counted() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    for n in [1, 2] {
        let first = std::iter::repeat_n(("{}", 3), n);
        for (text, thought) in first.chain(std::iter::repeat_n(("{\"age\": 7}", 2), n)) {
            let Step::Answer(mut answer) = by_text(text) else { panic!() };
            answer["additionalModelResponseFields"] =
                json!({ "usage": { "output_tokens_details": { "thinking_tokens": thought } } });
            rig.emulator.script().push(Step::Answer(answer));
        }
        let mut request = request(NATIVE);
        request["n"] = json!(n);
        let usage = rig.chat(&request).await.json()["usage"].clone();
        assert_eq!(usage["completion_tokens"], 10 * n);
        let thought = &usage["completion_tokens_details"]["reasoning_tokens"];
        assert_eq!(thought, 5 * n, "{usage}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn json_object_is_json() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    let request = json!({ "model": BY_TOOL, "response_format": { "type": "json_object" }, "messages": [{ "role": "user", "content": "Ann" }] });
    let received = rig.chat(&request).await;
    assert_eq!(word(&received), Some("valid"));
    assert!(serde_json::from_str::<Value>(&content(&received)).unwrap().is_object());
    rig.emulator.script().push(by_text("```json\n{\"name\": \"Ann\"}\n```\n"));
    let received = rig.chat(&request).await;
    assert_eq!(
        (word(&received), content(&received)),
        (Some("valid"), "{\"name\": \"Ann\"}".to_owned())
    );
    rig.emulator.script().push(by_text("Here is Ann."));
    rig.emulator.script().push(by_text("{\"name\": \"Ann\"}"));
    let received = rig.chat(&request).await;
    assert_eq!(
        (word(&received), content(&received)),
        (Some("repaired"), "{\"name\": \"Ann\"}".to_owned())
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn validation_is_bounded_in_memory_and_time() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    let names: Vec<String> = (0..2_000).map(|at| format!("p{at}")).collect();
    let branches: Vec<Value> = (0..2_000).map(|at| json!({ "const": at })).collect();
    let list = |item: &str| format!(r#"{{"a":[{}]}}"#, vec![item; 2_000].join(","));
    for (items, answer, whole) in [
        // Four million names are missing, and none of them is collected.
        (json!({ "type": "object", "required": names }), list("{}"), "mismatch"),
        (json!({ "anyOf": branches }), list("1999"), "valid"),
        (json!({ "anyOf": branches }), list("\"x\""), "mismatch"),
        (
            json!({ "items": { "anyOf": branches } }),
            list(&format!("[{}]", vec!["1"; 20].join(","))),
            "unchecked",
        ),
    ] {
        let schema =
            json!({ "type": "object", "properties": { "a": { "type": "array", "items": items } } });
        for stream in [false, true] {
            let mut asked = request("deepseek.r1-v1:0");
            asked["response_format"]["json_schema"]["schema"] = schema.clone();
            asked["stream"] = json!(stream);
            for _ in 0..2 {
                rig.emulator.script().push(by_text(&answer));
            }
            let work = Stopwatch::of_process();
            let received = rig.chat(&asked).await;
            assert_eq!(received.status, 200);
            let found = if stream {
                let (events, done) = received.events();
                assert!(done);
                let noted = events.iter().find_map(|event| note(event).as_str().map(str::to_owned));
                noted.unwrap_or("valid".to_owned())
            } else {
                word(&received).unwrap().to_owned()
            };
            assert_eq!(found, whole, "stream: {stream}");
            let took = work.elapsed();
            assert!(took < Duration::from_secs(60), "{took:?}");
            rig.emulator.script().clear();
        }
    }
    rig.stop().await;
}
