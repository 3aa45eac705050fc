//! The aggregates' writing side in a database. Rows are written in one fixed order, in the transaction that settles.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::StoreError;
use super::hour_key::{Dimension, HourKey, HourName, HourSums};
use super::sql::{Session, Value};
use super::sql_text::{batches, rows_of};
use crate::UtcTime;
use crate::ledger::{Closing, SpendSums};

const DIMENSIONS: &str = "hour, key_id, team_id, user_id, customer, model, region, status";
pub(super) const SUMS: [&str; 9] = [
    "succeeded",
    "failed",
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cost",
    "unpriced",
    "estimated",
];

/// The number of names that an hour may still get, by hour and dimension.
type Rooms = BTreeMap<(UtcTime, Dimension), u64>;

/// Adds settled calls to the sums of their hours.
pub(super) async fn add(
    session: &mut Session,
    calls: &[&Closing],
    names_an_hour: u64,
) -> Result<(), StoreError> {
    let names = calls.iter().flat_map(|closing| HourName::of(closing)).collect();
    let with_room = with_room(session, names, names_an_hour).await?;
    let mut sums = HourSums::default();
    for closing in calls {
        sums.add(closing, |value| with_room.contains(value));
    }
    let HourSums { all, by_tag } = sums;
    let all: Vec<_> = all.iter().map(|(at, sums)| (at, None, sums)).collect();
    add_rows(session, "hourly", &all).await?;
    let by_tag: Vec<_> =
        by_tag.iter().map(|((at, tag), sums)| (at, Some(tag.as_str()), sums)).collect();
    add_rows(session, "hourly_tags", &by_tag).await
}

async fn add_rows(
    session: &mut Session,
    table: &str,
    rows: &[(&HourKey, Option<&str>, &SpendSums)],
) -> Result<(), StoreError> {
    let by_tag = rows.iter().any(|(_, tag, _)| tag.is_some());
    let (dimensions, count) =
        if by_tag { (format!("{DIMENSIONS}, tag"), 9) } else { (DIMENSIONS.to_owned(), 8) };
    let add = |column: &&str| format!("{column} = {table}.{column} + excluded.{column}");
    let added = SUMS.iter().map(add).collect::<Vec<_>>().join(", ");
    for rows in batches(rows) {
        let sql = format!(
            "INSERT INTO {table} ({dimensions}, {}) VALUES {} ON CONFLICT ({dimensions}) DO UPDATE SET {added}",
            SUMS.join(", "),
            rows_of(rows.len(), count + SUMS.len())
        );
        let mut values = Vec::with_capacity(rows.len() * (count + SUMS.len()));
        for (at, tag, sums) in rows {
            values.push(at.hour.millis().into());
            let texts = [&at.key_id, &at.team, &at.user, &at.customer, &at.model, &at.region];
            values.extend(texts.map(|text| Value::from(text.as_str())));
            values.push(at.status.into());
            values.extend(tag.map(Value::from));
            values.extend(sums.columns().map(Value::from));
        }
        session.run(sql, values).await?;
    }
    Ok(())
}

/// The names that have sums of their own in their hours, or get them now. The hours' counts are locked before the
/// names are read again, so that replicas together do not pass the bound.
async fn with_room(
    session: &mut Session,
    names: BTreeSet<HourName>,
    names_an_hour: u64,
) -> Result<HashSet<HourName>, StoreError> {
    let names: Vec<_> = names.into_iter().collect();
    let mut known = known_names(session, &names).await?;
    let new: Vec<_> = names.into_iter().filter(|name| !known.contains(name)).collect();
    if new.is_empty() {
        return Ok(known);
    }
    let hours: BTreeSet<_> = new.iter().map(|name| (name.hour, name.dimension)).collect();
    // Adding none locks them.
    let nothing = hours.into_iter().map(|hour| (hour, 0)).collect();
    let mut rooms = Rooms::new();
    for (hour, taken) in write_taken(session, nothing).await? {
        rooms.insert(hour, names_an_hour.saturating_sub(taken));
    }
    let meanwhile = known_names(session, &new).await?;
    let mut taken = Rooms::new();
    for name in new {
        if meanwhile.contains(&name) {
            continue;
        }
        let hour = (name.hour, name.dimension);
        let Some(room) = rooms.get_mut(&hour).filter(|room| **room > 0) else { continue };
        *room -= 1;
        *taken.entry(hour).or_default() += 1;
        known.insert(name);
    }
    known.extend(meanwhile);
    write_taken(session, taken.into_iter().collect()).await?;
    Ok(known)
}

async fn known_names(
    session: &mut Session,
    names: &[HourName],
) -> Result<HashSet<HourName>, StoreError> {
    let mut by_hour: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for HourName { hour, dimension, name } in names {
        by_hour.entry((*hour, *dimension)).or_default().push(name);
    }
    let mut known = HashSet::new();
    for ((hour, dimension), names) in by_hour {
        let (table, column) = match dimension {
            Dimension::Customer => ("hourly", "customer"),
            Dimension::Tag => ("hourly_tags", "tag"),
        };
        for names in batches(&names) {
            let places = (2..=names.len() + 1).map(|at| format!("${at}")).collect::<Vec<_>>();
            let sql = format!(
                "SELECT DISTINCT {column} FROM {table} WHERE hour = $1 AND {column} IN ({})",
                places.join(", ")
            );
            let mut values = vec![Value::from(hour.millis())];
            values.extend(names.iter().map(|name| Value::from(*name)));
            for row in session.rows(sql, values).await? {
                known.insert(HourName { hour, dimension, name: row.text(0)? });
            }
        }
    }
    Ok(known)
}

/// Adds to the numbers of names, and returns them, locked until the end of the transaction.
async fn write_taken(
    session: &mut Session,
    taken: Vec<((UtcTime, Dimension), u64)>,
) -> Result<Vec<((UtcTime, Dimension), u64)>, StoreError> {
    let mut now = Vec::with_capacity(taken.len());
    for taken in batches(&taken) {
        let sql = format!(
            "INSERT INTO hourly_names (hour, dimension, taken) VALUES {}
            ON CONFLICT (hour, dimension) DO UPDATE SET taken = hourly_names.taken + excluded.taken
            RETURNING hour, dimension, taken",
            rows_of(taken.len(), 3)
        );
        let value = |((hour, dimension), taken): &((UtcTime, Dimension), u64)| {
            [hour.millis().into(), dimension.as_str().into(), Value::from(*taken)]
        };
        for row in session.rows(sql, taken.iter().flat_map(value).collect()).await? {
            let name = row.text(1)?;
            let dimension = Dimension::ALL.into_iter().find(|known| known.as_str() == name);
            let hour = UtcTime::from_millis(row.int(0)?);
            if let Some(dimension) = dimension {
                now.push(((hour, dimension), row.int(2)?.unsigned_abs()));
            }
        }
    }
    Ok(now)
}
