//! Cost of the regular expressions in a caller's schema. A compiled expression can be thousands of times as
//! large as its text, so each has a limit, and a schema with too many of them is not used for validation.

use jsonschema::PatternOptions;
use serde_json::Value;

/// Most expressions of one schema, counted in compiled pieces.
const MOST: usize = 64;
/// Most steps of one expression on one text.
const BACKTRACKS: usize = 50_000;
/// Memory limits of a piece, in bytes: it is charged with the lowest sufficient one. Simple expressions
/// need the first, `.{1,255}` the second.
const LIMITS: [usize; 3] = [64 * 1024, 512 * 1024, 1024 * 1024];
/// Bytes kept with a piece to speed up searches.
const SEARCH: usize = 64 * 1024;
/// Most bytes for all expressions of one schema.
const SCHEMA: usize = 16 * 1024 * 1024;

/// The number of expressions in a schema, counted in compiled pieces; `None` if there are too many.
pub(super) fn count(schema: &Value) -> Option<usize> {
    let mut left = MOST;
    look(schema, &mut left)?;
    Some(MOST - left)
}

/// Options for compiling this many pieces, each with the bytes that all of them may take.
pub(super) fn attempts(
    pieces: usize,
) -> impl Iterator<Item = (PatternOptions<jsonschema::FancyRegex>, usize)> {
    let limits = LIMITS.into_iter().take(if pieces == 0 { 1 } else { LIMITS.len() });
    limits
        .map(move |limit| {
            let options = PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS);
            let options = options.size_limit(limit).dfa_size_limit(SEARCH);
            (options, pieces * (limit + SEARCH))
        })
        .filter(|(_, bytes)| *bytes <= SCHEMA)
}

/// Whether a schema may contain expressions, judged by its text.
pub(super) fn are_in(text: &str) -> bool {
    text.contains("\"pattern")
}

/// Examines every object as if it were a schema, which may count too many but never too few.
fn look(value: &Value, left: &mut usize) -> Option<()> {
    match value {
        Value::Object(members) => members.iter().try_for_each(|(keyword, value)| {
            match (keyword.as_str(), value) {
                ("pattern", Value::String(pattern)) => *left = left.checked_sub(pieces(pattern))?,
                ("patternProperties", Value::Object(patterns)) => {
                    for pattern in patterns.keys() {
                        *left = left.checked_sub(pieces(pattern))?;
                    }
                }
                _ => {}
            }
            look(value, left)
        }),
        Value::Array(items) => items.iter().try_for_each(|item| look(item, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
    }
}

/// Most automata of an expression. One with look-around or back-references is split at each of them, and
/// each alternative and each part between is compiled separately.
fn pieces(pattern: &str) -> usize {
    if !backtracks(pattern) {
        return 1;
    }
    1 + pattern.bytes().filter(|byte| b"(|*+?{\\".contains(byte)).count()
}

/// Whether an expression uses look-around, back-references or possessive quantifiers, which automata do not
/// support.
pub(super) fn backtracks(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let looks =
        |pair: &[u8]| matches!(pair, b"(?" | [b'\\', b'1'..=b'9' | b'k' | b'g' | b'K' | b'G']);
    // Possessive quantifiers never give characters back.
    let hoards = |pair: &[u8]| matches!(pair, [b'*' | b'+' | b'?' | b'}', b'+']);
    let groups = |three: &[u8]| three == b"(?:";
    let cuts = bytes.windows(2).filter(|pair| looks(pair) || hoards(pair)).count();
    cuts != bytes.windows(3).filter(|three| groups(three)).count()
}

/// Whether any expression of a schema backtracks.
pub(super) fn any_backtracks(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(keyword, value)| {
            let here = match (keyword.as_str(), value) {
                ("pattern", Value::String(pattern)) => backtracks(pattern),
                ("patternProperties", Value::Object(patterns)) => {
                    patterns.keys().any(|pattern| backtracks(pattern))
                }
                _ => false,
            };
            here || any_backtracks(value)
        }),
        Value::Array(items) => items.iter().any(any_backtracks),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_are_counted_at_every_position() {
        let schema = json!({
            "properties": { "pattern": { "type": "string", "pattern": "^a$" } },
            "patternProperties": { "^x": { "items": [{ "pattern": "(?:b|c)" }] } },
        });
        assert_eq!(count(&schema), Some(3));
        assert_eq!(count(&json!({ "type": "string" })), Some(0));
        let many = |count| json!({ "anyOf": vec![json!({ "pattern": "a" }); count] });
        assert_eq!(count(&many(MOST)), Some(MOST));
        assert_eq!(count(&many(MOST + 1)), None);
    }

    #[test]
    fn more_expressions_get_less_memory_each() {
        let most = |pieces| attempts(pieces).map(|(_, bytes)| bytes).max().unwrap();
        assert_eq!((most(0), attempts(0).count()), (0, 1));
        assert_eq!(most(1), LIMITS[2] + SEARCH);
        assert!((0..=MOST).all(|pieces| most(pieces) <= SCHEMA));
        assert!(attempts(MOST).next().is_some());
    }

    #[test]
    fn a_lookaround_expression_counts_by_its_pieces() {
        assert_eq!(pieces(r"^(?:\d{4})-(?:\d\d)$"), 1);
        assert_eq!(pieces(r"^(?=.*[A-Z])(?=.*\d).{8,}$"), 9);
        assert!(pieces(&r"(?=\w{5})".repeat(40)) > MOST);
        assert!(pieces(&format!("(a)\\1{}", r"|\w{9}".repeat(40))) > MOST);
        assert!(pieces(&format!("a++{}", r"|\w{9}".repeat(40))) > MOST);
    }
}
