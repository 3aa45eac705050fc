//! `<|channel|>commentary to=functions.name <|constrain|>json<|message|>{json}<|call|>`: messages
//! with a header that states their channel and the tool they call. Messages without a tool are
//! reasoning, except those on the channel of the answer.

use super::grammar::Found;
use super::lexer::Token;
use crate::parts::tags::Voice;

/// The position in the text.
#[derive(Debug, Default)]
pub(super) enum Channels {
    /// Between messages.
    #[default]
    Outside,
    /// Inside a header.
    Header(String),
    /// Inside a message without a tool.
    Message(Voice),
    /// Inside a message to a tool.
    Call { name: String, input: String },
}

/// The channel of the answer.
const ANSWER: &str = "final";
/// Words of a header that only route the message.
const ROUTING: [&str; 4] = ["assistant", "analysis", "commentary", ANSWER];

impl Channels {
    pub(super) fn is_outside(&self) -> bool {
        matches!(self, Self::Outside)
    }

    pub(super) fn words(&mut self, words: &str, found: &mut Vec<Found>) {
        match self {
            Self::Outside => found.push(Found::Words(words.to_owned())),
            Self::Header(header) => header.push_str(words),
            Self::Message(voice) => found.push(Found::Spoken(*voice, words.to_owned())),
            Self::Call { input, .. } => input.push_str(words),
        }
    }

    pub(super) fn token(&mut self, token: Token<'_>, found: &mut Vec<Found>) {
        *self = match (std::mem::take(self), token) {
            (Self::Header(header), Token::Header | Token::Format) => Self::Header(header + " "),
            (Self::Header(header), Token::Message) => Self::addressed(&header),
            (state, Token::Header) => {
                state.close(found);
                Self::Header(String::new())
            }
            (state @ (Self::Header(_) | Self::Message(_) | Self::Call { .. }), Token::End) => {
                state.close(found);
                Self::Outside
            }
            (state, _) => state,
        };
    }

    pub(super) fn finish(&mut self, found: &mut Vec<Found>) {
        std::mem::take(self).close(found);
    }

    fn addressed(header: &str) -> Self {
        let mut words = header.split_whitespace();
        match words.clone().find_map(|word| word.strip_prefix("to=")) {
            Some(name) => Self::Call { name: name.to_owned(), input: String::new() },
            None if words.any(|word| word == ANSWER) => Self::Message(Voice::Said),
            None => Self::Message(Voice::Reasoning),
        }
    }

    fn close(self, found: &mut Vec<Found>) {
        match self {
            Self::Outside | Self::Message(_) => {}
            Self::Header(header)
                if header.split_whitespace().all(|word| ROUTING.contains(&word)) => {}
            Self::Header(header) => found.push(Found::Spoken(Voice::Reasoning, header)),
            Self::Call { name, input } => {
                found.push(Found::Call { name, input: input.trim().to_owned() });
            }
        }
    }
}
