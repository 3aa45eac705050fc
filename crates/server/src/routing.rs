//! From a resolved target to Bedrock's answer. Today there is one way to go; where there will be
//! several, they are chosen here.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::bedrock::{Answer, Call, Failure, InvalidModelId, Kind, Service, Transport, model_path};
use crate::catalogue::Target;

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A whole answer.
    Converse,
    /// An answer as it is made.
    ConverseStream,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Converse => "converse",
            Self::ConverseStream => "converse-stream",
        }
    }

    /// How the answer comes.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Converse => Kind::Unary,
            Self::ConverseStream => Kind::Stream,
        }
    }

    fn accept(self) -> HeaderValue {
        HeaderValue::from_static(match self.kind() {
            Kind::Unary => "application/json",
            Kind::Stream => "application/vnd.amazon.eventstream",
        })
    }
}

/// Why a target did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RouteError {
    /// The id cannot stand in a URL.
    #[error(transparent)]
    Model(#[from] InvalidModelId),
    /// Bedrock, or the way to it, failed.
    #[error(transparent)]
    Upstream(#[from] Failure),
}

/// Sends a JSON body to a target's operation and waits for the head of the answer.
pub(crate) async fn send(
    transport: &Transport,
    target: &Target,
    operation: Operation,
    body: Bytes,
) -> Result<Answer, RouteError> {
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, operation.accept());
    let call = Call {
        service: Service::Runtime,
        method: Method::POST,
        path: model_path(&target.model_id, operation.name())?,
        query: None,
        headers,
        body,
        kind: operation.kind(),
    };
    Ok(transport.send(call).await?)
}
