//! An upload in parts: bytes are taken as they come, and a part is sent when it is full. A short object is written
//! by one call at its end.

use bytes::{Bytes, BytesMut};
use http::Method;

use super::{ANSWER, Bucket, ObjectCall, WriteCondition, etag_of, malformed, xml};
use crate::error::Failure;

/// Bytes of a part; S3 accepts none below 5 MiB but the last, and 10,000 parts.
const PART: usize = 8 * 1024 * 1024;

/// An object that is being written. It exists when [`Upload::finish`] has returned; an upload that is not finished
/// should be ended by [`Upload::abort`], because S3 keeps its parts.
#[derive(Debug)]
pub struct Upload {
    bucket: Bucket,
    key: String,
    pending: BytesMut,
    /// Id of the upload and the entity tags of its parts, once a part was sent.
    begun: Option<(String, Vec<String>)>,
    size: u64,
}

impl Upload {
    pub(super) fn new(bucket: Bucket, key: &str) -> Self {
        let (key, pending) = (key.to_owned(), BytesMut::new());
        Self { bucket, key, pending, begun: None, size: 0 }
    }

    /// Bytes taken so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes bytes, and sends the parts that are full: whoever sends more waits.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn push(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        self.size += bytes.len() as u64;
        while self.pending.len() + bytes.len() >= PART {
            let (now, later) = bytes.split_at(PART - self.pending.len());
            self.pending.extend_from_slice(now);
            bytes = later;
            self.send_part().await?;
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the object and returns its size.
    ///
    /// # Errors
    /// [`Failure`]; the parts are removed.
    pub async fn finish(mut self) -> Result<u64, Failure> {
        let ended = self.end().await;
        if ended.is_err() {
            self.abort().await;
        }
        ended.map(|()| self.size)
    }

    /// Removes the parts that were sent. A failure is logged: a lifecycle rule of the bucket removes the rest.
    pub async fn abort(&mut self) {
        let Some((id, _)) = self.begun.take() else { return };
        let mut call = ObjectCall::new(Method::DELETE, &self.key);
        call.query = Some(format!("uploadId={}", encoded(&id)));
        if let Err(failure) = self.bucket.send(call).await {
            log::warn!("the parts of an upload that was not finished are left in S3: {failure}");
        }
    }

    async fn end(&mut self) -> Result<(), Failure> {
        if self.begun.is_none() {
            let body = self.pending.split().freeze();
            self.bucket.write(&self.key, body, &WriteCondition::Always).await?;
            return Ok(());
        }
        if !self.pending.is_empty() {
            self.send_part().await?;
        }
        let Some((id, etags)) = &self.begun else { return Ok(()) };
        let mut call = ObjectCall::new(Method::POST, &self.key);
        call.query = Some(format!("uploadId={}", encoded(id)));
        call.body = xml::parts(etags).into();
        let answer = self.bucket.send(call).await?.bytes(ANSWER).await?;
        // S3 answers 200 before it joins the parts, and may tell of a failure in the body.
        match xml::error(&answer) {
            Some((code, _)) => Err(malformed(&format!("a joined object, but {code}"))),
            None => {
                self.begun = None;
                Ok(())
            }
        }
    }

    async fn send_part(&mut self) -> Result<(), Failure> {
        let (id, number) = match &self.begun {
            Some((id, etags)) => (id.clone(), etags.len() + 1),
            None => {
                let mut call = ObjectCall::new(Method::POST, &self.key);
                call.query = Some("uploads=".to_owned());
                let answer = self.bucket.send(call).await?.bytes(ANSWER).await?;
                let id = xml::upload_id(&answer).ok_or_else(|| malformed("an upload's id"))?;
                self.begun = Some((id.clone(), Vec::new()));
                (id, 1)
            }
        };
        let body: Bytes = self.pending.split().freeze();
        let mut call = ObjectCall { body, ..ObjectCall::new(Method::PUT, &self.key) };
        call.query = Some(format!("partNumber={number}&uploadId={}", encoded(&id)));
        let answer = self.bucket.send(call).await?;
        let etag = etag_of(&answer.headers);
        answer.bytes(ANSWER).await?;
        if let Some((_, etags)) = &mut self.begun {
            etags.push(etag);
        }
        Ok(())
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    crate::endpoint::encode_segment(text, &mut encoded);
    encoded
}
