//! `shutdown:` and `overload:`, the limits of a process as a whole.

use std::time::Duration;

use super::parsers;
use super::section::Section;
use crate::byte_size::Mib;
use crate::overload::OverloadLimits;

/// Time limits of a shutdown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drain {
    /// Time until the port is closed.
    pub(crate) delay: Duration,
    /// Time after that for open requests.
    pub(crate) timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { delay: Duration::from_secs(5), timeout: Duration::from_secs(300) }
    }
}

/// Reads every key of the section of a shutdown.
pub(super) fn shutdown(root: &mut Section<'_>, drain: &mut Drain) {
    root.section("shutdown", |section| {
        section.set("delay", &mut drain.delay, parsers::seconds);
        section.set("timeout", &mut drain.timeout, parsers::seconds);
    });
}

/// Reads every key of the section of overload.
pub(super) fn overload(root: &mut Section<'_>, limits: &mut OverloadLimits) {
    root.section("overload", |section| {
        section.set("max_in_flight", &mut limits.max_in_flight, |value| {
            parsers::whole(value, 1..=1_000_000, "a whole number from 1 to 1000000")
        });
        section.set("memory_percent", &mut limits.memory_percent, |value| {
            parsers::whole(value, 1..=100, "a whole number from 1 to 100")
        });
        section.set("memory_limit_mib", &mut limits.memory_limit_mib, |value| {
            let mib = parsers::whole(value, 1..=1_048_576, "a whole number from 1 to 1048576")?;
            Ok(Some(Mib::new(mib)))
        });
    });
}
