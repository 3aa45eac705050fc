//! A batch that this process works on: its lease, the requests in its caller's name, and the pace of its steps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::Principal;
use actix_web::HttpRequest;
use actix_web::web::Data;
use bedrock::Bucket;
use routing::{Tags, Target};
use tokio::time::sleep;

use super::caller::{self, LinePurpose};
use super::state::{BatchState, Lease, LineGroup};
use super::store::{BatchStore, KnownBatch};
use crate::error::GatewayError;
use crate::file_store::FileStore;
use crate::pipeline::{Admitted, Incoming};
use crate::request::context::RequestContext;
use crate::state::Worker;

/// Shortest lease.
const SHORTEST: Duration = Duration::from_secs(4);

/// The means of this process for all batches.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) worker: Data<Worker>,
    pub(super) store: BatchStore,
    /// Names the process in leases.
    pub(super) holder: String,
    pub(super) poll: Duration,
}

/// A batch whose lease this process has.
pub(super) struct HeldBatch {
    work: Work,
    known: KnownBatch,
}

/// Why a process stops to work on a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    /// Another process has the lease.
    #[error("another process has its lease")]
    Lost,
    /// A step failed and is to be tried again later.
    #[error("{0}")]
    Failed(#[from] GatewayError),
}

impl Work {
    pub(super) fn bucket(&self) -> &Bucket {
        &self.store.bucket
    }

    /// The files of a batch's caller.
    pub(super) fn files(&self, state: &BatchState) -> FileStore {
        self.store.files(state)
    }

    /// A request for the lines of a batch.
    pub(super) fn request(
        &self,
        state: &BatchState,
        principal: &Principal,
        purpose: LinePurpose,
    ) -> HttpRequest {
        caller::request((&self.worker, principal), state.endpoint.path(), purpose)
    }

    /// The permission for a batch's jobs, and the target of a group. It is the gateway's own: a job that was started
    /// is watched, stopped and settled whatever has become of its caller's key.
    pub(super) async fn operator(
        &self,
        group: &LineGroup,
    ) -> Result<(Admitted, Target), GatewayError> {
        let http = caller::request(
            (&self.worker, &Principal::Master),
            "/v1/batches",
            LinePurpose::Translate,
        );
        let mut context = RequestContext::begin(&http, "batches.job");
        let admitted = Incoming::list(&self.worker, &http).await?;
        let admitted = admitted.admit(Some(&group.name), &mut context).await?;
        let route = admitted.resolve(&group.name, Tags::default()).await?;
        let targets = route.targets().into_iter().map(|(target, _)| target);
        let of_group = |target: &Target| {
            target.model.model_id == group.model && target.account.region() == group.region
        };
        let found = targets.into_iter().find(of_group).or_else(|| route.first());
        let missing = || GatewayError::NotListed { name: group.name.clone(), near: Vec::new() };
        Ok((admitted, found.ok_or_else(missing)?))
    }

    /// A lease from now on.
    pub(super) fn lease(&self) -> Lease {
        let until = now_ms() + millis(self.lease_length());
        Lease { holder: self.holder.clone(), until }
    }

    fn lease_length(&self) -> Duration {
        (self.poll * 3).max(SHORTEST)
    }
}

impl HeldBatch {
    pub(super) fn new(work: Work, known: KnownBatch) -> Self {
        Self { work, known }
    }

    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn state(&self) -> &BatchState {
        &self.known.state
    }

    /// Changes the state and writes it, with the lease renewed. A cancellation that came meanwhile is kept.
    pub(super) async fn change(&mut self, change: impl Fn(&mut BatchState)) -> Result<(), Halt> {
        let (owner, id) = (self.known.state.caller.owner(), self.known.state.id.clone());
        loop {
            let mut next = self.known.clone();
            change(&mut next.state);
            next.state.lease = (!next.state.is_over()).then(|| self.work.lease());
            if self.work.store.save(&mut next).await? {
                self.known = next;
                return Ok(());
            }
            let found = self.work.store.read(&owner, &id).await?.ok_or(Halt::Lost)?;
            let is_ours = found.state.lease.as_ref();
            if is_ours.is_none_or(|lease| lease.holder != self.work.holder) {
                return Err(Halt::Lost);
            }
            self.known = found;
        }
    }

    /// Renews the lease.
    pub(super) async fn renew(&mut self) -> Result<(), Halt> {
        self.change(|_| {}).await
    }

    /// Does a step's work, and renews the lease meanwhile.
    pub(super) async fn during<T>(
        &mut self,
        step: impl Future<Output = Result<T, GatewayError>>,
    ) -> Result<T, Halt> {
        let mut step = std::pin::pin!(step);
        let pause = self.work.lease_length() / 3;
        loop {
            tokio::select! {
                done = &mut step => return Ok(done?),
                () = sleep(pause) => self.renew().await?,
            }
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
