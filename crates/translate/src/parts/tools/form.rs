//! Wrapping of inputs that Bedrock cannot carry directly. It requires a JSON object; a free-form
//! tool takes text, and some schemas describe no object. Both are sent as the one member of a
//! wrapping object and unwrapped again, piece by piece in a stream.

use std::borrow::Cow;

use schema::Raw;
use serde_json::value::RawValue;

use crate::parts::json_strings::JsonStrings;
use crate::parts::schemas::{owned, too_deep};

/// The form in which the input of a tool is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Form {
    /// Directly.
    #[default]
    Plain,
    /// Free text, in a member of a wrapping object.
    Text,
    /// JSON of any type, in a member of a wrapping object.
    Value,
}

impl Form {
    /// The member that holds the input; empty for a plain input.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Text => "input",
            Self::Value => "value",
        }
    }
}

/// The input of a past call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CalledWith<'a> {
    /// JSON text, which may be empty or invalid.
    Arguments(&'a str),
    /// Free text.
    Text(&'a str),
}

/// The input of a past call, as the object that Bedrock requires. Arguments that are not a JSON
/// object are kept as text, so that the model sees its own output.
pub(crate) fn input(past: CalledWith<'_>, form: Form) -> Result<Raw<'_>, serde_json::Error> {
    let arguments = match (past, form) {
        (CalledWith::Text(text), _) | (CalledWith::Arguments(text), Form::Text) => {
            return owned(serde_json::json!({ Form::Text.member(): text }).to_string());
        }
        (CalledWith::Arguments(arguments), Form::Plain | Form::Value) => arguments.trim(),
    };
    if arguments.is_empty() {
        return owned("{}".to_owned());
    }
    let json = serde_json::from_str::<&RawValue>(arguments);
    match (json.ok().filter(|raw| !too_deep(raw.get())), form) {
        (Some(raw), Form::Value) => owned(format!(r#"{{"{}":{}}}"#, form.member(), raw.get())),
        (Some(raw), _) if raw.get().starts_with('{') => Ok(Cow::Borrowed(raw)),
        (_, Form::Value) => owned(serde_json::json!({ form.member(): arguments }).to_string()),
        _ => owned(serde_json::json!({ "arguments": arguments }).to_string()),
    }
}

/// Extracts an input from its wrapping, however it is cut into pieces. An input without the
/// wrapping passes unchanged.
#[derive(Debug, Clone)]
pub(crate) struct Unwrap {
    form: Form,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// The start of the wrapping, as received so far.
    Head(String),
    /// Inside the text.
    Text(Escape),
    /// Inside a value.
    Value { depth: usize, strings: JsonStrings },
    /// After the input; the rest of the wrapping is dropped.
    Tail,
    /// The input has no wrapping.
    Bare,
}

/// State of an escape sequence that may be cut.
#[derive(Debug, Clone, Copy, Default)]
struct Escape {
    open: bool,
    /// Hexadecimal digits still missing, and the value of those read.
    digits: u8,
    code: u32,
    /// The first half of a surrogate pair.
    high: Option<u32>,
}

/// Longest possible start of a wrapping, in bytes.
const HEAD_LIMIT: usize = 256;

impl Unwrap {
    pub(crate) fn new(form: Form) -> Self {
        let state = if form == Form::Plain { State::Bare } else { State::Head(String::new()) };
        Self { form, state }
    }

    /// Appends to `out` the input that `piece` yields.
    pub(crate) fn push(&mut self, piece: &str, out: &mut String) {
        if let State::Head(held) = &mut self.state {
            held.push_str(piece);
            let held = std::mem::take(held);
            match head(&held, self.form) {
                Head::Cut if held.len() <= HEAD_LIMIT => self.state = State::Head(held),
                Head::Cut | Head::None => {
                    out.push_str(&held);
                    self.state = State::Bare;
                }
                Head::Empty => self.state = State::Tail,
                Head::Until(at) => {
                    let quoted = self.form == Form::Text && held[at..].starts_with('"');
                    let (state, at) = if quoted {
                        (State::Text(Escape::default()), at + 1)
                    } else {
                        (State::Value { depth: 0, strings: JsonStrings::default() }, at)
                    };
                    self.state = state;
                    self.body(&held[at..], out);
                }
            }
        } else {
            self.body(piece, out);
        }
    }

    /// Appends the held text at the end of the input.
    pub(crate) fn finish(&mut self, out: &mut String) {
        match std::mem::replace(&mut self.state, State::Tail) {
            State::Head(held) => out.push_str(&held),
            State::Text(Escape { high: Some(_), .. }) => out.push(char::REPLACEMENT_CHARACTER),
            State::Text(_) | State::Value { .. } | State::Tail | State::Bare => {}
        }
    }

    fn body(&mut self, piece: &str, out: &mut String) {
        match &mut self.state {
            State::Bare => out.push_str(piece),
            State::Text(escape) => {
                if escape.decode(piece, out) {
                    self.state = State::Tail;
                }
            }
            State::Value { depth, strings } => {
                let end = value_end(piece, depth, strings);
                out.push_str(&piece[..end.unwrap_or(piece.len())]);
                if end.is_some() {
                    self.state = State::Tail;
                }
            }
            State::Head(_) | State::Tail => {}
        }
    }
}

/// A complete input without its wrapping.
pub(crate) fn unwrapped(input: &str, form: Form) -> Cow<'_, str> {
    if form == Form::Plain {
        return Cow::Borrowed(input);
    }
    let mut out = String::with_capacity(input.len());
    let mut unwrap = Unwrap::new(form);
    unwrap.push(input, &mut out);
    unwrap.finish(&mut out);
    Cow::Owned(out)
}

enum Head {
    /// Undecided: more text is needed.
    Cut,
    /// Not a wrapping.
    None,
    /// An empty wrapping.
    Empty,
    /// The input begins at this index.
    Until(usize),
}

/// Reads `{"member":`. An empty object is an empty text; for JSON it is the model's own value.
fn head(text: &str, form: Form) -> Head {
    let name = match form {
        Form::Plain => return Head::None,
        Form::Text => r#""input""#,
        Form::Value => r#""value""#,
    };
    let mut rest = text;
    for token in ["{", name, ":"] {
        rest = rest.trim_start();
        let Some(after) = rest.strip_prefix(token) else {
            return match rest {
                _ if token.starts_with(rest) => Head::Cut,
                _ if token == name && rest.starts_with('}') && form == Form::Text => Head::Empty,
                _ => Head::None,
            };
        };
        rest = after;
    }
    rest = rest.trim_start();
    if rest.is_empty() { Head::Cut } else { Head::Until(text.len() - rest.len()) }
}

/// The end of a JSON value, if it is in this piece.
fn value_end(piece: &str, depth: &mut usize, strings: &mut JsonStrings) -> Option<usize> {
    for (at, byte) in piece.bytes().enumerate() {
        match (strings.read(byte), byte) {
            (true, _) if !strings.is_open() && *depth == 0 => return Some(at + 1),
            (true, _) => {}
            (false, b'{' | b'[') => *depth += 1,
            (false, b'}' | b']' | b',') if *depth == 0 => return Some(at),
            (false, b'}' | b']') => {
                *depth -= 1;
                if *depth == 0 {
                    return Some(at + 1);
                }
            }
            (false, _) => {}
        }
    }
    None
}

impl Escape {
    /// Appends the text that `piece` encodes; true once its closing quote has arrived.
    fn decode(&mut self, piece: &str, out: &mut String) -> bool {
        for c in piece.chars() {
            if self.digits > 0 {
                self.digit(c, out);
            } else if self.open {
                self.open = false;
                self.escaped(c, out);
            } else if c == '\\' {
                self.open = true;
            } else {
                self.replace_lone_surrogate(out);
                if c == '"' {
                    return true;
                }
                out.push(c);
            }
        }
        false
    }

    fn escaped(&mut self, c: char, out: &mut String) {
        if c == 'u' {
            (self.digits, self.code) = (4, 0);
            return;
        }
        self.replace_lone_surrogate(out);
        out.push(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            other => other,
        });
    }

    fn digit(&mut self, c: char, out: &mut String) {
        self.code = self.code * 16 + c.to_digit(16).unwrap_or_default();
        self.digits -= 1;
        if self.digits > 0 {
            return;
        }
        match (self.high.take(), self.code) {
            (Some(high), low @ 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (first, code) => {
                if first.is_some() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
                match code {
                    0xd800..=0xdbff => self.high = Some(code),
                    code => out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
        }
    }

    /// Replaces a surrogate without its second half.
    fn replace_lone_surrogate(&mut self, out: &mut String) {
        if self.high.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        input(CalledWith::Arguments(text), Form::Plain).unwrap().get().to_owned()
    }

    /// Cuts the input at every place, and into single characters; the result is always the same.
    fn taken_out(wrapped: &str, form: Form) -> String {
        let whole = unwrapped(wrapped, form).into_owned();
        let cuts = wrapped.char_indices().map(|(at, _)| vec![&wrapped[..at], &wrapped[at..]]);
        let single = wrapped.split("").collect();
        for pieces in cuts.chain([single]) {
            let (mut out, mut unwrap) = (String::new(), Unwrap::new(form));
            pieces.iter().for_each(|piece| unwrap.push(piece, &mut out));
            unwrap.finish(&mut out);
            assert_eq!(out, whole, "{pieces:?}");
        }
        whole
    }

    #[test]
    fn arguments_become_an_object_and_nothing_is_lost() {
        assert_eq!(of(r#" {"b": 1, "a": 2} "#), r#"{"b": 1, "a": 2}"#);
        assert_eq!(of(""), "{}");
        assert_eq!(of("[1]"), r#"{"arguments":"[1]"}"#);
        assert_eq!(of(r#"{"a":1}{"b":2}"#), r#"{"arguments":"{\"a\":1}{\"b\":2}"}"#);
        assert_eq!(of("\"x"), r#"{"arguments":"\"x"}"#);
    }

    #[test]
    fn wrapped_inputs_are_unwrapped() {
        for text in
            ["", "a", "a \"quoted\" \\ line\n\t\r\u{8}\u{c}\u{1}", "äß€ 😀 {\"input\": \"x\"}"]
        {
            let wrapped = input(CalledWith::Text(text), Form::Text).unwrap();
            assert_eq!(taken_out(wrapped.get(), Form::Text), text);
        }
        for json in ["[1, \"]\", {\"a\": \"\\\"}\"}]", "{ }", "\"x\\\\\"", "12", "null"] {
            let wrapped = input(CalledWith::Arguments(json), Form::Value).unwrap();
            assert_eq!(taken_out(wrapped.get(), Form::Value), json);
        }
        assert_eq!(
            input(CalledWith::Arguments("no json"), Form::Value).unwrap().get(),
            r#"{"value":"no json"}"#
        );
    }

    #[test]
    fn escapes_are_read_as_json_reads_them() {
        assert_eq!(
            taken_out(r#" { "input" : "\u00e9\ud83d\ude00\/\u0041" } "#, Form::Text),
            "é😀/A"
        );
        assert_eq!(taken_out(r#"{"input":"\ud83dx\ud83d"}"#, Form::Text), "\u{fffd}x\u{fffd}");
        assert_eq!(taken_out(r#"{"input":"\ude00"}"#, Form::Text), "\u{fffd}");
    }

    #[test]
    fn unwrapped_inputs_pass_unchanged() {
        assert_eq!(taken_out(r#"{"other":"x"}"#, Form::Text), r#"{"other":"x"}"#);
        assert_eq!(taken_out(r#"{"valued":1}"#, Form::Value), r#"{"valued":1}"#);
        assert_eq!(taken_out("{}", Form::Value), "{}");
        assert_eq!(taken_out("{ }", Form::Text), "");
        assert_eq!(taken_out(r#"{"input":["a"]}"#, Form::Text), r#"["a"]"#);
        assert_eq!(taken_out(r#"{"input":"cut of"#, Form::Text), "cut of");
        assert_eq!(taken_out(r#"{"inp"#, Form::Text), r#"{"inp"#);
        assert_eq!(taken_out(&" ".repeat(300), Form::Text), " ".repeat(300));
    }
}
