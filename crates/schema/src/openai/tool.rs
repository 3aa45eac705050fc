//! Tools, tool choice, and calls. Schemas stay raw JSON: their key order is part of the prefix that
//! Bedrock caches, so they are never parsed and rewritten here.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cache::CacheControl;
use crate::Str;

/// One entry of `tools`. Its `type` is open: many clients also send OpenAI's built-in tools, which
/// are reported as ignored and not refused.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    pub kind: Str<'a>,
    pub function: Option<FunctionDefinition<'a>>,
    pub custom: Option<CustomDefinition<'a>>,
    pub cache_control: Option<CacheControl>,
    /// Whether the definition is in the tool itself, as in the Responses API and Anthropic's.
    pub is_flat: bool,
}

/// The members of a tool in any dialect.
#[derive(Deserialize)]
struct ToolFields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    function: Option<FunctionDefinition<'a>>,
    #[serde(borrow)]
    custom: Option<CustomDefinition<'a>>,
    cache_control: Option<CacheControl>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    description: Option<Str<'a>>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(borrow)]
    input_schema: Option<&'a RawValue>,
    strict: Option<bool>,
    #[serde(borrow)]
    format: Option<CustomFormat<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Tool<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = ToolFields::deserialize(deserializer)?;
        fields.into_tool().ok_or_else(|| D::Error::missing_field("type"))
    }
}

impl<'a> ToolFields<'a> {
    /// The tool; `None` if its kind cannot be determined.
    fn into_tool(self) -> Option<Tool<'a>> {
        let Self { kind, mut function, mut custom, cache_control, name, description, .. } = self;
        let schema = self.parameters.or(self.input_schema);
        let is_function = function.is_some() || self.input_schema.is_some() || schema.is_some();
        // Anthropic's dialect has tools without a type, and calls `custom` what others call a
        // function.
        let kind = match kind {
            Some(kind) if kind != "custom" || self.input_schema.is_none() => kind,
            Some(_) => FUNCTION.into(),
            None if is_function => FUNCTION.into(),
            None => return None,
        };
        let mut is_flat = false;
        if let Some(name) = name {
            if kind == FUNCTION && function.is_none() {
                let (parameters, strict) = (schema, self.strict);
                let definition = FunctionDefinition {
                    name,
                    description,
                    parameters,
                    strict,
                    cache_control: None,
                };
                (function, is_flat) = (Some(definition), true);
            } else if kind == "custom" && custom.is_none() {
                let definition = CustomDefinition { name, description, format: self.format };
                (custom, is_flat) = (Some(definition), true);
            }
        }
        Some(Tool { kind, function, custom, cache_control, is_flat })
    }
}

const FUNCTION: &str = "function";

/// A function tool, or an entry of the deprecated `functions`.
#[derive(Debug, Clone, Deserialize)]
pub struct FunctionDefinition<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    /// JSON Schema; absent means a function without parameters.
    #[serde(borrow)]
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    /// Some clients put the mark here.
    pub cache_control: Option<CacheControl>,
}

/// A free-form tool: its input is text, not JSON.
#[derive(Debug, Clone, Deserialize)]
pub struct CustomDefinition<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    #[serde(borrow)]
    pub format: Option<CustomFormat<'a>>,
}

/// The format of a free-form input: any text (`type: text`), or text of a grammar.
#[derive(Debug, Clone)]
pub struct CustomFormat<'a> {
    pub grammar: Option<Grammar<'a>>,
}

/// The grammar in a member of its own, or flat as in the Responses API.
#[derive(Deserialize)]
struct FormatFields<'a> {
    #[serde(borrow)]
    grammar: Option<Grammar<'a>>,
    #[serde(borrow)]
    definition: Option<Str<'a>>,
    #[serde(borrow)]
    syntax: Option<Str<'a>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for CustomFormat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FormatFields { grammar, definition, syntax } = FormatFields::deserialize(deserializer)?;
        let flat =
            definition.zip(syntax).map(|(definition, syntax)| Grammar { definition, syntax });
        Ok(Self { grammar: grammar.or(flat) })
    }
}

/// A grammar and the notation it is written in (`lark` or `regex`).
#[derive(Debug, Clone, Deserialize)]
pub struct Grammar<'a> {
    #[serde(borrow)]
    pub definition: Str<'a>,
    #[serde(borrow)]
    pub syntax: Str<'a>,
}

/// `tool_choice`, and the deprecated `function_call` of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    None,
    Auto,
    Required,
    Named(Str<'a>),
    /// Only these tools may be called; `required` forces a call of one.
    Allowed {
        required: bool,
        names: Vec<Str<'a>>,
    },
}

/// A past call by the assistant, replayed in history.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ToolCall<'a> {
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub function: Option<FunctionCall<'a>>,
    #[serde(borrow)]
    pub custom: Option<CustomCall<'a>>,
}

/// Name and arguments; arguments are a JSON text that may be empty or invalid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct FunctionCall<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub arguments: Option<Str<'a>>,
}

/// A call of a free-form tool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CustomCall<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub input: Str<'a>,
}

/// A tool call in an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnsweredCall {
    pub id: String,
    #[serde(flatten)]
    pub body: CallBody,
}

/// The called tool, under the name of its kind and beside its `type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CallBody {
    Function { function: AnsweredFunction },
    Custom { custom: AnsweredCustom },
}

/// The function of a call in an answer; `arguments` is the model's JSON text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnsweredFunction {
    pub name: String,
    pub arguments: String,
}

/// The custom tool of a call in an answer; `input` is the text itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnsweredCustom {
    pub name: String,
    pub input: String,
}

/// The kinds of call in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    Function,
    Custom,
}

/// `tool_choice`: the choice, and the option that Anthropic's clients send beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolChoiceField<'a> {
    pub choice: ToolChoice<'a>,
    /// `disable_parallel_tool_use`: at most one call is allowed, as with `parallel_tool_calls:
    /// false`.
    pub one_call: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for ToolChoiceField<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ToolChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ToolChoiceField::deserialize(deserializer).map(|field| field.choice)
    }
}

struct ChoiceVisitor;

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Str<'a>,
}

#[derive(Deserialize)]
struct AllowedTools<'a> {
    mode: AllowedMode,
    #[serde(borrow, default)]
    tools: Vec<ChoiceFields<'a>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum AllowedMode {
    Auto,
    Required,
}

/// The object forms: nested (chat), flat (Responses, and clients that mix the two), allowed_tools.
#[derive(Deserialize)]
struct ChoiceFields<'a> {
    #[serde(borrow)]
    function: Option<Named<'a>>,
    #[serde(borrow)]
    custom: Option<Named<'a>>,
    #[serde(borrow)]
    name: Option<Str<'a>>,
    #[serde(borrow)]
    allowed_tools: Option<AllowedTools<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    mode: Option<AllowedMode>,
    #[serde(borrow, default)]
    tools: Option<Vec<Self>>,
    disable_parallel_tool_use: Option<bool>,
}

impl<'a> ChoiceFields<'a> {
    fn choice<E: Error>(mut self) -> Result<ToolChoice<'a>, E> {
        let flat = self.mode.take().zip(self.tools.take());
        let flat = flat.map(|(mode, tools)| AllowedTools { mode, tools });
        if let Some(allowed) = self.allowed_tools.take().or(flat) {
            return Ok(ToolChoice::Allowed {
                required: allowed.mode == AllowedMode::Required,
                names: allowed.tools.into_iter().filter_map(Self::name).collect(),
            });
        }
        let kind = self.kind.take();
        if let Some(name) = self.name() {
            return Ok(ToolChoice::Named(name));
        }
        match kind.as_deref() {
            None | Some("auto") => Ok(ToolChoice::Auto),
            Some("any" | "required") => Ok(ToolChoice::Required),
            Some("none") => Ok(ToolChoice::None),
            Some("tool") => Err(E::missing_field("name")),
            Some(_) => Err(E::missing_field(FUNCTION)),
        }
    }

    fn name(self) -> Option<Str<'a>> {
        self.function.or(self.custom).map(|named| named.name).or(self.name)
    }
}

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = ToolChoiceField<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"none\", \"auto\", \"required\" or an object naming a tool")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        let choice = match word {
            "none" => ToolChoice::None,
            "auto" => ToolChoice::Auto,
            "required" | "any" => ToolChoice::Required,
            other => return Err(E::unknown_variant(other, &["none", "auto", "required"])),
        };
        Ok(ToolChoiceField { choice, one_call: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let fields = ChoiceFields::deserialize(MapAccessDeserializer::new(map))?;
        let one_call = fields.disable_parallel_tool_use == Some(true);
        Ok(ToolChoiceField { choice: fields.choice()?, one_call })
    }
}
