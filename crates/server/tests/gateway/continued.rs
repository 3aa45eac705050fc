//! Streams of text that break off and go on at another target: no text is lost or doubled, the answer tells it, and
//! both calls are booked.

use access::Nanodollars;
use access::ledger::CallState;
use emulator::{Fault, Options, Running, Step};
use http::Method;
use serde_json::{Value, json};

use super::keys::key;
use super::ledger::rows;
use super::rig::{Received, Rig};

const HAIKU: &str = "anthropic.claude-3-haiku-20240307-v1:0";

async fn upstream() -> Running {
    emulator::start(Options::default()).await.unwrap()
}

fn target(region: &str, upstream: &Running, order: u32) -> String {
    format!(
        "{{ model: '{HAIKU}', region: {region}, endpoint_url: '{}', access_key_id: AKIDTEST, secret_access_key: x, order: {order} }}",
        upstream.url()
    )
}

async fn pair(more: &str) -> (Rig, Running, Running) {
    let (east, west) = (upstream().await, upstream().await);
    let yaml = format!(
        "{more}cross_region: never\nmodels:\n  both:\n    strategy: order\n    continue_streams: on\n    targets:\n      - {}\n      - {}\n",
        target("us-east-1", &east, 1),
        target("us-west-2", &west, 2),
    );
    (Rig::start(&yaml).await, east, west)
}

async fn stop(rig: Rig, east: Running, west: Running) {
    rig.stop().await;
    east.stop().await;
    west.stop().await;
}

/// The events of an answer with these pieces of text.
fn says(pieces: &[&str], end: Option<u64>) -> Step {
    let mut events = vec![json!({ "messageStart": { "role": "assistant" } })];
    for text in pieces {
        let delta = json!({ "contentBlockIndex": 0, "delta": { "text": text } });
        events.push(json!({ "contentBlockDelta": delta }));
    }
    if let Some(output) = end {
        events.push(json!({ "contentBlockStop": { "contentBlockIndex": 0 } }));
        events.push(json!({ "messageStop": { "stopReason": "end_turn" } }));
        let usage =
            json!({ "inputTokens": 20, "outputTokens": output, "totalTokens": 20 + output });
        events.push(json!({ "metadata": { "usage": usage, "metrics": { "latencyMs": 1 } } }));
    }
    Step::Events(events)
}

fn ask() -> Value {
    json!({ "model": "both", "stream": true, "messages": [{ "role": "user", "content": "count" }] })
}

fn text(answer: &Received) -> String {
    let (events, done) = answer.events();
    assert!(done, "{events:#?}");
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

/// The text that the last call to a target was to go on with.
fn prefill(upstream: &Running) -> Value {
    let calls = upstream.journal().calls();
    let body = serde_json::to_value(&calls.last().unwrap().body).unwrap();
    let messages = body["messages"].as_array().unwrap().clone();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["role"], "assistant");
    messages[1]["content"][0]["text"].clone()
}

#[actix_rt::test]
async fn a_stream_that_breaks_off_goes_on_without_a_seam() {
    let (rig, east, west) = pair("").await;
    for (first, second) in [
        (&["one ", "two "][..], &[" three", " four"][..]),
        (&["one ", "two "], &["three", " four"]),
        (&["one two"], &[" three four"]),
    ] {
        east.script().push(says(first, None));
        west.script().push(says(second, Some(7)));
        let answer = rig.chat(&ask()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(text(&answer), "one two three four");
        assert_eq!(prefill(&west), "one two", "it does not end in white space");
        let (events, _) = answer.events();
        let ends = events.iter().filter(|event| !event["choices"][0]["finish_reason"].is_null());
        let ends: Vec<_> = ends.collect();
        assert_eq!(ends.len(), 1, "{events:#?}");
        let told = &ends[0]["choices"][0]["outcrop"]["continued_at"];
        assert_eq!(told, &json!(format!("{HAIKU}@us-west-2")));
    }
    let metrics = rig.send(Method::GET, "/metrics", "".into()).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = "outcrop_continuations_total{result=\"continued\"} 3";
    assert!(metrics.contains(line), "{metrics}");
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn both_calls_have_a_row() {
    let (rig, east, west) = pair("master_key: sk-master\n").await;
    let bearer = format!("Bearer {}", key(&rig, json!({ "max_budget": 1 })).await);
    east.script().push(says(&["one two "], None));
    west.script().push(says(&["three"], Some(5)));
    let answer = rig.chat_with(&[("authorization", &bearer)], &ask()).await;
    assert_eq!(text(&answer), "one two three");
    let id = answer.header("x-request-id").unwrap().to_owned();
    let both = rows(&rig, 2).await;
    let row = |id: &str| &both.iter().find(|row| row.closing.call.id == id).unwrap().closing;
    let (end, begun) = (row(&id), row(&format!("{id}-broken")));
    assert_eq!((end.state, end.outcome.region.as_deref()), (CallState::Settled, Some("us-west-2")));
    assert_eq!((end.outcome.input, end.outcome.output, end.outcome.attempts), (20, 5, 2));
    // 0.25 and 1.25 dollars for a million tokens.
    assert_eq!(end.outcome.cost, Nanodollars::parse("0.00001125"));
    assert_eq!(begun.state, CallState::Estimated);
    assert_eq!(begun.outcome.region.as_deref(), Some("us-east-1"));
    assert_eq!(begun.outcome.output, 2, "eight bytes of text");
    assert!(begun.outcome.input > 0 && begun.outcome.cost.unwrap() > Nanodollars::ZERO);
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn an_answer_that_is_more_than_text_is_not_continued() {
    let (rig, east, west) = pair("").await;
    let tools = json!([{ "type": "function", "function": { "name": "look", "parameters": { "type": "object" } } }]);
    for more in [json!({ "tools": tools }), json!({ "n": 2 })] {
        let mut request = ask();
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for _ in 0..2 {
            east.script().push(says(&["one two "], None));
        }
        let answer = rig.chat(&request).await;
        let (_, done) = answer.events();
        assert!(!done, "{more}");
        assert_eq!(west.journal().calls().len(), 0, "{more}");
        east.script().clear();
    }
    // Nothing to go on with.
    east.script().push(says(&["  "], None));
    assert!(!rig.chat(&ask()).await.events().1);
    assert_eq!(west.journal().calls().len(), 0);
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn a_continuation_that_fails_leaves_the_first_error() {
    let (rig, east, west) = pair("").await;
    east.script().push(says(&["one two "], None));
    for _ in 0..4 {
        west.script().push(Step::Fault(Fault::Exception {
            after: 0,
            kind: "modelStreamErrorException".to_owned(),
            message: "as the script says".to_owned(),
        }));
        east.script().push(Step::Fault(Fault::Exception {
            after: 0,
            kind: "modelStreamErrorException".to_owned(),
            message: "as the script says".to_owned(),
        }));
    }
    let answer = rig.chat(&ask()).await;
    let (events, done) = answer.events();
    assert!(!done);
    let error = &events.last().unwrap()["error"];
    assert_eq!(error["code"], "upstream_truncated", "{events:#?}");
    stop(rig, east, west).await;
}
