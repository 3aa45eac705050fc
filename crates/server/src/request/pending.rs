//! The state of a response in the making: headers that may be sent before the answer, and what becomes of the answer if
//! the client leaves.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use tokio::time::Instant;
use translate::answer_stream::Received;

use super::stream_end::StreamEnd;
use crate::error::GatewayError;
use crate::reasoning_store::RunningJob;

/// State of the response, shared by the waiting code and the code that makes the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingResponse(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    headers: Cell<State>,
    /// Whether the answer is read on if the client leaves.
    drained: Cell<bool>,
    /// The end of the stream, if it fails; present once a stream was requested.
    end: OnceCell<StreamEnd>,
    /// The last events of a request that was refused after its headers were sent.
    refusal: RefCell<Option<Bytes>>,
    /// The answer as it is made in the background.
    running: OnceCell<RunningJob>,
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
    /// Records that a stream was requested, which ends so if it fails.
    pub(crate) fn is_of_stream(&self, end: StreamEnd) {
        self.0.end.get_or_init(|| end);
        self.0.headers.set(State::Stream(Instant::now()));
    }

    /// The last events of a stream that fails; none before one was requested.
    pub(crate) fn failed(&self, error: &GatewayError, received: Received<'_>) -> Bytes {
        self.0.end.get().map(|end| end.failed(error, received)).unwrap_or_default()
    }

    /// Records a refusal after the headers were sent.
    pub(crate) fn refuses(&self, error: &GatewayError) {
        *self.0.refusal.borrow_mut() = Some(self.failed(error, Received::Head));
    }

    /// The last events of a request that was refused after the headers were sent.
    pub(crate) fn take_refusal(&self) -> Option<Bytes> {
        self.0.refusal.borrow_mut().take()
    }

    /// Records that the answer is made in the background.
    pub(crate) fn is_background(&self, running: RunningJob) {
        if self.0.running.set(running).is_err() {
            log::warn!("a request has one response, and it is made already");
        }
    }

    /// The answer as it is made in the background.
    pub(crate) fn running(&self) -> Option<&RunningJob> {
        self.0.running.get()
    }

    /// Records that the answer in the background failed before it began.
    pub(crate) fn fails_job(&self, error: &GatewayError) {
        let Some(RunningJob { job, .. }) = self.running() else { return };
        job.fails(error);
        if job.streams() {
            job.tell(&self.failed(error, Received::Head));
        }
    }

    /// Records that the answer is read on if the client leaves.
    pub(crate) fn drains(&self) {
        self.0.drained.set(true);
    }

    /// Whether the answer is read on if the client leaves.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.drained.get()
    }

    /// Whether the headers were sent before the answer.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.0.headers.get(), State::Sent)
    }

    /// Records that the headers are sent before the answer.
    pub(crate) fn goes_out(&self) {
        self.0.headers.set(State::Sent);
    }

    pub(crate) fn asked(&self) -> Option<Instant> {
        match self.0.headers.get() {
            State::Stream(since) => Some(since),
            State::Open | State::Sent => None,
        }
    }
}
