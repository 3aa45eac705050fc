//! `/metrics` at one moment: the counted values, and the state of targets, stores, credentials and the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use routing::{HealthState, TargetSeries};

use super::exposition;
use crate::overload::ShedReason;
use crate::telemetry::Telemetry;

/// Type of the text, with the version of its format.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The values of one moment.
#[derive(Debug)]
pub(crate) struct Scrape {
    /// The counted ones.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Whether the gateway wants traffic.
    pub(crate) is_ready: bool,
    /// Calls refused because of overload, by the reason's label.
    pub(crate) shed: [(&'static str, u64); ShedReason::ALL.len()],
    /// The targets by their names in metrics; of several with one name, the worst state and all calls.
    pub(crate) targets: BTreeMap<TargetSeries, (HealthState, u32)>,
    /// Seconds until the credentials of each region expire.
    pub(crate) credentials: BTreeMap<String, f64>,
    /// The state of the accounts, where there are any.
    pub(crate) accounts: Option<AccountsState>,
    /// The parts of the reasoning store with their entries and bytes.
    pub(crate) memory: [(&'static str, (usize, usize)); 3],
    /// Entries and bytes of kept answers.
    pub(crate) answers: (usize, usize),
    /// Look-ups in it: found, and missing.
    pub(crate) lookups: [u64; 2],
}

/// The state of the store of accounts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccountsState {
    pub(crate) is_store_away: bool,
    /// Calls between reservation and written settlement.
    pub(crate) calls: usize,
    /// Whether the Redis of shared limits can be reached, where there is one.
    pub(crate) shares_rates: Option<bool>,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        exposition::write(self, encoder)
    }
}

/// The text of all metrics.
///
/// # Errors
/// A value cannot be written.
pub(crate) fn text(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut written = String::with_capacity(16 * 1024);
    text::encode(&mut written, &registry)?;
    Ok(written)
}
