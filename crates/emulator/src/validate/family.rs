//! Refusals of single model families: sampling, reasoning, efforts, formats.

use serde_json::Value;

use super::{blocks, caching, grammar, thoughts::first_is_thought};
use crate::{
    error::Refusal,
    json::{items, text},
    model::structured,
    models::{Family, Model, Reasoning},
};

/// Checks a request against the row of its model.
pub(super) fn check(model: &Model, body: &Value) -> Result<(), Refusal> {
    sampling(model, body)?;
    length(model, body)?;
    tier(model, body)?;
    stops(model, body)?;
    thinking(model, body)?;
    efforts(model, body)?;
    super::fields::check(model, body)?;
    caching::check(model, body)?;
    format(model, body)?;
    citations(model, body)
}

fn sampling(model: &Model, body: &Value) -> Result<(), Refusal> {
    let config = body.get("inferenceConfig").unwrap_or(&Value::Null);
    let fields = body.get("additionalModelRequestFields").unwrap_or(&Value::Null);
    let set = |name: &str| config.get(name).is_some_and(|value| !value.is_null());
    if model.has("no-sampling") {
        for (sent, name) in [
            (set("temperature"), "temperature"),
            (set("topP"), "top_p"),
            (fields.get("top_k").is_some(), "top_k"),
        ] {
            if sent {
                return Err(Refusal::from_model(&format!(
                    "`{name}` is deprecated for this model."
                )));
            }
        }
    }
    if model.has("one-sampling") && set("temperature") && set("topP") {
        return Err(Refusal::from_model(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ));
    }
    Ok(())
}

fn length(model: &Model, body: &Value) -> Result<(), Refusal> {
    let Some(most) = body.pointer("/inferenceConfig/maxTokens").and_then(Value::as_u64) else {
        return Ok(());
    };
    if most > model.max_output {
        return Err(Refusal::validation(format!(
            "The maximum tokens you requested exceeds the model limit of {limit}. Try again with a maximum tokens value that is lower than {limit}.",
            limit = model.max_output
        )));
    }
    if model.has("min16") && most < 16 {
        return Err(Refusal::from_model(&format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {most} instead."
        )));
    }
    Ok(())
}

/// Some models are not served in every tier.
fn tier(model: &Model, body: &Value) -> Result<(), Refusal> {
    match body.pointer("/serviceTier/type").and_then(Value::as_str) {
        Some(tier) if tier != "default" && !model.has(tier) => Err(Refusal::validation(format!(
            "This model doesn't support the service tier {tier}. Update serviceTier.type and try again."
        ))),
        _ => Ok(()),
    }
}

fn stops(model: &Model, body: &Value) -> Result<(), Refusal> {
    let config = body.get("inferenceConfig").unwrap_or(&Value::Null);
    let stops = items(config, "stopSequences");
    if model.has("no-stop") && !stops.is_empty() {
        return Err(Refusal::validation(
            "This model doesn't support the stopSequences field. Remove stopSequences and try again.",
        ));
    }
    let blank = stops.iter().any(|stop| stop.as_str().is_some_and(|stop| stop.trim().is_empty()));
    if model.family == Family::Claude && blank {
        return Err(Refusal::from_model(
            "stop_sequences: each stop sequence must contain non-whitespace",
        ));
    }
    Ok(())
}

/// Claude's `thinking`, which the other families do not support.
fn thinking(model: &Model, body: &Value) -> Result<(), Refusal> {
    let Some(thinking) = body.pointer("/additionalModelRequestFields/thinking") else {
        return Ok(());
    };
    if model.family != Family::Claude {
        // Only R1 is known to refuse unknown fields.
        return if model.id.starts_with("deepseek.r1") {
            Err(Refusal::malformed("#", "extraneous key [thinking] is not permitted"))
        } else {
            Ok(())
        };
    }
    let kind = text(thinking, "type");
    let allowed: &[&str] = match model.reasoning {
        Reasoning::Budget => &["enabled", "disabled"],
        Reasoning::BudgetOrAdaptive => &["enabled", "adaptive", "disabled"],
        Reasoning::AdaptiveOptIn | Reasoning::AdaptiveOn => &["adaptive", "disabled"],
        Reasoning::AdaptiveAlways => &["adaptive"],
        Reasoning::AdaptiveBetweenTools => &["adaptive", "between_tools"],
        Reasoning::Never
        | Reasoning::NovaConfig
        | Reasoning::Effort
        | Reasoning::EffortHighOnly
        | Reasoning::EffortAlways
        | Reasoning::Nested
        | Reasoning::NestedAlways
        | Reasoning::ConfigString
        | Reasoning::Native => &["disabled"],
    };
    if !allowed.contains(&kind) {
        return Err(Refusal::from_model(&format!(
            "\"thinking.type.{kind}\" is not supported for this model. Supported values: {}.",
            allowed.join(", ")
        )));
    }
    if matches!(kind, "enabled" | "adaptive") {
        with_thinking(model, body, thinking)?;
    }
    Ok(())
}

fn with_thinking(model: &Model, body: &Value, thinking: &Value) -> Result<(), Refusal> {
    let config = body.get("inferenceConfig").unwrap_or(&Value::Null);
    if text(thinking, "type") == "enabled" {
        let budget = thinking.get("budget_tokens").and_then(Value::as_u64).unwrap_or_default();
        if budget < 1_024 {
            return Err(Refusal::from_model(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        let most = config.get("maxTokens").and_then(Value::as_u64).unwrap_or(model.max_output);
        if budget >= most {
            return Err(Refusal::from_model(
                "`max_tokens` must be greater than `thinking.budget_tokens`.",
            ));
        }
    }
    let temperature = config.get("temperature").and_then(Value::as_f64);
    if temperature.is_some_and(|value| (value - 1.0).abs() > f64::EPSILON) {
        return Err(Refusal::from_model(
            "`temperature` may only be set to 1 when thinking is enabled.",
        ));
    }
    if config.get("topP").and_then(Value::as_f64).is_some_and(|value| value < 0.95) {
        return Err(Refusal::from_model(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
        ));
    }
    let opt_in = matches!(
        model.reasoning,
        Reasoning::Budget | Reasoning::BudgetOrAdaptive | Reasoning::AdaptiveOptIn
    );
    let forced = ["any", "tool"]
        .iter()
        .any(|kind| body.pointer(&format!("/toolConfig/toolChoice/{kind}")).is_some());
    // Only Opus 4.8 may reason while a tool is forced.
    if opt_in && forced && !model.id.contains("opus-4-8") {
        return Err(Refusal::from_model(
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    // Adaptive reasoning accepts turns without their reasoning blocks.
    if text(thinking, "type") == "enabled" { first_is_thought(body) } else { Ok(()) }
}

/// The effort fields of the other families.
fn efforts(model: &Model, body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.get("additionalModelRequestFields").filter(|fields| fields.is_object())
    else {
        return Ok(());
    };
    let flat = fields.get("reasoning_effort").and_then(Value::as_str);
    let nested = fields.pointer("/reasoning/effort").and_then(Value::as_str);
    let refused = |name: &str, value: &str| {
        Err(Refusal::from_model(&format!(
            "Invalid value: '{value}' is not supported for '{name}'."
        )))
    };
    match (model.reasoning, flat) {
        (Reasoning::Effort, Some(value)) if model.id.contains("gpt-oss") => {
            if matches!(value, "low" | "medium" | "high") {
                Ok(())
            } else {
                refused("reasoning_effort", value)
            }
        }
        (Reasoning::Nested | Reasoning::NestedAlways, Some(value)) => {
            refused("reasoning_effort", value)
        }
        (Reasoning::Native, Some(_)) if model.family == Family::DeepSeek => {
            Err(Refusal::malformed("#", "extraneous key [reasoning_effort] is not permitted"))
        }
        (Reasoning::NestedAlways, None) if nested == Some("none") => {
            refused("reasoning.effort", "none")
        }
        (Reasoning::Nested, None) => {
            let refuses = model.value("refuses").unwrap_or_default();
            match nested.filter(|effort| refuses.split('/').any(|value| value == *effort)) {
                Some(effort) => refused("reasoning.effort", effort),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn format(model: &Model, body: &Value) -> Result<(), Refusal> {
    let strict = body
        .get("toolConfig")
        .map(|config| items(config, "tools"))
        .unwrap_or_default()
        .iter()
        .any(|tool| tool.pointer("/toolSpec/strict").and_then(Value::as_bool) == Some(true));
    if strict && !model.has("strict") {
        return Err(Refusal::validation(
            "This model doesn't support the toolConfig.tools.toolSpec.strict field. Remove toolConfig.tools.toolSpec.strict and try again.",
        ));
    }
    let Some(schema) = structured::demanded(body) else { return Ok(()) };
    if !model.has("format") {
        return Err(Refusal::from_model("output_config.format: Extra inputs are not permitted"));
    }
    let native = body.pointer("/additionalModelRequestFields/output_config/format/type");
    if native.is_some_and(|kind| kind != "json_schema") {
        return Err(Refusal::from_model(
            "output_config.format.type: Input should be 'json_schema'",
        ));
    }
    match schema {
        Ok(schema) if schema.is_object() => grammar::check(&schema),
        _ => Err(Refusal::validation(
            "The value at outputConfig.textFormat.structure.jsonSchema.schema is not valid JSON. Update the schema and try again.",
        )),
    }
}

fn citations(model: &Model, body: &Value) -> Result<(), Refusal> {
    let wanted = blocks(body).any(|place| {
        place.content.pointer("/document/citations/enabled").and_then(Value::as_bool) == Some(true)
    });
    if wanted && !model.has("cite") {
        return Err(Refusal::validation(
            "This model doesn't support the citations field. Remove citations and try again.",
        ));
    }
    Ok(())
}
