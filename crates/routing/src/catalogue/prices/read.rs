//! Rows of prices, read from TOML: those of `config/prices.toml`, and those of operators, who may also write
//! one table for a model.

use access::spend::{LongPrompt, Part, Price, Rate, Rates};
use toml::{Table, Value};

use super::super::date::Day;
use super::{PriceRow, Prices, RowReach, Tier};

const REACH: &str = "reach";
const TIER: &str = "tier";
const FROM: &str = "from";
const DATED: &str = "dated";
const SOURCE: &str = "source";
const LONG: &str = "long";
const ABOVE: &str = "above";
const GEO: &str = "geo";
/// Keys of an operator's table that hold the rates of a tier.
const TIERS: [Tier; 4] = [Tier::Flex, Tier::Priority, Tier::Ultrafast, Tier::Batch];

/// An operator's prices: a list of rows, or one table.
impl TryFrom<Value> for Prices {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let rows = match value {
            Value::Array(rows) => rows.into_iter().map(operators_row).collect::<Result<_, _>>()?,
            Value::Table(table) => rows_of_table(table)?,
            _ => return Err("prices must be a table, or a list of rows".to_owned()),
        };
        Ok(Self { rows, is_operators: true })
    }
}

impl PriceRow {
    /// Reads a row, and the names of its sources.
    pub(super) fn read(value: Value) -> Result<(Self, Vec<String>), String> {
        let Value::Table(mut table) = value else { return Err("a row must be a table".to_owned()) };
        let reach = text(&mut table, REACH)?.ok_or("a row needs its reach")?;
        let reach = RowReach::parse(&reach)?;
        let tier = text(&mut table, TIER)?;
        let tier = tier.map_or(Ok(Tier::Standard), |name| {
            Tier::named(&name).ok_or_else(|| format!("{name:?} is no service tier"))
        })?;
        let (from, dated) = (day(&mut table, FROM)?, day(&mut table, DATED)?);
        let source = match table.remove(SOURCE) {
            None => Vec::new(),
            Some(value) => value.try_into().map_err(|_| "source must be a list of texts")?,
        };
        let price = price(table)?;
        Ok((Self { reach, tier, from, dated, price }, source))
    }
}

fn operators_row(value: Value) -> Result<PriceRow, String> {
    PriceRow::read(value).map(|(row, _)| row)
}

/// The rows of one table: its own rates hold for all calls without a row of their own, `geo` for profiles of
/// one geography, and each may have rates of tiers.
fn rows_of_table(mut table: Table) -> Result<Vec<PriceRow>, String> {
    let dated = day(&mut table, DATED)?;
    let mut rows = Vec::new();
    if let Some(geo) = table.remove(GEO) {
        rows_of_reach(&mut rows, &RowReach::Geo, subtable(geo, GEO)?)?;
    }
    rows_of_reach(&mut rows, &RowReach::Any, table)?;
    for row in &mut rows {
        row.dated = dated;
    }
    Ok(rows)
}

fn rows_of_reach(
    rows: &mut Vec<PriceRow>,
    reach: &RowReach,
    mut table: Table,
) -> Result<(), String> {
    let mut add = |tier, table| {
        let price = price(table)?;
        rows.push(PriceRow { reach: reach.clone(), tier, from: None, dated: None, price });
        Ok::<(), String>(())
    };
    for tier in TIERS {
        if let Some(rates) = table.remove(tier.name()) {
            add(tier, subtable(rates, tier.name())?)?;
        }
    }
    add(Tier::Standard, table)
}

fn price(mut table: Table) -> Result<Price, String> {
    let long = table.remove(LONG).map(|long| subtable(long, LONG)).transpose()?;
    let long = long
        .map(|mut long| {
            let above = long.remove(ABOVE).as_ref().and_then(Value::as_integer);
            let above = above.and_then(|above| u64::try_from(above).ok());
            let above = above.ok_or("long needs above, a number of tokens")?;
            Ok::<_, String>(LongPrompt { above, rates: rates(&long)? })
        })
        .transpose()?;
    Ok(Price { rates: rates(&table)?, long })
}

fn rates(table: &Table) -> Result<Rates, String> {
    let mut rates = Rates::default();
    for (key, value) in table {
        let part = Part::named(key).ok_or_else(|| unknown(key))?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            // The shortest decimal text of the number is the one that was written.
            Value::Float(number) => number.to_string(),
            Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                return Err(format!("{key} must be a price in dollars, 0 or more"));
            }
        };
        let rate = Rate::parse(part, &text)
            .map_err(|error| format!("{key} must be a price in dollars, 0 or more: {error}"))?;
        rates.set(part, rate);
    }
    Ok(rates)
}

/// Names the valid keys as serde does, so that complaints read alike.
fn unknown(key: &str) -> String {
    let known: Vec<String> = Part::ALL.iter().map(|part| format!("`{}`", part.key())).collect();
    format!("unknown field `{key}`, expected one of {}", known.join(", "))
}

fn subtable(value: Value, name: &str) -> Result<Table, String> {
    match value {
        Value::Table(table) => Ok(table),
        _ => Err(format!("{name} must be a table")),
    }
}

fn text(table: &mut Table, key: &str) -> Result<Option<String>, String> {
    match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{key} must be a text")),
    }
}

fn day(table: &mut Table, key: &str) -> Result<Option<Day>, String> {
    text(table, key)?.map(Day::try_from).transpose()
}
