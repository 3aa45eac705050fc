//! `additionalModelRequestFields`: parameters without a Converse member, sent by the model's own
//! field. The caller's own values there are kept.

use serde_json::{Map, Value, json};

use super::tools::{Calls, Tooling};
use crate::profile::{OneCall, Penalties, Profile, SamplingSupport, TopK, Verbosity};
use crate::{Invalid, Report};

/// The largest penalty that OpenAI accepts; the smallest is its negative.
const MOST_PENALTY: f64 = 2.0;

/// Sampling parameters that only some models support.
pub(crate) struct Extras {
    pub(crate) top_k: Option<i64>,
    pub(crate) frequency_penalty: Option<f64>,
    pub(crate) presence_penalty: Option<f64>,
    pub(crate) seed: Option<i64>,
}

/// Adds the fields that forbid calls, or all but one, where the model has such fields.
pub(crate) fn of_calls(
    tooling: &Tooling<'_>,
    one_call: bool,
    fields: &mut Map<String, Value>,
    profile: &Profile,
) {
    let chosen = tooling.config.as_ref().map(|config| config.tool_choice.is_some());
    match (tooling.calls, chosen) {
        (Calls::Forbidden, Some(_)) => {
            fields.entry("tool_choice").or_insert_with(|| json!({ "type": "none" }));
        }
        (_, None) | (Calls::Unwelcome, Some(_)) => {}
        (Calls::Welcome, Some(is_chosen)) => {
            if one_call {
                let by = if is_chosen { Chosen::ByMember } else { Chosen::ByNobody };
                self::one_call(by, fields, profile);
            }
        }
    }
}

/// Adds the parameters that the model supports to `fields`, and reports the rest.
pub(crate) fn sampling(
    extras: &Extras,
    fields: &mut Map<String, Value>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Invalid> {
    // For every model with the parameter, zero and less disable it.
    if let Some(count) = extras.top_k.filter(|count| *count > 0)
        && !top_k(count, fields, profile)
    {
        report.ignore("top_k");
    }
    for (name, value) in [
        ("frequency_penalty", extras.frequency_penalty),
        ("presence_penalty", extras.presence_penalty),
    ] {
        if let Some(value) = value {
            penalty(name, value, fields, profile, report)?;
        }
    }
    match extras.seed {
        Some(seed) if profile.seed => set(fields, "seed", seed),
        Some(_) => report.ignore("seed"),
        None => {}
    }
    Ok(())
}

/// Requests a verbosity. `medium` is the default of models, and is sent only where the model has a
/// field for it.
pub(crate) fn verbosity(
    wanted: Option<&str>,
    fields: &mut Map<String, Value>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Invalid> {
    let Some(wanted) = wanted else { return Ok(()) };
    if !["low", "medium", "high"].contains(&wanted) {
        let message =
            format!("verbosity must be \"low\", \"medium\" or \"high\", and is {wanted:?}.");
        return Err(Invalid::value("verbosity", message));
    }
    match profile.verbosity {
        Verbosity::Unsaid if wanted == "medium" => {}
        Verbosity::Unsaid => report.ignore("verbosity"),
        Verbosity::Field => set(fields, "verbosity", wanted),
        Verbosity::TextField => {
            let text = fields.entry("text").or_insert_with(|| json!({}));
            match text.as_object_mut() {
                Some(text) => set(text, "verbosity", wanted),
                None => report.ignore("verbosity"),
            }
        }
    }
    Ok(())
}

/// Sets top-k. Returns whether the model has a field for it.
fn top_k(count: i64, fields: &mut Map<String, Value>, profile: &Profile) -> bool {
    match (profile.sampling, profile.top_k) {
        (SamplingSupport::None, _) | (_, TopK::Unsaid) => return false,
        (_, TopK::Field) => set(fields, "top_k", count),
        (_, TopK::K) => set(fields, "k", count),
        (_, TopK::InferenceConfig) => {
            let config = fields.entry("inferenceConfig").or_insert_with(|| json!({}));
            // The caller's value is kept, and is not an object.
            let Some(config) = config.as_object_mut() else { return false };
            set(config, "topK", count);
        }
    }
    true
}

fn penalty(
    name: &'static str,
    value: f64,
    fields: &mut Map<String, Value>,
    profile: &Profile,
    report: &mut Report,
) -> Result<(), Invalid> {
    let code = if value < -MOST_PENALTY {
        Some("decimal_below_min_value")
    } else if value > MOST_PENALTY {
        Some("decimal_above_max_value")
    } else {
        None
    };
    if let Some(code) = code {
        let message = format!("{name} must be between -2 and 2, and is {value}.");
        return Err(Invalid::value(name, message).with_code(code));
    }
    let taken = match profile.penalties {
        Penalties::Unsaid => 0.0,
        Penalties::Signed => value,
        Penalties::Unit => value.clamp(0.0, 1.0),
    };
    if (taken - value).abs() > 0.0 {
        report.ignore(name);
    }
    if taken.abs() > 0.0 {
        set(fields, name, taken);
    }
    Ok(())
}

fn set(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    fields.entry(name).or_insert_with(|| value.into());
}

/// Limits the model to one tool call at a time, where it has a field for it. The field must not
/// repeat the kind of choice that `toolChoice` already states.
pub(crate) fn one_call(chosen: Chosen, fields: &mut Map<String, Value>, profile: &Profile) {
    match profile.one_call {
        OneCall::Unsaid => {}
        OneCall::ParallelField => set(fields, "parallel_tool_calls", false),
        OneCall::ChoiceField => {
            let choice = fields.entry("tool_choice").or_insert_with(|| match chosen {
                Chosen::ByMember => json!({}),
                Chosen::ByNobody => json!({ "type": "auto" }),
            });
            if let Some(choice) = choice.as_object_mut() {
                set(choice, "disable_parallel_tool_use", true);
            }
        }
    }
}

/// The place that states the tool choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// `toolConfig.toolChoice`.
    ByMember,
    /// No place in the request.
    ByNobody,
}
