//! Steps 1 and 2: the caller and its option headers, then the body.

use std::sync::Arc;

use access::{Clock, Principal};
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;

use super::Admitted;
use crate::body;
use crate::credential::{AuthRefusal, Identity, SignedParts};
use crate::error::GatewayError;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::RequestContext;
use crate::request::options::{RequestOptions, RouteOptions};
use crate::state::{Snapshot, Worker};

/// A request whose headers were read.
pub(crate) struct Incoming<'r> {
    http: &'r HttpRequest,
    worker: &'r Data<Worker>,
    now: Arc<Snapshot>,
    identity: Identity,
    options: RequestOptions,
}

impl<'r> Incoming<'r> {
    /// Reads the caller's identity and the option headers. The request keeps the configuration that is
    /// in force now.
    ///
    /// # Errors
    /// An option header that cannot be read, or a dry run of a route without dry runs.
    pub(crate) fn identify(
        worker: &'r Data<Worker>,
        http: &'r HttpRequest,
        route: RouteOptions,
    ) -> Result<Self, GatewayError> {
        let options = RequestOptions::read(http.headers(), route)?;
        Ok(Self { http, worker, now: worker.now(), identity: identity(http), options })
    }

    /// A request for a list, to which no option header applies and which has no body.
    ///
    /// # Errors
    /// Its signature is not the signer's.
    pub(crate) async fn list(
        worker: &'r Data<Worker>,
        http: &'r HttpRequest,
    ) -> Result<Self, GatewayError> {
        let options = RequestOptions::default();
        let mut incoming =
            Self { http, worker, now: worker.now(), identity: identity(http), options };
        incoming.verify(&Bytes::new()).await?;
        Ok(incoming)
    }

    /// The configuration of this request.
    pub(crate) fn now(&self) -> &Arc<Snapshot> {
        &self.now
    }

    /// Reads the body, and verifies the signature of a signed request.
    ///
    /// # Errors
    /// It is too long, too slow, or broken off; or the signature is not the signer's.
    pub(crate) async fn read(&mut self, payload: Payload) -> Result<Bytes, GatewayError> {
        let body = body::read(self.http.headers(), payload, self.now.config.body).await?;
        self.verify(&body).await?;
        Ok(body)
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
        }
        let Self { http, worker, now, identity, options } = self;
        let Identity::Proven(principal) = identity else {
            return Err(GatewayError::Internal("a signature was not verified".to_owned()));
        };
        if matches!(principal, Principal::Master) && !now.config.admin.master_calls {
            return Err(AuthRefusal::MasterCalls.into());
        }
        let reasoning = ReasoningStore::new(
            &worker.shared.memory,
            now.store.as_ref(),
            now.config.thinking_memory.limits(),
            http.headers(),
        );
        Admitted::new((worker.clone(), now), principal, (options, reasoning), context)
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

/// The caller that was found for a request; anonymous where no keys are configured.
fn identity(http: &HttpRequest) -> Identity {
    let found = http.extensions().get::<Identity>().cloned();
    found.unwrap_or(Identity::Proven(Principal::Anonymous))
}
