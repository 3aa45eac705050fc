//! Counts the tokens of a request. Bedrock counts only for some models, and may accept a model under
//! another id than the one it is called by: the id itself is tried first, then its foundation model. A
//! model without token counting gets an estimate, marked as such. Any other failure is returned as a
//! failure.
//!
//! Unlike guardrail calls, this does not use the SDK client: the counted body is exactly the body that a
//! call would carry. The SDK would parse it into its `Document`s a second time, and would reorder tool
//! schemas.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use schema::converse::count::CountTokensResponse;
use translate::errors::Condition;
use translate::estimate;

use super::dispatch::AttemptOutcome;
use super::target::Target;
use super::{RouteError, condition, refused};
use bedrock::{Call, Failure, Kind, ProtocolError, Service, ServiceError, Transport, model_path};

/// Longest response accepted, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// A number of tokens and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// Counted by Bedrock for the model with this id.
    Counted {
        /// Input tokens.
        tokens: u64,
        /// The model id that was accepted.
        model: String,
        /// AWS's id of the call.
        request_id: Option<String>,
    },
    /// Estimated by the gateway.
    Estimated(u64),
}

impl AttemptOutcome for Count {
    fn is_of_target(&self) -> bool {
        match self {
            Self::Counted { .. } => true,
            Self::Estimated(_) => false,
        }
    }
}

/// Counts the tokens of a CountTokens body.
///
/// # Errors
/// Bedrock cannot be reached, or rejects the request itself.
pub async fn count(
    transport: &Transport,
    target: &Target,
    body: Bytes,
) -> Result<Count, RouteError> {
    let model = &target.model;
    let ids = [Some(model.model_id.as_str()), model.base_model()];
    let mut asked: Vec<&str> = Vec::with_capacity(ids.len());
    let mut refusal = None;
    for id in ids.into_iter().flatten() {
        if asked.contains(&id) {
            continue;
        }
        asked.push(id);
        match ask(transport, id, body.clone()).await {
            Ok((tokens, request_id)) => {
                return Ok(Count::Counted { tokens, model: id.to_owned(), request_id });
            }
            Err(RouteError::Upstream(Failure::Service(error))) if is_about_model(&error) => {
                refusal = Some(error);
            }
            Err(RouteError::Upstream(Failure::Service(error))) => {
                return Err(refused(error, target));
            }
            Err(other) => return Err(other),
        }
    }
    match refusal {
        // An unknown model has no basis for an estimate.
        Some(error) if !target.notes().is_known && !cannot_count(&error) => {
            Err(refused(error, target))
        }
        Some(_) | None => serde_json::from_slice(&body)
            .map(|body| Count::Estimated(estimate::tokens(&body)))
            .map_err(|error| Failure::Request(error.to_string()).into()),
    }
}

/// The number of tokens, and AWS's request id.
async fn ask(
    transport: &Transport,
    id: &str,
    body: Bytes,
) -> Result<(u64, Option<String>), RouteError> {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let call = Call {
        service: Service::Runtime,
        method: Method::POST,
        path: model_path(id, "count-tokens")?,
        query: None,
        headers,
        body,
        kind: Kind::Unary,
    };
    let answer = transport.send(call).await?;
    let request_id = answer.request_id.clone();
    let answer = answer.bytes(ANSWER_LIMIT).await?;
    let answer: CountTokensResponse = serde_json::from_slice(&answer).map_err(|_| {
        Failure::from(ProtocolError::Malformed("a count that is no count".to_owned()))
    })?;
    Ok((answer.input_tokens, request_id))
}

/// Whether the refusal concerns only this model id, so that another id or the estimate may be used: the
/// model has no token counting, or none under this id.
fn is_about_model(error: &ServiceError) -> bool {
    let by_id = matches!(
        condition(error),
        Some(Condition::UnknownModel | Condition::ProfileOnly | Condition::NotHere)
    );
    by_id || cannot_count(error)
}

/// Bedrock's message on 2026-11-21: "The provided model doesn't support counting tokens."
fn cannot_count(error: &ServiceError) -> bool {
    error.status == 400 && error.message.to_ascii_lowercase().contains("counting tokens")
}
