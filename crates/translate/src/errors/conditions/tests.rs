//! Refusals in the service's wording, and the advice on them.

use super::super::{explain, from_exception};
use super::*;

fn notes() -> Notes {
    Notes {
        model: "a.model".to_owned(),
        region: "eu-west-1".to_owned(),
        is_known: true,
        profiles_allowed: true,
        ..Notes::default()
    }
}

#[test]
fn context_overflow_is_recognised_in_all_its_wordings() {
    for text in [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 208310 tokens > 200000 maximum",
        "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        "The model returned the following errors: input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again",
        "prompt tokens (210000) exceed model maximum (131072)",
        "Input tokens exceed the configured limit of 272000 tokens.",
        "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt",
        "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 17000",
        "The input token count exceeds the limit",
    ] {
        let error = from_exception("ValidationException", 400, text);
        assert_eq!(error.code, Some("context_length_exceeded"), "{text}");
        assert_eq!((error.status, error.param), (400, Some("messages")));
        assert!(error.message.starts_with("This model's maximum context length is"), "{text}");
        assert!(error.message.contains(text));
    }
    let known = Notes { context: Some(300_000), ..notes() };
    let error =
        explain("ValidationException", 400, "Input is too long for requested model.", &known);
    assert!(error.message.starts_with("This model's maximum context length is 300000 tokens"));
}

#[test]
fn load_is_never_mistaken_for_a_property_of_the_model() {
    for (name, status, text) in [
        ("ThrottlingException", 429, "Too many input tokens, please wait before trying again."),
        (
            "ServiceUnavailableException",
            503,
            "The model is not available in this region right now.",
        ),
    ] {
        let error = explain(name, status, text, &notes());
        assert_eq!((error.status, error.message.as_str()), (status, text));
    }
    assert_eq!(Condition::of(400, "Bad guardrail in this region"), None);
    assert_eq!(Condition::of(400, "The model answered a guardrail in this region"), None);
    assert_eq!(Condition::of(403, "Input is too long"), None);
}

/// Exception, its status and message; the facts about the model; the client's status, and a
/// required part of the message.
#[rustfmt::skip]
const FIRST: &[(&str, u16, &str, Known, u16, &str)] = &[
    ("AccessDeniedException", 403, "You don't have access to the model with the specified model ID.", Known::Plain, 403, "request access"),
    ("ValidationException", 400, "a.model is not supported for inference in your account", Known::Plain, 403, "use-case form"),
    ("ResourceNotFoundException", 404, "Model use case details have not been submitted for this account.", Known::Plain, 403, "eu-west-1"),
    ("AccessDeniedException", 403, "User is not authorized to perform: bedrock:InvokeModel on resource: x", Known::Plain, 403, "bedrock:InvokeModelWithResponseStream"),
    ("ValidationException", 400, "The model is not available in this region", Known::Elsewhere, 404, "us.a.model"),
    ("ValidationException", 400, "The provided model identifier is invalid.", Known::Elsewhere, 404, "us.a.model"),
    ("ValidationException", 400, "The provided model identifier is invalid.", Known::Nothing, 404, "check its name"),
    ("ValidationException", 400, "Invocation of model ID a.model with on-demand throughput isn\u{2019}t supported.", Known::Forbidden, 400, "call eu.a.model, or allow it"),
    ("ValidationException", 400, "Invocation of model ID a.model with on-demand throughput isn't supported.", Known::Elsewhere, 400, "it has us.a.model"),
    ("ResourceNotFoundException", 404, "This model version has reached the end of its life.", Known::Ended, 404, "call eu.a.newer instead"),
    ("ResourceNotFoundException", 404, "Access denied. This Model is marked by provider as Legacy and you have not been actively using the model in the last 15 days.", Known::Ended, 404, "2026-07-30"),
];

/// The facts about the refused model.
#[derive(Debug, Clone, Copy)]
enum Known {
    Plain,
    Nothing,
    /// It has profiles, but none for this region.
    Elsewhere,
    /// It has a profile for this region, which the gateway may not choose.
    Forbidden,
    Ended,
}

impl Known {
    fn notes(self) -> Notes {
        match self {
            Self::Plain => notes(),
            Self::Nothing => Notes { is_known: false, ..notes() },
            Self::Elsewhere => Notes { profiles: vec!["us.a.model".to_owned()], ..notes() },
            Self::Forbidden => {
                let profile_here = Some("eu.a.model".to_owned());
                Notes { profile_here, profiles_allowed: false, ..notes() }
            }
            Self::Ended => Notes {
                has_ended: true,
                end_of_life: Some("2026-07-30".to_owned()),
                successor: Some("eu.a.newer".to_owned()),
                ..notes()
            },
        }
    }
}

#[test]
fn each_common_refusal_says_what_to_do() {
    for &(name, status, text, known, expected, hint) in FIRST {
        let error = explain(name, status, text, &known.notes());
        assert_eq!((error.status, error.param), (expected, Some("model")), "{text}");
        assert!(error.message.contains(hint), "{hint}: {}", error.message);
        assert!(error.message.contains(text.trim_end_matches('.')), "{}", error.message);
        let without = from_exception(name, status, text);
        assert_eq!((without.status, without.code), (error.status, error.code), "{text}");
        assert!(without.message.len() > text.len(), "{}", without.message);
    }
}

#[test]
fn refusals_about_past_reasoning_are_recognised() {
    for message in [
        "messages.1.content.0: this thinking block is bound to a different conversation",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "messages.1.content.1: Invalid `data` in `redacted_thinking` block",
        "messages.3.content.2: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
    ] {
        assert!(is_about_thoughts(400, message), "{message}");
        assert!(!is_about_thoughts(403, message), "{message}");
    }
    for message in [
        "The request signature we calculated is invalid",
        "thinking.budget_tokens: Invalid value",
        "Your account is bound to another region",
    ] {
        assert!(!is_about_thoughts(400, message), "{message}");
    }
}
