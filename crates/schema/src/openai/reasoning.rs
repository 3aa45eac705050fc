//! Reasoning beyond OpenAI's one field: how peers let clients ask for it, how they write it into
//! answers, and how clients send it back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Str;

/// `thinking`, as Anthropic's API has it.
#[derive(Debug, Clone, Deserialize)]
pub struct ThinkingField<'a> {
    /// `enabled`, `disabled` or `adaptive`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// Tokens that may be thought.
    #[serde(default, deserialize_with = "crate::whole::optional")]
    pub budget_tokens: Option<i64>,
    /// How thoughts are shown, in the model's own words.
    #[serde(borrow)]
    pub display: Option<Str<'a>>,
}

/// `reasoning`, as OpenRouter has it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ReasoningField<'a> {
    /// As `reasoning_effort`.
    #[serde(borrow)]
    pub effort: Option<Str<'a>>,
    /// Tokens that may be thought.
    #[serde(default, deserialize_with = "crate::whole::optional")]
    pub max_tokens: Option<i64>,
    pub enabled: Option<bool>,
    /// Think, but do not show it.
    pub exclude: Option<bool>,
    /// How thoughts are summed up, in OpenAI's words.
    #[serde(borrow)]
    pub summary: Option<Str<'a>>,
}

/// `reasoning_format`, as Groq has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningFormat {
    /// Thinking beside the answer.
    Parsed,
    /// Thinking as the model writes it, inside the answer.
    Raw,
    /// No thinking.
    Hidden,
}

/// An entry of `reasoning_details` as clients send it back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SentDetail<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub summary: Option<Str<'a>>,
    #[serde(borrow)]
    pub data: Option<Str<'a>>,
    #[serde(borrow)]
    pub format: Option<&'a RawValue>,
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
}

/// An entry of `thinking_blocks` as clients send it back.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct SentBlock<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
    #[serde(borrow)]
    pub thinking: Option<Str<'a>>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
    #[serde(borrow)]
    pub data: Option<Str<'a>>,
}

/// An entry of `reasoning_details` in an answer: a whole thought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail<'a> {
    #[serde(flatten)]
    pub thought: DetailKind<'a>,
    /// Bedrock's thoughts have none: it tells the place of the thought, for when it comes back.
    pub id: Option<Cow<'a, str>>,
    pub format: Cow<'a, str>,
    /// Counts the thoughts of one answer.
    pub index: u32,
}

/// What kind of thought it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum DetailKind<'a> {
    /// Readable.
    #[serde(rename = "reasoning.text")]
    Text { text: Cow<'a, str>, signature: Option<Cow<'a, str>> },
    /// Readable by the provider alone.
    #[serde(rename = "reasoning.encrypted")]
    Encrypted { data: Cow<'a, str> },
}
