//! HTTP/2 without TLS, as AWS's SDK for JavaScript speaks it: many streams on one connection, streams that the
//! client resets, a client that stops reading, a gateway that stops.

use std::time::Duration;

use actix_rt::task::JoinHandle;
use bytes::Bytes;
use emulator::{Delivery, Fault, Step};
use futures_util::future::join_all;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::rig::{PATIENCE, Rig, flood};

/// One connection.
struct Client {
    rig: std::net::SocketAddr,
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn of(rig: &Rig) -> Self {
        let socket = TcpStream::connect(rig.address).await.unwrap();
        let mut builder = Builder::new();
        // A stream that is not read leaves room for the others.
        builder.initial_window_size(64 * 1024).initial_connection_window_size(4 * 1024 * 1024);
        let (sender, connection) = builder.handshake(socket).await.unwrap();
        Self { rig: rig.address, sender, connection: actix_rt::spawn(connection) }
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.rig))
            .header("content-type", "application/json")
    }

    /// Sends a request; gives the head of its response.
    async fn send(
        &self,
        request: http::request::Builder,
        mut body: Bytes,
    ) -> Result<Response<RecvStream>, h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let request = request.body(()).unwrap();
        let (response, mut stream) = sender.send_request(request, body.is_empty())?;
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
            // Without room the response has come before the end of the body.
            let Some(Ok(room)) = room else { break };
            let part = body.split_to(room.min(body.len()));
            stream.send_data(part, body.is_empty())?;
        }
        timeout(PATIENCE, response).await.expect("no response in time")
    }

    async fn chat(&self, request: &Value) -> Result<Response<RecvStream>, h2::Error> {
        let head = self.request(Method::POST, "/v1/chat/completions");
        self.send(head, request.to_string().into()).await
    }
}

/// The rest of a response.
async fn text(response: Response<RecvStream>) -> Result<String, h2::Error> {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(piece) = timeout(PATIENCE, body.data()).await.expect("no data in time") {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(text).unwrap())
}

fn ask(model: &str, text: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": text }] })
}

#[actix_rt::test]
async fn a_hundred_streams_of_one_connection_are_served_in_parallel() {
    let rig = Rig::start("").await;
    let client = Client::of(&rig).await;
    let answers = join_all((0..100).map(|number| {
        let client = &client;
        async move {
            let said = format!("granite {number} ").repeat(number + 1);
            let stream = number % 2 == 0;
            let response = client.chat(&ask("emulator.echo", &said, stream)).await.unwrap();
            assert_eq!(response.status(), 200);
            assert!(response.headers().contains_key("x-request-id"));
            assert!(response.headers().contains_key("date"));
            let answer = text(response).await.unwrap();
            if stream {
                let (events, done) = super::rig::events(&answer);
                let pieces = events.iter().filter_map(|event| {
                    event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
                });
                assert_eq!(pieces.collect::<String>(), said);
                assert!(done);
            } else {
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["choices"][0]["message"]["content"], said);
            }
        }
    }));
    timeout(PATIENCE, answers).await.unwrap();
    assert_eq!(rig.emulator.journal().calls().len(), 100);
    rig.stop().await;
}

#[actix_rt::test]
async fn requests_are_those_of_http1() {
    let rig = Rig::start("body: { max_mib: 1 }\n").await;
    let client = Client::of(&rig).await;

    let head = client.send(client.request(Method::HEAD, "/livez"), Bytes::new()).await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(head.headers().contains_key("content-length"));
    assert_eq!(text(head).await.unwrap(), "");

    let unknown = client.send(client.request(Method::GET, "/nowhere?x=1"), Bytes::new()).await;
    let unknown = unknown.unwrap();
    assert_eq!(unknown.status(), 404);
    assert!(text(unknown).await.unwrap().contains("/nowhere"));

    // The limit of a body, and a connection that serves on.
    let large = ask("emulator.echo", &"x".repeat(8 * 1024 * 1024), false);
    let refused = client.chat(&large).await.unwrap();
    assert_eq!(refused.status(), 413);
    assert!(text(refused).await.unwrap().contains("error"));

    // Names are judged as ever, wherever they stand.
    let foreign = Request::builder().method(Method::GET).uri("http://rebound.example/v1/models");
    assert_eq!(client.send(foreign, Bytes::new()).await.unwrap().status(), 403);
    let own = client.request(Method::GET, "/v1/models").header("host", "rebound.example");
    assert_eq!(client.send(own, Bytes::new()).await.unwrap().status(), 403);
    let own = Request::builder()
        .method(Method::GET)
        .uri("http://rebound.example/v1/models")
        .header("host", rig.address.to_string());
    assert_eq!(client.send(own, Bytes::new()).await.unwrap().status(), 403);
    let own = client.request(Method::GET, "/v1/models").header("host", rig.address.to_string());
    assert_eq!(client.send(own, Bytes::new()).await.unwrap().status(), 200);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_reset_stream_cancels_its_call_and_no_other() {
    let rig = Rig::start("").await;
    let client = Client::of(&rig).await;
    let gone = |delivery: &Delivery| *delivery == Delivery::ClientGone;

    let response = client.chat(&ask("emulator.stall-3", "x", true)).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    rig.until(|calls| calls.len() == 1 && gone(&calls[0].delivery)).await;

    // Before there is an answer.
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    let request = ask("us.amazon.nova-lite-v1:0", "x", false);
    {
        let mut waiting = std::pin::pin!(client.chat(&request));
        tokio::select! {
            _ = waiting.as_mut() => panic!("a silent call was answered"),
            _ = rig.until(|calls| calls.len() == 2) => {}
        }
    }
    rig.until(|calls| gone(&calls[1].delivery)).await;

    let response = client.chat(&ask("emulator.echo", "well", false)).await.unwrap();
    assert!(text(response).await.unwrap().contains("well"));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_cancels_all_its_calls() {
    let rig = Rig::start("").await;
    let client = Client::of(&rig).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(client.chat(&ask("emulator.stall-3", "x", true)).await.unwrap());
    }
    client.connection.abort();
    drop(open);
    rig.until(|calls| {
        calls.len() == 5 && calls.iter().all(|call| call.delivery == Delivery::ClientGone)
    })
    .await;
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_is_not_read_is_given_up_alone() {
    let rig = Rig::start("timeouts: { write_stall: 0.3 }\n").await;
    let client = Client::of(&rig).await;
    rig.emulator.script().push(flood());
    let stalled = client.chat(&ask("emulator.echo", "x", true)).await.unwrap();
    rig.until(|calls| calls.first().is_some_and(|call| call.delivery == Delivery::ClientGone))
        .await;
    let response = client.chat(&ask("emulator.echo", "well", true)).await.unwrap();
    assert!(text(response).await.unwrap().ends_with("data: [DONE]\n\n"));
    // What was sent can be read; then the stream is broken off.
    let error = text(stalled).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::CANCEL), "{error}");
    rig.stop().await;
}

#[actix_rt::test]
async fn an_answer_that_is_broken_off_is_a_reset() {
    let rig = Rig::start("").await;
    let client = Client::of(&rig).await;
    let path = "/bedrock/model/emulator.reset-3/converse-stream";
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] });
    let head = client.request(Method::POST, path);
    let response = client.send(head, body.to_string().into()).await.unwrap();
    let error = text(response).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR), "{error}");
    rig.stop().await;
}

#[actix_rt::test]
async fn open_streams_finish_when_the_gateway_drains() {
    let rig = Rig::start("").await;
    let (client, idle) = (Client::of(&rig).await, Client::of(&rig).await);
    let waiting = ask("emulator.slow-700", "x", true);
    let waiting = async {
        let response = client.chat(&waiting).await.unwrap();
        text(response).await.unwrap()
    };
    let drain = async {
        rig.until(|calls| calls.len() == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        timeout(PATIENCE, rig.drain()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, drain);
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
    // Both connections are closed, without an error.
    assert!(client.chat(&ask("emulator.echo", "x", false)).await.is_err());
    timeout(PATIENCE, client.connection).await.unwrap().unwrap().unwrap();
    timeout(PATIENCE, idle.connection).await.unwrap().unwrap().unwrap();
    rig.stop().await;
}
