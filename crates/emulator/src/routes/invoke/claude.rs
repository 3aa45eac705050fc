//! Claude's Messages body, converted to and from the Converse format that the model reads.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Request, State, claude_checks, metrics};
use crate::{
    error::Refusal,
    json::{items, text},
    model::{Answer, Block, Prompt, events, reasoning::Thought},
    models::Target,
    sigv4::hex,
};

/// Members passed into the model's own fields unchanged.
const OWN: [&str; 6] =
    ["thinking", "top_k", "output_config", "anthropic_beta", "context_management", "metadata"];

/// Beginning of the name of a document, which has none in this API.
const DOCUMENT: &str = "document";

/// The body as a Converse request.
pub(in crate::routes) fn question(body: &Value) -> Result<Value, Refusal> {
    for required in ["anthropic_version", "max_tokens", "messages"] {
        if body.get(required).is_none() {
            return Err(Refusal::validation(format!("{required}: Field required")));
        }
    }
    claude_checks::check(body)?;
    let mut config = Map::new();
    for (native, name) in [
        ("max_tokens", "maxTokens"),
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("stop_sequences", "stopSequences"),
    ] {
        if let Some(value) = body.get(native) {
            config.insert(name.into(), value.clone());
        }
    }
    let mut converse = json!({ "messages": turns(body), "inferenceConfig": config });
    if let Some(system) = body.get("system") {
        converse["system"] = json!(blocks(Some(system)));
    }
    let mut fields: Map<String, Value> =
        OWN.iter().filter_map(|key| Some(((*key).to_owned(), body.get(*key)?.clone()))).collect();
    if !items(body, "tools").is_empty() {
        converse["toolConfig"] = tools(body, &mut fields);
    }
    if !fields.is_empty() {
        converse["additionalModelRequestFields"] = Value::Object(fields);
    }
    Ok(converse)
}

/// The messages; those of one role in a row are one turn, unlike on Converse, which refuses them. Instructions
/// within the conversation are read with the turn that they follow.
fn turns(body: &Value) -> Vec<Value> {
    let mut turns: Vec<Value> = Vec::new();
    for message in items(body, "messages") {
        let role = text(message, "role");
        let mut content = blocks(message.get("content"));
        if role == "system" {
            // Tags tell the model that the user did not write it.
            let tag = |tag: &str| json!({ "text": tag });
            content.insert(0, tag("<system>"));
            content.push(tag("</system>"));
        }
        let same = turns.last_mut().filter(|turn| role == "system" || text(turn, "role") == role);
        match same.and_then(|turn| turn["content"].as_array_mut()) {
            Some(before) => before.extend(content),
            None => turns.push(json!({ "role": message.get("role"), "content": content })),
        }
    }
    name_documents(&mut turns);
    turns
}

/// Stores the reasoning blocks of a scripted answer.
pub(super) fn remember(state: &State, request: &Request<'_>, target: &Target, content: &Value) {
    let asked = request.json().and_then(|body| question(&body));
    if let Ok(asked) = asked {
        let blocks = blocks(Some(content));
        state.remembered.keep(&blocks, &target.model, request.account(), &asked);
    }
}

/// The complete answer.
pub(in crate::routes) fn response(answer: &Answer, prompt: &Prompt<'_>) -> Value {
    let content: Vec<Value> = answer.blocks.iter().map(block).collect();
    let mut message = opened(answer, prompt);
    message["content"] = content.into();
    message["stop_reason"] = json!(answer.stop_reason);
    message["stop_sequence"] = json!(answer.stop_sequence);
    message["usage"]["output_tokens"] = json!(answer.usage.output);
    message
}

/// The answer in chunks, each the data of a server-sent event.
pub(in crate::routes) fn chunks(answer: &Answer, prompt: &Prompt<'_>) -> Vec<Value> {
    let mut chunks = vec![json!({ "type": "message_start", "message": opened(answer, prompt) })];
    for event in events::of(answer, prompt) {
        let index =
            event.payload.get("contentBlockIndex").and_then(Value::as_u64).unwrap_or_default();
        let begins = |chunks: &[Value]| {
            !chunks.iter().any(|chunk| {
                text(chunk, "type") == "content_block_start"
                    && chunk["index"].as_u64() == Some(index)
            })
        };
        match event.name.as_str() {
            "contentBlockStart" | "contentBlockDelta" => {
                // Every block has a start here, including text and reasoning.
                if begins(&chunks) {
                    let block = usize::try_from(index).ok().and_then(|index| answer.blocks.get(index));
                    let empty = block.map(started).unwrap_or_default();
                    chunks.push(json!({ "type": "content_block_start", "index": index, "content_block": empty }));
                }
                if let Some(delta) = event.payload.get("delta").and_then(delta) {
                    chunks.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
                }
            }
            "contentBlockStop" => chunks.push(json!({ "type": "content_block_stop", "index": index })),
            "messageStop" => chunks.push(json!({
                "type": "message_delta",
                "delta": { "stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence },
                "usage": { "output_tokens": answer.usage.output },
            })),
            _ => {}
        }
    }
    chunks.push(
        json!({ "type": "message_stop", "amazon-bedrock-invocationMetrics": metrics(answer) }),
    );
    chunks
}

fn tools(body: &Value, fields: &mut Map<String, Value>) -> Value {
    let specs: Vec<Value> = items(body, "tools")
        .iter()
        .map(|tool| {
            let mut spec = Map::new();
            spec.insert("name".into(), tool.get("name").cloned().unwrap_or_default());
            if let Some(description) = tool.get("description") {
                spec.insert("description".into(), description.clone());
            }
            let schema =
                tool.get("input_schema").cloned().unwrap_or_else(|| json!({ "type": "object" }));
            spec.insert("inputSchema".into(), json!({ "json": schema }));
            json!({ "toolSpec": spec })
        })
        .collect();
    let mut config = json!({ "tools": specs });
    if let Some(choice) = body.get("tool_choice") {
        match text(choice, "type") {
            "tool" => config["toolChoice"] = json!({ "tool": { "name": text(choice, "name") } }),
            kind @ ("any" | "auto") => config["toolChoice"] = json!({ kind: {} }),
            _ => drop(fields.insert("tool_choice".into(), choice.clone())),
        }
        if let Some(one) = choice.get("disable_parallel_tool_use") {
            fields.insert("tool_choice".into(), json!({ "disable_parallel_tool_use": one }));
        }
    }
    config
}

/// Content as Converse blocks; a plain string is one text.
fn blocks(content: Option<&Value>) -> Vec<Value> {
    match content {
        Some(Value::String(text)) => vec![json!({ "text": text })],
        Some(Value::Array(blocks)) => blocks.iter().flat_map(converse_block).collect(),
        _ => Vec::new(),
    }
}

fn converse_block(block: &Value) -> Vec<Value> {
    let mut converted = vec![match text(block, "type") {
        "text" => json!({ "text": text(block, "text") }),
        kind @ ("image" | "document") => json!({ kind: medium(kind, block) }),
        "search_result" => {
            let citations = block.get("citations").unwrap_or(&Value::Null);
            let enabled = citations.get("enabled").and_then(Value::as_bool).unwrap_or_default();
            json!({ "searchResult": {
                "source": text(block, "source"),
                "title": text(block, "title"),
                "content": blocks(block.get("content")),
                "citations": { "enabled": enabled },
            } })
        }
        "tool_use" => json!({ "toolUse": {
            "toolUseId": text(block, "id"), "name": text(block, "name"), "input": block.get("input"),
        } }),
        "tool_result" => {
            let failed = block.get("is_error").and_then(Value::as_bool) == Some(true);
            json!({ "toolResult": {
                "toolUseId": text(block, "tool_use_id"),
                "content": blocks(block.get("content")),
                "status": if failed { "error" } else { "success" },
            } })
        }
        "thinking" => json!({ "reasoningContent": { "reasoningText": {
            "text": text(block, "thinking"), "signature": text(block, "signature"),
        } } }),
        "redacted_thinking" => {
            json!({ "reasoningContent": { "redactedContent": text(block, "data") } })
        }
        _ => block.clone(),
    }];
    if block.get("cache_control").is_some() {
        converted.push(json!({ "cachePoint": { "type": "default" } }));
    }
    converted
}

/// An image or a document in Converse's form; a document's source may be text or blocks of text.
fn medium(kind: &str, block: &Value) -> Value {
    let source = block.get("source").unwrap_or(&Value::Null);
    let format = text(source, "media_type").rsplit('/').next().unwrap_or_default();
    let format = if format == "plain" { "txt" } else { format };
    let bytes = json!({ "bytes": text(source, "data") });
    let mut medium = match (kind, text(source, "type")) {
        ("document", "text") => {
            json!({ "format": format, "source": { "bytes": STANDARD.encode(text(source, "data")) } })
        }
        ("document", "content") => {
            json!({ "source": { "content": blocks(source.get("content")) } })
        }
        _ => json!({ "format": format, "source": bytes }),
    };
    if kind == "document" {
        medium["name"] = json!(DOCUMENT);
    }
    medium
}

/// Gives every document a name of its own, which Converse requires and this API does not have.
fn name_documents(turns: &mut [Value]) {
    let mut count = 0;
    for block in turns.iter_mut().filter_map(|turn| turn["content"].as_array_mut()).flatten() {
        let results = block.pointer_mut("/toolResult/content").and_then(Value::as_array_mut);
        if let Some(results) = results {
            results.iter_mut().for_each(|block| name_document(block, &mut count));
        } else {
            name_document(block, &mut count);
        }
    }
}

fn name_document(block: &mut Value, count: &mut usize) {
    if let Some(name) = block.pointer_mut("/document/name") {
        *count += 1;
        *name = json!(format!("{DOCUMENT} {count}"));
    }
}

/// The message without content yet.
fn opened(answer: &Answer, prompt: &Prompt<'_>) -> Value {
    let digest = hex(&Sha256::digest(prompt.body.to_string().as_bytes()));
    let model = prompt.model.id.trim_start_matches("anthropic.");
    let model = model.split("-v1:").next().unwrap_or(model);
    let (read, written) = answer.usage.cache.unwrap_or_default();
    json!({
        "model": model,
        "id": format!("msg_bdrk_{}", digest.get(..24).unwrap_or(&digest)),
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": answer.usage.input,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": 1,
        },
    })
}

fn block(block: &Block) -> Value {
    match block {
        Block::Text(text) => json!({ "type": "text", "text": text }),
        Block::Thought(Thought::Plain { text, signature }) => {
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        Block::Thought(Thought::Redacted(data)) => {
            json!({ "type": "redacted_thinking", "data": data })
        }
        Block::Call { id, name, input } => {
            let id = id.replace("tooluse_", "toolu_bdrk_");
            json!({ "type": "tool_use", "id": id, "name": name, "input": input })
        }
    }
}

/// A block at its start in a stream.
fn started(started: &Block) -> Value {
    match started {
        Block::Text(_) => json!({ "type": "text", "text": "" }),
        Block::Thought(Thought::Plain { .. }) => {
            json!({ "type": "thinking", "thinking": "", "signature": "" })
        }
        Block::Thought(Thought::Redacted(_)) => block(started),
        Block::Call { .. } => {
            let mut call = block(started);
            call["input"] = json!({});
            call
        }
    }
}

fn delta(delta: &Value) -> Option<Value> {
    if let Some(text) = delta.get("text") {
        return Some(json!({ "type": "text_delta", "text": text }));
    }
    if let Some(input) = delta.pointer("/toolUse/input") {
        return Some(json!({ "type": "input_json_delta", "partial_json": input }));
    }
    let thought = delta.get("reasoningContent")?;
    if let Some(text) = thought.get("text") {
        return Some(json!({ "type": "thinking_delta", "thinking": text }));
    }
    let signature = thought.get("signature")?;
    Some(json!({ "type": "signature_delta", "signature": signature }))
}
