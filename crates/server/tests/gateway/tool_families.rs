//! Tools of all kinds through the gateway: free-form ones, schemas that families refuse, models that do not
//! stream calls, and the requirements of streaming elsewhere.

use serde_json::{Value, json};

use super::rig::Rig;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "us.amazon.nova-lite-v1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";

fn ask(text: &str) -> Value {
    json!([{ "role": "user", "content": text }])
}

fn note() -> Value {
    json!({ "type": "custom", "custom": { "name": "note.take", "description": "Takes a note" } })
}

fn weather() -> Value {
    json!({ "type": "function", "function": {
        "name": "weather_report",
        "description": "Reports the weather of a city",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
    } })
}

/// Type, name and input of the first call, folded from a stream.
fn folded(events: &[Value]) -> (String, String, String) {
    let (mut kind, mut name, mut input) = (String::new(), String::new(), String::new());
    for call in events.iter().flat_map(|event| {
        event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten()
    }) {
        assert_eq!(call["index"], 0, "{call}");
        kind += call["type"].as_str().unwrap_or_default();
        for (part, member) in [("function", "arguments"), ("custom", "input")] {
            name += call[part]["name"].as_str().unwrap_or_default();
            input += call[part][member].as_str().unwrap_or_default();
        }
    }
    (kind, name, input)
}

#[actix_rt::test]
async fn a_free_form_tool_is_called_with_text() {
    let rig = Rig::start("").await;
    for model in [CLAUDE, NOVA] {
        let choice = json!({ "type": "custom", "custom": { "name": "note.take" } });
        let mut request = json!({ "model": model, "tools": [note()], "tool_choice": choice, "messages": ask("Take a note with input \"so it is\"") });
        let whole = rig.chat(&request).await.json();
        let call = &whole["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(
            (&call["type"], &call["custom"]["name"]),
            (&json!("custom"), &json!("note.take"))
        );
        let input = call["custom"]["input"].as_str().unwrap();
        assert!(!input.is_empty() && !input.starts_with('{'), "{whole}");
        request["stream"] = json!(true);
        let (events, done) = rig.chat(&request).await.events();
        assert!(done);
        assert_eq!(folded(&events), ("custom".into(), "note.take".into(), input.into()));
        // And back again, with its result.
        let result =
            json!({ "role": "tool", "tool_call_id": call["id"], "content": "noted as 4711" });
        let said = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
        let again = json!({ "model": model, "tools": [note()], "messages": [request["messages"][0], said, result] });
        let last = rig.chat(&again).await;
        assert_eq!(last.status, 200);
        assert!(last.json()["choices"][0]["message"]["content"].as_str().unwrap().contains("4711"));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_unary_answer_with_calls_is_sent_as_a_stream() {
    let rig = Rig::start("").await;
    let mut request = json!({ "model": LLAMA, "tools": [weather()], "messages": ask("What is the weather in Paris?"), "stream": true, "stream_options": { "include_usage": true } });
    let answer = rig.chat(&request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let (events, done) = answer.events();
    assert!(done);
    let (kind, name, arguments) = folded(&events);
    assert_eq!((kind.as_str(), name.as_str()), ("function", "weather_report"));
    assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap()["city"], "Paris");
    assert!(events.last().unwrap()["usage"]["total_tokens"].as_u64().unwrap() > 0);
    // Without tools, streaming is possible.
    request.as_object_mut().unwrap().remove("tools");
    assert!(rig.chat(&request).await.events().1);
    let calls = rig.emulator.journal().calls();
    let operations: Vec<&str> =
        calls.iter().map(|call| call.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(operations, ["converse", "converse-stream"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_refusal_keeps_its_status_if_a_stream_comes_from_a_unary_call() {
    let rig = Rig::start("").await;
    let request = json!({ "model": LLAMA, "stream": true, "performance_config": { "latency": "warp" }, "tools": [weather()], "messages": ask("x") });
    let answer = rig.chat(&request).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"]["message"].is_string());
    rig.stop().await;
}

#[actix_rt::test]
async fn each_family_gets_a_schema_it_accepts() {
    let rig = Rig::start("").await;
    let schema = json!({
        "type": "object", "title": "T", "additionalProperties": false,
        "properties": { "city": { "$ref": "#/$defs/City" } }, "$defs": { "City": { "type": "string" } },
    });
    let tool = json!({ "type": "function", "function": { "name": "f", "strict": true, "parameters": schema } });
    for model in [CLAUDE, NOVA] {
        let request =
            json!({ "model": model, "tools": [tool], "stream": true, "messages": ask("x") });
        assert_eq!(rig.chat(&request).await.status, 200);
    }
    let calls = rig.emulator.journal().calls();
    let spec = |at: usize| calls[at].body["toolConfig"]["tools"][0]["toolSpec"].clone();
    assert_eq!(spec(0)["inputSchema"]["json"], schema);
    assert_eq!(spec(0)["strict"], true);
    assert_eq!(
        spec(1)["inputSchema"]["json"],
        json!({ "type": "object", "properties": { "city": { "type": "string" } } })
    );
    assert_eq!(spec(1)["strict"], Value::Null);
    let betas =
        |at: usize| calls[at].body["additionalModelRequestFields"]["anthropic_beta"].clone();
    assert_eq!(betas(0), json!(["fine-grained-tool-streaming-2025-05-14"]));
    assert_eq!(betas(1), Value::Null);
    rig.stop().await;
}
