//! The targets behind one name, ready to be called: selected by `pick` and resolved when selected.

use std::sync::Arc;

use access::policy::ModelFacts;
use access::{Admission, Denied};
use translate::Unsupported;
use translate::chat::Defaults;
use translate::reasoning::Origin;

use super::RouteError;
use super::accounts::{RegionalAccount, RegionalAccounts};
use super::balance::{Candidate, Selection, SelectionInput, TriedTargets, mixed, select};
use super::clock::Timestamp;
use super::health::{CallRole, Quota};
use super::hedging::Hedging;
use super::pattern::filled;
use super::retry_budget::RetryBudget;
use super::series::{self, TargetSeries};
use super::settings::{
    Affinity, Balance, Fallbacks, GroupSettings, Guardrail, Strategy, TagFilter, TargetSettings,
};
use super::tags::{self, Tags};
use super::target::Target;
use super::weighted::WeightedChoice;
use crate::catalogue::{Catalogue, ModelOverrides, NameOwner, PricedModel, ResolvedModel};
use bedrock::SetupError;

/// The targets of a name.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// The name in series of metrics.
    pub(super) series: Arc<str>,
    members: Vec<Member>,
    /// One candidate per member, in the same order.
    seats: Vec<Candidate>,
    choice: Arc<WeightedChoice>,
    pub(super) budget: Arc<RetryBudget>,
    pub(super) hedging: Arc<Hedging>,
    pub(super) guardrail: Option<Arc<Guardrail>>,
    pub(super) balance: Balance,
    pub(super) fallbacks: Arc<Fallbacks>,
    /// The operator's names, to be suggested for an unknown name.
    pub(super) own: Arc<[String]>,
    alike: SharedTranslation,
}

/// Whether a request translated for one member can be sent to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SharedTranslation {
    /// All members accept the same request.
    Yes,
    /// Some members differ, or have not been compared.
    Perhaps,
}

#[derive(Debug, Clone)]
struct Member {
    model: String,
    overrides: Arc<ModelOverrides>,
    site: RegionalAccount,
    unsupported: Unsupported,
    params: Option<Arc<Defaults>>,
    tags: Arc<[String]>,
    /// Name of the target for clients and operators.
    label: Arc<str>,
    /// The source of the model's id.
    owner: NameOwner,
    /// Its name in metrics, once it belongs to a group.
    series: Option<Arc<TargetSeries>>,
}

/// Selection counter, retry budget and second calls of a group; a reload keeps them.
#[derive(Debug, Clone, Default)]
pub(super) struct GroupState {
    pub(super) choice: Arc<WeightedChoice>,
    pub(super) budget: Arc<RetryBudget>,
    pub(super) hedging: Arc<Hedging>,
}

impl Group {
    /// Opens the account of every target.
    pub(super) async fn open(
        name: &str,
        settings: &GroupSettings,
        sites: &RegionalAccounts,
        before: Option<&RegionalAccounts>,
        turns: GroupState,
    ) -> Result<Self, SetupError> {
        let mut opened = Vec::with_capacity(settings.targets.len());
        for target in &settings.targets {
            opened.push((target, sites.open(&target.place, before).await?));
        }
        let mut group = Self::empty(name, Arc::from(name), settings.balance, turns);
        group.guardrail = settings.guardrail.clone().map(Arc::new);
        group.fallbacks = Arc::new(settings.fallbacks.clone());
        for (target, site) in opened {
            let quota = Quota { rpm: target.rpm, tpm: target.tpm };
            let (weight, order) = (target.weight, target.order);
            let member = Member::of(target, site, settings.unsupported);
            group.add(member, |seat| Candidate { weight, order, quota, ..seat });
        }
        group.compare_members();
        Ok(group)
    }

    /// Builds the group of an unlisted name: a single target.
    pub(super) fn unlisted(
        name: &str,
        site: RegionalAccount,
        unsupported: Unsupported,
        balance: Balance,
        turns: GroupState,
    ) -> Self {
        let target = TargetSettings { model: name.to_owned(), ..TargetSettings::default() };
        let member = Member::of(&target, site, unsupported);
        let series = Arc::from(series::name(&member.resolved()));
        let mut group = Self::empty(name, series, balance, turns);
        group.add(Member { owner: NameOwner::Guessed, ..member }, |seat| seat);
        group.alike = SharedTranslation::Yes;
        group
    }

    /// The same group for a name that matched its pattern, with `star` in place of the `*`.
    pub(super) fn filled(&self, name: &str, star: &str) -> Self {
        let mut group = Self::empty(name, Arc::clone(&self.series), self.balance, self.turns());
        group.guardrail.clone_from(&self.guardrail);
        group.fallbacks = Arc::clone(&self.fallbacks);
        for (member, seat) in self.members.iter().zip(&self.seats) {
            let model = filled(&member.model, name, star);
            let owner =
                if model == member.model { NameOwner::Configured } else { NameOwner::Guessed };
            let member = Member { model, owner, ..member.clone() };
            let Candidate { weight, order, quota, writes: _, health: _, mark: _ } = *seat;
            group.add(member, |seat| Candidate { weight, order, quota, ..seat });
        }
        group
    }

    /// The state that a reload keeps and that groups derived from this one share.
    pub(super) fn turns(&self) -> GroupState {
        GroupState {
            choice: Arc::clone(&self.choice),
            budget: Arc::clone(&self.budget),
            hedging: Arc::clone(&self.hedging),
        }
    }

    pub(super) fn select(&self, asked: SelectionInput) -> Option<Selection> {
        select(&self.seats, &self.choice, &self.balance, asked)
    }

    /// Selects a target for a second call: a healthy one with a weight and with room in its quotas, where no
    /// call of the request was made.
    pub(super) fn select_second(&self, asked: SelectionInput) -> Option<Selection> {
        let pick = self.select(asked)?;
        let has_weight = self.seats.get(pick.at).is_some_and(|seat| seat.weight.0 > 0);
        let is_new = !asked.tried.holds(pick.at) && !asked.home.is_away(pick.at);
        (pick.why.is_healthy() && has_weight && is_new).then_some(pick)
    }

    /// Counts a client's call.
    pub(super) fn called(&self, now: Timestamp) {
        self.budget.called(now, &self.balance.retries);
        if let Some(hedge) = &self.balance.hedge {
            self.hedging.called(hedge);
        }
    }

    pub(super) fn seat(&self, at: usize) -> Option<&Candidate> {
        self.seats.get(at)
    }

    pub(super) fn target(&self, at: usize) -> Option<Target> {
        let member = self.members.get(at)?;
        Some(Target {
            model: member.resolved(),
            account: member.site.account.clone(),
            guardrail: self.guardrail.clone(),
            unsupported: member.unsupported,
            params: member.params.clone(),
            heeds_tags: self.balance.tag_filter != TagFilter::Off,
            owner: member.site.owner,
            label: Arc::clone(&member.label),
            series: member.series.clone(),
            deadline: None,
            own: Arc::clone(&self.own),
        })
    }

    /// The ids that its members are called by, as the operator wrote them.
    pub(super) fn model_ids(&self) -> impl Iterator<Item = String> {
        self.members.iter().map(|member| member.resolved().model_id)
    }

    /// The models of its members, for their prices.
    pub(super) fn priced(&self) -> Vec<PricedModel> {
        let priced = |Member { model, overrides, site, .. }: &Member| {
            site.catalogue.priced(model, overrides)
        };
        self.members.iter().map(priced).collect()
    }

    /// A note for each model that the catalogue does not know.
    pub(super) fn unknown_models(&self, catalogue: &Catalogue) -> Vec<String> {
        let mut notes = Vec::new();
        for Member { model, site, overrides, .. } in &self.members {
            let is_told = model.contains('*') || overrides.base_model.is_some();
            if is_told || site.catalogue.knows(model, overrides) {
                continue;
            }
            let meant = match catalogue.near(model, std::iter::empty()).as_slice() {
                [] => "Bedrock may still serve it".to_owned(),
                near => format!("did you mean {}?", near.join(" or ")),
            };
            notes.push(format!("models.{}: no model {model:?} is known; {meant}", self.name));
        }
        notes
    }

    /// The target that a call would select now, without making one.
    pub(super) fn preview(&self, asked: SelectionInput) -> Option<Target> {
        let pick = select(&self.seats, &self.choice.fork(), &self.balance, asked)?;
        self.spare(pick)?;
        self.target(pick.at)
    }

    /// Releases the probe that a selection claimed, when no call follows.
    fn spare(&self, pick: Selection) -> Option<()> {
        if pick.role == CallRole::Probe {
            // The probe remains for a later call.
            self.seats.get(pick.at)?.health.released();
        }
        Some(())
    }

    /// Narrows the group to the members that share the model of the selected member. `None`: all members
    /// do.
    pub(super) fn of_one_model(&self, asked: SelectionInput) -> Option<Self> {
        let targets: Vec<ResolvedModel> = self.members.iter().map(Member::resolved).collect();
        let first = targets.first()?;
        if targets.iter().all(|target| target.is_same_model(first)) {
            return None;
        }
        let pick = self.select(asked)?;
        self.spare(pick)?;
        let model = targets.get(pick.at)?;
        let mut group = self.emptied();
        group.guardrail.clone_from(&self.guardrail);
        group.own = Arc::clone(&self.own);
        for ((member, seat), target) in self.members.iter().zip(&self.seats).zip(&targets) {
            if target.is_same_model(model) {
                group.members.push(member.clone());
                group.seats.push(seat.clone());
            }
        }
        Some(group)
    }

    /// Narrows the group to the members that the tags of a request leave. `None`: they leave all.
    ///
    /// # Errors
    /// They leave none.
    pub(super) fn tagged(&self, asked: &Tags) -> Result<Option<Self>, RouteError> {
        let tags: Vec<&[String]> = self.members.iter().map(|member| &*member.tags).collect();
        let left = tags::left(self.balance.tag_filter, &tags, asked);
        if left.iter().all(|is_left| *is_left) {
            return Ok(None);
        }
        let group = self.narrowed(&left);
        if group.members.is_empty() {
            let (name, tags) = (self.name.clone(), asked.to_string());
            return Err(RouteError::NotTagged { name, tags });
        }
        Ok(Some(group))
    }

    /// Narrows the group to the members that a caller may call by this name. `None`: it may call all.
    ///
    /// # Errors
    /// It may call none of them.
    pub(super) fn admitted(
        &self,
        admission: &Admission,
        asked: &str,
    ) -> Result<Option<Self>, Denied> {
        if !admission.restricts_models() {
            return Ok(None);
        }
        let (mut left, mut denied) = (Vec::new(), None);
        for member in &self.members {
            let model = member.resolved();
            let mut names = vec![asked, self.name.as_str()];
            names.extend(model.names());
            let checked = model.geographies().iter().try_for_each(|places| {
                let geographies: Vec<&str> = places.iter().map(String::as_str).collect();
                let facts = ModelFacts { asked, names: &names, geographies: &geographies };
                admission.check_model(&facts)
            });
            left.push(checked.is_ok());
            denied = denied.or(checked.err());
        }
        match denied {
            None => Ok(None),
            Some(denied) if left.iter().all(|is_left| !is_left) => Err(denied),
            Some(_) => Ok(Some(self.narrowed(&left))),
        }
    }

    /// The same group with another guardrail.
    pub(super) fn guarded_by(&self, guardrail: Guardrail) -> Self {
        let all = vec![true; self.members.len()];
        Self { guardrail: Some(Arc::new(guardrail)), ..self.narrowed(&all) }
    }

    /// The members that are left.
    fn narrowed(&self, left: &[bool]) -> Self {
        let mut group = self.emptied();
        for (is_left, (member, seat)) in left.iter().zip(self.members.iter().zip(&self.seats)) {
            if *is_left {
                group.members.push(member.clone());
                group.seats.push(seat.clone());
            }
        }
        group.guardrail.clone_from(&self.guardrail);
        group.fallbacks = Arc::clone(&self.fallbacks);
        group.own = Arc::clone(&self.own);
        group.alike = self.alike;
        group
    }

    /// Whether there are several targets, and one of them accepts past reasoning.
    pub(super) fn keeps_thoughts(&self) -> bool {
        self.members.len() > 1
            && self.members.iter().any(|member| member.resolved().profile.keeps_thoughts())
    }

    /// The targets that accept reasoning of this origin; empty if the origin is unknown.
    pub(super) fn home(&self, origin: Option<Origin>) -> TriedTargets {
        let mut home = TriedTargets::default();
        let Some(origin) = origin.filter(|_| self.members.len() > 1) else { return home };
        for (at, member) in self.members.iter().enumerate() {
            let target = member.resolved();
            let is_account = member.site.owner == origin.account || !target.profile.thoughts_bound;
            if is_account && target.profile.keeps_thoughts() && target.identity() == origin.model {
                home.add(at);
            }
        }
        home
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.balance.strategy == Strategy::Usage
            || self.seats.iter().any(|seat| seat.quota.tpm.is_some())
    }

    pub(super) fn keeps_to_targets(&self) -> bool {
        self.balance.affinity == Affinity::On && self.members.len() > 1
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether a request translated for one member may need another translation for another member.
    pub(super) fn differs(&self) -> bool {
        self.alike != SharedTranslation::Yes
    }

    /// The same group without its members.
    fn emptied(&self) -> Self {
        Self::empty(&self.name, Arc::clone(&self.series), self.balance, self.turns())
    }

    fn empty(name: &str, series: Arc<str>, balance: Balance, turns: GroupState) -> Self {
        let GroupState { choice, budget, hedging } = turns;
        Self {
            name: name.to_owned(),
            series,
            members: Vec::new(),
            seats: Vec::new(),
            choice,
            budget,
            hedging,
            guardrail: None,
            balance,
            fallbacks: Arc::default(),
            own: Arc::from([]),
            alike: SharedTranslation::Perhaps,
        }
    }

    fn add(&mut self, mut member: Member, seat: impl FnOnce(Candidate) -> Candidate) {
        let model = member.resolved();
        let region = member.site.account.region();
        member.series = Some(TargetSeries::of(&model, region, member.owner));
        let model_id = model.model_id;
        let label = format!("{model_id}@{}", member.site.account.region());
        let same = |known: &&Member| {
            known
                .label
                .strip_prefix(label.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        };
        let label = match self.members.iter().filter(same).count() {
            0 => label,
            // A further account in the same region.
            others => format!("{label}#{}", others + 1),
        };
        let health = member.site.registry.of(&model_id);
        let mark = mark(&label);
        let writes = member.params.as_ref().and_then(|params| params.most());
        member.label = label.into();
        self.members.push(member);
        self.seats.push(seat(Candidate {
            weight: super::settings::Weight::default(),
            order: 0,
            quota: Quota::default(),
            writes,
            health,
            mark,
        }));
    }

    /// Compares whether all members accept the same request.
    fn compare_members(&mut self) {
        let targets: Vec<ResolvedModel> = self.members.iter().map(Member::resolved).collect();
        let alike = targets.windows(2).all(|pair| match pair {
            [one, other] => {
                one.profile == other.profile && one.is_looked_up() && other.is_looked_up()
            }
            _ => true,
        });
        // Reasoning of one model or account is not sent to another.
        let think_apart = targets.iter().any(|target| target.profile.keeps_thoughts())
            && (targets
                .windows(2)
                .any(|pair| matches!(pair, [one, other] if !one.is_same_model(other)))
                || self.members.windows(2).any(
                    |pair| matches!(pair, [one, other] if one.site.owner != other.site.owner),
                ));
        let as_strict = self.members.windows(2).all(|pair| match pair {
            [one, other] => one.unsupported == other.unsupported && one.params == other.params,
            _ => true,
        });
        self.alike = if alike && as_strict && !think_apart {
            SharedTranslation::Yes
        } else {
            SharedTranslation::Perhaps
        };
    }
}

impl Member {
    fn of(settings: &TargetSettings, site: RegionalAccount, unsupported: Unsupported) -> Self {
        let TargetSettings {
            model,
            place: _,
            weight: _,
            overrides,
            params,
            tags,
            order: _,
            rpm: _,
            tpm: _,
            unsupported: own,
        } = settings;
        Self {
            model: model.clone(),
            overrides: Arc::new(overrides.clone()),
            site,
            unsupported: own.unwrap_or(unsupported),
            params: params.clone(),
            tags: tags.as_slice().into(),
            label: Arc::from(""),
            owner: NameOwner::Configured,
            series: None,
        }
    }

    fn resolved(&self) -> ResolvedModel {
        self.site.catalogue.resolve(&self.model, &self.overrides)
    }
}

/// Hash of a label (FNV-1a, mixed), the same in every process.
fn mark(label: &str) -> u64 {
    let hashed = label.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mixed(hashed)
}
