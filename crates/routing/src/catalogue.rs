//! Model catalogue: the meaning of a model's name for one account, and the features that the model
//! supports. Unlisted names are passed to Bedrock to accept or reject. The data is in `config/models.toml`.

use std::sync::Arc;

use access::spend::Price;
use schema::openai::models::Model;
use translate::Profile;
use translate::errors::{GrammarRefusal, Notes};
use translate::profile::{PromptCache, StructuredOutput, Surface};

use crate::suggestions::near;
use bedrock::{Account, Transport};

mod account;
mod agents;
mod arn_lookup;
mod date;
mod ending;
mod geography;
mod id;
mod identified;
mod identity;
mod listing;
mod operator_rows;
mod overrides;
mod prices;
mod profile_cache;
mod profile_fallbacks;
mod refused_betas;
mod regions;
mod registry;
mod spelling;
mod surfaces;

use account::Listing;
use arn_lookup::ArnLookup;
pub use date::Day;
pub use ending::ModelEnd;
pub use id::is_region;
use id::{Id, Name};
use identified::Identified;
pub use operator_rows::OperatorRows;
pub use overrides::ProfileOverrides;
use prices::QuoteCache;
pub use prices::{Charged, PriceSource, PricedModel, Quote, Tier, Unquoted};
use profile_cache::ProfileCache;
use profile_fallbacks::{ProfileFallbacks, Without};
use refused_betas::{RefusedBetas, forget_betas};
pub use regions::is_known_region;
pub use registry::BadRow;
use registry::{Registry, Row};

/// The models as one account may call them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalogue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    region: String,
    naming: Naming,
    registry: Arc<Registry>,
    learned: ProfileFallbacks,
    /// Models that refused a grammar for structured answers.
    without_grammar: Without,
    /// Models that refused the betas of their rows.
    refused_betas: RefusedBetas,
    arn_lookup: ArnLookup,
    listing: Listing,
    quotes: QuoteCache,
    profiles: ProfileCache,
}

/// The operator's settings for names and models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Naming {
    /// Use of inference profiles.
    pub cross_region: CrossRegion,
    /// Short names of retired models.
    pub eol_aliases: EolAliases,
    /// Rows laid over the compiled-in catalogue.
    pub rows: OperatorRows,
    /// Default for targets.
    pub prompt_cache: PromptCache,
}

/// The operator's overrides for one target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelOverrides {
    /// The model whose behaviour to assume, if the id does not name it.
    pub base_model: Option<String>,
    /// Profile fields that replace the catalogue's.
    pub accepts: ProfileOverrides,
    /// The price of its calls, instead of the catalogue's: for every reach, tier and day.
    pub price: Option<Arc<Price>>,
}

/// Conditions for calling a name through an inference profile, which may run it in other regions of the
/// geography.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CrossRegion {
    /// Always, if the model has one.
    Always,
    /// For short names, and for models that cannot be called otherwise.
    #[default]
    Auto,
    /// Only if the caller names the profile.
    Never,
}

/// Treatment of short names whose model is past its end of life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum EolAliases {
    /// They are sent, and refused by AWS.
    #[default]
    Send,
    /// The successor is called.
    Remap,
}

/// The model that a call goes to.
#[derive(Debug, Clone)]
pub struct ResolvedModel {
    /// Bedrock's id, inference profile or ARN.
    pub model_id: String,
    /// The features that the model supports.
    pub profile: Arc<Profile>,
    /// The ARN of a stored prompt that is named by its id, once it is known.
    arn: Option<String>,
    /// The foundation model of the id, if the id names it.
    base: Option<String>,
    /// The variant in the name that Bedrock does not support, as `model.free`.
    unheeded: Option<String>,
    /// Whether Bedrock may answer that the model can be called only through a profile.
    on_demand: bool,
    /// The operator's price of its calls.
    price: Option<Arc<Price>>,
    /// The operator's overrides, for an id whose model the control plane can look up.
    not_looked_up: Option<ProfileOverrides>,
    catalogue: Catalogue,
}

impl ResolvedModel {
    /// For each id that a call may be sent to, the profile that the model may turn out to need included, the
    /// geographies that hold every place where it may run; none where that is not known.
    pub(crate) fn geographies(&self) -> Vec<Vec<String>> {
        let region = &self.catalogue.0.region;
        let ids = [Some(self.model_id.clone()), self.detour()];
        let ids = ids.into_iter().flatten();
        ids.map(|id| self.catalogue.reach(&id).geographies(region)).collect()
    }

    /// Names by which lists may grant the model: the id that is sent, the foundation model, and its short names.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = vec![self.model_id.as_str()];
        let Some(base) = self.base.as_deref() else { return names };
        names.push(base);
        let short = self.catalogue.0.registry.aliases();
        names.extend(short.filter(|(_, id)| *id == base).map(|(name, _)| name));
        names
    }
}

/// A name and its target.
#[derive(Debug)]
pub struct Named<'n> {
    /// The name.
    pub name: &'n str,
    /// The model it resolves to.
    pub target: ResolvedModel,
    /// The source of the name.
    pub standing: NameOwner,
}

impl Named<'_> {
    /// The public description of the model, if it is known.
    pub async fn model(&self, transport: &Transport) -> Option<Model> {
        let account = self.target.catalogue.0.account(transport).await;
        listing::one(&account, self)
    }
}

/// Source of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameOwner {
    /// The operator: the name is known regardless of the account's listing.
    Configured,
    /// Any caller.
    Guessed,
}

/// The region that a name contains, as in `bedrock/eu-west-1/...`, or else the region of its ARN.
pub fn region_of(name: &str) -> Option<&str> {
    let name = Name::parse(name);
    let of_arn = match name.id {
        Id::Arn(arn) => arn.region,
        Id::Profile { .. } | Id::Model(_) => None,
    };
    name.region.or(of_arn)
}

/// The model whose behaviour to assume for an imported or custom model, by LiteLLM's word for its family.
pub fn model_of_family(word: &str) -> Option<&'static str> {
    Registry::open().imported(word)
}

/// Whether a plain name, id or ARN belongs to Bedrock alone, as far as can be decided offline: names by
/// which other providers sell the same models do not count.
pub fn is_bedrocks(name: &str) -> bool {
    match Name::parse(name).id {
        Id::Arn(_) | Id::Profile { .. } => true,
        Id::Model(id) => Registry::open().has_alias(id) || Registry::open().find(id).is_some(),
    }
}

/// Whether a name leads to a model, as far as can be decided offline.
pub fn is_understood(name: &str) -> bool {
    let short = match Name::parse(name).id {
        Id::Model(id) => Registry::open().alias(id),
        Id::Arn(_) | Id::Profile { .. } => None,
    };
    short.is_some() || is_bedrocks(name)
}

impl Catalogue {
    /// The catalogue of an account in `region`.
    pub fn new(naming: Naming, region: &str) -> Self {
        Self(Arc::new(Inner {
            region: region.to_owned(),
            registry: naming.rows.registry(),
            naming,
            learned: ProfileFallbacks::default(),
            without_grammar: Without::default(),
            refused_betas: RefusedBetas::default(),
            arn_lookup: ArnLookup::default(),
            listing: Listing::default(),
            quotes: QuoteCache::default(),
            profiles: ProfileCache::default(),
        }))
    }

    /// The day of the catalogue, as `2026-11-21`.
    pub fn dated(&self) -> Option<String> {
        self.0.registry.dated().map(|day| day.to_string())
    }

    /// Resolves the name of a model. The caller handles a region in it.
    pub fn resolve(&self, name: &str, overrides: &ModelOverrides) -> ResolvedModel {
        let inner = &self.0;
        let Identified { id, model_id, base, variant, is_chosen } =
            self.identified(name, overrides);
        let sent = Name::parse(&model_id).id;
        let is_prompt = agents::prompt(&sent).is_some();
        // A prompt's settings are its own: of its model only the price is known here.
        let described = base.as_deref().filter(|_| !is_prompt);
        let accepts = agents::accepts(&sent, &overrides.accepts);
        let mut profile = self.profile(described, sent.geography(), &accepts);
        if inner.without_grammar.holds(&model_id) {
            Arc::make_mut(&mut profile).structured_output = StructuredOutput::ForcedTool;
        }
        if inner.refused_betas.holds(&model_id) {
            forget_betas(Arc::make_mut(&mut profile));
        }
        let needs_arn = is_prompt && matches!(sent, Id::Model(_));
        let arn = if needs_arn { inner.arn_lookup.arn(&model_id) } else { None };
        let is_unknown = base.is_none() || (needs_arn && arn.is_none());
        let can_be_asked = arn_lookup::can_be_asked(&id) && is_unknown;
        // Mantle knows models by their own ids alone, and runs them in its region.
        let model_id = match (profile.surface, &base) {
            (Surface::Mantle, Some(base)) => base.clone(),
            _ => model_id,
        };
        ResolvedModel {
            // The profile's name of a model that only the operator describes cannot be guessed.
            on_demand: id.is_on_demand()
                && !is_chosen
                && !is_prompt
                && overrides.base_model.is_none(),
            arn,
            model_id,
            profile,
            base,
            unheeded: variant.map(|variant| format!("model.{variant}")),
            price: overrides.price.clone(),
            not_looked_up: can_be_asked.then(|| overrides.accepts.clone()),
            catalogue: self.clone(),
        }
    }

    /// The part of a resolved model that decides the price of its calls, without its profile.
    pub(crate) fn priced(&self, name: &str, overrides: &ModelOverrides) -> PricedModel {
        let Identified { model_id, base, .. } = self.identified(name, overrides);
        PricedModel::new(model_id, base, overrides.price.clone(), self.clone())
    }

    /// Suggestions for an unknown name: the operator's `own` names, and those of models not past their end
    /// of life.
    pub fn near<'n>(&'n self, name: &'n str, own: impl Iterator<Item = &'n str>) -> Vec<String> {
        let (registry, today) = (&self.0.registry, Day::today());
        let lives =
            move |base: &str| registry.listed(base).is_some_and(|row| !row.has_ended(today));
        let short = registry.aliases().filter(|(_, base)| lives(base)).map(|(name, _)| name);
        match Name::parse(name).id {
            Id::Arn(_) => Vec::new(),
            // Short names contain neither a maker's nor a region's name.
            Id::Profile { base: id, .. } | Id::Model(id) => {
                let all: Vec<&str> = own.chain(short).collect();
                let found = near(id, all.iter().copied());
                let rest = id.split_once(['.', '/']).map(|(_, rest)| rest);
                match rest {
                    Some(rest) if found.is_empty() => near(rest, all.into_iter()),
                    Some(_) | None => found,
                }
            }
        }
    }

    /// Whether a row describes the model of a name. The model of an ARN may be told later.
    pub fn knows(&self, name: &str, overrides: &ModelOverrides) -> bool {
        match Name::parse(name).id {
            Id::Arn(_) => true,
            id if agents::surface(&id).is_some() => true,
            Id::Profile { .. } | Id::Model(_) => {
                self.resolve(name, overrides).notes(std::iter::empty()).is_known
            }
        }
    }

    /// Short names of text embedding models, for suggestions.
    pub fn embedders(&self) -> impl Iterator<Item = &str> {
        let (registry, today) = (&self.0.registry, Day::today());
        registry.aliases().filter_map(move |(name, base)| {
            let row = registry.find(base)?;
            (row.profile.embedding.is_some() && !row.has_ended(today)).then_some(name)
        })
    }

    /// The model list: the operator's names, the short names, then the models of the account.
    pub async fn models(&self, transport: &Transport, own: &[Named<'_>]) -> Vec<Model> {
        let account = self.0.account(transport).await;
        listing::all(self, &account, own)
    }
}

impl Inner {
    /// The model of a short name, or its successor if the settings ask for it.
    fn alive<'b>(&'b self, base: &'b str) -> &'b str {
        let row = self.registry.listed(base);
        let ended = row.filter(|row| row.has_ended(Day::today()));
        match self.naming.eol_aliases {
            EolAliases::Send => base,
            EolAliases::Remap => ended.and_then(|row| row.successor.as_deref()).unwrap_or(base),
        }
    }

    fn profile_of_short(&self, base: &str) -> Option<String> {
        match self.naming.cross_region {
            CrossRegion::Never => None,
            CrossRegion::Always | CrossRegion::Auto => self.profile(base),
        }
    }

    fn profile_of_bare(&self, id: &str) -> Option<String> {
        let row = self.registry.listed(id);
        match self.naming.cross_region {
            CrossRegion::Never => None,
            CrossRegion::Auto if !row.is_some_and(|row| row.profile_only) => None,
            CrossRegion::Always | CrossRegion::Auto => self.profile(id),
        }
    }

    /// The best inference profile of a known model for this region.
    fn profile(&self, base: &str) -> Option<String> {
        let row = self.registry.listed(base)?;
        let offered = |prefix: &&&str| row.prefixes.iter().any(|own| own == **prefix);
        let prefix = geography::prefixes(&self.region).iter().find(offered)?;
        Some(format!("{prefix}.{base}"))
    }
}

impl ResolvedModel {
    fn registry(&self) -> &Registry {
        &self.catalogue.0.registry
    }

    /// The id in the path of a call: the ARN of a stored prompt, which Bedrock knows by it alone.
    pub fn sent_id(&self) -> &str {
        self.arn.as_deref().unwrap_or(&self.model_id)
    }

    /// Whether the model is resolved, so that the control plane need not be asked.
    pub fn is_looked_up(&self) -> bool {
        self.not_looked_up.is_none()
    }

    /// Looks up the model of an id that does not name it, if the account may ask. Must run before the
    /// profile is used; free of cost if the model is resolved.
    pub async fn look_up(&mut self, account: &Account) {
        let Some(accepts) = self.not_looked_up.take() else { return };
        let inner = &self.catalogue.0;
        let Some(found) = inner.arn_lookup.ask(&self.model_id, account).await else { return };
        self.arn = found.arn;
        let Some(base) = found.id.filter(|_| self.base.is_none()) else { return };
        if self.profile.surface != Surface::Prompt {
            self.profile = self.catalogue.profile(Some(&base), None, &accepts);
        }
        self.base = Some(base);
    }

    /// An alternative id for the same model, after Bedrock has said that it is not served on demand: an
    /// inference profile of the caller's geography. The account's own listing comes first, then the
    /// catalogue; for a model in neither, the nearest geography is tried.
    pub fn detour(&self) -> Option<String> {
        let inner = &self.catalogue.0;
        let base = self.base.as_deref().filter(|_| self.on_demand)?;
        if inner.naming.cross_region == CrossRegion::Never {
            return None;
        }
        let prefixes = geography::prefixes(&inner.region);
        let ids = || prefixes.iter().map(|prefix| format!("{prefix}.{base}"));
        if let Some(account) = inner.listing.known()
            && let Some(listed) = ids().find(|id| account.has_profile(id))
        {
            return Some(listed);
        }
        match inner.registry.listed(base).filter(|row| !row.prefixes.is_empty()) {
            Some(_) => inner.profile(base),
            None => ids().next(),
        }
    }

    /// The variant in the name that Bedrock does not support.
    pub fn unheeded(&self) -> Option<&str> {
        self.unheeded.as_deref()
    }

    /// The foundation model of the id, if known.
    pub fn base_model(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// The foundation model of the id, if the catalogue has a row for it alone.
    pub(crate) fn catalogued(&self) -> Option<&str> {
        self.base.as_deref().filter(|base| self.registry().listed(base).is_some())
    }

    /// Sends later calls of this id to the inference profile that worked.
    pub fn remember(&self, detour: &str) {
        self.catalogue.0.learned.remember(&self.model_id, detour);
    }

    /// The same target without a grammar for structured answers, after a refusal: for all later calls of
    /// the model, or for one schema only.
    pub fn without_grammar(&self, refusal: GrammarRefusal) -> Self {
        if refusal == GrammarRefusal::Model {
            log::info!(
                "{} supports no grammar for structured answers and gets none from now on",
                self.model_id
            );
            self.catalogue.0.without_grammar.remember(&self.model_id);
        }
        let mut target = self.clone();
        Arc::make_mut(&mut target.profile).structured_output = StructuredOutput::ForcedTool;
        target
    }

    /// Notes that help to explain a refusal of this model; an unknown model gets suggestions, with the
    /// operator's `own` names among them.
    pub fn notes<'n>(&'n self, own: impl Iterator<Item = &'n str>) -> Notes {
        let inner = &self.catalogue.0;
        let row = self.base.as_deref().and_then(|base| inner.registry.listed(base));
        let base = self.base.as_deref().unwrap_or(&self.model_id);
        let today = Day::today();
        let ended = row.filter(|row| row.has_ended(today));
        let successor = row.and_then(|row| row.successor.as_deref());
        Notes {
            model: self.model_id.clone(),
            region: inner.region.clone(),
            is_known: row.is_some(),
            has_ended: ended.is_some(),
            end_of_life: row.and_then(|row| row.eol).map(|day| day.to_string()),
            successor: successor
                .map(|id| inner.profile_of_short(id).unwrap_or_else(|| id.to_owned())),
            profiles: row.map(|row| profiles(row, base)).unwrap_or_default(),
            profile_here: inner.profile(base),
            profiles_allowed: inner.naming.cross_region != CrossRegion::Never,
            context: row.and_then(|row| row.context),
            near: if row.is_some() { Vec::new() } else { self.catalogue.near(&self.model_id, own) },
        }
    }
}

fn profiles(row: &Row, base: &str) -> Vec<String> {
    row.prefixes.iter().map(|prefix| format!("{prefix}.{base}")).collect()
}

#[cfg(test)]
mod tests;
