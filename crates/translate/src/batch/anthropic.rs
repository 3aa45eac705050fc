//! Bodies of Converse as bodies of the messages API, for records of models that take those.

use schema::anthropic::messages::native::VERSION;
use serde_json::{Map, Value, json};

use super::unsupported;
use crate::Invalid;

/// The body of the messages API that asks the same.
pub(super) fn question(converse: &Value, longest: u64) -> Result<Value, Invalid> {
    let mut body = Map::new();
    body.insert("anthropic_version".into(), json!(VERSION));
    let config = converse.get("inferenceConfig");
    for (name, own) in [
        ("maxTokens", "max_tokens"),
        ("temperature", "temperature"),
        ("topP", "top_p"),
        ("stopSequences", "stop_sequences"),
    ] {
        if let Some(value) = config.and_then(|config| config.get(name)) {
            body.insert(own.into(), value.clone());
        }
    }
    body.entry("max_tokens").or_insert_with(|| json!(longest));
    let system = blocks(converse.get("system"))?;
    if !system.is_empty() {
        body.insert("system".into(), system.into());
    }
    let mut messages = Vec::new();
    for turn in list(converse.get("messages")) {
        let content = blocks(turn.get("content"))?;
        messages.push(json!({ "role": turn.get("role"), "content": content }));
    }
    body.insert("messages".into(), messages.into());
    if let Some(config) = converse.get("toolConfig") {
        tools(config, &mut body)?;
    }
    if let Some(format) = converse.pointer("/outputConfig/textFormat/structure/jsonSchema/schema") {
        // Converse carries a schema as text.
        let schema = format.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let schema = schema.ok_or_else(|| unsupported("This schema"))?;
        body.insert(
            "output_config".into(),
            json!({ "format": { "type": "json_schema", "schema": schema } }),
        );
    }
    if let Some(Value::Object(fields)) = converse.get("additionalModelRequestFields") {
        for (name, value) in fields {
            merge(&mut body, name, value);
        }
    }
    Ok(Value::Object(body))
}

/// Sets a member; the members of objects are set one by one.
fn merge(body: &mut Map<String, Value>, name: &str, value: &Value) {
    match (body.get_mut(name), value) {
        (Some(Value::Object(own)), Value::Object(more)) => {
            own.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        _ => {
            body.insert(name.to_owned(), value.clone());
        }
    }
}

fn tools(config: &Value, body: &mut Map<String, Value>) -> Result<(), Invalid> {
    let mut tools: Vec<Value> = Vec::new();
    for tool in list(config.get("tools")) {
        if let Some(point) = tool.get("cachePoint") {
            mark(tools.last_mut(), point);
            continue;
        }
        let spec = tool.get("toolSpec").ok_or_else(|| unsupported("A tool that Bedrock runs"))?;
        let mut own = json!({ "name": spec.get("name") });
        for (name, path) in [
            ("description", "/description"),
            ("input_schema", "/inputSchema/json"),
            ("strict", "/strict"),
        ] {
            if let Some(value) = spec.pointer(path) {
                own[name] = value.clone();
            }
        }
        tools.push(own);
    }
    body.insert("tools".into(), tools.into());
    let choice =
        config.get("toolChoice").and_then(Value::as_object).and_then(|it| it.iter().next());
    if let Some((kind, choice)) = choice {
        let mut own = json!({ "type": kind });
        if let Some(name) = choice.get("name") {
            own["name"] = name.clone();
        }
        body.insert("tool_choice".into(), own);
    }
    Ok(())
}

/// Content in the form of the messages API. Cache points become marks on the blocks before them.
fn blocks(content: Option<&Value>) -> Result<Vec<Value>, Invalid> {
    let mut blocks: Vec<Value> = Vec::new();
    for block in list(content) {
        match block.as_object().and_then(|block| block.iter().next()) {
            Some((kind, point)) if kind == "cachePoint" => mark(blocks.last_mut(), point),
            Some((kind, value)) => blocks.push(self::block(kind, value)?),
            None => return Err(unsupported("An empty block")),
        }
    }
    Ok(blocks)
}

fn block(kind: &str, value: &Value) -> Result<Value, Invalid> {
    Ok(match kind {
        "text" => json!({ "type": "text", "text": value }),
        "image" => json!({ "type": "image", "source": source(value, "image/")? }),
        "document" if value.get("format").and_then(Value::as_str) == Some("pdf") => {
            json!({ "type": "document", "source": source(value, "application/")?, "title": value.get("name") })
        }
        "toolUse" => json!({
            "type": "tool_use",
            "id": value.get("toolUseId"),
            "name": value.get("name"),
            "input": value.get("input"),
        }),
        "toolResult" => tool_result(value)?,
        "reasoningContent" => match value.get("reasoningText") {
            Some(text) => json!({
                "type": "thinking",
                "thinking": text.get("text"),
                "signature": text.get("signature"),
            }),
            None => json!({ "type": "redacted_thinking", "data": value.get("redactedContent") }),
        },
        other => return Err(unsupported(&format!("A block {other:?}"))),
    })
}

fn tool_result(value: &Value) -> Result<Value, Invalid> {
    let mut content = Vec::new();
    for part in list(value.get("content")) {
        content.push(match part.as_object().and_then(|part| part.iter().next()) {
            Some((kind, json)) if kind == "json" => {
                json!({ "type": "text", "text": json.to_string() })
            }
            Some((kind, part)) => block(kind, part)?,
            None => return Err(unsupported("An empty block")),
        });
    }
    let mut result =
        json!({ "type": "tool_result", "tool_use_id": value.get("toolUseId"), "content": content });
    if value.get("status").and_then(Value::as_str) == Some("error") {
        result["is_error"] = json!(true);
    }
    Ok(result)
}

/// Bytes in base64, which both APIs take as they are.
fn source(medium: &Value, kind: &str) -> Result<Value, Invalid> {
    let bytes = medium.pointer("/source/bytes").and_then(Value::as_str);
    let format = medium.get("format").and_then(Value::as_str).unwrap_or_default();
    let bytes = bytes.ok_or_else(|| unsupported("A medium in S3"))?;
    Ok(json!({ "type": "base64", "media_type": format!("{kind}{format}"), "data": bytes }))
}

/// Marks a block as the end of a cached prefix.
fn mark(block: Option<&mut Value>, point: &Value) {
    if let Some(block) = block {
        let mut control = json!({ "type": "ephemeral" });
        if let Some(ttl) = point.get("ttl") {
            control["ttl"] = ttl.clone();
        }
        block["cache_control"] = control;
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_question_has_its_place() {
        let converse = json!({
            "system": [{ "text": "Be brief." }, { "cachePoint": { "type": "default", "ttl": "1h" } }],
            "messages": [
                { "role": "user", "content": [
                    { "text": "Look" },
                    { "image": { "format": "png", "source": { "bytes": "AAAA" } } },
                    { "document": { "format": "pdf", "name": "d", "source": { "bytes": "BBBB" } } },
                ] },
                { "role": "assistant", "content": [
                    { "reasoningContent": { "reasoningText": { "text": "hm", "signature": "s" } } },
                    { "reasoningContent": { "redactedContent": "CCCC" } },
                    { "toolUse": { "toolUseId": "t1", "name": "f", "input": { "b": 1, "a": 2 } } },
                ] },
                { "role": "user", "content": [{ "toolResult": {
                    "toolUseId": "t1", "status": "error", "content": [{ "text": "no" }, { "json": { "x": 1 } }],
                } }] },
            ],
            "inferenceConfig": { "temperature": 0.5, "stopSequences": ["x"] },
            "toolConfig": {
                "tools": [
                    { "toolSpec": { "name": "f", "description": "d", "inputSchema": { "json": { "type": "object" } } } },
                    { "cachePoint": { "type": "default" } },
                ],
                "toolChoice": { "tool": { "name": "f" } },
            },
            "outputConfig": { "textFormat": { "type": "json_schema", "structure": { "jsonSchema": { "schema": "{\"type\":\"object\"}" } } } },
            "additionalModelRequestFields": {
                "top_k": 5, "tool_choice": { "disable_parallel_tool_use": true }, "output_config": { "effort": "low" },
            },
        });
        assert_eq!(
            question(&converse, 77).unwrap(),
            json!({
                "anthropic_version": "bedrock-2023-05-31",
                "temperature": 0.5,
                "stop_sequences": ["x"],
                "max_tokens": 77,
                "system": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral", "ttl": "1h" } }],
                "messages": [
                    { "role": "user", "content": [
                        { "type": "text", "text": "Look" },
                        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } },
                        { "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": "BBBB" }, "title": "d" },
                    ] },
                    { "role": "assistant", "content": [
                        { "type": "thinking", "thinking": "hm", "signature": "s" },
                        { "type": "redacted_thinking", "data": "CCCC" },
                        { "type": "tool_use", "id": "t1", "name": "f", "input": { "b": 1, "a": 2 } },
                    ] },
                    { "role": "user", "content": [{
                        "type": "tool_result", "tool_use_id": "t1", "is_error": true,
                        "content": [{ "type": "text", "text": "no" }, { "type": "text", "text": "{\"x\":1}" }],
                    }] },
                ],
                "tools": [{ "name": "f", "description": "d", "input_schema": { "type": "object" }, "cache_control": { "type": "ephemeral" } }],
                "tool_choice": { "type": "tool", "name": "f", "disable_parallel_tool_use": true },
                "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } }, "effort": "low" },
                "top_k": 5,
            })
        );
    }

    #[test]
    fn blocks_without_a_place_are_refused() {
        for block in [
            json!({ "video": {} }),
            json!({ "document": { "format": "csv", "source": { "bytes": "" } } }),
            json!({ "image": { "format": "png", "source": { "s3Location": {} } } }),
        ] {
            let body = json!({ "messages": [{ "role": "user", "content": [block] }] });
            assert!(question(&body, 1).is_err(), "{body}");
        }
    }
}
