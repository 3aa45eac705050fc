//! The data itself: rows can be parsed, lead to models, and name their evidence.

use super::*;

mod resolved;
mod support;

const NO_PRICES: &str = "[sources]\n[prices]\n";

fn file() -> File {
    toml::from_str(TEXT).unwrap()
}

#[test]
fn every_row_with_a_profile_names_its_evidence() {
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

/// A claim in a family's row also covers models on which it was not observed.
#[test]
fn a_familys_evidence_names_models_or_documentation() {
    const NAMED: [&str; 8] =
        ["seen", "recorded", "documented", "AWS", " for ", "measured", "not named", "inferred"];
    for (name, row) in file().rows.iter().filter(|(name, _)| name.ends_with('*')) {
        for one in row.get("evidence").and_then(Value::as_array).into_iter().flatten() {
            let text = one.as_str().unwrap();
            assert!(NAMED.iter().any(|word| text.contains(word)), "{name}: {text}");
        }
    }
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    let leading: Vec<_> =
        registry.models().into_iter().filter(|(_, row)| row.profile.leading_assistant).collect();
    assert_eq!(leading.len(), 1, "seen on one model: {leading:?}");
    assert!(registry.families.iter().all(|(_, row)| !row.profile.leading_assistant));
}

#[test]
fn unknown_fields_keys_and_loops_are_refused() {
    let head = "dated = \"2026-11-21\"\n[aliases]\n";
    for (rows, complaint) in [
        ("[rows.\"a.b\"]\nprofile = { tool_chioce = \"auto\" }", "tool_chioce"),
        ("[rows.\"a.b\"]\nprofile = { tool_choice = \"some\" }", "some"),
        ("[rows.\"a.b\"]\ncontxt = 1", "contxt"),
        ("[rows.\"a.b\"]\neol = \"tomorrow\"", "tomorrow"),
        ("[rows.\"a.b\"]\nlike = \"c*\"", "no row c*"),
        ("[rows.\"a.b\"]\nprices = { inptu = 1 }", "inptu"),
        ("[rows.\"a.b\"]\nlike = \"a.c\"\n[rows.\"a.c\"]\nlike = \"a.b\"", "leads nowhere"),
    ] {
        let error = Registry::parse(&format!("{head}{rows}"), NO_PRICES).unwrap_err();
        assert!(error.contains(complaint), "{complaint}: {error}");
    }
}

#[test]
fn the_most_specific_row_wins_and_like_copies() {
    let registry = Registry::parse(
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
        NO_PRICES,
    )
    .unwrap();
    assert_eq!(registry.find("a.x").unwrap().context, Some(1));
    assert_eq!(registry.find("a.longer").unwrap().context, Some(2));
    let row = registry.find("a.long-one").unwrap();
    assert_eq!(row.context, Some(1));
    assert_eq!(row.profile.system, translate::profile::SystemPrompt::InUserTurn);
    assert!(!row.profile.leading_assistant);
    assert!(registry.find("b.x").is_none());
    assert_eq!(registry.listed("a.long-one:200k"), Some(row), "a variant is the same model");
    assert!(registry.listed("a.long-one:200").is_none());
}

#[test]
fn names_lead_to_rows() {
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    assert_eq!(registry.irregular.aliases.len(), 26);
    for (name, id) in &registry.irregular.aliases {
        assert_eq!(registry.alias(name), Some(id.as_str()));
    }
    for (name, id) in registry
        .aliases()
        .chain(registry.irregular.spellings.iter().map(|(name, id)| (name.as_str(), id.as_str())))
    {
        assert!(registry.listed(id).is_some(), "{name}: {id}");
    }
    for (id, row) in registry.models() {
        if let Some(successor) = &row.successor {
            let next = registry.listed(successor).unwrap_or_else(|| panic!("{id}: {successor}"));
            assert!(next.successor.is_none(), "{id}: {successor} is to be replaced itself");
            let end = Day::parse("2026-11-21").unwrap();
            assert!(!next.has_ended(end), "{id}: {successor} has ended");
        }
        for prefix in &row.prefixes {
            assert!(PREFIXES.contains(&prefix.as_str()), "{id}: {prefix}");
        }
        assert!(!row.profile_only || !row.prefixes.is_empty(), "{id} cannot be reached");
    }
}

#[test]
fn a_default_output_limit_leaves_room_and_respects_the_models_limit() {
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    let mut limited = 0;
    for (id, row) in registry.models() {
        let limit = u64::from(row.profile.default_max_tokens);
        if limit > 0 {
            limited += 1;
            assert!(row.max_output.is_some_and(|most| limit <= most), "{id}: {limit}");
            assert!(row.context.is_some_and(|context| limit * 8 <= context), "{id}: {limit}");
        }
    }
    assert!(limited > 5, "{limited}");
}

#[test]
fn the_output_limit_of_listed_models_is_never_exceeded() {
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    for (id, row) in registry.models() {
        let most = u64::from(row.profile.most_max_tokens);
        let Profile { embedding, rerank, image, .. } = &*row.profile;
        let writes = embedding.is_none() && rerank.is_none() && image.is_none();
        assert!(!writes || row.max_output == Some(most), "{id}: {most}");
    }
}

#[test]
fn embedding_shapes_are_spelled_as_translate_reads_them() {
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    let mut shapes: Vec<String> = registry
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
