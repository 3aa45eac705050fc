//! `outcrop spend`: sums of calls by key, team, user, customer, tag, model or day, from the aggregates.

use std::collections::HashMap;
use std::process::ExitCode;

use access::ledger::{SpendColumn, SpendQuery, SpendRow, SpendSums};
use access::{CalendarDay, CalendarZone, KeyRecord, Nanodollars, UtcTime};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::accounts::{CommandError, Desk, StoreArgs, at_desk};
use super::table::{Align, Table, dollars, number};

/// Characters of a day's year and month, with both dashes.
const MONTH: usize = 8;

/// Arguments of `outcrop spend`.
#[derive(Debug, Args)]
pub(super) struct SpendArgs {
    /// Column to group by.
    #[arg(long, value_enum, default_value_t = By::Key)]
    by: By,
    /// First day, in UTC; the first of the last day's month when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day)]
    from: Option<CalendarDay>,
    /// Last day, in UTC; today when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day)]
    to: Option<CalendarDay>,
    #[command(flatten)]
    store: StoreArgs,
}

/// A column to group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Key,
    Team,
    User,
    Customer,
    Tag,
    Model,
    Day,
}

impl By {
    /// The column, its heading, and the member of JSON.
    const fn column(self) -> (SpendColumn, &'static str, &'static str) {
        match self {
            Self::Key => (SpendColumn::Key, "KEY", "key_alias"),
            Self::Team => (SpendColumn::Team, "TEAM", "team_id"),
            Self::User => (SpendColumn::User, "USER", "user_id"),
            Self::Customer => (SpendColumn::Customer, "CUSTOMER", "end_user"),
            Self::Tag => (SpendColumn::Tag, "TAG", "tag"),
            Self::Model => (SpendColumn::Model, "MODEL", "model"),
            Self::Day => (SpendColumn::Day, "DAY", "day"),
        }
    }
}

/// A line of the report.
struct Line {
    name: String,
    token: Option<String>,
    sums: SpendSums,
}

/// Runs `outcrop spend`.
pub(super) fn spend(args: &SpendArgs) -> ExitCode {
    at_desk(&args.store, async |desk: &Desk| report(desk, args).await)
}

async fn report(desk: &Desk, args: &SpendArgs) -> Result<(), CommandError> {
    let (today, zone) = (CalendarDay::of(desk.accounts.now()), CalendarZone::utc());
    let last = args.to.unwrap_or(today);
    let from = args.from.map_or_else(|| first_of_month(last), Ok)?;
    if last < from {
        return Err(CommandError::Argument("--to is before --from".to_owned()));
    }
    let (column, ..) = args.by.column();
    let query = SpendQuery {
        from: zone.start_of(from),
        until: zone.start_of(last.next()),
        by: vec![column],
        ..SpendQuery::default()
    };
    let rows = desk.accounts.store().spend(query).await?;
    let keys = if args.by == By::Key { keys_of(desk, &rows).await? } else { HashMap::new() };
    let mut lines: Vec<_> = rows.into_iter().map(|row| line(args.by, row, &keys)).collect();
    if args.by != By::Day {
        lines.sort_by(|a, b| b.sums.cost.cmp(&a.sums.cost).then_with(|| a.name.cmp(&b.name)));
    }
    let range = (from.to_string(), last.to_string());
    desk.answer(|| value(args.by, &range, &lines), || text(args.by, &range, &lines));
    Ok(())
}

/// Keys of the rows by their ids, with those that were deleted: their spend keeps a name.
async fn keys_of(
    desk: &Desk,
    rows: &[SpendRow],
) -> Result<HashMap<String, KeyRecord>, CommandError> {
    let ids = rows.iter().filter_map(|row| row.group.first().cloned()).collect();
    let keys = desk.accounts.past_records::<KeyRecord>(ids).await?;
    Ok(keys.into_iter().map(|(id, past)| (id, past.record)).collect())
}

fn line(by: By, row: SpendRow, keys: &HashMap<String, KeyRecord>) -> Line {
    let SpendRow { group, sums } = row;
    let group = group.into_iter().next().unwrap_or_default();
    let key = keys.get(&group);
    let token = key.map(|key| key.token.clone());
    let name = match (by, key) {
        (By::Day, _) => group.parse().map_or(group, day_of),
        (By::Key, Some(key)) => key.shown().to_owned(),
        _ => group,
    };
    Line { name, token, sums }
}

fn total(lines: &[Line]) -> SpendSums {
    let mut total = SpendSums::default();
    lines.iter().for_each(|line| total.add(&line.sums));
    total
}

fn text(by: By, (from, to): &(String, String), lines: &[Line]) -> String {
    let (_, heading, _) = by.column();
    if lines.is_empty() {
        return format!("no calls from {from} to {to}\n");
    }
    let mut table = Table::new(&[
        (heading, Align::Left),
        ("REQUESTS", Align::Right),
        ("FAILED", Align::Right),
        ("INPUT", Align::Right),
        ("OUTPUT", Align::Right),
        ("CACHE READ", Align::Right),
        ("CACHE WRITE", Align::Right),
        ("SPEND USD", Align::Right),
    ]);
    for Line { name, sums, .. } in lines {
        let name = if name.is_empty() { "(none)" } else { name };
        table.add(cells(name.to_owned(), sums));
    }
    let total = total(lines);
    if by != By::Tag {
        table.add(cells("total".to_owned(), &total));
    }
    let mut text = format!("{from} to {to}, UTC\n{}", table.written());
    if by == By::Tag {
        text.push_str("a call with several tags counts for each\n");
    }
    if total.unpriced > 0 {
        text.push_str(&format!(
            "calls without a price, which are not in the sums: {}\n",
            total.unpriced
        ));
    }
    if total.estimated > 0 {
        text.push_str(&format!("calls counted by an estimate: {}\n", total.estimated));
    }
    text
}

fn cells(name: String, sums: &SpendSums) -> [String; 8] {
    [
        name,
        sums.requests().to_string(),
        sums.failed.to_string(),
        sums.input.to_string(),
        sums.output.to_string(),
        sums.cache_read.to_string(),
        sums.cache_write.to_string(),
        dollars(Nanodollars::new(sums.cost)),
    ]
}

fn value(by: By, (from, to): &(String, String), lines: &[Line]) -> Value {
    let (.., member) = by.column();
    let row = |line: &Line| {
        let mut row = json!({ member: line.name });
        if by == By::Key {
            row["token"] = json!(line.token);
        }
        merged(row, &line.sums)
    };
    json!({
        "from": from,
        "to": to,
        "by": member,
        "rows": lines.iter().map(row).collect::<Vec<_>>(),
        "total": (by != By::Tag).then(|| merged(json!({}), &total(lines))),
        "overlapping": by == By::Tag,
    })
}

fn merged(mut row: Value, sums: &SpendSums) -> Value {
    for (name, count) in [
        ("api_requests", sums.requests()),
        ("failed_requests", sums.failed),
        ("prompt_tokens", sums.input),
        ("completion_tokens", sums.output),
        ("cache_read_input_tokens", sums.cache_read),
        ("cache_creation_input_tokens", sums.cache_write),
        ("unpriced_requests", sums.unpriced),
        ("estimated_requests", sums.estimated),
    ] {
        row[name] = count.into();
    }
    row["spend"] = number(Nanodollars::new(sums.cost));
    row
}

/// The day of a group by days.
fn day_of(millis: i64) -> String {
    CalendarDay::of(UtcTime::from_millis(millis)).to_string()
}

fn first_of_month(day: CalendarDay) -> Result<CalendarDay, CommandError> {
    let month: String = day.to_string().chars().take(MONTH).collect();
    parse_day(&format!("{month}01")).map_err(CommandError::Argument)
}

fn parse_day(text: &str) -> Result<CalendarDay, String> {
    CalendarDay::parse(text).ok_or_else(|| format!("{text:?} is no day, such as 2026-11-28"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_on_its_first() {
        let first = |text| first_of_month(parse_day(text).unwrap()).unwrap().to_string();
        assert_eq!(
            (first("2026-02-28"), first("2026-12-01")),
            ("2026-02-01".into(), "2026-12-01".into())
        );
        assert!(parse_day("2026-02-30").unwrap_err().contains("such as"));
    }

    #[test]
    fn calls_without_a_price_are_told_and_days_have_names() {
        let row = SpendRow {
            group: vec!["1795824000000".to_owned()],
            sums: SpendSums {
                succeeded: 2,
                failed: 1,
                cost: 5_000_000,
                unpriced: 1,
                ..SpendSums::default()
            },
        };
        let lines = [line(By::Day, row, &HashMap::new())];
        let range = ("2026-11-28".to_owned(), "2026-11-28".to_owned());
        let text = text(By::Day, &range, &lines);
        assert!(text.contains("2026-11-28         3       1"), "{text}");
        assert!(text.contains("not in the sums: 1"), "{text}");
        let value = value(By::Day, &range, &lines);
        assert_eq!(
            (&value["rows"][0]["day"], &value["total"]["spend"]),
            (&json!("2026-11-28"), &json!(0.005))
        );
    }
}
