//! `POST /v1/chat/completions/input_tokens`: the number of input tokens of a request, without calling the
//! model.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::count::CountTokensRequest;
use schema::openai::count::{CountedBy, INPUT_TOKENS_OBJECT, InputTokens};
use translate::Report;
use translate::chat::Chat;
use translate::dialect::{Dialect, Question, QuestionInput};

use crate::error::GatewayError;
use crate::media::Fetched;
use crate::pipeline::Incoming;
use crate::pipeline::body_writer::written;
use crate::pipeline::json::parse;
use crate::pipeline::json_response::{JsonResponse, respond};
use crate::pipeline::parsed_request::{ParsedRequest, Untranslated};
use crate::pipeline::pending_call;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::reasoning_store::{KnownItems, ReasoningStore};
use crate::request::context::RequestContext;
use crate::request::options::RouteOptions;
use crate::state::Worker;
use crate::token_ids;
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
    respond_with::<Chat>(worker, http, payload, INPUT_TOKENS_OBJECT).await
}

/// Responds with the count of a request in any dialect, as an object of this name.
pub(crate) async fn respond_with<D: Dialect>(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
    object: &'static str,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "input_tokens");
    context.speaks(D::ERRORS);
    respond(context, async |context| {
        let counted = counted::<D>(&worker, &http, payload, context).await?;
        let JsonResponse { answer: (input_tokens, outcrop), report, request_id, by } = counted;
        let answer = InputTokens { object, input_tokens, outcrop };
        Ok(JsonResponse { answer, report, request_id, by })
    })
    .await
}

async fn counted<D: Dialect>(
    worker: &Data<Worker>,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
) -> Result<JsonResponse<(u64, CountedBy)>, GatewayError> {
    let mut incoming = Incoming::identify(worker, http, RouteOptions::None)?;
    let body = incoming.read(payload).await?;
    let offload = &worker.shared.offload;
    let ParsedRequest { mut outline, .. } =
        ParsedRequest::<D>::read(&body, &incoming.now().config.media, offload).await?;
    let tags = outline.tags(incoming.options());
    incoming.acts_for(outline.head.end_user.take(), &tags)?;
    let admitted = incoming.admit(Some(&outline.head.model), context).await?;
    let route = admitted.resolve(&outline.head.model, tags).await?;
    let fetched = admitted.fetch_media(outline.links).await?;
    let items = Arc::new(admitted.reasoning().items().find(&outline.item_ids));
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
        let asked = asked::<D>(&body, (&fetched, &items), admitted.reasoning(), &target);
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
    let answer = (input_tokens, outcrop);
    Ok(JsonResponse { answer, report: told, request_id, by: None })
}

/// Translates the request whose tokens are counted, as it would be sent to the model, so that restored
/// reasoning is counted too.
fn asked<D: Dialect>(
    body: &Bytes,
    (fetched, items): (&Arc<Fetched>, &Arc<KnownItems>),
    reasoning: &ReasoningStore,
    target: &Target,
) -> impl Future<Output = Result<(Bytes, Report), Untranslated>> + Send + 'static {
    let (body, fetched, items) = (body.clone(), Arc::clone(fetched), Arc::clone(items));
    let (reasoning, target) = (reasoning.clone(), target.clone());
    async move {
        let mut request: D::Request<'_> = parse(&body)?;
        fetched.fill::<D>(&mut request);
        items.fill::<D>(&mut request);
        pending_call::complete::<D>(&mut request, &target)?;
        let restored = reasoning.of::<D>(&request, &target).await;
        let (stores, text_of) = (&fetched.stores, token_ids::text_of);
        let input = QuestionInput { stores, restored: Some(&restored), index: 0, text_of };
        let Question { body: converse, report, .. } =
            D::question(&request, &target.model.profile, &input)?;
        Ok((written(&CountTokensRequest::from(&converse), body.len())?, report))
    }
}
