//! Separates the tokens of a syntax from the text around them, for any cut of the text.

use crate::profile::CallSyntax;

/// A token, by its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// Opens or closes a list of calls.
    Section,
    /// Opens a call; its name follows.
    Call,
    /// Ends the name; the input follows.
    Input,
    /// Ends a call, or a message of a channel.
    End,
    /// Opens the header of a message of a channel.
    Header,
    /// Stands inside a header, before the format of the message.
    Format,
    /// Ends a header; the message follows.
    Message,
    /// An opening tag, without its brackets and prefix.
    Open(&'t str),
    /// A closing tag, likewise.
    Close(&'t str),
}

/// A piece of the text.
#[derive(Debug)]
pub(super) enum Lexeme<'t> {
    Words(&'t str),
    Token(Token<'t>),
}

/// The tokens of one syntax.
#[derive(Debug, Clone, Copy)]
struct Tokens {
    fixed: &'static [(&'static str, Token<'static>)],
    /// Prefixes of tags with attributes: opening and closing.
    tags: Option<(&'static str, &'static str)>,
}

/// Calls in a section: name, separator and JSON.
const SECTIONS: Tokens = Tokens {
    fixed: &[
        ("<|tool_calls_section_begin|>", Token::Section),
        ("<|tool_calls_section_end|>", Token::Section),
        ("<|tool_call_section_begin|>", Token::Section),
        ("<|tool_call_section_end|>", Token::Section),
        ("<|tool_call_begin|>", Token::Call),
        ("<|tool_call_argument_begin|>", Token::Input),
        ("<|tool_call_end|>", Token::End),
    ],
    tags: None,
};

/// The same structure with other tokens.
const WIDE_SECTIONS: Tokens = Tokens {
    fixed: &[
        ("<｜tool▁calls▁begin｜>", Token::Section),
        ("<｜tool▁calls▁end｜>", Token::Section),
        ("<｜tool▁call▁begin｜>", Token::Call),
        ("<｜tool▁sep｜>", Token::Input),
        ("<｜tool▁call▁end｜>", Token::End),
    ],
    tags: None,
};

/// Calls as elements, with an element for each parameter.
const MARKUP: Tokens = Tokens { fixed: &[], tags: Some(("<｜DSML｜", "</｜DSML｜")) };

/// Calls as messages on a channel, addressed to the tool.
const CHANNELS: Tokens = Tokens {
    fixed: &[
        ("<|start|>", Token::Header),
        ("<|channel|>", Token::Header),
        ("<|constrain|>", Token::Format),
        ("<|message|>", Token::Message),
        ("<|call|>", Token::End),
        ("<|end|>", Token::End),
        ("<|return|>", Token::End),
    ],
    tags: None,
};

/// Longest tag, in bytes.
const LONGEST_TAG: usize = 1024;

/// Splits a text into words and tokens.
#[derive(Debug)]
pub(super) struct Lexer {
    tokens: Tokens,
    /// The start of a token.
    held: String,
}

impl Lexer {
    pub(super) fn new(syntax: CallSyntax) -> Self {
        let tokens = match syntax {
            CallSyntax::None => Tokens { fixed: &[], tags: None },
            CallSyntax::Sections => SECTIONS,
            CallSyntax::WideSections => WIDE_SECTIONS,
            CallSyntax::Markup => MARKUP,
            CallSyntax::Channels => CHANNELS,
        };
        Self { tokens, held: String::new() }
    }

    /// Returns whether no text is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The held text, at the end.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Adds a piece; `out` gets the text that is now certain.
    pub(super) fn push(&mut self, piece: &str, out: &mut impl FnMut(Lexeme<'_>)) {
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        let (mut begun, mut at) = (0, 0);
        while let Some(next) = text[at..].find('<') {
            at += next;
            match self.tokens.read(&text[at..]) {
                Read::Token(token, length) => {
                    words(&text[begun..at], out);
                    out(Lexeme::Token(token));
                    at += length;
                    begun = at;
                }
                Read::None => at += 1,
                Read::Cut => {
                    words(&text[begun..at], out);
                    text[at..].clone_into(&mut self.held);
                    return;
                }
            }
        }
        words(&text[begun..], out);
    }
}

fn words(words: &str, out: &mut impl FnMut(Lexeme<'_>)) {
    if !words.is_empty() {
        out(Lexeme::Words(words));
    }
}

enum Read<'t> {
    /// A token, and its length.
    Token(Token<'t>, usize),
    /// No token begins here.
    None,
    /// A token may begin here.
    Cut,
}

impl Tokens {
    /// Reads a text that begins with `<`.
    fn read<'t>(&self, text: &'t str) -> Read<'t> {
        for (spelling, token) in self.fixed {
            if text.starts_with(spelling) {
                return Read::Token(*token, spelling.len());
            }
        }
        if self.fixed.iter().any(|(spelling, _)| spelling.starts_with(text)) {
            return Read::Cut;
        }
        let Some((open, close)) = self.tags else { return Read::None };
        for (prefix, is_open) in [(open, true), (close, false)] {
            if prefix.starts_with(text) {
                return Read::Cut;
            }
            let Some(tag) = text.strip_prefix(prefix) else { continue };
            return match tag.find('>') {
                Some(end) if end <= LONGEST_TAG => {
                    let inner = &tag[..end];
                    let token = if is_open { Token::Open(inner) } else { Token::Close(inner) };
                    Read::Token(token, prefix.len() + end + 1)
                }
                None if tag.len() <= LONGEST_TAG => Read::Cut,
                Some(_) | None => Read::None,
            };
        }
        Read::None
    }
}
