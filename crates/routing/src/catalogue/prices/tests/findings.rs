//! Faults that the price list once had (P1 to P10 of the review of November 2026), each kept out.

use super::*;

fn rates(id: &str, tier: Tier, parts: &[Part]) -> Vec<String> {
    let quote = quote(id, "us-east-1", tier, TODAY).unwrap_or_else(|error| panic!("{error}"));
    parts.iter().map(|part| rate(&quote, *part).unwrap_or_default()).collect()
}

const BOTH: &[Part] = &[Part::Input, Part::Output];

/// P1: 30 models were charged in their region at the price of the global profile, 9 % too low.
#[test]
fn a_region_costs_as_much_as_its_geography() {
    let registry = Registry::open();
    let mut models = 0;
    for (model, row) in registry.models() {
        if !row.prefixes.iter().any(|prefix| prefix == "global")
            || model.starts_with("amazon.nova-2")
        {
            continue;
        }
        let Some(prices) = registry.prices(model) else { continue };
        if prices.at(&RowReach::Global).is_empty() {
            continue;
        }
        let (global, _) = input(&format!("global.{model}"), "us-east-1");
        let (geo, _) = input(&format!("us.{model}"), "us-east-1");
        let (here, row) = input(model, "us-east-1");
        assert_eq!(here, geo, "{model}: {row}");
        if here != global {
            models += 1;
        }
    }
    assert!(models >= 30, "{models}");
    assert_eq!(
        input("anthropic.claude-opus-5-5", "us-east-1"),
        ("4.4".into(), "geo/standard".into())
    );
    let own = ("0.3".into(), "in-region/standard".into());
    assert_eq!(input("amazon.nova-2-lite-v1:0", "us-east-1"), own, "the one source that knows it");
}

/// P2: tiers and long prompts cost a tenth more through a geography too.
#[test]
fn long_prompts_and_tiers_have_the_price_of_their_reach() {
    let quote = quote("us.openai.gpt-6-sol", "us-east-1", Tier::Standard, TODAY).unwrap();
    let long = quote.shown().unwrap().price.long.unwrap();
    let of = |part| long.rates.of(part).unwrap().listed(part).unwrap().to_string();
    assert_eq!((of(Part::Input), of(Part::Output)), ("4.4".into(), "16.5".into()));
    assert_eq!(rates("us.xai.grok-4.6", Tier::Flex, BOTH), ["1.1", "3.3"]);
    assert_eq!(rates("global.xai.grok-4.6", Tier::Flex, BOTH), ["1", "3"]);
    for (model, prices) in every_model() {
        let long = |reach: &RowReach| {
            let rows = prices.at(reach);
            rows.iter().any(|row| row.tier == Tier::Standard && row.price.long.is_some())
        };
        let geo = !prices.at(&RowReach::Geo).is_empty();
        assert!(!geo || long(&RowReach::Geo) || !long(&RowReach::Global), "{model}");
    }
}

/// P3: geographies differ by more than a tenth.
#[test]
fn each_geography_has_its_own_price() {
    for (id, expected) in [
        ("eu.amazon.nova-lite-v1:0", "0.078"),
        ("apac.amazon.nova-micro-v1:0", "0.037"),
        ("eu.amazon.nova-2-lite-v1:0", "0.429"),
        ("jp.amazon.nova-2-lite-v1:0", "0.396"),
        ("us.amazon.nova-2-lite-v1:0", "0.33"),
        ("eu.deepseek.v3.2", "0.74"),
        ("eu.meta.llama3-2-1b-instruct-v1:0", "0.13"),
        ("us.meta.llama3-2-1b-instruct-v1:0", "0.1"),
    ] {
        assert_eq!(input(id, "us-east-1").0, expected, "{id}");
    }
    assert_eq!(input("amazon.nova-pro-v1:0", "eu-central-1").0, "1.05", "as its geography");
}

/// P4: regions differ, and GovCloud has prices of its own or none.
#[test]
fn each_region_has_its_own_price() {
    for (id, region, expected) in [
        ("minimax.minimax-m2.5", "us-east-1", "0.3"),
        ("minimax.minimax-m2.5", "eu-west-2", "0.47"),
        ("deepseek.v3.2", "eu-north-1", "0.74"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-gov-west-1", "3.6"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "us-gov-east-1", "3.6"),
        ("us-gov.xai.grok-4.6", "us-gov-west-1", "2.64"),
        ("amazon.nova-pro-v1:0", "us-gov-west-1", "0.96"),
    ] {
        assert_eq!(input(id, region).0, expected, "{id} in {region}");
    }
    let refused = quote("deepseek.v3.2", "us-gov-west-1", Tier::Standard, TODAY).unwrap_err();
    assert!(matches!(refused, Unquoted::Reach { .. }), "{refused}");
}

/// P5: caches have prices in every tier that has them, and a missing one refuses.
#[test]
fn caches_are_priced_in_every_tier() {
    let caches = &[Part::CacheRead, Part::CacheWrite];
    assert_eq!(rates("us.amazon.nova-2-lite-v1:0", Tier::Priority, caches), ["0.144375", "0"]);
    assert_eq!(rates("amazon.nova-pro-v1:0", Tier::Flex, caches), ["0.1", "0"]);
    assert_eq!(rates("amazon.nova-premier-v1:0", Tier::Priority, caches), ["1.09375", "0"]);
    assert_eq!(rates("global.moonshotai.kimi-k3", Tier::Flex, caches), ["0.15", "1.875"]);
    assert_eq!(rates("us.moonshotai.kimi-k3.1", Tier::Priority, caches), ["0.385", "9.625"]);
    assert_eq!(rates("global.xai.grok-4.7", Tier::Priority, &caches[..1]), ["0.875"]);
    assert_eq!(rates("us.zai.glm-5.3", Tier::Batch, caches), ["0.1716", "1.155"]);
    let batch = quote("amazon.nova-pro-v1:0", "us-east-1", Tier::Batch, TODAY).unwrap();
    let refused = batch.cost(&Usage { cache_read: 1, ..Usage::default() });
    assert!(matches!(refused, Err(Unpriced::Part { part: Part::CacheRead, .. })), "never 0");
}

/// P6: caches for an hour have a price in long prompts.
#[test]
fn an_hours_cache_has_a_price_in_long_prompts() {
    for (id, expected) in [
        ("global.anthropic.claude-haiku-5-5", "1"),
        ("us.anthropic.claude-haiku-5-5", "1.1"),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", "12"),
    ] {
        let quote = quote(id, "us-east-1", Tier::Standard, TODAY).unwrap();
        let rate = quote.shown().unwrap().price.long.unwrap().rates.of(Part::CacheWrite1h).unwrap();
        assert_eq!(rate.listed(Part::CacheWrite1h).unwrap().to_string(), expected, "{id}");
    }
}

/// P7: tiers that were missing.
#[test]
fn tiers_that_were_missing_have_prices() {
    assert_eq!(rates("global.anthropic.claude-opus-5", Tier::Batch, BOTH), ["2.5", "12.5"]);
    assert_eq!(rates("global.moonshotai.kimi-k3.1", Tier::Flex, BOTH), ["2", "10"]);
    assert_eq!(rates("global.moonshotai.kimi-k3.1", Tier::Priority, BOTH), ["7", "35"]);
}

/// P8: prices have a day from which they hold.
#[test]
fn extended_access_costs_twice_as_much_from_its_day() {
    for model in
        ["anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20241022-v2:0"]
    {
        let parts = &[Part::Input, Part::Output, Part::CacheRead, Part::CacheWrite];
        for (on, expected) in
            [("2025-11-30", ["3", "15", "0.3", "3.75"]), ("2025-12-01", ["6", "30", "0.6", "7.5"])]
        {
            let quote = quote(model, "us-west-2", Tier::Standard, on).unwrap();
            let rates: Vec<_> = parts.iter().map(|part| rate(&quote, *part).unwrap()).collect();
            assert_eq!(rates, expected, "{model} on {on}");
        }
    }
    let luna = quote("openai.gpt-5.6-luna", "us-east-1", Tier::Standard, "2026-07-29").unwrap();
    assert_eq!(rate(&luna, Part::Input).unwrap(), "1.1");
}

/// P9: models that only the native API calls have prices too.
#[test]
fn every_model_that_can_be_called_has_a_price() {
    for (id, part, expected) in [
        ("deepseek.v3.1", Part::Input, "0.58"),
        ("google.gemma-4-31b", Part::Input, "0.14"),
        ("openai.gpt-oss-120b", Part::Output, "0.6"),
        ("qwen.qwen3-32b", Part::Input, "0.15"),
        ("amazon.nova-canvas-v1:0", Part::OutputImage, "0.06"),
        ("amazon.nova-2-sonic-v1:0", Part::InputAudio, "3"),
        ("stability.sd3-5-large-v1:0", Part::OutputImage, "0.08"),
        ("amazon.rerank-v1:0", Part::RerankQuery, "0.001"),
        ("us.twelvelabs.pegasus-1-2-v1:0", Part::VideoSecond, "0.00049"),
        ("us.twelvelabs.marengo-embed-3-0-v1:0", Part::Request, "0.00007"),
    ] {
        let quote = quote(id, "us-east-1", Tier::Standard, TODAY).unwrap();
        assert_eq!(rate(&quote, part).as_deref(), Some(expected), "{id}");
    }
    let registry = Registry::open();
    let ended = day(TODAY);
    for (model, row) in registry.models() {
        let priced = registry.prices(model).is_some();
        assert!(priced || row.has_ended(ended), "{model} has no price");
    }
}

/// P10: an application profile costs what it copies, or the dearest that it may copy.
#[test]
fn an_unknown_profile_costs_the_dearest_that_it_may_be() {
    let registry = Registry::open();
    let prices = registry.prices("anthropic.claude-sonnet-4-5-20250929-v1:0");
    let call = PricedCall {
        model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
        region: "us-east-1",
        tier: Tier::Standard,
        on: day(TODAY),
    };
    let usage = Usage { input: 1_000, ..Usage::default() };
    let cost = |reach: &CallReach| {
        let charged = call.quote(prices, reach).unwrap().cost(&usage).unwrap();
        (charged.cost.total.to_string(), charged.source)
    };
    assert_eq!(cost(&CallReach::Unknown), ("0.0033".into(), PriceSource::Assumed));
    assert_eq!(cost(&CallReach::Global), ("0.003".into(), PriceSource::Listed));
    assert_eq!(cost(&CallReach::ByTime), ("0".into(), PriceSource::Provisioned));
    let one = registry.prices("deepseek.v3.2");
    let call = PricedCall { model: "deepseek.v3.2", ..call };
    let quote = call.quote(one, &CallReach::Unknown).unwrap();
    assert_eq!(quote.source(), PriceSource::Listed, "only one row can hold");
}

/// A global price alone says what the rest costs: a tenth more, which is said to be assumed.
#[test]
fn a_tenth_is_added_where_only_the_global_price_is_known() {
    let prices = read("prices = [{ reach = \"global\", input = \"2\" }]").unwrap();
    let call =
        PricedCall { model: "a.b", region: "eu-west-1", tier: Tier::Standard, on: day(TODAY) };
    let quote = call.quote(Some(&prices), &CallReach::Geo("eu".to_owned())).unwrap();
    let charged = quote.cost(&Usage { input: 1_000_000, ..Usage::default() }).unwrap();
    assert_eq!(charged.cost.total.to_string(), "2.2");
    assert_eq!(charged.row, "a.b/global+10%/standard");
    assert_eq!(charged.source, PriceSource::Assumed);
    let compiled_in = every_model().all(|(_, prices)| {
        let others = [RowReach::Geo, RowReach::InRegion];
        prices.at(&RowReach::Global).is_empty() || others.iter().any(|it| !prices.at(it).is_empty())
    });
    assert!(compiled_in, "the list leaves no such gap");
}

/// Shapes of prices that would be slips of the pen.
#[test]
fn every_price_is_plausible() {
    for (model, prices) in every_model() {
        for row in &prices.rows {
            let place = format!("{model} {} {}", row.reach, row.tier);
            let steps = row.price.long.iter().map(|long| &long.rates);
            for rates in [&row.price.rates].into_iter().chain(steps) {
                assert!(!rates.is_empty(), "{place}");
                plausible(&place, rates);
            }
            assert!(row.price.long.is_none_or(|long| long.above >= 1_000), "{place}");
            let standard = prices.at(&row.reach).into_iter().find(|it| it.tier == Tier::Standard);
            let usual = standard.unwrap_or_else(|| panic!("{place}: no standard tier")).price.rates;
            let (own, usual) = (row.price.rates.of(Part::Input), usual.of(Part::Input));
            match row.tier {
                Tier::Flex | Tier::Batch => assert!(own < usual, "{place}"),
                Tier::Priority | Tier::Ultrafast => assert!(own > usual, "{place}"),
                Tier::Standard | Tier::Reserved | Tier::LatencyOptimized => {}
            }
        }
    }
}

fn plausible(place: &str, rates: &access::spend::Rates) {
    let of = |part| rates.of(part);
    let (Some(input), read) = (of(Part::Input), of(Part::CacheRead)) else { return };
    assert!(of(Part::Output).is_none_or(|output| output >= input), "{place}");
    assert!(read.is_none_or(|read| read < input), "{place}");
    let written = of(Part::CacheWrite).filter(|rate| rate.per_unit() > access::spend::Amount::ZERO);
    assert!(written.is_none_or(|written| written > input), "{place}");
    let hour = of(Part::CacheWrite1h);
    assert!(hour.is_none_or(|hour| written.is_some_and(|written| hour > written)), "{place}");
}

fn every_model() -> impl Iterator<Item = (&'static str, &'static Prices)> {
    let registry: &'static Registry = Registry::open();
    registry.priced().into_iter().filter_map(|model| Some((model, registry.prices(model)?)))
}
