//! The control plane: lists of models and inference profiles.

use serde_json::{Map, Value, json};

use super::{Request, State};
use crate::{
    delivery::Reply,
    error::Refusal,
    models::{ACCOUNT, Lifecycle, Model, PROFILED, Purpose, serves},
};

/// The one application inference profile of this account.
const APPLICATION: &str = "emulator0001";
const SINCE: &str = "2026-01-15T12:00:00Z";

/// ListFoundationModels.
pub(super) fn foundation_models(state: &State, request: &Request<'_>) -> Reply {
    let wanted = |name: &str| request.parameter(name);
    let (provider, output) = (wanted("byProvider"), wanted("byOutputModality"));
    let (inference, customization) = (wanted("byInferenceType"), wanted("byCustomizationType"));
    let models = state.models.all().iter();
    let summaries: Vec<Value> = models
        .filter(|model| model.status != Lifecycle::Eol && customization.is_none())
        .filter(|model| {
            provider.as_deref().is_none_or(|name| model.provider.eq_ignore_ascii_case(name))
        })
        .map(|model| summary(model, request.region()))
        .filter(|summary| lists(summary, "outputModalities", output.as_deref()))
        .filter(|summary| lists(summary, "inferenceTypesSupported", inference.as_deref()))
        .collect();
    Reply::json(200, &json!({ "modelSummaries": summaries }))
}

/// GetFoundationModel.
pub(super) fn foundation_model(
    state: &State,
    request: &Request<'_>,
    id: &str,
) -> Result<Reply, Refusal> {
    let id = id.rsplit('/').next().unwrap_or(id);
    let model = state.models.find(id).filter(|model| model.status != Lifecycle::Eol);
    let Some(model) = model else {
        return Err(Refusal::new(
            404,
            "ResourceNotFoundException",
            "Could not resolve the foundation model from the provided model identifier.",
        ));
    };
    Ok(Reply::json(200, &json!({ "modelDetails": summary(model, request.region()) })))
}

/// ListInferenceProfiles, in pages.
pub(super) fn inference_profiles(state: &State, request: &Request<'_>) -> Result<Reply, Refusal> {
    let kind = request.parameter("type").or_else(|| request.parameter("typeEquals"));
    let size = match request.parameter("maxResults") {
        None => 100,
        Some(text) => match text.parse::<usize>() {
            Ok(size) if (1..=1_000).contains(&size) => size,
            _ => {
                return Err(Refusal::validation(format!(
                    "1 validation error detected: Value '{text}' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 1000"
                )));
            }
        },
    };
    let start = match request.parameter("nextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|at| at.parse::<usize>().ok())
            .ok_or_else(|| Refusal::validation("The provided nextToken is invalid."))?,
    };
    let all: Vec<Value> = profiles(state, request.region())
        .into_iter()
        .filter(|profile| kind.as_deref().is_none_or(|kind| profile["type"].as_str() == Some(kind)))
        .collect();
    let page: Vec<&Value> = all.iter().skip(start).take(size).collect();
    let mut answer = json!({ "inferenceProfileSummaries": page });
    if start + size < all.len() {
        answer["nextToken"] = json!(format!("page-{}", start + size));
    }
    Ok(Reply::json(200, &answer))
}

/// GetInferenceProfile, by id or ARN.
pub(super) fn inference_profile(
    state: &State,
    request: &Request<'_>,
    id: &str,
) -> Result<Reply, Refusal> {
    let name = id.rsplit('/').next().unwrap_or(id);
    let known = profiles(state, request.region())
        .into_iter()
        .find(|profile| profile["inferenceProfileId"].as_str() == Some(name));
    // Every well-formed application profile exists, as it does for calls.
    let found = known.or_else(|| {
        let application = id.starts_with("arn:") && id.contains(":application-inference-profile/");
        application.then(|| application_profile(request.region(), name))
    });
    match found {
        Some(profile) => Ok(Reply::json(200, &profile)),
        None => Err(Refusal::new(
            404,
            "ResourceNotFoundException",
            format!("The inference profile {id} could not be found."),
        )),
    }
}

fn lists(summary: &Value, member: &str, wanted: Option<&str>) -> bool {
    let listed = summary[member].as_array();
    wanted.is_none_or(|wanted| {
        listed.is_some_and(|values| values.iter().any(|value| value.as_str() == Some(wanted)))
    })
}

fn summary(model: &Model, region: &str) -> Value {
    let kinds = [('t', "TEXT"), ('i', "IMAGE"), ('v', "VIDEO"), ('a', "SPEECH")];
    let inputs: Vec<&str> =
        kinds.iter().filter(|(letter, _)| model.sees(*letter)).map(|(_, name)| *name).collect();
    let mut inference = Vec::new();
    if !model.profile_only {
        inference.push("ON_DEMAND");
    }
    if !model.prefixes.is_empty() {
        inference.push("INFERENCE_PROFILE");
    }
    let mut lifecycle = Map::new();
    let legacy = model.status == Lifecycle::Legacy;
    lifecycle.insert("status".into(), json!(if legacy { "LEGACY" } else { "ACTIVE" }));
    json!({
        "modelId": model.id,
        "modelArn": model.arn(region),
        "modelName": model.name,
        "providerName": model.provider,
        "inputModalities": inputs,
        "outputModalities": [model.purpose.modality()],
        "responseStreamingSupported": model.purpose == Purpose::Chat,
        "customizationsSupported": [],
        "inferenceTypesSupported": inference,
        "modelLifecycle": lifecycle,
    })
}

/// All profiles that can be called from `region`, AWS's before the account's own.
fn profiles(state: &State, region: &str) -> Vec<Value> {
    let models = state.models.all().iter().filter(|model| model.status != Lifecycle::Eol);
    let mut profiles: Vec<Value> = models
        .flat_map(|model| model.prefixes.iter().map(move |prefix| (prefix, model)))
        .filter(|(prefix, _)| serves(prefix, region))
        .map(|(prefix, model)| system_profile(prefix, model, region))
        .collect();
    profiles.push(application_profile(region, APPLICATION));
    profiles
}

fn system_profile(prefix: &str, model: &Model, region: &str) -> Value {
    let id = format!("{prefix}.{}", model.id);
    let place = if prefix == "global" { "Global".to_owned() } else { prefix.to_ascii_uppercase() };
    json!({
        "inferenceProfileId": id,
        "inferenceProfileArn": format!("arn:aws:bedrock:{region}:{ACCOUNT}:inference-profile/{id}"),
        "inferenceProfileName": format!("{place} {}", model.name),
        "description": format!("Routes requests to {} in {place} regions.", model.name),
        "models": [{ "modelArn": model.arn(region) }],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
        "createdAt": SINCE,
        "updatedAt": SINCE,
    })
}

fn application_profile(region: &str, name: &str) -> Value {
    json!({
        "inferenceProfileId": name,
        "inferenceProfileArn":
            format!("arn:aws:bedrock:{region}:{ACCOUNT}:application-inference-profile/{name}"),
        "inferenceProfileName": "emulator-application",
        "description": "Counts the tokens of one application.",
        "models": [{ "modelArn": format!("arn:aws:bedrock:{region}::foundation-model/{PROFILED}") }],
        "status": "ACTIVE",
        "type": "APPLICATION",
        "createdAt": SINCE,
        "updatedAt": SINCE,
    })
}
