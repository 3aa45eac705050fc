//! What real clients sent to this API, replayed in order on both roads. Every request is answered, its
//! results reach Bedrock under the ids of their calls, and nothing reaches it that Bedrock refuses: the
//! emulator checks every body. Their thinking was signed elsewhere, and is left out of a second attempt.
//! `OUTCROP_CASES` names the folder; without it the test prints a note, and fails under `CI`.

use std::path::PathBuf;

use serde_json::Value;

use super::{CLAUDE, NOVA, message};

/// Instructions within the conversation are sent to it as they are.
const SYSTEM_TURNS: &str = "us.anthropic.claude-opus-5-5";
use crate::rig::Rig;

const SESSIONS: [&str; 5] = [
    "claude-code",
    "claude-code-sonnet-4-5",
    "anthropic-python",
    "ai-sdk-anthropic",
    "pi-messages",
];

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("OUTCROP_CASES").map(|path| PathBuf::from(path).join("clients"));
    let folder = folder.filter(|path| path.is_dir());
    if folder.is_none() {
        assert!(std::env::var_os("CI").is_none(), "OUTCROP_CASES must name the cases under CI");
        eprintln!("NOTE: sessions of clients NOT replayed: OUTCROP_CASES names no folder");
    }
    folder
}

/// Ids of the results in a request.
fn results(request: &Value) -> usize {
    let turns = request["messages"].as_array().into_iter().flatten();
    let blocks = turns.flat_map(|turn| turn["content"].as_array().into_iter().flatten());
    blocks
        .filter(|block| block["type"] == "tool_result" || block.get("toolResult").is_some())
        .count()
}

#[actix_rt::test]
async fn every_captured_session_is_answered() {
    let Some(folder) = folder() else { return };
    let mut answered = 0;
    for session in SESSIONS {
        let text = std::fs::read_to_string(folder.join(format!("{session}.jsonl"))).unwrap();
        for model in [NOVA, CLAUDE, SYSTEM_TURNS] {
            let rig = Rig::start("").await;
            for line in text.lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                let path = record["path"].as_str().unwrap();
                if record["method"] != "POST"
                    || !path.split('?').next().unwrap().ends_with("/messages")
                {
                    continue;
                }
                let mut request = record["body"].clone();
                request["model"] = model.into();
                if request["max_tokens"] == 0 {
                    assert_eq!(rig.message(&request).await.status, 400, "{session}");
                    continue;
                }
                let headers: Vec<(&str, &str)> = ["anthropic-beta", "anthropic-version"]
                    .into_iter()
                    .filter_map(|name| Some((name, record["headers"][name].as_str()?)))
                    .collect();
                let before = rig.emulator.journal().calls().len();
                let ours = rig.message_with(&headers, &request).await;
                let text = String::from_utf8_lossy(&ours.body).into_owned();
                assert_eq!(ours.status, 200, "{session} {model} {request} {text}");
                let message = message(&ours);
                assert!(message["stop_reason"].is_string(), "{session} {message}");
                let calls = rig.emulator.journal().calls();
                assert_eq!(results(&calls[before].body), results(&request), "{session} {model}");
                answered += 1;
            }
            rig.stop().await;
        }
    }
    println!("requests of clients answered: {answered}");
    assert!(answered > 20, "the sessions are not all there: {answered}");
}
