//! Comma-separated values, as spreadsheets read them.

/// Beginnings of cells that spreadsheets take for formulas.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A table that grows by rows.
#[derive(Debug, Default)]
pub(super) struct CsvTable(String);

impl CsvTable {
    /// A table with these names of columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        Self(format!("{}\r\n", columns.join(",")))
    }

    /// Adds a row: texts first, then numbers, which are written as they are.
    pub(super) fn row(&mut self, texts: &[&str], numbers: &[String]) {
        let cells = texts.iter().map(|text| cell(text)).chain(numbers.iter().cloned());
        self.0.push_str(&cells.collect::<Vec<_>>().join(","));
        self.0.push_str("\r\n");
    }

    /// The text of the table.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// A cell. Text that begins like a formula gets an apostrophe, so that no spreadsheet computes it.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(FORMULAS) { "'" } else { "" };
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("=a,\"b\"", "\"'=a,\"\"b\"\"\""),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
        let mut table = CsvTable::new(&["a", "b"]);
        table.row(&["=x"], &["-1".to_owned()]);
        assert_eq!(table.text(), "a,b\r\n'=x,-1\r\n");
    }
}
