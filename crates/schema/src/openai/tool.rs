//! Tools, the choice among them, and calls to them. Schemas stay raw JSON: their key order is part
//! of what Bedrock caches, so they are never taken apart on the way.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cache::CacheControl;
use crate::Str;

/// One entry of `tools`. Its `type` is open: built-in tools of OpenAI's own come along in many
/// clients' requests, and are reported as ignored rather than refused.
#[derive(Debug, Clone, Deserialize)]
pub struct Tool<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Str<'a>,
    #[serde(borrow)]
    pub function: Option<FunctionDefinition<'a>>,
    #[serde(borrow)]
    pub custom: Option<CustomDefinition<'a>>,
    pub cache_control: Option<CacheControl>,
}

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

/// What a free-form input looks like: any text (`type: text`), or text of a grammar.
#[derive(Debug, Clone, Deserialize)]
pub struct CustomFormat<'a> {
    #[serde(borrow)]
    pub grammar: Option<Grammar<'a>>,
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
    /// Only these tools may be called; `required` says that one must be.
    Allowed {
        required: bool,
        names: Vec<Str<'a>>,
    },
}

/// A call the assistant made, replayed in history.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolCall<'a> {
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
    #[serde(borrow)]
    pub function: Option<FunctionCall<'a>>,
    #[serde(borrow)]
    pub custom: Option<CustomCall<'a>>,
}

/// Name and arguments; arguments are a JSON text that may be empty or broken.
#[derive(Debug, Clone, Deserialize)]
pub struct FunctionCall<'a> {
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub arguments: Option<Str<'a>>,
}

/// A call of a free-form tool.
#[derive(Debug, Clone, Deserialize)]
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

/// What is called, under the name of its kind and beside its `type`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CallBody {
    Function { function: AnsweredFunction },
    Custom { custom: AnsweredCustom },
}

/// The function half of a call in an answer; `arguments` is JSON text as the model wrote it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnsweredFunction {
    pub name: String,
    pub arguments: String,
}

/// The custom half of a call in an answer; `input` is the text itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnsweredCustom {
    pub name: String,
    pub input: String,
}

/// The kinds of call that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    Function,
    Custom,
}

impl<'de: 'a, 'a> Deserialize<'de> for ToolChoice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoiceVisitor)
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

/// The object forms: nested (chat), flat (Responses, and clients that mix them up), allowed_tools.
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
}

impl<'a> ChoiceFields<'a> {
    fn name(self) -> Option<Str<'a>> {
        self.function.or(self.custom).map(|named| named.name).or(self.name)
    }
}

impl<'de> Visitor<'de> for ChoiceVisitor {
    type Value = ToolChoice<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"none\", \"auto\", \"required\" or an object naming a tool")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        match word {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" | "any" => Ok(ToolChoice::Required),
            other => Err(E::unknown_variant(other, &["none", "auto", "required"])),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let mut fields = ChoiceFields::deserialize(MapAccessDeserializer::new(map))?;
        if let Some(allowed) = fields.allowed_tools.take() {
            return Ok(ToolChoice::Allowed {
                required: allowed.mode == AllowedMode::Required,
                names: allowed.tools.into_iter().filter_map(ChoiceFields::name).collect(),
            });
        }
        fields.name().map(ToolChoice::Named).ok_or_else(|| A::Error::missing_field("function"))
    }
}
