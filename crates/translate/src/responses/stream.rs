//! A streamed response.

use super::ResponseReply;
use super::writer::EventWriter;
use crate::Stamp;
use crate::answer::{AnswerReader, Reads};

/// The translator of one streamed response.
#[derive(Debug)]
pub struct ResponseStream(AnswerReader<EventWriter>);

impl ResponseStream {
    /// A translator for the answer to the request that made `reply`.
    pub(super) fn new(mut reply: ResponseReply, stamp: Stamp) -> Self {
        // The reader's own: the writer reads the rest.
        let (id, inner) = (stamp.id.clone(), std::mem::take(&mut reply.reply));
        Self(AnswerReader::writing(EventWriter::new(reply, stamp), inner, id))
    }

    /// The writer, before anything was written.
    pub(super) fn writer_mut(&mut self) -> &mut EventWriter {
        self.0.writer_mut()
    }

    /// The writer, with everything that was written.
    pub(super) fn into_writer(self) -> EventWriter {
        self.0.into_writer()
    }
}

impl Reads for ResponseStream {
    type Writer = EventWriter;

    fn reader(&self) -> &AnswerReader<EventWriter> {
        &self.0
    }

    fn reader_mut(&mut self) -> &mut AnswerReader<EventWriter> {
        &mut self.0
    }
}
