//! Models and the surfaces that serve them, by id: from AWS's model cards and the maps of other clients on 2026-11-28.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Api, Place, Service};
use crate::{
    delivery::Reply,
    error::Refusal,
    models::{Model, Models, Target, split_prefix},
};

/// Beginning of ids, the base path on mantle, and the APIs on mantle and on the runtime.
struct Row {
    beginning: &'static str,
    base: &'static str,
    mantle: &'static [Api],
    runtime: &'static [Api],
}

const fn row(
    beginning: &'static str,
    base: &'static str,
    mantle: &'static [Api],
    runtime: &'static [Api],
) -> Row {
    Row { beginning, base, mantle, runtime }
}

const BOTH: &[Api] = &[Api::Chat, Api::Responses];

/// The first row whose beginning fits.
const ROWS: [Row; 13] = [
    row("openai.gpt-oss-safeguard", "/v1", &[Api::Chat], &[]),
    row("openai.gpt-oss", "/v1", BOTH, &[Api::Chat]),
    row("openai.gpt-5.4", "/openai/v1", &[Api::Responses], &[Api::Responses]),
    row("openai.gpt-5.5", "/openai/v1", &[Api::Responses], &[Api::Responses]),
    row("openai.gpt-5.6-cyber", "/openai/v1", &[Api::Responses], &[]),
    row("openai.gpt-daybreak", "/openai/v1", &[Api::Responses], &[]),
    row("openai.gpt-", "/openai/v1", BOTH, BOTH),
    row("xai.grok-4.3", "/openai/v1", BOTH, &[]),
    row("xai.grok-", "/openai/v1", BOTH, &[Api::Chat]),
    row("google.gemma-4-", "/openai/v1", BOTH, &[]),
    row("anthropic.claude-", "/anthropic/v1", &[Api::Messages], &[Api::Messages]),
    row("emulator.", "/v1", BOTH, BOTH),
    row("", "/v1", &[Api::Chat], &[]),
];

/// Models that mantle alone serves, and no other path knows.
const MANTLE_ONLY: [&str; 8] = [
    "openai.gpt-5.6-cyber",
    "openai.gpt-daybreak-blue-5.6-sol",
    "xai.grok-4.3",
    "google.gemma-4-31b",
    "google.gemma-4-26b-a4b",
    "google.gemma-4-e2b",
    "deepseek.v3.1",
    "moonshotai.kimi-k2-thinking",
];

/// Whether an id names an inference profile or is an ARN.
pub(super) fn is_profile(id: &str) -> bool {
    id.starts_with("arn:") || split_prefix(id).0.is_some()
}

/// The model of an id, as the service reads it. Formats and strict tools are members of these APIs for all models.
pub(super) fn target(
    models: &Models,
    id: &str,
    service: Service,
    region: Option<&str>,
) -> Result<Target, Refusal> {
    let unknown = || {
        let message = format!("The model '{id}' does not exist");
        Refusal::new(404, "ResourceNotFoundException", message)
    };
    let target = match service {
        Service::Runtime => models.resolve(id, region)?,
        Service::Mantle if id.starts_with("emulator.") => models.resolve(id, region)?,
        Service::Mantle if is_profile(id) => return Err(unknown()),
        Service::Mantle => {
            let versioned = [format!("{id}-1:0"), format!("{id}-v1:0")];
            let found =
                [id, &versioned[0], &versioned[1]].into_iter().find_map(|id| models.find(id));
            let dated = || models.all().iter().find(|model| dated(&model.id, id));
            let only = || MANTLE_ONLY.contains(&id).then(|| models.generic());
            let model = found.or_else(dated).or_else(only).ok_or_else(unknown)?;
            Target { model: Arc::clone(model), prompt: false, directive: None }
        }
    };
    let model = Arc::new(target.model.with(&["format", "strict", "seed"]));
    Ok(Target { model, ..target })
}

/// Whether an id is a name with a date and a version behind it: Claude's older ones.
fn dated(id: &str, name: &str) -> bool {
    let date = id.strip_prefix(name).and_then(|rest| rest.strip_prefix("-20"));
    date.is_some_and(|rest| rest.ends_with("-v1:0"))
}

/// Checks that a model is served at a path.
pub(super) fn served(base: &str, id: &str, service: Service, place: Place) -> Result<(), Refusal> {
    // A model without facts of its own is named by its id.
    let name = if base.starts_with("emulator.") { id } else { base };
    let Some(row) = ROWS.iter().find(|row| name.starts_with(row.beginning)) else { return Ok(()) };
    let (apis, at_base) = match service {
        Service::Runtime => (row.runtime, true),
        Service::Mantle => (row.mantle, place.path.starts_with(row.base)),
    };
    if !apis.contains(&place.api) {
        let path = place.path.strip_prefix("/openai").unwrap_or(place.path);
        let message = format!("The model '{id}' does not support the '{path}' API");
        return Err(Refusal::validation(message));
    }
    if !at_base {
        let message = format!("model `{id}` isn't supported on this route");
        return Err(Refusal::validation(message));
    }
    Ok(())
}

/// The list of models on mantle.
pub(in crate::routes) fn list(models: &Models) -> Reply {
    let known = models.all().iter().map(|model| model.id.as_str()).filter(|id| {
        let row = ROWS.iter().find(|row| id.starts_with(row.beginning));
        row.is_some_and(|row| !row.beginning.is_empty())
    });
    let ids = known.map(without_version).chain(MANTLE_ONLY);
    let data: Vec<Value> = ids
        .map(|id| json!({ "id": id, "object": "model", "created": 1_764_460_800, "owned_by": "system" }))
        .collect();
    Reply::json(200, &json!({ "object": "list", "data": data }))
}

fn without_version(id: &str) -> &str {
    id.strip_suffix("-1:0").or(id.strip_suffix("-v1:0")).unwrap_or(id)
}

impl Model {
    /// The same model with further flags.
    fn with(&self, flags: &[&str]) -> Self {
        let mut model = self.clone();
        for flag in flags {
            model.add(flag);
        }
        model
    }
}
