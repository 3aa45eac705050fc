//! Messages of clients: `response.create` with the members of a request by `POST`.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use translate::Invalid;

use crate::error::GatewayError;
use crate::pipeline::deployment::Members;
use crate::pipeline::json::parse;
use crate::request::options::CallMode;

const CREATE: &str = "response.create";
/// Tells that a client has read a response; it needs no answer.
const PROCESSED: &str = "response.processed";
/// Longest part of a type that is quoted, in bytes.
const QUOTED: usize = 100;
/// Longest id of a stream, in bytes.
const STREAM_ID: usize = 128;

/// A message of a client.
#[derive(Debug)]
pub(super) enum Message {
    Create(Create),
    /// It needs no answer.
    Note,
}

/// A request for a response.
#[derive(Debug)]
pub(super) struct Create {
    /// The request in the form of a body for a stream.
    pub(super) body: Bytes,
    /// The response that it continues.
    pub(super) previous: Option<String>,
    pub(super) mode: CallMode,
    /// The JSON string that events of the response repeat.
    pub(super) stream_id: Option<String>,
}

impl Message {
    /// Reads a message. Members that a request by `POST` has keep their bytes.
    ///
    /// # Errors
    /// It is no JSON object, or of no known type; or it has a member that a WebSocket has no use for.
    pub(super) fn read(message: &[u8]) -> Result<Self, GatewayError> {
        let Members(members) = parse(message)?;
        let of = |name: &str| members.iter().find(|(own, _)| own == name).map(|(_, raw)| *raw);
        match text(of("type")).as_deref() {
            Some(CREATE) => {}
            Some(PROCESSED) => return Ok(Self::Note),
            Some(other) => return Err(unknown(other)),
            None => {
                let message = "A message needs a type: response.create asks for a response.";
                let invalid = Invalid::value("type", message);
                return Err(invalid.with_code("missing_required_parameter").into());
            }
        }
        if of("background").is_some_and(|raw| raw.get() == "true") {
            let message =
                "A response in the background cannot be requested over a WebSocket: use POST.";
            let invalid = Invalid::value("background", message);
            return Err(invalid.with_code("unsupported_parameter").into());
        }
        let mode = match of("generate").map(RawValue::get) {
            None | Some("true" | "null") => CallMode::Send,
            Some("false") => CallMode::WarmUp,
            Some(_) => {
                return Err(Invalid::value("generate", "generate must be true or false.").into());
            }
        };
        let stream_id = of("stream_id").filter(|raw| raw.get() != "null");
        if stream_id.is_some_and(|raw| text(Some(raw)).is_none() || raw.get().len() > STREAM_ID) {
            let message = "stream_id must be a string of at most 120 characters.";
            return Err(Invalid::value("stream_id", message).into());
        }
        Ok(Self::Create(Create {
            body: body(&members, message.len()),
            previous: text(of("previous_response_id")).map(Cow::into_owned),
            mode,
            stream_id: stream_id.map(|raw| raw.get().to_owned()),
        }))
    }
}

fn unknown(kind: &str) -> GatewayError {
    let kind = &kind[..kind.floor_char_boundary(QUOTED)];
    let message = format!(
        "Messages of type {kind:?} are not supported: response.create asks for a response, and a new one begins when the last has ended."
    );
    Invalid::value("type", message).with_code("unknown_message_type").into()
}

/// The value of a JSON string.
fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<schema::Str<'_>>(raw?.get()).ok().map(|text| text.to_string().into())
}

/// The request for a stream, without the members that only messages have.
fn body(members: &[(Cow<'_, str>, &RawValue)], length: usize) -> Bytes {
    const OF_MESSAGE: [&str; 5] = ["type", "generate", "stream_id", "stream", "background"];
    let mut body = Vec::with_capacity(length);
    body.extend_from_slice(br#"{"stream":true"#);
    for (name, value) in members.iter().filter(|(name, _)| !OF_MESSAGE.contains(&&**name)) {
        // A string is always JSON.
        let Ok(name) = serde_json::to_string(name) else { continue };
        body.push(b',');
        body.extend_from_slice(name.as_bytes());
        body.push(b':');
        body.extend_from_slice(value.get().as_bytes());
    }
    body.push(b'}');
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(message: &str) -> Create {
        match Message::read(message.as_bytes()) {
            Ok(Message::Create(create)) => create,
            other => panic!("{message}: {other:?}"),
        }
    }

    #[test]
    fn a_message_becomes_a_body_for_a_stream() {
        let create = create(
            r#"{"type":"response.create","model":"m","input":[ 1.0 ],"stream":false,"stream_id":"a\"b","previous_response_id":"resp_\u0031"}"#,
        );
        assert_eq!(
            create.body,
            r#"{"stream":true,"model":"m","input":[ 1.0 ],"previous_response_id":"resp_\u0031"}"#
        );
        assert_eq!(create.previous.as_deref(), Some("resp_1"));
        assert_eq!(create.stream_id.as_deref(), Some(r#""a\"b""#));
        assert_eq!(create.mode, CallMode::Send);
    }

    #[test]
    fn a_message_may_ask_for_no_answer() {
        let warm = create(r#"{"type":"response.create","generate":false,"background":null}"#);
        assert_eq!((warm.mode, &warm.body[..]), (CallMode::WarmUp, &br#"{"stream":true}"#[..]));
        let note = Message::read(br#"{"type":"response.processed","response_id":"resp_1"}"#);
        assert!(matches!(note, Ok(Message::Note)));
    }

    #[test]
    fn mistakes_name_their_member() {
        for (message, param, code) in [
            ("{", None, None),
            ("[]", None, Some("invalid_type")),
            ("{}", Some("type"), Some("missing_required_parameter")),
            (r#"{"type":1}"#, Some("type"), Some("missing_required_parameter")),
            (r#"{"type":"response.steer"}"#, Some("type"), Some("unknown_message_type")),
            (
                r#"{"type":"response.create","background":true}"#,
                Some("background"),
                Some("unsupported_parameter"),
            ),
            (r#"{"type":"response.create","generate":0}"#, Some("generate"), Some("invalid_value")),
            (
                r#"{"type":"response.create","stream_id":7}"#,
                Some("stream_id"),
                Some("invalid_value"),
            ),
        ] {
            let rendered = Message::read(message.as_bytes()).unwrap_err().render();
            assert_eq!((rendered.param.as_deref(), rendered.code), (param, code), "{message}");
        }
    }
}
