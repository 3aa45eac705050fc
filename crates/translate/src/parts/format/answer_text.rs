//! The text of an answer that is constrained to a format: a code fence around the whole text is
//! removed, and words beside an answer by tool are separated. The first characters decide, and only
//! a possible end of a fence is held back, so that streaming continues. Where the answer must be an
//! object, the object is extracted from the words around it.

use std::borrow::Cow;

use super::embedded::Embedded;
use crate::parts::tags::Voice;

const FENCE: &str = "```";
/// The longest language tag after a fence, in bytes.
const TAG: usize = 16;
/// The longest text that may be the end of a fence, in bytes.
const END: usize = 64;

/// The text of one answer as it arrives.
#[derive(Debug, Clone)]
pub(crate) struct AnswerText {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// No format is requested: text passes unchanged.
    Free,
    /// Only white space or a possible fence has arrived; the answer may still come by tool.
    Start { held: String, by: By },
    /// The answer, without a fence.
    Bare,
    /// The answer, inside a fence.
    Fenced(Fenced),
    /// An object, with or without words around it.
    Object(Embedded),
    /// Words beside an answer by tool. They become the answer if no tool gives one.
    Aside(String),
}

/// The content of a fence.
#[derive(Debug, Clone, Default)]
struct Fenced {
    /// A possible end of the fence.
    held: String,
    /// Whether a backtick stands directly before `held`: further ones then form a longer run, which
    /// is not a fence.
    behind_tick: bool,
}

impl Fenced {
    fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let out = without_end(&mut self.held, self.behind_tick);
        self.behind_tick = out.chars().next_back().map_or(self.behind_tick, |last| last == '`');
        out
    }

    /// The held text at the end of the message.
    fn finish(self) -> String {
        if is_end(&self.held) { String::new() } else { self.held }
    }
}

/// The expected form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// As text.
    Text,
    /// As text that holds an object.
    Object,
    /// As the input of a tool.
    Tool,
}

impl Default for AnswerText {
    fn default() -> Self {
        Self { state: State::Free }
    }
}

impl AnswerText {
    /// A reader for an answer in a requested format, expected in this form.
    pub(crate) fn held(by: By) -> Self {
        Self { state: State::Start { held: String::new(), by } }
    }

    /// Returns whether the answer has begun as text.
    pub(crate) fn is_answer(&self) -> bool {
        match &self.state {
            State::Bare | State::Fenced(_) => true,
            State::Object(embedded) => embedded.has_begun(),
            State::Free | State::Start { .. } | State::Aside(_) => false,
        }
    }

    /// Returns whether text may be held back or left out, so that later content may be sent before
    /// earlier text.
    pub(crate) fn may_hold(&self) -> bool {
        match &self.state {
            State::Free | State::Bare => false,
            State::Start { held, .. } | State::Aside(held) => !held.is_empty(),
            State::Fenced(fenced) => !fenced.held.is_empty(),
            State::Object(_) => true,
        }
    }

    /// Adds a piece of text, and returns the part of the answer that it yields.
    pub(crate) fn push<'p>(&mut self, piece: &'p str) -> Cow<'p, str> {
        match &mut self.state {
            State::Free | State::Bare => Cow::Borrowed(piece),
            State::Aside(held) => {
                held.push_str(piece);
                Cow::Borrowed("")
            }
            State::Fenced(fenced) => Cow::Owned(fenced.push(piece)),
            State::Object(embedded) => Cow::Owned(embedded.push(piece)),
            State::Start { held, by } => {
                held.push_str(piece);
                let (held, by) = (std::mem::take(held), *by);
                self.begin(held, by)
            }
        }
    }

    fn begin(&mut self, held: String, by: By) -> Cow<'static, str> {
        if by == By::Object {
            return self.begin_object(held);
        }
        match opening(&held) {
            Opening::Open if held.len() <= END => self.state = State::Start { held, by },
            Opening::Fence(at) => {
                let mut fenced = Fenced::default();
                let out = fenced.push(&held[at..]);
                self.state = State::Fenced(fenced);
                return Cow::Owned(out);
            }
            Opening::Words if by == By::Tool => self.state = State::Aside(held),
            Opening::Open | Opening::Words | Opening::Json => {
                self.state = State::Bare;
                return Cow::Owned(held);
            }
        }
        Cow::Borrowed("")
    }

    /// Treats a list as the whole answer: an object extracted from it would not be the model's
    /// answer.
    fn begin_object(&mut self, held: String) -> Cow<'static, str> {
        let from = match opening(&held) {
            Opening::Open if held.len() <= END => None,
            Opening::Fence(at) if held[at..].trim_start().is_empty() && held.len() <= END => None,
            Opening::Fence(at) => Some(at),
            Opening::Open | Opening::Words | Opening::Json => Some(0),
        };
        match from {
            None => {
                self.state = State::Start { held, by: By::Object };
                Cow::Borrowed("")
            }
            Some(at) if held[at..].trim_start().starts_with('[') => self.begin(held, By::Text),
            Some(_) => {
                let mut embedded = Embedded::default();
                let out = embedded.push(&held);
                self.state = State::Object(embedded);
                Cow::Owned(out)
            }
        }
    }

    /// The words known so far to be beside the answer.
    pub(crate) fn take_aside(&mut self) -> String {
        match &mut self.state {
            State::Object(embedded) => embedded.take_aside(),
            State::Free
            | State::Start { .. }
            | State::Bare
            | State::Fenced(_)
            | State::Aside(_) => String::new(),
        }
    }

    /// Releases held text because a tool of the caller's is called; from here on no text is held.
    /// Words in place of an answer are sent as reasoning, because clients parse the content.
    pub(crate) fn yields_to_call(&mut self) -> (Voice, String) {
        let (voice, held) = match &mut self.state {
            State::Start { held, by: By::Text } => (Voice::Said, std::mem::take(held)),
            State::Start { held, .. } | State::Aside(held) => {
                (Voice::Reasoning, std::mem::take(held))
            }
            State::Object(embedded) if !embedded.has_begun() => {
                (Voice::Reasoning, embedded.finish())
            }
            State::Fenced(fenced) if is_end(&fenced.held) => (Voice::Said, String::new()),
            State::Fenced(fenced) => (Voice::Said, std::mem::take(&mut fenced.held)),
            State::Free | State::Bare | State::Object(_) => return (Voice::Said, String::new()),
        };
        if !held.is_empty() {
            self.state = State::Bare;
        }
        (voice, held)
    }

    /// Notes that the answer comes by tool from here: held text is returned, and later text is
    /// beside the answer.
    pub(crate) fn yields_to_tool(&mut self) -> String {
        match std::mem::replace(&mut self.state, State::Aside(String::new())) {
            State::Start { held, .. } | State::Aside(held) => held,
            State::Fenced(fenced) => fenced.held,
            State::Object(mut embedded) => embedded.finish(),
            State::Free | State::Bare => String::new(),
        }
    }

    /// The held text at the end of the message.
    pub(crate) fn finish(&mut self) -> String {
        if let State::Object(embedded) = &mut self.state {
            // Words after the object are fetched after this.
            return embedded.finish();
        }
        match std::mem::replace(&mut self.state, State::Bare) {
            State::Start { held, .. } | State::Aside(held) => held,
            State::Fenced(fenced) => fenced.finish(),
            State::Free | State::Bare | State::Object(_) => String::new(),
        }
    }
}

enum Opening {
    /// Undecided: more text is needed.
    Open,
    /// A fence that ends at this index.
    Fence(usize),
    /// Possible JSON.
    Json,
    /// Other text.
    Words,
}

fn opening(text: &str) -> Opening {
    let rest = text.trim_start();
    let Some(first) = rest.chars().next() else { return Opening::Open };
    if matches!(first, '{' | '[') {
        return Opening::Json;
    }
    let Some(behind) = rest.strip_prefix(FENCE) else {
        return if FENCE.starts_with(rest) { Opening::Open } else { Opening::Words };
    };
    let tag = behind.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+')));
    match tag {
        None if behind.len() <= TAG => Opening::Open,
        None => Opening::Words,
        Some(tag) => {
            let line = behind[tag..].trim_start_matches([' ', '\t', '\r']);
            match line.chars().next() {
                None => Opening::Open,
                Some('\n') => Opening::Fence(text.len() - line.len() + 1),
                Some('{' | '[') => Opening::Fence(text.len() - line.len()),
                Some(_) => Opening::Words,
            }
        }
    }
}

/// Removes from `held` all text that cannot be the end of a fence.
fn without_end(held: &mut String, behind_tick: bool) -> String {
    let mut from = end_of(held, behind_tick);
    if held.len() - from > END {
        from = held.len();
    }
    let end = held.split_off(from);
    std::mem::replace(held, end)
}

/// The start of a possible end of a fence: white space, a fence or a part of it, white space.
fn end_of(text: &str, behind_tick: bool) -> usize {
    let trimmed = text.trim_end();
    let before = trimmed.trim_end_matches('`').len();
    let ticks = trimmed.len() - before;
    let blank_behind = trimmed.len() < text.len();
    match ticks {
        _ if behind_tick && before == 0 => trimmed.len(),
        1..3 if !blank_behind => trimmed[..trimmed.len() - ticks].trim_end().len(),
        3 => trimmed[..trimmed.len() - ticks].trim_end().len(),
        _ => trimmed.len(),
    }
}

fn is_end(text: &str) -> bool {
    text.trim() == FENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole answer and its form, with the text cut after every `step` characters.
    fn spoken(text: &str, by: By, step: usize) -> String {
        let mut spoken = AnswerText::held(by);
        let mut out = String::new();
        let characters: Vec<char> = text.chars().collect();
        for piece in characters.chunks(step) {
            out.push_str(&spoken.push(&piece.iter().collect::<String>()));
        }
        out.push_str(&spoken.finish());
        out
    }

    #[test]
    fn a_fence_is_removed_only_around_the_whole_text() {
        let cases = [
            ("{\"a\":1}", "{\"a\":1}"),
            ("```json\n{\"a\":1}\n```", "{\"a\":1}"),
            ("\n```\n{\"a\":1}\n```\n\n", "{\"a\":1}"),
            ("```JSON \r\n[1]```", "[1]"),
            ("```json{\"a\": \"```\\n\"}\n``` ", "{\"a\": \"```\\n\"}"),
            // Truncated: no end has arrived.
            ("```json\n{\"a\":", "{\"a\":"),
            ("```json\n{\"a\": \"``", "{\"a\": \"``"),
            // Words around the fence are part of the answer, in any format.
            ("Here:\n```json\n{}\n```", "Here:\n```json\n{}\n```"),
            ("```json\n{}\n```\nDone.", "{}\n```\nDone."),
            ("`x`", "`x`"),
            ("``` is a fence", "``` is a fence"),
            ("  I cannot.", "  I cannot."),
            // A longer run is not a fence, wherever it is cut.
            ("```\n``````", "``````"),
            ("```\n````", "````"),
            ("```\n``````\n```", "``````"),
            ("```\n```\n``````\n```", "```\n``````"),
            ("", ""),
        ];
        for (text, answer) in cases {
            for step in [1, 2, 3, 4, 5, 100] {
                assert_eq!(spoken(text, By::Text, step), answer, "{text:?} by {step}");
                assert_eq!(spoken(text, By::Tool, step), answer, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn an_object_is_picked_out_of_words_and_a_list_is_left_whole() {
        let cases = [
            ("Here:\n```json\n{\"a\":1}\n```\nDone.", "{\"a\":1}"),
            ("\n```\n{\"a\":\n1}\n```\n\n", "{\"a\":\n1}"),
            (" [{\"a\":1}]", " [{\"a\":1}]"),
            ("```json\n[{\"a\":1}]\n```", "[{\"a\":1}]"),
            ("```python\nx\n```", "```python\nx\n```"),
            ("I cannot.", "I cannot."),
            ("", ""),
        ];
        for (text, answer) in cases {
            for step in [1, 2, 3, 5, 100] {
                assert_eq!(spoken(text, By::Object, step), answer, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn words_before_a_call_are_sent_before_it_and_are_no_answer() {
        for by in [By::Tool, By::Object] {
            let mut spoken = AnswerText::held(by);
            assert_eq!(spoken.push("Let me look"), "");
            assert_eq!(spoken.yields_to_call(), (Voice::Reasoning, "Let me look".to_owned()));
            assert_eq!(spoken.push(" and see"), " and see");
        }
        let mut spoken = AnswerText::held(By::Text);
        assert_eq!(spoken.push("Let me look"), "Let me look");
        assert_eq!(spoken.yields_to_call().1, "");
        let mut fenced = AnswerText::held(By::Object);
        assert_eq!(fenced.push("{\"a\":1}\n```"), "{\"a\":1}");
        assert_eq!(fenced.yields_to_call().1, "");
        assert_eq!(fenced.finish(), "");
    }

    #[test]
    fn only_a_possible_end_of_a_fence_is_held_back() {
        let mut spoken = AnswerText::held(By::Text);
        assert_eq!(spoken.push("```json\n{\"a\""), "{\"a\"");
        assert_eq!(spoken.push(": 1}\n``"), ": 1}");
        assert_eq!(spoken.push("` "), "");
        assert_eq!(spoken.push("x"), "\n``` x");
        let blank = " ".repeat(500);
        assert_eq!(spoken.push(&blank), blank);
        assert_eq!(spoken.finish(), "");
    }

    #[test]
    fn words_before_a_tool_wait_and_json_does_not() {
        let mut words = AnswerText::held(By::Tool);
        assert_eq!(words.push("Let me see"), "");
        assert!(!words.is_answer());
        assert_eq!(words.yields_to_tool(), "Let me see");
        assert_eq!(words.push("and more"), "");
        assert_eq!(words.yields_to_tool(), "and more");
        let mut json = AnswerText::held(By::Tool);
        assert_eq!(json.push("{\"a\""), "{\"a\"");
        assert!(json.is_answer());
    }
}
