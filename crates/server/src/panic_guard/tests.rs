//! Tests of handlers and bodies that panic, behind the middleware of all requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use async_stream::stream;
use bytes::Bytes;
use translate::Stamp;
use translate::chat::ChatStream;

use super::*;
use crate::cutoff::Cut;
use crate::request::PendingResponse;
use crate::request::stream_end::StreamEnd;
use crate::routes::middleware;
use crate::sse::pending;
use crate::sse::stream;
use crate::write_timeout::AfterClient;
use crate::write_timeout::{BrokenOff, WriteTimeoutBody};

/// Longer than anything takes here, however busy the machine is.
const STALL: Duration = Duration::from_secs(600);

fn fault() -> Bytes {
    let text = String::from("what a caller sent");
    panic!("it cannot be {text}")
}

fn pieces() -> impl Stream<Item = Result<Bytes, BrokenOff>> {
    stream! {
        yield Ok(Bytes::from_static(b"data: {}\n\n"));
        // After the first piece was read.
        tokio::time::sleep(Duration::from_millis(20)).await;
        yield Ok(fault());
    }
}

fn head() -> PendingResponse {
    let head = PendingResponse::default();
    let stamp = Stamp { id: "chatcmpl-1".to_owned(), created: 1, model: "m".to_owned() };
    head.is_of_stream(StreamEnd::of::<ChatStream>(stamp));
    head
}

async fn at_once() -> HttpResponse {
    HttpResponse::Ok().body(fault())
}

async fn later() -> HttpResponse {
    actix_rt::task::yield_now().await;
    at_once().await
}

async fn in_a_stream() -> HttpResponse {
    let pieces = told(pieces(), stream::panicked(Some(head())));
    stream::event_stream().streaming(WriteTimeoutBody::of(pieces, STALL, AfterClient::End))
}

async fn in_bytes() -> HttpResponse {
    HttpResponse::Ok().streaming(WriteTimeoutBody::of(pieces(), STALL, AfterClient::End))
}

async fn behind_a_head() -> HttpResponse {
    let head = head();
    let answer = Box::pin(async {
        tokio::time::sleep(Duration::from_millis(60)).await;
        later().await
    });
    pending::respond(answer, head, Duration::from_millis(20), Cut::default()).await
}

fn serve() -> (SocketAddr, actix_web::dev::ServerHandle) {
    let server = HttpServer::new(|| {
        App::new()
            .wrap(from_fn(middleware::identify))
            .route("/v1/at-once", web::get().to(at_once))
            .route("/v1/later", web::get().to(later))
            .route("/v1/stream", web::get().to(in_a_stream))
            .route("/v1/bytes", web::get().to(in_bytes))
            .route("/v1/behind", web::get().to(behind_a_head))
            .route("/v1/well", web::get().to(async || "well"))
    });
    let server = server.workers(1).bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    let server = server.disable_signals().run();
    let handle = server.handle();
    actix_rt::spawn(server);
    (address, handle)
}

async fn get(address: SocketAddr, paths: &'static [&'static str]) -> String {
    tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(STALL)).unwrap();
        let mut answer = String::new();
        for (at, path) in paths.iter().enumerate() {
            let last = if at + 1 == paths.len() { "connection: close\r\n" } else { "" };
            write!(socket, "GET {path} HTTP/1.1\r\nhost: localhost\r\n{last}\r\n").unwrap();
        }
        socket.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

#[actix_rt::test]
async fn a_panic_in_a_request_gets_a_response() {
    log_them();
    let (address, handle) = serve();
    for paths in [&["/v1/at-once"][..], &["/v1/later"]] {
        let before = count();
        let answer = get(address, paths).await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("\"code\":\"internal_error\""), "{answer}");
        assert!(answer.contains("x-request-id: req_"), "{answer}");
        assert!(!answer.contains("caller sent"), "{answer}");
        assert!(count() > before);
    }
    // The connection and the worker still serve requests.
    let answer = get(address, &["/v1/later", "/v1/well"]).await;
    assert!(answer.contains("HTTP/1.1 500 ") && answer.ends_with("well"), "{answer}");
    handle.stop(false).await;
}

#[actix_rt::test]
async fn a_panic_in_a_stream_is_its_last_event() {
    log_them();
    let (address, handle) = serve();
    for paths in [&["/v1/stream"][..], &["/v1/behind"]] {
        let before = count();
        let answer = get(address, paths).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("data: {\"error\":{"), "{answer}");
        assert!(answer.ends_with("\r\n0\r\n\r\n") && !answer.contains("[DONE]"), "{answer}");
        assert!(count() > before);
    }
    let before = count();
    let answer = get(address, &["/v1/bytes"]).await;
    assert!(answer.contains("data: {}") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(count() > before);
    handle.stop(false).await;
}

#[actix_rt::test]
async fn a_panic_in_a_task_is_counted() {
    log_them();
    let before = count();
    noted("a test", async {
        fault();
    })
    .await;
    assert!(count() > before);
}
