//! `/bedrock/...`: Bedrock's own API, byte for byte. The path is checked and rebuilt, the model's name
//! resolved, and the call signed with the gateway's credentials. Bodies pass unchanged; errors have
//! AWS's format, so that SDKs raise the exceptions they know.

use std::sync::Arc;

use access::Admission;
use actix_web::http::header::HeaderName;
use actix_web::http::{StatusCode, Uri, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use async_stream::stream;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use translate::Report;

use crate::call_price::CallPrice;
use crate::config::Config;
use crate::disconnect::AnswerForm;
use crate::drain::Drained;
use crate::error::GatewayError;
use crate::native::affinity::affinity;
use crate::native::guardrail::{self, GuardrailError};
use crate::native::path::{MOUNT, Matched, PathError, below_mount, find, find_target};
use crate::native::s3;
use crate::native::settings::OtherModels;
use crate::native::start::{Begun, Start, look};
use crate::native::{end_user, headers};
use crate::pieces::Pieces;
use crate::pipeline::dry_run;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Admitted, Incoming};
use crate::request::PendingResponse;
use crate::request::context::RequestContext;
use crate::request::options::{CallMode, RouteOptions};
use crate::state::{Snapshot, Worker};
use crate::telemetry::traces::RequestStep;
use crate::token_estimate;
use crate::write_timeout::WriteTimeoutBody;
use bedrock::{Failure, Kind, Service, exception, unsigned};
use routing::{
    AttemptLog, CallPurpose, CallSpec, Dispatch, DispatchError, Dispatched, FallbackScope, Route,
    Tags, Target, Tokens,
};

mod error;
mod meter;
mod outgoing;
mod relayed_body;

pub(crate) use error::{panicked, refused, stopping};

use error::{NativeError, refuse};
use meter::Meter;
use outgoing::{TARGET, call};
use relayed_body::RelayedBody;

const STOPPING: &str = "The gateway is being stopped and could not finish this answer.";
/// Refused, because it needs HTTP/2 and signed frames in both directions; SDKs do not have it.
const BIDIRECTIONAL: &str = "InvokeModelWithBidirectionalStream";

/// The kind of call in rows of calls, by LiteLLM's name.
const CALL_TYPE: &str = "pass_through_endpoint";
/// Bytes that one byte of text takes in an answer, frames and padding included: for the estimates of answers that are
/// cut off.
const FRAMING: usize = 10;

/// Relays one call.
pub(crate) async fn relay(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let head = PendingResponse::default();
    Drained::new(relayed(worker, http, payload, head.clone()), head).await
}

async fn relayed(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
    head: PendingResponse,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "native").behind(head);
    let errors = worker.now().config.native.errors;
    match answer(&worker, &http, payload, &mut context).await {
        Ok(Answered::DryRun(response)) => response,
        Ok(Answered::Upstream(begun, kind)) => respond(begun, kind, &worker.now().config, context),
        // An exception in the first frame is relayed unchanged, with its frame.
        Err(NativeError::AtStart { begun, error: _ }) => {
            respond(*begun, Kind::Stream, &worker.now().config, context)
        }
        Err(error) => {
            error.record(&mut context);
            refuse(&error, errors, &mut context)
        }
    }
}

/// The result of a native request that was not refused.
enum Answered {
    DryRun(HttpResponse),
    /// The upstream response, and its kind.
    Upstream(Begun, Kind),
}

async fn answer(
    worker: &Data<Worker>,
    http: &HttpRequest,
    mut payload: Payload,
    context: &mut RequestContext,
) -> Result<Answered, NativeError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::DryRun).await?;
    let now = Arc::clone(incoming.now());
    let matched = operation(http, &now.config.native.services)?;
    if matched.row.operation == BIDIRECTIONAL {
        return Err(NativeError::Bidirectional);
    }
    let body = incoming.read(payload, context).await?;
    let member = now.config.access.end_user_metadata.as_deref();
    let end_user = end_user::of(member, &body, &worker.shared.offload).await?;
    incoming.acts_for(end_user, &Tags::default())?;
    let admitted = incoming.admit(matched.model(), context).await?;
    admitted.check_operation(matched.row.operation)?;
    admitted.check_passthrough(http.path())?;
    if guardrail::runs_unseen(matched.row.operation, &body) {
        admitted.check_unseen_models(matched.row.operation)?;
    }
    objects(&admitted, &matched, &body).await?;
    guarded(&now, &matched, admitted.admission())?;
    let request = NativeRequest { http, matched, body };
    let begun = match request.matched.model() {
        None => of_account(&admitted, &request, context).await?,
        Some(name) => of_model(&admitted, &request, name, context).await?,
    };
    Ok(match begun {
        Outcome::DryRun(response) => Answered::DryRun(response),
        Outcome::Begun(begun) => Answered::Upstream(begun, request.matched.row.kind),
    })
}

/// A native request with its body.
struct NativeRequest<'r> {
    http: &'r HttpRequest,
    matched: Matched,
    body: Bytes,
}

/// The result of a native call: a dry run, or the upstream response.
enum Outcome {
    DryRun(HttpResponse),
    Begun(Begun),
}

/// Calls an operation that names no model, in the gateway's own account.
async fn of_account(
    admitted: &Admitted,
    request: &NativeRequest<'_>,
    context: &mut RequestContext,
) -> Result<Outcome, NativeError> {
    let home = admitted.now().names.home();
    let log = AttemptLog { region: home.region().to_owned(), ..AttemptLog::default() };
    let call = call(request, request.body.clone(), None, admitted.offload()).await?;
    if admitted.options().mode == CallMode::DryRun {
        return show(admitted, log, unsigned(home, &call)?, context).await;
    }
    let row = request.matched.row;
    let price = match row.operation {
        "Rerank" => meter::reranker(admitted.now().names.catalogue(), &request.body),
        _ => None,
    };
    let cost = match (row.service, &price) {
        (_, Some(price)) => EstimatedCost::Priced(price),
        _ if row.operation == meter::APPLIES_GUARDRAIL => {
            EstimatedCost::Guardrail { bytes: request.body.len() }
        }
        // Lists and settings.
        (
            Service::Control | Service::Agent | Service::AgentCoreControl | Service::DataAutomation,
            None,
        ) => EstimatedCost::Nothing,
        (
            Service::Runtime
            | Service::AgentRuntime
            | Service::S3
            | Service::Mantle
            | Service::AgentCore
            | Service::DataAutomationRuntime,
            None,
        ) => EstimatedCost::Unpriced,
    };
    admitted.reserve(CallEstimate { call_type: CALL_TYPE, cost }, context).await?;
    may_drain(admitted, request, context);
    context.went(AttemptLog { attempts: 1, ..log });
    let wait = admitted.settlement().waits();
    let answer = admitted.account_transport(home).send(call).await?;
    drop(wait);
    Ok(Outcome::Begun(Begun { answer, row, pieces: Vec::new(), price }))
}

/// The pieces that a call is billed for, where a target of its name has prices for them.
async fn pieces(
    admitted: &Admitted,
    request: &NativeRequest<'_>,
    route: &Route,
) -> Result<Pieces, NativeError> {
    let mut prices = admitted.now().names.priced(route).into_iter().map(CallPrice::of_priced);
    if request.matched.row.operation != meter::INVOKES || !prices.any(|price| price.bills_pieces())
    {
        return Ok(Pieces::default());
    }
    let body = request.body.clone();
    let counted = admitted.offload().run(body.len(), async move { Pieces::of_invoke(&body) });
    Ok(counted.await?)
}

/// Calls an operation of a model, on one of the name's targets.
async fn of_model(
    admitted: &Admitted,
    request: &NativeRequest<'_>,
    name: &str,
    context: &mut RequestContext,
) -> Result<Outcome, NativeError> {
    let route = admitted.resolve(name, admitted.options().tags.clone()).await?;
    context.is_resolved(route.series());
    let id = context.id().to_owned();
    let spec = spec(admitted, request, &route, &id).await?;
    if admitted.options().mode == CallMode::DryRun {
        let target = Dispatch::preview(&route, spec).map_err(GatewayError::from)?;
        let body = request.body.clone();
        let call = call(request, body, Some(&target), admitted.offload()).await?;
        let shown = unsigned(&target.account, &call)?;
        return show(admitted, AttemptLog::to(&target), shown, context).await;
    }
    let pieces = pieces(admitted, request, &route).await?;
    let cost = match spec.purpose {
        CallPurpose::Count => EstimatedCost::Nothing,
        CallPurpose::Model => {
            EstimatedCost::Model { route: &route, tokens: spec.tokens, pieces, calls: 1 }
        }
    };
    admitted.reserve(CallEstimate { call_type: CALL_TYPE, cost }, context).await?;
    may_drain(admitted, request, context);
    context.step(RequestStep::Dispatch);
    let dispatch = Dispatch::begin(&admitted.now().names, route, spec);
    let sent = dispatch.map_err(GatewayError::from)?.run(async |target: &Target| {
        let body = request.body.clone();
        let mut call = call(request, body, Some(target), admitted.offload()).await?;
        let _wait = admitted.settlement().waits();
        admitted.settlement().traces(&mut call.headers);
        let answer = admitted.transport(target).send(call).await?;
        match look(answer, request.matched.row).await? {
            // A model that is not looked up yet has no price: a lookup would hold up the call.
            Start::Good(begun) => {
                let price = CallPrice::of(&target.model).with(pieces);
                Ok(Begun { price: Some(price), ..begun })
            }
            Start::Exception(begun, error) => {
                Err(NativeError::AtStart { begun: Box::new(begun), error })
            }
        }
    });
    match sent.await {
        Ok(Dispatched { answer, in_flight, attempt_log }) => {
            context.is_answered(attempt_log, in_flight);
            Ok(Outcome::Begun(answer))
        }
        Err(DispatchError { error, attempt_log }) => {
            context.went(attempt_log);
            Err(error)
        }
    }
}

/// Has a whole answer read on if the client leaves before it begins.
fn may_drain(admitted: &Admitted, request: &NativeRequest<'_>, context: &RequestContext) {
    if request.matched.row.kind == Kind::Unary {
        context.may_drain(admitted.now().config.access.on_disconnect, AnswerForm::Whole);
    }
}

/// Answers a dry run.
async fn show(
    admitted: &Admitted,
    log: AttemptLog,
    request: http::Request<Bytes>,
    context: &mut RequestContext,
) -> Result<Outcome, NativeError> {
    let (report, offload) = (Report::default(), admitted.offload());
    let shown = dry_run::tell(log, vec![request], &report, context, offload).await?;
    Ok(Outcome::DryRun(shown))
}

/// Checks the S3 locations in a body.
async fn objects(admitted: &Admitted, matched: &Matched, body: &Bytes) -> Result<(), NativeError> {
    let Some(stores) = admitted.native_s3() else { return Ok(()) };
    let (operation, length, body) = (matched.row.operation, body.len(), body.clone());
    let judge = async move { s3::judge(operation, &body, &stores) };
    let judged = admitted.offload().run(length, judge);
    Ok(judged.await??)
}

/// Refuses operations that would bypass a mandatory guardrail.
fn guarded(now: &Snapshot, matched: &Matched, admission: &Admission) -> Result<(), GuardrailError> {
    let is_around = guardrail::runs_others(matched.row.operation)
        && now.config.native.other_models == OtherModels::Guarded
        && (now.names.must_be_guarded() || admission.guardrails().next().is_some());
    if is_around { Err(GuardrailError::Around) } else { Ok(()) }
}

async fn spec<'r>(
    admitted: &'r Admitted,
    request: &NativeRequest<'_>,
    route: &Route,
    id: &'r str,
) -> Result<CallSpec<'r>, NativeError> {
    let NativeRequest { http: _, matched, body } = request;
    let operation = matched.row.operation;
    let purpose = if operation == "CountTokens" { CallPurpose::Count } else { CallPurpose::Model };
    let (length, body) = (body.len(), body.clone());
    // Inspecting a body takes time and has no use if the route has only one target.
    let counts = route.counts_tokens() || admitted.is_accounted();
    let keeps = route.keeps_to_targets();
    let looked = async move {
        let tokens = match counts {
            true => token_estimate::of_native(&body),
            false => Tokens::read(token_estimate::estimate(length)),
        };
        (tokens, if keeps { affinity(&body) } else { None })
    };
    let (tokens, key) = match purpose {
        // The model does not process these tokens.
        CallPurpose::Count => (Tokens::default(), None),
        CallPurpose::Model if counts || keeps => admitted.offload().run(length, looked).await?,
        CallPurpose::Model => looked.await,
    };
    let fallback_scope = match operation {
        // All models of Converse accept the same body; for other operations each model has its own
        // format.
        "Converse" | "ConverseStream" => FallbackScope::All,
        _ => FallbackScope::SameName,
    };
    let (admission, kind) = (admitted.admission(), matched.row.kind);
    Ok(CallSpec { admission, id, kind, purpose, tokens, key, home: None, fallback_scope })
}

/// The operation of a request, below the mount or at the root.
pub(crate) fn operation(http: &HttpRequest, added: &[Service]) -> Result<Matched, PathError> {
    let target = http.headers().get(TARGET.as_str()).and_then(|target| target.to_str().ok());
    match (below_mount(http.path()), target) {
        ("/" | MOUNT, Some(target)) if *http.method() == actix_web::http::Method::POST => {
            find_target(target, added)
        }
        _ => matched(http.method().as_str(), http.uri(), added),
    }
}

/// The operation of a request that has no route yet.
pub(crate) fn matched(method: &str, uri: &Uri, added: &[Service]) -> Result<Matched, PathError> {
    find(method, below_mount(uri.path()), added)
}

/// The exception that ends a stream when the process ends; every operation of the service has it.
fn last_words(service: Service) -> &'static str {
    match service {
        Service::Runtime => "serviceUnavailableException",
        Service::AgentRuntime
        | Service::Agent
        | Service::Control
        | Service::S3
        | Service::Mantle
        | Service::AgentCore
        | Service::AgentCoreControl
        | Service::DataAutomation
        | Service::DataAutomationRuntime => "internalServerException",
    }
}

fn respond(begun: Begun, kind: Kind, config: &Config, context: RequestContext) -> HttpResponse {
    let form = match kind {
        Kind::Unary => AnswerForm::Whole,
        Kind::Stream => AnswerForm::Stream,
    };
    context.step(RequestStep::Respond);
    let left = context.may_drain(config.access.on_disconnect, form);
    let mut response = builder(begun.answer.status.as_u16(), &begun.answer.headers);
    let headers = context.attempt_log().chain(context.account_headers());
    for header in headers.chain(context.timing()) {
        response.insert_header(header);
    }
    // Pieces need not end where events do, so after a panic the answer is cut off.
    let stall = config.timeouts.write_stall;
    response.streaming(WriteTimeoutBody::of(bytes(begun, context), stall, left))
}

/// Status and headers of Bedrock's response.
fn builder(status: u16, upstream: &HeaderMap) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponseBuilder::new(status);
    for (name, value) in headers::come_down(upstream) {
        let value = header::HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_str().as_bytes()), value) {
            response.append_header((name, value));
        }
    }
    response
}

/// Relays the body. Each piece is inspected for usage and failures, but never changed or delayed. If the upstream body breaks off, the client's does too, so that no SDK takes it for a
/// complete one.
fn bytes(begun: Begun, mut context: RequestContext) -> impl Stream<Item = Result<Bytes, Failure>> {
    let Begun { answer, row, pieces, price } = begun;
    if let Some(price) = &price {
        context.is_priced_by(price);
    }
    let settlement = context.settlement();
    let mut meter = Meter::of(&answer.headers, row.operation, price);
    let mut body = RelayedBody::new(pieces, answer);
    let mut cut = context.cut();
    stream! {
        let mut has_failed = false;
        loop {
            let Some(piece) = cut.or(body.next()).await else {
                if let Some(piece) = body.gathered() {
                    meter.see(&piece);
                    yield Ok(piece);
                }
                let is_between = meter.tap.is_between_frames();
                meter.settle(&mut context);
                if !has_failed {
                    context.break_off(&GatewayError::Stopping);
                }
                match is_between && !has_failed {
                    true => yield Ok(exception(last_words(row.service), STOPPING)),
                    false => yield Err(Failure::Closed(STOPPING.to_owned())),
                }
                break;
            };
            match piece {
                Ok(Some(piece)) => {
                    meter.see(&piece);
                    settlement.wrote(piece.len() / FRAMING);
                    // Recorded at once, because SDKs close the connection on an exception.
                    if let Some(failure) = meter.tap.failure() {
                        has_failed = true;
                        context.break_off(&failure.into());
                    }
                    yield Ok(piece);
                }
                Ok(None) => {
                    let failure = meter.tap.failure_at_end();
                    meter.settle(&mut context);
                    match failure {
                        Some(failure) => context.break_off(&failure.into()),
                        None if has_failed => {}
                        None => context.complete(),
                    }
                    break;
                }
                Err(failure) => {
                    meter.settle(&mut context);
                    let error = GatewayError::Upstream(failure);
                    if !has_failed {
                        context.break_off(&error);
                    }
                    if let GatewayError::Upstream(failure) = error {
                        yield Err(failure);
                    }
                    break;
                }
            }
        }
    }
}
