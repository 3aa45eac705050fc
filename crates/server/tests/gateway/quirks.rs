//! Quirks of model families known from issue reports, through the whole gateway: the request sent, and the
//! report to the client.

use emulator::Step;
use serde_json::{Value, json};

use super::rig::Rig;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const GPT: &str = "us.openai.gpt-5.6-sol";
const LLAMA: &str = "us.meta.llama4-maverick-17b-instruct-v1:0";
const MISTRAL: &str = "mistral.mistral-large-2402-v1:0";
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";

fn tool(name: &str) -> Value {
    json!({ "type": "function", "function": {
        "name": name,
        "description": "Reports the weather of a city",
        "parameters": { "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] },
    } })
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// The kinds of blocks in each turn of the last body sent.
fn kinds(rig: &Rig) -> Vec<Vec<String>> {
    let body = rig.last_call().body;
    let kinds = |turn: &Value| {
        let blocks = turn["content"].as_array().unwrap().iter();
        blocks.map(|block| block.as_object().unwrap().keys().next().unwrap().clone()).collect()
    };
    body["messages"].as_array().unwrap().iter().map(kinds).collect()
}

fn usage(input: u64, read: u64, written: u64) -> Value {
    let total = input + read + written + 7;
    json!({ "inputTokens": input, "outputTokens": 7, "totalTokens": total, "cacheReadInputTokens": read, "cacheWriteInputTokens": written })
}

fn streamed(usage: &Value) -> Step {
    Step::Events(vec![
        json!({ "messageStart": { "role": "assistant" } }),
        json!({ "contentBlockDelta": { "contentBlockIndex": 0, "delta": { "text": "hi" } } }),
        json!({ "contentBlockStop": { "contentBlockIndex": 0 } }),
        json!({ "messageStop": { "stopReason": "end_turn" } }),
        json!({ "metadata": { "usage": usage, "metrics": { "latencyMs": 1 } } }),
    ])
}

#[actix_rt::test]
async fn a_stream_that_counts_cached_tokens_in_its_input_is_not_counted_twice() {
    let rig = Rig::start("").await;
    let ask = json!({ "model": GPT, "messages": [user("x")], "stream": true, "stream_options": { "include_usage": true } });
    for (input, read, written) in [(9_120, 6_000, 3_117), (811, 0, 810), (40, 0, 0)] {
        rig.emulator.script().push(streamed(&usage(input, read, written)));
        let (events, done) = rig.chat(&ask).await.events();
        let told = &events.last().unwrap()["usage"];
        assert!(done);
        assert_eq!(
            (&told["prompt_tokens"], &told["total_tokens"]),
            (&json!(input), &json!(input + 7))
        );
    }
    // A unary response omits them, as other makers' streams do.
    rig.emulator.script().push(Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "hi" }] } },
        "stopReason": "end_turn", "usage": usage(900, 300, 200), "metrics": { "latencyMs": 1 },
    })));
    let whole = rig.chat(&json!({ "model": GPT, "messages": [user("x")] })).await.json();
    assert_eq!(whole["usage"]["prompt_tokens"], 1400);
    rig.emulator.script().push(streamed(&usage(900, 300, 200)));
    let mut ask = ask;
    ask["model"] = json!(CLAUDE);
    let (events, _) = rig.chat(&ask).await.events();
    assert_eq!(events.last().unwrap()["usage"]["prompt_tokens"], 1400);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_tool_with_hyphens_is_called_by_its_own_name() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        let mut request = json!({ "model": NOVA, "messages": [user("What is the weather in Oslo?")], "tools": [tool("weather-report")], "stream": stream });
        let answer = rig.chat(&request).await;
        let call = if stream {
            let (events, _) = answer.events();
            let mut deltas = events.iter().flat_map(|event| {
                event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten()
            });
            deltas.next().unwrap().clone()
        } else {
            answer.json()["choices"][0]["message"]["tool_calls"][0].clone()
        };
        assert_eq!(call["function"]["name"], "weather-report", "{call}");
        let said = json!({ "role": "assistant", "tool_calls": [{ "id": call["id"], "type": "function", "function": { "name": "weather-report", "arguments": "{\"city\": \"Oslo\"}" } }] });
        let result = json!({ "role": "tool", "tool_call_id": call["id"], "content": "sunny" });
        request["messages"] = json!([request["messages"][0], said, result]);
        assert_eq!(rig.chat(&request).await.status, 200);
        let body = rig.last_call().body;
        let declared = &body["toolConfig"]["tools"][0]["toolSpec"]["name"];
        assert_eq!(declared, &body["messages"][1]["content"][0]["toolUse"]["name"]);
        assert!(!declared.as_str().unwrap().contains('-'));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn text_beside_a_call_goes_into_a_turn_of_its_own() {
    let rig = Rig::start("").await;
    let call = json!([{ "id": "abcdefgh1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\": \"Oslo\"}" } }]);
    let messages = json!([
        user("Weather?"),
        { "role": "assistant", "content": "I look." },
        { "role": "assistant", "content": "At once.", "tool_calls": call },
        { "role": "tool", "tool_call_id": "abcdefgh1", "content": "sunny" },
        user("Thanks."),
    ]);
    for model in [LLAMA, MISTRAL, CLAUDE] {
        let request = json!({ "model": model, "messages": messages, "tools": [tool("weather")] });
        let answer = rig.chat(&request).await;
        assert_eq!((answer.status, answer.header("x-outcrop-ignored")), (200, None));
        let kinds = kinds(&rig);
        let is_split = !kinds.iter().any(|turn| {
            turn.iter().any(|kind| kind == "text") && turn.iter().any(|kind| kind == "toolUse")
        });
        assert_eq!(is_split, model != CLAUDE, "{model}: {kinds:?}");
        let texts = kinds.iter().flatten().filter(|kind| *kind == "text").count();
        assert_eq!(texts, if model == CLAUDE { 4 } else { 6 }, "{kinds:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn betas_by_header_join_those_of_the_body_if_the_model_supports_them() {
    let rig = Rig::start("").await;
    let request = |model| json!({ "model": model, "messages": [user("x")], "anthropic_beta": ["computer-use-2025-01-24"], "additional_model_request_fields": { "anthropic_beta": ["own-1"] } });
    let headers = [
        ("anthropic-beta", "context-1m-2025-08-07, mcp-client-2025-04-04"),
        ("anthropic-beta", "computer-use-2025-01-24"),
        ("x-outcrop-dry-run", "true"),
    ];
    let shown = rig.chat_with(&headers, &request(CLAUDE)).await;
    let fields = |shown: &Value| shown["body"]["additionalModelRequestFields"].clone();
    let told = shown.json();
    assert_eq!(
        fields(&told)["anthropic_beta"],
        json!(["own-1", "computer-use-2025-01-24", "context-1m-2025-08-07"]),
        "{told}"
    );
    assert_eq!(told["ignored"], json!(["anthropic-beta.mcp-client-2025-04-04"]));
    let elsewhere = json!({ "model": NOVA, "messages": [user("x")] });
    let told = rig.chat_with(&headers, &elsewhere).await.json();
    assert_eq!(fields(&told), Value::Null);
    assert_eq!(told["ignored"][0], "anthropic-beta.context-1m-2025-08-07", "{told}");
    assert_eq!(told["ignored"].as_array().unwrap().len(), 3);
    rig.stop().await;
}

#[actix_rt::test]
async fn documents_and_search_results_are_cited_on_request() {
    let rig = Rig::start("").await;
    let parts = json!([
        { "type": "file", "file": { "file_data": "data:application/pdf;base64,JVBERi0xLjcK", "filename": "a.pdf", "citations": { "enabled": true } } },
        { "type": "search_result", "source": "kb://1", "title": "Granite", "content": [{ "type": "text", "text": "Granite is hard." }], "citations": { "enabled": true } },
        { "type": "text", "text": "What is hard?" },
    ]);
    for model in [CLAUDE, NOVA] {
        let request = json!({ "model": model, "messages": [{ "role": "user", "content": parts }] });
        let answer = rig.chat(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let named = answer.header("x-outcrop-ignored").unwrap_or_default();
        assert_eq!(named.contains("citations"), model == NOVA, "{named}");
        let third = if model == CLAUDE { "searchResult" } else { "text" };
        assert_eq!(kinds(&rig), [["document", third, "text"]]);
    }
    rig.stop().await;
}
