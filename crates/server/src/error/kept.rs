//! Errors about responses, conversations, files and batches that are kept here, or made in the background.

use std::fmt;

use super::{INVALID, Rendered, UNAVAILABLE};
use crate::quoting;

/// Kinds of what is kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptKind {
    Response,
    Conversation,
    Item,
    File,
    Batch,
    Results,
}

impl fmt::Display for KeptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Response => "response",
            Self::Conversation => "conversation",
            Self::Item => "item",
            Self::File => "file",
            Self::Batch => "batch",
            Self::Results => "batch with results",
        })
    }
}

pub(super) fn not_kept(kind: KeptKind, id: &str) -> Rendered {
    let id = quoting::id(id);
    let kind = match kind {
        KeptKind::Response => "Response",
        KeptKind::Conversation => "Conversation",
        KeptKind::Item => "Item",
        KeptKind::File => "File",
        KeptKind::Batch => "Batch",
        KeptKind::Results => "Results of the batch",
    };
    Rendered::new(404, INVALID, None, format!("{kind} with id '{id}' not found."))
}

pub(super) fn too_many_jobs() -> Rendered {
    let message = "This gateway makes as many responses in the background as it can; try again later, or wait for the answer.";
    Rendered::new(429, "rate_limit_error", Some("rate_limit_exceeded"), message).after(10)
}

pub(super) fn store_away() -> Rendered {
    let message = "The database that keeps responses cannot be reached; try again shortly.";
    Rendered::new(503, UNAVAILABLE, Some("store_unavailable"), message).after(1)
}

pub(super) fn made_elsewhere() -> Rendered {
    let message =
        "Another process of the gateway makes this response and did not end it in time; try again.";
    Rendered::new(503, UNAVAILABLE, Some("response_in_progress"), message).after(2)
}
