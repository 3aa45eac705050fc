//! The data itself: rows that can be read, that lead somewhere, and that say why.

use std::time::Instant;

use super::*;

fn file() -> File {
    toml::from_str(TEXT).unwrap()
}

#[test]
fn every_row_with_a_profile_says_why() {
    for (name, row) in file().rows {
        if !row.contains_key("profile") {
            continue;
        }
        let evidence = row.get("evidence").and_then(Value::as_array).cloned().unwrap_or_default();
        assert!(!evidence.is_empty(), "{name} has no evidence");
        for one in evidence {
            assert!(one.as_str().unwrap().contains("20"), "{name}: {one:?} has no date");
        }
    }
}

#[test]
fn unknown_knobs_keys_and_circles_are_refused() {
    let head = "dated = \"2026-11-21\"\n[aliases]\n";
    for (rows, complaint) in [
        ("[rows.\"a.b\"]\nprofile = { tool_chioce = \"auto\" }", "tool_chioce"),
        ("[rows.\"a.b\"]\nprofile = { tool_choice = \"some\" }", "some"),
        ("[rows.\"a.b\"]\ncontxt = 1", "contxt"),
        ("[rows.\"a.b\"]\neol = \"tomorrow\"", "tomorrow"),
        ("[rows.\"a.b\"]\nlike = \"c*\"", "no row c*"),
        ("[rows.\"a.b\"]\nlike = \"a.c\"\n[rows.\"a.c\"]\nlike = \"a.b\"", "leads nowhere"),
    ] {
        let error = Book::parse(&format!("{head}{rows}")).unwrap_err();
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
}

#[test]
fn the_most_specific_row_wins_and_like_copies() {
    let book = Book::parse(
        r#"
        dated = "2026-11-21"
        [aliases]
        [rows."a.*"]
        context = 1
        profile = { system = "in_user_turn", leading_assistant = true }
        [rows."a.long*"]
        context = 2
        [rows."a.long-one"]
        like = "a.*"
        profile = { leading_assistant = false }
        "#,
    )
    .unwrap();
    assert_eq!(book.find("a.x").unwrap().context, Some(1));
    assert_eq!(book.find("a.longer").unwrap().context, Some(2));
    let row = book.find("a.long-one").unwrap();
    assert_eq!(row.context, Some(1));
    assert_eq!(row.profile.system, translate::profile::SystemPrompt::InUserTurn);
    assert!(!row.profile.leading_assistant);
    assert!(book.find("b.x").is_none());
}

#[test]
fn names_lead_to_rows() {
    let book = Book::parse(TEXT).unwrap();
    assert_eq!(book.aliases.len(), 26);
    for (name, id) in book.aliases() {
        assert!(book.listed(id).is_some(), "{name}: {id}");
    }
    for (id, row) in book.models() {
        if let Some(successor) = &row.successor {
            let next = book.listed(successor).unwrap_or_else(|| panic!("{id}: {successor}"));
            assert!(next.successor.is_none(), "{id}: {successor} is to be replaced itself");
            let end = Day::parse("2026-11-21").unwrap();
            assert!(!next.has_ended(end), "{id}: {successor} has ended");
        }
        for prefix in &row.prefixes {
            assert!(super::super::geography::PREFIXES.contains(&prefix.as_str()), "{id}: {prefix}");
        }
        assert!(!row.profile_only || !row.prefixes.is_empty(), "{id} cannot be reached");
    }
}

#[test]
fn embedding_shapes_are_spelled_as_translate_reads_them() {
    let book = Book::parse(TEXT).unwrap();
    let mut shapes: Vec<String> = book
        .models()
        .iter()
        .filter_map(|(_, row)| row.profile.embedding.map(|shape| format!("{shape:?}")))
        .collect();
    shapes.sort_unstable();
    shapes.dedup();
    let all = [
        "CohereV3",
        "CohereV4",
        "Marengo2",
        "Marengo3",
        "NovaMultimodal",
        "TitanMultimodal",
        "TitanV1",
        "TitanV2",
    ];
    assert_eq!(shapes, all);
}

#[test]
fn reading_it_is_quick_enough_for_a_first_request() {
    let started = Instant::now();
    let book = Book::parse(TEXT).unwrap();
    let took = started.elapsed();
    println!("{} models in {took:?} without optimisation", book.exact.len());
    assert!(took.as_millis() < 500, "{took:?}");
}

mod resolved;

mod prices {
    //! `config/prices.toml`: read here until something is charged for.

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Prices {
        dated: Day,
        prices: BTreeMap<String, Price>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Price {
        #[serde(flatten)]
        base: Rates,
        geo: Option<Rates>,
        long: Option<Long>,
    }

    #[derive(Deserialize)]
    struct Long {
        above: u64,
        #[serde(flatten)]
        rates: Rates,
    }

    #[derive(Deserialize)]
    struct Rates {
        input: f64,
        output: Option<f64>,
        cache_read: Option<f64>,
        cache_write: Option<f64>,
        cache_write_1h: Option<f64>,
    }

    impl Rates {
        fn check(&self, id: &str) {
            assert!(self.input > 0.0, "{id}");
            assert!(self.output.is_none_or(|output| output >= self.input), "{id}");
            assert!(self.cache_read.is_none_or(|read| read <= self.input), "{id}");
            let written = self.cache_write.unwrap_or(self.input);
            assert!(written >= self.input, "{id}");
            assert!(self.cache_write_1h.is_none_or(|hour| hour >= written), "{id}");
        }
    }

    #[test]
    fn every_price_is_a_known_models_and_plausible() {
        let text = include_str!("../../../../../config/prices.toml");
        let Prices { dated, prices } = toml::from_str(text).unwrap();
        assert!(dated >= Day::parse("2026-11-21").unwrap());
        let book = Book::parse(TEXT).unwrap();
        for (id, Price { base, geo, long }) in &prices {
            assert!(book.listed(id).is_some(), "{id} is priced and not known");
            base.check(id);
            for rates in geo.iter().chain(long.as_ref().map(|long| &long.rates)) {
                rates.check(id);
                assert!(rates.input >= base.input, "{id}");
            }
            assert!(long.as_ref().is_none_or(|long| long.above >= 1_000), "{id}");
            let embeds = book.listed(id).unwrap().profile.embedding.is_some();
            assert_eq!(base.output.is_none(), embeds, "{id}");
        }
        let unpriced = book.models().len() - prices.len();
        assert!(unpriced <= 4, "{unpriced} models have no price");
    }
}
