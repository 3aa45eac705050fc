//! The members of a response that repeat its request.

use schema::openai::format::FormatKind;
use schema::openai::responses::object::{EchoedConversation, EchoedReasoning, RequestEcho};
use schema::openai::responses::request::{ReasoningOptions, ResponsesRequest};
use schema::openai::responses::tool::{SentTool, ToolFields};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::on_one_line;
use super::settings::Definition;

/// The repeated members; what the request does not say has OpenAI's default.
/// `store` is whether the response is kept.
pub(super) fn of(request: &ResponsesRequest<'_>, store: bool) -> RequestEcho {
    let owned = |text: &Option<schema::Str<'_>>| text.as_deref().map(ToOwned::to_owned);
    RequestEcho {
        frequency_penalty: request.frequency_penalty.unwrap_or_default(),
        instructions: owned(&request.instructions),
        max_output_tokens: request.max_output_tokens,
        max_tool_calls: request.max_tool_calls,
        metadata: request.metadata.clone().unwrap_or_default(),
        parallel_tool_calls: request.parallel_tool_calls.unwrap_or(true),
        presence_penalty: request.presence_penalty.unwrap_or_default(),
        previous_response_id: owned(&request.previous_response_id),
        prompt: request.prompt.as_ref().map(super::prompt::echoed),
        prompt_cache_key: owned(&request.prompt_cache_key),
        reasoning: request.reasoning.as_ref().map(reasoning).unwrap_or_default(),
        safety_identifier: owned(&request.safety_identifier),
        store,
        temperature: request.temperature.unwrap_or(1.0),
        text: text(request),
        tool_choice: request.tool_choice.map_or_else(|| raw(&json!("auto")), on_one_line),
        tools: request.tools.iter().flatten().map(tool).collect(),
        top_logprobs: 0,
        top_p: request.top_p.unwrap_or(1.0),
        truncation: owned(&request.truncation).unwrap_or_else(|| "disabled".to_owned()),
        user: owned(&request.user),
        conversation: super::fields::conversation(request)
            .map(|id| EchoedConversation { id: id.to_owned() }),
    }
}

/// The members of a response to a request that is not known.
pub(super) fn unknown() -> RequestEcho {
    RequestEcho {
        parallel_tool_calls: true,
        temperature: 1.0,
        text: raw(&json!({ "format": { "type": "text" } })),
        tool_choice: raw(&json!("auto")),
        top_p: 1.0,
        truncation: "disabled".to_owned(),
        ..RequestEcho::default()
    }
}

fn reasoning(options: &ReasoningOptions<'_>) -> EchoedReasoning {
    let summary = options.summary.as_deref().or(options.generate_summary.as_deref());
    EchoedReasoning {
        effort: options.effort.as_deref().map(ToOwned::to_owned),
        summary: summary.map(ToOwned::to_owned),
    }
}

/// `text`, whose `format` is always present.
fn text(request: &ResponsesRequest<'_>) -> Box<RawValue> {
    let format = request.text.as_ref().and_then(|text| text.format.as_ref());
    let format = match format {
        None => json!({ "type": "text" }),
        Some(format) => {
            let Definition { schema, name, description, strict } = Definition::of(format);
            match schema {
                Some(schema) => {
                    let mut shown = json!({
                        "type": "json_schema",
                        "name": name.unwrap_or("response"),
                        "schema": schema,
                        "strict": strict,
                    });
                    if let Some(description) = description {
                        shown["description"] = description.into();
                    }
                    shown
                }
                None => json!({ "type": word(format.kind) }),
            }
        }
    };
    let mut all = Map::new();
    all.insert("format".to_owned(), format);
    let verbosity = request.text.as_ref().and_then(|text| text.verbosity.as_deref());
    all.extend(verbosity.map(|verbosity| ("verbosity".to_owned(), verbosity.into())));
    raw(&Value::Object(all))
}

fn word(kind: FormatKind) -> &'static str {
    match kind {
        FormatKind::Text => "text",
        FormatKind::JsonObject => "json_object",
        FormatKind::JsonSchema => "json_schema",
    }
}

/// A tool as sent; a function has all members that strict clients require.
fn tool(tool: &SentTool<'_>) -> Box<RawValue> {
    let ToolFields { kind, name, description, parameters, strict, function, .. } = &tool.fields;
    if kind != "function" || function.is_some() {
        return on_one_line(tool.raw);
    }
    let is_whole = description.is_some() && parameters.is_some() && strict.is_some();
    if is_whole {
        return on_one_line(tool.raw);
    }
    let mut members: Map<String, Value> = serde_json::from_str(tool.raw.get()).unwrap_or_default();
    for member in ["description", "parameters", "strict"] {
        members.entry(member).or_insert(Value::Null);
    }
    members.entry("name").or_insert_with(|| name.as_deref().unwrap_or_default().into());
    raw(&Value::Object(members))
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap_or_default()
}
