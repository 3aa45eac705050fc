//! The resolved rows of all models, stored for review: a change to one row shows here for every model that
//! it affects. After an intended change, rewrite the file with `INSTA_UPDATE=always cargo nextest run -p
//! outcrop resolved_profiles`.

use std::fmt::Write;

use super::*;

/// Directory of the stored file.
const RESOLVED: &str = "tests/snapshots";

/// One paragraph per model, by id: its facts, then each profile field that differs from the default.
/// Families come last: they describe models not yet listed.
#[test]
fn resolved_profiles_are_as_reviewed() {
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    let mut text = String::new();
    for (id, row) in registry.models() {
        resolved(&mut text, id, row);
    }
    let mut families: Vec<_> = registry.families.iter().collect();
    families.sort_unstable_by_key(|(beginning, _)| beginning);
    for (beginning, row) in families {
        resolved(&mut text, &format!("{beginning}*"), row);
    }
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(RESOLVED);
    insta::with_settings!({ snapshot_path => directory, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("resolved_profiles", text);
    });
}

fn resolved(text: &mut String, id: &str, row: &Row) {
    writeln!(text, "{id}").unwrap();
    writeln!(text, "    {}", facts(row)).unwrap();
    for (knob, value) in differing(&row.profile) {
        let value = serde_json::to_string(&value).unwrap();
        writeln!(text, "    {knob} = {value}").unwrap();
    }
}

/// Destructured completely: a new fact does not compile until it is listed here.
fn facts(row: &Row) -> String {
    let Row {
        profile: _,
        overrides: _,
        within,
        on,
        prefixes,
        profile_only,
        context,
        max_output,
        input,
        tools,
        eol,
        retired,
        successor,
        // Prices are read as written.
        prices: _,
        priced_like: _,
    } = row;
    let mut facts = vec![match (profile_only, prefixes.as_slice()) {
        (_, []) => "bare id".to_owned(),
        (true, some) => format!("only {}", some.join(" ")),
        (false, some) => format!("bare id, {}", some.join(" ")),
    }];
    facts.extend(context.map(|tokens| format!("context {tokens}")));
    facts.extend(max_output.map(|tokens| format!("output {tokens}")));
    facts.extend((!input.is_empty()).then(|| {
        let media: Vec<_> = input.iter().map(|medium| medium.name()).collect();
        format!("reads {}", media.join(" "))
    }));
    facts.extend((!tools).then(|| "no tools".to_owned()));
    facts.extend(eol.map(|day| format!("ends {day}")));
    facts.extend(retired.then(|| "retired".to_owned()));
    facts.extend(successor.as_ref().map(|id| format!("then {id}")));
    facts.extend(within.iter().map(|(geography, overrides)| {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(knob, value)| format!("{knob} = {}", serde_json::to_string(value).unwrap()))
            .collect();
        format!("within {geography} {}", overrides.join(", "))
    }));
    facts.extend(on.iter().map(|(api, overrides)| {
        let overrides = overrides.iter();
        let overrides: Vec<_> = overrides
            .map(|(knob, value)| format!("{knob} = {}", serde_json::to_string(value).unwrap()))
            .collect();
        format!("on {api} {}", overrides.join(", "))
    }));
    facts.join("; ")
}

#[test]
fn only_what_is_not_the_default_is_shown() {
    assert!(differing(&Profile::default()).is_empty());
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    for (id, row) in registry.models() {
        let read: Profile = Value::Table(differing(&row.profile)).try_into().unwrap();
        assert_eq!(read, *row.profile, "{id}: what is shown is the whole of it");
    }
}

/// The profile fields that differ from the default, as a row would spell them.
fn differing(profile: &Profile) -> Table {
    let usual = Table::try_from(Profile::default()).unwrap();
    let own = Table::try_from(profile).unwrap();
    own.into_iter().filter(|(knob, value)| usual.get(knob) != Some(value)).collect()
}
