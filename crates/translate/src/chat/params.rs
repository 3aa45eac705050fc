//! The scalar parameters of a chat request, as the inputs that the shared parts take.

use schema::openai::chat::ChatRequest;

use crate::parts::model_fields::Extras;
use crate::parts::params::Sampling;
use crate::parts::request_metadata::MetadataFields;

/// The limits and sampling parameters.
pub(super) fn sampling<'a>(request: &'a ChatRequest<'a>) -> Sampling<'a> {
    let limit = request.max_completion_tokens.map(|limit| ("max_completion_tokens", limit));
    Sampling {
        max_tokens: limit.or(request.max_tokens.map(|limit| ("max_tokens", limit))),
        temperature: request.temperature,
        top_p: request.top_p,
        stop: request.stop.as_ref().map(|stop| ("stop", stop.sequences())),
    }
}

/// The sampling parameters that only some models support.
pub(super) fn extras(request: &ChatRequest<'_>) -> Extras {
    Extras {
        top_k: request.top_k,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        seed: request.seed,
    }
}

/// The metadata fields.
pub(super) fn metadata<'a>(request: &'a ChatRequest<'a>) -> MetadataFields<'a> {
    MetadataFields {
        user: request.user.as_deref(),
        safety_identifier: request.safety_identifier.as_deref(),
        metadata: request.metadata.as_ref(),
        request_metadata: request.request_metadata.as_ref(),
    }
}
