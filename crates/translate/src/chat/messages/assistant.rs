//! The assistant's turns: reasoning, text and calls, and directly after the calls the turn with
//! their results.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use schema::converse::message::{ContentBlock, Role};
use schema::converse::tool::{ToolResultBlock, ToolResultContent, ToolUseBlock};
use schema::openai::message::Message as ChatMessage;
use schema::openai::tool::{FunctionCall, ToolCall};

use super::Building;
use super::content::Said;
use super::order::{Put, ahead, arranged};
use super::results::{NO_RESULT, no_output};
use crate::Invalid;
use crate::chat::Digest;
use crate::chat::reasoning::received::{ids as call_ids, replayed};
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Preface, ReplayStep, Replayed};
use crate::parts::tools::{CalledWith, input, sent_name};

impl<'a> Building<'a, '_> {
    /// Translates an assistant message: its reasoning, texts and calls in the order of the original
    /// answer, then directly the turn with the results.
    pub(super) fn assistant(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
    ) -> Result<(), Invalid> {
        let replayed = replayed(at, message, &self.past, self.profile, self.report);
        let thinks = replayed.steps.iter().any(|step| matches!(step, ReplayStep::Reasoning(_)));
        // Reasoning among the parts stays in place, unless its original place is known from
        // elsewhere.
        self.has_thoughts = thinks || self.past.decides(at, call_ids(message));
        let said = self.said(at, message, Role::Assistant)?;
        let (calls, results) = self.calls(at, message)?;
        let ids: Vec<&str> = message_ids(message, calls.len());
        let Replayed { steps, order, mut past, field, preface } = replayed;
        let text = joined(&said);
        let length = text.len();
        let puts = arranged(steps, order, &text, &ids);
        let puts = puts.filter(|puts| !has_thoughts(puts) || self.is_prefaced(preface));
        let puts = puts.unwrap_or_else(|| {
            if let Some(field) = field {
                self.report.ignore(field);
            }
            past = Past::Lost;
            ahead(Vec::new(), &text, &ids)
        });
        drop(text);
        if said.iter().any(Said::is_thought) {
            past = Past::Whole;
        }
        self.put(puts, said, length, calls);
        if past == Past::Lost && message.tool_calls.is_some() {
            self.lost.extend(results.first().map(|(id, _)| id.clone()));
        }
        self.mark_message(message);
        self.results(results)
    }

    /// Repeats the gateway's text that ended the user's turn before a turn that is put back
    /// unchanged. Returns whether that text is known, or there was none.
    fn is_prefaced(&mut self, preface: Option<Preface<'a>>) -> bool {
        let words = match preface {
            None => return true,
            Some(Preface::Words(words)) => Cow::Borrowed(words),
            Some(Preface::Hash(hash)) => match self.own_words {
                Some(words) if Digest::of(words.as_bytes()) == hash => Cow::Owned(words.to_owned()),
                Some(_) | None => return false,
            },
        };
        if self.turns.is_users() {
            self.turns.push(Role::User, ContentBlock::Text(words));
        }
        true
    }

    fn put(
        &mut self,
        puts: Vec<Put<'a>>,
        said: Vec<Said<'a>>,
        length: usize,
        calls: Vec<ToolUseBlock<'a>>,
    ) {
        let mut said = Some(said);
        let mut calls: Vec<_> = calls.into_iter().map(Some).collect();
        // Without text, the other content goes first.
        if !puts.iter().any(|put| matches!(put, Put::Text(_))) {
            self.say(said.take().unwrap_or_default(), Role::Assistant);
        }
        for put in puts {
            match put {
                Put::Reasoning(block) => {
                    self.turns.push(Role::Assistant, ContentBlock::ReasoningContent(block));
                }
                Put::Text(range) if range == (0..length) => {
                    self.say(said.take().unwrap_or_default(), Role::Assistant);
                }
                Put::Text(range) => self.say_part(said.as_deref().unwrap_or_default(), range),
                Put::Call(at) => {
                    if let Some(call) = calls.get_mut(at).and_then(Option::take) {
                        self.turns.push(Role::Assistant, ContentBlock::ToolUse(call));
                    }
                }
            }
        }
    }

    /// Adds a segment of a message's text as one block. A mark goes after the segment that ends its
    /// text.
    fn say_part(&mut self, said: &[Said<'a>], range: Range<usize>) {
        let mut text = Cow::Borrowed("");
        let mut marks = Vec::new();
        let mut from = 0;
        for Said { block, mark } in said {
            let ContentBlock::Text(one) = block else { continue };
            let to = from + one.len();
            let part = range.start.max(from)..range.end.min(to);
            if part.start < part.end {
                let part = part.start - from..part.end - from;
                let part = match one {
                    Cow::Borrowed(one) => Cow::Borrowed(one.get(part).unwrap_or_default()),
                    Cow::Owned(one) => Cow::Owned(one.get(part).unwrap_or_default().to_owned()),
                };
                text = if text.is_empty() { part } else { Cow::Owned(text.into_owned() + &part) };
                marks.extend(mark.filter(|_| to <= range.end));
            }
            from = to;
        }
        self.turns.push(Role::Assistant, ContentBlock::Text(text));
        for mark in marks {
            self.mark(Some(mark), "messages.content.");
        }
    }

    /// The calls of an assistant message, and the position of each result.
    fn calls(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<Called<'a>, Invalid> {
        let calls = calls_of(at, message);
        if let Some(index) = unnamed_call(message) {
            let param = format!("messages[{at}].tool_calls[{index}].function");
            let message = "A tool call needs a function (or custom) with a name.";
            return Err(Invalid::value(param, message).with_code("missing_required_parameter"));
        }
        let mut blocks = Vec::with_capacity(calls.len());
        let mut results = Vec::with_capacity(calls.len());
        let mut repeats: HashMap<&CallKey<'_>, usize> = HashMap::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            let repeats = repeats.entry(&call.key).and_modify(|count| *count += 1).or_default();
            let tool_use_id = self.ids.sent(match repeats {
                0 => call.id.clone(),
                repeats => Cow::Owned(format!("{}#{repeats}", call.id)),
            });
            let complain = |_| {
                Invalid::value(format!("messages[{at}].tool_calls[{index}]"), "Unreadable call.")
            };
            let name = sent_name(call.name, self.profile.tool_names);
            blocks.push(ToolUseBlock {
                tool_use_id: tool_use_id.clone(),
                input: input(call.made_with, self.names.form(&name)).map_err(complain)?,
                name,
            });
            if self.known.insert(call.name) {
                self.called.push(call.name);
            }
            results.push((tool_use_id, self.results.take(&call.key, at)));
        }
        Ok((blocks, results))
    }

    fn results(&mut self, results: Vec<(Cow<'a, str>, Option<usize>)>) -> Result<(), Invalid> {
        for (tool_use_id, result) in results {
            let content = match result {
                Some(found) => self.result_content(found)?,
                None => vec![ToolResultContent::Text(Cow::Borrowed(NO_RESULT))],
            };
            let content = if content.is_empty() { no_output() } else { content };
            let block = ToolResultBlock { tool_use_id, content };
            self.turns.push(Role::User, ContentBlock::ToolResult(block));
            if let Some(found) = result {
                self.mark_result(found);
            }
        }
        for block in self.beside.take() {
            self.turns.push(Role::User, block);
        }
        Ok(())
    }
}

/// Calls, and for each its sent id and the index of the message that holds its result.
type Called<'a> = (Vec<ToolUseBlock<'a>>, Vec<(Cow<'a, str>, Option<usize>)>);

/// The ids of a message's calls, as the client sent them.
fn message_ids<'a>(message: &'a ChatMessage<'a>, count: usize) -> Vec<&'a str> {
    let calls = message.tool_calls.iter().flatten();
    let mut ids: Vec<&str> = calls.map(|call| call.id.as_deref().unwrap_or_default()).collect();
    ids.resize(count, "");
    ids
}

fn has_thoughts(puts: &[Put<'_>]) -> bool {
    puts.iter().any(|put| matches!(put, Put::Reasoning(_)))
}

/// All text of a message, joined.
fn joined<'s>(said: &'s [Said<'_>]) -> Cow<'s, str> {
    let mut texts = said.iter().filter_map(|said| match &said.block {
        ContentBlock::Text(text) => Some(&**text),
        _ => None,
    });
    match (texts.next(), texts.next()) {
        (None, _) => Cow::Borrowed(""),
        (Some(only), None) => Cow::Borrowed(only),
        (Some(one), Some(two)) => {
            Cow::Owned([one, two].into_iter().chain(texts).collect::<String>())
        }
    }
}

/// A past call, in any of the three forms clients use.
pub(super) struct PastCall<'a> {
    /// The key that links the call to its result.
    pub(super) key: CallKey<'a>,
    id: Cow<'a, str>,
    name: &'a str,
    made_with: CalledWith<'a>,
}

/// The link between a result and its call: by id, or (deprecated) by the function's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CallKey<'a> {
    Id(Cow<'a, str>),
    Name(&'a str),
}

pub(super) fn calls_of<'a>(at: usize, message: &'a ChatMessage<'a>) -> Vec<PastCall<'a>> {
    let named = message.function_call.iter().map(|FunctionCall { name, arguments }| PastCall {
        key: CallKey::Name(name),
        id: Cow::Owned(format!("call_{at}")),
        name,
        made_with: CalledWith::Arguments(arguments.as_deref().unwrap_or_default()),
    });
    let tools = message.tool_calls.iter().flatten().enumerate();
    let tools = tools.filter_map(|(index, ToolCall { id, function, custom })| {
        let (name, made_with) = match (function, custom) {
            (Some(function), _) => (
                function.name.as_str(),
                CalledWith::Arguments(function.arguments.as_deref().unwrap_or_default()),
            ),
            (None, Some(custom)) => (custom.name.as_str(), CalledWith::Text(&custom.input)),
            (None, None) => return None,
        };
        let id =
            id.as_deref().map_or_else(|| Cow::Owned(format!("call_{at}_{index}")), Cow::Borrowed);
        Some(PastCall { key: CallKey::Id(id.clone()), id, name, made_with })
    });
    tools.chain(named).collect()
}

/// The first call without a name.
fn unnamed_call(message: &ChatMessage<'_>) -> Option<usize> {
    let calls = message.tool_calls.iter().flatten();
    calls.into_iter().position(|call| call.function.is_none() && call.custom.is_none())
}
