//! The targets behind one name, ready to be called: selected by `pick` and resolved when selected.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;
use translate::Unsupported;
use translate::errors::Notes;
use translate::thoughts::Origin;

use super::budget::Budget;
use super::choice::Choice;
use super::pattern::filled;
use super::pick::{Asked, Pick, Seat, Tried, mixed, pick};
use super::settings::{
    Affinity, Balance, Fallbacks, GroupSettings, Guardrail, Strategy, TargetSettings,
};
use super::sites::{Site, Sites};
use super::vitals::{Errand, Quota};
use crate::bedrock::{Account, SetupError};
use crate::catalogue::{Catalogue, Manner, Target};

/// The targets of a name.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    members: Vec<Member>,
    /// One candidate per member, in the same order.
    seats: Vec<Seat>,
    choice: Arc<Choice>,
    pub(super) budget: Arc<Budget>,
    pub(super) guardrail: Option<Arc<Guardrail>>,
    pub(super) balance: Balance,
    pub(super) fallbacks: Arc<Fallbacks>,
    /// The operator's names, to be suggested for an unknown name.
    pub(super) own: Arc<[String]>,
    alike: Alike,
}

/// Whether a request translated for one member can be sent to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// All members accept the same request.
    Yes,
    /// Some members differ, or have not been compared.
    Perhaps,
}

#[derive(Debug, Clone)]
struct Member {
    model: String,
    manner: Arc<Manner>,
    site: Site,
    unsupported: Unsupported,
    /// Name of the target for clients and operators.
    label: Arc<str>,
}

/// Selection counter and retry budget of a group; a reload keeps them.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    pub(super) choice: Arc<Choice>,
    pub(super) budget: Arc<Budget>,
}

/// A target together with the account that calls it.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) target: Target,
    pub(crate) account: Account,
    /// The guardrail of the name: mandatory, or a default that the caller may override.
    pub(crate) guardrail: Option<Arc<Guardrail>>,
    /// Handling of fields that cannot be honoured, unless the caller sets it.
    pub(crate) unsupported: Unsupported,
    /// Hash that identifies the account.
    owner: u64,
    /// Name of the target for clients and operators.
    pub(crate) label: Arc<str>,
    /// Deadline of the call, earlier attempts included; `None` before the first attempt.
    pub(crate) deadline: Option<Instant>,
    /// The operator's names, to be suggested for an unknown name.
    own: Arc<[String]>,
}

impl Group {
    /// Opens the account of every target.
    pub(super) async fn open(
        name: &str,
        settings: &GroupSettings,
        sites: &Sites,
        before: Option<&Sites>,
        turns: Turns,
    ) -> Result<Self, SetupError> {
        let mut opened = Vec::with_capacity(settings.targets.len());
        for target in &settings.targets {
            opened.push((target, sites.open(&target.place, before).await?));
        }
        let mut group = Self::empty(name, settings.balance, turns);
        group.guardrail = settings.guardrail.clone().map(Arc::new);
        group.fallbacks = Arc::new(settings.fallbacks.clone());
        for (target, site) in opened {
            let TargetSettings { model, place: _, weight, manner, order, rpm, tpm, unsupported } =
                target;
            let (model, manner) = (model.clone(), Arc::new(manner.clone()));
            let unsupported = unsupported.unwrap_or(settings.unsupported);
            let member = Member { model, manner, site, unsupported, label: Arc::from("") };
            let quota = Quota { rpm: *rpm, tpm: *tpm };
            group.add(member, |seat| Seat { weight: *weight, order: *order, quota, ..seat });
        }
        group.settle();
        Ok(group)
    }

    /// Builds the group of an unlisted name: a single target.
    pub(super) fn unlisted(
        name: &str,
        site: Site,
        unsupported: Unsupported,
        balance: Balance,
        turns: Turns,
    ) -> Self {
        let mut group = Self::empty(name, balance, turns);
        let (model, manner) = (name.to_owned(), Arc::new(Manner::default()));
        let member = Member { model, manner, site, unsupported, label: Arc::from("") };
        group.add(member, |seat| seat);
        group.alike = Alike::Yes;
        group
    }

    /// The same group for a name that matched its pattern, with `star` in place of the `*`.
    pub(super) fn filled(&self, name: &str, star: &str) -> Self {
        let mut group = Self::empty(name, self.balance, self.turns());
        group.guardrail.clone_from(&self.guardrail);
        group.fallbacks = Arc::clone(&self.fallbacks);
        for (member, seat) in self.members.iter().zip(&self.seats) {
            let member = Member { model: filled(&member.model, name, star), ..member.clone() };
            let Seat { weight, order, quota, vitals: _, mark: _ } = *seat;
            group.add(member, |seat| Seat { weight, order, quota, ..seat });
        }
        group
    }

    /// The state that a reload keeps and that groups derived from this one share.
    pub(super) fn turns(&self) -> Turns {
        Turns { choice: Arc::clone(&self.choice), budget: Arc::clone(&self.budget) }
    }

    pub(super) fn pick(&self, asked: Asked) -> Option<Pick> {
        pick(&self.seats, &self.choice, &self.balance, asked)
    }

    pub(super) fn seat(&self, at: usize) -> Option<&Seat> {
        self.seats.get(at)
    }

    pub(super) fn leg(&self, at: usize) -> Option<Leg> {
        let member = self.members.get(at)?;
        Some(Leg {
            target: member.target(),
            account: member.site.account.clone(),
            guardrail: self.guardrail.clone(),
            unsupported: member.unsupported,
            owner: member.site.owner,
            label: Arc::clone(&member.label),
            deadline: None,
            own: Arc::clone(&self.own),
        })
    }

    /// A note for each model that the catalogue does not know.
    pub(super) fn unknown_models(&self, catalogue: &Catalogue) -> Vec<String> {
        let mut notes = Vec::new();
        for Member { model, site, manner, .. } in &self.members {
            let is_told = model.contains('*') || manner.base_model.is_some();
            if is_told || site.catalogue.knows(model, manner) {
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
    pub(super) fn glance(&self, asked: Asked) -> Option<Leg> {
        let pick = pick(&self.seats, &self.choice.fork(), &self.balance, asked)?;
        self.spare(pick)?;
        self.leg(pick.at)
    }

    /// Releases the probe that a selection claimed, when no call follows.
    fn spare(&self, pick: Pick) -> Option<()> {
        if pick.errand == Errand::Probe {
            // The probe remains for a later call.
            self.seats.get(pick.at)?.vitals.released();
        }
        Some(())
    }

    /// Narrows the group to the members that share the model of the selected member. `None`: all members
    /// do.
    pub(super) fn of_one_model(&self, asked: Asked) -> Option<Self> {
        let targets: Vec<Target> = self.members.iter().map(Member::target).collect();
        let first = targets.first()?;
        if targets.iter().all(|target| target.is_same_model(first)) {
            return None;
        }
        let pick = self.pick(asked)?;
        self.spare(pick)?;
        let model = targets.get(pick.at)?;
        let mut group = Self::empty(&self.name, self.balance, self.turns());
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

    /// Whether there are several targets, and one of them accepts past reasoning.
    pub(super) fn keeps_thoughts(&self) -> bool {
        self.members.len() > 1
            && self.members.iter().any(|member| member.target().profile.keeps_thoughts())
    }

    /// The targets that accept reasoning of this origin; empty if the origin is unknown.
    pub(super) fn home(&self, origin: Option<Origin>) -> Tried {
        let mut home = Tried::default();
        let Some(origin) = origin.filter(|_| self.members.len() > 1) else { return home };
        for (at, member) in self.members.iter().enumerate() {
            let target = member.target();
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
        self.alike != Alike::Yes
    }

    fn empty(name: &str, balance: Balance, turns: Turns) -> Self {
        let Turns { choice, budget } = turns;
        Self {
            name: name.to_owned(),
            members: Vec::new(),
            seats: Vec::new(),
            choice,
            budget,
            guardrail: None,
            balance,
            fallbacks: Arc::default(),
            own: Arc::from([]),
            alike: Alike::Perhaps,
        }
    }

    fn add(&mut self, mut member: Member, seat: impl FnOnce(Seat) -> Seat) {
        let model_id = member.target().model_id;
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
        let vitals = member.site.ward.of(&model_id);
        let mark = mark(&label);
        member.label = label.into();
        self.members.push(member);
        self.seats.push(seat(Seat {
            weight: super::settings::Weight::default(),
            order: 0,
            quota: Quota::default(),
            vitals,
            mark,
        }));
    }

    /// Compares whether all members accept the same request.
    fn settle(&mut self) {
        let targets: Vec<Target> = self.members.iter().map(Member::target).collect();
        let alike = targets.windows(2).all(|pair| match pair {
            [one, other] => one.profile == other.profile && one.is_settled() && other.is_settled(),
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
            [one, other] => one.unsupported == other.unsupported,
            _ => true,
        });
        self.alike = if alike && as_strict && !think_apart { Alike::Yes } else { Alike::Perhaps };
    }
}

impl Leg {
    /// Origin of its answers: reasoning of other origins is not sent to models that verify it.
    pub(crate) fn origin(&self) -> Origin {
        Origin { model: self.target.identity(), account: self.owner }
    }

    /// Notes that help to explain a refusal of its model.
    pub(super) fn notes(&self) -> Notes {
        self.target.notes(self.own.iter().map(String::as_str))
    }

    /// The same target with its model resolved as far as AWS describes it.
    pub(crate) async fn settled(&self) -> Cow<'_, Self> {
        if self.target.is_settled() {
            return Cow::Borrowed(self);
        }
        let mut leg = self.clone();
        leg.target.settle(&leg.account).await;
        Cow::Owned(leg)
    }
}

impl Member {
    fn target(&self) -> Target {
        self.site.catalogue.resolve(&self.model, &self.manner)
    }
}

/// Hash of a label (FNV-1a, mixed), the same in every process.
fn mark(label: &str) -> u64 {
    let hashed = label.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mixed(hashed)
}
