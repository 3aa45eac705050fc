//! Tests of the reasoning store's settings: a Redis store needs an address and a secret, and neither is
//! ever shown.

use super::super::*;
use super::Directory;

#[test]
fn a_store_has_an_address_and_a_secret() {
    let directory = Directory::new("store");
    let load = |yaml: &str| Config::load(&directory.sources(yaml));
    assert!(load("thinking_memory: { ttl: 60 }\n").unwrap().thinking_memory.shared().is_none());
    for url in ["redis://h", "rediss://user:password@h:6380/2"] {
        let yaml =
            format!("thinking_memory: {{ store: '{url}', secret: sixteen-bytes-at-least }}\n");
        let config = Config::load(&directory.sources(&yaml)).unwrap();
        let provenance = &config.provenance;
        let store = config.thinking_memory.shared().unwrap();
        assert_eq!((store.url.reveal(), store.secret.reveal()), (url, "sixteen-bytes-at-least"));
        let shown = format!("{store:?} {provenance:?}");
        assert!(!shown.contains("sixteen") && !shown.contains("password"), "{shown}");
    }
}

#[test]
fn wrong_store_settings_are_reported() {
    let directory = Directory::new("store-problems");
    for (section, told) in [
        ("store: 'redis://h'", "thinking_memory.store needs a secret"),
        ("secret: sixteen-bytes-at-least", "and there is none"),
        ("store: 'redis://h', secret: short", "thinking_memory.secret is shorter than 16 bytes"),
        ("store: 'http://h', secret: sixteen-bytes-at-least", "is no address of a store"),
    ] {
        let yaml = format!("thinking_memory: {{ {section} }}\n");
        let problems = Config::load(&directory.sources(&yaml)).unwrap_err().to_string();
        assert!(problems.contains(told) && problems.contains(":1"), "{problems}");
    }
}
