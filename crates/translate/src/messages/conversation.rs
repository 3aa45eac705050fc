//! Messages as turns of Converse. Blocks keep their order; every result goes directly after the call
//! that it answers, as Bedrock requires.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use schema::anthropic::messages::content::{Block, BlockKind, CacheControl, Content};
use schema::anthropic::messages::{Message as Sent, MessagesRequest, Role as SentRole};
use schema::converse::message::{ContentBlock, Message, Role, SystemBlock};
use schema::converse::tool::{ToolResultBlock, ToolResultContent, ToolUseBlock};
use serde_json::value::RawValue;

use super::is_attribution;
use super::params::cache_mark;
use crate::parts::cache;
use crate::parts::media::{Attachments, Beside, within_limits};
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Memory, past};
use crate::parts::tools::{CalledWith, SentIds, SentToolNames, input, sent_name};
use crate::parts::turns::{self, FILLER, Turns};
use crate::profile::{Profile, SystemPrompt};
use crate::reasoning::RestoredReasoning;
use crate::{Invalid, Report, S3Access};

mod blocks;
mod thoughts;

pub(super) use thoughts::{is_thought, thoughts};

/// Stands in for a missing result, so that the model does not read it as one.
const NO_RESULT: &str = "No result of this call was given.";

/// The conversation as Converse content.
pub(super) struct History<'a> {
    pub(super) system: Vec<SystemBlock<'a>>,
    pub(super) messages: Vec<Message<'a>>,
    /// Tools that past turns called, by the client's names.
    pub(super) called: Vec<&'a str>,
    /// Presence of the original reasoning in the turns being answered.
    pub(super) past: Past,
}

impl History<'_> {
    /// Adds an instruction of the gateway after all of the caller's. Where reasoning is valid only
    /// after an unchanged prefix, the instruction ends the user's last turn and is returned.
    pub(super) fn instruct(&mut self, words: String, profile: &Profile) -> Option<String> {
        let is_behind = profile.thoughts_bound || profile.system == SystemPrompt::InUserTurn;
        let last = self.messages.iter_mut().rfind(|turn| turn.role == Role::User);
        match last.filter(|_| is_behind) {
            Some(turn) => {
                let told = profile.thoughts_bound.then(|| words.clone());
                turn.content.push(ContentBlock::Text(Cow::Owned(words)));
                told
            }
            None => {
                self.system.push(SystemBlock::Text(Cow::Owned(words)));
                None
            }
        }
    }
}

/// The inputs of the translation besides the messages.
#[derive(Clone, Copy)]
pub(super) struct TurnsAround<'a, 'r> {
    pub(super) names: &'r SentToolNames,
    pub(super) restored: Option<&'a RestoredReasoning>,
    pub(super) profile: &'r Profile,
    pub(super) stores: &'r S3Access,
}

/// Translates the system prompt and the messages. System messages at the head join the system prompt;
/// later ones stay in place as user text.
///
/// # Errors
/// A block cannot be expressed for this model.
pub(super) fn conversation<'a>(
    request: &'a MessagesRequest<'a>,
    around: TurnsAround<'a, '_>,
    report: &mut Report,
) -> Result<History<'a>, Invalid> {
    let TurnsAround { names, restored, profile, stores } = around;
    let messages = &request.messages;
    let mut building = Building {
        turns: Turns::default(),
        system: Vec::new(),
        called: Vec::new(),
        known: HashSet::new(),
        messages,
        taken: HashSet::new(),
        profile,
        attachments: Attachments::new(profile, stores),
        beside: Beside::default(),
        ids: SentIds::new(profile.call_ids),
        memory: memory(restored, messages),
        lost: HashSet::new(),
        names,
        report,
    };
    if let Some(system) = &request.system {
        building.instruct(system, "system")?;
    }
    let mut at_head = true;
    for (at, message) in messages.iter().enumerate() {
        if message.output_config.is_some() {
            building.report.ignore("messages.output_config");
        }
        match message.role {
            SentRole::System if at_head => {
                building.instruct(&message.content, &format!("messages[{at}].content"))?;
            }
            SentRole::System => building.note(at, message)?,
            SentRole::User => building.user(at, message)?,
            SentRole::Assistant => building.assistant(at, message)?,
        }
        at_head &= message.role == SentRole::System;
    }
    let messages = building.turns.finish(profile, building.report);
    within_limits(&messages, profile)?;
    let past = past(&messages, &building.lost, profile);
    Ok(History { system: building.system, messages, called: building.called, past })
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

/// A result block: its message, its index there, and its members.
#[derive(Clone, Copy)]
struct FoundResult<'a> {
    at: usize,
    index: usize,
    content: Option<&'a Content<'a>>,
    is_error: bool,
    mark: Option<&'a CacheControl<'a>>,
}

struct Building<'a, 'r> {
    profile: &'r Profile,
    turns: Turns<'a>,
    system: Vec<SystemBlock<'a>>,
    called: Vec<&'a str>,
    known: HashSet<&'a str>,
    messages: &'a [Sent<'a>],
    /// Results that stand behind their calls already, by message and index.
    taken: HashSet<(usize, usize)>,
    attachments: Attachments<'r>,
    beside: Beside<'a>,
    ids: SentIds<'a>,
    memory: Memory<'a>,
    /// The first call of each message whose reasoning is unknown, by its sent id.
    lost: HashSet<Cow<'a, str>>,
    names: &'r SentToolNames,
    report: &'r mut Report,
}

impl<'a> Building<'a, '_> {
    /// Adds instructions at the head of the request.
    fn instruct(&mut self, content: &'a Content<'a>, place: &str) -> Result<(), Invalid> {
        let is_native = self.profile.system == SystemPrompt::Native;
        for (text, mark) in texts(content, place)? {
            if text.trim().is_empty() || is_attribution(text) {
                continue;
            }
            match is_native {
                true => self.system.push(SystemBlock::Text(Cow::Borrowed(text))),
                false => self.turns.push(Role::User, ContentBlock::Text(Cow::Borrowed(text))),
            }
            self.mark(mark, "system.");
        }
        Ok(())
    }

    /// Adds an instruction within the conversation.
    fn note(&mut self, at: usize, message: &'a Sent<'a>) -> Result<(), Invalid> {
        for (text, mark) in texts(&message.content, &format!("messages[{at}].content"))? {
            self.turns.push(Role::User, ContentBlock::Text(turns::note(text)));
            self.mark(mark, "messages.content.");
        }
        Ok(())
    }

    fn user(&mut self, at: usize, message: &'a Sent<'a>) -> Result<(), Invalid> {
        let blocks = match &message.content {
            Content::Text(text) => {
                self.turns.push(Role::User, ContentBlock::Text(Cow::Borrowed(text)));
                return Ok(());
            }
            Content::Blocks(blocks) => blocks,
        };
        for (index, block) in blocks.iter().enumerate() {
            let place = format!("messages[{at}].content[{index}]");
            if let BlockKind::ToolResult { tool_use_id, content, is_error } = &block.kind {
                if !self.taken.contains(&(at, index)) {
                    let mark = block.cache_control.as_ref();
                    let content = content.as_ref();
                    let found = FoundResult { at, index, content, is_error: *is_error, mark };
                    self.orphan(tool_use_id, found)?;
                }
                continue;
            }
            if let Some(content) = self.block(block, &place, Role::User)? {
                self.turns.push(Role::User, content);
                self.mark(block.cache_control.as_ref(), "messages.content.");
            }
        }
        Ok(())
    }

    fn assistant(&mut self, at: usize, message: &'a Sent<'a>) -> Result<(), Invalid> {
        let blocks = match &message.content {
            Content::Text(text) => {
                self.turns.push(Role::Assistant, ContentBlock::Text(Cow::Borrowed(text)));
                return Ok(());
            }
            Content::Blocks(blocks) => blocks,
        };
        let mut thoughts = self.thoughts(at, message);
        let mut calls = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            for thought in thoughts.before(index) {
                self.turns.push(Role::Assistant, ContentBlock::ReasoningContent(thought));
            }
            if let BlockKind::ToolUse { id, name, input } = &block.kind {
                let sent = self.call((id, name, *input), (at, index), &calls)?;
                calls.push((id.as_str(), sent));
            } else if let Some(content) =
                self.block(block, &format!("messages[{at}].content[{index}]"), Role::Assistant)?
            {
                self.turns.push(Role::Assistant, content);
            } else {
                continue;
            }
            self.mark(block.cache_control.as_ref(), "messages.content.");
        }
        for thought in thoughts.rest() {
            self.turns.push(Role::Assistant, ContentBlock::ReasoningContent(thought));
        }
        if thoughts.past == Past::Lost {
            self.lost.extend(calls.first().map(|(_, sent)| sent.clone()));
        }
        self.results(at, calls)
    }

    /// Adds a call. Returns its sent id.
    fn call(
        &mut self,
        (id, name, made_with): (&'a str, &'a str, Option<&'a RawValue>),
        (at, index): (usize, usize),
        before: &[(&str, Cow<'a, str>)],
    ) -> Result<Cow<'a, str>, Invalid> {
        let repeats = before.iter().filter(|(known, _)| *known == id).count();
        let sent = self.ids.sent(match repeats {
            0 => Cow::Borrowed(id),
            repeats => Cow::Owned(format!("{id}#{repeats}")),
        });
        let complain = |_| {
            Invalid::value(format!("messages[{at}].content[{index}].input"), "Unreadable input.")
        };
        let name_sent = sent_name(name, self.profile.tool_names);
        let arguments = CalledWith::Arguments(made_with.map_or("", RawValue::get));
        let input = input(arguments, self.names.form(&name_sent)).map_err(complain)?;
        let block = ToolUseBlock { tool_use_id: sent.clone(), name: name_sent, input };
        self.turns.push(Role::Assistant, ContentBlock::ToolUse(block));
        if self.known.insert(name) {
            self.called.push(name);
        }
        Ok(sent)
    }

    /// Adds the results of the calls of one message, in the order of the calls.
    fn results(&mut self, at: usize, calls: Vec<(&'a str, Cow<'a, str>)>) -> Result<(), Invalid> {
        if calls.is_empty() {
            return Ok(());
        }
        let mut given = self.given_after(at);
        for (id, tool_use_id) in calls {
            let found = given.get_mut(id).and_then(Vec::pop);
            let (content, mark) = match found {
                Some(found) => {
                    self.taken.insert((found.at, found.index));
                    (self.result(found)?, found.mark)
                }
                None => (vec![ToolResultContent::Text(Cow::Borrowed(NO_RESULT))], None),
            };
            let block = ToolResultBlock { tool_use_id, content };
            self.turns.push(Role::User, ContentBlock::ToolResult(block));
            self.mark(mark, "messages.content.");
            let inside = found.and_then(|found| found.content).map(Content::blocks);
            for block in inside.unwrap_or_default() {
                self.mark(block.cache_control.as_ref(), "messages.content.");
            }
        }
        for block in self.beside.take() {
            self.turns.push(Role::User, block);
        }
        Ok(())
    }

    /// The results between a message and the assistant's next one, by id, the first last.
    fn given_after(&self, at: usize) -> HashMap<&'a str, Vec<FoundResult<'a>>> {
        let mut given: HashMap<&str, Vec<FoundResult<'a>>> = HashMap::new();
        let after = self.messages.iter().enumerate().skip(at + 1);
        let answers = after.take_while(|(_, message)| message.role != SentRole::Assistant);
        for (at, message) in answers {
            for (index, block) in message.content.blocks().iter().enumerate() {
                if let BlockKind::ToolResult { tool_use_id, content, is_error } = &block.kind {
                    let (content, mark) = (content.as_ref(), block.cache_control.as_ref());
                    let found = FoundResult { at, index, content, is_error: *is_error, mark };
                    given.entry(tool_use_id).or_default().push(found);
                }
            }
        }
        given.values_mut().for_each(|found| found.reverse());
        given
    }

    /// The content of a result; an error says so, because not all models have a status for it.
    fn result(&mut self, found: FoundResult<'a>) -> Result<Vec<ToolResultContent<'a>>, Invalid> {
        let FoundResult { at, index, content, is_error, .. } = found;
        let mut all = Vec::new();
        match content {
            None => {}
            Some(Content::Text(text)) if text.trim().is_empty() => {}
            Some(Content::Text(text)) => all.push(ToolResultContent::Text(Cow::Borrowed(text))),
            Some(Content::Blocks(blocks)) => {
                for (inner, block) in blocks.iter().enumerate() {
                    let place = format!("messages[{at}].content[{index}].content[{inner}]");
                    if let Some(block) = self.block(block, &place, Role::User)? {
                        let inside = self.attachments.inside_result();
                        all.extend(self.beside.place(block, inside, self.report));
                    }
                }
            }
        }
        if all.is_empty() {
            let words = if is_error { "The call failed." } else { FILLER };
            all.push(ToolResultContent::Text(Cow::Borrowed(words)));
        }
        Ok(all)
    }

    /// Keeps a result without a call as the user's text.
    fn orphan(&mut self, id: &'a str, found: FoundResult<'a>) -> Result<(), Invalid> {
        let head = format!("Result of tool call {id}:");
        self.turns.push(Role::User, ContentBlock::Text(Cow::Owned(head)));
        match found.content {
            None => {}
            Some(Content::Text(text)) => {
                self.turns.push(Role::User, ContentBlock::Text(Cow::Borrowed(text)));
            }
            Some(Content::Blocks(blocks)) => {
                for (inner, block) in blocks.iter().enumerate() {
                    let place =
                        format!("messages[{}].content[{}].content[{inner}]", found.at, found.index);
                    if let Some(block) = self.block(block, &place, Role::User)? {
                        self.turns.push(Role::User, block);
                    }
                }
            }
        }
        self.mark(found.mark, "messages.content.");
        Ok(())
    }

    /// Sets a cache point after the last content: in the system prompt while there are no messages.
    fn mark(&mut self, mark: Option<&CacheControl<'_>>, place: &str) {
        if mark.is_some_and(|mark| mark.scope.is_some()) {
            self.report.ignore(&format!("{place}cache_control.scope"));
        }
        let asked = mark.map(cache_mark);
        let Some(point) = cache::point(asked, place, self.profile, self.report) else { return };
        if self.turns.mark(point) {
            return;
        }
        match self.system.last_mut() {
            Some(SystemBlock::CachePoint(before)) => *before = cache::longer(*before, point),
            Some(SystemBlock::Text(_)) => self.system.push(SystemBlock::CachePoint(point)),
            None => self.report.ignore(&format!("{place}cache_control")),
        }
    }
}

/// A text and its mark.
type MarkedText<'a> = (&'a str, Option<&'a CacheControl<'a>>);

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
