//! Health of one target: in-flight calls, latency, throttling, failures, and the used part of its quota.
//! All workers share it without blocking: every field is an atomic. It survives a reload if the target
//! does.

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

/// Models of one account that are tracked separately; names made up by callers must not fill the memory.
const LIMIT: usize = 1024;
/// A new sample of the latency has a weight of one eighth.
const SMOOTHING: u64 = 8;
/// Microseconds that each penalty level adds to the expected wait.
const PENALTY: u64 = 1_000_000;
/// Expected wait of a call before the first answer, in microseconds.
const UNKNOWN: u64 = 1_000_000;
/// Default quotas for comparing targets without their own.
const NOMINAL_RPM: u64 = 1_000;
const NOMINAL_TPM: u64 = 1_000_000;

/// The health of one target.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    in_flight: AtomicU32,
    /// Smoothed time to the first byte, in microseconds; 0 before the first answer.
    latency: AtomicU64,
    throttle: Throttle,
    breaker: Breaker,
    /// Whether a probe is in flight.
    probed: AtomicBool,
    requests: Meter,
    tokens: Meter,
}

/// Whether a target should be called; its health state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Healthy.
    Sound,
    /// Not healthy before; one call may probe it now.
    Due,
    /// It throttles.
    Throttled,
    /// It fails; the circuit breaker is open.
    Failing,
}

/// The role of a call for its target's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A normal call.
    Usual,
    /// Probes whether the target is healthy again; one at a time.
    Probe,
    /// Made although the target is not healthy, because no better target exists.
    Despite,
}

/// Requests and tokens that a target accepts per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) rpm: Option<NonZeroU32>,
    pub(crate) tpm: Option<NonZeroU64>,
}

/// A snapshot of a target's health, for display.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gauges {
    pub(crate) in_flight: u32,
    /// Smoothed time to the first byte.
    pub(crate) latency: Duration,
    pub(crate) standing: Standing,
    /// Consecutive throttled calls, approximately.
    pub(crate) throttle_level: u64,
}

/// The party at fault for a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The request, the client or the configuration, not the target.
    Nobody,
    /// The target is overloaded, and may say for how long.
    Throttled(Option<Duration>),
    /// The target, or the connection to it.
    Target,
}

impl Vitals {
    /// The health state. Without a cooldown setting, a target never counts as failing, even if other names
    /// that do have one opened its breaker.
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

    /// Claims the probe of a target that is due. The claim lasts until the probe has reported a result or
    /// ended: however long that takes, no second probe is sent.
    pub(crate) fn claim(&self, now: Moment, cooldown: Option<&Cooldown>) -> bool {
        if self.standing(now, cooldown) != Standing::Due || self.probed.swap(true, Ordering::AcqRel)
        {
            return false;
        }
        // Another worker's probe may have finished between the check and the claim.
        let is_due = match (self.gate(now, cooldown), self.throttle.penalty(now)) {
            (Gate::Open, _) | (_, Penalty::Held) | (Gate::Closed, Penalty::None) => false,
            (Gate::Due, _) | (_, Penalty::Due) => true,
        };
        if !is_due {
            self.released();
        }
        is_due
    }

    /// Releases the probe: its call has reported a result, ended without one, or was not made.
    pub(crate) fn released(&self) {
        self.probed.store(false, Ordering::Release);
    }

    /// Calls in flight.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Expected wait of a call, in microseconds: time to the first byte including penalties, multiplied by
    /// the number of waiting calls.
    pub(crate) fn expected_wait(&self) -> u64 {
        let penalty = self.throttle.level().saturating_mul(PENALTY);
        let in_flight = u64::from(self.in_flight());
        match self.latency.load(Ordering::Relaxed) {
            // An unmeasured target counts as fast only until it has a call in flight.
            0 => UNKNOWN.saturating_mul(in_flight).saturating_add(penalty),
            latency => latency.saturating_add(penalty).saturating_mul(in_flight + 1),
        }
    }

    /// Whether a call of this many tokens fits the quota.
    pub(crate) fn has_room(&self, now: Moment, quota: Quota, tokens: u64) -> bool {
        quota.rpm.is_none_or(|rpm| self.requests.fits(now, 1, u64::from(rpm.get())))
            && quota.tpm.is_none_or(|tpm| self.tokens.fits(now, tokens, tpm.get()))
    }

    /// Unused part of a minute's quota, in microseconds; the smaller of requests and tokens, if both have
    /// quotas.
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

/// An in-flight call. However it ends, the target's gauge is decremented; a call dropped because its client
/// left does not affect the target's health.
#[derive(Debug)]
pub(crate) struct Flight {
    vitals: Arc<Vitals>,
    errand: Errand,
    quota: Quota,
    cooldown: Option<Cooldown>,
    /// Tokens reserved.
    reserved: u64,
    began: Moment,
    stage: Stage,
}

/// The settings of a call, for another call to the same target.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    vitals: Arc<Vitals>,
    quota: Quota,
    cooldown: Option<Cooldown>,
    tokens: u64,
}

impl Path {
    /// Begins another call, which is sent at once.
    pub(crate) fn again(&self, now: Moment) -> Flight {
        let Self { vitals, quota, cooldown, tokens } = self;
        let mut flight = Flight::begin(vitals, now, Errand::Usual, *quota, *cooldown, *tokens);
        flight.sent(now);
        flight
    }
}

/// Progress of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not sent to its target yet.
    Ready,
    /// Sent, without a response yet.
    Sent,
    Answered,
    /// Failed, with a consequence for the target's health.
    Failed,
}

impl Flight {
    /// Begins a call and reserves its tokens: at most the whole quota.
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

    /// The settings of this call, for another one.
    pub(crate) fn path(&self) -> Path {
        let vitals = Arc::clone(&self.vitals);
        Path { vitals, quota: self.quota, cooldown: self.cooldown, tokens: self.reserved }
    }

    /// Marks the call as sent now: from here on it counts against the quota, and the wait for its answer is
    /// measured.
    pub(crate) fn sent(&mut self, now: Moment) {
        self.stage = Stage::Sent;
        self.began = now;
    }

    /// Marks the call as not sent after all: no target was called and no quota was used.
    pub(crate) fn unsent(&mut self) {
        self.stage = Stage::Ready;
        self.release();
    }

    /// Records the first byte of an answer.
    pub(crate) fn answered(&mut self, now: Moment) {
        self.vitals.answered(now.since(self.began));
        self.heard(now);
    }

    /// Records an answer whose latency does not predict the next one.
    pub(crate) fn heard(&mut self, now: Moment) {
        self.stage = Stage::Answered;
        self.tell_well(now);
    }

    fn tell_well(&mut self, now: Moment) {
        self.vitals.throttle.succeeded(now, self.errand);
        if let Some(cooldown) = &self.cooldown {
            self.vitals.breaker.succeeded(now, self.errand, cooldown);
        }
        // The probe has its result; the end of its answer is recorded like that of any other call.
        self.release();
    }

    /// Records a justified refusal: no quota was used. If the call was a probe, the target is healthy.
    pub(crate) fn refused(&mut self, now: Moment) {
        self.settle(0);
        self.stage = Stage::Failed;
        if self.errand == Errand::Probe {
            self.tell_well(now);
        }
    }

    /// Records a failure before or during the answer; `true` if it opened the breaker.
    pub(crate) fn failed(&mut self, now: Moment, blame: Blame) -> bool {
        let answered = self.stage == Stage::Answered;
        match blame {
            // A refused call uses no quota.
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

    /// Releases the probe if this call holds it.
    fn release(&mut self) {
        if self.errand == Errand::Probe {
            self.errand = Errand::Usual;
            self.vitals.released();
        }
    }

    /// Replaces the reservation by the tokens actually used.
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

/// The targets of one account, by model. Reads take no lock; each model is written once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ward(Arc<ArcSwap<HashMap<String, Arc<Vitals>>>>);

impl Ward {
    /// The health of a model.
    pub(crate) fn of(&self, model_id: &str) -> Arc<Vitals> {
        if let Some(vitals) = self.0.load().get(model_id) {
            return Arc::clone(vitals);
        }
        let fresh = Arc::new(Vitals::default());
        let now = Moment::now();
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() >= LIMIT {
                // Removable: healthy entries that only these two maps hold.
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

    /// The health of every model called so far.
    pub(crate) fn gauges(&self, now: Moment) -> Vec<(String, Gauges)> {
        let known = self.0.load();
        known.iter().map(|(model, vitals)| (model.clone(), vitals.gauges(now))).collect()
    }
}

#[cfg(test)]
mod tests;
