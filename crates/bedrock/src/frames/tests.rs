//! The frame decoder with cuts, corruption and noise.

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use aws_smithy_types::str_bytes::StrBytes;
use bytes::{BufMut, Bytes};
use proptest::prelude::*;

use super::*;

fn bytes_of(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut message = Message::new(payload.to_vec());
    for (name, value) in headers {
        message = message.add_header(Header::new(
            (*name).to_owned(),
            HeaderValue::String((*value).to_owned().into()),
        ));
    }
    let mut out = Vec::new();
    write_message_to(&message, &mut out).unwrap();
    out
}

fn event(name: &str, payload: &[u8]) -> Vec<u8> {
    let headers =
        [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    bytes_of(&headers, payload)
}

/// A prelude with a correct checksum and arbitrary lengths.
fn prelude(total: u32, headers: u32) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(total);
    out.put_u32(headers);
    out.put_u32(crc32fast::hash(&out));
    out
}

fn drain(decoder: &mut FrameDecoder) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next()? {
        frames.push(frame);
    }
    Ok(frames)
}

fn decode(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = FrameDecoder::new();
    decoder.push(Bytes::copy_from_slice(bytes));
    let frames = drain(&mut decoder)?;
    decoder.finish()?;
    Ok(frames)
}

#[test]
fn kinds_are_read_from_the_headers() {
    let mut stream = event("contentBlockDelta", b"{}");
    stream.extend(bytes_of(
        &[(":exception-type", "throttlingException"), (":message-type", "exception")],
        b"{\"message\":\"slow\"}",
    ));
    stream.extend(bytes_of(
        &[(":message-type", "error"), (":error-code", "E1"), (":error-message", "why")],
        b"",
    ));
    stream.extend(bytes_of(&[(":message-type", "novelty")], b""));
    let kinds: Vec<_> = decode(&stream).unwrap().into_iter().map(|frame| frame.kind).collect();
    assert_eq!(
        kinds,
        [
            FrameKind::Event("contentBlockDelta".into()),
            FrameKind::Exception("throttlingException".into()),
            FrameKind::Error { code: "E1".into(), message: "why".into() },
            FrameKind::Unknown("novelty".into()),
        ]
    );
}

#[test]
fn the_first_of_duplicate_headers_counts_and_missing_ones_are_an_error() {
    let twice = [(":event-type", "a"), (":event-type", "b"), (":message-type", "event")];
    assert_eq!(decode(&bytes_of(&twice, b"")).unwrap()[0].kind, FrameKind::Event("a".into()));
    assert_eq!(
        decode(&bytes_of(&[(":event-type", "a")], b"")),
        Err(FrameError::MissingHeader(":message-type"))
    );
    assert_eq!(
        decode(&bytes_of(&[(":message-type", "event")], b"")),
        Err(FrameError::MissingHeader(":event-type"))
    );
}

#[test]
fn hostile_preludes_are_refused_after_twelve_bytes() {
    let mut wrong_checksum = prelude(64, 0);
    wrong_checksum[11] ^= 1;
    let over = u32::try_from(MAX_FRAME + 1).unwrap();
    let cases = [
        (wrong_checksum, FrameError::PreludeChecksum),
        (b"\xff\xff\xff\xf0\0\0\0\0\xde\xad\xbe\xef".to_vec(), FrameError::PreludeChecksum),
        (prelude(u32::MAX - 15, 0), FrameError::Length(u32::MAX - 15)),
        (prelude(over, 0), FrameError::Length(over)),
        (prelude(15, 0), FrameError::Length(15)),
        (prelude(0, 0), FrameError::Length(0)),
        (prelude(100, 85), FrameError::HeadersLength(85)),
        (prelude(1 << 20, 128 * 1024 + 1), FrameError::HeadersLength(128 * 1024 + 1)),
    ];
    for (bytes, expected) in cases {
        // In one piece and byte by byte, to cover both paths.
        assert_eq!(decode(&bytes), Err(expected.clone()));
        let mut decoder = FrameDecoder::new();
        for byte in &bytes[..11] {
            decoder.push(Bytes::copy_from_slice(&[*byte]));
            assert_eq!(decoder.next(), Ok(None));
        }
        decoder.push(Bytes::copy_from_slice(&bytes[11..]));
        assert_eq!(decoder.next(), Err(expected.clone()));
        decoder.push(Bytes::from_static(&[0; 4096]));
        assert_eq!((decoder.next(), decoder.buffered()), (Err(expected), 0));
    }
}

#[test]
fn the_largest_frame_is_accepted_and_one_byte_more_is_refused() {
    let max = u32::try_from(MAX_FRAME).unwrap();
    let mut decoder = FrameDecoder::new();
    decoder.push(prelude(max, 0).into());
    assert_eq!(decoder.next(), Ok(None));
    assert!(
        decoder.partial.capacity() < 2 * FIRST_RESERVE,
        "nothing is reserved on a mere promise"
    );
}

#[test]
fn only_a_frame_that_spans_chunks_is_copied() {
    let stream = Bytes::from([event("a", b"first"), event("b", b"second")].concat());
    let mut decoder = FrameDecoder::new();
    decoder.push(stream.clone());
    assert_eq!(drain(&mut decoder).unwrap().len(), 2);
    assert_eq!(decoder.partial.capacity(), 0, "whole frames go to the parser as they lie");
    let cut = stream.len() - 3;
    decoder.push(stream.slice(..cut));
    assert_eq!(drain(&mut decoder).unwrap().len(), 1);
    assert_eq!(decoder.buffered(), decoder.partial.len(), "and only the second one is collected");
    decoder.push(stream.slice(cut..));
    assert_eq!(drain(&mut decoder).unwrap().len(), 1);
    assert_eq!(decoder.buffered(), 0);
}

fn some_events() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = prop_oneof![Just("contentBlockDelta".to_owned()), "[a-z]{1,12}"];
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    proptest::collection::vec((name, payload).prop_map(|(name, body)| event(&name, &body)), 1..8)
}

/// Headers of every type, with names that mean something among them.
fn some_headers() -> impl Strategy<Value = Vec<Header>> {
    let name = prop_oneof![
        Just(":message-type".to_owned()),
        Just(":event-type".to_owned()),
        Just(":exception-type".to_owned()),
        Just(":error-code".to_owned()),
        Just(":error-message".to_owned()),
        "[a-z:-]{1,20}",
    ];
    let value = prop_oneof![
        prop_oneof![Just("event"), Just("exception"), Just("error"), Just("chunk"), Just("")]
            .prop_map(|text| HeaderValue::String(text.into())),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i8>().prop_map(HeaderValue::Byte),
        any::<i16>().prop_map(HeaderValue::Int16),
        any::<i32>().prop_map(HeaderValue::Int32),
        any::<i64>().prop_map(HeaderValue::Int64),
        any::<u128>().prop_map(HeaderValue::Uuid),
        proptest::collection::vec(any::<u8>(), 0..9)
            .prop_map(|bytes| HeaderValue::ByteArray(bytes.into())),
    ];
    let header = (name, value).prop_map(|(name, value)| Header::new(name, value));
    proptest::collection::vec(header, 0..7)
}

/// The first header of a name in AWS's parser, if it is a string.
fn by_aws<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    let named = message.headers().iter().filter(|header| header.name().as_str() == name);
    named.map(Header::value).find_map(|value| value.as_string().ok()).map(StrBytes::as_str)
}

proptest! {
    #[test]
    fn headers_are_read_as_awss_parser_reads_them(
        headers in some_headers(),
        payload in proptest::collection::vec(any::<u8>(), 0..64),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut message = Message::new(payload);
        for header in headers {
            message = message.add_header(header);
        }
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        if let Some((at, value)) = damage {
            let at = PRELUDE + at.index(bytes.len() - MIN_FRAME + 1).min(bytes.len() - MIN_FRAME);
            bytes[at] = value;
            let end = bytes.len() - 4;
            let checksum = crc32fast::hash(&bytes[..end]);
            bytes[end..].copy_from_slice(&checksum.to_be_bytes());
        }
        match (headers::of(&bytes), read_message_from(&bytes[..])) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(ours.message_type, by_aws(&theirs, ":message-type"));
                prop_assert_eq!(ours.event_type, by_aws(&theirs, ":event-type"));
                prop_assert_eq!(ours.exception_type, by_aws(&theirs, ":exception-type"));
                prop_assert_eq!(ours.error_code, by_aws(&theirs, ":error-code"));
                prop_assert_eq!(ours.error_message, by_aws(&theirs, ":error-message"));
                prop_assert_eq!(&bytes[ours.payload], &theirs.payload()[..]);
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_frames(
        events in some_events(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        eager in any::<bool>(),
    ) {
        let stream = events.concat();
        let expected = decode(&stream).unwrap();
        prop_assert_eq!(expected.len(), events.len());
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        at.sort_unstable();
        at.push(stream.len());
        let (mut decoder, mut frames, mut from) = (FrameDecoder::new(), Vec::new(), 0);
        for to in at {
            decoder.push(Bytes::copy_from_slice(&stream[from..to]));
            from = to;
            if eager {
                frames.extend(drain(&mut decoder).unwrap());
            }
        }
        frames.extend(drain(&mut decoder).unwrap());
        prop_assert_eq!(frames, expected);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn one_flipped_bit_never_yields_an_event(
        payload in proptest::collection::vec(any::<u8>(), 0..64),
        position in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let mut bytes = event("contentBlockDelta", &payload);
        let at = position.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let result = decode(&bytes);
        prop_assert!(result.is_err(), "{result:?}");
        prop_assert!(!matches!(result, Err(FrameError::Truncated { .. })), "must not wait for more");
    }

    #[test]
    fn a_cut_stream_is_never_a_clean_end(events in some_events(), cut in any::<prop::sample::Index>()) {
        let stream = events.concat();
        let boundaries: Vec<usize> = events
            .iter()
            .scan(0, |end, event| { *end += event.len(); Some(*end) })
            .collect();
        let at = cut.index(stream.len());
        prop_assume!(at != 0 && !boundaries.contains(&at));
        let truncated = matches!(decode(&stream[..at]), Err(FrameError::Truncated { .. }));
        prop_assert!(truncated);
    }

    #[test]
    fn noise_never_panics_and_is_never_kept(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut decoder = FrameDecoder::new();
        decoder.push(Bytes::from(noise));
        if drain(&mut decoder).is_err() {
            prop_assert_eq!(decoder.buffered(), 0);
        }
    }

    #[test]
    fn noise_behind_a_valid_prelude_never_panics(
        headers in 0..64u32,
        noise in proptest::collection::vec(any::<u8>(), 64..128),
    ) {
        let total = u32::try_from(noise.len() + 12).unwrap();
        let mut bytes = prelude(total, headers);
        bytes.extend(noise);
        // The trailing checksum is repaired, so that the noise reaches the header parser.
        let end = bytes.len() - 4;
        let checksum = crc32fast::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_be_bytes());
        let _ = decode(&bytes);
    }
}
