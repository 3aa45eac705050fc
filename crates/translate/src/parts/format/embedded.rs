//! Extracts the one JSON object from a text that may have words or a code fence around it: models
//! that are told in the prompt to answer with JSON still write "Here is the JSON". The object is
//! sent as it arrives; the words around it are beside the answer. A text without an object is the
//! answer as it is.

use crate::parts::json_strings::JsonStrings;

/// The longest language tag after a fence, in bytes.
const TAG: usize = 16;

#[derive(Debug, Clone)]
pub(super) struct Embedded {
    state: State,
    /// Words known to be beside the object, and not fetched yet.
    aside: String,
    /// Whether there were words before it.
    led_up: bool,
}

#[derive(Debug, Clone)]
enum State {
    /// No object has begun, and none can begin in the first `searched` bytes of `held`.
    Before {
        held: String,
        searched: usize,
    },
    Within(Nesting),
    Behind(String),
}

#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: usize,
    strings: JsonStrings,
}

/// The start of an object in a text.
enum Beginning {
    At(usize),
    /// No start before this index.
    NotBefore(usize),
}

impl Default for Embedded {
    fn default() -> Self {
        let state = State::Before { held: String::new(), searched: 0 };
        Self { state, aside: String::new(), led_up: false }
    }
}

impl Embedded {
    /// Adds a piece of text, and returns the part of the object that it yields.
    pub(super) fn push(&mut self, piece: &str) -> String {
        match &mut self.state {
            State::Before { held, searched } => {
                held.push_str(piece);
                match beginning(held, *searched) {
                    Beginning::NotBefore(at) => {
                        *searched = at;
                        String::new()
                    }
                    Beginning::At(at) => {
                        let object = held.split_off(at);
                        self.aside = without_opening(held).to_owned();
                        self.led_up = !self.aside.is_empty();
                        self.within(Nesting::default(), object)
                    }
                }
            }
            State::Within(nesting) => {
                let nesting = *nesting;
                self.within(nesting, piece.to_owned())
            }
            State::Behind(held) => {
                held.push_str(piece);
                String::new()
            }
        }
    }

    fn within(&mut self, mut nesting: Nesting, mut piece: String) -> String {
        let behind = nesting.end(&piece).map(|end| piece.split_off(end));
        self.state = behind.map_or(State::Within(nesting), State::Behind);
        piece
    }

    /// The words known so far to be beside the object.
    pub(super) fn take_aside(&mut self) -> String {
        std::mem::take(&mut self.aside)
    }

    /// Ends the text: held text is returned if it is the whole answer.
    pub(super) fn finish(&mut self) -> String {
        match &mut self.state {
            State::Before { held, searched } => {
                *searched = 0;
                std::mem::take(held)
            }
            State::Within(_) => String::new(),
            State::Behind(held) => {
                let words = held.trim_start().trim_start_matches('`').trim();
                if !words.is_empty() {
                    let apart = if self.led_up { "\n" } else { "" };
                    self.aside = format!("{}{apart}{words}", self.aside);
                }
                held.clear();
                String::new()
            }
        }
    }

    /// Returns whether the object has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Before { .. })
    }
}

impl Nesting {
    /// The end of the object in a further piece of it.
    fn end(&mut self, piece: &str) -> Option<usize> {
        for (at, byte) in piece.bytes().enumerate() {
            match (self.strings.read(byte), byte) {
                (false, b'{') => self.depth += 1,
                (false, b'}') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Finds a brace followed by a key or by the closing brace: `{x}` is not JSON but a notation in
/// text.
fn beginning(text: &str, searched: usize) -> Beginning {
    let unsearched = text.get(searched..).unwrap_or_default();
    for (at, _) in unsearched.match_indices('{') {
        let at = searched + at;
        match text[at + 1..].trim_start().bytes().next() {
            Some(b'"' | b'}') => return Beginning::At(at),
            None => return Beginning::NotBefore(at),
            Some(_) => {}
        }
    }
    Beginning::NotBefore(text.len())
}

/// The words before an object, without its opening fence.
fn without_opening(words: &str) -> &str {
    let words = words.trim_end();
    let untagged = words.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
    let is_fenced = untagged.ends_with("```") && words.len() - untagged.len() <= TAG;
    let words = if is_fenced { untagged } else { words };
    words.trim_end_matches('`').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_found_in_any_surrounding_text() {
        let cases = [
            (r#"{"a":1}"#, r#"{"a":1}"#, ""),
            ("```json\n{\"a\":1}\n```\n", r#"{"a":1}"#, ""),
            ("Here is the JSON:\n```json\n{\"a\":1}\n```", r#"{"a":1}"#, "Here is the JSON:"),
            ("Sure!\n\n{\"a\": {\"b\": []}}", r#"{"a": {"b": []}}"#, "Sure!"),
            ("Here:\n```\n{\"a\":1}\n```\nDone.", r#"{"a":1}"#, "Here:\nDone."),
            ("It is `{\"a\":1}`, I think.", r#"{"a":1}"#, "It is\n, I think."),
            (r#"{"a":"}{\"} \\"} bye"#, r#"{"a":"}{\"} \\"}"#, "bye"),
            ("The set {x, y} as JSON: { \"x\": 1 }", r#"{ "x": 1 }"#, "The set {x, y} as JSON:"),
            ("{}", "{}", ""),
            // Truncated in the middle.
            ("Here:\n```json\n{\"a\": \"``", "{\"a\": \"``", "Here:"),
            // Without an object.
            ("I cannot {do} that.", "I cannot {do} that.", ""),
            ("{", "{", ""),
            ("", "", ""),
        ];
        for (text, answer, words) in cases {
            for step in [1, 2, 3, 7, 100] {
                let mut embedded = Embedded::default();
                let (mut out, mut aside) = (String::new(), String::new());
                let characters: Vec<char> = text.chars().collect();
                for piece in characters.chunks(step) {
                    out.push_str(&embedded.push(&piece.iter().collect::<String>()));
                    aside.push_str(&embedded.take_aside());
                }
                out.push_str(&embedded.finish());
                aside.push_str(&embedded.take_aside());
                assert_eq!((out.as_str(), aside.as_str()), (answer, words), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn the_object_does_not_wait_for_its_end() {
        let mut embedded = Embedded::default();
        assert_eq!(embedded.push("So: {"), "");
        assert_eq!(embedded.push("\"a\""), "{\"a\"");
        assert_eq!(embedded.push(": 1"), ": 1");
        assert_eq!(embedded.push("} and"), "}");
    }
}
