//! The features of one model on Converse. A quirk is a setting here and a row in the catalogue;
//! code never names a model. The defaults are optimistic: a model without a row is assumed to
//! support everything.

use serde::{Deserialize, Serialize};

mod bodies;
mod cached;
mod guardrail;
mod media;
mod native;
mod surface;
mod thinking;
mod tools;

pub use bodies::{EmbeddingShape, ImageShape, RerankShape};
pub use cached::{CachePointAfter, StreamCounts};
pub use guardrail::GuardrailPlace;
pub use media::{Citations, Media, Medium, SearchResults};
pub use native::{BatchTools, MessagesOperation, NativeBeta};
pub use surface::{MantleBase, Surface, SurfaceApi, SurfaceEndpoint, SurfaceHost};
pub use thinking::{Effort, Replay, Thinking, ThinkingOff, ThinkingTags};
pub use tools::{
    BesideToolCall, CallIds, CallSyntax, SchemaPatterns, SchemaReferences, SchemaRoot, StrictTools,
    ToolNames, ToolStreaming,
};

/// Limits of Converse itself.
const MOST_STOP_SEQUENCES: usize = 2500;
const MOST_MAX_TOKENS: u32 = i32::MAX.unsigned_abs();

/// Bounds that the service's grammars refuse. (As seen live by pydantic-ai and LiteLLM, 2026.)
pub(crate) const REFUSED_BOUNDS: [&str; 8] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "contains",
];

/// The settings of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Whether the model answers requests of Converse, there or translated for another surface; other models
    /// have InvokeModel bodies of their own.
    pub converse: bool,
    /// Where the model is called.
    pub surface: Surface,
    /// The APIs of bedrock-runtime that serve the model, the preferred one first.
    pub runtime_apis: Vec<SurfaceApi>,
    /// The APIs of bedrock-mantle that serve the model, the preferred one first.
    pub mantle_apis: Vec<SurfaceApi>,
    /// Base path of OpenAI's APIs on bedrock-mantle.
    pub mantle_base: MantleBase,
    /// The model's id on bedrock-mantle, if it is not the usual id without version.
    pub mantle_id: String,
    /// The project or workspace of calls on bedrock-mantle; not a feature of the model, but set per target.
    pub mantle_project: String,
    /// Place of the system prompt.
    pub system: SystemPrompt,
    /// Whether a conversation may begin with the assistant.
    pub leading_assistant: bool,
    /// Whether a conversation may end with the assistant: the model then continues that text.
    pub trailing_assistant: bool,
    /// Content that a user turn may hold beside tool results.
    pub beside_tool_result: BesideToolResult,
    /// Content that an assistant turn may hold beside calls.
    pub beside_tool_call: BesideToolCall,
    /// Tool choices that the model supports.
    pub tool_choice: ToolChoices,
    /// Field that forbids tool calls while tools must be declared.
    pub no_tool: NoTool,
    /// Keywords allowed at the root of a tool's schema.
    pub schema_root: SchemaRoot,
    /// Handling of references to definitions in a tool's schema.
    pub schema_references: SchemaReferences,
    /// Regular expressions allowed in a tool's schema.
    pub schema_patterns: SchemaPatterns,
    /// Method that constrains calls to their schemas.
    pub strict_tools: StrictTools,
    /// Streaming of answers where tools are declared.
    pub tool_streaming: ToolStreaming,
    /// The beta that streams arguments as they are generated, if the model has one.
    pub tool_stream_beta: Option<String>,
    /// Call ids that the model accepts.
    pub call_ids: CallIds,
    /// Tool names that the model can call.
    pub tool_names: ToolNames,
    /// The tokens in which the model writes calls that the service fails to turn into blocks.
    pub call_syntax: CallSyntax,
    /// The service's own web search tool, if the model has it.
    pub web_search_tool: Option<String>,
    /// The service's own code execution tool, if the model has it.
    pub code_tool: Option<String>,
    /// SamplingSupport parameters that the model supports.
    pub sampling: SamplingSupport,
    /// Field for top-k sampling.
    pub top_k: TopK,
    /// Repetition penalties that the model supports.
    pub penalties: Penalties,
    /// Whether the model accepts a seed, as a field of its own.
    pub seed: bool,
    /// Field for the verbosity of the answer.
    pub verbosity: Verbosity,
    /// Field that limits the model to one tool call at a time.
    pub one_call: OneCall,
    /// Stop sequences that the model accepts.
    pub stop_sequences: StopSequences,
    /// Most stop sequences that the model accepts.
    pub most_stop_sequences: usize,
    /// The smallest token limit that the model accepts; a smaller one is raised to it.
    pub least_max_tokens: u32,
    /// The largest token limit that the model accepts; a larger one is lowered to it.
    pub most_max_tokens: u32,
    /// The token limit that is sent where the caller sets none; 0 sends none.
    pub default_max_tokens: u32,
    /// Method that constrains an answer to a JSON schema.
    pub structured_output: StructuredOutput,
    /// Schema keywords that the model's answer grammar refuses; they go into the prompt.
    pub refused_keywords: Vec<String>,
    /// Places where the model accepts cache points.
    pub cache_points: CachePoints,
    /// Blocks of a message after which the model accepts cache points.
    pub cache_point_after: CachePointAfter,
    /// Lifetimes of a cached prefix.
    pub cache_ttl: CacheTtls,
    /// The shortest prefix the model caches, in tokens.
    pub least_cached_tokens: u32,
    /// The operator's choice for the cache; not a feature of the model, but set per target like the
    /// overrides.
    pub prompt_cache: PromptCache,
    /// Counting of cached tokens in the model's streams.
    pub stream_counts: StreamCounts,
    /// Media that the model reads.
    pub media: Media,
    /// Media that may stand inside a tool result; other media are moved beside it.
    pub tool_result_media: Media,
    /// Media that the model reads from S3.
    pub s3_media: Media,
    /// Most images in one message.
    pub images: u32,
    /// Largest image, in bytes.
    pub image_bytes: u32,
    /// Most documents in one message.
    pub documents: u32,
    /// Largest document, in bytes.
    pub document_bytes: u32,
    /// Method that requests citations of documents.
    pub citations: Citations,
    /// Form in which the model gets search results.
    pub search_results: SearchResults,
    /// Betas that the model accepts, among those that a caller may request by name.
    pub betas: Vec<String>,
    /// Operation by which requests of Anthropic's API reach the model.
    pub messages: MessagesOperation,
    /// The body of batch records with tools, which Converse's must not have.
    pub batch_tools: BatchTools,
    /// Betas that the model accepts in its own body.
    pub native_betas: Vec<NativeBeta>,
    /// Further betas of the same kind, of this model alone.
    pub native_own_betas: Vec<String>,
    /// Features that the model accepts in its own body without a beta.
    pub native_features: Vec<String>,
    /// Features of the betas that the model refuses.
    pub native_without: Vec<String>,
    /// Field that requests reasoning.
    pub thinking: Thinking,
    /// Field that turns reasoning off.
    pub thinking_off: ThinkingOff,
    /// Effort levels that the model supports.
    pub efforts: Vec<Effort>,
    /// Tool choices that the model supports while it reasons.
    pub tool_choice_thinking: ToolChoices,
    /// Past reasoning that the model accepts back.
    pub replay: Replay,
    /// Whether the model's signed reasoning is valid only for one account and after an unchanged
    /// conversation.
    pub thoughts_bound: bool,
    /// Name of the reasoning format, which clients compare before they send reasoning back.
    pub thoughts_format: String,
    /// Whether the model's own response counts reasoning tokens, in `/usage/output_tokens_details`.
    pub counts_thinking: bool,
    /// Handling of `<thinking>` tags that the model writes into its text.
    pub thinking_tags: ThinkingTags,
    /// Place where a guardrail is applied.
    pub guardrail: GuardrailPlace,
    /// Service tiers of the model besides the default one.
    pub tiers: Vec<ServiceTier>,
    /// The InvokeModel body of an embedding model; `None` for a model that does not embed.
    pub embedding: Option<EmbeddingShape>,
    /// The InvokeModel body of a reranker; `None` for a model that does not rank.
    pub rerank: Option<RerankShape>,
    /// The InvokeModel body of a model that makes images; `None` for one that does not.
    pub image: Option<ImageShape>,
}

/// A service tier besides the default one, which all models have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// Cheaper, and slower under load.
    Flex,
    /// Dearer, and first in the queue.
    Priority,
    /// Capacity that was bought beforehand.
    Reserved,
}

/// Place of the system prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemPrompt {
    /// Into `system`.
    Native,
    /// At the beginning of the first user turn: the model has no system prompt.
    InUserTurn,
}

/// Content that a user turn may hold beside tool results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BesideToolResult {
    /// Anything.
    Anything,
    /// Text and images; with other content the rest goes into a separate turn.
    TextAndImages,
    /// None: the rest goes into a separate turn.
    Nothing,
}

/// Forms of `toolChoice` that a model supports, from the fewest to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoices {
    /// None: the model supports no tools.
    NoTools,
    /// Only `auto`.
    Auto,
    /// `auto` and `any`.
    Any,
    /// Also a tool by its name.
    Named,
}

/// Field that forbids tool calls while tools must be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoTool {
    /// Not supported.
    Unsaid,
    /// By `additionalModelRequestFields.tool_choice = {"type": "none"}`.
    ChoiceField,
}

/// SamplingSupport parameters that a model supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingSupport {
    /// Temperature and top_p.
    Both,
    /// One of the two; with both given, temperature is sent, unless only top_p differs from its
    /// default.
    One,
    /// Neither.
    None,
}

/// Field for top-k sampling: a field of the model's own. Bedrock refuses fields that a model does
/// not support, so the default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopK {
    /// Not supported.
    Unsaid,
    /// `top_k`.
    Field,
    /// `k`.
    K,
    /// `inferenceConfig.topK`.
    InferenceConfig,
}

/// Repetition penalties that a model supports, as fields under OpenAI's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Penalties {
    /// None.
    Unsaid,
    /// From -2 to 2, as OpenAI's.
    Signed,
    /// From 0 to 1; values outside are clamped.
    Unit,
}

/// Field for the verbosity of the answer. Bedrock refuses fields that a model does not support, so
/// the default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    /// Not supported.
    Unsaid,
    /// `text.verbosity`, as in OpenAI's Responses API.
    TextField,
    /// `verbosity`, as in OpenAI's Chat Completions.
    Field,
}

/// Field that limits the model to one tool call at a time. Where it is not supported, further calls
/// are removed from the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OneCall {
    /// Not supported.
    Unsaid,
    /// By `tool_choice.disable_parallel_tool_use`, a field of the model's own.
    ChoiceField,
    /// By `parallel_tool_calls`, as in OpenAI's APIs.
    ParallelField,
}

/// Stop sequences that a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSequences {
    /// Any that are not empty.
    Any,
    /// Any that are not only white space.
    NotBlank,
    /// None.
    Refused,
}

/// Method that constrains an answer to a JSON schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// By `outputConfig.textFormat`.
    Native,
    /// By a forced tool call, whose input is the answer.
    ForcedTool,
}

/// Places where a model accepts cache points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePoints {
    /// None: it refuses cache points.
    Refused,
    /// Unknown: cache points are set only where the caller sets them.
    AsMarked,
    /// In the system prompt and in messages.
    SystemAndMessages,
    /// After tools too.
    Everywhere,
}

/// Lifetimes of a cached prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheTtls {
    /// Five minutes; no other lifetime can be requested.
    FiveMinutes,
    /// Five minutes, or an hour.
    OneHour,
}

/// The operator's choice for the prompt cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptCache {
    /// Cache points added by the gateway where the caller sets none.
    #[default]
    Auto,
    /// Only the caller's marks.
    Marks,
    /// None: marks have no effect.
    Off,
}

impl PromptCache {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Marks => "marks",
            Self::Off => "off",
        }
    }
}

impl Profile {
    /// Efforts that a caller may choose and that make a difference, from the least to the most. A budget of tokens
    /// has them all.
    pub fn efforts_offered(&self) -> Vec<&'static str> {
        match self.thinking {
            Thinking::None | Thinking::Native => Vec::new(),
            Thinking::Budget => {
                [Effort::Low, Effort::Medium, Effort::High].map(Effort::name).into()
            }
            Thinking::Adaptive
            | Thinking::AdaptiveOrBudget
            | Thinking::Effort
            | Thinking::NestedEffort
            | Thinking::ReasoningConfig
            | Thinking::ConfigWord => self.efforts.iter().map(|effort| effort.name()).collect(),
        }
    }

    /// Returns whether the reasoning of a tool turn is saved, for clients that do not send it back.
    pub fn keeps_thoughts(&self) -> bool {
        matches!(self.replay, Replay::Signed | Replay::Redacted) && self.thinking != Thinking::None
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            converse: true,
            surface: Surface::Converse,
            runtime_apis: vec![SurfaceApi::Chat, SurfaceApi::Responses],
            mantle_apis: vec![SurfaceApi::Chat, SurfaceApi::Responses],
            mantle_base: MantleBase::V1,
            mantle_id: String::new(),
            mantle_project: String::new(),
            system: SystemPrompt::Native,
            leading_assistant: false,
            trailing_assistant: false,
            beside_tool_result: BesideToolResult::Anything,
            beside_tool_call: BesideToolCall::Anything,
            tool_choice: ToolChoices::Named,
            no_tool: NoTool::Unsaid,
            schema_root: SchemaRoot::Any,
            schema_references: SchemaReferences::Kept,
            schema_patterns: SchemaPatterns::Any,
            strict_tools: StrictTools::Unserved,
            tool_streaming: ToolStreaming::Streamed,
            tool_stream_beta: None,
            call_ids: CallIds::Any,
            tool_names: ToolNames::Any,
            call_syntax: CallSyntax::None,
            web_search_tool: None,
            code_tool: None,
            sampling: SamplingSupport::Both,
            top_k: TopK::Unsaid,
            penalties: Penalties::Unsaid,
            seed: false,
            verbosity: Verbosity::Unsaid,
            one_call: OneCall::Unsaid,
            stop_sequences: StopSequences::Any,
            most_stop_sequences: MOST_STOP_SEQUENCES,
            least_max_tokens: 1,
            most_max_tokens: MOST_MAX_TOKENS,
            default_max_tokens: 0,
            structured_output: StructuredOutput::ForcedTool,
            refused_keywords: REFUSED_BOUNDS.map(str::to_owned).to_vec(),
            cache_points: CachePoints::AsMarked,
            cache_point_after: CachePointAfter::AnyBlock,
            cache_ttl: CacheTtls::OneHour,
            least_cached_tokens: 1024,
            prompt_cache: PromptCache::Auto,
            stream_counts: StreamCounts::Net,
            media: Media::ALL,
            tool_result_media: Media::of(&[Medium::Image, Medium::Document, Medium::Video]),
            s3_media: Media::ALL,
            images: 20,
            image_bytes: 3_932_160,
            documents: 5,
            document_bytes: 4_718_592,
            citations: Citations::Unserved,
            search_results: SearchResults::Text,
            betas: Vec::new(),
            messages: MessagesOperation::Converse,
            batch_tools: BatchTools::Refused,
            native_betas: Vec::new(),
            native_own_betas: Vec::new(),
            native_features: Vec::new(),
            native_without: Vec::new(),
            thinking: Thinking::None,
            thinking_off: ThinkingOff::Unsaid,
            efforts: Vec::new(),
            tool_choice_thinking: ToolChoices::Named,
            replay: Replay::Never,
            thoughts_bound: false,
            thoughts_format: "unknown".to_owned(),
            counts_thinking: false,
            thinking_tags: ThinkingTags::None,
            guardrail: GuardrailPlace::OnCall,
            tiers: vec![ServiceTier::Flex, ServiceTier::Priority, ServiceTier::Reserved],
            embedding: None,
            rerank: None,
            image: None,
        }
    }
}
