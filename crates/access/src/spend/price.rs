//! The price of a call: rates by part, and other rates for long prompts.

use super::amount::{Amount, BadAmount};
use super::part::Part;

/// Price of one unit of a part: a token, an image, a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(Amount);

/// Rates by part. A part without a rate cannot be charged for; a part that is free has the rate 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates([Option<Rate>; Part::ALL.len()]);

/// The price of a call: one row of a price list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// Rates of usual prompts.
    pub rates: Rates,
    /// Rates of long prompts, if they have others.
    pub long: Option<LongPrompt>,
}

/// Rates of prompts above a length. They hold for every token of such a call, and not only for those above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongPrompt {
    /// The longest prompt at the usual rates, in tokens, cached ones included.
    pub above: u64,
    /// The rates, complete: none is taken from the usual ones.
    pub rates: Rates,
}

/// The rates of a price that a call is charged at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Those of usual prompts.
    Usual,
    /// Those of long prompts.
    Long,
}

impl Rate {
    /// Reads a price as lists state it, in dollars: for a million tokens, or for one of anything else.
    ///
    /// # Errors
    /// The text is no plain decimal number, or the price of one unit cannot be kept exactly.
    pub fn parse(part: Part, text: &str) -> Result<Self, BadAmount> {
        let bad = || BadAmount { text: text.to_owned() };
        let rate = Amount::parse(text)?.shared(part.priced_per()).map(Self).ok_or_else(bad)?;
        // A tenth more must be exact too.
        rate.and_a_tenth().map(|_| rate).ok_or_else(bad)
    }

    /// Reads the price of one unit in dollars: of a token, an image, a query.
    ///
    /// # Errors
    /// The text is no plain decimal number, or the price cannot be kept exactly.
    pub fn of_unit(text: &str) -> Result<Self, BadAmount> {
        let rate = Self(Amount::parse(text)?);
        rate.and_a_tenth().map(|_| rate).ok_or_else(|| BadAmount { text: text.to_owned() })
    }

    /// The price of one unit.
    pub fn per_unit(self) -> Amount {
        self.0
    }

    /// The price as lists state it, in dollars.
    pub fn listed(self, part: Part) -> Option<Amount> {
        self.0.times(part.priced_per())
    }

    fn and_a_tenth(self) -> Option<Self> {
        self.0.times(11)?.shared(10).map(Self)
    }
}

impl Rates {
    /// The rate of a part.
    pub fn of(&self, part: Part) -> Option<Rate> {
        self.0.get(part as usize).copied().flatten()
    }

    /// Sets the rate of a part.
    pub fn set(&mut self, part: Part, rate: Rate) {
        if let Some(slot) = self.0.get_mut(part as usize) {
            *slot = Some(rate);
        }
    }

    /// The parts that have a rate, in the order of [`Part::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Part, Rate)> {
        Part::ALL.into_iter().zip(self.0).filter_map(|(part, rate)| Some((part, rate?)))
    }

    /// Whether there is no rate at all.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn each(self, of: impl Fn(Rate) -> Option<Rate>) -> Option<Self> {
        let mut rates = Self::default();
        for (part, rate) in self.iter() {
            rates.set(part, of(rate)?);
        }
        Some(rates)
    }
}

impl Price {
    /// The price of calls that are paid for by the hour or the month: every part is free.
    pub fn nothing_per_call() -> Self {
        let mut rates = Rates::default();
        for part in Part::ALL {
            rates.set(part, Rate(Amount::ZERO));
        }
        Self { rates, long: None }
    }

    /// The price and a tenth of it; `None` if it is too large. Geographic profiles and regions cost that much
    /// more than global profiles.
    pub fn and_a_tenth(&self) -> Option<Self> {
        let long = match self.long {
            Some(LongPrompt { above, rates }) => {
                Some(LongPrompt { above, rates: rates.each(Rate::and_a_tenth)? })
            }
            None => None,
        };
        Some(Self { rates: self.rates.each(Rate::and_a_tenth)?, long })
    }

    /// The rates of a prompt of this many tokens, those read from and written to caches included.
    pub fn step(&self, prompt_tokens: u64) -> (Step, &Rates) {
        match &self.long {
            Some(long) if prompt_tokens > long.above => (Step::Long, &long.rates),
            Some(_) | None => (Step::Usual, &self.rates),
        }
    }
}
