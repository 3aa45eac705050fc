//! `POST /rerank`, `/v1/rerank` and `/v2/rerank`: parses the request, resolves the model, ranks the documents
//! in one call of InvokeModel, and answers in the form of the request's API.

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use routing::catalogue::{Catalogue, ResolvedModel};
use routing::{FallbackScope, Tags, Target, Tokens};
use schema::rerank::RerankRequest;
use translate::dialect::end_user;
use translate::profile::RerankShape;
use translate::rerank::{RerankApi, RerankStamp, answer, question};
use translate::{Invalid, Report};

use super::native;
use crate::error::GatewayError;
use crate::offload::Offload;
use crate::pieces::Pieces;
use crate::pipeline::invoke::{InvokeCalls, Untold, described, unsuitable};
use crate::pipeline::json::{Mistake, parse};
use crate::pipeline::parsed_request::Untranslated;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Incoming, deployment};
use crate::request::context::RequestContext;
use crate::request::options::{CallMode, RouteOptions};
use crate::state::Worker;
use crate::telemetry::traces::RequestStep;
use crate::token_estimate;

/// Largest answer accepted, in bytes: a thousand scores are far smaller.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// Responds to a request below `/v1`.
pub(crate) async fn first(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    respond(worker, http, payload, RerankApi::First).await
}

/// Responds to a request below `/v2`.
pub(crate) async fn second(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    respond(worker, http, payload, RerankApi::Second).await
}

/// Responds to a request at the root, where Bedrock's own operation has the same path.
pub(crate) async fn at_root(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    if worker.now().config.native.root {
        return native::relay(worker, http, payload).await;
    }
    respond(worker, http, payload, RerankApi::First).await
}

async fn respond(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
    api: RerankApi,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "rerank");
    let ranked = ranked(&worker, (&http, payload), api, &mut context).await;
    ranked.unwrap_or_else(|error| context.refuse(&error))
}

async fn ranked(
    worker: &Data<Worker>,
    (http, mut payload): (&HttpRequest, Payload),
    api: RerankApi,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::DryRun).await?;
    let offload = &worker.shared.offload;
    let body = deployment::applied(http, incoming.read(payload, context).await?, offload).await?;
    let named = offload.run(body.len(), named(body.clone())).await??;
    incoming.acts_for(named.end_user, &named.tags)?;
    let admitted = incoming.admit(Some(&named.model), context).await?;
    let tags = admitted.options().tags.clone().and(&named.tags);
    let route = admitted.resolve(&named.model, tags).await?;
    context.is_resolved(route.series());
    let first = route
        .first()
        .ok_or_else(|| GatewayError::NotListed { name: named.model.clone(), near: Vec::new() })?;
    let policy = admitted.options().policy(first.unsupported);
    let catalogue = admitted.now().names.catalogue();
    let shape = shape(&first.looked_up().await.model, catalogue)?;
    let read = offload.run(body.len(), ranking(body.clone(), shape, first.heeds_tags));
    let RankingCall { call, documents, mut report } = read.await??;
    if let Some(field) = first.model.unheeded() {
        report.ignore(field);
    }
    let report = report.under(policy)?;
    let (id, pieces) = (context.id().to_owned(), Pieces::ranked(documents));
    let calls = InvokeCalls {
        admitted: &admitted,
        route: route.clone(),
        id: &id,
        pieces,
        // Scores are of one call, so that any reranker may give them.
        fallback_scope: FallbackScope::All,
        answer_limit: ANSWER_LIMIT,
    };
    if admitted.options().mode == CallMode::DryRun {
        return calls.show(&[call], &report, context).await;
    }
    let tokens = Tokens::read(token_estimate::estimate(call.len()));
    let cost = EstimatedCost::Model { route: &route, tokens, pieces, calls: 1 };
    admitted.reserve(CallEstimate { call_type: "arerank", cost }, context).await?;
    context.step(RequestStep::Dispatch);
    let sent = calls.send(call.len(), async |target: &Target| {
        let own = self::shape(&target.looked_up().await.model, catalogue)?;
        call_for(own, (&body, &call, shape), offload).await
    });
    let invoked = sent.await.map_err(|unsent| {
        context.went(unsent.attempt_log);
        unsent.error
    })?;
    context.settle(invoked.spent());
    if let Some(price) = &invoked.price {
        context.is_priced_by(price);
    }
    context.went(invoked.attempt_log);
    context.step(RequestStep::Respond);
    let units = pieces.rerank_queries;
    let facts = AnswerFacts {
        id: id.replacen("req_", "rerank-", 1),
        model: named.model,
        api,
        shape,
        units,
        tokens: invoked.counted.unwrap_or_default(),
    };
    let told = offload.run(body.len(), told(body, invoked.body, facts)).await??;
    context.complete();
    let mut response = described(context, &report, invoked.request_id.as_deref());
    Ok(response.content_type(ContentType::json()).body(told))
}

/// The parts of a request that selecting a model needs.
struct Named {
    model: String,
    tags: Tags,
    end_user: Option<String>,
}

async fn named(body: Bytes) -> Result<Named, Mistake> {
    let request: RerankRequest<'_> = parse(&body)?;
    let end_user = end_user(request.user.as_deref(), None, None);
    let tags = Tags::of_member(request.tags);
    Ok(Named { model: request.model.to_string(), tags, end_user })
}

/// The protocol of a model's own body.
fn shape(target: &ResolvedModel, catalogue: &Catalogue) -> Result<RerankShape, Invalid> {
    target.profile.rerank.ok_or_else(|| {
        unsuitable("does not rank documents", catalogue.rerankers())
            .with_code("model_not_supported")
    })
}

/// A translated request.
struct RankingCall {
    call: Bytes,
    /// Number of documents that are sent.
    documents: usize,
    report: Report,
}

async fn ranking(
    body: Bytes,
    shape: RerankShape,
    heeds_tags: bool,
) -> Result<RankingCall, Untranslated> {
    let mut request: RerankRequest<'_> = parse(&body)?;
    request.tags = request.tags.filter(|_| !heeds_tags);
    let question = question(&request, shape)?;
    let call = serde_json::to_vec(&question.body(shape))?.into();
    Ok(RankingCall { call, documents: question.sent(), report: question.report })
}

/// The body for a target: the one for the first target, unless its model has another protocol.
async fn call_for(
    own: RerankShape,
    (body, call, shape): (&Bytes, &Bytes, RerankShape),
    offload: &Offload,
) -> Result<Bytes, GatewayError> {
    if own == shape {
        return Ok(call.clone());
    }
    // What this model cannot honour is not told: the answer's headers describe the first one.
    let read = offload.run(body.len(), ranking(body.clone(), own, true));
    Ok(read.await??.call)
}

/// Facts that the answer states besides the ranks.
struct AnswerFacts {
    id: String,
    model: String,
    api: RerankApi,
    shape: RerankShape,
    units: u64,
    tokens: u64,
}

/// The answer as JSON. The request is read again, because its documents may be part of the answer.
async fn told(body: Bytes, answered: Bytes, facts: AnswerFacts) -> Result<Vec<u8>, Untold> {
    let AnswerFacts { id, model, api, shape, units, tokens } = facts;
    let request: RerankRequest<'_> = parse(&body)?;
    let question = question(&request, shape)?;
    let stamp = RerankStamp { id: &id, model: &model, api, search_units: units, tokens };
    let answer = answer(&request, &question, &answered, stamp).map_err(Untold::Answer)?;
    Ok(serde_json::to_vec(&answer)?)
}
