//! Messages as turns of Converse. Blocks keep their order; every result goes directly after the call
//! that it answers, as Bedrock requires.

use std::borrow::Cow;

use schema::anthropic::messages::content::{Block, BlockKind, CacheControl, Content};
use schema::anthropic::messages::{Message as Sent, MessagesRequest, Role as SentRole};
use schema::converse::message::{ContentBlock, Role};
use schema::converse::tool::ToolResultContent;
use serde_json::value::RawValue;

use super::is_attribution;
use super::params::cache_mark;
use crate::parts::conversation::{
    Around, CallKey, Conversation, ConversationBuilder, PastBlock, PastCall, PlacedTurn, Results,
    Said,
};
use crate::parts::thinking::replay::Memory;
use crate::parts::tools::CalledWith;
use crate::reasoning::RestoredReasoning;
use crate::{Invalid, Report};

mod blocks;
mod thoughts;

pub(super) use thoughts::{is_thought, thoughts};

/// The place of marks on blocks of messages.
const CONTENT: &str = "messages.content.";
/// Content of a result that failed and has none.
const FAILED: &str = "The call failed.";

/// Translates the system prompt and the messages. System messages at the head join the system prompt;
/// later ones stay in place as user text.
///
/// # Errors
/// A block cannot be expressed for this model.
pub(super) fn conversation<'a>(
    request: &'a MessagesRequest<'a>,
    around: Around<'a, '_>,
    report: &mut Report,
) -> Result<Conversation<'a>, Invalid> {
    let messages = &request.messages;
    let past = memory(around.recalled, messages);
    let (results, found) = index(messages);
    let builder = ConversationBuilder::new(around, past, report);
    let mut building = Building { builder, results, found, at: 0 };
    if let Some(system) = &request.system {
        for (text, mark) in instructions(system, "system")? {
            building.builder.instruct(text, None);
            building.mark(mark, "system.");
        }
    }
    for (at, message) in messages.iter().enumerate() {
        building.message(at, message)?;
    }
    building.builder.finish()
}

/// The restored turns of these messages.
pub(super) fn memory<'a>(
    restored: Option<&'a RestoredReasoning>,
    messages: &'a [Sent<'a>],
) -> Memory<'a> {
    let messages = messages.iter().enumerate();
    Memory::new(
        restored,
        messages.flat_map(|(at, message)| call_ids(message).map(move |id| (at, id))),
    )
}

/// The ids of a message's calls.
pub(super) fn call_ids<'a>(message: &'a Sent<'a>) -> impl Iterator<Item = &'a str> {
    message.content.blocks().iter().filter_map(|block| match &block.kind {
        BlockKind::ToolUse { id, .. } => Some(id.as_str()),
        _ => None,
    })
}

/// The positions of calls and results, counted in blocks, and the results at theirs.
fn index<'a>(messages: &'a [Sent<'a>]) -> (Results<'a>, Vec<Option<FoundResult<'a>>>) {
    let count = messages.iter().map(|message| message.content.blocks().len()).sum();
    let (mut results, mut found) = (Results::of(count), Vec::with_capacity(count));
    for (at, message) in messages.iter().enumerate() {
        for (index, block) in message.content.blocks().iter().enumerate() {
            let position = found.len();
            found.push(match (&block.kind, message.role) {
                (BlockKind::ToolUse { id, .. }, SentRole::Assistant) => {
                    results.made(key(id), position);
                    None
                }
                (BlockKind::ToolResult { tool_use_id, content, is_error }, SentRole::User) => {
                    results.given(key(tool_use_id), position);
                    let place = format!("messages[{at}].content[{index}]");
                    let mark = block.cache_control.as_ref();
                    let (content, is_error) = (content.as_ref(), *is_error);
                    Some(FoundResult { place, content, is_error, mark })
                }
                _ => None,
            });
        }
    }
    (results, found)
}

fn key(id: &str) -> CallKey<'_> {
    CallKey::Id(Cow::Borrowed(id))
}

/// A result block.
struct FoundResult<'a> {
    place: String,
    content: Option<&'a Content<'a>>,
    is_error: bool,
    mark: Option<&'a CacheControl<'a>>,
}

struct Building<'a, 'r> {
    builder: ConversationBuilder<'a, 'r>,
    results: Results<'a>,
    /// The results by their positions, until they are placed.
    found: Vec<Option<FoundResult<'a>>>,
    /// Position of the next block.
    at: usize,
}

impl<'a> Building<'a, '_> {
    fn message(&mut self, at: usize, message: &'a Sent<'a>) -> Result<(), Invalid> {
        if message.output_config.is_some() {
            self.builder.report.ignore("messages.output_config");
        }
        if message.role != SentRole::System {
            self.builder.leave_head();
        }
        let place = format!("messages[{at}].content");
        match message.role {
            SentRole::System => {
                for (text, mark) in instructions(&message.content, &place)? {
                    self.builder.instruct(text, None);
                    self.mark(mark, CONTENT);
                }
                self.at += message.content.blocks().len();
                Ok(())
            }
            SentRole::User => self.user(&message.content, &place),
            SentRole::Assistant => self.assistant((at, message), &place),
        }
    }

    fn user(&mut self, content: &'a Content<'a>, place: &str) -> Result<(), Invalid> {
        if let Content::Text(text) = content {
            self.builder.say(vec![Said::text(text.as_str())], Role::User);
        }
        for (index, block) in content.blocks().iter().enumerate() {
            let position = self.at;
            self.at += 1;
            if let BlockKind::ToolResult { tool_use_id, .. } = &block.kind {
                if !self.results.is_taken(position)
                    && let Some(found) = self.found.get_mut(position).and_then(Option::take)
                {
                    self.orphan(tool_use_id, &found)?;
                }
                continue;
            }
            if let Some(content) = self.block(block, &format!("{place}[{index}]"), Role::User)? {
                self.builder.say(vec![Said { block: content, mark: None }], Role::User);
                self.mark(block.cache_control.as_ref(), CONTENT);
            }
        }
        Ok(())
    }

    fn assistant(
        &mut self,
        (at, message): (usize, &'a Sent<'a>),
        place: &str,
    ) -> Result<(), Invalid> {
        if let Content::Text(text) = &message.content {
            self.builder.say(vec![Said::text(text.as_str())], Role::Assistant);
            return Ok(());
        }
        let sent = message.content.blocks();
        let (first, mut calls) = (self.at, Vec::new());
        let mut thoughts = self.thoughts(at, message);
        let mut blocks = Vec::with_capacity(sent.len());
        for (index, block) in sent.iter().enumerate() {
            let thought = |block| (PastBlock::Said(ContentBlock::ReasoningContent(block)), None);
            blocks.extend(thoughts.before(index).into_iter().map(thought));
            let mark = self.checked_mark(block.cache_control.as_ref(), CONTENT);
            if let BlockKind::ToolUse { id, name, input } = &block.kind {
                calls.push((index, id.as_str()));
                blocks.push((PastBlock::Call(call(id, name, *input)), mark));
            } else if let Some(content) =
                self.block(block, &format!("{place}[{index}]"), Role::Assistant)?
            {
                blocks.push((PastBlock::Said(content), mark));
            }
        }
        self.at += sent.len();
        let rest = thoughts.rest().into_iter().map(ContentBlock::ReasoningContent);
        blocks.extend(rest.map(|block| (PastBlock::Said(block), None)));
        let turn = PlacedTurn { blocks, past: thoughts.past, preface: thoughts.preface };
        let param = |call: usize| match calls.get(call) {
            Some((index, _)) => format!("{place}[{index}].input"),
            None => place.to_owned(),
        };
        let ids = self.builder.placed_answer(turn, &param)?;
        for ((index, id), sent) in calls.into_iter().zip(ids) {
            self.result(&key(id), first + index, sent)?;
        }
        self.builder.end_results();
        Ok(())
    }

    /// Adds the result of a call at a position.
    fn result(
        &mut self,
        key: &CallKey<'a>,
        position: usize,
        sent: Cow<'a, str>,
    ) -> Result<(), Invalid> {
        let taken = self.results.take(key, position);
        let found = taken.and_then(|taken| self.found.get_mut(taken)?.take());
        let Some(found) = found else {
            self.builder.result(sent, None);
            return Ok(());
        };
        let content = self.result_content(&found)?;
        self.builder.result(sent, Some(content));
        self.mark(found.mark, CONTENT);
        for block in found.content.map(Content::blocks).unwrap_or_default() {
            self.mark(block.cache_control.as_ref(), CONTENT);
        }
        Ok(())
    }

    /// The content of a result; an error says so, because not all models have a status for it.
    fn result_content(
        &mut self,
        found: &FoundResult<'a>,
    ) -> Result<Vec<ToolResultContent<'a>>, Invalid> {
        let blocks = self.inside(found)?;
        let is_blank = |block: &ContentBlock<'_>| match block {
            ContentBlock::Text(text) => text.trim().is_empty(),
            _ => false,
        };
        let mut all = match found.content {
            // A text without words is no content.
            Some(Content::Text(_)) if blocks.iter().all(is_blank) => Vec::new(),
            _ => self.builder.inside_result(blocks),
        };
        if all.is_empty() && found.is_error {
            all.push(ToolResultContent::Text(Cow::Borrowed(FAILED)));
        }
        Ok(all)
    }

    /// The blocks of a result.
    fn inside(&mut self, found: &FoundResult<'a>) -> Result<Vec<ContentBlock<'a>>, Invalid> {
        let blocks = match found.content {
            None => return Ok(Vec::new()),
            Some(Content::Text(text)) => return Ok(vec![ContentBlock::Text(Cow::Borrowed(text))]),
            Some(Content::Blocks(blocks)) => blocks,
        };
        let mut inside = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            let place = format!("{}.content[{index}]", found.place);
            inside.extend(self.block(block, &place, Role::User)?);
        }
        Ok(inside)
    }

    /// Keeps a result without a call as the user's text.
    fn orphan(&mut self, id: &'a str, found: &FoundResult<'a>) -> Result<(), Invalid> {
        let head = Said::text(format!("Result of tool call {id}:"));
        let inside = self.inside(found)?.into_iter().map(|block| Said { block, mark: None });
        let said = std::iter::once(head).chain(inside).collect();
        self.builder.say(said, Role::User);
        self.mark(found.mark, CONTENT);
        Ok(())
    }

    /// Sets a cache point after the last content.
    fn mark(&mut self, mark: Option<&CacheControl<'_>>, place: &str) {
        let mark = self.checked_mark(mark, place);
        self.builder.mark(mark, place);
    }

    /// A mark as caching takes it; a scope is reported.
    fn checked_mark(
        &mut self,
        mark: Option<&CacheControl<'_>>,
        place: &str,
    ) -> Option<crate::parts::cache::CacheMark> {
        if mark.is_some_and(|mark| mark.scope.is_some()) {
            self.builder.report.ignore(&format!("{place}cache_control.scope"));
        }
        mark.map(cache_mark)
    }
}

fn call<'a>(id: &'a str, name: &'a str, input: Option<&'a RawValue>) -> PastCall<'a> {
    let made_with = CalledWith::Arguments(input.map_or("", RawValue::get));
    PastCall { key: key(id), id: Cow::Borrowed(id), sent_id: id, name, made_with }
}

/// A text and its mark.
type MarkedText<'a> = (&'a str, Option<&'a CacheControl<'a>>);

/// The texts of instructions, without blank ones and their client's attribution.
fn instructions<'a>(
    content: &'a Content<'a>,
    place: &str,
) -> Result<impl Iterator<Item = MarkedText<'a>>, Invalid> {
    let all = texts(content, place)?.into_iter();
    Ok(all.filter(|(text, _)| !text.trim().is_empty() && !is_attribution(text)))
}

/// The texts of content that can hold only text.
///
/// # Errors
/// It has a block of another kind.
pub(super) fn texts<'a>(
    content: &'a Content<'a>,
    place: &str,
) -> Result<Vec<MarkedText<'a>>, Invalid> {
    let blocks = match content {
        Content::Text(text) => return Ok(vec![(text.as_str(), None)]),
        Content::Blocks(blocks) => blocks,
    };
    let texts = blocks.iter().enumerate().map(|(index, Block { kind, cache_control, .. })| {
        let BlockKind::Text { text } = kind else {
            let message = "Only text blocks are accepted here.";
            return Err(Invalid::value(format!("{place}[{index}].type"), message)
                .with_code("unsupported_value"));
        };
        Ok((text.as_str(), cache_control.as_ref()))
    });
    texts.collect()
}
