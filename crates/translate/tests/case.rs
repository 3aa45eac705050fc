//! The check that every fixture says what it shows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

use std::path::Path;

#[path = "support/case.rs"]
mod case;

use case::{checked, sentence};

const SHOWN: &str = r#"{"case": "One text becomes one turn.", "request": {}}"#;

#[test]
fn a_sentence_is_read_from_a_file_and_from_the_first_line_of_a_stream() {
    let (json, stream) = (Path::new("read/a.json"), Path::new("read/streams/a.jsonl"));
    assert_eq!(sentence(json, SHOWN), "One text becomes one turn.");
    let lines = format!("{SHOWN}\n{{\"event\": \"messageStart\", \"payload\": {{}}}}\n");
    assert_eq!(sentence(stream, &lines), "One text becomes one turn.");
}

#[test]
fn a_fixture_without_a_sentence_is_refused() {
    for text in ["", "{}", r#"{"case": null}"#, r#"{"case": 1}"#, r#"{"case": "Fourteen chars"}"#] {
        assert!(checked(Path::new("refused/a.json"), text).is_err(), "{text}");
    }
}

#[test]
fn two_fixtures_of_a_folder_have_two_sentences() {
    let (one, other) = (Path::new("shared/a.json"), Path::new("shared/b.json"));
    assert!(checked(one, SHOWN).is_ok());
    assert!(checked(one, SHOWN).is_ok(), "the same file read again");
    assert!(checked(other, SHOWN).unwrap_err().contains("shared/a.json"));
    assert!(checked(Path::new("elsewhere/b.json"), SHOWN).is_ok());
}
