//! An AWS error: status, exception type, message, and its headers.

use serde_json::json;

use crate::delivery::Reply;

const BEDROCK: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";
const CORAL: &str = "http://internal.amazon.com/coral/com.amazon.coral.service/";

/// Reasons for refusing a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) headers: Vec<(String, String)>,
    namespace: &'static str,
}

impl Refusal {
    /// An exception of the service's own model.
    pub(crate) fn new(status: u16, kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: kind.into(),
            message: message.into(),
            headers: Vec::new(),
            namespace: BEDROCK,
        }
    }

    /// An exception of the framework in front of the service: authentication and routing.
    pub(crate) fn front(status: u16, kind: &str, message: impl Into<String>) -> Self {
        Self { namespace: CORAL, ..Self::new(status, kind, message) }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// A body that does not fit the API's model; `pointer` is a JSON pointer such as `#/messages/0`.
    pub(crate) fn malformed(pointer: &str, problem: &str) -> Self {
        Self::validation(format!(
            "Malformed input request: {pointer}: {problem}, please reformat your input and try again."
        ))
    }

    /// The service's message when the model and not the API refused.
    pub(crate) fn from_model(problem: &str) -> Self {
        Self::validation(format!("The model returned the following errors: {problem}"))
    }

    /// The typical refusal with a status, for faults that name only the status.
    pub(crate) fn typical(status: u16) -> Self {
        let (kind, message) = match status {
            403 => (
                "AccessDeniedException",
                "You don't have access to the model with the specified model ID.",
            ),
            404 => (
                "ResourceNotFoundException",
                "Could not resolve the foundation model from the provided model identifier.",
            ),
            408 => (
                "ModelTimeoutException",
                "Model has timed out in processing the request. Try your request again.",
            ),
            424 => (
                "ModelErrorException",
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            429 => ("ThrottlingException", "Too many requests, please wait before trying again."),
            500 => (
                "InternalServerException",
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            503 => (
                "ServiceUnavailableException",
                "The service is temporarily unavailable. Try your request again.",
            ),
            _ => ("ValidationException", "The request is not valid."),
        };
        Self::new(status, kind, message)
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The refusal as an HTTP answer.
    pub(crate) fn reply(self) -> Reply {
        let body = json!({ "message": self.message });
        let mut reply = Reply::json(self.status, &body);
        reply
            .headers
            .push(("x-amzn-ErrorType".into(), format!("{}:{}", self.kind, self.namespace)));
        reply.headers.extend(self.headers);
        reply
    }
}
