//! Ids of calls: an upstream that counts them anew in every answer gives the calls of a conversation the same id,
//! and clients find results by it.

use std::borrow::Cow;

use crate::parts::digest::Digest;

/// A shorter id is a counter.
const COUNTER: usize = 12;
/// The longest id that Converse, and so every front door, accepts.
const LONGEST: usize = 64;

/// The id of a call: its own, unless it is a counter, missing or too long; then one of the answer and the call.
pub(super) fn unique<'i>(id: Option<&'i str>, answer: &str, ordinal: usize) -> Cow<'i, str> {
    match id {
        Some(id) if (COUNTER..=LONGEST).contains(&id.len()) => Cow::Borrowed(id),
        id => {
            let mut digest = Digest::default();
            digest.add(answer.as_bytes());
            digest.add(id.unwrap_or_default().as_bytes());
            digest.add(&ordinal.to_le_bytes());
            Cow::Owned(format!("call_{:016x}", digest.finish()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_unique_and_real_ids_stay() {
        assert_eq!(unique(Some("call_836db14dc7486091"), "resp_1", 0), "call_836db14dc7486091");
        let first = unique(Some("call_0"), "resp_1", 0);
        assert_ne!(first, unique(Some("call_0"), "resp_2", 0));
        assert_ne!(first, unique(Some("call_0"), "resp_1", 1));
        assert_eq!(first, unique(Some("call_0"), "resp_1", 0));
        assert!((COUNTER..=LONGEST).contains(&unique(None, "", 0).len()));
        assert!(unique(Some(&"x".repeat(65)), "", 0).len() <= LONGEST);
    }
}
