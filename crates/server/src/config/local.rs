//! `bedrock.json` in the working directory: `{"profile": "...", "region": "..."}`, a convenience for
//! people who keep one beside their work.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::problems::{Problem, Problems};
use crate::files;

/// What the file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Local {
    pub(super) profile: Option<String>,
    pub(super) region: Option<String>,
}

/// Reads the file, if there is one.
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
    serde_json::from_str(&text)
        .map_err(|error| {
            let line = u64::try_from(error.line()).unwrap_or(0);
            problems.add(Problem::at(
                &path,
                line,
                error.to_string(),
                r#"it may hold {"profile": "...", "region": "..."} and nothing else"#,
            ));
        })
        .ok()
}
