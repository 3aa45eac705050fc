//! Errors of the native API in AWS's format, so that SDKs raise the exceptions they know.

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::STOPPING;
use crate::error::{GatewayError, NO_CREDENTIALS, SHOULD_RETRY, code_of_failure};
use crate::native::guardrail::GuardrailError;
use crate::native::mask::masked;
use crate::native::path::PathError;
use crate::native::s3::S3Error;
use crate::native::settings::NativeErrors;
use crate::native::start::Begun;
use crate::panic_guard::Panicked;
use crate::request::context::{AWS_REQUEST_ID, RequestContext, RequestId};
use bedrock::{Failure, Kind, ServiceError};
use routing::{AttemptCode, Classify, FailureClass, of_service};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The reason why there is no response of Bedrock's to relay.
#[derive(Debug, thiserror::Error)]
pub(super) enum NativeError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("bidirectional streams are not relayed: they need HTTP/2 on both sides")]
    Bidirectional,
    #[error(transparent)]
    S3(#[from] S3Error),
    #[error(transparent)]
    Guardrail(#[from] GuardrailError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Upstream(#[from] Failure),
    #[error("the stream began with an exception: {error}")]
    AtStart { begun: Box<Begun>, error: Box<ServiceError> },
}

impl NativeError {
    /// Records the failure for the row of the call.
    pub(super) fn record(&self, context: &mut RequestContext) {
        match self {
            Self::Gateway(error) => context.fails_with(error),
            Self::Upstream(failure) => {
                context.failed(code_of_failure(failure), failure.may_be_billed());
            }
            // No call was made, or its answer is relayed and judged there.
            Self::Path(_)
            | Self::Bidirectional
            | Self::S3(_)
            | Self::Guardrail(_)
            | Self::AtStart { .. } => {}
        }
    }
}

impl From<Panicked> for NativeError {
    fn from(panicked: Panicked) -> Self {
        GatewayError::from(panicked).into()
    }
}

impl Classify for NativeError {
    fn class(&self, kind: Kind) -> FailureClass {
        match self {
            Self::Upstream(failure) => failure.class(kind),
            Self::AtStart { begun: _, error } => of_service(error, kind),
            Self::Gateway(error) => error.class(kind),
            Self::Path(_) | Self::Bidirectional | Self::S3(_) | Self::Guardrail(_) => {
                FailureClass::FINAL
            }
        }
    }

    fn attempt_code(&self) -> AttemptCode {
        match self {
            Self::Upstream(failure) => failure.attempt_code(),
            Self::AtStart { begun: _, error } => AttemptCode::Status(error.status),
            Self::Gateway(error) => error.attempt_code(),
            Self::Path(_) | Self::Bidirectional | Self::S3(_) | Self::Guardrail(_) => {
                AttemptCode::Gateway
            }
        }
    }

    fn is_answer(&self) -> bool {
        match self {
            Self::Upstream(failure) => failure.is_answer(),
            Self::AtStart { .. } => true,
            Self::Gateway(error) => error.is_answer(),
            Self::Path(_) | Self::Bidirectional | Self::S3(_) | Self::Guardrail(_) => false,
        }
    }
}

/// The response to a request that was refused before it reached the native handler.
pub(crate) fn refused(error: GatewayError, context: &mut RequestContext) -> HttpResponse {
    refuse(&error.into(), NativeErrors::default(), context)
}

/// The response to a request that a panic has ended.
pub(crate) fn panicked(error: &GatewayError, request_id: &str) -> HttpResponse {
    let mut response = ours(500, "InternalServerException", &error.render().message);
    if let Ok(id) = header::HeaderValue::from_str(request_id) {
        response.headers_mut().insert(AWS_REQUEST_ID, id);
    }
    response
}

pub(super) fn refuse(
    error: &NativeError,
    errors: NativeErrors,
    context: &mut RequestContext,
) -> HttpResponse {
    let mut response = match error {
        NativeError::Upstream(Failure::Service(error)) => passed_on(error, errors),
        NativeError::AtStart { begun: _, error } => passed_on(error, errors),
        NativeError::Upstream(failure @ Failure::Credentials(_)) => {
            let (status, exception) = exception_of(failure);
            let mut response = ours(status, exception, NO_CREDENTIALS);
            // For Anthropic's SDKs: the operator must act first.
            response.headers_mut().insert(SHOULD_RETRY, header::HeaderValue::from_static("false"));
            response
        }
        NativeError::Upstream(failure) => {
            let (status, exception) = exception_of(failure);
            ours(status, exception, "The gateway could not get an answer from Bedrock.")
        }
        NativeError::Path(PathError::Unknown) => {
            ours(404, "UnknownOperationException", &error.to_string())
        }
        NativeError::Path(PathError::Malformed) => {
            ours(400, "ValidationException", &error.to_string())
        }
        NativeError::Bidirectional => ours(501, "UnknownOperationException", &error.to_string()),
        NativeError::S3(S3Error::NotListed)
        | NativeError::Guardrail(
            GuardrailError::Other | GuardrailError::Weakened(_) | GuardrailError::Around,
        ) => ours(403, "AccessDeniedException", &error.to_string()),
        NativeError::S3(S3Error::Unreadable)
        | NativeError::Guardrail(GuardrailError::Unreadable) => {
            ours(400, "ValidationException", &error.to_string())
        }
        NativeError::Gateway(error) => {
            let rendered = error.render();
            let status = rendered.status;
            let (status, exception) = error.exception().unwrap_or(match (error, status) {
                (GatewayError::NotListed { .. }, _) => (status, "ResourceNotFoundException"),
                (_, 403) => (status, "AccessDeniedException"),
                (_, 500) => (status, "InternalServerException"),
                _ => (status, "ValidationException"),
            });
            let mut response = ours(status, exception, &rendered.message);
            rendered.mark(response.headers_mut());
            match error {
                GatewayError::Body(unread) => unread.close_after(response),
                _ => response,
            }
        }
    };
    let is_shed = matches!(error, NativeError::Gateway(GatewayError::Overloaded(_)));
    if response.status().is_server_error() && !is_shed {
        log::warn!("{} native: {error}", context.id());
    }
    if !response.headers().contains_key(AWS_REQUEST_ID)
        && let Ok(id) = header::HeaderValue::from_str(context.id())
    {
        response.headers_mut().insert(AWS_REQUEST_ID, id);
    }
    context.mark_refusal(response.headers_mut());
    context.refused_with(response.status().as_u16());
    response
}

/// The response if the process ends before there is an answer.
pub(crate) fn stopping(id: &RequestId) -> HttpResponse {
    let mut response = ours(503, "ServiceUnavailableException", STOPPING);
    response.headers_mut().insert(AWS_REQUEST_ID, id.0.clone());
    response
}

/// An error of AWS's, reduced to the part that callers may see.
fn passed_on(error: &ServiceError, errors: NativeErrors) -> HttpResponse {
    let body = match errors {
        NativeErrors::Masked => masked(&error.body),
        NativeErrors::Raw => error.body.clone(),
    };
    super::builder(error.status, &error.headers).body(body)
}

/// An error of the gateway in AWS's format.
fn ours(status: u16, exception: &'static str, message: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    HttpResponseBuilder::new(status)
        .insert_header((ERROR_TYPE, exception))
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(serde_json::json!({ "message": message }).to_string())
}

/// The SDK exception for a failure of the call.
fn exception_of(failure: &Failure) -> (u16, &'static str) {
    match failure {
        Failure::Timeout(_) => (408, "ModelTimeoutException"),
        Failure::Service(_)
        | Failure::Connect(_)
        | Failure::Tls(_)
        | Failure::Closed(_)
        | Failure::Truncated(_)
        | Failure::Frame(_)
        | Failure::Credentials(_)
        | Failure::Protocol(_) => (503, "ServiceUnavailableException"),
        Failure::Request(_) => (400, "ValidationException"),
    }
}
