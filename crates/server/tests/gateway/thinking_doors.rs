//! Reasoning survives tool turns through every API and on every way to a model, also for clients that send
//! back only the API's standard members.

use http::Method;
use serde_json::{Value, json};

use super::messages::message;
use super::responses::response;
use super::rig::{Received, Rig};

/// The emulator refuses a tool turn of this model without its signed reasoning.
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
/// Encrypts its reasoning.
const SEALED: &str = "us.openai.gpt-6-sol";
/// Takes reasoning back without a signature, and does not require it.
const PLAIN: &str = "minimax.minimax-m2.5";
const YAML: &str = "models:
  on_converse: { model: us.anthropic.claude-sonnet-4-5-20250929-v1:0, accepts: { messages: converse } }
";

/// An API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Chat,
    Responses,
    Messages,
}

/// The part of an answer that a client sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// All that the API has a standard member for.
    Whole,
    /// Text and calls.
    Calls,
}

impl Door {
    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
        }
    }

    fn request(self, model: &str, stream: bool, turns: &[Value]) -> Value {
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
        let (name, description) = ("weather", "Reports the weather of a city");
        match self {
            Self::Chat => json!({ "model": model, "stream": stream, "messages": turns,
                "reasoning_effort": "low", "tools": [{ "type": "function", "function":
                    { "name": name, "description": description, "parameters": schema } }] }),
            Self::Responses => {
                json!({ "model": model, "stream": stream, "input": turns, "store": false,
                "reasoning": { "effort": "low" }, "include": ["reasoning.encrypted_content"],
                "tools": [{ "type": "function", "name": name, "description": description,
                    "parameters": schema }] })
            }
            Self::Messages => json!({ "model": model, "stream": stream, "messages": turns,
                "max_tokens": 4000, "thinking": { "type": "enabled", "budget_tokens": 1024 },
                "tools": [{ "name": name, "description": description, "input_schema": schema }] }),
        }
    }

    /// The turns that a client adds: the answer, and the results of its calls.
    fn brought_back(self, answer: &Received, client: Client) -> Vec<Value> {
        let is_kept = |part: &Value| {
            let kind = part["type"].as_str().unwrap_or_default();
            client == Client::Whole || !kind.contains("thinking") && kind != "reasoning"
        };
        match self {
            Self::Chat => {
                let said = chat_message(answer);
                let calls = said["tool_calls"].as_array().unwrap().clone();
                let result = |call: &Value| json!({ "role": "tool", "tool_call_id": call["id"], "content": "fair" });
                let results: Vec<Value> = calls.iter().map(result).collect();
                [vec![said], results].concat()
            }
            Self::Responses => {
                let items = response(answer)["output"].as_array().unwrap().clone();
                let result = |item: &Value| json!({ "type": "function_call_output", "call_id": item["call_id"], "output": "fair" });
                let calls = items.iter().filter(|item| item["type"] == "function_call");
                let results: Vec<Value> = calls.map(result).collect();
                let kept: Vec<Value> = items.iter().filter(|item| is_kept(item)).cloned().collect();
                [kept, results].concat()
            }
            Self::Messages => {
                let blocks = message(answer)["content"].as_array().unwrap().clone();
                let result = |call: &Value| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "fair" });
                let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
                let results: Vec<Value> = calls.map(result).collect();
                let kept: Vec<Value> =
                    blocks.iter().filter(|block| is_kept(block)).cloned().collect();
                vec![
                    json!({ "role": "assistant", "content": kept }),
                    json!({ "role": "user", "content": results }),
                ]
            }
        }
    }
}

/// The message of a chat answer with OpenAI's own members.
fn chat_message(answer: &Received) -> Value {
    if answer.header("content-type") == Some("application/json") {
        let said = &answer.json()["choices"][0]["message"];
        return json!({ "role": "assistant", "content": said["content"], "tool_calls": said["tool_calls"] });
    }
    let (chunks, done) = answer.events();
    assert!(done, "{chunks:?}");
    let mut calls: Vec<Value> = Vec::new();
    for chunk in &chunks {
        for call in chunk["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            if call["id"].is_string() {
                calls.push(
                    json!({ "id": call["id"], "type": "function", "function": call["function"] }),
                );
            } else if let Some(last) = calls.last_mut() {
                let more = call["function"]["arguments"].as_str().unwrap();
                let arguments = &mut last["function"]["arguments"];
                *arguments = (arguments.as_str().unwrap().to_owned() + more).into();
            }
        }
    }
    json!({ "role": "assistant", "content": null, "tool_calls": calls })
}

/// Returns whether a call to Bedrock holds past reasoning, on either way.
fn thinks_back(body: &Value) -> bool {
    let turns = body["messages"].to_string();
    ["\"reasoningContent\"", "\"type\":\"thinking\"", "\"type\":\"redacted_thinking\""]
        .iter()
        .any(|mark| turns.contains(mark))
}

#[actix_rt::test]
async fn reasoning_survives_tools_on_every_door_and_every_way() {
    for door in [Door::Chat, Door::Responses, Door::Messages] {
        let rig = Rig::start(YAML).await;
        for model in [CLAUDE, "on_converse", SEALED, PLAIN] {
            for client in [Client::Whole, Client::Calls] {
                for stream in [false, true] {
                    let case = format!("{door:?} {model} {client:?} {stream}");
                    let question = "What is the weather in Oslo?";
                    let mut turns = vec![json!({ "role": "user", "content": question })];
                    let request = door.request(model, stream, &turns).to_string();
                    let first = rig.send(Method::POST, door.path(), request.into()).await;
                    let told = String::from_utf8_lossy(&first.body).into_owned();
                    assert_eq!(first.status, 200, "{case} {told}");
                    turns.extend(door.brought_back(&first, client));
                    let before = rig.emulator.journal().calls().len();
                    let request = door.request(model, stream, &turns).to_string();
                    let second = rig.send(Method::POST, door.path(), request.into()).await;
                    let told = String::from_utf8_lossy(&second.body).into_owned();
                    assert_eq!(second.status, 200, "{case} {told}");
                    assert_eq!(second.header("x-outcrop-thinking"), None, "{case}");
                    let calls = rig.emulator.journal().calls();
                    assert_eq!(calls.len(), before + 1, "{case}: the first attempt is taken");
                    // Chat has no standard member for reasoning, and this model requires none.
                    let is_lost = model == PLAIN && (client == Client::Calls || door == Door::Chat);
                    assert_eq!(thinks_back(&calls[before].body), !is_lost, "{case}");
                }
            }
        }
        rig.stop().await;
    }
}
