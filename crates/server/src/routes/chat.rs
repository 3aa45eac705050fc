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
use translate::thoughts::Origin;
use translate::{Reply, Report};

use asking::{Asking, Circumstances, Made, Thoughts, UNASKED};
use guarded::{Admitted, Judge, Told};
use guardrail::Wanted;
use received::{Outline, Received};
use repair::{Second, Settled, may_repeat};

use super::deployment;
use super::directions::{Course, Directions};
use crate::app::{Snapshot, Worker};
use crate::bedrock::{Answer, Kind};
use crate::early::Head;
use crate::error::GatewayError;
use crate::exchange::{Exchange, describe};
use crate::recall::Recall;
use crate::routing::{self, Asks, Brought, Journey, Leg, Others, Route, Sent, Terms, Unsent};
use crate::structured::Watch;
use crate::{early, pump};

mod asking;
mod betas;
mod choices;
mod guarded;
mod guardrail;
pub(super) mod received;
mod rehearsal;
mod repair;

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
    let head = Head::default();
    let (silence, cut) = (worker.now().config.keep_alive, worker.shared.cutoff.watch());
    let answer = Box::pin(answered(worker, http, payload, head.clone()));
    early::respond(answer, head, silence, cut).await
}

async fn answered(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
    head: Head,
) -> HttpResponse {
    let mut exchange = Exchange::begin(&http, "chat").behind(head);
    let now = worker.now();
    let recall = Recall::new(&worker.shared, &now, http.headers());
    if Directions::of(http.headers()).is_ok_and(|told| told.course == Course::Show) {
        let shown = rehearsal::rehearse(&worker, &now, &http, payload, &recall, &mut exchange);
        return shown.await.unwrap_or_else(|error| exchange.refuse(&error));
    }
    let id = exchange.id().to_owned();
    let (journey, asking) =
        match receive(&worker, &now, &http, payload, &id, &recall, &mut exchange).await {
            Ok(received) => received,
            Err(error) => return exchange.refuse(&error),
        };
    if asking.choices > 1 {
        // On the heap: what few need must not make every call's state larger.
        return Box::pin(choices::complete(&worker, &now, journey, asking, &recall, exchange))
            .await;
    }
    let asked = ask(&worker, journey, asking, &mut exchange).await;
    let Asked { begun, reply, report, second } = match asked {
        Ok(asked) => asked,
        Err(error) => return exchange.refuse(&error),
    };
    match begun {
        Begun::Whole(told) => {
            let around = (&**worker, &*now, &recall);
            match whole(told, &reply, &report, second.as_ref(), around, &mut exchange).await {
                Ok(response) => response,
                Err(error) => exchange.refuse(&error),
            }
        }
        Begun::Replayed(told) => {
            let watch = watch(&worker, &now, &reply).await;
            let chat = ChatStream::new(reply, exchange.stamp());
            match replayed(told, chat, &recall, watch, &report, &mut exchange).await {
                Ok(response) => response,
                Err(error) => exchange.refuse(&error),
            }
        }
        Begun::Stream(begun) => {
            let watch = watch(&worker, &now, &reply).await;
            let chat = ChatStream::new(reply, exchange.stamp());
            pump::respond(*begun, chat, recall, watch, &report, &now.config, exchange)
        }
    }
}

/// Who judges a stream, if its answer was asked to be JSON.
async fn watch(worker: &Worker, now: &Snapshot, reply: &Reply) -> Option<Watch> {
    let criterion = worker.shared.validators.criterion(reply.wanted()?).await;
    Some(Watch::new(criterion, now.config.structured.on_mismatch))
}

/// A question that Bedrock has begun to answer.
struct Asked {
    begun: Begun,
    reply: Reply,
    report: Report,
    /// How it is asked again, if it may be.
    second: Option<Second>,
}

/// The beginning of an answer.
enum Begun {
    /// Its head.
    Whole(Told),
    /// Its head, where the caller wants a stream and the model gives none.
    Replayed(Told),
    /// Its first event.
    Stream(Box<pump::Begun>),
}

impl Brought for Begun {
    fn is_of_target(&self) -> bool {
        match self {
            Self::Whole(told) | Self::Replayed(told) => !matches!(told, Told::Withheld(_)),
            Self::Stream(_) => true,
        }
    }
}

impl Begun {
    fn told(told: Told, wanted: Kind) -> Self {
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
    recall: &Recall,
    exchange: &mut Exchange,
) -> Result<(Journey<'n>, Asking), GatewayError> {
    let body = deployment::read(http, payload, now.config.body, &worker.shared.offload).await?;
    prepare(worker, now, body, http.headers(), id, recall, exchange).await
}

async fn ask(
    worker: &Worker,
    journey: Journey<'_>,
    mut asking: Asking,
    exchange: &mut Exchange,
) -> Result<Asked, GatewayError> {
    match call(worker, journey, &mut asking).await {
        Ok((Sent { answer: begun, flight, trail }, leg)) => {
            let second = if asking.repeats { Second::of(&mut asking, leg, &flight) } else { None };
            exchange.is_answered(trail, flight);
            let Made { reply, report, .. } = asking.made?;
            Ok(Asked { begun, reply, report, second })
        }
        Err(unsent) => {
            exchange.went(unsent.trail);
            Err(unsent.error)
        }
    }
}

/// Asks one target after another until an answer begins. The target that answered is told where the
/// question may have to be repeated.
async fn call(
    worker: &Worker,
    journey: Journey<'_>,
    asking: &mut Asking,
) -> Result<(Sent<Begun>, Option<Leg>), Box<Unsent<GatewayError>>> {
    let (mut last, mut more) = (None, 0);
    let sent = journey.run(async |leg: &Leg| {
        let mut leg = leg.settled().await;
        let mut begun = attempt(worker, asking, &leg).await;
        if let Err(error) = &begun
            && let Some(target) = asking.without_grammar(&leg, error)
        {
            leg.to_mut().target = target;
            begun = attempt(worker, asking, &leg).await;
        }
        if let Err(error) = &begun
            && asking.forgets_thoughts(error)
        {
            log::info!("past thoughts are refused, the question goes without: {error}");
            more += 1;
            asking.translate(&leg, &worker.shared.offload).await?;
            begun = attempt(worker, asking, &leg).await;
        }
        last = asking.repeats.then(|| leg.into_owned());
        begun
    });
    match sent.await {
        Ok(mut sent) => {
            sent.trail.attempts += more;
            Ok((sent, last))
        }
        Err(mut unsent) => {
            unsent.trail.attempts += more;
            Err(Box::new(unsent))
        }
    }
}

/// Asks one target until its answer begins.
async fn attempt(worker: &Worker, asking: &mut Asking, leg: &Leg) -> Result<Begun, GatewayError> {
    let offload = &worker.shared.offload;
    let body = asking.for_leg(leg, offload).await?;
    let wanted = asking.around.operation.kind();
    let guard =
        asking.guard().map(|guard| Judge::new(guard, worker.typed(&leg.account), offload.clone()));
    let (body, judge) = match guard {
        None => (body, None),
        Some(mut judge) => match asking.admitted(&mut judge, body, leg).await? {
            Admitted::Asked(body) => (body, Some(judge)),
            Admitted::Without(_) => return Err(GatewayError::Internal(UNASKED.to_owned())),
            Admitted::Answered(body) => return Ok(Begun::told(Told::Withheld(body), wanted)),
        },
    };
    let transport = worker.transport(&leg.account).by(leg.deadline);
    let operation = asking.at_last();
    let answer = routing::send(&transport, leg, operation, body).await?;
    match judge {
        None => begin(answer, wanted, operation.kind()).await,
        Some(judge) => Ok(Begun::told(Told::Judged { answer, judge }, wanted)),
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
    recall: &Recall,
    exchange: &mut Exchange,
) -> Result<(Journey<'n>, Asking), GatewayError> {
    let offload = &worker.shared.offload;
    let mut received = Received::read(&body, &now.config.media, offload).await?;
    exchange.names_model(&received.outline.model);
    let operation = received.outline.operation;
    if operation.kind() == Kind::Stream {
        exchange.is_of_stream();
    }
    let tags = received.outline.tags(headers);
    let route = now.names.resolve(&received.outline.model, tags).await?;
    let choices = choices::count(received.outline.n, now.config.chat.most_choices)?;
    let links = std::mem::take(&mut received.outline.links);
    let fetched = Arc::new(worker.shared.fetcher.fetch(links, &now.config.media).await?);
    let (wanted, directions) = (Wanted::of(headers)?, Directions::of(headers)?);
    let home = home(&route, recall, &received.outline).await;
    let terms = terms(id, &received.outline, home);
    let journey = Journey::begin(&now.names, route, terms)?;
    let mut around = Circumstances {
        operation,
        wanted,
        directions,
        betas: betas::of(headers)?,
        fetched,
        recall: recall.clone(),
        withheld: Vec::new(),
        thoughts: Thoughts::Sent,
        added: Vec::new(),
    };
    let repeats = may_repeat(now, received.outline.format, operation);
    let may_be_refused = received.outline.format == FormatKind::JsonSchema
        && journey.leg().target.profile.structured_output == StructuredOutput::Native;
    let made = received.translate(&around, &*journey.leg().settled().await, offload).await;
    // What a guardrail cannot mask, and thoughts that a model refuses, are translated again without it, and what
    // a model takes no grammar for.
    let again = repeats
        || may_be_refused
        || made.as_ref().is_ok_and(|made| made.guard.is_some() || made.thinks_back);
    let (made, kept) = match (journey.may_differ(), again) {
        (true, _) => (made, Some(body)),
        (false, true) => (Ok(made?), Some(body)),
        (false, false) => {
            around.fetched = Arc::default();
            (Ok(made?), None)
        }
    };
    Ok((journey, Asking { around, choices, made, kept, repeats }))
}

fn terms<'r>(id: &'r str, outline: &Outline, home: Option<Origin>) -> Terms<'r> {
    let (kind, tokens, key) = (outline.operation.kind(), outline.tokens, outline.key);
    Terms { id, kind, asks: Asks::Model, tokens, key, home, others: Others::All }
}

/// Where the conversation's last thoughts were made, if the name's targets do not all take them back.
async fn home(route: &Route, recall: &Recall, outline: &Outline) -> Option<Origin> {
    if !route.keeps_thoughts() {
        return None;
    }
    recall.origin(&outline.calls).await.or(outline.origin)
}

/// An answer has begun with its head, a stream with its first event: until then another target may be
/// asked.
async fn begin(answer: Answer, wanted: Kind, came: Kind) -> Result<Begun, GatewayError> {
    match (wanted, came) {
        (_, Kind::Unary) | (Kind::Unary, Kind::Stream) => {
            Ok(Begun::told(Told::Coming(answer), wanted))
        }
        (Kind::Stream, Kind::Stream) => {
            Ok(Begun::Stream(Box::new(pump::Begun::wait(answer.events()?).await?)))
        }
    }
}

/// Nothing is sent before the answer is there, so a refusal still has its status.
async fn replayed(
    told: Told,
    chat: ChatStream,
    recall: &Recall,
    watch: Option<Watch>,
    report: &Report,
    exchange: &mut Exchange,
) -> Result<HttpResponse, GatewayError> {
    let (body, request_id) = told.read(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    pump::replayed(converse, chat, recall, watch, report, exchange, request_id.as_deref()).await
}

async fn whole(
    told: Told,
    reply: &Reply,
    report: &Report,
    second: Option<&Second>,
    around: (&Worker, &Snapshot, &Recall),
    exchange: &mut Exchange,
) -> Result<HttpResponse, GatewayError> {
    let (body, request_id) = told.read(ANSWER_LIMIT).await?;
    let converse: ConverseResponse<'_> =
        serde_json::from_slice(&body).map_err(GatewayError::Unreadable)?;
    let (worker, now, recall) = around;
    if let Some(kept) = translate::chat::kept(&converse, reply) {
        recall.keep(&kept).await;
    }
    let Settled { completion, spent, word } =
        repair::settle(&converse, reply, second, (worker, now), exchange).await?;
    exchange.settle(spent.usage());
    let routed =
        completion.choices.first().and_then(|choice| choice.outcrop.invoked_model_id.as_deref());
    exchange.was_routed_to(routed);
    exchange.complete();
    let mut response = HttpResponse::Ok();
    describe(&mut response, exchange, report, request_id.as_deref());
    if let Some(word) = word {
        response.insert_header((STRUCTURED_OUTPUT, word));
    }
    Ok(response.json(completion))
}
