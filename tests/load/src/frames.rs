//! Frames of an AWS event stream, as Bedrock writes them.

/// One event.
pub fn event(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    let pairs =
        [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    for (name, value) in pairs {
        headers.push(name.len() as u8);
        headers.extend_from_slice(name.as_bytes());
        // The type of a string.
        headers.push(7);
        headers.extend_from_slice(&(value.len() as u16).to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = 16 + headers.len() + payload.len();
    let mut frame = Vec::with_capacity(total);
    frame.extend_from_slice(&(total as u32).to_be_bytes());
    frame.extend_from_slice(&(headers.len() as u32).to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}
