//! The call that continues a stream which broke off after some text: the same question at another target of the
//! name, with the text so far as the beginning of the answer.

use std::sync::Arc;

use bedrock::Kind;
use bytes::Bytes;
use routing::{CallPurpose, CallSpec, Dispatch, Dispatched, FallbackScope, Route, Target};
use serde_json::{Value, json};
use translate::Invalid;
use translate::dialect::Dialect;
use translate::reasoning::Origin;

use super::Admitted;
use super::dispatch::{Answering, StartedAnswer, attempts};
use super::hedge::HedgeTerms;
use super::native_call::BodyForm;
use super::pending_call::PendingCall;
use crate::error::GatewayError;
use crate::request::context::RequestContext;
use crate::request::settlement::ContinuedBy;
use crate::request::spare_call::CalledTarget;
use crate::sse::continuation::{AnswerSoFar, Continue, ContinuedCall};
use crate::telemetry::metrics::ContinuationResult;

/// Follows the request's id in the row of the call that broke off.
const SUFFIX: &str = "-broken";
/// Bytes of text in a token.
const TOKEN: usize = 4;
/// Members of a body with which an answer may be more than text, or is judged as a whole.
const MORE_THAN_TEXT: [&str; 3] = ["toolConfig", "guardrailConfig", "outputConfig"];

/// A stream that is continued if it breaks off.
pub(super) struct ContinuedStream<D: Dialect> {
    admitted: Admitted,
    route: Route,
    call: PendingCall<D>,
    terms: HedgeTerms,
    home: Option<Origin>,
    /// The id of the request.
    id: String,
}

impl<D: Dialect> ContinuedStream<D> {
    /// The continuation of a stream. `None` if its name has none, or if its answer may be more than text.
    pub(super) fn of(
        admitted: &Admitted,
        dispatch: &Dispatch<'_>,
        call: &PendingCall<D>,
        context: &RequestContext,
    ) -> Option<Self> {
        let is_stream = call.context.operation.kind() == Kind::Stream;
        if !dispatch.continues_streams() || !is_stream || !call.is_single() {
            return None;
        }
        let translated = call.translated.as_ref().ok()?;
        let is_text = D::wanted(&translated.reply).is_none();
        if translated.form != BodyForm::Converse || !is_text || !asks_for_text(&translated.body) {
            return None;
        }
        Some(Self {
            admitted: admitted.clone(),
            route: dispatch.route(),
            call: call.twin(call.context.question),
            terms: HedgeTerms::with_suffix::<D>(SUFFIX, admitted, dispatch, context),
            home: dispatch.home(),
            id: context.id().to_owned(),
        })
    }

    /// The function that continues the stream of this target.
    pub(super) fn after(self, broken: CalledTarget) -> Continue {
        Box::new(move |so_far| Box::pin(self.continued(broken, so_far)))
    }

    async fn continued(self, broken: CalledTarget, so_far: AnswerSoFar) -> Option<ContinuedCall> {
        let Self { admitted, route, mut call, terms, home, id } = self;
        let prefill: Arc<str> = Arc::from(so_far.prefill()?);
        let metrics = &admitted.worker().shared.telemetry.metrics;
        let spec = CallSpec {
            admission: admitted.admission(),
            id: &id,
            kind: Kind::Stream,
            purpose: CallPurpose::Model,
            tokens: terms.tokens,
            key: None,
            home,
            fallback_scope: FallbackScope::SameName,
        };
        let names = &admitted.now().names;
        let begun = Dispatch::begin_elsewhere(names, route, spec, broken.label());
        let Some(dispatch) = begun else {
            metrics.continued(ContinuationResult::NoTarget);
            return None;
        };
        let Some(mut spare) = terms.reserve(&admitted, dispatch.target()).await else {
            metrics.continued(ContinuationResult::Refused);
            return None;
        };
        // The row is that of the call that broke off; the request's own is of the one that goes on.
        let from = Arc::clone(broken.label());
        spare.is_at(broken);
        spare.wrote(so_far.length());
        call.prefill = Some(prefill);
        let mut last = Answering::default();
        let sent = dispatch
            .run(async |target: &Target| attempts(&admitted, &mut call, target, &mut last).await)
            .await;
        match (sent, last.at) {
            (
                Ok(Dispatched { answer: StartedAnswer::Stream(stream), in_flight, attempt_log }),
                Some(at),
            ) => {
                log::warn!("{id} a stream of {from:?} broke off, continued at {:?}", at.label());
                metrics.continued(ContinuationResult::Continued);
                let by = ContinuedBy {
                    label: Arc::clone(at.label()),
                    region: attempt_log.region,
                    price: at.price().clone(),
                    attempts: attempt_log.attempts,
                    made: attempt_log.made,
                };
                Some(ContinuedCall { stream, by, in_flight })
            }
            (sent, _) => {
                if let Err(unsent) = sent {
                    log::warn!("{id} a stream broke off and is not continued: {}", unsent.error);
                }
                metrics.continued(ContinuationResult::Failed);
                // The request's own row is of the call that broke off.
                spare.void();
                None
            }
        }
    }
}

/// Whether the answer to a body can only be text, after a turn of the user.
fn asks_for_text(body: &Bytes) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    last.is_some_and(|last| last["role"] == "user")
        && MORE_THAN_TEXT.iter().all(|member| body.get(member).is_none())
}

/// The body for a target, with the beginning of its answer where a call continues another one.
///
/// # Errors
/// The target does not go on with an answer.
pub(super) fn begun<D: Dialect>(
    body: Bytes,
    call: &PendingCall<D>,
    target: &Target,
) -> Result<Bytes, GatewayError> {
    let Some(text) = &call.prefill else { return Ok(body) };
    if !target.model.profile.trailing_assistant || call.form() != BodyForm::Converse {
        let message = "This model does not go on with an answer that another one began.";
        return Err(Invalid::value("model", message).into());
    }
    with_prefill(&body, text)
}

/// A body of Converse whose answer begins with a text. Its limit is lowered by what the text has used.
///
/// # Errors
/// The body is not one of Converse.
fn with_prefill(body: &Bytes, text: &str) -> Result<Bytes, GatewayError> {
    let wrong = || GatewayError::Internal("a body of Converse cannot be continued".to_owned());
    let mut body: Value = serde_json::from_slice(body).map_err(|_| wrong())?;
    let messages = body.get_mut("messages").and_then(Value::as_array_mut).ok_or_else(wrong)?;
    messages.push(json!({ "role": "assistant", "content": [{ "text": text }] }));
    if let Some(limit) = body.pointer_mut("/inferenceConfig/maxTokens")
        && let Some(most) = limit.as_u64()
    {
        let used = u64::try_from(text.len().div_ceil(TOKEN)).unwrap_or(u64::MAX);
        *limit = most.saturating_sub(used).max(1).into();
    }
    serde_json::to_vec(&body).map(Bytes::from).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_becomes_the_last_turn_and_uses_up_the_limit() {
        let body = Bytes::from_static(
            br#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"inferenceConfig":{"maxTokens":10}}"#,
        );
        assert!(asks_for_text(&body));
        let continued = with_prefill(&body, "eight by").unwrap();
        assert_eq!(
            continued,
            r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]},{"role":"assistant","content":[{"text":"eight by"}]}],"inferenceConfig":{"maxTokens":8}}"#
        );
        assert!(!asks_for_text(&continued), "it ends with an answer already");
        let with_tools = br#"{"messages":[{"role":"user","content":[]}],"toolConfig":{}}"#;
        assert!(!asks_for_text(&Bytes::from_static(with_tools)));
        assert!(with_prefill(&Bytes::from_static(b"{}"), "x").is_err());
    }
}
