//! Token usage of a call, read from the bytes that pass through: from the headers of InvokeModel, from the
//! metadata event or the last chunk of a stream, from the end of a unary response. Also detects the failure
//! of a stream: the client sees it in the stream, the target's health does not.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use schema::converse::response::{CacheWrites, TokenUsage};
use translate::guardrail::verdict::Units;
use translate::spent::{BilledTier, Spent};

use bedrock::{Failure, Frame, FrameDecoder, FrameKind, ServiceError};

mod counts;

/// Longest unary response that is parsed; of a larger one the end is read.
const WHOLE_LIMIT: usize = 4 * 1024 * 1024;
/// Bytes of a large response's end that are read: the usage stands behind the answer.
const TAIL: usize = 64 * 1024;
/// Header with the tier that served a call of InvokeModel.
const SERVICE_TIER: &str = "x-amzn-bedrock-service-tier";

/// Observes one response.
pub(crate) enum Tap {
    /// The headers have stated the usage.
    Known(TokenUsage, BilledTier),
    /// Frames of an event stream; the last event states the usage.
    Frames(Box<Frames>),
    /// A unary response, which states the usage, or only cache writes by lifetime if the headers have
    /// stated the rest.
    Unary { stated: Option<(TokenUsage, BilledTier)>, kept: Kept },
    /// No usage available.
    Blind,
}

/// The part of a unary response that is kept.
pub(crate) enum Kept {
    /// All of it, as it came.
    Whole { pieces: Vec<Bytes>, length: usize },
    /// The end, of at least [`TAIL`] bytes.
    End(Vec<u8>),
}

/// State of a stream of frames.
#[derive(Default)]
pub(crate) struct Frames {
    decoder: FrameDecoder,
    last: Option<Frame>,
    /// Cache writes by lifetime, which the first chunk of InvokeModelWithResponseStream states.
    writes: Option<CacheWrites>,
    /// Whether a message has begun and not stopped.
    is_open: bool,
    failure: Option<Failure>,
    /// Whether the rest of the stream is of no interest.
    is_over: bool,
}

impl Tap {
    /// A tap for a response with these headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let count = |name| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        if let Some(input_tokens) = count("x-amzn-bedrock-input-token-count") {
            let stated = TokenUsage {
                input_tokens,
                output_tokens: count("x-amzn-bedrock-output-token-count").unwrap_or(0),
                cache_read_input_tokens: count("x-amzn-bedrock-cache-read-input-token-count")
                    .unwrap_or(0),
                cache_write_input_tokens: count("x-amzn-bedrock-cache-write-input-token-count")
                    .unwrap_or(0),
                ..TokenUsage::default()
            };
            let tier = headers.get(SERVICE_TIER).map(|tier| tier.to_str().unwrap_or_default());
            let tier = tier.map_or(BilledTier::Standard, BilledTier::named);
            return match stated.cache_write_input_tokens {
                0 => Self::Known(stated, tier),
                _ => Self::Unary { stated: Some((stated, tier)), kept: Kept::default() },
            };
        }
        match headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes) {
            Some(b"application/vnd.amazon.eventstream") => Self::Frames(Box::default()),
            Some(b"application/json") => Self::Unary { stated: None, kept: Kept::default() },
            _ => Self::Blind,
        }
    }

    /// Reads a chunk.
    pub(crate) fn see(&mut self, piece: &Bytes) {
        match self {
            Self::Known(..) | Self::Blind => {}
            Self::Unary { stated: _, kept } => kept.see(piece),
            Self::Frames(frames) => frames.see(piece),
        }
    }

    /// The failure that the stream has reported since the last call of this method.
    pub(crate) fn failure(&mut self) -> Option<Failure> {
        match self {
            Self::Frames(frames) => frames.failure.take(),
            Self::Known(..) | Self::Unary { .. } | Self::Blind => None,
        }
    }

    /// Whether this is a stream of frames with neither an open frame nor a failure: another frame may be
    /// appended.
    pub(crate) fn is_between_frames(&self) -> bool {
        match self {
            Self::Frames(frames) => !frames.is_over && frames.decoder.buffered() == 0,
            Self::Known(..) | Self::Unary { .. } | Self::Blind => false,
        }
    }

    /// The error of a stream whose body ends here, if any.
    pub(crate) fn failure_at_end(&mut self) -> Option<Failure> {
        match self {
            Self::Frames(frames) => frames.failure_at_end(),
            Self::Known(..) | Self::Unary { .. } | Self::Blind => None,
        }
    }

    /// The units that a guardrail states in its answer.
    pub(crate) fn guardrail_units(&self) -> Option<Units> {
        match self {
            Self::Unary { stated: _, kept } => counts::guardrail_units(&kept.whole()?),
            Self::Known(..) | Self::Frames(_) | Self::Blind => None,
        }
    }

    /// The usage found, and the tier that served the call.
    pub(crate) fn finish(self) -> Spent {
        let found = match self {
            Self::Known(usage, tier) => Some((usage, tier)),
            Self::Frames(frames) => frames.usage(),
            Self::Unary { stated: None, kept } => kept.usage(),
            Self::Unary { stated: Some((stated, tier)), kept } => {
                let (found, _) = kept.usage().unwrap_or_default();
                Some((with_writes(stated, found.cache_details), tier))
            }
            Self::Blind => None,
        };
        let (usage, tier) = found.unzip();
        Spent::counted(usage, tier.unwrap_or_default())
    }
}

/// The usage with its cache writes by lifetime, unless they are unknown.
fn with_writes(usage: TokenUsage, writes: CacheWrites) -> TokenUsage {
    match usage.cache_details == CacheWrites::default() {
        true => TokenUsage { cache_details: writes, ..usage },
        false => usage,
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self::Whole { pieces: Vec::new(), length: 0 }
    }
}

impl Kept {
    fn see(&mut self, piece: &Bytes) {
        match self {
            Self::Whole { pieces, length } => {
                *length += piece.len();
                pieces.push(piece.clone());
                if *length > WHOLE_LIMIT {
                    let mut end = Vec::with_capacity(2 * TAIL);
                    pieces.iter().for_each(|piece| keep_end(&mut end, piece));
                    *self = Self::End(end);
                }
            }
            Self::End(end) => keep_end(end, piece),
        }
    }

    /// The response, unless only its end is kept.
    fn whole(&self) -> Option<Cow<'_, [u8]>> {
        let Self::Whole { pieces, .. } = self else { return None };
        Some(match &pieces[..] {
            [piece] => Cow::Borrowed(piece),
            pieces => Cow::Owned(pieces.concat()),
        })
    }

    fn usage(self) -> Option<(TokenUsage, BilledTier)> {
        match &self {
            Self::Whole { .. } => counts::in_body(&self.whole()?),
            // The tier stands before the answer or behind it, by the order of the service.
            Self::End(end) => Some((counts::in_tail(end)?, BilledTier::Unknown)),
        }
    }
}

/// Appends a piece, and removes what is further from the end than is kept.
fn keep_end(end: &mut Vec<u8>, piece: &[u8]) {
    let piece = &piece[piece.len().saturating_sub(TAIL)..];
    if end.len() + piece.len() > 2 * TAIL {
        end.drain(..end.len() - TAIL);
    }
    end.extend_from_slice(piece);
}

impl Frames {
    fn see(&mut self, piece: &Bytes) {
        self.decoder.push(piece.clone());
        while !self.is_over {
            match self.decoder.next() {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => break,
                // The client gets damaged bytes too, and detects the damage itself.
                Err(error) => self.fail(error.into()),
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        match &frame.kind {
            FrameKind::Event(name) if name == "messageStart" => self.is_open = true,
            FrameKind::Event(name) if name == "messageStop" => self.is_open = false,
            FrameKind::Event(_)
            | FrameKind::Exception(_)
            | FrameKind::Error { .. }
            | FrameKind::Unknown(_) => {}
        }
        if let Some(error) = ServiceError::of_frame(&frame) {
            self.fail(error.into());
        }
        if self.last.is_none()
            && let FrameKind::Event(name) = &frame.kind
            && name == "chunk"
        {
            self.writes = counts::writes_in_first_chunk(&frame.payload);
        }
        self.last = Some(frame);
    }

    fn usage(&self) -> Option<(TokenUsage, BilledTier)> {
        let last = self.last.as_ref()?;
        match &last.kind {
            FrameKind::Event(name) if name == "metadata" => counts::in_body(&last.payload),
            FrameKind::Event(name) if name == "chunk" => {
                let usage = counts::in_last_chunk(&last.payload)?;
                let writes = self.writes.unwrap_or_default();
                Some((with_writes(usage, writes), BilledTier::Standard))
            }
            FrameKind::Event(_)
            | FrameKind::Exception(_)
            | FrameKind::Error { .. }
            | FrameKind::Unknown(_) => None,
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.is_over = true;
    }

    fn failure_at_end(&mut self) -> Option<Failure> {
        if self.is_over {
            return self.failure.take();
        }
        self.is_over = true;
        match self.decoder.finish() {
            Err(error) => Some(error.into()),
            Ok(()) if self.is_open => {
                Some(Failure::Truncated("its body ended before its message".to_owned()))
            }
            Ok(()) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn read(headers: &[(&'static str, &'static str)], pieces: &[&[u8]]) -> Option<(u64, u64)> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let mut tap = Tap::of(&headers);
        for piece in pieces {
            tap.see(&Bytes::copy_from_slice(piece));
        }
        tap.finish().usage().map(|usage| (usage.input_tokens, usage.output_tokens))
    }

    #[test]
    fn headers_and_unary_responses_state_their_usage() {
        let counts =
            [("x-amzn-bedrock-input-token-count", "3"), ("x-amzn-bedrock-output-token-count", "4")];
        assert_eq!(read(&counts, &[b"whatever"]), Some((3, 4)));
        let json = [("content-type", "application/json")];
        let halves: [&[u8]; 2] =
            [br#"{"output":{},"usage":{"inputTok"#, br#"ens":5,"outputTokens":6}}"#];
        assert_eq!(read(&json, &halves), Some((5, 6)));
        assert_eq!(read(&json, &[b"{}"]), None);
        assert_eq!(read(&[("content-type", "text/html")], &[b"{}"]), None);
    }

    fn writes(headers: &[(&'static str, &'static str)], pieces: &[&[u8]]) -> [u64; 3] {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let mut tap = Tap::of(&headers);
        for piece in pieces {
            tap.see(&Bytes::copy_from_slice(piece));
        }
        let usage = tap.finish().usage().unwrap();
        let CacheWrites { five_minutes, one_hour } = usage.cache_details;
        [usage.cache_write_input_tokens, five_minutes, one_hour]
    }

    #[test]
    fn cache_writes_are_told_apart_by_the_body() {
        let headers = [
            ("x-amzn-bedrock-input-token-count", "3"),
            ("x-amzn-bedrock-output-token-count", "4"),
            ("x-amzn-bedrock-cache-write-input-token-count", "9"),
        ];
        let body = br#"{"usage":{"input_tokens":3,"output_tokens":4,"cache_creation_input_tokens":9,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":7}}}"#;
        assert_eq!(writes(&headers, &[&body[..20], &body[20..]]), [9, 2, 7]);
        assert_eq!(writes(&headers, &[b"{}"]), [9, 0, 0], "the headers stand without the body");

        let stream = [("content-type", "application/vnd.amazon.eventstream")];
        let chunk = |text: &[u8]| {
            let payload = format!(r#"{{"bytes":"{}"}}"#, STANDARD.encode(text));
            frame(":event-type", "chunk", payload.as_bytes())
        };
        let first = chunk(br#"{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":7}}}}"#);
        let last = chunk(br#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":3,"outputTokenCount":4,"cacheWriteInputTokenCount":9}}"#);
        assert_eq!(writes(&stream, &[&first, &last]), [9, 2, 7]);
        assert_eq!(writes(&stream, &[&last]), [9, 0, 0]);
    }

    #[test]
    fn a_large_response_is_read_at_its_end() {
        let json = [("content-type", "application/json")];
        let text = "x".repeat(WHOLE_LIMIT);
        let head = format!(r#"{{"output":{{"message":"{text}"#);
        let end = br#""},"usage":{"inputTokens":5,"outputTokens":6}}"#;
        for size in [1000, TAIL - 1, 3 * TAIL, head.len()] {
            let pieces: Vec<&[u8]> = head.as_bytes().chunks(size).chain([&end[..]]).collect();
            assert_eq!(read(&json, &pieces), Some((5, 6)), "pieces of {size}");
            let pieces: Vec<&[u8]> = head.as_bytes().chunks(size).chain(end.chunks(7)).collect();
            assert_eq!(read(&json, &pieces), Some((5, 6)), "pieces of {size}, an end in pieces");
        }
    }

    /// A frame with the two headers for its type.
    fn frame(kind: &str, name: &str, payload: &[u8]) -> Vec<u8> {
        let message_type = if kind == ":event-type" { "event" } else { "exception" };
        let mut headers = Vec::new();
        for (name, value) in [(kind, name), (":message-type", message_type)] {
            headers.push(u8::try_from(name.len()).unwrap());
            headers.extend(name.as_bytes());
            headers.push(7);
            headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            headers.extend(value.as_bytes());
        }
        let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
        let mut frame = total.to_be_bytes().to_vec();
        frame.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame.extend(headers);
        frame.extend(payload);
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    #[test]
    fn the_last_event_of_a_stream_states_the_usage_however_it_is_cut() {
        let stream = [("content-type", "application/vnd.amazon.eventstream")];
        let metadata = br#"{"metrics":{},"usage":{"inputTokens":7,"outputTokens":8}}"#;
        let metrics = STANDARD.encode(
            r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":10}}"#,
        );
        let chunk = format!(r#"{{"bytes":"{metrics}","p":"abc"}}"#);
        for (last, expected) in [
            (frame(":event-type", "metadata", metadata), Some((7, 8))),
            (frame(":event-type", "chunk", chunk.as_bytes()), Some((9, 10))),
            (frame(":exception-type", "throttlingException", b"{}"), None),
        ] {
            let first = frame(":event-type", "contentBlockDelta", b"{}");
            let bytes = [&first[..], &last[..]].concat();
            for size in [1, 7, bytes.len()] {
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(read(&stream, &pieces), expected, "pieces of {size}");
            }
        }
        assert_eq!(read(&stream, &[b"no frames at all, but long enough to be one"]), None);
    }

    #[test]
    fn a_stream_reports_its_failure_once() {
        let headers = [("content-type", "application/vnd.amazon.eventstream")]
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let start = frame(":event-type", "messageStart", b"{}");
        let stop = frame(":event-type", "messageStop", b"{}");
        let chunk = frame(":event-type", "chunk", b"{}");
        let exception = frame(":exception-type", "throttlingException", b"{}");
        let mut flipped = stop.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (what, pieces, at_once, at_end) in [
            ("whole", vec![&start[..], &stop], false, false),
            ("of InvokeModel", vec![&chunk[..]], false, false),
            ("nothing", vec![], false, false),
            ("exception", vec![&start[..], &exception], true, false),
            ("damaged", vec![&start[..], &flipped, &stop], true, false),
            ("unfinished", vec![&start[..]], false, true),
            ("half a frame", vec![&chunk[..], &chunk[..9]], false, true),
        ] {
            let mut tap = Tap::of(&headers);
            for piece in pieces {
                tap.see(&Bytes::copy_from_slice(piece));
            }
            assert_eq!(tap.failure().is_some(), at_once, "{what}");
            assert_eq!(tap.failure_at_end().is_some(), at_end, "{what}");
            assert!(tap.failure().is_none() && tap.failure_at_end().is_none(), "{what}: once");
        }
    }
}
