//! How one target is doing: what is under way, how soon it answers, whether it throttles or fails, what
//! of its quota is taken. All workers share it and nobody waits for anybody: every field is an atomic.
//! It outlives a reload for targets that stay.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::moment::{Moment, micros};
use super::settings::Cooldown;

mod breaker;
mod meter;
mod throttle;

pub(super) use throttle::FIRST as FIRST_PENALTY;

use breaker::{Breaker, Call, Gate};
use meter::Meter;
use throttle::{Penalty, Throttle};

/// Models of one account that are kept apart; names that callers make up must not fill the memory.
const LIMIT: usize = 1024;
/// One new answer counts an eighth.
const SMOOTHING: u64 = 8;
/// What each level of a penalty adds to the time a target is thought to need.
const PENALTY: u64 = 1_000_000;
/// What a call is thought to wait, in microseconds, where nobody has been answered yet.
const UNKNOWN: u64 = 1_000_000;
/// Without a quota of their own, targets are compared by these.
const NOMINAL_RPM: u64 = 1_000;
const NOMINAL_TPM: u64 = 1_000_000;

/// The state of one target.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    in_flight: AtomicU32,
    /// Microseconds to the first byte, smoothed; 0 before the first answer.
    latency: AtomicU64,
    throttle: Throttle,
    breaker: Breaker,
    /// Whether the call that finds out about it is under way.
    probed: AtomicBool,
    requests: Meter,
    tokens: Meter,
}

/// Whether a target should be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// As any other.
    Sound,
    /// It was not, and one call may find out whether it is again.
    Due,
    /// It throttles.
    Throttled,
    /// It fails.
    Failing,
}

/// What a call is to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// One among others.
    Usual,
    /// It finds out whether the target is sound again; there is one at a time.
    Probe,
    /// It is made although the target is not sound, for want of a better one.
    Despite,
}

/// What a target may be asked a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) rpm: Option<NonZeroU32>,
    pub(crate) tpm: Option<NonZeroU64>,
}

/// What a target is doing, to be shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gauges {
    pub(crate) in_flight: u32,
    /// To the first byte, smoothed.
    pub(crate) latency: Duration,
    pub(crate) standing: Standing,
    /// How many times in a row it throttled, more or less.
    pub(crate) throttle_level: u64,
}

/// Whose fault it was that a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Not the target's: the question, the client, the configuration.
    Nobody,
    /// The target has too much to do, and may say for how long.
    Throttled(Option<Duration>),
    /// The target, or the way to it.
    Target,
}

impl Vitals {
    /// Without a cooldown nobody is held to be failing, whatever others that have one found out.
    pub(crate) fn standing(&self, now: Moment, cooldown: Option<&Cooldown>) -> Standing {
        let probed = self.probed.load(Ordering::Acquire);
        match (self.gate(now, cooldown), self.throttle.penalty(now)) {
            (Gate::Open, _) => Standing::Failing,
            (_, Penalty::Held) => Standing::Throttled,
            (Gate::Due, _) if probed => Standing::Failing,
            (Gate::Closed, Penalty::Due) if probed => Standing::Throttled,
            (Gate::Due, _) | (_, Penalty::Due) => Standing::Due,
            (Gate::Closed, Penalty::None) => Standing::Sound,
        }
    }

    /// Takes the one call that finds out about a target that is due. Whoever has it keeps it until it has
    /// told something or ended: however long that takes, no second one goes.
    pub(crate) fn claim(&self, now: Moment, cooldown: Option<&Cooldown>) -> bool {
        if self.standing(now, cooldown) != Standing::Due || self.probed.swap(true, Ordering::AcqRel)
        {
            return false;
        }
        // Another may have found out between the look and the claim.
        let is_due = match (self.gate(now, cooldown), self.throttle.penalty(now)) {
            (Gate::Open, _) | (_, Penalty::Held) | (Gate::Closed, Penalty::None) => false,
            (Gate::Due, _) | (_, Penalty::Due) => true,
        };
        if !is_due {
            self.released();
        }
        is_due
    }

    /// The call that was to find out has told, or was not made, or has told nothing.
    pub(crate) fn released(&self) {
        self.probed.store(false, Ordering::Release);
    }

    /// Calls under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Microseconds that a call is thought to wait: time to the first byte, penalties included, times
    /// those that wait already.
    pub(crate) fn expected_wait(&self) -> u64 {
        let penalty = self.throttle.level().saturating_mul(PENALTY);
        let in_flight = u64::from(self.in_flight());
        match self.latency.load(Ordering::Relaxed) {
            // One call finds out; until it has, what is not known to be quick is not held to be.
            0 => UNKNOWN.saturating_mul(in_flight).saturating_add(penalty),
            latency => latency.saturating_add(penalty).saturating_mul(in_flight + 1),
        }
    }

    /// Whether a call of so many tokens is within the quota.
    pub(crate) fn has_room(&self, now: Moment, quota: Quota, tokens: u64) -> bool {
        quota.rpm.is_none_or(|rpm| self.requests.fits(now, 1, u64::from(rpm.get())))
            && quota.tpm.is_none_or(|tpm| self.tokens.fits(now, tokens, tpm.get()))
    }

    /// What is left of a minute's quota, in microseconds of it; of requests and tokens the scarcer, if it
    /// has quotas of both.
    pub(crate) fn room(&self, now: Moment, quota: Quota) -> i64 {
        match (quota.rpm, quota.tpm) {
            (Some(_), None) => self.requests.left(now),
            (None, Some(_)) => self.tokens.left(now),
            (Some(_), Some(_)) | (None, None) => self.requests.left(now).min(self.tokens.left(now)),
        }
    }

    pub(crate) fn gauges(&self, now: Moment) -> Gauges {
        Gauges {
            in_flight: self.in_flight(),
            latency: Duration::from_micros(self.latency.load(Ordering::Relaxed)),
            standing: self.standing(now, Some(&Cooldown::default())),
            throttle_level: self.throttle.level(),
        }
    }

    fn gate(&self, now: Moment, cooldown: Option<&Cooldown>) -> Gate {
        cooldown.map_or(Gate::Closed, |_| self.breaker.gate(now))
    }

    fn answered(&self, wait: Duration) {
        let sample = micros(wait).max(1);
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |had| {
            let smoothed = had - had / SMOOTHING + sample / SMOOTHING;
            Some(if had == 0 { sample } else { smoothed.max(1) })
        });
    }
}

/// One call under way. However it ends, the target's gauge goes down; a call that was dropped, because
/// its client left, says nothing about the target.
#[derive(Debug)]
pub(crate) struct Flight {
    vitals: Arc<Vitals>,
    errand: Errand,
    quota: Quota,
    cooldown: Option<Cooldown>,
    /// Tokens set aside.
    reserved: u64,
    began: Moment,
    stage: Stage,
}

/// How a call went, for another to go the same way.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    vitals: Arc<Vitals>,
    quota: Quota,
    cooldown: Option<Cooldown>,
    tokens: u64,
}

impl Path {
    /// Begins another call, to be sent at once.
    pub(crate) fn again(&self, now: Moment) -> Flight {
        let Self { vitals, quota, cooldown, tokens } = self;
        let mut flight = Flight::begin(vitals, now, Errand::Usual, *quota, *cooldown, *tokens);
        flight.sent(now);
        flight
    }
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not to its target yet.
    Ready,
    /// Nothing has been heard of it.
    Sent,
    Answered,
    /// It told something about its target all the same.
    Failed,
}

impl Flight {
    /// Begins a call, and sets aside what it may use: all of a quota where it may use more.
    pub(crate) fn begin(
        vitals: &Arc<Vitals>,
        now: Moment,
        errand: Errand,
        quota: Quota,
        cooldown: Option<Cooldown>,
        tokens: u64,
    ) -> Self {
        let reserved = tokens.min(tokens_of(quota));
        vitals.in_flight.fetch_add(1, Ordering::Relaxed);
        vitals.requests.take(now, 1, requests_of(quota));
        vitals.tokens.take(now, reserved, tokens_of(quota));
        let vitals = Arc::clone(vitals);
        Self { vitals, errand, quota, cooldown, reserved, began: now, stage: Stage::Ready }
    }

    /// The way it goes.
    pub(crate) fn path(&self) -> Path {
        let vitals = Arc::clone(&self.vitals);
        Path { vitals, quota: self.quota, cooldown: self.cooldown, tokens: self.reserved }
    }

    /// It goes out now: from here on it counts against the quota, and its answer is waited for.
    pub(crate) fn sent(&mut self, now: Moment) {
        self.stage = Stage::Sent;
        self.began = now;
    }

    /// It did not go out after all: nobody was asked, and nothing was used.
    pub(crate) fn unsent(&mut self) {
        self.stage = Stage::Ready;
        self.release();
    }

    /// The first byte of an answer has come.
    pub(crate) fn answered(&mut self, now: Moment) {
        self.vitals.answered(now.since(self.began));
        self.heard(now);
    }

    /// The same for an answer whose wait says nothing about the next.
    pub(crate) fn heard(&mut self, now: Moment) {
        self.stage = Stage::Answered;
        self.tell_well(now);
    }

    fn tell_well(&mut self, now: Moment) {
        self.vitals.throttle.succeeded(now, self.errand);
        if let Some(cooldown) = &self.cooldown {
            self.vitals.breaker.succeeded(now, self.errand, cooldown);
        }
        // What it was to find out is found out; how its answer ends is news like any other.
        self.release();
    }

    /// The target refused the question, and was right to: nothing was used. Where the call was to find out
    /// whether it is well, it is.
    pub(crate) fn refused(&mut self, now: Moment) {
        self.settle(0);
        self.stage = Stage::Failed;
        if self.errand == Errand::Probe {
            self.tell_well(now);
        }
    }

    /// The call failed, before its answer or in the middle of it; `true` if that put its target aside.
    pub(crate) fn failed(&mut self, now: Moment, blame: Blame) -> bool {
        let answered = self.stage == Stage::Answered;
        match blame {
            // What is refused uses nothing.
            Blame::Nobody | Blame::Throttled(_) if !answered => self.settle(0),
            Blame::Nobody | Blame::Throttled(_) | Blame::Target => {}
        }
        match (blame, &self.cooldown) {
            (Blame::Nobody, _) => false,
            (Blame::Throttled(asked), _) => {
                self.stage = Stage::Failed;
                self.vitals.throttle.throttled(now, asked);
                self.release();
                false
            }
            (Blame::Target, cooldown) => {
                self.stage = Stage::Failed;
                let call = Call { began: self.began, errand: self.errand, answered };
                let breaker = &self.vitals.breaker;
                let opened =
                    cooldown.as_ref().is_some_and(|cooldown| breaker.failed(now, call, cooldown));
                self.release();
                opened
            }
        }
    }

    /// Another may find out, where this was the call that was to.
    fn release(&mut self) {
        if self.errand == Errand::Probe {
            self.errand = Errand::Usual;
            self.vitals.released();
        }
    }

    /// What the call has used in truth, in tokens of the quota.
    pub(crate) fn settle(&mut self, used: u64) {
        let a_minute = tokens_of(self.quota);
        if used > self.reserved {
            self.vitals.tokens.take(self.began, used - self.reserved, a_minute);
        } else {
            self.vitals.tokens.give_back(self.reserved - used, a_minute);
        }
        self.reserved = used;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.vitals.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.stage == Stage::Ready {
            self.settle(0);
            self.vitals.requests.give_back(1, requests_of(self.quota));
        }
        self.release();
    }
}

fn requests_of(quota: Quota) -> u64 {
    quota.rpm.map_or(NOMINAL_RPM, |rpm| u64::from(rpm.get()))
}

fn tokens_of(quota: Quota) -> u64 {
    quota.tpm.map_or(NOMINAL_TPM, NonZeroU64::get)
}

/// The targets of one account, by model. Read without a lock, written once a model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ward(Arc<ArcSwap<HashMap<String, Arc<Vitals>>>>);

impl Ward {
    /// The state of a model's calls.
    pub(crate) fn of(&self, model_id: &str) -> Arc<Vitals> {
        if let Some(vitals) = self.0.load().get(model_id) {
            return Arc::clone(vitals);
        }
        let fresh = Arc::new(Vitals::default());
        let now = Moment::now();
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() >= LIMIT {
                // Those nobody holds but these two maps, and of which nothing is to be remembered.
                let matters = |vitals: &Arc<Vitals>| {
                    Arc::strong_count(vitals) > 2
                        || vitals.standing(now, Some(&Cooldown::default())) != Standing::Sound
                };
                known.retain(|_, vitals| matters(vitals));
            }
            if known.len() < LIMIT {
                known.entry(model_id.to_owned()).or_insert_with(|| Arc::clone(&fresh));
            }
            Arc::new(known)
        });
        self.0.load().get(model_id).cloned().unwrap_or(fresh)
    }

    /// Every model called so far and how it is doing.
    pub(crate) fn gauges(&self, now: Moment) -> Vec<(String, Gauges)> {
        let known = self.0.load();
        known.iter().map(|(model, vitals)| (model.clone(), vitals.gauges(now))).collect()
    }
}

#[cfg(test)]
mod tests;
