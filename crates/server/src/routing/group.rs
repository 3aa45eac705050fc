//! The targets behind one name, ready to be called: chosen among by `pick`, resolved when chosen.

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
use crate::catalogue::{Manner, Target};

/// The targets of a name.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    members: Vec<Member>,
    /// As many as members, in their order.
    seats: Vec<Seat>,
    choice: Arc<Choice>,
    pub(super) budget: Arc<Budget>,
    pub(super) guardrail: Option<Arc<Guardrail>>,
    pub(super) balance: Balance,
    pub(super) fallbacks: Arc<Fallbacks>,
    /// Names of the operator's that a wrong name may have meant.
    pub(super) own: Arc<[String]>,
    alike: Alike,
}

/// Whether what is translated for one member can be sent to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alike {
    /// All members take the same.
    Yes,
    /// Some differ, or nobody has looked.
    Perhaps,
}

#[derive(Debug, Clone)]
struct Member {
    model: String,
    manner: Arc<Manner>,
    site: Site,
    unsupported: Unsupported,
    /// How clients and operators know it.
    label: Arc<str>,
}

/// What turns are taken with and retries counted by; a reload keeps it.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    pub(super) choice: Arc<Choice>,
    pub(super) budget: Arc<Budget>,
}

/// One way a call may take: a target, and who makes the call.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) target: Target,
    pub(crate) account: Account,
    /// What the call must carry, or carries unless the caller says otherwise.
    pub(crate) guardrail: Option<Arc<Guardrail>>,
    /// What becomes of fields that cannot be honoured, unless the caller says otherwise.
    pub(crate) unsupported: Unsupported,
    /// Whose account it is, as a hash.
    owner: u64,
    /// How clients and operators know the target.
    pub(crate) label: Arc<str>,
    /// When the call must have ended, earlier attempts included; `None` where none was made.
    pub(crate) deadline: Option<Instant>,
    /// Names of the operator's that a wrong name may have meant.
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

    /// A name that the operator has not listed: one target.
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

    /// The same group for a name in which its `*` stood for `star`.
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

    /// What a reload hands on, and what the groups made of this one share.
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

    /// Where a call would go, without one going.
    pub(super) fn glance(&self, asked: Asked) -> Option<Leg> {
        let pick = pick(&self.seats, &self.choice.fork(), &self.balance, asked)?;
        self.spare(pick)?;
        self.leg(pick.at)
    }

    /// Gives back what a pick took that no call follows.
    fn spare(&self, pick: Pick) -> Option<()> {
        if pick.errand == Errand::Probe {
            // The call that finds out is still to come.
            self.seats.get(pick.at)?.vitals.released();
        }
        Some(())
    }

    /// The same group with the members of one model alone, that of the member a call would go to. `None`:
    /// all are.
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

    /// Whether there is a choice among targets, and one of them takes back what was thought.
    pub(super) fn keeps_thoughts(&self) -> bool {
        self.members.len() > 1
            && self.members.iter().any(|member| member.target().profile.keeps_thoughts())
    }

    /// The targets that take back what was thought there; none where nothing is known of it.
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

    /// Whether a question translated for one member may have to be translated again for another.
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
            // Another account in the same region.
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

    /// Looks at whether the members take the same.
    fn settle(&mut self) {
        let targets: Vec<Target> = self.members.iter().map(Member::target).collect();
        let alike = targets.windows(2).all(|pair| match pair {
            [one, other] => one.profile == other.profile && one.is_settled() && other.is_settled(),
            _ => true,
        });
        // What was thought for one is not sent to another.
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
    /// Where answers of it are made: what was thought elsewhere does not go to models that check it.
    pub(crate) fn origin(&self) -> Origin {
        Origin { model: self.target.identity(), account: self.owner }
    }

    /// What a refusal of its model is to be explained with.
    pub(super) fn notes(&self) -> Notes {
        self.target.notes(self.own.iter().map(String::as_str))
    }

    /// The same, once it is known what its model accepts, as far as anybody tells.
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

/// A number for a label (FNV-1a, mixed): the same in every process.
fn mark(label: &str) -> u64 {
    let hashed = label.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    mixed(hashed)
}
