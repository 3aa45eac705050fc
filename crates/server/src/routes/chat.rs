//! `POST /v1/chat/completions`: parses the request, resolves the model, translates and sends the
//! request, and translates the answer, complete or as a stream.

use std::cell::OnceCell;
use std::sync::Arc;

use actix_web::http::header::HeaderName;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use schema::converse::response::ConverseResponse;
use schema::openai::format::FormatKind;
use translate::chat::ChatStream;
use translate::profile::StructuredOutput;
use translate::reasoning::Origin;
use translate::{Reply, Report};

use guardrail_around::{GuardedInput, GuardrailCall, UpstreamAnswer};
use pending_call::{PastReasoning, PendingCall, TranslateContext, Translated, UNASKED};
use repair::{RepairCall, RepairOutcome, may_repeat};
use request::{ParsedRequest, RequestOutline};

use crate::error::GatewayError;
use crate::json_schema::StreamValidator;
use crate::pipeline::{Admitted, Incoming};
use crate::reasoning_store::ReasoningStore;
use crate::request::PendingResponse;
use crate::request::context::{RequestContext, describe};
use crate::request::options::{CallMode, RouteOptions};
use crate::routes::{deployment, dry_run};
use crate::sse::stream::StreamSinks;
use crate::sse::{pending, stream};
use crate::state::Worker;
use bedrock::{Kind, UpstreamResponse};
use routing::{
    self, AttemptLog, AttemptOutcome, CallPurpose, CallSpec, Dispatch, DispatchError, Dispatched,
    FallbackScope, Route, Target, outline,
};

mod choices;
mod guardrail_around;
mod pending_call;
mod repair;
pub(super) mod request;

/// The longest complete answer accepted, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Header with the validation result of an answer that was requested as JSON.
const STRUCTURED_OUTPUT: HeaderName = HeaderName::from_static("x-outcrop-structured-output");

/// Responds to a chat request. The work is boxed because it outlives this function if the head of a
/// slow stream is sent first.
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
    let (id, admitted) = (context.id().to_owned(), OnceCell::new());
    let prepared = prepare(&worker, &http, payload, (&id, &admitted), &mut context).await;
    let (admitted, dispatch, call) = match prepared {
        Ok(Prepared::Call { admitted, dispatch, call }) => (admitted, *dispatch, *call),
        Ok(Prepared::DryRun(shown)) => return shown,
        Err(error) => return context.refuse(&error),
    };
    if call.choices > 1 {
        // Boxed, because a state that few calls need must not enlarge every call's future.
        return Box::pin(choices::complete(admitted, dispatch, call, context)).await;
    }
    let asked = ask(admitted, dispatch, call, &mut context).await;
    let StartedCall { begun, reply, report, second } = match asked {
        Ok(asked) => asked,
        Err(error) => return context.refuse(&error),
    };
    match begun {
        StartedAnswer::Whole(told) => {
            let kept = (&reply, &report, second.as_ref());
            match whole(told, kept, admitted, &mut context).await {
                Ok(response) => response,
                Err(error) => context.refuse(&error),
            }
        }
        StartedAnswer::Replayed(told) => {
            let validator = validator(admitted, &reply).await;
            let chat = ChatStream::new(reply, context.stamp());
            let sink = (chat, validator, &report);
            match replayed(told, sink, admitted, &mut context).await {
                Ok(response) => response,
                Err(error) => context.refuse(&error),
            }
        }
        StartedAnswer::Stream(begun) => {
            let validator = validator(admitted, &reply).await;
            let chat = ChatStream::new(reply, context.stamp());
            let sinks = StreamSinks { chat, reasoning: admitted.reasoning().clone(), validator };
            stream::respond(*begun, sinks, &report, &admitted.now().config, context)
        }
    }
}

/// The validator of a stream, if its answer was requested as JSON.
async fn validator(admitted: &Admitted, reply: &Reply) -> Option<StreamValidator> {
    let criterion = admitted.worker().shared.validators.criterion(reply.wanted()?).await;
    Some(StreamValidator::new(criterion, admitted.now().config.structured.on_mismatch))
}

/// A request whose answer has begun.
struct StartedCall {
    begun: StartedAnswer,
    reply: Reply,
    report: Report,
    /// The repair call, if one may be made.
    second: Option<RepairCall>,
}

/// The beginning of an answer.
enum StartedAnswer {
    /// The head of a unary answer.
    Whole(UpstreamAnswer),
    /// The head of a unary answer, which the caller wants as a stream.
    Replayed(UpstreamAnswer),
    /// The first event of a stream.
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

async fn ask(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    mut call: PendingCall,
    context: &mut RequestContext,
) -> Result<StartedCall, GatewayError> {
    match call_target(admitted, dispatch, &mut call).await {
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

/// Tries one target after another until an answer begins. The target that answered is kept if a repair
/// call may be needed.
async fn call_target(
    admitted: &Admitted,
    dispatch: Dispatch<'_>,
    call: &mut PendingCall,
) -> Result<(Dispatched<StartedAnswer>, Option<Target>), Box<DispatchError<GatewayError>>> {
    let (mut last, mut more) = (None, 0);
    let sent = dispatch.run(async |target: &Target| {
        let mut target = target.settled().await;
        let mut begun = attempt(admitted, call, &target).await;
        if let Err(error) = &begun
            && let Some(model) = call.without_grammar(&target, error)
        {
            target.to_mut().model = model;
            begun = attempt(admitted, call, &target).await;
        }
        if let Err(error) = &begun
            && call.forgets_thoughts(error)
        {
            log::info!("past reasoning is refused, trying again without it: {error}");
            more += 1;
            call.translate(&target, admitted.offload()).await?;
            begun = attempt(admitted, call, &target).await;
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

/// Calls one target and waits until its answer begins.
async fn attempt(
    admitted: &Admitted,
    call: &mut PendingCall,
    target: &Target,
) -> Result<StartedAnswer, GatewayError> {
    let body = call.for_target(target, admitted.offload()).await?;
    let wanted = call.around.operation.kind();
    let check = call.guard().map(|guard| GuardrailCall::new(guard, admitted, &target.account));
    let (body, check) = match check {
        None => (body, None),
        Some(mut check) => match call.admitted(&mut check, body, target).await? {
            GuardedInput::Send(body) => (body, Some(check)),
            GuardedInput::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
            GuardedInput::Answered(body) => {
                return Ok(StartedAnswer::told(UpstreamAnswer::Withheld(body), wanted));
            }
        },
    };
    let transport = admitted.transport(target);
    let operation = call.at_last();
    let answer = routing::send(&transport, target, operation, body).await?;
    match check {
        None => begin(answer, wanted, operation.kind()).await,
        Some(check) => Ok(StartedAnswer::told(UpstreamAnswer::Checked { answer, check }, wanted)),
    }
}

/// A request that was translated.
enum Prepared<'n> {
    /// The request goes to a target.
    Call { admitted: &'n Admitted, dispatch: Box<Dispatch<'n>>, call: Box<PendingCall> },
    /// The caller requested a dry run.
    DryRun(HttpResponse),
}

/// Steps 1 to 5: from the client's bytes to Bedrock's. The client's bytes are kept only if they may be
/// translated again, and nothing else of the request: a call may wait for minutes and should not hold
/// its images twice.
async fn prepare<'n>(
    worker: &Data<Worker>,
    http: &HttpRequest,
    payload: Payload,
    (id, slot): (&'n str, &'n OnceCell<Admitted>),
    context: &mut RequestContext,
) -> Result<Prepared<'n>, GatewayError> {
    let incoming = Incoming::identify(worker, http, RouteOptions::Chat)?;
    let offload = &worker.shared.offload;
    let body = deployment::applied(http, incoming.read(payload).await?, offload).await?;
    let mut request = ParsedRequest::read(&body, &incoming.now().config.media, offload).await?;
    let admitted = incoming.admit(Some(&request.outline.model), context)?;
    let admitted = slot.get_or_init(|| admitted);
    if request.outline.operation.kind() == Kind::Stream {
        context.is_of_stream();
    }
    let route =
        admitted.resolve(&request.outline.model, request.outline.tags(admitted.options())).await?;
    let config = &admitted.now().config;
    let choices = choices::count(request.outline.n, config.chat.most_choices)?;
    let links = std::mem::take(&mut request.outline.links);
    let fetched = admitted.fetch_media(links).await?;
    let home = home(&route, admitted.reasoning(), &request.outline).await;
    let spec = spec(admitted, id, &request.outline, home);
    let is_dry = admitted.options().mode == CallMode::DryRun;
    let mut around = TranslateContext {
        operation: request.outline.operation,
        options: Arc::clone(admitted.options()),
        fetched,
        reasoning: admitted.reasoning().clone(),
        withheld: Vec::new(),
        thoughts: if is_dry { PastReasoning::Veiled } else { PastReasoning::Sent },
        added: Vec::new(),
    };
    if is_dry {
        // With `n` above 1 there would be as many calls, all identical to this one.
        let target = Dispatch::preview(&route, spec)?;
        let shown = show(admitted, &target, (request, &around), context).await?;
        return Ok(Prepared::DryRun(shown));
    }
    let dispatch = Dispatch::begin(&admitted.now().names, route, spec)?;
    let format = request.outline.format;
    let repeats = may_repeat(admitted.now(), format, request.outline.operation);
    let may_be_refused = format == FormatKind::JsonSchema
        && dispatch.target().model.profile.structured_output == StructuredOutput::Native;
    let translated = request.translate(&around, &*dispatch.target().settled().await, offload).await;
    // A new translation leaves out reasoning that a guardrail cannot mask or a model refuses, and a
    // grammar that a model refuses.
    let again = repeats
        || may_be_refused
        || translated.as_ref().is_ok_and(|one| one.guard.is_some() || one.thinks_back);
    let (translated, kept) = match (dispatch.may_differ(), again) {
        (true, _) => (translated, Some(body)),
        (false, true) => (Ok(translated?), Some(body)),
        (false, false) => {
            around.fetched = Arc::default();
            (Ok(translated?), None)
        }
    };
    let call = Box::new(PendingCall { around, choices, translated, kept, repeats });
    Ok(Prepared::Call { admitted, dispatch: Box::new(dispatch), call })
}

/// Answers a dry run.
async fn show(
    admitted: &Admitted,
    target: &Target,
    (request, around): (ParsedRequest<'_>, &TranslateContext),
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let offload = admitted.offload();
    let translated = request.translate(around, &*target.settled().await, offload).await?;
    let operation = translated.operation(around.operation);
    let Translated { body, report, .. } = translated;
    let shown = vec![outline(target, operation, body)?];
    dry_run::tell(AttemptLog::to(target), shown, &report, context, offload).await
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
        kind: outline.operation.kind(),
        purpose: CallPurpose::Model,
        tokens: outline.tokens,
        key: outline.key,
        home,
        fallback_scope: FallbackScope::All,
    }
}

/// The origin of the conversation's last reasoning, if not all of the name's targets accept it back.
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

/// A unary answer has begun with its head, a stream with its first event; until then another target may
/// be tried.
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

/// Waits for the complete answer before anything is sent, so that a refusal keeps its status.
async fn replayed(
    told: UpstreamAnswer,
    (chat, validator, report): (ChatStream, Option<StreamValidator>, &Report),
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let (body, request_id) = told.read(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    let sinks = StreamSinks { chat, reasoning: admitted.reasoning().clone(), validator };
    stream::replayed(converse, sinks, (report, request_id.as_deref()), context).await
}

async fn whole(
    told: UpstreamAnswer,
    (reply, report, second): (&Reply, &Report, Option<&RepairCall>),
    admitted: &Admitted,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let (body, request_id) = told.read(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    if let Some(kept) = translate::chat::kept(&converse, reply) {
        admitted.reasoning().keep(&kept).await;
    }
    let RepairOutcome { completion, spent, word } =
        repair::settle(&converse, reply, second, admitted, context).await?;
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
