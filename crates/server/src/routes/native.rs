//! `/bedrock/...`: Bedrock's own API with Bedrock's own bytes. The path is judged and rebuilt, the
//! model's name resolved, the call signed with the gateway's credentials; bodies pass untouched, and
//! what goes wrong is told in AWS's shape, so that SDKs raise the exceptions they know.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::http::{StatusCode, Uri, header};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use async_stream::stream;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, HeaderValue, Method};

use crate::app::{Snapshot, Worker};
use crate::body;
use crate::error::{GatewayError, NO_CREDENTIALS};
use crate::native::affinity::affinity;
use crate::native::guardrail::{self, GuardrailError};
use crate::native::mask::masked;
use crate::native::path::{Matched, PathError, find};
use crate::native::s3::{self, NativeS3, S3Error};
use crate::native::settings::{NativeErrors, OtherModels};
use crate::native::start::{Begun, Start, look};
use crate::native::{headers, tap::Tap};
use crate::offload::Offload;
use crate::request::context::{RequestContext, RequestId, SHOULD_RETRY};
use crate::request::options::{self, CallMode, RequestOptions};
use crate::token_estimate;
use crate::write_timeout::WriteTimeoutBody;
use bedrock::{Call, Failure, Kind, Service, ServiceError, exception};
use routing::{
    CallPurpose, CallSpec, Classify, Dispatch, DispatchError, Dispatched, FailureClass,
    FallbackScope, Route, Target, Tokens, of_service,
};

mod dry_run;

/// Where SDKs look for the id of a call; errors of our own have one too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const STOPPING: &str = "The gateway is being stopped and could not finish this answer.";
/// SDKs do not have it: it needs HTTP/2 and signed frames in both directions.
const BIDIRECTIONAL: &str = "InvokeModelWithBidirectionalStream";

/// Passes one call through.
pub(crate) async fn relay(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "native");
    let now = worker.now();
    let errors = now.config.native_errors;
    match RequestOptions::of(http.headers()).map(|options| options.mode) {
        Ok(CallMode::Send) => {}
        Ok(CallMode::DryRun) => {
            let shown = dry_run::rehearse(&worker, &now, &http, payload, &mut context).await;
            return shown.unwrap_or_else(|error| refuse(&error, errors, &mut context));
        }
        Err(error) => {
            return refuse(&GatewayError::from(error).into(), errors, &mut context);
        }
    }
    match send(&worker, &now, &http, payload, &mut context).await {
        Ok(begun) => respond(begun, now.config.write_stall, context),
        // An exception that came first passes on as it came, frame and all.
        Err(NativeError::AtStart { begun, error: _ }) => {
            respond(*begun, now.config.write_stall, context)
        }
        Err(error) => refuse(&error, errors, &mut context),
    }
}

async fn send(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
) -> Result<Begun, NativeError> {
    let matched = operation(http, &now.config.native_services)?;
    if matched.row.operation == BIDIRECTIONAL {
        return Err(NativeError::Bidirectional);
    }
    let body = body::read(http.headers(), payload, now.config.body).await;
    let body = body.map_err(GatewayError::from)?;
    let offload = &worker.shared.offload;
    objects(now, &matched, &body, offload).await?;
    guarded(now, &matched)?;
    let Some(name) = matched.model() else {
        let call = call(http, &matched, body, None, offload).await?;
        let answer = worker.transport(now.names.home()).send(call).await?;
        return Ok(Begun { answer, service: matched.row.service, pieces: Vec::new() });
    };
    context.names_model(name);
    let tags = options::tags(http.headers());
    let route = now.names.resolve(name, tags).await.map_err(GatewayError::from)?;
    let id = context.id().to_owned();
    let terms = terms(&matched, &route, &body, &id, offload).await?;
    let dispatch = Dispatch::begin(&now.names, route, terms);
    let sent = dispatch.map_err(GatewayError::from)?.run(async |target: &Target| {
        let call = call(http, &matched, body.clone(), Some(target), offload).await?;
        let answer = worker.transport(&target.account).by(target.deadline).send(call).await?;
        match look(answer, matched.row).await? {
            Start::Good(begun) => Ok(begun),
            Start::Exception(begun, error) => {
                Err(NativeError::AtStart { begun: Box::new(begun), error })
            }
        }
    });
    match sent.await {
        Ok(Dispatched { answer, in_flight, attempt_log }) => {
            context.is_answered(attempt_log, in_flight);
            Ok(answer)
        }
        Err(DispatchError { error, attempt_log }) => {
            context.went(attempt_log);
            Err(error)
        }
    }
}

/// Judges what of S3 a body names.
async fn objects(
    now: &Snapshot,
    matched: &Matched,
    body: &Bytes,
    offload: &Offload,
) -> Result<(), NativeError> {
    if now.config.native_s3 == NativeS3::Allow {
        return Ok(());
    }
    let (operation, stores) = (matched.row.operation, now.config.media.stores.clone());
    let (length, body) = (body.len(), body.clone());
    let judged = offload.run(length, async move { s3::judge(operation, &body, &stores) });
    Ok(judged.await??)
}

/// Refuses operations that would go around a mandatory guardrail.
fn guarded(now: &Snapshot, matched: &Matched) -> Result<(), GuardrailError> {
    let is_around = guardrail::runs_others(matched.row.operation)
        && now.config.other_models == OtherModels::Guarded
        && now.names.must_be_guarded();
    if is_around { Err(GuardrailError::Around) } else { Ok(()) }
}

async fn terms<'r>(
    matched: &Matched,
    route: &Route,
    body: &Bytes,
    id: &'r str,
    offload: &Offload,
) -> Result<CallSpec<'r>, NativeError> {
    let operation = matched.row.operation;
    let purpose = if operation == "CountTokens" { CallPurpose::Count } else { CallPurpose::Model };
    let (length, body) = (body.len(), body.clone());
    // Looking into a body takes time, and is in vain where there is no choice.
    let (counts, keeps) = (route.counts_tokens(), route.keeps_to_targets());
    let looked = async move {
        let tokens = match counts {
            true => token_estimate::of_native(&body),
            false => Tokens::read(token_estimate::estimate(length)),
        };
        (tokens, if keeps { affinity(&body) } else { None })
    };
    let (tokens, key) = match purpose {
        // It is not the model that reads them.
        CallPurpose::Count => (Tokens::default(), None),
        CallPurpose::Model if counts || keeps => offload.run(length, looked).await?,
        CallPurpose::Model => looked.await,
    };
    let fallback_scope = match operation {
        // Every model that converses reads the same body; elsewhere each has its own.
        "Converse" | "ConverseStream" => FallbackScope::All,
        _ => FallbackScope::SameName,
    };
    Ok(CallSpec { id, kind: matched.row.kind, purpose, tokens, key, home: None, fallback_scope })
}

/// The operation a request names, below the mount or at the root.
pub(crate) fn operation(http: &HttpRequest, added: &[Service]) -> Result<Matched, PathError> {
    matched(http.method().as_str(), http.uri(), added)
}

/// The same, for a request that has no route yet.
pub(crate) fn matched(method: &str, uri: &Uri, added: &[Service]) -> Result<Matched, PathError> {
    let raw = uri.path();
    let below = raw.strip_prefix(MOUNT).filter(|below| below.starts_with('/')).unwrap_or(raw);
    find(method, below, added)
}

/// Where the native API hangs.
pub(crate) const MOUNT: &str = "/bedrock";

async fn call(
    http: &HttpRequest,
    matched: &Matched,
    mut body: Bytes,
    target: Option<&Target>,
    offload: &Offload,
) -> Result<Call, NativeError> {
    let mut sent = HeaderMap::with_capacity(4);
    for (name, value) in http.headers() {
        if headers::goes_up(name.as_str(), value.as_bytes()) {
            // actix speaks an older `http` than the rest of us.
            let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            if let (Ok(name), Ok(value)) = (name, value) {
                sent.append(name, value);
            }
        }
    }
    if let Some(guardrail) = target.and_then(|target| target.guardrail.clone()) {
        let (operation, length) = (matched.row.operation, body.len());
        let applied = offload.run(length, async move {
            guardrail::apply(&guardrail, operation, &mut sent, &mut body).map(|()| (sent, body))
        });
        (sent, body) = applied.await??;
    }
    let method = Method::from_bytes(matched.row.method.as_bytes())
        .map_err(|error| GatewayError::Internal(error.to_string()))?;
    Ok(Call {
        service: matched.row.service,
        method,
        path: matched.upstream(target.map(|target| target.model.model_id.as_str())),
        query: http.uri().query().and_then(headers::query),
        headers: sent,
        body,
        kind: matched.row.kind,
    })
}

/// How a stream says that the process ends: an exception that every operation of its service knows.
fn last_words(service: Service) -> &'static str {
    match service {
        Service::Runtime => "serviceUnavailableException",
        Service::AgentRuntime | Service::Agent | Service::Control => "internalServerException",
    }
}

fn respond(begun: Begun, write_stall: Duration, context: RequestContext) -> HttpResponse {
    let mut response = builder(begun.answer.status.as_u16(), &begun.answer.headers);
    for header in context.attempt_log() {
        response.insert_header(header);
    }
    // Pieces need not end where events do: an answer that a panic ends is broken off.
    response.streaming(WriteTimeoutBody::of(bytes(begun, context), write_stall))
}

/// Status and headers of Bedrock's, as they came.
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

/// The body, piece by piece as it comes. A piece is looked at for what the call cost and whether it failed,
/// never changed or held back; a body that breaks off is broken off, so that no SDK takes it for a whole one.
fn bytes(begun: Begun, mut context: RequestContext) -> impl Stream<Item = Result<Bytes, Failure>> {
    let Begun { mut answer, service, pieces } = begun;
    let mut tap = Tap::of(&answer.headers);
    let mut cut = context.cut();
    stream! {
        let mut pieces = pieces.into_iter();
        let mut has_failed = false;
        loop {
            let piece = match pieces.next() {
                Some(piece) => Ok(Some(piece)),
                None => match cut.or(answer.chunk()).await {
                    Some(piece) => piece,
                    None => {
                        let is_between = tap.is_between_frames();
                        context.settle(tap.finish());
                        if !has_failed {
                            context.break_off(&GatewayError::Stopping);
                        }
                        match is_between && !has_failed {
                            true => yield Ok(exception(last_words(service), STOPPING)),
                            false => yield Err(Failure::Closed(STOPPING.to_owned())),
                        }
                        break;
                    }
                },
            };
            match piece {
                Ok(Some(piece)) => {
                    tap.see(&piece);
                    // At once: SDKs hang up on an exception.
                    if let Some(failure) = tap.failure() {
                        has_failed = true;
                        context.break_off(&failure.into());
                    }
                    yield Ok(piece);
                }
                Ok(None) => {
                    let failure = tap.failure_at_end();
                    context.settle(tap.finish());
                    match failure {
                        Some(failure) => context.break_off(&failure.into()),
                        None if has_failed => {}
                        None => context.complete(),
                    }
                    break;
                }
                Err(failure) => {
                    context.settle(tap.finish());
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

/// Why a call has no answer of Bedrock's to pass on.
#[derive(Debug, thiserror::Error)]
enum NativeError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("bidirectional streams do not pass through: they need HTTP/2 on both sides")]
    Bidirectional,
    #[error(transparent)]
    S3(#[from] S3Error),
    #[error(transparent)]
    Guardrail(#[from] GuardrailError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Upstream(#[from] Failure),
    #[error("the stream began with an exception: {error}")]
    AtStart { begun: Box<Begun>, error: Box<ServiceError> },
}

impl Classify for NativeError {
    fn verdict(&self, kind: Kind) -> FailureClass {
        match self {
            Self::Upstream(failure) => failure.verdict(kind),
            Self::AtStart { begun: _, error } => of_service(error, kind),
            Self::Gateway(error) => error.verdict(kind),
            Self::Path(_) | Self::Bidirectional | Self::S3(_) | Self::Guardrail(_) => {
                FailureClass::FINAL
            }
        }
    }

    fn is_answer(&self) -> bool {
        match self {
            Self::Upstream(failure) => failure.is_answer(),
            Self::AtStart { .. } => true,
            Self::Gateway(error) => error.is_answer(),
            Self::Path(_) | Self::Bidirectional | Self::S3(_) | Self::Guardrail(_) => false,
        }
    }
}

/// The answer to a request that was refused before it came here.
pub(crate) fn refused(error: GatewayError, context: &mut RequestContext) -> HttpResponse {
    refuse(&error.into(), NativeErrors::default(), context)
}

/// The answer to a request that a panic has ended.
pub(crate) fn panicked(error: &GatewayError, request_id: &str) -> HttpResponse {
    let mut response = ours(500, "InternalServerException", &error.render().message);
    if let Ok(id) = header::HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn refuse(error: &NativeError, errors: NativeErrors, context: &mut RequestContext) -> HttpResponse {
    let mut response = match error {
        NativeError::Upstream(Failure::Service(error)) => passed_on(error, errors),
        NativeError::AtStart { begun: _, error } => passed_on(error, errors),
        NativeError::Upstream(failure @ Failure::Credentials(_)) => {
            let (status, exception) = exception_of(failure);
            let mut response = ours(status, exception, NO_CREDENTIALS);
            // For Anthropic's SDKs: the operator must act first.
            response.headers_mut().insert(SHOULD_RETRY, header::HeaderValue::from_static("false"));
            response
        }
        NativeError::Upstream(failure) => {
            let (status, exception) = exception_of(failure);
            ours(status, exception, "The gateway could not get an answer from Bedrock.")
        }
        NativeError::Path(PathError::Unknown) => {
            ours(404, "UnknownOperationException", &error.to_string())
        }
        NativeError::Path(PathError::Malformed) => {
            ours(400, "ValidationException", &error.to_string())
        }
        NativeError::Bidirectional => ours(501, "UnknownOperationException", &error.to_string()),
        NativeError::S3(S3Error::NotListed)
        | NativeError::Guardrail(
            GuardrailError::Other | GuardrailError::Weakened(_) | GuardrailError::Around,
        ) => ours(403, "AccessDeniedException", &error.to_string()),
        NativeError::S3(S3Error::Unreadable)
        | NativeError::Guardrail(GuardrailError::Unreadable) => {
            ours(400, "ValidationException", &error.to_string())
        }
        NativeError::Gateway(error) => {
            let rendered = error.render();
            let exception = match (error, rendered.status) {
                (GatewayError::NotListed { .. }, _) => "ResourceNotFoundException",
                (_, 401) => "UnrecognizedClientException",
                (_, 403) => "AccessDeniedException",
                (_, 500) => "InternalServerException",
                _ => "ValidationException",
            };
            let response = ours(rendered.status, exception, &rendered.message);
            match error {
                GatewayError::Body(unread) => unread.close_after(response),
                _ => response,
            }
        }
    };
    if response.status().is_server_error() {
        log::warn!("{} native: {error}", context.id());
    }
    if !response.headers().contains_key(REQUEST_ID)
        && let Ok(id) = header::HeaderValue::from_str(context.id())
    {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    context.mark_refusal(response.headers_mut());
    context.refused_with(response.status().as_u16());
    response
}

/// What is answered where the process ends before there is an answer.
pub(crate) fn stopping(id: &RequestId) -> HttpResponse {
    let mut response = ours(503, "ServiceUnavailableException", STOPPING);
    response.headers_mut().insert(REQUEST_ID, id.0.clone());
    response
}

/// Whether a path is of the native API, as far as it tells by itself.
pub(crate) fn is_below(path: &str) -> bool {
    let rest = path.strip_prefix(MOUNT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || path.starts_with("/model/")
}

/// An error of AWS's, as much of it as callers are to see.
fn passed_on(error: &ServiceError, errors: NativeErrors) -> HttpResponse {
    let body = match errors {
        NativeErrors::Masked => masked(&error.body),
        NativeErrors::Raw => error.body.clone(),
    };
    builder(error.status, &error.headers).body(body)
}

/// An error of the gateway's, in AWS's shape.
fn ours(status: u16, exception: &'static str, message: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    HttpResponseBuilder::new(status)
        .insert_header((ERROR_TYPE, exception))
        .insert_header((CONTENT_TYPE, "application/json"))
        .body(serde_json::json!({ "message": message }).to_string())
}

/// The exception that SDKs know for a failure on the way.
fn exception_of(failure: &Failure) -> (u16, &'static str) {
    match failure {
        Failure::Timeout(_) => (408, "ModelTimeoutException"),
        Failure::Service(_)
        | Failure::Connect(_)
        | Failure::Tls(_)
        | Failure::Closed(_)
        | Failure::Truncated(_)
        | Failure::Frame(_)
        | Failure::Credentials(_)
        | Failure::Protocol(_) => (503, "ServiceUnavailableException"),
        Failure::Request(_) => (400, "ValidationException"),
    }
}
