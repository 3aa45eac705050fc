//! A request in eight steps, in this order for every route:
//!
//! 1. **identify** ([`Incoming::identify`]): the principal and all option headers, before a byte of the body;
//! 2. **read** ([`Incoming::read`]): the body's bytes, under limits, and from them a typed request;
//! 3. **admit and resolve** ([`Incoming::admit`], [`Admitted::resolve`]): permission, then the targets behind
//!    the name;
//! 4. **media** ([`Admitted::fetch_media`]): content that the request refers to by URL;
//! 5. **translate** ([`pending_call`]): the request in Bedrock's terms, for the target at hand; a dry run ends
//!    here;
//! 6. **dispatch** ([`dispatch`]): sign, send, retry and fall back until an answer begins;
//! 7. **respond** ([`respond`]): the answer as one body or as server-sent events;
//! 8. **settle** (`Drop for RequestContext`): usage, the calls made, the access line.
//!
//! [`serve`] takes them for every front door of models, whatever its [`Dialect`]. [`Admitted`] is the only
//! way to a transport or to the SDK, and [`Incoming::admit`] is the only source of one: a route without the
//! steps before it does not compile.

use std::cell::OnceCell;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::openai::format::FormatKind;
use translate::dialect::{Dialect, Questions, RequestHead};
use translate::profile::StructuredOutput;
use translate::reasoning::Origin;
use translate::{Invalid, Report};

use crate::body::BodySource;
use crate::disconnect::AnswerForm;
use crate::drain::Drained;
use crate::error::GatewayError;
use crate::form;
use crate::pieces::Pieces;
use crate::reasoning_store::ReasoningStore;
use crate::request::PendingResponse;
use crate::request::context::RequestContext;
use crate::request::options::{CallMode, RouteOptions};
use crate::sse::pending;
use crate::state::Worker;
use crate::telemetry::traces::RequestStep;
use crate::token_ids;
use routing::{
    AttemptLog, CallPurpose, CallSpec, Dispatch, FallbackScope, Outgoing, Route, Target, outline,
};

mod admit;
mod background;
pub(crate) mod body_writer;
mod cached;
pub(crate) mod continuation;
mod continue_stream;
pub(crate) mod deployment;
mod dispatch;
pub(crate) mod dry_run;
mod file_inputs;
mod guardrail_around;
mod hedge;
mod identify;
pub(crate) mod invoke;
pub(crate) mod json;
pub(crate) mod json_response;
mod native_call;
pub(crate) mod parsed_request;
pub(crate) mod pending_call;
pub(crate) mod record;
mod repair;
pub(crate) mod reserve;
mod respond;
mod surface_call;
mod warm_up;

pub(crate) use admit::Admitted;
pub(crate) use identify::Incoming;

use cached::{AnswerKeeper, CachedCall};
use parsed_request::{ParsedRequest, RequestOutline};
use pending_call::{PastReasoning, PendingCall, TranslateContext};
use repair::may_repeat;
use reserve::{CallEstimate, EstimatedCost};

/// Responds to a request for a model. The work is boxed because it outlives this function if the head of a
/// slow stream is sent first.
pub(crate) async fn serve<D: Dialect>(
    worker: Data<Worker>,
    http: HttpRequest,
    body: impl Into<BodySource>,
) -> HttpResponse {
    let body = body.into();
    let head = PendingResponse::default();
    let (silence, cut) = (worker.now().config.timeouts.keep_alive, worker.shared.cutoff.watch());
    // Boxed before it is moved on: it is the largest future of a request.
    let answer = Box::pin(answered::<D>(worker, http, body, head.clone()));
    let answer = background::attended(answer, head.clone(), cut.clone());
    let answer = Box::pin(Drained::new(answer, head.clone()));
    pending::respond(answer, head, silence, cut).await
}

async fn answered<D: Dialect>(
    worker: Data<Worker>,
    http: HttpRequest,
    body: BodySource,
    head: PendingResponse,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, D::NAME).behind(head);
    context.speaks(D::ERRORS);
    let (id, slot) = (context.id().to_owned(), OnceCell::new());
    match prepared::<D>(&worker, &http, body, (&id, &slot), &mut context).await {
        Ok(Prepared::Call { admitted, dispatch, call, keeper }) => {
            if let Err(error) = background::accept(admitted, &call, &context).await {
                return context.refuse(&error);
            }
            let kind = call.context.operation.kind();
            context.step(RequestStep::Dispatch);
            match dispatch::start(admitted, *dispatch, *call, &mut context).await {
                Ok(started) => {
                    let response = respond::respond::<D>(started, kind, admitted, context).await;
                    match keeper {
                        Some(keeper) => keeper.keeps(response),
                        None => response,
                    }
                }
                Err(error) => context.refuse(&error),
            }
        }
        Ok(Prepared::Shown(shown)) => shown,
        Err(error) => context.refuse(&error),
    }
}

/// A request that was translated.
enum Prepared<'n, D: Dialect> {
    /// The request goes to a target.
    Call {
        admitted: &'n Admitted,
        dispatch: Box<Dispatch<'n>>,
        call: Box<PendingCall<D>>,
        keeper: Option<Box<AnswerKeeper>>,
    },
    /// The caller requested a dry run, or a response without a call.
    Shown(HttpResponse),
}

/// Steps 1 to 5: from the client's bytes to Bedrock's. The client's bytes are kept only if they may be
/// translated again, and nothing else of the request: a call may wait for minutes and should not hold
/// its images twice.
async fn prepared<'n, D: Dialect>(
    worker: &Data<Worker>,
    http: &HttpRequest,
    mut body: BodySource,
    (id, slot): (&'n str, &'n OnceCell<Admitted>),
    context: &mut RequestContext,
) -> Result<Prepared<'n, D>, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, body.payload(), RouteOptions::Model).await?;
    let offload = &worker.shared.offload;
    let body = form::as_json(http, incoming.read(body, context).await?, D::FORM, offload).await?;
    let body = deployment::applied(http, body, offload).await?;
    let body = incoming.with_files(body).await?;
    let (body, cache) = cached::asked(&incoming, http, body)?;
    let now = Arc::clone(incoming.now());
    let media = &now.config.media;
    // It outlives the request, which may borrow from it.
    let continued;
    let mut request = ParsedRequest::<D>::read(&body, media, offload).await?;
    let tags = request.outline.tags(incoming.options());
    incoming.acts_for(request.outline.head.end_user.take(), &tags)?;
    let admitted = incoming.admit(Some(&request.outline.head.model), context).await?;
    let admitted = slot.get_or_init(|| admitted);
    if request.outline.head.stream {
        context.is_of_stream::<D::Stream>(D::ID_PREFIX);
    }
    if request.outline.head.token_ids {
        token_ids::load().await?;
    }
    let is_dry = admitted.options().mode == CallMode::DryRun;
    let state = continuation::state(&request.outline, admitted);
    if (state.stores || state.is_of_connection) && !is_dry {
        continuation::announce(&body, &request.outline, (admitted, state)).await?;
    }
    if let Some(whole) = continuation::continued(&body, &request.outline, admitted).await? {
        continued = whole;
        request = ParsedRequest::read(&continued, media, offload).await?;
    }
    let body = request.body;
    let route = admitted.resolve(&request.outline.head.model, tags).await?;
    context.is_resolved(route.series());
    let cached = CachedCall::of::<D>((admitted, &route), (&request.outline, body), state, cache);
    if let Some(cached) = &cached
        && let Some(answer) = cached.find(admitted).await
    {
        let response = cached.respond::<D>(&answer, admitted, context);
        return Ok(Prepared::Shown(Box::pin(response).await?));
    }
    let choices = choices(&request.outline.head, admitted.now().config.chat.most_choices)?;
    context.step(RequestStep::Media);
    let fetched = admitted.fetch_media(std::mem::take(&mut request.outline.links)).await?;
    context.step(RequestStep::Translate);
    let home = home(&route, admitted.reasoning(), &request.outline.head).await;
    let spec = spec(admitted, id, &request.outline, home);
    let translate = TranslateContext {
        operation: request.outline.operation(),
        options: Arc::clone(admitted.options()),
        fetched,
        items: Arc::new(admitted.reasoning().items().find(&request.outline.item_ids).with(state)),
        reasoning: admitted.reasoning().clone(),
        withheld: Vec::new(),
        thoughts: if is_dry { PastReasoning::Veiled } else { PastReasoning::Sent },
        correction: None,
        choices,
        question: 0,
    };
    if is_dry {
        let target = Dispatch::preview(&route, spec)?;
        let questions = request.outline.head.questions.count;
        // Boxed as all that few requests need, so that it does not enlarge every request's future.
        let shown = show::<D>(admitted, &target, (translate, questions), body, context);
        return Ok(Prepared::Shown(Box::pin(shown).await?));
    }
    if admitted.options().mode == CallMode::WarmUp {
        let target = Dispatch::preview(&route, spec)?;
        let warmed = warm_up::respond::<D>((&translate, body), &target, admitted, context);
        return Ok(Prepared::Shown(Box::pin(warmed).await?));
    }
    let calls = u32::try_from(request.outline.head.questions.count).unwrap_or(u32::MAX);
    let calls = calls.saturating_mul(choices);
    let cost = EstimatedCost::Model {
        route: &route,
        tokens: spec.tokens,
        pieces: Pieces::default(),
        calls,
    };
    admitted.reserve(CallEstimate { call_type: D::CALL_TYPE, cost }, context).await?;
    if !request.outline.head.stream {
        context.may_drain(admitted.now().config.access.on_disconnect, AnswerForm::Whole);
    }
    let dispatch = Dispatch::begin(&admitted.now().names, route, spec)?;
    let call = translated(admitted, &dispatch, request, translate).await?;
    let keeper = cached.and_then(|cached| cached.keeper(admitted, context)).map(Box::new);
    Ok(Prepared::Call { admitted, dispatch: Box::new(dispatch), call: Box::new(call), keeper })
}

/// RequestStep 5 for the first target.
async fn translated<D: Dialect>(
    admitted: &Admitted,
    dispatch: &Dispatch<'_>,
    request: ParsedRequest<'_, D>,
    mut context: TranslateContext,
) -> Result<PendingCall<D>, GatewayError> {
    let RequestHead { format, questions, .. } = request.outline.head;
    let body = request.body;
    let repeats = may_repeat(admitted.now(), format, context.operation);
    let may_be_refused = format == FormatKind::JsonSchema
        && dispatch.target().model.profile.structured_output == StructuredOutput::Native;
    let target = dispatch.target().looked_up().await;
    let translated = request.translate(&context, &target, admitted.offload()).await;
    // A new translation leaves out reasoning that a guardrail cannot mask or a model refuses, and a
    // grammar that a model refuses.
    let again = repeats
        || may_be_refused
        || questions.count > 1
        || translated
            .as_ref()
            .is_ok_and(|one| one.guard.is_some() || one.thinks_back || one.has_betas);
    let (translated, kept) = match (dispatch.may_differ(), again) {
        (true, _) => (translated, Some(body.clone())),
        (false, true) => (Ok(translated?), Some(body.clone())),
        (false, false) => {
            context.fetched = Arc::default();
            (Ok(translated?), None)
        }
    };
    let questions = questions.count;
    Ok(PendingCall { context, questions, translated, kept, repeats, prefill: None })
}

/// Answers a dry run with the call of every question. With `n` above 1 there would be as many calls,
/// identical to these.
async fn show<D: Dialect>(
    admitted: &Admitted,
    target: &Target,
    (translate, questions): (TranslateContext, usize),
    body: &Bytes,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let (offload, target) = (admitted.offload(), target.looked_up().await);
    let (mut calls, mut report) = (Vec::new(), Report::default());
    for question in 0..questions {
        let translate = TranslateContext { question, ..translate.clone() };
        let translated = translate.translate::<D>(body, &target, offload).await?;
        let operation = translated.operation(translate.operation);
        report.join(&translated.report);
        let (headers, mut body) = (translated.headers, translated.body);
        if translated.guard.is_some() {
            body = surface_call::after_guardrail(body, operation, &target, offload).await?;
        }
        calls.push(outline(&target, Outgoing { operation, headers, body })?);
    }
    dry_run::tell(AttemptLog::to(&target), calls, &report, context, offload).await
}

/// The number of answers requested to each question.
///
/// # Errors
/// More answers than the limit. The translation refuses values below one.
fn choices(head: &RequestHead, most: u32) -> Result<u32, Invalid> {
    let RequestHead { n, questions: Questions { count, param }, .. } = *head;
    let asked = u32::try_from(n.unwrap_or(1).max(1)).unwrap_or(u32::MAX);
    let all = asked.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    if all <= most {
        return Ok(asked);
    }
    let (param, message) = match (count, asked) {
        (1, _) => ("n", format!("n may be {most} at most here, and is {asked}.")),
        (_, 1) => (param, format!("{param} may hold {most} at most here, and holds {count}.")),
        _ => (
            "n",
            format!("n times the number in {param} may be {most} at most here, and is {all}."),
        ),
    };
    Err(Invalid::value(param, message).with_code("integer_above_max_value"))
}

fn spec<'r>(
    admitted: &'r Admitted,
    id: &'r str,
    outline: &RequestOutline,
    home: Option<Origin>,
) -> CallSpec<'r> {
    CallSpec {
        admission: admitted.admission(),
        id,
        kind: outline.operation().kind(),
        purpose: CallPurpose::Model,
        tokens: outline.tokens,
        key: outline.head.prefix,
        home,
        fallback_scope: FallbackScope::All,
    }
}

/// The origin of the conversation's last reasoning, if not all of the name's targets accept it back.
async fn home(route: &Route, reasoning: &ReasoningStore, head: &RequestHead) -> Option<Origin> {
    if !route.keeps_thoughts() {
        return None;
    }
    reasoning.origin(&head.last_calls).await.or(head.origin)
}
