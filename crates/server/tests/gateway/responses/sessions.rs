//! What real clients sent to this API, replayed in order. Bedrock answers as the clients' server did, and
//! every later turn is understood: its calls have their results, and ids of ours take the place of theirs.
//! `OUTCROP_CASES` names the folder; without it the test prints a note, and fails under `CI`.

use std::collections::HashMap;
use std::path::PathBuf;

use emulator::Step;
use serde_json::{Value, json};

use super::response;
use crate::rig::Rig;

const MODEL: &str = "us.amazon.nova-lite-v1:0";
const SESSIONS: [&str; 17] = [
    "ai-sdk-responses",
    "ai-sdk-reasoning",
    "codex-cli",
    "dspy-responses",
    "haystack-responses",
    "instructor-responses",
    "langchain-openai-reasoning",
    "langchain-openai-responses",
    "litellm-client",
    "openai-agents-js",
    "openai-agents-python",
    "openai-agents-python-reasoning",
    "openai-python-responses",
    "opencode-responses",
    "pi-responses",
    "pydantic-ai-responses",
    "semantic-kernel-responses",
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

/// A recorded answer as Bedrock would give it.
fn converse(output: &Value) -> Value {
    let mut stop = "end_turn";
    let blocks = output.as_array().into_iter().flatten().filter_map(|item| {
        Some(match item["type"].as_str()? {
            "message" => json!({ "text": item["content"][0]["text"] }),
            "reasoning" => json!({ "reasoningContent": { "reasoningText": { "text": item["summary"][0]["text"].as_str().unwrap_or("Hm.") } } }),
            "function_call" => {
                stop = "tool_use";
                let input: Value = serde_json::from_str(item["arguments"].as_str()?).ok()?;
                json!({ "toolUse": { "toolUseId": item["call_id"], "name": item["name"], "input": input } })
            }
            _ => return None,
        })
    });
    let blocks: Vec<Value> = blocks.collect();
    json!({ "output": { "message": { "role": "assistant", "content": blocks } }, "stopReason": stop,
        "usage": { "inputTokens": 5, "outputTokens": 3, "totalTokens": 8 } })
}

/// Our ids of the items that the client knew by others.
fn learn(known: &mut HashMap<String, String>, recorded: &Value, ours: &Value) {
    for kind in ["message", "reasoning", "function_call"] {
        let of = |output: &Value| -> Vec<Value> {
            let items = output.as_array().into_iter().flatten();
            items.filter(|item| item["type"] == kind).cloned().collect()
        };
        for (theirs, own) in of(recorded).iter().zip(of(ours)) {
            if let (Some(theirs), Some(own)) = (theirs["id"].as_str(), own["id"].as_str()) {
                known.insert(theirs.to_owned(), own.to_owned());
            }
        }
    }
}

/// Every result of the request reached Bedrock under the id of its call.
fn understood(request: &Value, sent: &Value) {
    let blocks: Vec<&Value> = sent["messages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|turn| turn["content"].as_array().unwrap())
        .collect();
    let results: Vec<&str> =
        blocks.iter().filter_map(|block| block["toolResult"]["toolUseId"].as_str()).collect();
    let calls: Vec<&str> =
        blocks.iter().filter_map(|block| block["toolUse"]["toolUseId"].as_str()).collect();
    assert_eq!(calls, results, "{request}");
    let outputs = request["input"].as_array().into_iter().flatten();
    let outputs = outputs.filter(|item| item["type"] == "function_call_output");
    let own = outputs.count();
    // A continued response brings the results before it.
    let is_continued = request["previous_response_id"].is_string();
    assert!(own == results.len() || is_continued && own < results.len(), "{request}");
    for result in blocks.iter().filter(|block| block.get("toolResult").is_some()) {
        let text = result["toolResult"]["content"][0]["text"].as_str().unwrap();
        assert!(!text.starts_with("No result"), "{request}");
    }
}

#[actix_rt::test]
async fn every_captured_session_is_understood() {
    let Some(folder) = folder() else { return };
    let (mut answered, mut continued) = (0, 0);
    for session in SESSIONS {
        let rig = Rig::start("").await;
        let mut known: HashMap<String, String> = HashMap::new();
        let text = std::fs::read_to_string(folder.join(format!("{session}.jsonl"))).unwrap();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let is_ours = record["path"].as_str().unwrap().ends_with("/responses");
            if record["method"] != "POST" || !is_ours {
                continue;
            }
            let mut request = record["body"].to_string();
            for (theirs, own) in &known {
                request = request.replace(theirs.as_str(), own);
            }
            let mut request: Value = serde_json::from_str(&request).unwrap();
            request["model"] = MODEL.into();
            let before = rig.emulator.journal().calls().len();
            continued += usize::from(request["previous_response_id"].is_string());
            let recorded = &record["answered"]["body"]["output"];
            rig.emulator.script().push(Step::Answer(converse(recorded)));
            let ours = response(&rig.respond(&request).await);
            assert_eq!(ours["status"], "completed", "{session} {request}");
            learn(&mut known, recorded, &ours["output"]);
            let id = record["answered"]["body"]["id"].as_str().unwrap();
            known.insert(id.to_owned(), ours["id"].as_str().unwrap().to_owned());
            let calls = rig.emulator.journal().calls();
            // An answer that is not the JSON asked for is followed by a call to repair it.
            understood(&request, &calls[before].body);
            answered += 1;
        }
        rig.stop().await;
    }
    println!("requests of clients: {answered} answered, {continued} of them continue a response");
    assert!(answered > 100 && continued > 0, "the sessions are not all there");
}
