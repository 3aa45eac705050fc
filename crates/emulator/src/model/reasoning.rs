//! Reasoning of a model: its conditions, its frequency in one answer, and its content.

use serde_json::Value;

use crate::{
    json::{items, text},
    models::{Family, Model, Reasoning},
};

/// Text that makes Claude answer with redacted reasoning, as its documentation offers for tests.
const REDACTION_TRIGGER: &str = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING";

/// A reasoning block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thought {
    Plain {
        text: String,
        signature: Option<String>,
    },
    /// Base64 that only the provider can read.
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
        // Forced tool use disables reasoning that is on only by default.
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

/// Whether `model` reasons again between the parts of one answer. Observed with high effort; models with a
/// budget need a beta for it.
pub(crate) fn interleaves(model: &Model, body: &Value) -> bool {
    let fields = body.get("additionalModelRequestFields").unwrap_or(&Value::Null);
    let effort = fields.pointer("/output_config/effort").or(body.pointer("/outputConfig/effort"));
    let much = matches!(effort.and_then(Value::as_str), Some("high" | "xhigh" | "max"));
    let budget = fields.pointer("/thinking/type").and_then(Value::as_str) == Some("enabled");
    let beta = items(fields, "anthropic_beta")
        .iter()
        .any(|beta| beta.as_str().is_some_and(|beta| beta.starts_with("interleaved-thinking")));
    model.family == Family::Claude && wanted(model, body) && if budget { beta } else { much }
}

/// The `index`th reasoning block of `model` in its answer to `asked`. It is signed when the answer is
/// complete.
pub(crate) fn thought(model: &Model, body: &Value, asked: &str, index: usize) -> Thought {
    let triggered = model.family == Family::Claude && asked.contains(REDACTION_TRIGGER);
    // Every second reasoning block of an answer stays readable.
    if model.has("sealed") || (triggered && index.is_multiple_of(2)) {
        return Thought::Redacted(String::new());
    }
    let display = body.pointer("/additionalModelRequestFields/thinking/display");
    let omitted = display.and_then(Value::as_str) == Some("omitted");
    let words = asked.split_whitespace().count();
    let text = if omitted {
        String::new()
    } else if index == 0 {
        let noun = if words == 1 { "word" } else { "words" };
        format!(
            "The user wrote {words} {noun}. I have nothing to look up, so I will answer from what I was given."
        )
    } else {
        format!("That was part {index}. I go on with the next one.")
    };
    let signature = (model.family == Family::Claude).then(String::new);
    Thought::Plain { text, signature }
}

fn forces_tool(body: &Value) -> bool {
    body.pointer("/toolConfig/toolChoice/any").is_some()
        || body.pointer("/toolConfig/toolChoice/tool").is_some()
}
