//! `POST /v1/responses/compact`: a conversation in fewer words. The model summarises it in an ordinary call; the
//! latest messages of the user stay as they were sent, and the summary is sealed for the client to bring back.

use std::sync::Arc;

use schema::converse::response::ConverseResponse;
use schema::openai::message::Role;
use schema::openai::responses::item::{Item, ItemMessage};
use schema::openai::responses::object::{
    COMPACTION_OBJECT, CompactedItem, CompactionObject, OutputItem, OutputPart, ResponseUsage,
    Status,
};
use schema::openai::responses::request::Input;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use serde_json::value::RawValue;

use super::{IncomingRequest, ResponseReply, whole};
use crate::dialect::{Answered, Question, QuestionInput};
use crate::spent::Spent;
use crate::{Invalid, Profile, Stamp};

mod dialect;
pub(super) mod summary;

pub use dialect::Compact;

/// Most bytes of the user's messages that stay: about 20,000 tokens of text.
const VERBATIM: usize = 80_000;
/// Characters of the random part of a response's id that ids of its items repeat.
const RANDOM: usize = 28;

/// A request to compact a conversation: one for a response, whose last item asks for the summary.
#[derive(Debug)]
pub struct CompactionRequest<'a> {
    request: IncomingRequest<'a>,
    /// Fields without effect on a summary.
    ignored: Vec<&'static str>,
}

/// State made by the question half and consumed by the answer half.
#[derive(Debug, Clone)]
pub struct CompactionReply {
    response: ResponseReply,
    /// The contents of the user's messages that stay.
    verbatim: Arc<Vec<Box<RawValue>>>,
}

/// A compacted conversation.
#[derive(Debug)]
pub struct CompactionResponse {
    stamp: Stamp,
    verbatim: Arc<Vec<Box<RawValue>>>,
    /// The sealed summary, or the reason why there is none.
    capsule: Result<String, &'static str>,
    usage: ResponseUsage,
}

impl<'de: 'a, 'a> Deserialize<'de> for CompactionRequest<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IncomingRequest::deserialize(deserializer).map(Self::of)
    }
}

impl<'a> CompactionRequest<'a> {
    /// Turns a request with a conversation into one for its summary.
    fn of(mut incoming: IncomingRequest<'a>) -> Self {
        let request = incoming.request_mut();
        // The summary is text, and is never read by itself.
        let text = request.text.take().is_some();
        let fields = [
            ("stream", request.stream.take() == Some(true)),
            ("background", request.background.take() == Some(true)),
            ("store", request.store.replace(false) == Some(true)),
            ("text", text),
            ("tool_choice", request.tool_choice.take().is_some()),
        ];
        // Tools stay declared, because they begin the prefix that a cache holds.
        request.tool_choice = serde_json::from_str(r#""none""#).ok();
        let ignored = fields.into_iter().filter_map(|(field, is_set)| is_set.then_some(field));
        let ignored = ignored.collect();
        let mut items = incoming.take_items();
        for item in &mut items {
            if let Item::Configuration(changed) = item {
                changed.text = None;
            }
        }
        if !items.is_empty() {
            items.push(Item::Message(ItemMessage::of_text(Role::User, summary::REQUEST.into())));
            incoming.request_mut().input = Some(Input::Items(items));
        }
        Self { request: incoming, ignored }
    }

    /// The same request with a shorter borrow.
    fn shortened<'s>(self) -> CompactionRequest<'s>
    where
        'a: 's,
    {
        CompactionRequest { request: self.request.shortened(), ignored: self.ignored }
    }

    /// The contents of the user's latest messages, in order, within [`VERBATIM`].
    fn verbatim(&self) -> Vec<Box<RawValue>> {
        let mut room = VERBATIM;
        // The last item is the request for the summary.
        let items = self.request.request().items().iter().rev().skip(1);
        let users = items.filter_map(|item| match item {
            Item::Message(message) if message.role == Role::User => content(message),
            _ => None,
        });
        let mut kept: Vec<_> = users
            .take_while(|content| {
                let length = content.get().len();
                let fits = length <= room;
                room = room.saturating_sub(length);
                fits
            })
            .collect();
        kept.reverse();
        kept
    }
}

/// The content of a message as parts.
fn content(message: &ItemMessage<'_>) -> Option<Box<RawValue>> {
    let sent = message.sent.map(RawValue::get);
    if let Some(parts) = sent.filter(|sent| sent.starts_with('[')) {
        return RawValue::from_string(parts.to_owned()).ok();
    }
    let schema::openai::content::Content::Text(text) = message.content.as_ref()? else {
        return None;
    };
    let parts = json!([{ "type": "input_text", "text": text.as_str() }]);
    RawValue::from_string(parts.to_string()).ok()
}

/// Translates a request to compact a conversation.
fn question<'q>(
    compaction: &'q CompactionRequest<'_>,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<Question<'q, CompactionReply>, Invalid> {
    let asked = super::question(&compaction.request, profile, input)?;
    let Question { body, delivery, reply: response, mut report } = asked;
    for field in &compaction.ignored {
        report.ignore(field);
    }
    let verbatim = Arc::new(compaction.verbatim());
    Ok(Question { body, delivery, reply: CompactionReply { response, verbatim }, report })
}

/// Translates the summary that a model gave.
fn answered(
    converse: &ConverseResponse<'_>,
    reply: &CompactionReply,
    stamp: Stamp,
) -> Answered<CompactionResponse> {
    let answered = whole::answered(converse, &reply.response, &stamp);
    let Answered { answer, saved: _, invoked_model } = answered;
    let end = (answer.status(), answer.incomplete());
    let capsule = summary::sealed(end, &text_of(answer.items()), &reply.response);
    let verbatim = Arc::clone(&reply.verbatim);
    let usage = super::writer::usage::of(Spent::of(converse));
    let answer = CompactionResponse { stamp, verbatim, capsule, usage };
    Answered { answer, saved: None, invoked_model }
}

fn text_of(items: &[OutputItem]) -> String {
    let parts = items.iter().flat_map(|item| match item {
        OutputItem::Message { content, .. } => content.as_slice(),
        _ => &[],
    });
    parts.map(|OutputPart::OutputText { text, .. }| text.as_str()).collect()
}

impl CompactionResponse {
    /// The same with the usage of all calls that it took.
    fn at(self, total: Spent) -> Self {
        Self { usage: super::writer::usage::of(total), ..self }
    }

    fn flaw(&self) -> Option<&'static str> {
        self.capsule.as_ref().err().copied()
    }
}

impl Serialize for CompactionResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.stamp.id.strip_prefix("resp_").unwrap_or(&self.stamp.id);
        let own = own.get(..RANDOM).unwrap_or(own);
        let mut output: Vec<CompactedItem<'_>> = (0..)
            .zip(self.verbatim.iter())
            .map(|(at, content)| CompactedItem::Message {
                id: format!("msg_{own}{at:04x}"),
                status: Status::Completed,
                role: "user",
                content,
            })
            .collect();
        let id = format!("cmp_{own}{:04x}", output.len());
        let encrypted_content = self.capsule.as_deref().unwrap_or_default();
        output.push(CompactedItem::Compaction { id, encrypted_content });
        CompactionObject {
            id: &self.stamp.id,
            object: COMPACTION_OBJECT,
            created_at: self.stamp.created,
            output,
            usage: self.usage,
        }
        .serialize(serializer)
    }
}
