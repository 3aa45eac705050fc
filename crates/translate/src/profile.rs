//! What one model accepts on Converse. A quirk is a knob here and a row in the catalogue; no model
//! is ever named in code. The default is optimistic: a model nobody has described gets everything.

use serde::{Deserialize, Serialize};

mod cached;
mod media;
mod thinking;
mod tools;

pub use cached::{CachePointAfter, StreamCounts};
pub use media::{Citations, Media, Medium, SearchResults};
pub use thinking::{Effort, Replay, Thinking, ThinkingOff, ThinkingTags};
pub use tools::{
    BesideToolCall, CallIds, CallSyntax, SchemaPatterns, SchemaReferences, SchemaRoot, StrictTools,
    ToolNames, ToolStreaming,
};

/// What Converse itself takes.
const MOST_STOP_SEQUENCES: usize = 2500;
const MOST_MAX_TOKENS: u32 = i32::MAX.unsigned_abs();

/// Bounds that the grammars of the service refuse. (As seen live by pydantic-ai and LiteLLM, 2026.)
const UNBOUNDED: [&str; 8] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "contains",
];

/// The knobs of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Whether it can be called by Converse; the others have bodies of their own for InvokeModel.
    pub converse: bool,
    /// Where a system prompt goes.
    pub system: SystemPrompt,
    /// Whether a conversation may begin with the assistant.
    pub leading_assistant: bool,
    /// Whether it may end with the assistant: the model then goes on with those words.
    pub trailing_assistant: bool,
    /// What a user turn may hold beside tool results.
    pub beside_tool_result: BesideToolResult,
    /// What an assistant turn may hold beside calls.
    pub beside_tool_call: BesideToolCall,
    /// Which tool choices the model knows.
    pub tool_choice: ToolChoices,
    /// How "call no tool" is said while tools must be declared.
    pub no_tool: NoTool,
    /// What may stand at the root of a tool's schema.
    pub schema_root: SchemaRoot,
    /// Whether a tool's schema may point at definitions.
    pub schema_references: SchemaReferences,
    /// Which regular expressions a tool's schema may hold.
    pub schema_patterns: SchemaPatterns,
    /// Whether calls can be held to their schemas.
    pub strict_tools: StrictTools,
    /// How a stream is answered where tools are declared.
    pub tool_streaming: ToolStreaming,
    /// The beta that lets arguments be streamed as they are made, if the model has one.
    pub tool_stream_beta: Option<String>,
    /// Which ids of calls the model takes.
    pub call_ids: CallIds,
    /// Which names of tools the model can call.
    pub tool_names: ToolNames,
    /// The tokens in which it writes calls that the service fails to turn into blocks.
    pub call_syntax: CallSyntax,
    /// The service's own tool that searches the web, if the model has it.
    pub web_search_tool: Option<String>,
    /// The service's own tool that runs code, if the model has it.
    pub code_tool: Option<String>,
    /// Which sampling parameters the model takes.
    pub sampling: Sampling,
    /// Where the number of tokens to choose among is said.
    pub top_k: TopK,
    /// Which penalties for repetition the model takes.
    pub penalties: Penalties,
    /// Whether the model takes a seed, as a field of its own.
    pub seed: bool,
    /// Where it is said how many words an answer should take.
    pub verbosity: Verbosity,
    /// How "call one tool at a time" is said.
    pub one_call: OneCall,
    /// Which stop sequences the model takes.
    pub stop_sequences: StopSequences,
    /// How many stop sequences the model takes.
    pub most_stop_sequences: usize,
    /// The smallest token limit the model takes; a smaller one is raised to it.
    pub least_max_tokens: u32,
    /// The largest token limit the model takes; a larger one is lowered to it.
    pub most_max_tokens: u32,
    /// The token limit that is sent where the caller names none; 0 sends none.
    pub default_max_tokens: u32,
    /// How an answer is held to a JSON schema.
    pub structured_output: StructuredOutput,
    /// Keywords that its grammar for answers refuses: they are put into words.
    pub refused_keywords: Vec<String>,
    /// Where the model takes cache points.
    pub cache_points: CachePoints,
    /// Behind which blocks of a message it takes them.
    pub cache_point_after: CachePointAfter,
    /// How long a cached prefix may live.
    pub cache_ttl: CacheTtls,
    /// The shortest prefix the model caches, in tokens.
    pub least_cached_tokens: u32,
    /// What the operator wants of the cache; not the model's, but chosen per target as knobs are.
    pub prompt_cache: PromptCache,
    /// How its streams count cached tokens.
    pub stream_counts: StreamCounts,
    /// What the model reads besides text.
    pub media: Media,
    /// What of that may stand inside a tool result; the rest is moved beside it.
    pub tool_result_media: Media,
    /// What of that it reads from S3.
    pub s3_media: Media,
    /// Most images in one message.
    pub images: u32,
    /// Most bytes of an image.
    pub image_bytes: u32,
    /// Most documents in one message.
    pub documents: u32,
    /// Most bytes of a document.
    pub document_bytes: u32,
    /// Whether it cites documents where it is asked to.
    pub citations: Citations,
    /// How it is given results of a search.
    pub search_results: SearchResults,
    /// The betas it takes, of those that a caller may ask for by name.
    pub betas: Vec<String>,
    /// How the model is asked to think.
    pub thinking: Thinking,
    /// How it is told not to.
    pub thinking_off: ThinkingOff,
    /// The levels of effort it knows.
    pub efforts: Vec<Effort>,
    /// Which tool choices it knows while it thinks.
    pub tool_choice_thinking: ToolChoices,
    /// What of its past thoughts it takes back.
    pub replay: Replay,
    /// Whether its signed thoughts hold for one account and for the conversation before them alone.
    pub thoughts_bound: bool,
    /// The name of its thoughts' format, which clients compare before they send them back.
    pub thoughts_format: String,
    /// Whether its own answer counts what it thought, in `/usage/output_tokens_details`.
    pub counts_thinking: bool,
    /// Whether it writes `<thinking>` into its text, and what becomes of it.
    pub thinking_tags: ThinkingTags,
    /// Where a guardrail is applied.
    pub guardrail: GuardrailPlace,
    /// The service tiers it is served in, besides the default one.
    pub tiers: Vec<ServiceTier>,
    /// The InvokeModel body of an embedding model; `None` for a model that does not embed.
    pub embedding: Option<EmbeddingShape>,
}

/// Where a guardrail is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailPlace {
    /// On the call, by Bedrock.
    OnCall,
    /// Around the call, by operations of its own: the model takes none.
    Around,
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
    /// Text and images; with anything else the rest goes into a turn of its own.
    TextAndImages,
    /// Nothing: the rest goes into a turn of its own.
    Nothing,
}

/// Which forms of `toolChoice` a model knows, from the poorest to the richest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoices {
    /// None: the model takes no tools.
    NoTools,
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
    /// Either; with both given, temperature is sent, unless only top_p asks for anything.
    One,
    /// Neither.
    None,
}

/// Where the number of tokens to choose among is said: a field of the model's own. Bedrock refuses
/// fields that a model does not know, so the default is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TopK {
    /// It cannot be said.
    Unsaid,
    /// `top_k`.
    Field,
    /// `k`.
    K,
    /// `inferenceConfig.topK`.
    InferenceConfig,
}

/// Which penalties for repetition a model takes, as fields under OpenAI's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Penalties {
    /// None.
    Unsaid,
    /// From -2 to 2, as OpenAI's.
    Signed,
    /// From 0 to 1; what lies outside is clamped.
    Unit,
}

/// Where it is said how many words an answer should take. Bedrock refuses fields that a model does not
/// know, so the default is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verbosity {
    /// It cannot be said.
    Unsaid,
    /// `text.verbosity`, as in OpenAI's Responses API.
    TextField,
    /// `verbosity`, as in OpenAI's Chat Completions.
    Field,
}

/// How "call one tool at a time" is said. Where it cannot be, further calls of an answer are left
/// out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OneCall {
    /// It cannot be said.
    Unsaid,
    /// By `tool_choice.disable_parallel_tool_use`, a field of the model's own.
    ChoiceField,
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

/// Where a model takes cache points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CachePoints {
    /// Nowhere: it refuses them.
    Refused,
    /// Nobody knows: where the caller sets them, and no others.
    AsMarked,
    /// In the system prompt and in messages.
    SystemAndMessages,
    /// Behind tools too.
    Everywhere,
}

/// How long a cached prefix may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheTtls {
    /// Five minutes, and nothing else can be asked for.
    FiveMinutes,
    /// Five minutes, or an hour.
    OneHour,
}

/// What is wanted of the prompt cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptCache {
    /// Points of our own where the caller sets none.
    #[default]
    Auto,
    /// Only the caller's marks.
    Marks,
    /// Nothing: marks have no effect.
    Off,
}

impl PromptCache {
    /// The word for it in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Marks => "marks",
            Self::Off => "off",
        }
    }
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

impl Profile {
    /// Whether the thoughts of a tool turn are kept, for the clients that do not send them back.
    pub fn keeps_thoughts(&self) -> bool {
        matches!(self.replay, Replay::Signed | Replay::Redacted) && self.thinking != Thinking::None
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            converse: true,
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
            sampling: Sampling::Both,
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
            refused_keywords: UNBOUNDED.map(str::to_owned).to_vec(),
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
        }
    }
}
