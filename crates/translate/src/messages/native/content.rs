//! System prompt and messages of a request in the model's own body. Blocks pass with their own text, but
//! for what the model refuses and for content that the gateway puts in.

use std::borrow::Cow;
use std::mem;

use schema::anthropic::messages::content::{Block, BlockKind, Content, Source};
use schema::anthropic::messages::native::{NativeContent, NativeMessage};
use schema::anthropic::messages::{Message, MessagesRequest, Role};
use schema::anthropic::object::RawObject;
use schema::converse::message::{ReasoningBlock, ReasoningText};
use schema::{Raw, Str};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::features::Features;
use super::marks::{MarkChange, Marks};
use super::tools::{DEFERRED, marked};
use crate::messages::conversation::{is_thought, memory, texts, thoughts};
use crate::messages::{foreign, is_attribution};
use crate::parts::media::{TypedContent, typed_content};
use crate::parts::thinking::Past;
use crate::parts::thinking::replay::Memory;
use crate::parts::turns::{CONTINUE, FILLER, note};
use crate::profile::{Medium, Profile, Replay};
use crate::reasoning::RestoredReasoning;
use crate::{Invalid, Report};

/// Feature of instructions within the conversation.
const LATER_SYSTEM: &str = "messages.system";
const OUTPUT_CONFIG: &str = "messages.output_config";

/// Adds a message. One of the same author as the message before goes into that one, because authors
/// alternate.
fn add<'q>(
    message: NativeMessage<'q>,
    messages: &mut Vec<NativeMessage<'q>>,
) -> Result<(), serde_json::Error> {
    let before = messages.last_mut().filter(|before| {
        before.role == message.role
            && before.output_config.is_none()
            && message.output_config.is_none()
    });
    let Some(before) = before else {
        messages.push(message);
        return Ok(());
    };
    let blocks = |content| match content {
        NativeContent::Text(text) => text_block(&text).map(|block| vec![block]),
        NativeContent::Blocks(blocks) => Ok(blocks),
    };
    let own = mem::replace(&mut before.content, NativeContent::Blocks(Vec::new()));
    let mut joined = blocks(own)?;
    joined.extend(blocks(message.content)?);
    before.content = NativeContent::Blocks(joined);
    Ok(())
}

/// The messages as they are sent.
pub(super) struct WrittenTurns<'q> {
    pub(super) messages: Vec<NativeMessage<'q>>,
    /// Presence of the original reasoning in the turns being answered.
    pub(super) past: Past,
    pub(super) thinks_back: bool,
}

/// Writes content block by block.
pub(super) struct Writer<'q, 'r, 'p> {
    profile: &'p Profile,
    features: &'r mut Features<'p>,
    marks: &'r mut Marks,
    report: &'r mut Report,
    memory: Memory<'q>,
    thinks_back: bool,
}

impl<'q, 'r, 'p> Writer<'q, 'r, 'p> {
    pub(super) fn new(
        request: &'q MessagesRequest<'_>,
        restored: Option<&'q RestoredReasoning>,
        (features, marks): (&'r mut Features<'p>, &'r mut Marks),
        (profile, report): (&'p Profile, &'r mut Report),
    ) -> Self {
        let memory = memory(restored, &request.messages);
        Self { profile, features, marks, report, memory, thinks_back: false }
    }

    /// The system prompt without its client's attribution.
    pub(super) fn system(
        &mut self,
        content: &'q Content<'_>,
    ) -> Result<Option<NativeContent<'q>>, Invalid> {
        texts(content, "system")?;
        let blocks = match content {
            Content::Text(text) => {
                let is_sent = !text.trim().is_empty() && !is_attribution(text);
                return Ok(is_sent.then(|| NativeContent::Text(text.as_str().into())));
            }
            Content::Blocks(blocks) => blocks,
        };
        let mut sent = Vec::with_capacity(blocks.len());
        for (at, block) in blocks.iter().enumerate() {
            let mark = self.marks.next(block.cache_control.as_ref());
            let is_sent = match &block.kind {
                BlockKind::Text { text } => !text.trim().is_empty() && !is_attribution(text),
                _ => false,
            };
            if is_sent {
                sent.push(marked(block.raw, mark).map_err(unreadable(&format!("system[{at}]")))?);
            }
        }
        Ok((!sent.is_empty()).then_some(NativeContent::Blocks(sent)))
    }

    /// The messages.
    pub(super) fn messages(
        mut self,
        request: &'q MessagesRequest<'_>,
    ) -> Result<WrittenTurns<'q>, Invalid> {
        let mut messages = Vec::with_capacity(request.messages.len());
        let mut presence = Vec::with_capacity(request.messages.len());
        for (at, message) in request.messages.iter().enumerate() {
            let (content, past) = self.message(at, message)?;
            presence.push(past);
            let role = match message.role {
                Role::System if !self.features.take(LATER_SYSTEM) => Role::User,
                role => role,
            };
            let output_config = message.output_config.filter(|_| {
                let is_folded = role != message.role;
                let is_taken = !is_folded && self.features.take(OUTPUT_CONFIG);
                if !is_taken {
                    self.report.ignore(OUTPUT_CONFIG);
                }
                is_taken
            });
            let message = NativeMessage { role: role.name(), content, output_config };
            add(message, &mut messages).map_err(unreadable("messages"))?;
        }
        self.end_prefill(request, &mut messages)?;
        if let Some(mark) = self.marks.whole {
            mark_last(&mut messages, mark).map_err(unreadable("messages"))?;
        }
        let past = past(request, &presence, self.profile);
        Ok(WrittenTurns { messages, past, thinks_back: self.thinks_back })
    }

    fn message(
        &mut self,
        at: usize,
        message: &'q Message<'_>,
    ) -> Result<(NativeContent<'q>, Past), Invalid> {
        let place = format!("messages[{at}].content");
        if message.role == Role::System && !self.features.has(LATER_SYSTEM) {
            return Ok((self.folded(&message.content, &place)?, Past::Whole));
        }
        let blocks = match &message.content {
            Content::Text(text) if text.trim().is_empty() => return Ok((filler(), Past::Whole)),
            Content::Text(text) => {
                return Ok((NativeContent::Text(text.as_str().into()), Past::Whole));
            }
            Content::Blocks(blocks) => blocks,
        };
        let mut sent = Vec::with_capacity(blocks.len());
        let mut past = Past::Whole;
        if message.role == Role::Assistant {
            let mut kept = thoughts((at, message), &self.memory, self.profile, self.report);
            past = kept.past;
            for (index, block) in blocks.iter().enumerate() {
                let before = kept.before(index);
                self.thinks_back |= !before.is_empty();
                let is_thought = is_thought(block);
                if is_thought {
                    self.marks.next(block.cache_control.as_ref());
                    // Own reasoning passes as it came, in its place.
                    if !kept.is_restored && !before.is_empty() {
                        sent.push(Cow::Borrowed(block.raw));
                        continue;
                    }
                }
                for thought in before {
                    sent.push(written(&thought).map_err(unreadable(&place))?);
                }
                // The mark of reasoning has been taken, and the rest of it is not sent.
                if !is_thought {
                    sent.extend(self.block(block, &format!("{place}[{index}]"))?);
                }
            }
            for thought in kept.rest() {
                sent.push(written(&thought).map_err(unreadable(&place))?);
                self.thinks_back = true;
            }
        } else {
            for (index, block) in blocks.iter().enumerate() {
                sent.extend(self.block(block, &format!("{place}[{index}]"))?);
            }
        }
        let content = if sent.is_empty() { filler() } else { NativeContent::Blocks(sent) };
        Ok((content, past))
    }

    /// An instruction within the conversation, as marked text of the user.
    fn folded(
        &mut self,
        content: &'q Content<'_>,
        place: &str,
    ) -> Result<NativeContent<'q>, Invalid> {
        let mut sent = Vec::new();
        for (text, control) in texts(content, place)? {
            let mark = self.marks.next(control);
            if text.trim().is_empty() {
                continue;
            }
            let kept = match (mark, control) {
                (MarkChange::None, Some(control)) => {
                    MarkChange::Rewritten { is_hour: control.ttl.as_deref() == Some("1h") }
                }
                (mark, _) => mark,
            };
            let block = text_block(&note(text)).map_err(unreadable(place))?;
            let mut object = RawObject::of(&block).map_err(unreadable(place))?;
            kept.apply(&mut object).map_err(unreadable(place))?;
            sent.push(Cow::Owned(object.to_raw().map_err(unreadable(place))?));
        }
        Ok(if sent.is_empty() { filler() } else { NativeContent::Blocks(sent) })
    }

    /// A block as it is sent; `None` for one without content.
    fn block(&mut self, block: &'q Block<'_>, place: &str) -> Result<Option<Raw<'q>>, Invalid> {
        let mark = self.marks.next(block.cache_control.as_ref());
        let passes = |mark| marked(block.raw, mark).map(Some).map_err(unreadable(place));
        match &block.kind {
            BlockKind::Text { text } if text.trim().is_empty() => Ok(None),
            BlockKind::Thinking { .. } | BlockKind::RedactedThinking { .. } => Ok(None),
            BlockKind::Text { .. } | BlockKind::SearchResult { .. } | BlockKind::ToolUse { .. } => {
                passes(mark)
            }
            BlockKind::Image { source } | BlockKind::Document { source, .. } => match source {
                Source::Base64 { data, .. } if block.is_filled => {
                    let source =
                        fetched(&block.kind, data).ok_or_else(|| foreign::fetched(place))?;
                    replaced(block.raw, ("source", &source), mark)
                        .map(Some)
                        .map_err(unreadable(place))
                }
                Source::Base64 { .. } | Source::Text(_) | Source::Content(_) => passes(mark),
                Source::Url(_) => {
                    let message = "URLs are not fetched here unless the gateway's operator sets media.fetch; send the content itself as {\"type\": \"base64\", ...}.";
                    Err(Invalid::value(format!("{place}.source.url"), message)
                        .with_code("invalid_url"))
                }
                Source::Other(kind) => Err(foreign::source(kind, place)),
            },
            BlockKind::ToolResult { content, .. } => {
                self.result(block, (content.as_ref(), mark), place)
            }
            BlockKind::ToolReference { .. } if self.features.take(DEFERRED) => passes(mark),
            BlockKind::ToolReference { name } => {
                text_block(&foreign::reference(name)).map(Some).map_err(unreadable(place))
            }
            BlockKind::Other { kind } => {
                if self.is_own(kind, block.raw) {
                    return passes(mark);
                }
                match foreign::text(kind, block.raw) {
                    Some(text) => text_block(&text).map(Some).map_err(unreadable(place)),
                    None => Err(foreign::unknown(kind, place)),
                }
            }
        }
    }

    /// Returns whether a block of another kind belongs to a feature of the model's.
    fn is_own(&mut self, kind: &str, raw: &RawValue) -> bool {
        match kind {
            "tool_search_tool_result" => self.features.take(DEFERRED),
            "server_tool_use" => {
                raw.get().contains("tool_search_tool") && self.features.take(DEFERRED)
            }
            "compaction" => {
                self.features.take("compaction")
                    || self.features.take("context_management.compact_20260112")
            }
            kind => self.features.take(&format!("messages.{kind}")),
        }
    }

    fn result(
        &mut self,
        block: &'q Block<'_>,
        (content, mark): (Option<&'q Content<'_>>, MarkChange),
        place: &str,
    ) -> Result<Option<Raw<'q>>, Invalid> {
        let Some(Content::Blocks(blocks)) = content else {
            return marked(block.raw, mark).map(Some).map_err(unreadable(place));
        };
        let mut sent = Vec::with_capacity(blocks.len());
        let mut is_changed = mark != MarkChange::None;
        for (index, inner) in blocks.iter().enumerate() {
            let written = self.block(inner, &format!("{place}.content[{index}]"))?;
            is_changed |= !matches!(written, Some(Cow::Borrowed(_)));
            sent.extend(written);
        }
        if !is_changed {
            return Ok(Some(Cow::Borrowed(block.raw)));
        }
        let mut object = RawObject::of(block.raw).map_err(unreadable(place))?;
        match sent.is_empty() {
            true => {
                object.remove("content");
            }
            false => object.set("content", to_raw_value(&sent).map_err(unreadable(place))?),
        }
        mark.apply(&mut object).map_err(unreadable(place))?;
        object.to_raw().map(|raw| Some(Cow::Owned(raw))).map_err(unreadable(place))
    }

    /// Ends a conversation that ends with the assistant, where the model does not go on with its words;
    /// white space at their end is refused by those that do.
    fn end_prefill(
        &mut self,
        request: &'q MessagesRequest<'_>,
        messages: &mut Vec<NativeMessage<'q>>,
    ) -> Result<(), Invalid> {
        if request.messages.last().is_none_or(|message| message.role != Role::Assistant) {
            return Ok(());
        }
        if !self.profile.trailing_assistant {
            self.report.ignore("messages.prefill");
            let content = NativeContent::Text(CONTINUE.into());
            messages.push(NativeMessage { role: "user", content, output_config: None });
            return Ok(());
        }
        // As it is sent: blank blocks are gone, and what is left of a block beside its text stays.
        match messages.last_mut().map(|message| &mut message.content) {
            Some(NativeContent::Text(text)) if text.trim_end().len() < text.len() => {
                *text = text.trim_end().to_owned().into();
            }
            Some(NativeContent::Blocks(blocks)) => {
                if let Some(block) = blocks.last_mut()
                    && let Some(trimmed) = trimmed(block).map_err(unreadable("messages"))?
                {
                    *block = trimmed;
                }
            }
            Some(NativeContent::Text(_)) | None => {}
        }
        Ok(())
    }
}

/// The source of fetched content, whose type its bytes show.
fn fetched(kind: &BlockKind<'_>, data: &str) -> Option<serde_json::Value> {
    let medium = match kind {
        BlockKind::Image { .. } => Medium::Image,
        _ => Medium::Document,
    };
    Some(match typed_content(data, medium)? {
        TypedContent::Medium(kind) => {
            json!({ "type": "base64", "media_type": kind, "data": data })
        }
        TypedContent::Text(text) => {
            json!({ "type": "text", "media_type": "text/plain", "data": text })
        }
    })
}

fn filler<'q>() -> NativeContent<'q> {
    NativeContent::Text(FILLER.into())
}

fn unreadable(place: &str) -> impl FnOnce(serde_json::Error) -> Invalid {
    let place = place.to_owned();
    move |_| Invalid::value(place, "This content cannot be read.")
}

/// A block of text without white space at its end; `None` for other blocks, and where there is none.
fn trimmed<'q>(block: &RawValue) -> Result<Option<Raw<'q>>, serde_json::Error> {
    let mut object = RawObject::of(block)?;
    if object.get("type").is_none_or(|kind| kind.get() != r#""text""#) {
        return Ok(None);
    }
    let text =
        object.get("text").map_or(Ok(Str::default()), |text| serde_json::from_str(text.get()))?;
    let kept = text.trim_end();
    if kept.len() == text.len() {
        return Ok(None);
    }
    object.set("text", to_raw_value(kept)?);
    object.to_raw().map(Cow::Owned).map(Some)
}

pub(super) fn text_block<'q>(text: &str) -> Result<Raw<'q>, serde_json::Error> {
    to_raw_value(&json!({ "type": "text", "text": text })).map(Cow::Owned)
}

/// An object with one member and its mark changed.
fn replaced<'q>(
    raw: &'q RawValue,
    (member, value): (&str, &serde_json::Value),
    mark: MarkChange,
) -> Result<Raw<'q>, serde_json::Error> {
    let mut object = RawObject::of(raw)?;
    object.set(member, to_raw_value(value)?);
    mark.apply(&mut object)?;
    object.to_raw().map(Cow::Owned)
}

/// Restored reasoning as a block.
fn written<'q>(thought: &ReasoningBlock<'_>) -> Result<Raw<'q>, serde_json::Error> {
    let block = match thought {
        ReasoningBlock::ReasoningText(ReasoningText { text, signature }) => {
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        ReasoningBlock::RedactedContent(data) => {
            json!({ "type": "redacted_thinking", "data": data })
        }
    };
    to_raw_value(&block).map(Cow::Owned)
}

/// Sets the mark of the whole request at the end of its last message, unless there is one.
fn mark_last(
    messages: &mut [NativeMessage<'_>],
    mark: MarkChange,
) -> Result<(), serde_json::Error> {
    let Some(last) = messages.iter_mut().rfind(|message| message.role == "user") else {
        return Ok(());
    };
    if let NativeContent::Text(text) = &last.content {
        last.content = NativeContent::Blocks(vec![text_block(text)?]);
    }
    if let NativeContent::Blocks(blocks) = &mut last.content
        && let Some(block) = blocks.last_mut()
    {
        let changed = {
            let mut object = RawObject::of(block)?;
            if object.get("cache_control").is_some() {
                return Ok(());
            }
            mark.apply(&mut object)?;
            object.to_raw()?
        };
        *block = Cow::Owned(changed);
    }
    Ok(())
}

/// Presence of the reasoning that the turns being answered need, as `replay::past` finds it on Converse.
fn past(request: &MessagesRequest<'_>, presence: &[Past], profile: &Profile) -> Past {
    if profile.replay != Replay::Signed {
        return Past::Whole;
    }
    let is_thought = |block: &Block<'_>| {
        matches!(block.kind, BlockKind::Thinking { .. } | BlockKind::RedactedThinking { .. })
    };
    let thinks = |message: &Message<'_>| message.content.blocks().iter().any(is_thought);
    if request.messages.last().is_some_and(|last| last.role == Role::Assistant && !thinks(last)) {
        return Past::Lost;
    }
    let messages = request.messages.iter().zip(presence).rev();
    let answers = |message: &Message<'_>| {
        let mut blocks = message.content.blocks().iter();
        blocks.any(|block| matches!(block.kind, BlockKind::ToolResult { .. }))
    };
    let mut is_answered = false;
    for (message, past) in messages {
        match message.role {
            Role::System => {}
            Role::User => is_answered = answers(message),
            Role::Assistant if !is_answered => break,
            Role::Assistant if *past == Past::Lost => return Past::Lost,
            Role::Assistant => {}
        }
    }
    Past::Whole
}
