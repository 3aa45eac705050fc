//! Events of a response as messages: the JSON of each server-sent event, without its frame.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::body::to_bytes;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::SHOULD_RETRY;
use crate::routes::middleware::REQUEST_ID;

const END: &[u8] = b"\n\n";
const NAME: &[u8] = b"event: ";
const DATA: &[u8] = b"data: ";
const DONE: &[u8] = b"[DONE]";
/// Headers of an error that tell a client what to do.
const TOLD: [HeaderName; 4] =
    [RETRY_AFTER, HeaderName::from_static("retry-after-ms"), SHOULD_RETRY, REQUEST_ID];

/// An event as a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventText {
    pub(super) text: ByteString,
    /// The response has failed.
    pub(super) is_failure: bool,
}

/// Cuts the events out of a body. Every piece of a body ends with an event, as a rule.
#[derive(Debug, Default)]
pub(super) struct EventCutter {
    held: Bytes,
}

impl EventCutter {
    /// Adds a piece of the body.
    pub(super) fn add(&mut self, piece: Bytes) {
        if self.held.is_empty() {
            self.held = piece;
            return;
        }
        let mut all = BytesMut::with_capacity(self.held.len() + piece.len());
        all.extend_from_slice(&self.held);
        all.extend_from_slice(&piece);
        self.held = all.freeze();
    }

    /// The next event that is complete. Comments and the mark of the end are none.
    pub(super) fn next(&mut self) -> Option<EventText> {
        loop {
            let end = memmem::find(&self.held, END)?;
            let mut event = self.held.split_to(end + END.len());
            event.truncate(end);
            let (mut is_failure, mut from) = (false, 0);
            if let Some(rest) = event.strip_prefix(NAME) {
                let name = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
                is_failure = matches!(name, b"response.failed" | b"error");
                from = NAME.len() + name.len() + 1;
            }
            let data = event.get(from..).and_then(|line| line.strip_prefix(DATA));
            if data.is_none_or(|data| data == DONE) {
                continue;
            }
            // JSON that is written here is valid text.
            if let Ok(text) = ByteString::try_from(event.slice(from + DATA.len()..)) {
                return Some(EventText { text, is_failure });
            }
        }
    }
}

/// The body of an error.
#[derive(Deserialize)]
struct Told<'b> {
    #[serde(borrow)]
    error: &'b RawValue,
}

/// Members of an error that stand in its event as well.
#[derive(Default, Deserialize)]
struct Summary<'b> {
    #[serde(borrow, default)]
    message: Option<&'b RawValue>,
    #[serde(borrow, default)]
    code: Option<&'b RawValue>,
    #[serde(borrow, default)]
    param: Option<&'b RawValue>,
}

/// The event of a request that was refused. Clients read the error in one of two places.
#[derive(Serialize)]
struct ErrorEvent<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    sequence_number: u64,
    status: u16,
    code: Option<&'e RawValue>,
    message: Option<&'e RawValue>,
    param: Option<&'e RawValue>,
    error: &'e RawValue,
    headers: BTreeMap<String, String>,
}

/// The event of a response that is an error.
pub(super) async fn error_event(response: HttpResponse) -> EventText {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = to_bytes(response.into_body()).await.unwrap_or_default();
    let text = written(status, &headers, &body).unwrap_or_else(|error| {
        log::error!("an error cannot be sent as an event: {error}");
        r#"{"type":"error","sequence_number":0,"status":500,"code":"internal_error","message":"The gateway failed.","param":null,"error":{"type":"server_error","code":"internal_error","message":"The gateway failed.","param":null}}"#.to_owned()
    });
    EventText { text: text.into(), is_failure: true }
}

fn written(status: u16, headers: &HeaderMap, body: &[u8]) -> serde_json::Result<String> {
    let Told { error } = serde_json::from_slice(body)?;
    let Summary { message, code, param } = serde_json::from_str(error.get())?;
    let told = |(name, value): (&'_ HeaderName, &'_ HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = headers.iter().filter(|(name, _)| TOLD.contains(name)).filter_map(told).collect();
    serde_json::to_string(&ErrorEvent {
        kind: "error",
        sequence_number: 0,
        status,
        code,
        message,
        param,
        error,
        headers,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn cut(pieces: &[&'static str]) -> Vec<(String, bool)> {
        let (mut cutter, mut all) = (EventCutter::default(), Vec::new());
        for piece in pieces {
            cutter.add(Bytes::from_static(piece.as_bytes()));
            while let Some(EventText { text, is_failure }) = cutter.next() {
                all.push((text.to_string(), is_failure));
            }
        }
        all
    }

    #[test]
    fn any_pieces_of_a_body_give_the_same_events() {
        let body = ": comment\n\nevent: response.created\ndata: {\"a\":\"data: x\"}\n\nevent: response.failed\ndata: {}\n\ndata: [DONE]\n\n";
        let expected = [(r#"{"a":"data: x"}"#.to_owned(), false), ("{}".to_owned(), true)];
        assert_eq!(cut(&[body]), expected);
        for at in 1..body.len() {
            let (left, right) = body.split_at(at);
            assert_eq!(cut(&[left, right]), expected, "{at}");
        }
        assert_eq!(cut(&["data: {}"]), []);
    }

    #[actix_rt::test]
    async fn an_error_stands_in_both_places() {
        let error = json!({ "message": "m", "type": "t", "param": null, "code": "c" });
        let mut response = HttpResponse::TooManyRequests();
        let response = response.insert_header((RETRY_AFTER, "2")).json(json!({ "error": error }));
        let EventText { text, is_failure } = error_event(response).await;
        assert!(is_failure);
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({ "type": "error", "sequence_number": 0, "status": 429, "code": "c", "message": "m", "param": null,
                "error": error, "headers": { "retry-after": "2" } })
        );
        let EventText { text, .. } = error_event(HttpResponse::Ok().body("no JSON")).await;
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["status"], 500);
    }
}
