//! Prompt caching as its figures show it: the first request with a prefix writes it, the next ones
//! read it.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::tokens;
use crate::{json::items, models::Model};

/// Prefixes remembered before the oldest is forgotten.
const CAPACITY: usize = 4_096;

/// The prefixes one emulator has seen.
#[derive(Debug, Default)]
pub(crate) struct PromptCache {
    seen: Mutex<Seen>,
}

/// Digests of prefixes, and the order in which they came.
type Seen = (HashSet<[u8; 32]>, VecDeque<[u8; 32]>);

/// A cache point of a request: what stands before it, and how long that is.
struct Point {
    prefix: [u8; 32],
    tokens: u64,
}

impl PromptCache {
    /// Tokens read and written by a request to `model`; `None` when it has no cache points.
    pub(crate) fn account(&self, model: &Model, body: &Value) -> Option<(u64, u64)> {
        let points = points(model, body);
        if points.is_empty() {
            return None;
        }
        let least = model.cache_minimum().unwrap_or(u64::MAX);
        let points: Vec<Point> = points.into_iter().filter(|point| point.tokens >= least).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *seen;
        let hits = points.iter().filter(|point| known.contains(&point.prefix));
        let read = hits.map(|point| point.tokens).max().unwrap_or_default();
        let longest = points.iter().map(|point| point.tokens).max().unwrap_or_default();
        for point in points {
            if known.insert(point.prefix) {
                order.push_back(point.prefix);
            }
        }
        while order.len() > CAPACITY {
            if let Some(oldest) = order.pop_front() {
                known.remove(&oldest);
            }
        }
        Some((read, longest - read))
    }
}

/// All cache points, in the order tools, system, messages in which a prefix is read.
fn points(model: &Model, body: &Value) -> Vec<Point> {
    let mut hash = Sha256::new();
    hash.update(model.id.as_bytes());
    let mut count = 0;
    let mut points = Vec::new();
    let mut read = |block: &Value| {
        if block.get("cachePoint").is_some() {
            points.push(Point { prefix: hash.clone().finalize().into(), tokens: count });
        } else {
            hash.update(block.to_string().as_bytes());
            count += tokens::of_value(block);
        }
    };
    let tools = body.get("toolConfig").map(|config| items(config, "tools")).unwrap_or_default();
    tools.iter().chain(items(body, "system")).for_each(&mut read);
    for message in items(body, "messages") {
        items(message, "content").iter().for_each(&mut read);
    }
    points
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
}
