//! Files of callers in a bucket of S3: the content under one key, a small record about it under another. A file is
//! its sender's alone; keys of objects begin with the sender's own folder. A file that expires has a marker besides, whose
//! key begins with the time, so that expired files are found without reading the records of all.

use std::time::{SystemTime, UNIX_EPOCH};

use access::Principal;
use bedrock::{Bucket, Upload, UpstreamResponse, WriteCondition, encode_segment};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{FileRefusal, GatewayError, KeptKind};

/// Beginning of the ids of files.
const PREFIX: &str = "file-";
/// Hexadecimal digits in the id of a file.
const DIGITS: usize = 32;
/// Longest record of a file, in bytes.
const RECORD: usize = 16 * 1024;
/// Most files of a caller that a list looks through.
const MOST: usize = 100_000;
/// Records that a list reads at a time.
const AT_ONCE: usize = 16;
/// Folder of the markers of files that expire.
const EXPIRING: &str = "files-expiring/";
/// Most markers that are looked at together.
const MARKERS: usize = 1000;

/// The files of one caller.
#[derive(Debug, Clone)]
pub(crate) struct FileStore {
    bucket: Bucket,
    owner: String,
}

/// A file as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    pub(crate) id: String,
    pub(crate) bytes: u64,
    /// Seconds since 1970.
    pub(crate) created_at: u64,
    pub(crate) filename: String,
    pub(crate) purpose: String,
    /// Seconds since 1970; a file is kept until it is deleted if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<u64>,
    /// The type that its sender declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
}

/// A page of a list of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePage {
    pub(crate) files: Vec<FileRecord>,
    pub(crate) has_more: bool,
}

/// The page that a caller asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileListAsk<'p> {
    pub(crate) after: Option<&'p str>,
    pub(crate) limit: usize,
    pub(crate) is_ascending: bool,
    pub(crate) purpose: Option<&'p str>,
}

/// The folder of a caller, which no other caller has.
pub(crate) fn owner(principal: &Principal) -> String {
    match principal {
        Principal::Master => "master".to_owned(),
        Principal::Viewer => "viewer".to_owned(),
        Principal::Anonymous => "anonymous".to_owned(),
        Principal::Key(holder) => {
            let mut folder = "key-".to_owned();
            encode_segment(&holder.key.id, &mut folder);
            folder
        }
    }
}

/// A new id that begins so. Ids sort by the time they were made.
pub(crate) fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::now_v7().simple())
}

/// Whether a text can be an id that begins so: no other may become part of a key.
pub(crate) fn is_id(text: &str, prefix: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(prefix)
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(is_digit))
}

/// Whether a text can be the id of a file.
pub(crate) fn is_file_id(text: &str) -> bool {
    is_id(text, PREFIX)
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Removes the files of all callers whose time is over, up to [`MARKERS`] of them; returns how many. Other processes may do
/// the same: what is gone already stays so.
///
/// # Errors
/// The bucket fails; what is left is removed the next time.
pub(crate) async fn remove_expired(bucket: &Bucket) -> Result<usize, GatewayError> {
    let (now, mut removed) = (unix_now(), 0);
    // In the order of their times, because keys are listed in the order of their text.
    for marker in bucket.keys(EXPIRING, MARKERS).await.map_err(FileRefusal::from)? {
        let Some((at, owner, id)) = expiring_file(&marker) else {
            log::warn!("{marker} is no marker of a file and is left");
            continue;
        };
        if at > now {
            break;
        }
        FileStore::new(bucket.clone(), owner.to_owned()).remove(id).await?;
        bucket.remove(&marker).await.map_err(FileRefusal::from)?;
        removed += 1;
    }
    Ok(removed)
}

/// The key of a marker. Ten digits reach to the year 2286, so that the order of the text is that of the times.
fn expiring_marker(at: u64, owner: &str, id: &str) -> String {
    format!("{EXPIRING}{at:010}/{owner}/{id}")
}

/// Time, owner and id in the key of a marker.
fn expiring_file(marker: &str) -> Option<(u64, &str, &str)> {
    let (at, file) = marker.strip_prefix(EXPIRING)?.split_once('/')?;
    let (owner, id) = file.split_once('/')?;
    let is_file = !owner.is_empty() && is_file_id(id);
    is_file.then_some((at.parse().ok()?, owner, id))
}

impl FileRecord {
    /// A record of a file that was just made.
    pub(crate) fn new(filename: String, purpose: String) -> Self {
        Self {
            id: new_id(PREFIX),
            bytes: 0,
            created_at: unix_now(),
            filename,
            purpose,
            expires_at: None,
            content_type: None,
        }
    }

    fn is_over(&self) -> bool {
        self.expires_at.is_some_and(|at| at <= unix_now())
    }
}

impl FileStore {
    pub(crate) fn new(bucket: Bucket, owner: String) -> Self {
        Self { bucket, owner }
    }

    /// Begins to write the content of a file. It exists once [`Self::keep`] has kept its record.
    pub(crate) fn upload(&self, id: &str) -> Upload {
        self.bucket.upload(&self.content(id))
    }

    /// Keeps the record of a file whose content is written. The marker of its end comes first: no file that expires is
    /// without one.
    pub(crate) async fn keep(&self, record: &FileRecord) -> Result<(), GatewayError> {
        if let Some(at) = record.expires_at {
            let marker = expiring_marker(at, &self.owner, &record.id);
            let written = self.bucket.write(&marker, Bytes::new(), &WriteCondition::Always).await;
            written.map_err(FileRefusal::from)?;
        }
        let json = serde_json::to_vec(record);
        let json = json.map_err(|error| GatewayError::Internal(error.to_string()))?;
        let always = WriteCondition::Always;
        let kept = self.bucket.write(&self.record(&record.id), json.into(), &always).await;
        kept.map_err(FileRefusal::from)?;
        Ok(())
    }

    /// The record of a file. One that has expired is removed.
    ///
    /// # Errors
    /// The caller has no such file.
    pub(crate) async fn find(&self, id: &str) -> Result<FileRecord, GatewayError> {
        let missing = || GatewayError::NotKept(KeptKind::File, id.to_owned());
        if !is_id(id, PREFIX) {
            return Err(missing());
        }
        let record = self.read(id).await?.ok_or_else(missing)?;
        if record.is_over() {
            self.remove(id).await?;
            return Err(missing());
        }
        Ok(record)
    }

    /// Begins to read the content of a file, or some bytes of it.
    ///
    /// # Errors
    /// The caller has no such file, or the range is not within it.
    pub(crate) async fn open(
        &self,
        id: &str,
        range: Option<&HeaderValue>,
    ) -> Result<UpstreamResponse, GatewayError> {
        let opened = self.bucket.open(&self.content(id), range).await.map_err(FileRefusal::from)?;
        opened.ok_or_else(|| GatewayError::NotKept(KeptKind::File, id.to_owned()))
    }

    /// Removes a file: its record first, so that no record is without content.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), GatewayError> {
        self.bucket.remove(&self.record(id)).await.map_err(FileRefusal::from)?;
        Ok(self.bucket.remove(&self.content(id)).await.map_err(FileRefusal::from)?)
    }

    /// Lists files.
    ///
    /// # Errors
    /// The caller has no file with the id that the page follows.
    pub(crate) async fn list(&self, ask: FileListAsk<'_>) -> Result<FilePage, GatewayError> {
        let folder = format!("{}/records/", self.folder());
        let keys = self.bucket.keys(&folder, MOST).await.map_err(FileRefusal::from)?;
        let ids = keys.iter().filter_map(|key| key.strip_prefix(&folder)?.strip_suffix(".json"));
        let mut ids: Vec<&str> = ids.collect();
        if !ask.is_ascending {
            ids.reverse();
        }
        if let Some(after) = ask.after {
            let at = ids.iter().position(|id| *id == after);
            let at = at.ok_or_else(|| GatewayError::NotKept(KeptKind::File, after.to_owned()))?;
            ids.drain(..=at);
        }
        let records = stream::iter(ids).map(|id| self.read(id)).buffered(AT_ONCE);
        let records = records.try_filter_map(async |record| {
            Ok(record.filter(|record| {
                !record.is_over() && ask.purpose.is_none_or(|purpose| record.purpose == purpose)
            }))
        });
        let mut files: Vec<FileRecord> = records.take(ask.limit + 1).try_collect().await?;
        let has_more = files.len() > ask.limit;
        files.truncate(ask.limit);
        Ok(FilePage { files, has_more })
    }

    async fn read(&self, id: &str) -> Result<Option<FileRecord>, FileRefusal> {
        let found = self.bucket.read(&self.record(id), RECORD).await?;
        Ok(found.and_then(|found| {
            let read = serde_json::from_slice(&found.body);
            read.inspect_err(|error| log::warn!("the record of {id} cannot be read: {error}")).ok()
        }))
    }

    fn folder(&self) -> String {
        format!("files/{}", self.owner)
    }

    fn content(&self, id: &str) -> String {
        format!("{}/content/{id}", self.folder())
    }

    fn record(&self, id: &str) -> String {
        format!("{}/records/{id}.json", self.folder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_made_here_become_keys() {
        let id = new_id(PREFIX);
        assert!(is_id(&id, PREFIX), "{id}");
        for text in ["file-", "file-../../x", "", &id[5..], &id.to_uppercase(), &format!("{id}0")] {
            assert!(!is_id(text, PREFIX), "{text}");
        }
    }

    #[test]
    fn markers_sort_by_time_and_name_their_file() {
        let id = new_id(PREFIX);
        let (early, late) =
            (expiring_marker(999_999_999, "b", &id), expiring_marker(1_000_000_000, "a", &id));
        assert!(early < late);
        assert_eq!(expiring_file(&early), Some((999_999_999, "b", &*id)));
        let foreign = ["files-expiring/1/x", "files-expiring/soon/a/file-1", "files/a/records/x"];
        for key in foreign {
            assert_eq!(expiring_file(key), None, "{key}");
        }
        for key in [format!("{EXPIRING}1//{id}"), format!("{EXPIRING}1/a/b/{id}")] {
            assert_eq!(expiring_file(&key), None, "{key}");
        }
    }
}
