//! Quotes of the calls that were priced before: finding the row of a call takes longer than all of its arithmetic, and
//! calls of a model differ in their tier and day at most. Read on every request without a lock, written once per model,
//! reach, tier and day.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::super::date::Day;
use super::Tier;
use super::quote::{PricedCall, Quote};
use super::reach::CallReach;

/// Models kept. Callers may make ids up: all are forgotten at this number.
const MOST: usize = 1024;

/// The quotes of one catalogue.
#[derive(Debug, Default)]
pub(in crate::catalogue) struct QuoteCache(ArcSwap<HashMap<String, Vec<Entry>>>);

/// The quote of calls of a model of one reach and tier, on a day.
#[derive(Debug, Clone)]
struct Entry {
    reach: CallReach,
    tier: Tier,
    on: Day,
    quote: Arc<Quote>,
}

impl QuoteCache {
    /// The quote of a call of this reach, if it was made on the same day.
    pub(super) fn find(&self, call: &PricedCall<'_>, reach: &CallReach) -> Option<Arc<Quote>> {
        let by_model = self.0.load();
        let entries = by_model.get(call.model)?;
        let entry = entries.iter().find(|entry| entry.is_of(call, reach))?;
        (entry.on == call.on).then(|| Arc::clone(&entry.quote))
    }

    /// Keeps a quote, in place of that of another day.
    pub(super) fn keep(&self, call: &PricedCall<'_>, reach: &CallReach, quote: &Arc<Quote>) {
        let PricedCall { model, tier, on, .. } = *call;
        self.0.rcu(|by_model| {
            let mut by_model = HashMap::clone(by_model);
            if by_model.len() >= MOST && !by_model.contains_key(model) {
                by_model.clear();
            }
            let entries = by_model.entry(model.to_owned()).or_default();
            entries.retain(|entry| !entry.is_of(call, reach));
            entries.push(Entry { reach: reach.clone(), tier, on, quote: Arc::clone(quote) });
            by_model
        });
    }
}

impl Entry {
    fn is_of(&self, call: &PricedCall<'_>, reach: &CallReach) -> bool {
        self.tier == call.tier && self.reach == *reach
    }
}
