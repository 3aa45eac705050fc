//! Selects one of several targets. Only targets of the best rank are considered; among them the strategy
//! decides. Selection allocates no memory and takes no lock: it costs some tens of nanoseconds.

use std::sync::Arc;

use super::clock::Timestamp;
use super::health::{CallRole, HealthState, Quota, TargetHealth};
use super::settings::{Balance, Strategy, Weight};
use super::weighted::{WeightedChoice, chance};

/// In-flight calls that are never too many for one target.
const CROWD: u64 = 8;

/// The properties of a target that selection uses.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) weight: Weight,
    pub(super) order: u32,
    pub(super) quota: Quota,
    /// Most tokens of an answer, where a request does not say.
    pub(super) writes: Option<u64>,
    pub(super) health: Arc<TargetHealth>,
    /// Distinguishes targets for affinity; the same after a restart.
    pub(super) mark: u64,
}

/// The inputs of a selection besides the targets.
#[derive(Debug, Clone, Copy)]
pub(super) struct SelectionInput {
    pub(super) now: Timestamp,
    /// Targets that this call has failed at, one bit each.
    pub(super) tried: TriedTargets,
    /// Targets that accept the conversation's past reasoning; if empty, all are alike.
    pub(super) home: TriedTargets,
    /// Tokens that the call may use.
    pub(super) tokens: Tokens,
    /// Calls with the same key stay with one target.
    pub(super) key: Option<u64>,
}

/// Tokens of a call, as far as they can be estimated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens that the model reads.
    pub read: u64,
    /// Most tokens that it may write, if the request says.
    pub written: Written,
}

/// Most tokens that a model may write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Written {
    /// So many.
    UpTo(u64),
    /// The request says nothing: what the target's parameters say, else so many.
    Otherwise(u64),
    /// It writes nothing.
    #[default]
    Nothing,
}

impl Tokens {
    /// Tokens of a call whose answer has none.
    pub fn read(read: u64) -> Self {
        Self { read, written: Written::Nothing }
    }

    /// Tokens that the call may use at a target.
    pub(super) fn at(self, seat: &Candidate) -> u64 {
        let written = match self.written {
            Written::UpTo(most) => most,
            Written::Otherwise(most) => seat.writes.unwrap_or(most),
            Written::Nothing => 0,
        };
        self.read.saturating_add(written)
    }
}

/// A set of target positions. Above 64, positions share bits (n and n + 64): after a failure of one, the
/// others are called last, and a call that no target can serve still ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TriedTargets(u64);

/// A selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) at: usize,
    pub(super) role: CallRole,
    pub(super) why: SelectionReason,
}

/// The reason for a selection, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SelectionReason {
    Only,
    Probe,
    Affinity,
    Strategy(Strategy),
    /// No other target is in a better health state.
    LeastBad(HealthState),
    /// All targets are beyond their quotas.
    MostRoom,
}

impl SelectionReason {
    /// Whether one of several targets was selected that is healthy and within its quotas.
    pub(super) fn is_healthy(self) -> bool {
        match self {
            Self::Affinity | Self::Strategy(_) => true,
            Self::Only | Self::Probe | Self::LeastBad(_) | Self::MostRoom => false,
        }
    }
}

impl SelectionInput {
    /// A call without known properties.
    pub(super) fn at(now: Timestamp) -> Self {
        let (tried, home) = (TriedTargets::default(), TriedTargets::default());
        Self { now, tried, home, tokens: Tokens::default(), key: None }
    }
}

impl TriedTargets {
    pub(super) fn add(&mut self, at: usize) {
        self.0 |= bit(at);
    }

    pub(super) fn holds(self, at: usize) -> bool {
        self.0 & bit(at) != 0
    }

    /// Whether a call with these home targets would be away from home at a target.
    pub(super) fn is_away(self, at: usize) -> bool {
        !self.is_empty() && !self.holds(at)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn bit(at: usize) -> u64 {
    1 << (at % 64)
}

/// Selects a target. `None` only if there are no targets.
pub(super) fn select(
    seats: &[Candidate],
    choice: &WeightedChoice,
    balance: &Balance,
    asked: SelectionInput,
) -> Option<Selection> {
    if seats.len() < 2 {
        let seat = seats.first()?;
        return Some(Selection {
            at: 0,
            role: alone(seat, balance, asked),
            why: SelectionReason::Only,
        });
    }
    if let Some(pick) = probe(seats, balance, asked) {
        return Some(pick);
    }
    let ranks = seats.iter().enumerate().map(|(at, seat)| (rank(at, seat, balance, asked), at));
    let (best, first) = ranks.min()?;
    let among = BestCandidates { seats, best, balance, asked };
    let at = match (best.standing, best.beyond_quota, asked.key) {
        (HealthState::Healthy, true, _) => {
            among.most(|seat| seat.health.room(asked.now, seat.quota))
        }
        (HealthState::Healthy, false, Some(key)) => among.faithful(key),
        _ => among.by(balance.strategy, choice),
    };
    // Concurrent changes by other workers may have left no target of that rank.
    let at = at.unwrap_or(first);
    let (role, why) = match (best.standing, best.beyond_quota, asked.key) {
        (HealthState::Healthy, true, _) => (CallRole::Normal, SelectionReason::MostRoom),
        (HealthState::Healthy, false, Some(_)) => (CallRole::Normal, SelectionReason::Affinity),
        (HealthState::Healthy, false, None) => {
            (CallRole::Normal, SelectionReason::Strategy(balance.strategy))
        }
        (standing, ..) => (CallRole::LastResort, SelectionReason::LeastBad(standing)),
    };
    Some(Selection { at, role, why })
}

/// The role of a call to the only target.
fn alone(seat: &Candidate, balance: &Balance, asked: SelectionInput) -> CallRole {
    let cooldown = balance.cooldown.as_ref();
    match seat.health.standing(asked.now, cooldown) {
        HealthState::Healthy => CallRole::Normal,
        HealthState::Probing
            if asked.tried.is_empty() && seat.health.claim(asked.now, cooldown) =>
        {
            CallRole::Probe
        }
        HealthState::Probing | HealthState::Throttled | HealthState::Open => CallRole::LastResort,
    }
}

/// Probes a target whose cooldown or penalty has passed with the next call that has not failed yet: left to
/// the strategy, some targets would never be called again.
fn probe(seats: &[Candidate], balance: &Balance, asked: SelectionInput) -> Option<Selection> {
    if !asked.tried.is_empty() {
        return None;
    }
    let cooldown = balance.cooldown.as_ref();
    let standing = |seat: &Candidate| seat.health.standing(asked.now, cooldown);
    let due = seats
        .iter()
        .enumerate()
        // A conversation with past reasoning is not used as a probe elsewhere.
        .filter(|(at, seat)| {
            let is_due = seat.weight.0 > 0 && standing(seat) == HealthState::Probing;
            is_due && !asked.home.is_away(*at)
        });
    // A target of a higher order is called only while those of lower orders are unhealthy.
    let first = || {
        let sound = seats.iter().filter(|seat| standing(seat) == HealthState::Healthy);
        sound.map(|seat| seat.order).min().unwrap_or(u32::MAX)
    };
    for (at, seat) in due {
        if seat.order <= first() && seat.health.claim(asked.now, cooldown) {
            return Some(Selection { at, role: CallRole::Probe, why: SelectionReason::Probe });
        }
    }
    None
}

/// Selection criteria that precede the strategy; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    weightless: bool,
    tried: bool,
    standing: HealthState,
    away: bool,
    beyond_quota: bool,
    order: u32,
}

fn rank(at: usize, seat: &Candidate, balance: &Balance, asked: SelectionInput) -> Rank {
    let standing = match seat.health.standing(asked.now, balance.cooldown.as_ref()) {
        HealthState::Healthy => HealthState::Healthy,
        // Its only probe is in flight, or this call has failed once already.
        HealthState::Probing | HealthState::Throttled => HealthState::Throttled,
        HealthState::Open => HealthState::Open,
    };
    Rank {
        weightless: seat.weight.0 == 0,
        tried: asked.tried.holds(at),
        standing,
        away: asked.home.is_away(at),
        beyond_quota: !seat.health.has_room(asked.now, seat.quota, asked.tokens.at(seat)),
        order: seat.order,
    }
}

/// The targets of the best rank.
struct BestCandidates<'s> {
    seats: &'s [Candidate],
    best: Rank,
    balance: &'s Balance,
    asked: SelectionInput,
}

impl BestCandidates<'_> {
    fn by(&self, strategy: Strategy, choice: &WeightedChoice) -> Option<usize> {
        match strategy {
            // Retries do not advance the weighted selection, or a failing target would get more than its
            // share of first attempts.
            Strategy::Weighted | Strategy::Order if !self.asked.tried.is_empty() => {
                self.weighted(chance)
            }
            Strategy::Weighted | Strategy::Order => self.weighted(|total| choice.point(total)),
            Strategy::LeastBusy => self.least(choice, |seat| {
                // Calls per unit of weight, in thousandths.
                (u64::from(seat.health.in_flight()) * 1_000_000) / u64::from(seat.weight.0.max(1))
            }),
            Strategy::Latency => {
                // The better of two random targets: always choosing the fastest would send all calls to it.
                let one = self.weighted(|total| choice.point(total))?;
                let other = self.weighted(chance)?;
                let wait = |at: usize| self.seats.get(at).map(|seat| seat.health.expected_wait());
                Some(if wait(other) < wait(one) { other } else { one })
            }
            Strategy::Usage => self.most(|seat| seat.health.room(self.asked.now, seat.quota)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Candidate)> {
        let seats = self.seats.iter().enumerate();
        seats.filter(|(at, seat)| rank(*at, seat, self.balance, self.asked) == self.best)
    }

    /// Selects by weight, at the point that `at` gives below the total weight.
    fn weighted(&self, at: impl FnOnce(u64) -> u64) -> Option<usize> {
        let total = self.iter().map(|(_, seat)| u64::from(seat.weight.0)).sum();
        let mut point = at(total);
        let mut seats = self.iter().peekable();
        let first = seats.peek().map(|(at, _)| *at);
        let found = seats.find(|(_, seat)| {
            let weight = u64::from(seat.weight.0);
            let within = point < weight;
            point = point.saturating_sub(weight);
            within
        });
        found.map(|(at, _)| at).or(first)
    }

    /// The target with the least of a measure; weights decide among equals.
    fn least(&self, choice: &WeightedChoice, of: impl Fn(&Candidate) -> u64) -> Option<usize> {
        let least = self.iter().map(|(_, seat)| of(seat)).min()?;
        let equals = self.iter().filter(|(_, seat)| of(seat) <= least);
        let total = equals.map(|(_, seat)| u64::from(seat.weight.0)).sum();
        let mut point = choice.point(total);
        let mut equals = self.iter().filter(|(_, seat)| of(seat) <= least);
        let found = equals.find(|(_, seat)| {
            let weight = u64::from(seat.weight.0);
            let within = point < weight;
            point = point.saturating_sub(weight);
            within
        });
        found.or_else(|| self.iter().next()).map(|(at, _)| at)
    }

    fn most(&self, of: impl Fn(&Candidate) -> i64) -> Option<usize> {
        self.iter().max_by_key(|(at, seat)| (of(seat), std::cmp::Reverse(*at))).map(|(at, _)| at)
    }

    /// The same target for the same key as long as the set of targets is unchanged; if a target leaves,
    /// only its calls move. Shares follow the weights (weighted rendezvous hashing). A target with far more
    /// than its share in flight is skipped, or one popular key would fill it alone.
    fn faithful(&self, key: u64) -> Option<usize> {
        let sum = |of: fn(&Candidate) -> u64| self.iter().map(|(_, seat)| of(seat)).sum::<u64>();
        let weights = sum(|seat| u64::from(seat.weight.0)).max(1);
        let under_way = sum(|seat| u64::from(seat.health.in_flight()));
        let has_room = |seat: &Candidate| {
            let share = under_way.saturating_mul(u64::from(seat.weight.0)) / weights;
            u64::from(seat.health.in_flight()) <= CROWD + 2 * share
        };
        let score = |seat: &Candidate| {
            // In (0, 1], with 53 bits.
            #[allow(clippy::cast_precision_loss)]
            let part = ((mixed(key ^ seat.mark) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            f64::from(seat.weight.0) / -part.ln()
        };
        let best = self.iter().max_by(|(_, one), (_, other)| {
            has_room(one).cmp(&has_room(other)).then(score(one).total_cmp(&score(other)))
        });
        best.map(|(at, _)| at)
    }
}

/// Every bit of the result depends on every bit of `x`.
pub(super) fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
