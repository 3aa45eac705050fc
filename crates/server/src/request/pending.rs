//! Early headers: the state of response headers that may be sent before the answer.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::Instant;

/// State of the response headers, shared by the waiting code and the code that makes the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingResponse(Rc<Cell<State>>);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// The request is still being read, or it is not for a stream.
    #[default]
    Open,
    /// A stream was requested, at this time.
    Stream(Instant),
    /// The headers were sent before the answer.
    Sent,
}

impl PendingResponse {
    /// Records that a stream was requested.
    pub(crate) fn is_of_stream(&self) {
        self.0.set(State::Stream(Instant::now()));
    }

    /// Whether the headers were sent before the answer.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.0.get(), State::Sent)
    }

    /// Records that the headers are sent before the answer.
    pub(crate) fn goes_out(&self) {
        self.0.set(State::Sent);
    }

    pub(crate) fn asked(&self) -> Option<Instant> {
        match self.0.get() {
            State::Stream(since) => Some(since),
            State::Open | State::Sent => None,
        }
    }
}
