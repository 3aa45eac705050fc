//! Reasoning beyond OpenAI's one field: the de facto fields that request it, those that carry it in
//! answers, and those in which clients send it back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Str;

/// `thinking`, as in Anthropic's API.
#[derive(Debug, Clone, Deserialize)]
pub struct ThinkingField<'a> {
    /// `enabled`, `disabled` or `adaptive`.
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
    /// Budget for reasoning tokens.
    #[serde(default, deserialize_with = "crate::whole::optional")]
    pub budget_tokens: Option<i64>,
    /// Display of reasoning, as a value of the model.
    #[serde(borrow)]
    pub display: Option<Str<'a>>,
}

/// `reasoning`, as in OpenRouter's API.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ReasoningField<'a> {
    /// As `reasoning_effort`.
    #[serde(borrow)]
    pub effort: Option<Str<'a>>,
    /// Budget for reasoning tokens.
    #[serde(default, deserialize_with = "crate::whole::optional")]
    pub max_tokens: Option<i64>,
    pub enabled: Option<bool>,
    /// Whether reasoning is hidden from the client.
    pub exclude: Option<bool>,
    /// Kind of reasoning summary, as in OpenAI's API.
    #[serde(borrow)]
    pub summary: Option<Str<'a>>,
}

/// `reasoning_format`, as in Groq's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningFormat {
    /// Reasoning apart from the answer.
    Parsed,
    /// Reasoning as the model writes it, inside the answer.
    Raw,
    /// No reasoning in the response.
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

/// An entry of `reasoning_details` in an answer: a complete reasoning block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail<'a> {
    #[serde(flatten)]
    pub thought: DetailKind<'a>,
    /// Bedrock's reasoning has no ids: this holds the position of the block, for when it comes
    /// back.
    pub id: Option<Cow<'a, str>>,
    pub format: Cow<'a, str>,
    /// Index of the reasoning block in the answer.
    pub index: u32,
}

/// The kind of a reasoning block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum DetailKind<'a> {
    /// Readable.
    #[serde(rename = "reasoning.text")]
    Text { text: Cow<'a, str>, signature: Option<Cow<'a, str>> },
    /// Readable only for the provider.
    #[serde(rename = "reasoning.encrypted")]
    Encrypted { data: Cow<'a, str> },
}
