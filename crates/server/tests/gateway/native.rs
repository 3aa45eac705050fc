//! Bedrock's own API through the gateway: every byte unchanged, with AWS's own SDK for Rust as client.

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_bedrockruntime::error::ProvideErrorMetadata;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseStreamOutput, Message,
};
use bytes::Bytes;
use emulator::{Step, frames};
use http::Method;
use serde_json::json;

use super::rig::Rig;

/// A small generator: the same streams in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(limit).unwrap()).unwrap()
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        (0..self.below(longest)).map(|_| u8::try_from(self.below(256)).unwrap()).collect()
    }

    /// Valid frames of every kind, possibly with an exception at the end, some with payloads that are not
    /// JSON.
    fn stream(&mut self) -> Vec<u8> {
        let mut stream = Vec::new();
        for _ in 0..=self.below(5) {
            let payload = self.bytes(200);
            stream.extend(match self.below(3) {
                0 => frames::event("contentBlockDelta", &payload),
                1 => frames::event("chunk", br#"{"bytes":"e30=","p":"abc"}"#),
                _ => {
                    frames::encode(&[(":message-type", "event"), (":event-type", "new")], &payload)
                }
            });
        }
        match self.below(4) {
            0 => stream.extend(frames::exception("throttlingException", "slow down")),
            1 => stream.extend(frames::error("x", "y")),
            _ => {}
        }
        stream
    }
}

#[actix_rt::test]
async fn ten_thousand_streams_pass_byte_for_byte() {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    let mut random = Random(7);
    let body =
        json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] }).to_string();
    for round in 0..10_000 {
        let stream = random.stream();
        rig.emulator.script().push(Step::Bytes(stream.clone()));
        let path = "/bedrock/model/us.amazon.nova-lite-v1:0/converse-stream";
        let answer = rig.send(Method::POST, path, Bytes::from(body.clone())).await;
        assert_eq!(answer.status, 200, "round {round}");
        assert_eq!(answer.header("content-type"), Some("application/vnd.amazon.eventstream"));
        assert!(answer.body == stream, "round {round}");
    }
    rig.stop().await;
}

fn sdk(rig: &Rig) -> Client {
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{}/bedrock", rig.address))
        .credentials_provider(Credentials::new("AKIDDUMMY", "dummy", None, None, "test"))
        .retry_config(aws_sdk_bedrockruntime::config::retry::RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn hello() -> Message {
    Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text("Hello".to_owned()))
        .build()
        .unwrap()
}

#[actix_rt::test]
async fn the_sdk_for_rust_works_with_aliases_too() {
    let rig = Rig::start("").await;
    let client = sdk(&rig);
    for model in ["nova-lite", "us.amazon.nova-lite-v1:0"] {
        let answer = client.converse().model_id(model).messages(hello()).send().await.unwrap();
        let message = answer.output().unwrap().as_message().unwrap();
        assert!(message.content()[0].as_text().unwrap().contains("Hello"));
        let mut stream =
            client.converse_stream().model_id(model).messages(hello()).send().await.unwrap().stream;
        let mut text = String::new();
        let mut stopped = false;
        while let Some(event) = stream.recv().await.unwrap() {
            match event {
                ConverseStreamOutput::ContentBlockDelta(delta) => {
                    text += delta.delta().unwrap().as_text().unwrap();
                }
                ConverseStreamOutput::MessageStop(_) => stopped = true,
                _ => {}
            }
        }
        assert!(stopped && &text == message.content()[0].as_text().unwrap());
    }
    let error =
        client.converse().model_id("emulator.throttle").messages(hello()).send().await.unwrap_err();
    assert!(error.as_service_error().unwrap().is_throttling_exception());
    let error =
        client.converse().model_id("no.such-model").messages(hello()).send().await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
    let path = "/bedrock/model/x/invoke-with-bidirectional-stream";
    let ours = rig.send(Method::POST, path, Bytes::new()).await;
    assert_eq!(ours.status, 501);
    assert!(ours.header("x-amzn-requestid").unwrap().starts_with("req_"));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_breaks_upstream_breaks_for_the_client() {
    let rig = Rig::start("").await;
    let client = sdk(&rig);
    let answer = client
        .converse_stream()
        .model_id("emulator.reset-3")
        .messages(hello())
        .send()
        .await
        .unwrap();
    let mut stream = answer.stream;
    let broken = loop {
        match stream.recv().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "a cut stream looked whole");
    rig.stop().await;
}

#[actix_rt::test]
async fn objects_in_s3_are_read_only_if_the_operator_allows_it() {
    let body = |uri: &str| {
        let image = json!({ "format": "png", "source": { "s3Location": { "uri": uri } } });
        let content = json!([{ "text": "x" }, { "image": image }]);
        Bytes::from(json!({ "messages": [{ "role": "user", "content": content }] }).to_string())
    };
    let listed = "media: { s3_prefixes: ['s3://pictures/in/'] }\n";
    for (yaml, uri, status) in [
        ("", "s3://pictures/in/a.png", 403),
        (listed, "s3://pictures/in/a.png", 200),
        (listed, "s3://pictures/inner/a.png", 403),
        ("native: { s3: allow }\n", "s3://anything/a.png", 200),
    ] {
        let rig = Rig::start(yaml).await;
        for path in ["converse", "converse-stream"] {
            let path = format!("/bedrock/model/nova-lite/{path}");
            let answer = rig.send(Method::POST, &path, body(uri)).await;
            assert_eq!(answer.status, status, "{yaml} {uri}");
            if status == 403 {
                assert_eq!(answer.headers["x-amzn-errortype"], "AccessDeniedException");
                let message = answer.json()["message"].to_string();
                assert!(message.contains("media.s3_prefixes"), "{message}");
                assert_eq!(rig.emulator.journal().calls().len(), 0);
            }
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn the_root_is_mounted_only_if_configured() {
    let body = || {
        Bytes::from(
            json!({ "messages": [{ "role": "user", "content": [{ "text": "x" }] }] }).to_string(),
        )
    };
    for (yaml, status) in [("", 404), ("native: { root: true }\n", 200)] {
        let rig = Rig::start(yaml).await;
        let answer = rig.send(Method::POST, "/model/nova-lite/converse", body()).await;
        assert_eq!(answer.status, status, "{yaml}");
        // All other paths are unaffected.
        let lost = rig.send(Method::POST, "/model/nova-lite/nothing", body()).await;
        assert_eq!((lost.status, &lost.json()["error"]["code"]), (404, &json!("unknown_url")));
        assert_eq!(rig.send(Method::GET, "/livez", Bytes::new()).await.status, 200);
        rig.stop().await;
    }
}
