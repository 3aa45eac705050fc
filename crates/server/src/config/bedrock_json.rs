//! `bedrock.json` in the working directory, for developers who keep one beside their work: profile and
//! region, or access keys, under OneLLM's names.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::{Map, Value};

use super::problems::{Problem, Problems};
use crate::files;
use bedrock::{AccountSecret, Login};

const PROFILE: &str = "profile";
const REGION: &str = "region";
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];

/// The content of the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) profile: Option<String>,
    pub(super) region: Option<String>,
    /// Access keys, if both halves are present.
    pub(super) keys: Option<Login>,
    /// Keys that are not read.
    pub(super) ignored: Vec<String>,
}

/// Reads the file, if there is one. Blank values count as left out.
pub(super) fn read(directory: &Path, problems: &mut Problems) -> Option<Local> {
    let path = directory.join("bedrock.json");
    let text = match files::read_text(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            let message = format!("{}: {error}", path.display());
            problems.add(Problem::general(message, "make it readable, or remove it"));
            return None;
        }
    };
    // Editors on Windows begin files with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    match serde_json::from_str(text) {
        Ok(values) => parse(&path, values, problems),
        Err(error) => {
            let line = u64::try_from(error.line()).unwrap_or(0);
            let remedy = r#"it holds {"profile": "...", "region": "..."}"#;
            problems.add(Problem::at(&path, line, error.to_string(), remedy));
            None
        }
    }
}

fn parse(path: &Path, mut values: Map<String, Value>, problems: &mut Problems) -> Option<Local> {
    let mut text = |name: &str| match values.remove(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text).filter(|text| !text.trim().is_empty())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            problems.add(Problem::at(path, 1, format!("{name} is no text"), "put it in quotes"));
            None
        }
    };
    let (profile, region) = (text(PROFILE)?, text(REGION)?);
    let [id, secret, token] = KEYS.map(&mut text);
    let keys = match (id?, secret?, token?) {
        (Some(access_key_id), Some(secret), token) => Some(Login::Keys {
            access_key_id,
            secret_access_key: AccountSecret::new(secret),
            session_token: token.map(AccountSecret::new),
        }),
        (None, None, _) => None,
        (Some(_), None, _) | (None, Some(_), _) => {
            let [id, secret, _] = KEYS;
            let message = format!("{id} and {secret} belong together");
            problems.add(Problem::at(path, 1, message, "give both, or neither"));
            None
        }
    };
    let ignored = values.into_iter().map(|(name, _)| name).collect();
    Some(Local { profile, region, keys, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Option<Local>, Problems) {
        let mut problems = Problems::default();
        let values = serde_json::from_str(text).unwrap();
        (parse(Path::new("bedrock.json"), values, &mut problems), problems)
    }

    #[test]
    fn an_access_key_needs_both_halves() {
        let (local, _) = read_text(
            r#"{"region": "us-west-2", "aws_access_key_id": "A", "aws_secret_access_key": "S", "aws_session_token": ""}"#,
        );
        let login = Login::Keys {
            access_key_id: "A".to_owned(),
            secret_access_key: AccountSecret::new("S"),
            session_token: None,
        };
        assert_eq!(local.unwrap().keys, Some(login));
        let (_, problems) = read_text(r#"{"aws_access_key_id": "A"}"#);
        assert!(problems.or(()).is_err());
    }

    #[test]
    fn keys_that_are_not_read_are_listed() {
        let (local, _) = read_text(r#"{"profile": "p", "timeout": 60}"#);
        assert_eq!(local.unwrap().ignored, ["timeout"]);
        let (local, problems) = read_text(r#"{"profile": 3}"#);
        assert_eq!(local, None);
        assert!(problems.or(()).unwrap_err().to_string().contains("profile is no text"));
    }
}
