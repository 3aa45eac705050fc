//! A Converse request as the body of responses, without any state upstream.

use std::borrow::Cow;

use schema::converse::sent::{
    SentBlock, SentChoice, SentMessage, SentReasoning, SentRequest, SentRole, SentTool,
};
use schema::surface::responses::{FlatTool, InputContent, InputItem, InputPart, ResponsesBody};
use serde_json::{Map, Value, json};

use super::chat_body::{ANSWER, strict, system, system_tool};
use super::media::{self, Document};
use super::model_fields::ModelFields;
use super::schema_fit::is_strict;
use super::{Unsendable, UpstreamCall, UpstreamDelivery};
use crate::Invalid;
use crate::profile::SurfaceApi;

/// Asks for reasoning in the form that is taken back.
const ENCRYPTED: &[&str] = &["reasoning.encrypted_content"];

/// The body of a call.
///
/// # Errors
/// The API cannot express the request.
pub(super) fn of<'r>(
    request: &'r SentRequest<'r>,
    call: &UpstreamCall<'r>,
) -> Result<ResponsesBody<'r>, Unsendable> {
    let mut input = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        match message.role {
            SentRole::User => user(message, &mut input)?,
            SentRole::Assistant => assistant(message, call, &mut input),
        }
    }
    let fields = ModelFields::of(&request.additional_model_request_fields, SurfaceApi::Responses);
    let mut text = fields.text;
    if let Some(format) = format(request)? {
        text.insert("format".to_owned(), format);
    }
    let (tools, chosen) = tools(request)?;
    Ok(ResponsesBody {
        model: call.model,
        instructions: system(request).unwrap_or_default(),
        input,
        max_output_tokens: request.inference_config.max_tokens,
        temperature: request.inference_config.temperature,
        top_p: request.inference_config.top_p,
        tools,
        tool_choice: fields.tool_choice.or(chosen),
        text,
        include: if call.takes_encrypted { ENCRYPTED } else { &[] },
        metadata: request.request_metadata.clone(),
        store: false,
        stream: call.delivery == UpstreamDelivery::Events,
        more: fields.members,
    })
}

/// Adds a user's turn: results of calls are items of their own.
fn user<'r>(
    message: &'r SentMessage<'r>,
    input: &mut Vec<InputItem<'r>>,
) -> Result<(), Unsendable> {
    let mut parts = Vec::new();
    for block in &message.content {
        match block {
            SentBlock::ToolResult(result) => {
                let mut output = Vec::new();
                for block in &result.content {
                    output.extend(part(block)?);
                }
                let output = content(output);
                input.push(InputItem::FunctionCallOutput { call_id: &result.tool_use_id, output });
            }
            other => parts.extend(part(other)?),
        }
    }
    if !parts.is_empty() {
        input.push(InputItem::Message { role: "user", content: content(parts) });
    }
    Ok(())
}

/// Adds the assistant's turn: reasoning, texts and calls in their order.
fn assistant<'r>(
    message: &'r SentMessage<'r>,
    call: &UpstreamCall<'_>,
    input: &mut Vec<InputItem<'r>>,
) {
    for block in &message.content {
        match block {
            SentBlock::Text(text) => input.push(InputItem::Message {
                role: "assistant",
                content: InputContent::Text(Cow::Borrowed(text)),
            }),
            SentBlock::ToolUse(call) => input.push(InputItem::FunctionCall {
                call_id: &call.tool_use_id,
                name: &call.name,
                arguments: call.input.get(),
            }),
            SentBlock::ReasoningContent(SentReasoning::RedactedContent(encrypted))
                if call.takes_encrypted =>
            {
                input.push(InputItem::Reasoning { summary: [], encrypted_content: encrypted });
            }
            _ => {}
        }
    }
}

/// One text, or all parts.
fn content(mut parts: Vec<InputPart<'_>>) -> InputContent<'_> {
    match parts.as_mut_slice() {
        [] => InputContent::Text(Cow::Borrowed("")),
        [InputPart::InputText { text }] => InputContent::Text(std::mem::take(text)),
        _ => InputContent::Parts(parts),
    }
}

fn part<'r>(block: &'r SentBlock<'r>) -> Result<Option<InputPart<'r>>, Invalid> {
    Ok(Some(match block {
        SentBlock::Text(text) => InputPart::InputText { text: Cow::Borrowed(text) },
        SentBlock::Image(medium) => InputPart::InputImage { image_url: media::image(medium)? },
        SentBlock::Document(medium) => match media::document(medium)? {
            Document::Text(text) => InputPart::InputText { text: text.into() },
            Document::File { name, data } => {
                InputPart::InputFile { filename: name, file_data: data }
            }
        },
        SentBlock::SearchResult(result) => {
            InputPart::InputText { text: media::search_result(result).into() }
        }
        SentBlock::Video(_) => return Err(media::refused("video")),
        SentBlock::Audio(_) => return Err(media::refused("audio")),
        SentBlock::ToolUse(_)
        | SentBlock::ToolResult(_)
        | SentBlock::ReasoningContent(_)
        | SentBlock::CachePoint(_) => return Ok(None),
    }))
}

fn tools<'r>(
    request: &'r SentRequest<'r>,
) -> Result<(Vec<FlatTool<'r>>, Option<Value>), Unsendable> {
    let Some(config) = &request.tool_config else { return Ok((Vec::new(), None)) };
    let mut tools = Vec::with_capacity(config.tools.len());
    for tool in &config.tools {
        match tool {
            SentTool::ToolSpec(spec) => tools.push(FlatTool {
                kind: "function",
                name: &spec.name,
                description: &spec.description,
                parameters: spec.input_schema.json,
                // Without the member, the API enforces every schema.
                strict: strict(spec.strict, spec.input_schema.json),
            }),
            SentTool::SystemTool(tool) => return Err(system_tool(&tool.name).into()),
            SentTool::CachePoint(_) => {}
        }
    }
    let choice = config.tool_choice.as_ref().map(|choice| match choice {
        SentChoice::Auto {} => json!("auto"),
        SentChoice::Any {} => json!("required"),
        SentChoice::Tool { name } => json!({ "type": "function", "name": name }),
    });
    Ok((tools, choice))
}

fn format(request: &SentRequest<'_>) -> Result<Option<Value>, serde_json::Error> {
    let Some(output) = &request.output_config else { return Ok(None) };
    let asked = &output.text_format.structure.json_schema;
    let schema: Value = serde_json::from_str(&asked.schema)?;
    let mut format = Map::new();
    format.insert("type".to_owned(), "json_schema".into());
    format.insert("name".to_owned(), asked.name.as_deref().unwrap_or(ANSWER).into());
    if let Some(description) = &asked.description {
        format.insert("description".to_owned(), description.as_str().into());
    }
    format.insert("strict".to_owned(), is_strict(&schema).into());
    format.insert("schema".to_owned(), schema);
    Ok(Some(Value::Object(format)))
}
