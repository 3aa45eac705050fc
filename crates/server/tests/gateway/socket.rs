//! The Unix socket, beside the port of models and in its place.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::rig::{PATIENCE, Rig, events};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("outcrop-{name}-{}.sock", std::process::id()))
}

fn socket_yaml(path: &Path, more: &str) -> String {
    format!("socket: {{ path: {}{more} }}\n", path.display())
}

fn ask(stream: bool) -> Value {
    json!({ "model": "us.amazon.nova-lite-v1:0", "stream": stream, "messages": [{ "role": "user", "content": "one two" }] })
}

/// One request on a connection of its own: head and body of the answer.
async fn exchange(io: impl AsyncRead + AsyncWrite, request: String) -> (String, String) {
    let mut io = std::pin::pin!(io);
    let mut answer = String::new();
    let exchange = async {
        io.write_all(request.as_bytes()).await.unwrap();
        io.read_to_string(&mut answer).await.unwrap();
    };
    timeout(PATIENCE, exchange).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn post(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The data of a chunked body.
fn unchunked(body: &str) -> String {
    let (mut rest, mut data) = (body, String::new());
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        data.push_str(&after[..length]);
        rest = &after[length + 2..];
    }
    data
}

#[actix_rt::test]
async fn models_are_served_on_the_socket_and_on_the_port() {
    let socket = path("both");
    let rig = Rig::start(&socket_yaml(&socket, ", mode: \"0600\"")).await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (head, body) =
        exchange(UnixStream::connect(&socket).await.unwrap(), post(&ask(false))).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let (head, body) =
        exchange(UnixStream::connect(&socket).await.unwrap(), post(&ask(true))).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let (_, done) = events(&unchunked(&body));
    assert!(done, "{body}");
    assert_eq!(rig.chat(&ask(false)).await.status, 200);
    assert!(rig.socket.is_some());
    rig.stop().await;
    assert!(!socket.exists(), "the file goes with the gateway");
}

#[actix_rt::test]
async fn a_socket_may_stand_in_place_of_the_port() {
    let socket = path("only");
    let rig = Rig::start(&socket_yaml(&socket, ", only: true")).await;
    assert_eq!(rig.address.port(), 0, "no port was bound");
    let (head, _) = exchange(UnixStream::connect(&socket).await.unwrap(), post(&ask(false))).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // The names of a gateway on loopback hold, and no others.
    let foreign = post(&ask(false)).replace("host: localhost", "host: rebound.example");
    let (head, _) = exchange(UnixStream::connect(&socket).await.unwrap(), foreign).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    rig.stop().await;
}
