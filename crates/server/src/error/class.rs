//! Failures as the router classifies them: whose fault, whether to retry, and the result of the attempt.

use super::GatewayError;
use bedrock::{Failure, Kind};
use routing::{AttemptCode, Classify, FailureClass, of_service};

impl Classify for GatewayError {
    fn class(&self, kind: Kind) -> FailureClass {
        match self {
            Self::Upstream(failure) | Self::Moderation { failure, .. } => failure.class(kind),
            Self::Refused { error, notes: _ } => of_service(error, kind),
            // The guardrail failed; the model is not at fault.
            Self::Unjudged(failure) => {
                FailureClass { fault: FailureClass::FINAL.fault, ..failure.class(Kind::Unary) }
            }
            // The connection ended like that of a complete response, but no answer arrived.
            Self::Truncated(_) => Failure::Truncated(String::new()).class(kind),
            // Another model may accept a request that one model cannot.
            Self::Invalid(_) => FailureClass::UNFIT,
            Self::Unreadable(_) => FailureClass::UNREADABLE,
            Self::Mismatch | Self::Flawed(_) | Self::Stopping | Self::Cancelled => {
                FailureClass::FINAL
            }
            Self::Body(_)
            | Self::Json { .. }
            | Self::Model(_)
            | Self::Elsewhere { .. }
            | Self::NotListed { .. }
            | Self::Denied(_)
            | Self::UnknownModel { .. }
            | Self::NotKept(..)
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
            | Self::Panicked => FailureClass::FINAL,
        }
    }

    fn attempt_code(&self) -> AttemptCode {
        match self {
            Self::Upstream(failure)
            | Self::Moderation { failure, .. }
            | Self::Unjudged(failure) => failure.attempt_code(),
            Self::Refused { error, notes: _ } => AttemptCode::Status(error.status),
            Self::Truncated(_) | Self::Unreadable(_) | Self::Flawed(_) => AttemptCode::Broken,
            Self::Invalid(_)
            | Self::Mismatch
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
            | Self::Panicked => AttemptCode::Gateway,
        }
    }

    fn is_answer(&self) -> bool {
        // In all other cases the model was not called, or had answered already.
        matches!(self, Self::Refused { .. } | Self::Upstream(Failure::Service(_)))
    }
}
