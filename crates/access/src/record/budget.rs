//! A budget row: limits that keys, customers and others refer to by its id. Each of them is counted for itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LimitInput, Limits, Links, Record, RecordKind, Stamp, text};
use crate::{InvalidField, UtcTime};

/// Fields of a request to create or update a budget row.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BudgetInput {
    /// The limits.
    #[serde(flatten)]
    pub limits: LimitInput,
    /// Fields unknown here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A budget row as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BudgetRecord {
    /// The id.
    pub budget_id: String,
    /// The limits.
    pub limits: Limits,
    /// Times.
    pub stamp: Stamp,
}

impl BudgetRecord {
    /// A new row without limits.
    ///
    /// # Errors
    /// The id has characters that ids may not have.
    pub fn new(budget_id: &str) -> Result<Self, InvalidField> {
        Ok(Self { budget_id: text::id(budget_id, "budget_id")?, ..Self::default() })
    }

    /// Merges a request's fields.
    ///
    /// # Errors
    /// The first field whose value cannot be stored. The record is to be dropped then.
    pub fn apply(&mut self, input: BudgetInput, now: UtcTime) -> Result<(), InvalidField> {
        let BudgetInput { limits, other: _ } = input;
        self.limits.apply(limits, now)
    }
}

impl Record for BudgetRecord {
    const KIND: RecordKind = RecordKind::Budget;

    fn id(&self) -> String {
        self.budget_id.clone()
    }

    fn links(&self) -> Links<'_> {
        Links::default()
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}
