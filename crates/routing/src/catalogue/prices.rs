//! Prices of models: rows of `config/prices.toml` and of operators, by reach, service tier and date. The row
//! that holds for a call is found here; what the call costs is computed by `access::spend`.

use std::fmt;

use access::spend::Price;
use serde::Deserialize;
use toml::Value;

use super::date::Day;

mod book;
mod listed;
mod quote;
mod quote_cache;
mod reach;
mod read;

pub(super) use book::PriceBook;
pub use quote::{Charged, PriceSource, PricedModel, Quote, Unquoted};
pub(super) use quote_cache::QuoteCache;
pub(super) use reach::CallReach;
use reach::RowReach;

/// The rows of one model.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Prices {
    rows: Vec<PriceRow>,
    is_operators: bool,
}

/// One row: the price of calls of this reach and tier, from a day on.
#[derive(Debug, Clone, PartialEq)]
struct PriceRow {
    reach: RowReach,
    tier: Tier,
    /// The first day on which it holds; without one, it holds until the next row begins.
    from: Option<Day>,
    /// The day on which the sources stated it.
    dated: Option<Day>,
    price: Price,
}

/// Service tiers that have prices of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The default tier.
    Standard,
    /// Cheaper, and served later.
    Flex,
    /// Dearer, and served first.
    Priority,
    /// Dearer still, and generated faster.
    Ultrafast,
    /// Batch inference.
    Batch,
    /// Paid by the month.
    Reserved,
    /// Latency-optimised inference, a setting of its own at Bedrock. No source states its prices.
    LatencyOptimized,
}

impl Tier {
    const ALL: [Self; 7] = [
        Self::Standard,
        Self::Flex,
        Self::Priority,
        Self::Ultrafast,
        Self::Batch,
        Self::Reserved,
        Self::LatencyOptimized,
    ];

    /// The name in price files and stored rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Ultrafast => "ultrafast",
            Self::Batch => "batch",
            Self::Reserved => "reserved",
            Self::LatencyOptimized => "latency_optimized",
        }
    }

    /// The tier of a name, that of Bedrock's answers included, where the standard tier is `default`. `None`
    /// for a tier that is not known, whose price is not known either.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::Standard),
            name => Self::ALL.into_iter().find(|tier| tier.name() == name),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Prices {
    /// The rows of a reach.
    fn at(&self, reach: &RowReach) -> Vec<&PriceRow> {
        self.rows.iter().filter(|row| row.reach == *reach).collect()
    }

    /// Tiers of the model: single regions and geographies may have others.
    pub(super) fn tiers(&self) -> impl Iterator<Item = Tier> {
        let usual = |row: &&PriceRow| row.reach.is_usual();
        Tier::ALL.into_iter().filter(move |tier| {
            self.rows
                .iter()
                .filter(usual)
                .any(|row| row.tier == *tier && !row.price.rates.is_empty())
        })
    }
}

#[cfg(test)]
mod tests;
