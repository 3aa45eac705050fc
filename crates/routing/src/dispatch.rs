//! Dispatch of one call: selects a target, sends, and classifies a failure. As long as the client has seen
//! nothing of an answer, a failed call goes to another target, then to the fallbacks of the name. All
//! retries of the gateway are made here, and all are bounded.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::balance::{Selection, SelectionInput, Tokens, TriedTargets};
use super::classify::{Classify, FailureClass, FallbackReason, RetryScope};
use super::clock::Timestamp;
use super::group::Group;
use super::health::{Fault, InFlight};
use super::resolver::{Resolver, Route};
use super::settings::Affinity;
use super::tags::Tags;
use super::target::Target;
use super::{RouteError, backoff};
use crate::catalogue::Day;
use bedrock::UpstreamResponse;

mod attempts;
mod elsewhere;
mod hedge;
mod spec;

pub use attempts::{Attempt, AttemptCode, AttemptLog, Continuation, HedgeResult, RetryReason};
use hedge::{Hedged, SecondCall, Tried, Unhedged};
pub use spec::{CallPurpose, CallSpec, FallbackScope};

/// A call in dispatch.
#[derive(Debug)]
pub struct Dispatch<'n> {
    names: &'n Resolver,
    terms: CallSpec<'n>,
    group: Arc<Group>,
    /// Of the request: they choose among the targets of a fallback too.
    tags: Tags,
    /// Names that have been tried or will be, in order.
    asked: Vec<String>,
    /// Number of names tried.
    done: usize,
    tried: TriedTargets,
    /// Attempts at targets of the current group.
    attempts: u8,
    at: usize,
    target: Target,
    in_flight: InFlight,
    attempt_log: AttemptLog,
    began: Instant,
}

/// An answered call.
#[derive(Debug)]
pub struct Dispatched<T> {
    /// The beginning of the answer.
    pub answer: T,
    /// Kept until the answer has ended.
    pub in_flight: InFlight,
    /// The attempts so far.
    pub attempt_log: AttemptLog,
}

/// Result of a call to one target.
pub trait AttemptOutcome {
    /// Whether the target itself gave the answer; an answer from elsewhere is no sign of its health.
    fn is_of_target(&self) -> bool {
        true
    }
}

impl AttemptOutcome for UpstreamResponse {}

/// A call that got no answer.
#[derive(Debug)]
pub struct DispatchError<E> {
    /// The error of the last attempt.
    pub error: E,
    /// The attempts so far.
    pub attempt_log: AttemptLog,
}

/// Continuation after a failure.
enum Next {
    Stop,
    /// Dispatch has moved to a fallback name.
    Turned,
    /// A target of the same name, at once or after a backoff.
    Retry {
        pick: Selection,
        pause: Option<Duration>,
    },
}

impl<'n> Dispatch<'n> {
    /// Selects the first target.
    ///
    /// # Errors
    /// The name has no targets.
    pub fn begin(
        names: &'n Resolver,
        route: Route,
        terms: CallSpec<'n>,
    ) -> Result<Self, RouteError> {
        Self::begin_after(names, route, terms, TriedTargets::default())
    }

    fn begin_after(
        names: &'n Resolver,
        route: Route,
        terms: CallSpec<'n>,
        tried: TriedTargets,
    ) -> Result<Self, RouteError> {
        let now = Timestamp::now();
        let Route { group, tags } = route;
        let pick = group.select(wanted(&group, terms, tried, now));
        let first = pick.and_then(|pick| Some((pick, group.target(pick.at)?)));
        let Some((pick, target)) = first else {
            return Err(RouteError::not_listed(&group.name));
        };
        group.called(now);
        let in_flight =
            board(&group, pick, terms, now).ok_or_else(|| RouteError::not_listed(&group.name))?;
        let attempt_log = AttemptLog::to(&target);
        let asked = vec![group.name.clone()];
        let mut dispatch = Self {
            names,
            terms,
            group,
            tags,
            asked,
            done: 1,
            tried,
            attempts: 0,
            at: pick.at,
            target,
            in_flight,
            attempt_log,
            began: Instant::now(),
        };
        dispatch.time();
        dispatch.tell(pick);
        Ok(dispatch)
    }

    /// The target that a call would go to now. No call is made: the weighted selection does not advance and
    /// no quota is reserved.
    ///
    /// # Errors
    /// The name has no targets.
    pub fn preview(route: &Route, terms: CallSpec<'_>) -> Result<Target, RouteError> {
        let Route { group, tags: _ } = route;
        let asked = wanted(group, terms, TriedTargets::default(), Timestamp::now());
        group.preview(asked).ok_or_else(|| RouteError::not_listed(&group.name))
    }

    /// Another call with the same name and spec, before this one was sent; it selects its own target.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn twin(&self) -> Result<Self, RouteError> {
        let route = Route { group: Arc::clone(&self.group), tags: self.tags.clone() };
        Self::begin(self.names, route, self.terms)
    }

    /// The target of the next attempt.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Tokens that the call may use.
    pub fn tokens(&self) -> Tokens {
        self.terms.tokens
    }

    /// Whether a later target may need another translation of the request.
    pub fn may_differ(&self) -> bool {
        let fallbacks = &self.group.fallbacks;
        let has_fallbacks = self.terms.fallback_scope == FallbackScope::All
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
    pub async fn run<T: AttemptOutcome, E: Classify + std::fmt::Display>(
        self,
        ask: impl AsyncFnMut(&Target) -> Result<T, E>,
    ) -> Result<Dispatched<T>, DispatchError<E>> {
        self.until_answered(ask, Unhedged).await
    }

    /// The same with a second call at another target if one is late, by the settings of the name. `second`
    /// makes it; `None` if the caller may not make another call now.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_hedged<T: AttemptOutcome, E: Classify + std::fmt::Display>(
        self,
        ask: impl AsyncFnMut(&Target) -> Result<T, E>,
        second: impl AsyncFnMut(&Target) -> Option<Result<T, E>>,
    ) -> Result<Dispatched<T>, DispatchError<E>> {
        self.until_answered(ask, Hedged(second)).await
    }

    async fn until_answered<T: AttemptOutcome, E: Classify + std::fmt::Display, S>(
        mut self,
        mut ask: impl AsyncFnMut(&Target) -> Result<T, E>,
        mut second: S,
    ) -> Result<Dispatched<T>, DispatchError<E>>
    where
        S: SecondCall<T, E>,
    {
        let mut kept: Option<E> = None;
        loop {
            self.attempts = self.attempts.saturating_add(1);
            self.attempt_log.attempts += 1;
            let now = Timestamp::now();
            self.in_flight.sent(now);
            self.attempt_log.quota = self.in_flight.quota_left(now);
            let Tried { result, began, earlier } = if S::IS_POSSIBLE && self.may_hedge() {
                // Boxed, because few calls may have a second one.
                Box::pin(self.raced(&mut ask, &mut second)).await
            } else {
                let began = std::time::Instant::now();
                Tried::of(ask(&self.target).await, began)
            };
            kept = earlier.or(kept);
            let error = match result {
                Ok(answer) => {
                    self.made(began, AttemptCode::ANSWERED);
                    if let Some(hedge) = &self.group.balance.hedge {
                        self.group.hedging.waited(hedge, began.elapsed());
                    }
                    match (answer.is_of_target(), self.terms.purpose) {
                        (true, CallPurpose::Model) => self.in_flight.answered(Timestamp::now()),
                        (true, CallPurpose::Count) => self.in_flight.heard(Timestamp::now()),
                        (false, _) => self.in_flight.unsent(),
                    }
                    return Ok(Dispatched {
                        answer,
                        in_flight: self.in_flight,
                        attempt_log: self.attempt_log,
                    });
                }
                Err(error) => error,
            };
            let class = error.class(self.terms.kind);
            self.note(&error, class);
            if class == FailureClass::UNFIT {
                // The request was not sent.
                self.in_flight.unsent();
                self.attempts -= 1;
                self.attempt_log.attempts -= 1;
            } else {
                self.made(began, error.attempt_code());
            }
            let error = match kept.take() {
                // A fallback that cannot accept the request says less than the first target's refusal; if
                // no target is set up, the first error is as good as any.
                Some(first)
                    if class == FailureClass::UNFIT
                        || class.fallback_reason == FallbackReason::Setup =>
                {
                    first
                }
                _ => error,
            };
            match self.next(class).await {
                Next::Stop => return Err(DispatchError { error, attempt_log: self.attempt_log }),
                Next::Turned => {
                    self.attempt_log.goes_on(Continuation::Fallback(class.fallback_reason));
                    kept = Some(error);
                }
                Next::Retry { pick, pause } => {
                    if class != FailureClass::UNFIT {
                        let reason = RetryReason::of(class);
                        self.attempt_log.goes_on(Continuation::Retry(reason));
                    }
                    if let Some(pause) = pause {
                        self.attempt_log.paused += pause;
                        tokio::time::sleep(pause).await;
                    }
                    if self.depart(pick, Timestamp::now()).is_none() {
                        return Err(DispatchError { error, attempt_log: self.attempt_log });
                    }
                    kept = Some(error);
                }
            }
        }
    }

    /// Records an attempt that was sent.
    fn made(&mut self, began: std::time::Instant, code: AttemptCode) {
        let Target { series, label, .. } = &self.target;
        self.attempt_log.made.push(Attempt {
            series: series.clone(),
            target: Arc::clone(label),
            began,
            took: began.elapsed(),
            code,
            then: None,
        });
    }

    /// Records a failure in the target's health and in the log.
    fn note(&mut self, error: &(impl Classify + std::fmt::Display), class: FailureClass) {
        let (id, label) = (self.terms.id, &self.target.label);
        let now = Timestamp::now();
        if class.fault == Fault::Nobody && error.is_answer() {
            self.in_flight.refused(now);
        } else if self.in_flight.failed(now, class.fault) {
            log::warn!(
                "{label:?} gets no calls during its cooldown: it fails too often, last with {error}"
            );
        }
        if class.fallback_reason == FallbackReason::Setup
            && self.group.len() + self.group.fallbacks.general.len() > 1
        {
            log::warn!("{id} {label:?} is not set up to be called: {error}");
        } else {
            log::debug!("{id} {label:?} failed: {error}");
        }
    }

    /// Decides how to continue after a failure.
    async fn next(&mut self, class: FailureClass) -> Next {
        self.tried.add(self.at);
        if self.is_overdue_in(Duration::ZERO) {
            return Next::Stop;
        }
        if let Some(next) = self.next_attempt(class) {
            return next;
        }
        if self.terms.fallback_scope == FallbackScope::All
            && self.fall_back(class.fallback_reason).await
        {
            return Next::Turned;
        }
        Next::Stop
    }

    /// Selects another target of the same name, or the same one again. `None`: no target is left, or no
    /// further attempt is allowed.
    fn next_attempt(&mut self, class: FailureClass) -> Option<Next> {
        let retries = self.group.balance.retries;
        let now = Timestamp::now();
        let unfit = class == FailureClass::UNFIT;
        let used_up = self.attempts > retries.more;
        let throttled = matches!(class.fault, Fault::Throttled(_));
        if used_up && !unfit {
            // A client's retries are useful if the operator has disabled those of the gateway, or if a
            // target throttles: clients wait longer before they retry.
            let in_vain = !throttled || !self.group.budget.has_more(now, &retries);
            self.attempt_log.spent = retries.more > 0 && in_vain;
        }
        if class.retry_scope == RetryScope::Never {
            return None;
        }
        let pick = self.group.select(wanted(&self.group, self.terms, self.tried, now))?;
        let elsewhere = !self.tried.holds(pick.at);
        if !elsewhere && (unfit || class.retry_scope == RetryScope::Elsewhere) {
            return None;
        }
        let pause = match (elsewhere, class.retry_after) {
            (true, _) => None,
            (false, Some(asked)) if asked > retries.retry_after_limit => return None,
            (false, asked) => {
                let ours = match throttled {
                    true => backoff::before_throttled(self.attempts, &retries),
                    false => backoff::before(self.attempts, &retries),
                };
                Some(ours.max(asked.unwrap_or_default()))
            }
        };
        if pause.is_some_and(|pause| self.is_overdue_in(pause)) {
            return None;
        }
        if unfit {
            return Some(Next::Retry { pick, pause });
        }
        if used_up {
            return None;
        }
        // A refusal for missing setup caused no work upstream, so it costs no retry budget.
        let is_free =
            class.fallback_reason == FallbackReason::Setup && class.fault == Fault::Nobody;
        if !is_free && !self.group.budget.spend(now, &retries) {
            self.attempt_log.spent = true;
            return None;
        }
        Some(Next::Retry { pick, pause })
    }

    /// Moves to the next fallback name. A name that cannot be called is logged and skipped.
    async fn fall_back(&mut self, fallback_reason: FallbackReason) -> bool {
        let fallbacks = Arc::clone(&self.group.fallbacks);
        let names = match fallback_reason {
            FallbackReason::None => return false,
            FallbackReason::General | FallbackReason::Setup => &fallbacks.general,
            FallbackReason::ContextWindow => &fallbacks.context_window,
            FallbackReason::ContentPolicy => &fallbacks.content_policy,
        };
        for name in names {
            if !self.asked.contains(name) {
                self.asked.push(name.clone());
            }
        }
        while let Some(name) = self.asked.get(self.done).cloned() {
            self.done += 1;
            match self.names.resolve(self.terms.admission, &name, self.tags.clone()).await {
                Ok(Route { group, tags: _ }) => {
                    let now = Timestamp::now();
                    let Some(pick) =
                        group.select(wanted(&group, self.terms, TriedTargets::default(), now))
                    else {
                        continue;
                    };
                    group.called(now);
                    (self.group, self.tried, self.attempts) = (group, TriedTargets::default(), 0);
                    self.attempt_log.fallback = Some(name);
                    self.attempt_log.spent = false;
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
    fn depart(&mut self, pick: Selection, now: Timestamp) -> Option<()> {
        self.target = self.group.target(pick.at)?;
        self.time();
        self.in_flight = board(&self.group, pick, self.terms, now)?;
        self.at = pick.at;
        self.names_target();
        self.tell(pick);
        Some(())
    }

    /// Names the current target in the attempt log.
    fn names_target(&mut self) {
        self.attempt_log.target = Arc::clone(&self.target.label);
        self.target.account.region().clone_into(&mut self.attempt_log.region);
        self.attempt_log.end = self.target.model.end(Day::today()).map(Arc::new);
    }

    /// Sets the deadline: all attempts share one time limit.
    fn time(&mut self) {
        self.target.deadline = Some(self.began + self.target.account.timeouts().total);
    }

    /// Whether the deadline will have passed after a pause.
    fn is_overdue_in(&self, pause: Duration) -> bool {
        self.target.deadline.is_some_and(|deadline| deadline <= Instant::now() + pause)
    }

    fn tell(&self, pick: Selection) {
        let (id, name) = (self.terms.id, &self.group.name);
        log::debug!("{id} {name:?} goes to {:?}: {:?}", self.target.label, pick.why);
    }
}

fn wanted(
    group: &Group,
    terms: CallSpec<'_>,
    tried: TriedTargets,
    now: Timestamp,
) -> SelectionInput {
    let key = match group.balance.affinity {
        Affinity::On => terms.key,
        Affinity::Off => None,
    };
    SelectionInput { now, tried, home: group.home(terms.home), tokens: terms.tokens, key }
}

fn board(group: &Group, pick: Selection, terms: CallSpec<'_>, now: Timestamp) -> Option<InFlight> {
    let seat = group.seat(pick.at)?;
    let (cooldown, tokens) = (group.balance.cooldown, terms.tokens.at(seat));
    Some(InFlight::begin(&seat.health, now, pick.role, (seat.quota, cooldown), tokens))
}
