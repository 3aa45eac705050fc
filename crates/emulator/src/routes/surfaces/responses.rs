//! Responses, converted to and from the Converse format that the model reads. Nothing is stored.

use serde_json::{Value, json};

use super::chat::{called, config, declared, format, medium, push, readable, tool_config};
use super::{Asked, Service, call_id, new_id, usage};
use crate::{
    error::Refusal,
    json::{items, text},
    model::{Answer, Block, reasoning::Thought},
};

/// Characters of a piece of text.
const PIECE: usize = 12;

/// The body as a Converse request.
pub(super) fn question(body: &Value, service: Service) -> Result<Value, Refusal> {
    let background = body.get("background") == Some(&Value::Bool(true));
    if background && service == Service::Runtime {
        return Err(Refusal::validation("background is not supported for this request"));
    }
    let mut turns = Vec::new();
    match body.get("input") {
        Some(Value::String(said)) => push(&mut turns, "user", vec![json!({ "text": said })]),
        Some(Value::Array(all)) => {
            for item in all {
                add(&mut turns, item)?;
            }
        }
        _ => return Err(Refusal::validation("Missing required parameter: 'input'.")),
    }
    let config = config(body, body.get("max_output_tokens"));
    let mut converse = json!({ "messages": turns, "inferenceConfig": config });
    if !text(body, "instructions").is_empty() {
        converse["system"] = json!([{ "text": text(body, "instructions") }]);
    }
    let mut tools = Vec::new();
    for tool in items(body, "tools") {
        tools.push(declared(tool, Some(tool))?);
    }
    if !tools.is_empty() && body.get("tool_choice") != Some(&json!("none")) {
        let name = body.pointer("/tool_choice/name");
        converse["toolConfig"] = tool_config(&tools, body.get("tool_choice"), name);
    }
    if let Some(named) = body.pointer("/text/format").filter(|it| text(it, "type") == "json_schema")
    {
        converse["outputConfig"] = format(named)?;
    }
    Ok(converse)
}

fn add(turns: &mut Vec<Value>, item: &Value) -> Result<(), Refusal> {
    match text(item, "type") {
        "" | "message" => {
            let role = if text(item, "role") == "assistant" { "assistant" } else { "user" };
            let content = content(item.get("content"))?;
            push(turns, role, content);
        }
        "function_call" => {
            push(turns, "assistant", vec![called(text(item, "call_id"), Some(item))?]);
        }
        "function_call_output" => {
            let (id, content) = (text(item, "call_id"), content(item.get("output"))?);
            let result = json!({ "toolUseId": id, "content": content });
            push(turns, "user", vec![json!({ "toolResult": result })]);
        }
        "reasoning" => {
            let encrypted = text(item, "encrypted_content");
            if !encrypted.is_empty() {
                let reasoning = json!({ "redactedContent": encrypted });
                push(turns, "assistant", vec![json!({ "reasoningContent": reasoning })]);
            }
        }
        _ => return Err(Refusal::validation("value did not match any expected variant")),
    }
    Ok(())
}

fn content(content: Option<&Value>) -> Result<Vec<Value>, Refusal> {
    match content {
        Some(Value::String(said)) => Ok(vec![json!({ "text": said })]),
        Some(Value::Array(parts)) => parts.iter().map(part).collect(),
        _ => Err(Refusal::validation("value did not match any expected variant")),
    }
}

fn part(part: &Value) -> Result<Value, Refusal> {
    match text(part, "type") {
        "input_text" | "output_text" => Ok(json!({ "text": text(part, "text") })),
        "input_image" => medium(part.get("image_url"), None),
        "input_file" => medium(part.get("file_data"), part.get("filename")),
        _ => Err(Refusal::validation("value did not match any expected variant")),
    }
}

/// The complete response.
pub(super) fn response(asked: &Asked<'_>, answer: &Answer) -> Value {
    let mut response = opened(asked, &new_id("resp_"));
    ended(&mut response, &output(asked, answer), answer);
    response
}

/// The response's events, each with its number and without an end mark on mantle.
pub(super) fn events(asked: &Asked<'_>, answer: &Answer) -> Vec<Value> {
    let mut response = opened(asked, &new_id("resp_"));
    let mut events = vec![
        json!({ "type": "response.created", "response": response }),
        json!({ "type": "response.in_progress", "response": response }),
    ];
    let output = output(asked, answer);
    for (index, item) in output.iter().enumerate() {
        let mut event = |kind: &str, name: &str, value: Value| {
            let mut event = json!({ "type": format!("response.{kind}"), "output_index": index });
            event[name] = value;
            events.push(event);
        };
        let mut added = item.clone();
        added["status"] = "in_progress".into();
        match text(item, "type") {
            "message" => {
                added["content"] = json!([]);
                event("output_item.added", "item", added);
                for piece in pieces(item.pointer("/content/0/text")) {
                    event("output_text.delta", "delta", piece.into());
                }
            }
            "function_call" => {
                added["arguments"] = "".into();
                event("output_item.added", "item", added);
                for piece in pieces(item.get("arguments")) {
                    event("function_call_arguments.delta", "delta", piece.into());
                }
            }
            _ => {
                added["content"] = json!([]);
                event("output_item.added", "item", added);
                for piece in pieces(item.pointer("/content/0/text")) {
                    event("reasoning_text.delta", "delta", piece.into());
                }
            }
        }
        event("output_item.done", "item", item.clone());
    }
    let is_cut = ended(&mut response, &output, answer);
    let kind = if is_cut { "response.incomplete" } else { "response.completed" };
    events.push(json!({ "type": kind, "response": response }));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    if asked.service == Service::Runtime {
        events.push("[DONE]".into());
    }
    events
}

/// The response as it begins.
fn opened(asked: &Asked<'_>, id: &str) -> Value {
    json!({
        "id": id, "object": "response", "created_at": 1_764_460_800, "status": "in_progress", "error": null,
        "incomplete_details": null, "model": asked.model, "output": [], "usage": null,
        "store": asked.body.get("store").cloned().unwrap_or(Value::Bool(true)), "service_tier": "default",
    })
}

/// Ends a response. Returns whether its limit cut it.
fn ended(response: &mut Value, output: &[Value], answer: &Answer) -> bool {
    let is_cut = answer.stop_reason == "max_tokens";
    response["status"] = if is_cut { "incomplete" } else { "completed" }.into();
    if is_cut {
        response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    }
    response["output"] = output.into();
    response["usage"] = usage(answer, ["input", "output"]);
    is_cut
}

/// The items of an answer. Encrypted reasoning comes only if it is asked for.
fn output(asked: &Asked<'_>, answer: &Answer) -> Vec<Value> {
    let include = items(asked.body, "include");
    let encrypted = include.contains(&json!("reasoning.encrypted_content"));
    let mut calls = 0;
    let item = |block: &Block| match block {
        Block::Text(text) => {
            let part =
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
            json!({ "type": "message", "id": new_id("msg_"), "role": "assistant", "status": "completed", "content": [part] })
        }
        Block::Thought(thought) => {
            let mut item = json!({ "type": "reasoning", "id": new_id("rs_"), "summary": [] });
            if let (Thought::Redacted(data), true) = (thought, encrypted) {
                item["encrypted_content"] = data.as_str().into();
            }
            if !readable(thought).is_empty() {
                item["content"] = json!([{ "type": "reasoning_text", "text": readable(thought) }]);
            }
            item
        }
        Block::Call { id, name, input } => {
            calls += 1;
            json!({
                "type": "function_call", "id": new_id("fc_"), "status": "completed", "name": name,
                "call_id": call_id(asked.service, id, calls - 1), "arguments": input.to_string(),
            })
        }
    };
    answer.blocks.iter().map(item).collect()
}

fn pieces(text: Option<&Value>) -> Vec<String> {
    let text: Vec<char> = text.and_then(Value::as_str).unwrap_or_default().chars().collect();
    text.chunks(PIECE).map(|piece| piece.iter().collect()).collect()
}
