//! Cost of calls, at the price of the target that answered, in the tier that served.

use std::sync::Arc;

use access::Nanodollars;
use access::spend::{Amount, Part, Usage};
use routing::catalogue::{Catalogue, Charged, Day, PricedModel, Quote, ResolvedModel, Tier};
use schema::converse::response::{CacheWrites, TokenUsage};
use schema::openai::usage::CostUsd;
use translate::spent::{BilledTier, Spent};

use crate::pieces::{BILLED, Pieces};

/// Attodollars in a picodollar.
const PICODOLLAR: u128 = 1_000_000;

/// The model of a call, for its price, and the pieces that the call is billed for besides tokens.
#[derive(Debug, Clone)]
pub(crate) struct CallPrice {
    model: PricedModel,
    pieces: Pieces,
}

impl CallPrice {
    /// The price of calls of this model.
    pub(crate) fn of(model: &ResolvedModel) -> Self {
        Self::of_priced(model.priced())
    }

    /// The price of calls of a model whose profile is of no interest.
    pub(crate) fn of_priced(model: PricedModel) -> Self {
        Self { model, pieces: Pieces::default() }
    }

    /// The same with the pieces of a call, as far as its price has rates for them.
    pub(crate) fn with(self, pieces: Pieces) -> Self {
        if pieces == Pieces::default() {
            return self;
        }
        let quote = self.quote(Tier::Standard);
        let pieces = pieces.billed(|part| quote.as_ref().is_some_and(|quote| quote.has(part)));
        Self { pieces, ..self }
    }

    /// Whether calls are billed by pieces at all.
    pub(crate) fn bills_pieces(&self) -> bool {
        let quote = self.quote(Tier::Standard);
        quote.is_some_and(|quote| BILLED.into_iter().any(|part| quote.has(part)))
    }

    /// Whether the call is billed for images that it makes.
    pub(crate) fn makes_images(&self) -> bool {
        self.pieces.output_images > 0
    }

    /// Sets the number of images that the answer has.
    pub(crate) fn made(&mut self, images: u64) {
        self.pieces.output_images = images;
    }

    /// The pieces of the call.
    pub(crate) fn pieces(&self) -> Pieces {
        self.pieces
    }

    /// The usage with its cost, where an answer may state no tokens because it is billed by pieces.
    pub(crate) fn priced_answer(&self, spent: Spent) -> Spent {
        let is_by_pieces = spent.usage().is_none() && self.bills_pieces();
        let none = || Spent::counted(Some(TokenUsage::default()), spent.tier());
        self.priced(if is_by_pieces { none() } else { spent })
    }

    /// The name of the reach of its calls.
    pub(crate) fn reach(&self) -> String {
        self.model.reach_name()
    }

    /// The price row of this usage, and the source of its price.
    pub(crate) fn row(&self, usage: TokenUsage, tier: BilledTier) -> Option<(String, String)> {
        let charged = self.charged(usage, tier)?;
        Some((charged.row, charged.source.name().to_owned()))
    }

    /// The usage with its cost. Without a price for every part, there is no cost.
    pub(crate) fn priced(&self, spent: Spent) -> Spent {
        spent.at(spent.usage().and_then(|usage| self.cost(usage, spent.tier())))
    }

    /// The cost of this usage.
    pub(crate) fn cost(&self, usage: TokenUsage, tier: BilledTier) -> Option<CostUsd> {
        rounded(self.charged(usage, tier)?.cost.total)
    }

    /// The cost of this usage of a record of a batch job.
    pub(crate) fn batch_cost(&self, usage: TokenUsage) -> Option<CostUsd> {
        rounded(self.charged_at(&*self.quote(Tier::Batch)?, usage)?.cost.total)
    }

    /// The price row of this usage of a batch job, and the source of its price.
    pub(crate) fn batch_row(&self, usage: TokenUsage) -> Option<(String, String)> {
        let charged = self.charged_at(&*self.quote(Tier::Batch)?, usage)?;
        Some((charged.row, charged.source.name().to_owned()))
    }

    /// The cost of what a call may use. Models without a price for output, such as those of embeddings, write none.
    pub(crate) fn estimated(&self, mut usage: TokenUsage) -> Option<CostUsd> {
        let quote = self.quote(Tier::Standard)?;
        if !quote.has(Part::Output) {
            usage.output_tokens = 0;
        }
        rounded(self.charged_at(&quote, usage)?.cost.total)
    }

    fn charged(&self, usage: TokenUsage, tier: BilledTier) -> Option<Charged> {
        let tier = match tier {
            BilledTier::Standard => Tier::Standard,
            BilledTier::Flex => Tier::Flex,
            BilledTier::Priority => Tier::Priority,
            BilledTier::Reserved => Tier::Reserved,
            BilledTier::Unknown => return None,
        };
        let quote = self.quote(tier)?;
        self.charged_at(&quote, usage)
    }

    fn charged_at(&self, quote: &Quote, usage: TokenUsage) -> Option<Charged> {
        let mut usage = counted(usage);
        if self.pieces != Pieces::default() && !quote.has(Part::Input) {
            // Headers count tokens of models that are billed by pieces alone.
            usage = Usage::default();
        }
        let unpriced = |unpriced| log::debug!("a call has no cost: {unpriced}");
        quote.cost(&self.pieces.add_to(usage)).map_err(unpriced).ok()
    }

    fn quote(&self, tier: Tier) -> Option<Arc<Quote>> {
        let unquoted = |unquoted| log::debug!("a call has no cost: {unquoted}");
        self.model.quote(tier, Day::today()).map_err(unquoted).ok()
    }
}

/// The cost of a guardrail's units.
pub(crate) fn guardrail_cost(catalogue: &Catalogue, units: &Usage) -> Option<Nanodollars> {
    let quote = catalogue.guardrail_quote(Day::today()).ok()?;
    quote.cost(units).ok()?.cost.total.nanodollars().map(Nanodollars::new)
}

/// The usage with its cost, if the price is known.
pub(crate) fn priced(price: Option<&CallPrice>, spent: Spent) -> Spent {
    price.map_or(spent, |price| price.priced(spent))
}

/// The counts that have prices. Cache writes of unknown lifetime are those of five minutes, the default.
pub(crate) fn counted(usage: TokenUsage) -> Usage {
    let CacheWrites { five_minutes, one_hour } = usage.cache_details;
    let written = usage.cache_write_input_tokens.max(five_minutes.saturating_add(one_hour));
    Usage {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cache_read: usage.cache_read_input_tokens,
        cache_write: written.saturating_sub(one_hour),
        cache_write_1h: one_hour,
        ..Usage::default()
    }
}

/// The amount in picodollars, halves rounded up.
fn rounded(amount: Amount) -> Option<CostUsd> {
    let picodollars = amount.attodollars().checked_add(PICODOLLAR / 2)? / PICODOLLAR;
    u64::try_from(picodollars).ok().map(CostUsd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_writes_count_once_by_their_lifetime() {
        for (total, five_minutes, one_hour, expected) in
            [(9, 0, 0, (9, 0)), (9, 4, 5, (4, 5)), (9, 0, 5, (4, 5)), (0, 4, 5, (4, 5))]
        {
            let usage = TokenUsage {
                cache_write_input_tokens: total,
                cache_details: CacheWrites { five_minutes, one_hour },
                ..TokenUsage::default()
            };
            let counted = counted(usage);
            assert_eq!((counted.cache_write, counted.cache_write_1h), expected);
        }
    }

    #[test]
    fn costs_are_rounded_to_picodollars() {
        for (dollars, expected) in
            [("0.000000000000499999", 0), ("0.0000000000005", 1), ("0.027", 27_000_000_000)]
        {
            let amount = Amount::parse(&dollars[..dollars.len().min(17)]).unwrap();
            assert_eq!(rounded(amount), Some(CostUsd(expected)), "{dollars}");
        }
    }
}
