//! Prices as lists of models show them.

use access::spend::{Part, Price, Rates};
use schema::openai::models;

use super::super::date::Day;
use super::super::{Catalogue, ResolvedModel};
use super::quote::{PricedCall, Quote, QuotedRow};
use super::{CallReach, Tier};

impl Catalogue {
    /// The prices of calls of a model by the id that is sent, today.
    pub(in crate::catalogue) fn listed_prices(
        &self,
        sent: &str,
        base: Option<&str>,
    ) -> Option<models::Prices> {
        let (model, region) = (base?, self.0.region.as_str());
        let (prices, reach) = (self.0.registry.prices(model)?, self.reach(sent));
        if reach == CallReach::ByTime {
            return None;
        }
        let quote = |tier| {
            let call = PricedCall { model, region, tier, on: Day::today() };
            call.quote(Some(prices), &reach).ok()
        };
        let tier = |tier| quote(tier)?.shown().map(|row| stepped(&row.price));
        Some(models::Prices {
            flex: tier(Tier::Flex),
            priority: tier(Tier::Priority),
            ultrafast: tier(Tier::Ultrafast),
            batch: tier(Tier::Batch),
            ..standard(&quote(Tier::Standard)?)?
        })
    }
}

impl ResolvedModel {
    /// The prices of its calls, today: the operator's, which hold for all tiers, or those of its foundation model.
    pub(in crate::catalogue) fn listed_prices(&self, base: Option<&str>) -> Option<models::Prices> {
        match &self.price {
            Some(_) => standard(&*self.quote(Tier::Standard, Day::today()).ok()?),
            None => self.catalogue.listed_prices(&self.model_id, base),
        }
    }
}

fn standard(quote: &Quote) -> Option<models::Prices> {
    let QuotedRow { name, price, dated, .. } = quote.shown()?;
    let models::TierRates { rates, long } = stepped(price);
    Some(models::Prices {
        currency: "USD",
        dated: dated.map(|day| day.to_string()),
        row: name.clone(),
        source: quote.source().name(),
        rates,
        long,
        flex: None,
        priority: None,
        ultrafast: None,
        batch: None,
    })
}

fn stepped(price: &Price) -> models::TierRates {
    let long = price
        .long
        .as_ref()
        .map(|long| models::LongRates { above: long.above, rates: stated(&long.rates) });
    models::TierRates { rates: stated(&price.rates), long }
}

fn stated(rates: &Rates) -> models::Rates {
    let of = |part| {
        let stated = rates.of(part)?.listed(part)?;
        Some(models::Dollars::from(stated.to_string()))
    };
    models::Rates {
        input: of(Part::Input),
        output: of(Part::Output),
        cache_read: of(Part::CacheRead),
        cache_write: of(Part::CacheWrite),
        cache_write_1h: of(Part::CacheWrite1h),
        input_audio: of(Part::InputAudio),
        output_audio: of(Part::OutputAudio),
        image: of(Part::Image),
        output_image: of(Part::OutputImage),
        request: of(Part::Request),
        rerank_query: of(Part::RerankQuery),
        video_second: of(Part::VideoSecond),
        audio_second: of(Part::AudioSecond),
        web_search: of(Part::WebSearch),
    }
}
