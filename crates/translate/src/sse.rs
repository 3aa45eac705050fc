//! Server-sent events, as OpenAI's SDKs parse them: one `data:` line, one blank line, never `id:`
//! or `retry:`. Each event is written whole, so it can be flushed whole.

use std::io::{self, Write};

use serde::Serialize;

/// The end of a stream that is complete.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// A comment: keeps idle connections open, invisible to SDKs.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Writes `value` as one event.
///
/// # Errors
/// The writer's, or serde's for a value that cannot be JSON; neither happens into memory.
pub fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    out.write_all(b"data: ")?;
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n\n")
}
