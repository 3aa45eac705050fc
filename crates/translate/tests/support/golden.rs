//! Golden streams and bodies of other people's APIs. They stand beside the folder that `OUTCROP_CASES`
//! names; without them a test compares nothing and says so.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of golden streams, if there is one.
pub(crate) fn folder() -> Option<PathBuf> {
    let cases = std::env::var_os("OUTCROP_CASES").map(PathBuf::from);
    let folder = cases.and_then(|cases| Some(cases.parent()?.join("reference/transcripts")));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        eprintln!("NOTE: golden streams NOT compared: they are not beside OUTCROP_CASES");
    }
    folder
}

/// The streams whose names begin so, each with its name and text.
pub(crate) fn streams(beginning: &str) -> Vec<(String, String)> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_stream = path.extension().is_some_and(|kind| kind == "sse");
        if is_stream && name.starts_with(beginning) {
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// The data of a stream's events, without an end mark. A name is that of the event's type.
pub(crate) fn data(text: &str) -> Vec<Value> {
    let text = text.trim_end().strip_suffix("data: [DONE]").unwrap_or(text);
    let event = |event: &str| {
        let (name, data) = match event.strip_prefix("event: ") {
            Some(rest) => {
                let (name, rest) = rest.split_once('\n').unwrap();
                (Some(name), rest)
            }
            None => (None, event),
        };
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert!(name.is_none_or(|name| data["type"] == name), "{event}");
        data
    };
    text.trim().split("\n\n").map(event).collect()
}
