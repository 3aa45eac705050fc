//! Features that a model refuses although its row has them: the call is made once more without it.

use std::collections::BTreeMap;

use emulator::Step;
use serde_json::{Value, json};

use super::{CLAUDE, asking, message, weather};
use crate::rig::Rig;

fn refusal(message: &str) -> Step {
    Step::Error {
        status: 400,
        kind: "ValidationException".to_owned(),
        message: message.to_owned(),
        headers: BTreeMap::default(),
    }
}

#[actix_rt::test]
async fn a_refused_beta_is_left_out_with_its_members() {
    let headers = [("anthropic-beta", "context-management-2025-06-27,context-1m-2025-08-07")];
    let edits =
        json!({ "context_management": { "edits": [{ "type": "clear_tool_uses_20250919" }] } });
    // The refusal is remembered for the model: each form is tried by a gateway of its own.
    for stream in [false, true] {
        let rig = Rig::start("").await;
        let mut request = asking(CLAUDE, &edits);
        request["stream"] = stream.into();
        rig.emulator.script().push(refusal("invalid beta flag"));
        let answer = rig.message_with(&headers, &request).await;
        assert_eq!(message(&answer)["stop_reason"], "end_turn");
        let ignored = answer.header("x-outcrop-ignored").unwrap_or_default().to_owned();
        assert!(ignored.contains("context_management"), "{ignored}");
        let calls = rig.emulator.journal().calls();
        assert!(calls[0].body.get("anthropic_beta").is_some());
        for member in ["anthropic_beta", "context_management"] {
            assert!(calls[1].body.get(member).is_none(), "{}", calls[1].body);
        }
        assert_eq!(calls.len(), 2);
        let answer = rig.message_with(&headers, &request).await;
        assert_eq!(message(&answer)["stop_reason"], "end_turn");
        assert!(rig.emulator.journal().calls()[2].body.get("anthropic_beta").is_none());
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn refused_thinking_is_left_out_of_one_more_attempt_and_listed() {
    let rig = Rig::start("").await;
    for wording in [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.",
    ] {
        for stream in [false, true] {
            let mut request = asking(
                CLAUDE,
                &json!({ "tools": weather(), "stream": stream,
                "thinking": { "type": "enabled", "budget_tokens": 1024 } }),
            );
            request["messages"] = json!([
                { "role": "user", "content": "The weather in Oslo, please." },
                { "role": "assistant", "content": [
                    { "type": "thinking", "thinking": "Oslo.", "signature": "b2YgYW5vdGhlciBzZXJ2aWNl" },
                    { "type": "tool_use", "id": "toolu_of_another", "name": "weather", "input": { "city": "Oslo" } } ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "toolu_of_another", "content": "fair" }] },
            ]);
            rig.emulator.script().push(refusal(wording));
            let answer = rig.message(&request).await;
            assert_eq!(message(&answer)["stop_reason"], "end_turn", "{wording}");
            assert_eq!(answer.header("x-outcrop-thinking"), Some("dropped"));
            assert_eq!(answer.header("x-outcrop-attempts"), Some("2"));
            let ignored = answer.header("x-outcrop-ignored").unwrap_or_default().to_owned();
            assert!(ignored.contains("messages.content.thinking"), "{ignored}");
            let calls = rig.emulator.journal().calls();
            let thinks = |at: usize| {
                let turns = calls[at].body["messages"].as_array().unwrap().iter();
                let mut blocks =
                    turns.flat_map(|turn| turn["content"].as_array().into_iter().flatten());
                blocks.any(|block: &Value| block["type"] == "thinking")
            };
            assert!(thinks(0) && !thinks(1), "{calls:#?}");
            rig.emulator.journal().clear();
        }
    }
    rig.stop().await;
}
