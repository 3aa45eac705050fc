//! The text of an answer, freed of what models add to a continuation: a code fence around it, and the
//! beginning of the text behind the hole. Complete and streamed answers pass through the same rules, so
//! that both are equal.

use super::prompt::PromptTask;

/// Longest beginning of the text behind a hole that is recognised at the end of an answer, in
/// characters.
const OVERLAP: usize = 200;
/// Longest first line that may open a fence, and longest blank text before it, in bytes.
const OPENING: usize = 64;
const FENCE: &str = "```";
const CLOSING: &str = "\n```";

/// The rules for the answers to one request.
#[derive(Debug, Clone, Default)]
pub(super) struct TextRules {
    /// A fence around the answer is removed.
    unfences: bool,
    hole: Option<Hole>,
}

/// The text around a hole, as far as an answer is compared with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hole {
    /// Beginning of the text behind the hole.
    after: String,
    /// Brackets that the text around the hole leaves open; below 0, brackets that it closes too often.
    open: i64,
}

impl TextRules {
    pub(super) fn of(task: &PromptTask<'_>) -> Self {
        match task {
            PromptTask::Continue => Self { unfences: true, hole: None },
            PromptTask::Fill { before, after } => {
                let open = open_brackets(before) + open_brackets(after);
                let after = after.chars().take(OVERLAP).collect();
                Self { unfences: true, hole: Some(Hole { after, open }) }
            }
            PromptTask::Answer => Self::default(),
        }
    }
}

/// The number of brackets that a text opens, less the number that it closes.
fn open_brackets(text: &str) -> i64 {
    let depth = |byte| match byte {
        b'(' | b'[' | b'{' => 1,
        b')' | b']' | b'}' => -1,
        _ => 0,
    };
    text.bytes().map(depth).sum()
}

/// Applies the rules to one answer.
#[derive(Debug, Clone, Default)]
pub(super) struct AnswerShaper {
    fence: Fence,
    /// Its brackets are counted on with the answer.
    hole: Option<Hole>,
    /// Text that may be the closing fence or the beginning of the text behind the hole.
    held: String,
}

/// State of the fence around an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Fence {
    /// The first characters decide.
    Undecided,
    /// There was an opening fence.
    Open,
    /// There is none.
    #[default]
    None,
}

impl AnswerShaper {
    pub(super) fn new(rules: &TextRules) -> Self {
        let fence = if rules.unfences { Fence::Undecided } else { Fence::None };
        Self { fence, hole: rules.hole.clone(), held: String::new() }
    }

    /// Adds a piece, and appends the text that is certain to `out`.
    pub(super) fn push(&mut self, piece: &str, out: &mut String) {
        if self.fence == Fence::None && self.hole.is_none() {
            out.push_str(piece);
            return;
        }
        self.held.push_str(piece);
        if self.fence == Fence::Undecided && !self.decide() {
            return;
        }
        let (certain, _) = self.held.split_at(self.held.len() - self.uncertain());
        if let Some(hole) = &mut self.hole {
            hole.open += open_brackets(certain);
        }
        out.push_str(certain);
        let certain = certain.len();
        self.held.drain(..certain);
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self, out: &mut String) {
        let mut rest = std::mem::take(&mut self.held);
        let trimmed = rest.trim_end();
        if self.fence == Fence::Open && trimmed.ends_with(CLOSING) {
            rest.truncate(trimmed.len() - CLOSING.len());
        }
        if let Some(Hole { after, open }) = &self.hole {
            let kept = rest.len() - beginning_of(after, &rest);
            // Brackets alone may be the model's own; a repetition closes more than is open.
            let repeated = &rest[kept..];
            let has_words = repeated.chars().any(char::is_alphanumeric);
            let closes = open_brackets(repeated) < 0 && open + open_brackets(&rest) < 0;
            if has_words || closes {
                rest.truncate(kept);
            }
        }
        out.push_str(&rest);
    }

    /// Whether the held text decides if there is a fence; the opening line of one is removed.
    fn decide(&mut self) -> bool {
        let text = self.held.trim_start();
        let blank = self.held.len() - text.len();
        if text.len() < FENCE.len() && FENCE.starts_with(text) && blank <= OPENING {
            return false;
        }
        self.fence = Fence::None;
        if !text.starts_with(FENCE) {
            return true;
        }
        match text.find('\n') {
            Some(end) if end <= OPENING => {
                self.held.drain(..=blank + end);
                self.fence = Fence::Open;
                true
            }
            None if text.len() <= OPENING => {
                self.fence = Fence::Undecided;
                false
            }
            Some(_) | None => true,
        }
    }

    /// Bytes at the end of the held text that may have to be removed.
    fn uncertain(&self) -> usize {
        let fence = match self.fence {
            Fence::Open => {
                let trimmed = self.held.trim_end();
                let tail = self.held.len() - trimmed.len();
                match trimmed.ends_with(CLOSING) {
                    true => tail + CLOSING.len(),
                    false => beginning_of(CLOSING, &self.held),
                }
            }
            Fence::None | Fence::Undecided => 0,
        };
        let Some(Hole { after, .. }) = &self.hole else { return fence };
        // The repetition may stand before the fence.
        let before = &self.held[..self.held.len() - fence];
        fence + beginning_of(after, before)
    }
}

/// Bytes at the end of `text` that are the beginning of `whole`, or all of it.
fn beginning_of(whole: &str, text: &str) -> usize {
    let ends = whole.char_indices().map(|(at, character)| at + character.len_utf8()).rev();
    ends.into_iter().find(|end| text.ends_with(&whole[..*end])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(task: PromptTask<'_>, text: &str, step: usize) -> String {
        let mut shaper = AnswerShaper::new(&TextRules::of(&task));
        let characters: Vec<char> = text.chars().collect();
        let mut out = String::new();
        for piece in characters.chunks(step) {
            shaper.push(&piece.iter().collect::<String>(), &mut out);
        }
        shaper.finish(&mut out);
        out
    }

    fn check(task: PromptTask<'_>, text: &str, expected: &str) {
        for step in 1..=text.len().max(1) {
            assert_eq!(shaped(task, text, step), expected, "{text:?} in pieces of {step}");
        }
    }

    #[test]
    fn a_fence_around_the_answer_is_removed() {
        for (text, expected) in [
            ("world", "world"),
            ("  \n world ", "  \n world "),
            ("```rust\nlet a = 1;\n```", "let a = 1;"),
            ("\n```\na\nb\n```\n", "a\nb"),
            ("```py\na", "a"),
            ("`x` and ```y```", "`x` and ```y```"),
            ("``", "``"),
            ("", ""),
            ("a\n```\nb\n```", "a\n```\nb\n```"),
        ] {
            check(PromptTask::Continue, text, expected);
            check(PromptTask::Answer, text, text);
        }
        let line = format!("```{}", "x".repeat(80));
        check(PromptTask::Continue, &line, &line);
    }

    #[test]
    fn a_repetition_of_the_text_behind_the_hole_is_removed() {
        let task = PromptTask::Fill { before: "fn a() {\n", after: "\n    return b;\n}\n" };
        for (text, expected) in [
            ("    let b = 1;", "    let b = 1;"),
            ("    let b = 1;\n    return b;\n}\n", "    let b = 1;"),
            ("    let b = 1;\n    return", "    let b = 1;"),
            ("```rust\n    let b = 1;\n    return b;\n```", "    let b = 1;"),
            ("    b();\n", "    b();\n"),
        ] {
            check(task, text, expected);
        }
        check(task, "    let b = 1;\n}\n", "    let b = 1;\n}\n");
        let body = PromptTask::Fill { before: "fn a() {\n", after: "\n}\n" };
        check(body, "    b();\n}", "    b();");
        check(body, "    if b {\n        c();\n    }\n}\n", "    if b {\n        c();\n    }");
        check(body, "    if b {\n        c();\n    }", "    if b {\n        c();\n    }");
        check(PromptTask::Fill { before: "f(g(", after: ")" }, "x)", "x)");
        check(PromptTask::Fill { before: "f(g(", after: ")" }, "x))", "x)");
    }

    /// A repetition that goes on past the recognised beginning stays: a cut in it would leave a gap.
    #[test]
    fn a_repetition_that_is_too_long_is_left() {
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let text = format!("b{long}");
        assert!(text.chars().count() > OVERLAP);
        for step in [1, 7, 64, text.len()] {
            assert_eq!(shaped(PromptTask::Fill { before: "a", after: &long }, &text, step), text);
        }
    }
}
