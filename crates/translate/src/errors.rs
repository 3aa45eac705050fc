//! Bedrock's exceptions as OpenAI errors: one table, plus the messages that mean something narrower
//! than their exception says (`conditions`). AWS's message text is kept, without account ids and
//! roles.

use std::borrow::Cow;

mod conditions;

pub use conditions::{
    Condition, GrammarRefusal, Notes, did_you_mean, is_about_content, is_about_thoughts,
    refuses_betas, refuses_grammar,
};
use conditions::{advise, is_about_converse, is_about_the_limit};

/// An error in the form that an OpenAI client expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, unused once a response has begun.
    pub status: u16,
    /// The envelope's `type`.
    pub kind: &'static str,
    /// The envelope's `code`.
    pub code: Option<&'static str>,
    /// The envelope's `param`.
    pub param: Option<&'static str>,
    /// The envelope's `message`.
    pub message: String,
}

const INVALID: &str = "invalid_request_error";
const RATE: &str = "rate_limit_error";
const SERVER: &str = "server_error";
const UNAVAILABLE: &str = "service_unavailable_error";

/// Exception, status for the client, type, code. Sources: botocore's service model for the names,
/// OpenAI's error guide for the right-hand side.
#[rustfmt::skip]
const TABLE: &[(&str, u16, &str, Option<&str>)] = &[
    ("ValidationException",                400, INVALID,     None),
    ("ConflictException",                  400, INVALID,     None),
    ("AccessDeniedException",              403, INVALID,     Some("insufficient_permissions")),
    ("ResourceNotFoundException",          404, INVALID,     Some("model_not_found")),
    ("UnknownOperationException",          404, INVALID,     Some("model_not_found")),
    ("ThrottlingException",                429, RATE,        Some("rate_limit_exceeded")),
    ("ServiceQuotaExceededException",      429, RATE,        Some("rate_limit_exceeded")),
    ("ModelTimeoutException",              504, SERVER,      Some("model_timeout")),
    ("ModelErrorException",                502, SERVER,      Some("model_error")),
    ("ModelStreamErrorException",          502, SERVER,      Some("model_error")),
    ("ModelNotReadyException",             503, UNAVAILABLE, Some("model_not_ready")),
    ("InternalServerException",            500, SERVER,      Some("internal_error")),
    ("ServiceUnavailableException",        503, UNAVAILABLE, Some("server_is_overloaded")),
    // The gateway's own credentials are at fault, not the caller's request, so never 401 or 403.
    ("UnrecognizedClientException",        503, UNAVAILABLE, Some("credentials_unavailable")),
    ("InvalidClientTokenId",               503, UNAVAILABLE, Some("credentials_unavailable")),
    ("ExpiredTokenException",              503, UNAVAILABLE, Some("credentials_unavailable")),
    ("InvalidSignatureException",          503, UNAVAILABLE, Some("credentials_unavailable")),
    ("SignatureDoesNotMatch",              503, UNAVAILABLE, Some("credentials_unavailable")),
    ("IncompleteSignatureException",       503, UNAVAILABLE, Some("credentials_unavailable")),
    ("MissingAuthenticationTokenException",503, UNAVAILABLE, Some("credentials_unavailable")),
    ("RequestTimeTooSkewed",               503, UNAVAILABLE, Some("credentials_unavailable")),
];

/// The client's error for a Bedrock exception, given by its name (in-stream names begin in lower
/// case), its HTTP status (0 inside a stream) and its message.
pub fn from_exception(name: &str, status: u16, message: &str) -> ApiError {
    translated(name, status, message, None)
}

/// As [`from_exception`], with notes on the model: refusals that concern the model say what to do
/// next.
pub fn explain(name: &str, status: u16, message: &str, notes: &Notes) -> ApiError {
    translated(name, status, message, Some(notes))
}

fn translated(name: &str, status: u16, message: &str, notes: Option<&Notes>) -> ApiError {
    let row = TABLE.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    let (status, kind, code) =
        row.map_or_else(|| unknown(status), |&(_, status, kind, code)| (status, kind, code));
    let message = mask(message);
    let message = if message.is_empty() { name.to_owned() } else { message.into_owned() };
    let error = ApiError { status, kind, code, param: None, message };
    match Condition::of(error.status, &error.message) {
        Some(condition) => advise(&error, condition, notes),
        None => refine(error, name),
    }
}

/// The next step where a model is not served by Converse.
const OTHER_OPERATIONS: &str = " Embedding models are called at POST /v1/embeddings, all others by InvokeModel, POST /bedrock/model/{modelId}/invoke.";

/// Classifies an exception that the table does not list by its status alone.
fn unknown(status: u16) -> (u16, &'static str, Option<&'static str>) {
    match status {
        429 => (429, RATE, Some("rate_limit_exceeded")),
        503 => (503, UNAVAILABLE, Some("server_is_overloaded")),
        // The caller cannot resolve these conditions.
        401 | 403 | 407 | 424 => (502, SERVER, Some("upstream_error")),
        400..=499 => (status, INVALID, None),
        _ => (502, SERVER, Some("upstream_error")),
    }
}

fn refine(mut error: ApiError, name: &str) -> ApiError {
    if error.code == Some("credentials_unavailable") {
        error.message = format!(
            "The gateway's AWS credentials were refused ({name}): {} {}",
            error.message,
            remedy(name, &error.message)
        );
    } else if error.code == Some("model_not_found") {
        error.param = Some("model");
    } else if error.status == 400 && is_about_the_limit(&error.message) {
        error.code = Some("integer_above_max_value");
        error.param = Some("max_tokens");
    } else if error.status == 400 && is_about_converse(&error.message) {
        error.code = Some("model_not_supported");
        error.param = Some("model");
        error.message.push_str(OTHER_OPERATIONS);
    }
    error
}

/// Advice to the operator about refused credentials.
fn remedy(name: &str, message: &str) -> &'static str {
    let is = |part: &str| name.to_ascii_lowercase().contains(part);
    if is("skewed") || message.contains("Signature expired") || message.contains("not yet current")
    {
        "Its operator sets the clock of its machine right."
    } else if is("expired") {
        "Its operator renews them: `aws sso login` for SSO, new values for temporary keys; roles renew themselves."
    } else {
        "Its operator checks the access key, its secret and session token, or the Bedrock API key, and that they belong to this partition."
    }
}

/// Removes account ids (12 digits) and IAM or STS ARNs from an AWS message.
pub fn mask(message: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(message);
    if message.contains("arn:aws") {
        masked = Cow::Owned(mask_roles(message));
    }
    if has_account(&masked) {
        masked = Cow::Owned(mask_accounts(&masked));
    }
    masked
}

fn mask_roles(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("arn:aws") {
        let (before, arn) = rest.split_at(at);
        let end = arn
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ')' | ']' | '}'))
            .unwrap_or(arn.len());
        let (arn, after) = arn.split_at(end);
        out.push_str(before);
        let service = arn.split(':').nth(2).unwrap_or_default();
        if matches!(service, "iam" | "sts") {
            out.push_str("<masked ARN>");
        } else {
            out.push_str(arn);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn has_account(message: &str) -> bool {
    digit_runs(message).any(|(_, run)| run.len() == 12)
}

fn mask_accounts(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut written = 0;
    for (at, run) in digit_runs(message).filter(|(_, run)| run.len() == 12) {
        out.push_str(&message[written..at]);
        out.push_str("<account>");
        written = at + run.len();
    }
    out.push_str(&message[written..]);
    out
}

/// Maximal runs of ASCII digits with their positions.
fn digit_runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(|c: char| c.is_ascii_digit())?;
        let rest = &text[start..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        from = start + end;
        Some((start, &rest[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_maps_in_header_and_in_stream_spelling() {
        for &(name, status, kind, code) in TABLE {
            let in_stream = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
            for spelling in [name, &in_stream] {
                let error = from_exception(spelling, 418, "words");
                assert_eq!((error.status, error.kind, error.code), (status, kind, code), "{name}");
                assert!(error.message.contains("words"), "{name}");
            }
        }
    }

    #[test]
    fn unknown_exceptions_follow_their_status() {
        assert_eq!(from_exception("Newer", 429, "").status, 429);
        assert_eq!(from_exception("Newer", 422, "").kind, INVALID);
        assert_eq!(from_exception("Newer", 599, "").status, 502);
        assert_eq!(from_exception("Newer", 0, "").code, Some("upstream_error"));
    }

    #[test]
    fn refused_credentials_tell_the_operator_what_to_do() {
        for (name, message, hint) in [
            (
                "ExpiredTokenException",
                "The security token included in the request is expired",
                "aws sso login",
            ),
            (
                "InvalidSignatureException",
                "Signature expired: 20250130T064508Z is now earlier than 20250210T013411Z",
                "clock",
            ),
            (
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                "session token",
            ),
        ] {
            let error = from_exception(name, 403, message);
            assert_eq!((error.status, error.code), (503, Some("credentials_unavailable")));
            assert!(error.message.contains(hint) && error.message.contains(message), "{error:?}");
        }
    }

    #[test]
    fn a_wrong_model_is_a_404() {
        let error =
            from_exception("ValidationException", 400, "The provided model identifier is invalid.");
        assert_eq!((error.status, error.param), (404, Some("model")));
    }

    #[test]
    fn a_limit_above_the_models_own_names_the_field() {
        for text in [
            "The maximum tokens you requested exceeds the model limit of 8192. Try again with a maximum tokens value that is lower than 8192.",
            "The model returned the following errors: max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5",
        ] {
            let error = from_exception("ValidationException", 400, text);
            let told = (error.status, error.code, error.param, error.message.as_str());
            assert_eq!(told, (400, Some("integer_above_max_value"), Some("max_tokens"), text));
        }
    }

    #[test]
    fn a_model_that_converse_does_not_serve_is_called_elsewhere() {
        for text in [
            "The model that you are using doesn't support the Converse API.",
            "This action doesn’t support the model that you provided. Try again with a supported text or chat model.",
        ] {
            let error = from_exception("ValidationException", 400, text);
            assert_eq!((error.code, error.param), (Some("model_not_supported"), Some("model")));
            assert!(error.message.starts_with(text) && error.message.contains("/v1/embeddings"));
        }
    }

    #[test]
    fn accounts_and_roles_are_masked_and_nothing_else() {
        let text = "User: arn:aws:sts::123456789012:assumed-role/app/i-1 is not authorized on resource: arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x after 1234567890123 tries";
        let masked = mask(text);
        assert!(!masked.contains("123456789012:"), "{masked}");
        assert!(!masked.contains("assumed-role"), "{masked}");
        assert!(masked.contains("arn:aws:bedrock:us-east-1:<account>:inference-profile/us.x"));
        assert!(masked.contains("1234567890123 tries"));
        assert!(matches!(mask("nothing to hide"), Cow::Borrowed(_)));
    }
}
