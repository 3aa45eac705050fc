//! Tools and tool choice.

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::content::CacheControl;
use crate::Str;

/// A tool, as it came and as far as it is known.
#[derive(Debug, Clone)]
pub struct Tool<'a> {
    pub raw: &'a RawValue,
    pub members: ToolMembers<'a>,
}

/// The known members of a tool.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolMembers<'a> {
    /// `custom` or absent for the client's own tools; for others a name with a date.
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    #[serde(borrow)]
    pub description: Option<Str<'a>>,
    #[serde(borrow)]
    pub input_schema: Option<&'a RawValue>,
    #[serde(borrow)]
    pub cache_control: Option<CacheControl<'a>>,
    pub strict: Option<bool>,
    /// The model sees the tool only after a search has found it.
    pub defer_loading: Option<bool>,
    pub eager_input_streaming: Option<bool>,
    #[serde(borrow)]
    pub input_examples: Option<&'a RawValue>,
    #[serde(borrow)]
    pub allowed_callers: Option<&'a RawValue>,
    /// Members that some clients nest.
    #[serde(borrow)]
    pub custom: Option<&'a RawValue>,
}

impl ToolMembers<'_> {
    /// The type of a tool that is not the client's own.
    pub fn typed(&self) -> Option<&str> {
        self.kind.as_deref().filter(|kind| *kind != "custom")
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tool<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        let members = serde_json::from_str(raw.get()).map_err(|error| {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
            serde::de::Error::custom(text)
        })?;
        Ok(Self { raw, members })
    }
}

/// `tool_choice`.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolChoice<'a> {
    /// `auto`, `any`, `tool` or `none`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// The tool, for `tool`.
    #[serde(borrow)]
    pub name: Option<Str<'a>>,
    pub disable_parallel_tool_use: Option<bool>,
}
