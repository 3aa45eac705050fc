//! Second calls beside late ones: the first answer is used, the other call is cancelled and booked, and
//! neither the share of second calls nor a limit of the caller is exceeded.

use std::time::{Duration, Instant};

use access::Nanodollars;
use access::ledger::{CallOutcome, CallState, Closing};
use emulator::{Fault, Options, Running, Step};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::keys::key;
use super::ledger::rows;
use super::rig::{Received, Rig};

const EAST: &str = "us.amazon.nova-lite-v1:0@us-east-1";
const WEST: &str = "eu.amazon.nova-lite-v1:0@eu-west-1";

async fn upstream() -> Running {
    emulator::start(Options::default()).await.unwrap()
}

fn target(region: &str, url: &str, order: u32) -> String {
    format!(
        "{{ model: nova-lite, region: {region}, endpoint_url: '{url}', access_key_id: AKIDTEST, secret_access_key: x, order: {order} }}"
    )
}

/// A name whose first target is `east` as long as it is healthy.
fn name(hedge: &str, east: &str, west: &str) -> String {
    format!(
        "models:\n  both:\n    strategy: order\n    hedge: {hedge}\n    targets:\n      - {}\n      - {}\n",
        target("us-east-1", east, 1),
        target("eu-west-1", west, 2),
    )
}

async fn pair(more: &str, hedge: &str) -> (Rig, Running, Running) {
    let (east, west) = (upstream().await, upstream().await);
    let yaml = format!("{more}{}", name(hedge, &east.url(), &west.url()));
    (Rig::start(&yaml).await, east, west)
}

async fn stop(rig: Rig, east: Running, west: Running) {
    rig.stop().await;
    east.stop().await;
    west.stop().await;
}

fn ask(stream: bool) -> Value {
    json!({ "model": "both", "stream": stream, "messages": [{ "role": "user", "content": "one two three" }] })
}

fn slow(millis: u64) -> Step {
    Step::Fault(Fault::Slow(millis))
}

fn silent() -> Step {
    Step::Fault(Fault::Silent)
}

fn said(input: u64, output: u64) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Hello" }] } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": input, "outputTokens": output, "totalTokens": input + output },
        "metrics": { "latencyMs": 1 },
    }))
}

fn told(answer: &Received) -> (u16, Option<&str>, Option<&str>, Option<&str>) {
    (
        answer.status,
        answer.header("x-outcrop-target"),
        answer.header("x-outcrop-attempts"),
        answer.header("x-outcrop-hedge"),
    )
}

fn count(upstream: &Running) -> usize {
    upstream.journal().calls().len()
}

#[actix_rt::test]
async fn a_late_target_holds_up_no_door() {
    let (rig, east, west) = pair("", "{ after: 0.02, max_extra: 1 }").await;
    let text = json!([{ "role": "user", "content": "one two three" }]);
    let doors = [
        ("/v1/chat/completions", json!({ "messages": text })),
        ("/v1/messages", json!({ "messages": text, "max_tokens": 100 })),
        ("/v1/responses", json!({ "input": "one two three" })),
        ("/v1/completions", json!({ "prompt": "one two three" })),
    ];
    let mut calls = 0;
    for (path, body) in doors {
        for stream in [false, true] {
            east.script().push(silent());
            let mut body = body.clone();
            (body["model"], body["stream"]) = ("both".into(), stream.into());
            let answer = rig.send(Method::POST, path, body.to_string().into()).await;
            assert_eq!(told(&answer), (200, Some(WEST), Some("2"), Some("won")), "{path}");
            calls += 1;
            // A cancelled call is no failure: the first target stays the first.
            assert_eq!((count(&east), count(&west)), (calls, calls));
        }
    }
    let on_time = rig.chat(&ask(true)).await;
    assert_eq!(told(&on_time), (200, Some(EAST), Some("1"), None));
    let metrics = rig.send(Method::GET, "/metrics", "".into()).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("outcrop_hedges_total{result=\"won\"} 8"), "{metrics}");
    assert!(metrics.contains("code=\"cancelled\"} 8"), "{metrics}");
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn second_calls_are_a_share_of_all_calls() {
    let (rig, east, west) = pair("", "{ after: 0.02, max_extra: 0.5 }").await;
    for expected in [("capped", EAST), ("won", WEST), ("capped", EAST), ("won", WEST)] {
        east.script().push(slow(2_000));
        let answer = rig.chat(&ask(true)).await;
        let (status, target, _, hedge) = told(&answer);
        assert_eq!((status, hedge, target), (200, Some(expected.0), Some(expected.1)));
    }
    assert_eq!((count(&east), count(&west)), (4, 2));
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn both_calls_have_a_row_with_their_exact_cost() {
    let (rig, east, west) = pair("master_key: sk-master\n", "{ after: 0.05, max_extra: 1 }").await;
    let key = key(&rig, json!({ "max_budget": 1 })).await;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];

    east.script().push(silent());
    west.script().push(said(1_000, 500));
    let answer = rig.chat_with(&headers, &ask(false)).await;
    assert_eq!(told(&answer), (200, Some(WEST), Some("2"), Some("won")));
    let id = answer.header("x-request-id").unwrap().to_owned();
    let both = rows(&rig, 2).await;
    let row = |id: &str| &both.iter().find(|row| row.closing.call.id == id).unwrap().closing;
    let used = row(&id);
    assert_eq!((used.state, used.outcome.status), (CallState::Settled, 200));
    assert_eq!((used.outcome.input, used.outcome.output), (1_000, 500));
    assert_eq!(used.outcome.region.as_deref(), Some("eu-west-1"));
    let cost = Nanodollars::parse(answer.header("x-outcrop-cost-usd").unwrap());
    assert_eq!(used.outcome.cost, cost);
    // The call that was given up has read the prompt, whose length the answer tells.
    let given_up = row(&format!("{id}-hedge"));
    assert_eq!((given_up.state, given_up.outcome.status), (CallState::Estimated, 499));
    assert_eq!((given_up.outcome.input, given_up.outcome.output), (1_000, 0));
    assert_eq!(given_up.outcome.region.as_deref(), Some("us-east-1"));
    assert_eq!(given_up.outcome.model, "us.amazon.nova-lite-v1:0");
    assert_eq!(given_up.outcome.cost, Nanodollars::parse("0.00006"));
    assert_eq!(given_up.call.who.key_id, used.call.who.key_id);

    // The first answer may come first all the same.
    east.script().push(slow(500));
    west.script().push(silent());
    let answer = rig.chat_with(&headers, &ask(true)).await;
    assert_eq!(told(&answer), (200, Some(EAST), Some("2"), Some("lost")));
    let id = format!("{}-hedge", answer.header("x-request-id").unwrap());
    let all = rows(&rig, 4).await;
    let given_up = &all.iter().find(|row| row.closing.call.id == id).unwrap().closing;
    assert_eq!(given_up.outcome.region.as_deref(), Some("eu-west-1"));
    assert!(given_up.outcome.input > 0 && given_up.outcome.output == 0);
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn a_limit_of_the_key_leaves_no_second_call() {
    let (rig, east, west) = pair("master_key: sk-master\n", "{ after: 0.02, max_extra: 1 }").await;
    for limit in [json!({ "rpm_limit": 1 }), json!({ "max_parallel_requests": 1 })] {
        let bearer = format!("Bearer {}", key(&rig, limit.clone()).await);
        east.script().push(slow(500));
        let answer = rig.chat_with(&[("authorization", &bearer)], &ask(false)).await;
        assert_eq!(told(&answer), (200, Some(EAST), Some("1"), Some("refused")), "{limit}");
    }
    assert_eq!((count(&east), count(&west)), (2, 0));
    assert_eq!(rows(&rig, 2).await.len(), 2);
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn a_second_call_that_fails_leaves_the_first() {
    let (rig, east, west) = pair("master_key: sk-master\n", "{ after: 0.02, max_extra: 1 }").await;
    let bearer = format!("Bearer {}", key(&rig, json!({})).await);
    east.script().push(slow(1_000));
    west.script().push(Step::Error {
        status: 429,
        kind: "ThrottlingException".to_owned(),
        message: "as the script says".to_owned(),
        headers: Default::default(),
    });
    let answer = rig.chat_with(&[("authorization", &bearer)], &ask(true)).await;
    assert_eq!(told(&answer), (200, Some(EAST), Some("2"), Some("failed")));
    let id = format!("{}-hedge", answer.header("x-request-id").unwrap());
    let all = rows(&rig, 2).await;
    let second = &all.iter().find(|row| row.closing.call.id == id).unwrap().closing;
    assert_eq!((second.state, second.cost()), (CallState::Voided, Some(Nanodollars::ZERO)));
    stop(rig, east, west).await;
}

/// Lateness of a slow first token, in milliseconds.
const LATE: u64 = 1_200;

/// The longest wait for the first token in sixteen streams, of which every fourth comes late from the first target:
/// their 99th percentile. Once a token has come, the emulator sends the rest at once.
async fn slowest_first_token(rig: &Rig, east: &Running, headers: &[(&str, &str)]) -> Duration {
    let mut slowest = Duration::ZERO;
    for call in 1..=16 {
        if call % 4 == 0 {
            east.script().push(slow(LATE));
        }
        let start = Instant::now();
        let answer = rig.chat_with(headers, &ask(true)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        slowest = slowest.max(start.elapsed());
    }
    slowest
}

#[actix_rt::test]
async fn first_tokens_come_as_from_the_fast_target_at_a_bounded_cost() {
    let (rig, east, west) = pair("", "off").await;
    let without = slowest_first_token(&rig, &east, &[]).await;
    assert!(without >= Duration::from_millis(LATE), "{without:?}");
    stop(rig, east, west).await;

    let hedge = "{ after: 0.05, max_extra: 0.25 }";
    let (rig, east, west) = pair("master_key: sk-master\n", hedge).await;
    let bearer = format!("Bearer {}", key(&rig, json!({ "max_budget": 1 })).await);
    let headers = [("authorization", bearer.as_str())];
    let with = slowest_first_token(&rig, &east, &headers).await;
    assert!(with < Duration::from_millis(LATE / 2), "{with:?} with, {without:?} without");
    assert_eq!((count(&east), count(&west)), (16, 4), "a quarter of the calls, as allowed");
    // Where all calls are late, no more than the share is made all the same.
    for _ in 0..4 {
        east.script().push(slow(300));
        rig.chat_with(&headers, &ask(true)).await;
    }
    assert_eq!((count(&east), count(&west)), (20, 5));

    // Each call that was given up costs its prompt, and nothing besides costs more than without.
    let all = rows(&rig, 25).await;
    let is_given_up = |id: &str| id.ends_with("-hedge");
    let (extra, used): (Vec<_>, Vec<_>) =
        all.iter().map(|row| &row.closing).partition(|closing| is_given_up(&closing.call.id));
    assert_eq!((used.len(), extra.len()), (20, 5));
    let cost = |outcome: &CallOutcome, output: u64| {
        let (per_input, per_output) = match outcome.region.as_deref() {
            Some("us-east-1") => (60, 240),
            _ => (78, 312),
        };
        let nano = outcome.input * per_input + output * per_output;
        Some(Nanodollars::new(i64::try_from(nano).unwrap()))
    };
    for Closing { outcome, .. } in used {
        assert_eq!(outcome.cost, cost(outcome, outcome.output));
    }
    for Closing { outcome, .. } in extra {
        assert_eq!((outcome.output, outcome.cost), (0, cost(outcome, 0)));
    }
    stop(rig, east, west).await;
}

/// Answers each call with 503, late.
async fn late_refusals() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    actix_rt::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            actix_rt::spawn(async move {
                let mut request = [0; 16 * 1024];
                let _ = socket.read(&mut request).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
                let answer = "HTTP/1.1 503 Service Unavailable\r\nx-amzn-errortype: ServiceUnavailableException\r\ncontent-type: application/json\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"message\":\"no\"}\n";
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    url
}

#[actix_rt::test]
async fn a_second_call_takes_the_place_of_a_first_that_fails() {
    let west = upstream().await;
    let hedge = "{ after: 0.02, max_extra: 1 }";
    let rig = Rig::start(&name(hedge, &late_refusals().await, &west.url())).await;
    for stream in [false, true] {
        west.script().push(slow(1_500));
        let answer = rig.chat(&ask(stream)).await;
        assert_eq!(told(&answer), (200, Some(WEST), Some("2"), Some("won")));
    }
    assert_eq!(count(&west), 2);
    rig.stop().await;
    west.stop().await;
}

#[actix_rt::test]
async fn requests_for_several_answers_have_no_second_calls() {
    let (rig, east, west) = pair("", "{ after: 0.02, max_extra: 1 }").await;
    east.script().push(slow(200));
    east.script().push(slow(200));
    let mut request = ask(false);
    request["n"] = 2.into();
    let answer = rig.chat(&request).await;
    assert_eq!(told(&answer), (200, Some(EAST), Some("2"), None));
    assert_eq!(count(&west), 0);
    stop(rig, east, west).await;
}
