//! Prices that an entry of a LiteLLM file states for its target, in dollars for one unit. They replace those of the
//! catalogue as a whole.

use std::sync::Arc;

use access::spend::{LongPrompt, Part, Price, Rate, Rates};

use super::super::parsers::Expected;
use super::super::provenance::Show;
use super::super::section::Section;
use super::super::yaml_tree::Value;

const EXPECTED: Expected = "a price in dollars for one unit, such as 0.000003";
/// Tokens above which LiteLLM's long prompts begin.
const LONG: u64 = 200_000;

/// Keys, and the parts that they price.
const USUAL: &[(&str, Part)] = &[
    ("input_cost_per_token", Part::Input),
    ("output_cost_per_token", Part::Output),
    ("cache_read_input_token_cost", Part::CacheRead),
    ("cache_creation_input_token_cost", Part::CacheWrite),
    ("cache_creation_input_token_cost_above_1hr", Part::CacheWrite1h),
    ("input_cost_per_audio_token", Part::InputAudio),
    ("output_cost_per_audio_token", Part::OutputAudio),
    ("input_cost_per_image", Part::Image),
    ("output_cost_per_image", Part::OutputImage),
    ("input_cost_per_query", Part::RerankQuery),
    ("input_cost_per_video_per_second", Part::VideoSecond),
    ("input_cost_per_audio_per_second", Part::AudioSecond),
];
/// The same for long prompts.
const OF_LONG: &[(&str, Part)] = &[
    ("input_cost_per_token_above_200k_tokens", Part::Input),
    ("output_cost_per_token_above_200k_tokens", Part::Output),
    ("cache_read_input_token_cost_above_200k_tokens", Part::CacheRead),
    ("cache_creation_input_token_cost_above_200k_tokens", Part::CacheWrite),
];

impl Show for Rate {
    fn show(&self) -> String {
        self.per_unit().to_string()
    }
}

/// Reads the prices of a section; absent where it states none.
pub(super) fn read(section: &mut Section<'_>) -> Option<Arc<Price>> {
    let usual = rates(section, USUAL);
    let long = rates(section, OF_LONG);
    if usual.is_empty() {
        return None;
    }
    let rates = with_caches(usual);
    let long = (!long.is_empty()).then(|| {
        let mut all = rates;
        long.iter().for_each(|(part, rate)| all.set(part, rate));
        LongPrompt { above: LONG, rates: all }
    });
    Some(Arc::new(Price { rates, long }))
}

fn rates(section: &mut Section<'_>, keys: &[(&'static str, Part)]) -> Rates {
    let mut rates = Rates::default();
    for (key, part) in keys {
        let rate =
            section.optional(key, |value| Rate::of_unit(&decimal(value)?).map_err(|_| EXPECTED));
        if let Some(rate) = rate {
            rates.set(*part, rate);
        }
    }
    rates
}

/// Tokens of the cache without a price cost what others of the prompt do: nothing that is used is free unless that is said.
fn with_caches(mut rates: Rates) -> Rates {
    let Some(input) = rates.of(Part::Input) else { return rates };
    for part in [Part::CacheRead, Part::CacheWrite] {
        if rates.of(part).is_none() {
            rates.set(part, input);
        }
    }
    if let (None, Some(write)) = (rates.of(Part::CacheWrite1h), rates.of(Part::CacheWrite)) {
        rates.set(Part::CacheWrite1h, write);
    }
    rates
}

/// The decimal text of a number. The shortest text that reads back as the number is the one that was typed.
fn decimal(value: &Value) -> Result<String, Expected> {
    match value {
        Value::Integer(number) if *number >= 0 => Ok(number.to_string()),
        Value::Float(number) if number.is_finite() && *number >= 0.0 => Ok(number.to_string()),
        Value::Text(text) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(number.to_string()),
            _ => Err(EXPECTED),
        },
        _ => Err(EXPECTED),
    }
}
