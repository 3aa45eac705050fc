//! Which of several targets a call goes to. Only those in the best standing are looked at; among them
//! the strategy decides. Nothing is allocated and nothing is locked: a choice costs some tens of
//! nanoseconds.

use std::sync::Arc;

use super::choice::{Choice, chance};
use super::moment::Moment;
use super::settings::{Balance, Strategy, Weight};
use super::vitals::{Errand, Quota, Standing, Vitals};

/// Calls under way that are never too many for one target.
const CROWD: u64 = 8;

/// A target, as far as choosing goes.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) weight: Weight,
    pub(super) order: u32,
    pub(super) quota: Quota,
    pub(super) vitals: Arc<Vitals>,
    /// Tells targets apart when calls keep to one; the same after a restart.
    pub(super) mark: u64,
}

/// What a choice depends on beside the targets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) now: Moment,
    /// Targets that have failed this call already, one bit each.
    pub(super) tried: Tried,
    /// Targets that take back what the conversation's model thought; with none, all are alike.
    pub(super) home: Tried,
    /// What the call may use.
    pub(super) tokens: u64,
    /// Calls with the same key keep to one target.
    pub(super) key: Option<u64>,
}

/// Positions of targets. Of more than 64, every 64th shares a bit: what one failed, the others are then
/// asked last, but a call that no target can take ends however many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tried(u64);

/// A choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) at: usize,
    pub(super) errand: Errand,
    pub(super) why: Why,
}

/// Why a target was chosen, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Only,
    Probe,
    Affinity,
    Strategy(Strategy),
    /// All others are in no better standing.
    LeastBad(Standing),
    /// All are beyond their quotas.
    MostRoom,
}

impl Asked {
    /// A call of which nothing is known.
    pub(super) fn at(now: Moment) -> Self {
        let (tried, home) = (Tried::default(), Tried::default());
        Self { now, tried, home, tokens: 0, key: None }
    }
}

impl Tried {
    pub(super) fn add(&mut self, at: usize) {
        self.0 |= bit(at);
    }

    pub(super) fn holds(self, at: usize) -> bool {
        self.0 & bit(at) != 0
    }

    /// Whether a call that has these for its home would be away at a target.
    fn is_away(self, at: usize) -> bool {
        !self.is_empty() && !self.holds(at)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn bit(at: usize) -> u64 {
    1 << (at % 64)
}

/// Picks a target. `None` only where there is none.
pub(super) fn pick(
    seats: &[Seat],
    choice: &Choice,
    balance: &Balance,
    asked: Asked,
) -> Option<Pick> {
    if seats.len() < 2 {
        let seat = seats.first()?;
        return Some(Pick { at: 0, errand: alone(seat, balance, asked), why: Why::Only });
    }
    if let Some(pick) = probe(seats, balance, asked) {
        return Some(pick);
    }
    let ranks = seats.iter().enumerate().map(|(at, seat)| (rank(at, seat, balance, asked), at));
    let (best, first) = ranks.min()?;
    let among = Among { seats, best, balance, asked };
    let at = match (best.standing, best.beyond_quota, asked.key) {
        (Standing::Sound, true, _) => among.most(|seat| seat.vitals.room(asked.now, seat.quota)),
        (Standing::Sound, false, Some(key)) => among.faithful(key),
        _ => among.by(balance.strategy, choice),
    };
    // What other workers found out meanwhile may leave none of that rank.
    let at = at.unwrap_or(first);
    let (errand, why) = match (best.standing, best.beyond_quota, asked.key) {
        (Standing::Sound, true, _) => (Errand::Usual, Why::MostRoom),
        (Standing::Sound, false, Some(_)) => (Errand::Usual, Why::Affinity),
        (Standing::Sound, false, None) => (Errand::Usual, Why::Strategy(balance.strategy)),
        (standing, ..) => (Errand::Despite, Why::LeastBad(standing)),
    };
    Some(Pick { at, errand, why })
}

/// What a call is to the only target there is.
fn alone(seat: &Seat, balance: &Balance, asked: Asked) -> Errand {
    let cooldown = balance.cooldown.as_ref();
    match seat.vitals.standing(asked.now, cooldown) {
        Standing::Sound => Errand::Usual,
        Standing::Due if asked.tried.is_empty() && seat.vitals.claim(asked.now, cooldown) => {
            Errand::Probe
        }
        Standing::Due | Standing::Throttled | Standing::Failing => Errand::Despite,
    }
}

/// A target whose time has come is found out about with the next call that has not failed yet: were it
/// left to the strategy, some would never be called again.
fn probe(seats: &[Seat], balance: &Balance, asked: Asked) -> Option<Pick> {
    if !asked.tried.is_empty() {
        return None;
    }
    let cooldown = balance.cooldown.as_ref();
    let standing = |seat: &Seat| seat.vitals.standing(asked.now, cooldown);
    let due = seats
        .iter()
        .enumerate()
        // Thoughts are not risked to find out.
        .filter(|(at, seat)| {
            let is_due = seat.weight.0 > 0 && standing(seat) == Standing::Due;
            is_due && !asked.home.is_away(*at)
        });
    // One of a higher order is called only when those before it are out.
    let first = || {
        let sound = seats.iter().filter(|seat| standing(seat) == Standing::Sound);
        sound.map(|seat| seat.order).min().unwrap_or(u32::MAX)
    };
    for (at, seat) in due {
        if seat.order <= first() && seat.vitals.claim(asked.now, cooldown) {
            return Some(Pick { at, errand: Errand::Probe, why: Why::Probe });
        }
    }
    None
}

/// What is looked at before the strategy is asked; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    weightless: bool,
    tried: bool,
    standing: Standing,
    away: bool,
    beyond_quota: bool,
    order: u32,
}

fn rank(at: usize, seat: &Seat, balance: &Balance, asked: Asked) -> Rank {
    let standing = match seat.vitals.standing(asked.now, balance.cooldown.as_ref()) {
        Standing::Sound => Standing::Sound,
        // Its one probe is under way, or this call has failed once already.
        Standing::Due | Standing::Throttled => Standing::Throttled,
        Standing::Failing => Standing::Failing,
    };
    Rank {
        weightless: seat.weight.0 == 0,
        tried: asked.tried.holds(at),
        standing,
        away: asked.home.is_away(at),
        beyond_quota: !seat.vitals.has_room(asked.now, seat.quota, asked.tokens),
        order: seat.order,
    }
}

/// The targets of the best rank.
struct Among<'s> {
    seats: &'s [Seat],
    best: Rank,
    balance: &'s Balance,
    asked: Asked,
}

impl Among<'_> {
    fn by(&self, strategy: Strategy, choice: &Choice) -> Option<usize> {
        match strategy {
            // Further attempts take no turns, or who fails would get more than its share of first ones.
            Strategy::Weighted | Strategy::Order if !self.asked.tried.is_empty() => {
                self.weighted(chance)
            }
            Strategy::Weighted | Strategy::Order => self.weighted(|total| choice.point(total)),
            Strategy::LeastBusy => self.least(choice, |seat| {
                // Calls for each unit of weight, in thousandths.
                (u64::from(seat.vitals.in_flight()) * 1_000_000) / u64::from(seat.weight.0.max(1))
            }),
            Strategy::Latency => {
                // Two at random, and the better of them: were it the best of all, all would run there.
                let one = self.weighted(|total| choice.point(total))?;
                let other = self.weighted(chance)?;
                let wait = |at: usize| self.seats.get(at).map(|seat| seat.vitals.expected_wait());
                Some(if wait(other) < wait(one) { other } else { one })
            }
            Strategy::Usage => self.most(|seat| seat.vitals.room(self.asked.now, seat.quota)),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &Seat)> {
        let seats = self.seats.iter().enumerate();
        seats.filter(|(at, seat)| rank(*at, seat, self.balance, self.asked) == self.best)
    }

    /// By weight, at the point of all weights that `at` gives.
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

    /// The one with least of something; among equals their weights decide.
    fn least(&self, choice: &Choice, of: impl Fn(&Seat) -> u64) -> Option<usize> {
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

    fn most(&self, of: impl Fn(&Seat) -> i64) -> Option<usize> {
        self.iter().max_by_key(|(at, seat)| (of(seat), std::cmp::Reverse(*at))).map(|(at, _)| at)
    }

    /// The same target for the same key as long as the targets are the same; when one goes, only its
    /// calls move. Shares follow the weights (weighted rendezvous hashing); a target that has far more
    /// than its share under way is passed over, or one key in fashion would fill it alone.
    fn faithful(&self, key: u64) -> Option<usize> {
        let sum = |of: fn(&Seat) -> u64| self.iter().map(|(_, seat)| of(seat)).sum::<u64>();
        let weights = sum(|seat| u64::from(seat.weight.0)).max(1);
        let under_way = sum(|seat| u64::from(seat.vitals.in_flight()));
        let has_room = |seat: &Seat| {
            let share = under_way.saturating_mul(u64::from(seat.weight.0)) / weights;
            u64::from(seat.vitals.in_flight()) <= CROWD + 2 * share
        };
        let score = |seat: &Seat| {
            // In (0, 1], 53 bits of it.
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
