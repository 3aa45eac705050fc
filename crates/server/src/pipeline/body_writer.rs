//! Serialises request bodies up to Bedrock's size limit.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use translate::{BODY_LIMIT, Invalid};

use super::parsed_request::Untranslated;

/// Bytes a body may need beyond the length of its source.
const ROOM: usize = 1024;

/// Serialises the body of a call, made from a request of `length` bytes. It may become larger than its
/// source; writing stops at the largest size that can be sent.
///
/// # Errors
/// The body is too large.
pub(crate) fn written(body: &impl Serialize, length: usize) -> Result<Bytes, Untranslated> {
    let mut writer = Writer(Vec::with_capacity(length.min(BODY_LIMIT) + ROOM));
    match serde_json::to_writer(&mut writer, body) {
        Ok(()) => Ok(writer.0.into()),
        Err(error) if error.is_io() => Err(too_large().into()),
        Err(error) => Err(error.into()),
    }
}

/// The refusal of a body that is too large to be sent.
pub(super) fn too_large() -> Invalid {
    let message = format!(
        "The request has more than {BODY_LIMIT} bytes as it is sent to the model, and no more can be sent. Send fewer or smaller messages, media and tools."
    );
    Invalid::value("messages", message).with_code("request_too_large")
}

struct Writer(Vec<u8>);

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > BODY_LIMIT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_serialised_up_to_the_limit() {
        let text = |length: usize| "x".repeat(length);
        let fits = written(&text(BODY_LIMIT - 2), 10).unwrap();
        assert_eq!(fits.len(), BODY_LIMIT);
        for length in [BODY_LIMIT - 1, BODY_LIMIT + 1_000] {
            match written(&text(length), length) {
                Err(Untranslated::Invalid(invalid)) => {
                    assert_eq!(invalid.code, "request_too_large");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
