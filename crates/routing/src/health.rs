//! Health of one target: in-flight calls, latency, throttling, failures, and the used part of its quota.
//! All workers share it without blocking: every field is an atomic. It survives a reload if the target
//! does.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use access::limit::RateState;
use arc_swap::ArcSwap;

use super::clock::{Timestamp, micros};
use super::settings::Cooldown;

mod breaker;
mod rate_meter;
mod throttle;

pub(super) use throttle::FIRST as FIRST_PENALTY;

use breaker::{Breaker, FailedCall, Gate};
use rate_meter::RateMeter;
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
pub struct TargetHealth {
    in_flight: AtomicU32,
    /// Smoothed time to the first byte, in microseconds; 0 before the first answer.
    latency: AtomicU64,
    throttle: Throttle,
    breaker: Breaker,
    /// Whether a probe is in flight.
    probed: AtomicBool,
    requests: RateMeter,
    tokens: RateMeter,
}

/// Whether a target should be called; its health state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HealthState {
    /// Healthy.
    Healthy,
    /// Not healthy before; one call may probe it now.
    Probing,
    /// It throttles.
    Throttled,
    /// It fails; the circuit breaker is open.
    Open,
}

/// The role of a call for its target's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallRole {
    /// A normal call.
    Normal,
    /// Probes whether the target is healthy again; one at a time.
    Probe,
    /// Made although the target is not healthy, because no better target exists.
    LastResort,
}

/// Requests and tokens that a target accepts per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Requests.
    pub rpm: Option<NonZeroU32>,
    /// Tokens.
    pub tpm: Option<NonZeroU64>,
}

/// A snapshot of a target's health, for display.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauges {
    /// Calls in flight.
    pub in_flight: u32,
    /// Smoothed time to the first byte.
    pub latency: Duration,
    /// Its state.
    pub standing: HealthState,
    /// Consecutive throttled calls, approximately.
    pub throttle_level: u64,
}

/// The party at fault for a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request, the client or the configuration, not the target.
    Nobody,
    /// The target is overloaded, and may say for how long.
    Throttled(Option<Duration>),
    /// The target, or the connection to it.
    Target,
}

impl TargetHealth {
    /// The health state. Without a cooldown setting, a target never counts as failing, even if other names
    /// that do have one opened its breaker.
    pub fn standing(&self, now: Timestamp, cooldown: Option<&Cooldown>) -> HealthState {
        let probed = self.probed.load(Ordering::Acquire);
        match (self.gate(now, cooldown), self.throttle.penalty(now)) {
            (Gate::Open, _) => HealthState::Open,
            (_, Penalty::Held) => HealthState::Throttled,
            (Gate::Due, _) if probed => HealthState::Open,
            (Gate::Closed, Penalty::Due) if probed => HealthState::Throttled,
            (Gate::Due, _) | (_, Penalty::Due) => HealthState::Probing,
            (Gate::Closed, Penalty::None) => HealthState::Healthy,
        }
    }

    /// Claims the probe of a target that is due. The claim lasts until the probe has reported a result or
    /// ended: however long that takes, no second probe is sent.
    pub fn claim(&self, now: Timestamp, cooldown: Option<&Cooldown>) -> bool {
        if self.standing(now, cooldown) != HealthState::Probing
            || self.probed.swap(true, Ordering::AcqRel)
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
    pub fn released(&self) {
        self.probed.store(false, Ordering::Release);
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Expected wait of a call, in microseconds: time to the first byte including penalties, multiplied by
    /// the number of waiting calls.
    pub fn expected_wait(&self) -> u64 {
        let penalty = self.throttle.level().saturating_mul(PENALTY);
        let in_flight = u64::from(self.in_flight());
        match self.latency.load(Ordering::Relaxed) {
            // An unmeasured target counts as fast only until it has a call in flight.
            0 => UNKNOWN.saturating_mul(in_flight).saturating_add(penalty),
            latency => latency.saturating_add(penalty).saturating_mul(in_flight + 1),
        }
    }

    /// Whether a call of this many tokens fits the quota.
    pub fn has_room(&self, now: Timestamp, quota: Quota, tokens: u64) -> bool {
        quota.rpm.is_none_or(|rpm| self.requests.fits(now, 1, u64::from(rpm.get())))
            && quota.tpm.is_none_or(|tpm| self.tokens.fits(now, tokens, tpm.get()))
    }

    /// Unused part of a minute's quota, in microseconds; the smaller of requests and tokens, if both have
    /// quotas.
    pub fn room(&self, now: Timestamp, quota: Quota) -> i64 {
        match (quota.rpm, quota.tpm) {
            (Some(_), None) => self.requests.left(now),
            (None, Some(_)) => self.tokens.left(now),
            (Some(_), Some(_)) | (None, None) => self.requests.left(now).min(self.tokens.left(now)),
        }
    }

    /// The quotas that the operator set, as headers state them.
    fn quota_left(&self, now: Timestamp, quota: Quota) -> QuotaLeft {
        QuotaLeft {
            requests: quota.rpm.map(|rpm| self.requests.state(now, u64::from(rpm.get()))),
            tokens: quota.tpm.map(|tpm| self.tokens.state(now, tpm.get())),
        }
    }

    pub fn gauges(&self, now: Timestamp) -> Gauges {
        Gauges {
            in_flight: self.in_flight(),
            latency: Duration::from_micros(self.latency.load(Ordering::Relaxed)),
            standing: self.standing(now, Some(&Cooldown::default())),
            throttle_level: self.throttle.level(),
        }
    }

    fn gate(&self, now: Timestamp, cooldown: Option<&Cooldown>) -> Gate {
        cooldown.map_or(Gate::Closed, |_| self.breaker.gate(now))
    }

    /// Records a wait that was longer than this.
    fn waited_at_least(&self, wait: Duration) {
        if micros(wait) > self.latency.load(Ordering::Relaxed) {
            self.answered(wait);
        }
    }

    fn answered(&self, wait: Duration) {
        let sample = micros(wait).max(1);
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |had| {
            let smoothed = had - had / SMOOTHING + sample / SMOOTHING;
            Some(if had == 0 { sample } else { smoothed.max(1) })
        });
    }
}

/// Remaining quotas of a target; `None` for one that the operator did not set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuotaLeft {
    /// Requests of a minute.
    pub requests: Option<RateState>,
    /// Tokens of a minute.
    pub tokens: Option<RateState>,
}

/// An in-flight call. However it ends, the target's gauge is decremented; a call dropped because its client
/// left does not affect the target's health.
#[derive(Debug)]
pub struct InFlight {
    health: Arc<TargetHealth>,
    role: CallRole,
    quota: Quota,
    cooldown: Option<Cooldown>,
    /// Tokens reserved.
    reserved: u64,
    began: Timestamp,
    stage: Stage,
}

/// The settings of a call, for another call to the same target.
#[derive(Debug, Clone)]
pub struct InFlightTemplate {
    health: Arc<TargetHealth>,
    quota: Quota,
    cooldown: Option<Cooldown>,
    tokens: u64,
}

impl InFlightTemplate {
    /// Begins another call, which is sent at once.
    pub fn again(&self, now: Timestamp) -> InFlight {
        let Self { health, quota, cooldown, tokens } = self;
        let mut in_flight =
            InFlight::begin(health, now, CallRole::Normal, (*quota, *cooldown), *tokens);
        in_flight.sent(now);
        in_flight
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

impl InFlight {
    /// Begins a call and reserves its tokens: at most the whole quota.
    pub fn begin(
        health: &Arc<TargetHealth>,
        now: Timestamp,
        role: CallRole,
        limits: (Quota, Option<Cooldown>),
        tokens: u64,
    ) -> Self {
        let (quota, cooldown) = limits;
        let reserved = tokens.min(tokens_of(quota));
        health.in_flight.fetch_add(1, Ordering::Relaxed);
        health.requests.take(now, 1, requests_of(quota));
        health.tokens.take(now, reserved, tokens_of(quota));
        let health = Arc::clone(health);
        Self { health, role, quota, cooldown, reserved, began: now, stage: Stage::Ready }
    }

    /// The settings of this call, for another one.
    pub fn path(&self) -> InFlightTemplate {
        let health = Arc::clone(&self.health);
        InFlightTemplate {
            health,
            quota: self.quota,
            cooldown: self.cooldown,
            tokens: self.reserved,
        }
    }

    /// Marks the call as sent now: from here on it counts against the quota, and the wait for its answer is
    /// measured.
    pub fn sent(&mut self, now: Timestamp) {
        self.stage = Stage::Sent;
        self.began = now;
    }

    /// Remaining quotas of the target, after this call.
    pub fn quota_left(&self, now: Timestamp) -> QuotaLeft {
        self.health.quota_left(now, self.quota)
    }

    /// Marks the call as not sent after all: no target was called and no quota was used.
    pub fn unsent(&mut self) {
        self.stage = Stage::Ready;
        self.release();
    }

    /// Records the first byte of an answer.
    pub fn answered(&mut self, now: Timestamp) {
        self.health.answered(now.since(self.began));
        self.heard(now);
    }

    /// Records that another call's answer came first, for which this one is given up: no failure, and the wait
    /// so far is a lower bound of its latency.
    pub fn outrun(&mut self, now: Timestamp) {
        self.health.waited_at_least(now.since(self.began));
    }

    /// Records an answer whose latency does not predict the next one.
    pub fn heard(&mut self, now: Timestamp) {
        self.stage = Stage::Answered;
        self.tell_well(now);
    }

    fn tell_well(&mut self, now: Timestamp) {
        self.health.throttle.succeeded(now, self.role);
        if let Some(cooldown) = &self.cooldown {
            self.health.breaker.succeeded(now, self.role, cooldown);
        }
        // The probe has its result; the end of its answer is recorded like that of any other call.
        self.release();
    }

    /// Records a justified refusal: no quota was used. If the call was a probe, the target is healthy.
    pub fn refused(&mut self, now: Timestamp) {
        self.settle(0);
        self.stage = Stage::Failed;
        if self.role == CallRole::Probe {
            self.tell_well(now);
        }
    }

    /// Records a failure before or during the answer; `true` if it opened the breaker.
    pub fn failed(&mut self, now: Timestamp, fault: Fault) -> bool {
        let answered = self.stage == Stage::Answered;
        match fault {
            // A refused call uses no quota.
            Fault::Nobody | Fault::Throttled(_) if !answered => self.settle(0),
            Fault::Nobody | Fault::Throttled(_) | Fault::Target => {}
        }
        match (fault, &self.cooldown) {
            (Fault::Nobody, _) => false,
            (Fault::Throttled(asked), _) => {
                self.stage = Stage::Failed;
                self.health.throttle.throttled(now, asked);
                self.release();
                false
            }
            (Fault::Target, cooldown) => {
                self.stage = Stage::Failed;
                let call = FailedCall { began: self.began, role: self.role, answered };
                let breaker = &self.health.breaker;
                let opened =
                    cooldown.as_ref().is_some_and(|cooldown| breaker.failed(now, call, cooldown));
                self.release();
                opened
            }
        }
    }

    /// Releases the probe if this call holds it.
    fn release(&mut self) {
        if self.role == CallRole::Probe {
            self.role = CallRole::Normal;
            self.health.released();
        }
    }

    /// Replaces the reservation by the tokens actually used.
    pub fn settle(&mut self, used: u64) {
        let a_minute = tokens_of(self.quota);
        if used > self.reserved {
            self.health.tokens.take(self.began, used - self.reserved, a_minute);
        } else {
            self.health.tokens.give_back(self.reserved - used, a_minute);
        }
        self.reserved = used;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.stage == Stage::Ready {
            self.settle(0);
            self.health.requests.give_back(1, requests_of(self.quota));
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
pub(crate) struct HealthRegistry(Arc<ArcSwap<HashMap<String, Arc<TargetHealth>>>>);

impl HealthRegistry {
    /// The health of a model.
    pub(crate) fn of(&self, model_id: &str) -> Arc<TargetHealth> {
        if let Some(health) = self.0.load().get(model_id) {
            return Arc::clone(health);
        }
        let fresh = Arc::new(TargetHealth::default());
        let now = Timestamp::now();
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() >= LIMIT {
                // Removable: healthy entries that only these two maps hold.
                let matters = |health: &Arc<TargetHealth>| {
                    Arc::strong_count(health) > 2
                        || health.standing(now, Some(&Cooldown::default())) != HealthState::Healthy
                };
                known.retain(|_, health| matters(health));
            }
            if known.len() < LIMIT {
                known.entry(model_id.to_owned()).or_insert_with(|| Arc::clone(&fresh));
            }
            Arc::new(known)
        });
        self.0.load().get(model_id).cloned().unwrap_or(fresh)
    }

    /// The health of every model called so far.
    pub(crate) fn gauges(&self, now: Timestamp) -> Vec<(String, Gauges)> {
        let known = self.0.load();
        known.iter().map(|(model, health)| (model.clone(), health.gauges(now))).collect()
    }
}

#[cfg(test)]
mod tests;
