//! The last events of streams that failed after their head was sent, in the form of their dialect.

use bytes::{Bytes, BytesMut};
use translate::Stamp;
use translate::answer_stream::{AnswerStream, Received, StreamFailure, Unwritable};

use crate::error::GatewayError;

/// The end of a stream whose translator does not exist yet, or is lost.
#[derive(Debug, Clone)]
pub(crate) struct StreamEnd {
    stamp: Stamp,
    write: Writer,
}

type Writer = fn(&Stamp, Received<'_>, &StreamFailure<'_>, &mut BytesMut) -> Result<(), Unwritable>;

impl StreamEnd {
    /// The end of a stream of this dialect; `stamp` identifies its answer.
    pub(crate) fn of<S: AnswerStream>(stamp: Stamp) -> Self {
        Self { stamp, write: S::fail_without }
    }

    /// The events that tell this failure.
    pub(crate) fn failed(&self, error: &GatewayError, received: Received<'_>) -> Bytes {
        let (rendered, mut out) = (error.render(), BytesMut::new());
        logged((self.write)(&self.stamp, received, &rendered.failure(), &mut out));
        out.freeze()
    }
}

/// Logs a failure that could not be written.
pub(crate) fn logged(written: Result<(), Unwritable>) {
    if let Err(error) = written {
        log::error!("an error event could not be written: {error}");
    }
}
