//! The grammars that combine tokens and text.

use super::channels::Channels;
use super::lexer::Token;
use super::markup::Markup;
use super::sections::Sections;
use crate::parts::tags::Voice;
use crate::profile::CallSyntax;

/// A piece of the parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Text with the voice of its surroundings.
    Words(String),
    /// Text with its own voice.
    Spoken(Voice, String),
    /// A call, with the name as written.
    Call { name: String, input: String },
    /// The place of a token.
    Gap,
}

/// The parser state of one syntax.
#[derive(Debug)]
pub(super) enum Grammar {
    Sections(Sections),
    Markup(Markup),
    Channels(Channels),
}

impl Grammar {
    pub(super) fn new(syntax: CallSyntax) -> Self {
        match syntax {
            CallSyntax::None | CallSyntax::Sections | CallSyntax::WideSections => {
                Self::Sections(Sections::default())
            }
            CallSyntax::Markup => Self::Markup(Markup::default()),
            CallSyntax::Channels => Self::Channels(Channels::default()),
        }
    }

    /// Returns whether the position is outside of calls, where text is ordinary text.
    pub(super) fn is_outside(&self) -> bool {
        match self {
            Self::Sections(state) => state.is_outside(),
            Self::Markup(state) => state.is_outside(),
            Self::Channels(state) => state.is_outside(),
        }
    }

    pub(super) fn words(&mut self, words: &str, found: &mut Vec<Found>) {
        match self {
            Self::Sections(state) => state.words(words, found),
            Self::Markup(state) => state.words(words, found),
            Self::Channels(state) => state.words(words, found),
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>, found: &mut Vec<Found>) {
        match self {
            Self::Sections(state) => state.token(token, found),
            Self::Markup(state) => state.token(token, found),
            Self::Channels(state) => state.token(token, found),
        }
    }

    /// Ends the text.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        match self {
            Self::Sections(state) => state.finish(found),
            Self::Markup(state) => state.finish(found),
            Self::Channels(state) => state.finish(found),
        }
    }
}
