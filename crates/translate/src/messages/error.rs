//! Failures in Anthropic's terms: a status and a kind that its clients know, and a message that names the
//! field first.

use std::borrow::Cow;

use schema::anthropic::error::{Envelope, ErrorBody, ErrorDetails};

use super::limits::NO_THREADS;
use crate::answer_stream::StreamFailure;

/// A failure in Anthropic's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagesError<'e> {
    /// HTTP status.
    pub status: u16,
    /// The error's `type`.
    pub kind: &'static str,
    /// The error's `message`.
    pub message: Cow<'e, str>,
    /// Facts that clients act on.
    pub details: Option<ErrorDetails>,
}

/// Status of an overloaded service.
const OVERLOADED: u16 = 529;

/// Codes of failures that pass when the service has room again.
const OVERLOADS: [&str; 3] = ["server_is_overloaded", "model_not_ready", "gateway_overloaded"];
/// Code of a budget that is spent.
const BUDGET: &str = "insufficient_quota";
const MISSING: &str = "missing_required_parameter";
const TOO_LONG: &str = "context_length_exceeded";
/// Beginning of a message from which clients read how much to leave out.
const PROMPT_TOO_LONG: &str = "prompt is too long: ";

impl<'e> MessagesError<'e> {
    /// The failure that a stream or a response ends with.
    pub fn of(failure: &StreamFailure<'e>) -> Self {
        let StreamFailure { status, kind: _, code, param, message, retry_after_ms: _ } = *failure;
        let is = |known: &str| code == Some(known);
        let status = match status {
            _ if OVERLOADS.iter().any(|code| is(code)) => OVERLOADED,
            502 => 500,
            other => other,
        };
        let kind = match status {
            _ if is(BUDGET) => "billing_error",
            OVERLOADED => "overloaded_error",
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        };
        if is(TOO_LONG) {
            return Self { status, kind, message: too_long(message), details: None };
        }
        let details = is(NO_THREADS)
            .then_some(ErrorDetails { error_code: NO_THREADS, unsupported: &["thread"] });
        Self { status, kind, message: told(param, message, is(MISSING)), details }
    }

    /// The body of a response, or the data of an event.
    pub fn envelope<'b>(&'b self, request_id: Option<&'b str>) -> Envelope<'b> {
        let error = ErrorBody { kind: self.kind, message: &self.message, details: self.details };
        Envelope { kind: "error", error, request_id }
    }
}

/// The message, after the path of the field in Anthropic's notation. Messages that clients recognise by
/// their beginning stay as they are.
fn told<'e>(param: Option<&str>, message: &'e str, is_missing: bool) -> Cow<'e, str> {
    let Some(param) = param.filter(|_| !is_recognised(message)) else {
        return Cow::Borrowed(message);
    };
    let path = param.replace('[', ".").replace(']', "");
    if is_missing {
        return Cow::Owned(format!("{path}: Field required"));
    }
    let message = match message.split_once("': ") {
        // The field was named already, in the other notation.
        Some((beginning, rest)) if beginning.ends_with(param) => rest,
        _ => message,
    };
    if message.starts_with(&format!("{path}:")) {
        return Cow::Owned(message.to_owned());
    }
    Cow::Owned(format!("{path}: {message}"))
}

/// The message of a prompt that is too long, with the number of its tokens and the largest number. A
/// prompt that the service has not counted is at least one token too long.
fn too_long(message: &str) -> Cow<'_, str> {
    let with_numbers = message.find(PROMPT_TOO_LONG).and_then(|at| {
        let numbers = message.get(at + PROMPT_TOO_LONG.len()..)?;
        let (tokens, rest) = numbers.split_once(" tokens > ")?;
        Some((number(tokens)?, number(rest)?))
    });
    let most = || {
        let (_, rest) = message.split_once("maximum context length is ")?;
        number(rest).map(|most| (most.saturating_add(1), most))
    };
    match with_numbers.or_else(most) {
        Some((tokens, most)) => {
            Cow::Owned(format!("{PROMPT_TOO_LONG}{tokens} tokens > {most} maximum"))
        }
        None => Cow::Owned(format!("{PROMPT_TOO_LONG}{message}")),
    }
}

/// The number at the beginning of a text.
fn number(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// Returns whether clients act on the text.
fn is_recognised(message: &str) -> bool {
    ["input length and `max_tokens`", "max_tokens: "]
        .iter()
        .any(|beginning| message.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        status: u16,
        code: &str,
        param: Option<&str>,
        message: &str,
    ) -> (u16, &'static str, String) {
        let failure = StreamFailure {
            status,
            kind: "x",
            code: Some(code),
            param,
            message,
            retry_after_ms: None,
        };
        let MessagesError { status, kind, message, details: _ } = MessagesError::of(&failure);
        (status, kind, message.into_owned())
    }

    #[test]
    fn a_refused_thread_has_the_details_that_clients_act_on() {
        let failure = StreamFailure {
            status: 400,
            kind: "x",
            code: Some(NO_THREADS),
            param: Some("thread"),
            message: "send all messages",
            retry_after_ms: None,
        };
        let error = MessagesError::of(&failure);
        let body = serde_json::to_value(error.envelope(Some("req_1"))).unwrap();
        assert_eq!(
            body["error"],
            serde_json::json!({
                "type": "invalid_request_error",
                "message": "thread: send all messages",
                "details": {"error_code": NO_THREADS, "unsupported": ["thread"]},
            })
        );
    }

    #[test]
    fn every_failure_has_a_status_and_a_kind_of_anthropics() {
        for (given, code, status, kind) in [
            (400, "invalid_value", 400, "invalid_request_error"),
            (400, "insufficient_quota", 400, "billing_error"),
            (401, "401", 401, "authentication_error"),
            (402, "x", 402, "billing_error"),
            (403, "403", 403, "permission_error"),
            (404, "model_not_found", 404, "not_found_error"),
            (408, "request_timeout", 408, "invalid_request_error"),
            (413, "request_too_large", 413, "request_too_large"),
            (429, "rate_limit_exceeded", 429, "rate_limit_error"),
            (500, "internal_error", 500, "api_error"),
            (502, "upstream_truncated", 500, "api_error"),
            (503, "server_is_overloaded", 529, "overloaded_error"),
            (503, "model_not_ready", 529, "overloaded_error"),
            (503, "credentials_unavailable", 503, "api_error"),
            (503, "shutting_down", 503, "api_error"),
            (504, "upstream_timeout", 504, "timeout_error"),
        ] {
            let (found, name, _) = of(given, code, None, "m");
            assert_eq!((found, name), (status, kind), "{given} {code}");
        }
    }

    #[test]
    fn messages_name_the_field_first() {
        let told = |code, param, message| of(400, code, Some(param), message).2;
        assert_eq!(
            told("missing_required_parameter", "messages[0].content", "x"),
            "messages.0.content: Field required"
        );
        assert_eq!(
            told("invalid_type", "top_p", "Invalid request at 'top_p': invalid type: string."),
            "top_p: invalid type: string."
        );
        assert_eq!(told("invalid_value", "tools[1].type", "No."), "tools.1.type: No.");
        let long = "prompt is too long: 3 tokens > 2 maximum";
        let said = format!("This model's maximum context length is exceeded. Bedrock says: {long}");
        assert_eq!(told("context_length_exceeded", "messages", &said), long);
        let uncounted = "This model's maximum context length is 200000 tokens; shorten it.";
        assert_eq!(
            told("context_length_exceeded", "messages", uncounted),
            "prompt is too long: 200001 tokens > 200000 maximum"
        );
    }
}
