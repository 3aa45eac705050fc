//! Decodes event-stream frames from arbitrarily cut chunks, without IO.
//!
//! The SDK's own streaming decoder waits for as many bytes as a frame's first four bytes announce before it
//! verifies their checksum: one flipped bit there stalls a stream for ever, and a hostile length makes it
//! buffer without limit. Here the length limit and the checksum of the twelve prelude bytes are checked
//! before more is buffered; the headers of a complete frame are read in place.

mod headers;

use std::borrow::Cow;
use std::collections::VecDeque;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::{Buf, Bytes, BytesMut};

const PRELUDE: usize = 12;
/// Prelude and trailing checksum: a frame with neither headers nor payload.
const MIN_FRAME: usize = 16;
const MAX_HEADERS: usize = 128 * 1024;
/// Longest frame accepted, in bytes: 16 MiB of payload, 128 KiB of headers and the framing.
pub const MAX_FRAME: usize = 16 * 1024 * 1024 + MAX_HEADERS + MIN_FRAME;
/// Capacity reserved for a frame that spans chunks; beyond it the buffer grows with the bytes received.
const FIRST_RESERVE: usize = 64 * 1024;

/// Names that Bedrock uses, so that a usual event needs no allocation for its name.
const KNOWN_NAMES: &[&str] = &[
    "contentBlockDelta",
    "contentBlockStart",
    "contentBlockStop",
    "messageStart",
    "messageStop",
    "metadata",
    "chunk",
];

/// One frame of an event stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The kind of frame, from its headers.
    pub kind: FrameKind,
    /// Its payload; JSON for events and exceptions.
    pub payload: Bytes,
}

/// Kind of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameKind {
    /// An event and its name, such as `contentBlockDelta`.
    Event(Cow<'static, str>),
    /// A modelled exception and its camelCase name, such as `throttlingException`.
    Exception(Cow<'static, str>),
    /// An error outside the service model.
    Error {
        /// `:error-code`
        code: String,
        /// `:error-message`
        message: String,
    },
    /// A message type that does not exist today; skipped by readers.
    Unknown(String),
}

/// Reasons why bytes are not a frame. A stream cannot continue after one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The first eight bytes do not match their checksum.
    #[error("the checksum of the prelude is wrong")]
    PreludeChecksum,
    /// The announced length is below 16 or above [`MAX_FRAME`].
    #[error("a length of {0} bytes is out of range")]
    Length(u32),
    /// The announced header length does not fit in the frame or is above 128 KiB.
    #[error("a header length of {0} bytes is out of range")]
    HeadersLength(u32),
    /// The frame is complete, but its checksum is wrong.
    #[error("the checksum of the message is wrong")]
    MessageChecksum,
    /// The frame is complete and its checksum is right, but its headers cannot be read.
    #[error("the headers of the message cannot be read")]
    Headers,
    /// `:message-type`, or the name that belongs to it, is missing or not a string.
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame ({have} bytes of it arrived)")]
    Truncated {
        /// Bytes of the incomplete frame that arrived.
        have: usize,
    },
}

/// Decodes frames from chunks: `push` received bytes, then call `next` until it returns none.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    chunks: VecDeque<Bytes>,
    /// Start of a frame that continues in a later chunk.
    partial: BytesMut,
    /// Length of the frame in `partial`, once its prelude was checked.
    checked: Option<usize>,
    failed: Option<FrameError>,
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes in the order received.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() && self.failed.is_none() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next complete frame; `None` means more bytes are needed.
    ///
    /// # Errors
    /// The first invalid frame ends the stream: every later call repeats its error.
    #[expect(
        clippy::should_implement_trait,
        reason = "a decoder that can need more is no iterator"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let frame = self.whole_frame().and_then(|bytes| bytes.as_ref().map(read_frame).transpose());
        if let Err(error) = &frame {
            self.failed = Some(error.clone());
            self.chunks.clear();
            self.partial = BytesMut::new();
        }
        frame
    }

    /// Checks for a complete frame at the end of the bytes.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if the end is not the end of a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match self.buffered() {
            0 => Ok(()),
            have => Err(FrameError::Truncated { have }),
        }
    }

    /// Bytes held that are not yet part of a returned frame.
    pub fn buffered(&self) -> usize {
        self.partial.len() + self.chunks.iter().map(Bytes::len).sum::<usize>()
    }

    /// Bytes of one complete frame: a slice of the chunk if it lies in one, or else a copy.
    fn whole_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        while let Some(chunk) = self.chunks.front_mut() {
            if self.partial.is_empty() && chunk.len() >= PRELUDE {
                let total = check_prelude(chunk)?;
                if chunk.len() >= total {
                    let frame = chunk.split_to(total);
                    if chunk.is_empty() {
                        self.chunks.pop_front();
                    }
                    return Ok(Some(frame));
                }
            }
            let wanted = match self.checked {
                Some(total) => total - self.partial.len(),
                None => PRELUDE.saturating_sub(self.partial.len()),
            };
            let taken = chunk.split_to(wanted.min(chunk.len()));
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
            self.partial.extend_from_slice(&taken);
            if self.checked.is_none() && self.partial.len() >= PRELUDE {
                let total = check_prelude(&self.partial)?;
                self.partial.reserve(total.min(FIRST_RESERVE).saturating_sub(self.partial.len()));
                self.checked = Some(total);
            }
            if self.checked == Some(self.partial.len()) {
                self.checked = None;
                return Ok(Some(std::mem::take(&mut self.partial).freeze()));
            }
        }
        Ok(None)
    }
}

/// A frame that reports an exception as Bedrock does; empty if it cannot be encoded.
pub fn exception(name: &'static str, message: &str) -> Bytes {
    let header = |name: &'static str, value: &'static str| {
        Header::new(name, HeaderValue::String(value.into()))
    };
    let payload = serde_json::json!({ "message": message }).to_string();
    let told = Message::new(payload)
        .add_header(header(":exception-type", name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "exception"));
    let mut bytes = BytesMut::new();
    match write_message_to(&told, &mut bytes) {
        Ok(()) => bytes.freeze(),
        Err(_) => Bytes::new(),
    }
}

/// Verifies the first twelve bytes of a frame and returns its total length.
fn check_prelude(mut bytes: &[u8]) -> Result<usize, FrameError> {
    let checksum = crc32fast::hash(bytes.get(..8).unwrap_or_default());
    let total = bytes.get_u32();
    let headers = bytes.get_u32();
    if bytes.get_u32() != checksum {
        return Err(FrameError::PreludeChecksum);
    }
    let length = total as usize;
    if !(MIN_FRAME..=MAX_FRAME).contains(&length) {
        return Err(FrameError::Length(total));
    }
    if headers as usize > (length - MIN_FRAME).min(MAX_HEADERS) {
        return Err(FrameError::HeadersLength(headers));
    }
    Ok(length)
}

fn read_frame(bytes: &Bytes) -> Result<Frame, FrameError> {
    let headers = headers::of(bytes)?;
    let named =
        |value: Option<&str>, name| value.map(interned).ok_or(FrameError::MissingHeader(name));
    let kind = match headers.message_type {
        Some("event") => FrameKind::Event(named(headers.event_type, ":event-type")?),
        Some("exception") => {
            FrameKind::Exception(named(headers.exception_type, ":exception-type")?)
        }
        Some("error") => FrameKind::Error {
            code: headers.error_code.ok_or(FrameError::MissingHeader(":error-code"))?.to_owned(),
            message: headers.error_message.unwrap_or_default().to_owned(),
        },
        Some(other) => FrameKind::Unknown(other.to_owned()),
        None => return Err(FrameError::MissingHeader(":message-type")),
    };
    Ok(Frame { kind, payload: bytes.slice(headers.payload) })
}

fn interned(name: &str) -> Cow<'static, str> {
    match KNOWN_NAMES.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
