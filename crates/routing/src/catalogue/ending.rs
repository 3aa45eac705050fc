//! Models near their end of life, by the catalogue's dates.

use super::{Day, ResolvedModel};

/// Seconds of the time before its end in which a model is near it: 90 days.
const NEAR: i64 = 90 * 86_400;

/// The end of a model's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEnd {
    /// The foundation model.
    pub model: String,
    /// The first day without it.
    pub day: Day,
    /// The model to use instead, if the catalogue names one.
    pub successor: Option<String>,
}

impl ResolvedModel {
    /// The end of the model's life, if it is within 90 days or past.
    pub fn end(&self, today: Day) -> Option<ModelEnd> {
        let base = self.base.as_deref()?;
        let row = self.registry().listed(base)?;
        let day = row.eol.filter(|day| i64::from(*day) - i64::from(today) <= NEAR)?;
        Some(ModelEnd { model: base.to_owned(), day, successor: row.successor.clone() })
    }
}
