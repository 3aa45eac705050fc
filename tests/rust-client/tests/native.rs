//! AWS's SDK for Rust on Bedrock's own API: what it may send over http and over https. What it does with
//! the answers is tested beside the gateway.

use std::sync::{Arc, Mutex};

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{
        BehaviorVersion, Builder, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        Token, interceptors::BeforeTransmitInterceptorContextRef, retry::RetryConfig,
    },
    error::BoxError,
    types::{ContentBlock, ConversationRole, ConverseStreamOutput, Message},
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use rust_client::{gateway::Gateway, invented::Invention};

const ECHO: &str = "emulator.echo";

/// Remembers the `authorization` header of every request, as it leaves.
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

fn config(gateway: &Gateway) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("{}/bedrock", gateway.url()))
        .retry_config(RetryConfig::disabled())
}

fn dummy_keys(config: Builder) -> Builder {
    config.credentials_provider(Credentials::new("AKIDDUMMY", "dummy", None, None, "test"))
}

fn bearer(config: Builder, token: &str) -> Builder {
    config.bearer_token(Token::new(token, None))
}

/// Asks whole and streamed for an echo; gives the header both left with.
async fn identified(config: Builder, text: &str) -> String {
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
    // The two signatures differ, who signs does not.
    let who = |header: &str| header.split(", ").next().unwrap_or_default().to_owned();
    assert_eq!(who(&sent[0]), who(&sent[1]));
    who(&sent[0])
}

#[tokio::test]
async fn over_http() {
    let (gateway, mut invention) = (Gateway::start(), Invention::of("http"));
    let text = invention.word();
    let sent = identified(dummy_keys(config(&gateway)), &text).await;
    assert!(sent.starts_with("AWS4-HMAC-SHA256 Credential=AKIDDUMMY/"), "{sent}");
    let token = invention.word();
    let sent = identified(bearer(config(&gateway), &token), &text).await;
    assert_eq!(sent, format!("Bearer {token}"));
}

#[tokio::test]
async fn over_https() {
    let shown = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = shown.cert.pem();
    let gateway = Gateway::start_secure(&certificate, &shown.signing_key.serialize_pem());
    assert!(gateway.url().starts_with("https://"));
    let trust = TrustStore::empty().with_pem_certificate(certificate);
    let context = TlsContext::builder().with_trust_store(trust).build().unwrap();
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https();
    let mut invention = Invention::of("https");
    let text = invention.word();
    let sent = identified(dummy_keys(config(&gateway)).http_client(http.clone()), &text).await;
    assert!(sent.starts_with("AWS4-HMAC-SHA256 Credential=AKIDDUMMY/"), "{sent}");
    let token = invention.word();
    let sent = identified(bearer(config(&gateway), &token).http_client(http), &text).await;
    assert_eq!(sent, format!("Bearer {token}"));
}
