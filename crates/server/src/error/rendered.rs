//! An error in the terms of HTTP: status, envelope and headers.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder};
use schema::openai::error::{Envelope, ErrorBody};
use translate::answer_stream::StreamFailure;

use super::SHOULD_RETRY;
use crate::quoting;

/// An error ready to be written, as a response or as the last event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<Cow<'static, str>>,
    pub(crate) message: Cow<'static, str>,
    /// Time the client should wait before a retry.
    pub(crate) retry_after: Option<Duration>,
    /// Whether a retry is known to fail although the status suggests it.
    pub(crate) in_vain: bool,
    /// Further headers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Rendered {
    pub(super) fn new(
        status: u16,
        kind: &'static str,
        code: Option<&'static str>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = quoting::message(message.into());
        Self {
            status,
            kind,
            code,
            param: None,
            message,
            retry_after: None,
            in_vain: false,
            headers: Vec::new(),
        }
    }

    pub(super) fn about_model(mut self) -> Self {
        self.param = Some(Cow::Borrowed("model"));
        self
    }

    pub(super) fn about(mut self, param: &'static str) -> Self {
        self.param = Some(Cow::Borrowed(param));
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(super) fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(Duration::from_secs(seconds));
        self
    }

    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope {
            error: ErrorBody {
                message: &self.message,
                kind: self.kind,
                param: self.param.as_deref(),
                code: self.code,
            },
        }
    }

    /// The failure of a stream whose head was sent.
    pub(crate) fn failure(&self) -> StreamFailure<'_> {
        StreamFailure {
            status: self.status,
            kind: self.kind,
            code: self.code,
            param: self.param.as_deref(),
            message: &self.message,
            retry_after_ms: self
                .retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The whole HTTP answer, in OpenAI's shape.
    pub(super) fn response(&self) -> HttpResponse {
        self.head().json(self.envelope())
    }

    /// Status and headers of the HTTP answer.
    pub(super) fn head(&self) -> HttpResponseBuilder {
        self.head_with(self.status)
    }

    /// The same with a status of another API.
    pub(super) fn head_with(&self, status: u16) -> HttpResponseBuilder {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = HttpResponseBuilder::new(status);
        for header in self.extra_headers() {
            response.insert_header(header);
        }
        response
    }

    /// Sets the headers that tell a client when to try again, and what refused it.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        for (name, value) in self.extra_headers() {
            headers.insert(name, value);
        }
    }

    fn extra_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // Rounded up, because a retry that is too early is refused again.
        let wait = self.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        let wait = wait.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds)));
        let in_vain = self.in_vain.then(|| (SHOULD_RETRY, HeaderValue::from_static("false")));
        wait.into_iter().chain(in_vain).chain(self.headers.iter().cloned())
    }
}
