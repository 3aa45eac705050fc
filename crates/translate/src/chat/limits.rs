//! Limits on the counts and sizes in one request. They are far above what clients send (agents with
//! many MCP servers declare some hundred tools; OpenAI's own limit of 128 would refuse them), and
//! low enough that the work per item stays small.

use schema::openai::chat::ChatRequest;
use serde_json::value::RawValue;

use crate::Invalid;

pub(crate) const MESSAGES: usize = 10_000;
pub(crate) const TOOLS: usize = 1_024;
/// Largest JSON Schema, in bytes.
const SCHEMA: usize = 256 * 1024;

/// Refuses requests over the limits.
pub(super) fn within_limits(request: &ChatRequest<'_>) -> Result<(), Invalid> {
    let tools = request.tools.as_deref().unwrap_or_default();
    let functions = request.functions.as_deref().unwrap_or_default();
    let counts = [
        ("messages", request.messages.len(), MESSAGES),
        ("tools", tools.len(), TOOLS),
        ("functions", functions.len(), TOOLS),
    ];
    for (field, count, most) in counts {
        entries(field, count, most)?;
    }
    for (at, tool) in tools.iter().enumerate() {
        let function = tool.function.as_ref();
        schema(function.and_then(|one| one.parameters), || {
            format!("tools[{at}].function.parameters")
        })?;
    }
    for (at, function) in functions.iter().enumerate() {
        schema(function.parameters, || format!("functions[{at}].parameters"))?;
    }
    let format = request.response_format.as_ref().and_then(|format| format.json_schema.as_ref());
    let field = || "response_format.json_schema.schema".to_owned();
    schema(format.and_then(|format| format.schema), field)
}

/// Refuses a list with too many entries.
pub(crate) fn entries(field: &str, count: usize, most: usize) -> Result<(), Invalid> {
    if count <= most {
        return Ok(());
    }
    let message = format!("{field} has {count} entries; up to {most} are taken.");
    Err(Invalid::value(field, message).with_code("array_above_max_length"))
}

/// Refuses a schema that is too large.
pub(crate) fn schema(schema: Option<&RawValue>, field: impl Fn() -> String) -> Result<(), Invalid> {
    let size = schema.map_or(0, |schema| schema.get().len());
    if size <= SCHEMA {
        return Ok(());
    }
    let message = format!("The schema has {size} bytes; up to {SCHEMA} are taken.");
    Err(Invalid::value(field(), message).with_code("string_above_max_length"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(request: &Value) -> Option<String> {
        let text = request.to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&text).unwrap();
        within_limits(&request).err().and_then(|invalid| invalid.param)
    }

    #[test]
    fn requests_over_a_limit_are_refused_by_field() {
        let say = json!({ "role": "user", "content": "x" });
        let tool = |size: usize| {
            json!({ "type": "function", "function": { "name": "f",
            "parameters": { "description": "x".repeat(size) } } })
        };
        let asking = |member: &str, value: Value| json!({ "model": "m", "messages": [say.clone()], member: value });
        assert_eq!(refused(&asking("messages", json!(vec![say.clone(); 10_000]))), None);
        let many = asking("messages", json!(vec![say.clone(); 10_001]));
        assert_eq!(refused(&many).as_deref(), Some("messages"));
        assert_eq!(refused(&asking("tools", json!(vec![tool(1); 1_024]))), None);
        let many = asking("tools", json!(vec![tool(1); 1_025]));
        assert_eq!(refused(&many).as_deref(), Some("tools"));
        let large = asking("tools", json!([tool(1), tool(300_000)]));
        assert_eq!(refused(&large).as_deref(), Some("tools[1].function.parameters"));
        let format = json!({ "type": "json_schema",
            "json_schema": { "name": "s", "schema": { "description": "x".repeat(300_000) } } });
        let large = refused(&asking("response_format", format));
        assert_eq!(large.as_deref(), Some("response_format.json_schema.schema"));
    }
}
