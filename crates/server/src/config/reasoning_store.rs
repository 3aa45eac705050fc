//! The section on the reasoning store.

use super::section::Section;
use super::{Config, MIB, parsers};
use crate::reasoning_store::StoreSettings;

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    let line = root.line("thinking_memory").unwrap_or(1);
    root.section("thinking_memory", |section| {
        let mut mib = config.thinking_memory.bytes / MIB;
        section.set("max_mib", &mut mib, |value| {
            parsers::whole(value, 0..=65_536, "a whole number from 0 to 65536")
        });
        config.thinking_memory.bytes = mib.saturating_mul(MIB);
        section.set("ttl", &mut config.thinking_memory.ttl, parsers::age);
        config.thinking_store = store(section, line);
    });
}

/// Reads the Redis store's settings. It needs a secret: without one, replicas could not agree on names,
/// and anyone with access to the store could read the reasoning.
fn store(section: &mut Section<'_>, line: u64) -> Option<StoreSettings> {
    let line = ["store", "store_file"].iter().find_map(|key| section.line(key)).unwrap_or(line);
    let url = section.secret("store", "store_file");
    let secret = section.secret("secret", "secret_file");
    let (message, remedy) = match (url, secret) {
        (None, None) => return None,
        (Some(url), Some(secret)) => {
            let is_short = secret.reveal().len() < StoreSettings::SHORTEST_SECRET;
            let settings = StoreSettings { url, secret };
            match (settings.has_address(), is_short) {
                (true, false) => return Some(settings),
                (false, _) => (
                    "thinking_memory.store is no address of a store",
                    "write redis://HOST:6379, or rediss:// for TLS; user, password and number of the database \
                     may be part of it: redis://user:password@HOST:6379/0",
                ),
                (true, true) => (
                    "thinking_memory.secret is shorter than 16 bytes",
                    "take a random one: openssl rand -base64 32",
                ),
            }
        }
        (Some(_), None) => (
            "thinking_memory.store needs a secret",
            "give all replicas the same secret (or secret_file): what lies in the store is named and sealed by it",
        ),
        (None, Some(_)) => (
            "thinking_memory.secret is for a store, and there is none",
            "name a store, or leave it out",
        ),
    };
    section.reading.complain(line, message.to_owned(), remedy);
    None
}
