//! State of one request, independent of its API: its identity and end (`context`), and the options that
//! its headers set (`options`); the parties it is accounted to (`parties`) and what it cost (`settlement`); the
//! headers of its answer (`answer_headers`), and the end of a stream that fails (`stream_end`).

pub(crate) mod account_headers;
pub(crate) mod answer_headers;
pub(crate) mod betas;
pub(crate) mod context;
pub(crate) mod guardrail;
pub(crate) mod options;
pub(crate) mod parties;
mod pending;
pub(crate) mod settlement;
pub(crate) mod socket_turn;
pub(crate) mod spare_call;
pub(crate) mod stream_end;

pub(crate) use pending::PendingResponse;
