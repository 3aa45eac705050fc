//! The AWS SDK and the gateway's transport send to the same recording server: same URL, same signed
//! headers, a valid signature, an equal body. The SDK's behaviour is the reference. Other modules of this
//! binary test the transport with misbehaving sockets and with environments of all kinds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/accounts.rs"]
mod accounts;
#[path = "support/environment.rs"]
mod environment;
#[path = "support/judge.rs"]
mod judge;
#[path = "support/recorder.rs"]
#[allow(dead_code)]
mod recorder;
#[path = "support/recovery.rs"]
mod recovery;
#[path = "support/sockets.rs"]
mod sockets;

use aws_credential_types::Credentials;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{BehaviorVersion, Builder, Region, Token};
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, SystemContentBlock, Tool,
    ToolConfiguration, ToolInputSchema, ToolSpecification,
};
use aws_smithy_types::{Document, Number};
use bedrock::{AccountKeys, AccountSecret, Kind, Timeouts};
use serde_json::Value;

use accounts::{KEY_ID, REGION, SECRET, call, static_keys, transport};
use judge::verified;
use recorder::{Recorder, Seen, answer, json};

const MODEL_IDS: &[&str] = &[
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "global.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-120b-1:0",
    "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0:300k",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
    "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0:128k/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:3",
    "arn:aws:bedrock:us-east-1:123456789012:prompt-router/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/my-endpoint",
    "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:provisioned-model/abc",
    "strange id+with%3A~every_thing/../é?x=1&y#z",
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum KeyKind {
    Static,
    Session,
    Bearer,
}

const SESSION: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJ=";
const BEARER: &str = "bedrock-api-key-EXAMPLE";

fn sdk(endpoint: &str, keys: KeyKind) -> Client {
    let builder = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled());
    let builder = match keys {
        KeyKind::Bearer => builder.bearer_token(Token::new(BEARER, None)),
        KeyKind::Static | KeyKind::Session => {
            let token = (keys == KeyKind::Session).then(|| SESSION.to_owned());
            builder.credentials_provider(Credentials::new(KEY_ID, SECRET, token, None, "test"))
        }
    };
    Client::from_conf(builder.build())
}

fn ours(keys: KeyKind) -> AccountKeys {
    match keys {
        KeyKind::Static => static_keys(None),
        KeyKind::Session => static_keys(Some(SESSION)),
        KeyKind::Bearer => AccountKeys::Bearer(AccountSecret::new(BEARER)),
    }
}

/// Sends one call through the SDK; the response does not matter here.
async fn send_with_sdk(client: &Client, model_id: &str, kind: Kind) {
    let text = |text: &str| ContentBlock::Text(text.to_owned());
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(text("Grüße, \"world\" \u{1f30d}"))
        .build()
        .unwrap();
    let system = SystemContentBlock::Text("Be brief.".to_owned());
    let limits = InferenceConfiguration::builder().max_tokens(100).temperature(0.5).build();
    match kind {
        Kind::Unary => {
            let request = client.converse().model_id(model_id).messages(message).system(system);
            let _ = request.inference_config(limits).tool_config(tools()).send().await;
        }
        Kind::Stream => {
            let request = client.converse_stream().model_id(model_id).messages(message);
            let request = request.system(system).inference_config(limits).tool_config(tools());
            let _ = request.send().await;
        }
    }
}

fn tools() -> ToolConfiguration {
    let schema = Document::Object(
        [
            ("type".to_owned(), Document::String("object".to_owned())),
            ("maxProperties".to_owned(), Document::Number(Number::PosInt(4))),
        ]
        .into(),
    );
    let tool = ToolSpecification::builder()
        .name("look_up")
        .description("Looks something up")
        .input_schema(ToolInputSchema::Json(schema))
        .build()
        .unwrap();
    ToolConfiguration::builder().tools(Tool::ToolSpec(tool)).build().unwrap()
}

/// Sends the same call both ways; returns both requests as the server received them.
async fn both(
    server: &Recorder,
    base: &str,
    keys: KeyKind,
    model_id: &str,
    kind: Kind,
) -> [Seen; 2] {
    let endpoint = format!("{}{base}", server.url);
    send_with_sdk(&sdk(&endpoint, keys), model_id, kind).await;
    let theirs = server.take_only();
    let transport = transport(&endpoint, ours(keys), Timeouts::default()).await;
    // Translated JSON has another spacing and order than the SDK's: only equality as JSON counts.
    let body: Value = serde_json::from_slice(&theirs.body).unwrap();
    let body = serde_json::to_vec_pretty(&body).unwrap();
    transport.send(call(model_id, kind, body)).await.unwrap();
    [theirs, server.take_only()]
}

fn compare(theirs: &Seen, ours: &Seen, keys: KeyKind, what: &str) {
    assert_eq!(ours.method, theirs.method, "{what}");
    assert_eq!(ours.target, theirs.target, "{what}");
    for header in ["host", "content-type", "accept", "x-amz-security-token"] {
        assert_eq!(ours.header(header), theirs.header(header), "{what}: {header}");
    }
    let body = |seen: &Seen| serde_json::from_slice::<Value>(&seen.body).unwrap();
    assert_eq!(body(ours), body(theirs), "{what}");
    if keys == KeyKind::Bearer {
        assert_eq!(ours.header("authorization"), Some("Bearer bedrock-api-key-EXAMPLE"));
        assert_eq!(ours.header("authorization"), theirs.header("authorization"));
        assert_eq!((ours.header("x-amz-date"), theirs.header("x-amz-date")), (None, None));
        return;
    }
    let (theirs, ours) = (verified(theirs, SECRET), verified(ours, SECRET));
    assert_eq!(ours.signed_headers, theirs.signed_headers, "{what}");
    assert_eq!(ours.access_key_id, theirs.access_key_id, "{what}");
    assert_eq!(ours.scope, format!("{REGION}/bedrock/aws4_request"), "{what}");
    assert_eq!(ours.scope, theirs.scope, "{what}");
}

async fn stream_server() -> Recorder {
    let kind = ("content-type", "application/vnd.amazon.eventstream");
    Recorder::answering(answer("200 OK", &[kind], b"")).await
}

#[tokio::test]
async fn every_form_of_model_id_is_called_as_the_sdk_does() {
    let (unary, streams) = (Recorder::answering(json("{}")).await, stream_server().await);
    for model_id in MODEL_IDS {
        for (server, kind) in [(&unary, Kind::Unary), (&streams, Kind::Stream)] {
            let [theirs, ours] = both(server, "", KeyKind::Static, model_id, kind).await;
            compare(&theirs, &ours, KeyKind::Static, &format!("{model_id} {kind:?}"));
        }
    }
}

#[tokio::test]
async fn every_kind_of_credentials_and_base_path_is_used_as_the_sdk_does() {
    let (unary, streams) = (Recorder::answering(json("{}")).await, stream_server().await);
    for keys in [KeyKind::Static, KeyKind::Session, KeyKind::Bearer] {
        for base in ["", "/", "/prefix", "/two/parts/"] {
            for (server, kind) in [(&unary, Kind::Unary), (&streams, Kind::Stream)] {
                let [theirs, ours] = both(server, base, keys, MODEL_IDS[1], kind).await;
                compare(&theirs, &ours, keys, &format!("{keys:?} {base:?} {kind:?}"));
            }
        }
    }
}

#[tokio::test]
async fn the_signed_headers_are_the_known_set() {
    let server = Recorder::answering(json("{}")).await;
    let [_, seen] = both(&server, "", KeyKind::Session, MODEL_IDS[0], Kind::Unary).await;
    let signed = verified(&seen, SECRET).signed_headers.join(";");
    assert_eq!(
        signed,
        "content-length;content-type;host;x-amz-date;x-amz-security-token;x-amz-user-agent"
    );
}
