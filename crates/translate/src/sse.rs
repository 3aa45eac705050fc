//! Server-sent events, as OpenAI's and Anthropic's SDKs parse them: perhaps a name, one `data:` line,
//! one blank line, never `id:` or `retry:`. Each event is written whole, so it can be flushed whole.

use bytes::{BufMut, BytesMut};
use schema::openai::error::{Envelope, ErrorBody};
use serde::Serialize;

use crate::answer_stream::{StreamFailure, Unwritable};

/// The end of a stream that is complete.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// A comment: keeps idle connections open, invisible to SDKs.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Appends `value` as one event.
///
/// # Errors
/// The value cannot be JSON. A part of the event may then have been written.
pub fn write(out: &mut BytesMut, value: &impl Serialize) -> Result<(), Unwritable> {
    out.extend_from_slice(b"data: ");
    serde_json::to_writer((&mut *out).writer(), value)?;
    out.extend_from_slice(b"\n\n");
    Ok(())
}

/// Appends a failure as the last event of a stream in which OpenAI's SDKs look for an `error` member.
pub(crate) fn write_failure(
    out: &mut BytesMut,
    failure: &StreamFailure<'_>,
) -> Result<(), Unwritable> {
    let StreamFailure { status: _, kind, code, param, message, retry_after_ms: _ } = *failure;
    write(out, &Envelope { error: ErrorBody { message, kind, param, code } })
}

/// Appends `value` as one event with a name.
///
/// # Errors
/// As [`write`].
pub fn write_named(
    out: &mut BytesMut,
    name: &str,
    value: &impl Serialize,
) -> Result<(), Unwritable> {
    name_event(out, name);
    write(out, value)
}

/// Appends the name of the event that follows.
pub(crate) fn name_event(out: &mut BytesMut, name: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\n");
}

/// An event whose like is sent for every token: it differs from the others of its stream in one text
/// only, so that everything around the text is serialised once.
#[derive(Debug, Clone)]
pub(crate) struct TextEvent {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl TextEvent {
    /// Stands for the text in the value that [`Self::new`] takes.
    pub(crate) const MARK: &'static str = "\u{1}\u{2}";
    const WRITTEN: &'static [u8] = br#""\u0001\u0002""#;

    /// The event of a value that holds [`Self::MARK`], the last time it occurs, in place of the text.
    /// `None` if the value does not hold it.
    pub(crate) fn new(marked: &impl Serialize) -> Result<Option<Self>, Unwritable> {
        let mut event = BytesMut::new();
        write(&mut event, marked)?;
        Ok(Self::of(&event))
    }

    /// As [`Self::new`], of an event with a name.
    pub(crate) fn named(name: &str, marked: &impl Serialize) -> Result<Option<Self>, Unwritable> {
        let mut event = BytesMut::new();
        write_named(&mut event, name, marked)?;
        Ok(Self::of(&event))
    }

    fn of(event: &[u8]) -> Option<Self> {
        let mark = Self::WRITTEN;
        let at = event.windows(mark.len()).rposition(|window| window == mark);
        at.map(|at| Self { head: event[..at].to_vec(), tail: event[at + mark.len()..].to_vec() })
    }

    /// Appends the event with this text.
    pub(crate) fn write(&self, out: &mut BytesMut, text: &str) -> Result<(), Unwritable> {
        out.reserve(self.head.len() + text.len() + self.tail.len() + QUOTES);
        out.extend_from_slice(&self.head);
        serde_json::to_writer((&mut *out).writer(), text)?;
        out.extend_from_slice(&self.tail);
        Ok(())
    }
}

/// Bytes of the quotes around a text.
const QUOTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Event<'a> {
        model: &'a str,
        text: &'a str,
        after: Option<&'a str>,
    }

    #[test]
    fn an_event_with_a_text_has_the_bytes_of_the_whole_event() {
        for (model, after) in [("m", None), (TextEvent::MARK, Some("\u{e9}\n"))] {
            let mark = TextEvent::MARK;
            let event = TextEvent::new(&Event { model, text: mark, after }).unwrap().unwrap();
            for text in ["", "a", "\"quoted\" \\ \n\u{1}\u{2}", "Gr\u{fc}\u{df}e \u{1f30d}"] {
                let (mut whole, mut out) = (BytesMut::new(), BytesMut::new());
                write(&mut whole, &Event { model, text, after }).unwrap();
                event.write(&mut out, text).unwrap();
                assert_eq!(out, whole, "{text:?}");
            }
        }
        assert!(TextEvent::new(&Event { model: "m", text: "", after: None }).unwrap().is_none());
    }
}
