//! Replays of files with requests and the answers that the contract promises. In an answer every member that the file
//! has must be there; `<token>` and its like stand for any value of their form, and `<token a>` is `$a` in later
//! requests and answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Admin;
use super::postgres::Server;

/// One request of a file and its answer.
struct Exchange {
    line: String,
    body: Value,
    status: u16,
    answer: Value,
}

type Names = BTreeMap<String, String>;

#[actix_rt::test]
async fn golden_answers_are_given_on_sqlite() {
    for (_, exchanges) in files() {
        let admin = Admin::start().await;
        replay_all(&admin, &exchanges).await;
        admin.stop().await;
    }
}

#[actix_rt::test]
async fn golden_answers_are_given_on_postgresql() {
    let Some(server) = Server::start() else { return };
    for (name, exchanges) in files() {
        let admin = Admin::on(&server.database(&name)).await;
        replay_all(&admin, &exchanges).await;
        admin.stop().await;
    }
}

/// The names and the text of the files.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/admin/golden");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# "), "{}: say in a sentence what it shows", file.display());
        (file.file_stem().unwrap().to_str().unwrap().to_owned(), text)
    };
    files.into_iter().map(read).collect()
}

async fn replay_all(admin: &Admin, text: &str) {
    let mut names = Names::new();
    for exchange in text.split("\n\n").map(read) {
        replay(admin, exchange, &mut names).await;
    }
}

/// Reads an exchange: comments, the request line, perhaps a body, the status, the answer.
fn read(text: &str) -> Exchange {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let (line, rest) = lines.split_first().unwrap_or_else(|| panic!("no request in {text}"));
    let at = rest.iter().position(|line| line.len() == 3 && line.parse::<u16>().is_ok());
    let at = at.unwrap_or_else(|| panic!("no status in {text}"));
    let json = |lines: &[&str]| match lines.join("\n") {
        none if none.trim().is_empty() => Value::Null,
        json => serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error} in {json}")),
    };
    Exchange {
        line: (*line).to_owned(),
        body: json(&rest[..at]),
        status: rest[at].parse().unwrap(),
        answer: json(&rest[at + 1..]),
    }
}

async fn replay(admin: &Admin, exchange: Exchange, names: &mut Names) {
    let Exchange { line, body, status, answer } = exchange;
    let line = filled(&line, names);
    let body = if body.is_null() {
        Value::Null
    } else {
        serde_json::from_str(&filled(&body.to_string(), names)).unwrap()
    };
    let told = admin.ask(&line, body).await;
    assert_eq!(told.status, status, "{line}: {}", told.body);
    if let Err(reason) = fits(&answer, &told.body, names) {
        panic!("{line}: {reason} in {:#}", told.body);
    }
}

/// Checks that an answer has all that is expected, with holes.
#[track_caller]
pub(crate) fn expect(expected: &Value, found: &Value) {
    if let Err(reason) = fits(expected, found, &mut Names::new()) {
        panic!("{reason} in {found:#}");
    }
}

fn filled(text: &str, names: &Names) -> String {
    let mut text = text.to_owned();
    for (name, value) in names.iter().rev() {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

fn fits(expected: &Value, found: &Value, names: &mut Names) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(members), Value::Object(_)) => {
            members.iter().try_for_each(|(name, value)| {
                let member = found.get(name).ok_or_else(|| format!("{name} is missing"))?;
                fits(value, member, names).map_err(|reason| format!("{name}: {reason}"))
            })
        }
        (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
            elements.iter().zip(others).try_for_each(|(one, other)| fits(one, other, names))
        }
        (Value::String(text), _) if text.starts_with('<') && text.ends_with('>') => {
            let hole = text.trim_matches(['<', '>']);
            let (form, name) = hole.split_once(' ').unwrap_or((hole, ""));
            if !has_form(form, found) {
                return Err(format!("{found} is no {form}"));
            }
            if let (false, Some(value)) = (name.is_empty(), found.as_str()) {
                names.insert(name.to_owned(), value.to_owned());
            }
            Ok(())
        }
        (Value::String(text), _) if text.contains('$') => {
            let text = filled(text, names);
            (found == text.as_str()).then_some(()).ok_or(format!("{found} is not {text:?}"))
        }
        _ if expected == found => Ok(()),
        _ => Err(format!("{found} is not {expected}")),
    }
}

fn has_form(form: &str, found: &Value) -> bool {
    let text = found.as_str().unwrap_or_default();
    let hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match form {
        "token" => text.len() == 64 && hex(text),
        "key" => text.starts_with("sk-oc-") && text.len() == 62,
        "name" => text.starts_with("sk-...") && text.len() == 10,
        "time" => text.len() >= 20 && text.ends_with('Z') && access::UtcTime::parse(text).is_some(),
        "first" => text.ends_with("-01T00:00:00Z"),
        "text" => !text.is_empty(),
        "any" => true,
        other => panic!("unknown form {other}"),
    }
}
