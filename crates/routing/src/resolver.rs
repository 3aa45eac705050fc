//! Resolves a caller's name to the targets of one call. Order: the operator's exact names, the operator's
//! names with a `*`, names that contain a region, Bedrock's own ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use access::policy::ModelFacts;
use access::{Admission, Denied};

use translate::Unsupported;

use super::RouteError;
use super::accounts::{RegionalAccount, RegionalAccounts};
use super::balance::SelectionInput;
use super::clock::Timestamp;
use super::group::{Group, GroupState};
use super::health::{Gauges, Quota};
use super::pattern::Pattern;
use super::series::{self, TargetSeries, TargetState};
use super::settings::{Balance, Fallbacks, Guardrail, GuardrailMode, ModelSettings, Unlisted};
use super::tags::Tags;
use super::target::Target;
use crate::catalogue::{Catalogue, ModelOverrides, NameOwner, Named, PricedModel, region_of};
use crate::suggestions::near;
use bedrock::{Account, AccountSpec, InvalidModelId, Settings, SetupError};

/// Longest model name accepted, in bytes: the limit of Bedrock's own ids.
const MODEL_NAME: usize = 2_048;

/// All names of one configuration.
#[derive(Debug)]
pub struct Resolver {
    exact: BTreeMap<String, Arc<Group>>,
    /// The patterns with the most literal characters come first.
    patterns: Vec<(Pattern, Arc<Group>)>,
    /// The exact names, for suggestions.
    own: Arc<[String]>,
    unlisted: Unlisted,
    refuses_body_tags: bool,
    /// Guardrails by the operator's names.
    guardrails: BTreeMap<String, Guardrail>,
    /// Default for unlisted names.
    balance: Balance,
    fallbacks: Arc<Fallbacks>,
    unsupported: Unsupported,
    turns: GroupState,
    home: RegionalAccount,
    sites: RegionalAccounts,
}

/// The targets of a resolved name.
#[derive(Debug, Clone)]
pub struct Route {
    pub(super) group: Arc<Group>,
    /// Of the request.
    pub(super) tags: Tags,
}

impl Route {
    /// Whether the choice of target matters to a conversation with past reasoning.
    pub fn keeps_thoughts(&self) -> bool {
        self.group.keeps_thoughts()
    }

    /// The name of its models in series of metrics: the operator's name or pattern, else the catalogue's model.
    pub fn series(&self) -> &Arc<str> {
        &self.group.series
    }

    /// The first of its targets, for requests about the name that call no target.
    pub fn first(&self) -> Option<Target> {
        self.group.target(0)
    }

    /// Its targets in their order, each with the quota that the operator gave it.
    pub fn targets(&self) -> Vec<(Target, Quota)> {
        let one = |at| Some((self.group.target(at)?, self.group.seat(at)?.quota));
        (0..self.group.len()).filter_map(one).collect()
    }

    /// Whether routing needs a token estimate of the call.
    pub fn counts_tokens(&self) -> bool {
        self.group.counts_tokens()
    }

    /// Whether routing needs to group calls with a common beginning.
    pub fn keeps_to_targets(&self) -> bool {
        self.group.keeps_to_targets()
    }

    /// Narrows the route to the targets of one model, for answers that must agree with each other.
    pub fn of_one_model(self) -> Self {
        let narrowed = self.group.of_one_model(SelectionInput::at(Timestamp::now()));
        let group = narrowed.map_or_else(|| Arc::clone(&self.group), Arc::new);
        Self { group, ..self }
    }
}

/// Reasons for which a configuration's targets cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The gateway's own account.
    #[error(transparent)]
    Home(#[from] SetupError),
    /// The account used for moderation.
    #[error("moderation: {0}")]
    Moderation(SetupError),
    /// The account that keeps files.
    #[error("files: {0}")]
    Files(SetupError),
    /// A target.
    #[error("model {name:?}: {error}")]
    Target {
        /// The operator's name.
        name: String,
        /// The error.
        error: SetupError,
    },
}

impl Resolver {
    /// Opens the account of every target. Accounts that `before` has open are reused.
    pub async fn open(
        settings: &ModelSettings,
        base: Settings,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let earlier = before;
        let before = before.map(|names| &names.sites);
        let (own, naming) = (settings.account.clone(), settings.naming.clone());
        let sites = RegionalAccounts::new(base, own, naming, before);
        let home = sites.open(&AccountSpec::default(), before).await?;
        let (mut exact, mut patterns) = (BTreeMap::new(), Vec::<(Pattern, _)>::new());
        for (name, group) in &settings.groups {
            let turns = earlier.map(|names| names.turns_of(name)).unwrap_or_default();
            let opened = Group::open(name, group, &sites, before, turns).await;
            let group = opened.map_err(|error| OpenError::Target { name: name.clone(), error })?;
            let group = Arc::new(group);
            match Pattern::parse(name) {
                Some(pattern) => patterns.push((pattern, group)),
                None => {
                    exact.insert(name.clone(), group);
                }
            }
        }
        let own = exact.keys().cloned().collect();
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.spelled_out()));
        let turns = earlier.map(|names| names.turns.clone()).unwrap_or_default();
        let (unlisted, balance) = (settings.unlisted, settings.balance);
        let fallbacks = Arc::new(settings.fallbacks.clone());
        let unsupported = settings.unsupported;
        Ok(Self {
            exact,
            patterns,
            own,
            unlisted,
            refuses_body_tags: settings.refuses_body_tags,
            guardrails: settings.guardrails.clone(),
            balance,
            fallbacks,
            unsupported,
            turns,
            home,
            sites,
        })
    }

    /// Whether models can be called only by the operator's names, and one of these has a guardrail that
    /// must not be bypassed.
    pub fn must_be_guarded(&self) -> bool {
        let groups = self.exact.values().chain(self.patterns.iter().map(|(_, group)| group));
        let guardrails = groups.filter_map(|group| group.guardrail.as_deref());
        self.unlisted == Unlisted::Refused
            && guardrails.into_iter().any(|guardrail| guardrail.mode == GuardrailMode::Mandatory)
    }

    /// The gateway's own account.
    pub fn home(&self) -> &Account {
        &self.home.account
    }

    /// The account of a spec that belongs to no target. One that `before` has open is reused.
    ///
    /// # Errors
    /// The account cannot be opened.
    pub async fn account_at(
        &self,
        place: &AccountSpec,
        before: Option<&Self>,
    ) -> Result<Account, SetupError> {
        let site = self.sites.open(place, before.map(|names| &names.sites)).await?;
        Ok(site.account)
    }

    /// The catalogue of the gateway's own account.
    pub fn catalogue(&self) -> &Catalogue {
        &self.home.catalogue
    }

    /// Every account that this configuration has opened.
    pub fn accounts(&self) -> Vec<Account> {
        self.sites.accounts()
    }

    /// Whether this configuration uses an account.
    pub fn holds(&self, account: &Account) -> bool {
        self.sites.holds(account)
    }

    /// The health of every target called so far, by a label like its own: with several accounts in one
    /// region, the second to be opened is marked `#2`.
    pub fn gauges(&self) -> Vec<(String, Gauges)> {
        let now = Timestamp::now();
        let sites = self.sites.all();
        let places = numbered(sites.iter().map(|site| site.account.region()));
        let of = |(site, place): (&RegionalAccount, String)| {
            let gauges = site.registry.gauges(now).into_iter();
            gauges.map(move |(model, gauges)| (format!("{model}@{place}"), gauges))
        };
        sites.iter().zip(places).flat_map(of).collect()
    }

    /// The health of the targets that series of metrics may name, in the order of their accounts.
    pub fn target_states(&self) -> Vec<TargetState> {
        let now = Timestamp::now();
        let patterns = self.patterns.iter().map(|(_, group)| group);
        let listed: BTreeSet<String> =
            self.exact.values().chain(patterns).flat_map(|group| group.model_ids()).collect();
        let sites = self.sites.all();
        let places = numbered(sites.iter().map(|site| site.account.region()));
        let mut states = Vec::new();
        for (site, region) in sites.iter().zip(places) {
            for (model, gauges) in site.registry.gauges(now) {
                let model = match listed.contains(&model) {
                    true => model,
                    false => {
                        series::name(&site.catalogue.resolve(&model, &ModelOverrides::default()))
                            .to_owned()
                    }
                };
                let series = TargetSeries { model, region: region.clone() };
                states.push(TargetState { series, gauges });
            }
        }
        states
    }

    /// The targets of a name, for an admitted request.
    ///
    /// # Errors
    /// The principal may not call the name, no target has the tags, the name is not listed and unlisted names are
    /// refused, or its region cannot be called.
    pub async fn resolve(
        &self,
        admission: &Admission,
        name: &str,
        tags: Tags,
    ) -> Result<Route, RouteError> {
        if self.refuses_body_tags && tags.are_of_body() {
            return Err(RouteError::TagsRefused);
        }
        let group = match self.named(name).await {
            Ok(group) => group,
            // A caller with a list learns of no name outside it, not even that it is unknown.
            Err(error) => return Err(denied(admission, name).map_or(error, RouteError::Denied)),
        };
        let group = group.admitted(admission, name)?.map_or(group, Arc::new);
        let group = group.tagged(&tags)?.map_or(group, Arc::new);
        let group = self.guarded(admission, group)?;
        Ok(Route { group, tags })
    }

    /// The group with the guardrail that the caller's key demands.
    fn guarded(&self, admission: &Admission, group: Arc<Group>) -> Result<Arc<Group>, Denied> {
        let mut wanted: Option<Guardrail> = None;
        for name in admission.guardrails() {
            let refused = || Denied::Guardrail { guardrail: name.to_owned() };
            let found = self.guardrail(name).ok_or_else(refused)?;
            // A call carries one guardrail.
            let own = group.guardrail.as_deref().filter(|own| own.mode == GuardrailMode::Mandatory);
            let others = [own, wanted.as_ref()].into_iter().flatten();
            if others.into_iter().any(|other| !other.is_same(&found)) {
                return Err(refused());
            }
            wanted = Some(found);
        }
        Ok(match wanted {
            None => group,
            Some(guardrail) => Arc::new(group.guarded_by(guardrail)),
        })
    }

    /// A guardrail by its name, by the id of a configured one, or as `ID:VERSION`; callers may not leave it out.
    fn guardrail(&self, name: &str) -> Option<Guardrail> {
        let mode = GuardrailMode::Mandatory;
        let patterns = self.patterns.iter().map(|(_, group)| group);
        let groups = self.exact.values().chain(patterns);
        let configured = groups.filter_map(|group| group.guardrail.as_deref());
        let by_id = configured.into_iter().find(|guardrail| guardrail.id == name);
        if let Some(found) = self.guardrails.get(name).or(by_id) {
            return Some(Guardrail { mode, ..found.clone() });
        }
        let (id, version) = name.rsplit_once(':')?;
        let is_version = version == "DRAFT"
            || (1..=8).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit());
        (is_version && !id.is_empty()).then(|| Guardrail {
            id: id.to_owned(),
            version: version.to_owned(),
            mode,
        })
    }

    async fn named(&self, name: &str) -> Result<Arc<Group>, RouteError> {
        if name.len() > MODEL_NAME {
            return Err(RouteError::Model(InvalidModelId));
        }
        match self.find(name) {
            Some((group, None)) => return Ok(Arc::clone(group)),
            Some((group, Some(star))) => return Ok(Arc::new(group.filled(name, star))),
            None => {}
        }
        if self.unlisted == Unlisted::Refused {
            let near = near(name, self.own.iter().map(String::as_str));
            return Err(RouteError::NotListed { name: name.to_owned(), near });
        }
        let site = match region_of(name) {
            Some(region) if region != self.home.account.region() => {
                Box::pin(self.elsewhere(region)).await?
            }
            Some(_) | None => self.home.clone(),
        };
        let (balance, turns) = (self.balance, self.turns.clone());
        let mut group = Group::unlisted(name, site, self.unsupported, balance, turns);
        group.fallbacks = Arc::clone(&self.fallbacks);
        group.own = Arc::clone(&self.own);
        Ok(Arc::new(group))
    }

    /// The models that a call may go to, for their prices: those of the route's targets, and of its fallbacks as far as
    /// the operator has listed them.
    pub fn priced(&self, route: &Route) -> Vec<PricedModel> {
        let Fallbacks { general, context_window, content_policy } = &*route.group.fallbacks;
        let names = general.iter().chain(context_window).chain(content_policy);
        let fallbacks = names.filter_map(|name| self.find(name)).map(|(group, _)| &**group);
        let groups = std::iter::once(&*route.group).chain(fallbacks);
        groups.flat_map(Group::priced).collect()
    }

    /// The operator's exact names, each with its first target.
    pub fn listed(&self) -> Vec<Named<'_>> {
        let mut all = Vec::with_capacity(self.exact.len());
        for (name, group) in &self.exact {
            if let Some(Target { model, .. }) = group.target(0) {
                all.push(Named { name, target: model, standing: NameOwner::Configured });
            }
        }
        all
    }

    /// Names that the caller may have meant by an unknown one.
    pub fn near(&self, name: &str) -> Vec<String> {
        let own = self.own.iter().map(String::as_str);
        match self.unlisted {
            Unlisted::Served => self.catalogue().near(name, own),
            Unlisted::Refused => near(name, own),
        }
    }

    /// What should be known of targets whose model the catalogue does not know: Bedrock may serve it all the
    /// same, or its name is misspelled.
    pub fn doubts(&self) -> Vec<String> {
        let patterns = self.patterns.iter().map(|(_, group)| group);
        let groups = self.exact.values().chain(patterns);
        groups.flat_map(|group| group.unknown_models(self.catalogue())).collect()
    }

    /// Whether a name may be called at all.
    pub fn admits(&self, name: &str) -> bool {
        self.unlisted == Unlisted::Served || self.find(name).is_some()
    }

    /// Whether the operator has listed a name.
    pub fn standing(&self, name: &str) -> NameOwner {
        if self.exact.contains_key(name) { NameOwner::Configured } else { NameOwner::Guessed }
    }

    fn find<'n>(&self, name: &'n str) -> Option<(&Arc<Group>, Option<&'n str>)> {
        if let Some(group) = self.exact.get(name) {
            return Some((group, None));
        }
        self.patterns
            .iter()
            .find_map(|(pattern, group)| Some((group, Some(pattern.captures(name)?))))
    }

    /// The shared selection state of a name's targets.
    fn turns_of(&self, name: &str) -> GroupState {
        let written = self.patterns.iter().find(|(_, group)| group.name == name);
        let group = self.exact.get(name).or(written.map(|(_, group)| group));
        group.map(|group| group.turns()).unwrap_or_default()
    }

    async fn elsewhere(&self, region: &str) -> Result<RegionalAccount, RouteError> {
        let refused = |why: String| RouteError::Elsewhere { asked: region.to_owned(), why };
        match self.sites.in_region(region).await {
            Some(Ok(site)) => Ok(site),
            Some(Err(error)) => Err(refused(error.to_string())),
            None => Err(refused("AWS has no region of that name".to_owned())),
        }
    }
}

/// The refusal of a name that is no model's, if the caller's lists grant it no such name.
fn denied(admission: &Admission, name: &str) -> Option<Denied> {
    admission.check_model(&ModelFacts { asked: name, names: &[name], geographies: &[] }).err()
}

/// Each region, numbered from its second occurrence on.
fn numbered<'r>(regions: impl Iterator<Item = &'r str>) -> Vec<String> {
    let mut seen = BTreeMap::<&str, usize>::new();
    regions
        .map(|region| {
            let count = seen.entry(region).or_default();
            *count += 1;
            if *count == 1 { region.to_owned() } else { format!("{region}#{count}") }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_in_one_region_are_numbered() {
        let regions = ["us-east-1", "eu-west-1", "us-east-1", "us-east-1"];
        let expected = ["us-east-1", "eu-west-1", "us-east-1#2", "us-east-1#3"];
        assert_eq!(numbered(regions.into_iter()), expected);
    }
}
