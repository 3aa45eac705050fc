//! Responses over a WebSocket: the points of the Open Responses compliance tests, and what a connection does at its
//! limits and its end.

use emulator::{Fault, Step};
use http::Method;
use serde_json::{Value, json};

use super::{NOVA, asking, response, text_of};
use crate::keys::{MASTER, key};
use crate::rig::Rig;
use crate::web_socket::{self, BINARY, PING, PONG, Socket};

const ECHO: &str = "emulator.echo";

fn create(input: &Value, more: &Value) -> Value {
    let mut message =
        json!({ "type": "response.create", "model": ECHO, "store": false, "input": input });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

fn text(input: &str) -> Value {
    create(&input.into(), &json!({}))
}

fn continued(previous: &Value, input: &str) -> Value {
    create(&input.into(), &json!({ "previous_response_id": previous["id"] }))
}

impl Socket {
    /// The last response of a request that succeeds.
    async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        let events = self.response().await;
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed", "{last}");
        last["response"].clone()
    }

    /// The error of a request that fails.
    async fn fails(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.response().await.pop().unwrap()
    }
}

/// The texts of the last call's messages.
fn sent(rig: &Rig) -> Vec<String> {
    let body = rig.emulator.journal().calls().last().unwrap().body.clone();
    let turns = body["messages"].as_array().unwrap().iter();
    let text = |turn: &Value| -> String {
        let blocks = turn["content"].as_array().unwrap().iter();
        blocks.filter_map(|block| block["text"].as_str()).collect()
    };
    turns.map(text).collect()
}

/// `websocket-response`: the events are those of a stream, one a message.
#[actix_rt::test]
async fn a_response_comes_as_the_events_of_a_stream() {
    let rig = Rig::start("").await;
    for path in ["/v1/responses", "/responses", "/openai/v1/responses"] {
        let mut socket = web_socket::open(rig.address, path, &[]).await;
        assert_eq!(socket.status(), 101, "{path}");
        // Members that say how the answer comes have no meaning here.
        let input = json!([{ "type": "message", "role": "user", "content": "one two" }]);
        let message = create(&input, &json!({ "stream": false, "background": false }));
        socket.socket.send(&message).await;
        let events = socket.socket.response().await;
        let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(
            kinds[..3],
            ["response.created", "response.in_progress", "response.output_item.added"]
        );
        let numbers: Vec<&Value> = events.iter().map(|event| &event["sequence_number"]).collect();
        assert_eq!(numbers, (0..events.len()).collect::<Vec<_>>());
        let last = &events.last().unwrap()["response"];
        assert_eq!((text_of(last).as_str(), &last["store"]), ("one two", &json!(false)));
        let streamed = json!({ "model": ECHO, "input": input, "stream": true, "store": false });
        let mut streamed = response(&rig.respond(&streamed).await);
        for member in ["id", "created_at", "completed_at", "output"] {
            streamed[member] = last[member].clone();
        }
        assert_eq!(&streamed, last);
    }
    rig.stop().await;
}

/// `websocket-sequential-responses`: a connection serves one request after another, also those that come early.
#[actix_rt::test]
async fn responses_follow_one_another_in_their_order() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    assert_eq!(text_of(&socket.ask(&text("first")).await), "first");
    for input in ["second", "third"] {
        socket.send(&create(&input.into(), &json!({ "stream_id": input }))).await;
    }
    socket.send_kind(BINARY, text("fourth").to_string().as_bytes()).await;
    let fifth = text("fifth").to_string();
    let (left, right) = fifth.split_at(20);
    socket.send_pieces(&[left.as_bytes(), b"", right.as_bytes()]).await;
    for (input, stream_id) in [
        ("second", json!("second")),
        ("third", json!("third")),
        ("fourth", json!(null)),
        ("fifth", json!(null)),
    ] {
        let events = socket.response().await;
        assert!(events.iter().all(|event| event["stream_id"] == stream_id), "{events:?}");
        assert_eq!(events[0]["type"], "response.created");
        assert_eq!(text_of(&events.last().unwrap()["response"]), input);
    }
    rig.stop().await;
}

/// `websocket-continuation`: responses that are not stored continue on their connection.
#[actix_rt::test]
async fn a_response_is_continued_on_its_connection() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    let first = socket.ask(&text("one")).await;
    let second = socket.ask(&continued(&first, "two")).await;
    assert_eq!(sent(&rig), ["one", "one", "two"]);
    assert_eq!(second["previous_response_id"], first["id"]);
    socket.ask(&continued(&second, "three")).await;
    assert_eq!(sent(&rig), ["one", "one", "two", "two", "three"]);
    // A response before the last may be continued in another way.
    socket.ask(&continued(&first, "other")).await;
    assert_eq!(sent(&rig), ["one", "one", "other"]);
    socket.ask(&text("new")).await;
    assert_eq!(sent(&rig), ["new"]);
    // It was not stored.
    let path = format!("/v1/responses/{}", first["id"].as_str().unwrap());
    assert_eq!(rig.send(Method::GET, &path, bytes::Bytes::new()).await.status, 404);
    rig.stop().await;
}

/// `websocket-compact-new-chain`: a conversation that was compacted goes on as a new one.
#[actix_rt::test]
async fn a_compacted_conversation_begins_anew() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    let first = socket.ask(&text("one")).await;
    let mut items = vec![json!({ "role": "user", "content": "one" })];
    items.extend(first["output"].as_array().unwrap().iter().cloned());
    let request = json!({ "model": ECHO, "input": items }).to_string();
    let compacted = rig.send(Method::POST, "/v1/responses/compact", request.into()).await.json();
    let mut items = compacted["output"].as_array().unwrap().clone();
    assert_eq!(items.last().unwrap()["type"], "compaction");
    items.push(json!({ "role": "user", "content": "two" }));
    let next = socket.ask(&create(&items.into(), &json!({}))).await;
    assert_eq!(next["previous_response_id"], Value::Null);
    socket.ask(&continued(&next, "three")).await;
    assert!(sent(&rig).last().unwrap().ends_with("three"), "{:?}", sent(&rig));
    rig.stop().await;
}

/// `websocket-reconnect-store-false-recovery`: another connection does not know them, and a client that sends all
/// items goes on.
#[actix_rt::test]
async fn responses_that_are_not_stored_end_with_their_connection() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    let first = socket.ask(&text("one")).await;
    drop(socket);
    let mut again = Socket::new(rig.address, &[]).await;
    let error = again.fails(&continued(&first, "two")).await;
    assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(400)));
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    let mut items = vec![json!({ "role": "user", "content": "one" })];
    items.extend(first["output"].as_array().unwrap().iter().cloned());
    items.push(json!({ "role": "user", "content": "two" }));
    again.ask(&create(&items.into(), &json!({}))).await;
    assert_eq!(sent(&rig), ["one", "one", "two"]);
    rig.stop().await;
}

/// Stored responses are continued from either side.
#[actix_rt::test]
async fn stored_responses_are_known_everywhere() {
    let rig = Rig::start("").await;
    let by_post = response(&rig.respond(&json!({ "model": ECHO, "input": "one" })).await);
    let mut socket = Socket::new(rig.address, &[]).await;
    let second = socket.ask(&continued(&by_post, "two")).await;
    let stored =
        create(&"three".into(), &json!({ "previous_response_id": second["id"], "store": true }));
    let third = socket.ask(&stored).await;
    assert_eq!(third["store"], true);
    drop(socket);
    let next = json!({ "model": ECHO, "input": "four", "previous_response_id": third["id"] });
    response(&rig.respond(&next).await);
    assert_eq!(sent(&rig), ["one", "one", "two", "two", "three", "three", "four"]);
    rig.stop().await;
}

/// `websocket-generate-false`: a response is prepared without a call, and continued.
#[actix_rt::test]
async fn a_conversation_can_be_prepared() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    for format in [json!({}), json!({ "text": { "format": { "type": "json_object" } } })] {
        let before = rig.emulator.journal().calls().len();
        let mut prepare = create(&"one".into(), &json!({ "generate": false }));
        prepare.as_object_mut().unwrap().extend(format.as_object().unwrap().clone());
        let prepared = socket.ask(&prepare).await;
        assert_eq!(rig.emulator.journal().calls().len(), before, "no call is made");
        assert_eq!(
            (&prepared["output"], &prepared["usage"]["total_tokens"]),
            (&json!([]), &json!(0))
        );
        socket.ask(&continued(&prepared, "two")).await;
        assert_eq!(sent(&rig).concat(), "onetwo");
    }
    rig.stop().await;
}

/// `websocket-previous-response-not-found` and `websocket-failed-continuation-evicts-cache`.
#[actix_rt::test]
async fn a_failed_continuation_forgets_what_it_continued() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    let missing = json!({ "id": "resp_missing" });
    let error = socket.fails(&continued(&missing, "one")).await;
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    let first = socket.ask(&text("one")).await;
    let output =
        json!([{ "type": "function_call_output", "call_id": "call_missing", "output": "?" }]);
    let orphan = create(&output, &json!({ "previous_response_id": first["id"] }));
    let error = socket.fails(&orphan).await;
    assert!(error["message"].as_str().unwrap().contains("call_missing"), "{error}");
    let error = socket.fails(&continued(&first, "two")).await;
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    // A stream that fails does the same.
    let first = socket.ask(&text("one")).await;
    rig.emulator.script().push(Step::Fault(Fault::Cut(2)));
    let failed = socket.fails(&continued(&first, "two")).await;
    assert_eq!(failed["type"], "response.failed");
    let error = socket.fails(&continued(&first, "two")).await;
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    // The connection is as good as before.
    assert_eq!(text_of(&socket.ask(&text("three")).await), "three");
    rig.stop().await;
}

/// A model that refuses a tool turn without its signed reasoning has it back over a connection.
#[actix_rt::test]
async fn calls_are_answered_with_their_reasoning() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    let more = json!({ "type": "response.create", "store": false });
    let called = socket.ask(&asking(&"The weather of Bergen?".into(), &more)).await;
    let items = called["output"].as_array().unwrap();
    let call = items.iter().find(|item| item["type"] == "function_call").unwrap();
    let output =
        json!([{ "type": "function_call_output", "call_id": call["call_id"], "output": "Rain." }]);
    let more =
        json!({ "type": "response.create", "store": false, "previous_response_id": called["id"] });
    let told = socket.ask(&asking(&output, &more)).await;
    assert!(text_of(&told).contains("Rain."), "{told}");
    let body = rig.emulator.journal().calls().last().unwrap().body.clone();
    assert!(body["messages"][1]["content"][0].get("reasoningContent").is_some(), "{body}");
    rig.stop().await;
}

/// Every mistake is an event, with what a client needs to know.
#[actix_rt::test]
async fn mistakes_are_events() {
    let rig = Rig::start("").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    for (message, status, code, param) in [
        (json!({ "model": ECHO }), 400, "missing_required_parameter", json!("type")),
        (json!({ "type": "response.steer" }), 400, "unknown_message_type", json!("type")),
        (
            json!({ "type": "response.create", "input": "x" }),
            400,
            "missing_required_parameter",
            json!("model"),
        ),
        (
            json!({ "type": "response.create", "model": ECHO }),
            400,
            "missing_required_parameter",
            json!("input"),
        ),
        (
            json!({ "type": "response.create", "model": "nonsense", "input": "x" }),
            404,
            "model_not_found",
            json!("model"),
        ),
        (
            create(&"x".into(), &json!({ "background": true })),
            400,
            "unsupported_parameter",
            json!("background"),
        ),
    ] {
        let error = socket.fails(&message).await;
        assert_eq!(
            (&error["type"], &error["status"]),
            (&json!("error"), &json!(status)),
            "{error}"
        );
        assert_eq!((&error["code"], &error["param"]), (&json!(code), &param), "{error}");
        assert_eq!((&error["error"]["code"], &error["error"]["param"]), (&json!(code), &param));
        assert_eq!(error["sequence_number"], 0);
    }
    socket.send_kind(1, b"{").await;
    let error = socket.event().await;
    assert!(error["message"].as_str().unwrap().contains("not valid JSON"), "{error}");
    // It tells that a response was read, and needs no answer.
    socket.send(&json!({ "type": "response.processed", "response_id": "resp_1" })).await;
    assert_eq!(text_of(&socket.ask(&text("well")).await), "well");
    rig.stop().await;
}

/// The gateway answers pings, also in the middle of a response, and sends its own in a silence.
#[actix_rt::test]
async fn a_connection_is_kept_alive() {
    let rig = Rig::start("timeouts: { keep_alive: 0.05 }\n").await;
    let mut socket = Socket::new(rig.address, &[]).await;
    socket.send_kind(PING, b"are you there").await;
    let (mut ponged, mut pinged) = (false, false);
    while !(ponged && pinged) {
        match socket.next_frame().await.unwrap() {
            (PONG, payload) => ponged = payload == b"are you there",
            (PING, _) => pinged = true,
            other => panic!("{other:?}"),
        }
    }
    socket.send_kind(PONG, b"").await;
    assert_eq!(text_of(&socket.ask(&text("one")).await), "one");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_connection_that_breaks_a_limit_is_closed() {
    let rig = Rig::start("body: { max_mib: 1 }\n").await;
    let large = text(&"x".repeat(2 * 1024 * 1024)).to_string();
    let mut socket = Socket::new(rig.address, &[]).await;
    socket.send_kind(1, large.as_bytes()).await;
    let error = socket.event().await;
    assert_eq!(error["code"], "request_too_large");
    assert_eq!(socket.closed().await.0, 1009);
    let mut socket = Socket::new(rig.address, &[]).await;
    let pieces: Vec<&[u8]> = large.as_bytes().chunks(512 * 1024).collect();
    socket.send_pieces(&pieces).await;
    assert_eq!(socket.closed().await.0, 1009);
    // The rest of a message that is too long is not waited for.
    let mut socket = Socket::new(rig.address, &[]).await;
    socket.send_beginning(1024 * 1024 * 1024, &vec![b'x'; 2 * 1024 * 1024]).await;
    assert_eq!(socket.closed().await.0, 1009);
    let mut socket = Socket::new(rig.address, &[]).await;
    socket.send_kind(1, &[0xff, 0xfe]).await;
    assert_eq!(socket.closed().await.0, 1007);
    let mut socket = Socket::new(rig.address, &[]).await;
    socket.send_kind(5, b"?").await;
    assert_eq!(socket.closed().await.0, 1002);
    // A client that sends without end while a response is made.
    rig.emulator.script().push(Step::Fault(Fault::Stall(2)));
    let mut socket = Socket::new(rig.address, &[]).await;
    socket.send(&create(&"x".into(), &json!({ "model": NOVA }))).await;
    for _ in 0..20 {
        socket.send(&text("x")).await;
    }
    let error = socket.response().await.pop().unwrap();
    assert_eq!(error["code"], "websocket_too_many_messages");
    assert_eq!(socket.closed().await.0, 1009);
    rig.stop().await;
}

#[actix_rt::test]
async fn only_a_websocket_is_opened() {
    let rig = Rig::start("").await;
    let plain = rig.send(Method::GET, "/v1/responses", bytes::Bytes::new()).await;
    assert_eq!((plain.status, plain.header("upgrade")), (426, Some("websocket")));
    assert_eq!(plain.json()["error"]["code"], "upgrade_required");
    let other = rig.send(Method::DELETE, "/v1/responses", bytes::Bytes::new()).await;
    assert_eq!((other.status, other.header("allow")), (405, Some("POST")));
    let dry =
        web_socket::open(rig.address, "/v1/responses", &[("x-outcrop-dry-run", "true")]).await;
    assert_eq!(dry.status(), 400);
    assert_eq!(dry.refusal().await["error"]["param"], "x-outcrop-dry-run");
    let page =
        web_socket::open(rig.address, "/v1/responses", &[("origin", "https://evil.example")]).await;
    assert_eq!(page.status(), 403, "pages of other sites open none");
    rig.stop().await;
}

/// A response that is being made is finished, and the connection closed then; others are closed at once.
#[actix_rt::test]
async fn a_gateway_that_stops_closes_its_connections() {
    let rig = Rig::start("").await;
    let (mut busy, idle) =
        (Socket::new(rig.address, &[]).await, Socket::new(rig.address, &[]).await);
    rig.emulator.script().push(Step::Fault(Fault::Slow(300)));
    busy.send(&create(&"x".into(), &json!({ "model": NOVA }))).await;
    rig.until(|calls| calls.iter().any(|call| call.path.contains("nova-lite"))).await;
    let clients = async {
        assert_eq!(idle.closed().await.0, 1001);
        assert_eq!(busy.response().await.last().unwrap()["type"], "response.completed");
        assert_eq!(busy.closed().await.0, 1001);
    };
    tokio::join!(rig.drain(), clients);
    rig.stop().await;
}

/// A key is checked with every message: one that is blocked meanwhile is refused, and one that is deleted ends the
/// connection.
#[actix_rt::test]
async fn keys_and_limits_hold_for_every_message() {
    let rig = Rig::start(MASTER).await;
    assert_eq!(web_socket::open(rig.address, "/v1/responses", &[]).await.status(), 401);
    let unknown = [("authorization", "Bearer sk-unknown")];
    assert_eq!(web_socket::open(rig.address, "/v1/responses", &unknown).await.status(), 401);
    let other = key(&rig, json!({ "allowed_routes": ["/v1/chat/completions"] })).await;
    let other = format!("Bearer {other}");
    let opening =
        web_socket::open(rig.address, "/v1/responses", &[("authorization", &other)]).await;
    assert_eq!(opening.status(), 403);
    let key = key(&rig, json!({ "models": [ECHO], "rpm_limit": 2 })).await;
    let header = format!("Bearer {key}");
    let mut socket = Socket::new(rig.address, &[("authorization", &header)]).await;
    let denied = socket.fails(&create(&"x".into(), &json!({ "model": NOVA }))).await;
    assert_eq!(denied["status"], 403, "{denied}");
    let first = socket.ask(&text("one")).await;
    socket.ask(&continued(&first, "two")).await;
    let limited = socket.fails(&text("three")).await;
    assert_eq!(limited["status"], 429, "{limited}");
    assert!(limited["headers"]["retry-after"].is_string(), "{limited}");
    let delete = json!({ "keys": [key] }).to_string();
    let master = [("authorization", "Bearer sk-master")];
    let deleted = rig.send_with(&master, Method::POST, "/key/delete", delete.into()).await;
    assert_eq!(deleted.status, 200);
    let gone = socket.fails(&text("four")).await;
    assert_eq!(gone["status"], 401, "{gone}");
    assert_eq!(socket.closed().await.0, 1008);
    rig.stop().await;
}
