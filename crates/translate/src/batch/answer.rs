//! Answers of the messages API as answers of Converse.

use serde_json::{Value, json};

/// The answer of Converse that says the same as one in a record's output. `None` where it is no answer.
pub fn converse_answer(output: &[u8]) -> Option<Vec<u8>> {
    let message: Value = serde_json::from_slice(output).ok()?;
    let content = message.get("content")?.as_array()?.iter().filter_map(block);
    let usage = message.get("usage").unwrap_or(&Value::Null);
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let (input, written) = (count("/input_tokens"), count("/output_tokens"));
    let (read, cached) = (count("/cache_read_input_tokens"), count("/cache_creation_input_tokens"));
    let by_lifetime = [
        ("5m", count("/cache_creation/ephemeral_5m_input_tokens")),
        ("1h", count("/cache_creation/ephemeral_1h_input_tokens")),
    ];
    let details = by_lifetime.iter().filter(|(_, tokens)| *tokens > 0);
    let details = details.map(|(ttl, tokens)| json!({ "ttl": ttl, "inputTokens": tokens }));
    let mut answer = json!({
        "output": { "message": { "role": "assistant", "content": content.collect::<Vec<_>>() } },
        "stopReason": message.get("stop_reason"),
        "usage": {
            "inputTokens": input,
            "outputTokens": written,
            "totalTokens": input + written + read + cached,
            "cacheReadInputTokens": read,
            "cacheWriteInputTokens": cached,
            "cacheDetails": details.collect::<Vec<_>>(),
        },
    });
    if let Some(sequence) = message.get("stop_sequence").filter(|sequence| !sequence.is_null()) {
        answer["additionalModelResponseFields"] = json!({ "stop_sequence": sequence });
    }
    serde_json::to_vec(&answer).ok()
}

/// A block; those of kinds that Converse does not have are left out, as Converse does.
fn block(block: &Value) -> Option<Value> {
    let member = |name: &str| block.get(name);
    Some(match block.get("type")?.as_str()? {
        "text" => json!({ "text": member("text") }),
        "tool_use" => json!({ "toolUse": {
            "toolUseId": member("id"), "name": member("name"), "input": member("input"),
        } }),
        "thinking" => json!({ "reasoningContent": { "reasoningText": {
            "text": member("thinking"), "signature": member("signature"),
        } } }),
        "redacted_thinking" => {
            json!({ "reasoningContent": { "redactedContent": member("data") } })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use schema::converse::response::{ConverseResponse, StopReason};

    use super::*;

    #[test]
    fn an_answer_is_read_as_that_of_converse() {
        let message = json!({
            "type": "message", "stop_reason": "tool_use", "stop_sequence": null,
            "content": [
                { "type": "thinking", "thinking": "hm", "signature": "s" },
                { "type": "text", "text": "Hello" },
                { "type": "tool_use", "id": "t1", "name": "f", "input": { "b": 1, "a": 2 } },
                { "type": "new_kind" },
            ],
            "usage": {
                "input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 11,
                "cache_creation_input_tokens": 13, "cache_creation": { "ephemeral_1h_input_tokens": 13 },
            },
        });
        let answer = converse_answer(message.to_string().as_bytes()).unwrap();
        let answer: ConverseResponse<'_> = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer.stop_reason, StopReason::ToolUse);
        let content = answer.output.message.unwrap().content;
        assert_eq!((content.len(), content[1].text.as_deref()), (3, Some("Hello")));
        let call = content[2].tool_use.as_ref().unwrap();
        assert_eq!(call.input.unwrap().get(), r#"{"b":1,"a":2}"#);
        let usage = answer.usage;
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.total_tokens), (5, 7, 36));
        assert_eq!((usage.cache_read_input_tokens, usage.cache_details.one_hour), (11, 13));
        assert!(converse_answer(b"{\"message\":\"no\"}").is_none());
    }
}
