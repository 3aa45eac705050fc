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
    use Again::{Anywhere, Elsewhere, Never};
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
        assert_eq!(failure.verdict(Kind::Unary).again, unary, "{failure}");
        assert_eq!(failure.verdict(Kind::Stream).again, stream, "{failure}");
    }
}

#[test]
fn a_429_throttles_and_a_400_is_the_requests_fault() {
    for (failure, blame) in [
        (service("ThrottlingException", ""), Blame::Throttled(None)),
        (service("InternalServerException", ""), Blame::Target),
        (service("ValidationException", "no"), Blame::Nobody),
        (service("AccessDeniedException", ""), Blame::Nobody),
        (Failure::Connect(String::new()), Blame::Target),
    ] {
        assert_eq!(failure.verdict(Kind::Unary).blame, blame, "{failure}");
    }
}

#[test]
fn the_fallback_depends_on_the_failure() {
    for (failure, remedy) in [
        (service("ThrottlingException", ""), Remedy::General),
        (
            service("ValidationException", "Input is too long for requested model."),
            Remedy::ContextWindow,
        ),
        (service("ValidationException", "Malformed input request"), Remedy::None),
        (
            service("ValidationException", "Output blocked by content filtering policy"),
            Remedy::ContentPolicy,
        ),
        (service("AccessDeniedException", "You don't have access to the model"), Remedy::Setup),
        (
            service("ValidationException", "The provided model identifier is invalid."),
            Remedy::Setup,
        ),
    ] {
        assert_eq!(failure.verdict(Kind::Unary).remedy, remedy, "{failure}");
    }
}
