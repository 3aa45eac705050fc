//! Dispatch of one call: selects a target, sends, and classifies a failure. As long as the client has seen
//! nothing of an answer, a failed call goes to another target, then to the fallbacks of the name. All
//! retries of the gateway are made here, and all are bounded.

use std::sync::Arc;
use std::time::Duration;

use translate::thoughts::Origin;

use tokio::time::Instant;

use super::group::{Group, Leg};
use super::moment::Moment;
use super::names::{Names, Route};
use super::pick::{Asked, Pick, Tokens, Tried};
use super::settings::Affinity;
use super::tags::Tags;
use super::verdict::{Again, Judged, Remedy, Verdict};
use super::vitals::{Blame, Flight};
use super::{RouteError, pause};
use crate::bedrock::{Answer, Kind};

/// Properties of a call, besides its name, that affect its dispatch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'r> {
    /// The request's id, for the log.
    pub(crate) id: &'r str,
    pub(crate) kind: Kind,
    pub(crate) asks: Asks,
    /// Tokens that the call may use, as far as they can be estimated.
    pub(crate) tokens: Tokens,
    /// Calls with the same key benefit from the same target.
    pub(crate) key: Option<u64>,
    /// Origin of the conversation's last reasoning.
    pub(crate) home: Option<Origin>,
    pub(crate) others: Others,
}

/// Purpose of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Inference with the model.
    Model,
    /// A token count. It is answered quickly and is no measure of the model's latency.
    Count,
}

/// Targets that may replace the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Any target of the name, then its fallbacks.
    All,
    /// Any target of the name.
    SameName,
}

/// A call in dispatch.
#[derive(Debug)]
pub(crate) struct Journey<'n> {
    names: &'n Names,
    terms: Terms<'n>,
    group: Arc<Group>,
    /// Of the request: they choose among the targets of a fallback too.
    tags: Tags,
    /// Names that have been tried or will be, in order.
    asked: Vec<String>,
    /// Number of names tried.
    done: usize,
    tried: Tried,
    /// Attempts at targets of the current group.
    attempts: u8,
    at: usize,
    leg: Leg,
    flight: Flight,
    trail: Trail,
    began: Instant,
}

/// Attempt log of a call, for the headers of its answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trail {
    /// The last target called; empty before the first attempt.
    pub(crate) target: Arc<str>,
    pub(crate) region: String,
    pub(crate) attempts: u32,
    /// The fallback name that replaced the requested one.
    pub(crate) fallback: Option<String>,
    /// Whether all permitted attempts have failed, so that a client's retry would fail too.
    pub(crate) spent: bool,
}

impl Trail {
    /// The attempt log of a call not yet made.
    pub(crate) fn to(leg: &Leg) -> Self {
        let region = leg.account.region().to_owned();
        Self { target: Arc::clone(&leg.label), region, ..Self::default() }
    }
}

/// An answered call.
#[derive(Debug)]
pub(crate) struct Sent<T> {
    pub(crate) answer: T,
    /// Kept until the answer has ended.
    pub(crate) flight: Flight,
    pub(crate) trail: Trail,
}

/// Result of a call to one target.
pub(crate) trait Brought {
    /// Whether the target itself gave the answer; an answer from elsewhere is no sign of its health.
    fn is_of_target(&self) -> bool {
        true
    }
}

impl Brought for Answer {}

/// A call that got no answer.
#[derive(Debug)]
pub(crate) struct Unsent<E> {
    pub(crate) error: E,
    pub(crate) trail: Trail,
}

/// Continuation after a failure.
enum Next {
    Stop,
    /// Dispatch has moved to a fallback name.
    Turned,
    /// A target of the same name, at once or after a backoff.
    Again {
        pick: Pick,
        pause: Option<Duration>,
    },
}

impl<'n> Journey<'n> {
    /// Selects the first target.
    ///
    /// # Errors
    /// The name has no targets.
    pub(crate) fn begin(
        names: &'n Names,
        route: Route,
        terms: Terms<'n>,
    ) -> Result<Self, RouteError> {
        let now = Moment::now();
        let Route { group, tags } = route;
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
            tags,
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

    /// The target that a call would go to now. No call is made: the weighted selection does not advance and
    /// no quota is reserved.
    ///
    /// # Errors
    /// The name has no targets.
    pub(crate) fn glance(route: &Route, terms: Terms<'_>) -> Result<Leg, RouteError> {
        let Route { group, tags: _ } = route;
        let asked = wanted(group, terms, Tried::default(), Moment::now());
        group.glance(asked).ok_or_else(|| RouteError::not_listed(&group.name))
    }

    /// Another call with the same name and spec, before this one was sent; it selects its own target.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) fn twin(&self) -> Result<Self, RouteError> {
        let route = Route { group: Arc::clone(&self.group), tags: self.tags.clone() };
        Self::begin(self.names, route, self.terms)
    }

    /// The target of the next attempt.
    pub(crate) fn leg(&self) -> &Leg {
        &self.leg
    }

    /// Whether a later target may need another translation of the request.
    pub(crate) fn may_differ(&self) -> bool {
        let fallbacks = &self.group.fallbacks;
        let has_fallbacks = self.terms.others == Others::All
            && [&fallbacks.general, &fallbacks.context_window, &fallbacks.content_policy]
                .iter()
                .any(|names| !names.is_empty());
        has_fallbacks || self.group.differs()
    }

    /// Calls targets until one answers or the attempts are used up. `ask` calls one target, and returns
    /// when its answer has begun.
    ///
    /// # Errors
    /// The last target's error, or the one before it if the last target cannot accept the request or is not
    /// set up to be called.
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
                // The request was not sent.
                self.flight.unsent();
                self.attempts -= 1;
                self.trail.attempts -= 1;
            }
            let error = match kept.take() {
                // A fallback that cannot accept the request says less than the first target's refusal; if
                // no target is set up, the first error is as good as any.
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

    /// Records a failure in the target's health and in the log.
    fn note(&mut self, error: &(impl Judged + std::fmt::Display), verdict: Verdict) {
        let (id, label) = (self.terms.id, &self.leg.label);
        let now = Moment::now();
        if verdict.blame == Blame::Nobody && error.is_answer() {
            self.flight.refused(now);
        } else if self.flight.failed(now, verdict.blame) {
            log::warn!(
                "{label:?} gets no calls during its cooldown: it fails too often, last with {error}"
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

    /// Decides how to continue after a failure.
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

    /// Selects another target of the same name, or the same one again. `None`: no target is left, or no
    /// further attempt is allowed.
    fn again(&mut self, verdict: Verdict) -> Option<Next> {
        let retries = self.group.balance.retries;
        let now = Moment::now();
        let unfit = verdict == Verdict::UNFIT;
        let used_up = self.attempts > retries.more;
        let throttled = matches!(verdict.blame, Blame::Throttled(_));
        if used_up && !unfit {
            // A client's retries are useful if the operator has disabled those of the gateway, or if a
            // target throttles: clients wait longer before they retry.
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
        // A refusal for missing setup caused no work upstream, so it costs no retry budget.
        let is_free = verdict.remedy == Remedy::Setup && verdict.blame == Blame::Nobody;
        if !is_free && !self.group.budget.spend(now, &retries) {
            self.trail.spent = true;
            return None;
        }
        Some(Next::Again { pick, pause })
    }

    /// Moves to the next fallback name. A name that cannot be called is logged and skipped.
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
            match self.names.resolve(&name, self.tags.clone()).await {
                Ok(Route { group, tags: _ }) => {
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

    /// Moves to a target; the in-flight call to the previous one ends here.
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

    /// Sets the deadline: all attempts share one time limit.
    fn time(&mut self) {
        self.leg.deadline = Some(self.began + self.leg.account.timeouts().total);
    }

    /// Whether the deadline will have passed after a pause.
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
    let (cooldown, tokens) = (group.balance.cooldown, terms.tokens.at(seat));
    Some(Flight::begin(&seat.vitals, now, pick.errand, seat.quota, cooldown, tokens))
}
