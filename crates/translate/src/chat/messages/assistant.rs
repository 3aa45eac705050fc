//! The assistant's turns: thoughts, text and calls, and behind the calls at once the turn with their results.

use std::borrow::Cow;
use std::collections::HashMap;

use schema::converse::message::{ContentBlock, Role};
use schema::converse::tool::{ToolResultBlock, ToolResultContent, ToolUseBlock};
use schema::openai::message::Message as ChatMessage;
use schema::openai::tool::{FunctionCall, ToolCall};

use super::Building;
use super::results::{NO_RESULT, no_output};
use crate::Invalid;
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Replayed, replay};
use crate::parts::tools::{CalledWith, input, sent_name};

impl<'a> Building<'a, '_> {
    /// Thoughts come before everything else in their turn.
    pub(super) fn think(&mut self, message: &'a ChatMessage<'a>) {
        let Replayed { blocks, past } = replay(message, self.recalled, self.profile, self.report);
        self.has_thoughts = !blocks.is_empty();
        for block in blocks {
            self.turns.push(Role::Assistant, ContentBlock::ReasoningContent(block));
        }
        if past == Past::Lost
            && let Some(call) = message.tool_calls.iter().flatten().next()
        {
            let id = Cow::Borrowed(call.id.as_deref().unwrap_or_default());
            self.lost.insert(self.ids.sent(id));
        }
    }

    /// The calls of an assistant message, then at once the turn with their results.
    pub(super) fn calls(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        let calls = calls_of(at, message);
        if let Some(index) = unnamed_call(message) {
            let param = format!("messages[{at}].tool_calls[{index}].function");
            let message = "A tool call needs a function (or custom) with a name.";
            return Err(Invalid::value(param, message).with_code("missing_required_parameter"));
        }
        let mut results = Vec::with_capacity(calls.len());
        let mut repeats: HashMap<&Key<'_>, usize> = HashMap::with_capacity(calls.len());
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
            let block = ToolUseBlock {
                tool_use_id: tool_use_id.clone(),
                input: input(call.made_with, self.names.form(&name)).map_err(complain)?,
                name,
            };
            self.turns.push(Role::Assistant, ContentBlock::ToolUse(block));
            if self.known.insert(call.name) {
                self.called.push(call.name);
            }
            results.push((tool_use_id, self.results.take(&call.key, at)));
        }
        self.mark_message(message);
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

/// A past call, whichever of the three ways it was written.
pub(super) struct PastCall<'a> {
    /// What a result must carry to belong to it.
    pub(super) key: Key<'a>,
    id: Cow<'a, str>,
    name: &'a str,
    made_with: CalledWith<'a>,
}

/// How a result finds its call: by id, or (deprecated) by the function's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key<'a> {
    Id(Cow<'a, str>),
    Name(&'a str),
}

pub(super) fn calls_of<'a>(at: usize, message: &'a ChatMessage<'a>) -> Vec<PastCall<'a>> {
    let named = message.function_call.iter().map(|FunctionCall { name, arguments }| PastCall {
        key: Key::Name(name),
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
        Some(PastCall { key: Key::Id(id.clone()), id, name, made_with })
    });
    tools.chain(named).collect()
}

/// The first call without a name to be called by.
fn unnamed_call(message: &ChatMessage<'_>) -> Option<usize> {
    let calls = message.tool_calls.iter().flatten();
    calls.into_iter().position(|call| call.function.is_none() && call.custom.is_none())
}
