//! Requests as web pages send them, written by hand: those that reach Bedrock, those that are refused, and
//! the responses that a page of a listed origin may read.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{PATIENCE, Rig};

const CHAT: &str = "/v1/chat/completions";
const NATIVE: &str = "/bedrock/model/amazon.nova-lite-v1%3A0/converse";
const JSON: &str = "content-type: application/json";

/// Status, head and body of a response.
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends raw bytes; the server must close the connection after the response.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Seen {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Seen { status, head: head.to_owned(), body: body.to_owned() }
}

async fn send(rig: &Rig, line: &str, headers: &[&str], body: &str) -> Seen {
    let mut request = format!("{line}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for header in headers {
        request.push_str(&format!("{header}\r\n"));
    }
    exchange(rig.address, &format!("{request}\r\n{body}")).await
}

fn body(path: &str) -> String {
    let content = if path == NATIVE { json!([{ "text": "x" }]) } else { json!("x") };
    let mut body = json!({ "messages": [{ "role": "user", "content": content }] });
    if path != NATIVE {
        body["model"] = json!("emulator.echo");
    }
    body.to_string()
}

async fn post(rig: &Rig, path: &str, headers: &[&str]) -> Seen {
    send(rig, &format!("POST {path} HTTP/1.1"), headers, &body(path)).await
}

fn calls(rig: &Rig) -> usize {
    rig.emulator.journal().calls().len()
}

#[actix_rt::test]
async fn pages_of_other_sites_reach_nothing() {
    let rig = Rig::start("native: { root: true }\n").await;
    let host = format!("host: {}", rig.address);
    for from_a_page in [
        &["origin: https://shop.example", "sec-fetch-site: cross-site", "sec-fetch-mode: no-cors"]
            [..],
        &["origin: https://shop.example"],
        &["origin: http://127.0.0.1:3000", "sec-fetch-site: same-site"],
        &["origin: null"],
        &["origin: "],
        &["origin: http://localhost", "sec-fetch-site: same-site"],
        &["origin: https://127.0.0.1.shop.example"],
        &["sec-fetch-site: cross-site"],
        &["Sec-Fetch-Site: Cross-Site", "sec-fetch-dest: image"],
        &["sec-fetch-site: none", "sec-fetch-site: cross-site"],
        &["sec-fetch-site: same-site"],
    ] {
        for path in [CHAT, NATIVE, "/model/nova-lite/converse", "/v1/embeddings", "/nowhere"] {
            for kind in [JSON, "content-type: text/plain", "x-nothing: 1"] {
                let headers = [&[host.as_str(), kind], from_a_page].concat();
                let seen = post(&rig, path, &headers).await;
                assert_eq!(seen.status, 403, "{path} {headers:?} {}", seen.body);
                assert_eq!(seen.header("access-control-allow-origin"), None);
                assert!(seen.header("x-request-id").is_some());
                let message = if path.contains("/model/") {
                    assert_eq!(seen.header("x-amzn-errortype"), Some("AccessDeniedException"));
                    seen.json()["message"].clone()
                } else {
                    assert_eq!(seen.json()["error"]["code"], "origin_not_allowed");
                    seen.json()["error"]["message"].clone()
                };
                assert!(message.to_string().contains("cors.origins"), "{message}");
            }
        }
        let headers = [&[host.as_str()], from_a_page].concat();
        let seen = send(&rig, "GET /v1/models HTTP/1.1", &headers, "").await;
        assert_eq!(seen.status, 403, "{headers:?}");
        assert_eq!(send(&rig, "GET /livez HTTP/1.1", &headers, "").await.status, 200);
    }
    assert_eq!(calls(&rig), 0);
    rig.stop().await;
}

#[actix_rt::test]
async fn foreign_names_are_refused_and_own_ones_are_not() {
    let yaml = "allowed_hosts: [gateway.example, '*.svc.cluster.local']\n";
    for (yaml, more) in [("", &[][..]), (yaml, &["Gateway.example:80", "a.b.svc.cluster.local."])] {
        let rig = Rig::start(yaml).await;
        for foreign in [
            "rebound.example",
            "rebound.example:4000",
            "REBOUND.EXAMPLE.",
            "localhost.rebound.example",
            "127.0.0.1.rebound.example",
            "10.0.0.7:4000",
            "0.0.0.0:4000",
            "[fd00::1]:4000",
            "svc.cluster.local",
            "",
        ] {
            let host = format!("host: {foreign}");
            let origin = format!("origin: http://{foreign}");
            for headers in [
                &[host.as_str(), JSON][..],
                &[host.as_str(), JSON, origin.as_str(), "sec-fetch-site: same-origin"],
            ] {
                for path in [CHAT, NATIVE] {
                    let seen = post(&rig, path, headers).await;
                    assert_eq!(seen.status, 403, "{headers:?}");
                    assert!(seen.body.contains("allowed_hosts"), "{}", seen.body);
                }
                let seen = send(&rig, "GET /v1/models HTTP/1.1", headers, "").await;
                assert_eq!(
                    (seen.status, &seen.json()["error"]["code"]),
                    (403, &json!("host_not_allowed"))
                );
            }
            for probe in ["/livez", "/readyz", "/health/readiness"] {
                let line = format!("GET {probe} HTTP/1.1");
                assert_eq!(send(&rig, &line, &[&host], "").await.status, 200, "{foreign}");
            }
        }
        assert_eq!(calls(&rig), 0);
        let own = rig.address.to_string();
        let own = ["localhost", "LOCALHOST.:4000", "127.0.0.1", "127.0.0.2:1", "[::1]:4000", &own];
        for (at, name) in own.iter().chain(more).enumerate() {
            for path in [CHAT, NATIVE] {
                let seen = post(&rig, path, &[&format!("host: {name}"), JSON]).await;
                assert_eq!(seen.status, 200, "{name} {}", seen.body);
            }
            assert_eq!(calls(&rig), 2 * (at + 1));
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn both_names_of_an_absolute_target_count_and_old_clients_need_none() {
    let rig = Rig::start("").await;
    for (target, host, status) in [
        ("http://rebound.example/v1/chat/completions", "localhost", 403),
        ("http://localhost/v1/chat/completions", "rebound.example", 403),
        ("http://localhost:4000/v1/chat/completions", "localhost:4000", 200),
    ] {
        let line = format!("POST {target} HTTP/1.1");
        let seen = send(&rig, &line, &[&format!("host: {host}"), JSON], &body(CHAT)).await;
        assert_eq!(seen.status, status, "{target} {host} {}", seen.body);
    }
    // Browsers do not use HTTP/1.0, and all other clients send the host name.
    let line = format!("POST {CHAT} HTTP/1.0");
    assert_eq!(send(&rig, &line, &[JSON], &body(CHAT)).await.status, 200);
    assert_eq!(send(&rig, &line, &[JSON, "host: rebound.example"], &body(CHAT)).await.status, 403);
    let line = format!("POST {CHAT} HTTP/1.1");
    assert_eq!(send(&rig, &line, &[JSON], &body(CHAT)).await.status, 400);
    let two = [JSON, "host: localhost", "host: rebound.example"];
    assert_eq!(send(&rig, &line, &two, &body(CHAT)).await.status, 400);
    assert_eq!(calls(&rig), 2);
    rig.stop().await;
}

#[actix_rt::test]
async fn requests_without_a_foreign_page_pass() {
    let rig = Rig::start("").await;
    let host = format!("host: {}", rig.address);
    let origin = format!("origin: http://{}", rig.address);
    for headers in [
        // Node's fetch.
        &["sec-fetch-mode: cors"][..],
        // The address bar.
        &["sec-fetch-site: none", "sec-fetch-mode: navigate"],
        // A page served by a proxy on the gateway's host.
        &[&origin, "sec-fetch-site: same-origin"],
        &[&origin],
    ] {
        let headers = [&[host.as_str(), JSON], headers].concat();
        for path in [CHAT, NATIVE] {
            assert_eq!(post(&rig, path, &headers).await.status, 200, "{headers:?}");
        }
        let seen = send(&rig, "GET /v1/models/nova-lite HTTP/1.1", &headers, "").await;
        assert_eq!(seen.status, 200);
        assert_eq!(seen.header("access-control-allow-origin"), None);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn openai_routes_require_a_json_content_type() {
    let rig = Rig::start("").await;
    for taken in [
        "content-type: application/json",
        "Content-Type: Application/JSON; charset=utf-8",
        "content-type: application/json;charset=\"UTF-8\"",
    ] {
        assert_eq!(post(&rig, CHAT, &["host: localhost", taken]).await.status, 200, "{taken}");
    }
    let asked = calls(&rig);
    for refused in [
        &[][..],
        &["content-type: "],
        &["content-type: text/plain"],
        &["content-type: text/plain; application/json"],
        &["content-type: application/x-www-form-urlencoded"],
        &["content-type: multipart/form-data; boundary=application/json"],
        &["content-type: application/jsonl"],
        &["content-type: application/problem+json"],
        &["content-type: text/plain, application/json"],
        &["content-type: text/plain", "content-type: application/json"],
    ] {
        for path in [
            CHAT,
            "/chat/completions",
            "/v1/embeddings",
            "/v1/moderations",
            "/v1/chat/completions/input_tokens",
        ] {
            let headers = [&["host: localhost"], refused].concat();
            let seen = post(&rig, path, &headers).await;
            let error = &seen.json()["error"];
            let code = &error["code"];
            assert_eq!(
                (seen.status, code),
                (415, &json!("unsupported_content_type")),
                "{refused:?}"
            );
            assert!(
                error["message"].as_str().unwrap().contains("-H 'content-type: application/json'")
            );
        }
        // Bedrock's own API has its own check for this.
        let headers = [&["host: localhost"], refused].concat();
        assert_ne!(post(&rig, NATIVE, &headers).await.status, 415);
    }
    assert!(
        rig.emulator.journal().calls()[asked..].iter().all(|call| call.path.contains("nova-lite"))
    );
    let seen = send(&rig, "PUT /v1/embeddings HTTP/1.1", &["host: localhost"], "").await;
    assert_eq!(seen.status, 405);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_listed_origin_may_ask_and_read() {
    let yaml =
        "cors: { origins: ['https://Chat.example', 'http://localhost:3000', 'app://notes'] }\n";
    let rig = Rig::start(yaml).await;
    let host = format!("host: {}", rig.address);
    for origin in ["https://chat.example", "http://localhost:3000", "app://notes"] {
        let sent = format!("origin: {origin}");
        let site = "sec-fetch-site: cross-site";
        for path in [CHAT, NATIVE, "/v1/models"] {
            let asked = [
                host.as_str(),
                &sent,
                site,
                "access-control-request-method: POST",
                "access-control-request-headers: authorization,content-type,x-stainless-lang",
                "access-control-request-private-network: true",
            ];
            let seen = send(&rig, &format!("OPTIONS {path} HTTP/1.1"), &asked, "").await;
            assert_eq!((seen.status, seen.body.as_str()), (204, ""));
            assert_eq!(seen.header("access-control-allow-origin"), Some(origin));
            let names = seen.header("access-control-allow-headers");
            assert_eq!(names, Some("authorization,content-type,x-stainless-lang"));
            assert!(seen.header("access-control-allow-methods").unwrap().contains("POST"));
            assert_eq!(seen.header("access-control-allow-private-network"), Some("true"));
            assert_eq!(seen.header("access-control-allow-credentials"), None);
            assert!(seen.head.to_ascii_lowercase().contains("vary: origin"), "{}", seen.head);
        }
        for path in [CHAT, NATIVE] {
            let seen = post(&rig, path, &[&host, JSON, &sent, site]).await;
            assert_eq!(seen.status, 200, "{}", seen.body);
            assert_eq!(seen.header("access-control-allow-origin"), Some(origin));
            let shown = seen.header("access-control-expose-headers").unwrap();
            assert!(shown.contains("x-request-id") && shown.contains("x-outcrop-model"), "{shown}");
        }
        // Pages can read errors too.
        let seen = post(&rig, CHAT, &[&host, "content-type: text/plain", &sent, site]).await;
        assert_eq!(seen.status, 415);
        assert_eq!(seen.header("access-control-allow-origin"), Some(origin));
        // A foreign host name stays foreign.
        let seen = post(&rig, CHAT, &["host: rebound.example", JSON, &sent]).await;
        assert_eq!(seen.status, 403);
        assert_eq!(seen.header("access-control-allow-origin"), None);
    }
    for other in
        ["https://chat.example:8443", "http://chat.example", "https://a.chat.example", "null"]
    {
        let sent = format!("origin: {other}");
        let asked = [host.as_str(), &sent, "access-control-request-method: POST"];
        let seen = send(&rig, &format!("OPTIONS {CHAT} HTTP/1.1"), &asked, "").await;
        assert_eq!(seen.status, 403, "{other}");
        assert_eq!(seen.header("access-control-allow-origin"), None);
        assert_eq!(post(&rig, CHAT, &[&host, JSON, &sent]).await.status, 403, "{other}");
    }
    let two = ["origin: https://chat.example", "origin: https://shop.example"];
    let headers = [&[host.as_str(), JSON], &two[..]].concat();
    assert_eq!(post(&rig, CHAT, &headers).await.status, 403);
    rig.stop().await;
}

#[actix_rt::test]
async fn origins_change_with_the_configuration() {
    let rig = Rig::start("").await;
    let host = format!("host: {}", rig.address);
    let headers = [host.as_str(), JSON, "origin: https://chat.example"];
    assert_eq!(post(&rig, CHAT, &headers).await.status, 403);
    rig.reload("cors: { origins: ['*'] }\n").await.unwrap();
    let seen = post(&rig, CHAT, &headers).await;
    assert_eq!((seen.status, seen.header("access-control-allow-credentials")), (200, None));
    let yaml = "cors: { origins: ['https://chat.example'], credentials: true }\n";
    rig.reload(yaml).await.unwrap();
    let seen = post(&rig, CHAT, &headers).await;
    assert_eq!((seen.status, seen.header("access-control-allow-credentials")), (200, Some("true")));
    rig.stop().await;
}

#[actix_rt::test]
async fn beyond_loopback_host_names_are_checked_only_if_some_are_listed() {
    // A Kubernetes Service is called by its DNS name; pages of a rebound name send an origin.
    for (yaml, service) in [("", 200), ("allowed_hosts: [gateway]\n", 403)] {
        let rig = Rig::start(&format!("allow_anonymous: true\n{yaml}")).await;
        let any = Rig::anywhere(yaml).await;
        let name = "host: outcrop.team.svc.cluster.local:4000";
        assert_eq!(post(&any, CHAT, &[name, JSON]).await.status, service, "{yaml}");
        for own in ["host: 10.9.8.7:4000", "host: localhost"] {
            assert_eq!(post(&any, CHAT, &[own, JSON]).await.status, 200, "{own}");
        }
        let page = [
            "host: rebound.example:4000",
            "origin: http://rebound.example:4000",
            "sec-fetch-site: same-origin",
            JSON,
        ];
        assert_eq!(post(&any, CHAT, &page).await.status, 403);
        assert_eq!(send(&any, "GET /readyz HTTP/1.1", &[name], "").await.status, 200);
        any.stop().await;
        // Loopback keeps its rules, whatever else is allowed.
        assert_eq!(post(&rig, CHAT, &[name, JSON]).await.status, 403);
        rig.stop().await;
    }
}
