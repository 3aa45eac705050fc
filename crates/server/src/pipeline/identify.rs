//! Steps 1 and 2: the caller and its option headers, then the body.

use std::sync::Arc;

use access::Principal;
use actix_web::HttpRequest;
use actix_web::web::{Data, Payload};
use bytes::Bytes;

use super::Admitted;
use crate::body;
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
    principal: Principal,
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
        let principal = Principal::Anonymous;
        Ok(Self { http, worker, now: worker.now(), principal, options })
    }

    /// A request for a list, to which no option header applies.
    pub(crate) fn list(worker: &'r Data<Worker>, http: &'r HttpRequest) -> Self {
        let (principal, options) = (Principal::Anonymous, RequestOptions::default());
        Self { http, worker, now: worker.now(), principal, options }
    }

    /// The configuration of this request.
    pub(crate) fn now(&self) -> &Arc<Snapshot> {
        &self.now
    }

    /// Reads the body.
    ///
    /// # Errors
    /// It is too long, too slow, or broken off.
    pub(crate) async fn read(&self, payload: Payload) -> Result<Bytes, GatewayError> {
        Ok(body::read(self.http.headers(), payload, self.now.config.body).await?)
    }

    /// Admits the request for a model, or for an operation that names none. The access line names it.
    ///
    /// # Errors
    /// The principal may not call it.
    pub(crate) fn admit(
        self,
        model: Option<&str>,
        context: &mut RequestContext,
    ) -> Result<Admitted, GatewayError> {
        if let Some(model) = model {
            context.names_model(model);
        }
        let Self { http, worker, now, principal, options } = self;
        let reasoning = ReasoningStore::new(
            &worker.shared.memory,
            now.store.as_ref(),
            now.config.thinking_memory.limits(),
            http.headers(),
        );
        Admitted::new((worker.clone(), now), principal, (options, reasoning), context)
    }
}
