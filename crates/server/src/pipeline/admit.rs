//! Steps 3 to 6 as far as they need permission: names, media and connections of an admitted request.

use std::sync::Arc;

use access::{Admission, Principal};
use actix_web::web::Data;
use bedrock::{Account, Sdk, Transport};
use routing::{Route, Tags, Target};

use crate::error::GatewayError;
use crate::media::{Fetched, Links};
use crate::offload::Offload;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::{RequestContext, Settlement};
use crate::request::options::RequestOptions;
use crate::state::{Snapshot, Worker};

/// A request that may call Bedrock. Cheap to clone: calls of one request share the admission.
#[derive(Clone)]
pub(crate) struct Admitted {
    worker: Data<Worker>,
    now: Arc<Snapshot>,
    admission: Arc<Admission>,
    options: Arc<RequestOptions>,
    reasoning: ReasoningStore,
    settlement: Arc<Settlement>,
}

impl Admitted {
    pub(super) fn new(
        (worker, now): (Data<Worker>, Arc<Snapshot>),
        principal: Principal,
        (options, reasoning): (RequestOptions, ReasoningStore),
        context: &RequestContext,
    ) -> Result<Self, GatewayError> {
        let admission = Arc::new(access::admit(principal)?);
        let settlement = context.settlement();
        Ok(Self { worker, now, admission, options: Arc::new(options), reasoning, settlement })
    }

    /// The configuration of this request.
    pub(crate) fn now(&self) -> &Arc<Snapshot> {
        &self.now
    }

    /// The option headers.
    pub(crate) fn options(&self) -> &Arc<RequestOptions> {
        &self.options
    }

    /// The caller's part of the reasoning store.
    pub(crate) fn reasoning(&self) -> &ReasoningStore {
        &self.reasoning
    }

    /// The worker that serves the request.
    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Threads for work in proportion to a body's length.
    pub(crate) fn offload(&self) -> &Offload {
        &self.worker.shared.offload
    }

    /// Calls made beside those of the attempt log: guardrails.
    pub(crate) fn settlement(&self) -> &Arc<Settlement> {
        &self.settlement
    }

    /// The permission itself, for calls that outlive a step.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Resolves a name to targets that the principal may call.
    ///
    /// # Errors
    /// It may not be called, is not listed, or its region cannot be called.
    pub(crate) async fn resolve(&self, name: &str, tags: Tags) -> Result<Route, GatewayError> {
        Ok(self.now.names.resolve(&self.admission, name, tags).await?)
    }

    /// Fetches media that a request refers to.
    ///
    /// # Errors
    /// The first URL that did not become content.
    pub(crate) async fn fetch_media(&self, links: Links) -> Result<Arc<Fetched>, GatewayError> {
        let fetcher = &self.worker.shared.fetcher;
        Ok(Arc::new(fetcher.fetch(links, &self.now.config.media).await?))
    }

    /// A connection for an attempt at a target, until the deadline of all attempts.
    pub(crate) fn transport(&self, target: &Target) -> Transport {
        self.worker.transport(&self.admission, &target.account).by(target.deadline)
    }

    /// A connection to an account, for operations that name no model.
    pub(crate) fn account_transport(&self, account: &Account) -> Transport {
        self.worker.transport(&self.admission, account)
    }

    /// The SDK's client for an account.
    pub(crate) fn sdk(&self, account: &Account) -> Sdk {
        self.worker.sdk(&self.admission, account)
    }
}
