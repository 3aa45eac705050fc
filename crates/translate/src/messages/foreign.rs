//! Blocks that Bedrock does not have: of tools that Anthropic runs, from conversations begun elsewhere,
//! and references to found tools.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::Invalid;

/// Endings of the types of results.
const RESULT: &str = "_tool_result";

/// The text in place of a block; `None` for a block that is not known.
pub(super) fn text(kind: &str, raw: &RawValue) -> Option<String> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    match kind {
        "server_tool_use" | "mcp_tool_use" => {
            let name = value["name"].as_str().unwrap_or("tool");
            Some(format!("[{name} was called with {}]", value["input"]))
        }
        "mcp_tool_result" => Some(format!("[result of a tool]\n{}", told(&value["content"]))),
        "compaction" => {
            Some(format!("[summary of the conversation so far]\n{}", told(&value["content"])))
        }
        "tool_addition" | "tool_removal" => {
            let what = if kind == "tool_addition" { "can be called" } else { "is gone" };
            let tool = value.pointer("/tool/name").and_then(Value::as_str).unwrap_or("?");
            Some(format!("The tool {tool} {what} from here on."))
        }
        "container_upload" | "fallback" => Some(format!("[{kind}]")),
        kind => {
            let tool = kind.strip_suffix(RESULT)?;
            Some(format!("[{tool} results]\n{}", told(&value["content"])))
        }
    }
}

/// The readable text of a result.
fn told(content: &Value) -> String {
    let mut lines = Vec::new();
    collect(content, &mut lines);
    lines.join("\n")
}

fn collect(value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::String(text) => lines.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, lines)),
        Value::Object(members) => {
            for (name, value) in members {
                let is_readable = matches!(
                    name.as_str(),
                    "text"
                        | "title"
                        | "url"
                        | "content"
                        | "stdout"
                        | "stderr"
                        | "error_code"
                        | "tool_name"
                        | "tool_references"
                );
                if is_readable {
                    collect(value, lines);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text in place of a reference to a found tool: an empty result would be refused.
pub(super) fn reference(name: &str) -> String {
    format!("Tool {name} loaded")
}

/// The caller's content must not be lost: a block of an unknown type is refused.
pub(super) fn unknown(kind: &str, place: &str) -> Invalid {
    let message = format!("A block of the type {kind:?} cannot stand here; leave it out.");
    Invalid::value(format!("{place}.type"), message).with_code("unsupported_value")
}

/// The refusal of fetched content that the model does not read.
pub(super) fn fetched(place: &str) -> Invalid {
    let message = "The URL holds neither an image, a PDF document nor a text.";
    Invalid::value(format!("{place}.source.url"), message).with_code("invalid_url")
}

/// The refusal of a source that is not here.
pub(super) fn source(kind: &str, place: &str) -> Invalid {
    let message = format!(
        "A source of the type {kind:?} cannot be read here: there is no store of files. Send the content itself as {{\"type\": \"base64\", ...}}."
    );
    Invalid::value(format!("{place}.source.type"), message).with_code("unsupported_value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let kind: Value = serde_json::from_str(json).unwrap();
        text(kind["type"].as_str().unwrap(), raw)
    }

    #[test]
    fn blocks_of_anthropics_tools_become_readable_text() {
        let search = r#"{"type":"web_search_tool_result","tool_use_id":"s","content":[{"type":"web_search_result","title":"Rocks","url":"https://a.example","encrypted_content":"xx"}]}"#;
        assert_eq!(of(search).unwrap(), "[web_search results]\nRocks\nhttps://a.example");
        let call =
            r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"basalt"}}"#;
        assert_eq!(of(call).unwrap(), r#"[web_search was called with {"query":"basalt"}]"#);
        assert_eq!(of(r#"{"type":"hologram"}"#), None);
    }
}
