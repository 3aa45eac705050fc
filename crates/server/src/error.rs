//! Conversion of failures to HTTP. The client's message and the log line are built separately: causes,
//! hosts and error pages of other servers stay in the log.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use ::access::Denied;
use actix_web::http::header::HeaderName;
use translate::Invalid;
use translate::answer_stream::{StreamError, Truncated, Unwritable};
use translate::errors::{
    ApiError, Notes, did_you_mean, explain, from_exception, is_about_thoughts,
};
use translate::moderations::Judge;
use translate::responses::background::CANCELLED;

use crate::body::{BodyError, Unread};
use crate::browser::Refusal;
use crate::credential::AuthRefusal;
use crate::missing_api::RequestedUrl;
use crate::overload::Shed;
use crate::panic_guard::Panicked;
use crate::quoting;
use bedrock::{Failure, InvalidModelId, Phase, ProtocolError, ServiceError};
use routing::RouteError;

mod access;
mod class;
mod dialect;
mod entry;
mod files;
mod kept;
mod rendered;

pub(crate) use access::LimitRefusal;
pub(crate) use entry::NO_CREDENTIALS;
pub(crate) use files::FileRefusal;
pub(crate) use kept::KeptKind;
pub(crate) use rendered::Rendered;

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";
const UNAVAILABLE: &str = "service_unavailable_error";
/// The code of errors for which the operator must change the gateway's credentials.
const CREDENTIALS: &str = "credentials_unavailable";

/// Tells OpenAI's SDKs whether a retry can help, if the status alone would mislead them.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Any error that ends a request early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("body: {0}")]
    Body(#[from] Unread),
    #[error("JSON: {message}")]
    Json { message: String, param: Option<String>, code: Option<&'static str> },
    // Its message may quote the request.
    #[error("invalid request: {} at {:?}", .0.code, .0.param)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Model(#[from] InvalidModelId),
    #[error("upstream: {0}")]
    Upstream(#[from] Failure),
    #[error("upstream: {error}")]
    Refused { error: Box<ServiceError>, notes: Box<Notes> },
    #[error("moderation: {failure}")]
    Moderation { failure: Failure, judge: Judge },
    #[error("guardrail: {0}")]
    Unjudged(Failure),
    #[error("the model name selects {asked}: {why}")]
    Elsewhere { asked: String, why: String },
    #[error("the model {name:?} is not listed")]
    NotListed { name: String, near: Vec<String> },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("unknown model {id:?}")]
    UnknownModel { id: String, near: Vec<String> },
    #[error("the {0} is not kept")]
    NotKept(KeptKind, String),
    #[error("files: {0}")]
    Files(#[from] FileRefusal),
    #[error("the knowledge base is unknown")]
    UnknownVectorStore(String),
    #[error("the upstream response cannot be read: {}", Position(.0))]
    Unreadable(serde_json::Error),
    #[error(transparent)]
    Truncated(#[from] Truncated),
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    #[error("the answer does not match response_format")]
    Mismatch,
    #[error("the answer cannot be used: {0}")]
    Flawed(&'static str),
    #[error("unknown route")]
    UnknownRoute(Box<RequestedUrl>),
    #[error("method not allowed")]
    Method { asked: Box<RequestedUrl>, allowed: &'static str },
    #[error("a WebSocket cannot be opened so")]
    Upgrade,
    #[error("the process ends")]
    Stopping,
    #[error("the client cancelled the response")]
    Cancelled,
    #[error("too many responses are made in the background")]
    TooManyJobs,
    #[error("{0}")]
    StoreAway(String),
    #[error("another process makes the response, and does not answer")]
    MadeElsewhere,
    #[error(transparent)]
    Browser(#[from] Refusal),
    #[error(transparent)]
    Auth(#[from] AuthRefusal),
    #[error(transparent)]
    Limit(#[from] Box<LimitRefusal>),
    #[error(transparent)]
    Overloaded(#[from] Shed),
    #[error("a gateway sent this call on, and it may come back for ever")]
    Loop,
    #[error("the body is not declared as JSON but as {0:?}")]
    MediaType(Option<String>),
    #[error("the body is not declared as a form but as {0:?}")]
    NotAForm(Option<String>),
    #[error("internal: {0}")]
    Internal(String),
    #[error("the request ended in a panic")]
    Panicked,
}

impl From<StreamError> for GatewayError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Truncated(truncated) => truncated.into(),
            StreamError::Unwritable(unwritable) => unwritable.into(),
        }
    }
}

/// Position of a parse error, without the text there, which may be part of an answer.
pub(crate) struct Position<'e>(pub(crate) &'e serde_json::Error);

impl fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, line, column) = (self.0.classify(), self.0.line(), self.0.column());
        write!(f, "{kind:?} error at line {line} column {column}")
    }
}

impl From<Panicked> for GatewayError {
    fn from(_: Panicked) -> Self {
        Self::Panicked
    }
}

impl From<RouteError> for GatewayError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Model(error) => Self::Model(error),
            RouteError::Upstream(failure) => Self::Upstream(failure),
            RouteError::Refused { error, notes } => Self::Refused { error, notes },
            RouteError::Elsewhere { asked, why } => Self::Elsewhere { asked, why },
            RouteError::NotListed { name, near } => Self::NotListed { name, near },
            RouteError::NotTagged { name, tags } => entry::not_tagged(&name, &tags).into(),
            RouteError::TagsRefused => entry::tags_refused().into(),
            RouteError::Denied(denied) => Self::Denied(denied),
        }
    }
}

impl GatewayError {
    /// Whether the target refuses the past reasoning in the request.
    pub(crate) fn is_about_thoughts(&self) -> bool {
        let (Self::Upstream(Failure::Service(error)) | Self::Refused { error, .. }) = self else {
            return false;
        };
        is_about_thoughts(error.status, &error.message)
    }
}

impl GatewayError {
    pub(crate) fn render(&self) -> Rendered {
        match self {
            Self::Body(unread) => body(&unread.error),
            Self::Json { message, param, code } => Rendered {
                param: param.as_deref().map(quoting::path).map(Cow::Owned),
                ..Rendered::new(400, INVALID, *code, message.clone())
            },
            Self::Invalid(invalid) => Rendered {
                param: invalid.param.as_deref().map(quoting::path).map(Cow::Owned),
                ..Rendered::new(400, INVALID, Some(invalid.code), invalid.message.clone())
            },
            Self::Model(error) => {
                Rendered::new(400, INVALID, Some("invalid_value"), error.to_string()).about_model()
            }
            Self::Upstream(failure) => upstream(failure),
            Self::Refused { error, notes } => {
                service(error, explain(error.exception.name(), error.status, &error.message, notes))
            }
            Self::Moderation { failure, judge } => moderation(failure, *judge),
            Self::Unjudged(failure) => unjudged(failure),
            Self::Elsewhere { asked, why: _ } => Rendered::new(
                400,
                INVALID,
                Some("region_not_served"),
                format!(
                    "The model's name selects {asked}, where this gateway cannot call Bedrock: leave the region out, or name another."
                ),
            )
            .about_model(),
            Self::NotListed { name, near } => Rendered::new(
                404,
                INVALID,
                Some("model_not_found"),
                format!(
                    "The model {name:?} is not one of this gateway's; GET /v1/models lists them.{}",
                    did_you_mean(near)
                ),
            )
            .about_model(),
            Self::Denied(denied) => access::denied(denied),
            Self::UnknownModel { id, near } => Rendered::new(
                404,
                INVALID,
                Some("model_not_found"),
                format!(
                    "The model {id:?} is unknown; GET /v1/models lists the known ones. Bedrock may still serve it.{}",
                    did_you_mean(near)
                ),
            )
            .about_model(),
            Self::NotKept(kind, id) => kept::not_kept(*kind, id),
            Self::Files(refusal) => files::rendered(refusal),
            Self::UnknownVectorStore(id) => entry::unknown_vector_store(id),
            Self::Unreadable(_) => Rendered::new(
                502,
                SERVER,
                Some("upstream_unreadable"),
                "Bedrock's answer could not be read; the log has details under the request id.",
            ),
            Self::Truncated(_) => truncated(),
            Self::Mismatch => mismatch(),
            Self::Flawed(flaw) => Rendered {
                in_vain: true,
                ..Rendered::new(502, SERVER, Some("answer_not_usable"), *flaw)
            },
            Self::UnknownRoute(asked) => entry::unknown_route(asked),
            Self::Method { asked, allowed } => entry::method(asked, allowed),
            Self::Upgrade => entry::upgrade(),
            Self::Stopping => entry::stopping(),
            Self::Cancelled => {
                Rendered::new(499, INVALID, Some(CANCELLED), "The response was cancelled.")
            }
            Self::TooManyJobs => kept::too_many_jobs(),
            Self::StoreAway(_) => kept::store_away(),
            Self::MadeElsewhere => kept::made_elsewhere(),
            Self::Browser(refusal) => entry::browser(refusal),
            Self::Auth(refusal) => access::credential(refusal),
            Self::Limit(refused) => access::limit(refused),
            Self::Overloaded(shed) => entry::overloaded(shed),
            Self::Loop => entry::looped(),
            Self::MediaType(found) => {
                entry::content_type(found.as_deref(), "application/json", "-H 'content-type: application/json'")
            }
            Self::NotAForm(found) => {
                entry::content_type(found.as_deref(), "multipart/form-data", "a file by -F file=@NAME")
            }
            Self::Internal(_) | Self::Unwritable(_) | Self::Panicked => Rendered::new(
                500,
                SERVER,
                Some("internal_error"),
                "The gateway failed; its log has the cause under the request id.",
            ),
        }
    }

    /// The code of the error in rows of calls.
    pub(crate) fn code(&self) -> &'static str {
        code_of(&self.render())
    }

    /// Whether Bedrock may bill a call that failed so: it had accepted it, and no answer arrived.
    pub(crate) fn may_be_billed(&self) -> bool {
        match self {
            Self::Upstream(failure) => failure.may_be_billed(),
            Self::Truncated(_)
            | Self::Unreadable(_)
            | Self::Mismatch
            | Self::Flawed(_)
            | Self::Stopping
            | Self::Cancelled => true,
            _ => false,
        }
    }

    pub(crate) fn aws_request_id(&self) -> Option<&str> {
        let error = match self {
            Self::Upstream(Failure::Service(error)) | Self::Unjudged(Failure::Service(error)) => {
                error
            }
            Self::Refused { error, .. } => error.as_ref(),
            _ => return None,
        };
        error.request_id.as_deref()
    }
}

/// The code of a failed call in its row.
pub(crate) fn code_of_failure(failure: &Failure) -> &'static str {
    code_of(&upstream(failure))
}

fn code_of(rendered: &Rendered) -> &'static str {
    rendered.code.unwrap_or(rendered.kind)
}

fn body(error: &BodyError) -> Rendered {
    let (status, code) = match error {
        BodyError::TooLarge(_) => (413, "request_too_large"),
        BodyError::TooSlow => (408, "request_timeout"),
        BodyError::Broken => (400, "invalid_body"),
        BodyError::Encoded(_) => (415, "unsupported_content_encoding"),
    };
    Rendered::new(status, INVALID, Some(code), format!("The request cannot be read: {error}."))
}

fn mismatch() -> Rendered {
    let message = "The model's answer does not match response_format, and this gateway's operator refuses such answers.";
    let rendered = Rendered::new(502, SERVER, Some("structured_output_mismatch"), message);
    Rendered { in_vain: true, param: Some(Cow::Borrowed("response_format")), ..rendered }
}

fn truncated() -> Rendered {
    Rendered::new(
        502,
        SERVER,
        Some("upstream_truncated"),
        "The model's answer broke off before it was complete; the part received so far is incomplete.",
    )
}

fn upstream(failure: &Failure) -> Rendered {
    match failure {
        Failure::Service(error) => {
            service(error, from_exception(error.exception.name(), error.status, &error.message))
        }
        Failure::Connect(_) | Failure::Closed(_) => Rendered::new(
            503,
            UNAVAILABLE,
            Some("upstream_unreachable"),
            "Bedrock cannot be reached from the gateway; try again shortly.",
        )
        .after(1),
        Failure::Tls(_) => Rendered {
            in_vain: true,
            ..Rendered::new(
                502,
                SERVER,
                Some("upstream_tls"),
                "The gateway cannot establish trust with the Bedrock endpoint.",
            )
        },
        Failure::Timeout(phase) => Rendered::new(
            504,
            SERVER,
            Some("upstream_timeout"),
            match phase {
                Phase::Connect => "Connecting to Bedrock took too long.",
                Phase::FirstByte => "Bedrock did not begin to answer in time.",
                Phase::Idle => "Bedrock stopped sending in the middle of its answer.",
                Phase::Total => "The call took longer than the gateway's limit for a whole call.",
            },
        ),
        Failure::Truncated(_) => truncated(),
        Failure::Frame(_) => Rendered::new(
            502,
            SERVER,
            Some("upstream_corrupt"),
            "Bedrock's stream arrived damaged and was broken off.",
        ),
        Failure::Credentials(_) => entry::no_credentials(),
        // A balancer in between may well be right that nobody is there, or that we ask too much.
        Failure::Protocol(ProtocolError::ErrorPage { status: 429, retry_after, .. }) => Rendered {
            retry_after: *retry_after,
            ..Rendered::new(
                429,
                "rate_limit_error",
                Some("rate_limit_exceeded"),
                "A proxy in front of Bedrock refused the call, because there are too many requests; try again later.",
            )
        },
        Failure::Protocol(ProtocolError::ErrorPage { status: 503, retry_after, .. }) => Rendered {
            retry_after: retry_after.or(Some(Duration::from_secs(1))),
            ..Rendered::new(
                503,
                UNAVAILABLE,
                Some("upstream_unreachable"),
                "Bedrock is not available to the gateway; try again shortly.",
            )
        },
        Failure::Protocol(_) => Rendered::new(
            502,
            SERVER,
            Some("upstream_protocol"),
            "A server other than Bedrock answered at the gateway's endpoint.",
        ),
        Failure::Request(_) => Rendered::new(
            500,
            SERVER,
            Some("internal_error"),
            "The gateway could not build the call to Bedrock.",
        ),
    }
}

/// The caller cannot fix a missing guardrail, which is not a missing model either.
fn moderation(failure: &Failure, judge: Judge) -> Rendered {
    let rendered = upstream(failure);
    if !matches!(failure, Failure::Service(_)) || !matches!(rendered.status, 403 | 404) {
        return rendered;
    }
    let advice = match judge {
        Judge::Checks => {
            "Moderation uses bedrock:InvokeGuardrailChecks; the gateway's operator allows that to its role, sets moderation.region to a region that has it, or names a guardrail under moderation.guardrail."
        }
        Judge::Guardrail => {
            "The gateway's operator names a guardrail of the account under moderation.guardrail, and allows bedrock:ApplyGuardrail to the gateway's role."
        }
    };
    Rendered {
        code: Some("moderation_unavailable"),
        param: None,
        message: format!("{} {advice}", rendered.message).into(),
        ..rendered
    }
}

/// An answer that no guardrail has checked is never shown.
fn unjudged(failure: &Failure) -> Rendered {
    let rendered = upstream(failure);
    let advice = "A guardrail checks the input and output of this model, and could not be called; the gateway's operator names one of the target's account and region, and allows bedrock:ApplyGuardrail to the gateway's role.";
    let code = match rendered.status {
        429 => rendered.code,
        _ => Some("guardrail_unavailable"),
    };
    let message = format!("{} {advice}", rendered.message).into();
    // The gateway made the request that the guardrail rejects, so the status is 502.
    let status = if rendered.status == 400 { 502 } else { rendered.status };
    Rendered { status, code, param: None, message, ..rendered }
}

fn service(error: &ServiceError, told: ApiError) -> Rendered {
    let ApiError { status, kind, code, param, message } = told;
    let in_vain = code == Some(CREDENTIALS);
    let retry_after = error.retry_after.or(match status {
        503 if in_vain => Some(Duration::from_secs(5)),
        503 => Some(Duration::from_secs(1)),
        _ => None,
    });
    let param = param.map(Cow::Borrowed);
    Rendered { param, retry_after, in_vain, ..Rendered::new(status, kind, code, message) }
}

#[cfg(test)]
mod tests;
