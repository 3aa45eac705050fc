//! The models of this Bedrock, and the resolution of their ids: bare ids, inference profiles and ARNs.
//! Facts of the service are in `models.tsv`; none of them is shared with any client's catalogue.

mod identifier;

use std::{collections::HashMap, sync::Arc};

pub(crate) use identifier::{ACCOUNT, Target, serves, split_prefix};

/// Base model of every application inference profile.
pub(crate) const PROFILED: &str = "anthropic.claude-haiku-4-5-20251001-v1:0";

/// One base model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) family: Family,
    pub(crate) purpose: Purpose,
    pub(crate) status: Lifecycle,
    /// Region prefixes of its inference profiles, without the dot.
    pub(crate) prefixes: Vec<String>,
    pub(crate) profile_only: bool,
    /// Context window, in tokens.
    pub(crate) context: u64,
    /// Longest output, in tokens; 0 for models without text output.
    pub(crate) max_output: u64,
    media: String,
    tool_choice: String,
    pub(crate) streams_tools: bool,
    pub(crate) reasoning: Reasoning,
    flags: Vec<String>,
}

/// The kind of answers of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Chat,
    Embedding,
    Rerank,
    Image,
}

/// Model families that differ in their refusals or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Claude,
    Nova,
    Llama,
    Mistral,
    Kimi,
    Gpt,
    Grok,
    DeepSeek,
    Titan,
    Cohere,
    Marengo,
    Other,
}

/// Stage in a model's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    Active,
    Legacy,
    Eol,
}

/// Reasoning control of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasoning {
    Never,
    /// `thinking` with `budget_tokens`.
    Budget,
    BudgetOrAdaptive,
    AdaptiveOptIn,
    AdaptiveOn,
    AdaptiveAlways,
    /// On unless `thinking` is `between_tools`.
    AdaptiveBetweenTools,
    /// Nova's `reasoningConfig`.
    NovaConfig,
    /// A flat `reasoning_effort`; the next two variants differ in the efforts that enable reasoning.
    Effort,
    EffortHighOnly,
    EffortAlways,
    /// `reasoning` with an `effort` member.
    Nested,
    NestedAlways,
    /// Qwen's `reasoning_config` string.
    ConfigString,
    /// Always reasons, has no field for it.
    Native,
}

/// All known models.
#[derive(Debug)]
pub(crate) struct Models {
    ordered: Vec<Arc<Model>>,
    by_id: HashMap<String, Arc<Model>>,
    generic: Arc<Model>,
}

impl Models {
    pub(crate) fn load() -> Self {
        let ordered: Vec<Arc<Model>> = include_str!("models.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(Model::parse)
            .map(Arc::new)
            .collect();
        let by_id = ordered.iter().map(|model| (model.id.clone(), Arc::clone(model))).collect();
        Self { ordered, by_id, generic: Arc::new(Model::generic()) }
    }

    pub(crate) fn all(&self) -> &[Arc<Model>] {
        &self.ordered
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Arc<Model>> {
        self.by_id.get(id)
    }

    /// The model used for ids that the service would host for a single account.
    pub(crate) fn generic(&self) -> &Arc<Model> {
        &self.generic
    }
}

impl Model {
    fn parse(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split('\t').collect();
        let &[
            id,
            name,
            provider,
            family,
            kind,
            status,
            prefixes,
            invoked,
            context,
            max_output,
            media,
            tool_choice,
            tool_stream,
            reasoning,
            flags,
        ] = columns.as_slice()
        else {
            return None;
        };
        let list = |text: &str| -> Vec<String> {
            if text == "-" { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
        };
        Some(Self {
            id: id.to_owned(),
            name: name.to_owned(),
            provider: provider.to_owned(),
            family: Family::parse(family),
            purpose: Purpose::parse(kind)?,
            status: Lifecycle::parse(status)?,
            prefixes: list(prefixes),
            profile_only: invoked == "profile",
            context: context.parse().ok()?,
            max_output: max_output.parse().ok()?,
            media: media.to_owned(),
            tool_choice: tool_choice.to_owned(),
            streams_tools: tool_stream == "s",
            reasoning: Reasoning::parse(reasoning)?,
            flags: list(flags),
        })
    }

    /// A tolerant model without reasoning.
    fn generic() -> Self {
        Self {
            id: "emulator.generic".into(),
            name: "Emulator".into(),
            provider: "Emulator".into(),
            family: Family::Other,
            purpose: Purpose::Chat,
            status: Lifecycle::Active,
            prefixes: Vec::new(),
            profile_only: false,
            context: 1_000_000,
            max_output: 128_000,
            media: "tidva".into(),
            tool_choice: "auto+any+tool".into(),
            streams_tools: true,
            reasoning: Reasoning::Never,
            flags: [
                "format",
                "strict",
                "cache=1024",
                "cache-tools",
                "cite",
                "count",
                "lead",
                "system-turns",
                "thoughts",
                "flex",
                "priority",
                "reserved",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }

    pub(crate) fn sees(&self, medium: char) -> bool {
        self.media.contains(medium)
    }

    pub(crate) fn takes_tools(&self) -> bool {
        self.tool_choice != "-"
    }

    /// Whether `toolChoice` may have the member `choice` (`auto`, `any`, `tool`).
    pub(crate) fn allows_choice(&self, choice: &str) -> bool {
        self.tool_choice.split('+').any(|allowed| allowed == choice)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    /// The value of a flag written as `name=value`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.flags.iter().find_map(|flag| flag.strip_prefix(name)?.strip_prefix('='))
    }

    /// Adds a flag.
    pub(crate) fn add(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// The same model without one of its flags.
    fn without(&self, flag: &str) -> Self {
        let mut model = self.clone();
        model.flags.retain(|own| own != flag);
        model
    }

    /// Fewest tokens before a cache point that are cached, for models with explicit caching.
    pub(crate) fn cache_minimum(&self) -> Option<u64> {
        self.value("cache")?.parse().ok()
    }

    /// Vector lengths that an embedding model offers, and its default.
    pub(crate) fn dimensions(&self) -> (Vec<u64>, u64) {
        let offered = self
            .value("dims")
            .map(|dims| dims.split('/').filter_map(|dim| dim.parse().ok()).collect())
            .unwrap_or_default();
        (offered, self.value("default").and_then(|dim| dim.parse().ok()).unwrap_or(1_024))
    }

    pub(crate) fn arn(&self, region: &str) -> String {
        format!("arn:aws:bedrock:{region}::foundation-model/{}", self.id)
    }
}

impl Family {
    fn parse(text: &str) -> Self {
        match text {
            "claude" => Self::Claude,
            "nova" | "nova-2" => Self::Nova,
            "llama" => Self::Llama,
            "mistral" => Self::Mistral,
            "kimi" => Self::Kimi,
            "gpt" => Self::Gpt,
            "grok" => Self::Grok,
            "deepseek" => Self::DeepSeek,
            "titan" => Self::Titan,
            "cohere" => Self::Cohere,
            "twelvelabs" => Self::Marengo,
            _ => Self::Other,
        }
    }
}

impl Purpose {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "chat" => Some(Self::Chat),
            "embedding" => Some(Self::Embedding),
            "rerank" => Some(Self::Rerank),
            "image" => Some(Self::Image),
            _ => None,
        }
    }

    /// The medium of its answers, by the control plane's name.
    pub(crate) fn modality(self) -> &'static str {
        match self {
            // The service lists rerankers so.
            Self::Chat | Self::Rerank => "TEXT",
            Self::Embedding => "EMBEDDING",
            Self::Image => "IMAGE",
        }
    }
}

impl Lifecycle {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "legacy" => Some(Self::Legacy),
            "eol" => Some(Self::Eol),
            _ => None,
        }
    }
}

impl Reasoning {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "-" => Self::Never,
            "budget" => Self::Budget,
            "adaptive_or_budget" => Self::BudgetOrAdaptive,
            "adaptive_opt_in" => Self::AdaptiveOptIn,
            "adaptive_default_on" => Self::AdaptiveOn,
            "adaptive_always_on" => Self::AdaptiveAlways,
            "adaptive_default_on_off_is_between_tools" => Self::AdaptiveBetweenTools,
            "nova_reasoningConfig" => Self::NovaConfig,
            "reasoning_effort" | "reasoning_effort_low_medium_high" => Self::Effort,
            "reasoning_effort_high_only" => Self::EffortHighOnly,
            "reasoning_effort_low_to_max_always_on" => Self::EffortAlways,
            "reasoning.effort" => Self::Nested,
            "reasoning.effort_low_to_xhigh_always_on" => Self::NestedAlways,
            "reasoning_config" => Self::ConfigString,
            "native_no_field" => Self::Native,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_parsed() {
        let rows = include_str!("models.tsv").lines().filter(|line| !line.starts_with('#')).count();
        let models = Models::load();
        assert_eq!(models.all().len(), rows);
        assert_eq!(models.by_id.len(), rows, "ids are unique");
        assert!(rows > 120);
        for model in models.all().iter().filter(|model| model.purpose == Purpose::Embedding) {
            let (offered, default) = model.dimensions();
            assert!(offered.contains(&default), "{}", model.id);
        }
    }
}
