//! Steps 3 to 6 as far as they need permission: names, media and connections of an admitted request.

use std::sync::Arc;

use access::policy::{CallRoute, RouteGroup};
use access::{Accounts, Admission, Caller, Principal, UnsupportedParams};
use actix_web::web::Data;
use bedrock::{Account, Sdk, Transport};
use routing::{Route, Tags, Target};
use translate::{S3Access, Unsupported};

use crate::error::{FileRefusal, GatewayError};
use crate::file_store::{FileStore, owner};
use crate::media::{Fetched, Links};
use crate::native::path::{MOUNT, below_mount, is_below};
use crate::native::s3::NativeS3;
use crate::offload::Offload;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::RequestContext;
use crate::request::options::RequestOptions;
use crate::request::parties::Parties;
use crate::request::settlement::Settlement;
use crate::state::{Snapshot, Worker};

/// Beginning of the paths of the front API.
const BASE: &str = "/v1";

/// A request that may call Bedrock. Cheap to clone: calls of one request share the admission.
#[derive(Clone)]
pub(crate) struct Admitted {
    worker: Data<Worker>,
    now: Arc<Snapshot>,
    admission: Arc<Admission>,
    options: Arc<RequestOptions>,
    sender: Arc<Sender>,
    reasoning: ReasoningStore,
    settlement: Arc<Settlement>,
}

/// The sender of a request, as far as its row tells.
#[derive(Debug, Default)]
pub(super) struct Sender {
    pub(super) parties: Parties,
    pub(super) ip: Option<String>,
}

impl Admitted {
    pub(super) fn new(
        (worker, now): (Data<Worker>, Arc<Snapshot>),
        (caller, sender): (Caller, Sender),
        (mut options, reasoning): (RequestOptions, ReasoningStore),
        context: &RequestContext,
    ) -> Result<Self, GatewayError> {
        let admission = Arc::new(access::admit(caller)?);
        if let Some(policy) = admission.unsupported_params() {
            options.keep_to(match policy {
                UnsupportedParams::Warn => Unsupported::Warn,
                UnsupportedParams::Drop => Unsupported::Drop,
                UnsupportedParams::Reject => Unsupported::Reject,
            });
        }
        let (settlement, options) = (context.settlement(), Arc::new(options));
        let sender = Arc::new(sender);
        Ok(Self { worker, now, admission, options, sender, reasoning, settlement })
    }

    /// Keys, limits and the ledger, if there are any.
    pub(super) fn accounts(&self) -> Option<&Accounts> {
        let accounts = self.worker.shared.accounts.as_deref();
        accounts.filter(|_| self.is_accounted())
    }

    /// Whether its calls are reserved and written down.
    pub(crate) fn is_accounted(&self) -> bool {
        let caller = &self.admission.caller().principal;
        self.worker.shared.accounts.is_some() && !matches!(caller, Principal::Anonymous)
    }

    /// The end user and the tags of the call.
    pub(super) fn parties(&self) -> &Parties {
        &self.sender.parties
    }

    /// The address of the sender.
    pub(super) fn ip(&self) -> Option<&str> {
        self.sender.ip.as_deref()
    }

    /// Tokens that an answer of unlimited length is taken to have, if the key says.
    pub(super) fn usual_output(&self) -> Option<u64> {
        self.admission.holder().and_then(|holder| holder.key.default_estimated_output_tokens)
    }

    /// The caller's files.
    ///
    /// # Errors
    /// The operator names no bucket.
    pub(crate) fn files(&self) -> Result<FileStore, GatewayError> {
        let bucket = self.worker.bucket(&self.now).ok_or(FileRefusal::NoBucket)?;
        Ok(FileStore::new(bucket, owner(self.admission.principal())))
    }

    /// Checks the route of a model call, by its path with and without `/v1`.
    ///
    /// # Errors
    /// The key does not grant it.
    pub(crate) fn check_route(&self, path: &str) -> Result<(), GatewayError> {
        let group = RouteGroup::Models;
        let check = |name: &str| self.admission.check_route(CallRoute { name, group });
        let other = match path.strip_prefix(BASE) {
            _ if is_below(path) => MOUNT.to_owned(),
            Some(rest) => rest.to_owned(),
            None => format!("{BASE}{path}"),
        };
        check(path).or_else(|denied| check(&other).map_err(|_| denied))?;
        Ok(())
    }

    /// Checks a native operation.
    ///
    /// # Errors
    /// The principal may not call it.
    pub(crate) fn check_operation(&self, operation: &str) -> Result<(), GatewayError> {
        Ok(self.admission.check_operation(operation)?)
    }

    /// Checks an operation that runs models which the path does not name.
    ///
    /// # Errors
    /// The principal may not call every model, and is not granted the operation by name.
    pub(crate) fn check_unseen_models(&self, operation: &str) -> Result<(), GatewayError> {
        Ok(self.admission.check_unseen_models(operation)?)
    }

    /// Checks a path of Bedrock's own API, which stands below the mount in lists of routes.
    ///
    /// # Errors
    /// The key's lists of passthrough routes do not grant it.
    pub(crate) fn check_passthrough(&self, path: &str) -> Result<(), GatewayError> {
        if self.admission.holder().is_none() {
            return Ok(());
        }
        Ok(self.admission.check_passthrough(&format!("{MOUNT}{}", below_mount(path)))?)
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

    /// The same, for work that outlives the request.
    pub(super) fn worker_data(&self) -> Data<Worker> {
        self.worker.clone()
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
        let name = self.admission.alias(name).unwrap_or(name);
        Ok(self.now.names.resolve(&self.admission, name, tags).await?)
    }

    /// Fetches media that a request refers to.
    ///
    /// # Errors
    /// The first URL that did not become content.
    pub(crate) async fn fetch_media(&self, links: Links) -> Result<Arc<Fetched>, GatewayError> {
        let fetcher = &self.worker.shared.fetcher;
        // As where the operator fetches none: the URLs stay, and are refused by the fields they stand in.
        let links = if self.admission.may_fetch_media() { links } else { Links::default() };
        let wait = self.settlement.waits();
        let mut fetched = fetcher.fetch(links, &self.now.config.media).await?;
        drop(wait);
        if let Some(prefixes) = self.admission.s3_prefixes() {
            fetched.stores = fetched.stores.within(prefixes);
        }
        Ok(Arc::new(fetched))
    }

    /// The objects in S3 that native bodies may name; none restricts nothing.
    pub(crate) fn native_s3(&self) -> Option<S3Access> {
        let config = &self.now.config;
        let listed = match config.native.s3 {
            NativeS3::Allow => None,
            NativeS3::Listed => Some(&config.media.s3_prefixes),
        };
        match (listed, self.admission.s3_prefixes()) {
            (listed, None) => listed.cloned(),
            (None, Some(prefixes)) => Some(S3Access::of_prefixes(prefixes)),
            (Some(listed), Some(prefixes)) => Some(listed.within(prefixes)),
        }
    }

    /// A connection for an attempt at a target, until the deadline of all attempts.
    pub(crate) fn transport(&self, target: &Target) -> Transport {
        self.settlement.sends();
        self.worker.transport(&self.admission, &target.account).by(target.deadline)
    }

    /// A connection to an account, for operations that name no model.
    pub(crate) fn account_transport(&self, account: &Account) -> Transport {
        self.settlement.sends();
        self.worker.transport(&self.admission, account)
    }

    /// The SDK's client for an account.
    pub(crate) fn sdk(&self, account: &Account) -> Sdk {
        self.settlement.sends();
        self.worker.sdk(&self.admission, account)
    }
}
