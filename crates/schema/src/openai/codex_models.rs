//! The list of models that Codex reads: `GET /v1/models?client_version=...`.

use serde::Serialize;

/// A list of models.
#[derive(Debug, Clone, Serialize)]
pub struct CodexModelList {
    /// The models, the first one as the default.
    pub models: Vec<CodexModel>,
}

/// One model. Members are those that Codex requires, and those whose default would be wrong here.
#[derive(Debug, Clone, Serialize)]
pub struct CodexModel {
    /// The value for `model` in requests.
    pub slug: String,
    /// Name for people.
    pub display_name: String,
    /// Description for people.
    pub description: Option<String>,
    /// Effort of requests whose user has not chosen one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_reasoning_level: Option<&'static str>,
    /// Efforts that a user may choose.
    pub supported_reasoning_levels: Vec<ReasoningLevel>,
    /// The tool that runs commands.
    pub shell_type: &'static str,
    /// `list` for models that are offered.
    pub visibility: &'static str,
    /// Whether it can be called with a key.
    pub supported_in_api: bool,
    /// Place in the list, from the lowest.
    pub priority: u32,
    /// The model that replaces it.
    pub upgrade: Option<String>,
    /// The system prompt.
    pub base_instructions: &'static str,
    /// Whether summaries of reasoning can be requested.
    pub supports_reasoning_summaries: bool,
    /// Whether it has a verbosity.
    pub support_verbosity: bool,
    /// The usual verbosity.
    pub default_verbosity: Option<String>,
    /// The form of the tool that changes files.
    pub apply_patch_tool_type: &'static str,
    /// Limit on the output of tools that is kept.
    pub truncation_policy: TruncationPolicy,
    /// Whether it may call several tools at once.
    pub supports_parallel_tool_calls: bool,
    /// Context window, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Further tools.
    pub experimental_supported_tools: [&'static str; 0],
    /// `text`, `image`.
    pub input_modalities: Vec<&'static str>,
}

/// An effort that a user may choose.
#[derive(Debug, Clone, Serialize)]
pub struct ReasoningLevel {
    /// The effort.
    pub effort: String,
    /// Description for people.
    pub description: &'static str,
}

/// Limit on the output of tools that is kept.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TruncationPolicy {
    /// `tokens` or `bytes`.
    pub mode: &'static str,
    /// The limit.
    pub limit: u32,
}
