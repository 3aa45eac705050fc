//! Tests of errors as clients see them: AWS's message is kept, while hosts and identities stay in the
//! log.

use bytes::Bytes;

use super::*;
use bedrock::ServiceError;

#[test]
fn aws_messages_are_kept_without_our_identity() {
    let payload = Bytes::from_static(
        br#"{"message":"User: arn:aws:sts::123456789012:assumed-role/gw/s is not authorized"}"#,
    );
    let error = ServiceError::from_event("accessDeniedException", &payload);
    let rendered = GatewayError::Upstream(error.into()).render();
    assert_eq!(rendered.status, 403);
    assert!(rendered.message.contains("is not authorized"));
    assert!(
        !rendered.message.contains("123456789012") && !rendered.message.contains("assumed-role")
    );
}

#[test]
fn causes_stay_in_the_log() {
    let error = GatewayError::Upstream(Failure::Connect("10.1.2.3:443 refused".to_owned()));
    assert!(error.to_string().contains("10.1.2.3"));
    let rendered = error.render();
    assert!(!rendered.message.contains("10.1.2.3"));
    assert_eq!((rendered.status, rendered.retry_after), (503, Some(Duration::from_secs(1))));
}

#[test]
fn every_envelope_has_four_keys() {
    let error = GatewayError::Mismatch;
    let json = serde_json::to_value(error.render().envelope()).unwrap();
    let error = json["error"].as_object().unwrap();
    for key in ["message", "type", "param", "code"] {
        assert!(error.contains_key(key), "{key}");
    }
}
