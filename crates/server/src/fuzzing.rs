//! Properties that hold for any input. The fuzz targets in `fuzz/` call these functions with generated
//! bytes; the tests call them with the stored corpora, so that earlier findings stay fixed.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use schema::openai::chat::ChatRequest;
use serde_json::Value;
use translate::answer_stream::{AnswerStream, Progress};
use translate::chat::{ChatStream, question};
use translate::{Profile, Reply, Stamp, sse};

use crate::native::path::find;
use crate::sse::frames::step;
use bedrock::{Frame, FrameDecoder, FrameError};
use routing::catalogue::{Catalogue, ModelOverrides, Naming};

mod converse;
mod links;
mod replies;

/// Largest growth of a body, as a factor, and the size allowed to small bodies. Definitions that are
/// written out where they are used grow the most.
const GROWTH: usize = 64;
const UNASKED: usize = 64 * 1024;

/// A chat request, for the model it names and for one more of the catalogue: it is refused, or becomes
/// a body that keeps Converse's rules.
pub fn request(data: &[u8]) {
    static PROFILES: OnceLock<Vec<Arc<Profile>>> = OnceLock::new();
    let Ok(request) = serde_json::from_slice::<ChatRequest<'_>>(data) else { return };
    asked(data, &request, &catalogue().resolve(&request.model, &ModelOverrides::default()).profile);
    let profiles = PROFILES.get_or_init(|| catalogue().profiles());
    let drawn = usize::try_from(crc32fast::hash(data)).unwrap_or_default();
    if let Some(profile) = profiles.get(drawn % profiles.len().max(1)) {
        asked(data, &request, profile);
    }
}

fn asked(data: &[u8], request: &ChatRequest<'_>, profile: &Profile) {
    let Ok(question) = question(request, profile) else { return };
    let body = serde_json::to_vec(&question.body).unwrap_or_default();
    let most = data.len() * GROWTH + UNASKED;
    assert!(body.len() <= most, "{} bytes became {}", data.len(), body.len());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let own = request.additional_model_request_fields.clone().unwrap_or_default();
    converse::judge(&body, profile, &Value::Object(own));
}

/// A URL in a request: it is refused, or leads to the host it names.
pub fn links(data: &[u8]) {
    if let Ok(url) = std::str::from_utf8(data) {
        links::judge(url);
    }
}

/// A model's name and a native path: parsed and rebuilt without path traversal.
pub fn ids(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let target = catalogue().resolve(text, &ModelOverrides::default());
    assert!(text.is_empty() || !target.model_id.is_empty(), "a name leads somewhere");
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let Ok(matched) = find(method, text, &[]) else { continue };
        let path = matched.upstream(None);
        let sound = |segment: &str| !matches!(segment, "" | "." | "..");
        let segments = path.trim_end_matches('/').split('/').skip(1);
        assert!(segments.clone().all(sound), "{path:?} of {text:?}");
        assert_eq!(find(method, &path, &[]).as_ref(), Ok(&matched), "{path:?} of {text:?}");
    }
}

/// Raw bytes as an event stream: the result does not depend on how they were split.
pub fn frames(data: &[u8]) {
    let Some((&step, wire)) = data.split_first() else { return };
    let whole = decode(wire, wire.len().max(1));
    let pieces = decode(wire, usize::from(step).max(1));
    assert_eq!(whole, pieces, "cut every {step} bytes");
}

/// Valid frames with any events in them (one per line: name, tab, payload; `!` before the name makes it
/// an exception, `?` an error), as the answer to one of several requests. The SSE output is the same
/// however they are split, and has an end only if the message ended.
pub fn stream(data: &[u8]) {
    let Some((&step, lines)) = data.split_first() else { return };
    let mut wire = Vec::new();
    let mut ends = false;
    for line in lines.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b'\t');
        let (Some(name), Some(payload)) = (halves.next(), halves.next()) else { continue };
        let Ok(name) = std::str::from_utf8(name) else { continue };
        ends |= name == "messageStop";
        frame(name, payload, &mut wire);
    }
    let whole = translated(&wire, wire.len().max(1), replies::drawn(step));
    let pieces = translated(&wire, usize::from(step).max(1), replies::drawn(step));
    assert_eq!(whole, pieces, "cut every {step} bytes");
    for event in whole.split_inclusive(|byte| *byte == b'\n').filter(|line| *line != b"\n") {
        let data = event.strip_prefix(b"data: ").unwrap_or_default();
        let sound = data == b"[DONE]\n" || serde_json::from_slice::<Value>(data).is_ok();
        assert!(sound, "an event is JSON: {:?}", String::from_utf8_lossy(event));
    }
    let finished = whole.windows(sse::DONE.len()).any(|piece| piece == sse::DONE);
    assert!(ends || !finished, "a stream without messageStop has no end");
}

/// Writes an event, an exception or an error as one frame, independently of the library that reads it.
fn frame(name: &str, payload: &[u8], wire: &mut Vec<u8>) {
    const STRING: u8 = 7;
    const HEADER: usize = 32_767;
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let message = String::from_utf8_lossy(payload);
    let (told, payload): (&[_], _) = match (name.strip_prefix('!'), name.strip_prefix('?')) {
        (Some(name), _) => (&[(":message-type", "exception"), (":exception-type", name)], payload),
        (None, Some(code)) => (
            &[(":message-type", "error"), (":error-code", code), (":error-message", &*message)],
            &[][..],
        ),
        (None, None) => (&[(":message-type", "event"), (":event-type", name)], payload),
    };
    let mut headers = Vec::new();
    for (key, value) in told.iter().copied() {
        // A header holds at most this much; longer text is cut between characters.
        let end = (0..=value.len().min(HEADER)).rev().find(|end| value.is_char_boundary(*end));
        let value = &value[..end.unwrap_or_default()];
        let [.., first, second] = length(value.len());
        headers.push(u8::try_from(key.len()).unwrap_or(u8::MAX));
        headers.extend_from_slice(key.as_bytes());
        headers.extend_from_slice(&[STRING, first, second]);
        headers.extend_from_slice(value.as_bytes());
    }
    let start = wire.len();
    wire.extend_from_slice(&length(16 + headers.len() + payload.len()));
    wire.extend_from_slice(&length(headers.len()));
    wire.extend_from_slice(&crc32fast::hash(&wire[start..]).to_be_bytes());
    wire.extend_from_slice(&headers);
    wire.extend_from_slice(payload);
    wire.extend_from_slice(&crc32fast::hash(&wire[start..]).to_be_bytes());
}

fn catalogue() -> Catalogue {
    Catalogue::new(Naming::default(), "us-east-1")
}

fn pieces(wire: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    wire.chunks(size).map(Bytes::copy_from_slice)
}

fn decode(wire: &[u8], size: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new();
    let mut frames = Vec::new();
    for piece in pieces(wire, size) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, decoder.finish().err())
}

/// The SSE output up to the first error.
fn translated(wire: &[u8], size: usize, reply: Reply) -> Vec<u8> {
    let stamp = Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() };
    let mut chat = ChatStream::new(reply, stamp);
    let mut out = BytesMut::new();
    let (frames, _) = decode(wire, size);
    let goes_on = |chat: &mut ChatStream, progress: Progress, out: &mut BytesMut| {
        progress.answer.map_or(Ok(()), |_| chat.judged(None, out))
    };
    for frame in frames {
        let was_complete = chat.is_complete();
        match step(&frame, &mut chat, None, &mut out) {
            Ok(progress) => assert!(goes_on(&mut chat, progress, &mut out).is_ok()),
            Err(_) if was_complete => break,
            Err(_) => return out.to_vec(),
        }
    }
    // A stream that was cut has no end; only its output is compared.
    if let Ok(progress) = chat.close(&mut out) {
        assert!(goes_on(&mut chat, progress, &mut out).is_ok());
        assert!(chat.finish(chat.spent(), &mut out).is_ok());
    }
    out.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Size from which a request is only translated for profiles that treat schemas differently.
    const LARGE: usize = 32 * 1024;

    /// The parts of a profile that decide how a schema is sent.
    fn rules_of_schemas(profile: &Profile) -> impl PartialEq {
        let Profile { schema_root, schema_references, schema_patterns, strict_tools, .. } = profile;
        let rules = (schema_root, schema_references, schema_patterns, strict_tools);
        (format!("{rules:?}"), profile.structured_output, profile.refused_keywords.clone())
    }

    fn replay(target: &str, judge: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            println!("{}", path.display());
            judge(&data);
            count += 1;
        }
        assert!(count >= 10, "{target}: {count} cases");
    }

    #[test]
    fn the_corpus_of_requests_holds() {
        replay("request", request);
    }

    #[test]
    fn the_corpus_of_requests_holds_for_every_profile() {
        let profiles = catalogue().profiles();
        assert!(profiles.len() > 20, "{} profiles", profiles.len());
        let mut of_schemas: Vec<&Profile> = Vec::new();
        for profile in &profiles {
            if !of_schemas.iter().any(|known| rules_of_schemas(known) == rules_of_schemas(profile))
            {
                of_schemas.push(profile);
            }
        }
        assert!(of_schemas.len() > 5, "{} kinds of schemas", of_schemas.len());
        let mut seen = 0;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/request");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            let Ok(request) = serde_json::from_slice::<ChatRequest<'_>>(&data) else { continue };
            println!("{}", path.display());
            // The largest requests consist of schemas, and take most of the time.
            let profiles = if data.len() > LARGE {
                of_schemas.clone()
            } else {
                profiles.iter().map(|profile| &**profile).collect()
            };
            for profile in profiles {
                asked(&data, &request, profile);
                seen += 1;
            }
        }
        assert!(seen > 1000, "{seen} translations");
    }

    #[test]
    fn the_corpus_of_links_holds() {
        replay("links", links);
    }

    #[test]
    fn the_corpus_of_ids_holds() {
        replay("ids", ids);
    }

    #[test]
    fn the_corpus_of_frames_holds() {
        replay("frames", frames);
    }

    #[test]
    fn the_corpus_of_streams_holds() {
        replay("stream", stream);
    }
}
