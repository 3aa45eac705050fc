//! Answers held to a shape. Where a model takes a schema with the request, it gets the schema;
//! elsewhere the answer is the input of a tool that must be called, and is unwrapped again; where
//! no tool can be forced, or there is no schema, the model is told in words.

use std::borrow::Cow;

use schema::converse::request::{JsonSchema, OutputConfig, Structure, TextFormat};
use schema::converse::tool::{InputSchema, Tool, ToolChoice, ToolConfig, ToolSpec};
use schema::openai::format::{FormatKind, ResponseFormat};
use serde_json::Value;
use serde_json::value::RawValue;

use super::schemas::{is_strict, too_deep, tool_schema};
use super::tools::{Calls, Form, Tooling};
use crate::Invalid;
use crate::profile::{Profile, StructuredOutput, ToolChoices};

const TOOL: &str = "structured_answer";
const SCHEMA_PARAM: &str = "response_format.json_schema.schema";

/// How an answer is brought into the shape that was asked for.
#[derive(Debug)]
pub(crate) enum Shape<'a> {
    /// It need not be.
    Free,
    /// The service sees to it.
    Native(OutputConfig<'a>),
    /// By a tool that must be called.
    Tool(ToolSpec<'a>, Form),
    /// By asking. Where more was wanted than words can bind the model to, that is said.
    Words {
        /// What to ask.
        words: String,
        /// Whether asking is all there is to do.
        binding: bool,
    },
}

/// Decides how `format` is honoured on a model of this profile.
pub(crate) fn shape<'a>(
    format: Option<&'a ResponseFormat<'a>>,
    profile: &Profile,
) -> Result<Shape<'a>, Invalid> {
    let Some(format) = format.filter(|format| format.kind != FormatKind::Text) else {
        return Ok(Shape::Free);
    };
    let schema = format.json_schema.as_ref();
    if format.kind == FormatKind::JsonSchema && schema.is_none() {
        let message = "A response format of type json_schema needs json_schema.";
        return Err(Invalid::value("response_format.json_schema", message)
            .with_code("missing_required_parameter"));
    }
    let raw = schema.and_then(|schema| schema.schema).filter(|raw| raw.get() != "null");
    let parsed = raw.map(checked).transpose()?;
    if profile.structured_output == StructuredOutput::Native
        && let (Some(raw), Some(parsed)) = (raw, &parsed)
        && is_strict(parsed)
    {
        let name = schema.and_then(|schema| schema.name.clone());
        let description = schema.and_then(|schema| schema.description.clone());
        let json_schema = JsonSchema { schema: raw.get().into(), name, description };
        let text_format = TextFormat { kind: "json_schema", structure: Structure { json_schema } };
        return Ok(Shape::Native(OutputConfig { text_format }));
    }
    // Without a schema there is nothing to hold an answer to: a tool that takes any object is
    // called with an empty one.
    let Some(json) = raw.filter(|_| profile.tool_choice > ToolChoices::Auto) else {
        return Ok(Shape::Words { words: words(raw), binding: raw.is_none() });
    };
    let said = schema.and_then(|schema| schema.description.as_deref());
    let said = said.filter(|text| !text.trim().is_empty());
    let said = said
        .unwrap_or("Gives the final answer. The input of this tool is the answer itself, as JSON.");
    let schema = tool_schema(Some(json), SCHEMA_PARAM, profile)?;
    let spec = ToolSpec {
        name: Cow::Borrowed(TOOL),
        description: schema.describe(said),
        input_schema: InputSchema { json: schema.json },
        strict: None,
    };
    Ok(Shape::Tool(spec, schema.form))
}

impl<'a> Tooling<'a> {
    /// Adds the answering tool and forces a call. With tools of the caller's beside it any call will
    /// do: the model still decides whether to work or to answer. Returns the tool's name; `None`
    /// where the caller forces a tool of its own, whose call is then the answer.
    pub(crate) fn answer_by(
        &mut self,
        mut spec: ToolSpec<'a>,
        form: Form,
        profile: &Profile,
    ) -> Option<String> {
        let config =
            self.config.get_or_insert_with(|| ToolConfig { tools: Vec::new(), tool_choice: None });
        if matches!(config.tool_choice, Some(ToolChoice::Tool { .. })) {
            return None;
        }
        let is = |tool: &Tool<'_>, name: &str| match tool {
            Tool::ToolSpec(other) => other.name == name,
            Tool::SystemTool(_) | Tool::CachePoint(_) => false,
        };
        let taken = |name: &str| config.tools.iter().any(|tool| is(tool, name));
        while taken(&spec.name) {
            spec.name.to_mut().push('_');
        }
        let alone = config.tools.is_empty() || self.calls != Calls::Welcome;
        let others = !config.tools.is_empty();
        let name = spec.name.clone();
        self.names.note_form(&name, form);
        config.tool_choice = Some(if alone && profile.tool_choice == ToolChoices::Named {
            ToolChoice::Tool { name: name.clone() }
        } else {
            ToolChoice::Any {}
        });
        config.tools.push(Tool::ToolSpec(spec));
        // "Call no tool" and a forced call exclude each other; what could not be said before is said
        // by naming the one tool there is to call.
        self.choice_ignored |=
            self.calls != Calls::Welcome && profile.tool_choice < ToolChoices::Named && others;
        self.calls = Calls::Welcome;
        Some(name.into_owned())
    }
}

fn checked(raw: &RawValue) -> Result<Value, Invalid> {
    let complain = |message: &'static str| Err(Invalid::value(SCHEMA_PARAM, message));
    if too_deep(raw.get()) {
        return complain("The schema is nested too deeply; 128 levels are the limit.");
    }
    let Ok(schema) = serde_json::from_str::<Value>(raw.get()) else {
        return complain("The schema is not valid JSON.");
    };
    if schema["type"] != "object" {
        return complain("The schema must have \"type\": \"object\" at its root.");
    }
    Ok(schema)
}

fn words(schema: Option<&RawValue>) -> String {
    let mut text =
        "Answer with one JSON object and nothing else: no code fence and no words around it."
            .to_owned();
    if let Some(schema) = schema {
        text.push_str(" It must be valid against this JSON Schema: ");
        text.push_str(schema.get());
    }
    text
}
