//! Profile fallbacks: models that Bedrock refused on demand, and the inference profile that answered
//! instead. Read on every request without a lock, written once per model.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Limit of entries; only models that exist are stored, so it is not reached in practice.
const LIMIT: usize = 512;

/// Ids as sent, and the profile to send instead.
#[derive(Debug, Default)]
pub(super) struct ProfileFallbacks(ArcSwap<HashMap<String, String>>);

impl ProfileFallbacks {
    pub(super) fn find(&self, id: &str) -> Option<String> {
        self.0.load().get(id).cloned()
    }

    pub(super) fn remember(&self, id: &str, profile: &str) {
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() < LIMIT {
                known.insert(id.to_owned(), profile.to_owned());
            }
            Arc::new(known)
        });
    }
}

/// Ids as sent, of models that turned out not to support a feature.
#[derive(Debug, Default)]
pub(super) struct Without(ArcSwap<HashSet<String>>);

impl Without {
    pub(super) fn holds(&self, id: &str) -> bool {
        self.0.load().contains(id)
    }

    pub(super) fn remember(&self, id: &str) {
        self.0.rcu(|known| {
            let mut known = HashSet::clone(known);
            if known.len() < LIMIT {
                known.insert(id.to_owned());
            }
            Arc::new(known)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_fallbacks_are_found_and_bounded() {
        let learned = ProfileFallbacks::default();
        assert_eq!(learned.find("a.b"), None);
        learned.remember("a.b", "us.a.b");
        assert_eq!(learned.find("a.b").as_deref(), Some("us.a.b"));
        for number in 0..LIMIT * 2 {
            learned.remember(&format!("a.{number}"), "x");
        }
        assert_eq!(learned.0.load().len(), LIMIT);
    }
}
