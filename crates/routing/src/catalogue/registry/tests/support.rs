//! The support table of docs/models.md is generated from the rows. After an intended change, rewrite it with
//! `OUTCROP_WRITE=1 cargo nextest run -p routing support_table`.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;

const BEGIN: &str = "<!-- support: written by a test from config/models.toml -->\n";
const END: &str = "<!-- /support -->\n";

/// A column: its title, and its cell for a row with these profile fields.
type Column = (&'static str, fn(&Row, &Table) -> String);

/// Reasoning control of a model, by the name used in its row.
const THINKING: &[(&str, &str)] = &[
    ("none", "no"),
    ("native", "automatic"),
    ("budget", "by a budget of tokens"),
    ("adaptive", EFFORT),
    ("adaptive_or_budget", "by a budget of tokens, or by effort:"),
    ("effort", EFFORT),
    ("nested_effort", EFFORT),
    ("reasoning_config", EFFORT),
    ("config_word", EFFORT),
];
const EFFORT: &str = "by effort:";

/// The columns of the table, one per line.
const COLUMNS: &[Column] = &[
    ("reads", |_, overrides| list(&overrides["media"], "text")),
    ("tool choice", |_, overrides| {
        word(
            &overrides["tool_choice"],
            &[
                ("no_tools", "no tools"),
                ("auto", "auto"),
                ("any", "auto, required"),
                ("named", "auto, required, by name"),
            ],
        )
    }),
    ("strict tools", |row, overrides| match row.tools {
        false => "no".to_owned(),
        true => word(&overrides["strict_tools"], &[("unserved", "no"), ("native", "yes")]),
    }),
    ("reasoning", |_, overrides| match word(&overrides["thinking"], THINKING) {
        way if way.ends_with(EFFORT) => list(&overrides["efforts"], &way),
        way => way,
    }),
    ("JSON schema", |row, overrides| {
        let forced = if row.tools { "by a tool" } else { "no" };
        word(
            &overrides["structured_output"],
            &[("native", "by the service"), ("forced_tool", forced)],
        )
    }),
    ("sampling", |_, overrides| {
        word(
            &overrides["sampling"],
            &[("both", "temperature, top_p"), ("one", "either of them"), ("none", "none")],
        )
    }),
    ("stop", |_, overrides| {
        word(
            &overrides["stop_sequences"],
            &[("any", "yes"), ("not_blank", "yes"), ("refused", "no")],
        )
    }),
    ("called by", |row, overrides| {
        let apis = row.profile.surface_endpoint().map(|endpoint| endpoint.api.name());
        let place = word(
            &overrides["surface"],
            &[("converse", "Converse"), ("runtime", "the runtime's"), ("mantle", "mantle's")],
        );
        apis.map_or(place.clone(), |api| format!("{place} {api}"))
    }),
    ("cache points", |_, overrides| {
        let life =
            word(&overrides["cache_ttl"], &[("five_minutes", "5m"), ("one_hour", "5m or 1h")]);
        let places = word(
            &overrides["cache_points"],
            &[
                ("refused", ""),
                ("as_marked", "as marked"),
                ("system_and_messages", "system, messages"),
                ("everywhere", "tools, system, messages"),
            ],
        );
        if places.is_empty() { "no".to_owned() } else { format!("{places}; {life}") }
    }),
];

#[test]
fn support_table_in_docs_matches_the_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/models.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (written, tail) = rest.split_once(END).unwrap();
    let table = table();
    if std::env::var_os("OUTCROP_WRITE").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
        return;
    }
    assert!(
        written == table,
        "the table of docs/models.md does not match config/models.toml; write it anew with\n\
         OUTCROP_WRITE=1 cargo nextest run -p routing support_table\n{table}"
    );
}

#[test]
fn every_field_value_of_a_column_has_a_word() {
    assert!(!table().contains('?'), "{}", table());
}

/// One line for all models of a maker with the same cells.
fn table() -> String {
    let registry = Registry::parse(TEXT, PRICES).unwrap();
    // A fixed day: with today's, the table would change over time.
    let Value::String(day) = &toml::from_str::<Table>(TEXT).unwrap()["dated"] else { panic!() };
    let day = Day::parse(day).unwrap();
    let alive = registry.models().into_iter().filter(|(_, row)| !row.has_ended(day));
    let (mut chat, mut embedding) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    let (mut ranking, mut images) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for (id, row) in alive {
        let (maker, name) = id.split_once('.').unwrap();
        if row.profile.rerank.is_some() {
            ranking.entry(maker).or_default().push(name.to_owned());
        } else if let Some(shape) = row.profile.image {
            let shape = serde_json::to_value(shape).unwrap();
            let does = shape.as_str().unwrap().replace('_', " ");
            images.entry((maker, does)).or_default().push(name.to_owned());
        }
        if !row.profile.converse {
            continue;
        }
        let overrides = Table::try_from(&row.profile).unwrap();
        if row.profile.embedding.is_some() {
            let reads: Vec<_> = row.input.iter().map(|medium| medium.name()).collect();
            embedding.entry((maker, reads)).or_default().push(name.to_owned());
        } else {
            let cells: Vec<_> = COLUMNS.iter().map(|(_, cell)| cell(row, &overrides)).collect();
            chat.entry((maker, cells)).or_default().push(short(name));
        }
    }
    let titles: Vec<_> = COLUMNS.iter().map(|(title, _)| *title).collect();
    let mut text = format!("| maker | chat models | {} |\n", titles.join(" | "));
    text.push_str(&format!("|---|---|{}\n", "---|".repeat(titles.len())));
    for ((maker, cells), names) in chat {
        text.push_str(&format!("| {maker} | {} | {} |\n", names.join(", "), cells.join(" | ")));
    }
    text.push_str("\n| maker | embedding models | read |\n|---|---|---|\n");
    for ((maker, reads), names) in embedding {
        let reads = ["text"].into_iter().chain(reads).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("| {maker} | {} | {reads} |\n", names.join(", ")));
    }
    text.push_str("\n| maker | rerankers |\n|---|---|\n");
    for (maker, names) in ranking {
        text.push_str(&format!("| {maker} | {} |\n", names.join(", ")));
    }
    text.push_str("\n| maker | image models | service |\n|---|---|---|\n");
    for ((maker, does), names) in images {
        text.push_str(&format!("| {maker} | {} | {does} |\n", names.join(", ")));
    }
    text
}

/// An id's name without its version: `nova-lite` for `nova-lite-v1:0`.
fn short(name: &str) -> String {
    let is_version = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let name = match name.rsplit_once("-v") {
        Some((name, version)) if is_version(version) => name,
        _ => name,
    };
    match name.rsplit_once('-') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    }
    .to_owned()
}

/// The reader's word for a field value; `?` marks a value without one.
fn word(value: &Value, words: &[(&str, &str)]) -> String {
    let text = value.as_str().unwrap_or_default();
    let found = words.iter().find(|(name, _)| *name == text);
    found.map_or_else(|| format!("{text}?"), |(_, word)| (*word).to_owned())
}

fn list(value: &Value, first: &str) -> String {
    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let all = [first].into_iter().chain(names).collect::<Vec<_>>().join(", ");
    all.replacen(":, ", ": ", 1)
}
