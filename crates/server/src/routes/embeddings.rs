//! `POST /v1/embeddings`: parses the request, resolves the model, translates the request into one or
//! more calls, sends them a few at a time and joins the answers in order.

use std::sync::Arc;

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::HeaderMap;
use schema::converse::response::TokenUsage;
use schema::openai::embeddings::{EmbeddingsRequest, Input};
use translate::dialect::end_user;
use translate::embeddings::{Answers, Codec, EmbeddingPlan, question};
use translate::profile::EmbeddingShape;
use translate::spent::{BilledTier, Spent};
use translate::{Invalid, Report};

use crate::call_price::{CallPrice, priced};
use crate::error::GatewayError;
use crate::pieces::Pieces;
use crate::pipeline::json::{Mistake, parse};
use crate::pipeline::parsed_request::Untranslated;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Admitted, Incoming, deployment, dry_run};
use crate::request::answer_headers::describe;
use crate::request::context::RequestContext;
use crate::request::options::{CallMode, RouteOptions};
use crate::state::Worker;
use crate::telemetry::traces::RequestStep;
use crate::{token_estimate, token_ids};
use bedrock::Kind;
use routing::catalogue::{Catalogue, ResolvedModel};
use routing::{
    self, AttemptLog, CallPurpose, CallSpec, Dispatch, DispatchError, Dispatched, FallbackScope,
    Operation, Outgoing, Route, Tags, Target, Tokens,
};

/// Largest response accepted for one call, in bytes. The largest known has 96 vectors of 1536.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

const TOKEN_COUNT: &str = "x-amzn-bedrock-input-token-count";

/// Responds to an embeddings request.
pub(crate) async fn embeddings(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "embeddings");
    let embedded = embed(&worker, &http, payload, &mut context).await;
    embedded.unwrap_or_else(|error| context.refuse(&error))
}

async fn embed(
    worker: &Data<Worker>,
    http: &HttpRequest,
    mut payload: Payload,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::DryRun).await?;
    let offload = &worker.shared.offload;
    let body = deployment::applied(http, incoming.read(payload, context).await?, offload).await?;
    let named = offload.run(body.len(), named(body.clone())).await??;
    incoming.acts_for(named.end_user, &named.tags)?;
    let admitted = incoming.admit(Some(&named.model), context).await?;
    let now = Arc::clone(admitted.now());
    // Vectors of different models are not comparable, so one answer uses one model.
    let tags = admitted.options().tags.clone().and(&named.tags);
    let route = admitted.resolve(&named.model, tags).await?.of_one_model();
    context.is_resolved(route.series());
    let first = route
        .first()
        .ok_or_else(|| GatewayError::NotListed { name: named.model.clone(), near: Vec::new() })?;
    let policy = admitted.options().policy(first.unsupported);
    let shape = shape(&first.looked_up().await.model, now.names.catalogue())?;
    let id = context.id().to_owned();
    if named.holds_tokens {
        token_ids::load().await?;
    }
    let heeds_tags = first.heeds_tags;
    let asked = offload.run(body.len(), asked(body, shape, heeds_tags)).await?;
    let Asked { calls, mut answers, mut report } = asked?;
    if let Some(field) = first.model.unheeded() {
        report.ignore(field);
    }
    let report = report.under(policy)?;
    if admitted.options().mode == CallMode::DryRun {
        return show(&admitted, &route, &calls, &report, context).await;
    }
    let bytes = calls.iter().map(Bytes::len).sum();
    let tokens = Tokens::read(token_estimate::estimate(bytes));
    let cost = EstimatedCost::Model { route: &route, tokens, pieces: Pieces::default(), calls: 1 };
    admitted.reserve(CallEstimate { call_type: "aembedding", cost }, context).await?;
    let calling = Calling { admitted: &admitted, route, id: &id };
    let mut spent = Spent::default();
    context.step(RequestStep::Dispatch);
    let sent = send(&calling, &calls, (&mut answers, &mut spent), context).await;
    // Calls that were answered before a failure have cost tokens too.
    context.settle(spent);
    // AWS's id of the call that holds the first text.
    let request_id = sent?;
    context.step(RequestStep::Respond);
    context.complete();
    let mut response = HttpResponse::Ok();
    describe(&mut response, context, &report, request_id.as_deref());
    for header in context.cost_headers() {
        response.insert_header(header);
    }
    let length = answers.length();
    let told = offload.run(length, async move { serde_json::to_vec(&answers.finish(named.model)) });
    let told = told.await?.map_err(|error| GatewayError::Internal(error.to_string()))?;
    Ok(response.content_type(ContentType::json()).body(told))
}

/// The parts of a request that selecting a model needs.
struct Named {
    model: String,
    holds_tokens: bool,
    tags: Tags,
    end_user: Option<String>,
}

/// Parses a body for the first time; the parsed form is dropped while the model is resolved.
async fn named(body: Bytes) -> Result<Named, Mistake> {
    let request: EmbeddingsRequest<'_> = parse(&body)?;
    let holds_tokens = matches!(request.input, Input::Tokens(_) | Input::TokenLists(_));
    let tags = Tags::of_member(request.tags);
    let end_user = end_user(request.user.as_deref(), None, None);
    Ok(Named { model: request.model.to_string(), holds_tokens, tags, end_user })
}

/// A translated request: the bodies of its calls, and the state that reads their answers.
struct Asked {
    calls: Vec<Bytes>,
    answers: Answers,
    report: Report,
}

async fn asked(
    body: Bytes,
    shape: EmbeddingShape,
    heeds_tags: bool,
) -> Result<Asked, Untranslated> {
    let mut request: EmbeddingsRequest<'_> = parse(&body)?;
    request.tags = request.tags.filter(|_| !heeds_tags);
    let codec = Codec { text_of: token_ids::text_of, base64: |bytes| STANDARD.encode(bytes) };
    let EmbeddingPlan { calls, answers, report } = question(&request, shape, codec)?;
    let calls = calls.iter().map(|call| serde_json::to_vec(call).map(Bytes::from));
    Ok(Asked { calls: calls.collect::<Result<_, _>>()?, answers, report })
}

/// Answers a dry run.
async fn show(
    admitted: &Admitted,
    route: &Route,
    calls: &[Bytes],
    report: &Report,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let target = Dispatch::preview(route, spec(admitted, context.id(), &[]))?;
    let mut requests = Vec::with_capacity(calls.len());
    for call in calls {
        requests.push(routing::outline(&target, Outgoing::new(Operation::Invoke, call.clone()))?);
    }
    dry_run::tell(AttemptLog::to(&target), requests, report, context, admitted.offload()).await
}

fn spec<'r>(admitted: &'r Admitted, id: &'r str, body: &[u8]) -> CallSpec<'r> {
    let tokens = Tokens::read(token_estimate::estimate(body.len()));
    let (kind, purpose) = (Kind::Unary, CallPurpose::Model);
    CallSpec {
        admission: admitted.admission(),
        id,
        kind,
        purpose,
        tokens,
        key: None,
        home: None,
        fallback_scope: FallbackScope::SameName,
    }
}

fn shape(target: &ResolvedModel, catalogue: &Catalogue) -> Result<EmbeddingShape, Invalid> {
    target.profile.embedding.ok_or_else(|| {
        let fallback_scope: Vec<&str> = catalogue.embedders().take(2).collect();
        let fallback_scope = match fallback_scope.as_slice() {
            [] => String::new(),
            some => format!(" Try {}.", some.join(" or ")),
        };
        Invalid::value("model", format!("This model does not embed texts.{fallback_scope}"))
    })
}

/// The calls of one request in flight.
struct Calling<'r> {
    admitted: &'r Admitted,
    route: Route,
    /// The request's id.
    id: &'r str,
}

/// Sends all calls, a few at a time. The first failure fails the request and ends the other calls.
async fn send(
    calling: &Calling<'_>,
    calls: &[Bytes],
    (answers, spent): (&mut Answers, &mut Spent),
    context: &mut RequestContext,
) -> Result<Option<String>, GatewayError> {
    let (mut request_id, mut others) = (None, Vec::new());
    let sent = calls.iter().enumerate().map(|(at, body)| call(calling, at, body));
    let mut answered =
        stream::iter(sent).buffer_unordered(calling.admitted.now().config.embeddings.concurrency);
    while let Some(one) = answered.next().await {
        let one = one.map_err(|unsent| {
            context.went(unsent.attempt_log);
            context.also_made(std::mem::take(&mut others));
            unsent.error
        })?;
        let before = answers.tokens();
        answers.take(one.at, &one.body, one.counted).map_err(GatewayError::Unreadable)?;
        *spent = spent.and(one.spent(answers.tokens().saturating_sub(before)));
        if let Some(price) = &one.price {
            context.is_priced_by(price);
        }
        if one.at == 0 {
            request_id = one.request_id;
            context.went(one.attempt_log);
        } else {
            others.extend(one.attempt_log.made);
        }
    }
    context.also_made(others);
    Ok(request_id)
}

/// The result of one call.
struct Answered {
    at: usize,
    body: Bytes,
    counted: Option<u64>,
    request_id: Option<String>,
    attempt_log: AttemptLog,
    /// The price at the target that answered.
    price: Option<CallPrice>,
}

impl Answered {
    /// The usage of a call that read so many tokens, with its cost.
    fn spent(&self, tokens: u64) -> Spent {
        let usage =
            TokenUsage { input_tokens: tokens, total_tokens: tokens, ..TokenUsage::default() };
        priced(self.price.as_ref(), Spent::counted(Some(usage), BilledTier::Standard))
    }
}

async fn call(
    calling: &Calling<'_>,
    at: usize,
    body: &Bytes,
) -> Result<Answered, Box<DispatchError<GatewayError>>> {
    let admitted = calling.admitted;
    let lost =
        |error: GatewayError| Box::new(DispatchError { error, attempt_log: AttemptLog::default() });
    let dispatch = Dispatch::begin(
        &admitted.now().names,
        calling.route.clone(),
        spec(admitted, calling.id, body),
    );
    let dispatch = dispatch.map_err(|error| lost(error.into()))?;
    let mut price = None;
    let sent = dispatch.run(async |target: &Target| {
        price = Some(CallPrice::of(&target.looked_up().await.model));
        let transport = admitted.transport(target);
        let _wait = admitted.settlement().waits();
        let sent =
            routing::send(&transport, target, Outgoing::new(Operation::Invoke, body.clone())).await;
        sent.map_err(GatewayError::from)
    });
    let Dispatched { answer, mut in_flight, attempt_log } = sent.await.map_err(Box::new)?;
    let (counted, request_id) = (counted(&answer.headers), answer.request_id.clone());
    let wait = admitted.settlement().waits();
    let read = answer.bytes(ANSWER_LIMIT).await;
    drop(wait);
    match read {
        Ok(body) => {
            if let Some(counted) = counted {
                in_flight.settle(counted);
            }
            Ok(Answered { at, body, counted, request_id, attempt_log, price })
        }
        Err(failure) => {
            in_flight.broke_off(&failure);
            Err(Box::new(DispatchError { error: failure.into(), attempt_log }))
        }
    }
}

fn counted(headers: &HeaderMap) -> Option<u64> {
    headers.get(TOKEN_COUNT)?.to_str().ok()?.parse().ok()
}
