//! Failures as the router classifies them: whose fault, whether to retry, and the result of the attempt.

use super::GatewayError;
use bedrock::{Failure, Kind, ServiceError};
use routing::{AttemptCode, Classify, FailureClass, of_service};

/// The part of a request's way at which it failed.
enum Origin<'e> {
    /// A call of a model.
    Call(&'e Failure),
    /// A guardrail; the model is not at fault.
    Guardrail(&'e Failure),
    /// The service refused the call.
    Service(&'e ServiceError),
    /// The connection ended like that of a complete response, but no answer arrived.
    Cut,
    /// The request, which another model may accept.
    Request,
    /// An answer that cannot be read.
    Unreadable,
    /// An answer that must not be given.
    Flawed,
    /// The gateway, its caller or its configuration.
    Gateway,
}

impl GatewayError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Upstream(failure) | Self::Moderation { failure, .. } => Origin::Call(failure),
            Self::Refused { error, notes: _ } => Origin::Service(error),
            Self::Unjudged(failure) => Origin::Guardrail(failure),
            Self::Truncated(_) => Origin::Cut,
            Self::Invalid(_) => Origin::Request,
            Self::Unreadable(_) => Origin::Unreadable,
            Self::Flawed(_) => Origin::Flawed,
            Self::Mismatch
            | Self::Stopping
            | Self::Cancelled
            | Self::Body(_)
            | Self::Json { .. }
            | Self::Model(_)
            | Self::Elsewhere { .. }
            | Self::NotListed { .. }
            | Self::Denied(_)
            | Self::UnknownModel { .. }
            | Self::NotKept(..)
            | Self::Files(_)
            | Self::TooManyJobs
            | Self::StoreAway(_)
            | Self::MadeElsewhere
            | Self::UnknownVectorStore(_)
            | Self::NotAForm(_)
            | Self::UnknownRoute(_)
            | Self::Method { .. }
            | Self::Upgrade
            | Self::Browser(_)
            | Self::Auth(_)
            | Self::Limit(_)
            | Self::Overloaded(_)
            | Self::Loop
            | Self::MediaType(_)
            | Self::Unwritable(_)
            | Self::Internal(_)
            | Self::Panicked => Origin::Gateway,
        }
    }
}

impl Classify for GatewayError {
    fn class(&self, kind: Kind) -> FailureClass {
        match self.origin() {
            Origin::Call(failure) => failure.class(kind),
            Origin::Service(error) => of_service(error, kind),
            Origin::Guardrail(failure) => {
                FailureClass { fault: FailureClass::FINAL.fault, ..failure.class(Kind::Unary) }
            }
            Origin::Cut => Failure::Truncated(String::new()).class(kind),
            Origin::Request => FailureClass::UNFIT,
            Origin::Unreadable => FailureClass::UNREADABLE,
            Origin::Flawed | Origin::Gateway => FailureClass::FINAL,
        }
    }

    fn attempt_code(&self) -> AttemptCode {
        match self.origin() {
            Origin::Call(failure) | Origin::Guardrail(failure) => failure.attempt_code(),
            Origin::Service(error) => AttemptCode::Status(error.status),
            Origin::Cut | Origin::Unreadable | Origin::Flawed => AttemptCode::Broken,
            Origin::Request | Origin::Gateway => AttemptCode::Gateway,
        }
    }

    fn is_answer(&self) -> bool {
        // In all other cases the model was not called, or had answered already.
        matches!(self, Self::Refused { .. } | Self::Upstream(Failure::Service(_)))
    }
}
