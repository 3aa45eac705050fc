//! The endpoints whose requests may stand in the lines of a batch.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use translate::chat::Chat;
use translate::completions::Completions;
use translate::dialect::ErrorDialect;
use translate::messages::Messages;
use translate::responses::Responses;

use crate::body::BodySource;
use crate::embeddings;
use crate::error::GatewayError;
use crate::pipeline::record::RecordPlan;
use crate::pipeline::{record, serve};
use crate::state::Worker;

/// An endpoint, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BatchEndpoint {
    #[serde(rename = "/v1/chat/completions")]
    Chat,
    #[serde(rename = "/v1/responses")]
    Responses,
    #[serde(rename = "/v1/completions")]
    Completions,
    #[serde(rename = "/v1/embeddings")]
    Embeddings,
    #[serde(rename = "/v1/messages")]
    Messages,
}

impl BatchEndpoint {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Chat, Self::Responses, Self::Completions, Self::Embeddings, Self::Messages];

    /// The path.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
        }
    }

    /// The endpoint with this path.
    pub(crate) fn named(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// The shape of its errors.
    pub(super) const fn errors(self) -> ErrorDialect {
        match self {
            Self::Chat | Self::Responses | Self::Completions | Self::Embeddings => {
                ErrorDialect::OpenAi
            }
            Self::Messages => ErrorDialect::Anthropic,
        }
    }

    /// Beginning of the ids of its answers.
    pub(super) const fn answer_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Responses => "resp_",
            Self::Completions => "cmpl-",
            Self::Embeddings => "embd-",
            Self::Messages => "msg_",
        }
    }

    /// The kind of call in the row of a job, by LiteLLM's name.
    pub(super) const fn call_type(self) -> &'static str {
        match self {
            Self::Chat | Self::Completions => "abatch_completion",
            Self::Responses => "abatch_responses",
            Self::Embeddings => "abatch_embedding",
            Self::Messages => "abatch_messages",
        }
    }

    /// Translates the body of a line into records. The steps of each endpoint are boxed: together they would be too large
    /// for the stack.
    pub(super) async fn plan(
        self,
        worker: &Data<Worker>,
        http: &HttpRequest,
        body: Bytes,
    ) -> Result<RecordPlan, GatewayError> {
        match self {
            Self::Chat => Box::pin(record::plan::<Chat>(worker, http, body)).await,
            Self::Responses => Box::pin(record::plan::<Responses>(worker, http, body)).await,
            Self::Completions => Box::pin(record::plan::<Completions>(worker, http, body)).await,
            Self::Messages => Box::pin(record::plan::<Messages>(worker, http, body)).await,
            Self::Embeddings => Box::pin(embeddings::plan(worker, http, body)).await,
        }
    }

    /// Runs the body of a line as an ordinary request.
    pub(super) async fn run(
        self,
        worker: Data<Worker>,
        http: HttpRequest,
        body: Bytes,
    ) -> HttpResponse {
        let body = BodySource::Message(body);
        match self {
            Self::Chat => Box::pin(serve::<Chat>(worker, http, body)).await,
            Self::Responses => Box::pin(serve::<Responses>(worker, http, body)).await,
            Self::Completions => Box::pin(serve::<Completions>(worker, http, body)).await,
            Self::Messages => Box::pin(serve::<Messages>(worker, http, body)).await,
            Self::Embeddings => Box::pin(embeddings::respond(&worker, &http, body)).await,
        }
    }
}
