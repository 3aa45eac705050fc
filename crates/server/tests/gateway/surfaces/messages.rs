//! Claude on bedrock-mantle: Anthropic's API in its own body, and no other.

use super::*;
use crate::messages::{accumulated, events};

fn body(stream: bool) -> Value {
    json!({
        "model": "mantle_claude", "max_tokens": 600, "stream": stream,
        "messages": [{ "role": "user", "content": "Say flint" }],
    })
}

#[actix_rt::test]
async fn messages_go_to_mantle_in_their_own_body() {
    let rig = Rig::start(YAML).await;
    let whole = rig.message(&body(false)).await.json();
    let call = rig.last_call();
    assert_eq!(call.path, "/anthropic/v1/messages");
    assert_eq!(call.body["model"], "anthropic.claude-haiku-4-5");
    assert!(call.body.get("anthropic_version").is_none() && call.body.get("stream").is_none());
    assert_eq!(call.headers["anthropic-version"], "2023-06-01");
    assert_eq!(call.headers["anthropic-workspace-id"], "wrk_1");
    assert_eq!(whole["model"], "mantle_claude");
    let streamed = accumulated(&events(&rig.message(&body(true)).await));
    assert_eq!(rig.last_call().body["stream"], true);
    assert_eq!(streamed["content"], whole["content"]);
    assert!(whole["content"][0]["text"].as_str().unwrap().contains("flint"));
    rig.stop().await;
}

#[actix_rt::test]
async fn betas_are_a_header_there() {
    let rig = Rig::start(YAML).await;
    let headers = [("anthropic-beta", "context-1m-2025-08-07")];
    let answer = rig.message_with(&headers, &body(false)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let call = rig.last_call();
    assert_eq!(call.headers["anthropic-beta"], "context-1m-2025-08-07");
    assert!(call.body.get("anthropic_beta").is_none());
    rig.stop().await;
}

#[actix_rt::test]
async fn other_front_doors_are_told_to_use_messages() {
    let rig = Rig::start(YAML).await;
    let refused = rig.chat(&ask("mantle_claude", "Hi", false)).await;
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(refused.status, 400);
    assert!(message.contains("POST /v1/messages"), "{message}");
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}
