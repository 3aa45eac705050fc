//! Images, documents, search results and citations on this API, on both ways to a model.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::Step;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{CLAUDE, NOVA, asking, events};
use crate::rig::Rig;

/// A model that cites, on Converse.
const ON_CONVERSE: &str = "models:
  on_converse: { model: us.anthropic.claude-sonnet-4-5-20250929-v1:0, accepts: { messages: converse } }
";
const PDF: &[u8] = b"%PDF-1.4 a";
const TEXT: &[u8] = b"Basalt is a volcanic rock.";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n1234";

fn about(block: &Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "What is it?" }, block] }] })
}

fn base64(kind: &str, media_type: &str, bytes: &[u8]) -> Value {
    json!({ "type": kind, "source": { "type": "base64", "media_type": media_type, "data": STANDARD.encode(bytes) } })
}

#[actix_rt::test]
async fn media_reach_the_model_in_the_form_of_the_way() {
    let rig = Rig::start("").await;
    for (block, of_converse) in [
        (base64("image", "image/png", PNG), "image"),
        (base64("document", "application/pdf", b"%PDF-1.4 a"), "document"),
        (
            json!({ "type": "document", "title": "Rocks", "context": "A primer.", "citations": { "enabled": true },
                "source": { "type": "text", "media_type": "text/plain", "data": "Basalt is a volcanic rock." } }),
            "text",
        ),
    ] {
        for model in [NOVA, CLAUDE] {
            let answer = rig.message(&asking(model, &about(&block))).await;
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 200, "{model} {told}");
            let calls = rig.emulator.journal().calls();
            let sent = &calls.last().unwrap().body["messages"][0]["content"][1];
            match model {
                CLAUDE => assert_eq!(*sent, block, "it passes as it came"),
                _ => assert!(sent.get(of_converse).is_some(), "{sent}"),
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn files_of_another_service_and_links_that_may_not_be_read_are_refused_by_name() {
    let rig = Rig::start("").await;
    for (source, field) in [
        (json!({ "type": "file", "file_id": "file_1" }), "messages.0.content.1.source.type: "),
        (
            json!({ "type": "url", "url": "https://a.example/1.png" }),
            "messages.0.content.1.source.url: ",
        ),
    ] {
        for model in [NOVA, CLAUDE] {
            for kind in ["image", "document"] {
                let block = json!({ "type": kind, "source": source });
                let refused = rig.message(&asking(model, &about(&block))).await;
                let error = refused.json();
                assert_eq!(
                    (refused.status, &error["error"]["type"]),
                    (400, &json!("invalid_request_error"))
                );
                let told = error["error"]["message"].as_str().unwrap();
                assert!(told.starts_with(field), "{model} {kind} {told}");
            }
        }
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn links_are_fetched_where_the_operator_allows_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = actix_rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 2048];
            let _ = stream.read(&mut head).await;
            let body = match String::from_utf8_lossy(&head).split_once(' ') {
                Some((_, path)) if path.starts_with("/a.png") => PNG,
                Some((_, path)) if path.starts_with("/a.pdf") => PDF,
                _ => TEXT,
            };
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        }
    });
    let rig = Rig::start(&format!(
        "media: {{ fetch: true, allow_http: true, ports: [{port}], allow_private: [127.0.0.1/32] }}\n"
    ))
    .await;
    let link = |kind: &str, name: &str| {
        let url = format!("http://127.0.0.1:{port}/{name}");
        json!({ "type": kind, "source": { "type": "url", "url": url } })
    };
    let text = json!({ "type": "document", "source": { "type": "text", "media_type": "text/plain",
        "data": String::from_utf8_lossy(TEXT) } });
    for (block, own) in [
        (link("image", "a.png"), base64("image", "image/png", PNG)),
        (link("document", "a.pdf"), base64("document", "application/pdf", PDF)),
        (link("document", "a.txt"), text),
    ] {
        for model in [NOVA, CLAUDE] {
            let answer = rig.message(&asking(model, &about(&block))).await;
            assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        }
        let calls = rig.emulator.journal().calls();
        let sent = |at: usize| &calls[at].body["messages"][0]["content"][1];
        assert!(!sent(0).to_string().contains("127.0.0.1:"), "{}", sent(0));
        assert_eq!(*sent(1), own, "with the type that its bytes show");
        rig.emulator.journal().clear();
    }
    rig.stop().await;
    serving.abort();
}

#[actix_rt::test]
async fn citations_of_converse_stand_in_their_blocks() {
    let rig = Rig::start(ON_CONVERSE).await;
    let citation = json!({ "title": "Rocks", "sourceContent": [{ "text": "Basalt is a volcanic rock." }],
        "location": { "documentChar": { "documentIndex": 0, "start": 0, "end": 26 } } });
    let content = json!([
        { "text": "In short: " },
        { "citationsContent": { "content": [{ "text": "basalt is volcanic." }], "citations": [citation] } },
    ]);
    let usage = json!({ "inputTokens": 5, "outputTokens": 2, "totalTokens": 7 });
    for stream in [false, true] {
        let piece = |at: u32, delta: Value| json!({ "contentBlockDelta": { "contentBlockIndex": at, "delta": delta } });
        let stop = |at: u32| json!({ "contentBlockStop": { "contentBlockIndex": at } });
        rig.emulator.script().push(match stream {
            false => Step::Answer(json!({
                "output": { "message": { "role": "assistant", "content": content } },
                "stopReason": "end_turn", "metrics": { "latencyMs": 1 }, "usage": usage,
            })),
            true => Step::Events(vec![
                json!({ "messageStart": { "role": "assistant" } }),
                piece(0, json!({ "text": "In short: " })),
                stop(0),
                piece(1, json!({ "citation": citation })),
                piece(1, json!({ "text": "basalt is volcanic." })),
                stop(1),
                json!({ "messageStop": { "stopReason": "end_turn" } }),
                json!({ "metadata": { "usage": usage, "metrics": { "latencyMs": 1 } } }),
            ]),
        });
        let answer = rig.message(&asking("on_converse", &json!({ "stream": stream }))).await;
        let cited = match stream {
            false => {
                let blocks = answer.json()["content"].clone();
                assert_eq!(
                    (&blocks[0]["text"], blocks[0].get("citations")),
                    (&json!("In short: "), None)
                );
                assert_eq!(blocks[1]["text"], "basalt is volcanic.");
                blocks[1]["citations"][0].clone()
            }
            true => {
                let all = events(&answer);
                let delta = |event: &&Value| event["delta"]["type"] == "citations_delta";
                let cited = all.iter().find(delta).unwrap();
                assert_eq!(cited["index"], 1);
                cited["delta"]["citation"].clone()
            }
        };
        assert_eq!(
            cited,
            json!({ "type": "char_location", "cited_text": "Basalt is a volcanic rock.",
            "document_index": 0, "document_title": "Rocks", "start_char_index": 0, "end_char_index": 26,
            "file_id": null })
        );
    }
    rig.stop().await;
}
