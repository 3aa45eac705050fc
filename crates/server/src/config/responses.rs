//! The section on stored responses.

use std::time::Duration;

use super::parsers;
use super::section::Section;
use crate::byte_size::Mib;
use crate::reasoning_store::StoreLimits;

/// Settings of the store of responses.
#[derive(Debug, Clone)]
pub(crate) struct ResponseSettings {
    /// Whether responses are stored at all.
    pub(crate) store: bool,
    /// Size of the store.
    pub(crate) max_mib: Mib,
    /// Longest time that a response is kept since its last use.
    pub(crate) ttl: Duration,
}

impl Default for ResponseSettings {
    fn default() -> Self {
        let (max_mib, ttl) = (Mib::new(64), Duration::from_secs(30 * 24 * 3600));
        Self { store: true, max_mib, ttl }
    }
}

impl ResponseSettings {
    /// Limits of the store; of no size where storing is forbidden.
    pub(crate) fn limits(&self) -> StoreLimits {
        let bytes = if self.store { self.max_mib.bytes() } else { 0 };
        StoreLimits { bytes, ttl: self.ttl }
    }
}

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, responses: &mut ResponseSettings) {
    root.section("responses", |section| {
        section.set("store", &mut responses.store, parsers::boolean);
        section.set("max_mib", &mut responses.max_mib, |value| {
            parsers::whole(value, 0..=65_536, "a whole number from 0 to 65536").map(Mib::new)
        });
        section.set("ttl", &mut responses.ttl, parsers::age);
    });
}
