//! `/model/info` and `/model_group/info`: the models that a caller may call, with their prices and features.

use std::collections::BTreeMap;

use access::spend::Amount;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;
use serde_json::value::RawValue;
use translate::profile::{
    CachePoints, Penalties, SamplingSupport, StopSequences, StructuredOutput, SystemPrompt,
    Thinking, ToolChoices, Verbosity,
};

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::named_targets::{self, LongPrices, NamedTarget};
use super::request::AdminRequest;
use super::spend_row::PROVIDER;

/// Models of a page, where the request says no number, and at most.
const SIZES: (u64, u64) = (50, 1000);

/// The price of one token as a number without exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TokenPrice(Amount);

#[derive(Debug, Serialize)]
struct ModelList<'m> {
    data: Vec<ModelEntry<'m>>,
}

/// The answer of `/v2/model/info`.
#[derive(Debug, Serialize)]
struct ModelPage<'m> {
    data: Vec<ModelEntry<'m>>,
    total_count: u64,
    current_page: u64,
    total_pages: u64,
    size: u64,
}

#[derive(Debug, Serialize)]
struct ModelEntry<'m> {
    model_name: &'m str,
    litellm_params: ModelParams<'m>,
    model_info: ModelInfo<'m>,
}

#[derive(Debug, Serialize)]
struct ModelParams<'m> {
    model: String,
    custom_llm_provider: &'static str,
    aws_region_name: &'m str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpm: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ModelInfo<'m> {
    id: String,
    db_model: bool,
    key: &'m str,
    base_model: Option<&'m str>,
    litellm_provider: &'static str,
    mode: Option<&'static str>,
    max_tokens: Option<u64>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    input_cost_per_token: Option<TokenPrice>,
    output_cost_per_token: Option<TokenPrice>,
    cache_read_input_token_cost: Option<TokenPrice>,
    cache_creation_input_token_cost: Option<TokenPrice>,
    cache_creation_input_token_cost_above_1hr: Option<TokenPrice>,
    #[serde(flatten)]
    long: Option<LongCosts>,
    #[serde(flatten)]
    features: Features,
    supported_openai_params: Vec<&'static str>,
    deprecation_date: Option<&'m str>,
    price_source: Option<&'static str>,
    price_row: Option<&'m str>,
}

/// Prices of long prompts; their names have the length.
#[derive(Debug)]
struct LongCosts(LongPrices);

/// Features by LiteLLM's names.
#[derive(Debug, Clone, Copy)]
struct Features([(&'static str, bool); 13]);

/// A name with what all its targets have in common.
#[derive(Debug, Serialize)]
struct ModelGroup<'m> {
    model_group: &'m str,
    providers: [&'static str; 1],
    mode: Option<&'static str>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    input_cost_per_token: Option<TokenPrice>,
    output_cost_per_token: Option<TokenPrice>,
    tpm: Option<u64>,
    rpm: Option<u64>,
    #[serde(flatten)]
    features: Option<Features>,
    supported_openai_params: Vec<&'static str>,
    is_public_model_group: bool,
}

#[derive(Debug, Serialize)]
struct ModelGroups<'m> {
    data: Vec<ModelGroup<'m>>,
}

/// `GET /model/info`: the deployments that the caller may call, or one of them.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let mut all = named_targets::all(&request).await;
    if let Some(id) = request.query.text("litellm_model_id") {
        all.retain(|one| one.label == id || one.resolved.model_id == id);
        if all.is_empty() {
            let message = format!("Model id = {id} not found on litellm proxy");
            let detail = json!({ "error": message });
            return Err(AdminRefusal::bad(message).param("litellm_model_id").detail(detail));
        }
    }
    let is_admin = request.caller.is_admin();
    AdminAnswer::of(&ModelList { data: all.iter().map(|one| entry(one, is_admin)).collect() })
}

/// `GET /v2/model/info`: the same in pages.
pub(super) async fn page(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let page = request.query.page("size", SIZES)?;
    let search = request.query.text("search").map(str::to_lowercase);
    let mut all = named_targets::all(&request).await;
    all.retain(|one| {
        let named = |part: &String| {
            let id = one.resolved.model_id.to_lowercase();
            one.name.to_lowercase().contains(part) || id.contains(part)
        };
        search.as_ref().is_none_or(named)
    });
    let total_count = all.len() as u64;
    let (is_admin, shown) = (request.caller.is_admin(), page.cut(all));
    AdminAnswer::of(&ModelPage {
        data: shown.iter().map(|one| entry(one, is_admin)).collect(),
        total_count,
        current_page: page.page,
        total_pages: page.pages(total_count),
        size: page.size,
    })
}

/// `GET /model_group/info`: names with what their targets have in common.
pub(super) async fn groups(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let all = named_targets::all(&request).await;
    let wanted = request.query.text("model_group");
    let mut names: Vec<&str> = Vec::new();
    let mut members: BTreeMap<&str, Vec<&NamedTarget>> = BTreeMap::new();
    for one in all.iter().filter(|one| wanted.is_none_or(|wanted| one.name == wanted)) {
        let of_name = members.entry(&one.name).or_default();
        if of_name.is_empty() {
            names.push(&one.name);
        }
        of_name.push(one);
    }
    let groups = names.into_iter().filter_map(|name| members.remove(name).map(|of| (name, of)));
    AdminAnswer::of(&ModelGroups { data: groups.map(|(name, of)| group(name, &of)).collect() })
}

fn entry(one: &NamedTarget, is_admin: bool) -> ModelEntry<'_> {
    let id = one.shown_id(is_admin);
    let (model, prices) = (&one.model, &one.prices);
    let price = |amount: Option<Amount>| amount.map(TokenPrice);
    let priced = model.prices.as_ref();
    ModelEntry {
        model_name: &one.name,
        litellm_params: ModelParams {
            model: format!("{PROVIDER}/{id}"),
            custom_llm_provider: PROVIDER,
            aws_region_name: &one.region,
            rpm: one.quota.rpm.map(Into::into),
            tpm: one.quota.tpm.map(Into::into),
        },
        model_info: ModelInfo {
            id: one.shown_label(is_admin),
            db_model: false,
            key: id,
            base_model: one.resolved.base_model(),
            litellm_provider: PROVIDER,
            mode: one.mode(),
            max_tokens: model.max_output_tokens,
            max_input_tokens: model.context_length,
            max_output_tokens: model.max_output_tokens,
            input_cost_per_token: price(prices.input),
            output_cost_per_token: price(prices.output),
            cache_read_input_token_cost: price(prices.cache_read),
            cache_creation_input_token_cost: price(prices.cache_write),
            cache_creation_input_token_cost_above_1hr: price(prices.cache_write_1h),
            long: prices.long.map(LongCosts),
            features: Features::of(one),
            supported_openai_params: params(one),
            deprecation_date: model.shutdown_date.as_deref(),
            price_source: priced.map(|prices| prices.source),
            price_row: priced.map(|prices| prices.row.as_str()),
        },
    }
}

/// Limits and prices of a name are the largest of its targets, and features those that all of them have.
fn group<'m>(name: &'m str, members: &[&NamedTarget]) -> ModelGroup<'m> {
    let most = |of: fn(&NamedTarget) -> Option<u64>| members.iter().filter_map(|one| of(one)).max();
    let dearest = |of: fn(&NamedTarget) -> Option<Amount>| {
        members.iter().filter_map(|one| of(one)).max().map(TokenPrice)
    };
    let sum = |of: fn(&NamedTarget) -> Option<u64>| {
        members.iter().try_fold(0_u64, |sum, one| Some(sum.saturating_add(of(one)?)))
    };
    let all = members.iter().map(|one| Features::of(one)).reduce(Features::and);
    let shared = members.iter().map(|one| params(one)).reduce(|mut both, other| {
        both.retain(|param| other.contains(param));
        both
    });
    ModelGroup {
        model_group: name,
        providers: [PROVIDER],
        mode: members.iter().find_map(|one| one.mode()),
        max_input_tokens: most(|one| one.model.context_length),
        max_output_tokens: most(|one| one.model.max_output_tokens),
        input_cost_per_token: dearest(|one| one.prices.input),
        output_cost_per_token: dearest(|one| one.prices.output),
        tpm: sum(|one| one.quota.tpm.map(Into::into)),
        rpm: sum(|one| one.quota.rpm.map(|rpm| u64::from(u32::from(rpm)))),
        features: all,
        supported_openai_params: shared.unwrap_or_default(),
        is_public_model_group: false,
    }
}

impl Features {
    fn of(one: &NamedTarget) -> Self {
        let chats = one.mode() == Some("chat");
        let profile = &one.resolved.profile;
        let tools = chats && one.calls_tools();
        let has_schema = profile.structured_output == StructuredOutput::Native;
        Self([
            ("supports_system_messages", chats && profile.system == SystemPrompt::Native),
            ("supports_vision", one.reads("image")),
            ("supports_pdf_input", one.reads("document")),
            ("supports_audio_input", one.reads("audio")),
            ("supports_video_input", one.reads("video")),
            ("supports_function_calling", tools),
            ("supports_parallel_function_calling", tools),
            ("supports_tool_choice", tools && profile.tool_choice >= ToolChoices::Any),
            ("supports_response_schema", tools || chats && has_schema),
            ("supports_assistant_prefill", chats && profile.trailing_assistant),
            ("supports_prompt_caching", chats && caches(one)),
            ("supports_reasoning", chats && profile.thinking != Thinking::None),
            ("supports_native_streaming", chats),
        ])
    }

    fn and(mut self, other: Self) -> Self {
        for ((_, has), (_, others)) in self.0.iter_mut().zip(other.0) {
            *has &= others;
        }
        self
    }
}

impl Serialize for Features {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

/// Whether the model is known to cache prompts.
fn caches(one: &NamedTarget) -> bool {
    match one.resolved.profile.cache_points {
        CachePoints::Refused => false,
        CachePoints::AsMarked => one.prices.cache_read.is_some(),
        CachePoints::SystemAndMessages | CachePoints::Everywhere => true,
    }
}

/// Parameters of OpenAI's that have an effect on the model.
fn params(one: &NamedTarget) -> Vec<&'static str> {
    match one.mode() {
        Some("chat") => {}
        Some("embedding") => return vec!["dimensions", "encoding_format"],
        _ => return Vec::new(),
    }
    let profile = &one.resolved.profile;
    let mut all =
        vec!["stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "user"];
    let mut add = |has: bool, names: &[&'static str]| all.extend(names.iter().filter(|_| has));
    add(profile.sampling != SamplingSupport::None, &["temperature", "top_p"]);
    add(profile.stop_sequences != StopSequences::Refused, &["stop"]);
    add(one.calls_tools(), &["tools", "tool_choice", "parallel_tool_calls"]);
    add(true, &["response_format"]);
    add(profile.thinking != Thinking::None, &["reasoning_effort", "thinking"]);
    add(profile.penalties != Penalties::Unsaid, &["frequency_penalty", "presence_penalty"]);
    add(profile.seed, &["seed"]);
    add(profile.verbosity != Verbosity::Unsaid, &["verbosity"]);
    add(!profile.tiers.is_empty(), &["service_tier"]);
    all
}

impl Serialize for TokenPrice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.0.to_string());
        number.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl Serialize for LongCosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LongPrices { above, input, output } = self.0;
        let mut map = serializer.serialize_map(None)?;
        for (part, price) in [("input", input), ("output", output)] {
            let name = format!("{part}_cost_per_token_above_{}k_tokens", above / 1000);
            map.serialize_entry(&name, &price.map(TokenPrice))?;
        }
        map.end()
    }
}
