//! A complete response. It is made of the same events as a stream, so that both are equal.

use bytes::BytesMut;
use schema::converse::response::ConverseResponse;
use schema::openai::responses::object::{IncompleteReason, OutputItem, OutputPart, Status};
use serde::{Serialize, Serializer};

use super::writer::EventWriter;
use super::{ResponseReply, ResponseStream};
use crate::Stamp;
use crate::answer_stream::{KeptItem, replay};
use crate::dialect::Answered;
use crate::spent::Spent;

/// A complete response.
#[derive(Debug)]
pub struct WholeResponse(EventWriter);

/// Translates the response to the request that made `reply`.
pub(super) fn answered(
    converse: &ConverseResponse<'_>,
    reply: &ResponseReply,
    stamp: &Stamp,
) -> Answered<WholeResponse> {
    let mut stream = ResponseStream::new(reply.clone(), stamp.clone());
    stream.writer_mut().be_silent();
    // A silent writer does not fail.
    let progress = replay(converse.clone(), &mut stream, &mut BytesMut::new());
    let saved = progress.ok().and_then(|progress| progress.reasoning);
    let writer = stream.into_writer();
    let mut whole = WholeResponse(writer);
    whole.0.ends_at(stamp.created);
    let invoked_model = whole.0.invoked_model();
    whole.0.spends(Spent::of(converse));
    Answered { answer: whole, saved, invoked_model }
}

impl WholeResponse {
    /// The texts that are validated: none of an answer that was cut off or calls tools.
    pub(super) fn checked_texts(&self) -> Vec<&str> {
        let items = self.items();
        let is_call = |item: &OutputItem| {
            !matches!(item, OutputItem::Message { .. } | OutputItem::Reasoning { .. })
        };
        if self.0.status() != Status::Completed || items.iter().any(is_call) {
            return Vec::new();
        }
        let parts = items.iter().flat_map(|item| match item {
            OutputItem::Message { content, .. } => content.as_slice(),
            _ => &[],
        });
        parts.map(|OutputPart::OutputText { text, .. }| text.as_str()).collect()
    }

    /// The items of the output.
    pub(super) fn items(&self) -> &[OutputItem] {
        self.0.items()
    }

    /// The state of the response.
    pub(super) fn status(&self) -> Status {
        self.0.status()
    }

    /// Why the response is not complete, if it is not.
    pub(super) fn incomplete(&self) -> Option<IncompleteReason> {
        self.0.incomplete()
    }

    /// The same response with the usage of all calls that it took.
    pub(super) fn at(mut self, total: Spent) -> Self {
        self.0.spends(total);
        self
    }

    /// The items of the output, for later requests that refer to them.
    pub(super) fn kept(&mut self) -> Vec<KeptItem> {
        self.0.take_kept()
    }

    /// The response as the client sees it, if it is kept.
    pub(super) fn kept_whole(&self) -> Option<KeptItem> {
        self.0.kept_whole()
    }
}

impl Serialize for WholeResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object().serialize(serializer)
    }
}
