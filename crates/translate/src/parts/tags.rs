//! Separates reasoning between tags from an answer's text. Only tags at the head of the answer
//! count: later ones are ordinary text.

use crate::Report;
use crate::profile::{Profile, Thinking, ThinkingTags};

/// Tags around reasoning.
#[derive(Debug, Clone, Copy)]
struct Tags {
    open: &'static str,
    close: &'static str,
}

const THINKING: Tags = Tags { open: "<thinking>", close: "</thinking>" };
const REASONING: Tags = Tags { open: "<reasoning>", close: "</reasoning>" };

/// White space before a tag beyond which the answer has begun, in bytes.
const MARGIN: usize = 64;

/// The caller's wish for reasoning that a model writes between tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagsWanted {
    /// Apart from the text.
    Split,
    /// In the text, as the model writes it.
    Kept,
}

/// Returns whether a request asks for the separation. A model whose reasoning comes apart from the
/// text cannot be made to write it into the text.
pub(crate) fn are_split(
    wanted: Option<TagsWanted>,
    profile: &Profile,
    report: &mut Report,
) -> bool {
    match (profile.thinking_tags, wanted) {
        (ThinkingTags::None, Some(TagsWanted::Kept)) if profile.thinking != Thinking::None => {
            report.ignore("reasoning_format");
            false
        }
        (ThinkingTags::Kept, Some(TagsWanted::Split))
        | (ThinkingTags::Split, None | Some(TagsWanted::Split)) => true,
        (ThinkingTags::None, _)
        | (ThinkingTags::Kept, None | Some(TagsWanted::Kept))
        | (ThinkingTags::Split, Some(TagsWanted::Kept)) => false,
    }
}

/// The role of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Said,
    Reasoning,
}

/// Receives an answer's text in pieces, cut anywhere, and emits each part once its role is clear.
#[derive(Debug)]
pub(crate) struct Tagged {
    tags: Tags,
    place: Place,
    /// A possible tag: white space and the start of one.
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Only white space has arrived.
    #[default]
    Head,
    /// After the opening tag.
    Inside,
    /// After a closing tag, which the following white space belongs to.
    Behind,
    /// The answer has begun.
    Answer,
}

impl Default for Tagged {
    fn default() -> Self {
        Self { tags: THINKING, place: Place::default(), held: String::new() }
    }
}

impl Tagged {
    /// For reasoning between `<reasoning>` tags.
    pub(crate) fn reasoning() -> Self {
        Self { tags: REASONING, ..Self::default() }
    }

    /// Adds a piece; `out` gets the text that is now certain. At most a tag's length, or the white
    /// space before one, is held back.
    pub(crate) fn push<E>(
        &mut self,
        piece: &str,
        out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
    ) -> Result<(), E> {
        if self.place == Place::Answer {
            return said(piece, Voice::Said, out);
        }
        let mut held = std::mem::take(&mut self.held);
        held.push_str(piece);
        let mut rest = held.as_str();
        loop {
            let (more, next) = match self.place {
                Place::Head | Place::Behind => match self.head(rest) {
                    Head::Open(more) => (more, Place::Inside),
                    Head::Text(text) => (text, Place::Answer),
                    Head::Unclear(kept) => {
                        kept.clone_into(&mut self.held);
                        return Ok(());
                    }
                },
                Place::Inside => match rest.split_once(self.tags.close) {
                    Some((thought, more)) => {
                        said(thought, Voice::Reasoning, out)?;
                        (more, Place::Behind)
                    }
                    None => {
                        let certain = rest.len() - beginning_of(self.tags.close, rest);
                        said(&rest[..certain], Voice::Reasoning, out)?;
                        rest[certain..].clone_into(&mut self.held);
                        return Ok(());
                    }
                },
                Place::Answer => return said(rest, Voice::Said, out),
            };
            (rest, self.place) = (more, next);
        }
    }

    /// Ends the text; held text is ordinary text or reasoning, by its place.
    pub(crate) fn finish<E>(
        &mut self,
        out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
    ) -> Result<(), E> {
        let voice = if self.place == Place::Inside { Voice::Reasoning } else { Voice::Said };
        said(&std::mem::take(&mut self.held), voice, out)
    }

    fn head<'t>(&self, text: &'t str) -> Head<'t> {
        let trimmed = text.trim_start();
        let blank = text.len() - trimmed.len();
        let in_place = self.place == Place::Behind || blank <= MARGIN;
        // White space after reasoning is dropped as it arrives, so that it cannot accumulate.
        let text = if self.place == Place::Behind { trimmed } else { text };
        match trimmed.strip_prefix(self.tags.open).filter(|_| in_place) {
            Some(more) => Head::Open(more),
            None if in_place && self.tags.open.starts_with(trimmed) => Head::Unclear(text),
            None => Head::Text(text),
        }
    }
}

enum Head<'t> {
    /// A tag, and the text after it.
    Open(&'t str),
    /// The actual answer.
    Text(&'t str),
    /// A possible tag.
    Unclear(&'t str),
}

/// Number of bytes at the end of `text` that may start `tag`.
fn beginning_of(tag: &str, text: &str) -> usize {
    let longest = tag.len().saturating_sub(1).min(text.len());
    (1..=longest).rev().find(|length| text.ends_with(&tag[..*length])).unwrap_or(0)
}

fn said<E>(
    text: &str,
    voice: Voice,
    out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
) -> Result<(), E> {
    if text.is_empty() { Ok(()) } else { out(voice, text) }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn told(pieces: &[&str]) -> (String, String) {
        let (mut thought, mut answer) = (String::new(), String::new());
        let mut tagged = Tagged::default();
        let mut out = |voice, text: &str| {
            match voice {
                Voice::Reasoning => thought.push_str(text),
                Voice::Said => answer.push_str(text),
            }
            Ok::<(), Infallible>(())
        };
        for piece in pieces {
            tagged.push(piece, &mut out).unwrap();
            assert!(
                tagged.held.len() <= MARGIN + THINKING.open.len(),
                "{} held",
                tagged.held.len()
            );
        }
        tagged.finish(&mut out).unwrap();
        (thought, answer)
    }

    #[test]
    fn reasoning_at_the_head_is_separated() {
        for (text, thought, answer) in [
            ("<thinking> a b</thinking>\n\nc", " a b", "c"),
            ("\n<thinking>a</thinking> <thinking>b</thinking>c", "ab", "c"),
            ("<thinking>a</thinking>\n", "a", ""),
            ("<thinking>a </thin b", "a </thin b", ""),
            ("<thinking></thinking>x", "", "x"),
            ("<thinking>a <thinking> b</thinking>x", "a <thinking> b", "x"),
        ] {
            assert_eq!(told(&[text]), (thought.to_owned(), answer.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn text_that_resembles_tags_is_left_unchanged() {
        let wide = format!("{}<thinking>a</thinking>", " ".repeat(MARGIN + 1));
        for text in [
            "",
            " \n",
            "<think",
            "<thinkin> a</thinking>",
            "<Thinking>a</Thinking>",
            "The tag <thinking>a</thinking> is odd",
            "</thinking> a",
            "< thinking>a",
            &wide,
        ] {
            assert_eq!(told(&[text]), (String::new(), text.to_owned()), "{text:?}");
        }
        let (thought, answer) = told(&["<thinking>a</thinking>b <thinking>c</thinking>"]);
        assert_eq!((thought.as_str(), answer.as_str()), ("a", "b <thinking>c</thinking>"));
    }

    #[test]
    fn reasoning_is_streamed_as_it_arrives() {
        let mut pieces = Vec::new();
        let mut tagged = Tagged::default();
        for piece in ["<think", "ing>one ", "two<", "/b", " three</thinking", ">\n", "said"] {
            let mut out = |voice, text: &str| {
                pieces.push((voice, text.to_owned()));
                Ok::<(), Infallible>(())
            };
            tagged.push(piece, &mut out).unwrap();
        }
        let (thought, said) = (Voice::Reasoning, Voice::Said);
        let wanted = [
            (thought, "one "),
            (thought, "two"),
            (thought, "</b"),
            (thought, " three"),
            (said, "said"),
        ];
        assert_eq!(pieces, wanted.map(|(voice, text)| (voice, text.to_owned())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_gives_the_same_result(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "<thinking>", "</thinking>", "<think", "ing>", "<", "/", "é", " ", "\n", "a", "</",
                ]),
                0..12,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let text = words.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.retain(|cut| text.is_char_boundary(*cut));
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
            let whole = told(&[&text]);
            prop_assert_eq!(told(&pieces), whole.clone());
            // Only the tags and the white space around them are lost.
            let bare = |text: &str| text.replace(THINKING.open, "").replace(THINKING.close, "").replace([' ', '\n'], "");
            if !text.contains("<think<") && !whole.0.contains(THINKING.open) {
                prop_assert_eq!(bare(&(whole.0 + &whole.1)), bare(&text));
            }
        }
    }
}
