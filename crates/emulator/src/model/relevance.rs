//! Relevance of a tool to a text: by the words of its name, its description, its parameters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    lexicon::{content_words, words_of},
    prompt::Tool,
};

/// `text` with its arithmetic signs as words.
pub(super) fn spoken(text: &str) -> String {
    let signs = [
        ("+", " plus add sum "),
        ("*", " times multiply "),
        ("\u{d7}", " times multiply "),
        (" / ", " divide "),
        (" - ", " minus subtract "),
    ];
    let arithmetic = text.chars().any(|c| c.is_ascii_digit());
    signs
        .iter()
        .filter(|_| arithmetic)
        .fold(text.to_owned(), |text, (sign, word)| text.replace(sign, word))
}

/// Score of a tool for a text: words of its name count double.
pub(super) fn score(tool: &Tool<'_>, asked: &str) -> usize {
    let said: BTreeSet<String> = content_words(&spoken(asked)).map(stem).collect();
    let named = name_words(tool);
    let described: BTreeSet<String> = content_words(tool.description).map(stem).collect();
    let parameters = tool.schema.get("properties").and_then(Value::as_object);
    let parameters: BTreeSet<String> = parameters
        .into_iter()
        .flat_map(|map| map.keys())
        .flat_map(|key| words_of(key))
        .map(stem)
        .collect();
    let by_name = named.intersection(&said).count();
    let by_description = described.intersection(&said).count();
    let by_parameter = parameters.intersection(&said).filter(|word| word.len() > 2).count();
    // A single word in common with a description is coincidence.
    let weak = by_description + by_parameter;
    by_name * 2 + if weak > 1 || by_name > 0 { weak } else { 0 }
}

/// The meaningful words of a tool's name.
pub(super) fn name_words(tool: &Tool<'_>) -> BTreeSet<String> {
    words_of(tool.name)
        .iter()
        .flat_map(|word| content_words(word))
        .map(stem)
        .filter(|word| !is_generic(word))
        .collect()
}

/// Verbs common to many tools do not distinguish them.
fn is_generic(word: &str) -> bool {
    matches!(
        word,
        "get"
            | "set"
            | "find"
            | "list"
            | "call"
            | "run"
            | "make"
            | "show"
            | "fetch"
            | "data"
            | "result"
            | "final"
            | "info"
    )
}

/// A word without its ending; crude, but the same on both sides of a comparison.
pub(super) fn stem(word: String) -> String {
    let endings =
        [("ied", "y"), ("ies", "y"), ("ing", ""), ("er", ""), ("ed", ""), ("es", ""), ("s", "")];
    for (ending, instead) in endings {
        if let Some(stem) = word.strip_suffix(ending).filter(|stem| stem.chars().count() > 2) {
            return format!("{stem}{instead}");
        }
    }
    word
}
