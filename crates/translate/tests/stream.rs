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

use schema::converse::event::StreamEvent;
use schema::openai::chat::ChatRequest;
use schema::openai::chunk::Chunk;
use serde::Deserialize;
use serde_json::value::RawValue;
use translate::chat::{ChatStream, Spent, Truncated, question};
use translate::{Profile, Stamp, sse};

#[path = "support/case.rs"]
mod case;

#[derive(Deserialize)]
struct Line<'a> {
    event: &'a str,
    #[serde(default)]
    choice: usize,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    profile: Profile,
    #[serde(borrow)]
    request: &'a RawValue,
}

#[derive(Debug)]
struct Cut;

impl From<Truncated> for Cut {
    fn from(_: Truncated) -> Self {
        Self
    }
}

#[test]
fn streams() {
    insta::glob!("fixtures/stream/*.jsonl", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        let Head { profile, request } = serde_json::from_str(lines.next().unwrap()).unwrap();
        let request: ChatRequest<'_> = serde_json::from_str(request.get()).unwrap();
        let reply = question(&request, &profile).unwrap().reply;
        let stamp = Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() };
        let count = u32::try_from(request.n.unwrap_or(1)).unwrap();
        let of_choice = |index| ChatStream::new(reply.clone(), stamp.clone()).of_choice(index);
        let mut chats: Vec<_> = (0..count).map(of_choice).collect();
        let mut wire = Vec::new();
        for line in lines {
            let line: Line<'_> = serde_json::from_str(line).unwrap();
            let event = StreamEvent::parse(line.event, line.payload.get().as_bytes()).unwrap();
            chats[line.choice].push(&event, &mut |chunk| sse::write(&mut wire, chunk)).unwrap();
        }
        let mut out = |chunk: &Chunk<'_>| {
            sse::write(&mut wire, chunk).unwrap();
            Ok::<(), Cut>(())
        };
        let last = chats.pop().unwrap();
        let others = chats
            .into_iter()
            .try_fold(Spent::default(), |spent, chat| Ok(spent.and(chat.conclude(&mut out)?)));
        let ended = others.and_then(|spent| last.finish_after(spent, &mut out));
        let ended = ended.map(Spent::usage);
        let shown = format!("{}\nended: {ended:?}", String::from_utf8(wire).unwrap());
        insta::with_settings!({
            description => case::sentence(path, &text),
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, {
            insta::assert_snapshot!(shown);
        });
    });
}
