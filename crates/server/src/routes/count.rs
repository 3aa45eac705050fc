//! `POST /v1/chat/completions/input_tokens`: how many tokens a chat request would put in, without
//! asking the model anything.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::count::CountTokensRequest;
use schema::openai::chat::ChatRequest;
use schema::openai::count::{CountedBy, INPUT_TOKENS_OBJECT, InputTokens};
use translate::Report;
use translate::chat::{Question, question_with};

use super::body_writer::written;
use super::chat::request::{ParsedRequest, Untranslated};
use super::json::parse;
use super::json_response::{JsonResponse, respond};
use crate::app::Worker;
use crate::body;
use crate::error::GatewayError;
use crate::media::Fetched;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::RequestContext;
use crate::request::options::RequestOptions;
use bedrock::Kind;
use routing::{
    CallPurpose, CallSpec, Count, Dispatch, DispatchError, Dispatched, FallbackScope, Target,
    Tokens, count,
};

/// Answers with a count, or an estimate that says so.
pub(crate) async fn input_tokens(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let context = RequestContext::begin(&http, "input_tokens");
    respond(context, async |context| counted(&worker, &http, payload, context).await).await
}

async fn counted(
    worker: &Worker,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
) -> Result<JsonResponse<InputTokens>, GatewayError> {
    let now = worker.now();
    let body = body::read(http.headers(), payload, now.config.body).await?;
    RequestOptions::only_send(http.headers())?;
    let offload = &worker.shared.offload;
    let ParsedRequest { outline, .. } =
        ParsedRequest::read(&body, &now.config.media, offload).await?;
    context.names_model(&outline.model);
    let tags = outline.tags(http.headers());
    let route = now.names.resolve(&outline.model, tags).await?;
    let fetched = Arc::new(worker.shared.fetcher.fetch(outline.links, &now.config.media).await?);
    let id = context.id().to_owned();
    let terms = CallSpec {
        id: &id,
        kind: Kind::Unary,
        purpose: CallPurpose::Count,
        tokens: Tokens::default(),
        key: None,
        home: None,
        // Another model counts otherwise.
        fallback_scope: FallbackScope::SameName,
    };
    let reasoning = ReasoningStore::new(&worker.shared, &now, http.headers());
    let mut told = Report::default();
    let sent = Dispatch::begin(&now.names, route, terms)?.run(async |target: &Target| {
        let target = target.settled().await;
        let asked = asked(&body, &fetched, &reasoning, &target);
        let (sent, report) = offload.run(body.len(), asked).await??;
        told = report;
        let counted =
            count(&worker.transport(&target.account).by(target.deadline), &target, sent).await;
        counted.map_err(GatewayError::from)
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

/// The question whose tokens are counted, as the model would be asked: thoughts that are put back count.
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
        fetched.fill(&mut request);
        target.complete(&mut request)?;
        let restored = reasoning.of(&request, &target).await;
        let profile = &target.model.profile;
        let Question { body: converse, report, .. } =
            question_with(&request, profile, &fetched.stores, Some(&restored))?;
        Ok((written(&CountTokensRequest::from(&converse), body.len())?, report))
    }
}
