//! Prices of a model's calls, as written in `config/prices.toml` and by operators.

use schema::openai::models;
use serde::Deserialize;
use toml::{Table, Value};

use super::date::Day;
use super::id::{Arn, ArnKind, Id};

/// The prices of one model, in US dollars.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub(super) struct Prices {
    /// The day on which they were valid.
    pub(super) dated: Option<Day>,
    /// In the model's own region, and through its global profile.
    pub(super) base: Rates,
    /// Through a profile of one geography, if different.
    pub(super) geo: Option<Rates>,
    /// For long prompts, if different.
    pub(super) long: Option<Long>,
    /// For the service tier `flex`.
    pub(super) flex: Option<Rates>,
    /// For the service tier `priority`.
    pub(super) priority: Option<Rates>,
    /// For batch inference.
    pub(super) batch: Option<Rates>,
}

/// Prices per unit, in US dollars; absent if unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rates {
    /// Per million tokens, like the next five.
    pub(super) input: Option<f64>,
    pub(super) output: Option<f64>,
    pub(super) cache_read: Option<f64>,
    /// Cached for five minutes.
    pub(super) cache_write: Option<f64>,
    pub(super) cache_write_1h: Option<f64>,
    pub(super) input_audio: Option<f64>,
    /// Per image.
    pub(super) image: Option<f64>,
    /// Per request.
    pub(super) request: Option<f64>,
    /// Per second of video.
    pub(super) video_second: Option<f64>,
    /// Per second of audio.
    pub(super) audio_second: Option<f64>,
}

/// Prices of prompts above this many tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Long {
    pub(super) above: u64,
    pub(super) rates: Rates,
}

impl Prices {
    /// The prices as clients see them, for an id of this reach.
    pub(super) fn listed(&self, reach: Reach) -> models::Prices {
        let tier = |rates: &Option<Rates>| rates.as_ref().map(Rates::listed);
        models::Prices {
            currency: "USD",
            dated: self.dated.map(|day| day.to_string()),
            rates: self.rates(reach).listed(),
            long: self
                .long
                .map(|Long { above, rates }| models::LongRates { above, rates: rates.listed() }),
            flex: tier(&self.flex),
            priority: tier(&self.priority),
            batch: tier(&self.batch),
        }
    }

    /// The rates for calls through a profile of one geography, or for all others.
    pub(super) fn rates(&self, reach: Reach) -> &Rates {
        match reach {
            Reach::Geography => self.geo.as_ref().unwrap_or(&self.base),
            Reach::RegionOrGlobal => &self.base,
        }
    }
}

impl Rates {
    fn listed(&self) -> models::Rates {
        let Self { input, output, cache_read, cache_write, cache_write_1h, .. } = *self;
        let Self { input_audio, image, request, video_second, audio_second, .. } = *self;
        models::Rates {
            input,
            output,
            cache_read,
            cache_write,
            cache_write_1h,
            input_audio,
            image,
            request,
            video_second,
            audio_second,
        }
    }
}

/// Regions in which a call may run, which decides its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Through a profile of one geography.
    Geography,
    /// In one region, or through a global profile.
    RegionOrGlobal,
}

impl Reach {
    /// The reach of an id as sent to Bedrock.
    pub(super) fn of(id: &Id<'_>) -> Self {
        let profile = match *id {
            Id::Profile { id, .. } => Some(id),
            Id::Arn(Arn { kind: ArnKind::InferenceProfile, resource, .. }) => Some(resource),
            Id::Arn(_) | Id::Model(_) => None,
        };
        match profile {
            Some(id) if !id.starts_with("global.") => Self::Geography,
            Some(_) | None => Self::RegionOrGlobal,
        }
    }
}

impl TryFrom<Table> for Prices {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        let mut part = |name: &str| table.remove(name).map(|part| rates(part, name)).transpose();
        let (geo, flex) = (part("geo")?, part("flex")?);
        let (priority, batch) = (part("priority")?, part("batch")?);
        let long = table.remove("long").map(long).transpose()?;
        let dated =
            table.remove("dated").map(Value::try_into).transpose().map_err(|error| told(&error))?;
        let base = rates(Value::Table(table), "prices")?;
        Ok(Self { dated, base, geo, long, flex, priority, batch })
    }
}

fn long(value: Value) -> Result<Long, String> {
    let Value::Table(mut table) = value else { return Err("long must be a table".to_owned()) };
    let above = table.remove("above").ok_or("long needs above, a number of tokens")?;
    let above = above.try_into().map_err(|error| told(&error))?;
    Ok(Long { above, rates: rates(Value::Table(table), "long")? })
}

fn rates(value: Value, place: &str) -> Result<Rates, String> {
    let Value::Table(table) = &value else { return Err(format!("{place} must be a table")) };
    for (name, price) in table {
        let number = price.as_float().or_else(|| price.as_integer().map(|_| 0.0));
        if number.is_some_and(|number| !number.is_finite() || number < 0.0)
            || price.as_integer().is_some_and(i64::is_negative)
        {
            return Err(format!("{name} must be a price in dollars, 0 or more"));
        }
    }
    value.try_into().map_err(|error| told(&error))
}

fn told(error: &toml::de::Error) -> String {
    error.message().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::id::Name;
    use super::*;

    fn read(text: &str) -> Result<Prices, String> {
        Prices::try_from(toml::from_str::<Table>(text).unwrap())
    }

    #[test]
    fn a_geography_may_have_its_own_prices() {
        let prices = read("input = 1\noutput = 2.5\ngeo = { input = 1.1 }").unwrap();
        assert_eq!(prices.rates(Reach::RegionOrGlobal).output, Some(2.5));
        assert_eq!(prices.rates(Reach::Geography).input, Some(1.1));
        let prices = read("input = 1\nlong = { above = 200_000, input = 2 }").unwrap();
        assert_eq!(prices.rates(Reach::Geography).input, Some(1.0), "none of its own");
        let long = prices.long.unwrap();
        assert_eq!((long.above, long.rates.input), (200_000, Some(2.0)));
    }

    #[test]
    fn the_id_decides_the_prices() {
        for (id, reach) in [
            ("us.a.b", Reach::Geography),
            ("global.a.b", Reach::RegionOrGlobal),
            ("a.b", Reach::RegionOrGlobal),
            ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.a.b", Reach::Geography),
            ("arn:aws:bedrock:eu-west-1::foundation-model/a.b", Reach::RegionOrGlobal),
            ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x", Reach::RegionOrGlobal),
        ] {
            assert_eq!(Reach::of(&Name::parse(id).id), reach, "{id}");
        }
    }

    #[test]
    fn wrong_prices_are_refused() {
        for (text, complaint) in [
            ("inptu = 1", "unknown field `inptu`, expected one of `input`"),
            ("input = -1", "0 or more"),
            ("input = -0.5", "0 or more"),
            ("input = nan", "0 or more"),
            ("input = \"much\"", "much"),
            ("flex = 1", "flex must be a table"),
            ("flex = { above = 1 }", "above"),
            ("long = { input = 1 }", "needs above"),
            ("dated = \"soon\"", "soon"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
