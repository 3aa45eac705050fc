//! Behaviour of single makers' models: failures, usage, cache points.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/clients.rs"]
mod support;

use aws_sdk_bedrockruntime::{
    error::SdkError,
    types::{
        ConverseStreamOutput, Tool, ToolConfiguration, ToolInputSchema, ToolSpecification,
        error::ConverseStreamOutputError,
    },
};
use aws_smithy_types::Document;
use serde_json::json;
use support::{client, post, start, user};

fn tools(name: &str) -> ToolConfiguration {
    let schema = [("type".to_owned(), Document::from("object"))].into();
    let tool = ToolSpecification::builder()
        .name(name)
        .description("A tool")
        .input_schema(ToolInputSchema::Json(Document::Object(schema)))
        .build()
        .unwrap();
    ToolConfiguration::builder().tools(Tool::ToolSpec(tool)).build().unwrap()
}

#[tokio::test]
async fn nova_fails_at_a_tool_with_a_hyphen_in_its_name() {
    let emulator = start().await;
    let client = client(&emulator);
    for model in ["us.amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0"] {
        let ask = |name| client.converse().model_id(model).tool_config(tools(name));
        let error = ask("fetch-page").messages(user("Use fetch-page")).send().await.unwrap_err();
        assert_eq!(error.raw_response().unwrap().status().as_u16(), 424);
        let error = error.into_service_error();
        assert!(error.is_model_error_exception());
        let message = error.meta().message().unwrap();
        assert!(message.starts_with("Model produced invalid sequence as part of ToolUse"));
        ask("fetch_page").messages(user("Use fetch_page")).send().await.expect("an underscore");

        let stream = client.converse_stream().model_id(model).tool_config(tools("fetch-page"));
        let mut stream = stream.messages(user("Use fetch-page")).send().await.unwrap().stream;
        let error = loop {
            match stream.recv().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a clean end"),
                Err(error) => break error,
            }
        };
        let SdkError::ServiceError(error) = error else {
            panic!("a modelled exception: {error:?}")
        };
        let ConverseStreamOutputError::ModelStreamErrorException(error) = error.err() else {
            panic!("the model's error: {error:?}")
        };
        assert!(error.message().unwrap().contains("invalid sequence as part of ToolUse"));
    }
    let claude = client.converse().model_id("us.anthropic.claude-sonnet-4-5-20250929-v1:0");
    let claude = claude.tool_config(tools("fetch-page")).messages(user("Use fetch-page"));
    claude.send().await.expect("others take hyphens");
    emulator.stop().await;
}

/// Streams of GPT from 5.6 on include cached tokens in the input count (earendil-works/pi#8752,
/// maximhq/bifrost#6942); unary responses do not.
#[tokio::test]
async fn streams_of_gpt_count_cached_tokens_as_input() {
    let emulator = start().await;
    let client = client(&emulator);
    let text = "granite ".repeat(2_000);
    for (model, gross) in [
        ("us.openai.gpt-5.6-sol", true),
        ("global.openai.gpt-6.2-astra", true),
        ("us.openai.gpt-5.5", false),
    ] {
        let whole = client.converse().model_id(model).messages(user(&text)).send().await.unwrap();
        let usage = whole.usage().unwrap();
        let (net, written) = (usage.input_tokens(), usage.cache_write_input_tokens());
        assert_eq!(written.is_some(), gross, "{model}");
        assert_eq!(
            usage.total_tokens(),
            net + usage.output_tokens() + written.unwrap_or_default(),
            "{model}"
        );
        let mut stream = client
            .converse_stream()
            .model_id(model)
            .messages(user(&text))
            .send()
            .await
            .unwrap()
            .stream;
        let mut last = None;
        while let Some(event) = stream.recv().await.unwrap() {
            if let ConverseStreamOutput::Metadata(event) = event {
                last = event.usage().cloned();
            }
        }
        let streamed = last.expect("usage");
        let read = streamed.cache_read_input_tokens().unwrap_or_default();
        assert_eq!(read > 0, gross, "{model}");
        assert_eq!(streamed.input_tokens(), net + read, "{model}");
        assert_eq!(
            streamed.total_tokens(),
            streamed.input_tokens() + streamed.output_tokens() + read,
            "{model}: counted twice"
        );
    }
    emulator.stop().await;
}

#[tokio::test]
async fn cache_points_after_texts_and_in_the_system_prompt_work_on_nova() {
    let emulator = start().await;
    let point = json!({"cachePoint": {"type": "default"}});
    let body = json!({
        "system": [{"text": "rule ".repeat(2_000)}, point],
        "messages": [
            {"role": "user", "content": [{"text": "hi"}, point]},
            {"role": "assistant", "content": [{"text": "I look."}, point,
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t1", "content": [{"text": "r"}]}}, {"text": "so?"}, point]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
    });
    for model in ["us.amazon.nova-pro-v1:0", "us.amazon.nova-2-lite-v1:0"] {
        let answer = post(emulator.addr(), &format!("/model/{model}/converse"), &body).json();
        assert!(answer["usage"]["cacheWriteInputTokens"].as_u64().unwrap() > 2_000, "{answer}");
    }
    emulator.stop().await;
}
