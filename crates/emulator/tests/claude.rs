//! Claude's own request members, and agent loops with its own body.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/clients.rs"]
mod support;

use serde_json::{Value, json};
use support::{post, start};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// Claude's own member for a schema, on either operation.
#[tokio::test]
async fn claudes_own_format_is_enforced_on_converse_and_in_its_own_body() {
    let emulator = start().await;
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}});
    let format = json!({"format": {"type": "json_schema", "schema": schema}});
    let said = "Jason is 25 years old";
    let converse = json!({
        "messages": [{"role": "user", "content": [{"text": said}]}],
        "additionalModelRequestFields": {"output_config": format},
    });
    let native = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500,
        "messages": [{"role": "user", "content": said}], "output_config": format});
    for model in [CLAUDE, "us.anthropic.claude-opus-5", "global.anthropic.claude-sonnet-5-5"] {
        for (operation, body, content) in
            [("converse", &converse, "/output/message/content"), ("invoke", &native, "/content")]
        {
            let answer = post(emulator.addr(), &format!("/model/{model}/{operation}"), body).json();
            let blocks = answer.pointer(content).and_then(Value::as_array).expect("content");
            let text = blocks.last().and_then(|block| block["text"].as_str()).expect("text");
            let parsed: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(parsed, json!({"name": "Jason", "age": 25}), "{model} {operation}");
        }
    }
    emulator.stop().await;
}

/// Documents have text, blocks or bytes as their source, and no names.
#[tokio::test]
async fn documents_of_every_source_and_search_results_are_read() {
    let emulator = start().await;
    let document = |source: Value| json!({"type": "document", "source": source});
    let content = json!([
        document(json!({"type": "text", "media_type": "text/plain", "data": "Granite is a rock."})),
        document(json!({"type": "content", "content": [{"type": "text", "text": "Gneiss is one too."}]})),
        document(json!({"type": "base64", "media_type": "text/plain", "data": "c2xhdGU="})),
        {"type": "search_result", "source": "https://rocks.example/", "title": "Rocks",
            "content": [{"type": "text", "text": "Slate splits."}], "citations": {"enabled": true}},
        {"type": "text", "text": "What splits?"},
    ]);
    let turns = json!([{"role": "user", "content": content}]);
    let body =
        json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": turns});
    for model in [CLAUDE, "us.anthropic.claude-opus-5-5"] {
        let answer = post(emulator.addr(), &format!("/model/{model}/invoke"), &body);
        assert_eq!(answer.status, 200, "{model}: {}", answer.json());
    }
    let mut wrong = body;
    wrong["messages"][0]["content"][2]["source"]["data"] = json!("slate!");
    let answer = post(emulator.addr(), &format!("/model/{CLAUDE}/invoke"), &wrong);
    assert_eq!(answer.status, 400, "{}", answer.json());
    emulator.stop().await;
}

/// A program that adds reminders beside every result gets one call, not one for each reminder.
#[tokio::test]
async fn a_tool_loop_with_reminders_ends() {
    let emulator = start().await;
    let reminder = json!({"type": "text", "text": "<system-reminder>\nUse the echo tool and get_weather where they help.\n</system-reminder>"});
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}});
    let mut messages = vec![
        json!({"role": "user", "content": [reminder, {"type": "text", "text": "Call echo with text 'granite'"}]}),
    ];
    let mut calls = Vec::new();
    for _ in 0..10 {
        let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": messages,
            "tools": [tool("echo"), tool("get_weather")]});
        let answer = post(emulator.addr(), &format!("/model/{CLAUDE}/invoke"), &body).json();
        let content = answer["content"].as_array().expect("content").clone();
        let used: Vec<&Value> =
            content.iter().filter(|block| block["type"] == "tool_use").collect();
        if used.is_empty() {
            break;
        }
        let mut results: Vec<Value> = used
            .iter()
            .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "granite"}))
            .collect();
        calls.extend(used.iter().map(|call| call["name"].clone()));
        results.push(reminder.clone());
        messages.push(json!({"role": "assistant", "content": content}));
        messages.push(json!({"role": "user", "content": results}));
    }
    assert_eq!(calls, ["echo"], "a reminder asks for no call");
    emulator.stop().await;
}

/// Claude's own body may have several messages of one role in a row.
#[tokio::test]
async fn messages_of_one_role_in_a_row_are_one_turn() {
    let emulator = start().await;
    let said = |role: &str, text: &str| json!({"role": role, "content": text});
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": [
        said("user", "Hello"), said("user", "again"), said("assistant", "Hi"), said("assistant", "there"),
        said("user", "granite"),
    ]});
    let answer = post(emulator.addr(), &format!("/model/{CLAUDE}/invoke"), &body).json();
    assert!(answer["content"].to_string().contains("granite"), "{answer}");
    emulator.stop().await;
}
