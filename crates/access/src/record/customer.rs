//! A customer: an end user of an application that calls the gateway.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LimitInput, Limits, Links, Record, RecordKind, Set, Stamp, text};
use crate::{InvalidField, UtcTime};

/// The geography a customer's calls stay in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeographyRule {
    /// Europe.
    Eu,
    /// The United States.
    Us,
}

impl GeographyRule {
    /// The prefix of the geography's profiles.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Eu => "eu",
            Self::Us => "us",
        }
    }
}

/// Fields of a request to create or update a customer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct CustomerInput {
    pub alias: Set<String>,
    pub blocked: Set<bool>,
    pub budget_id: Set<String>,
    pub allowed_model_region: Set<GeographyRule>,
    pub default_model: Set<String>,
    pub models: Set<Vec<String>>,
    #[serde(flatten)]
    pub limits: LimitInput,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A customer as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the admin API")]
pub struct CustomerRecord {
    pub user_id: String,
    pub alias: Option<String>,
    pub blocked: bool,
    pub budget_id: Option<String>,
    pub allowed_model_region: Option<GeographyRule>,
    pub default_model: Option<String>,
    pub models: Vec<String>,
    pub limits: Limits,
    pub stamp: Stamp,
}

impl CustomerRecord {
    /// A new customer without limits.
    ///
    /// # Errors
    /// The id is empty, longer than 256 bytes, or has control characters.
    pub fn new(user_id: &str) -> Result<Self, InvalidField> {
        Ok(Self { user_id: text::customer_id(user_id, "user_id")?, ..Self::default() })
    }

    /// Merges a request's fields.
    ///
    /// # Errors
    /// The first field whose value cannot be stored. The record is to be dropped then.
    pub fn apply(&mut self, input: CustomerInput, now: UtcTime) -> Result<(), InvalidField> {
        let CustomerInput {
            alias,
            blocked,
            budget_id,
            allowed_model_region,
            default_model,
            models,
            limits,
            other: _,
        } = input;
        text::alias(alias, "alias")?.merge(&mut self.alias);
        blocked.merge_or_default(&mut self.blocked);
        text::reference(budget_id, "budget_id")?.merge(&mut self.budget_id);
        allowed_model_region.merge(&mut self.allowed_model_region);
        default_model.empty_is_null().merge(&mut self.default_model);
        text::list(models, "models")?.merge_or_default(&mut self.models);
        self.limits.apply(limits, now)
    }
}

impl Record for CustomerRecord {
    const KIND: RecordKind = RecordKind::Customer;

    fn id(&self) -> String {
        self.user_id.clone()
    }

    fn links(&self) -> Links<'_> {
        Links {
            alias: self.alias.as_deref(),
            budget: self.budget_id.as_deref(),
            blocked: self.blocked,
            ..Links::default()
        }
    }

    fn stamp_mut(&mut self) -> &mut Stamp {
        &mut self.stamp
    }
}
