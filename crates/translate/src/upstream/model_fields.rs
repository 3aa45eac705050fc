//! The fields of a Converse request that are the model's own: OpenAI's APIs have them under names of theirs.

use serde_json::{Map, Value, json};

use crate::profile::SurfaceApi;

/// Members that the translation itself writes.
const OWN: [&str; 9] = [
    "model",
    "messages",
    "input",
    "instructions",
    "stream",
    "stream_options",
    "store",
    "tools",
    "n",
];

/// The model's own fields as members of an API's body.
#[derive(Debug)]
pub(super) struct ModelFields {
    /// Members of the body.
    pub(super) members: Map<String, Value>,
    /// The tool choice, if a field states it.
    pub(super) tool_choice: Option<Value>,
    /// Members of `text`.
    pub(super) text: Map<String, Value>,
}

impl ModelFields {
    /// Names the fields as the API does.
    pub(super) fn of(fields: &Map<String, Value>, api: SurfaceApi) -> Self {
        let mut members = Map::new();
        let (mut tool_choice, mut text) = (None, Map::new());
        for (name, value) in fields {
            match (name.as_str(), api) {
                (own, _) if OWN.contains(&own) => {}
                ("tool_choice", _) => {
                    tool_choice = match value.get("type").and_then(Value::as_str) {
                        Some(kind @ ("none" | "auto")) => Some(kind.into()),
                        Some("any") => Some("required".into()),
                        Some(_) | None => value.is_string().then(|| value.clone()),
                    };
                }
                ("reasoning_effort", SurfaceApi::Responses) => {
                    let reasoning = members.entry("reasoning").or_insert_with(|| json!({}));
                    if let Some(reasoning) = reasoning.as_object_mut() {
                        reasoning.insert("effort".to_owned(), value.clone());
                    }
                }
                ("reasoning", SurfaceApi::Chat) => {
                    if let Some(effort) = value.get("effort") {
                        members.insert("reasoning_effort".to_owned(), effort.clone());
                    }
                }
                ("text", SurfaceApi::Responses) => {
                    text = value.as_object().cloned().unwrap_or_default();
                }
                _ => {
                    members.insert(name.clone(), value.clone());
                }
            }
        }
        Self { members, tool_choice, text }
    }
}
