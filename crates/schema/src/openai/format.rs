//! `response_format`: free text, any JSON, or JSON of a schema.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Str;

/// The required format of the answer.
#[derive(Debug, Clone, Deserialize)]
pub struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    pub kind: FormatKind,
    #[serde(borrow)]
    pub json_schema: Option<JsonSchema<'a>>,
}

/// The `type` of a response format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatKind {
    #[default]
    Text,
    JsonObject,
    JsonSchema,
}

/// The named schema; `schema` itself may be missing, and clients leave `strict` out.
#[derive(Debug, Clone, Deserialize)]
pub struct JsonSchema<'a> {
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    #[serde(borrow)]
    pub schema: Option<&'a RawValue>,
    pub strict: Option<bool>,
}
