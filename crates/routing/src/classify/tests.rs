//! The table of failure classes: retry scope, fault, fallback.

use bytes::Bytes;

use super::*;

fn service(name: &str, message: &str) -> Failure {
    let payload = serde_json::json!({ "message": message }).to_string();
    ServiceError::from_event(name, &Bytes::from(payload)).into()
}

fn page(status: u16) -> Failure {
    ProtocolError::ErrorPage { status, excerpt: "<html>".to_owned(), retry_after: None }.into()
}

#[test]
fn failures_map_to_their_retry_scope() {
    use RetryScope::{Anywhere, Elsewhere, Never};
    for (failure, unary, stream) in [
        (service("ThrottlingException", ""), Anywhere, Anywhere),
        (service("ModelNotReadyException", ""), Anywhere, Anywhere),
        (service("InternalServerException", ""), Anywhere, Anywhere),
        (service("ServiceUnavailableException", ""), Anywhere, Anywhere),
        (service("ModelErrorException", ""), Never, Anywhere),
        (service("ModelTimeoutException", ""), Never, Anywhere),
        (service("ModelStreamErrorException", ""), Never, Anywhere),
        (service("ValidationException", "no"), Never, Never),
        (service("AccessDeniedException", ""), Elsewhere, Elsewhere),
        (service("ResourceNotFoundException", ""), Elsewhere, Elsewhere),
        (
            service("ValidationException", "The provided model identifier is invalid."),
            Elsewhere,
            Elsewhere,
        ),
        (service("ServiceQuotaExceededException", ""), Elsewhere, Elsewhere),
        (service("BadGatewayException", ""), Never, Never),
        (Failure::Connect(String::new()), Anywhere, Anywhere),
        (Failure::Closed(String::new()), Anywhere, Anywhere),
        (Failure::Timeout(Phase::Connect), Anywhere, Anywhere),
        (Failure::Timeout(Phase::FirstByte), Never, Never),
        (Failure::Timeout(Phase::Idle), Never, Never),
        (Failure::Truncated(String::new()), Never, Anywhere),
        (Failure::Tls(String::new()), Elsewhere, Elsewhere),
        (ProtocolError::Status(302).into(), Never, Never),
        (page(429), Anywhere, Anywhere),
        (page(500), Anywhere, Anywhere),
        (page(502), Never, Never),
        (page(503), Anywhere, Anywhere),
    ] {
        assert_eq!(failure.class(Kind::Unary).retry_scope, unary, "{failure}");
        assert_eq!(failure.class(Kind::Stream).retry_scope, stream, "{failure}");
    }
}

#[test]
fn a_429_throttles_and_a_400_is_the_requests_fault() {
    for (failure, fault) in [
        (service("ThrottlingException", ""), Fault::Throttled(None)),
        (service("InternalServerException", ""), Fault::Target),
        (service("ValidationException", "no"), Fault::Nobody),
        (service("AccessDeniedException", ""), Fault::Nobody),
        (Failure::Connect(String::new()), Fault::Target),
    ] {
        assert_eq!(failure.class(Kind::Unary).fault, fault, "{failure}");
    }
}

#[test]
fn the_fallback_depends_on_the_failure() {
    for (failure, fallback_reason) in [
        (service("ThrottlingException", ""), FallbackReason::General),
        (
            service("ValidationException", "Input is too long for requested model."),
            FallbackReason::ContextWindow,
        ),
        (service("ValidationException", "Malformed input request"), FallbackReason::None),
        (
            service("ValidationException", "Output blocked by content filtering policy"),
            FallbackReason::ContentPolicy,
        ),
        (
            service("AccessDeniedException", "You don't have access to the model"),
            FallbackReason::Setup,
        ),
        (
            service("ValidationException", "The provided model identifier is invalid."),
            FallbackReason::Setup,
        ),
    ] {
        assert_eq!(failure.class(Kind::Unary).fallback_reason, fallback_reason, "{failure}");
    }
}
