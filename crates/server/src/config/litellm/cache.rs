//! LiteLLM's cache of answers: `litellm_settings.cache` and `cache_params`, as `response_cache`.

use std::time::Duration;

use super::super::provenance::{Show, ValueOrigin};
use super::super::reader::ConfigReader;
use super::super::section::Section;
use super::super::{Config, parsers, redis};
use super::Passed;
use crate::response_cache::CacheMode;
use bedrock::AccountSecret;

/// The calls whose answers are kept here; those of LiteLLM's other ones are not.
const CALLS: [&str; 4] = ["acompletion", "completion", "atext_completion", "text_completion"];

/// The settings as LiteLLM has them.
#[derive(Default)]
pub(super) struct Cache {
    is_on: bool,
    line: u64,
    kind: Option<String>,
    ttl: Option<Duration>,
    namespace: Option<String>,
    /// Whether only requests that ask for it use the cache.
    is_asked_for: bool,
    /// Whether calls of models are not among those that are kept.
    leaves_out_calls: bool,
    redis_url: Option<AccountSecret>,
}

/// Reads the keys of `litellm_settings`; the others remain in it.
pub(super) fn read(section: &mut Section<'_>, passed: &mut Passed) -> Cache {
    let line = section.line("cache").or(section.line("cache_params")).unwrap_or(1);
    let is_on = section.optional("cache", parsers::boolean) == Some(true);
    let mut cache = Cache { is_on, line, ..Cache::default() };
    let path = section.path("cache_params");
    let Some(entries) = section.map("cache_params") else { return cache };
    section.child(format!("{path}."), entries, |section| {
        cache.kind = section.optional("type", parsers::text);
        cache.ttl = section.optional("ttl", parsers::lenient_limit).flatten();
        cache.namespace = section.optional("namespace", parsers::text);
        let mode = section.optional("mode", parsers::text);
        cache.is_asked_for = mode.as_deref() == Some("default_off");
        let calls = section.optional("supported_call_types", parsers::names);
        let is_call = |call: &String| CALLS.contains(&call.as_str());
        cache.leaves_out_calls = calls.is_some_and(|calls| !calls.iter().any(is_call));
        cache.redis_url = redis::of_cache(section);
        passed.rest("litellm_settings.cache_params", section, &[]);
    });
    cache
}

impl Cache {
    /// Applies them, unless Outcrop's own section has a mode.
    pub(super) fn apply(self, reading: &mut ConfigReader, config: &mut Config) {
        let Self { is_on, line, kind, ttl, namespace, .. } = self;
        let settings = &mut config.response_cache;
        if !is_on || settings.mode != CacheMode::Off {
            return;
        }
        if self.leaves_out_calls {
            let note = format!(
                "line {line}: cache_params.supported_call_types names no calls whose answers are kept here: none is"
            );
            reading.notes.push(note);
            return;
        }
        let kind = kind.as_deref().unwrap_or("redis");
        if !matches!(kind, "local" | "redis") {
            let note = format!(
                "line {line}: cache_params.type is {kind:?}, and local and redis are known here: answers are kept in the memory of each process"
            );
            reading.notes.push(note);
        }
        settings.is_of_litellm = true;
        settings.mode = if self.is_asked_for { CacheMode::OnRequest } else { CacheMode::All };
        settings.ttl = ttl.unwrap_or(settings.ttl);
        settings.namespace = namespace.unwrap_or_default();
        settings.redis = kind == "redis";
        settings.redis_url = self.redis_url;
        let origin = || ValueOrigin::line(&reading.file, line);
        for (key, shown, origin) in [
            ("response_cache.mode", settings.mode.show(), origin()),
            ("response_cache.ttl", settings.ttl.show(), origin()),
            ("response_cache.redis", settings.redis.show(), origin()),
        ] {
            reading.provenance.tell(key, shown, origin);
        }
    }
}
