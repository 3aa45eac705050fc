//! Prompt caching as its token counts show it: the first request with a prefix writes it, the next ones
//! read it.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::tokens;
use crate::{json::items, models::Model};

/// Most prefixes stored; the oldest is evicted.
const CAPACITY: usize = 4_096;

/// The prefixes that one emulator has received.
#[derive(Debug, Default)]
pub(crate) struct PromptCache {
    seen: Mutex<Seen>,
}

/// Digests of prefixes, and their order of arrival.
type Seen = (HashSet<[u8; 32]>, VecDeque<[u8; 32]>);

/// Number of blocks before a cache point that are tried for an earlier prefix.
const LOOKBACK: usize = 20;

/// The end of a block: the digest and length of the prompt up to there.
struct Prefix {
    digest: [u8; 32],
    tokens: u64,
}

/// The prefixes of a request, one per block, with the positions of cache points and message ends.
struct Read {
    prefixes: Vec<Prefix>,
    points: Vec<usize>,
    ends: Vec<usize>,
}

impl PromptCache {
    /// Tokens read and written by a request to `model`; `None` without cache points, or if the request is
    /// too short for a model with implicit caching.
    pub(crate) fn account(&self, model: &Model, body: &Value) -> Option<(u64, u64)> {
        let Read { prefixes, mut points, ends } = read(model, body);
        let unasked = model.value("implicit").and_then(|least| least.parse().ok());
        let least = unasked.or(model.cache_minimum()).unwrap_or(u64::MAX);
        if unasked.is_some() {
            points = ends;
            points.retain(|&end| prefixes.get(end).is_some_and(|prefix| prefix.tokens >= least));
        }
        if points.is_empty() {
            return None;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *seen;
        let hits = points.iter().flat_map(|&end| {
            let near = prefixes.get(end.saturating_sub(LOOKBACK)..=end).unwrap_or_default();
            near.iter().filter(|prefix| known.contains(&prefix.digest))
        });
        let read = hits.map(|prefix| prefix.tokens).max().unwrap_or_default();
        let ends = points.iter().filter_map(|&end| prefixes.get(end));
        let long: Vec<&Prefix> = ends.filter(|prefix| prefix.tokens >= least).collect();
        let longest = long.iter().map(|prefix| prefix.tokens).max().unwrap_or_default();
        for prefix in long {
            if known.insert(prefix.digest) {
                order.push_back(prefix.digest);
            }
        }
        while order.len() > CAPACITY {
            if let Some(oldest) = order.pop_front() {
                known.remove(&oldest);
            }
        }
        Some((read, longest.saturating_sub(read)))
    }
}

/// All blocks, in the order in which a prompt is read: tools, system, messages.
fn read(model: &Model, body: &Value) -> Read {
    let mut hash = Sha256::new();
    hash.update(model.id.as_bytes());
    let mut tokens = 0;
    let mut all = Read { prefixes: Vec::new(), points: Vec::new(), ends: Vec::new() };
    let mut read = |all: &mut Read, block: &Value| {
        if block.get("cachePoint").is_none() {
            hash.update(block.to_string().as_bytes());
            tokens += tokens::of_value(block);
            all.prefixes.push(Prefix { digest: hash.clone().finalize().into(), tokens });
        } else if let Some(end) = all.prefixes.len().checked_sub(1) {
            all.points.push(end);
        }
    };
    let tools = body.get("toolConfig").map(|config| items(config, "tools")).unwrap_or_default();
    tools.iter().chain(items(body, "system")).for_each(|block| read(&mut all, block));
    all.ends.extend(all.prefixes.len().checked_sub(1));
    for message in items(body, "messages") {
        items(message, "content").iter().for_each(|block| read(&mut all, block));
        all.ends.extend(all.prefixes.len().checked_sub(1));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Models;

    #[test]
    fn the_first_request_writes_and_the_next_one_reads() {
        let models = Models::load();
        let model = models.generic();
        let cache = PromptCache::default();
        let body = |question: &str| {
            json!({
                "system": [{"text": "s".repeat(8_000)}, {"cachePoint": {"type": "default"}}],
                "messages": [{"role": "user", "content": [{"text": question}]}],
            })
        };
        assert_eq!(cache.account(model, &body("one")), Some((0, 2_000)));
        assert_eq!(cache.account(model, &body("two")), Some((2_000, 0)));
        let short = json!({"system": [{"text": "s"}, {"cachePoint": {"type": "default"}}]});
        assert_eq!(cache.account(model, &short), Some((0, 0)), "below the minimum");
        assert_eq!(cache.account(model, &json!({"messages": []})), None);
    }

    #[test]
    fn a_point_finds_prefixes_up_to_twenty_blocks_before_it() {
        let models = Models::load();
        let cache = PromptCache::default();
        let body = |blocks: usize| {
            let mut content = vec![json!({"text": "x".repeat(8_000)})];
            content.extend((0..blocks).map(|index| json!({"text": format!("block {index}")})));
            content.push(json!({"cachePoint": {"type": "default"}}));
            json!({"messages": [{"role": "user", "content": content}]})
        };
        let read = |blocks| cache.account(models.generic(), &body(blocks)).unwrap().0;
        assert_eq!(read(0), 0);
        assert_eq!(read(21), 0, "the write lies too far back");
        assert_eq!(read(20), 2_000);
        assert!(read(21) > 2_000, "written by the second request");
    }

    #[test]
    fn some_models_cache_long_prompts_implicitly() {
        let models = Models::load();
        let model = models.find("openai.gpt-5.6-sol").expect("a model");
        let cache = PromptCache::default();
        let body = |length: usize, turns: usize| {
            let said = json!({"role": "user", "content": [{"text": "x".repeat(length)}]});
            json!({"messages": vec![said; turns]})
        };
        assert_eq!(cache.account(model, &body(4_000, 1)), None, "too short");
        assert_eq!(cache.account(model, &body(8_000, 1)), Some((0, 2_000)));
        assert_eq!(cache.account(model, &body(8_000, 2)), Some((2_000, 2_000)));
        assert_eq!(cache.account(model, &body(8_000, 2)), Some((4_000, 0)));
    }
}
