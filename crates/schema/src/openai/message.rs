//! One message of a conversation. One wide type serves all roles, because clients send every field
//! with every role; the translator decides which of them apply.

use std::collections::HashSet;
use std::fmt;
use std::mem;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::cache::CacheControl;
use super::content::{Content, Part, SentResult};
use super::tool::{FunctionCall, ToolCall};
use crate::Str;

/// The author of a message. An unknown role is an error, because a guess could attribute text to
/// the wrong author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    /// Deprecated form of `tool`, addressed by name.
    Function,
}

/// A message as clients send it, including the common extensions of replayed answers.
#[derive(Debug, Clone, Deserialize)]
pub struct Message<'a> {
    pub role: Role,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<ToolCall<'a>>>,
    #[serde(borrow)]
    pub tool_call_id: Option<Str<'a>>,
    #[serde(borrow)]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Str<'a>>,
    #[serde(borrow)]
    pub audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub thinking_blocks: Option<&'a RawValue>,
    pub cache_control: Option<CacheControl>,
    /// Index of the message in the request. Results in parts become separate messages, so it
    /// differs from the index in the list.
    #[serde(skip)]
    pub at: usize,
    /// Members of its parts that a message has no field for.
    #[serde(skip)]
    pub left_out: Vec<String>,
}

/// Reads `messages`. Calls in an assistant's parts are added to its `tool_calls`, and results in
/// parts become messages of the role `tool`, before the rest of their message.
pub(super) fn conversation<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Message<'a>>, D::Error> {
    deserializer.deserialize_seq(Conversation).map(|messages| messages.into_iter().collect())
}

struct Conversation;

impl<'a> Message<'a> {
    /// A message of text alone.
    pub fn text(role: Role, text: &'a str) -> Self {
        Self {
            role,
            content: Some(Content::Text(text.into())),
            name: None,
            tool_calls: None,
            tool_call_id: None,
            function_call: None,
            refusal: None,
            audio: None,
            reasoning_content: None,
            reasoning_signature: None,
            reasoning: None,
            reasoning_details: None,
            thinking_blocks: None,
            cache_control: None,
            at: 0,
            left_out: Vec::new(),
        }
    }
}

impl<'de> Visitor<'de> for Conversation {
    type Value = Vec<Message<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::with_capacity(seq.size_hint().unwrap_or(4).min(4096));
        let mut at = 0;
        while let Some(mut message) = seq.next_element::<Message<'de>>()? {
            message.at = at;
            at += 1;
            message.gather_thoughts();
            message.gather_calls();
            let results = message.take_results();
            let is_empty = !results.is_empty() && message.is_moved();
            let is_answered_first = message.role != Role::Assistant;
            if is_answered_first {
                messages.extend(results);
                messages.extend((!is_empty).then_some(message));
            } else {
                messages.push(message);
                messages.extend(results);
            }
        }
        Ok(messages)
    }
}

impl<'a> Message<'a> {
    /// Keeps one version of the reasoning. The place of reasoning after a call would be lost when
    /// the call moves, and some models refuse reasoning in another place: such a message keeps none
    /// of its parts' reasoning.
    fn gather_thoughts(&mut self) {
        let Some(Content::Parts(parts)) = &mut self.content else { return };
        let is_thought = |part: &Part<'_>| matches!(part, Part::Thought(_));
        if self.role != Role::Assistant || !parts.iter().any(is_thought) {
            return;
        }
        let has_details = self.reasoning_details.is_some() || self.thinking_blocks.is_some();
        let from_call = parts.iter().skip_while(|part| !matches!(part, Part::Call(_)));
        if has_details || from_call.into_iter().any(is_thought) {
            for part in parts.iter_mut().filter(|part| is_thought(part)) {
                *part = Part::Foreign("thinking".into());
            }
        } else {
            (self.reasoning_content, self.reasoning) = (None, None);
        }
    }

    fn gather_calls(&mut self) {
        let Some(Content::Parts(parts)) = &mut self.content else { return };
        if self.role != Role::Assistant || !parts.iter().any(|part| matches!(part, Part::Call(_))) {
            return;
        }
        let calls = self.tool_calls.get_or_insert_default();
        let mut known: HashSet<String> =
            calls.iter().filter_map(|call| call.id.as_ref().map(ToString::to_string)).collect();
        for part in parts.iter_mut().filter(|part| matches!(part, Part::Call(_))) {
            let Part::Call(call) = mem::replace(part, Part::Moved) else { continue };
            // Some clients write the same call in both places.
            if call.id.as_ref().is_none_or(|id| known.insert(id.to_string())) {
                calls.push(call);
            }
        }
    }

    fn take_results(&mut self) -> Vec<Self> {
        let Some(Content::Parts(parts)) = &mut self.content else { return Vec::new() };
        let mut results = Vec::new();
        for part in parts.iter_mut().filter(|part| matches!(part, Part::Result(_))) {
            if let Part::Result(result) = mem::replace(part, Part::Moved) {
                results.push(Self::of_result(*result, self.at));
            }
        }
        results
    }

    fn of_result(result: SentResult<'a>, at: usize) -> Self {
        let SentResult { kind, call_id, content, is_error, cache_control } = result;
        let left_out = if is_error { vec![format!("{kind}.is_error")] } else { Vec::new() };
        Self {
            role: Role::Tool,
            content,
            name: None,
            tool_calls: None,
            tool_call_id: Some(call_id),
            function_call: None,
            refusal: None,
            audio: None,
            reasoning_content: None,
            reasoning_signature: None,
            reasoning: None,
            reasoning_details: None,
            thinking_blocks: None,
            cache_control,
            at,
            left_out,
        }
    }

    /// Returns whether all its parts were moved.
    fn is_moved(&self) -> bool {
        matches!(&self.content, Some(Content::Parts(parts))
            if parts.iter().all(|part| matches!(part, Part::Moved)))
    }
}
