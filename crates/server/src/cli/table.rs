//! Tables on a terminal: columns of text, aligned.

use access::{Nanodollars, UtcTime};
use serde_json::{Number, Value};

/// Spaces between columns.
const GAP: &str = "  ";
/// Nanodollars in the last digit that is shown.
const SHOWN: i64 = 100_000;

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table with a line of headings.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row of as many cells as there are columns. Control characters, which could rewrite the terminal's
    /// lines, are replaced.
    pub(super) fn add<const N: usize>(&mut self, cells: [String; N]) {
        let plain = |cell: String| cell.replace(char::is_control, "?");
        self.rows.push(cells.into_iter().map(plain).collect());
    }

    /// The lines of the table.
    pub(super) fn written(&self) -> String {
        let width = |at: usize, name: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(String::as_str);
            cells.chain([name]).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let widths: Vec<_> = names.iter().enumerate().map(|(at, name)| width(at, name)).collect();
        let mut text = String::new();
        for row in std::iter::once(&names).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, align)), width) in row.iter().zip(&self.columns).zip(&widths) {
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                match align {
                    Align::Left => line.extend([cell, &space, GAP]),
                    Align::Right => line.extend([&space, cell, GAP]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Dollars with four digits after the point; a smaller amount is not shown as zero.
pub(super) fn dollars(amount: Nanodollars) -> String {
    let nano = amount.nano();
    if nano != 0 && nano.abs() < SHOWN / 2 {
        return "<0.0001".to_owned();
    }
    let rounded = nano.saturating_add(SHOWN / 2).div_euclid(SHOWN);
    let sign = if rounded < 0 { "-" } else { "" };
    let (whole, rest) = (rounded.unsigned_abs() / 10_000, rounded.unsigned_abs() % 10_000);
    format!("{sign}{whole}.{rest:04}")
}

/// Dollars, or a dash.
pub(super) fn maybe_dollars(amount: Option<Nanodollars>) -> String {
    amount.map_or_else(dash, dollars)
}

/// Dollars as a number of JSON.
pub(super) fn number(amount: Nanodollars) -> Value {
    amount.to_string().parse::<f64>().ok().and_then(Number::from_f64).into()
}

/// A text, or a dash.
pub(super) fn maybe(text: Option<&str>) -> String {
    text.map_or_else(dash, str::to_owned)
}

/// A time to the minute, in UTC, or a dash.
pub(super) fn minute(at: Option<UtcTime>) -> String {
    at.map_or_else(dash, |at| at.to_string().chars().take(16).collect::<String>().replace('T', " "))
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_do_not_reach_the_terminal() {
        let mut table = Table::new(&[("NAME", Align::Left), ("SPEND", Align::Right)]);
        table.add(["a\u{1b}[2J".to_owned(), "1.5".to_owned()]);
        table.add(["größer".to_owned(), "100.25".to_owned()]);
        assert_eq!(table.written(), "NAME     SPEND\na?[2J      1.5\ngrößer  100.25\n");
    }

    #[test]
    fn amounts_are_rounded_and_never_shown_as_zero() {
        for (nano, text) in [
            (0, "0.0000"),
            (1, "<0.0001"),
            (50_000, "0.0001"),
            (1_204_550_000, "1.2046"),
            (25_000_000_000, "25.0000"),
            (-1_500_000_000, "-1.5000"),
        ] {
            assert_eq!(dollars(Nanodollars::new(nano)), text);
        }
        assert_eq!(number(Nanodollars::new(1_204_518_000)).to_string(), "1.204518");
    }
}
