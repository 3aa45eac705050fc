//! Answers as they came, event by event, of every kind that a model gives: what the tests of spoiled answers read.

use std::collections::BTreeMap;

use emulator::{Fault, Step};
use http::Method;
use serde_json::{Value, json};

use super::super::rig::{Received, Rig};

/// Answered by Converse.
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";

/// An answer, and what the model did.
pub(super) struct Came {
    pub(super) case: String,
    pub(super) received: Received,
    /// The model's answer broke off.
    pub(super) is_broken: bool,
}

/// An event of a stream.
#[derive(Debug)]
pub(super) struct Event {
    /// Its `event:` line.
    pub(super) name: Option<String>,
    pub(super) data: Value,
}

impl Came {
    pub(super) fn is_stream(&self) -> bool {
        self.received
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    pub(super) fn raw(&self) -> &str {
        std::str::from_utf8(&self.received.body).unwrap()
    }

    /// The events of a stream; `[DONE]` is the text of an event without a name.
    pub(super) fn events(&self) -> Vec<Event> {
        assert!(self.is_stream() && self.received.status == 200, "{}: {}", self.case, self.raw());
        assert!(self.raw().ends_with("\n\n"), "{}: the last event is cut", self.case);
        let events = self.raw().split_terminator("\n\n").filter(|event| !event.starts_with(':'));
        events.map(event_of).collect()
    }

    /// The events with a name, without `[DONE]`.
    pub(super) fn named(&self) -> Vec<Event> {
        let mut events = self.events();
        events.retain(|event| event.data.is_object());
        events
    }

    /// The data of the events of this name.
    pub(super) fn of_name(&self, name: &str) -> Vec<Value> {
        let of_name = |event: Event| (event.data["type"] == name).then_some(event.data);
        self.named().into_iter().filter_map(of_name).collect()
    }
}

fn event_of(text: &str) -> Event {
    let (mut name, mut data) = (None, None);
    for line in text.lines() {
        match line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")) {
            ("event", named) => assert!(name.replace(named.to_owned()).is_none(), "{text}"),
            ("data", said) => assert!(data.replace(said).is_none(), "{text}"),
            _ => panic!("{line:?}"),
        }
    }
    let data = data.unwrap_or_else(|| panic!("no data: {text}"));
    let data = if data == "[DONE]" { json!(data) } else { serde_json::from_str(data).unwrap() };
    Event { name, data }
}

fn answer(content: &Value, reason: &str) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": reason,
        "usage": { "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 },
        "metrics": { "latencyMs": 1 },
    }))
}

/// One way in which a model may end: its name, and Converse's answer.
fn kinds() -> Vec<(&'static str, Step)> {
    let said = json!({ "text": "granite and gneiss" });
    let thought = json!({ "reasoningContent": { "reasoningText": { "text": "Which rock?" } } });
    let call = |id: &str, input: Value| json!({ "toolUse": { "toolUseId": id, "name": "dig", "input": input } });
    let (one, two) = (call("call_1", json!({ "deep": [1, "ü"] })), call("call_2", json!({})));
    let page =
        json!({ "title": "Rocks", "location": { "web": { "url": "https://rocks.example/" } } });
    let cited = json!({ "citationsContent": { "content": [said], "citations": [page] } });
    vec![
        ("a text", answer(&json!([said]), "end_turn")),
        ("reasoning and a text", answer(&json!([thought, said]), "end_turn")),
        ("a text and two calls", answer(&json!([said, one, two]), "tool_use")),
        ("reasoning and a call", answer(&json!([thought, two]), "tool_use")),
        ("a cited text", answer(&json!([cited, said]), "end_turn")),
        ("nothing", answer(&json!([]), "end_turn")),
        ("a text up to its limit", answer(&json!([said]), "max_tokens")),
        ("a call up to its limit", answer(&json!([one]), "max_tokens")),
        ("a filtered text", answer(&json!([said]), "guardrail_intervened")),
    ]
}

/// Faults that break a stream after its beginning.
pub(super) fn faults() -> Vec<(String, Fault)> {
    let throttled = |after| Fault::Exception {
        after,
        kind: "throttlingException".to_owned(),
        message: "Too many tokens.".to_owned(),
    };
    let all = [1, 3, 5].into_iter().flat_map(|after| [Fault::Cut(after), throttled(after)]);
    all.map(|fault| (format!("{fault:?}"), fault)).collect()
}

async fn sent(rig: &Rig, path: &str, request: &Value) -> Received {
    rig.send(Method::POST, path, request.to_string().into()).await
}

/// Every kind of answer to a request, whole and streamed, and streams that break.
pub(super) async fn every_kind(path: &str, request: &Value) -> Vec<Came> {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    let mut request = request.clone();
    request["model"] = json!(NOVA);
    let mut all = Vec::new();
    for stream in [false, true] {
        request["stream"] = json!(stream);
        for (kind, step) in kinds() {
            rig.emulator.script().push(step);
            let received = sent(&rig, path, &request).await;
            assert_eq!(received.status, 200, "{kind}: {:?}", received.body);
            let case = format!("{kind}, streamed: {stream}");
            all.push(Came { case, received, is_broken: false });
        }
    }
    for (case, fault) in faults() {
        rig.emulator.script().push(Step::Fault(fault));
        let received = sent(&rig, path, &request).await;
        all.push(Came { case, received, is_broken: true });
    }
    rig.stop().await;
    check_streams(&all);
    all
}

/// Checks that what was to be a stream is one, so that no test reads less than it says.
pub(super) fn check_streams(all: &[Came]) {
    for came in all {
        let expected = came.is_broken || came.case.ends_with("streamed: true");
        assert_eq!(came.is_stream(), expected, "{}: {}", came.case, came.raw());
    }
}

/// The answers to a request for a model that is not known, and to one that is throttled and may be sent again
/// after seven seconds.
pub(super) async fn refusals(path: &str, request: &Value) -> [Received; 2] {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    let mut request = request.clone();
    request["model"] = json!("no.such-model-v1:0");
    let unknown = sent(&rig, path, &request).await;
    request["model"] = json!(NOVA);
    rig.emulator.script().push(Step::Error {
        status: 429,
        kind: "ThrottlingException".to_owned(),
        message: "Too many requests.".to_owned(),
        headers: BTreeMap::from([("Retry-After".to_owned(), "7".to_owned())]),
    });
    let throttled = sent(&rig, path, &request).await;
    rig.stop().await;
    [unknown, throttled]
}
