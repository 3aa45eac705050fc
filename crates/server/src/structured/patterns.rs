//! What the regular expressions of a caller's schema may cost. Compiled, one can be thousands of times as large
//! as it is written; so each has a limit, and a schema with too many of them is not judged by.

use jsonschema::PatternOptions;
use serde_json::Value;

/// Most expressions of one schema, in the pieces they are compiled in.
const MOST: usize = 64;
/// Steps of one expression on one text.
const BACKTRACKS: usize = 50_000;
/// Bytes that a piece of an expression may take: the least that will do is what it is charged for. Plain ones
/// take the first, `.{1,255}` the second.
const LIMITS: [usize; 3] = [64 * 1024, 512 * 1024, 1024 * 1024];
/// Bytes kept with a piece to search faster.
const SEARCH: usize = 64 * 1024;
/// Bytes that all expressions of one schema may take.
const SCHEMA: usize = 16 * 1024 * 1024;

/// How many expressions a schema has, in the pieces they are compiled in; `None` if these are too many.
pub(super) fn count(schema: &Value) -> Option<usize> {
    let mut left = MOST;
    look(schema, &mut left)?;
    Some(MOST - left)
}

/// The ways to compile so many pieces, each with the bytes that all of them may take.
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

/// Whether a schema may have any, from its text.
pub(super) fn are_in(text: &str) -> bool {
    text.contains("\"pattern")
}

/// Looks at every object there is as if it were a schema: too much is counted rather than too little.
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

/// How many automata an expression becomes at most. One that looks around itself or back is cut at every such
/// place, and each alternative and each part between is compiled by itself.
fn pieces(pattern: &str) -> usize {
    if !backtracks(pattern) {
        return 1;
    }
    1 + pattern.bytes().filter(|byte| b"(|*+?{\\".contains(byte)).count()
}

/// Whether an expression looks around itself or back, which automata cannot.
pub(super) fn backtracks(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let looks =
        |pair: &[u8]| matches!(pair, b"(?" | [b'\\', b'1'..=b'9' | b'k' | b'g' | b'K' | b'G']);
    // What takes all it can get, and gives nothing back.
    let hoards = |pair: &[u8]| matches!(pair, [b'*' | b'+' | b'?' | b'}', b'+']);
    let groups = |three: &[u8]| three == b"(?:";
    let cuts = bytes.windows(2).filter(|pair| looks(pair) || hoards(pair)).count();
    cuts != bytes.windows(3).filter(|three| groups(three)).count()
}

/// Whether any expression of a schema does.
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
    fn expressions_are_counted_wherever_they_are() {
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
    fn the_more_there_are_the_less_each_may_take() {
        let most = |pieces| attempts(pieces).map(|(_, bytes)| bytes).max().unwrap();
        assert_eq!((most(0), attempts(0).count()), (0, 1));
        assert_eq!(most(1), LIMITS[2] + SEARCH);
        assert!((0..=MOST).all(|pieces| most(pieces) <= SCHEMA));
        assert!(attempts(MOST).next().is_some());
    }

    #[test]
    fn one_that_looks_around_counts_as_what_it_is_cut_into() {
        assert_eq!(pieces(r"^(?:\d{4})-(?:\d\d)$"), 1);
        assert_eq!(pieces(r"^(?=.*[A-Z])(?=.*\d).{8,}$"), 9);
        assert!(pieces(&r"(?=\w{5})".repeat(40)) > MOST);
        assert!(pieces(&format!("(a)\\1{}", r"|\w{9}".repeat(40))) > MOST);
        assert!(pieces(&format!("a++{}", r"|\w{9}".repeat(40))) > MOST);
    }
}
