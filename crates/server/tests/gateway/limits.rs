//! Limits on the size and speed of a client's requests.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cpu_time::Stopwatch;
use super::rig::{PATIENCE, Rig, flood};

/// Sends raw bytes and returns the response up to the end of the connection.
async fn raw(rig: &Rig, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[actix_rt::test]
async fn a_body_over_the_limit_is_refused_and_nothing_is_sent_on() {
    let rig = Rig::start("body: { max_mib: 1 }\n").await;
    let big = Bytes::from(vec![b' '; 1024 * 1024 + 1]);
    let answer = rig.send(Method::POST, "/v1/chat/completions", big).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (413, &json!("request_too_large"))
    );
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let rig = Rig::start("body: { idle: 0.2, total: 5 }\n").await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = raw(&rig, format!("{head}content-length: 100\r\n\r\n{{").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
    let answer =
        raw(&rig, format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_body_that_trickles_is_not_waited_for() {
    let rig = Rig::start("body: { idle: 0.3, total: 600, min_rate: 1000 }\n").await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut answer = String::new();
    // Never idle, and never at the rate.
    let trickle = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = trickle => {}
        read = tokio::time::timeout(PATIENCE, reader.read_to_string(&mut answer)) => {
            read.unwrap().unwrap();
        }
    }
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_chunked_body_over_the_limit_is_not_read_for_ever() {
    let rig = Rig::start("body: { max_mib: 1 }\n").await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let (mut reader, mut writer) = socket.split();
    let mut answer = Vec::new();
    // Both directions at once: a client that only writes would never see the response.
    let endless = async { while writer.write_all(&chunk).await.is_ok() {} };
    let read = async {
        // A reset after the response is as good an end as a close.
        let _ = reader.read_to_end(&mut answer).await;
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(endless, read) }).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"), "{answer}");
    rig.stop().await;
}

#[actix_rt::test]
async fn bodies_in_pieces_are_joined() {
    let rig = Rig::start("").await;
    let body = json!({ "model": "emulator.echo", "messages": [{ "role": "user", "content": "in pieces" }] }).to_string();
    let mut request = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for piece in body.as_bytes().chunks(7) {
        let piece = std::str::from_utf8(piece).unwrap();
        request.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    request.push_str("0\r\n\r\n");
    let answer = raw(&rig, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("in pieces"), "{answer}");
    rig.stop().await;
}

#[actix_rt::test]
async fn compressed_bodies_are_refused_with_a_word() {
    let rig = Rig::start("").await;
    let request = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx";
    let answer = raw(&rig, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 415") && answer.contains("gzip"), "{answer}");
    rig.stop().await;
}

/// A response with `connection: close` is the last one on its connection.
#[actix_rt::test]
async fn requests_after_a_refusal_are_answered_or_the_connection_ends() {
    let rig = Rig::start("body: { max_mib: 1 }\n").await;
    // Without `connection: close`: actix writes that on all responses that are still to be sent.
    let next = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    const JSON: &str = "content-type: application/json\r\n";
    let (gzip, br) =
        (format!("{JSON}content-encoding: gzip\r\n"), format!("{JSON}content-encoding: br\r\n"));
    for (host, method, path, header) in [
        ("localhost", "POST", "/v1/nothing", ""),
        ("localhost", "PUT", "/v1/chat/completions", ""),
        ("localhost", "POST", "/v1/chat/completions", &gzip),
        ("localhost", "POST", "/v1/embeddings", &br),
        ("localhost", "POST", "/v1/embeddings", ""),
        ("rebound.example", "POST", "/v1/embeddings", JSON),
    ] {
        let body = "x".repeat(1000);
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{header}");
        let request = format!("{head}content-length: 1000\r\n\r\n{body}{next}");
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with(r#"{"status":"ok"}"#) {
            let mut piece = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, socket.read(&mut piece)).await.unwrap();
            let read = read.unwrap();
            assert!(read > 0, "{answer}");
            answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        let answers: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).collect();
        assert_eq!(answers.len(), 2, "{method} {path}: {answer}");
        assert!(
            answers[0].starts_with('4') && !answers[0].contains("connection: close"),
            "{answer}"
        );
        assert!(answers[1].starts_with("200"), "{answer}");
        // A body too long to be skipped ends the connection.
        let long = "x".repeat(200_000);
        let request = format!("{head}content-length: {}\r\n\r\n{long}", long.len());
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 4") && answer.contains("connection: close"),
            "{answer}"
        );
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn endless_schemas_are_refused_by_the_gateway() {
    let rig = Rig::start("").await;
    let deep = format!("{}{}", "{\"a\":".repeat(200_000), "1".to_owned() + &"}".repeat(200_000));
    let body = format!(
        r#"{{"model":"emulator.echo","messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function","function":{{"name":"f","parameters":{deep}}}}}]}}"#
    );
    let answer = rig.send(Method::POST, "/v1/chat/completions", body.into()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "tools[0].function.parameters");
    rig.stop().await;
}

/// Requests that would be expensive if a list were scanned repeatedly.
#[actix_rt::test]
async fn long_lists_take_linear_time() {
    let rig = Rig::start("").await;
    let count = 40_000;
    let fields: serde_json::Map<String, serde_json::Value> =
        (0..count).map(|n| (format!("field_{n}"), json!(1))).collect();
    let mut unknown =
        json!({ "model": "emulator.echo", "messages": [{ "role": "user", "content": "x" }] });
    unknown.as_object_mut().unwrap().extend(fields);
    let calls: Vec<_> = (0..count)
        .map(|n| json!({ "id": "same", "type": "function", "function": { "name": format!("f.{n}"), "arguments": "{}" } }))
        .collect();
    let calls = json!({ "model": "emulator.echo", "messages": [{ "role": "user", "content": "x" }, { "role": "assistant", "tool_calls": calls }] });
    let parts = vec![json!({ "type": "text", "text": "x" }); count / 10];
    let systems = vec![json!({ "role": "system", "content": parts }); 10];
    let systems = json!({ "model": "emulator.error-400", "messages": systems });
    for request in [unknown, calls, systems] {
        let work = Stopwatch::of_process();
        // The emulator may refuse it; only the call itself counts.
        rig.chat(&request).await;
        // Two seconds in a build without optimisations. With quadratic cost each would take minutes.
        let took = work.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}");
    }
    assert_eq!(rig.emulator.journal().calls().len(), 3);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_stops_reading_is_given_up() {
    let rig = Rig::start("timeouts: { write_stall: 0.3 }\n").await;
    rig.emulator.script().push(flood());
    let body = json!({ "model": "emulator.echo", "stream": true, "messages": [{ "role": "user", "content": "x" }] }).to_string();
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    rig.until(|calls| {
        calls.first().is_some_and(|call| call.delivery == emulator::Delivery::ClientGone)
    })
    .await;
    drop(socket);
    rig.stop().await;
}

#[actix_rt::test]
async fn error_messages_do_not_quote_long_values() {
    let rig = Rig::start("").await;
    let book = "é".repeat(1_000_000);
    for body in [
        json!({ "model": "m", "messages": book }),
        json!({ "model": "m", "messages": [{ "role": book, "content": "x" }] }),
    ] {
        let answer = rig.send(Method::POST, "/v1/chat/completions", body.to_string().into()).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.len() < 2000, "{} bytes", answer.body.len());
    }
    rig.stop().await;
}
