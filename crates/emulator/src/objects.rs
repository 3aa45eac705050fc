//! The objects of this region's S3: buckets of any name, objects in memory, uploads in parts.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::sigv4::hex;

/// Bytes that all objects and parts may have together.
const ROOM: usize = 1024 * 1024 * 1024;
/// Fewest bytes of a part besides the last.
const SMALLEST_PART: usize = 5 * 1024 * 1024;
/// Hexadecimal digits of an entity tag.
const TAG: usize = 32;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    /// Entity tag, in quotes.
    pub(crate) etag: String,
    pub(crate) content_type: String,
    /// Headers `x-amz-meta-*`.
    pub(crate) metadata: Vec<(String, String)>,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

/// A condition of a write, by its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match`.
    Matches(String),
}

/// Reasons why a write or an upload is refused, by S3's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    PreconditionFailed,
    NoSuchKey,
    NoSuchUpload,
    InvalidPart,
    InvalidPartOrder,
    EntityTooSmall,
    SlowDown,
}

/// An upload in parts.
#[derive(Debug)]
struct Upload {
    place: (String, String),
    content_type: String,
    metadata: Vec<(String, String)>,
    parts: BTreeMap<u32, (String, Bytes)>,
}

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<(String, String), Object>,
    uploads: HashMap<String, Upload>,
    bytes: usize,
}

/// All objects.
#[derive(Debug, Default)]
pub(crate) struct Objects(Mutex<Inner>);

impl Object {
    pub(crate) fn new(body: Bytes, content_type: &str, modified: i64) -> Self {
        let etag = tag(&body);
        let content_type = content_type.to_owned();
        Self { body, etag, content_type, metadata: Vec::new(), modified }
    }
}

impl Objects {
    pub(crate) fn find(&self, bucket: &str, key: &str) -> Option<Object> {
        self.lock().objects.get(&(bucket.to_owned(), key.to_owned())).cloned()
    }

    /// Writes an object if the condition holds.
    pub(crate) fn put(
        &self,
        (bucket, key): (&str, &str),
        object: Object,
        condition: &Condition,
    ) -> Result<(), Objection> {
        let mut inner = self.lock();
        let place = (bucket.to_owned(), key.to_owned());
        inner.holds(&place, condition)?;
        inner.place(place, object)
    }

    /// Removes an object; one that does not exist is removed too.
    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        let mut inner = self.lock();
        if let Some(gone) = inner.objects.remove(&(bucket.to_owned(), key.to_owned())) {
            inner.bytes -= gone.body.len();
        }
    }

    /// The objects of a bucket whose keys begin with `prefix` and come after `after`, in the order of their keys.
    pub(crate) fn list(&self, bucket: &str, prefix: &str, after: &str) -> Vec<(String, Object)> {
        let first = (bucket.to_owned(), prefix.max(after).to_owned());
        let inner = self.lock();
        let range = inner.objects.range((Bound::Included(first), Bound::Unbounded));
        range
            .take_while(|((own, key), _)| own == bucket && key.starts_with(prefix))
            .filter(|((_, key), _)| key.as_str() > after)
            .map(|((_, key), object)| (key.clone(), object.clone()))
            .collect()
    }

    /// Begins an upload in parts and returns its id.
    pub(crate) fn begin(
        &self,
        (bucket, key): (&str, &str),
        content_type: &str,
        metadata: Vec<(String, String)>,
    ) -> String {
        let id = Uuid::now_v7().simple().to_string();
        let upload = Upload {
            place: (bucket.to_owned(), key.to_owned()),
            content_type: content_type.to_owned(),
            metadata,
            parts: BTreeMap::new(),
        };
        self.lock().uploads.insert(id.clone(), upload);
        id
    }

    /// Keeps a part and returns its entity tag.
    pub(crate) fn part(&self, id: &str, number: u32, body: Bytes) -> Result<String, Objection> {
        let mut inner = self.lock();
        if inner.bytes + body.len() > ROOM {
            return Err(Objection::SlowDown);
        }
        let upload = inner.uploads.get_mut(id).ok_or(Objection::NoSuchUpload)?;
        let (etag, added) = (tag(&body), body.len());
        let before = upload.parts.insert(number, (etag.clone(), body));
        inner.bytes = inner.bytes + added - before.map_or(0, |(_, body)| body.len());
        Ok(etag)
    }

    /// Joins the parts that the client names, in its order, to an object, and returns its entity tag.
    pub(crate) fn complete(
        &self,
        id: &str,
        named: &[(u32, String)],
        (condition, now): (&Condition, i64),
    ) -> Result<String, Objection> {
        let mut inner = self.lock();
        let upload = inner.uploads.get(id).ok_or(Objection::NoSuchUpload)?;
        if named.is_empty() || !named.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(Objection::InvalidPartOrder);
        }
        let mut joined = Vec::new();
        for (at, (number, etag)) in named.iter().enumerate() {
            let part = upload.parts.get(number).filter(|(own, _)| trimmed(own) == trimmed(etag));
            let (_, body) = part.ok_or(Objection::InvalidPart)?;
            if at + 1 < named.len() && body.len() < SMALLEST_PART {
                return Err(Objection::EntityTooSmall);
            }
            joined.extend_from_slice(body);
        }
        let place = upload.place.clone();
        inner.holds(&place, condition)?;
        let Some(upload) = inner.uploads.remove(id) else { return Err(Objection::NoSuchUpload) };
        inner.bytes -= upload.size();
        let mut object = Object::new(joined.into(), &upload.content_type, now);
        object.etag = format!("{}-{}\"", object.etag.trim_end_matches('"'), named.len());
        object.metadata = upload.metadata;
        let etag = object.etag.clone();
        inner.place(place, object)?;
        Ok(etag)
    }

    /// Forgets an upload and its parts.
    pub(crate) fn abort(&self, id: &str) -> Result<(), Objection> {
        let mut inner = self.lock();
        let upload = inner.uploads.remove(id).ok_or(Objection::NoSuchUpload)?;
        inner.bytes -= upload.size();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves at worst a wrong count of bytes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn size(&self) -> usize {
        self.parts.values().map(|(_, body)| body.len()).sum()
    }
}

impl Inner {
    fn holds(&self, place: &(String, String), condition: &Condition) -> Result<(), Objection> {
        match (condition, self.objects.get(place)) {
            (Condition::Always, _) | (Condition::Absent, None) => Ok(()),
            (Condition::Matches(_), None) => Err(Objection::NoSuchKey),
            (Condition::Matches(etag), Some(own)) if trimmed(etag) == trimmed(&own.etag) => Ok(()),
            (Condition::Absent | Condition::Matches(_), Some(_)) => {
                Err(Objection::PreconditionFailed)
            }
        }
    }

    fn place(&mut self, place: (String, String), object: Object) -> Result<(), Objection> {
        let before = self.objects.get(&place).map_or(0, |own| own.body.len());
        let bytes = self.bytes + object.body.len() - before;
        if bytes > ROOM {
            return Err(Objection::SlowDown);
        }
        self.bytes = bytes;
        self.objects.insert(place, object);
        Ok(())
    }
}

fn tag(body: &[u8]) -> String {
    let digest = hex(&Sha256::digest(body));
    format!("\"{}\"", &digest[..TAG])
}

/// Clients send entity tags with and without quotes.
fn trimmed(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &'static str) -> Object {
        Object::new(Bytes::from_static(text.as_bytes()), "text/plain", 0)
    }

    #[test]
    fn writes_hold_their_conditions() {
        let (objects, place) = (Objects::default(), ("b", "k"));
        let absent = Condition::Absent;
        assert_eq!(
            objects.put(place, object("x"), &Condition::Matches("e".into())),
            Err(Objection::NoSuchKey)
        );
        assert_eq!(objects.put(place, object("1"), &absent), Ok(()));
        assert_eq!(objects.put(place, object("2"), &absent), Err(Objection::PreconditionFailed));
        let etag = objects.find("b", "k").unwrap().etag;
        let matching = Condition::Matches(etag);
        assert_eq!(objects.put(place, object("3"), &matching), Ok(()));
        assert_eq!(objects.put(place, object("4"), &matching), Err(Objection::PreconditionFailed));
        assert_eq!(objects.find("b", "k").unwrap().body, "3");
        objects.remove("b", "k");
        assert_eq!((objects.find("b", "k"), objects.lock().bytes), (None, 0));
    }

    #[test]
    fn lists_are_of_one_bucket_in_order_and_begin_after_a_key() {
        let objects = Objects::default();
        for (bucket, key) in [("b", "p/2"), ("b", "p/1"), ("b", "q"), ("c", "p/3"), ("b", "p/3")] {
            objects.put((bucket, key), object("x"), &Condition::Always).unwrap();
        }
        let keys = |after| -> Vec<String> {
            objects.list("b", "p/", after).into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(""), ["p/1", "p/2", "p/3"]);
        assert_eq!(keys("p/1"), ["p/2", "p/3"]);
        assert!(keys("p/3").is_empty());
    }

    #[test]
    fn parts_are_joined_as_the_client_names_them() {
        let objects = Objects::default();
        let id = objects.begin(("b", "k"), "text/plain", Vec::new());
        let large = Bytes::from(vec![b'x'; SMALLEST_PART]);
        let one = objects.part(&id, 1, large.clone()).unwrap();
        let two = objects.part(&id, 2, Bytes::from_static(b"end")).unwrap();
        let done = |named: &[(u32, String)]| objects.complete(&id, named, (&Condition::Always, 0));
        assert_eq!(done(&[(2, two.clone()), (1, one.clone())]), Err(Objection::InvalidPartOrder));
        assert_eq!(done(&[(1, two.clone())]), Err(Objection::InvalidPart));
        let etag = done(&[(1, one.clone()), (2, two.clone())]).unwrap();
        assert!(etag.ends_with("-2\""), "{etag}");
        assert_eq!(objects.find("b", "k").unwrap().body.len(), SMALLEST_PART + 3);
        assert_eq!(done(&[(1, one)]), Err(Objection::NoSuchUpload));
        let id = objects.begin(("b", "k"), "text/plain", Vec::new());
        let small = objects.part(&id, 1, Bytes::from_static(b"small")).unwrap();
        let last = objects.part(&id, 2, large).unwrap();
        assert_eq!(
            objects.complete(&id, &[(1, small), (2, last)], (&Condition::Always, 0)),
            Err(Objection::EntityTooSmall)
        );
        objects.abort(&id).unwrap();
        assert_eq!(objects.lock().bytes, SMALLEST_PART + 3);
    }
}
