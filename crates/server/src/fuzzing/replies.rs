//! Requests that a stream may answer; the request determines how its events are translated.

use schema::openai::chat::ChatRequest;
use translate::chat::question;
use translate::{Profile, Reply};

/// Plain, tools of each kind, one call only, an answer format, the deprecated form, reasoning between
/// tags, an object with arbitrary members beside a tool.
const QUESTIONS: [&str; 7] = [
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": true}}"#,
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [
        {"type": "function", "function": {"name": "a.b"}}, {"type": "function", "function": {"name": "c"}},
        {"type": "function", "function": {"name": "shapes", "parameters": {"oneOf": []}}},
        {"type": "custom", "custom": {"name": "shell.run"}}]}"#,
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "parallel_tool_calls": false,
        "tools": [{"type": "function", "function": {"name": "f"}}]}"#,
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "stream_options": {"include_usage": true},
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object", "oneOf": [{}, {}]}}}}"#,
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "functions": [{"name": "c"}]}"#,
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_format": "parsed"}"#,
    r#"{"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "c"}}]}"#,
];

/// The reply to one of the questions.
pub(super) fn drawn(by: u8) -> Reply {
    let text = QUESTIONS[usize::from(by) % QUESTIONS.len()];
    let Ok(request) = serde_json::from_str::<ChatRequest<'_>>(text) else {
        return Reply::default();
    };
    let asked = question(&request, &Profile::default());
    asked.map(|asked| asked.reply).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_can_be_translated() {
        for text in QUESTIONS {
            let request: ChatRequest<'_> = serde_json::from_str(text).unwrap();
            question(&request, &Profile::default()).unwrap();
        }
    }
}
