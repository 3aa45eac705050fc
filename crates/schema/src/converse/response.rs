//! Responses of Converse. Blocks are read by the members they hold, so that an unknown kind of
//! block is skipped and not an error.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::Str;
use crate::lenient::{count, or_default};

/// A complete response.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConverseResponse<'a> {
    /// The only required member: for an unknown operation AWS also answers with status 200.
    #[serde(borrow, deserialize_with = "or_default")]
    pub output: Output<'a>,
    #[serde(default, deserialize_with = "or_default")]
    pub stop_reason: StopReason,
    #[serde(default, deserialize_with = "or_default")]
    pub usage: TokenUsage,
    /// Traces of guardrails and prompt routers as received: [`Trace`] where it can be read.
    #[serde(borrow)]
    pub trace: Option<&'a RawValue>,
    /// The requested fields of the model's own response.
    #[serde(borrow)]
    pub additional_model_response_fields: Option<&'a RawValue>,
    /// Present only where a tier was requested.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub service_tier: Option<ServedTier<'a>>,
}

/// The tier that served a call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServedTier<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Str<'a>,
}

/// `output`: currently always a message.
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

/// One block; exactly one member is set, or none for an unknown kind.
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

/// Returns whether the `type` of a tool call names a tool that Bedrock runs itself.
pub(crate) fn is_server_side(kind: Option<&str>) -> bool {
    kind == Some("server_tool_use")
}

/// Reasoning, readable or redacted.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasoningContent<'a> {
    #[serde(borrow)]
    pub reasoning_text: Option<ReasoningText<'a>>,
    #[serde(borrow)]
    pub redacted_content: Option<Str<'a>>,
}

/// Readable reasoning; only some families sign it.
#[derive(Debug, Clone, Deserialize)]
pub struct ReasoningText<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub text: Str<'a>,
    #[serde(borrow)]
    pub signature: Option<Str<'a>>,
}

/// Text with its citations; it alternates with plain text blocks. Web search gives citations
/// without text.
#[derive(Debug, Clone, Deserialize)]
pub struct CitationsContent<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub content: Vec<CitedText<'a>>,
    /// A list, each item a [`Citation`] where it can be read.
    #[serde(borrow)]
    pub citations: Option<&'a RawValue>,
}

/// A citation. For documents and chunks, the location holds further members.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Citation<'a> {
    #[serde(borrow)]
    pub title: Option<Str<'a>>,
    /// The source that a search result names.
    #[serde(borrow)]
    pub source: Option<Str<'a>>,
    #[serde(borrow, deserialize_with = "or_default")]
    pub location: CitationLocation<'a>,
}

/// Location in a source; only web pages are read here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CitationLocation<'a> {
    #[serde(borrow)]
    pub web: Option<WebLocation<'a>>,
}

/// A web page.
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
    /// The steps of an agent or a flow.
    #[serde(borrow)]
    pub agent: Option<&'a RawValue>,
}

/// The choice of a prompt router.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptRouter<'a> {
    #[serde(borrow)]
    pub invoked_model_id: Option<Str<'a>>,
}

/// A piece of cited text.
#[derive(Debug, Clone, Deserialize)]
pub struct CitedText<'a> {
    #[serde(borrow)]
    pub text: Option<Str<'a>>,
}

/// The reason for the end of generation.
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
    /// The model refused to answer.
    Refusal,
    /// A tool of the service took too long; the turn may be continued.
    PauseTurn,
    /// A reason added after this build.
    #[serde(untagged)]
    Unknown(String),
}

impl StopReason {
    /// Returns whether the model's output is no answer.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::MalformedModelOutput | Self::MalformedToolUse)
    }
}

impl Default for StopReason {
    /// No reason was given.
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

/// Token counts. `inputTokens` excludes cached tokens; `totalTokens` includes them.
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

/// `cacheDetails`: tokens written to the cache, by lifetime.
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

/// Treats unreadable details as absent.
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
