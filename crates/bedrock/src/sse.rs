//! Decodes server-sent events from arbitrarily cut chunks, without IO: of each event only its data, whose lines
//! are joined by a line feed. Names, ids, comments and retry times are skipped, because every event that the
//! services send names itself in its data.

use bytes::{Buf, Bytes, BytesMut};

use super::frames::MAX_FRAME;

/// The end of a line.
const LF: u8 = b'\n';
const CR: u8 = b'\r';
const FIELD: &[u8] = b"data:";

/// An event that is longer than a frame may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {MAX_FRAME} bytes")]
pub(super) struct EventTooLong;

/// Decodes events: `push` received bytes, then call `next` until it returns none.
#[derive(Debug, Default)]
pub(super) struct SseDecoder {
    /// Bytes that are not yet a line.
    buffer: BytesMut,
    /// Bytes of the buffer that hold no end of a line.
    searched: usize,
    /// Data of the event that is being read.
    data: Option<Data>,
}

#[derive(Debug)]
enum Data {
    Line(Bytes),
    Lines(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Line(line) => line.len(),
            Self::Lines(lines) => lines.len(),
        }
    }
}

impl SseDecoder {
    /// A decoder at the start of a stream.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds bytes in the order received.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The data of the next event; `None` if it has not arrived completely.
    ///
    /// # Errors
    /// The event is too long.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, EventTooLong> {
        while let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == LF) {
            let mut line = self.buffer.split_to(self.searched + at).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if line.last() == Some(&CR) {
                line.truncate(line.len() - 1);
            }
            if line.is_empty() {
                if let Some(data) = self.data.take() {
                    return Ok(Some(match data {
                        Data::Line(line) => line,
                        Data::Lines(lines) => lines.freeze(),
                    }));
                }
            } else if line.starts_with(FIELD) {
                line.advance(FIELD.len());
                if line.first() == Some(&b' ') {
                    line.advance(1);
                }
                self.add(line);
            }
            self.check()?;
        }
        self.searched = self.buffer.len();
        self.check()?;
        Ok(None)
    }

    /// The event that the end of the stream completes, if a blank line is missing.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        self.push(b"\n\n");
        self.next().ok().flatten()
    }

    fn add(&mut self, line: Bytes) {
        self.data = Some(match self.data.take() {
            None => Data::Line(line),
            Some(before) => {
                let mut lines = match before {
                    Data::Line(first) => BytesMut::from(&*first),
                    Data::Lines(lines) => lines,
                };
                lines.extend_from_slice(&[LF]);
                lines.extend_from_slice(&line);
                Data::Lines(lines)
            }
        });
    }

    fn check(&self) -> Result<(), EventTooLong> {
        let held = self.data.as_ref().map_or(0, Data::len);
        if held + self.buffer.len().min(self.searched) > MAX_FRAME {
            Err(EventTooLong)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data of all events, cut into chunks of this size.
    fn decoded(text: &str, size: usize) -> Vec<String> {
        let (mut decoder, mut all) = (SseDecoder::new(), Vec::new());
        for chunk in text.as_bytes().chunks(size) {
            decoder.push(chunk);
            while let Some(data) = decoder.next().unwrap() {
                all.push(String::from_utf8(data.to_vec()).unwrap());
            }
        }
        all.extend(decoder.finish().map(|data| String::from_utf8(data.to_vec()).unwrap()));
        all
    }

    const STREAM: &str = "data: {\"a\":1}\nevent: x\n\n: comment\r\n\r\nevent: y\r\ndata:{\"b\":2}\r\n\r\n\n\nid: 7\ndata: 1\ndata: 2\ndata:\n\ndata: [DONE]";

    #[test]
    fn only_data_is_read_in_any_order_of_fields() {
        let expected = ["{\"a\":1}", "{\"b\":2}", "1\n2\n", "[DONE]"];
        assert_eq!(decoded(STREAM, STREAM.len()), expected);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(size in 1_usize..STREAM.len()) {
            prop_assert_eq!(decoded(STREAM, size), decoded(STREAM, STREAM.len()));
        }
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut decoder = SseDecoder::new();
        decoder.push(b"data: ");
        decoder.push(&vec![b'x'; MAX_FRAME]);
        assert_eq!(decoder.next(), Err(EventTooLong));
        let mut decoder = SseDecoder::new();
        let line = [b"data: ".as_slice(), &vec![b'x'; MAX_FRAME / 2 + 1], b"\n"].concat();
        decoder.push(&line);
        assert_eq!(decoder.next(), Ok(None));
        decoder.push(&line);
        assert_eq!(decoder.next(), Err(EventTooLong));
    }
}
