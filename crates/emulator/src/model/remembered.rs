//! Reasoning blocks of scripted answers: they have arbitrary signatures, so their bindings are stored here.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use serde_json::{Value, json};

use super::{
    events::Event,
    seal::{Position, Seal, Short, short, wire},
};
use crate::{json::canonical, models::Model};

/// Most reasoning blocks stored; the oldest is evicted.
const CAPACITY: usize = 4_096;

/// The reasoning blocks of one emulator's scripts.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    inner: Mutex<Known>,
}

/// Seals by reasoning block, and the blocks in order of arrival.
type Known = (HashMap<Short, Vec<Seal>>, VecDeque<Short>);

impl Remembered {
    /// Stores the reasoning blocks in `content`, the answer of `model` to `body`.
    pub(crate) fn keep(&self, content: &[Value], model: &Model, account: Short, body: &Value) {
        let count = content.iter().filter(|block| block.get("reasoningContent").is_some()).count();
        if count == 0 {
            return;
        }
        let mut position = Position::end(body);
        let turn =
            short(canonical(&json!([content, position.spot().prefix])).to_string().as_bytes());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *inner;
        for block in content {
            if let Some(thought) = block.get("reasoningContent").filter(|it| !wire(it).is_empty()) {
                let key = key(thought);
                let seal = Seal::new(model, account, turn, (position.spot(), count));
                known.entry(key).or_default().push(seal);
                order.push_back(key);
            }
            position.pass(block);
        }
        while order.len() > CAPACITY {
            let Some(oldest) = order.pop_front() else { break };
            if let Some(seals) = known.get_mut(&oldest) {
                seals.remove(0);
                if seals.is_empty() {
                    known.remove(&oldest);
                }
            }
        }
    }

    /// The seals of a reasoning block, one for each use by a script.
    pub(crate) fn seals(&self, thought: &Value) -> Vec<Seal> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.get(&key(thought)).cloned().unwrap_or_default()
    }
}

/// The content of an answer with reasoning that was scripted as events; empty without reasoning.
pub(crate) fn folded(events: &[Event]) -> Vec<Value> {
    let thinks = |event: &Event| event.payload.pointer("/delta/reasoningContent").is_some();
    if !events.iter().any(thinks) {
        return Vec::new();
    }
    let mut content: Vec<Value> = Vec::new();
    let mut index = None;
    for Event { name, payload } in events {
        let begun = payload.get("contentBlockIndex").and_then(Value::as_u64);
        if !matches!(name.as_str(), "contentBlockStart" | "contentBlockDelta") {
            continue;
        }
        if content.is_empty() || index != begun {
            index = begun;
            content.push(payload.get("start").cloned().unwrap_or_else(|| json!({})));
        }
        if let (Some(block), Some(delta)) = (content.last_mut(), payload.get("delta")) {
            add(block, delta);
        }
    }
    for block in &mut content {
        if let Some(call) = block.get_mut("toolUse") {
            let input = member(call, "input");
            let said = input.as_str().unwrap_or_default();
            *input = serde_json::from_str(said).unwrap_or_else(|_| json!({}));
        }
    }
    content
}

fn add(block: &mut Value, delta: &Value) {
    let Some(delta) = delta.as_object() else { return };
    for (name, value) in delta {
        match (name.as_str(), value.as_object()) {
            ("reasoningContent", Some(parts)) => {
                let thought = member(block, name);
                for (part, value) in parts {
                    let sealed = part == "redactedContent";
                    let into =
                        if sealed { &mut *thought } else { member(thought, "reasoningText") };
                    append(member(into, part), value);
                }
            }
            ("toolUse", Some(call)) => {
                let input = call.get("input").unwrap_or(&Value::Null);
                append(member(member(block, name), "input"), input);
            }
            _ => append(member(block, name), value),
        }
    }
}

/// A member of an object; another value is first replaced by an object.
fn member<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    &mut value[name]
}

fn append(into: &mut Value, more: &Value) {
    let more = more.as_str().unwrap_or_default();
    match into {
        Value::String(said) => said.push_str(more),
        other => *other = Value::from(more),
    }
}

fn key(thought: &Value) -> Short {
    let said = thought.pointer("/reasoningText/text").and_then(Value::as_str).unwrap_or_default();
    short(format!("{}\0{said}", wire(thought)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Models;

    #[test]
    fn events_fold_into_their_blocks() {
        let event = |name: &str, payload: Value| Event::new(name, payload);
        let delta = |index: u64, delta: Value| {
            event("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}))
        };
        let events = [
            event("messageStart", json!({"role": "assistant"})),
            delta(0, json!({"reasoningContent": {"text": "I "}})),
            delta(0, json!({"reasoningContent": {"text": "think"}})),
            delta(0, json!({"reasoningContent": {"signature": "sig"}})),
            event(
                "contentBlockStart",
                json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "n"}}}),
            ),
            delta(1, json!({"toolUse": {"input": "{\"a\""}})),
            delta(1, json!({"toolUse": {"input": ":1}"}})),
            delta(2, json!({"reasoningContent": {"redactedContent": "AAEC"}})),
            delta(3, json!({"text": "so"})),
        ];
        assert_eq!(
            Value::from(folded(&events)),
            json!([
                {"reasoningContent": {"reasoningText": {"text": "I think", "signature": "sig"}}},
                {"toolUse": {"toolUseId": "t", "name": "n", "input": {"a": 1}}},
                {"reasoningContent": {"redactedContent": "AAEC"}},
                {"text": "so"},
            ])
        );
    }

    #[test]
    fn events_of_any_shape_fold() {
        let delta = json!({"reasoningContent": {"text": "t"}, "toolUse": {"input": 1}, "text": 2});
        let start = |start: Value| json!({"contentBlockIndex": 1, "start": start, "delta": delta});
        for odd in
            [json!("f"), json!({"toolUse": "f"}), json!({"reasoningContent": 1}), json!(null)]
        {
            folded(&[Event::new("contentBlockStart", start(odd))]);
        }
    }

    #[test]
    fn a_reasoning_block_has_one_seal_per_use() {
        let (models, memory) = (Models::load(), Remembered::default());
        let thought = json!({"reasoningText": {"text": "t", "signature": "sig"}});
        let content = [json!({"reasoningContent": thought})];
        for question in ["one", "two"] {
            let body = json!({"messages": [{"role": "user", "content": [{"text": question}]}]});
            memory.keep(&content, models.generic(), short(b"a"), &body);
        }
        let seals = memory.seals(&thought);
        assert_eq!(seals.len(), 2);
        assert_ne!(seals[0].spot.prefix, seals[1].spot.prefix);
        let altered = json!({"reasoningText": {"text": "u", "signature": "sig"}});
        assert!(memory.seals(&altered).is_empty());
    }
}
