//! The state of a response in the making: headers that may be sent before the answer, and what becomes of the answer if
//! the client leaves.

use std::cell::Cell;
use std::rc::Rc;

use tokio::time::Instant;

/// State of the response, shared by the waiting code and the code that makes the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingResponse {
    headers: Rc<Cell<State>>,
    /// Whether the answer is read on if the client leaves.
    drained: Rc<Cell<bool>>,
}

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
        self.headers.set(State::Stream(Instant::now()));
    }

    /// Records that the answer is read on if the client leaves.
    pub(crate) fn drains(&self) {
        self.drained.set(true);
    }

    /// Whether the answer is read on if the client leaves.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained.get()
    }

    /// Whether the headers were sent before the answer.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.headers.get(), State::Sent)
    }

    /// Records that the headers are sent before the answer.
    pub(crate) fn goes_out(&self) {
        self.headers.set(State::Sent);
    }

    pub(crate) fn asked(&self) -> Option<Instant> {
        match self.headers.get() {
            State::Stream(since) => Some(since),
            State::Open | State::Sent => None,
        }
    }
}
