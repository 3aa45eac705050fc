//! The cost of a call, from its price and its usage.

use super::amount::Amount;
use super::part::Part;
use super::price::{Price, Rate, Step};
use super::usage::Usage;

/// The cost of a call: the total is the sum of the parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    /// One entry for each part that was used.
    pub parts: Vec<Charge>,
    /// The sum.
    pub total: Amount,
}

/// The cost of one part of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// The part.
    pub part: Part,
    /// Its count.
    pub quantity: u64,
    /// The price of one.
    pub rate: Rate,
    /// The product.
    pub amount: Amount,
}

/// The reason why a call has no cost. It is never 0 for want of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    /// A part was used that the price lacks.
    #[error("no price of {}{}", .part.key(), match .step { Step::Usual => "", Step::Long => " for long prompts" })]
    Part {
        /// The part.
        part: Part,
        /// The rates in which it is missing.
        step: Step,
    },
    /// The cost is beyond any number.
    #[error("the cost of {} is too large", .part.key())]
    TooLarge {
        /// The part at which it became so.
        part: Part,
    },
}

/// The cost of a call with this usage at this price. Parts that were not used need no rate.
///
/// # Errors
/// The part that was used and has no rate.
pub fn cost(price: &Price, usage: &Usage) -> Result<Cost, Unpriced> {
    let (step, rates) = price.step(usage.prompt_tokens());
    let mut cost = Cost::default();
    for (part, quantity) in usage.quantities().filter(|(_, quantity)| *quantity > 0) {
        let rate = rates.of(part).ok_or(Unpriced::Part { part, step })?;
        let too_large = Unpriced::TooLarge { part };
        let amount = rate.per_unit().times(quantity).ok_or(too_large)?;
        cost.total = cost.total.plus(amount).ok_or(too_large)?;
        cost.parts.push(Charge { part, quantity, rate, amount });
    }
    Ok(cost)
}

impl Cost {
    /// The cost of both, as of a call and the guardrail that judged it; `None` if it is too large.
    #[must_use]
    pub fn and(mut self, other: Self) -> Option<Self> {
        self.total = self.total.plus(other.total)?;
        self.parts.extend(other.parts);
        Some(self)
    }
}
