//! Errors in the shape of the API that a request is for. Bedrock's own is in `routes::native`.

use actix_web::HttpResponse;
use translate::dialect::ErrorDialect;
use translate::messages::MessagesError;

use super::{GatewayError, Rendered};

impl GatewayError {
    /// The HTTP answer; an error that is not the caller's fault is also logged, under the request's id.
    pub(crate) fn respond(&self, dialect: ErrorDialect, request_id: &str) -> HttpResponse {
        let rendered = self.render();
        // Overload has a line of its own, once a second.
        if rendered.status >= 500 && !matches!(self, Self::Overloaded(_)) {
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
        let failure = self.failure();
        let error = MessagesError::of(&failure);
        self.head_with(error.status).json(error.envelope(Some(request_id)))
    }
}
