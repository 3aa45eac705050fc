//! Reading of rows, the row that holds for a call, and what models cost.

use std::sync::Arc;

use access::spend::{Part, Unpriced, Usage};
use toml::Table;

use super::super::date::Day;
use super::super::id::Name;
use super::super::registry::Registry;
use super::super::{Catalogue, CrossRegion, ModelOverrides, Naming};
use super::quote::PricedCall;
use super::*;

mod findings;
mod golden;
mod sources;

/// The day on which the price list was last compared.
const TODAY: &str = "2026-11-28";

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn read(text: &str) -> Result<Prices, String> {
    let mut table: Table = toml::from_str(text).unwrap();
    Prices::try_from(table.remove("prices").unwrap())
}

/// The price of a call by an id, as sent from a region.
fn quote(id: &str, region: &str, tier: Tier, on: &str) -> Result<Arc<Quote>, Unquoted> {
    let naming = Naming { cross_region: CrossRegion::Never, ..Naming::default() };
    let catalogue = Catalogue::new(naming, region);
    catalogue.resolve(id, &ModelOverrides::default()).quote(tier, day(on))
}

/// The rate of a part as lists state it, for a usual prompt.
fn rate(quote: &Quote, part: Part) -> Option<String> {
    let price = &quote.shown().unwrap().price;
    Some(price.rates.of(part)?.listed(part)?.to_string())
}

/// The price of a million input tokens, and the row it comes from.
fn input(id: &str, region: &str) -> (String, String) {
    let quote = quote(id, region, Tier::Standard, TODAY).unwrap();
    let row = quote.shown().unwrap().name.split('/').skip(1).collect::<Vec<_>>().join("/");
    (rate(&quote, Part::Input).unwrap(), row)
}

#[test]
fn the_id_decides_the_prices() {
    let reach = |id: &str| CallReach::of(&Name::parse(id).id, "eu-west-1");
    let geo = |prefix: &str| CallReach::Geo(prefix.to_owned());
    let here = CallReach::Region("eu-west-1".to_owned());
    let arn = |rest: &str| format!("arn:aws:bedrock:eu-central-1:1:{rest}");
    assert_eq!(reach("us.a.b"), geo("us"));
    assert_eq!(reach("global.a.b"), CallReach::Global);
    assert_eq!(reach("a.b"), here);
    assert_eq!(reach(&arn("inference-profile/eu.a.b")), geo("eu"));
    assert_eq!(reach(&arn("inference-profile/global.a.b")), CallReach::Global);
    let there = CallReach::Region("eu-central-1".to_owned());
    assert_eq!(reach("arn:aws:bedrock:eu-central-1::foundation-model/a.b"), there);
    assert_eq!(reach(&arn("application-inference-profile/x")), CallReach::Unknown);
    assert_eq!(reach(&arn("inference-profile/moon.a.b")), CallReach::Unknown);
    for kind in ["provisioned-model/x", "imported-model/x"] {
        assert_eq!(reach(&arn(kind)), CallReach::ByTime, "{kind}");
    }
}

#[test]
fn the_first_reach_with_rows_holds() {
    let prices = read(
        r#"prices = [
            { reach = "global", input = "1" },
            { reach = "geo:eu", input = "3" },
            { reach = "geo", input = "2" },
            { reach = "in-region", input = "4" },
            { reach = "region:eu-west-2", input = "5" },
        ]"#,
    )
    .unwrap();
    for (id, region, expected) in [
        ("global.a.b", "us-east-1", "1"),
        ("us.a.b", "us-east-1", "2"),
        ("eu.a.b", "eu-west-2", "3"),
        ("a.b", "eu-west-2", "5"),
        ("a.b", "eu-west-1", "3"),
        ("a.b", "us-east-1", "4"),
        ("a.b", "ap-south-1", "4"),
    ] {
        let reach = CallReach::of(&Name::parse(id).id, region);
        let call = PricedCall { model: "a.b", region, tier: Tier::Standard, on: day(TODAY) };
        let quote = call.quote(Some(&prices), &reach).unwrap();
        assert_eq!(rate(&quote, Part::Input).as_deref(), Some(expected), "{id} in {region}");
        assert_eq!(quote.source(), PriceSource::Operator);
    }
    for region in ["us-gov-west-1", "cn-north-1", "eusc-de-east-1"] {
        let reach = CallReach::Region(region.to_owned());
        let call = PricedCall { model: "a.b", region, tier: Tier::Standard, on: day(TODAY) };
        let refused = call.quote(Some(&prices), &reach).unwrap_err();
        assert!(matches!(refused, Unquoted::Reach { .. }), "{region}: {refused}");
    }
}

#[test]
fn a_reach_without_the_tier_refuses_and_takes_no_other() {
    let prices = read(
        r#"prices = [
            { reach = "geo:eu", input = "3" },
            { reach = "geo", input = "2" },
            { reach = "geo", tier = "flex", input = "1" },
        ]"#,
    )
    .unwrap();
    let call = |tier| PricedCall { model: "a.b", region: "eu-west-1", tier, on: day(TODAY) };
    let through = |prefix: &str| CallReach::Geo(prefix.to_owned());
    assert!(call(Tier::Flex).quote(Some(&prices), &through("us")).is_ok());
    let refused = call(Tier::Flex).quote(Some(&prices), &through("eu")).unwrap_err();
    let told = "no price of \"a.b\" through a profile of eu in the tier flex";
    assert_eq!(refused.to_string(), told);
    for tier in [Tier::Priority, Tier::Batch, Tier::LatencyOptimized] {
        assert!(call(tier).quote(Some(&prices), &through("us")).is_err(), "{tier}");
    }
    let refused = call(Tier::Standard).quote(None, &through("us")).unwrap_err();
    assert_eq!(refused.to_string(), "no price of \"a.b\"");
    let paid = call(Tier::Reserved).quote(Some(&prices), &through("us")).unwrap();
    assert_eq!(paid.source(), PriceSource::Provisioned);
}

#[test]
fn the_latest_row_that_has_begun_holds() {
    let prices = read(
        r#"prices = [
            { reach = "any", input = "1" },
            { reach = "any", from = "2026-06-01", input = "2" },
            { reach = "any", from = "2026-03-01", input = "3" },
        ]"#,
    )
    .unwrap();
    for (on, expected) in [
        ("2025-01-01", "1"),
        ("2026-02-28", "1"),
        ("2026-03-01", "3"),
        ("2026-05-31", "3"),
        ("2026-06-01", "2"),
        ("2030-01-01", "2"),
    ] {
        let call =
            PricedCall { model: "a.b", region: "us-east-1", tier: Tier::Standard, on: day(on) };
        let quote = call.quote(Some(&prices), &CallReach::Global).unwrap();
        assert_eq!(rate(&quote, Part::Input).as_deref(), Some(expected), "{on}");
    }
}

#[test]
fn a_geography_may_have_its_own_prices() {
    let prices = read(
        r#"prices = { dated = "2026-11-01", input = 1, output = 2.5, flex = { input = 0.5 },
            geo = { input = 1.1, flex = { input = 0.55 } },
            long = { above = 200_000, input = 2 } }"#,
    )
    .unwrap();
    let rates = |reach: &CallReach, tier| {
        let call = PricedCall { model: "a.b", region: "us-east-1", tier, on: day(TODAY) };
        rate(&call.quote(Some(&prices), reach).unwrap(), Part::Input).unwrap()
    };
    let geo = CallReach::Geo("us".to_owned());
    let here = CallReach::Region("us-east-1".to_owned());
    assert_eq!(rates(&CallReach::Global, Tier::Standard), "1");
    assert_eq!(rates(&here, Tier::Standard), "1");
    assert_eq!(rates(&here, Tier::Flex), "0.5");
    assert_eq!(rates(&geo, Tier::Standard), "1.1");
    assert_eq!(rates(&geo, Tier::Flex), "0.55");
    let call =
        PricedCall { model: "a.b", region: "us-east-1", tier: Tier::Standard, on: day(TODAY) };
    let quote = call.quote(Some(&prices), &here).unwrap();
    let long = Usage { input: 200_001, ..Usage::default() };
    assert_eq!(quote.cost(&long).unwrap().cost.total.to_string(), "0.400002");
    let refused = quote.cost(&Usage { output: 1, ..long }).unwrap_err();
    assert_eq!(refused.to_string(), "no price of output for long prompts");
}

#[test]
fn wrong_prices_are_refused() {
    for (text, complaint) in [
        ("{ inptu = 1 }", "unknown field `inptu`, expected one of `input`"),
        ("{ input = -1 }", "0 or more"),
        ("{ input = -0.5 }", "0 or more"),
        ("{ input = nan }", "0 or more"),
        ("{ input = inf }", "0 or more"),
        ("{ input = \"much\" }", "much"),
        ("{ input = \"0.0000000000000001\" }", "at most"),
        ("{ input = true }", "0 or more"),
        ("{ flex = 1 }", "flex must be a table"),
        ("{ flex = { above = 1 } }", "above"),
        ("{ long = { input = 1 } }", "needs above"),
        ("{ long = { above = -1 } }", "needs above"),
        ("{ dated = \"soon\" }", "soon"),
        ("1", "a table, or a list"),
        ("[1]", "a row must be a table"),
        ("[{ input = \"1\" }]", "needs its reach"),
        ("[{ reach = \"moon\" }]", "no reach"),
        ("[{ reach = \"geo:global\" }]", "no reach"),
        ("[{ reach = \"region:here\" }]", "no reach"),
        ("[{ reach = \"geo\", tier = \"slow\" }]", "no service tier"),
        ("[{ reach = \"geo\", from = 2026 }]", "from must be a text"),
    ] {
        let error = read(&format!("prices = {text}")).unwrap_err();
        assert!(error.contains(complaint), "{text}: {error}");
    }
}

#[test]
fn compiled_in_rows_need_their_source_and_its_day() {
    let head = "[sources]\na = \"a list\"\n[prices]\n\"x.y\" = [";
    for (rows, complaint) in [
        ("{ reach = \"geo\", input = \"1\", source = [\"a\"] }", "needs source and dated"),
        ("{ reach = \"geo\", input = \"1\", dated = \"2026-11-28\" }", "needs source and dated"),
        (
            "{ reach = \"geo\", source = [\"b\"], dated = \"2026-11-28\" }",
            "\"b\" is not among the sources",
        ),
        (
            "{ reach = \"geo\", source = [\"a\"], dated = \"2026-11-28\" }, \
             { reach = \"geo\", source = [\"a\"], dated = \"2026-11-28\" }",
            "twice",
        ),
    ] {
        let error = PriceBook::parse(&format!("{head}{rows}]")).unwrap_err();
        assert!(error.contains("x.y") && error.contains(complaint), "{rows}: {error}");
    }
}

#[test]
fn an_operators_prices_win_and_are_named_so() {
    let own = "[\"amazon.nova-lite-v1:0\"]\nprices = { input = 7 }\n\
        [\"who.knows*\"]\nprices = [{ reach = \"any\", input = \"9\" }]\n\
        [\"a.own-v1:0\"]\nlike = \"amazon.nova-pro-v1:0\"\n";
    let rows: super::super::registry::Written = toml::from_str(own).unwrap();
    let rows = super::super::OperatorRows::over(rows).unwrap();
    let catalogue = Catalogue::new(Naming { rows, ..Naming::default() }, "us-east-1");
    let quote = |id| {
        let model = catalogue.resolve(id, &ModelOverrides::default());
        model.quote(Tier::Standard, day(TODAY)).unwrap()
    };
    let lite = quote("us.amazon.nova-lite-v1:0");
    assert_eq!(
        (rate(&lite, Part::Input).unwrap(), lite.source()),
        ("7".into(), PriceSource::Operator)
    );
    let refused = lite.cost(&Usage { output: 1, ..Usage::default() });
    assert!(
        matches!(refused, Err(Unpriced::Part { part: Part::Output, .. })),
        "replaced as a whole"
    );
    assert_eq!(rate(&quote("who.knows-1"), Part::Input).unwrap(), "9", "a family's");
    let like = quote("a.own-v1:0");
    assert_eq!(
        (rate(&like, Part::Input).unwrap(), like.source()),
        ("0.8".into(), PriceSource::Listed)
    );
}

#[test]
fn tiers_are_named_as_bedrock_and_the_list_name_them() {
    for tier in Tier::ALL {
        assert_eq!(Tier::named(tier.name()), Some(tier));
    }
    assert_eq!(Tier::named("default"), Some(Tier::Standard));
    assert_eq!(Tier::named("overnight"), None, "not taken for the standard tier");
}

#[test]
fn the_price_of_a_target_replaces_that_of_its_model() {
    let mut price = Price::default();
    price.rates.set(Part::Input, access::spend::Rate::of_unit("0.000007").unwrap());
    let overrides = ModelOverrides { price: Some(Arc::new(price)), ..ModelOverrides::default() };
    let catalogue = Catalogue::new(Naming::default(), "us-east-1");
    for id in ["us.amazon.nova-lite-v1:0", "global.amazon.nova-2-lite-v1:0", "unheard.of-v1:0"] {
        for tier in [Tier::Standard, Tier::Flex] {
            let quote = catalogue.resolve(id, &overrides).quote(tier, day(TODAY)).unwrap();
            assert_eq!(quote.source(), PriceSource::Operator, "{id}");
            assert_eq!(rate(&quote, Part::Input).unwrap(), "7", "{id}");
            let usage = Usage { output: 1, ..Usage::default() };
            assert!(quote.cost(&usage).is_err(), "what has no price has no cost");
        }
    }
}
