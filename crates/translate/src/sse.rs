//! Server-sent events, as OpenAI's SDKs parse them: one `data:` line, one blank line, never `id:`
//! or `retry:`. Each event is written whole, so it can be flushed whole.

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use crate::answer_stream::Unwritable;

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
