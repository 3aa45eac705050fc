//! `n` above 1: several calls merged into one answer, unary or streamed; and the other calls when one fails
//! or the client disconnects.

use emulator::{Call, Delivery, Fault, Step};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::rig::{Rig, flood};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
/// Its calls are unary if tools are declared.
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

fn ask(model: &str, n: u32, stream: bool) -> Value {
    json!({ "model": model, "n": n, "stream": stream, "stream_options": { "include_usage": true }, "messages": [{ "role": "user", "content": "one two three four five six" }] })
}

fn said(text: &str, [input, output, read]: [u64; 3]) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": input, "outputTokens": output, "totalTokens": input + output + read, "cacheReadInputTokens": read },
        "metrics": { "latencyMs": 1 },
    }))
}

fn three(rig: &Rig) {
    rig.emulator.script().push(said("granite is hard", [10, 1, 0]));
    rig.emulator.script().push(said("chalk is soft", [10, 20, 0]));
    rig.emulator.script().push(said("slate is flat", [4, 300, 6]));
}

const THREE: [&str; 3] = ["chalk is soft", "granite is hard", "slate is flat"];

fn busy_or_gone(call: &Call) -> bool {
    matches!(call.delivery, Delivery::ClientGone | Delivery::Open)
}

fn gone(calls: &[Call]) -> usize {
    calls.iter().filter(|call| call.delivery == Delivery::ClientGone).count()
}

#[actix_rt::test]
async fn whole_answers_come_as_choices_of_one() {
    let rig = Rig::start("").await;
    three(&rig);
    let mut request = ask(NOVA, 3, false);
    request["logprobs"] = true.into();
    let answer = rig.chat(&request).await;
    let json = answer.json();
    assert_eq!(answer.status, 200, "{json}");
    let choices = json["choices"].as_array().unwrap();
    let mut texts: Vec<_> =
        choices.iter().map(|choice| choice["message"]["content"].as_str().unwrap()).collect();
    texts.sort_unstable();
    assert_eq!(texts, THREE);
    let indexes: Vec<_> = choices.iter().map(|choice| choice["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert!(choices.iter().all(|choice| choice["finish_reason"] == "stop"));
    let usage = &json["usage"];
    assert_eq!(
        [&usage["prompt_tokens"], &usage["completion_tokens"], &usage["total_tokens"]],
        [30, 321, 351]
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 6);
    assert_eq!(answer.header("x-outcrop-ignored"), Some("logprobs"), "once, and n is honoured");
    assert_eq!(answer.header("x-outcrop-attempts"), Some("3"));
    assert!(answer.header("x-amzn-requestid").is_some());
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.body == calls[0].body && call.operation == "converse"));
    rig.stop().await;
}

#[actix_rt::test]
async fn streamed_answers_are_interleaved_by_index() {
    let rig = Rig::start("").await;
    three(&rig);
    let answer = rig.chat(&ask(NOVA, 3, true)).await;
    let (events, done) = answer.events();
    assert!(done && answer.status == 200);
    let (usage, chunks) = events.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(
        (&usage["usage"]["prompt_tokens"], &usage["usage"]["total_tokens"]),
        (&json!(30), &json!(351))
    );
    let mut texts = [const { String::new() }; 3];
    let (mut roles, mut ends) = (Vec::new(), Vec::new());
    for chunk in chunks {
        assert_eq!((&chunk["id"], &chunk["created"]), (&usage["id"], &usage["created"]));
        assert!(chunk["usage"].is_null(), "usage is told once");
        let [choice] = chunk["choices"].as_array().unwrap().as_slice() else { panic!("{chunk}") };
        let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        texts[index] += choice["delta"]["content"].as_str().unwrap_or_default();
        if choice["delta"]["role"] == "assistant" {
            roles.push(index);
        }
        if choice["finish_reason"] == "stop" {
            ends.push(index);
        }
    }
    assert_eq!(roles, [0, 1, 2], "all have begun before the first goes on");
    ends.sort_unstable();
    assert_eq!(ends, [0, 1, 2]);
    texts.sort_unstable();
    assert_eq!(texts, THREE);
    rig.stop().await;
}

#[actix_rt::test]
async fn each_choice_has_its_own_tool_calls_and_reasoning() {
    let rig = Rig::start("").await;
    let tools = json!([{ "type": "function", "function": { "name": "weather", "description": "Reports the weather of a city", "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } } }]);
    for (model, stream) in [(CLAUDE, false), (CLAUDE, true), (LLAMA, true)] {
        let mut request = ask(model, 2, stream);
        request["messages"][0]["content"] = "What is the weather in Paris?".into();
        request["tools"] = tools.clone();
        if model == CLAUDE {
            request["reasoning_effort"] = "low".into();
        }
        let answer = rig.chat(&request).await;
        let events = match stream {
            true => {
                let (events, done) = answer.events();
                assert!(done, "{model}");
                events
            }
            false => vec![answer.json()],
        };
        let part = if stream { "delta" } else { "message" };
        for index in 0..2 {
            let choices = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
            let its: Vec<_> = choices.filter(|choice| choice["index"] == index).collect();
            let calls: Vec<_> = its
                .iter()
                .flat_map(|choice| choice[part]["tool_calls"].as_array().into_iter().flatten())
                .collect();
            let [first, ..] = calls.as_slice() else { panic!("{model} {stream}: {events:?}") };
            assert_eq!(first["function"]["name"], "weather");
            assert_eq!(its.last().unwrap()["finish_reason"], "tool_calls");
            if model == LLAMA {
                continue;
            }
            // The reasoning of each choice is saved: a plain client's next turn continues it.
            let call = json!({ "id": first["id"], "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Paris\"}" } });
            let mut next = request.clone();
            next["n"] = 1.into();
            let turns = next["messages"].as_array_mut().unwrap();
            turns.push(json!({ "role": "assistant", "tool_calls": [call] }));
            turns.push(json!({ "role": "tool", "tool_call_id": first["id"], "content": "fair" }));
            let next = rig.chat(&next).await;
            assert_eq!((next.status, next.header("x-outcrop-thinking")), (200, None));
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn one_failure_before_the_first_byte_is_the_status_and_ends_the_others() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        rig.emulator.journal().clear();
        let error = Step::Error {
            status: 400,
            kind: "ValidationException".to_owned(),
            message: "This is wrong.".to_owned(),
            headers: [].into(),
        };
        for step in [Step::Fault(Fault::Silent), error, Step::Fault(Fault::Silent)] {
            rig.emulator.script().push(step);
        }
        let answer = rig.chat(&ask(NOVA, 3, stream)).await;
        assert_eq!((answer.status, answer.header("x-outcrop-attempts")), (400, Some("1")));
        rig.until(|calls| calls.iter().all(|call| call.delivery != Delivery::Open)).await;
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn each_choice_has_attempts_of_its_own() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        rig.emulator.script().push(Step::Error {
            status: 503,
            kind: "ServiceUnavailableException".to_owned(),
            message: "Not now.".to_owned(),
            headers: [].into(),
        });
        let answer = rig.chat(&ask(NOVA, 2, stream)).await;
        assert_eq!((answer.status, answer.header("x-outcrop-attempts")), (200, Some("3")));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn one_failure_afterwards_is_the_last_event_and_ends_the_others() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(Step::Fault(Fault::Stall(3)));
    rig.emulator.script().push(Step::Fault(Fault::Cut(4)));
    rig.emulator.script().push(Step::Fault(Fault::Stall(3)));
    let answer = rig.chat(&ask(NOVA, 3, true)).await;
    let (events, done) = answer.events();
    assert!(!done && answer.status == 200);
    let errors: Vec<_> =
        events.iter().filter_map(|event| event["error"]["code"].as_str()).collect();
    assert_eq!(errors, ["upstream_truncated"]);
    assert!(events.last().unwrap()["error"].is_object());
    rig.until(|calls| calls.len() == 3 && gone(calls) == 2).await;
    rig.stop().await;
}

#[actix_rt::test]
async fn silence_is_filled_and_its_limit_counts_on() {
    let rig = Rig::start("timeouts: { idle: 3, keep_alive: 0.1 }\n").await;
    let answer = rig.chat(&ask("emulator.stall-3", 2, true)).await;
    assert!(String::from_utf8_lossy(&answer.body).contains(": keep-alive\n\n"));
    let (events, done) = answer.events();
    assert!(!done);
    assert_eq!(events.last().unwrap()["error"]["code"], "upstream_timeout");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_ends_every_call() {
    let rig = Rig::start("").await;
    let (status, _, body) = rig.chat_open(&ask("emulator.stall-3", 3, true)).await;
    assert_eq!(status, 200);
    rig.until(|calls| calls.len() == 3 && calls.iter().all(busy_or_gone)).await;
    drop(body);
    rig.until(|calls| gone(calls) == 3).await;

    let request = ask("emulator.silent", 3, false);
    {
        let mut waiting = std::pin::pin!(rig.chat_open(&request));
        tokio::select! {
            _ = waiting.as_mut() => panic!("silent calls were answered"),
            _ = rig.until(|calls| calls.len() == 6) => {}
        }
    }
    rig.until(|calls| gone(calls) == 6).await;
    rig.stop().await;
}

#[actix_rt::test]
async fn while_the_client_does_not_read_no_call_is_read() {
    let rig = Rig::start("timeouts: { write_stall: 0.3 }\n").await;
    for _ in 0..2 {
        rig.emulator.script().push(flood());
    }
    let body = ask(NOVA, 2, true).to_string();
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    // If either had been read ahead of the client, it would have been delivered.
    rig.until(|calls| gone(calls) == 2).await;
    drop(socket);
    rig.stop().await;
}

#[actix_rt::test]
async fn too_many_choices_are_refused_without_a_call() {
    for (yaml, most) in [("", 8), ("chat: { most_choices: 2 }\n", 2)] {
        let rig = Rig::start(yaml).await;
        for (n, code) in [
            (json!(most + 1), "integer_above_max_value"),
            (json!(i64::MAX), "integer_above_max_value"),
            (json!(0), "integer_below_min_value"),
            (json!(i64::MIN), "integer_below_min_value"),
        ] {
            let mut request = ask(NOVA, 1, false);
            request["n"] = n;
            let answer = rig.chat(&request).await;
            let error = &answer.json()["error"];
            assert_eq!(
                (answer.status, &error["param"], &error["code"]),
                (400, &json!("n"), &json!(code))
            );
        }
        assert!(rig.emulator.journal().calls().is_empty());
        let answer = rig.chat(&ask(NOVA, most, false)).await.json();
        assert_eq!(answer["choices"].as_array().unwrap().len(), usize::try_from(most).unwrap());
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_long_beginning_is_cached_by_one_call_before_the_others_go() {
    let rig = Rig::start("").await;
    for (words, stream, ahead) in [(4000, false, true), (4000, true, true), (10, true, false)] {
        rig.emulator.journal().clear();
        // Calls that do not wait for the first have much time to show it.
        let slow = if ahead { 200 } else { 3_000 };
        rig.emulator.script().push(Step::Fault(Fault::Slow(slow)));
        let mut request = ask(CLAUDE, 3, stream);
        let system = json!({ "role": "system", "content": "granite ".repeat(words) });
        request["messages"].as_array_mut().unwrap().insert(0, system);
        let answer = rig.chat(&request).await;
        assert_eq!(answer.status, 200);
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls.len(), 3);
        let after = |call: &Call| call.received_ms >= calls[0].received_ms + slow - slow / 20;
        assert_eq!(calls[1..].iter().all(after), ahead, "{words} {stream}");
        assert_eq!(calls[1..].iter().any(after), ahead, "{words} {stream}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn each_choice_is_validated_by_the_callers_schema() {
    let schema = json!({ "type": "object", "properties": { "hard": { "type": "boolean" } }, "required": ["hard"] });
    let good = "{\"hard\": true}";
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    let mut request = ask(NOVA, 2, false);
    request["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "rock", "schema": schema } });
    for (texts, word, calls) in [
        ([good, good, good], "valid", 2),
        ([good, "{}", good], "repaired", 3),
        (["{}", good, "{}"], "mismatch", 3),
    ] {
        rig.emulator.journal().clear();
        rig.emulator.script().clear();
        for text in texts {
            rig.emulator.script().push(said(text, [10, 1, 0]));
        }
        let answer = rig.chat(&request).await;
        assert_eq!(answer.header("x-outcrop-structured-output"), Some(word));
        assert_eq!(rig.emulator.journal().calls().len(), calls);
        assert_eq!(answer.json()["usage"]["completion_tokens"], calls);
    }
    request["stream"] = true.into();
    rig.emulator.script().clear();
    for text in [good, "{}"] {
        rig.emulator.script().push(said(text, [10, 1, 0]));
    }
    let (events, done) = rig.chat(&request).await.events();
    assert!(done);
    let words: Vec<_> = events
        .iter()
        .filter_map(|event| event["choices"][0]["outcrop"]["structured_output"].as_str())
        .collect();
    assert_eq!(words, ["mismatch"]);
    rig.stop().await;
}
