//! Event-stream messages, byte for byte as Bedrock writes them: three headers in a fixed order, one
//! checksum over the prelude and one over the whole message, and a padding member in events.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

use crate::json::sorted;

/// Alphabet of the service's padding in event payloads: a prefix of this text.
const PADDING: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const STRING: u8 = 7;

/// An event with `payload` unchanged, without padding.
pub fn event(name: &str, payload: &[u8]) -> Bytes {
    encode(
        &[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")],
        payload,
    )
}

/// A modelled exception inside a stream; `name` starts in lower case, such as `throttlingException`.
pub fn exception(name: &str, message: &str) -> Bytes {
    encode(
        &[
            (":exception-type", name),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ],
        serde_json::json!({ "message": message }).to_string().as_bytes(),
    )
}

/// An error of the transport and not of the service: no payload, only a code and a message.
pub fn error(code: &str, message: &str) -> Bytes {
    encode(&[(":error-code", code), (":error-message", message), (":message-type", "error")], b"")
}

/// One message with string headers in the given order.
///
/// Header names longer than 255 bytes and values longer than 65,535 are cut to fit their
/// length fields.
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in headers {
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        let value = &value.as_bytes()[..value.len().min(usize::from(u16::MAX))];
        block.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        block.put_slice(name);
        block.put_u8(STRING);
        block.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        block.put_slice(value);
    }
    let total = 16 + block.len() + payload.len();
    let mut message = BytesMut::with_capacity(total);
    message.put_u32(u32::try_from(total).unwrap_or(u32::MAX));
    message.put_u32(u32::try_from(block.len()).unwrap_or(u32::MAX));
    message.put_u32(crc32fast::hash(&message));
    message.put_slice(&block);
    message.put_slice(payload);
    message.put_u32(crc32fast::hash(&message));
    message.freeze()
}

/// An event payload in the service's format: keys sorted, with the padding member `p` among them.
///
/// The length of the padding follows from the content, so the same event always gives the same bytes.
pub fn padded(mut payload: Value) -> Vec<u8> {
    let seed = crc32fast::hash(payload.to_string().as_bytes()) as usize;
    if let Value::Object(members) = &mut payload {
        members.insert("p".into(), Value::from(&PADDING[..seed % PADDING.len()]));
    }
    sorted(payload).to_string().into_bytes()
}

/// `frame` with a wrong message checksum.
pub fn corrupted(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&frame[..]);
    if let Some(last) = bytes.last_mut() {
        *last ^= 0xff;
    }
    bytes.freeze()
}

/// `frame` announcing a length of nearly 4 GiB, with a matching prelude checksum.
pub fn oversized(frame: &Bytes) -> Bytes {
    let mut bytes = BytesMut::from(&frame[..]);
    if bytes.len() >= 12 {
        bytes[..4].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..8]);
        bytes[8..12].copy_from_slice(&crc.to_be_bytes());
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_start_has_the_layout_of_the_service() {
        let payload = br#"{"p":"abcdefghijklmno","role":"assistant"}"#;
        let frame = event("messageStart", payload);
        assert_eq!(frame.len(), 0x8c, "total length as recorded for this payload");
        assert_eq!(&frame[..4], &0x8c_u32.to_be_bytes());
        assert_eq!(&frame[4..8], &0x52_u32.to_be_bytes());
        assert_eq!(&frame[8..12], &[0x94, b'Q', 0xb2, b'"']);
        assert!(frame[12..].starts_with(b"\x0b:event-type\x07\x00\x0cmessageStart\r:content-type"));
        assert_eq!(&frame[0x8c - 4..], &[0xa2, 0x02, 0x9d, b't']);
    }

    #[test]
    fn padding_is_sorted_in_and_repeatable() {
        let once = padded(json!({"role": "assistant"}));
        assert_eq!(once, padded(json!({"role": "assistant"})));
        let text = String::from_utf8(once).expect("utf-8");
        assert!(
            text.starts_with(r#"{"p":""#) && text.ends_with(r#","role":"assistant"}"#),
            "{text}"
        );
    }

    #[test]
    fn an_oversized_frame_keeps_a_right_prelude_checksum() {
        let frame = oversized(&event("messageStart", b"{}"));
        assert_eq!(crc32fast::hash(&frame[..8]).to_be_bytes(), frame[8..12]);
        assert_eq!(frame[..4], 0xffff_fff0_u32.to_be_bytes());
    }
}
