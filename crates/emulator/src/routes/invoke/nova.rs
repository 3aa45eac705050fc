//! Nova's own body, which is nearly that of Converse.

use serde_json::{Value, json};

use super::metrics;
use crate::model::{Answer, Prompt, events};

/// The body as a Converse request.
pub(super) fn question(body: &Value) -> Value {
    let mut converse = body.clone();
    let Value::Object(members) = &mut converse else { return converse };
    members.shift_remove("schemaVersion");
    if let Some(Value::Object(config)) = members.get_mut("inferenceConfig") {
        let renamed = [
            ("max_new_tokens", "maxTokens"),
            ("top_p", "topP"),
            ("stop_sequences", "stopSequences"),
        ];
        for (native, name) in renamed {
            if let Some(value) = config.shift_remove(native) {
                config.insert(name.into(), value);
            }
        }
        for native in ["topK", "top_k", "reasoningConfig"] {
            config.shift_remove(native);
        }
    }
    converse
}

/// The complete answer.
pub(super) fn response(answer: &Answer, prompt: &Prompt<'_>) -> Value {
    let mut response = answer.unary(prompt);
    if let Value::Object(members) = &mut response {
        members.shift_remove("metrics");
    }
    response
}

/// The answer in chunks, one event each.
pub(super) fn chunks(answer: &Answer, prompt: &Prompt<'_>) -> Vec<Value> {
    let mut chunks: Vec<Value> = events::of(answer, prompt)
        .into_iter()
        .map(|event| json!({ event.name: event.payload }))
        .collect();
    if let Some(last) = chunks.last_mut() {
        last["amazon-bedrock-invocationMetrics"] = metrics(answer);
    }
    chunks
}
