//! Writes an answer as the events of a response: one item is closed before the next opens.

use std::collections::VecDeque;

use bytes::BytesMut;
use schema::converse::event::Metadata;
use schema::converse::response::StopReason;
use schema::openai::annotation::{Cited, Outcrop};
use schema::openai::responses::event::EventBody;
use schema::openai::responses::object::{
    IncompleteDetails, IncompleteReason, OutputItem, RESPONSE_OBJECT, ResponseError,
    ResponseObject, ResponseUsage, Status,
};

use super::ResponseReply;
use super::echo;
use crate::Reply;
use crate::Stamp;
use crate::answer::turn::AnswerTurn;
use crate::answer::{AnswerWriter, BegunCall, StoppedAnswer, UNREADABLE_OUTPUT, Written};
use crate::answer_stream::{KeptItem, Received, StreamFailure};
use crate::chat::response::{fields, tier, trace};
use crate::parts::stop::Finish;
use crate::spent::Spent;
use calls::WaitingCall;
use events::Events;
use failure::Failed;
use open::OpenItem;

mod calls;
mod events;
pub(super) mod failure;
mod open;
mod thoughts;
pub(super) mod usage;

/// The tier of a call that names none.
const USUAL_TIER: &str = "default";

/// Writes the events of one response, and keeps what its object holds.
#[derive(Debug)]
pub(crate) struct EventWriter {
    reply: ResponseReply,
    stamp: Stamp,
    events: Events,
    begun: bool,
    /// The items that are complete.
    items: Vec<OutputItem>,
    /// The item being written.
    open: Option<OpenItem>,
    /// Calls that began before the open one ended.
    waiting: VecDeque<WaitingCall>,
    /// Characters of text in the items that are complete.
    said: u64,
    status: Status,
    incomplete: Option<IncompleteReason>,
    /// The failure that the response ended in.
    failed: Option<Failed>,
    outcrop: Outcrop,
    tier: Option<String>,
    usage: Option<ResponseUsage>,
    /// Unix seconds.
    completed_at: Option<u32>,
    /// Items that are not handed over yet.
    kept: Vec<KeptItem>,
}

impl EventWriter {
    pub(super) fn new(reply: ResponseReply, stamp: Stamp) -> Self {
        Self {
            reply,
            stamp,
            events: Events::default(),
            begun: false,
            items: Vec::new(),
            open: None,
            waiting: VecDeque::new(),
            said: 0,
            status: Status::InProgress,
            incomplete: None,
            failed: None,
            outcrop: Outcrop::default(),
            tier: None,
            usage: None,
            completed_at: None,
            kept: Vec::new(),
        }
    }

    /// Writes no events, only what the object of the response holds.
    pub(super) fn be_silent(&mut self) {
        self.events.be_silent();
    }

    /// Sets the time of the end, in Unix seconds.
    pub(super) fn ends_at(&mut self, seconds: u32) {
        self.completed_at = (self.status == Status::Completed).then_some(seconds);
    }

    pub(super) fn spends(&mut self, total: Spent) {
        self.usage = Some(usage::of(total));
    }

    pub(super) fn items(&self) -> &[OutputItem] {
        &self.items
    }

    pub(super) fn status(&self) -> Status {
        self.status
    }

    /// Why the response is not complete, if it is not.
    pub(super) fn incomplete(&self) -> Option<IncompleteReason> {
        self.incomplete
    }

    /// The model that a prompt router chose.
    pub(super) fn invoked_model(&self) -> Option<String> {
        self.outcrop.invoked_model_id.clone()
    }

    pub(super) fn take_kept(&mut self) -> Vec<KeptItem> {
        std::mem::take(&mut self.kept)
    }

    /// The response as the client sees it, if it is kept.
    pub(super) fn kept_whole(&self) -> Option<KeptItem> {
        let json = self.reply.keeps_answer.then(|| serde_json::to_string(&self.object()));
        Some(KeptItem { id: self.stamp.id.clone(), json: json?.ok()? })
    }

    /// The response before it is made.
    pub(super) fn queued(mut self) -> Option<KeptItem> {
        self.status = Status::Queued;
        self.kept_whole()
    }

    /// The response as it stands.
    pub(super) fn object(&self) -> ResponseObject<'_> {
        let error = self.failed.as_ref();
        let error =
            error.map(|failed| ResponseError { code: failed.code, message: &failed.message });
        ResponseObject {
            id: &self.stamp.id,
            object: RESPONSE_OBJECT,
            created_at: self.stamp.created,
            completed_at: self.completed_at,
            status: self.status,
            background: self.reply.is_background,
            error,
            incomplete_details: self.incomplete.map(|reason| IncompleteDetails { reason }),
            model: &self.stamp.model,
            output: &self.items,
            usage: self.usage,
            request: &self.reply.echo,
            service_tier: Some(self.tier.as_deref().unwrap_or(USUAL_TIER)),
            outcrop: Some(&self.outcrop).filter(|outcrop| !outcrop.is_empty()),
        }
    }

    fn tell(&mut self, kind: &'static str, out: &mut BytesMut) -> Written {
        let mut events = std::mem::take(&mut self.events);
        let told = events.write(kind, EventBody::Response { response: self.object() }, out);
        self.events = events;
        told
    }

    fn start(&mut self, out: &mut BytesMut) -> Written {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        self.tell("response.created", out)?;
        self.tell("response.in_progress", out)
    }

    /// The id of the next item: the random part of the request's, and the item's position.
    fn next_id(&self, prefix: &str) -> String {
        const KEPT: usize = 28;
        let own = self.stamp.id.strip_prefix("resp_").unwrap_or(&self.stamp.id);
        let own = own.get(..KEPT).unwrap_or(own);
        format!("{prefix}{own}{:04x}", self.items.len())
    }

    /// Adds a complete item.
    fn add(&mut self, item: OutputItem, out: &mut BytesMut) -> Written {
        self.keep(&item);
        let body = EventBody::Item { output_index: self.items.len(), item: &item };
        self.events.write("response.output_item.done", body, out)?;
        self.items.push(item);
        Ok(())
    }

    /// Closes the open item, as a complete one unless it was cut off.
    fn close(&mut self, status: Status, out: &mut BytesMut) -> Written {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.said += open.said();
        let item = open.finish(self.items.len(), status, &mut self.events, out)?;
        self.add(item, out)
    }
}

impl AnswerWriter for EventWriter {
    fn begin(&mut self, out: &mut BytesMut) -> Written {
        self.start(out)
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) -> Written {
        self.start(out)?;
        if !matches!(self.open, Some(OpenItem::Message(_))) {
            self.write_waiting(out)?;
            self.close(Status::Completed, out)?;
            let (id, said) = (self.next_id("msg_"), self.said);
            self.open = Some(open::message(id, said, self.items.len(), &mut self.events, out)?);
        }
        if let Some(OpenItem::Message(message)) = &mut self.open {
            message.text(text, &mut self.events, out)?;
        }
        Ok(())
    }

    fn thought(&mut self, text: &str, out: &mut BytesMut) -> Written {
        self.think(text, out)
    }

    fn thought_ended(&mut self, turn: &AnswerTurn, reply: &Reply, out: &mut BytesMut) -> Written {
        self.end_thought(turn, reply, out)
    }

    fn call(&mut self, call: &BegunCall<'_>, out: &mut BytesMut) -> Written {
        self.begin_call(call, out)
    }

    fn input(&mut self, index: usize, piece: &str, out: &mut BytesMut) -> Written {
        self.call_input(index, piece, out)
    }

    fn call_ended(&mut self, index: usize, out: &mut BytesMut) -> Written {
        self.end_call(index, out)
    }

    fn cited(&mut self, cited: &[Cited], out: &mut BytesMut) -> Written {
        if let Some(OpenItem::Message(message)) = &mut self.open {
            message.cite(cited, self.items.len(), &mut self.events, out)?;
        }
        Ok(())
    }

    fn stopped(&mut self, stop: StoppedAnswer<'_>, out: &mut BytesMut) -> Written {
        let StoppedAnswer { finish, reason, untold, fields: told, turn: _, sources, reply } = stop;
        self.start(out)?;
        (self.status, self.incomplete) = match (finish, reason) {
            (_, StopReason::MalformedModelOutput | StopReason::MalformedToolUse) => {
                let message = UNREADABLE_OUTPUT.to_owned();
                self.failed = Some(Failed { code: "server_error", message });
                (Status::Failed, None)
            }
            (Finish::Complete | Finish::Calls, _) => (Status::Completed, None),
            (Finish::Limit, _) => (Status::Incomplete, Some(IncompleteReason::MaxOutputTokens)),
            (Finish::Filtered, _) => (Status::Incomplete, Some(IncompleteReason::ContentFilter)),
        };
        let (_, citations) = sources.finish();
        self.outcrop.citations = citations;
        self.outcrop.stop_reason = untold;
        self.outcrop.additional_model_response_fields = fields(told, reply);
        let cut = match self.status {
            Status::Incomplete => Status::Incomplete,
            Status::Queued
            | Status::InProgress
            | Status::Completed
            | Status::Failed
            | Status::Cancelled => Status::Completed,
        };
        self.write_waiting(out)?;
        self.close(cut, out)
    }

    fn measured(&mut self, metadata: &Metadata<'_>, reply: &Reply) {
        trace(metadata.trace, &mut self.outcrop);
        self.tier = tier(metadata.service_tier.as_ref(), reply);
    }

    fn continued(&mut self, target: &str) {
        self.outcrop.continued_at = Some(target.to_owned());
    }

    fn judged(&mut self, word: Option<&'static str>) {
        self.outcrop.structured_output = word;
    }

    /// The last event tells the usage, and waits for it.
    fn last(&mut self, _: &mut BytesMut) -> Written {
        Ok(())
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Written {
        self.spends(total);
        let kind = match self.status {
            Status::Incomplete | Status::Cancelled => "response.incomplete",
            Status::Failed => "response.failed",
            Status::Completed | Status::InProgress | Status::Queued => "response.completed",
        };
        self.tell(kind, out)?;
        self.events.end(out);
        Ok(())
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written {
        self.start(out)?;
        self.tell_failure(failure, out)
    }

    fn fail_without(
        stamp: &Stamp,
        received: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        let echo = std::sync::Arc::new(echo::unknown());
        let reply = ResponseReply { echo, ..ResponseReply::default() };
        let mut writer = Self::new(reply, stamp.clone());
        match received {
            Received::Head => writer.start(out)?,
            Received::Events(piece) => writer.events.continue_after(piece),
        }
        writer.tell_failure(failure, out)
    }

    fn take_items(&mut self) -> Vec<KeptItem> {
        self.take_kept()
    }

    fn kept_answer(&self) -> Option<KeptItem> {
        self.kept_whole()
    }

    /// Clients accept the event again at any time before the last.
    fn still_works(&mut self, out: &mut BytesMut) -> Written {
        self.start(out)?;
        self.tell("response.in_progress", out)
    }

    fn ends_at(&mut self, seconds: u32) {
        Self::ends_at(self, seconds);
    }
}
