//! Failures of calls to Bedrock, as one type without dependency on the gateway's own HTTP side. The
//! exception table here is the only place that maps an AWS exception name to a status.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::clock::{ClockError, date, read_date};
use super::credentials::CredentialsError;
use super::frames::{Frame, FrameError, FrameKind};
use super::s3;

/// Header with AWS's id of a call.
pub const AWS_REQUEST_ID: &str = "x-amzn-requestid";

/// Characters kept for the log of a body that is not Bedrock's.
const EXCERPT: usize = 200;
/// Target of log lines with texts from upstream: these may quote a prompt, so they are logged only if the
/// operator enables this target.
pub const MESSAGES: &str = "outcrop::upstream_messages";

/// Reasons for a missing or interrupted answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Bedrock answered with an error of its own.
    #[error("{0}")]
    Service(Box<ServiceError>),
    /// No TCP connection: refused, unreachable, or the name does not resolve.
    #[error("cannot connect to the endpoint: {0}")]
    Connect(String),
    /// The TLS handshake failed, or the trust roots cannot be loaded.
    #[error("TLS with the endpoint failed: {0}")]
    Tls(String),
    /// The connection closed before the response headers. Whether the call was processed is unknown.
    #[error("the endpoint closed the connection before answering: {0}")]
    Closed(String),
    /// One of the time limits ran out.
    #[error("timed out {0}")]
    Timeout(Phase),
    /// The connection closed in the middle of the body.
    #[error("the answer was cut short: {0}")]
    Truncated(String),
    /// The event stream carries bytes that are not a valid frame.
    #[error("invalid event-stream frame: {0}")]
    Frame(#[from] FrameError),
    /// No usable credentials.
    #[error("{0}")]
    Credentials(#[from] CredentialsError),
    /// The response does not follow Bedrock's protocol.
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    /// The call cannot be expressed as an HTTP request: an invalid path, query or header.
    #[error("the call cannot be sent: {0}")]
    Request(String),
}

impl Failure {
    /// Whether Bedrock may bill a call that failed so: it had accepted it, and no whole answer arrived.
    pub fn may_be_billed(&self) -> bool {
        match self {
            Self::Timeout(phase) => *phase != Phase::Connect,
            Self::Truncated(_) | Self::Frame(_) => true,
            Self::Service(_)
            | Self::Connect(_)
            | Self::Tls(_)
            | Self::Closed(_)
            | Self::Credentials(_)
            | Self::Protocol(_)
            | Self::Request(_) => false,
        }
    }
}

/// The time limit that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP and TLS set-up.
    Connect,
    /// From sending to the response headers.
    FirstByte,
    /// Between two pieces of the body.
    Idle,
    /// The whole call.
    Total,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting to the endpoint",
            Self::FirstByte => "waiting for the first byte of the answer",
            Self::Idle => "waiting for more of the answer",
            Self::Total => "because the call took longer than its total limit",
        })
    }
}

/// A response outside Bedrock's protocol. Texts are for the log, never for a client.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// An error status whose body is not an AWS error, typically a page from a proxy in between.
    #[error("status {status} with a body that is not an AWS error")]
    ErrorPage {
        /// HTTP status of the page.
        status: u16,
        /// Its first 200 characters.
        excerpt: String,
        /// `Retry-After`, if the page came with one.
        retry_after: Option<Duration>,
    },
    /// A redirect or an informational status; redirects are never followed.
    #[error("unexpected status {0}")]
    Status(u16),
    /// The body is not of the type the operation declares.
    #[error("expected {expected}, the answer is {found:?}")]
    ContentType {
        /// The expected type.
        expected: &'static str,
        /// The `content-type` (or `content-encoding`) header found.
        found: String,
    },
    /// The body exceeds the caller's limit, in bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The response headers are not HTTP.
    #[error("malformed HTTP: {0}")]
    Malformed(String),
}

/// An error sent by Bedrock, before or inside a stream.
#[derive(Debug, Clone)]
pub struct ServiceError {
    /// HTTP status: from the wire, or from the exception table for an in-stream exception.
    pub status: u16,
    /// The exception.
    pub exception: Exception,
    /// AWS's text, as sent; it may quote account ids, role ARNs and prompts.
    pub message: String,
    /// AWS's id of the call.
    pub request_id: Option<String>,
    /// Wait time that AWS asks for.
    pub retry_after: Option<Duration>,
    /// Status sent by the model's own provider (`ModelErrorException`, `ModelStreamErrorException`).
    pub original_status: Option<u16>,
    /// All response headers, for a native relay. Empty for an in-stream exception.
    pub headers: HeaderMap,
    /// The body as received, for a native relay.
    pub body: Bytes,
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Omits AWS's text, which may quote a prompt; unknown names are upstream text too, so they are
        // quoted.
        match &self.exception {
            Exception::Unknown(name) if !name.is_empty() => write!(f, "{name:?}")?,
            known => write!(f, "{known}")?,
        }
        write!(f, " ({})", self.status)?;
        match &self.request_id {
            Some(id) => write!(f, ", AWS's request {id:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ServiceError {}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::Service(Box::new(error))
    }
}

impl From<ClockError> for Failure {
    fn from(error: ClockError) -> Self {
        Self::Request(error.to_string())
    }
}

impl ServiceError {
    /// Reads a response with a 4xx or 5xx status.
    pub(super) fn read(status: u16, headers: HeaderMap, body: Bytes) -> Failure {
        let parsed: Option<ErrorBody> = serde_json::from_slice(&body).ok();
        // Any JSON object parses as an error body; one without known fields is not from AWS.
        let parsed = parsed.filter(ErrorBody::says_something);
        let parsed = parsed.or_else(|| ErrorBody::of_s3(&body));
        let named = header_text(&headers, "x-amzn-errortype");
        let (parsed, named) = match parsed {
            Some(ErrorBody { error: Some(nested), .. }) => {
                let named = named.or_else(|| Exception::of_status(status));
                (Some(ErrorBody { message: Some(nested.message), ..ErrorBody::default() }), named)
            }
            other => (other, named),
        };
        let retry_after = retry_after(&headers);
        if parsed.is_none() && named.is_none() {
            let excerpt: String = String::from_utf8_lossy(&body).chars().take(EXCERPT).collect();
            log::debug!(target: MESSAGES, "status {status}, no error of AWS's: {excerpt:?}");
            return ProtocolError::ErrorPage { status, excerpt, retry_after }.into();
        }
        let parsed = parsed.unwrap_or_default();
        let name = named.or_else(|| parsed.name()).unwrap_or_default();
        let error = Self {
            status,
            exception: Exception::from_name(&name),
            message: parsed.message.or(parsed.capital_message).unwrap_or_default(),
            request_id: header_text(&headers, AWS_REQUEST_ID),
            retry_after,
            original_status: parsed.original_status,
            headers,
            body,
        };
        log::debug!(target: MESSAGES, "{error}: {:?}", error.message);
        error.into()
    }

    /// The error that a stream frame reports, if any.
    pub fn of_frame(frame: &Frame) -> Option<Self> {
        let error = match &frame.kind {
            FrameKind::Exception(name) => Self::from_event(name, &frame.payload),
            FrameKind::Error { code, message } => {
                let mut error = Self::from_event(code, &frame.payload);
                message.clone_into(&mut error.message);
                error
            }
            FrameKind::Event(_) | FrameKind::Unknown(_) => return None,
        };
        log::debug!(target: MESSAGES, "{error} in a stream: {:?}", error.message);
        Some(error)
    }

    /// Reads an exception frame: its name (camelCase on the wire) and its payload.
    /// No status is sent inside a stream, so the table gives it; an unknown exception counts as 500.
    pub fn from_event(name: &str, payload: &Bytes) -> Self {
        let exception = Exception::from_name(name);
        let parsed: ErrorBody = serde_json::from_slice(payload).unwrap_or_default();
        Self {
            status: exception.status().unwrap_or(500),
            message: parsed
                .message
                .or(parsed.capital_message)
                .or(parsed.original_message)
                .unwrap_or_default(),
            exception,
            request_id: None,
            retry_after: None,
            original_status: parsed.original_status,
            headers: HeaderMap::new(),
            body: payload.clone(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    message: Option<String>,
    #[serde(rename = "Message")]
    capital_message: Option<String>,
    #[serde(rename = "__type")]
    kind: Option<String>,
    code: Option<Value>,
    #[serde(rename = "originalStatusCode")]
    original_status: Option<u16>,
    #[serde(rename = "originalMessage")]
    original_message: Option<String>,
    /// The error in the envelope of OpenAI and Anthropic.
    #[serde(default, deserialize_with = "or_none")]
    error: Option<NestedError>,
}

/// An error of a service that answers in the APIs of others. Its type and code repeat the status.
#[derive(Debug, Deserialize)]
struct NestedError {
    message: String,
}

/// An `error` of another form is not a service's.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NestedError>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

impl ErrorBody {
    /// The error of S3, which is XML.
    fn of_s3(body: &[u8]) -> Option<Self> {
        let (code, message) = s3::error(body)?;
        Some(Self { message: Some(message), kind: Some(code), ..Self::default() })
    }

    fn says_something(&self) -> bool {
        self.message.is_some()
            || self.capital_message.is_some()
            || self.error.is_some()
            || self.name().is_some()
    }

    fn name(&self) -> Option<String> {
        self.kind.clone().or_else(|| self.code.as_ref()?.as_str().map(ToOwned::to_owned))
    }
}

pub(super) fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

/// `Retry-After` in seconds, with decimals or without, or as a date; or else AWS's own header in
/// milliseconds. A date in the past means no wait.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = header_text(headers, "retry-after");
    asked.and_then(|text| wait(text.trim(), headers)).or_else(|| {
        let ms = header_text(headers, "x-amz-retry-after")?.trim().parse::<u32>().ok()?;
        Some(Duration::from_millis(ms.into()))
    })
}

fn wait(text: &str, headers: &HeaderMap) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds.max(0.0)).ok();
    }
    let until = read_date(text)?;
    // The date is compared with the server's own clock if the response states it.
    let now = date(headers).unwrap_or_else(SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default())
}

macro_rules! exceptions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal $(, alias $alias:literal)*;)*) => {
        /// The AWS exceptions known by name. Open: a new one is [`Exception::Unknown`].
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum Exception {
            $($(#[$doc])* $variant,)*
            /// A name that is not in the table; empty if the response named none.
            Unknown(String),
        }

        impl Exception {
            /// Every row of the table: exception, name on the wire, HTTP status.
            pub const TABLE: &[(Self, &str, u16)] = &[$((Self::$variant, $name, $status)),*];

            fn known(name: &str) -> Option<Self> {
                match name {
                    $($name $(| $alias)* => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Name as AWS writes it in `x-amzn-errortype`; empty if none was sent.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(name) => name,
                }
            }

            /// The HTTP status of the exception in the service model; `None` for an unknown one.
            pub fn status(&self) -> Option<u16> {
                match self {
                    $(Self::$variant => Some($status),)*
                    Self::Unknown(_) => None,
                }
            }
        }
    };
}

exceptions! {
    /// The caller may not do this, or has no access to the model.
    AccessDenied = "AccessDeniedException", 403, alias "AccessDenied", alias "NotAuthorized";
    /// No such model, profile or resource; also end-of-life models.
    ResourceNotFound = "ResourceNotFoundException", 404;
    /// The request is invalid.
    Validation = "ValidationException", 400, alias "ValidationError";
    /// A quota of the account is used up.
    ServiceQuotaExceeded = "ServiceQuotaExceededException", 400;
    /// The resource is in a state that excludes the operation.
    Conflict = "ConflictException", 400;
    /// The model took too long.
    ModelTimeout = "ModelTimeoutException", 408;
    /// The model failed.
    ModelError = "ModelErrorException", 424;
    /// The model failed while streaming.
    ModelStreamError = "ModelStreamErrorException", 424;
    /// The model is being loaded.
    ModelNotReady = "ModelNotReadyException", 429;
    /// Too many requests or tokens.
    Throttling = "ThrottlingException", 429, alias "Throttling", alias "TooManyRequestsException",
        alias "RequestLimitExceeded";
    /// Bedrock failed.
    InternalServer = "InternalServerException", 500, alias "InternalFailure",
        alias "InternalServerError";
    /// Bedrock is overloaded or down.
    ServiceUnavailable = "ServiceUnavailableException", 503, alias "ServiceUnavailable";
    /// Another service that Bedrock depends on failed (agent runtime).
    DependencyFailed = "DependencyFailedException", 424;
    /// Bad response from a dependency (agent runtime).
    BadGateway = "BadGatewayException", 502;
    /// The resource is in use (control plane).
    ResourceInUse = "ResourceInUseException", 400;
    /// Too many tags (control plane).
    TooManyTags = "TooManyTagsException", 400;
    /// The access key or session token is not known.
    UnrecognizedClient = "UnrecognizedClientException", 403, alias "UnrecognizedClient",
        alias "InvalidClientTokenId";
    /// The session token has expired.
    ExpiredToken = "ExpiredTokenException", 403, alias "ExpiredToken";
    /// The signature does not match, or is too old or too new.
    InvalidSignature = "InvalidSignatureException", 403, alias "SignatureDoesNotMatch";
    /// The signing time is too far from the service's clock.
    RequestTimeTooSkewed = "RequestTimeTooSkewed", 403, alias "RequestTimeTooSkewedException",
        alias "RequestExpired", alias "RequestInTheFuture";
    /// The request carries no authentication.
    MissingAuthenticationToken = "MissingAuthenticationTokenException", 403,
        alias "MissingAuthenticationToken";
    /// The authorization header is malformed.
    IncompleteSignature = "IncompleteSignatureException", 400, alias "IncompleteSignature";
    /// No such operation at this path.
    UnknownOperation = "UnknownOperationException", 404;
    /// The body is not what the operation reads.
    Serialization = "SerializationException", 400;
}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.name().is_empty() { "unnamed error" } else { self.name() })
    }
}

impl Exception {
    /// The name of the exception that a status stands for, where the error names none.
    fn of_status(status: u16) -> Option<String> {
        let exception = match status {
            400 | 413 | 422 => Self::Validation,
            403 => Self::AccessDenied,
            401 => Self::UnrecognizedClient,
            404 => Self::ResourceNotFound,
            408 => Self::ModelTimeout,
            429 => Self::Throttling,
            500 => Self::InternalServer,
            503 => Self::ServiceUnavailable,
            _ => return None,
        };
        Some(exception.name().to_owned())
    }

    /// Parses a name in any of its spellings: with the `:http://...` suffix of the header, after a
    /// `namespace#`, or starting in lower case as inside streams.
    pub fn from_name(raw: &str) -> Self {
        let name = raw.split(':').next().unwrap_or_default();
        let name = name.rsplit('#').next().unwrap_or_default().trim();
        let mut chars = name.chars();
        let name: String = match chars.next() {
            Some(first) => first.to_ascii_uppercase().to_string() + chars.as_str(),
            None => String::new(),
        };
        Self::known(&name).unwrap_or(Self::Unknown(name))
    }
}

#[cfg(test)]
mod tests;
