//! Resolves a name to its targets and calls one of them at Bedrock. A `Dispatch` selects targets, classifies
//! failures and retries; `send` makes one attempt at one target. A model that is served only through an
//! inference profile is called again through that profile, and directly through it from then on.

use access::Denied;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use translate::errors::{Condition, Notes};
use translate::profile::{SurfaceEndpoint, SurfaceHost};

use bedrock::{
    Call, Failure, InvalidModelId, Kind, Service, ServiceError, Transport, UpstreamResponse,
    model_path, unsigned,
};

mod accounts;
mod backoff;
mod balance;
pub mod catalogue;
mod classify;
mod clock;
mod count;
mod dispatch;
mod group;
mod health;
mod hedging;
mod pattern;
mod resolver;
mod retry_budget;
mod rolling_window;
mod series;
mod settings;
pub mod suggestions;
mod surface_path;
mod tags;
mod target;
mod weighted;

pub use balance::{Tokens, Written};
pub use classify::{Classify, FailureClass, FallbackReason, of_service};
pub use clock::Timestamp;
pub use count::{Count, count};
pub use dispatch::{
    Attempt, AttemptCode, AttemptLog, AttemptOutcome, CallPurpose, CallSpec, Continuation,
    Dispatch, DispatchError, Dispatched, FallbackScope, HedgeResult, RetryReason,
};
pub use health::{Gauges, HealthState, InFlight, InFlightTemplate, Quota, QuotaLeft};
pub use resolver::OpenError;
pub use resolver::{Resolver, Route};
pub use series::{OTHER, TargetSeries, TargetState};
pub use settings::{
    Affinity, AskedGuardrail, Balance, Cooldown, Fallbacks, GUARDRAIL_ID, GUARDRAIL_VERSION,
    GroupSettings, Guardrail, GuardrailChoice, GuardrailMode, Hedge, HedgeDelay, ModelSettings,
    Retries, Strategy, TagFilter, TargetSettings, Thousandths, Unlisted, Weight,
};
pub use tags::Tags;
pub use target::Target;

/// Names the session of a call to an agent, which is a part of its path; it is not sent as a header.
pub const SESSION: HeaderName = HeaderName::from_static("x-outcrop-session");

/// Bedrock operation that a call uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A complete response.
    Converse,
    /// A streamed response.
    ConverseStream,
    /// A complete response in the provider's own body format.
    Invoke,
    /// A streamed response in the provider's own body format.
    InvokeStream,
    /// A complete response in the API of another surface, whose body names the model.
    Surface(SurfaceEndpoint),
    /// A streamed response in the API of another surface, as server-sent events.
    SurfaceStream(SurfaceEndpoint),
}

/// A call to make, the same for every id that a target may be called by.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The operation.
    pub operation: Operation,
    /// Headers besides those of every call. Those of InvokeModel for a guardrail take precedence over the
    /// target's.
    pub headers: HeaderMap,
    /// The JSON body.
    pub body: Bytes,
}

impl Outgoing {
    /// A call without headers of its own.
    pub fn new(operation: Operation, body: Bytes) -> Self {
        Self { operation, headers: HeaderMap::new(), body }
    }
}

impl Operation {
    fn service(self) -> Service {
        match self {
            Self::Converse | Self::ConverseStream | Self::Invoke | Self::InvokeStream => {
                Service::Runtime
            }
            Self::Surface(endpoint) | Self::SurfaceStream(endpoint) => match endpoint.host {
                SurfaceHost::Runtime => Service::Runtime,
                SurfaceHost::Mantle => Service::Mantle,
                SurfaceHost::AgentRuntime => Service::AgentRuntime,
            },
        }
    }

    fn path(self, model_id: &str, session: &str) -> Result<String, InvalidModelId> {
        let operation = match self {
            Self::Converse => "converse",
            Self::ConverseStream => "converse-stream",
            Self::Invoke => "invoke",
            Self::InvokeStream => "invoke-with-response-stream",
            Self::Surface(endpoint) | Self::SurfaceStream(endpoint) => {
                return Ok(surface_path::of(endpoint, model_id, session));
            }
        };
        model_path(model_id, operation)
    }

    /// The address on another surface than Converse.
    pub fn surface(self) -> Option<SurfaceEndpoint> {
        match self {
            Self::Converse | Self::ConverseStream | Self::Invoke | Self::InvokeStream => None,
            Self::Surface(endpoint) | Self::SurfaceStream(endpoint) => Some(endpoint),
        }
    }

    /// The form of the response: unary or stream.
    pub fn kind(self) -> Kind {
        match self {
            Self::Converse | Self::Invoke | Self::Surface(_) => Kind::Unary,
            Self::ConverseStream | Self::InvokeStream | Self::SurfaceStream(_) => Kind::Stream,
        }
    }

    fn accept(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Surface(endpoint) | Self::SurfaceStream(endpoint) if endpoint.api.is_framed() => {
                "application/vnd.amazon.eventstream"
            }
            Self::Converse | Self::Invoke | Self::Surface(_) => "application/json",
            Self::ConverseStream | Self::InvokeStream => "application/vnd.amazon.eventstream",
            Self::SurfaceStream(_) => "text/event-stream",
        })
    }
}

/// Reasons for which a target did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The model id cannot be part of a URL.
    #[error(transparent)]
    Model(#[from] InvalidModelId),
    /// Bedrock, or the connection to it, failed.
    #[error(transparent)]
    Upstream(#[from] Failure),
    /// Bedrock refused; the notes about the model help to explain the refusal.
    #[error("{error}")]
    Refused {
        /// The service's refusal.
        error: Box<ServiceError>,
        /// Facts that explain it.
        notes: Box<Notes>,
    },
    /// The name asks for a region that cannot be called.
    #[error("{asked} is asked for: {why}")]
    Elsewhere {
        /// The region as the name spells it.
        asked: String,
        /// The reason, for people.
        why: String,
    },
    /// The principal may not call it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Only listed names are served, and this name is not listed.
    #[error("{name:?} is not listed")]
    NotListed {
        /// The name as the caller wrote it.
        name: String,
        /// Listed names that are spelled alike.
        near: Vec<String>,
    },
    /// No target of the name has the tags that a request asks for.
    #[error("no target of {name:?} has the tags {tags}")]
    NotTagged {
        /// The name as the caller wrote it.
        name: String,
        /// The tags that were asked for.
        tags: String,
    },
    /// Requests may not choose targets by tags of their own.
    #[error("tags in the body are refused")]
    TagsRefused,
}

/// Sends a call to one target and waits for the response headers. Converse carries its guardrail in the body;
/// InvokeModel carries it in headers, which are set here.
pub async fn send(
    transport: &Transport,
    target: &Target,
    outgoing: Outgoing,
) -> Result<UpstreamResponse, RouteError> {
    let model = &target.model;
    let headers = headers(&outgoing, target.guardrail.as_deref())?;
    let Outgoing { operation, headers: _, body } = outgoing;
    let attempt = |id: String, body| attempt(transport, id, operation, headers.clone(), body);
    let refusal = match attempt(model.sent_id().to_owned(), body.clone()).await {
        Err(RouteError::Upstream(Failure::Service(error))) => error,
        other => return other,
    };
    if condition(&refusal) == Some(Condition::ProfileOnly)
        && operation.surface().is_none()
        && let Some(detour) = model.detour()
    {
        match attempt(detour.clone(), body).await {
            // If the guessed profile does not exist either, the first refusal says more.
            Err(RouteError::Upstream(Failure::Service(second)))
                if condition(&second) == Some(Condition::UnknownModel) => {}
            Err(RouteError::Upstream(Failure::Service(second))) => {
                return Err(refused(second, target));
            }
            Err(other) => return Err(other),
            Ok(answer) => {
                log::info!(
                    "{:?} is served through {detour:?} and is called through it from now on",
                    model.model_id
                );
                model.remember(&detour);
                return Ok(answer);
            }
        }
    }
    Err(refused(refusal, target))
}

/// Builds the first request that `send` would make, without credentials.
pub fn outline(target: &Target, outgoing: Outgoing) -> Result<Request<Bytes>, RouteError> {
    let headers = headers(&outgoing, target.guardrail.as_deref())?;
    let Outgoing { operation, headers: _, body } = outgoing;
    let call = call(target.model.sent_id(), operation, headers, body)?;
    Ok(unsigned(&target.account, &call)?)
}

fn headers(
    Outgoing { operation, headers, body: _ }: &Outgoing,
    guardrail: Option<&Guardrail>,
) -> Result<HeaderMap, RouteError> {
    let mut headers = headers.clone();
    let has_guardrail = headers.contains_key(GUARDRAIL_ID);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, operation.accept());
    match (operation, guardrail.filter(|_| !has_guardrail)) {
        // Around a call on another surface: its guardrail is a call of its own.
        (
            Operation::Converse
            | Operation::ConverseStream
            | Operation::Surface(_)
            | Operation::SurfaceStream(_),
            _,
        )
        | (Operation::Invoke | Operation::InvokeStream, None) => {}
        (Operation::Invoke | Operation::InvokeStream, Some(guardrail)) => {
            for (name, value) in guardrail.headers() {
                let value = HeaderValue::from_str(value)
                    .map_err(|error| Failure::Request(error.to_string()))?;
                headers.insert(name, value);
            }
        }
    }
    Ok(headers)
}

async fn attempt(
    transport: &Transport,
    model_id: String,
    operation: Operation,
    headers: HeaderMap,
    body: Bytes,
) -> Result<UpstreamResponse, RouteError> {
    Ok(transport.send(call(&model_id, operation, headers, body)?).await?)
}

fn call(
    model_id: &str,
    operation: Operation,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<Call, InvalidModelId> {
    let session = headers.remove(SESSION);
    let session = session.as_ref().and_then(|session| session.to_str().ok()).unwrap_or_default();
    Ok(Call {
        service: operation.service(),
        method: Method::POST,
        path: operation.path(model_id, session)?,
        query: None,
        headers,
        body,
        kind: operation.kind(),
    })
}

impl RouteError {
    /// An error for an unlisted name, without suggestions.
    fn not_listed(name: &str) -> Self {
        Self::NotListed { name: name.to_owned(), near: Vec::new() }
    }
}

impl Classify for RouteError {
    fn class(&self, kind: Kind) -> FailureClass {
        match self {
            Self::Upstream(failure) => failure.class(kind),
            Self::Refused { error, notes: _ } => of_service(error, kind),
            Self::Model(_)
            | Self::Elsewhere { .. }
            | Self::Denied(_)
            | Self::NotListed { .. }
            | Self::NotTagged { .. }
            | Self::TagsRefused => FailureClass::FINAL,
        }
    }

    fn attempt_code(&self) -> AttemptCode {
        match self {
            Self::Upstream(failure) => failure.attempt_code(),
            Self::Refused { error, notes: _ } => AttemptCode::Status(error.status),
            Self::Model(_)
            | Self::Elsewhere { .. }
            | Self::Denied(_)
            | Self::NotListed { .. }
            | Self::NotTagged { .. }
            | Self::TagsRefused => AttemptCode::Gateway,
        }
    }

    fn is_answer(&self) -> bool {
        match self {
            Self::Upstream(failure) => failure.is_answer(),
            Self::Refused { .. } => true,
            Self::Model(_)
            | Self::Elsewhere { .. }
            | Self::Denied(_)
            | Self::NotListed { .. }
            | Self::NotTagged { .. }
            | Self::TagsRefused => false,
        }
    }
}

fn condition(error: &ServiceError) -> Option<Condition> {
    Condition::of(error.status, &error.message)
}

/// Adds the notes about the model to a refusal that concerns the model.
fn refused(error: Box<ServiceError>, target: &Target) -> RouteError {
    match condition(&error) {
        Some(_) => RouteError::Refused { error, notes: Box::new(target.notes()) },
        None => Failure::Service(error).into(),
    }
}
