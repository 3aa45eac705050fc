//! Extracts calls that a model writes into its text or its reasoning, in the tokens of its own
//! prompt format. The service is meant to turn these into `toolUse` blocks and sometimes fails: the
//! answer then shows tokens and ends without a call. The extraction works for any cut of the text.

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

/// The syntax to read in an answer, and the tools that may be called, by their sent names.
#[derive(Debug, Clone)]
pub(crate) struct Syntax {
    syntax: CallSyntax,
    /// The rule by which names were adapted to the model.
    names: ToolNames,
    tools: Vec<String>,
}

impl Syntax {
    /// The syntax of a model that was sent these tools. `None` without tools: such an answer cannot
    /// hold calls, so tokens in it are ordinary text.
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

/// A call written in text. Its input is the written text, JSON or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenCall {
    /// The sent name of the tool.
    pub(crate) name: String,
    pub(crate) input: String,
}

/// Reads one answer. Calls are held until the answer ends, because some are repeated as a `toolUse`
/// block, and a tool must not run twice.
#[derive(Debug)]
pub(crate) struct Reader {
    lexer: Lexer,
    grammar: Grammar,
    names: ToolNames,
    tools: Vec<String>,
    /// The role of the current text.
    voice: Voice,
    /// White space after a token: it is part of the text only if text follows.
    gap: Option<String>,
    written: Vec<WrittenCall>,
    /// The calls received as blocks, with their block indices.
    made: Vec<(u32, WrittenCall)>,
}

/// Bytes of an incomplete token that still count as text at the end.
const MARGIN: usize = 5;
/// White space after a token beyond which it is part of the text, in bytes.
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

    /// Adds a piece of text or reasoning; `out` gets the text that is now certain. A change of
    /// voice ends the current call.
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

    /// Ends the text or the reasoning. An unclosed call counts as a call with the input so far,
    /// like a truncated `toolUse` block.
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

    /// Notes a call received as a block; its input follows.
    pub(crate) fn made(&mut self, block: u32, name: &str) {
        self.made.push((block, WrittenCall { name: name.to_owned(), input: String::new() }));
    }

    /// Notes input of such a block.
    pub(crate) fn made_with(&mut self, block: u32, input: &str) {
        if let Some((_, call)) = self.made.iter_mut().rfind(|(made, _)| *made == block) {
            call.input.push_str(input);
        }
    }

    /// The written calls without those that also came as blocks, in order; to be read at the end.
    pub(crate) fn take_calls(&mut self) -> Vec<WrittenCall> {
        let mut written = std::mem::take(&mut self.written);
        for (_, made) in std::mem::take(&mut self.made) {
            if let Some(at) = written.iter().position(|call| call.is_same(&made)) {
                written.remove(at);
            }
        }
        written
    }

    /// Returns whether no text is held back: text without a token passes unchanged.
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
                    // A tool that was not sent cannot be run: the call is kept in the reasoning.
                    None => out(Voice::Reasoning, &format!("{} {input}\n", name.trim()))?,
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

    /// The sent name of the tool that the model names.
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

/// The id of a written call, which has none of its own. It is derived from the answer's id, so that
/// it is unique in the conversation and the same in every translation of the answer.
pub(crate) fn call_id(answer: &str, at: u32) -> String {
    let answer = answer.strip_prefix("chatcmpl-").unwrap_or(answer);
    sent_id(&format!("call_{answer}_{at}"), CallIds::Any).into_owned()
}

/// The namespace in which the prompt formats declare tools.
const NAMESPACE: &str = "functions.";

impl WrittenCall {
    /// Returns whether both calls are the same; the order of an object's members is ignored.
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
