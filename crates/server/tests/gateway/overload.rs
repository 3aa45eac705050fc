//! More calls than there may be: the cap, a key's share of it and memory refuse at once, in the shape of each API, and
//! what calls no model goes on.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::keys::{self, MASTER};
use super::models::ask;
use super::relay::Relay;
use super::rig::{PATIENCE, Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const CONVERSE: &str = "/bedrock/model/us.amazon.nova-lite-v1%3A0/converse";

/// Asserts that a call was refused because there is no room.
fn assert_shed(received: &Received, status: u16) {
    assert_eq!(received.status, status, "{:?}", received.body);
    let wait: u64 = received.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    assert!(
        received.header("x-request-id").is_some() || received.header("x-amzn-requestid").is_some()
    );
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// Makes calls at once, and returns their answers. `ended` counts them as they come.
async fn all_at_once(
    rig: &Rig,
    count: usize,
    key: &[(&str, &str)],
    ended: &Cell<usize>,
) -> Vec<Received> {
    let request = ask(NOVA);
    let calls = (0..count).map(async |_| {
        let received = rig.chat_with(key, &request).await;
        ended.set(ended.get() + 1);
        received
    });
    join_all(calls).await
}

/// Waits until so many calls have an answer.
async fn until_ended(ended: &Cell<usize>, count: usize) {
    let wait = async {
        while ended.get() < count {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

#[actix_rt::test]
async fn calls_above_the_cap_are_refused_and_none_below_it() {
    let (rig, relay) = Relay::start("overload: { max_in_flight: 16 }\n").await;
    let (request, ended) = (ask(NOVA), Cell::new(0));
    let release = async {
        rig.until(|calls| calls.len() == 16).await;
        // A call that begins later would be served.
        until_ended(&ended, 48).await;
        let more = ask(NOVA);
        let refused = join_all((0..8).map(|_| rig.chat(&more))).await;
        relay.open();
        refused
    };
    let (answers, refused) = tokio::join!(all_at_once(&rig, 64, &[], &ended), release);
    let (served, shed): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == 200);
    assert_eq!((served.len(), shed.len()), (16, 48));
    for one in shed.into_iter().chain(&refused) {
        assert_shed(one, 503);
        let error = &one.json()["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("overloaded_error"), &json!("gateway_overloaded"))
        );
    }
    assert_eq!(rig.emulator.journal().calls().len(), 16, "a refused call goes nowhere");
    for _ in 0..32 {
        assert_eq!(rig.chat(&request).await.status, 200, "there is room again");
    }
    let metrics = rig.send(Method::GET, "/metrics", Bytes::new()).await.body;
    let metrics = String::from_utf8_lossy(&metrics);
    assert!(metrics.contains("outcrop_shed_total{reason=\"in_flight\"} 56\n"), "{metrics}");
    assert!(metrics.contains("outcrop_shed_total{reason=\"memory\"} 0\n"), "{metrics}");
    rig.stop().await;
}

#[actix_rt::test]
async fn each_api_refuses_in_its_own_shape_and_probes_go_on() {
    let (rig, relay) = Relay::start("overload: { max_in_flight: 1 }\n").await;
    let held = ask(NOVA);
    let meanwhile = async {
        rig.until(|calls| calls.len() == 1).await;
        let send = async |path: &str, body: Value| {
            rig.send(Method::POST, path, body.to_string().into()).await
        };
        let messages = json!([{ "role": "user", "content": "Hi" }]);
        let stream = json!({ "model": NOVA, "stream": true, "messages": messages });
        let claude = json!({ "model": NOVA, "max_tokens": 9, "messages": messages });
        let native = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] });
        for (path, body) in [
            ("/v1/chat/completions", stream),
            ("/v1/chat/completions/input_tokens", json!({ "model": NOVA, "messages": messages })),
            ("/v1/responses", json!({ "model": NOVA, "input": "Hi" })),
            ("/v1/completions", json!({ "model": NOVA, "prompt": "Hi" })),
            ("/v1/embeddings", json!({ "model": "amazon.titan-embed-text-v2:0", "input": "Hi" })),
            ("/v1/moderations", json!({ "input": "Hi" })),
        ] {
            let refused = send(path, body).await;
            assert_shed(&refused, 503);
            assert_eq!(refused.json()["error"]["type"], "overloaded_error", "{path}");
        }
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let refused = send(path, claude.clone()).await;
            assert_shed(&refused, 529);
            assert_eq!(refused.json()["error"]["type"], "overloaded_error", "{path}");
        }
        for operation in [CONVERSE, "/bedrock/model/us.amazon.nova-lite-v1%3A0/converse-stream"] {
            let refused = send(operation, native.clone()).await;
            assert_shed(&refused, 503);
            let exception = refused.header("x-amzn-errortype");
            assert_eq!(exception, Some("ServiceUnavailableException"), "{operation}");
        }
        for path in ["/livez", "/readyz", "/"] {
            assert_eq!(rig.send(Method::GET, path, Bytes::new()).await.status, 200, "{path}");
        }
        relay.open();
    };
    let (first, ()) = tokio::join!(rig.chat(&held), meanwhile);
    assert_eq!(first.status, 200);
    assert_eq!(rig.emulator.journal().calls().len(), 1);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_holds_its_place_to_its_end() {
    let (rig, relay) =
        Relay::start("overload: { max_in_flight: 1 }\ntimeouts: { keep_alive: 0.1 }\n").await;
    let stream =
        json!({ "model": NOVA, "stream": true, "messages": [{ "role": "user", "content": "Hi" }] });
    let (status, _, body) = rig.chat_open(&stream).await;
    assert_eq!(status, 200, "the head comes before the answer");
    assert_shed(&rig.chat(&ask(NOVA)).await, 503);
    drop(body);
    relay.open();
    // The client has left, and its place is free as soon as the gateway knows.
    let freed = async { while rig.chat(&ask(NOVA)).await.status != 200 {} };
    timeout(PATIENCE, freed).await.unwrap();
    rig.stop().await;
}

#[actix_rt::test]
async fn a_refused_connection_is_used_again_unless_its_body_is_still_to_come() {
    let rig = Rig::start("overload: { memory_limit_mib: 1 }\n").await;
    let body = ask(NOVA).to_string();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let whole = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..2 {
        socket.write_all(whole.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with('}') {
            let mut piece = [0; 4096];
            let read = timeout(PATIENCE, socket.read(&mut piece)).await.unwrap().unwrap();
            assert!(read > 0, "closed: {answer}");
            answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    let part = format!("{head}content-length: 1000000\r\n\r\n{{");
    socket.write_all(part.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close"), "{answer}");
    rig.stop().await;
}

#[actix_rt::test]
async fn short_memory_refuses_calls_until_a_reload_gives_more() {
    let rig = Rig::start("overload: { memory_limit_mib: 1 }\n").await;
    assert_shed(&rig.chat(&ask(NOVA)).await, 503);
    for path in ["/readyz", "/v1/models"] {
        assert_eq!(rig.send(Method::GET, path, Bytes::new()).await.status, 200, "{path}");
    }
    let calls = rig.emulator.journal().calls();
    assert!(!calls.iter().any(|call| call.operation == "converse"), "{calls:?}");
    rig.reload("overload: { memory_limit_mib: 1048576 }\n").await.unwrap();
    let served = async { while rig.chat(&ask(NOVA)).await.status != 200 {} };
    timeout(PATIENCE, served).await.unwrap();
    rig.stop().await;
}

#[actix_rt::test]
async fn one_key_cannot_take_all_places() {
    let (rig, relay) = Relay::start(&format!("{MASTER}overload: {{ max_in_flight: 20 }}\n")).await;
    let (greedy, other) = (keys::key(&rig, json!({})).await, keys::key(&rig, json!({})).await);
    let (greedy, other) = (bearer(&greedy), bearer(&other));
    let greedy = [("authorization", greedy.as_str())];
    let ended = Cell::new(0);
    let release = async {
        rig.until(|calls| calls.len() == 16).await;
        until_ended(&ended, 24).await;
        let refused = rig.chat_with(&greedy, &ask(NOVA)).await;
        assert_shed(&refused, 503);
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains("its share"));
        let of_other = [("authorization", other.as_str())];
        let (body, opened) = (ask(NOVA), async {
            rig.until(|calls| calls.len() == 17).await;
            relay.open();
        });
        let (served, ()) = tokio::join!(rig.chat_with(&of_other, &body), opened);
        assert_eq!(served.status, 200, "there is room for another key");
    };
    let (answers, ()) = tokio::join!(all_at_once(&rig, 40, &greedy, &ended), release);
    assert_eq!(answers.iter().filter(|one| one.status == 200).count(), 16);
    rig.stop().await;
}

#[actix_rt::test]
async fn the_admin_api_has_room_in_any_case() {
    let rig = Rig::start(&format!("{MASTER}overload: {{ memory_limit_mib: 1 }}\n")).await;
    let master = [("authorization", "Bearer sk-master")];
    assert_shed(&rig.chat_with(&master, &ask(NOVA)).await, 503);
    let made = rig.send_with(&master, Method::POST, "/key/generate", "{}".into()).await;
    assert_eq!(made.status, 200, "{:?}", made.body);
    rig.stop().await;
}
