//! One call on its way: a target is chosen, asked, and judged by its answer; if it failed and nothing was
//! seen of an answer, another is asked, then the names that stand in for this one. All retrying of the
//! gateway is here, and all of it is bounded.

use std::sync::Arc;
use std::time::Duration;

use translate::thoughts::Origin;

use tokio::time::Instant;

use super::group::{Group, Leg};
use super::moment::Moment;
use super::names::{Names, Route};
use super::pick::{Asked, Pick, Tried};
use super::settings::Affinity;
use super::verdict::{Again, Judged, Remedy, Verdict};
use super::vitals::{Blame, Flight};
use super::{RouteError, pause};
use crate::bedrock::{Answer, Kind};

/// What a call's way depends on beside its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'r> {
    /// The request's id, for the log.
    pub(crate) id: &'r str,
    pub(crate) kind: Kind,
    pub(crate) asks: Asks,
    /// Tokens it may use, as far as that can be told beforehand.
    pub(crate) tokens: u64,
    /// Calls with the same key profit from the same target.
    pub(crate) key: Option<u64>,
    /// Where the last thoughts of the conversation were made.
    pub(crate) home: Option<Origin>,
    pub(crate) others: Others,
}

/// What is asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Something of its model.
    Model,
    /// How many tokens its model would read. That is answered soon, and tells nothing of how soon the model
    /// answers.
    Count,
}

/// Who may answer in place of the first target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Any target of the name, then its fallbacks.
    All,
    /// Any target of the name.
    SameName,
}

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Journey<'n> {
    names: &'n Names,
    terms: Terms<'n>,
    group: Arc<Group>,
    /// Names that have been asked or will be, the first first.
    asked: Vec<String>,
    /// How many of them have been asked.
    done: usize,
    tried: Tried,
    /// Attempts at targets of the group.
    attempts: u8,
    at: usize,
    leg: Leg,
    flight: Flight,
    trail: Trail,
    began: Instant,
}

/// Where a call has been, for the headers of its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    /// The last target asked; empty before the first.
    pub(crate) target: Arc<str>,
    pub(crate) region: String,
    pub(crate) attempts: u32,
    /// The name that stood in for the one asked for.
    pub(crate) fallback: Option<String>,
    /// Whether all attempts there may be were made in vain, so that a client's own would be too.
    pub(crate) spent: bool,
}

impl Trail {
    /// Of a call that has still to be made.
    pub(crate) fn to(leg: &Leg) -> Self {
        let region = leg.account.region().to_owned();
        Self { target: Arc::clone(&leg.label), region, ..Self::default() }
    }
}

/// A call that was answered.
#[derive(Debug)]
pub(crate) struct Sent<T> {
    pub(crate) answer: T,
    /// To be kept until the answer has ended.
    pub(crate) flight: Flight,
    pub(crate) trail: Trail,
}

/// What a call of one target may bring.
pub(crate) trait Brought {
    /// Whether the target was asked for it: what others say in its place tells nothing about it.
    fn is_of_target(&self) -> bool {
        true
    }
}

impl Brought for Answer {}

/// A call that was not.
#[derive(Debug)]
pub(crate) struct Unsent<E> {
    pub(crate) error: E,
    pub(crate) trail: Trail,
}

/// What follows a failure.
enum Next {
    Stop,
    /// The journey has turned to somebody else.
    Turned,
    /// A target of the same name, at once or after a pause.
    Again {
        pick: Pick,
        pause: Option<Duration>,
    },
}

impl<'n> Journey<'n> {
    /// Chooses the first target.
    ///
    /// # Errors
    /// The name has none.
    pub(crate) fn begin(
        names: &'n Names,
        route: Route,
        terms: Terms<'n>,
    ) -> Result<Self, RouteError> {
        let now = Moment::now();
        let Route(group) = route;
        let pick = group.pick(wanted(&group, terms, Tried::default(), now));
        let first = pick.and_then(|pick| Some((pick, group.leg(pick.at)?)));
        let Some((pick, leg)) = first else {
            return Err(RouteError::not_listed(&group.name));
        };
        group.budget.called(now, &group.balance.retries);
        let flight =
            board(&group, pick, terms, now).ok_or_else(|| RouteError::not_listed(&group.name))?;
        let trail = Trail::to(&leg);
        let tried = Tried::default();
        let asked = vec![group.name.clone()];
        let mut journey = Self {
            names,
            terms,
            group,
            asked,
            done: 1,
            tried,
            attempts: 0,
            at: pick.at,
            leg,
            flight,
            trail,
            began: Instant::now(),
        };
        journey.time();
        journey.tell(pick);
        Ok(journey)
    }

    /// The target a call would go to now. None goes: no turn is taken, nothing is set aside.
    ///
    /// # Errors
    /// The name has none.
    pub(crate) fn glance(route: &Route, terms: Terms<'_>) -> Result<Leg, RouteError> {
        let Route(group) = route;
        let asked = wanted(group, terms, Tried::default(), Moment::now());
        group.glance(asked).ok_or_else(|| RouteError::not_listed(&group.name))
    }

    /// Another call of the same name and terms, before this one has set out: it finds its own way.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) fn twin(&self) -> Result<Self, RouteError> {
        Self::begin(self.names, Route(Arc::clone(&self.group)), self.terms)
    }

    /// The target that is asked next.
    pub(crate) fn leg(&self) -> &Leg {
        &self.leg
    }

    /// Whether a later target may need the question translated again.
    pub(crate) fn may_differ(&self) -> bool {
        let fallbacks = &self.group.fallbacks;
        let has_fallbacks = self.terms.others == Others::All
            && [&fallbacks.general, &fallbacks.context_window, &fallbacks.content_policy]
                .iter()
                .any(|names| !names.is_empty());
        has_fallbacks || self.group.differs()
    }

    /// Asks targets until one answers or no more may be asked. `ask` asks one, and returns when the answer
    /// has begun.
    ///
    /// # Errors
    /// The last target's error, or the one before where that only could not take the question, or is not
    /// set up to be asked.
    pub(crate) async fn run<T: Brought, E: Judged + std::fmt::Display>(
        mut self,
        mut ask: impl AsyncFnMut(&Leg) -> Result<T, E>,
    ) -> Result<Sent<T>, Unsent<E>> {
        let mut kept: Option<E> = None;
        loop {
            self.attempts = self.attempts.saturating_add(1);
            self.trail.attempts += 1;
            self.flight.sent(Moment::now());
            let error = match ask(&self.leg).await {
                Ok(answer) => {
                    match (answer.is_of_target(), self.terms.asks) {
                        (true, Asks::Model) => self.flight.answered(Moment::now()),
                        (true, Asks::Count) => self.flight.heard(Moment::now()),
                        (false, _) => self.flight.unsent(),
                    }
                    return Ok(Sent { answer, flight: self.flight, trail: self.trail });
                }
                Err(error) => error,
            };
            let verdict = error.verdict(self.terms.kind);
            self.note(&error, verdict);
            if verdict == Verdict::UNFIT {
                // It was not sent at all.
                self.flight.unsent();
                self.attempts -= 1;
                self.trail.attempts -= 1;
            }
            let error = match kept.take() {
                // The first target's refusal says more than that a stand-in cannot take the question, and
                // if none is set up to be asked, the first is as good as any.
                Some(first) if verdict == Verdict::UNFIT || verdict.remedy == Remedy::Setup => {
                    first
                }
                _ => error,
            };
            match self.next(verdict).await {
                Next::Stop => return Err(Unsent { error, trail: self.trail }),
                Next::Turned => kept = Some(error),
                Next::Again { pick, pause } => {
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                    if self.depart(pick, Moment::now()).is_none() {
                        return Err(Unsent { error, trail: self.trail });
                    }
                    kept = Some(error);
                }
            }
        }
    }

    /// Tells the target's state and the log about a failure.
    fn note(&mut self, error: &(impl Judged + std::fmt::Display), verdict: Verdict) {
        let (id, label) = (self.terms.id, &self.leg.label);
        let now = Moment::now();
        if verdict.blame == Blame::Nobody && error.is_answer() {
            self.flight.refused(now);
        } else if self.flight.failed(now, verdict.blame) {
            log::warn!(
                "{label:?} is left alone for a while: it fails too often, last with {error}"
            );
        }
        if verdict.remedy == Remedy::Setup
            && self.group.len() + self.group.fallbacks.general.len() > 1
        {
            log::warn!("{id} {label:?} is not set up to be called: {error}");
        } else {
            log::debug!("{id} {label:?} failed: {error}");
        }
    }

    /// Chooses who is asked after a failure.
    async fn next(&mut self, verdict: Verdict) -> Next {
        self.tried.add(self.at);
        if self.is_overdue_in(Duration::ZERO) {
            return Next::Stop;
        }
        if let Some(next) = self.again(verdict) {
            return next;
        }
        if self.terms.others == Others::All && self.fall_back(verdict.remedy).await {
            return Next::Turned;
        }
        Next::Stop
    }

    /// Another target of the same name, or the same once more. `None`: there is none, or no more may be
    /// asked.
    fn again(&mut self, verdict: Verdict) -> Option<Next> {
        let retries = self.group.balance.retries;
        let now = Moment::now();
        let unfit = verdict == Verdict::UNFIT;
        let used_up = self.attempts > retries.more;
        let throttled = matches!(verdict.blame, Blame::Throttled(_));
        if used_up && !unfit {
            // Where the operator wants no attempts of ours, the client's are as good as ever. So they are
            // where a target throttles: they come after pauses that are longer than ours.
            let in_vain = !throttled || !self.group.budget.has_more(now, &retries);
            self.trail.spent = retries.more > 0 && in_vain;
        }
        if verdict.again == Again::Never {
            return None;
        }
        let pick = self.group.pick(wanted(&self.group, self.terms, self.tried, now))?;
        let elsewhere = !self.tried.holds(pick.at);
        if !elsewhere && (unfit || verdict.again == Again::Elsewhere) {
            return None;
        }
        let pause = match (elsewhere, verdict.retry_after) {
            (true, _) => None,
            (false, Some(asked)) if asked > retries.retry_after_limit => return None,
            (false, asked) => {
                let ours = match throttled {
                    true => pause::before_throttled(self.attempts, &retries),
                    false => pause::before(self.attempts, &retries),
                };
                Some(ours.max(asked.unwrap_or_default()))
            }
        };
        if pause.is_some_and(|pause| self.is_overdue_in(pause)) {
            return None;
        }
        if unfit {
            return Some(Next::Again { pick, pause });
        }
        if used_up {
            return None;
        }
        // What refuses because it is not set up has done nothing: that makes no storm worse.
        let is_free = verdict.remedy == Remedy::Setup && verdict.blame == Blame::Nobody;
        if !is_free && !self.group.budget.spend(now, &retries) {
            self.trail.spent = true;
            return None;
        }
        Some(Next::Again { pick, pause })
    }

    /// The next name that stands in for this one. A name that cannot be called is told in the log and
    /// passed over.
    async fn fall_back(&mut self, remedy: Remedy) -> bool {
        let fallbacks = Arc::clone(&self.group.fallbacks);
        let names = match remedy {
            Remedy::None => return false,
            Remedy::General | Remedy::Setup => &fallbacks.general,
            Remedy::ContextWindow => &fallbacks.context_window,
            Remedy::ContentPolicy => &fallbacks.content_policy,
        };
        for name in names {
            if !self.asked.contains(name) {
                self.asked.push(name.clone());
            }
        }
        while let Some(name) = self.asked.get(self.done).cloned() {
            self.done += 1;
            match self.names.resolve(&name).await {
                Ok(Route(group)) => {
                    let now = Moment::now();
                    let Some(pick) = group.pick(wanted(&group, self.terms, Tried::default(), now))
                    else {
                        continue;
                    };
                    group.budget.called(now, &group.balance.retries);
                    (self.group, self.tried, self.attempts) = (group, Tried::default(), 0);
                    self.trail.fallback = Some(name);
                    self.trail.spent = false;
                    if self.depart(pick, now).is_some() {
                        return true;
                    }
                }
                Err(error) => {
                    log::warn!("{} the fallback {name:?} cannot be called: {error}", self.terms.id);
                }
            }
        }
        false
    }

    /// Turns to a target. The flight to the last one ends here.
    fn depart(&mut self, pick: Pick, now: Moment) -> Option<()> {
        self.leg = self.group.leg(pick.at)?;
        self.time();
        self.flight = board(&self.group, pick, self.terms, now)?;
        self.at = pick.at;
        self.trail.target = Arc::clone(&self.leg.label);
        self.leg.account.region().clone_into(&mut self.trail.region);
        self.tell(pick);
        Some(())
    }

    /// Gives the target what is left of the time for a whole call: attempts have one limit together.
    fn time(&mut self) {
        self.leg.deadline = Some(self.began + self.leg.account.timeouts().total);
    }

    /// Whether there will be no time left after a pause.
    fn is_overdue_in(&self, pause: Duration) -> bool {
        self.leg.deadline.is_some_and(|deadline| deadline <= Instant::now() + pause)
    }

    fn tell(&self, pick: Pick) {
        let (id, name) = (self.terms.id, &self.group.name);
        log::debug!("{id} {name:?} goes to {:?}: {:?}", self.leg.label, pick.why);
    }
}

fn wanted(group: &Group, terms: Terms<'_>, tried: Tried, now: Moment) -> Asked {
    let key = match group.balance.affinity {
        Affinity::On => terms.key,
        Affinity::Off => None,
    };
    Asked { now, tried, home: group.home(terms.home), tokens: terms.tokens, key }
}

fn board(group: &Group, pick: Pick, terms: Terms<'_>, now: Moment) -> Option<Flight> {
    let seat = group.seat(pick.at)?;
    let cooldown = group.balance.cooldown;
    Some(Flight::begin(&seat.vitals, now, pick.errand, seat.quota, cooldown, terms.tokens))
}
