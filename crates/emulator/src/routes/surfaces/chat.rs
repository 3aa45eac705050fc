//! Chat completions, converted to and from the Converse format that the model reads.

use serde_json::{Map, Value, json};

use super::{Asked, Service, call_id, new_id, tags_reasoning, usage};
use crate::{
    error::Refusal,
    json::{items, text},
    model::{Answer, Block, Prompt, events, reasoning::Thought},
};

const COUNTS: [&str; 2] = ["prompt", "completion"];

/// The body as a Converse request.
pub(super) fn question(body: &Value) -> Result<Value, Refusal> {
    if items(body, "messages").is_empty() {
        return Err(Refusal::validation("Missing required parameter: 'messages'."));
    }
    let (mut system, mut turns) = (Vec::new(), Vec::<Value>::new());
    for message in items(body, "messages") {
        let content = match text(message, "role") {
            "system" | "developer" => {
                system.extend(content(message.get("content"))?);
                continue;
            }
            "tool" => {
                let result = content(message.get("content"))?;
                let id = text(message, "tool_call_id");
                vec![json!({ "toolResult": { "toolUseId": id, "content": result } })]
            }
            "assistant" => {
                let mut blocks = content(message.get("content"))?;
                for call in items(message, "tool_calls") {
                    blocks.push(called(text(call, "id"), call.get("function"))?);
                }
                push(&mut turns, "assistant", blocks);
                continue;
            }
            "user" => content(message.get("content"))?,
            role => return Err(Refusal::validation(format!("Invalid value: '{role}' for role."))),
        };
        push(&mut turns, "user", content);
    }
    let limit = body.get("max_completion_tokens").or(body.get("max_tokens"));
    let config = config(body, limit);
    let mut converse = json!({ "messages": turns, "system": system, "inferenceConfig": config });
    let mut tools = Vec::new();
    for tool in items(body, "tools") {
        tools.push(declared(tool, tool.get("function"))?);
    }
    if !tools.is_empty() && body.get("tool_choice") != Some(&json!("none")) {
        let name = body.pointer("/tool_choice/function/name");
        converse["toolConfig"] = tool_config(&tools, body.get("tool_choice"), name);
    }
    if let Some(schema) = body.pointer("/response_format/json_schema") {
        converse["outputConfig"] = format(schema)?;
    }
    Ok(converse)
}

/// Limits and sampling by Converse's names.
pub(super) fn config(body: &Value, limit: Option<&Value>) -> Map<String, Value> {
    let members = [
        ("maxTokens", limit),
        ("temperature", body.get("temperature")),
        ("topP", body.get("top_p")),
        ("stopSequences", body.get("stop")),
    ];
    let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    members.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// Adds a turn, or to the turn before if it is of the same role.
pub(super) fn push(turns: &mut Vec<Value>, role: &str, content: Vec<Value>) {
    let last = turns.last_mut().filter(|turn| text(turn, "role") == role);
    match last.and_then(|turn| turn["content"].as_array_mut()) {
        Some(before) => before.extend(content),
        None => turns.push(json!({ "role": role, "content": content })),
    }
}

/// A call as Converse's block.
pub(super) fn called(id: &str, function: Option<&Value>) -> Result<Value, Refusal> {
    let function = function.unwrap_or(&Value::Null);
    let arguments = text(function, "arguments");
    let input: Value = serde_json::from_str(arguments)
        .map_err(|_| Refusal::validation("Invalid JSON in a call's 'arguments'."))?;
    Ok(json!({ "toolUse": { "toolUseId": id, "name": text(function, "name"), "input": input } }))
}

/// A tool as Converse declares it; strict schemas must be closed and require every property.
pub(super) fn declared(tool: &Value, function: Option<&Value>) -> Result<Value, Refusal> {
    let (kind, function) = (text(tool, "type"), function.unwrap_or(&Value::Null));
    if kind != "function" {
        return Err(Refusal::validation(format!("{kind} is not supported for this request")));
    }
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({ "type": "object" }));
    if function.get("strict") == Some(&Value::Bool(true)) {
        closed(text(function, "name"), &schema)?;
    }
    let mut spec = json!({ "name": text(function, "name"), "inputSchema": { "json": schema } });
    if !text(function, "description").is_empty() {
        spec["description"] = json!(text(function, "description"));
    }
    Ok(json!({ "toolSpec": spec }))
}

/// Tools and their choice.
pub(super) fn tool_config(tools: &[Value], choice: Option<&Value>, name: Option<&Value>) -> Value {
    let mut config = json!({ "tools": tools });
    match (choice.and_then(Value::as_str), name) {
        (_, Some(name)) => config["toolChoice"] = json!({ "tool": { "name": name } }),
        (Some("required"), None) => config["toolChoice"] = json!({ "any": {} }),
        (_, None) => {}
    }
    config
}

/// A named schema as Converse's format.
pub(super) fn format(named: &Value) -> Result<Value, Refusal> {
    let schema = named.get("schema").cloned().unwrap_or_default();
    if text(named, "name").is_empty() {
        return Err(Refusal::validation("Missing required parameter: 'name' of the schema."));
    }
    if named.get("strict") == Some(&Value::Bool(true)) {
        closed(text(named, "name"), &schema)?;
    }
    let json_schema = json!({ "schema": schema.to_string(), "name": text(named, "name") });
    let structure = json!({ "jsonSchema": json_schema });
    Ok(json!({ "textFormat": { "type": "json_schema", "structure": structure } }))
}

fn closed(name: &str, schema: &Value) -> Result<(), Refusal> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = items(schema, "required");
    let all = properties.is_none_or(|all| all.keys().all(|key| required.contains(&json!(key))));
    if all && schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        return Ok(());
    }
    Err(Refusal::validation(format!(
        "Invalid schema for '{name}': In context=(), 'additionalProperties' is required to be supplied and to be false, and 'required' is required to be an array including every key in properties."
    )))
}

fn content(content: Option<&Value>) -> Result<Vec<Value>, Refusal> {
    match content {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![json!({ "text": text })]),
        Some(parts) => {
            let parts = parts.as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().map(part).collect()
        }
    }
}

fn part(part: &Value) -> Result<Value, Refusal> {
    match text(part, "type") {
        "text" => Ok(json!({ "text": text(part, "text") })),
        "image_url" => medium(part.pointer("/image_url/url"), None),
        "file" => medium(part.pointer("/file/file_data"), part.pointer("/file/filename")),
        "input_audio" => {
            let audio = part.get("input_audio").unwrap_or(&Value::Null);
            let source = json!({ "bytes": text(audio, "data") });
            Ok(json!({ "audio": { "format": text(audio, "format"), "source": source } }))
        }
        kind => Err(Refusal::validation(format!("Invalid value: '{kind}' for a part's type."))),
    }
}

/// Media in a data URL; other URLs are not fetched.
pub(super) fn medium(url: Option<&Value>, name: Option<&Value>) -> Result<Value, Refusal> {
    let url = url.and_then(Value::as_str).unwrap_or_default();
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let Some((kind, data)) = data else {
        let message = "Invalid URL: only data: and s3: URLs are supported.";
        return Err(Refusal::validation(message));
    };
    let source = json!({ "bytes": data });
    let (group, format) = kind.split_once('/').unwrap_or_default();
    Ok(match name {
        None if group == "image" => json!({ "image": { "format": format, "source": source } }),
        _ => {
            let name = name.and_then(Value::as_str).unwrap_or("document");
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let format = name.rsplit_once('.').map_or(format, |(_, ending)| ending);
            json!({ "document": { "format": format, "name": stem, "source": source } })
        }
    })
}

/// The complete answer.
pub(super) fn response(asked: &Asked<'_>, answer: &Answer) -> Value {
    let (mut content, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for block in &answer.blocks {
        match block {
            Block::Text(text) => content.push_str(text),
            Block::Thought(thought) => reasoning.push_str(readable(thought)),
            Block::Call { id, name, input } => {
                let function = json!({ "name": name, "arguments": input.to_string() });
                let id = call_id(asked.service, id, calls.len());
                calls.push(json!({ "id": id, "type": "function", "function": function }));
            }
        }
    }
    let mut message = json!({ "role": "assistant", "refusal": null });
    if tags_reasoning(asked) && !reasoning.is_empty() {
        content = format!("<reasoning>{reasoning}</reasoning>{content}");
    } else if !reasoning.is_empty() {
        message["reasoning"] = reasoning.into();
    }
    message["content"] = if content.is_empty() { Value::Null } else { content.into() };
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": finish(answer) });
    json!({
        "id": new_id("chatcmpl-"), "object": "chat.completion", "created": 1_764_460_800,
        "model": asked.model, "choices": [choice], "usage": usage(answer, COUNTS), "service_tier": "default",
    })
}

/// The answer's events. Mantle counts calls from 1, and does not write the end mark.
pub(super) fn events(asked: &Asked<'_>, answer: &Answer, prompt: &Prompt<'_>) -> Vec<Value> {
    let id = new_id("chatcmpl-");
    let mantle = asked.service == Service::Mantle;
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let mut chunk = json!({ "id": id, "object": "chat.completion.chunk", "created": 1_764_460_800, "model": asked.model, "choices": [choice] });
        if mantle {
            chunk["obfuscation"] = "x7Qd".into();
        }
        chunk
    };
    let mut chunks = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    let (mut calls, mut open, mut in_tags) = (0, 0, false);
    for event in events::of(answer, prompt) {
        let delta = event.payload.get("delta").unwrap_or(&Value::Null);
        let said = delta.get("text").and_then(Value::as_str);
        let thought = delta.pointer("/reasoningContent/text").and_then(Value::as_str);
        let piece = delta.pointer("/toolUse/input").and_then(Value::as_str);
        let start = event.payload.pointer("/start/toolUse");
        let delta = match (said, thought, piece, start) {
            (Some(said), ..) if in_tags => {
                in_tags = false;
                json!({ "content": format!("</reasoning>{said}") })
            }
            (Some(said), ..) => json!({ "content": said }),
            (_, Some(thought), ..) if tags_reasoning(asked) => {
                let opened = std::mem::replace(&mut in_tags, true);
                let tag = if opened { "" } else { "<reasoning>" };
                json!({ "content": format!("{tag}{thought}") })
            }
            (_, Some(thought), ..) => json!({ "reasoning": thought }),
            (.., Some(piece), _) => {
                json!({ "tool_calls": [{ "index": open, "function": { "arguments": piece } }] })
            }
            (.., Some(start)) => {
                open = calls + usize::from(mantle);
                let id = call_id(asked.service, text(start, "toolUseId"), calls);
                calls += 1;
                let function = json!({ "name": text(start, "name"), "arguments": "" });
                json!({ "tool_calls": [{ "index": open, "id": id, "type": "function", "function": function }] })
            }
            _ => continue,
        };
        chunks.push(chunk(delta, Value::Null));
    }
    chunks.push(chunk(json!({}), finish(answer).into()));
    if asked.body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)) {
        let mut last = chunk(json!({}), Value::Null);
        last["choices"] = json!([]);
        last["usage"] = usage(answer, COUNTS);
        chunks.push(last);
    }
    if !mantle {
        chunks.push("[DONE]".into());
    }
    chunks
}

/// Reasoning that clients may read.
pub(super) fn readable(thought: &Thought) -> &str {
    match thought {
        Thought::Plain { text, .. } => text,
        Thought::Redacted(_) => "",
    }
}

fn finish(answer: &Answer) -> &'static str {
    match answer.stop_reason {
        "tool_use" => "tool_calls",
        "max_tokens" => "length",
        _ => "stop",
    }
}
