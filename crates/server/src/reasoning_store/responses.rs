//! Responses that are kept so that later requests can continue or read them. Bounded in bytes and age, in
//! this process, and apart for every caller.

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use translate::Invalid;
use translate::answer_stream::KeptItem;

use super::shard::{Shards, Weighed};
use super::{Caller, StoreLimits};
use crate::quoting;

/// Most responses that one conversation may have.
pub(super) const LONGEST: usize = 1000;
/// Most bytes of items that are put in front of a request.
pub(super) const LARGEST: usize = 25 * 1024 * 1024;
const PREVIOUS: &str = "previous_response_id";

/// The responses of all callers.
///
/// One shard, so that a response may be as large as the whole store.
#[derive(Debug, Default)]
pub(super) struct StoredResponses(Shards<StoredResponse, 1>);

/// The input of a request whose response is to be kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentInput {
    /// Its own items, as JSON.
    pub(crate) items: Vec<String>,
    /// The response that it continues.
    pub(crate) previous: Option<String>,
}

/// A response and the input that led to it.
#[derive(Debug)]
pub(crate) struct StoredResponse {
    /// The response as the client saw it, as JSON.
    pub(crate) object: String,
    pub(crate) input: SentInput,
}

/// The responses of one caller.
#[derive(Debug)]
pub(crate) struct CallerResponses<'s> {
    stored: &'s StoredResponses,
    caller: Caller,
    /// Of no size where the operator forbids storing.
    limits: StoreLimits,
}

/// The part of a response that a conversation consists of.
#[derive(Deserialize)]
struct Output<'r> {
    #[serde(borrow)]
    output: Vec<&'r RawValue>,
}

impl Weighed for StoredResponse {
    fn weight(&self) -> usize {
        let items = self.input.items.iter().map(|item| item.len() + size_of::<String>());
        self.object.len() + items.sum::<usize>()
    }
}

impl StoredResponses {
    /// The part of a caller.
    pub(super) fn of(&self, caller: Caller, limits: StoreLimits) -> CallerResponses<'_> {
        CallerResponses { stored: self, caller, limits }
    }
}

impl CallerResponses<'_> {
    /// Whether responses are kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.limits.bytes > 0
    }

    /// Keeps a response. Must be done before the client sees its end.
    pub(crate) fn keep(&self, response: KeptItem, input: SentInput) {
        let KeptItem { id, json } = response;
        let stored = Arc::new(StoredResponse { object: json, input });
        let key = self.key(&id);
        self.stored.0.of(key).put(key, stored, self.limits, Instant::now());
    }

    /// The response with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<StoredResponse>> {
        let key = self.key(id);
        self.stored.0.of(key).find(key, self.limits.ttl, Instant::now())
    }

    /// Removes a response; returns whether there was one.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let key = self.key(id);
        let mut shard = self.stored.0.of(key);
        let is_known = shard.find(key, self.limits.ttl, Instant::now()).is_some();
        shard.remove(key);
        is_known
    }

    /// The items of the conversation up to and with this response, as JSON, the first item first.
    ///
    /// # Errors
    /// A response of the conversation is not known, or the conversation is too long.
    pub(crate) fn history(&self, id: &str) -> Result<Vec<String>, Invalid> {
        let (mut chain, mut bytes, mut next) = (Vec::new(), 0_usize, Some(id.to_owned()));
        while let Some(id) = next {
            let response = self.find(&id).ok_or_else(|| not_found(&id))?;
            bytes += response.weight();
            if chain.len() == LONGEST || bytes > LARGEST {
                return Err(too_long());
            }
            next = response.input.previous.clone();
            chain.push(response);
        }
        let mut items = Vec::new();
        for response in chain.iter().rev() {
            items.extend(response.input.items.iter().cloned());
            items.extend(output_items(&response.object));
        }
        Ok(items)
    }

    fn key(&self, id: &str) -> u128 {
        self.stored.0.key((self.caller, id))
    }
}

/// The items of a response's output, as JSON.
pub(super) fn output_items(object: &str) -> impl Iterator<Item = String> {
    let read: Result<Output<'_>, _> = serde_json::from_str(object);
    let output = read.map(|read| read.output).unwrap_or_default();
    output.into_iter().map(|item| item.get().to_owned())
}

/// The error for a conversation that cannot be continued.
pub(super) fn too_long() -> Invalid {
    let message = "The stored conversation is too long: compact it, or begin a new one.";
    Invalid::value(PREVIOUS, message).with_code("conversation_too_long")
}

/// The error for a response that is not known here.
fn not_found(id: &str) -> Invalid {
    let id = quoting::id(id);
    let message = format!("Previous response with id '{id}' not found.");
    Invalid::value(PREVIOUS, message).with_code("previous_response_not_found")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: StoreLimits = StoreLimits { bytes: 4096, ttl: Duration::from_secs(60) };

    fn response(id: &str, text: &str) -> KeptItem {
        let json = format!(r#"{{"id":"{id}","output":[{{"said":"{text}"}}]}}"#);
        KeptItem { id: id.to_owned(), json }
    }

    fn input(item: &str, previous: Option<&str>) -> SentInput {
        SentInput { items: vec![item.to_owned()], previous: previous.map(ToOwned::to_owned) }
    }

    #[test]
    fn a_conversation_is_the_callers_own_and_in_order() {
        let stored = StoredResponses::default();
        let (ann, bob) = (stored.of(Caller(1), LIMITS), stored.of(Caller(2), LIMITS));
        ann.keep(response("resp_1", "a"), input("1", None));
        ann.keep(response("resp_2", "b"), input("2", Some("resp_1")));
        let items = ann.history("resp_2").unwrap();
        assert_eq!(items, ["1", r#"{"said":"a"}"#, "2", r#"{"said":"b"}"#]);
        assert_eq!(bob.history("resp_2").unwrap_err().code, "previous_response_not_found");
        assert!(bob.find("resp_1").is_none() && !bob.remove("resp_1"));
        assert!(ann.remove("resp_1") && !ann.remove("resp_1"));
        let lost = ann.history("resp_2").unwrap_err();
        assert!(lost.message.contains("'resp_1'"), "{}", lost.message);
    }

    #[test]
    fn the_store_is_bounded_and_can_be_off() {
        let stored = StoredResponses::default();
        let ann = stored.of(Caller(1), LIMITS);
        for number in 0..100 {
            ann.keep(response(&format!("resp_{number}"), "a"), input("1", None));
        }
        assert!(ann.find("resp_0").is_none() && ann.find("resp_99").is_some());
        ann.keep(response("resp_large", &"x".repeat(LIMITS.bytes)), input("1", None));
        assert!(ann.find("resp_large").is_none());
        let off = stored.of(Caller(2), StoreLimits { bytes: 0, ..LIMITS });
        off.keep(response("resp_1", "a"), input("1", None));
        assert!(!off.is_on() && off.find("resp_1").is_none());
    }

    #[test]
    fn a_conversation_that_is_too_long_is_refused() {
        let stored = StoredResponses::default();
        let wide = StoreLimits { bytes: 64 * 1024 * 1024, ..LIMITS };
        let ann = stored.of(Caller(1), wide);
        ann.keep(response("resp_0", "a"), input("1", None));
        for number in 1..=LONGEST {
            let previous = format!("resp_{}", number - 1);
            ann.keep(response(&format!("resp_{number}"), "a"), input("1", Some(&previous)));
        }
        assert_eq!(ann.history("resp_999").unwrap().len(), 2 * LONGEST);
        assert_eq!(ann.history("resp_1000").unwrap_err().code, "conversation_too_long");
    }
}
