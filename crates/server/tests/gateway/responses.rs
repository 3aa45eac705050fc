//! Responses through the gateway: reasoning and items come back by every way that clients send them, and a
//! stream that fails ends in a failed response.

use emulator::{Fault, Step};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

mod background;
mod compaction;
mod compliance;
mod conversations;
mod sessions;
mod stored;
mod websocket;

const NOVA: &str = "us.amazon.nova-lite-v1:0";
/// The emulator refuses a tool turn of this model without its signed reasoning.
const THINKS: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const CAPSULES: &str = "reasoning.encrypted_content";

impl Rig {
    pub(super) async fn respond(&self, request: &Value) -> Received {
        self.respond_with(&[], request).await
    }

    async fn respond_with(&self, headers: &[(&str, &str)], request: &Value) -> Received {
        let path = "/v1/responses";
        self.send_with(headers, Method::POST, path, request.to_string().into()).await
    }
}

/// The events of a stream: type and data. The last is `[DONE]`.
pub(super) fn events(received: &Received) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(&received.body).unwrap();
    let text = text.strip_suffix("data: [DONE]\n\n").unwrap_or_else(|| panic!("{text}"));
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap().to_owned();
        (name, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
    };
    text.split_terminator("\n\n").filter(|event| !event.starts_with(':')).map(event).collect()
}

/// The response of a whole answer, or of the last event.
pub(super) fn response(received: &Received) -> Value {
    assert_eq!(received.status, 200, "{}", String::from_utf8_lossy(&received.body));
    if received.header("content-type") == Some("application/json") {
        return received.json();
    }
    events(received).pop().unwrap().1["response"].clone()
}

fn text_of(response: &Value) -> String {
    let items = response["output"].as_array().unwrap().iter();
    let parts = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}

fn weather() -> Value {
    json!([{ "type": "function", "name": "weather", "description": "Reports the weather of a city",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] } }])
}

fn asking(input: &Value, more: &Value) -> Value {
    let mut request = json!({ "model": THINKS, "input": input, "tools": weather(),
        "reasoning": { "effort": "low", "summary": "auto" } });
    let members = request.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    request
}

#[actix_rt::test]
async fn a_text_is_answered_whole_and_streamed() {
    let rig = Rig::start("").await;
    for path in ["/v1/responses", "/responses", "/openai/v1/responses/"] {
        let request = json!({ "model": "emulator.echo", "input": "one two" }).to_string();
        let whole = rig.send(Method::POST, path, request.into()).await;
        assert_eq!(text_of(&response(&whole)), "one two", "{path}");
    }
    let request = json!({ "model": "emulator.echo", "input": "one two", "stream": true });
    let streamed = rig.respond(&request).await;
    let of_stream = response(&streamed);
    assert_eq!(text_of(&of_stream), "one two");
    let started = of_stream["created_at"].as_u64().unwrap();
    assert!(of_stream["completed_at"].as_u64().unwrap() >= started);
    let ids: Vec<String> = events(&streamed)
        .iter()
        .filter_map(|(_, data)| data["response"]["id"].as_str().map(ToOwned::to_owned))
        .collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0] && id.starts_with("resp_")));
    rig.stop().await;
}

/// How a client brings an answer back.
#[derive(Debug, Clone, Copy)]
enum Client {
    /// Items in full, with capsules.
    Full,
    /// Items in full, without their capsules.
    Plain,
    /// Calls alone.
    Calls,
    /// Ids alone, but for calls.
    Ids,
}

fn brought_back(output: &Value, client: Client) -> Vec<Value> {
    let items = output.as_array().unwrap().iter();
    let items = items.filter_map(|item| match (client, item["type"].as_str().unwrap()) {
        (Client::Full, _) => Some(item.clone()),
        (Client::Plain, _) => {
            let mut item = item.clone();
            item.as_object_mut().unwrap().remove("encrypted_content");
            Some(item)
        }
        (_, "function_call") => Some(json!({ "type": "function_call", "call_id": item["call_id"],
            "name": item["name"], "arguments": item["arguments"] })),
        (Client::Calls, _) => None,
        (Client::Ids, _) => Some(json!({ "type": "item_reference", "id": item["id"] })),
    });
    items.collect()
}

#[actix_rt::test]
async fn reasoning_survives_tool_turns_however_it_comes_back() {
    for client in [Client::Full, Client::Plain, Client::Calls, Client::Ids] {
        for stream in [false, true] {
            let rig = Rig::start("").await;
            let include =
                if matches!(client, Client::Full) { json!([CAPSULES]) } else { json!([]) };
            let more = json!({ "include": include, "stream": stream });
            let mut input =
                vec![json!({ "role": "user", "content": "The weather in Oslo, please." })];
            let first = response(&rig.respond(&asking(&json!(input), &more)).await);
            let output = &first["output"];
            assert_eq!(output[0]["type"], "reasoning", "{output}");
            assert!(output[0]["encrypted_content"].as_str().unwrap().starts_with("oc1."));
            input.extend(brought_back(output, client));
            for call in
                output.as_array().unwrap().iter().filter(|item| item["type"] == "function_call")
            {
                input.push(json!({ "type": "function_call_output", "call_id": call["call_id"], "output": "fair" }));
            }
            let answer = rig.respond(&asking(&json!(input), &more)).await;
            assert_eq!(answer.header("x-outcrop-thinking"), None, "{client:?}");
            let second = response(&answer);
            assert!(text_of(&second).contains("fair"), "{client:?} {second}");
            input.extend(brought_back(&second["output"], client));
            input.push(json!({ "role": "user", "content": "Thanks." }));
            let third = response(&rig.respond(&asking(&json!(input), &more)).await);
            assert_eq!(third["status"], "completed", "{client:?}");
            rig.stop().await;
        }
    }
}

#[actix_rt::test]
async fn items_and_capsules_belong_to_their_caller() {
    let rig = Rig::start("").await;
    let ann = [("authorization", "Bearer ann")];
    let bob = [("authorization", "Bearer bob")];
    let more = json!({ "include": [CAPSULES] });
    let question = json!({ "role": "user", "content": "The weather in Oslo, please." });
    let first = response(&rig.respond_with(&ann, &asking(&json!([question]), &more)).await);
    let id = first["output"][0]["id"].clone();
    let referring =
        asking(&json!([question, { "type": "item_reference", "id": id }, question]), &more);
    assert_eq!(rig.respond_with(&ann, &referring).await.status, 200);
    let refused = rig.respond_with(&bob, &referring).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("item_not_found")));
    // Another caller's capsule is left out, and so is the turn's reasoning.
    let mut input = vec![question];
    input.extend(first["output"].as_array().unwrap().iter().cloned());
    for item in
        first["output"].as_array().unwrap().iter().filter(|item| item["type"] == "function_call")
    {
        input.push(
            json!({ "type": "function_call_output", "call_id": item["call_id"], "output": "fair" }),
        );
    }
    let foreign = rig.respond_with(&bob, &asking(&json!(input), &more)).await;
    assert_eq!((foreign.status, foreign.header("x-outcrop-thinking")), (200, Some("dropped")));
    // What is not to be stored is not kept.
    let unkept = asking(&json!("x"), &json!({ "store": false }));
    let answer = response(&rig.respond_with(&ann, &unkept).await);
    let lost = asking(&json!([{ "id": answer["output"][0]["id"] }]), &json!({}));
    assert_eq!(rig.respond_with(&ann, &lost).await.status, 400);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_breaks_ends_in_a_failed_response() {
    for (model, code) in [
        ("emulator.exception-3", "server_error"),
        ("emulator.cut-3", "server_error"),
        ("emulator.stream-throttle-3", "rate_limit_exceeded"),
    ] {
        let rig = Rig::start("").await;
        let request =
            json!({ "model": model, "stream": true, "input": "one two three four five six" });
        let all = events(&rig.respond(&request).await);
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..2], ["response.created", "response.in_progress"], "{model}");
        let (last, data) = all.last().unwrap();
        assert_eq!(
            (last.as_str(), &data["response"]["error"]["code"]),
            ("response.failed", &json!(code)),
            "{model} {data}"
        );
        assert_eq!(data["sequence_number"], names.len() - 1);
        assert_eq!(names.iter().filter(|name| name.starts_with("response.failed")).count(), 1);
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn before_the_first_byte_a_failure_is_a_status_and_after_early_headers_a_failed_response() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        let request = json!({ "model": "emulator.throttle", "stream": stream, "input": "x" });
        let refused = rig.respond(&request).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (429, &json!("rate_limit_exceeded"))
        );
    }
    rig.stop().await;
    let hasty = "timeouts: { first_byte: 3, first_byte_stream: 3, keep_alive: 0.1 }\nrouting: { retries: { more: 0 } }\n";
    let rig = Rig::start(hasty).await;
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    let late = rig.respond(&json!({ "model": NOVA, "stream": true, "input": "x" })).await;
    assert_eq!(late.status, 200);
    let names: Vec<String> = events(&late).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["response.created", "response.in_progress", "response.failed"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn answers_of_unary_models_stream_too() {
    let rig = Rig::start("").await;
    let request = json!({ "model": "us.meta.llama3-3-70b-instruct-v1:0", "stream": true, "input": "The weather in Oslo?", "tools": weather() });
    let streamed = rig.respond(&request).await;
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls.last().unwrap().operation, "converse");
    assert_eq!(response(&streamed)["status"], "completed");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_structured_answer_is_checked_and_repaired() {
    let rig = Rig::start("structured_output: { repair: once }\n").await;
    let format = json!({ "type": "json_schema", "name": "rock", "schema": { "type": "object",
        "properties": { "name": { "type": "string" } }, "required": ["name"], "additionalProperties": false } });
    let request = json!({ "model": NOVA, "input": "x", "text": { "format": format } });
    let answer = |value: Value| {
        Step::Answer(json!({
            "output": { "message": { "role": "assistant", "content": [
                { "toolUse": { "toolUseId": "t", "name": "structured_answer", "input": value } },
            ] } },
            "stopReason": "tool_use", "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
        }))
    };
    rig.emulator.script().push(answer(json!({ "title": "x" })));
    rig.emulator.script().push(answer(json!({ "name": "gneiss" })));
    let repaired = rig.respond(&request).await;
    assert_eq!(repaired.header("x-outcrop-structured-output"), Some("repaired"));
    let repaired = response(&repaired);
    assert_eq!(text_of(&repaired).replace(char::is_whitespace, ""), r#"{"name":"gneiss"}"#);
    assert_eq!(repaired["usage"]["total_tokens"], 4);
    // What is kept of it is what the client saw.
    let id = &repaired["output"][0]["id"];
    let referring = json!({ "model": NOVA, "input": [{ "role": "user", "content": "x" }, { "id": id }, { "role": "user", "content": "y" }] });
    response(&rig.respond(&referring).await);
    let sent = rig.emulator.journal().calls().last().unwrap().body.clone();
    assert!(
        sent["messages"][1]["content"][0]["text"].as_str().unwrap().contains("gneiss"),
        "{sent}"
    );
    rig.emulator.script().push(answer(json!({ "title": "x" })));
    let mut streamed = request;
    streamed["stream"] = json!(true);
    let told = response(&rig.respond(&streamed).await);
    assert_eq!(told["outcrop"]["structured_output"], "mismatch");
    rig.stop().await;
}

#[actix_rt::test]
async fn input_tokens_are_counted_with_tools_and_items() {
    let rig = Rig::start("").await;
    let count = async |request: &Value| {
        let path = "/v1/responses/input_tokens";
        rig.send(Method::POST, path, request.to_string().into()).await
    };
    let request = json!({ "model": "anthropic.claude-3-5-haiku-20241022-v1:0", "input": "How old is granite?" });
    let plain = count(&request).await.json();
    assert_eq!(
        (&plain["object"], &plain["outcrop"]["estimated"]),
        (&json!("response.input_tokens"), &json!(false))
    );
    let mut more = request.clone();
    (more["tools"], more["instructions"]) = (weather(), json!("Be brief."));
    let more = count(&more).await.json();
    assert!(more["input_tokens"].as_u64() > plain["input_tokens"].as_u64());
    let estimated = count(&json!({ "model": NOVA, "input": "How old is granite?" })).await.json();
    assert_eq!(estimated["outcrop"]["estimated"], true);
    assert_eq!(count(&json!({ "input": "x" })).await.status, 400);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_the_call() {
    let rig = Rig::start("").await;
    let request = json!({ "model": NOVA, "input": "x", "instructions": "Be brief." });
    let shown = rig.respond_with(&[("x-outcrop-dry-run", "true")], &request).await.json();
    assert_eq!(shown["body"]["system"][0]["text"], "Be brief.", "{shown}");
    rig.stop().await;
}
