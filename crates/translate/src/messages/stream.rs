//! A streamed answer in Anthropic's events: from Converse's events, or those of a model's own stream,
//! which pass (in `stream/native.rs`).

use bytes::BytesMut;
use schema::converse::event::StreamEvent;

use super::MessagesReply;
use super::writer::{MessageWriter, write_failure, write_ping};
use crate::Stamp;
use crate::answer::{AnswerReader, Reads, Written};
use crate::answer_stream::{
    AnswerStream, NativeEventError, Progress, Received, StreamError, StreamFailure, Unwritable,
};
use crate::spent::Spent;

pub(super) mod native;

use native::NativeStream;

/// The translator of one streamed answer.
#[derive(Debug)]
pub struct MessagesStream(Source);

#[derive(Debug)]
enum Source {
    Converse(Box<ConverseStream>),
    Native(Box<NativeStream>),
}

/// The translator of an answer from Converse.
#[derive(Debug)]
pub(super) struct ConverseStream(AnswerReader<MessageWriter>);

impl ConverseStream {
    pub(super) fn new(reply: MessagesReply, stamp: Stamp) -> Self {
        let MessagesReply { reply, sealed, capsules, is_native: _ } = reply;
        let id = stamp.id.clone();
        Self(AnswerReader::writing(MessageWriter::new(stamp, sealed, capsules), reply, id))
    }

    /// Gathers the blocks instead of writing events.
    pub(super) fn gather(&mut self) {
        self.0.writer_mut().gather();
    }

    /// The writer, with everything that was gathered.
    pub(super) fn into_writer(self) -> MessageWriter {
        self.0.into_writer()
    }
}

impl Reads for ConverseStream {
    type Writer = MessageWriter;

    fn reader(&self) -> &AnswerReader<MessageWriter> {
        &self.0
    }

    fn reader_mut(&mut self) -> &mut AnswerReader<MessageWriter> {
        &mut self.0
    }
}

impl MessagesStream {
    pub(super) fn new(reply: MessagesReply, stamp: Stamp) -> Self {
        Self(match reply.is_native {
            true => Source::Native(Box::new(NativeStream::new(reply, stamp))),
            false => Source::Converse(Box::new(ConverseStream::new(reply, stamp))),
        })
    }
}

impl AnswerStream for MessagesStream {
    fn fail_without(
        _: &Stamp,
        _: Received<'_>,
        failure: &StreamFailure<'_>,
        out: &mut BytesMut,
    ) -> Written {
        write_failure(failure, out)
    }

    fn fail(&mut self, failure: &StreamFailure<'_>, out: &mut BytesMut) -> Written {
        write_failure(failure, out)
    }

    fn push(
        &mut self,
        event: &StreamEvent<'_>,
        out: &mut BytesMut,
    ) -> Result<Progress, Unwritable> {
        match &mut self.0 {
            Source::Converse(stream) => stream.push(event, out),
            Source::Native(_) => Ok(Progress::default()),
        }
    }

    fn push_native(
        &mut self,
        event: &[u8],
        out: &mut BytesMut,
    ) -> Result<Progress, NativeEventError> {
        match &mut self.0 {
            Source::Converse(_) => Ok(Progress::default()),
            Source::Native(stream) => stream.push(event, out),
        }
    }

    fn is_complete(&self) -> bool {
        match &self.0 {
            Source::Converse(stream) => stream.is_complete(),
            Source::Native(stream) => stream.is_complete(),
        }
    }

    fn spent(&self) -> Spent {
        match &self.0 {
            Source::Converse(stream) => stream.spent(),
            Source::Native(stream) => stream.spent(),
        }
    }

    fn close(&mut self, out: &mut BytesMut) -> Result<Progress, StreamError> {
        match &mut self.0 {
            Source::Converse(stream) => stream.close(out),
            Source::Native(stream) => stream.close(out),
        }
    }

    fn continued(&mut self, target: &str) {
        if let Source::Converse(stream) = &mut self.0 {
            stream.continued(target);
        }
    }

    fn judged(&mut self, word: Option<&'static str>, out: &mut BytesMut) -> Written {
        match &mut self.0 {
            Source::Converse(stream) => stream.judged(word, out),
            Source::Native(stream) => stream.judged(word, out),
        }
    }

    fn finish(&mut self, total: Spent, out: &mut BytesMut) -> Written {
        match &mut self.0 {
            Source::Converse(stream) => stream.finish(total, out),
            Source::Native(_) => Ok(()),
        }
    }

    fn still_works(&mut self, out: &mut BytesMut) -> Written {
        write_ping(out)
    }

    fn counts_as_whole(&mut self) {
        if let Source::Converse(stream) = &mut self.0 {
            stream.counts_as_whole();
        }
    }
}
