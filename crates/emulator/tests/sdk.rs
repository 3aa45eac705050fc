//! The AWS SDK for Rust as a client of the emulator: it must accept every frame and raise every exception
//! as the type in its model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/clients.rs"]
mod support;

use aws_sdk_bedrockruntime::{
    Client,
    config::Credentials,
    error::SdkError,
    operation::{RequestId as _, converse::ConverseError},
    primitives::Blob,
    types::{
        ContentBlock, ContentBlockDelta, ConversationRole, ConverseStreamOutput, ImageBlock,
        ImageFormat, ImageSource, InferenceConfiguration, ReasoningContentBlock,
        ReasoningContentBlockDelta, StopReason, SystemContentBlock,
        error::ConverseStreamOutputError,
    },
};
use aws_smithy_types::Document;
use emulator::{Credentials as Known, Fault, Options, Step};
use support::{client, client_with, message, start, start_with, user};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0123456789";

/// Text, stop reason and total tokens of a unary answer.
async fn unary(client: &Client, model: &str, text: &str) -> (String, StopReason, i32) {
    let answer = client.converse().model_id(model).messages(user(text)).send().await.unwrap();
    let content = answer.output().unwrap().as_message().unwrap().content();
    let text = content.iter().filter_map(|block| block.as_text().ok()).cloned().collect();
    (text, answer.stop_reason().clone(), answer.usage().unwrap().total_tokens())
}

/// The same from a stream, folded, with the number of deltas.
async fn streamed(client: &Client, model: &str, text: &str) -> (String, StopReason, i32, usize) {
    let answer = client.converse_stream().model_id(model).messages(user(text)).send().await;
    let mut stream = answer.unwrap().stream;
    let (mut folded, mut reason, mut total, mut deltas) = (String::new(), None, 0, 0);
    while let Some(event) = stream.recv().await.unwrap() {
        match event {
            ConverseStreamOutput::ContentBlockDelta(event) => {
                deltas += 1;
                if let Some(ContentBlockDelta::Text(text)) = event.delta() {
                    folded.push_str(text);
                }
            }
            ConverseStreamOutput::MessageStop(event) => reason = Some(event.stop_reason().clone()),
            ConverseStreamOutput::Metadata(event) => total = event.usage().unwrap().total_tokens(),
            _ => {}
        }
    }
    (folded, reason.unwrap(), total, deltas)
}

#[tokio::test]
async fn unary_and_stream_are_equal() {
    let emulator = start().await;
    let client = client(&emulator);
    for model in
        [NOVA, CLAUDE, "mistral.mistral-large-2407-v1:0", "global.anthropic.claude-opus-5-5"]
    {
        let (text, reason, total) = unary(&client, model, "Where is the outcrop?").await;
        assert!(text.contains("\"Where is the outcrop?\""), "{text}");
        let (folded, stream_reason, stream_total, deltas) =
            streamed(&client, model, "Where is the outcrop?").await;
        assert_eq!((folded, stream_reason, stream_total), (text, reason, total));
        assert!(deltas > 10, "word by word, not at once: {deltas}");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn system_prompt_limits_and_stop_sequences_show() {
    let emulator = start().await;
    let client = client(&emulator);
    let ask = || client.converse().messages(user("one two three STOP four")).model_id(CLAUDE);
    let text = |answer: aws_sdk_bedrockruntime::operation::converse::ConverseOutput| {
        let content = answer.output().unwrap().as_message().unwrap().content().to_vec();
        (content[0].as_text().unwrap().clone(), answer.stop_reason().clone())
    };
    let system = SystemContentBlock::Text("Speak like a geologist".into());
    let (said, _) = text(ask().system(system).send().await.unwrap());
    assert!(said.contains("Speak like a geologist"), "{said}");
    let limits = InferenceConfiguration::builder().max_tokens(5).build();
    let (said, reason) = text(ask().inference_config(limits).send().await.unwrap());
    assert_eq!((said.chars().count(), reason), (20, StopReason::MaxTokens));
    let stops = InferenceConfiguration::builder().stop_sequences(" STOP").build();
    let (said, reason) = text(ask().inference_config(stops).send().await.unwrap());
    assert!(said.ends_with("one two three"), "{said}");
    assert_eq!(reason, StopReason::StopSequence);
    emulator.stop().await;
}

#[tokio::test]
async fn images_are_seen_and_checked() {
    let emulator = start().await;
    let client = client(&emulator);
    let ask = |format: ImageFormat, bytes: &[u8]| {
        let image = ImageBlock::builder()
            .format(format)
            .source(ImageSource::Bytes(Blob::new(bytes)))
            .build()
            .unwrap();
        let content = vec![ContentBlock::Image(image), ContentBlock::Text("What is it?".into())];
        client.converse().model_id(CLAUDE).messages(message(ConversationRole::User, content)).send()
    };
    let answer = ask(ImageFormat::Png, PNG).await.unwrap();
    let text =
        answer.output().unwrap().as_message().unwrap().content()[0].as_text().unwrap().clone();
    assert!(text.contains("png image of 18 bytes"), "{text}");
    let refused = ask(ImageFormat::Jpeg, PNG).await.unwrap_err().into_service_error();
    assert!(refused.is_validation_exception());
    assert!(refused.meta().message().unwrap().contains("appears to be a image/png"));
    emulator.stop().await;
}

#[tokio::test]
async fn reasoning_is_signed_streamed_and_recognised() {
    let emulator = start().await;
    let client = client(&emulator);
    let thinking = Document::Object(
        [(
            "thinking".to_owned(),
            Document::Object(
                [
                    ("type".to_owned(), Document::from("enabled")),
                    ("budget_tokens".to_owned(), Document::from(1024_u64)),
                ]
                .into(),
            ),
        )]
        .into(),
    );
    let ask = || {
        client
            .converse()
            .model_id(CLAUDE)
            .additional_model_request_fields(thinking.clone())
            .messages(user("Think."))
    };
    let answer = ask().send().await.unwrap();
    let said = answer.output().unwrap().as_message().unwrap().clone();
    let ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(thought)) =
        &said.content()[0]
    else {
        panic!("reasoning comes first: {said:?}")
    };
    assert!(thought.signature().is_some() && !thought.text().is_empty());

    let mut stream = client
        .converse_stream()
        .model_id(CLAUDE)
        .additional_model_request_fields(thinking.clone())
        .messages(user("Think."))
        .send()
        .await
        .unwrap()
        .stream;
    let (mut text, mut signature, mut block) = (String::new(), String::new(), 0);
    while let Some(event) = stream.recv().await.unwrap() {
        let ConverseStreamOutput::ContentBlockDelta(event) = event else { continue };
        match event.delta() {
            Some(ContentBlockDelta::ReasoningContent(ReasoningContentBlockDelta::Text(part))) => {
                assert!(signature.is_empty(), "the signature is the last delta of its block");
                text.push_str(part);
            }
            Some(ContentBlockDelta::ReasoningContent(ReasoningContentBlockDelta::Signature(s))) => {
                signature.push_str(s);
            }
            _ => block = event.content_block_index(),
        }
    }
    assert_eq!(
        (text.as_str(), signature.as_str(), block),
        (thought.text(), thought.signature().unwrap(), 1)
    );

    ask().messages(said.clone()).messages(user("Go on.")).send().await.expect("its own thoughts");
    let forged = aws_sdk_bedrockruntime::types::ReasoningTextBlock::builder()
        .text(format!("{} or not", thought.text()))
        .signature(thought.signature().unwrap())
        .build()
        .unwrap();
    let forged = message(
        ConversationRole::Assistant,
        vec![
            ContentBlock::ReasoningContent(ReasoningContentBlock::ReasoningText(forged)),
            said.content()[1].clone(),
        ],
    );
    let refused = ask().messages(forged).messages(user("Go on.")).send().await.unwrap_err();
    assert!(refused.into_service_error().meta().message().unwrap().contains("Invalid `signature`"));
    emulator.stop().await;
}

#[tokio::test]
async fn every_modelled_exception_is_raised_as_its_type() {
    let emulator = start().await;
    let client = client(&emulator);
    let ask = |model: &'static str| client.converse().model_id(model).messages(user("hi")).send();
    type Check = fn(&ConverseError) -> bool;
    let table: [(&'static str, u16, Check); 10] = [
        ("emulator.error-400", 400, ConverseError::is_validation_exception),
        ("emulator.error-403", 403, ConverseError::is_access_denied_exception),
        ("emulator.error-404", 404, ConverseError::is_resource_not_found_exception),
        ("emulator.error-408", 408, ConverseError::is_model_timeout_exception),
        ("emulator.error-424", 424, ConverseError::is_model_error_exception),
        ("emulator.not-ready", 429, ConverseError::is_model_not_ready_exception),
        ("emulator.throttle", 429, ConverseError::is_throttling_exception),
        ("emulator.error-500", 500, ConverseError::is_internal_server_exception),
        ("emulator.error-503", 503, ConverseError::is_service_unavailable_exception),
        ("nobody.knows-this", 400, ConverseError::is_validation_exception),
    ];
    for (model, status, check) in table {
        let error = ask(model).await.unwrap_err();
        let raw = error.raw_response().unwrap();
        assert_eq!(raw.status().as_u16(), status, "{model}");
        if model == "emulator.throttle" {
            assert_eq!(raw.headers().get("retry-after"), Some("1"));
        }
        assert!(error.request_id().is_some(), "{model}");
        let error = error.into_service_error();
        assert!(check(&error), "{model}: {error:?}");
        assert!(error.meta().message().is_some(), "{model}");
    }
    let eol = ask("anthropic.claude-3-haiku-20240307-v1:0").await.unwrap_err().into_service_error();
    assert!(
        eol.is_resource_not_found_exception() && eol.to_string().contains("end of its life")
            || eol.meta().message().unwrap().contains("end of its life")
    );
    let proxy = ask("emulator.proxy-502").await.unwrap_err();
    assert_eq!(proxy.raw_response().unwrap().status().as_u16(), 502);
    emulator.stop().await;
}

#[tokio::test]
async fn failures_inside_a_stream_reach_the_sdk() {
    let emulator = start().await;
    let client = client(&emulator);
    let events = async |model: &str| {
        let answer = client.converse_stream().model_id(model).messages(user("hi")).send().await;
        let mut stream = answer.expect("a stream").stream;
        let mut seen = 0;
        loop {
            match stream.recv().await {
                Ok(Some(_)) => seen += 1,
                Ok(None) => return (seen, None),
                Err(error) => return (seen, Some(error)),
            }
        }
    };
    let (seen, error) = events("emulator.exception-2").await;
    let Some(SdkError::ServiceError(error)) = error else {
        panic!("a modelled exception: {error:?}")
    };
    assert!(matches!(error.err(), ConverseStreamOutputError::ModelStreamErrorException(_)));
    assert_eq!(seen, 2);
    let (_, error) = events("emulator.stream-throttle-1").await;
    let Some(SdkError::ServiceError(error)) = error else {
        panic!("a modelled exception: {error:?}")
    };
    assert!(error.err().is_throttling_exception());
    let (seen, error) = events("emulator.error-frame-3").await;
    assert!(matches!(error, Some(SdkError::ResponseError(_))), "{error:?}");
    assert_eq!(seen, 3);
    let (seen, error) = events("emulator.cut-3").await;
    assert!(seen == 3 && error.is_none(), "a clean end is an end to the SDK: {seen} {error:?}");
    for model in ["emulator.reset-3", "emulator.corrupt-3"] {
        let (seen, error) = events(model).await;
        assert!(seen == 3 && error.is_some(), "{model}: {seen} {error:?}");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn scripted_steps_are_played_in_order() {
    let emulator = start().await;
    let client = client(&emulator);
    let answer = serde_json::json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "as ordered here"}]}},
        "stopReason": "end_turn",
        "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    });
    emulator.script().push(Step::Answer(answer.clone()));
    emulator.script().push(Step::Answer(answer));
    emulator.script().push(Step::Error {
        status: 503,
        kind: "ServiceUnavailableException".into(),
        message: "closed".into(),
        headers: [("Retry-After".to_owned(), "7".to_owned())].into(),
    });
    emulator.script().push_for(CLAUDE, Step::Fault(Fault::Cut(1)));
    let expected = ("as ordered here".to_owned(), StopReason::EndTurn, 3);
    assert_eq!(unary(&client, NOVA, "anything").await, expected);
    let (text, reason, total, deltas) = streamed(&client, NOVA, "anything").await;
    assert_eq!(((text, reason, total), deltas), (expected, 3));
    let error = client.converse().model_id(NOVA).messages(user("x")).send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().headers().get("retry-after"), Some("7"));
    assert!(unary(&client, NOVA, "free again").await.0.contains("free again"));
    assert_eq!(emulator.script().len(), 1, "the step for Claude still waits");
    emulator.stop().await;
}

#[tokio::test]
async fn signatures_are_verified_in_full_when_credentials_are_set() {
    let known = Known {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "right".into(),
        session_token: Some("token/with+signs==".into()),
    };
    let emulator = start_with(Options { credentials: Some(known), ..Options::default() }).await;
    let with = |id: &str, secret: &str, token: Option<&str>| {
        let credentials = Credentials::new(id, secret, token.map(str::to_owned), None, "test");
        client_with(&emulator, credentials)
    };
    let token = Some("token/with+signs==");
    let right = with("AKIDEXAMPLE", "right", token);
    let profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123";
    for model in [NOVA, profile] {
        assert!(unary(&right, model, "signed").await.0.contains("signed"), "{model}");
    }
    for (client, code) in [
        (with("AKIDEXAMPLE", "wrong", token), "InvalidSignatureException"),
        (with("AKIDOTHER", "right", token), "UnrecognizedClientException"),
        (with("AKIDEXAMPLE", "right", None), "UnrecognizedClientException"),
    ] {
        let error = client.converse().model_id(NOVA).messages(user("x")).send().await.unwrap_err();
        assert_eq!(error.raw_response().unwrap().status().as_u16(), 403);
        assert_eq!(error.into_service_error().meta().code(), Some(code));
    }
    emulator.stop().await;
}
