//! Base64 as text: checked, measured, and decoded only where its content is needed. Bytes are
//! passed on as the original text; decoding megabytes only to encode them again would be most of a
//! call's cost.

use std::ops::Range;

/// Bytes at the beginning of a file that are searched for its format.
pub(super) const HEAD: usize = 3072;
/// Bytes that are checked before the first wrong one counts.
const CHUNK: usize = 256;

/// Returns whether the text is base64 in the standard alphabet, padded to a multiple of four, and
/// not empty.
pub(crate) fn is_valid(data: &str) -> bool {
    let digits = digits(data);
    !digits.is_empty()
        && data.len().is_multiple_of(4)
        && digits.chunks(CHUNK).all(|chunk| chunk.iter().fold(true, |all, &b| all & is_digit(b)))
}

/// Whether a byte is a digit of base64, without a branch: the compiler then compares many bytes at a time.
fn is_digit(b: u8) -> bool {
    let is_in = |first: u8, count: u8| b.wrapping_sub(first) < count;
    is_in(b'A', 26) | is_in(b'a', 26) | is_in(b'0', 10) | (b == b'+') | (b == b'/')
}

/// Decoded length of valid base64, in bytes.
pub(crate) fn decoded_len(data: &str) -> usize {
    digits(data).len() * 3 / 4
}

/// The first bytes, up to a few thousand.
pub(crate) fn head(data: &str) -> Vec<u8> {
    let digits = digits(data);
    decode(&digits[..digits.len().min(HEAD / 3 * 4)])
}

/// The last bytes, up to a few thousand.
pub(super) fn tail(data: &str) -> Vec<u8> {
    let digits = digits(data);
    // Starts at a boundary of four digits, because the bytes would be shifted otherwise.
    let from = digits.len().saturating_sub(HEAD / 3 * 4).next_multiple_of(4);
    decode(digits.get(from..).unwrap_or_default())
}

/// The bytes at these places, as far as there are any.
pub(crate) fn range(data: &str, places: Range<usize>) -> Vec<u8> {
    let digits = digits(data);
    let from = (places.start / 3 * 4).min(digits.len());
    let to = places.end.div_ceil(3).saturating_mul(4).clamp(from, digits.len());
    let mut bytes = decode(&digits[from..to]);
    bytes.truncate(places.end.saturating_sub(places.start / 3 * 3));
    bytes.drain(..(places.start % 3).min(bytes.len()));
    bytes
}

/// All bytes.
pub(super) fn whole(data: &str) -> Vec<u8> {
    decode(digits(data))
}

/// Appends a piece of the same bytes. A piece with padding cannot be extended as text, so it is
/// decoded first.
pub(crate) fn join(data: &mut String, more: &str) {
    if !data.ends_with('=') || !is_valid(data) || !is_valid(more) {
        data.push_str(more);
        return;
    }
    let mut bytes = whole(data);
    bytes.extend(whole(more));
    *data = encode(&bytes);
}

/// Bytes as text, padded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or_default())
        });
        for at in 0..4 {
            let digit = DIGITS[bits >> (18 - 6 * at) & 63];
            text.push(if at <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn digits(data: &str) -> &[u8] {
    match data.as_bytes() {
        [digits @ .., b'=', b'='] | [digits @ .., b'='] => digits,
        digits => digits,
    }
}

fn decode(digits: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0u32, |bits, &digit| bits << 6 | u32::from(value(digit)));
        let [_, triple @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        bytes.extend_from_slice(&triple[..group.len() * 3 / 4]);
    }
    bytes
}

fn value(digit: u8) -> u8 {
    match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn agrees_with_the_usual_decoder() {
        for length in (0..70).chain([HEAD - 1, HEAD, HEAD + 1, 2 * HEAD + 2, 10_000]) {
            let bytes: Vec<u8> = (0..length).map(|at: usize| (at * 37 % 251) as u8).collect();
            let text = STANDARD.encode(&bytes);
            assert_eq!(is_valid(&text), length > 0);
            assert_eq!(decoded_len(&text), length);
            assert_eq!(whole(&text), bytes);
            assert!(bytes.starts_with(&head(&text)) && head(&text).len() == length.min(HEAD));
            let tail = tail(&text);
            assert!(bytes.ends_with(&tail) && tail.len() + 3 > length.min(HEAD), "{length}");
        }
    }

    #[test]
    fn invalid_base64_is_recognised() {
        for text in ["", "=", "====", "AAA", "A=AA", "AA A", "AA-_", "AAAA=", "ÄÄ"] {
            assert!(!is_valid(text), "{text}");
        }
        for byte in 0..=u8::MAX {
            let usual = byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
            assert_eq!(is_digit(byte), usual, "{byte}");
        }
        let mut long = "A".repeat(CHUNK * 3);
        assert!(is_valid(&long));
        long.replace_range(CHUNK * 2 + 1..CHUNK * 2 + 2, "-");
        assert!(!is_valid(&long));
    }

    #[test]
    fn pieces_are_joined_by_their_decoded_bytes() {
        for (pieces, whole) in [
            (["Zm9v", "YmFy"], "Zm9vYmFy"),
            (["Zm8=", "b2I="], "Zm9vYg=="),
            (["Zg==", "bw=="], "Zm8="),
            (["Zg==", "b29iYXI="], "Zm9vYmFy"),
            // Cut at any character.
            (["Zm9vY", "mFy"], "Zm9vYmFy"),
        ] {
            let mut data = String::new();
            pieces.iter().for_each(|piece| join(&mut data, piece));
            assert_eq!(data, whole, "{pieces:?}");
        }
    }
}
