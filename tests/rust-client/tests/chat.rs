//! Chat, streams, tools, typed answers and errors with async-openai, whose enums are closed: a word
//! in an answer that OpenAI does not use fails these tests.

use async_openai::{
    error::OpenAIError,
    types::chat::{
        ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls,
        ChatCompletionNamedToolChoice, ChatCompletionRequestAssistantMessageArgs,
        ChatCompletionRequestMessage, ChatCompletionRequestToolMessageArgs,
        ChatCompletionRequestUserMessageArgs, ChatCompletionResponseMessage,
        ChatCompletionStreamOptions, ChatCompletionToolChoiceOption, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs, FinishReason, FunctionCall, FunctionName, ResponseFormat,
        ResponseFormatJsonSchema,
    },
};
use futures::StreamExt as _;
use rust_client::{
    gateway::Gateway,
    invented::{InventedTool, Invention},
};
use serde_json::{Value, json};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn user(text: impl Into<String>) -> ChatCompletionRequestMessage {
    let text: String = text.into();
    ChatCompletionRequestUserMessageArgs::default().content(text).build().unwrap().into()
}

fn asking(model: &str, messages: Vec<ChatCompletionRequestMessage>) -> CreateChatCompletionRequest {
    CreateChatCompletionRequestArgs::default().model(model).messages(messages).build().unwrap()
}

/// What is left of an answer, whole or streamed.
struct Said {
    text: String,
    calls: Vec<ChatCompletionMessageToolCall>,
    finish: Option<FinishReason>,
}

impl Said {
    fn whole(message: ChatCompletionResponseMessage, finish: Option<FinishReason>) -> Self {
        let calls = message.tool_calls.unwrap_or_default().into_iter().map(|call| match call {
            ChatCompletionMessageToolCalls::Function(call) => call,
            ChatCompletionMessageToolCalls::Custom(call) => panic!("a custom call: {call:?}"),
        });
        Self { text: message.content.unwrap_or_default(), calls: calls.collect(), finish }
    }

    fn named(&self) -> Vec<(String, Value)> {
        let parsed = |call: &ChatCompletionMessageToolCall| {
            (call.function.name.clone(), serde_json::from_str(&call.function.arguments).unwrap())
        };
        self.calls.iter().map(parsed).collect()
    }
}

async fn whole(gateway: &Gateway, request: CreateChatCompletionRequest) -> Said {
    let answer = gateway.client().chat().create(request).await.unwrap();
    let usage = answer.usage.unwrap();
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    let choice = answer.choices.into_iter().next().unwrap();
    Said::whole(choice.message, choice.finish_reason)
}

async fn streamed(gateway: &Gateway, mut request: CreateChatCompletionRequest) -> Said {
    request.stream_options =
        Some(ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None });
    let mut stream = gateway.client().chat().create_stream(request).await.unwrap();
    let mut said = Said { text: String::new(), calls: Vec::new(), finish: None };
    let mut usage = None;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        usage = chunk.usage.or(usage);
        for choice in chunk.choices {
            said.text.push_str(&choice.delta.content.unwrap_or_default());
            said.finish = choice.finish_reason.or(said.finish);
            for delta in choice.delta.tool_calls.unwrap_or_default() {
                let index = usize::try_from(delta.index).unwrap();
                let function = delta.function.unwrap();
                if let Some(id) = delta.id {
                    assert_eq!(index, said.calls.len(), "indexes count from 0 without gaps");
                    let function = FunctionCall {
                        name: function.name.unwrap(),
                        arguments: function.arguments.unwrap_or_default(),
                    };
                    said.calls.push(ChatCompletionMessageToolCall { id, function });
                } else {
                    let arguments = &mut said.calls[index].function.arguments;
                    arguments.push_str(&function.arguments.unwrap_or_default());
                }
            }
        }
    }
    assert!(usage.unwrap().total_tokens > 0);
    said
}

#[tokio::test]
async fn text_is_the_same_streamed_or_not() {
    let (gateway, mut invention) = (Gateway::start(), Invention::of("text"));
    for model in [NOVA, CLAUDE] {
        let word = invention.word();
        let request = asking(model, vec![user(format!("Tell me of {word}."))]);
        let plain = whole(&gateway, request.clone()).await;
        assert!(plain.text.contains(&word), "{}", plain.text);
        assert_eq!(plain.finish, Some(FinishReason::Stop));
        let stream = streamed(&gateway, request).await;
        assert_eq!((stream.text, stream.finish), (plain.text, plain.finish));
    }
}

#[tokio::test]
async fn two_calls_and_back() {
    let gateway = Gateway::start();
    for (model, stream) in [(NOVA, false), (NOVA, true), (CLAUDE, false), (CLAUDE, true)] {
        let mut invention = Invention::of("two calls");
        let wanted = [invention.tool(), invention.tool()];
        let results = [invention.word(), invention.word()];
        let asked = wanted.iter().map(InventedTool::asked).collect::<Vec<_>>().join(", and ");
        let mut request = asking(model, vec![user(format!("Please {asked}."))]);
        request.tools = Some(wanted.iter().map(InventedTool::definition).collect());
        let said = if stream {
            streamed(&gateway, request.clone()).await
        } else {
            whole(&gateway, request.clone()).await
        };
        assert_eq!(said.finish, Some(FinishReason::ToolCalls));
        let expected = wanted.iter().map(|tool| (tool.name.clone(), tool.arguments()));
        assert_eq!(said.named(), expected.collect::<Vec<_>>());
        answer(&mut request, &said, &results);
        let last = whole(&gateway, request).await;
        assert!(results.iter().all(|result| last.text.contains(result)), "{}", last.text);
    }
}

/// Appends the calls and their results, as a program does that ran them.
fn answer(request: &mut CreateChatCompletionRequest, said: &Said, results: &[String]) {
    let calls: Vec<_> =
        said.calls.iter().cloned().map(ChatCompletionMessageToolCalls::Function).collect();
    let message = ChatCompletionRequestAssistantMessageArgs::default().tool_calls(calls).build();
    request.messages.push(message.unwrap().into());
    for (call, result) in said.calls.iter().zip(results) {
        let message = ChatCompletionRequestToolMessageArgs::default()
            .tool_call_id(call.id.clone())
            .content(result.clone())
            .build();
        request.messages.push(message.unwrap().into());
    }
}

#[tokio::test]
async fn a_named_tool_is_called() {
    let (gateway, mut invention) = (Gateway::start(), Invention::of("named tool"));
    let (other, forced) = (invention.tool(), invention.tool());
    let mut request = asking(CLAUDE, vec![user("Good morning.")]);
    request.tools = Some(vec![other.definition(), forced.definition()]);
    request.tool_choice =
        Some(ChatCompletionToolChoiceOption::Function(ChatCompletionNamedToolChoice {
            function: FunctionName { name: forced.name.clone() },
        }));
    for said in [whole(&gateway, request.clone()).await, streamed(&gateway, request).await] {
        assert_eq!(said.finish, Some(FinishReason::ToolCalls));
        let names: Vec<_> = said.named().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [forced.name.as_str()]);
    }
}

#[tokio::test]
async fn an_answer_fits_its_schema() {
    let (gateway, mut invention) = (Gateway::start(), Invention::of("schema"));
    for model in [NOVA, CLAUDE] {
        let (name, weight) = (invention.word(), invention.number());
        let text = format!("Describe the sample: name \"{name}\", weight {weight}.");
        let mut request = asking(model, vec![user(text)]);
        request.response_format = Some(ResponseFormat::JsonSchema {
            json_schema: ResponseFormatJsonSchema {
                name: "sample".to_owned(),
                description: None,
                schema: json!({
                    "type": "object",
                    "properties": { "name": { "type": "string" }, "weight": { "type": "integer" } },
                    "required": ["name", "weight"],
                    "additionalProperties": false,
                }),
                strict: Some(true),
            },
        });
        for said in [whole(&gateway, request.clone()).await, streamed(&gateway, request).await] {
            assert_eq!((said.finish, said.calls.len()), (Some(FinishReason::Stop), 0));
            let found: Value = serde_json::from_str(&said.text).unwrap();
            assert_eq!(found, json!({ "name": name, "weight": weight }));
        }
    }
}

#[tokio::test]
async fn errors_keep_their_code() {
    let gateway = Gateway::start();
    let request = asking("no.such-model-v9:0", vec![user("Hello.")]);
    match gateway.client().chat().create(request).await {
        Err(OpenAIError::ApiError(refused)) => {
            assert_eq!(refused.api_error.code.as_deref(), Some("model_not_found"));
            assert_eq!(refused.status_code, 404);
        }
        other => panic!("{other:?}"),
    }
    let request = asking("emulator.cut-3", vec![user("Tell me a lot.")]);
    let stream = gateway.client().chat().create_stream(request).await.unwrap();
    let chunks: Vec<_> = stream.collect().await;
    assert!(chunks.len() > 1 && chunks.last().unwrap().is_err(), "a cut stream ended well");
}
