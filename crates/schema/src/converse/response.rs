//! What Converse answers. Blocks are read as "which members are there", so that a kind of block
//! this build does not know is skipped, not fatal.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::Str;
use crate::lenient::{count, or_default};

/// A whole answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConverseResponse<'a> {
    /// The one member that must be there: AWS also says with status 200 that it knows no such operation.
    #[serde(borrow, deserialize_with = "or_default")]
    pub output: Output<'a>,
    #[serde(default, deserialize_with = "or_default")]
    pub stop_reason: StopReason,
    #[serde(default, deserialize_with = "or_default")]
    pub usage: TokenUsage,
    /// What guardrails and prompt routers tell, as it came: [`Trace`] where it can be read.
    #[serde(borrow)]
    pub trace: Option<&'a RawValue>,
    /// Members of the model's own answer that were asked for.
    #[serde(borrow)]
    pub additional_model_response_fields: Option<&'a RawValue>,
    /// Given only where a tier was asked for.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub service_tier: Option<ServedTier<'a>>,
}

/// The tier a call was served with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServedTier<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
}

/// `output`: a message, today.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Output<'a> {
    #[serde(borrow)]
    pub message: Option<OutputMessage<'a>>,
}

/// The assistant's turn.
#[derive(Debug, Clone, Deserialize)]
pub struct OutputMessage<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub content: Vec<OutputBlock<'a>>,
}

/// One block; exactly one member is set, or none that we know.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutputBlock<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
    #[serde(borrow)]
    pub tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<ReasoningContent<'a>>,
    #[serde(borrow)]
    pub citations_content: Option<CitationsContent<'a>>,
}

/// A call of a tool. `kind` is `server_tool_use` when Bedrock itself runs the tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUse<'a> {
    #[serde(borrow)]
    pub tool_use_id: Str<'a>,
    #[serde(borrow)]
    pub name: Str<'a>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    pub kind: Option<Str<'a>>,
}

impl ToolUse<'_> {
    /// True for tools that Bedrock runs itself; a client must not see them as its own calls.
    pub fn is_server_side(&self) -> bool {
        is_server_side(self.kind.as_deref())
    }
}

/// Whether the `type` of a tool call names a tool that Bedrock runs itself.
pub(crate) fn is_server_side(kind: Option<&str>) -> bool {
    kind == Some("server_tool_use")
}

/// Thinking, readable or redacted.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningContent<'a> {
    #[serde(borrow)]
    pub reasoning_text: Option<ReasoningText<'a>>,
    #[serde(borrow)]
    pub redacted_content: Option<Str<'a>>,
}

/// Readable thinking; only some families sign it.
#[derive(Debug, Clone, Deserialize)]
pub struct ReasoningText<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub text: Str<'a>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
}

/// Text with its sources; it alternates with plain text blocks. Web search gives sources without text.
#[derive(Debug, Clone, Deserialize)]
pub struct CitationsContent<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub content: Vec<CitedText<'a>>,
    /// A list of what is each a [`Citation`] where it can be read.
    #[serde(borrow)]
    pub citations: Option<&'a RawValue>,
}

/// A source. Where documents and chunks are meant, the location says so in members of its own.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Citation<'a> {
    #[serde(borrow)]
    pub title: Option<Str<'a>>,
    /// What a search result gave as its source.
    #[serde(borrow)]
    pub source: Option<Str<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub location: CitationLocation<'a>,
}

/// Where in a source; of the kinds only pages of the web are read here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CitationLocation<'a> {
    #[serde(borrow)]
    pub web: Option<WebLocation<'a>>,
}

/// A page of the web.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WebLocation<'a> {
    #[serde(borrow)]
    pub url: Option<Str<'a>>,
    #[serde(borrow)]
    pub domain: Option<Str<'a>>,
}

/// `trace` of an answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Trace<'a> {
    #[serde(borrow)]
    pub guardrail: Option<&'a RawValue>,
    #[serde(borrow)]
    pub prompt_router: Option<PromptRouter<'a>>,
}

/// What a prompt router did.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptRouter<'a> {
    #[serde(borrow)]
    pub invoked_model_id: Option<Str<'a>>,
}

/// A stretch of cited text.
#[derive(Debug, Clone, Deserialize)]
pub struct CitedText<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
}

/// Why generation ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    EndTurn,
    ToolUse,
    MaxTokens,
    StopSequence,
    GuardrailIntervened,
    ContentFiltered,
    MalformedModelOutput,
    MalformedToolUse,
    ModelContextWindowExceeded,
    /// The model would not answer.
    Refusal,
    /// A tool of the service took long; the turn may be continued.
    PauseTurn,
    /// A word newer than this build.
    #[serde(untagged)]
    Unknown(String),
}

impl Default for StopReason {
    /// None was given.
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

/// Token counts. `inputTokens` leaves cached tokens out; `totalTokens` has them in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenUsage {
    #[serde(deserialize_with = "count")]
    pub input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub output_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub total_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub cache_read_input_tokens: u64,
    #[serde(deserialize_with = "count")]
    pub cache_write_input_tokens: u64,
    #[serde(deserialize_with = "cache_writes")]
    pub cache_details: CacheWrites,
}

/// `cacheDetails`: what was written, by how long it lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheWrites {
    pub five_minutes: u64,
    pub one_hour: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail<'a> {
    #[serde(borrow)]
    ttl: Str<'a>,
    #[serde(default, deserialize_with = "count")]
    input_tokens: u64,
}

/// What cannot be read was not told.
fn cache_writes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CacheWrites, D::Error> {
    let raw: &RawValue = Deserialize::deserialize(deserializer)?;
    let details: Vec<CacheDetail<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut writes = CacheWrites::default();
    for detail in details {
        let place = match &*detail.ttl {
            "5m" => &mut writes.five_minutes,
            "1h" => &mut writes.one_hour,
            _ => continue,
        };
        *place = place.saturating_add(detail.input_tokens);
    }
    Ok(writes)
}
