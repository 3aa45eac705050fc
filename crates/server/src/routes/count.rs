//! `POST /v1/chat/completions/input_tokens`: the number of input tokens of a chat request, without
//! calling the model.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::count::CountTokensRequest;
use schema::openai::chat::ChatRequest;
use schema::openai::count::{CountedBy, INPUT_TOKENS_OBJECT, InputTokens};
use translate::Report;
use translate::chat::{Chat, Question, question_with};

use crate::error::GatewayError;
use crate::media::Fetched;
use crate::pipeline::Incoming;
use crate::pipeline::body_writer::written;
use crate::pipeline::json::parse;
use crate::pipeline::json_response::{JsonResponse, respond};
use crate::pipeline::parsed_request::{ParsedRequest, Untranslated};
use crate::pipeline::pending_call;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::reasoning_store::ReasoningStore;
use crate::request::context::RequestContext;
use crate::request::options::RouteOptions;
use crate::state::Worker;
use bedrock::Kind;
use routing::{
    CallPurpose, CallSpec, Count, Dispatch, DispatchError, Dispatched, FallbackScope, Target,
    Tokens, count,
};

/// Responds with a count, or with an estimate that is marked as one.
pub(crate) async fn input_tokens(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let context = RequestContext::begin(&http, "input_tokens");
    respond(context, async |context| counted(&worker, &http, payload, context).await).await
}

async fn counted(
    worker: &Data<Worker>,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
) -> Result<JsonResponse<InputTokens>, GatewayError> {
    let mut incoming = Incoming::identify(worker, http, RouteOptions::None)?;
    let body = incoming.read(payload).await?;
    let offload = &worker.shared.offload;
    let ParsedRequest { mut outline, .. } =
        ParsedRequest::<Chat>::read(&body, &incoming.now().config.media, offload).await?;
    let tags = outline.tags(incoming.options());
    incoming.acts_for(outline.head.end_user.take(), &tags)?;
    let admitted = incoming.admit(Some(&outline.head.model), context).await?;
    let route = admitted.resolve(&outline.head.model, tags).await?;
    let fetched = admitted.fetch_media(outline.links).await?;
    let estimate = CallEstimate { call_type: "acount_tokens", cost: EstimatedCost::Nothing };
    admitted.reserve(estimate, context).await?;
    let id = context.id().to_owned();
    let spec = CallSpec {
        admission: admitted.admission(),
        id: &id,
        kind: Kind::Unary,
        purpose: CallPurpose::Count,
        tokens: Tokens::default(),
        key: None,
        home: None,
        // Another model would count differently.
        fallback_scope: FallbackScope::SameName,
    };
    let mut told = Report::default();
    let sent = Dispatch::begin(&admitted.now().names, route, spec)?.run(async |target: &Target| {
        let target = target.looked_up().await;
        let asked = asked(&body, &fetched, admitted.reasoning(), &target);
        let (sent, report) = offload.run(body.len(), asked).await??;
        told = report;
        count(&admitted.transport(&target), &target, sent).await.map_err(GatewayError::from)
    });
    let (input_tokens, model, request_id) = match sent.await {
        Ok(Dispatched { answer, in_flight, attempt_log }) => {
            context.is_answered(attempt_log, in_flight);
            match answer {
                Count::Counted { tokens, model, request_id } => (tokens, Some(model), request_id),
                Count::Estimated(tokens) => (tokens, None, None),
            }
        }
        Err(DispatchError { error, attempt_log }) => {
            context.went(attempt_log);
            return Err(error);
        }
    };
    let outcrop = CountedBy { estimated: model.is_none(), model };
    let answer = InputTokens { object: INPUT_TOKENS_OBJECT, input_tokens, outcrop };
    Ok(JsonResponse { answer, report: told, request_id, by: None })
}

/// Translates the request whose tokens are counted, as it would be sent to the model, so that restored
/// reasoning is counted too.
fn asked(
    body: &Bytes,
    fetched: &Arc<Fetched>,
    reasoning: &ReasoningStore,
    target: &Target,
) -> impl Future<Output = Result<(Bytes, Report), Untranslated>> + Send + 'static {
    let (body, fetched) = (body.clone(), Arc::clone(fetched));
    let (reasoning, target) = (reasoning.clone(), target.clone());
    async move {
        let mut request: ChatRequest<'_> = parse(&body)?;
        fetched.fill::<Chat>(&mut request);
        pending_call::complete::<Chat>(&mut request, &target)?;
        let restored = reasoning.of::<Chat>(&request, &target).await;
        let profile = &target.model.profile;
        let Question { body: converse, report, .. } =
            question_with(&request, profile, &fetched.stores, Some(&restored))?;
        Ok((written(&CountTokensRequest::from(&converse), body.len())?, report))
    }
}
