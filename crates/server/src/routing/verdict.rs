//! Classifies a failure for the calls that follow: whose fault it was, whether the same request may be sent
//! again, and which kind of fallback could help.

use std::time::Duration;

use translate::errors::{Condition, is_about_content};

use super::vitals::Blame;
use crate::bedrock::{Exception, Failure, Kind, Phase, ProtocolError, ServiceError};

/// Failure class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) blame: Blame,
    pub(crate) again: Again,
    pub(crate) remedy: Remedy,
    /// Wait time that the service asks for.
    pub(crate) retry_after: Option<Duration>,
}

/// Whether the request may be sent again. If it may, no part of an answer was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// No: it would fail again, or may have been answered.
    Never,
    /// To another target.
    Elsewhere,
    /// Also to the same target.
    Anywhere,
}

/// The kind of fallback that could help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
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
pub(crate) trait Judged {
    /// The failure class, for a call with this form of response.
    fn verdict(&self, kind: Kind) -> Verdict;

    /// Whether the target itself sent the error: then the target is alive.
    fn is_answer(&self) -> bool;
}

impl Verdict {
    /// The request's own fault.
    pub(crate) const FINAL: Self =
        Self { blame: Blame::Nobody, again: Again::Never, remedy: Remedy::None, retry_after: None };

    /// This target cannot accept the request; another might.
    pub(crate) const UNFIT: Self = Self { again: Again::Elsewhere, ..Self::FINAL };

    /// The target's answer cannot be read.
    pub(crate) const UNREADABLE: Self = Self {
        blame: Blame::Target,
        again: Again::Never,
        remedy: Remedy::General,
        retry_after: None,
    };

    fn failed(again: Again) -> Self {
        Self { blame: Blame::Target, again, remedy: Remedy::General, retry_after: None }
    }

    fn throttled(retry_after: Option<Duration>) -> Self {
        let blame = Blame::Throttled(retry_after);
        Self { blame, again: Again::Anywhere, remedy: Remedy::General, retry_after }
    }

    /// This target is not set up to be called; another of the name may be.
    fn setup() -> Self {
        Self { again: Again::Elsewhere, remedy: Remedy::Setup, ..Self::FINAL }
    }
}

impl Judged for Failure {
    fn verdict(&self, kind: Kind) -> Verdict {
        match self {
            Self::Service(error) => of_service(error, kind),
            // No byte of an answer was received: a retry is safe enough, and the only option.
            Self::Connect(_) | Self::Closed(_) | Self::Timeout(Phase::Connect) => {
                Verdict::failed(Again::Anywhere)
            }
            Self::Tls(_) => Verdict::failed(Again::Elsewhere),
            // The target may still be working, and the call is billed.
            Self::Timeout(Phase::FirstByte | Phase::Idle | Phase::Total) => {
                Verdict::failed(Again::Never)
            }
            Self::Truncated(_) | Self::Frame(_) => Verdict::failed(at_start(kind)),
            Self::Credentials(_) => {
                Verdict { remedy: Remedy::Setup, ..Verdict::failed(Again::Elsewhere) }
            }
            Self::Protocol(ProtocolError::ErrorPage { status: 429, retry_after, .. }) => {
                Verdict::throttled(*retry_after)
            }
            // Sent by an intermediary, or by an overloaded Bedrock: the status alone gives the meaning.
            Self::Protocol(ProtocolError::ErrorPage { status: 500 | 503, retry_after, .. }) => {
                Verdict { retry_after: *retry_after, ..Verdict::failed(Again::Anywhere) }
            }
            Self::Protocol(_) => Verdict::failed(Again::Never),
            Self::Request(_) => Verdict::FINAL,
        }
    }

    fn is_answer(&self) -> bool {
        matches!(self, Self::Service(_))
    }
}

/// Streams that fail before their first event are retried; for a unary response, the work already done is
/// unknown.
fn at_start(kind: Kind) -> Again {
    match kind {
        Kind::Stream => Again::Anywhere,
        Kind::Unary => Again::Never,
    }
}

/// The failure class of an error sent by Bedrock.
pub(crate) fn of_service(error: &ServiceError, kind: Kind) -> Verdict {
    use Exception as E;
    let told = |verdict| Verdict { retry_after: error.retry_after, ..verdict };
    match (&error.exception, error.status) {
        (E::ModelNotReady | E::Throttling, _) => Verdict::throttled(error.retry_after),
        // A pause does not refill this quota; another account or region has its own.
        (E::ServiceQuotaExceeded, _) => {
            Verdict { again: Again::Elsewhere, ..Verdict::throttled(error.retry_after) }
        }
        (E::ModelTimeout | E::ModelError | E::ModelStreamError, _) => {
            told(Verdict::failed(at_start(kind)))
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
        ) => Verdict::setup(),
        (_, 429) => Verdict::throttled(error.retry_after),
        (_, 500 | 503) => told(Verdict::failed(Again::Anywhere)),
        (_, 501..=599) => told(Verdict::failed(Again::Never)),
        (_, 401 | 403 | 404) => Verdict::setup(),
        (_, status) => {
            let about = |remedy| Verdict { remedy, ..Verdict::FINAL };
            match Condition::of(status, &error.message) {
                Some(Condition::TooLong) => about(Remedy::ContextWindow),
                Some(
                    Condition::NoAccess
                    | Condition::NotPermitted
                    | Condition::NotHere
                    | Condition::ProfileOnly
                    | Condition::EndOfLife
                    | Condition::UnknownModel,
                ) => Verdict::setup(),
                None if is_about_content(status, &error.message) => about(Remedy::ContentPolicy),
                None => Verdict::FINAL,
            }
        }
    }
}

#[cfg(test)]
mod tests;
