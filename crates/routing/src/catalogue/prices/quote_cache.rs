//! Quotes of the calls that were priced before: finding the row of a call takes longer than all of its arithmetic, and
//! calls of a model differ in their tier and day at most.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::super::date::Day;
use super::Tier;
use super::quote::{PricedCall, Quote};
use super::reach::CallReach;

/// Models kept. Callers may make ids up: all are forgotten at this number.
const MOST: usize = 1024;

/// The quotes of one catalogue.
#[derive(Debug, Default)]
pub(in crate::catalogue) struct QuoteCache {
    by_model: RwLock<HashMap<String, Vec<Entry>>>,
}

/// The quote of calls of a model of one reach and tier, on a day.
#[derive(Debug)]
struct Entry {
    reach: CallReach,
    tier: Tier,
    on: Day,
    quote: Arc<Quote>,
}

impl QuoteCache {
    /// The quote of a call of this reach, if it was made on the same day.
    pub(super) fn find(&self, call: &PricedCall<'_>, reach: &CallReach) -> Option<Arc<Quote>> {
        let by_model = self.by_model.read().unwrap_or_else(PoisonError::into_inner);
        let entries = by_model.get(call.model)?;
        let entry = entries.iter().find(|entry| entry.is_of(call, reach))?;
        (entry.on == call.on).then(|| Arc::clone(&entry.quote))
    }

    /// Keeps a quote, in place of that of another day.
    pub(super) fn keep(&self, call: &PricedCall<'_>, reach: CallReach, quote: &Arc<Quote>) {
        let mut by_model = self.by_model.write().unwrap_or_else(PoisonError::into_inner);
        if by_model.len() >= MOST && !by_model.contains_key(call.model) {
            by_model.clear();
        }
        let entries = by_model.entry(call.model.to_owned()).or_default();
        entries.retain(|entry| !entry.is_of(call, &reach));
        let PricedCall { tier, on, .. } = *call;
        entries.push(Entry { reach, tier, on, quote: Arc::clone(quote) });
    }
}

impl Entry {
    fn is_of(&self, call: &PricedCall<'_>, reach: &CallReach) -> bool {
        self.tier == call.tier && self.reach == *reach
    }
}
