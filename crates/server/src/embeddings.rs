//! Requests for embeddings: parses the request, resolves the model, translates the request into one or more calls,
//! sends them a few at a time and joins the answers in order; or makes records of batch jobs of them.

use std::sync::Arc;

use actix_web::http::header::ContentType;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use schema::converse::response::TokenUsage;
use schema::openai::embeddings::{EmbeddingsRequest, Input};
use translate::dialect::end_user;
use translate::embeddings::{Answers, Codec, EmbeddingPlan, MediumBill, question};
use translate::profile::EmbeddingShape;
use translate::spent::{BilledTier, Spent};
use translate::{Invalid, Report};

use crate::body::BodySource;
use crate::call_price::{CallPrice, priced};
use crate::error::GatewayError;
use crate::pieces::Pieces;
use crate::pipeline::invoke::{InvokeCalls, described, unsuitable};
use crate::pipeline::json::{Mistake, parse};
use crate::pipeline::parsed_request::Untranslated;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Incoming, deployment};
use crate::request::context::RequestContext;
use crate::request::options::{CallMode, RouteOptions};
use crate::state::Worker;
use crate::telemetry::traces::RequestStep;
use crate::{token_estimate, token_ids};
use routing::catalogue::{Catalogue, ResolvedModel};
use routing::{FallbackScope, Tags, Target, Tokens};

mod plan;

pub(crate) use plan::plan;

/// Largest response accepted for one call, in bytes. The largest known has 96 vectors of 1536.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Bytes of text that an image, a recording or a video counts for in estimates.
const MEDIUM_WEIGHT: usize = 4 * 1024;

/// Responds to a request whose body comes from anywhere.
pub(crate) async fn respond(
    worker: &Data<Worker>,
    http: &HttpRequest,
    body: BodySource,
) -> HttpResponse {
    let mut context = RequestContext::begin(http, "embeddings");
    let embedded = embed(worker, http, body, &mut context).await;
    embedded.unwrap_or_else(|error| context.refuse(&error))
}

async fn embed(
    worker: &Data<Worker>,
    http: &HttpRequest,
    mut body: BodySource,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, body.payload(), RouteOptions::DryRun).await?;
    let offload = &worker.shared.offload;
    let body = deployment::applied(http, incoming.read(body, context).await?, offload).await?;
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
    let calling = |pieces: Pieces| InvokeCalls {
        admitted: &admitted,
        route: route.clone(),
        id: &id,
        pieces,
        fallback_scope: FallbackScope::SameName,
        answer_limit: ANSWER_LIMIT,
    };
    let one_image = Pieces { images: 1, ..Pieces::default() };
    let calling = Callings { texts: calling(Pieces::default()), images: calling(one_image) };
    if admitted.options().mode == CallMode::DryRun {
        let bodies: Vec<Bytes> = calls.iter().map(|call| call.body.clone()).collect();
        return calling.texts.show(&bodies, &report, context).await;
    }
    let bytes = calls.iter().map(EmbeddingCall::weight).sum();
    let tokens = Tokens::read(token_estimate::estimate(bytes));
    let pieces = Pieces { images: images(&calls), ..Pieces::default() };
    let cost = EstimatedCost::Model { route: &route, tokens, pieces, calls: 1 };
    admitted.reserve(CallEstimate { call_type: "aembedding", cost }, context).await?;
    let mut spent = Spent::default();
    context.step(RequestStep::Dispatch);
    let sent = send(&calling, &calls, (&mut answers, &mut spent), context).await;
    // Calls that were answered before a failure have cost tokens too.
    context.settle(spent);
    // AWS's id of the call that holds the first text.
    let request_id = sent?;
    context.step(RequestStep::Respond);
    context.complete();
    let mut response = described(context, &report, request_id.as_deref());
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

/// The calls of a request, by what they are billed for besides tokens.
struct Callings<'r> {
    texts: InvokeCalls<'r>,
    images: InvokeCalls<'r>,
}

/// One call: its body, and what it is billed by besides tokens.
struct EmbeddingCall {
    body: Bytes,
    bill: Option<MediumBill>,
}

impl EmbeddingCall {
    /// Bytes of text that it counts for in estimates.
    fn weight(&self) -> usize {
        if self.bill.is_some() { MEDIUM_WEIGHT } else { self.body.len() }
    }
}

/// Images that these calls embed.
fn images(calls: &[EmbeddingCall]) -> u64 {
    let images = calls.iter().filter(|call| call.bill == Some(MediumBill::Image)).count();
    u64::try_from(images).unwrap_or(u64::MAX)
}

/// A translated request: its calls, and the state that reads their answers.
struct Asked {
    calls: Vec<EmbeddingCall>,
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
    let calls = calls.iter().map(|call| {
        let body = serde_json::to_vec(call).map(Bytes::from)?;
        Ok::<_, serde_json::Error>(EmbeddingCall { body, bill: call.bill() })
    });
    Ok(Asked { calls: calls.collect::<Result<_, _>>()?, answers, report })
}

fn shape(target: &ResolvedModel, catalogue: &Catalogue) -> Result<EmbeddingShape, Invalid> {
    target
        .profile
        .embedding
        .ok_or_else(|| unsuitable("does not embed texts", catalogue.embedders()))
}

/// Sends all calls, a few at a time. The first failure fails the request and ends the other calls.
async fn send(
    calling: &Callings<'_>,
    calls: &[EmbeddingCall],
    (answers, spent): (&mut Answers, &mut Spent),
    context: &mut RequestContext,
) -> Result<Option<String>, GatewayError> {
    let (mut request_id, mut others) = (None, Vec::new());
    let sent = calls.iter().enumerate().map(|(at, call)| async move {
        let calling = match call.bill {
            Some(MediumBill::Image) => &calling.images,
            Some(MediumBill::Duration) | None => &calling.texts,
        };
        let sent = calling.send(call.weight(), async |_: &Target| Ok(call.body.clone())).await;
        // Of what is billed by its length, the price would be too low.
        let is_told = call.bill != Some(MediumBill::Duration);
        sent.map(|mut invoked| {
            if !is_told {
                invoked.price = None;
            }
            (at, invoked)
        })
    });
    let concurrency = calling.texts.admitted.now().config.embeddings.concurrency;
    let mut answered = stream::iter(sent).buffer_unordered(concurrency);
    while let Some(one) = answered.next().await {
        let (at, invoked) = one.map_err(|unsent| {
            context.went(unsent.attempt_log);
            context.also_made(std::mem::take(&mut others));
            unsent.error
        })?;
        let before = answers.tokens();
        answers.take(at, &invoked.body, invoked.counted).map_err(GatewayError::Unreadable)?;
        let read = answers.tokens().saturating_sub(before);
        *spent = spent.and(spent_on(read, invoked.price.as_ref()));
        if let Some(price) = &invoked.price {
            context.is_priced_by(price);
        }
        if at == 0 {
            request_id = invoked.request_id;
            context.went(invoked.attempt_log);
        } else {
            others.extend(invoked.attempt_log.made);
        }
    }
    context.also_made(others);
    Ok(request_id)
}

/// The usage of a call that read so many tokens, with its cost.
fn spent_on(tokens: u64, price: Option<&CallPrice>) -> Spent {
    let usage = TokenUsage { input_tokens: tokens, total_tokens: tokens, ..TokenUsage::default() };
    priced(price, Spent::counted(Some(usage), BilledTier::Standard))
}
