//! Classifies a failure for the calls that follow: whose fault it was, whether the same request may be sent
//! again, and which kind of fallback could help.

use std::time::Duration;

use translate::errors::{Condition, is_about_content};

use super::clock::Timestamp;
use super::dispatch::AttemptCode;
use super::health::{Fault, InFlight};
use bedrock::{Exception, Failure, Kind, Phase, ProtocolError, ServiceError};

/// Failure class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureClass {
    /// The party at fault.
    pub fault: Fault,
    /// Targets that may be sent the request again.
    pub retry_scope: RetryScope,
    /// The kind of fallback that may help.
    pub fallback_reason: FallbackReason,
    /// Wait time that the service asks for.
    pub retry_after: Option<Duration>,
}

/// Whether the request may be sent again. If it may, no part of an answer was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryScope {
    /// No: it would fail again, or may have been answered.
    Never,
    /// To another target.
    Elsewhere,
    /// Also to the same target.
    Anywhere,
}

/// The kind of fallback that could help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackReason {
    /// None: the request is at fault.
    None,
    /// Any other model.
    General,
    /// Any other model, but the operator must be told: some setup is missing or wrong.
    Setup,
    /// A model with a larger context window.
    ContextWindow,
    /// A model with a less strict content filter.
    ContentPolicy,
}

/// An error of a call to one target.
pub trait Classify {
    /// The failure class, for a call with this form of response.
    fn class(&self, kind: Kind) -> FailureClass;

    /// The result of the attempt, for metrics and traces.
    fn attempt_code(&self) -> AttemptCode;

    /// Whether the target itself sent the error: then the target is alive.
    fn is_answer(&self) -> bool;
}

impl InFlight {
    /// Records the failure of an answer that had begun. The form of response decides only about retries,
    /// and there are none any more.
    pub fn broke_off(&mut self, error: &impl Classify) {
        self.failed(Timestamp::now(), error.class(Kind::Unary).fault);
    }
}

impl FallbackReason {
    /// The reasons that a fallback has, in the order of their positions.
    pub const ALL: [Self; 4] =
        [Self::General, Self::Setup, Self::ContextWindow, Self::ContentPolicy];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::General => "general",
            Self::Setup => "setup",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
        }
    }
}

impl FailureClass {
    /// The request's own fault.
    pub const FINAL: Self = Self {
        fault: Fault::Nobody,
        retry_scope: RetryScope::Never,
        fallback_reason: FallbackReason::None,
        retry_after: None,
    };

    /// This target cannot accept the request; another might.
    pub const UNFIT: Self = Self { retry_scope: RetryScope::Elsewhere, ..Self::FINAL };

    /// The target's answer cannot be read.
    pub const UNREADABLE: Self = Self {
        fault: Fault::Target,
        retry_scope: RetryScope::Never,
        fallback_reason: FallbackReason::General,
        retry_after: None,
    };

    fn failed(retry_scope: RetryScope) -> Self {
        Self {
            fault: Fault::Target,
            retry_scope,
            fallback_reason: FallbackReason::General,
            retry_after: None,
        }
    }

    fn throttled(retry_after: Option<Duration>) -> Self {
        let fault = Fault::Throttled(retry_after);
        Self {
            fault,
            retry_scope: RetryScope::Anywhere,
            fallback_reason: FallbackReason::General,
            retry_after,
        }
    }

    /// This target is not set up to be called; another of the name may be.
    fn setup() -> Self {
        Self {
            retry_scope: RetryScope::Elsewhere,
            fallback_reason: FallbackReason::Setup,
            ..Self::FINAL
        }
    }
}

impl Classify for Failure {
    fn class(&self, kind: Kind) -> FailureClass {
        match self {
            Self::Service(error) => of_service(error, kind),
            // No byte of an answer was received: a retry is safe enough, and the only option.
            Self::Connect(_) | Self::Closed(_) | Self::Timeout(Phase::Connect) => {
                FailureClass::failed(RetryScope::Anywhere)
            }
            Self::Tls(_) => FailureClass::failed(RetryScope::Elsewhere),
            // The target may still be working, and the call is billed.
            Self::Timeout(Phase::FirstByte | Phase::Idle | Phase::Total) => {
                FailureClass::failed(RetryScope::Never)
            }
            Self::Truncated(_) | Self::Frame(_) => FailureClass::failed(at_start(kind)),
            Self::Credentials(_) => FailureClass {
                fallback_reason: FallbackReason::Setup,
                ..FailureClass::failed(RetryScope::Elsewhere)
            },
            Self::Protocol(ProtocolError::ErrorPage { status: 429, retry_after, .. }) => {
                FailureClass::throttled(*retry_after)
            }
            // Sent by an intermediary, or by an overloaded Bedrock: the status alone gives the meaning.
            Self::Protocol(ProtocolError::ErrorPage { status: 500 | 503, retry_after, .. }) => {
                FailureClass {
                    retry_after: *retry_after,
                    ..FailureClass::failed(RetryScope::Anywhere)
                }
            }
            Self::Protocol(_) => FailureClass::failed(RetryScope::Never),
            Self::Request(_) => FailureClass::FINAL,
        }
    }

    fn attempt_code(&self) -> AttemptCode {
        match self {
            Self::Service(error) => AttemptCode::Status(error.status),
            Self::Connect(_) | Self::Closed(_) => AttemptCode::Connection,
            Self::Tls(_) => AttemptCode::Tls,
            Self::Timeout(_) => AttemptCode::Timeout,
            Self::Truncated(_) | Self::Frame(_) => AttemptCode::Broken,
            Self::Protocol(ProtocolError::ErrorPage { status, .. }) => AttemptCode::Status(*status),
            Self::Protocol(_) => AttemptCode::Broken,
            Self::Credentials(_) => AttemptCode::Credentials,
            Self::Request(_) => AttemptCode::Gateway,
        }
    }

    fn is_answer(&self) -> bool {
        matches!(self, Self::Service(_))
    }
}

/// Streams that fail before their first event are retried; for a unary response, the work already done is
/// unknown.
fn at_start(kind: Kind) -> RetryScope {
    match kind {
        Kind::Stream => RetryScope::Anywhere,
        Kind::Unary => RetryScope::Never,
    }
}

/// The failure class of an error sent by Bedrock.
pub fn of_service(error: &ServiceError, kind: Kind) -> FailureClass {
    use Exception as E;
    let told = |class| FailureClass { retry_after: error.retry_after, ..class };
    match (&error.exception, error.status) {
        (E::ModelNotReady | E::Throttling, _) => FailureClass::throttled(error.retry_after),
        // A pause does not refill this quota; another account or region has its own.
        (E::ServiceQuotaExceeded, _) => FailureClass {
            retry_scope: RetryScope::Elsewhere,
            ..FailureClass::throttled(error.retry_after)
        },
        (E::ModelTimeout | E::ModelError | E::ModelStreamError, _) => {
            told(FailureClass::failed(at_start(kind)))
        }
        (
            E::AccessDenied
            | E::UnrecognizedClient
            | E::ExpiredToken
            | E::InvalidSignature
            | E::RequestTimeTooSkewed
            | E::MissingAuthenticationToken
            | E::IncompleteSignature
            | E::ResourceNotFound
            | E::UnknownOperation,
            _,
        ) => FailureClass::setup(),
        (_, 429) => FailureClass::throttled(error.retry_after),
        (_, 500 | 503) => told(FailureClass::failed(RetryScope::Anywhere)),
        (_, 501..=599) => told(FailureClass::failed(RetryScope::Never)),
        (_, 401 | 403 | 404) => FailureClass::setup(),
        (_, status) => {
            let about = |fallback_reason| FailureClass { fallback_reason, ..FailureClass::FINAL };
            match Condition::of(status, &error.message) {
                Some(Condition::TooLong) => about(FallbackReason::ContextWindow),
                Some(
                    Condition::NoAccess
                    | Condition::NotPermitted
                    | Condition::NotHere
                    | Condition::ProfileOnly
                    | Condition::EndOfLife
                    | Condition::UnknownModel,
                ) => FailureClass::setup(),
                None if is_about_content(status, &error.message) => {
                    about(FallbackReason::ContentPolicy)
                }
                None => FailureClass::FINAL,
            }
        }
    }
}

#[cfg(test)]
mod tests;
