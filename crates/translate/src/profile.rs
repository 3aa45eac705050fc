//! What one model accepts on Converse. A quirk is a knob here and a row in the catalogue; no model
//! is ever named in code. The default is optimistic: a model nobody has described gets everything.

use serde::{Deserialize, Serialize};

/// The knobs of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Where a system prompt goes.
    pub system: SystemPrompt,
    /// Whether a conversation may begin with the assistant.
    pub leading_assistant: bool,
    /// What a user turn may hold beside tool results.
    pub beside_tool_result: BesideToolResult,
    /// Which tool choices the model knows.
    pub tool_choice: ToolChoices,
    /// How "call no tool" is said while tools must be declared.
    pub no_tool: NoTool,
    /// Which sampling parameters the model takes.
    pub sampling: Sampling,
    /// Which stop sequences the model takes.
    pub stop_sequences: StopSequences,
    /// The smallest token limit the model takes; a smaller one is raised to it.
    pub least_max_tokens: u32,
    /// How an answer is held to a JSON schema.
    pub structured_output: StructuredOutput,
    /// The InvokeModel body of an embedding model; `None` for a model that does not embed.
    pub embedding: Option<EmbeddingShape>,
}

/// Where a system prompt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPrompt {
    /// Into `system`.
    Native,
    /// The model has none: it opens the first user turn.
    InUserTurn,
}

/// What a user turn may hold beside tool results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BesideToolResult {
    /// Anything.
    Anything,
    /// Nothing: the rest goes into a turn of its own.
    Nothing,
}

/// Which forms of `toolChoice` a model knows, from the poorest to the richest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoices {
    /// Only `auto`.
    Auto,
    /// `auto` and `any`.
    Any,
    /// Also a tool by name.
    Named,
}

/// How "call no tool" is said while tools must be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoTool {
    /// It cannot be said.
    Unsaid,
    /// By `additionalModelRequestFields.tool_choice = {"type": "none"}`.
    ChoiceField,
}

/// Which sampling parameters a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Temperature and top_p.
    Both,
    /// Either; with both given, temperature is sent.
    One,
    /// Neither.
    None,
}

/// Which stop sequences a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSequences {
    /// Any that is not empty.
    Any,
    /// Any that is more than white space.
    NotBlank,
    /// None.
    Refused,
}

/// How an answer is held to a JSON schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// By `outputConfig.textFormat`.
    Native,
    /// By a tool that must be called, whose input is the answer.
    ForcedTool,
}

/// The InvokeModel body of an embedding model. Bodies are protocols: each has a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EmbeddingShape {
    /// Titan text, first version: one text, one size.
    TitanV1,
    /// Titan text, second version: one text, chosen size.
    TitanV2,
    /// Titan multimodal.
    TitanMultimodal,
    /// Cohere, third version: many texts.
    CohereV3,
    /// Cohere, fourth version: many texts, chosen size.
    CohereV4,
    /// Nova multimodal.
    NovaMultimodal,
    /// Marengo 2.7.
    Marengo2,
    /// Marengo 3.0.
    Marengo3,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            system: SystemPrompt::Native,
            leading_assistant: false,
            beside_tool_result: BesideToolResult::Anything,
            tool_choice: ToolChoices::Named,
            no_tool: NoTool::Unsaid,
            sampling: Sampling::Both,
            stop_sequences: StopSequences::Any,
            least_max_tokens: 1,
            structured_output: StructuredOutput::ForcedTool,
            embedding: None,
        }
    }
}
