//! Steps 1 and 2: the caller and its option headers, then the body.

use std::sync::Arc;

use access::store::StoreError;
use access::{Accounts, Caller, Clock, Principal};
use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;
use translate::Invalid;

use super::admit::Sender;
use super::{Admitted, file_inputs};
use crate::body::{self, BodySource};
use crate::credential::{AuthRefusal, Identity, SignedParts};
use crate::error::GatewayError;
use crate::file_store::{FileStore, owner};
use crate::overload::Permit;
use crate::quoting;
use crate::reasoning_store::{PartLimits, ReasoningStore};
use crate::request::context::RequestContext;
use crate::request::options::{RequestOptions, RouteOptions};
use crate::request::parties::Parties;
use crate::request::socket_turn::SocketTurn;
use crate::state::{Snapshot, Worker};
use crate::telemetry::traces::RequestStep;
use routing::Tags;

/// A request whose headers were read.
pub(crate) struct Incoming<'r> {
    http: &'r HttpRequest,
    worker: &'r Data<Worker>,
    now: Arc<Snapshot>,
    identity: Identity,
    options: RequestOptions,
    parties: Parties,
    purpose: Purpose,
    /// Its place among the calls in flight; a list has none.
    permit: Option<Permit>,
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Purpose {
    /// It calls a model, or another operation of Bedrock's.
    Call,
    /// It reads a list.
    #[default]
    List,
}

impl<'r> Incoming<'r> {
    /// Reads the caller's identity and the option headers, and takes a place among the calls in flight. The
    /// request keeps the configuration that is in force now.
    ///
    /// # Errors
    /// There is no place; an option header that cannot be read, or a dry run of a route without dry runs.
    pub(crate) async fn identify(
        worker: &'r Data<Worker>,
        http: &'r HttpRequest,
        payload: Option<&mut Payload>,
        route: RouteOptions,
    ) -> Result<Self, GatewayError> {
        let (now, identity, purpose) = (worker.now(), identity(http), Purpose::Call);
        let key = identity.claimed().map(|holder| holder.key.id.as_str());
        let permit = match worker.shared.overload.admit(now.config.overload, key) {
            Ok(permit) => Some(permit),
            Err(shed) => {
                // A connection whose request is read may be used again.
                if let Some(payload) = payload {
                    body::skim_at_once(payload).await;
                }
                return Err(shed.into());
            }
        };
        let mut options = RequestOptions::read(http.headers(), route)?;
        if let Some(turn) = socket_turn(http) {
            options.mode = turn.mode;
        }
        let parties = Parties::of(http.headers(), &now.config.access.end_user_headers)?;
        Ok(Self { http, worker, now, identity, options, parties, purpose, permit })
    }

    /// A request for a list, to which no option header applies and which has no body.
    ///
    /// # Errors
    /// Its signature is not the signer's.
    pub(crate) async fn list(
        worker: &'r Data<Worker>,
        http: &'r HttpRequest,
    ) -> Result<Self, GatewayError> {
        let (options, parties, purpose) = Default::default();
        let (now, identity, permit) = (worker.now(), identity(http), None);
        let mut incoming = Self { http, worker, now, identity, options, parties, purpose, permit };
        incoming.verify(&Bytes::new()).await?;
        Ok(incoming)
    }

    /// A request about what is kept here, and its body; no option header applies to it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn with_body(
        worker: &'r Data<Worker>,
        http: &'r HttpRequest,
        payload: Payload,
        context: &RequestContext,
    ) -> Result<(Self, Bytes), GatewayError> {
        let (options, parties, purpose) = Default::default();
        let (now, identity, permit) = (worker.now(), identity(http), None);
        let mut incoming = Self { http, worker, now, identity, options, parties, purpose, permit };
        let body = incoming.read(payload, context).await?;
        Ok((incoming, body))
    }

    /// A line of a batch, which is translated and not dispatched. Its request was made here, so that it needs no place
    /// among the calls in flight.
    ///
    /// # Errors
    /// None of its headers is wrong: it has none of the caller's.
    pub(crate) fn of_line(
        worker: &'r Data<Worker>,
        http: &'r HttpRequest,
    ) -> Result<Self, GatewayError> {
        let (now, identity, permit) = (worker.now(), identity(http), None);
        let options = RequestOptions::read(http.headers(), RouteOptions::Model)?;
        let (parties, purpose) = (Parties::default(), Purpose::Call);
        Ok(Self { http, worker, now, identity, options, parties, purpose, permit })
    }

    /// The configuration of this request.
    pub(crate) fn now(&self) -> &Arc<Snapshot> {
        &self.now
    }

    /// The option headers.
    pub(crate) fn options(&self) -> &RequestOptions {
        &self.options
    }

    /// Reads the body, and verifies the signature of a signed request.
    ///
    /// # Errors
    /// It is too long, too slow, or broken off; or the signature is not the signer's.
    pub(crate) async fn read(
        &mut self,
        source: impl Into<BodySource>,
        context: &RequestContext,
    ) -> Result<Bytes, GatewayError> {
        context.step(RequestStep::Read);
        let settlement = context.settlement();
        let wait = settlement.waits();
        let body = match source.into() {
            BodySource::Payload(payload) => {
                body::read(self.http.headers(), payload, self.now.config.body).await?
            }
            BodySource::Message(body) => body,
        };
        drop(wait);
        context.step(RequestStep::Admit);
        self.verify(&body).await?;
        context.asked(&body, self.http.headers());
        Ok(body)
    }

    /// The body with the content of the caller's files that it names by their ids. Without a bucket it stays as it is.
    ///
    /// # Errors
    /// The caller has no such file, or they are too large.
    pub(crate) async fn with_files(&self, body: Bytes) -> Result<Bytes, GatewayError> {
        let Identity::Proven(principal) = &self.identity else { return Ok(body) };
        let Some(bucket) = self.worker.bucket(&self.now) else { return Ok(body) };
        let files = FileStore::new(bucket, owner(principal));
        let filled = file_inputs::filled(&body, &files, &self.now.config.media).await?;
        Ok(filled.unwrap_or(body))
    }

    /// Verifies the signature of a signed request that has no body.
    ///
    /// # Errors
    /// The signature is not the signer's.
    pub(crate) async fn has_no_body(&mut self) -> Result<(), GatewayError> {
        self.verify(&Bytes::new()).await
    }

    /// Adds the end user and the tags that the body names. Without accounts any id is as good as another.
    ///
    /// # Errors
    /// The id of the end user is too long, or has control characters.
    pub(crate) fn acts_for(
        &mut self,
        end_user: Option<String>,
        tags: &Tags,
    ) -> Result<(), GatewayError> {
        self.parties.add_tags(tags.iter());
        let named = self.parties.acts_for(end_user, "user");
        if self.worker.shared.accounts.is_some() {
            named?;
        }
        Ok(())
    }

    /// Admits the request for a model, or for an operation that names none. The access line names it.
    ///
    /// # Errors
    /// The principal may not call it.
    pub(crate) async fn admit(
        self,
        model: Option<&str>,
        context: &mut RequestContext,
    ) -> Result<Admitted, GatewayError> {
        if let Some(model) = model {
            context.names_model(model);
            if quoting::is_key(model) {
                let message = "The model is a key: send keys in the header authorization, and name a model here.";
                return Err(Invalid::value("model", message).into());
            }
        }
        let Self { http, worker, now, identity, options, mut parties, purpose, permit } = self;
        context.is_in_flight(permit);
        let Identity::Proven(principal) = identity else {
            return Err(GatewayError::Internal("a signature was not verified".to_owned()));
        };
        if purpose == Purpose::Call
            && matches!(principal, Principal::Master)
            && !now.config.admin.master_calls
        {
            return Err(AuthRefusal::MasterCalls.into());
        }
        context.is_of(principal.holder());
        parties.add_tags(options.tags.iter());
        let caller = match worker.shared.accounts.as_deref() {
            Some(accounts) if purpose == Purpose::Call => {
                caller(accounts, principal, &mut parties).await?
            }
            Some(_) | None => Caller::from(principal),
        };
        // Other methods read and change settings.
        let turn = socket_turn(http);
        let is_call = purpose == Purpose::Call && (http.method() == Method::POST || turn.is_some());
        if is_call && now.config.access.require_end_user {
            parties.require_end_user()?;
        }
        let account = worker.shared.accounts.clone();
        let account = account.map(|accounts| (accounts, caller.principal.clone()));
        let mut reasoning = ReasoningStore::new(
            &worker.shared.memory,
            now.store.as_ref(),
            PartLimits {
                reasoning: now.config.thinking_memory.limits(),
                responses: now.config.responses.limits(),
            },
            (http.headers(), account),
        );
        if let Some(turn) = turn {
            reasoning.is_of_connection(turn.kept);
        }
        let ip = http.peer_addr().map(|address| address.ip().to_string());
        let sender = Sender { parties, ip };
        let call = (worker.clone(), now);
        let admitted = Admitted::new(call, (caller, sender), (options, reasoning), context)?;
        if purpose == Purpose::Call {
            admitted.check_route(http.path())?;
        }
        Ok(admitted)
    }

    async fn verify(&mut self, body: &Bytes) -> Result<(), GatewayError> {
        let Identity::Signed(signed) = &self.identity else { return Ok(()) };
        let (signed, body, parts) = (signed.clone(), body.clone(), SignedParts::of(self.http));
        let now = Clock::default().now();
        let length = body.len();
        let verified = async move { signed.proven(&parts, &body, now) };
        let principal = self.worker.shared.offload.run(length, verified).await??;
        self.identity = Identity::Proven(principal);
        Ok(())
    }
}

/// The caller of a call: its principal with the end user and the tags, and what limits them.
async fn caller(
    accounts: &Accounts,
    principal: Principal,
    parties: &mut Parties,
) -> Result<Caller, GatewayError> {
    let mut caller = Caller::from(principal);
    if let Some(holder) = caller.principal.holder() {
        // A key may be for one end user alone.
        if let Some(pinned) = holder.key.end_user() {
            parties.end_user = Some(pinned.to_owned());
        }
        // Those of the key come first: the caller's own must not crowd them out.
        let own = std::mem::take(&mut parties.tags);
        let of_team = holder.team.iter().flat_map(|team| &team.tags).flatten();
        let of_key = holder.key.tags.iter().flatten();
        parties.add_tags(of_key.chain(of_team).chain(&own).map(String::as_str));
    }
    let away = |error: StoreError| AuthRefusal::Unavailable(error.to_string());
    if let Some(id) = &parties.end_user {
        caller.customer = Some(accounts.customer(id).await.map_err(away)?);
    }
    for name in &parties.tags {
        caller.tags.push(accounts.tag(name).await.map_err(away)?);
    }
    Ok(caller)
}

/// The message that the request came as, if it came over a WebSocket.
fn socket_turn(http: &HttpRequest) -> Option<SocketTurn> {
    http.extensions().get::<SocketTurn>().cloned()
}

/// The caller that was found for a request; anonymous where no keys are configured.
fn identity(http: &HttpRequest) -> Identity {
    let found = http.extensions().get::<Identity>().cloned();
    found.unwrap_or(Identity::Proven(Principal::Anonymous))
}
