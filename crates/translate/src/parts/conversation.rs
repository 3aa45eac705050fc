//! Builds a conversation turn by turn, from whatever API it comes: instructions, what was said,
//! answers with their reasoning and calls, and directly after the calls their results.

use std::borrow::Cow;
use std::collections::HashSet;

use schema::converse::message::{ContentBlock, Message, Role, SystemBlock};
use schema::converse::tool::{ToolResultBlock, ToolResultContent};

use crate::parts::cache::{self, CacheMark};
use crate::parts::media::{Attachments, Beside, within_limits};
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::{Memory, past};
use crate::parts::tools::{SentIds, SentToolNames};
use crate::parts::turns::{self, FILLER, Turns};
use crate::profile::{Profile, SystemPrompt};
use crate::reasoning::RestoredReasoning;
use crate::{Invalid, Report, S3Access};

mod answer;
mod order;
mod results;

pub(crate) use answer::{PastBlock, PastCall, PastTurn, PlacedTurn};
pub(crate) use results::{CallKey, Results};

/// Bedrock requires a result for every call; this text keeps the model from reading a missing
/// result as one.
const NO_RESULT: &str = "No result of this call was given.";

/// The conversation as Converse content.
pub(crate) struct Conversation<'a> {
    pub(crate) system: Vec<SystemBlock<'a>>,
    pub(crate) messages: Vec<Message<'a>>,
    /// Tools that past turns called, by the client's names.
    pub(crate) called: Vec<&'a str>,
    /// Presence of the original reasoning in the turns being answered.
    pub(crate) past: Past,
}

/// The inputs of a conversation besides what was said.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a, 'r> {
    /// The declared tools.
    pub(crate) names: &'r SentToolNames,
    pub(crate) recalled: Option<&'a RestoredReasoning>,
    pub(crate) profile: &'r Profile,
    pub(crate) stores: &'r S3Access,
    /// Text added by the gateway at the end of the user's last turn, if any.
    pub(crate) own_words: Option<&'r str>,
    /// The field that holds the conversation, with a dot at the end, as it begins the names of fields
    /// in reports.
    pub(crate) field: &'static str,
}

/// A block of a turn's content, and its cache mark.
pub(crate) struct Said<'a> {
    pub(crate) block: ContentBlock<'a>,
    pub(crate) mark: Option<CacheMark>,
}

impl<'a> Said<'a> {
    /// Text without a mark.
    pub(crate) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { block: ContentBlock::Text(text.into()), mark: None }
    }

    fn is_thought(&self) -> bool {
        matches!(self.block, ContentBlock::ReasoningContent(_))
    }
}

/// A conversation under construction.
pub(crate) struct ConversationBuilder<'a, 'r> {
    pub(crate) profile: &'r Profile,
    pub(crate) report: &'r mut Report,
    pub(crate) attachments: Attachments<'r>,
    /// Past reasoning from the client and the reasoning store.
    pub(crate) past: Memory<'a>,
    turns: Turns<'a>,
    system: Vec<SystemBlock<'a>>,
    called: Vec<&'a str>,
    known: HashSet<&'a str>,
    /// Only instructions have been added so far.
    at_head: bool,
    beside: Beside<'a>,
    ids: SentIds<'a>,
    own_words: Option<&'r str>,
    /// The first call of each turn whose reasoning is unknown, by its sent id.
    lost: HashSet<Cow<'a, str>>,
    names: &'r SentToolNames,
    field: &'static str,
}

impl<'a, 'r> ConversationBuilder<'a, 'r> {
    /// An empty conversation; `past` holds the restored turns of its calls.
    pub(crate) fn new(around: Around<'a, 'r>, past: Memory<'a>, report: &'r mut Report) -> Self {
        let Around { names, recalled: _, profile, stores, own_words, field } = around;
        Self {
            profile,
            report,
            attachments: Attachments::new(profile, stores),
            past,
            turns: Turns::default(),
            system: Vec::new(),
            called: Vec::new(),
            known: HashSet::new(),
            at_head: true,
            beside: Beside::default(),
            ids: SentIds::new(profile.call_ids),
            own_words,
            lost: HashSet::new(),
            names,
            field,
        }
    }

    /// Adds an instruction. At the head it becomes part of the system prompt; later ones stay in place
    /// as user text, because moving them up would change the cached prefix.
    pub(crate) fn instruct(&mut self, text: &'a str, mark: Option<CacheMark>) {
        if self.at_head && self.profile.system == SystemPrompt::Native {
            if !text.trim().is_empty() {
                self.system.push(SystemBlock::Text(Cow::Borrowed(text)));
            }
        } else {
            let text = if self.at_head { Cow::Borrowed(text) } else { turns::note(text) };
            self.turns.push(Role::User, ContentBlock::Text(text));
        }
        self.mark_content(mark);
    }

    /// Reports a part of a message that has no effect.
    pub(crate) fn ignore_content(&mut self, kind: &str) {
        self.report.ignore(&format!("{}content.{kind}", self.field));
    }

    /// Ends the head: what follows are turns.
    pub(crate) fn leave_head(&mut self) {
        self.at_head = false;
    }

    /// Adds content of a turn.
    pub(crate) fn say(&mut self, said: Vec<Said<'a>>, role: Role) {
        for Said { block, mark } in said {
            self.turns.push(role, block);
            self.mark_content(mark);
        }
    }

    /// Sets a cache point after the last content: in the system prompt while there are only
    /// instructions.
    pub(crate) fn mark(&mut self, mark: Option<CacheMark>, place: &str) {
        let Some(point) = cache::point(mark, place, self.profile, self.report) else { return };
        if self.turns.mark(point) {
            return;
        }
        match self.system.last_mut() {
            Some(SystemBlock::CachePoint(before)) => *before = cache::longer(*before, point),
            Some(SystemBlock::Text(_)) => self.system.push(SystemBlock::CachePoint(point)),
            None => self.report.ignore(&format!("{place}cache_control")),
        }
    }

    /// As [`Self::mark`], for a mark on a part of a message.
    pub(crate) fn mark_content(&mut self, mark: Option<CacheMark>) {
        if mark.is_some() {
            self.mark(mark, &format!("{}content.", self.field));
        }
    }

    /// Adds the result of a call, by the call's sent id; `None` for a call without one.
    pub(crate) fn result(&mut self, id: Cow<'a, str>, content: Option<Vec<ToolResultContent<'a>>>) {
        let text = |text| vec![ToolResultContent::Text(Cow::Borrowed(text))];
        let content = match content {
            None => text(NO_RESULT),
            // Some families refuse a result without content.
            Some(content) if content.is_empty() => text(FILLER),
            Some(content) => content,
        };
        let block = ToolResultBlock { tool_use_id: id, content };
        self.turns.push(Role::User, ContentBlock::ToolResult(block));
    }

    /// Content of a result, block by block; media that the result cannot hold follow the results.
    pub(crate) fn inside_result(
        &mut self,
        blocks: Vec<ContentBlock<'a>>,
    ) -> Vec<ToolResultContent<'a>> {
        let inside = self.attachments.inside_result();
        let Self { beside, report, .. } = self;
        blocks.into_iter().filter_map(|block| beside.place(block, inside, report)).collect()
    }

    /// Ends the results of a turn.
    pub(crate) fn end_results(&mut self) {
        for block in self.beside.take() {
            self.turns.push(Role::User, block);
        }
    }

    /// The finished conversation.
    ///
    /// # Errors
    /// It holds more media than the model accepts.
    pub(crate) fn finish(self) -> Result<Conversation<'a>, Invalid> {
        let messages = self.turns.finish(self.profile, self.report);
        within_limits(&messages, self.profile)?;
        let past = past(&messages, &self.lost, self.profile);
        Ok(Conversation { system: self.system, messages, called: self.called, past })
    }
}

impl Conversation<'_> {
    /// Adds an instruction of the gateway after all of the caller's. Where reasoning is valid only
    /// after an unchanged prefix, the instruction ends the user's last turn and is returned, unless
    /// it already stands in the user's last question or after it.
    pub(crate) fn instruct(&mut self, words: String, profile: &Profile) -> Option<String> {
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
