//! Calls that a model writes into its text or its reasoning, in the tokens of its own prompt format. The
//! service is meant to turn these into `toolUse` blocks and now and then does not: the answer then shows
//! tokens and ends without a call. They are taken out of the words here, however the text is cut.

use schema::converse::tool::{Tool, ToolConfig};
use serde_json::Value;

use self::grammar::{Found, Grammar};
use self::lexer::{Lexeme, Lexer};
use super::tags::Voice;
use super::tools::{sent_id, sent_name};
use crate::profile::{CallIds, CallSyntax, Profile, ToolNames};

mod channels;
mod grammar;
mod lexer;
mod markup;
mod sections;

/// The syntax to read in an answer, and the tools that may be called, by the names they were sent under.
#[derive(Debug, Clone)]
pub(crate) struct Syntax {
    syntax: CallSyntax,
    /// How names were made fit for the model.
    names: ToolNames,
    tools: Vec<String>,
}

impl Syntax {
    /// The syntax of a model that was sent these tools. Without tools it is `None`: such an answer can hold
    /// no call, so tokens in it are words about tokens.
    pub(crate) fn of(profile: &Profile, tools: Option<&ToolConfig<'_>>) -> Option<Self> {
        let tools = tools.iter().flat_map(|config| &config.tools);
        let names = tools.filter_map(|tool| match tool {
            Tool::ToolSpec(tool) => Some(tool.name.to_string()),
            Tool::SystemTool(_) | Tool::CachePoint(_) => None,
        });
        let (syntax, tools) = (profile.call_syntax, names.collect::<Vec<_>>());
        let names = profile.tool_names;
        (syntax != CallSyntax::None && !tools.is_empty()).then_some(Self { syntax, names, tools })
    }
}

/// A call that was written in words. Its input is the text that was written, JSON or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenCall {
    /// As the tool was sent.
    pub(crate) name: String,
    pub(crate) input: String,
}

/// Reads one answer. Calls are held until the answer ends, because some are made a second time as a
/// `toolUse` block, and a tool must not run twice.
#[derive(Debug)]
pub(crate) struct Reader {
    lexer: Lexer,
    grammar: Grammar,
    names: ToolNames,
    tools: Vec<String>,
    /// The voice of the text under way.
    voice: Voice,
    /// White space behind a token: it is part of the words only if words follow.
    gap: Option<String>,
    written: Vec<WrittenCall>,
    /// The calls that came as blocks, and the numbers of these.
    made: Vec<(u32, WrittenCall)>,
}

/// Bytes of a token's beginning that still pass for words when the text ends with them.
const MARGIN: usize = 5;
/// White space behind a token beyond which it is part of the words.
const GAP: usize = 1024;

impl Reader {
    pub(crate) fn new(syntax: &Syntax) -> Self {
        Self {
            lexer: Lexer::new(syntax.syntax),
            grammar: Grammar::new(syntax.syntax),
            names: syntax.names,
            tools: syntax.tools.clone(),
            voice: Voice::Said,
            gap: None,
            written: Vec::new(),
            made: Vec::new(),
        }
    }

    /// The next piece of text or reasoning; `out` gets the words that are certain now. A change of voice
    /// ends the call under way.
    pub(crate) fn push<E>(
        &mut self,
        voice: Voice,
        piece: &str,
        out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
    ) -> Result<(), E> {
        if piece.is_empty() {
            return Ok(());
        }
        if voice != self.voice {
            self.end(out)?;
            self.voice = voice;
        }
        if self.is_idle() && !piece.contains('<') {
            return out(voice, piece);
        }
        let mut found = Vec::new();
        let grammar = &mut self.grammar;
        self.lexer.push(piece, &mut |lexeme| match lexeme {
            Lexeme::Words(words) => grammar.words(words, &mut found),
            Lexeme::Token(token) => {
                grammar.token(token, &mut found);
                found.push(Found::Gap);
            }
        });
        self.tell(found, out)
    }

    /// The text or the reasoning ends here. A call that was not closed is a call with the input it has, as a
    /// `toolUse` block is that was cut off.
    pub(crate) fn end<E>(
        &mut self,
        out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
    ) -> Result<(), E> {
        if self.is_idle() {
            return Ok(());
        }
        let mut found = Vec::new();
        let held = self.lexer.take();
        if held.len() <= MARGIN {
            self.grammar.words(&held, &mut found);
        }
        self.grammar.finish(&mut found);
        self.tell(found, out)?;
        self.gap = None;
        Ok(())
    }

    /// Notes a call that comes as a block; its input follows.
    pub(crate) fn made(&mut self, block: u32, name: &str) {
        self.made.push((block, WrittenCall { name: name.to_owned(), input: String::new() }));
    }

    /// Notes input of such a block.
    pub(crate) fn made_with(&mut self, block: u32, input: &str) {
        if let Some((_, call)) = self.made.iter_mut().rfind(|(made, _)| *made == block) {
            call.input.push_str(input);
        }
    }

    /// The calls that were written and not made as blocks too, in their order; to be asked for at the end.
    pub(crate) fn take_calls(&mut self) -> Vec<WrittenCall> {
        let mut written = std::mem::take(&mut self.written);
        for (_, made) in std::mem::take(&mut self.made) {
            if let Some(at) = written.iter().position(|call| call.is_same(&made)) {
                written.remove(at);
            }
        }
        written
    }

    /// Whether nothing is held back: text without a token passes as it is.
    fn is_idle(&self) -> bool {
        self.gap.is_none() && self.lexer.is_empty() && self.grammar.is_outside()
    }

    fn tell<E>(
        &mut self,
        found: Vec<Found>,
        out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
    ) -> Result<(), E> {
        for one in found {
            match one {
                Found::Gap => self.gap = Some(String::new()),
                Found::Words(words) => self.words(self.voice, &words, out)?,
                Found::Spoken(voice, words) => self.words(voice, &words, out)?,
                Found::Call { name, input } => match self.declared(&name) {
                    Some(name) => self.written.push(WrittenCall { name, input }),
                    // A tool that was not sent cannot be run: the call is kept among the reasoning.
                    None => out(Voice::Thought, &format!("{} {input}\n", name.trim()))?,
                },
            }
        }
        Ok(())
    }

    fn words<E>(
        &mut self,
        voice: Voice,
        words: &str,
        out: &mut (impl FnMut(Voice, &str) -> Result<(), E> + ?Sized),
    ) -> Result<(), E> {
        if words.is_empty() {
            return Ok(());
        }
        let Some(mut gap) = self.gap.take() else { return out(voice, words) };
        gap.push_str(words);
        if gap.len() <= GAP && gap.trim_start().is_empty() {
            self.gap = Some(gap);
            return Ok(());
        }
        out(voice, &gap)
    }

    /// The name under which the tool was sent that the model means.
    fn declared(&self, written: &str) -> Option<String> {
        let name = written.trim();
        let name = name.strip_prefix(NAMESPACE).unwrap_or(name);
        let name =
            name.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(name);
        let is_sent = |name: &str| self.tools.iter().any(|tool| tool == name);
        let sent = sent_name(name, self.names);
        [name, &sent].into_iter().find(|name| is_sent(name)).map(ToOwned::to_owned)
    }
}

/// The id of a written call, which has none of its own: told by the answer's, so that it is like no other in
/// the conversation and the same whenever the answer is translated.
pub(crate) fn call_id(answer: &str, at: u32) -> String {
    let answer = answer.strip_prefix("chatcmpl-").unwrap_or(answer);
    sent_id(&format!("call_{answer}_{at}"), CallIds::Any).into_owned()
}

/// The namespace in which the prompt formats declare tools.
const NAMESPACE: &str = "functions.";

impl WrittenCall {
    /// Whether both do the same: the members of an object have no order.
    fn is_same(&self, other: &Self) -> bool {
        let value = |input: &str| match input.trim() {
            "" => Ok(Value::Object(serde_json::Map::new())),
            input => serde_json::from_str::<Value>(input),
        };
        self.name == other.name
            && match (value(&self.input), value(&other.input)) {
                (Ok(one), Ok(other)) => one == other,
                (Err(_), Err(_)) => self.input == other.input,
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
            }
    }
}

#[cfg(test)]
mod tests;
