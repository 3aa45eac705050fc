//! When a model reasons, what it thinks, and the signatures that let it recognise its own thoughts
//! when a client sends them back.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    json::text,
    models::{Family, Model, Reasoning},
    sigv4::hmac,
};

const KEY: &[u8] = b"the emulator signs what it thought itself";
const MARK: &[u8] = b"\x12\x30emulator";

/// Text that makes Claude answer with redacted reasoning, as its documentation offers for tests.
const REDACTION_TRIGGER: &str = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING";

/// A model's thoughts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thought {
    Plain {
        text: String,
        signature: Option<String>,
    },
    /// Base64 of something only the provider can read.
    Redacted(String),
}

/// Whether `body` makes `model` reason.
pub(crate) fn wanted(model: &Model, body: &Value) -> bool {
    let fields = body.get("additionalModelRequestFields").unwrap_or(&Value::Null);
    let kind = fields.pointer("/thinking/type").and_then(Value::as_str);
    let effort = text(fields, "reasoning_effort");
    let nested = fields.pointer("/reasoning/effort").and_then(Value::as_str);
    match model.reasoning {
        Reasoning::Never => false,
        Reasoning::Budget => kind == Some("enabled"),
        Reasoning::BudgetOrAdaptive | Reasoning::AdaptiveOptIn => {
            matches!(kind, Some("enabled" | "adaptive"))
        }
        // Forcing a tool switches thinking off where it is only on by default.
        Reasoning::AdaptiveOn => kind != Some("disabled") && (kind.is_some() || !forces_tool(body)),
        Reasoning::AdaptiveBetweenTools => !matches!(kind, Some("between_tools" | "disabled")),
        Reasoning::AdaptiveAlways
        | Reasoning::EffortAlways
        | Reasoning::NestedAlways
        | Reasoning::Native => true,
        Reasoning::NovaConfig => {
            fields.pointer("/reasoningConfig/type").and_then(Value::as_str) == Some("enabled")
        }
        Reasoning::Effort => effort != "none",
        Reasoning::EffortHighOnly => effort == "high",
        Reasoning::Nested => nested.is_some_and(|effort| effort != "none"),
        Reasoning::ConfigString => text(fields, "reasoning_config") == "high",
    }
}

/// What `model` thinks about `asked`.
pub(crate) fn thought(model: &Model, body: &Value, asked: &str) -> Thought {
    if model.family == Family::Claude && asked.contains(REDACTION_TRIGGER) {
        // The service encodes the provider's own base64 once more.
        return Thought::Redacted(STANDARD.encode(STANDARD.encode(hmac(KEY, asked.as_bytes()))));
    }
    let display = body.pointer("/additionalModelRequestFields/thinking/display");
    let omitted = display.and_then(Value::as_str) == Some("omitted");
    let words = asked.split_whitespace().count();
    let text = if omitted {
        String::new()
    } else {
        let noun = if words == 1 { "word" } else { "words" };
        format!(
            "The user wrote {words} {noun}. I have nothing to look up, so I will answer from what I was given."
        )
    };
    let signature = (model.family == Family::Claude).then(|| signature(&text));
    Thought::Plain { text, signature }
}

/// Whether a replayed block is one this emulator issued, unmodified.
pub(crate) fn is_own(text: &str, signed: &str) -> bool {
    signature(text) == signed
}

fn signature(text: &str) -> String {
    let mut bytes = MARK.to_vec();
    bytes.extend(hmac(KEY, text.as_bytes()));
    STANDARD.encode(bytes)
}

fn forces_tool(body: &Value) -> bool {
    body.pointer("/toolConfig/toolChoice/any").is_some()
        || body.pointer("/toolConfig/toolChoice/tool").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_thought_is_not_recognised() {
        let signed = signature("I think");
        assert!(is_own("I think", &signed));
        assert!(!is_own("I thought", &signed));
        assert!(!is_own("I think", "RXNz"));
    }
}
