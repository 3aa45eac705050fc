//! A second call beside a late one: it goes to another healthy target of the name, and the first answer is
//! used. The other call is dropped, which cancels it; it is no failure of its target, and its wait so far is
//! a lower bound of its latency.

use std::fmt::Display;
use std::pin::pin;
use std::time::Instant;

use futures_util::future::{Either, select};
use tokio::time::timeout;

use super::super::classify::{Classify, FailureClass, RetryScope};
use super::super::clock::Timestamp;
use super::super::health::{Fault, InFlight};
use super::super::target::Target;
use super::{AttemptCode, CallPurpose, Continuation, Dispatch, HedgeResult, RetryReason};
use super::{board, wanted};

/// The way to make a second call.
pub(super) trait SecondCall<T, E> {
    /// Whether there is one.
    const IS_POSSIBLE: bool;

    /// Calls a target; `None` if the caller may not make another call now.
    async fn ask(&mut self, target: &Target) -> Option<Result<T, E>>;
}

/// No second call.
pub(super) struct Unhedged;

impl<T, E> SecondCall<T, E> for Unhedged {
    const IS_POSSIBLE: bool = false;

    async fn ask(&mut self, _: &Target) -> Option<Result<T, E>> {
        None
    }
}

/// A second call by this function.
pub(super) struct Hedged<F>(pub(super) F);

impl<T, E, F: AsyncFnMut(&Target) -> Option<Result<T, E>>> SecondCall<T, E> for Hedged<F> {
    const IS_POSSIBLE: bool = true;

    async fn ask(&mut self, target: &Target) -> Option<Result<T, E>> {
        (self.0)(target).await
    }
}

/// The end of an attempt.
pub(super) struct Tried<T, E> {
    /// Of the target that dispatch is at.
    pub(super) result: Result<T, E>,
    pub(super) began: Instant,
    /// The error of the first call, if the second took its place.
    pub(super) earlier: Option<E>,
}

impl<T, E> Tried<T, E> {
    pub(super) fn of(result: Result<T, E>, began: Instant) -> Self {
        Self { result, began, earlier: None }
    }
}

/// A target with its call, in exchange for those that dispatch is at.
struct Leg {
    at: usize,
    target: Target,
    in_flight: InFlight,
    began: Instant,
}

impl Dispatch<'_> {
    /// Whether a late call may get a second one beside it.
    pub fn may_hedge(&self) -> bool {
        self.group.balance.hedge.is_some()
            && self.group.len() > 1
            && self.terms.purpose == CallPurpose::Model
            && !self.target.model.profile.has_effects()
    }

    /// Calls the target, and another one if no answer has begun in time.
    pub(super) async fn raced<T, E: Classify + Display>(
        &mut self,
        ask: &mut impl AsyncFnMut(&Target) -> Result<T, E>,
        second: &mut impl SecondCall<T, E>,
    ) -> Tried<T, E> {
        let (began, target) = (Instant::now(), self.target.clone());
        let mut first = pin!(ask(&target));
        let hedge = self.group.balance.hedge.filter(|_| self.attempt_log.hedge.is_none());
        let Some(delay) = hedge.and_then(|hedge| self.group.hedging.delay(&hedge)) else {
            return Tried::of(first.await, began);
        };
        if let Ok(result) = timeout(delay, first.as_mut()).await {
            return Tried::of(result, began);
        }
        let Some(leg) = self.second_leg() else { return Tried::of(first.await, began) };
        let other_target = leg.target.clone();
        let other = pin!(second.ask(&other_target));
        match select(first, other).await {
            Either::Left((Ok(answer), _)) => {
                self.lost(leg);
                Tried::of(Ok(answer), began)
            }
            Either::Left((Err(error), other)) => {
                let class = error.class(self.terms.kind);
                if class.fault == Fault::Nobody && class.retry_scope == RetryScope::Never {
                    // Another target would refuse the request too.
                    self.lost(leg);
                    return Tried::of(Err(error), began);
                }
                match other.await {
                    None => {
                        self.not_permitted(leg);
                        Tried::of(Err(error), began)
                    }
                    Some(result) => self.replaced(leg, (error, class, began), result),
                }
            }
            Either::Right((None, first)) => {
                self.not_permitted(leg);
                Tried::of(first.await, began)
            }
            Either::Right((Some(Ok(answer)), _)) => self.won(leg, began, answer),
            Either::Right((Some(Err(error)), first)) => {
                self.second_failed(leg, &error);
                Tried::of(first.await, began)
            }
        }
    }

    /// Selects the second target. `None`: no healthy target is left, or the share of second calls is used up.
    fn second_leg(&mut self) -> Option<Leg> {
        let now = Timestamp::now();
        let mut tried = self.tried;
        tried.add(self.at);
        let pick = self.group.select_second(wanted(&self.group, self.terms, tried, now))?;
        if !self.group.hedging.take() {
            self.attempt_log.hedge = Some(HedgeResult::Capped);
            return None;
        }
        let mut target = self.group.target(pick.at)?;
        target.deadline = Some(self.began + target.account.timeouts().total);
        let mut in_flight = board(&self.group, pick, self.terms, now)?;
        in_flight.sent(now);
        log::debug!("{} is late; a second call goes to {:?}", self.terms.id, target.label);
        Some(Leg { at: pick.at, target, in_flight, began: Instant::now() })
    }

    /// The first answer came first.
    fn lost(&mut self, leg: Leg) {
        self.attempt_log.hedge = Some(HedgeResult::Lost);
        self.attempt_log.attempts += 1;
        let mut leg = leg;
        self.exchange(&mut leg);
        self.cancelled(leg.began);
        self.exchange(&mut leg);
    }

    /// The second answer came first.
    fn won<T, E>(&mut self, leg: Leg, began: Instant, answer: T) -> Tried<T, E> {
        self.attempt_log.hedge = Some(HedgeResult::Won);
        self.attempt_log.attempts += 1;
        self.cancelled(began);
        let began = leg.began;
        self.moves_to(leg);
        Tried::of(Ok(answer), began)
    }

    /// The first call failed while the second one was under way, which takes its place.
    fn replaced<T, E: Classify + Display>(
        &mut self,
        leg: Leg,
        (error, class, began): (E, FailureClass, Instant),
        result: Result<T, E>,
    ) -> Tried<T, E> {
        let end = if result.is_ok() { HedgeResult::Won } else { HedgeResult::Failed };
        self.attempt_log.hedge = Some(end);
        self.note(&error, class);
        if class == FailureClass::UNFIT {
            self.in_flight.unsent();
        } else {
            self.made(began, error.attempt_code());
            self.attempt_log.goes_on(Continuation::Retry(RetryReason::of(class)));
            self.attempt_log.attempts += 1;
            self.attempts = self.attempts.saturating_add(1);
        }
        self.tried.add(self.at);
        let began = leg.began;
        self.moves_to(leg);
        Tried { result, began, earlier: Some(error) }
    }

    /// The second call failed; the first goes on.
    fn second_failed<E: Classify + Display>(&mut self, mut leg: Leg, error: &E) {
        self.attempt_log.hedge = Some(HedgeResult::Failed);
        let class = error.class(self.terms.kind);
        self.exchange(&mut leg);
        self.note(error, class);
        self.tried.add(self.at);
        if class == FailureClass::UNFIT {
            self.in_flight.unsent();
            self.group.hedging.give_back();
        } else {
            self.made(leg.began, error.attempt_code());
            self.attempt_log.attempts += 1;
        }
        self.exchange(&mut leg);
    }

    /// A limit of the caller leaves no room for the second call.
    fn not_permitted(&mut self, mut leg: Leg) {
        self.attempt_log.hedge = Some(HedgeResult::Refused);
        self.group.hedging.give_back();
        leg.in_flight.unsent();
    }

    /// Records the call of the current target as given up.
    fn cancelled(&mut self, began: Instant) {
        self.made(began, AttemptCode::Cancelled);
        self.in_flight.outrun(Timestamp::now());
        if let Some(hedge) = &self.group.balance.hedge {
            self.group.hedging.waited(hedge, began.elapsed());
        }
    }

    fn exchange(&mut self, leg: &mut Leg) {
        std::mem::swap(&mut self.at, &mut leg.at);
        std::mem::swap(&mut self.target, &mut leg.target);
        std::mem::swap(&mut self.in_flight, &mut leg.in_flight);
    }

    fn moves_to(&mut self, mut leg: Leg) {
        self.exchange(&mut leg);
        self.names_target();
    }
}
