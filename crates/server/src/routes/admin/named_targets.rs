//! Deployments in LiteLLM's sense: a name with one of its targets. The operator's names come first, then the others
//! that this gateway serves; only what the caller may call.

use access::spend::{Amount, Part, Usage};
use routing::catalogue::{Day, ModelOverrides, NameOwner, Named, ResolvedModel, Tier};
use routing::{Quota, Tags, Target};
use schema::openai::models::{Capabilities, Model};

use super::request::AdminRequest;

/// A name with one of its targets.
#[derive(Debug)]
pub(super) struct NamedTarget {
    /// The name that callers use.
    pub(super) name: String,
    /// The description of the model, as `/v1/models` gives it.
    pub(super) model: Model,
    /// The model.
    pub(super) resolved: ResolvedModel,
    /// The region that is called.
    pub(super) region: String,
    /// The quota of the target.
    pub(super) quota: Quota,
    /// The name of the target.
    pub(super) label: String,
    /// Its prices.
    pub(super) prices: TokenPrices,
}

/// Prices of one token; absent where the model has none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TokenPrices {
    /// Of the prompt.
    pub(super) input: Option<Amount>,
    /// Of the output.
    pub(super) output: Option<Amount>,
    /// Read from the prompt cache.
    pub(super) cache_read: Option<Amount>,
    /// Written to the prompt cache for five minutes.
    pub(super) cache_write: Option<Amount>,
    /// Written to the prompt cache for an hour.
    pub(super) cache_write_1h: Option<Amount>,
    /// Of long prompts.
    pub(super) long: Option<LongPrices>,
}

/// Prices of one token, where the prompt is longer than `above` tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct LongPrices {
    /// The longest prompt at the usual prices.
    pub(super) above: u64,
    /// Of the prompt.
    pub(super) input: Option<Amount>,
    /// Of the output.
    pub(super) output: Option<Amount>,
}

/// The deployments that the caller may call.
pub(super) async fn all(request: &AdminRequest) -> Vec<NamedTarget> {
    let now = request.worker().now();
    let (names, admission) = (&now.names, request.caller.admission());
    let mut all = Vec::new();
    let own = names.listed();
    for one in &own {
        let Ok(route) = names.resolve(admission, one.name, Tags::default()).await else { continue };
        for (target, quota) in route.targets() {
            all.extend(of_target(request, (one.name, target, quota)).await);
        }
    }
    let transport = request.worker().transport(admission, names.home());
    let models = names.catalogue().models(&transport, &own).await;
    let others = models.into_iter().skip(own.len()).filter(|model| names.admits(&model.id));
    let is_restricted = admission.restricts_models();
    for model in others {
        let may_call =
            !is_restricted || names.resolve(admission, &model.id, Tags::default()).await.is_ok();
        if may_call {
            let resolved = names.catalogue().resolve(&model.id, &ModelOverrides::default());
            let region = names.home().region().to_owned();
            let label = format!("{}@{region}", resolved.model_id);
            let (name, prices) = (model.id.clone(), TokenPrices::of(&resolved, &model));
            let quota = Quota::default();
            all.push(NamedTarget { name, model, resolved, region, quota, label, prices });
        }
    }
    all
}

async fn of_target(
    request: &AdminRequest,
    (name, target, quota): (&str, Target, Quota),
) -> Option<NamedTarget> {
    let target = target.looked_up().await.into_owned();
    let Target { model: resolved, account, label, .. } = target;
    let transport = request.worker().transport(request.caller.admission(), &account);
    let named = Named { name, target: resolved.clone(), standing: NameOwner::Configured };
    let model = named.model(&transport).await?;
    let prices = TokenPrices::of(&resolved, &model);
    let (region, label) = (account.region().to_owned(), label.to_string());
    Some(NamedTarget { name: name.to_owned(), model, resolved, region, quota, label, prices })
}

impl NamedTarget {
    /// The id that is sent to Bedrock, if the caller may see it: ARNs tell the account.
    pub(super) fn shown_id(&self, is_admin: bool) -> &str {
        let id = self.resolved.model_id.as_str();
        if is_admin || !is_arn(id) { id } else { self.resolved.base_model().unwrap_or(&self.name) }
    }

    /// The name of the target, if the caller may see it.
    pub(super) fn shown_label(&self, is_admin: bool) -> String {
        if is_admin || !is_arn(&self.label) {
            return self.label.clone();
        }
        format!("{}@{}", self.shown_id(is_admin), self.region)
    }

    /// The use of the model, by LiteLLM's names.
    pub(super) fn mode(&self) -> Option<&'static str> {
        let Capabilities { chat, embeddings, output_modalities, .. } =
            self.model.capabilities.as_ref()?;
        let writes = |kind: &str| output_modalities.iter().any(|modality| modality == kind);
        match (chat, embeddings) {
            (_, true) => Some("embedding"),
            (true, _) => Some("chat"),
            _ if writes("image") => Some("image_generation"),
            _ if writes("score") => Some("rerank"),
            _ => None,
        }
    }

    /// Whether the model reads a medium.
    pub(super) fn reads(&self, medium: &str) -> bool {
        let capabilities = self.model.capabilities.as_ref();
        capabilities.is_some_and(|model| model.input_modalities.iter().any(|one| one == medium))
    }

    /// Whether the model calls tools.
    pub(super) fn calls_tools(&self) -> bool {
        self.model.capabilities.as_ref().is_some_and(|capabilities| capabilities.tools)
    }
}

impl TokenPrices {
    fn of(resolved: &ResolvedModel, model: &Model) -> Self {
        let Ok(quote) = resolved.quote(Tier::Standard, Day::today()) else {
            return Self::default();
        };
        let rate = |usage: Usage, part| {
            let cost = quote.cost(&usage).ok()?.cost;
            cost.parts
                .iter()
                .find(|charge| charge.part == part)
                .map(|charge| charge.rate.per_unit())
        };
        let none = Usage::default();
        let long = model.prices.as_ref().and_then(|prices| prices.long.as_ref()).map(|long| {
            let usage = Usage { input: long.above.saturating_add(1), output: 1, ..none };
            let (input, output) = (rate(usage, Part::Input), rate(usage, Part::Output));
            LongPrices { above: long.above, input, output }
        });
        Self {
            input: rate(Usage { input: 1, ..none }, Part::Input),
            output: rate(Usage { output: 1, ..none }, Part::Output),
            cache_read: rate(Usage { cache_read: 1, ..none }, Part::CacheRead),
            cache_write: rate(Usage { cache_write: 1, ..none }, Part::CacheWrite),
            cache_write_1h: rate(Usage { cache_write_1h: 1, ..none }, Part::CacheWrite1h),
            long,
        }
    }
}

fn is_arn(id: &str) -> bool {
    id.starts_with("arn:")
}
