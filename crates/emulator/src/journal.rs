//! The calls to the emulator and the delivery of their answers, so that a test can detect a call that was
//! never made, was made twice, or was abandoned by its client.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::Value;

/// One call as received.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// Counts from 1 and is never reused.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Path and query exactly as sent, still percent-encoded.
    pub path: String,
    /// Last path segment for calls to a model (`converse`, `invoke`, ...), otherwise the resource.
    pub operation: String,
    /// Model id or ARN from the path, decoded once.
    pub model_id: Option<String>,
    /// Headers in lower case; only the scheme of `authorization` is kept.
    pub headers: BTreeMap<String, String>,
    /// Body as JSON; text that is not JSON as a string; null without a body.
    pub body: Value,
    /// Reasoning blocks of the request that the model does not read, each with its position and its failed
    /// binding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped_thoughts: Vec<String>,
    /// Status of the answer once it has one.
    pub status: Option<u16>,
    /// Delivery of the answer.
    pub delivery: Delivery,
    /// Arrival, in milliseconds since 1970.
    pub received_ms: u64,
    /// Completion of the answer or departure of the client, in milliseconds since 1970.
    pub ended_ms: Option<u64>,
}

/// Delivery of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Still being produced or sent.
    Open,
    /// The connection has received the last byte.
    Complete,
    /// The emulator interrupted the answer, as ordered.
    Broken,
    /// The client disconnected first.
    ClientGone,
}

/// The calls of one emulator, oldest first, limited in number.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    calls: VecDeque<Call>,
    capacity: usize,
    next: u64,
}

/// The open end of one call: dropping it unfinished means that the client disconnected.
#[derive(Debug)]
pub(crate) struct Ticket {
    journal: Journal,
    number: u64,
    finished: bool,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { calls: VecDeque::new(), capacity: capacity.max(1), next: 1 };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// All recorded calls, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.iter().cloned().collect()
    }

    /// Removes all calls; open ones are no longer tracked.
    pub fn clear(&self) {
        self.lock().calls.clear();
    }

    pub(crate) fn open(&self, mut call: Call) -> Ticket {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        call.number = number;
        if inner.calls.len() >= inner.capacity {
            inner.calls.pop_front();
        }
        inner.calls.push_back(call);
        Ticket { journal: self.clone(), number, finished: false }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the list intact: every change is one push or one field.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Call)) {
        if let Some(call) = self.lock().calls.iter_mut().find(|call| call.number == number) {
            change(call);
        }
    }
}

impl Call {
    pub(crate) fn arrived(method: &str, path: &str) -> Self {
        Self {
            number: 0,
            method: method.to_owned(),
            path: path.to_owned(),
            operation: String::new(),
            model_id: None,
            headers: BTreeMap::new(),
            body: Value::Null,
            dropped_thoughts: Vec::new(),
            status: None,
            delivery: Delivery::Open,
            received_ms: now_ms(),
            ended_ms: None,
        }
    }
}

impl Ticket {
    pub(crate) fn status(&self, status: u16) {
        self.journal.change(self.number, |call| call.status = Some(status));
    }

    pub(crate) fn dropped(&self, thoughts: Vec<String>) {
        self.journal.change(self.number, |call| call.dropped_thoughts = thoughts);
    }

    pub(crate) fn finish(mut self, delivery: Delivery) {
        self.finished = true;
        self.end(delivery);
    }

    fn end(&self, delivery: Delivery) {
        self.journal.change(self.number, |call| {
            call.delivery = delivery;
            call.ended_ms = Some(now_ms());
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            self.end(Delivery::ClientGone);
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_call_goes_first_and_an_unsettled_ticket_is_a_lost_client() {
        let journal = Journal::new(2);
        for path in ["/a", "/b", "/c"] {
            let ticket = journal.open(Call::arrived("POST", path));
            if path == "/b" {
                ticket.finish(Delivery::Complete);
            }
        }
        let calls = journal.calls();
        assert_eq!(
            calls.iter().map(|c| (c.number, c.path.as_str(), c.delivery)).collect::<Vec<_>>(),
            [(2, "/b", Delivery::Complete), (3, "/c", Delivery::ClientGone)]
        );
        assert!(calls.iter().all(|call| call.ended_ms.is_some()));
    }
}
