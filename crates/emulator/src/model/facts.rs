//! Facts in a text that an argument can be built from: quoted strings, numbers, names, and the words beside
//! a parameter's name.

use regex_lite::Regex;
use serde_json::Value;

use super::lexicon::{is_stop_word, is_verb, words_of};

/// A span of the text that may become a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    /// Byte range in the text.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: Kind,
    pub(crate) value: String,
}

/// Form of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Quoted,
    Number,
    /// Addresses, dates, times and identifiers such as `A-1234`.
    Code,
    /// Capitalised words.
    Name,
}

/// A text and its facts, each used at most once.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) text: &'a str,
    pub(crate) all: Vec<Fact>,
    used: Vec<bool>,
}

/// Words that may stand between a parameter and its value.
const LINKS: [&str; 17] = [
    "is", "of", "to", "as", "be", "are", "equals", "equal", "being", "called", "named", "value",
    "set", "with", "should", "must", "shall",
];

/// Those of them that accept any word as a value.
const FIRM: [&str; 7] = ["equals", "equal", "called", "named", "set", "should", "must"];

impl<'a> Facts<'a> {
    /// Finds the facts of `text`; spans inside `names` (of tools) are no values.
    pub(crate) fn of(text: &'a str, names: &[&str]) -> Self {
        let mut all = quoted(text);
        all.retain(|fact| !names.contains(&fact.value.as_str()));
        let mut taken: Vec<(usize, usize)> =
            all.iter().map(|fact| (fact.start, fact.end)).collect();
        for name in names {
            taken.extend(positions(text, name).into_iter().map(|at| (at, at + name.len())));
        }
        let free = |fact: &Fact, taken: &[(usize, usize)]| {
            !taken.iter().any(|(start, end)| fact.start < *end && *start < fact.end)
        };
        for found in [codes(text), numbers(text), capitalised(text)] {
            let found: Vec<Fact> = found.into_iter().filter(|fact| free(fact, &taken)).collect();
            taken.extend(found.iter().map(|fact| (fact.start, fact.end)));
            all.extend(found);
        }
        all.sort_by_key(|fact| fact.start);
        let used = vec![false; all.len()];
        Self { text, all, used }
    }

    /// The value beside `parameter` in the text, as written.
    pub(crate) fn named(&mut self, parameter: &str) -> Option<String> {
        for spelling in spellings(parameter) {
            for at in positions(self.text, &spelling) {
                if let Some((start, value)) = self.value_after(at + spelling.len()) {
                    self.mark(start, start + value.len());
                    return Some(unquoted(&value).to_owned());
                }
            }
        }
        None
    }

    /// The JSON array or object beside `parameter`.
    pub(crate) fn named_json(&self, parameter: &str) -> Option<Value> {
        spellings(parameter).iter().find_map(|spelling| {
            positions(self.text, spelling).into_iter().find_map(|at| {
                let rest = self.text.get(at + spelling.len()..)?;
                let start = rest.find(['[', '{'])?;
                let between = rest.get(..start)?;
                let close = between.chars().all(|c| !c.is_alphanumeric())
                    || LINKS.contains(&between.trim_matches(|c: char| !c.is_alphanumeric()));
                if !close {
                    return None;
                }
                let mut values =
                    serde_json::Deserializer::from_str(rest.get(start..)?).into_iter::<Value>();
                values.next()?.ok()
            })
        })
    }

    /// Whether the text mentions `parameter` at all.
    pub(crate) fn mentions(&self, parameter: &str) -> bool {
        spellings(parameter).iter().any(|spelling| !positions(self.text, spelling).is_empty())
    }

    /// The next unused fact of one of `kinds`, the first kind first.
    pub(crate) fn take(&mut self, kinds: &[Kind]) -> Option<String> {
        let index = kinds.iter().find_map(|kind| {
            (0..self.all.len()).find(|&index| {
                !self.used.get(index).copied().unwrap_or(true)
                    && self.all.get(index).is_some_and(|fact| fact.kind == *kind)
            })
        })?;
        if let Some(used) = self.used.get_mut(index) {
            *used = true;
        }
        self.all.get(index).map(|fact| fact.value.clone())
    }

    /// All unused facts of `kind`, in order, marked as used.
    pub(crate) fn take_all(&mut self, kind: Kind) -> Vec<String> {
        std::iter::from_fn(|| self.take(&[kind])).collect()
    }

    /// The topic of the sentence, if it has no other facts.
    pub(crate) fn topic(&self) -> String {
        let sentence = self
            .text
            .split_inclusive(['?', '!', '.', '\n'])
            .map(str::trim)
            .find(|sentence| sentence.chars().filter(|c| c.is_alphanumeric()).count() > 2)
            .unwrap_or(self.text.trim());
        let bare = sentence.trim_end_matches(|c: char| !c.is_alphanumeric());
        for preposition in [" about ", " in ", " for ", " of ", " at ", " to ", " on "] {
            let after = bare.split_once(preposition).map(|(_, after)| after.trim());
            if let Some(after) = after.filter(|after| !after.is_empty()) {
                let rest = after
                    .strip_prefix("the ")
                    .or_else(|| after.strip_prefix("a "))
                    .unwrap_or(after);
                return rest.chars().take(200).collect();
            }
        }
        bare.chars().take(200).collect()
    }

    fn mark(&mut self, start: usize, end: usize) {
        for (fact, used) in self.all.iter().zip(&mut self.used) {
            *used |= fact.start < end && start < fact.end;
        }
    }

    /// The value right after byte `at`, past links and punctuation, with its start.
    fn value_after(&self, at: usize) -> Option<(usize, String)> {
        let mut position = at;
        let (mut linked, mut firm) = (false, false);
        for _ in 0..5 {
            let rest = self.text.get(position..)?;
            let skipped = rest.len()
                - rest
                    .trim_start_matches(|c: char| {
                        c.is_whitespace() || "=:`*(\u{2192}>-".contains(c)
                    })
                    .len();
            let separators = rest.get(..skipped).unwrap_or_default();
            // A backtick is a separator, and opens a quoted value.
            if let Some(fact) = self.all.iter().find(|fact| {
                fact.kind == Kind::Quoted && (position..position + skipped).contains(&fact.start)
            }) {
                return Some((fact.start, self.text.get(fact.start..fact.end)?.to_owned()));
            }
            // A minus belongs to the number after it, a quote to its string.
            let signed = separators.ends_with('-')
                && rest
                    .get(skipped..)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            linked |= separators.contains(['=', ':']);
            position += skipped - usize::from(signed);
            let rest = self.text.get(position..)?;
            if let Some(fact) = self.all.iter().find(|fact| fact.start == position) {
                return Some((fact.start, self.text.get(fact.start..fact.end)?.to_owned()));
            }
            // Closing quote of a parameter that was itself quoted.
            if let Some(quote) = rest.chars().next().filter(|c| "\"'\u{201d}".contains(*c)) {
                position += quote.len_utf8();
                continue;
            }
            let word =
                rest.split(|c: char| c.is_whitespace() || ",;?!)\n\"`".contains(c)).next()?;
            let word = word.trim_end_matches(['.', ':', '=']);
            if word.is_empty() {
                return None;
            }
            let lower = word.to_lowercase();
            if LINKS.contains(&lower.as_str()) && !linked {
                position += word.len();
                firm |= FIRM.contains(&lower.as_str());
                continue;
            }
            let common = is_stop_word(&lower) || is_verb(&lower);
            return (linked || firm || !common).then(|| (position, word.to_owned()));
        }
        None
    }
}

/// Spellings of a parameter's name in prose.
fn spellings(parameter: &str) -> Vec<String> {
    let spoken = words_of(parameter).join(" ");
    let mut all = vec![parameter.to_owned()];
    let words = words_of(parameter);
    if spoken != parameter.to_lowercase() {
        all.push(spoken);
    }
    // An order_id is mentioned as the order.
    if let Some(("id" | "name" | "number" | "code" | "key", rest)) =
        words.split_last().map(|(last, rest)| (last.as_str(), rest))
        && !rest.is_empty()
    {
        all.push(rest.join(" "));
    }
    all
}

/// Positions of `word` in `text` as a separate word, in any case.
pub(crate) fn positions(text: &str, word: &str) -> Vec<usize> {
    if word.is_empty() {
        return Vec::new();
    }
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.char_indices()
        .map(|(at, _)| at)
        .filter(|&at| {
            let Some(found) = text.get(at..at + word.len()) else { return false };
            found.eq_ignore_ascii_case(word)
                && !text.get(..at).unwrap_or_default().ends_with(inside)
                && !text.get(at + word.len()..).unwrap_or_default().starts_with(inside)
        })
        .collect()
}

fn unquoted(text: &str) -> &str {
    text.trim_matches([
        '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
    ])
}

fn quoted(text: &str) -> Vec<Fact> {
    const PAIRS: [(char, char); 6] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{ab}', '\u{bb}'),
    ];
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((offset, open)) = text
        .get(from..)
        .and_then(|rest| rest.char_indices().find(|(_, c)| PAIRS.iter().any(|(open, _)| open == c)))
    {
        let start = from + offset;
        from = start + open.len_utf8();
        let before = text.get(..start).and_then(|text| text.chars().next_back());
        // An apostrophe inside a word is no quote.
        if open == '\'' && before.is_some_and(char::is_alphanumeric) {
            continue;
        }
        let close = PAIRS.iter().find(|(pair, _)| *pair == open).map_or(open, |(_, close)| *close);
        let Some(length) = text.get(from..).and_then(|rest| rest.find(close)) else { continue };
        let inner = text.get(from..from + length).unwrap_or_default();
        if inner.is_empty() || inner.contains('\n') {
            continue;
        }
        let end = from + length + close.len_utf8();
        found.push(Fact { start, end, kind: Kind::Quoted, value: inner.to_owned() });
        from = end;
    }
    found
}

fn codes(text: &str) -> Vec<Fact> {
    const FORMS: &str = r"https?://[^\s<>\x22')]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\d{4}-\d{2}-\d{2}(?:T[\d:.]+(?:Z|[+-]\d{2}:\d{2})?)?|\b\d{1,2}:\d{2}(?::\d{2})?\b|\b[A-Za-z]+[-_]?\d[\w-]*";
    let Ok(forms) = Regex::new(FORMS) else { return Vec::new() };
    forms
        .find_iter(text)
        .map(|found| {
            let value = found.as_str().trim_end_matches(['.', ',', ';', ':', '?', '!', '-']);
            let end = found.start() + value.len();
            Fact { start: found.start(), end, kind: Kind::Code, value: value.to_owned() }
        })
        .collect()
}

fn numbers(text: &str) -> Vec<Fact> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let in_word = at > 0
            && bytes.get(at - 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        if !digit(at) || in_word {
            at += 1;
            continue;
        }
        let mut end = at;
        while digit(end)
            || (matches!(bytes.get(end), Some(b'.' | b','))
                && digit(end + 1)
                && grouped(bytes, end))
        {
            end += 1;
        }
        let minus = at > 0
            && bytes.get(at - 1) == Some(&b'-')
            && !bytes.get(at.wrapping_sub(2)).is_some_and(u8::is_ascii_alphanumeric);
        let start = at - usize::from(minus);
        let value = text.get(start..end).unwrap_or_default().replace(',', "");
        found.push(Fact { start, end, kind: Kind::Number, value });
        at = end;
    }
    found
}

/// A comma belongs to a number only before exactly three digits.
fn grouped(bytes: &[u8], at: usize) -> bool {
    if bytes.get(at) == Some(&b'.') {
        return true;
    }
    let digits =
        bytes.get(at + 1..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
    digits.count() == 3
}

fn capitalised(text: &str) -> Vec<Fact> {
    let mut found: Vec<Fact> = Vec::new();
    let mut opens = true;
    let mut words = text.char_indices().peekable();
    while let Some((start, first)) = words.next() {
        if !first.is_alphanumeric() {
            opens |= ".!?\n:".contains(first);
            continue;
        }
        let mut end = start + first.len_utf8();
        while let Some((at, c)) = words.next_if(|(_, c)| c.is_alphanumeric() || "'_-".contains(*c))
        {
            end = at + c.len_utf8();
        }
        let word = text.get(start..end).unwrap_or_default();
        let lower = word.to_lowercase();
        let common = is_stop_word(&lower) || (opens && is_verb(&lower)) || word.contains('_');
        if first.is_uppercase() && !common && lower != "i" {
            extend(&mut found, text, start, end);
        }
        opens = false;
    }
    found
}

/// Adds a capitalised word, or joins it to the name it continues (`San Francisco, CA`).
fn extend(found: &mut Vec<Fact>, text: &str, start: usize, end: usize) {
    let word = text.get(start..end).unwrap_or_default();
    let region = word.len() == 2 && word.chars().all(char::is_uppercase);
    if let Some(last) = found.last_mut() {
        let between = text.get(last.end..start).unwrap_or_default();
        if between == " " || (between == ", " && region) {
            last.end = end;
            last.value = text.get(last.start..end).unwrap_or_default().to_owned();
            return;
        }
    }
    found.push(Fact { start, end, kind: Kind::Name, value: word.to_owned() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str, parameter: &str) -> Option<String> {
        Facts::of(text, &[]).named(parameter)
    }

    #[test]
    fn a_parameter_finds_the_value_beside_it() {
        for (text, parameter, expected) in [
            ("call f with x=3", "x", Some("3")),
            ("set vkx: \"blorp zap\" please", "vkx", Some("blorp zap")),
            ("the location Paris", "location", Some("Paris")),
            ("user name is Jo Smith, age 31.", "user_name", Some("Jo Smith")),
            ("user name is Jo Smith, age 31.", "age", Some("31")),
            ("with \"max_count\": -7", "maxCount", None),
            ("with \"max_count\": -7", "max_count", Some("-7")),
            ("the max count is -7.5!", "maxCount", Some("-7.5")),
            ("give me the city and the count", "city", None),
            ("colour=teal;", "colour", Some("teal")),
            ("unit should be celsius", "unit", Some("celsius")),
            ("run the command `echo a b`.", "command", Some("echo a b")),
            ("set `unit` to `deg C`", "unit", Some("deg C")),
            ("look up order A-1234 for bob@example.com", "order_id", Some("A-1234")),
        ] {
            assert_eq!(named(text, parameter).as_deref(), expected, "{text} / {parameter}");
        }
    }

    #[test]
    fn facts_are_found_in_order() {
        let text = "What's the weather in San Francisco, CA and Paris? Add 3, 1,250 and -4.5 to 'my list'.";
        let values: Vec<(Kind, String)> =
            Facts::of(text, &[]).all.into_iter().map(|fact| (fact.kind, fact.value)).collect();
        assert_eq!(
            values,
            [
                (Kind::Name, "San Francisco, CA".into()),
                (Kind::Name, "Paris".into()),
                (Kind::Number, "3".into()),
                (Kind::Number, "1250".into()),
                (Kind::Number, "-4.5".into()),
                (Kind::Quoted, "my list".into()),
            ]
        );
        let customer = "Create a customer named '\u{4f60}\u{597d}\u{5566}' (Hello La) - a company";
        assert_eq!(
            Facts::of(customer, &[]).take(&[Kind::Quoted]).as_deref(),
            Some("\u{4f60}\u{597d}\u{5566}")
        );
    }

    #[test]
    fn json_beside_a_parameter_is_read() {
        let facts = Facts::of("use tags: [\"red\", \"blue\"] today", &[]);
        assert_eq!(facts.named_json("tags"), Some(serde_json::json!(["red", "blue"])));
        assert_eq!(facts.named_json("today"), None);
    }
}
