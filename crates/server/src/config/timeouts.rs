//! `timeouts:`, the time limits of calls to Bedrock and of answers to clients.

use std::time::Duration;

use super::parsers;
use super::section::Section;

/// Every time limit of the section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeLimits {
    /// TCP and TLS set-up.
    pub(crate) connect: Duration,
    /// Response headers of a streaming call.
    pub(crate) first_byte_stream: Duration,
    /// Response headers of a unary call.
    pub(crate) first_byte: Duration,
    /// Between two pieces of a response body.
    pub(crate) idle: Duration,
    /// The whole call, streams included.
    pub(crate) total: Duration,
    /// Silence after which a stream sends a comment.
    pub(crate) keep_alive: Duration,
    /// Longest time a client may leave a piece of its answer unread.
    pub(crate) write_stall: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        let bedrock::Timeouts { connect, first_byte_stream, first_byte_unary, idle, total, .. } =
            bedrock::Timeouts::default();
        Self {
            connect,
            first_byte_stream,
            first_byte: first_byte_unary,
            idle,
            total,
            keep_alive: Duration::from_secs(15),
            write_stall: Duration::from_secs(30),
        }
    }
}

impl TimeLimits {
    /// The limits of the transport.
    pub(crate) fn of_calls(self) -> bedrock::Timeouts {
        let Self { connect, first_byte_stream, first_byte, idle, total, .. } = self;
        bedrock::Timeouts {
            connect,
            first_byte_stream,
            first_byte_unary: first_byte,
            idle,
            total,
            ..bedrock::Timeouts::default()
        }
    }
}

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, timeouts: &mut TimeLimits) {
    root.section("timeouts", |section| {
        section.set("connect", &mut timeouts.connect, parsers::span);
        section.set("first_byte_stream", &mut timeouts.first_byte_stream, parsers::limit);
        section.set("first_byte", &mut timeouts.first_byte, parsers::limit);
        section.set("idle", &mut timeouts.idle, parsers::limit);
        section.set("total", &mut timeouts.total, parsers::limit);
        section.set("keep_alive", &mut timeouts.keep_alive, parsers::limit);
        section.set("write_stall", &mut timeouts.write_stall, parsers::limit);
    });
}
