//! The fields of a request besides its conversation, tools and settings.

use schema::openai::responses::item::Item;
use schema::openai::responses::request::{ConversationRef, ResponsesRequest};
use serde_json::value::RawValue;

use super::settings::{InForce, SCHEMA};
use super::shortened;
use crate::chat::limits::{MESSAGES, entries, schema};
use crate::dialect::KnownState;
use crate::parts::model_fields::Extras;
use crate::parts::request_metadata::MetadataFields;
use crate::{Invalid, Report};

/// The member of `include` that asks for capsules of reasoning.
const CAPSULES: &str = "reasoning.encrypted_content";

/// Refuses requests over the limits.
pub(super) fn within_limits(request: &ResponsesRequest<'_>) -> Result<(), Invalid> {
    entries(super::INPUT, request.items().len(), MESSAGES)?;
    schema(InForce::of(request).schema(), || SCHEMA.to_owned())
}

/// Refuses what needs state that is not known: an answer without it would lack the conversation.
pub(super) fn supported(request: &ResponsesRequest<'_>, known: KnownState) -> Result<(), Invalid> {
    let refused = |param: &'static str, message: &str| {
        Err(Invalid::value(param, message.to_owned()).with_code("unsupported_parameter"))
    };
    let previous = request.previous_response_id.as_deref();
    if previous.is_some() && conversation(request).is_some() {
        let message = "previous_response_id and conversation are mutually exclusive.";
        return Err(Invalid::value("previous_response_id", message));
    }
    if let Some(id) = previous.filter(|id| !id.is_empty() && !known.is_continued) {
        let message = format!("Previous response with id '{}' not found.", shortened(id));
        return Err(Invalid::value("previous_response_id", message)
            .with_code("previous_response_not_found"));
    }
    if let Some(id) = conversation(request).filter(|_| !known.is_continued) {
        let message = format!("Conversation with id '{}' not found.", shortened(id));
        return Err(Invalid::value("conversation", message).with_code("conversation_not_found"));
    }
    if request.background == Some(true) && !(known.stores && request.store != Some(false)) {
        return refused(
            "background",
            "The background parameter is not supported for a response that is not stored.",
        );
    }
    Ok(())
}

/// The id of the conversation that a request belongs to.
pub(super) fn conversation<'r>(request: &'r ResponsesRequest<'_>) -> Option<&'r str> {
    request.conversation.as_ref().map(ConversationRef::id).filter(|id| !id.is_empty())
}

fn is_set(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "{}" | "[]" | "\"\""))
}

/// Reports the fields that ask for something other than the default and that cannot be honoured
/// here. Destructured without `..`: a new field does not compile until it is decided whether it is
/// honoured (`_` here) or reported.
pub(super) fn without_effect(
    request: &ResponsesRequest<'_>,
    known: KnownState,
    report: &mut Report,
) {
    let ResponsesRequest {
        model: _,
        input: _,
        instructions: _,
        stream: _,
        stream_options: _,
        tools: _,
        tool_choice: _,
        parallel_tool_calls: _,
        // Only OpenAI's own tools are counted.
        max_tool_calls: _,
        max_output_tokens: _,
        temperature: _,
        top_p: _,
        stop: _,
        top_logprobs,
        reasoning,
        text: _,
        include,
        truncation,
        store,
        previous_response_id: _,
        conversation: _,
        background: _,
        context_management,
        prompt: _,
        metadata: _,
        service_tier: _,
        safety_identifier: _,
        user: _,
        prompt_cache_key: _,
        prompt_cache_options: _,
        prompt_cache_retention,
        moderation,
        image,
        access_programs,
        // Agents always send it, and it asks for nothing.
        client_metadata: _,
        top_k: _,
        seed: _,
        frequency_penalty: _,
        presence_penalty: _,
        cache_control: _,
        additional_model_request_fields: _,
        additional_model_response_field_paths: _,
        guardrail_config: _,
        guardrails: _,
        performance_config: _,
        request_metadata: _,
        anthropic_beta: _,
        tags,
        extra,
    } = request;
    let includes = |name: &str| include.iter().flatten().any(|included| included == name);
    let mode = reasoning.as_ref().and_then(|reasoning| reasoning.mode.as_deref());
    let fields = [
        ("top_logprobs", top_logprobs.is_some_and(|count| count > 0)),
        ("include.message.output_text.logprobs", includes("message.output_text.logprobs")),
        ("reasoning.mode", mode.is_some_and(|mode| mode != "standard")),
        ("truncation", truncation.as_deref().is_some_and(|kind| kind != "disabled")),
        ("store", *store == Some(true) && !known.stores),
        ("context_management", is_set(*context_management)),
        (
            "prompt_cache_retention",
            prompt_cache_retention.as_deref().is_some_and(|kept| kept != "in_memory"),
        ),
        ("moderation", is_set(*moderation)),
        ("image", is_set(*image)),
        ("access_programs", is_set(*access_programs)),
        ("tags", tags.is_some()),
    ];
    let extra = extra.names().map(|field| (field, true));
    for (field, _) in fields.into_iter().chain(extra).filter(|(_, present)| *present) {
        report.ignore(field);
    }
    for item in request.items() {
        if let Item::Unknown(kind) = item {
            report.ignore(&format!("input.{kind}"));
        }
    }
}

/// Returns whether the client asks for capsules of reasoning.
pub(super) fn includes_capsules(request: &ResponsesRequest<'_>) -> bool {
    request.include.iter().flatten().any(|included| included == CAPSULES)
}

/// The requested tier; OpenAI has a name more for the fastest.
pub(super) fn tier<'a>(request: &'a ResponsesRequest<'_>) -> Option<&'a str> {
    match request.service_tier.as_deref() {
        Some("ultrafast") => Some("priority"),
        tier => tier,
    }
}

/// The sampling parameters that only some models support.
pub(super) fn extras(request: &ResponsesRequest<'_>) -> Extras {
    Extras {
        top_k: request.top_k,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        seed: request.seed,
    }
}

/// The metadata fields.
pub(super) fn metadata<'a>(request: &'a ResponsesRequest<'_>) -> MetadataFields<'a> {
    MetadataFields {
        user: request.user.as_deref(),
        safety_identifier: request.safety_identifier.as_deref(),
        metadata: request.metadata.as_ref(),
        request_metadata: request.request_metadata.as_ref(),
    }
}
