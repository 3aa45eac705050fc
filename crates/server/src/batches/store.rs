//! Batches in the bucket: the state of each below its owner's folder, and a marker for each that is not over, which
//! every process finds.

use bedrock::{Bucket, WriteCondition};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::state::{BatchApi, BatchState, Lease, id_prefix};
use crate::error::{FileRefusal, GatewayError, KeptKind};
use crate::file_store::{FileStore, is_id};

/// Longest state, in bytes.
const STATE: usize = 4 * 1024 * 1024;
/// Most batches of a list.
const MOST: usize = 100_000;
/// Most batches that are open at a time.
const OPEN: usize = 10_000;
/// States that a list reads at a time.
const AT_ONCE: usize = 16;
/// Times that a change is tried again because others changed the state meanwhile.
const ATTEMPTS: usize = 5;

/// Batches in a bucket.
#[derive(Debug, Clone)]
pub(crate) struct BatchStore {
    pub(super) bucket: Bucket,
}

/// A state as it was read, for a conditional write.
#[derive(Debug, Clone)]
pub(crate) struct KnownBatch {
    pub(crate) state: BatchState,
    etag: String,
}

/// An open batch, by its marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenBatch {
    pub(super) owner: String,
    pub(super) id: String,
}

impl BatchStore {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self { bucket }
    }

    /// Keeps a new batch. The marker comes first: without a state it is removed again.
    pub(crate) async fn create(&self, state: &BatchState) -> Result<(), GatewayError> {
        let owner = state.caller.owner();
        let marker = marker(&owner, &state.id);
        let always = WriteCondition::Always;
        self.bucket.write(&marker, Bytes::new(), &always).await.map_err(FileRefusal::from)?;
        let (key, json) = (key(&owner, &state.id), json(state)?);
        let written = self.bucket.write(&key, json, &WriteCondition::Absent).await;
        written
            .map_err(FileRefusal::from)?
            .map(|_| ())
            .ok_or_else(|| GatewayError::Internal("a batch has the id of another".to_owned()))
    }

    /// A batch of an owner.
    ///
    /// # Errors
    /// There is none with this id.
    pub(crate) async fn find(
        &self,
        owner: &str,
        (api, id): (BatchApi, &str),
    ) -> Result<KnownBatch, GatewayError> {
        let missing = || GatewayError::NotKept(KeptKind::Batch, id.to_owned());
        if !is_id(id, id_prefix(api)) {
            return Err(missing());
        }
        self.read(owner, id).await?.ok_or_else(missing)
    }

    pub(super) async fn read(
        &self,
        owner: &str,
        id: &str,
    ) -> Result<Option<KnownBatch>, GatewayError> {
        let found = self.bucket.read(&key(owner, id), STATE).await.map_err(FileRefusal::from)?;
        let Some(found) = found else { return Ok(None) };
        let state = serde_json::from_slice(&found.body);
        let state =
            state.map_err(|error| GatewayError::Internal(format!("the state of {id}: {error}")))?;
        Ok(Some(KnownBatch { state, etag: found.etag }))
    }

    /// Ids of an owner's batches of an API, the latest first.
    pub(crate) async fn ids(
        &self,
        owner: &str,
        api: BatchApi,
    ) -> Result<Vec<String>, GatewayError> {
        let folder = format!("batches/state/{owner}/");
        let prefix = format!("{folder}{}", id_prefix(api));
        let keys = self.bucket.keys(&prefix, MOST).await.map_err(FileRefusal::from)?;
        let ids = keys.iter().filter_map(|key| key.strip_prefix(&folder)?.strip_suffix(".json"));
        Ok(ids.rev().map(ToOwned::to_owned).collect())
    }

    /// The states of an owner's batches, in the order of their ids. Those that were removed in the meantime are left out.
    pub(crate) async fn states(
        &self,
        owner: &str,
        ids: &[String],
    ) -> Result<Vec<BatchState>, GatewayError> {
        let found = stream::iter(ids).map(|id| self.read(owner, id)).buffered(AT_ONCE);
        found.try_filter_map(async |known| Ok(known.map(|known| known.state))).try_collect().await
    }

    /// The files of a batch's caller.
    pub(crate) fn files(&self, state: &BatchState) -> FileStore {
        FileStore::new(self.bucket.clone(), state.caller.owner())
    }

    /// Removes a batch that is over, with its files.
    pub(crate) async fn remove(&self, state: &BatchState) -> Result<(), GatewayError> {
        let files = self.files(state);
        for id in [&state.input_file_id, &state.output_id, &state.error_id] {
            files.remove(id).await?;
        }
        let removed = self.bucket.remove(&key(&state.caller.owner(), &state.id)).await;
        Ok(removed.map_err(FileRefusal::from)?)
    }

    /// Asks for the end of a batch, whichever process works on it.
    pub(crate) async fn cancel(&self, mut known: KnownBatch) -> Result<BatchState, GatewayError> {
        let (owner, id) = (known.state.caller.owner(), known.state.id.clone());
        for _ in 0..ATTEMPTS {
            known.state.cancel();
            if self.save(&mut known).await? {
                return Ok(known.state);
            }
            let missing = || GatewayError::NotKept(KeptKind::Batch, id.clone());
            known = self.read(&owner, &id).await?.ok_or_else(missing)?;
        }
        Err(GatewayError::MadeElsewhere)
    }

    /// Writes a state unless it was changed since it was read; returns whether it was written.
    pub(super) async fn save(&self, known: &mut KnownBatch) -> Result<bool, GatewayError> {
        let key = key(&known.state.caller.owner(), &known.state.id);
        let condition = WriteCondition::Matches(known.etag.clone());
        let written = self.bucket.write(&key, json(&known.state)?, &condition).await;
        match written.map_err(FileRefusal::from)? {
            Some(etag) => {
                known.etag = etag;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Takes the lease of a batch, if no living process has it.
    pub(super) async fn take(
        &self,
        open: &OpenBatch,
        lease: Lease,
        now: u64,
    ) -> Result<Option<KnownBatch>, GatewayError> {
        let Some(mut known) = self.read(&open.owner, &open.id).await? else { return Ok(None) };
        if known.state.is_over() {
            self.close(open).await?;
            return Ok(None);
        }
        let is_free = known.state.lease.as_ref().is_none_or(|held| held.until <= now);
        known.state.lease = Some(lease);
        Ok((is_free && self.save(&mut known).await?).then_some(known))
    }

    /// Every batch that is not over.
    pub(super) async fn open(&self) -> Result<Vec<OpenBatch>, GatewayError> {
        let keys = self.bucket.keys("batches/open/", OPEN).await.map_err(FileRefusal::from)?;
        let open = keys.iter().filter_map(|key| {
            let (owner, id) = key.strip_prefix("batches/open/")?.split_once('/')?;
            Some(OpenBatch { owner: owner.to_owned(), id: id.to_owned() })
        });
        Ok(open.collect())
    }

    /// Removes the marker of a batch that is over.
    pub(super) async fn close(&self, open: &OpenBatch) -> Result<(), GatewayError> {
        let removed = self.bucket.remove(&marker(&open.owner, &open.id)).await;
        Ok(removed.map_err(FileRefusal::from)?)
    }
}

fn key(owner: &str, id: &str) -> String {
    format!("batches/state/{owner}/{id}.json")
}

fn marker(owner: &str, id: &str) -> String {
    format!("batches/open/{owner}/{id}")
}

/// Folder of a batch's records, answers and results while it is under way.
pub(super) fn work_folder(id: &str) -> String {
    format!("batches/jobs/{id}/")
}

fn json(state: &BatchState) -> Result<Bytes, GatewayError> {
    let json = serde_json::to_vec(state);
    json.map(Bytes::from).map_err(|error| GatewayError::Internal(error.to_string()))
}
