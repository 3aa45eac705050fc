//! A tag that has limits or models of its own. Tags without a record are only counted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LimitInput, Limits, Links, Record, RecordKind, Set, Stamp, text};
use crate::{InvalidField, UtcTime};

/// Fields of a request to create or update a tag.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct TagInput {
    pub description: Set<String>,
    pub models: Set<Vec<String>>,
    pub budget_id: Set<String>,
    #[serde(flatten)]
    pub limits: LimitInput,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A tag as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct TagRecord {
    pub name: String,
    pub description: Option<String>,
    pub models: Vec<String>,
    pub budget_id: Option<String>,
    pub limits: Limits,
    pub stamp: Stamp,
}

impl TagRecord {
    /// A new tag without limits.
    ///
    /// # Errors
    /// The name is empty, longer than 64 bytes, or has control characters.
    pub fn new(name: &str) -> Result<Self, InvalidField> {
        if name.len() > 64 {
            return Err(InvalidField::new("name", "a tag must have at most 64 bytes"));
        }
        Ok(Self { name: text::customer_id(name, "name")?, ..Self::default() })
    }

    /// Merges a request's fields.
    ///
    /// # Errors
    /// The first field whose value cannot be stored. The record is to be dropped then.
    pub fn apply(&mut self, input: TagInput, now: UtcTime) -> Result<(), InvalidField> {
        let TagInput { description, models, budget_id, limits, other: _ } = input;
        description.merge(&mut self.description);
        text::list(models, "models")?.merge_or_default(&mut self.models);
        text::reference(budget_id, "budget_id")?.merge(&mut self.budget_id);
        self.limits.apply(limits, now)
    }
}

impl Record for TagRecord {
    const KIND: RecordKind = RecordKind::Tag;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn links(&self) -> Links<'_> {
        Links { budget: self.budget_id.as_deref(), ..Links::default() }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}
