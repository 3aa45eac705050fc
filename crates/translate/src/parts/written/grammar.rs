//! The grammars that put tokens and words together.

use super::channels::Channels;
use super::lexer::Token;
use super::markup::Markup;
use super::sections::Sections;
use crate::parts::tags::Voice;
use crate::profile::CallSyntax;

/// A piece of what a text turns out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Words in the voice of the text they stand in.
    Words(String),
    /// Words in a voice of their own.
    Spoken(Voice, String),
    /// A call, under the name that was written.
    Call { name: String, input: String },
    /// The place of a token.
    Gap,
}

/// The state of reading one syntax.
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

    /// Whether words are words, and nothing else.
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

    /// The text ends.
    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        match self {
            Self::Sections(state) => state.finish(found),
            Self::Markup(state) => state.finish(found),
            Self::Channels(state) => state.finish(found),
        }
    }
}
