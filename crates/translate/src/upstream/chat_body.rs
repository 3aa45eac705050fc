//! A Converse request as the body of chat completions.

use std::borrow::Cow;

use schema::converse::sent::{
    SentBlock, SentChoice, SentMessage, SentOutput, SentRequest, SentResult, SentRole, SentSystem,
    SentTool,
};
use schema::surface::chat::{
    CalledFunction, ChatBody, ChatCall, ChatTool, Content, ContentPart, FileData, FunctionSpec,
    ImageUrl, InputAudio, NamedSchema, ResponseFormat, StreamOptions, SurfaceMessage,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::media::{self, Document};
use super::model_fields::ModelFields;
use super::schema_fit::is_strict;
use super::{Unsendable, UpstreamCall, UpstreamDelivery};
use crate::Invalid;
use crate::profile::SurfaceApi;

/// The name of a schema that has none.
pub(super) const ANSWER: &str = "answer";

/// The body of a call.
///
/// # Errors
/// The API cannot express the request.
pub(super) fn of<'r>(
    request: &'r SentRequest<'r>,
    call: &UpstreamCall<'r>,
) -> Result<ChatBody<'r>, Unsendable> {
    let mut messages = Vec::with_capacity(request.messages.len() + 1);
    if let Some(content) = system(request) {
        messages.push(SurfaceMessage::System { content });
    }
    for message in &request.messages {
        add(message, &mut messages)?;
    }
    let fields = ModelFields::of(&request.additional_model_request_fields, SurfaceApi::Chat);
    let streams = call.delivery == UpstreamDelivery::Events;
    let (tools, chosen) = tools(request)?;
    Ok(ChatBody {
        model: call.model,
        messages,
        max_completion_tokens: request.inference_config.max_tokens,
        temperature: request.inference_config.temperature,
        top_p: request.inference_config.top_p,
        stop: &request.inference_config.stop_sequences,
        tools,
        tool_choice: fields.tool_choice.or(chosen),
        response_format: request.output_config.as_ref().map(format).transpose()?,
        stream: streams,
        stream_options: streams.then_some(StreamOptions { include_usage: true }),
        more: fields.members,
    })
}

/// The system prompt in one text.
pub(super) fn system(request: &SentRequest<'_>) -> Option<String> {
    let texts = request.system.iter().filter_map(|block| match block {
        SentSystem::Text(text) => Some(text.as_str()),
        SentSystem::CachePoint(_) => None,
    });
    let texts: Vec<&str> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// Adds a turn: results of calls are messages of their own.
fn add<'r>(
    message: &'r SentMessage<'r>,
    messages: &mut Vec<SurfaceMessage<'r>>,
) -> Result<(), Unsendable> {
    match message.role {
        SentRole::Assistant => messages.push(assistant(message)),
        SentRole::User => {
            let mut parts = Vec::new();
            for block in &message.content {
                match block {
                    SentBlock::ToolResult(result) => messages.push(SurfaceMessage::Tool {
                        tool_call_id: &result.tool_use_id,
                        content: result_text(result)?,
                    }),
                    other => parts.extend(part(other)?),
                }
            }
            let content = match (parts.as_slice(), message.content.as_slice()) {
                ([], _) => return Ok(()),
                (_, [SentBlock::Text(text)]) => Content::Text(text),
                _ => Content::Parts(parts),
            };
            messages.push(SurfaceMessage::User { content });
        }
    }
    Ok(())
}

/// Reasoning is left out: the API does not take it back.
fn assistant<'r>(message: &'r SentMessage<'r>) -> SurfaceMessage<'r> {
    let (mut content, mut tool_calls) = (None::<String>, Vec::new());
    for block in &message.content {
        match block {
            SentBlock::Text(text) => content.get_or_insert_default().push_str(text),
            SentBlock::ToolUse(call) => tool_calls.push(ChatCall {
                id: &call.tool_use_id,
                kind: "function",
                function: CalledFunction { name: &call.name, arguments: call.input.get() },
            }),
            _ => {}
        }
    }
    SurfaceMessage::Assistant { content, tool_calls }
}

fn part<'r>(block: &'r SentBlock<'r>) -> Result<Option<ContentPart<'r>>, Invalid> {
    Ok(Some(match block {
        SentBlock::Text(text) => ContentPart::Text { text: Cow::Borrowed(text) },
        SentBlock::Image(medium) => {
            ContentPart::ImageUrl { image_url: ImageUrl { url: media::image(medium)? } }
        }
        SentBlock::Audio(medium) => {
            let (data, format) = (media::base64(medium)?, &*medium.format);
            ContentPart::InputAudio { input_audio: InputAudio { data, format } }
        }
        SentBlock::Document(medium) => match media::document(medium)? {
            Document::Text(text) => ContentPart::Text { text: text.into() },
            Document::File { name, data } => {
                ContentPart::File { file: FileData { filename: name, file_data: data } }
            }
        },
        SentBlock::SearchResult(result) => {
            ContentPart::Text { text: media::search_result(result).into() }
        }
        SentBlock::Video(_) => return Err(media::refused("video")),
        SentBlock::ToolUse(_)
        | SentBlock::ToolResult(_)
        | SentBlock::ReasoningContent(_)
        | SentBlock::CachePoint(_) => return Ok(None),
    }))
}

/// A result in one text.
fn result_text(result: &SentResult<'_>) -> Result<String, Invalid> {
    let mut text = String::new();
    for block in &result.content {
        let more: Cow<'_, str> = match block {
            SentBlock::Text(more) => Cow::Borrowed(more),
            SentBlock::SearchResult(found) => media::search_result(found).into(),
            SentBlock::Document(medium) => match media::document(medium)? {
                Document::Text(text) => text.into(),
                Document::File { .. } => return Err(media::refused("document in a tool's result")),
            },
            SentBlock::CachePoint(_) => continue,
            _ => return Err(media::refused("media in a tool's result")),
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&more);
    }
    Ok(text)
}

fn tools<'r>(
    request: &'r SentRequest<'r>,
) -> Result<(Vec<ChatTool<'r>>, Option<Value>), Unsendable> {
    let Some(config) = &request.tool_config else { return Ok((Vec::new(), None)) };
    let mut tools = Vec::with_capacity(config.tools.len());
    for tool in &config.tools {
        match tool {
            SentTool::ToolSpec(spec) => tools.push(ChatTool {
                kind: "function",
                function: FunctionSpec {
                    name: &spec.name,
                    description: &spec.description,
                    parameters: spec.input_schema.json,
                    strict: strict(spec.strict, spec.input_schema.json).then_some(true),
                },
            }),
            SentTool::SystemTool(tool) => return Err(system_tool(&tool.name).into()),
            SentTool::CachePoint(_) => {}
        }
    }
    let choice = config.tool_choice.as_ref().map(|choice| match choice {
        SentChoice::Auto {} => json!("auto"),
        SentChoice::Any {} => json!("required"),
        SentChoice::Tool { name } => json!({ "type": "function", "function": { "name": name } }),
    });
    Ok((tools, choice))
}

/// Whether a tool's schema is to be enforced, and can be.
pub(super) fn strict(asked: Option<bool>, schema: &RawValue) -> bool {
    asked == Some(true) && serde_json::from_str(schema.get()).is_ok_and(|read| is_strict(&read))
}

/// The refusal of a tool that Converse runs itself.
pub(super) fn system_tool(name: &str) -> Invalid {
    let message =
        format!("The service's own tool {name} is not served where this model is called.");
    Invalid::value("tools", message)
}

fn format<'r>(output: &'r SentOutput<'r>) -> Result<ResponseFormat<'r>, serde_json::Error> {
    let asked = &output.text_format.structure.json_schema;
    let json_schema = NamedSchema {
        name: asked.name.as_deref().unwrap_or(ANSWER),
        description: asked.description.as_deref(),
        schema: serde_json::from_str(&asked.schema)?,
        strict: is_strict(&serde_json::from_str(&asked.schema)?),
    };
    Ok(ResponseFormat { kind: "json_schema", json_schema })
}
