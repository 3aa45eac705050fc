//! The compiled-in price list, `config/prices.toml`.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use toml::Value;

use super::{PriceRow, Prices};

/// The rows of every model, by id. Models that no front door serves have rows too: the native API calls them.
#[derive(Debug, Default)]
pub(in crate::catalogue) struct PriceBook(HashMap<String, Prices>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sources: BTreeMap<String, String>,
    prices: BTreeMap<String, Vec<Value>>,
}

impl PriceBook {
    /// Reads the list. Every row names its sources and their day.
    ///
    /// # Errors
    /// The row that is wrong, and the reason.
    pub(in crate::catalogue) fn parse(text: &str) -> Result<Self, String> {
        let File { sources, prices } = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut book = HashMap::with_capacity(prices.len());
        for (model, values) in prices {
            let mut rows: Vec<PriceRow> = Vec::with_capacity(values.len());
            for value in values {
                let row = sourced(value, &sources).map_err(|error| format!("{model}: {error}"))?;
                let same = |other: &PriceRow| {
                    (&other.reach, other.tier, other.from) == (&row.reach, row.tier, row.from)
                };
                if rows.iter().any(same) {
                    return Err(format!("{model}: {}, {} twice", row.reach, row.tier));
                }
                rows.push(row);
            }
            book.insert(model, Prices { rows, is_operators: false });
        }
        Ok(Self(book))
    }

    /// The rows of a model.
    pub(in crate::catalogue) fn of(&self, model: &str) -> Option<&Prices> {
        self.0.get(model)
    }

    /// Every model with rows.
    #[cfg(test)]
    pub(in crate::catalogue) fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = self.0.keys().map(String::as_str).collect();
        models.sort_unstable();
        models
    }
}

fn sourced(value: Value, sources: &BTreeMap<String, String>) -> Result<PriceRow, String> {
    let (row, named) = PriceRow::read(value)?;
    if row.dated.is_none() || named.is_empty() {
        return Err(format!("{}, {} needs source and dated", row.reach, row.tier));
    }
    match named.iter().find(|name| !sources.contains_key(*name)) {
        Some(name) => Err(format!("{name:?} is not among the sources")),
        None => Ok(row),
    }
}
