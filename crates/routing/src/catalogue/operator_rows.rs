//! An operator's rows: the same format as `config/models.toml`, validated when they are read, and laid over
//! the compiled-in ones.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use toml::{Table, Value};

use super::id::{Id, Name};
use super::registry::{BadRow, EVIDENCE, LIKE, Registry, Row, Written};

/// Rows over the compiled-in ones. Cheap to clone; equal if their text is equal.
#[derive(Debug, Clone, Default)]
pub struct OperatorRows(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// Text that identifies the rows, for comparison.
    text: String,
    registry: Arc<Registry>,
}

impl OperatorRows {
    /// Lays rows, by id or pattern, over the compiled-in ones.
    ///
    /// # Errors
    /// A `like` that names a missing row or forms a loop, or a row that cannot be read.
    pub fn over(rows: impl IntoIterator<Item = (String, Table)>) -> Result<Self, BadRow> {
        let written: Written = rows.into_iter().collect();
        if written.is_empty() {
            return Ok(Self::default());
        }
        let registry = Registry::open().with(&written)?;
        let text = format!("{written:?}");
        Ok(Self(Some(Arc::new(Inner { text, registry: Arc::new(registry) }))))
    }

    /// Validates the id or pattern of a row.
    ///
    /// # Errors
    /// The reason why no model would match it.
    pub fn judge_name(name: &str) -> Result<(), &'static str> {
        let spelled_out = name.strip_suffix('*').unwrap_or(name);
        match Name::parse(spelled_out) {
            _ if name.is_empty() || spelled_out.contains('*') => {
                Err("is no id, nor a pattern with its only * at the end")
            }
            Name { region: None, id: Id::Arn(_) | Id::Model(_) } => Ok(()),
            Name { id: Id::Profile { .. }, .. } => {
                Err("begins with a region's prefix, and rows are found by the id without it")
            }
            Name { region: Some(_), .. } => {
                Err("names a region, and rows are found by the id alone")
            }
        }
    }

    /// Validates one key of a row by itself.
    ///
    /// # Errors
    /// The name or value is wrong.
    pub fn judge(key: &str, value: &Value) -> Result<(), String> {
        match (key, value) {
            (LIKE, Value::String(_)) => Ok(()),
            (LIKE, _) => Err("like must be a row's name".to_owned()),
            (EVIDENCE, Value::String(_) | Value::Array(_)) => Ok(()),
            (EVIDENCE, _) => Err("evidence must be text, or a list of it".to_owned()),
            _ => Row::read(Table::from_iter([(key.to_owned(), value.clone())])).map(|_| ()),
        }
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.0.as_ref().map_or_else(|| Registry::open(), |inner| &inner.registry))
    }

    fn text(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.text)
    }
}

impl PartialEq for OperatorRows {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for OperatorRows {}

impl Hash for OperatorRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}
