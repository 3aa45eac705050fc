//! The section on the reasoning store.

use std::time::Duration;

use super::parsers;
use super::section::Section;
use crate::byte_size::Mib;
use crate::reasoning_store::{StoreLimits, StoreSettings};
use bedrock::AccountSecret;

/// Settings of the reasoning store.
#[derive(Debug, Clone)]
pub(crate) struct ThinkingMemory {
    /// Size of the local store.
    pub(crate) max_mib: Mib,
    /// Longest time that reasoning is kept.
    pub(crate) ttl: Duration,
    /// Address of the Redis store that replicas share; it comes with a secret.
    pub(crate) store: Option<AccountSecret>,
    /// The secret for names and sealing.
    pub(crate) secret: Option<AccountSecret>,
}

impl Default for ThinkingMemory {
    fn default() -> Self {
        let (max_mib, ttl) = (Mib::new(64), Duration::from_secs(3600));
        Self { max_mib, ttl, store: None, secret: None }
    }
}

impl ThinkingMemory {
    /// Limits of the local store.
    pub(crate) fn limits(&self) -> StoreLimits {
        StoreLimits { bytes: self.max_mib.bytes(), ttl: self.ttl }
    }

    /// The store that replicas share.
    pub(crate) fn shared(&self) -> Option<StoreSettings> {
        let (url, secret) = (self.store.clone()?, self.secret.clone()?);
        Some(StoreSettings { url, secret })
    }

    /// Removes the shared store.
    pub(super) fn stay_home(&mut self) {
        (self.store, self.secret) = (None, None);
    }
}

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, memory: &mut ThinkingMemory) {
    let line = root.line("thinking_memory").unwrap_or(1);
    root.section("thinking_memory", |section| {
        section.set("max_mib", &mut memory.max_mib, |value| {
            parsers::whole(value, 0..=65_536, "a whole number from 0 to 65536").map(Mib::new)
        });
        section.set("ttl", &mut memory.ttl, parsers::age);
        let (store, secret) = shared(section, line).unzip();
        (memory.store, memory.secret) = (store, secret);
    });
}

/// Reads the Redis store's settings. It needs a secret: without one, replicas could not agree on names,
/// and anyone with access to the store could read the reasoning.
fn shared(section: &mut Section<'_>, line: u64) -> Option<(AccountSecret, AccountSecret)> {
    let line = ["store", "store_file"].iter().find_map(|key| section.line(key)).unwrap_or(line);
    let url = section.secret("store", "store_file");
    let secret = section.secret("secret", "secret_file");
    let (message, remedy) = match (url, secret) {
        (None, None) => return None,
        (Some(url), Some(secret)) => {
            let is_short = secret.reveal().len() < StoreSettings::SHORTEST_SECRET;
            let settings = StoreSettings { url, secret };
            match (settings.has_address(), is_short) {
                (true, false) => return Some((settings.url, settings.secret)),
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
