//! Converts messages to turns. Tool results are the hard part: OpenAI allows them in any order,
//! split over messages or missing; Bedrock requires every result of a turn in the next turn.

use std::borrow::Cow;
use std::collections::HashSet;

use schema::converse::message::{ContentBlock, Message, Role, SystemBlock};
use schema::openai::cache::Mark;
use schema::openai::message::{Message as ChatMessage, Role as ChatRole};

use crate::chat::cache::mark as cache_mark;
use crate::chat::reasoning::received::memory;
use crate::parts::cache;
use crate::parts::media::{Attachments, Beside, within_limits};
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Memory, past};
use crate::parts::tools::{SentIds, SentToolNames};
use crate::parts::turns::{self, Turns};
use crate::profile::{Profile, SystemPrompt};
use crate::reasoning::RestoredReasoning;
use crate::{Invalid, Report, S3Access};

mod assistant;
mod content;
mod order;
mod results;

use content::texts;
use results::Results;

/// The conversation as Converse content.
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<SystemBlock<'a>>,
    pub(super) messages: Vec<Message<'a>>,
    /// Tools that past turns called, by the client's names.
    pub(super) called: Vec<&'a str>,
    /// Presence of the original reasoning in the turns being answered.
    pub(super) past: Past,
}

impl Conversation<'_> {
    /// Adds an instruction of the gateway after all of the caller's. Where reasoning is valid only
    /// after an unchanged prefix, the instruction ends the user's last turn and is returned, unless
    /// it already stands in the user's last question or after it.
    pub(super) fn instruct(&mut self, words: String, profile: &Profile) -> Option<String> {
        let is_behind = profile.thoughts_bound || profile.system == SystemPrompt::InUserTurn;
        if profile.thoughts_bound && self.is_told(&words) {
            return None;
        }
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

    /// Returns whether this text stands in the user's last question or after it.
    fn is_told(&self, words: &str) -> bool {
        let is_it =
            |block: &ContentBlock<'_>| matches!(block, ContentBlock::Text(text) if text == words);
        let answers = |block: &ContentBlock<'_>| matches!(block, ContentBlock::ToolResult(_));
        for turn in self.messages.iter().rev().filter(|turn| turn.role == Role::User) {
            if turn.content.iter().any(is_it) {
                return true;
            }
            if !turn.content.iter().any(answers) {
                break;
            }
        }
        false
    }
}

/// The inputs of the translation besides the messages.
#[derive(Clone, Copy)]
pub(super) struct Around<'a, 'r> {
    pub(super) names: &'r SentToolNames,
    pub(super) recalled: Option<&'a RestoredReasoning>,
    pub(super) profile: &'r Profile,
    pub(super) stores: &'r S3Access,
    /// Text added by the gateway at the end of the user's last turn, if any.
    pub(super) own_words: Option<&'r str>,
}

/// Translates `messages`. System messages at the head become the system prompt; later ones stay in
/// place as user text, because moving them up would change the cached prefix.
pub(super) fn conversation<'a>(
    messages: &'a [ChatMessage<'a>],
    around: Around<'a, '_>,
    report: &mut Report,
) -> Result<Conversation<'a>, Invalid> {
    if messages.is_empty() {
        let message = "messages must hold at least one message.";
        return Err(Invalid::value("messages", message).with_code("empty_array"));
    }
    let Around { names, recalled, profile, stores, own_words } = around;
    let mut building = Building {
        turns: Turns::default(),
        system: Vec::new(),
        called: Vec::new(),
        known: HashSet::new(),
        at_head: true,
        results: Results::index(messages),
        messages,
        profile,
        attachments: Attachments::new(profile, stores),
        beside: Beside::default(),
        ids: SentIds::new(profile.call_ids),
        past: memory(recalled, messages),
        own_words,
        lost: HashSet::new(),
        has_thoughts: false,
        names,
        report,
    };
    for (at, message) in messages.iter().enumerate() {
        building.message(at, message).map_err(|invalid| as_sent(invalid, messages))?;
    }
    let messages = building.turns.finish(profile, building.report);
    within_limits(&messages, profile)?;
    let past = past(&messages, &building.lost, profile);
    Ok(Conversation { system: building.system, messages, called: building.called, past })
}

/// The error with the message's index in the original request.
fn as_sent(mut invalid: Invalid, messages: &[ChatMessage<'_>]) -> Invalid {
    let param = invalid.param.as_deref().unwrap_or_default();
    let read = param.strip_prefix("messages[").and_then(|rest| rest.split_once(']'));
    let sent = read.and_then(|(at, field)| {
        let message = messages.get(at.parse::<usize>().ok()?)?;
        Some(format!("messages[{}]{field}", message.at))
    });
    invalid.param = sent.or(invalid.param);
    invalid
}

struct Building<'a, 'r> {
    profile: &'r Profile,
    turns: Turns<'a>,
    system: Vec<SystemBlock<'a>>,
    called: Vec<&'a str>,
    known: HashSet<&'a str>,
    /// Only system messages have been read so far.
    at_head: bool,
    results: Results<'a>,
    messages: &'a [ChatMessage<'a>],
    attachments: Attachments<'r>,
    beside: Beside<'a>,
    ids: SentIds<'a>,
    /// Past reasoning from the client and the reasoning store.
    past: Memory<'a>,
    own_words: Option<&'r str>,
    /// The first call of each message whose reasoning is unknown, by its sent id.
    lost: HashSet<Cow<'a, str>>,
    /// Whether the reasoning of the message is already put back.
    has_thoughts: bool,
    /// The declared tools.
    names: &'r SentToolNames,
    report: &'r mut Report,
}

impl<'a> Building<'a, '_> {
    fn message(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        self.note_extensions(message);
        self.at_head &= matches!(message.role, ChatRole::System | ChatRole::Developer);
        match message.role {
            ChatRole::System | ChatRole::Developer => self.instruction(at, message),
            ChatRole::User => {
                self.speak(at, message, Role::User)?;
                self.mark_message(message);
                Ok(())
            }
            ChatRole::Assistant => self.assistant(at, message),
            ChatRole::Tool | ChatRole::Function => self.orphan(at, message),
        }
    }

    fn note_extensions(&mut self, message: &ChatMessage<'_>) {
        for field in &message.left_out {
            self.report.ignore(&format!("messages.content.{field}"));
        }
        let thinks = message.role == ChatRole::Assistant;
        let spoken = matches!(message.role, ChatRole::User | ChatRole::Assistant);
        for (field, present) in [
            ("messages.name", spoken && message.name.is_some()),
            ("messages.audio", message.audio.is_some()),
            ("messages.reasoning_content", !thinks && message.reasoning_content.is_some()),
            ("messages.reasoning", !thinks && message.reasoning.is_some()),
            ("messages.reasoning_details", !thinks && message.reasoning_details.is_some()),
            ("messages.thinking_blocks", !thinks && message.thinking_blocks.is_some()),
        ] {
            if present {
                self.report.ignore(field);
            }
        }
    }

    fn instruction(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        let in_system = self.at_head && self.profile.system == SystemPrompt::Native;
        for (text, mark) in texts(at, message)? {
            if in_system {
                if !text.trim().is_empty() {
                    self.system.push(SystemBlock::Text(Cow::Borrowed(text)));
                }
            } else {
                let text = if self.at_head { Cow::Borrowed(text) } else { turns::note(text) };
                self.turns.push(Role::User, ContentBlock::Text(text));
            }
            self.mark(mark, "messages.content.");
        }
        self.mark_message(message);
        Ok(())
    }

    /// Sets a cache point after the last content: in the system prompt while only system messages
    /// have been read.
    fn mark(&mut self, mark: Option<Mark>, place: &str) {
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

    fn mark_message(&mut self, message: &ChatMessage<'_>) {
        self.mark(message.cache_control.map(Mark::from), "messages.");
    }
}
