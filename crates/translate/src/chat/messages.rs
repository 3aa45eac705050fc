//! Converts messages to turns. Tool results are the hard part: OpenAI allows them in any order,
//! split over messages or missing; Bedrock requires every result of a turn in the next turn.

use std::borrow::Cow;

use schema::converse::message::Role;
use schema::openai::cache::Mark;
use schema::openai::message::{Message as ChatMessage, Role as ChatRole};

use crate::chat::cache::mark as cache_mark;
use crate::chat::reasoning::received::memory;
use crate::parts::conversation::{Around, CallKey, Conversation, ConversationBuilder, Results};
use crate::profile::Surface;
use crate::{Invalid, Report};
use assistant::calls_of;

mod assistant;
pub(crate) mod content;
mod results;

use content::texts;

/// Translates `messages`. System messages at the head become the system prompt; later ones stay in
/// place as user text.
pub(super) fn conversation<'a>(
    messages: &'a [ChatMessage<'a>],
    around: Around<'a, '_>,
    report: &mut Report,
) -> Result<Conversation<'a>, Invalid> {
    if messages.is_empty() && around.profile.surface != Surface::Prompt {
        let message = "messages must hold at least one message.";
        return Err(Invalid::value("messages", message).with_code("empty_array"));
    }
    let past = memory(around.recalled, messages);
    let mut building = Building {
        builder: ConversationBuilder::new(around, past, report),
        results: index(messages),
        messages,
        has_thoughts: false,
    };
    for (at, message) in messages.iter().enumerate() {
        building.message(at, message).map_err(|invalid| as_sent(invalid, messages))?;
    }
    building.builder.finish()
}

/// The positions of calls and results.
fn index<'a>(messages: &'a [ChatMessage<'a>]) -> Results<'a> {
    let mut results = Results::of(messages.len());
    for (at, message) in messages.iter().enumerate() {
        let key = match message.role {
            ChatRole::Tool => {
                message.tool_call_id.as_deref().map(|id| CallKey::Id(Cow::Borrowed(id)))
            }
            ChatRole::Function => message.name.as_deref().map(CallKey::Name),
            ChatRole::Assistant => {
                for call in calls_of(at, message) {
                    results.made(call.key, at);
                }
                None
            }
            ChatRole::System | ChatRole::Developer | ChatRole::User => None,
        };
        if let Some(key) = key {
            results.given(key, at);
        }
    }
    results
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
    builder: ConversationBuilder<'a, 'r>,
    results: Results<'a>,
    messages: &'a [ChatMessage<'a>],
    /// Whether the reasoning of the message is already put back.
    has_thoughts: bool,
}

impl<'a> Building<'a, '_> {
    fn message(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        self.note_extensions(message);
        if !matches!(message.role, ChatRole::System | ChatRole::Developer) {
            self.builder.leave_head();
        }
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
        let report = &mut *self.builder.report;
        for field in &message.left_out {
            report.ignore(&format!("messages.content.{field}"));
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
                report.ignore(field);
            }
        }
    }

    fn instruction(&mut self, at: usize, message: &'a ChatMessage<'a>) -> Result<(), Invalid> {
        let path = format!("messages[{at}].content");
        for (text, mark) in texts(message.content.as_ref(), &path)? {
            self.builder.instruct(text, mark.map(cache_mark));
        }
        self.mark_message(message);
        Ok(())
    }

    fn mark_message(&mut self, message: &ChatMessage<'_>) {
        let mark = message.cache_control.map(Mark::from).map(cache_mark);
        self.builder.mark(mark, "messages.");
    }
}
