//! An answer as the events of a stream, in the service's order and with its gaps: no start event for text
//! or reasoning, a start event for tool calls, usage after the stop reason.

use serde_json::{Value, json};

use super::{Answer, Block, Prompt, answer::picked, reasoning::Thought};

/// An event before it is padded and framed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) payload: Value,
}

impl Event {
    pub(crate) fn new(name: &str, payload: Value) -> Self {
        Self { name: name.to_owned(), payload }
    }

    /// Parses `{"contentBlockDelta": {...}}`.
    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let (name, payload) = value.as_object()?.iter().next()?;
        Some(Self::new(name, payload.clone()))
    }
}

/// The events of `answer`.
pub(crate) fn of(answer: &Answer, prompt: &Prompt<'_>) -> Vec<Event> {
    let mut events = vec![Event::new("messageStart", json!({ "role": "assistant" }))];
    for (index, block) in answer.blocks.iter().enumerate() {
        if let Block::Call { id, name, .. } = block {
            let mut start = json!({ "name": name, "toolUseId": id });
            if answer.typed_calls {
                start["type"] = json!("tool_use");
            }
            events.push(Event::new(
                "contentBlockStart",
                json!({ "contentBlockIndex": index, "start": { "toolUse": start } }),
            ));
        }
        events.extend(deltas(block, answer).into_iter().map(|delta| {
            Event::new("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta }))
        }));
        events.push(Event::new("contentBlockStop", json!({ "contentBlockIndex": index })));
    }
    let mut stop = json!({ "stopReason": answer.stop_reason });
    let native = json!({ "delta": {
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
    }, "usage": { "output_tokens_details": { "thinking_tokens": answer.thinking_tokens() } } });
    if let Some(fields) = picked(prompt.body, &native) {
        stop["additionalModelResponseFields"] = fields;
    }
    events.push(Event::new("messageStop", stop));
    let usage = if answer.gross { answer.usage.gross() } else { answer.usage };
    let mut metadata =
        json!({ "metrics": { "latencyMs": answer.latency_ms }, "usage": usage.json() });
    if let Value::Object(members) = &mut metadata {
        members.extend(answer.echoed.clone());
    }
    events.push(Event::new("metadata", metadata));
    events
}

/// The events of a Converse response from a script.
pub(crate) fn of_response(response: &Value) -> Vec<Event> {
    let mut events = vec![Event::new("messageStart", json!({ "role": "assistant" }))];
    let content = response.pointer("/output/message/content").and_then(Value::as_array);
    for (index, block) in content.map(Vec::as_slice).unwrap_or_default().iter().enumerate() {
        let mut push = |name: &str, key: &str, value: Value| {
            events.push(Event::new(name, json!({ "contentBlockIndex": index, key: value })));
        };
        let delta = "contentBlockDelta";
        if let Some(text) = block.get("text").and_then(Value::as_str) {
            for piece in pieces(text) {
                push(delta, "delta", json!({ "text": piece }));
            }
        } else if let Some(call) = block.get("toolUse") {
            let mut start = call.clone();
            if let Value::Object(members) = &mut start {
                members.shift_remove("input");
            }
            push("contentBlockStart", "start", json!({ "toolUse": start }));
            let input = call.get("input").unwrap_or(&Value::Null).to_string();
            for piece in fragments(&input) {
                push(delta, "delta", json!({ "toolUse": { "input": piece } }));
            }
        } else if let Some(thought) = block.get("reasoningContent") {
            for part in thought_deltas(thought) {
                push(delta, "delta", json!({ "reasoningContent": part }));
            }
        }
        events.push(Event::new("contentBlockStop", json!({ "contentBlockIndex": index })));
    }
    events.push(Event::new("messageStop", json!({ "stopReason": response.get("stopReason") })));
    let mut metadata = response.clone();
    if let Value::Object(members) = &mut metadata {
        members.retain(|key, _| {
            matches!(
                key.as_str(),
                "usage" | "metrics" | "trace" | "performanceConfig" | "serviceTier"
            )
        });
    }
    events.push(Event::new("metadata", metadata));
    events
}

fn deltas(block: &Block, answer: &Answer) -> Vec<Value> {
    match block {
        Block::Text(text) => pieces(text).map(|piece| json!({ "text": piece })).collect(),
        Block::Thought(Thought::Plain { text, signature }) => {
            let texts = pieces(text).map(|piece| json!({ "reasoningContent": { "text": piece } }));
            let signed = signature
                .iter()
                .map(|signed| json!({ "reasoningContent": { "signature": signed } }));
            texts.chain(signed).collect()
        }
        Block::Thought(Thought::Redacted(data)) => {
            vec![json!({ "reasoningContent": { "redactedContent": data } })]
        }
        Block::Call { input, .. } => {
            let empty = input.as_object().is_some_and(serde_json::Map::is_empty);
            let text = input.to_string();
            // A call without arguments has no fragment with content.
            let rest = if empty { Vec::new() } else { fragments(&text) };
            let first = answer.empty_first_fragment.then_some("");
            first
                .into_iter()
                .chain(rest)
                .map(|piece| json!({ "toolUse": { "input": piece } }))
                .collect()
        }
    }
}

fn thought_deltas(thought: &Value) -> Vec<Value> {
    let text = thought.pointer("/reasoningText/text").and_then(Value::as_str).unwrap_or_default();
    let mut parts: Vec<Value> = pieces(text).map(|piece| json!({ "text": piece })).collect();
    if let Some(signature) = thought.pointer("/reasoningText/signature") {
        parts.push(json!({ "signature": signature }));
    }
    if let Some(redacted) = thought.get("redactedContent") {
        parts.push(json!({ "redactedContent": redacted }));
    }
    parts
}

/// Words, each with the white space before it.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let after = rest.get(word..).unwrap_or_default();
        let end = word + after.find(char::is_whitespace).unwrap_or(after.len());
        let (piece, remaining) = rest.split_at(end);
        rest = remaining;
        Some(piece)
    })
}

/// Splits JSON text anywhere, inside words and numbers too.
fn fragments(text: &str) -> Vec<&str> {
    let mut cuts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .enumerate()
        .filter(|(n, _)| n % 7 == 4)
        .map(|(_, at)| at)
        .collect();
    cuts.push(text.len());
    let mut start = 0;
    let mut parts = Vec::with_capacity(cuts.len());
    for cut in cuts {
        if let Some(part) = text.get(start..cut).filter(|part| !part.is_empty()) {
            parts.push(part);
        }
        start = cut;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_fragments_preserve_the_text() {
        for text in ["", " ", "one", "  two words \n and\tmore ", "ünïcödé テスト 🙂 "] {
            assert_eq!(pieces(text).collect::<String>(), text);
            assert_eq!(fragments(text).concat(), text);
        }
        assert_eq!(pieces("a b").collect::<Vec<_>>(), ["a", " b"]);
        assert_eq!(fragments(r#"{"city":"Rome"}"#), [r#"{"ci"#, r#"ty":"Ro"#, r#"me"}"#]);
    }
}
