//! Requests that prepare a conversation: their response is complete at once and without output, and a later request
//! continues it. No call is made.

use actix_web::HttpResponse;
use bytes::{Bytes, BytesMut};
use routing::Target;
use translate::answer_stream::{AnswerStream, replay};
use translate::dialect::Dialect;

use super::Admitted;
use super::pending_call::TranslateContext;
use crate::error::GatewayError;
use crate::request::answer_headers::describe;
use crate::request::context::{RequestContext, unix_seconds};
use crate::sse::stream::event_stream;

/// An answer of no content and no usage.
const EMPTY: &str = r#"{"output":{"message":{"role":"assistant","content":[]}},"stopReason":"end_turn","usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0},"metrics":{"latencyMs":0}}"#;

/// Responds with the events of a response without output, and keeps it.
pub(super) async fn respond<D: Dialect>(
    (translate, body): (&TranslateContext, &Bytes),
    target: &Target,
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let target = target.looked_up().await;
    let translated = translate.translate::<D>(body, &target, admitted.offload()).await?;
    let mut stream = D::stream(translated.reply, context.stamp(D::ID_PREFIX), 0);
    let mut out = BytesMut::new();
    let empty = serde_json::from_str(EMPTY).map_err(GatewayError::Unreadable)?;
    let told = replay(empty, &mut stream, &mut out)?;
    let ended = stream.close(&mut out)?;
    if told.answer.or(ended.answer).is_some() {
        stream.judged(None, &mut out)?;
    }
    stream.ends_at(unix_seconds());
    let spent = stream.spent();
    stream.finish(spent, &mut out)?;
    admitted.reasoning().keep_response(stream.kept_answer()).await;
    context.complete();
    let mut response = event_stream();
    describe(&mut response, context, &translated.report, None);
    Ok(response.body(out.freeze()))
}
