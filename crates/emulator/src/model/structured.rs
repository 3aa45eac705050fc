//! Answers in JSON: for a schema of the request, for one in the prompt, or for keys in the prompt.

use regex_lite::Regex;
use serde_json::{Map, Value, json};

use super::{arguments::build, prompt::Prompt};

/// The JSON that answers `prompt`, if it asks for JSON.
pub(crate) fn answer(prompt: &Prompt<'_>) -> Option<String> {
    if let Some(schema) = demanded(prompt.body) {
        return Some(build(&schema.ok()?, &prompt.asked, &[]).to_string());
    }
    let instructions = format!("{}\n{}", prompt.system, prompt.asked);
    if !asks_for_json(&instructions) {
        return None;
    }
    if let Some((schema, _)) = embedded_schema(&instructions) {
        // The words of the schema are no values.
        let said = match embedded_schema(&prompt.asked) {
            Some((_, range)) => {
                let mut said = prompt.asked.clone();
                said.replace_range(range, "");
                said
            }
            None => prompt.asked.clone(),
        };
        return Some(build(&schema, &said, &[]).to_string());
    }
    let keys = listed_keys(&instructions);
    if keys.is_empty() {
        return Some(json!({ "answer": prompt.asked }).to_string());
    }
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.clone(), json!({ "type": "string" }))).collect();
    let schema = json!({ "type": "object", "properties": properties, "required": keys });
    // Keys are quoted like values; without quotes they are not mistaken for values.
    let mut said = prompt.asked.clone();
    for key in &keys {
        said = said.replace(&format!("'{key}'"), "").replace(&format!("\"{key}\""), "");
    }
    Some(build(&schema, &said, &[]).to_string())
}

/// The schema that a request demands for the answer, in Converse's member or in Claude's own.
pub(crate) fn demanded(body: &Value) -> Option<Result<Value, serde_json::Error>> {
    let schema = "/outputConfig/textFormat/structure/jsonSchema/schema";
    if let Some(schema) = body.pointer(schema).and_then(Value::as_str) {
        return Some(serde_json::from_str(schema));
    }
    let format = body.pointer("/additionalModelRequestFields/output_config/format")?;
    Some(Ok(format.get("schema").cloned().unwrap_or_default()))
}

/// Whether the text demands JSON and does not merely mention it.
fn asks_for_json(text: &str) -> bool {
    let expression = r"(?i)\b(respond|reply|return|answer|output|produce|write|provide|format(ted)?|only|valid|as|in|with)\b[^.\n]{0,80}\bjson\b|\bjson\b[^.\n]{0,40}\b(only|object|format|schema|response)\b";
    Regex::new(expression).is_ok_and(|regex| regex.is_match(text))
}

/// The first JSON object in the text that is a schema, and its position.
fn embedded_schema(text: &str) -> Option<(Value, std::ops::Range<usize>)> {
    let starts = text.match_indices('{').map(|(at, _)| at);
    for start in starts {
        let Some(rest) = text.get(start..) else { continue };
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(mut value)) = values.next() else { continue };
        let end = start + values.byte_offset();
        for wrapper in ["schema", "json_schema"] {
            if let Some(inner) = value.get(wrapper).filter(|inner| inner.is_object()) {
                value = inner.clone();
            }
        }
        if value.get("properties").is_some()
            || value.get("$ref").is_some()
            || value.get("anyOf").is_some()
        {
            return Some((value, start..end));
        }
    }
    None
}

/// Identifiers in quotes after the word key, field or property.
fn listed_keys(text: &str) -> Vec<String> {
    let speaks = Regex::new(r"(?i)\b(keys?|fields?|propert(y|ies)|attributes?)\b");
    if !speaks.is_ok_and(|regex| regex.is_match(text)) {
        return Vec::new();
    }
    let Ok(quoted) = Regex::new(r#"['"`]([A-Za-z_][A-Za-z0-9_]*)['"`]"#) else { return Vec::new() };
    let mut keys: Vec<String> = Vec::new();
    for found in quoted.captures_iter(text) {
        let key = found.get(1).map_or("", |key| key.as_str()).to_owned();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Models;

    fn answered(system: &str, asked: &str) -> Option<Value> {
        let body = json!({"system": [{"text": system}], "messages": [{"role": "user", "content": [{"text": asked}]}]});
        let models = Models::load();
        answer(&Prompt::read(models.generic(), &body))
            .map(|text| serde_json::from_str(&text).expect("JSON"))
    }

    #[test]
    fn json_is_written_when_demanded() {
        let asked = "Tell me a joke about cats. Return the result as a JSON with 'setup' and 'punchline' keys. Return nothing other than JSON.";
        let joke = answered("be brief", asked).expect("JSON");
        assert!(joke["setup"].as_str().is_some_and(|setup| !setup.is_empty()), "{joke}");
        assert!(joke["punchline"].is_string(), "{joke}");
        let schema = r#"Answer only with JSON for this schema: {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}"#;
        assert_eq!(answered(schema, "Jason is 25"), Some(json!({"age": 25})));
        assert_eq!(answered("Respond in JSON.", "hi"), Some(json!({"answer": "hi"})));
        assert_eq!(answered("", "What does JSON mean?"), None);
    }
}
