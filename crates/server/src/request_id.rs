//! The id of a request.

use actix_web::http::header::HeaderValue;
use uuid::Uuid;

/// The id of a request in responses and in the log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    pub(crate) fn new() -> Self {
        let text = format!("req_{}", Uuid::now_v7().simple());
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("req_unknown")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}
