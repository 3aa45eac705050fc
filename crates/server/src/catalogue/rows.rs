//! An operator's rows: the same shape as those of `config/models.toml`, judged when they are read, and
//! laid over them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use toml::{Table, Value};

use super::book::{BadRow, Book, EVIDENCE, LIKE, Row, Written};
use super::id::{Id, Name};

/// Rows over the catalogue's own. Cheap to clone; the same if they were written the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// What tells them from others.
    text: String,
    book: Arc<Book>,
}

impl Rows {
    /// Lays rows, by the ids and patterns they are about, over the compiled-in ones.
    ///
    /// # Errors
    /// A row that is like one that is not there, or in a circle, or cannot be read.
    pub(crate) fn over(rows: impl IntoIterator<Item = (String, Table)>) -> Result<Self, BadRow> {
        let written: Written = rows.into_iter().collect();
        if written.is_empty() {
            return Ok(Self::default());
        }
        let book = Book::open().with(&written)?;
        let text = format!("{written:?}");
        Ok(Self(Some(Arc::new(Inner { text, book: Arc::new(book) }))))
    }

    /// Judges what a row is about.
    ///
    /// # Errors
    /// Why no model would ever find it.
    pub(crate) fn judge_name(name: &str) -> Result<(), &'static str> {
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

    /// Judges one key of a row by itself.
    ///
    /// # Errors
    /// What is wrong with its name or value.
    pub(crate) fn judge(key: &str, value: &Value) -> Result<(), String> {
        match (key, value) {
            (LIKE, Value::String(_)) => Ok(()),
            (LIKE, _) => Err("like must be a row's name".to_owned()),
            (EVIDENCE, Value::String(_) | Value::Array(_)) => Ok(()),
            (EVIDENCE, _) => Err("evidence must be text, or a list of it".to_owned()),
            _ => Row::read(Table::from_iter([(key.to_owned(), value.clone())])).map(|_| ()),
        }
    }

    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(self.0.as_ref().map_or_else(|| Book::open(), |inner| &inner.book))
    }

    fn text(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.text)
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Rows {}

impl Hash for Rows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
    }
}
