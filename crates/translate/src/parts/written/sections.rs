//! `<section><call>name<input>{json}<end>...</section>`. Models leave out the tokens of the
//! section, and sometimes the one that ends a call or the one between name and input.

use super::grammar::Found;
use super::lexer::Token;
use crate::parts::tags::Voice;

/// The position in the text.
#[derive(Debug, Default)]
pub(super) enum Sections {
    /// Between calls.
    #[default]
    Outside,
    /// After the token that opens a call.
    Name(String),
    /// After the token that follows the name.
    Input { name: String, input: String },
}

impl Sections {
    pub(super) fn is_outside(&self) -> bool {
        matches!(self, Self::Outside)
    }

    pub(super) fn words(&mut self, words: &str, found: &mut Vec<Found>) {
        match self {
            Self::Outside => found.push(Found::Words(words.to_owned())),
            Self::Name(name) => name.push_str(words),
            Self::Input { input, .. } => input.push_str(words),
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>, found: &mut Vec<Found>) {
        *self = match (std::mem::take(self), token) {
            (Self::Name(name), Token::Input) => Self::Input { name, input: String::new() },
            (state @ Self::Input { .. }, Token::Input) => state,
            (state, token) => {
                state.close(found);
                if token == Token::Call { Self::Name(String::new()) } else { Self::Outside }
            }
        };
    }

    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        match std::mem::take(self) {
            // The name may be incomplete: a call of it could reach another tool.
            Self::Name(name) if !name.contains('{') => {
                found.push(Found::Spoken(Voice::Reasoning, name));
            }
            state => state.close(found),
        }
    }

    fn close(self, found: &mut Vec<Found>) {
        match self {
            Self::Outside => {}
            Self::Name(words) if words.trim().is_empty() => {}
            Self::Name(words) => {
                let (name, input) = words.split_at(words.find('{').unwrap_or(words.len()));
                call(name.to_owned(), input, found);
            }
            Self::Input { name, input } => call(name, &input, found),
        }
    }
}

fn call(name: String, input: &str, found: &mut Vec<Found>) {
    found.push(Found::Call { name, input: input.trim().to_owned() });
}
