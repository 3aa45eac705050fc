//! Results of calls: their calls, and their blocks.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use schema::converse::message::{ContentBlock, Role};
use schema::converse::tool::ToolResultContent;
use schema::openai::content::Content;
use schema::openai::message::{Message as ChatMessage, Role as ChatRole};

use super::Building;
use super::assistant::{CallKey, calls_of};
use crate::Invalid;
use crate::parts::turns::FILLER;

/// Bedrock requires a result for every call; this text keeps the model from reading a missing
/// result as one.
pub(super) const NO_RESULT: &str = "No result of this call was given.";

/// Some families refuse a result without content.
pub(super) fn no_output<'a>() -> Vec<ToolResultContent<'a>> {
    vec![ToolResultContent::Text(Cow::Borrowed(FILLER))]
}

impl<'a> Building<'a, '_> {
    /// Sets the cache point after the complete result, wherever in it the marks stand.
    pub(super) fn mark_result(&mut self, at: usize) {
        let message = &self.messages[at];
        if let Some(Content::Parts(parts)) = &message.content {
            for part in parts {
                self.mark(part.cache(), "messages.content.");
            }
        }
        self.mark_message(message);
    }

    pub(super) fn result_content(
        &mut self,
        at: usize,
    ) -> Result<Vec<ToolResultContent<'a>>, Invalid> {
        let mut blocks = Vec::new();
        let messages = self.messages;
        match &messages[at].content {
            None => {}
            Some(Content::Text(text)) => push_text(&mut blocks, Cow::Borrowed(text)),
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("messages[{at}].content[{index}]");
                    if let Some(block) = self.part(part, &param, Role::User)? {
                        let inside = self.attachments.inside_result();
                        blocks.extend(self.beside.place(block, inside, self.report));
                    }
                }
            }
        }
        Ok(blocks)
    }

    /// Keeps a result without a call as the user's text.
    pub(super) fn orphan(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
    ) -> Result<(), Invalid> {
        if self.results.is_taken(at) {
            return Ok(());
        }
        let id = message.tool_call_id.as_deref().or(message.name.as_deref()).unwrap_or("unknown");
        let head = format!("Result of tool call {id}:");
        self.turns.push(Role::User, ContentBlock::Text(Cow::Owned(head)));
        self.speak(at, message, Role::User)?;
        self.mark_message(message);
        Ok(())
    }
}

fn push_text<'a>(blocks: &mut Vec<ToolResultContent<'a>>, text: Cow<'a, str>) {
    if !text.trim().is_empty() {
        blocks.push(ToolResultContent::Text(text));
    }
}

/// Positions of the results, and those already assigned to a call. Positions are consumed from the
/// front, because calls are read in the order of the conversation.
pub(super) struct Results<'a> {
    by_key: HashMap<CallKey<'a>, VecDeque<usize>>,
    calls: HashMap<CallKey<'a>, VecDeque<usize>>,
    taken: Vec<bool>,
}

impl<'a> Results<'a> {
    pub(super) fn index(messages: &'a [ChatMessage<'a>]) -> Self {
        let mut by_key: HashMap<CallKey<'a>, VecDeque<usize>> = HashMap::new();
        let mut calls: HashMap<CallKey<'a>, VecDeque<usize>> = HashMap::new();
        for (at, message) in messages.iter().enumerate() {
            let key = match message.role {
                ChatRole::Tool => {
                    message.tool_call_id.as_deref().map(|id| CallKey::Id(Cow::Borrowed(id)))
                }
                ChatRole::Function => message.name.as_deref().map(CallKey::Name),
                ChatRole::Assistant => {
                    for call in calls_of(at, message) {
                        calls.entry(call.key).or_default().push_back(at);
                    }
                    None
                }
                ChatRole::System | ChatRole::Developer | ChatRole::User => None,
            };
            if let Some(key) = key {
                by_key.entry(key).or_default().push_back(at);
            }
        }
        Self { by_key, calls, taken: vec![false; messages.len()] }
    }

    /// The first unassigned result after `call`, but not beyond the next call of the same id: some
    /// models count their ids from zero in every turn.
    pub(super) fn take(&mut self, key: &CallKey<'a>, call: usize) -> Option<usize> {
        let until = self.calls.get_mut(key).and_then(|calls| first_after(calls, call));
        let results = self.by_key.get_mut(key)?;
        let found = first_after(results, call)?;
        if until.is_some_and(|until| found > until) {
            return None;
        }
        results.pop_front();
        self.taken[found] = true;
        Some(found)
    }

    pub(super) fn is_taken(&self, at: usize) -> bool {
        self.taken[at]
    }
}

/// The first position after `at`; earlier positions are dropped.
fn first_after(positions: &mut VecDeque<usize>, at: usize) -> Option<usize> {
    while positions.front().is_some_and(|&position| position <= at) {
        positions.pop_front();
    }
    positions.front().copied()
}
