//! Streams against their snapshots: `fixtures/stream/*.jsonl` holds the request on its first line
//! (and, where needed, a profile) and then one event a line, with the index of the choice where
//! several are requested. Snapshots show the bytes on the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use request_case::Case;
use schema::openai::chat::ChatRequest;
use serde::Deserialize;
use serde_json::value::RawValue;
use translate::Stamp;
use translate::chat::{ChatStream, question};
use translate::spent::Spent;
use wire::Wire;

#[path = "support/wire.rs"]
mod wire;

#[macro_use]
#[path = "support/snapshots.rs"]
mod snapshots;

#[path = "support/case.rs"]
mod case;
#[path = "support/request_case.rs"]
mod request_case;

#[derive(Deserialize)]
struct Line<'a> {
    event: &'a str,
    #[serde(default)]
    choice: usize,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The stream broke off.
#[derive(Debug)]
struct Cut;

#[test]
fn streams() {
    assert_fixtures!("fixtures/stream/*.jsonl", |text: &str| {
        let mut lines = text.lines();
        let Case { profile, request, .. } = serde_json::from_str(lines.next().unwrap()).unwrap();
        let request: ChatRequest<'_> = serde_json::from_str(request.get()).unwrap();
        let reply = question(&request, &profile).unwrap().reply;
        let stamp = Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() };
        let count = u32::try_from(request.n.unwrap_or(1)).unwrap();
        let of_choice = |index| ChatStream::new(reply.clone(), stamp.clone()).of_choice(index);
        let mut chats: Vec<_> = (0..count).map(of_choice).collect();
        let mut wire = Wire::default();
        for line in lines {
            let line: Line<'_> = serde_json::from_str(line).unwrap();
            wire.push(&mut chats[line.choice], line.event, line.payload.get());
        }
        let mut last = chats.pop().unwrap();
        let others = chats
            .iter_mut()
            .try_fold(Spent::default(), |spent, chat| Ok(spent.and(wire.close(chat)?)));
        let ended = others.and_then(|spent| wire.finish(&mut last, spent));
        let ended = ended.map(Spent::usage).map_err(|_| Cut);
        // The end of every complete stream.
        let written = std::str::from_utf8(&wire.0).unwrap();
        let events = written.strip_suffix("data: [DONE]\n\n");
        assert_eq!(events.is_some(), ended.is_ok());
        format!("{}\nended: {ended:?}", events.unwrap_or(written))
    });
}
