//! Answers constrained to a format. Models that accept a schema with the request get the schema;
//! elsewhere the answer is the input of a forced tool call, and is unwrapped again; where no tool
//! can be forced, or there is no schema, the instruction goes into the prompt. The requested format
//! is kept verbatim, because the model may get a weaker form of it.

use std::borrow::Cow;

use schema::converse::request::{JsonSchema, OutputConfig, Structure, TextFormat};
use schema::converse::tool::{InputSchema, Tool, ToolChoice, ToolConfig, ToolSpec};
use serde_json::Value;
use serde_json::value::RawValue;

use super::schemas::{native, too_deep, tool_schema};
use super::tools::{Calls, Form, Tooling};
use crate::Invalid;
use crate::profile::{Profile, StructuredOutput, ToolChoices};
use crate::requested_format::Wanted;

mod answer_text;
mod embedded;

pub(crate) use answer_text::{AnswerText, By};

const TOOL: &str = "structured_answer";

/// JSON required of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonAnswer<'a> {
    /// Its schema; without one, any object.
    pub(crate) schema: Option<&'a RawValue>,
    pub(crate) name: Option<&'a str>,
    pub(crate) description: Option<&'a str>,
    /// The field of the schema, for errors.
    pub(crate) param: &'static str,
}

/// The method that brings an answer into the requested format.
#[derive(Debug)]
pub(crate) enum FormatPlan<'a> {
    /// No format is requested.
    Free,
    /// The service enforces it.
    Native(OutputConfig<'a>),
    /// A tool call is forced.
    Tool(ToolSpec<'a>, Form),
    /// The instruction goes into the prompt.
    Words(String),
}

/// The requested format of an answer, and the method for it.
#[derive(Debug)]
pub(crate) struct Format<'a> {
    pub(crate) shape: FormatPlan<'a>,
    pub(crate) wanted: Option<Wanted>,
}

/// Selects the method for an answer on a model of this profile. `None`: free text.
pub(crate) fn format<'a>(
    answer: Option<JsonAnswer<'a>>,
    profile: &Profile,
) -> Result<Format<'a>, Invalid> {
    let Some(answer) = answer else {
        return Ok(Format { shape: FormatPlan::Free, wanted: None });
    };
    let raw = answer.schema.filter(|raw| raw.get() != "null");
    let parsed = raw.map(|raw| checked(raw, answer.param)).transpose()?;
    // Without a schema the format cannot be enforced: a tool that accepts any object is called with
    // an empty one, and a grammar accepts no open objects.
    let (Some(raw), Some(parsed)) = (raw, &parsed) else {
        return Ok(Format { shape: FormatPlan::Words(words(None)), wanted: Some(Wanted::Object) });
    };
    let shape = match by_service(answer, raw, parsed, profile) {
        Some(config) => FormatPlan::Native(config),
        // A tool added by the gateway would change the prefix that the reasoning is bound to.
        None if profile.tool_choice > ToolChoices::Auto && !profile.thoughts_bound => {
            by_tool(answer, raw, profile)?
        }
        None => FormatPlan::Words(words(Some(raw))),
    };
    Ok(Format { shape, wanted: Some(Wanted::Schema(raw.get().into())) })
}

/// The schema for the service's own grammar, in the caller's bytes if it needs no change.
fn by_service<'a>(
    answer: JsonAnswer<'a>,
    raw: &'a RawValue,
    parsed: &Value,
    profile: &Profile,
) -> Option<OutputConfig<'a>> {
    if profile.structured_output != StructuredOutput::Native {
        return None;
    }
    let sent = native(parsed, &profile.refused_keywords)?;
    let sent = if sent == *parsed { raw.get().into() } else { sent.to_string().into() };
    let json_schema = JsonSchema {
        schema: sent,
        name: answer.name.map(Into::into),
        description: answer.description.map(Into::into),
    };
    let text_format = TextFormat { kind: "json_schema", structure: Structure { json_schema } };
    Some(OutputConfig { text_format })
}

fn by_tool<'a>(
    answer: JsonAnswer<'a>,
    raw: &'a RawValue,
    profile: &Profile,
) -> Result<FormatPlan<'a>, Invalid> {
    let said = answer.description.filter(|text| !text.trim().is_empty());
    let said = said
        .unwrap_or("Gives the final answer. The input of this tool is the answer itself, as JSON.");
    let schema = tool_schema(Some(raw), answer.param, profile)?;
    let spec = ToolSpec {
        name: Cow::Borrowed(TOOL),
        description: schema.describe(said),
        input_schema: InputSchema { json: schema.json },
        strict: None,
    };
    Ok(FormatPlan::Tool(spec, schema.form))
}

impl<'a> Tooling<'a> {
    /// Adds the answering tool and forces a call. With the caller's tools beside it any call
    /// satisfies the choice: the model still decides whether to work or to answer. Returns the
    /// tool's name; `None` where the caller forces another tool, whose call is then the answer.
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
        // "Call no tool" and a forced call exclude each other. Where the former has no field,
        // naming the only tool has the same effect.
        self.choice_ignored |=
            self.calls != Calls::Welcome && profile.tool_choice < ToolChoices::Named && others;
        self.calls = Calls::Welcome;
        Some(name.into_owned())
    }
}

fn checked(raw: &RawValue, param: &'static str) -> Result<Value, Invalid> {
    let complain = |message: &'static str| Err(Invalid::value(param, message));
    if too_deep(raw.get()) {
        return complain("The schema is nested too deeply; 128 levels are the limit.");
    }
    let Ok(schema) = serde_json::from_str::<Value>(raw.get()) else {
        return complain("The schema is not valid JSON.");
    };
    if !schema.is_object() {
        return complain("The schema must be a JSON Schema object.");
    }
    Ok(schema)
}

fn words(schema: Option<&RawValue>) -> String {
    let Some(schema) = schema else {
        return "Answer with one JSON object and nothing else: no code fence and no words around it."
            .to_owned();
    };
    format!(
        "Answer with JSON and nothing else: no code fence and no words around it. It must be valid against this JSON Schema: {}",
        schema.get()
    )
}
