//! Bodies of Converse in the form `messages-v1`, for records with tools: the same members, apart from settings that
//! Converse takes as fields of the model's own.

use serde_json::{Map, Value, json};

use super::unsupported;
use crate::Invalid;

/// Members that are the same in both.
const SHARED: [&str; 3] = ["messages", "system", "toolConfig"];
/// Members of Converse that change no answer.
const WITHOUT_EFFECT: [&str; 2] = ["requestMetadata", "additionalModelResponseFieldPaths"];
/// A member that a model has of its own, and that is one of the settings here.
const REASONING: &str = "reasoningConfig";
const SETTINGS: &str = "inferenceConfig";

/// The body that asks the same.
pub(super) fn question(converse: Map<String, Value>) -> Result<Value, Invalid> {
    let mut body = Map::new();
    body.insert("schemaVersion".into(), json!("messages-v1"));
    let mut settings = Map::new();
    for (name, mut value) in converse {
        match name.as_str() {
            SETTINGS => add(&mut settings, value),
            "additionalModelRequestFields" => fields(&mut settings, value)?,
            shared if SHARED.contains(&shared) => {
                checked(&mut value)?;
                body.insert(name, value);
            }
            other if WITHOUT_EFFECT.contains(&other) => {}
            "outputConfig" => return Err(unsupported("A format beside tools, with this model,")),
            _ => return Err(unsupported("A setting beside tools, with this model,")),
        }
    }
    if !settings.is_empty() {
        body.insert(SETTINGS.into(), settings.into());
    }
    Ok(body.into())
}

/// Moves fields of the model's own to their places among the settings.
fn fields(settings: &mut Map<String, Value>, fields: Value) -> Result<(), Invalid> {
    let Value::Object(fields) = fields else { return Ok(()) };
    for (name, value) in fields {
        match name.as_str() {
            SETTINGS => add(settings, value),
            REASONING => drop(settings.insert(name, value)),
            _ => return Err(unsupported("A field of the model's own beside tools")),
        }
    }
    Ok(())
}

fn add(settings: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        settings.extend(more);
    }
}

/// Removes cache points, which change no answer, and refuses blocks that Converse alone has.
fn checked(value: &mut Value) -> Result<(), Invalid> {
    match value {
        Value::Array(blocks) => {
            blocks.retain(|block| block.get("cachePoint").is_none());
            for block in blocks {
                if block.get("document").is_some() {
                    return Err(unsupported("A document beside tools, with this model,"));
                }
                if block.get("systemTool").is_some() {
                    return Err(unsupported("A tool that Bedrock runs"));
                }
                checked(block)?;
            }
            Ok(())
        }
        Value::Object(members) => {
            // Arguments and schemas are the caller's own.
            let own = ["input", "inputSchema", "json"];
            let mut within = members.iter_mut().filter(|(name, _)| !own.contains(&name.as_str()));
            within.try_for_each(|(_, value)| checked(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(converse: Value) -> Result<Value, Invalid> {
        let Value::Object(members) = converse else { panic!("a body is an object") };
        question(members)
    }

    #[test]
    fn settings_of_the_model_stand_among_the_others() {
        let input = json!({ "document": 1, "cachePoint": [{ "cachePoint": 2 }] });
        let call = json!({ "toolUse": { "toolUseId": "t", "name": "f", "input": input } });
        let messages = json!([{ "role": "assistant", "content": [call, { "cachePoint": { "type": "default" } }] }]);
        let tools =
            json!({ "tools": [{ "toolSpec": { "name": "f", "inputSchema": { "json": {} } } }] });
        let body = asked(json!({
            "messages": messages,
            "inferenceConfig": { "maxTokens": 9 },
            "toolConfig": tools,
            "additionalModelRequestFields": {
                "inferenceConfig": { "topK": 4 }, "reasoningConfig": { "type": "enabled" },
            },
            "requestMetadata": { "a": "b" },
        }));
        let expected = json!({
            "schemaVersion": "messages-v1",
            "messages": [{ "role": "assistant", "content": [call] }],
            "toolConfig": tools,
            "inferenceConfig": { "maxTokens": 9, "topK": 4, "reasoningConfig": { "type": "enabled" } },
        });
        assert_eq!(body.unwrap(), expected);
    }

    #[test]
    fn what_converse_alone_has_is_refused() {
        let said = |block: Value| json!([{ "role": "user", "content": [block] }]);
        for (member, value, word) in [
            ("messages", said(json!({ "document": {} })), "A document"),
            (
                "messages",
                said(json!({ "toolResult": { "content": [{ "document": {} }] } })),
                "A document",
            ),
            ("toolConfig", json!({ "tools": [{ "systemTool": {} }] }), "A tool that"),
            ("additionalModelRequestFields", json!({ "zeal": 1 }), "A field"),
            ("outputConfig", json!({}), "A format"),
            ("promptVariables", json!({}), "A setting"),
        ] {
            let refused = asked(json!({ member: value })).unwrap_err();
            assert!(refused.message.starts_with(word), "{member}: {}", refused.message);
            assert_eq!(refused.code, "unsupported_in_batches");
        }
    }
}
