//! The service tier of a call, and the models and guardrails that the service cannot serve.

use schema::converse::request::{ServiceTier, Tier};

use serde_json::value::RawValue;

use crate::profile::{self, Profile};
use crate::{Invalid, Report};

/// The tier of a call. `auto` leaves the choice to the service, which chooses the default tier;
/// Bedrock lacks OpenAI's other tiers, and not every model is served in every tier.
pub(crate) fn service_tier(
    asked: Option<&str>,
    profile: &Profile,
    report: &mut Report,
) -> Option<ServiceTier> {
    let tier = match asked? {
        "auto" | "default" => return Some(ServiceTier { kind: Tier::Default }),
        "flex" => Some((profile::ServiceTier::Flex, Tier::Flex)),
        // OpenAI too answers `fast` as `priority`.
        "priority" | "fast" => Some((profile::ServiceTier::Priority, Tier::Priority)),
        "reserved" => Some((profile::ServiceTier::Reserved, Tier::Reserved)),
        _ => None,
    };
    let Some((_, kind)) = tier.filter(|(tier, _)| profile.tiers.contains(tier)) else {
        report.ignore("service_tier");
        return None;
    };
    Some(ServiceTier { kind })
}

/// Refuses a model that Converse does not serve.
pub(crate) fn served(profile: &Profile) -> Result<(), Invalid> {
    if profile.embedding.is_some() {
        let message = "This is an embedding model and does not chat: send its texts to POST /v1/embeddings, or name a model that chats (GET /v1/models, capabilities.chat).";
        return Err(Invalid::value("model", message).with_code("model_not_supported"));
    }
    if profile.converse {
        return Ok(());
    }
    if profile.rerank.is_some() {
        let message = "This is a reranker and does not chat: send its query and documents to POST /v1/rerank, or name a model that chats (GET /v1/models, capabilities.chat).";
        return Err(Invalid::value("model", message).with_code("model_not_supported"));
    }
    if profile.image.is_some() {
        let message = "This model makes images and does not chat: use POST /v1/images/generations or /v1/images/edits, or name a model that chats (GET /v1/models, capabilities.chat).";
        return Err(Invalid::value("model", message).with_code("model_not_supported"));
    }
    let message = "This model is not served by Converse, and its own body is not known here: call it by InvokeModel, POST /bedrock/model/{modelId}/invoke.";
    Err(Invalid::value("model", message).with_code("model_not_supported"))
}

/// Refuses guardrails requested by another gateway's body field: the named guardrails are not
/// applied here, and a caller who requests them must not get an answer without them.
pub(crate) fn named_guardrails(named: Option<&RawValue>) -> Result<(), Invalid> {
    match named.map(RawValue::get) {
        None | Some("[]" | "{}" | "false") => Ok(()),
        Some(_) => Err(Invalid::value(
            "guardrails",
            "Guardrails cannot be chosen by this field. Name one of Bedrock's in guardrail_config, or \
             have the gateway's configuration apply it.",
        )),
    }
}
