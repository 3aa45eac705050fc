//! RequestStep 7: the answers of all calls as one response, in one body or as a stream of events.

use std::sync::Arc;

use actix_web::http::header::{ContentType, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder};
use translate::Report;
use translate::dialect::Dialect;
use translate::spent::Spent;

use super::Admitted;
use super::dispatch::StartedCall;
use super::native_call::read_answer;
use super::repair::{self, Checked};
use crate::call_price::priced;
use crate::error::GatewayError;
use crate::json_schema::{Conformity, OnMismatch, StreamValidator};
use crate::request::answer_headers::describe;
use crate::request::context::{RequestContext, of_quota};
use crate::sse::choices::{AnswerSource, Choice, Choices};
use crate::sse::stream::{self, event_stream};
use crate::telemetry::traces::RequestStep;
use bedrock::Kind;

/// Header with the validation result of an answer that was requested as JSON.
const STRUCTURED_OUTPUT: HeaderName = HeaderName::from_static("x-outcrop-structured-output");

/// Responds with the answers, in the form that the caller requested.
pub(super) async fn respond<D: Dialect>(
    all: Vec<StartedCall<D::Reply>>,
    kind: Kind,
    admitted: &Admitted,
    mut context: RequestContext,
) -> HttpResponse {
    context.step(RequestStep::Respond);
    let about = About::of(&all);
    if let Some(price) = all.iter().find_map(|one| one.price.as_ref()) {
        context.is_priced_by(price);
    }
    let responded = match kind {
        Kind::Unary => unary::<D>(all, about, admitted, &mut context).await,
        Kind::Stream => {
            let is_whole = all.iter().all(|one| matches!(one.source, AnswerSource::Whole(_)));
            let choices = choices::<D>(all, admitted, &context).await;
            let mut response = event_stream();
            describe(&mut response, &context, &about.report, about.request_id.as_deref());
            if !is_whole {
                return stream::respond(response, choices, &admitted.now().config, context);
            }
            // An error still has its status, because all answers are known before the head is sent.
            let replayed = stream::replayed(choices, &mut context).await;
            replayed.map(|events| response.body(events))
        }
    };
    responded.unwrap_or_else(|error| context.refuse(&error))
}

/// Headers for several answers: the id of the first, and fields without effect in any of them.
struct About {
    report: Report,
    request_id: Option<String>,
}

impl About {
    fn of<R>(all: &[StartedCall<R>]) -> Self {
        let mut report = Report::default();
        for one in all {
            report.join(&one.report);
        }
        Self { report, request_id: all.first().and_then(|one| one.request_id.clone()) }
    }
}

/// The translators of all answers.
async fn choices<D: Dialect>(
    all: Vec<StartedCall<D::Reply>>,
    admitted: &Admitted,
    context: &RequestContext,
) -> Choices<D::Stream> {
    let stamp = context.stamp(D::ID_PREFIX);
    let validator = validator::<D>(all.first().map(|first| &first.reply), admitted).await;
    let choices = (0..).zip(all).map(|(index, one)| Choice {
        source: one.source,
        translator: D::stream(one.reply, stamp.clone(), index),
        in_flight: one.in_flight,
        price: one.price,
        continues: one.continues,
    });
    let cost = admitted.now().config.chat.usage_cost;
    let kept = (admitted.reasoning().clone(), Arc::clone(admitted.settlement()));
    Choices::new(choices.collect(), validator, kept, cost)
}

/// The validator of a stream, if its answer was requested as JSON.
async fn validator<D: Dialect>(
    reply: Option<&D::Reply>,
    admitted: &Admitted,
) -> Option<StreamValidator> {
    let criterion = admitted.worker().shared.validators.criterion(D::wanted(reply?)?).await;
    Some(StreamValidator::new(criterion, admitted.now().config.structured_output.on_mismatch))
}

/// Translates complete answers and validates those that were requested as JSON. Each answer's usage counts
/// even if another answer cannot be sent.
async fn unary<D: Dialect>(
    all: Vec<StartedCall<D::Reply>>,
    about: About,
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let (mut spent, mut answers, mut failed) = (Spent::default(), Vec::new(), None);
    let (mut conformity, mut routed) = (None, None);
    for one in all {
        match translated::<D>(one, admitted, context).await {
            Ok(Checked { answered, spent: own, conformity: found }) => {
                spent = spent.and(own);
                conformity = conformity.max(found);
                routed = routed.or(answered.invoked_model);
                answers.push(answered.answer);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    context.settle(spent);
    if let Some(error) = failed {
        return Err(error);
    }
    if conformity == Some(Conformity::Mismatch)
        && admitted.now().config.structured_output.on_mismatch == OnMismatch::Refuse
    {
        return Err(GatewayError::Mismatch);
    }
    let none = || GatewayError::Internal("no answer was asked for".to_owned());
    let shown = admitted.now().config.chat.usage_cost.shown(spent);
    let answer = D::gather(answers, shown).ok_or_else(none)?;
    if let Some(flaw) = D::flaw(&answer) {
        return Err(GatewayError::Flawed(flaw));
    }
    admitted.reasoning().keep_response(D::kept_answer(&answer)).await;
    context.was_routed_to(routed);
    context.complete();
    let mut response = described(&about, conformity, context);
    Ok(match D::plain(&answer) {
        Some(text) => response.content_type(ContentType::plaintext()).body(format!("{text}\n")),
        None => response.json(&answer),
    })
}

/// A response with the headers of a complete answer.
fn described(
    about: &About,
    conformity: Option<Conformity>,
    context: &RequestContext,
) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    describe(&mut response, context, &about.report, about.request_id.as_deref());
    for header in context.cost_headers() {
        response.insert_header(header);
    }
    if let Some(conformity) = conformity {
        response.insert_header((STRUCTURED_OUTPUT, conformity.word()));
    }
    response
}

/// Translates one complete answer; its reasoning is saved before the client sees its tool calls.
async fn translated<D: Dialect>(
    mut one: StartedCall<D::Reply>,
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<Checked<D::Answer>, GatewayError> {
    let AnswerSource::Whole(body) = one.source else {
        return Err(GatewayError::Internal("a whole answer came as a stream".to_owned()));
    };
    let with = (&one.reply, context.stamp(D::ID_PREFIX));
    let (mut answered, spent) = match read_answer::<D>(&body, one.form, with) {
        Ok(read) => read,
        Err(error) => {
            one.in_flight.broke_off(&error);
            return Err(error);
        }
    };
    if let Some(usage) = spent.usage() {
        one.in_flight.settle(of_quota(usage));
    }
    if let Some(saved) = answered.saved.take() {
        admitted.reasoning().keep(&saved).await;
    }
    let spent = priced(one.price.as_ref(), spent);
    let first = Checked { answered, spent, conformity: None };
    let reply = (&one.reply, one.repair.as_ref());
    let mut checked = repair::checked::<D>(first, reply, admitted, context).await;
    // Of an answer that was repaired, the client sees the second.
    admitted.reasoning().items().keep(D::kept_items(&mut checked.answered.answer));
    Ok(checked)
}
