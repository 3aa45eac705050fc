//! Texts of statements: their placeholders, and the numbers of rows that one statement has.

use std::fmt::Write as _;

/// Numbers of rows that statements of many rows have: few, so that each is prepared once and found again.
const BATCHES: [usize; 5] = [256, 64, 16, 4, 1];

/// Splits rows into pieces of [`BATCHES`].
pub(super) fn batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = BATCHES.into_iter().find(|size| *size <= rows.len())?;
        let (batch, rest) = rows.split_at(size);
        rows = rest;
        Some(batch)
    })
}

/// Numbers of rows that padded statements have.
const PADDED: [usize; 12] = [64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1];

/// Splits rows into pieces of [`PADDED`], of which the last row is repeated where it does not fill its piece: for
/// statements that a row may come to twice, and that are fewer so.
pub(super) fn padded<T: Copy>(mut rows: &[T]) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let fits = PADDED.into_iter().rfind(|size| *size >= rows.len()).unwrap_or(PADDED[0]);
        let (piece, rest) = rows.split_at(fits.min(rows.len()));
        let last = *piece.last()?;
        rows = rest;
        let mut piece = piece.to_vec();
        piece.resize(fits, last);
        Some(piece)
    })
}

/// Placeholders of rows of values: `(?, ?), (?, ?)`.
pub(super) fn rows_of(rows: usize, columns: usize) -> String {
    let row = format!("({}", "?, ".repeat(columns));
    let row = format!("{}), ", row.trim_end_matches(", "));
    let mut text = row.repeat(rows);
    text.truncate(text.len().saturating_sub(2));
    text
}

/// The statement as SQLite reads it fastest: `$1` is a name to it, which it looks for among all others, so that placeholders
/// that are used once and in order become `?`.
pub(super) fn unnamed(sql: String) -> String {
    if !sql.contains('$') {
        return sql;
    }
    let mut text = String::with_capacity(sql.len());
    let mut pieces = sql.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for (at, piece) in (1_usize..).zip(pieces) {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at(digits);
        if number.parse() != Ok(at) {
            return sql;
        }
        text.push('?');
        text.push_str(rest);
    }
    text
}

/// The statement as PostgreSQL reads it: `?` becomes `$1` and so on.
pub(super) fn numbered(sql: String) -> String {
    if !sql.contains('?') {
        return sql;
    }
    let mut text = String::with_capacity(2 * sql.len());
    for (at, piece) in sql.split('?').enumerate() {
        if at > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "${at}");
        }
        text.push_str(piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_lose_their_names_where_they_stand_in_order() {
        for (sql, expected) in [
            ("VALUES ($1, $2), ($3, $4)", "VALUES (?, ?), (?, ?)"),
            ("a = $1 AND b IN ($2)", "a = ? AND b IN (?)"),
            ("a = $1 OR b = $1", "a = $1 OR b = $1"),
            ("a = $2 OR b = $1", "a = $2 OR b = $1"),
            ("SELECT 1", "SELECT 1"),
        ] {
            assert_eq!(unnamed(sql.to_owned()), expected);
        }
    }

    #[test]
    fn statements_of_many_rows_have_few_sizes() {
        assert_eq!(rows_of(2, 3), "(?, ?, ?), (?, ?, ?)");
        assert_eq!(numbered(format!("VALUES {}", rows_of(2, 1))), "VALUES ($1), ($2)");
        assert_eq!(numbered("a = $1".to_owned()), "a = $1");
        let rows: Vec<usize> = (0..343).collect();
        let sizes: Vec<usize> = batches(&rows).map(<[_]>::len).collect();
        assert_eq!(sizes, [256, 64, 16, 4, 1, 1, 1]);
        assert_eq!(batches(&rows).flatten().count(), 343);
    }

    #[test]
    fn padded_pieces_have_few_sizes_and_repeat_their_last_row() {
        let sizes = |count: usize| {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<_> = padded(&rows).collect();
            let mut held = pieces.concat();
            held.dedup();
            assert_eq!(held, rows);
            pieces.iter().map(Vec::len).collect::<Vec<_>>()
        };
        for (count, expected) in
            [(0, &[][..]), (1, &[1]), (5, &[6]), (49, &[64]), (64, &[64]), (140, &[64, 64, 12])]
        {
            assert_eq!(sizes(count), expected, "{count}");
        }
    }
}
