//! `POST /v1/chat/completions`: parse, resolve, translate the question, send it, translate the
//! answer, whole or as it comes.

use std::sync::Arc;

use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::response::ConverseResponse;
use schema::openai::format::FormatKind;
use translate::chat::ChatStream;
use translate::profile::StructuredOutput;
use translate::reasoning::Origin;
use translate::{Reply, Report};

use guardrail::RequestedGuardrail;
use guardrail_around::{GuardedInput, GuardrailCall, UpstreamAnswer};
use pending_call::{PastReasoning, PendingCall, TranslateContext, Translated, UNASKED};
use repair::{RepairCall, RepairOutcome, may_repeat};
use request::{ParsedRequest, RequestOutline};

use super::deployment;
use crate::app::{Snapshot, Worker};
use crate::error::GatewayError;
use crate::json_schema::StreamValidator;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::{RequestContext, describe};
use crate::request::options::{CallMode, RequestOptions};
use crate::sse::PendingResponse;
use crate::{early, pump};
use bedrock::{Kind, UpstreamResponse};
use routing::{
    self, AttemptOutcome, CallPurpose, CallSpec, Dispatch, DispatchError, Dispatched,
    FallbackScope, Route, Target,
};

mod betas;
mod choices;
mod dry_run;
mod guardrail;
mod guardrail_around;
mod pending_call;
mod repair;
pub(super) mod request;

/// The longest whole answer accepted, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// What became of an answer that was asked to be JSON.
const STRUCTURED_OUTPUT: HeaderName = HeaderName::from_static("x-outcrop-structured-output");

/// Answers a chat request. On the heap, because the work outlives this where the head of a slow stream goes
/// out first.
pub(crate) async fn completions(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let head = PendingResponse::default();
    let (silence, cut) = (worker.now().config.keep_alive, worker.shared.cutoff.watch());
    let answer = Box::pin(answered(worker, http, payload, head.clone()));
    pending::respond(answer, head, silence, cut).await
}

async fn answered(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
    head: PendingResponse,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "chat").behind(head);
    let now = worker.now();
    let reasoning = ReasoningStore::new(&worker.shared, &now, http.headers());
    if RequestOptions::of(http.headers()).is_ok_and(|told| told.mode == CallMode::DryRun) {
        let shown = dry_run::rehearse(&worker, &now, &http, payload, &reasoning, &mut context);
        return shown.await.unwrap_or_else(|error| context.refuse(&error));
    }
    let id = context.id().to_owned();
    let (dispatch, call) =
        match receive(&worker, &now, &http, payload, &id, &reasoning, &mut context).await {
            Ok(received) => received,
            Err(error) => return context.refuse(&error),
        };
    if call.choices > 1 {
        // On the heap: what few need must not make every call's state larger.
        return Box::pin(choices::complete(&worker, &now, dispatch, call, &reasoning, context))
            .await;
    }
    let asked = ask(&worker, dispatch, call, &mut context).await;
    let StartedCall { begun, reply, report, second } = match asked {
        Ok(asked) => asked,
        Err(error) => return context.refuse(&error),
    };
    match begun {
        StartedAnswer::Whole(told) => {
            let around = (&**worker, &*now, &reasoning);
            match whole(told, &reply, &report, second.as_ref(), around, &mut context).await {
                Ok(response) => response,
                Err(error) => context.refuse(&error),
            }
        }
        StartedAnswer::Replayed(told) => {
            let validator = validator(&worker, &now, &reply).await;
            let chat = ChatStream::new(reply, context.stamp());
            match replayed(told, chat, &reasoning, validator, &report, &mut context).await {
                Ok(response) => response,
                Err(error) => context.refuse(&error),
            }
        }
        StartedAnswer::Stream(begun) => {
            let validator = validator(&worker, &now, &reply).await;
            let chat = ChatStream::new(reply, context.stamp());
            stream::respond(*begun, chat, reasoning, validator, &report, &now.config, context)
        }
    }
}

/// Who judges a stream, if its answer was asked to be JSON.
async fn validator(worker: &Worker, now: &Snapshot, reply: &Reply) -> Option<StreamValidator> {
    let criterion = worker.shared.validators.criterion(reply.wanted()?).await;
    Some(StreamValidator::new(criterion, now.config.structured.on_mismatch))
}

/// A question that Bedrock has begun to answer.
struct StartedCall {
    begun: StartedAnswer,
    reply: Reply,
    report: Report,
    /// How it is asked again, if it may be.
    second: Option<RepairCall>,
}

/// The beginning of an answer.
enum StartedAnswer {
    /// Its head.
    Whole(UpstreamAnswer),
    /// Its head, where the caller wants a stream and the model gives none.
    Replayed(UpstreamAnswer),
    /// Its first event.
    Stream(Box<stream::StartedStream>),
}

impl AttemptOutcome for StartedAnswer {
    fn is_of_target(&self) -> bool {
        match self {
            Self::Whole(told) | Self::Replayed(told) => {
                !matches!(told, UpstreamAnswer::Withheld(_))
            }
            Self::Stream(_) => true,
        }
    }
}

impl StartedAnswer {
    fn told(told: UpstreamAnswer, wanted: Kind) -> Self {
        match wanted {
            Kind::Unary => Self::Whole(told),
            Kind::Stream => Self::Replayed(told),
        }
    }
}

async fn receive<'n>(
    worker: &Worker,
    now: &'n Snapshot,
    http: &HttpRequest,
    payload: Payload,
    id: &'n str,
    reasoning: &ReasoningStore,
    context: &mut RequestContext,
) -> Result<(Dispatch<'n>, PendingCall), GatewayError> {
    let body = deployment::read(http, payload, now.config.body, &worker.shared.offload).await?;
    prepare(worker, now, body, http.headers(), id, reasoning, context).await
}

async fn ask(
    worker: &Worker,
    dispatch: Dispatch<'_>,
    mut call: PendingCall,
    context: &mut RequestContext,
) -> Result<StartedCall, GatewayError> {
    match call_target(worker, dispatch, &mut call).await {
        Ok((Dispatched { answer: begun, in_flight, attempt_log }, target)) => {
            let second =
                if call.repeats { RepairCall::of(&mut call, target, &in_flight) } else { None };
            context.is_answered(attempt_log, in_flight);
            let Translated { reply, report, .. } = call.translated?;
            Ok(StartedCall { begun, reply, report, second })
        }
        Err(unsent) => {
            context.went(unsent.attempt_log);
            Err(unsent.error)
        }
    }
}

/// Asks one target after another until an answer begins. The target that answered is told where the
/// question may have to be repeated.
async fn call_target(
    worker: &Worker,
    dispatch: Dispatch<'_>,
    call: &mut PendingCall,
) -> Result<(Dispatched<StartedAnswer>, Option<Target>), Box<DispatchError<GatewayError>>> {
    let (mut last, mut more) = (None, 0);
    let sent = dispatch.run(async |target: &Target| {
        let mut target = target.settled().await;
        let mut begun = attempt(worker, call, &target).await;
        if let Err(error) = &begun
            && let Some(model) = call.without_grammar(&target, error)
        {
            target.to_mut().model = model;
            begun = attempt(worker, call, &target).await;
        }
        if let Err(error) = &begun
            && call.forgets_thoughts(error)
        {
            log::info!("past thoughts are refused, the question goes without: {error}");
            more += 1;
            call.translate(&target, &worker.shared.offload).await?;
            begun = attempt(worker, call, &target).await;
        }
        last = call.repeats.then(|| target.into_owned());
        begun
    });
    match sent.await {
        Ok(mut sent) => {
            sent.attempt_log.attempts += more;
            Ok((sent, last))
        }
        Err(mut unsent) => {
            unsent.attempt_log.attempts += more;
            Err(Box::new(unsent))
        }
    }
}

/// Asks one target until its answer begins.
async fn attempt(
    worker: &Worker,
    call: &mut PendingCall,
    target: &Target,
) -> Result<StartedAnswer, GatewayError> {
    let offload = &worker.shared.offload;
    let body = call.for_target(target, offload).await?;
    let wanted = call.around.operation.kind();
    let guard = call
        .guard()
        .map(|guard| GuardrailCall::new(guard, worker.sdk(&target.account), offload.clone()));
    let (body, check) = match guard {
        None => (body, None),
        Some(mut check) => match call.admitted(&mut check, body, target).await? {
            GuardedInput::Send(body) => (body, Some(check)),
            GuardedInput::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
            GuardedInput::Answered(body) => {
                return Ok(StartedAnswer::told(UpstreamAnswer::Withheld(body), wanted));
            }
        },
    };
    let transport = worker.transport(&target.account).by(target.deadline);
    let operation = call.at_last();
    let answer = routing::send(&transport, target, operation, body).await?;
    match check {
        None => begin(answer, wanted, operation.kind()).await,
        Some(check) => Ok(StartedAnswer::told(UpstreamAnswer::Checked { answer, check }, wanted)),
    }
}

/// From the client's bytes to Bedrock's. Of the client's request nothing outlives this but its bytes, and
/// they only where they may have to be translated again: a call may wait for minutes, and should not hold
/// its pictures twice.
async fn prepare<'n>(
    worker: &Worker,
    now: &'n Snapshot,
    body: Bytes,
    headers: &HeaderMap,
    id: &'n str,
    reasoning: &ReasoningStore,
    context: &mut RequestContext,
) -> Result<(Dispatch<'n>, PendingCall), GatewayError> {
    let offload = &worker.shared.offload;
    let mut received = ParsedRequest::read(&body, &now.config.media, offload).await?;
    context.names_model(&received.outline.model);
    let operation = received.outline.operation;
    if operation.kind() == Kind::Stream {
        context.is_of_stream();
    }
    let tags = received.outline.tags(headers);
    let route = now.names.resolve(&received.outline.model, tags).await?;
    let choices = choices::count(received.outline.n, now.config.chat.most_choices)?;
    let links = std::mem::take(&mut received.outline.links);
    let fetched = Arc::new(worker.shared.fetcher.fetch(links, &now.config.media).await?);
    let (wanted, options) = (RequestedGuardrail::of(headers)?, RequestOptions::of(headers)?);
    let home = home(&route, reasoning, &received.outline).await;
    let terms = terms(id, &received.outline, home);
    let dispatch = Dispatch::begin(&now.names, route, terms)?;
    let mut around = TranslateContext {
        operation,
        wanted,
        options,
        betas: betas::of(headers)?,
        fetched,
        reasoning: reasoning.clone(),
        withheld: Vec::new(),
        thoughts: PastReasoning::Sent,
        added: Vec::new(),
    };
    let repeats = may_repeat(now, received.outline.format, operation);
    let may_be_refused = received.outline.format == FormatKind::JsonSchema
        && dispatch.target().model.profile.structured_output == StructuredOutput::Native;
    let translated =
        received.translate(&around, &*dispatch.target().settled().await, offload).await;
    // What a guardrail cannot mask, and thoughts that a model refuses, are translated again without it, and what
    // a model takes no grammar for.
    let again = repeats
        || may_be_refused
        || translated
            .as_ref()
            .is_ok_and(|translated| translated.guard.is_some() || translated.thinks_back);
    let (translated, kept) = match (dispatch.may_differ(), again) {
        (true, _) => (translated, Some(body)),
        (false, true) => (Ok(translated?), Some(body)),
        (false, false) => {
            around.fetched = Arc::default();
            (Ok(translated?), None)
        }
    };
    Ok((dispatch, PendingCall { around, choices, translated, kept, repeats }))
}

fn terms<'r>(id: &'r str, outline: &RequestOutline, home: Option<Origin>) -> CallSpec<'r> {
    let (kind, tokens, key) = (outline.operation.kind(), outline.tokens, outline.key);
    CallSpec {
        id,
        kind,
        purpose: CallPurpose::Model,
        tokens,
        key,
        home,
        fallback_scope: FallbackScope::All,
    }
}

/// Where the conversation's last thoughts were made, if the name's targets do not all take them back.
async fn home(
    route: &Route,
    reasoning: &ReasoningStore,
    outline: &RequestOutline,
) -> Option<Origin> {
    if !route.keeps_thoughts() {
        return None;
    }
    reasoning.origin(&outline.calls).await.or(outline.origin)
}

/// An answer has begun with its head, a stream with its first event: until then another target may be
/// asked.
async fn begin(
    answer: UpstreamResponse,
    wanted: Kind,
    came: Kind,
) -> Result<StartedAnswer, GatewayError> {
    match (wanted, came) {
        (_, Kind::Unary) | (Kind::Unary, Kind::Stream) => {
            Ok(StartedAnswer::told(UpstreamAnswer::Coming(answer), wanted))
        }
        (Kind::Stream, Kind::Stream) => Ok(StartedAnswer::Stream(Box::new(
            stream::StartedStream::wait(answer.events()?).await?,
        ))),
    }
}

/// Nothing is sent before the answer is there, so a refusal still has its status.
async fn replayed(
    told: UpstreamAnswer,
    chat: ChatStream,
    reasoning: &ReasoningStore,
    validator: Option<StreamValidator>,
    report: &Report,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let (body, request_id) = told.read(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    stream::replayed(converse, chat, reasoning, validator, report, context, request_id.as_deref())
        .await
}

async fn whole(
    told: UpstreamAnswer,
    reply: &Reply,
    report: &Report,
    second: Option<&RepairCall>,
    around: (&Worker, &Snapshot, &ReasoningStore),
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let (body, request_id) = told.read(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    let (worker, now, reasoning) = around;
    if let Some(kept) = translate::chat::kept(&converse, reply) {
        reasoning.keep(&kept).await;
    }
    let RepairOutcome { completion, spent, word } =
        repair::settle(&converse, reply, second, (worker, now), context).await?;
    context.settle(spent.usage());
    let routed =
        completion.choices.first().and_then(|choice| choice.outcrop.invoked_model_id.as_deref());
    context.was_routed_to(routed);
    context.complete();
    let mut response = HttpResponse::Ok();
    describe(&mut response, context, report, request_id.as_deref());
    if let Some(word) = word {
        response.insert_header((STRUCTURED_OUTPUT, word));
    }
    Ok(response.json(completion))
}
