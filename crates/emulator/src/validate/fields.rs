//! Sampling parameters among the additional fields. A model accepts those of its own body; one of another
//! family is an extraneous key.

use serde_json::Value;

use crate::error::Refusal;
use crate::models::{Family, Model};

/// Parameters that some families accept and others refuse.
const SAMPLING: [&str; 6] =
    ["top_k", "k", "frequency_penalty", "presence_penalty", "seed", "logit_bias"];

pub(super) fn check(model: &Model, body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.get("additionalModelRequestFields") else { return Ok(()) };
    let taken: &[&str] = match model.family {
        Family::Claude => &["top_k"],
        Family::Cohere => &["k", "frequency_penalty", "presence_penalty", "seed"],
        _ if model.id.starts_with("ai21.jamba") => &["frequency_penalty", "presence_penalty"],
        // An account's own model may be of any family.
        _ if model.has("thoughts") => &SAMPLING,
        _ => &[],
    };
    for name in SAMPLING {
        let Some(value) = fields.get(name) else { continue };
        if !taken.contains(&name) {
            let problem = format!("extraneous key [{name}] is not permitted");
            return Err(Refusal::malformed("#", &problem));
        }
        let is_penalty = name.ends_with("_penalty");
        let unit = model.family == Family::Cohere && is_penalty;
        if unit && value.as_f64().is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(Refusal::malformed(&format!("#/{name}"), "expected a number from 0 to 1"));
        }
    }
    let nested = fields.pointer("/inferenceConfig/topK").is_some();
    if nested && !matches!(model.family, Family::Nova) {
        return Err(Refusal::malformed("#", "extraneous key [inferenceConfig] is not permitted"));
    }
    Ok(())
}
