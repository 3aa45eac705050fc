//! Tests of `response_cache`, and of LiteLLM's `cache` and `cache_params`.

use bedrock::AccountSecret;

use super::super::*;
use super::Directory;
use crate::response_cache::CacheMode;

fn load(yaml: &str) -> Result<Config, Problems> {
    let directory = Directory::new("response-cache");
    Config::load(&directory.sources(yaml))
}

#[test]
fn the_section_is_read_and_its_mistakes_are_named() {
    let config =
        load("response_cache: { mode: on_request, ttl: 30, max_mib: 8, namespace: here }\n");
    let settings = config.unwrap().response_cache;
    assert_eq!((settings.mode, settings.max_mib.count()), (CacheMode::OnRequest, 8));
    assert_eq!((settings.ttl, settings.namespace.as_str()), (Duration::from_secs(30), "here"));
    let off = load("response_cache: { mode: off, redis: true }\n").unwrap();
    assert!(off.answer_store().is_none());
    for (yaml, expected) in [
        ("response_cache: { mode: some }\n", "\"some\" is not off, on_request or all"),
        ("response_cache: { max_mib: 0 }\n", "0 is not a whole number from 1"),
        ("response_cache: { mode: all, redis: true }\n", "needs the address of a Redis"),
        (
            "access: { redis_url: 'redis://r' }\nresponse_cache: { mode: all, redis: true }\n",
            "and a master key",
        ),
    ] {
        let text = load(yaml).unwrap_err().to_string();
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
    let shared = "master_key: sk-0123456789abcdef\naccess: { redis_url: 'redis://r' }\nresponse_cache: { mode: all, redis: true }\n";
    let store = load(shared).unwrap().answer_store().unwrap();
    assert_eq!(store.url.reveal(), "redis://r");
}

#[test]
fn litellms_cache_is_taken_over() {
    let of = |cache: &str| {
        load(&format!(
            "general_settings: {{ master_key: sk-0123456789abcdef }}\nmodel_list: []\nlitellm_settings:\n{cache}"
        ))
        .unwrap()
    };
    let local = of(
        "  cache: true\n  cache_params: { type: local, ttl: 90, namespace: here, mode: default_off }\n",
    );
    let settings = &local.response_cache;
    assert_eq!((settings.mode, settings.redis), (CacheMode::OnRequest, false));
    assert_eq!((settings.ttl, settings.namespace.as_str()), (Duration::from_secs(90), "here"));
    let shared = of(
        "  cache: true\n  cache_params: { type: redis, host: r, port: 6380, password: 'p@ss', ssl: true }\n",
    );
    let url = shared.answer_store().map(|store| store.url.reveal().to_owned());
    assert_eq!(url.as_deref(), Some("rediss://:p%40ss@r:6380/0"));
    let redis_of_limits = shared.access.redis_url.as_ref().map(AccountSecret::reveal);
    assert_eq!(redis_of_limits, None);
    let noted = |config: &Config, part: &str| config.notes.iter().any(|note| note.contains(part));
    let alone = of("  cache: true\n");
    assert_eq!(alone.response_cache.mode, CacheMode::All);
    assert!(noted(&alone, "answers are kept in each process alone"), "{:?}", alone.notes);
    let other = of("  cache: true\n  cache_params: { type: s3, s3_bucket_name: b }\n");
    assert!(noted(&other, "cache_params.type is \"s3\""), "{:?}", other.notes);
    assert!(noted(&other, "s3_bucket_name"), "{:?}", other.notes);
    let vectors = of("  cache: true\n  cache_params: { supported_call_types: [aembedding] }\n");
    assert_eq!(vectors.response_cache.mode, CacheMode::Off);
    assert!(noted(&vectors, "supported_call_types"), "{:?}", vectors.notes);
    assert_eq!(of("  cache: false\n").response_cache.mode, CacheMode::Off);
}
