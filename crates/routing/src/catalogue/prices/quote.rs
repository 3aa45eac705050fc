//! Quotes: the price that holds for a call, and the row that it comes from.

use std::sync::Arc;

use access::spend::{Cost, Part, Price, Unpriced, Usage, cost};

use super::super::agents;
use super::super::date::Day;
use super::super::id::Name;
use super::super::{Catalogue, ResolvedModel};
use super::reach::{CallReach, PossibleRow};
use super::{PriceRow, Prices, Tier};

/// The name of the rows with the prices of guardrails.
const GUARDRAIL: &str = "guardrail";

/// The price of a call, before its usage is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    /// The rows that may hold: one, unless the reach of the call is not known.
    rows: Vec<QuotedRow>,
    source: PriceSource,
}

/// A row that may hold for a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QuotedRow {
    pub(super) name: String,
    pub(super) price: Price,
    pub(super) dated: Option<Day>,
    is_derived: bool,
}

/// Origin of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PriceSource {
    /// The compiled-in price list.
    Listed,
    /// The operator.
    Operator,
    /// The list or the operator, for a reach that is not known: the dearest of those possible, or a tenth
    /// more than the global price.
    Assumed,
    /// Capacity paid for by time: calls cost nothing by themselves.
    Provisioned,
}

/// The cost of a call, and the row that it was computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// The cost.
    pub cost: Cost,
    /// Name of the row: model, reach, tier, and the day from which it holds.
    pub row: String,
    /// Origin of the price.
    pub source: PriceSource,
}

/// The reason why a call has no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unquoted {
    /// The model has no rows.
    #[error("no price of {model:?}")]
    Model {
        /// Its id.
        model: String,
    },
    /// None of its rows holds where the call runs.
    #[error("no price of {model:?} through {reach}")]
    Reach {
        /// The model's id.
        model: String,
        /// The reach of the call.
        reach: String,
    },
    /// The row that would hold says nothing of the tier on that day.
    #[error("no price of {model:?} through {reach} in the tier {tier}")]
    Tier {
        /// The model's id.
        model: String,
        /// The reach of the call.
        reach: String,
        /// The tier that served it.
        tier: Tier,
    },
}

impl PriceSource {
    /// The name in stored rows and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Operator => "operator",
            Self::Assumed => "assumed",
            Self::Provisioned => "provisioned",
        }
    }
}

impl Quote {
    /// Origin of the price.
    pub fn source(&self) -> PriceSource {
        self.source
    }

    /// Whether every row that may hold has a rate for a part.
    pub fn has(&self, part: Part) -> bool {
        self.rows.iter().all(|row| row.price.rates.of(part).is_some())
    }

    /// The cost of this usage: at the dearest row, where several may hold.
    ///
    /// # Errors
    /// The part that was used and has no price.
    pub fn cost(&self, usage: &Usage) -> Result<Charged, Unpriced> {
        let mut dearest =
            Charged { cost: Cost::default(), row: String::new(), source: self.source };
        for row in &self.rows {
            let cost = cost(&row.price, usage)?;
            if dearest.row.is_empty() || cost.total > dearest.cost.total {
                dearest = Charged { cost, row: row.name.clone(), ..dearest };
            }
        }
        Ok(dearest)
    }

    /// The row that lists show: the dearest by the first rate.
    pub(super) fn shown(&self) -> Option<&QuotedRow> {
        let first = |row: &&QuotedRow| row.price.rates.iter().next().map(|(_, rate)| rate);
        self.rows.iter().max_by_key(first)
    }

    /// The operator's price of a target.
    fn stated(model: &str, price: &Price) -> Self {
        let source = PriceSource::Operator;
        let name = format!("{model}/{}", source.name());
        let row = QuotedRow { name, price: price.clone(), dated: None, is_derived: false };
        Self { rows: vec![row], source }
    }

    fn by_time(model: &str) -> Self {
        let row = QuotedRow {
            name: format!("{model}/{}", PriceSource::Provisioned.name()),
            price: Price::nothing_per_call(),
            dated: None,
            is_derived: false,
        };
        Self { rows: vec![row], source: PriceSource::Provisioned }
    }
}

impl Catalogue {
    /// The price of a guardrail's text units and images in this region, on a day. Blocked inputs cost these
    /// units alone.
    ///
    /// # Errors
    /// No row holds there.
    pub fn guardrail_quote(&self, on: Day) -> Result<Quote, Unquoted> {
        let region = &self.0.region;
        let call = PricedCall { model: GUARDRAIL, region, tier: Tier::Standard, on };
        call.quote(self.0.registry.prices(GUARDRAIL), &CallReach::Region(region.clone()))
    }
}

/// The part of a resolved model that decides the price of its calls. Cheap to clone, unlike the model with
/// its profile.
#[derive(Debug, Clone)]
pub struct PricedModel {
    /// The id that is sent.
    model_id: String,
    base: Option<String>,
    price: Option<Arc<Price>>,
    catalogue: Catalogue,
}

impl ResolvedModel {
    /// The part that decides the price.
    pub fn priced(&self) -> PricedModel {
        let Self { model_id, base, price, catalogue, .. } = self;
        PricedModel::new(model_id.clone(), base.clone(), price.clone(), catalogue.clone())
    }

    /// The price of a call of this model, as [`PricedModel::quote`] finds it.
    ///
    /// # Errors
    /// As there.
    pub fn quote(&self, tier: Tier, on: Day) -> Result<Arc<Quote>, Unquoted> {
        self.priced().quote(tier, on)
    }
}

impl PricedModel {
    pub(in crate::catalogue) fn new(
        model_id: String,
        base: Option<String>,
        price: Option<Arc<Price>>,
        catalogue: Catalogue,
    ) -> Self {
        Self { model_id, base, price, catalogue }
    }

    /// The price of a call of this model, through the id that is sent, in the tier that **served** it, on a
    /// day.
    ///
    /// # Errors
    /// The model, its reach or its tier has no price. It is never taken to be 0, nor that of another tier.
    pub fn quote(&self, tier: Tier, on: Day) -> Result<Arc<Quote>, Unquoted> {
        let inner = &self.catalogue.0;
        let model = self.base.as_deref().unwrap_or(&self.model_id);
        if let Some(price) = &self.price {
            return Ok(Arc::new(Quote::stated(model, price)));
        }
        let reach = self.catalogue.reach(&self.model_id);
        let call = PricedCall { model, region: &inner.region, tier, on };
        if let Some(quote) = inner.quotes.find(&call, &reach) {
            return Ok(quote);
        }
        let quote = Arc::new(call.quote(inner.registry.prices(model), &reach)?);
        inner.quotes.keep(&call, &reach, &quote);
        Ok(quote)
    }

    /// Most tokens that the model writes in an answer, if that is known.
    pub fn max_output(&self) -> Option<u64> {
        let base = self.catalogue.0.registry.listed(self.base.as_deref()?)?;
        base.max_output
    }

    /// The id that is sent.
    pub fn model_id(&self) -> &str {
        &self.model_id
    }

    /// The name of its reach in rows of calls: `global`, the prefix of a geography, `in-region`, or `unknown`.
    pub fn reach_name(&self) -> String {
        self.catalogue.reach(&self.model_id).name().to_owned()
    }
}

impl Catalogue {
    /// The reach of an id, as far as it is known without asking.
    pub(in crate::catalogue) fn reach(&self, id: &str) -> CallReach {
        let name = Name::parse(id).id;
        // The model of a stored prompt has a reach of its own.
        let reach = match agents::prompt(&name) {
            Some(_) => CallReach::Unknown,
            None => CallReach::of(&name, &self.0.region),
        };
        if reach != CallReach::Unknown {
            return reach;
        }
        let listed = self.0.listing.known().and_then(|account| account.reach(id));
        listed.or_else(|| self.0.arn_lookup.reach(id)).unwrap_or(reach)
    }
}

/// The circumstances of a call that decide its price, its reach aside.
#[derive(Debug, Clone, Copy)]
pub(in crate::catalogue) struct PricedCall<'c> {
    pub(in crate::catalogue) model: &'c str,
    pub(in crate::catalogue) region: &'c str,
    pub(in crate::catalogue) tier: Tier,
    pub(in crate::catalogue) on: Day,
}

impl PricedCall<'_> {
    /// The price at these rows.
    pub(in crate::catalogue) fn quote(
        &self,
        prices: Option<&Prices>,
        reach: &CallReach,
    ) -> Result<Quote, Unquoted> {
        if *reach == CallReach::ByTime || self.tier == Tier::Reserved {
            return Ok(Quote::by_time(self.model));
        }
        let prices = prices.ok_or_else(|| Unquoted::Model { model: self.model.to_owned() })?;
        let rows = match reach {
            CallReach::Unknown => self.rows(prices)?,
            reach => vec![self.row(prices, reach)?],
        };
        let is_known = rows.len() == 1 && rows.iter().all(|row| !row.is_derived);
        let source = match (is_known, prices.is_operators) {
            (false, _) => PriceSource::Assumed,
            (true, true) => PriceSource::Operator,
            (true, false) => PriceSource::Listed,
        };
        Ok(Quote { rows, source })
    }

    /// The rows that may hold for a call of an unknown reach.
    fn rows(&self, prices: &Prices) -> Result<Vec<QuotedRow>, Unquoted> {
        let mut rows: Vec<QuotedRow> = Vec::new();
        for possible in CallReach::all(self.region) {
            match self.row(prices, &possible) {
                Ok(row) if rows.iter().any(|known| known.name == row.name) => {}
                Ok(row) => rows.push(row),
                // The model has no such profile.
                Err(Unquoted::Reach { .. }) => {}
                Err(unquoted) => return Err(unquoted),
            }
        }
        if rows.is_empty() { Err(self.nowhere(&CallReach::Unknown)) } else { Ok(rows) }
    }

    /// The first reach with rows decides; it must have the tier.
    fn row(&self, prices: &Prices, reach: &CallReach) -> Result<QuotedRow, Unquoted> {
        let found = reach.candidates().into_iter().find_map(|candidate| {
            let rows = prices.at(&candidate.reach);
            (!rows.is_empty()).then_some((candidate, rows))
        });
        let (candidate, rows) = found.ok_or_else(|| self.nowhere(reach))?;
        let begun =
            rows.into_iter().filter(|row| row.tier == self.tier && row.from <= Some(self.on));
        let row = begun.max_by_key(|row| row.from);
        row.and_then(|row| self.quoted(&candidate, row)).ok_or_else(|| Unquoted::Tier {
            model: self.model.to_owned(),
            reach: reach.to_string(),
            tier: self.tier,
        })
    }

    fn quoted(&self, candidate: &PossibleRow, row: &PriceRow) -> Option<QuotedRow> {
        let PossibleRow { reach, and_a_tenth } = candidate;
        let price = if *and_a_tenth { row.price.and_a_tenth()? } else { row.price.clone() };
        let from = row.from.map(|day| format!("@{day}")).unwrap_or_default();
        let more = if *and_a_tenth { "+10%" } else { "" };
        let name = format!("{}/{reach}{more}/{}{from}", self.model, row.tier);
        Some(QuotedRow { name, price, dated: row.dated, is_derived: *and_a_tenth })
    }

    fn nowhere(&self, reach: &CallReach) -> Unquoted {
        Unquoted::Reach { model: self.model.to_owned(), reach: reach.to_string() }
    }
}
