//! Kept answers: a request that one caller repeats exactly is answered by the bytes of the first answer. They lie
//! in the memory of the process, within a bound, and sealed in a Redis that replicas share, if one is named.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bedrock::AccountSecret;

use crate::byte_size::Mib;
use crate::reasoning_store::{RedisStore, Shards, StoreLimits};

mod answer;
mod control;
mod recorded_body;

pub(crate) use answer::{AnswerHead, KeptAnswer};
pub(crate) use control::{CacheControl, taken_out};
pub(crate) use recorded_body::RecordedBody;

/// Number of locks.
const SHARDS: usize = 16;
/// Most bytes of one answer.
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

/// The requests whose answers are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CacheMode {
    /// None.
    #[default]
    Off,
    /// Those that ask for it.
    OnRequest,
    /// All that do not forbid it.
    All,
}

impl CacheMode {
    pub(crate) const ALL: [Self; 3] = [Self::Off, Self::OnRequest, Self::All];

    /// Its name in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OnRequest => "on_request",
            Self::All => "all",
        }
    }
}

/// Settings of kept answers.
#[derive(Debug, Clone)]
pub(crate) struct CacheSettings {
    pub(crate) mode: CacheMode,
    /// Longest time that an answer is used.
    pub(crate) ttl: Duration,
    /// Size of the memory.
    pub(crate) max_mib: Mib,
    /// Gateways of different namespaces share no answers.
    pub(crate) namespace: String,
    /// Whether answers are kept in Redis too, for other replicas.
    pub(crate) redis: bool,
    /// The address of that Redis, if it is not that of rate limits.
    pub(crate) redis_url: Option<AccountSecret>,
    /// Whether they are LiteLLM's, whose mistakes do not stop the start.
    pub(crate) is_of_litellm: bool,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            mode: CacheMode::Off,
            ttl: Duration::from_mins(10),
            max_mib: Mib::new(64),
            namespace: String::new(),
            redis: false,
            redis_url: None,
            is_of_litellm: false,
        }
    }
}

impl CacheSettings {
    /// Limits of one shard.
    fn limits(&self) -> StoreLimits {
        StoreLimits { bytes: self.max_mib.bytes() / SHARDS, ttl: self.ttl }
    }
}

/// The name of a request: a digest of everything that its answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AnswerName([u8; 32]);

impl AnswerName {
    /// The digest of texts about a request, in this order, and of its body: the order of its members does not
    /// count.
    pub(crate) fn of<'p>(about: impl IntoIterator<Item = &'p str>, body: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        // Each part follows its length, so that no two lists have the same bytes.
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        for text in about {
            add(text.as_bytes());
        }
        match control::members(body) {
            None => add(body),
            Some(members) => {
                for (name, value) in members {
                    add(name.as_bytes());
                    add(value.get().as_bytes());
                }
            }
        }
        let mut name = [0; 32];
        name.copy_from_slice(context.finish().as_ref());
        Self(name)
    }

    /// The name as text.
    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The memory of the process; it survives reloads.
#[derive(Debug, Default)]
pub(crate) struct ResponseCache(Shards<KeptAnswer, SHARDS>);

impl ResponseCache {
    /// A kept answer that is fresh, from memory or from Redis.
    pub(crate) async fn find(
        &self,
        name: AnswerName,
        shared: Option<&RedisStore>,
        settings: &CacheSettings,
    ) -> Option<Arc<KeptAnswer>> {
        let key = self.0.key(name);
        let found = self.0.of(key).find(key, settings.ttl, Instant::now());
        if let Some(answer) = found {
            return Some(answer).filter(|answer| answer.age() < settings.ttl);
        }
        let answer = shared?.kept_answer(&name.0).await.and_then(KeptAnswer::read)?;
        let answer = Some(Arc::new(answer)).filter(|answer| answer.age() < settings.ttl)?;
        self.0.of(key).put(key, Arc::clone(&answer), settings.limits(), Instant::now());
        Some(answer)
    }

    /// Keeps an answer in memory.
    pub(crate) fn keep(&self, name: AnswerName, answer: Arc<KeptAnswer>, settings: &CacheSettings) {
        let key = self.0.key(name);
        self.0.of(key).put(key, answer, settings.limits(), Instant::now());
    }

    /// Keeps an answer in Redis.
    pub(crate) async fn share(name: AnswerName, answer: &KeptAnswer, shared: &RedisStore) {
        shared.keep_answer(&name.0, answer.written(), answer.left()).await;
    }

    /// Entries, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.0.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_each_part_and_its_place() {
        let name = |about: &[&str], body: &str| AnswerName::of(about.to_vec(), body.as_bytes());
        let first = name(&["a", "b"], r#"{"m": 1, "n": [2, 3]}"#);
        assert_eq!(first, name(&["a", "b"], r#"{"n": [2, 3], "m": 1}"#));
        for (about, body) in [
            (&["ab"][..], r#"{"m": 1, "n": [2, 3]}"#),
            (&["b", "a"], r#"{"m": 1, "n": [2, 3]}"#),
            (&["a", "b", ""], r#"{"m": 1, "n": [2, 3]}"#),
            (&["a", "b"], r#"{"m": 1, "n": [3, 2]}"#),
            (&["a", "b"], r#"{"m": 1}"#),
            (&["a", "b"], "no object"),
        ] {
            assert_ne!(first, name(about, body));
        }
        assert_eq!(first.hex().len(), 64);
    }
}
