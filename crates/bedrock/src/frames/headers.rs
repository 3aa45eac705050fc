//! The headers of one complete frame, read where they lie. Most frames are one event of a few dozen bytes, for
//! which a list of owned headers costs more than everything else that happens to it.

use std::ops::Range;

use super::{FrameError, PRELUDE};

const CHECKSUM: usize = 4;

/// The headers that say what a frame is, and the place of its payload. The first of duplicates counts, as in
/// AWS's SDK, and only strings do.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Headers<'f> {
    pub(super) message_type: Option<&'f str>,
    pub(super) event_type: Option<&'f str>,
    pub(super) exception_type: Option<&'f str>,
    pub(super) error_code: Option<&'f str>,
    pub(super) error_message: Option<&'f str>,
    pub(super) payload: Range<usize>,
}

/// The value of a header.
enum Value<'f> {
    Text(&'f str),
    Other,
}

/// Reads a frame whose prelude was checked and matches its length.
///
/// # Errors
/// The checksum is wrong, or the headers do not fill their part of the frame.
pub(super) fn of(frame: &[u8]) -> Result<Headers<'_>, FrameError> {
    let (content, checksum) = frame.split_last_chunk::<CHECKSUM>().ok_or(FrameError::Headers)?;
    if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
        return Err(FrameError::MessageChecksum);
    }
    read(content).ok_or(FrameError::Headers)
}

fn read(content: &[u8]) -> Option<Headers<'_>> {
    let length = u32::from_be_bytes(*content.get(4..)?.first_chunk()?);
    let end = PRELUDE.checked_add(usize::try_from(length).ok()?)?;
    let mut rest = content.get(PRELUDE..end)?;
    let mut headers = Headers { payload: end..content.len(), ..Headers::default() };
    while !rest.is_empty() {
        let name_length = usize::from(take::<1>(&mut rest)?[0]);
        let name = cut(&mut rest, name_length)?;
        let value = value(&mut rest)?;
        let place = match name {
            b":message-type" => &mut headers.message_type,
            b":event-type" => &mut headers.event_type,
            b":exception-type" => &mut headers.exception_type,
            b":error-code" => &mut headers.error_code,
            b":error-message" => &mut headers.error_message,
            _ => {
                std::str::from_utf8(name).ok()?;
                continue;
            }
        };
        if let (None, Value::Text(text)) = (&place, value) {
            *place = Some(text);
        }
    }
    Some(headers)
}

/// Reads a value by its type, from `vnd.amazon.eventstream`.
fn value<'f>(rest: &mut &'f [u8]) -> Option<Value<'f>> {
    let length = match take::<1>(rest)?[0] {
        // True and false.
        0 | 1 => 0,
        // Integers of one, two, four and eight bytes, bytes, text, a time, a UUID.
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 => {
            let length = u16::from_be_bytes(take(rest)?);
            usize::from(length)
        }
        7 => {
            let length = u16::from_be_bytes(take(rest)?);
            return std::str::from_utf8(cut(rest, length.into())?).ok().map(Value::Text);
        }
        9 => 16,
        _ => return None,
    };
    cut(rest, length)?;
    Some(Value::Other)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn cut<'f>(rest: &mut &'f [u8], length: usize) -> Option<&'f [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}
