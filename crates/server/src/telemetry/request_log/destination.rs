//! Where the request log goes: a file that grows, or objects in S3, one a minute or when enough has gathered.

use std::path::PathBuf;
use std::time::Duration;

use bedrock::{Bucket, Transport, WriteCondition};
use bytes::Bytes;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;
use uuid::Uuid;

use access::Clock;

/// Bytes of an object that is written before its minute is over.
const OBJECT: usize = 8 * 1024 * 1024;
/// The time in which an object gathers.
const MINUTE: Duration = Duration::from_secs(60);

/// The place of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Lines are appended to a file.
    File(PathBuf),
    /// Lines are objects in S3.
    S3(Box<S3Place>),
}

/// A bucket, the beginning of the keys in it, and the lines that gather.
#[derive(Debug, Clone)]
pub(crate) struct S3Place {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    opened: Option<Bucket>,
    lines: String,
    count: u64,
    since: Option<Instant>,
}

impl PartialEq for S3Place {
    fn eq(&self, other: &Self) -> bool {
        (&self.bucket, &self.prefix) == (&other.bucket, &other.prefix)
    }
}

impl Eq for S3Place {}

impl S3Place {
    /// A place that `s3://BUCKET/PREFIX` names.
    pub(crate) fn parse(address: &str) -> Option<Self> {
        let rest = address.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = (!bucket.is_empty()).then(|| bucket.to_owned())?;
        let prefix = match prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Some(Self { bucket, prefix, opened: None, lines: String::new(), count: 0, since: None })
    }

    /// The address that it was read from.
    pub(crate) fn address(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

impl Destination {
    /// The destination with an account's transport, if it needs one.
    pub(crate) fn opened(mut self, transport: impl FnOnce() -> Transport) -> Self {
        if let Self::S3(place) = &mut self {
            place.opened = Some(Bucket::new(transport(), &place.bucket, &place.prefix));
        }
        self
    }

    /// The time until what has gathered must be put away; absent where nothing has.
    pub(super) fn next_write(&self) -> Option<Duration> {
        match self {
            Self::File(_) => None,
            Self::S3(place) => place.since.map(|since| MINUTE.saturating_sub(since.elapsed())),
        }
    }

    /// Records that have gathered.
    pub(super) fn waiting(&self) -> u64 {
        match self {
            Self::File(_) => 0,
            Self::S3(place) => place.count,
        }
    }

    /// Takes the lines of some records; returns how many were written for good.
    ///
    /// # Errors
    /// They are lost.
    pub(super) async fn write(&mut self, lines: String, count: u64) -> Result<u64, String> {
        match self {
            Self::File(path) => {
                // Opened anew, so that a file that was moved away by a rotation is left alone.
                let mut options = OpenOptions::new();
                let open = options.append(true).create(true).mode(0o600).open(&*path);
                let mut file =
                    open.await.map_err(|error| format!("{}: {error}", path.display()))?;
                let written = async {
                    file.write_all(lines.as_bytes()).await?;
                    file.flush().await
                };
                written.await.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(count)
            }
            Self::S3(place) => {
                place.lines.push_str(&lines);
                place.count += count;
                place.since.get_or_insert_with(Instant::now);
                if place.lines.len() >= OBJECT { self.put().await } else { Ok(0) }
            }
        }
    }

    /// Writes what has gathered; returns how many records that were.
    ///
    /// # Errors
    /// They are lost.
    pub(super) async fn put(&mut self) -> Result<u64, String> {
        let Self::S3(place) = self else { return Ok(0) };
        if place.count == 0 {
            return Ok(0);
        }
        let body = Bytes::from(std::mem::take(&mut place.lines));
        let count = std::mem::take(&mut place.count);
        place.since = None;
        let bucket = place.opened.as_ref().ok_or_else(|| "the bucket is not open".to_owned())?;
        let now = Clock::default().now().to_string();
        let (day, time) = now.split_once('T').unwrap_or((&now, ""));
        let time = time.split('.').next().unwrap_or_default().trim_end_matches('Z');
        let (day, time) = (day.replace('-', "/"), time.replace(':', ""));
        let key = format!("{day}/{time}-{}.jsonl", Uuid::now_v7().simple());
        match bucket.write(&key, body, &WriteCondition::Always).await {
            Ok(_) => Ok(count),
            Err(failure) => Err(format!("{}: {failure}", bucket.address(&key))),
        }
    }
}
