//! AWS's SDK for Rust on Bedrock's own API: the keys it may send over http and over https.

use std::sync::{Arc, Mutex};

use aws_sdk_bedrockruntime::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_bedrockruntime::config::{
    BehaviorVersion, Builder, ConfigBag, Credentials, Intercept, Region, RuntimeComponents, Token,
    retry::RetryConfig,
};
use aws_sdk_bedrockruntime::error::BoxError;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, ConverseStreamOutput, Message,
};
use aws_sdk_bedrockruntime::{Client, Config};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use super::rig::Rig;

const ECHO: &str = "emulator.echo";

/// A self-signed certificate for 127.0.0.1, valid until 2126. It protects nothing: its key is beside it.
const LOOPBACK: &str = include_str!("../support/loopback.pem");

/// Keeps the `authorization` header of every request sent.
#[derive(Debug, Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl Intercept for Sent {
    fn name(&self) -> &'static str {
        "Sent"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.request().headers().get("authorization").unwrap_or_default();
        self.0.lock().unwrap().push(header.to_owned());
        Ok(())
    }
}

fn config(scheme: &str, rig: &Rig) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("{scheme}://{}/bedrock", rig.address))
        .retry_config(RetryConfig::disabled())
}

fn signing(config: Builder) -> Builder {
    config.credentials_provider(Credentials::new("AKIDDUMMY", "dummy", None, None, "test"))
}

fn bearer(config: Builder) -> Builder {
    config.bearer_token(Token::new("a-token-of-any-kind", None))
}

/// Sends one whole call and one stream; returns the key in their `authorization` headers.
async fn identified(config: Builder) -> String {
    let text = "Grüße an alle";
    let sent = Sent::default();
    let client = Client::from_conf(config.interceptor(sent.clone()).build());
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(text.to_owned()))
        .build()
        .unwrap();
    let answer = client.converse().model_id(ECHO).messages(message.clone()).send().await.unwrap();
    let said = answer.output().unwrap().as_message().unwrap().content()[0].as_text().unwrap();
    assert_eq!(said, text);
    let answer = client.converse_stream().model_id(ECHO).messages(message).send().await.unwrap();
    let (mut stream, mut streamed) = (answer.stream, String::new());
    while let Some(event) = stream.recv().await.unwrap() {
        if let ConverseStreamOutput::ContentBlockDelta(piece) = event {
            streamed += piece.delta().unwrap().as_text().unwrap();
        }
    }
    assert_eq!(streamed, text);
    let sent = sent.0.lock().unwrap().clone();
    assert_eq!(sent.len(), 2);
    // The two signatures differ, the key does not.
    let key = |header: &str| header.split(", ").next().unwrap_or_default().to_owned();
    assert_eq!(key(&sent[0]), key(&sent[1]));
    key(&sent[0])
}

#[actix_rt::test]
async fn the_sdk_for_rust_sends_both_kinds_of_keys_over_http() {
    let rig = Rig::start("").await;
    let sent = identified(signing(config("http", &rig))).await;
    assert!(sent.starts_with("AWS4-HMAC-SHA256 Credential=AKIDDUMMY/"), "{sent}");
    let sent = identified(bearer(config("http", &rig))).await;
    assert_eq!(sent, "Bearer a-token-of-any-kind");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_sdk_for_rust_sends_both_kinds_of_keys_over_https() {
    let support = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support");
    let tls = format!("{{ certificate: {support}/loopback.pem, key: {support}/loopback.key }}");
    let rig = Rig::start(&format!("tls: {tls}\n")).await;

    let trust = TrustStore::empty().with_pem_certificate(LOOPBACK);
    let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https();
    let sent = identified(signing(config("https", &rig)).http_client(http.clone())).await;
    assert!(sent.starts_with("AWS4-HMAC-SHA256 Credential=AKIDDUMMY/"), "{sent}");
    let sent = identified(bearer(config("https", &rig)).http_client(http)).await;
    assert_eq!(sent, "Bearer a-token-of-any-kind");
    rig.stop().await;
}
