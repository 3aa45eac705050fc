//! `POST /v1/chat/completions/input_tokens`: the number of input tokens of a chat request, without
//! calling the model.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::count::{CountNativeRequest, CountTokensRequest};
use schema::openai::count::{CountedBy, INPUT_TOKENS_OBJECT, InputTokens};
use translate::chat::Chat;
use translate::dialect::{Dialect, NativeQuestion, Question, QuestionInput};
use translate::{Report, estimate};

use crate::error::GatewayError;
use crate::media::Fetched;
use crate::pipeline::body_writer::written;
use crate::pipeline::continuation;
use crate::pipeline::json::parse;
use crate::pipeline::json_response::{JsonResponse, respond};
use crate::pipeline::parsed_request::{ParsedRequest, Untranslated};
use crate::pipeline::pending_call;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Admitted, Incoming};
use crate::reasoning_store::KnownItems;
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
        let Counted { tokens, model, report, request_id } =
            counted::<D>(&worker, &http, payload, context).await?;
        let outcrop = CountedBy { estimated: model.is_none(), model };
        let answer = InputTokens { object, input_tokens: tokens, outcrop };
        Ok(JsonResponse { answer, report, request_id, by: None })
    })
    .await
}

/// A number of tokens.
pub(crate) struct Counted {
    pub(crate) tokens: u64,
    /// The model that counted; without one the number is an estimate.
    pub(crate) model: Option<String>,
    pub(crate) report: Report,
    pub(crate) request_id: Option<String>,
}

/// Counts the input tokens of a request of any dialect.
///
/// # Errors
/// The request cannot be read, admitted or translated, or the service fails.
pub(crate) async fn counted<D: Dialect>(
    worker: &Data<Worker>,
    http: &HttpRequest,
    mut payload: Payload,
    context: &mut RequestContext,
) -> Result<Counted, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::Count).await?;
    let mut body = incoming.read(payload, context).await?;
    let offload = &worker.shared.offload;
    let ParsedRequest { mut outline, .. } =
        ParsedRequest::<D>::read(&body, &incoming.now().config.media, offload).await?;
    let tags = outline.tags(incoming.options());
    incoming.acts_for(outline.head.end_user.take(), &tags)?;
    let admitted = incoming.admit(Some(&outline.head.model), context).await?;
    let state = continuation::state(&outline, &admitted);
    if let Some(continued) = continuation::continued(&body, &outline, &admitted).await? {
        body = continued;
        let media = &admitted.now().config.media;
        outline = ParsedRequest::<D>::read(&body, media, offload).await?.outline;
    }
    let route = admitted.resolve(&outline.head.model, tags).await?;
    context.is_resolved(route.series());
    let fetched = admitted.fetch_media(outline.links).await?;
    let items = Arc::new(admitted.reasoning().items().find(&outline.item_ids).with(state));
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
    let (mut report, mut native) = (Report::default(), None);
    let sent = Dispatch::begin(&admitted.now().names, route, spec)?.run(async |target: &Target| {
        let target = target.looked_up().await;
        let asked = asked::<D>(&body, (&fetched, &items), &admitted, &target);
        let Asked { sent, report: told, native: form } = offload.run(body.len(), asked).await??;
        (report, native) = (told, form);
        let transport = admitted.transport(&target);
        let _wait = admitted.settlement().waits();
        count(&transport, &target, sent).await.map_err(GatewayError::from)
    });
    match sent.await {
        Ok(Dispatched { answer, in_flight, attempt_log }) => {
            context.is_answered(attempt_log, in_flight);
            Ok(match answer {
                Count::Counted { tokens, model, request_id } => {
                    Counted { tokens, model: Some(model), report, request_id }
                }
                Count::Estimated(tokens) => {
                    let tokens = native.as_deref().map_or(tokens, estimated);
                    Counted { tokens, model: None, report, request_id: None }
                }
            })
        }
        Err(DispatchError { error, attempt_log }) => {
            context.went(attempt_log);
            Err(error)
        }
    }
}

/// A request whose tokens are counted.
struct Asked {
    /// The body of CountTokens.
    sent: Bytes,
    report: Report,
    /// The request in the model's own form, which the body holds in another notation.
    native: Option<Vec<u8>>,
}

/// An estimate of a request in the model's own form.
fn estimated(native: &[u8]) -> u64 {
    serde_json::from_slice(native).map_or(0, |request| estimate::tokens(&request))
}

/// Translates the request whose tokens are counted, as it would be sent to the model, so that restored
/// reasoning is counted too.
fn asked<D: Dialect>(
    body: &Bytes,
    (fetched, items): (&Arc<Fetched>, &Arc<KnownItems>),
    admitted: &Admitted,
    target: &Target,
) -> impl Future<Output = Result<Asked, Untranslated>> + Send + 'static {
    let (body, fetched, items) = (body.clone(), Arc::clone(fetched), Arc::clone(items));
    let (reasoning, target) = (admitted.reasoning().clone(), target.clone());
    let options = Arc::clone(admitted.options());
    async move {
        let mut request: D::Request<'_> = parse(&body)?;
        fetched.fill::<D>(&mut request);
        items.fill::<D>(&mut request);
        pending_call::complete::<D>(&mut request, &target)?;
        D::counts_only(&mut request);
        let restored = reasoning.of::<D>(&request, &target).await;
        let profile = &target.model.profile;
        let input = QuestionInput {
            stores: &fetched.stores,
            restored: Some(&restored),
            index: 0,
            betas: &options.betas,
            text_of: token_ids::text_of,
        };
        if let Some(NativeQuestion { body: native, report, .. }) =
            D::native_question(&request, profile, &input)?
        {
            let text = STANDARD.encode(&native);
            let sent = written(&CountNativeRequest::of(&text), text.len())?;
            return Ok(Asked { sent, report, native: Some(native) });
        }
        let Question { body: converse, report, .. } = D::question(&request, profile, &input)?;
        let sent = written(&CountTokensRequest::from(&converse), body.len())?;
        Ok(Asked { sent, report, native: None })
    }
}
