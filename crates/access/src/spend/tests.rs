//! The arithmetic itself, on prices written here; the prices of models are tested where they are kept.
#![allow(clippy::unwrap_used)]

use super::*;

fn rates(of: &[(Part, &str)]) -> Rates {
    let mut rates = Rates::default();
    for (part, text) in of {
        rates.set(*part, Rate::parse(*part, text).unwrap());
    }
    rates
}

fn price() -> Price {
    let long = rates(&[(Part::Input, "4.4"), (Part::Output, "16.5"), (Part::CacheRead, "0.44")]);
    Price {
        rates: rates(&[
            (Part::Input, "2.2"),
            (Part::Output, "11"),
            (Part::CacheRead, "0.22"),
            (Part::CacheWrite, "0"),
        ]),
        long: Some(LongPrompt { above: 272_000, rates: long }),
    }
}

fn total(usage: Usage) -> String {
    cost(&price(), &usage).unwrap().total.to_string()
}

#[test]
fn one_token_too_many_makes_every_token_long() {
    let at = Usage { input: 172_000, cache_read: 100_000, output: 1_000, ..Usage::default() };
    assert_eq!(total(at), "0.4114");
    assert_eq!(total(Usage { input: 172_001, ..at }), "0.8173044");
}

#[test]
fn a_missing_part_refuses_and_a_free_one_is_listed() {
    let written = Usage { input: 1, cache_write: 1_000, ..Usage::default() };
    let free = cost(&price(), &written).unwrap();
    assert_eq!(free.parts[1].amount, Amount::ZERO);
    assert_eq!((free.parts[1].part, free.parts[1].quantity), (Part::CacheWrite, 1_000));
    assert_eq!(free.total, free.parts[0].amount);

    let hour = Usage { cache_write_1h: 1, ..written };
    let missing = Unpriced::Part { part: Part::CacheWrite1h, step: Step::Usual };
    assert_eq!(cost(&price(), &hour), Err(missing));
    assert_eq!(missing.to_string(), "no price of cache_write_1h");

    let long = Usage { cache_write: 272_000, ..written };
    let missing = Unpriced::Part { part: Part::CacheWrite, step: Step::Long };
    assert_eq!(cost(&price(), &long), Err(missing), "never the usual rate for a long prompt");
    assert_eq!(missing.to_string(), "no price of cache_write for long prompts");
}

#[test]
fn nothing_used_costs_nothing_whatever_the_price() {
    assert_eq!(cost(&Price::default(), &Usage::default()), Ok(Cost::default()));
    let used = Usage { input: 5, guardrail_topic: 1, ..Usage::default() };
    let provisioned = cost(&Price::nothing_per_call(), &used).unwrap();
    assert_eq!((provisioned.total, provisioned.parts.len()), (Amount::ZERO, 2));
}

#[test]
fn the_total_is_the_sum_of_the_parts() {
    let mut all = Price::default();
    for (place, part) in Part::ALL.into_iter().enumerate() {
        all.rates.set(part, Rate::parse(part, &format!("{place}.{place}1")).unwrap());
    }
    // Every count differs, and the pattern of the bits makes any part taken twice visible.
    let mut usage = Usage::default();
    let fields = [
        &mut usage.input,
        &mut usage.output,
        &mut usage.cache_read,
        &mut usage.cache_write,
        &mut usage.cache_write_1h,
        &mut usage.input_audio,
        &mut usage.output_audio,
        &mut usage.images,
        &mut usage.output_images,
        &mut usage.requests,
        &mut usage.rerank_queries,
        &mut usage.video_seconds,
        &mut usage.audio_seconds,
        &mut usage.web_searches,
        &mut usage.guardrail_content,
        &mut usage.guardrail_topic,
        &mut usage.guardrail_word,
        &mut usage.guardrail_pii,
        &mut usage.guardrail_pii_free,
        &mut usage.guardrail_grounding,
        &mut usage.guardrail_reasoning,
        &mut usage.guardrail_images,
    ];
    for (place, field) in fields.into_iter().enumerate() {
        *field = 1 << place;
    }
    let cost = cost(&all, &usage).unwrap();
    assert_eq!(cost.parts.len(), Part::ALL.len());
    let mut sum = 0;
    for (place, charge) in cost.parts.iter().enumerate() {
        assert_eq!((charge.part, charge.quantity), (Part::ALL[place], 1 << place));
        assert_eq!(charge.amount.attodollars(), charge.rate.per_unit().attodollars() << place);
        sum += charge.amount.attodollars();
    }
    assert_eq!(cost.total.attodollars(), sum);
    let twice = cost.clone().and(cost).unwrap();
    assert_eq!((twice.total.attodollars(), twice.parts.len()), (2 * sum, 2 * Part::ALL.len()));
}

#[test]
fn a_cost_beyond_any_number_is_refused() {
    let dear = Price { rates: rates(&[(Part::Image, "100000000000000")]), long: None };
    let usage = Usage { images: u64::MAX, ..Usage::default() };
    assert_eq!(cost(&dear, &usage), Err(Unpriced::TooLarge { part: Part::Image }));
    let endless = Usage { input: u64::MAX, cache_read: u64::MAX, ..Usage::default() };
    assert_eq!(endless.prompt_tokens(), u64::MAX);
}

#[test]
fn rates_that_are_too_fine_are_refused() {
    assert!(Rate::parse(Part::Input, "0.000000001").is_ok());
    assert!(Rate::parse(Part::Input, "0.00000000000001").is_err(), "no exact price of one token");
    assert!(Rate::parse(Part::Image, "0.00006").is_ok());
    let rate = Rate::parse(Part::CacheRead, "0.00875").unwrap();
    assert_eq!(rate.listed(Part::CacheRead).unwrap().to_string(), "0.00875");
    assert_eq!(rate.per_unit().to_string(), "0.00000000875");
}

#[test]
fn a_tenth_more_is_exact_in_every_step() {
    let more = price().and_a_tenth().unwrap();
    let stated = |rates: &Rates, part| rates.of(part).unwrap().listed(part).unwrap().to_string();
    assert_eq!(stated(&more.rates, Part::Input), "2.42");
    assert_eq!(stated(&more.long.unwrap().rates, Part::CacheRead), "0.484");
    assert_eq!(more.rates.of(Part::CacheWrite1h), None, "what is missing stays missing");
}

#[test]
fn begun_hundreds_of_documents_and_thousands_of_characters_count() {
    let queries = [0, 1, 100, 101, 350].map(Usage::rerank_queries);
    assert_eq!(queries, [1, 1, 1, 2, 4]);
    let units = [0, 1, 1_000, 1_001, 2_300].map(Usage::guardrail_units);
    assert_eq!(units, [0, 1, 1, 2, 3]);
}
