//! Errors in the shape of the API that a request is for. Bedrock's own is in `routes::native`.

use actix_web::HttpResponse;
use schema::anthropic::error::{Envelope, ErrorBody, kind_of};
use translate::dialect::ErrorDialect;

use super::{GatewayError, Rendered};

impl GatewayError {
    /// The HTTP answer; an error that is not the caller's fault is also logged, under the request's id.
    pub(crate) fn respond(&self, dialect: ErrorDialect, request_id: &str) -> HttpResponse {
        let rendered = self.render();
        if rendered.status >= 500 {
            log::warn!("{request_id} {}: {self}", rendered.status);
        }
        let response = match dialect {
            ErrorDialect::OpenAi => rendered.response(),
            ErrorDialect::Anthropic => rendered.anthropic(request_id),
        };
        match self {
            Self::Body(unread) => unread.close_after(response),
            _ => response,
        }
    }
}

impl Rendered {
    /// The whole HTTP answer, in Anthropic's shape.
    fn anthropic(&self, request_id: &str) -> HttpResponse {
        let error = ErrorBody { kind: kind_of(self.status), message: &self.message };
        self.head().json(Envelope { kind: "error", error, request_id })
    }
}
