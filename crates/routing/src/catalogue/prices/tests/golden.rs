//! Costs computed by hand: the vectors that the ledger must agree with, whatever computes it.

use super::*;

fn charged(id: &str, tier: Tier, usage: Usage) -> Charged {
    quote(id, "us-east-1", tier, TODAY).unwrap().cost(&usage).unwrap()
}

fn total(id: &str, tier: Tier, usage: Usage) -> String {
    charged(id, tier, usage).cost.total.to_string()
}

fn amounts(charged: &Charged) -> Vec<String> {
    charged.cost.parts.iter().map(|part| part.amount.to_string()).collect()
}

const SONNET: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";
const CACHED: Usage = Usage {
    input: 1_000,
    output: 500,
    cache_read: 10_000,
    cache_write: 2_000,
    cache_write_1h: 1_000,
    ..EMPTY
};
const THOUSANDS: Usage = Usage { input: 1_000, output: 1_000, ..EMPTY };
const EMPTY: Usage = Usage {
    input: 0,
    output: 0,
    cache_read: 0,
    cache_write: 0,
    cache_write_1h: 0,
    input_audio: 0,
    output_audio: 0,
    images: 0,
    output_images: 0,
    requests: 0,
    rerank_queries: 0,
    video_seconds: 0,
    audio_seconds: 0,
    web_searches: 0,
    guardrail_content: 0,
    guardrail_topic: 0,
    guardrail_word: 0,
    guardrail_pii: 0,
    guardrail_pii_free: 0,
    guardrail_grounding: 0,
    guardrail_reasoning: 0,
    guardrail_images: 0,
};

#[test]
fn g1_a_global_profile_with_every_kind_of_cache() {
    let charged = charged(&format!("global.{SONNET}"), Tier::Standard, CACHED);
    assert_eq!(amounts(&charged), ["0.003", "0.0075", "0.003", "0.0075", "0.006"]);
    assert_eq!(charged.cost.total.to_string(), "0.027");
}

#[test]
fn g2_a_geography_and_the_region_alone_cost_a_tenth_more() {
    for id in [format!("us.{SONNET}"), SONNET.to_owned()] {
        let charged = charged(&id, Tier::Standard, CACHED);
        assert_eq!(charged.cost.total.to_string(), "0.0297", "{id}");
        assert_eq!(charged.row, format!("{SONNET}/geo/standard"));
        assert_eq!(charged.source, PriceSource::Listed);
    }
}

#[test]
fn g3_and_g4_the_limit_of_a_long_prompt_is_a_cliff() {
    let at = Usage { input: 172_000, cache_read: 100_000, output: 1_000, ..EMPTY };
    let sol = "us.openai.gpt-6-sol";
    let below = charged(sol, Tier::Standard, at);
    assert_eq!(amounts(&below), ["0.3784", "0.011", "0.022"]);
    assert_eq!(below.cost.total.to_string(), "0.4114");
    let above = charged(sol, Tier::Standard, Usage { input: 172_001, ..at });
    assert_eq!(amounts(&above), ["0.7568044", "0.0165", "0.044"]);
    assert_eq!(above.cost.total.to_string(), "0.8173044");
}

#[test]
fn g5_an_hours_cache_of_a_long_prompt_through_a_geography() {
    let usage = Usage { input: 100_000, output: 100, cache_write_1h: 1_000, ..EMPTY };
    let charged = charged("us.anthropic.claude-haiku-5-5", Tier::Standard, usage);
    assert_eq!(amounts(&charged), ["0.055", "0.000275", "0.0011"]);
    assert_eq!(charged.cost.total.to_string(), "0.056375");
}

#[test]
fn g6_tiers_have_prices_of_their_own() {
    for (tier, expected) in
        [(Tier::Standard, "0.00247"), (Tier::Flex, "0.001235"), (Tier::Priority, "0.0043225")]
    {
        assert_eq!(total("deepseek.v3.2", tier, THOUSANDS), expected, "{tier}");
    }
}

#[test]
fn g7_the_tier_that_served_is_charged() {
    let served = Tier::named("default").unwrap();
    assert_eq!(total("deepseek.v3.2", served, THOUSANDS), "0.00247");
}

#[test]
fn g8_geographies_differ() {
    assert_eq!(total("eu.amazon.nova-pro-v1:0", Tier::Standard, THOUSANDS), "0.00525");
    assert_eq!(total("us.amazon.nova-pro-v1:0", Tier::Standard, THOUSANDS), "0.004");
}

#[test]
fn g9_an_embedded_image_is_charged_beside_its_tokens() {
    let usage = Usage { input: 10, images: 1, ..EMPTY };
    assert_eq!(total("amazon.titan-embed-image-v1", Tier::Standard, usage), "0.000068");
}

#[test]
fn g10_reranking_is_charged_by_hundreds_of_documents() {
    let usage = Usage { rerank_queries: Usage::rerank_queries(350), ..EMPTY };
    assert_eq!(total("cohere.rerank-v3-5:0", Tier::Standard, usage), "0.008");
}

#[test]
fn g11_a_blocked_input_costs_the_guardrail_alone() {
    let units = Usage::guardrail_units(2_300);
    let usage =
        Usage { guardrail_content: units, guardrail_topic: units, guardrail_pii: units, ..EMPTY };
    let catalogue = Catalogue::new(Naming::default(), "us-east-1");
    let guarded = catalogue.guardrail_quote(day(TODAY)).unwrap().cost(&usage).unwrap();
    assert_eq!(amounts(&guarded), ["0.00045", "0.00045", "0.0003"]);
    assert_eq!(guarded.cost.total.to_string(), "0.0012");
    let model = charged("amazon.nova-pro-v1:0", Tier::Standard, EMPTY);
    assert_eq!(guarded.cost.and(model.cost).unwrap().total.to_string(), "0.0012");
}

#[test]
fn g12_extended_access_begins_on_its_day() {
    let id = "us.anthropic.claude-3-5-sonnet-20241022-v2:0";
    for (on, expected) in [("2025-11-30", "0.018"), ("2025-12-01", "0.036"), (TODAY, "0.036")] {
        let quote = quote(id, "us-east-1", Tier::Standard, on).unwrap();
        assert_eq!(quote.cost(&THOUSANDS).unwrap().cost.total.to_string(), expected, "{on}");
    }
}

#[test]
fn g13_one_token_is_kept_and_small_rows_add_up() {
    let usage = Usage { input: 1, ..EMPTY };
    let charged = charged("us.amazon.nova-micro-v1:0", Tier::Standard, usage);
    assert_eq!(charged.cost.total.to_string(), "0.000000035");
    let nano = charged.cost.total.nanodollars().unwrap();
    assert_eq!((nano, nano * 3), (35, 105));
}
