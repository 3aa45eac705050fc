//! The sentence in a fixture that says what it shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// Fewest characters of a sentence.
const SHORTEST: usize = 15;

/// The fixtures read so far, by folder and sentence.
static READ: Mutex<BTreeMap<(PathBuf, String), PathBuf>> = Mutex::new(BTreeMap::new());

#[derive(Deserialize)]
struct Described {
    case: Option<String>,
}

/// The sentence of a fixture. Panics where [`checked`] finds a fault.
pub(crate) fn sentence(path: &Path, text: &str) -> String {
    checked(path, text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The member `case` of a fixture's first JSON value, which is the first line of a stream. It is
/// required, and differs from those of all fixtures read before from the same folder.
pub(crate) fn checked(path: &Path, text: &str) -> Result<String, String> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Described>();
    let first = values.next().ok_or("the file is empty")?;
    let Described { case } = first.map_err(|error| error.to_string())?;
    let case =
        case.ok_or("the member \"case\" with a sentence that says what it shows is missing")?;
    if case.chars().count() < SHORTEST {
        return Err(format!("\"case\" is no sentence of at least {SHORTEST} characters: {case:?}"));
    }
    let key = (path.parent().unwrap_or(path).to_owned(), case.clone());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let owner = read.entry(key).or_insert_with(|| path.to_owned());
    if owner.as_path() != path {
        return Err(format!("\"case\" is the sentence of {} too", owner.display()));
    }
    Ok(case)
}
