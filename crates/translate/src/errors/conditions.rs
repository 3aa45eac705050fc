//! The commonest refusals, recognised by their wording, each with advice. AWS's own text comes
//! first in the message, so that it can still be searched for.

use super::{ApiError, INVALID};

/// Facts about the refused model, from the calling crate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The id of the model in the call.
    pub model: String,
    /// The region of the call.
    pub region: String,
    /// Whether the catalogue lists the model.
    pub is_known: bool,
    /// Whether the model is past the end of its life.
    pub has_ended: bool,
    /// The date of its end of life, as `2026-07-30`.
    pub end_of_life: Option<String>,
    /// The recommended replacement.
    pub successor: Option<String>,
    /// Inference profiles of the model, in any geography.
    pub profiles: Vec<String>,
    /// The inference profile for this region.
    pub profile_here: Option<String>,
    /// Whether the gateway may choose a profile on its own.
    pub profiles_allowed: bool,
    /// Context window of the model, in tokens.
    pub context: Option<u64>,
    /// Similar names, where the model is unknown.
    pub near: Vec<String>,
}

/// The meaning of a refusal whose message says more than its exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The prompt exceeds the context window.
    TooLong,
    /// The account has no access to the model.
    NoAccess,
    /// The gateway's role lacks a permission.
    NotPermitted,
    /// The model is not offered in the region.
    NotHere,
    /// The model is only served through inference profiles.
    ProfileOnly,
    /// The model is past the end of its life, or closed to new callers before it.
    EndOfLife,
    /// The model does not exist.
    UnknownModel,
}

/// Wordings in lower case with straight apostrophes, the most specific first. Sources: the
/// service's own refusals as recorded or quoted in issues of open clients, 2026-11-21; the last of
/// `TooLong` are providers' texts that Bedrock relays.
const WORDINGS: &[(Condition, &[&str])] = &[
    (
        Condition::ProfileOnly,
        &["on-demand throughput isn't supported", "on-demand throughput is not supported"],
    ),
    (
        Condition::EndOfLife,
        &["end of its life", "end of life", "end-of-life", "marked by provider as legacy"],
    ),
    (
        Condition::NoAccess,
        &[
            "not supported for inference in your account",
            "don't have access to the model",
            "do not have access to the model",
            "use case details have not been submitted",
            "is not available for this account",
            "model access is denied",
            "aws marketplace",
        ],
    ),
    (
        Condition::NotHere,
        &[
            "in this region",
            "in your region",
            "in the current region",
            "isn't available in the region",
            "is not available in the region",
        ],
    ),
    (Condition::NotPermitted, &["is not authorized to perform"]),
    (
        Condition::UnknownModel,
        &["model identifier is invalid", "could not resolve the foundation model"],
    ),
    (
        Condition::TooLong,
        &[
            "input is too long",
            "prompt is too long",
            "input tokens exceed",
            "too many input tokens",
            "input token count exceeds",
            "number of input tokens exceeds",
            "maximum context length",
            "exceed model maximum",
            "exceeds the model's context",
            "exceed context limit",
            "context window",
            "exceeds the maximum number of tokens",
            "exceeds the maximum length",
            "too many total text bytes",
            "reduce the length of the messages",
            "reduce the length of the prompt",
        ],
    ),
];

/// Refusals of content, by the service's filters or by a provider whose text Bedrock relays.
/// Sources: the service's documentation of image and text models, issues of open clients,
/// 2026-11-21.
const BLOCKED: &[&str] = &[
    "blocked by our content filters",
    "blocked by content filtering policy",
    "blocked by guardrail",
    "conflict our aup or aws responsible ai policy",
];

/// Refusals of a token limit above the model's maximum output. Sources: the service's
/// documentation, the text of providers that Bedrock relays, 2026-11-21.
const ABOVE_THE_LIMIT: &[&str] = &[
    "maximum tokens you requested exceeds the model limit",
    "which is the maximum allowed number of output tokens",
];

/// Refusals of a model by Converse. Sources: the service's documentation and issues of open clients, 2026-11-28.
const NOT_CONVERSE: &[&str] = &[
    "support the converse api",
    "support the converseapi",
    "action doesn't support the model",
    "try again with a supported text or chat model",
];

/// Whether a refusal says that Converse does not serve the model.
pub(super) fn is_about_converse(message: &str) -> bool {
    let text = message.to_ascii_lowercase().replace('\u{2019}', "'");
    NOT_CONVERSE.iter().any(|wording| text.contains(wording))
}

/// Returns whether a refusal is about a token limit above the model's own.
pub(super) fn is_about_the_limit(message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    ABOVE_THE_LIMIT.iter().any(|wording| text.contains(wording))
}

/// Returns whether a refusal is about the content rather than the form of a request.
pub fn is_about_content(status: u16, message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    status == 400 && BLOCKED.iter().any(|wording| text.contains(wording))
}

/// Scope of a refused answer grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrammarRefusal {
    /// The model supports no grammar, for any schema.
    Model,
    /// This schema.
    Schema,
}

/// Wordings in lower case. Sources: refusals by Claude on Bedrock after which litellm 1.110
/// retries, and the service's own wording for members that a model does not support, 2026-11-28.
const NO_GRAMMAR: &[(GrammarRefusal, &[&str])] = &[
    (
        GrammarRefusal::Model,
        &[
            "output_config.format: extra inputs are not permitted",
            "output_config: extra inputs are not permitted",
            "support the outputconfig",
            "support outputconfig",
            "support structured output",
            "structured output is not supported",
            "structured outputs are not supported",
        ],
    ),
    (
        GrammarRefusal::Schema,
        &[
            "output_config.format.schema",
            "outputconfig.textformat.structure",
            "schema is too complex",
            "compiled grammar is too large",
        ],
    ),
];

/// The scope of the refusal, if it is about the answer grammar.
pub fn refuses_grammar(status: u16, message: &str) -> Option<GrammarRefusal> {
    let text = message.to_ascii_lowercase();
    let said = |wordings: &[&str]| wordings.iter().any(|wording| text.contains(wording));
    let found = NO_GRAMMAR.iter().find(|(_, wordings)| status == 400 && said(wordings));
    found.map(|(refusal, _)| *refusal)
}

/// Refusals of betas in a model's own body, and of members that need one. Sources: issues of open clients,
/// 2026-04 to 2026-11.
const NO_BETA: &[&str] = &["invalid beta flag", "extra inputs are not permitted"];

/// Returns whether a refusal is about a beta, or a member that the model does not have.
pub fn refuses_betas(status: u16, message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    status == 400 && NO_BETA.iter().any(|wording| text.contains(wording))
}

/// Returns whether a refusal is about past reasoning: it belongs to another conversation, stands in
/// another place than originally, has a signature of another service, or was encrypted for another account. (Sources: platform
/// documentation "Preserved thinking" and issues of open clients, 2026-06 to 2026-11.)
pub fn is_about_thoughts(status: u16, message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    let is_bound =
        text.contains("bound to") && (text.contains("different") || text.contains("another"));
    let is_moved = text.contains("thinking") && text.contains("cannot be modified");
    let is_foreign = ["invalid `signature` in `thinking`", "invalid `data` in `redacted_thinking`"]
        .iter()
        .any(|wording| text.contains(wording));
    // OpenAI's code, and the text that comes with it.
    let is_sealed = text.contains("invalid_encrypted_content")
        || text.contains("encrypted content") && text.contains("could not be");
    let names_thoughts = ["thinking", "reasoning", "block", "signature"];
    let is_of_thoughts = names_thoughts.iter().any(|word| text.contains(word));
    status == 400 && (is_sealed || (is_bound || is_moved || is_foreign) && is_of_thoughts)
}

/// Wordings that must also occur for the region to be the reason.
const NOT_OFFERED: &[&str] =
    &["not available", "isn't available", "not supported", "isn't supported", "unavailable"];

impl Condition {
    /// Recognises a refusal by AWS's message. `status` is that of the exception: overload and
    /// throttling are never about the model, independent of the text.
    pub fn of(status: u16, message: &str) -> Option<Self> {
        if !(400..=404).contains(&status) {
            return None;
        }
        let text = message.to_ascii_lowercase().replace('\u{2019}', "'");
        let said = |wordings: &[&str]| wordings.iter().any(|wording| text.contains(wording));
        let found =
            WORDINGS.iter().find(|(_, wordings)| said(wordings)).map(|(found, _)| *found)?;
        // Only a request can be too long; only a model can be missing from a region.
        let fits = match found {
            Self::TooLong => status == 400,
            Self::NotHere => text.contains("model") && said(NOT_OFFERED),
            _ => true,
        };
        fits.then_some(found)
    }
}

/// Adds the meaning of a condition and the advice after AWS's text.
pub(super) fn advise(error: &ApiError, condition: Condition, notes: Option<&Notes>) -> ApiError {
    let (status, code, param) = match condition {
        Condition::TooLong => (400, Some("context_length_exceeded"), "messages"),
        Condition::NoAccess | Condition::NotPermitted => {
            (403, Some("insufficient_permissions"), "model")
        }
        Condition::NotHere | Condition::EndOfLife | Condition::UnknownModel => {
            (404, Some("model_not_found"), "model")
        }
        Condition::ProfileOnly => (400, Some("model_not_supported"), "model"),
    };
    let message = match condition {
        Condition::TooLong => too_long(&error.message, notes),
        _ => format!("{} {}", sentence(&error.message), advice(condition, notes)),
    };
    ApiError { status, kind: INVALID, code, param: Some(param), message }
}

/// Clients match on the first words of this message, so AWS's text comes second.
fn too_long(said: &str, notes: Option<&Notes>) -> String {
    let limit = match notes.and_then(|notes| notes.context) {
        Some(tokens) => format!("{tokens} tokens"),
        None => "exceeded".to_owned(),
    };
    format!(
        "This model's maximum context length is {limit}; shorten the messages or lower max_tokens. Bedrock says: {said}"
    )
}

fn sentence(said: &str) -> String {
    let said = said.trim_end();
    if said.ends_with(['.', '!', '?']) { said.to_owned() } else { format!("{said}.") }
}

fn advice(condition: Condition, notes: Option<&Notes>) -> String {
    let model = notes.map_or("this model", |notes| notes.model.as_str());
    let place = match notes {
        Some(notes) => format!("in {}", notes.region),
        None => "in this region".to_owned(),
    };
    match condition {
        Condition::NoAccess => format!(
            "The gateway's AWS account has no access to {model} {place}: open the model in the Bedrock console of that region and request access (some providers want a one-time use-case form, others a Marketplace agreement), wait a few minutes, try again."
        ),
        Condition::NotPermitted => format!(
            "The gateway's role may not call {model} {place}: allow it bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on the model and, for an inference profile, on the profile and on the model in every region it leads to; an organisation's policy may forbid it too."
        ),
        Condition::ProfileOnly => profile_only(model, &place, notes),
        Condition::EndOfLife => ended(model, notes),
        Condition::NotHere | Condition::UnknownModel => missing(model, &place, notes),
        // Worded by `too_long`.
        Condition::TooLong => String::new(),
    }
}

fn profile_only(model: &str, place: &str, notes: Option<&Notes>) -> String {
    let Some(notes) = notes else {
        return "Name an inference profile of the model instead.".to_owned();
    };
    match (&notes.profile_here, notes.profiles_allowed) {
        (Some(profile), false) => format!(
            "{model} is only served through inference profiles, and the gateway may not choose one (models.cross_region is never): call {profile}, or allow it."
        ),
        (None, false) => format!(
            "{model} is only served through inference profiles, and the gateway may not choose one (models.cross_region is never): name one that may be called {place}, or allow it."
        ),
        (Some(profile), true) => {
            format!("{model} is only served through inference profiles; {profile} did not answer.")
        }
        (None, true) if notes.profiles.is_empty() => format!(
            "{model} is only served through inference profiles, and none is known that may be called {place}."
        ),
        (None, true) => format!(
            "{model} is only served through inference profiles, and none of them may be called {place}; it has {}.",
            notes.profiles.join(", ")
        ),
    }
}

fn ended(model: &str, notes: Option<&Notes>) -> String {
    let Some(notes) = notes else { return "Call a newer model.".to_owned() };
    let day = notes.end_of_life.as_ref();
    let day = day.map_or(String::new(), |day| format!(" (end of life {day})"));
    match &notes.successor {
        Some(successor) => format!("{model}{day} is no longer served: call {successor} instead."),
        None => format!("{model}{day} is no longer served: GET /v1/models lists what is."),
    }
}

fn missing(model: &str, place: &str, notes: Option<&Notes>) -> String {
    const LIST: &str = "GET /v1/models lists what can be called.";
    let Some(notes) = notes.filter(|notes| notes.is_known) else {
        let meant = did_you_mean(notes.map(|notes| notes.near.as_slice()).unwrap_or_default());
        return format!("No model {model} can be called {place}: check its name; {LIST}{meant}");
    };
    if notes.has_ended {
        return ended(model, Some(notes));
    }
    match &notes.profile_here {
        Some(profile) if *profile != notes.model => {
            format!("{model} is not offered {place} under this id: call {profile}.")
        }
        _ if notes.profiles.is_empty() => {
            format!("{model} is not offered {place}: use another region or another model; {LIST}")
        }
        _ => format!(
            "{model} is not offered {place}; it has {}, each for its own geography. {LIST}",
            notes.profiles.join(", ")
        ),
    }
}

/// A question to append to a sentence; empty if there is no similar name.
pub fn did_you_mean(near: &[String]) -> String {
    let names: Vec<_> = near.iter().map(|name| format!("{name:?}")).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" Did you mean {one}?"),
        [some @ .., last] => format!(" Did you mean {} or {last}?", some.join(", ")),
    }
}

#[cfg(test)]
mod tests;
