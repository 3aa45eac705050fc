//! The compiled-in catalogue: `config/models.toml` as rows. It is parsed when the first model is
//! resolved, not at start-up; rows then are looked up by a hash, patterns only for models of no row.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use serde::Deserialize;
use toml::{Table, Value};
use translate::Profile;

use super::calendar::Day;

/// Deeper chains of `like` are a mistake: a circle.
const LIKE_DEPTH: usize = 4;

static TEXT: &str = include_str!("../../../../config/models.toml");
static BOOK: OnceLock<Book> = OnceLock::new();

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Book {
    exact: HashMap<String, Row>,
    /// Patterns without their `*`, the longest first.
    families: Vec<(String, Row)>,
    aliases: BTreeMap<String, String>,
}

/// What is known about one model, or one family of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Row {
    pub(super) profile: Profile,
    /// The same as it is written: the knobs that are set.
    #[serde(skip)]
    pub(super) knobs: Table,
    /// Region prefixes its inference profiles exist for, without the dot.
    pub(super) prefixes: Vec<String>,
    /// The bare id is refused on demand.
    pub(super) profile_only: bool,
    /// Tokens.
    pub(super) context: Option<u64>,
    /// Tokens.
    pub(super) max_output: Option<u64>,
    /// What it reads besides text.
    pub(super) input: Vec<Medium>,
    pub(super) tools: bool,
    pub(super) eol: Option<Day>,
    /// Past its end, the day of which is not known.
    pub(super) retired: bool,
    /// What to use instead, without region prefix.
    pub(super) successor: Option<String>,
}

/// What a model may read besides text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Medium {
    Image,
    Document,
    Video,
    Audio,
}

impl Medium {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Document => "document",
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

impl Default for Row {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            knobs: Table::new(),
            prefixes: Vec::new(),
            profile_only: false,
            context: None,
            max_output: None,
            input: Vec::new(),
            tools: true,
            eol: None,
            retired: false,
            successor: None,
        }
    }
}

impl Row {
    /// Whether the model is past the end of its life.
    pub(super) fn has_ended(&self, today: Day) -> bool {
        self.retired || self.eol.is_some_and(|eol| eol <= today)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "dated")]
    _dated: Day,
    aliases: BTreeMap<String, String>,
    rows: BTreeMap<String, Table>,
}

impl Book {
    /// The one that is compiled in.
    pub(super) fn open() -> &'static Self {
        BOOK.get_or_init(|| {
            Self::parse(TEXT).unwrap_or_else(|error| {
                // A test keeps this from happening; if it does, every model is an unknown one.
                log::error!("the compiled-in catalogue cannot be read: {error}");
                Self::default()
            })
        })
    }

    /// The row of a model, by its id without region prefix: its own, else its family's.
    pub(super) fn find(&self, id: &str) -> Option<&Row> {
        self.listed(id).or_else(|| {
            let family = self.families.iter().find(|(beginning, _)| id.starts_with(beginning));
            family.map(|(_, row)| row)
        })
    }

    /// The row that is this model's own.
    pub(super) fn listed(&self, id: &str) -> Option<&Row> {
        self.exact.get(id)
    }

    /// The model a short name stands for.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// Short names and their models, by name.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(name, id)| (name.as_str(), id.as_str()))
    }

    /// Every model with a row of its own, by id.
    pub(super) fn models(&self) -> Vec<(&str, &Row)> {
        let mut models: Vec<_> = self.exact.iter().map(|(id, row)| (id.as_str(), row)).collect();
        models.sort_unstable_by_key(|(id, _)| *id);
        models
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut book = Self { aliases: file.aliases, ..Self::default() };
        for name in file.rows.keys() {
            let mut whole = whole(&file.rows, name, 0)?;
            whole.remove("like");
            whole.remove("evidence");
            let knobs = whole.get("profile").and_then(Value::as_table).cloned();
            let row: Row =
                Value::Table(whole).try_into().map_err(|error| format!("row {name}: {error}"))?;
            let row = Row { knobs: knobs.unwrap_or_default(), ..row };
            match name.strip_suffix('*') {
                Some(beginning) => book.families.push((beginning.to_owned(), row)),
                None => {
                    book.exact.insert(name.clone(), row);
                }
            }
        }
        book.families.sort_unstable_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        Ok(book)
    }
}

/// A row with what it takes over by `like`, knob by knob.
fn whole(rows: &BTreeMap<String, Table>, name: &str, depth: usize) -> Result<Table, String> {
    let row = rows.get(name).ok_or_else(|| format!("there is no row {name}"))?;
    let Some(like) = row.get("like") else { return Ok(row.clone()) };
    let like = like.as_str().ok_or_else(|| format!("row {name}: like must be a row's name"))?;
    if depth == LIKE_DEPTH {
        return Err(format!("row {name}: like leads nowhere"));
    }
    let mut merged = whole(rows, like, depth + 1)?;
    for (key, value) in row {
        match (merged.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                below.extend(above.iter().map(|(knob, value)| (knob.clone(), value.clone())));
            }
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests;
