//! An example string for a simple regular expression: literals, classes, groups, alternatives and counts.
//! Unsupported syntax is treated as a literal.

use std::{iter::Peekable, str::Chars};

/// A string that `pattern` matches, for patterns that tool schemas use.
pub(super) fn example(pattern: &str) -> String {
    let mut chars = pattern.chars().peekable();
    alternatives(&mut chars)
}

/// Reads alternatives up to the end of the group and keeps the first.
fn alternatives(chars: &mut Peekable<Chars<'_>>) -> String {
    let first = sequence(chars);
    while chars.next_if_eq(&'|').is_some() {
        sequence(chars);
    }
    first
}

fn sequence(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut out = String::new();
    while let Some(c) = chars.next_if(|c| !matches!(c, '|' | ')')) {
        let atom = match c {
            '^' | '$' => continue,
            '(' => {
                if chars.next_if_eq(&'?').is_some() {
                    // `?:` and `?<name>` do not affect the match.
                    while chars.next_if(|c| !matches!(c, ':' | '>')).is_some() {}
                    chars.next();
                }
                let inner = alternatives(chars);
                chars.next_if_eq(&')');
                inner
            }
            '[' => class(chars).to_string(),
            '\\' => chars.next().map(|c| escaped(c).to_string()).unwrap_or_default(),
            '.' => "a".to_owned(),
            literal => literal.to_string(),
        };
        out.push_str(&atom.repeat(least(chars)));
    }
    out
}

/// Least number of repetitions of the preceding atom; an optional one is repeated once.
fn least(chars: &mut Peekable<Chars<'_>>) -> usize {
    let count = match chars.peek() {
        Some('*' | '?' | '+') => {
            chars.next();
            1
        }
        Some('{') => {
            chars.next();
            let digits: String =
                std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
            while chars.next_if(|c| *c != '}').is_some() {}
            chars.next();
            digits.parse::<usize>().unwrap_or(1).min(1_000)
        }
        _ => return 1,
    };
    chars.next_if_eq(&'?');
    count
}

/// One character of a class, after its opening bracket.
fn class(chars: &mut Peekable<Chars<'_>>) -> char {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    while let Some(c) = chars.next_if(|c| *c != ']') {
        let from = if c == '\\' { chars.next().map_or('\\', escaped) } else { c };
        if chars.peek() == Some(&'-') {
            chars.next();
            match chars.next_if(|c| *c != ']') {
                Some(to) => ranges.push((from, to)),
                None => ranges.extend([(from, from), ('-', '-')]),
            }
        } else {
            ranges.push((from, from));
        }
    }
    chars.next();
    if !negated {
        return ranges.first().map_or('a', |(from, _)| *from);
    }
    ('a'..='z')
        .chain('0'..='9')
        .find(|c| !ranges.iter().any(|(from, to)| (from..=to).contains(&c)))
        .unwrap_or('~')
}

fn escaped(c: char) -> char {
    match c {
        'd' => '0',
        'w' => 'a',
        's' => ' ',
        'D' | 'W' | 'S' => '-',
        'n' => '\n',
        't' => '\t',
        literal => literal,
    }
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    #[test]
    fn examples_match_their_patterns() {
        for pattern in [
            r"^[A-Z]{3}-\d{4}$",
            r"^(foo|bar)+\.[a-z0-9_-]{2,5}$",
            r"^\+?[1-9]\d{1,14}$",
            r"^[^abc]x*$",
            r"^(?:v)?\d+\.\d+\.\d+$",
            r"^#[0-9a-fA-F]{6}$",
            r"^[\w.+-]+@example\.com$",
            "plain",
        ] {
            let regex = Regex::new(pattern).expect("a valid pattern");
            let example = example(pattern);
            assert!(regex.is_match(&example), "{pattern}: {example}");
        }
    }
}
