//! Selections with a test clock: shares, health states, strategies, affinity.

use std::num::{NonZeroU32, NonZeroU64};

use super::*;
use crate::health::{Fault, InFlight};
use crate::settings::Cooldown;

fn at(millis: u64) -> Timestamp {
    Timestamp(millis * 1000)
}

fn seats(weights: &[u32]) -> Vec<Candidate> {
    let seat = |(at, weight): (usize, &u32)| Candidate {
        weight: Weight(*weight),
        order: 0,
        quota: Quota::default(),
        writes: None,
        health: Arc::default(),
        mark: mixed(at as u64 + 1),
    };
    weights.iter().enumerate().map(seat).collect()
}

fn by(strategy: Strategy) -> Balance {
    Balance { strategy, ..Balance::default() }
}

fn counts(
    seats: &[Candidate],
    balance: &Balance,
    asked: SelectionInput,
    calls: usize,
) -> Vec<usize> {
    let choice = WeightedChoice::default();
    let mut counts = vec![0; seats.len()];
    for _ in 0..calls {
        counts[select(seats, &choice, balance, asked).unwrap().at] += 1;
    }
    counts
}

fn fly(seat: &Candidate, now: Timestamp) -> InFlight {
    let cooldown = Some(Cooldown::default());
    let mut in_flight =
        InFlight::begin(&seat.health, now, CallRole::Normal, (seat.quota, cooldown), 1000);
    in_flight.sent(now);
    in_flight
}

fn standing(seat: &Candidate, millis: u64) -> HealthState {
    seat.health.standing(at(millis), Some(&Cooldown::default()))
}

fn breaks(seat: &Candidate, now: Timestamp) {
    for _ in 0..5 {
        fly(seat, now).failed(now, Fault::Target);
    }
}

#[test]
fn calls_are_shared_by_weight() {
    for (weights, expected) in [
        (vec![1000, 1000], vec![500, 500]),
        (vec![3000, 1000], vec![750, 250]),
        (vec![0, 1000, 0], vec![0, 1000, 0]),
        (vec![900, 90, 10], vec![900, 90, 10]),
        (vec![7], vec![1000]),
        (vec![0, 0], vec![1000, 0]),
    ] {
        let seats = seats(&weights);
        let counts = counts(&seats, &Balance::default(), SelectionInput::at(at(1)), 1000);
        for (count, expected) in counts.into_iter().zip(&expected) {
            assert!(count.abs_diff(*expected) <= 4, "{weights:?}: {count} for {expected}");
        }
    }
    assert_eq!(
        select(&[], &WeightedChoice::default(), &Balance::default(), SelectionInput::at(at(1))),
        None
    );
}

#[test]
fn a_failing_target_gets_no_calls_then_one_probe_then_normal_calls() {
    let (seats, balance) = (seats(&[1000, 1000, 1000]), Balance::default());
    breaks(&seats[1], at(1));
    assert_eq!(counts(&seats, &balance, SelectionInput::at(at(100)), 300), [150, 0, 150]);
    let choice = WeightedChoice::default();
    let probe = select(&seats, &choice, &balance, SelectionInput::at(at(5001))).unwrap();
    assert_eq!(probe, Selection { at: 1, role: CallRole::Probe, why: SelectionReason::Probe });
    assert_eq!(counts(&seats, &balance, SelectionInput::at(at(5002)), 300)[1], 0, "one probe");
    let health = &seats[1].health;
    let cooldown = balance.cooldown;
    InFlight::begin(health, at(5002), CallRole::Probe, (Quota::default(), cooldown), 0)
        .answered(at(5003));
    let shared = counts(&seats, &balance, SelectionInput::at(at(5004)), 300);
    assert!(shared.iter().all(|count| (98..=102).contains(count)), "{shared:?}");
}

#[test]
fn a_throttled_target_gets_few_calls() {
    let (seats, balance) = (seats(&[1000, 1000, 1000]), Balance::default());
    let choice = WeightedChoice::default();
    let mut calls = [0; 3];
    // Two hundred calls per second for ten seconds; the first target answers 429 at once.
    for millis in (0..10_000).step_by(5) {
        let now = at(millis);
        let picked = select(&seats, &choice, &balance, SelectionInput::at(now)).unwrap();
        let seat = &seats[picked.at];
        let mut call =
            InFlight::begin(&seat.health, now, picked.role, (seat.quota, balance.cooldown), 0);
        match picked.at {
            0 => assert!(!call.failed(now, Fault::Throttled(None))),
            _ => call.answered(now),
        }
        calls[picked.at] += 1;
    }
    assert!((2..=8).contains(&calls[0]), "{calls:?}");
}

#[test]
fn when_all_fail_the_least_bad_is_called() {
    let (seats, balance) = (seats(&[1000, 1000]), Balance::default());
    breaks(&seats[0], at(1));
    fly(&seats[1], at(1)).failed(at(1), Fault::Throttled(None));
    let picked =
        select(&seats, &WeightedChoice::default(), &balance, SelectionInput::at(at(2))).unwrap();
    assert_eq!((picked.at, picked.why), (1, SelectionReason::LeastBad(HealthState::Throttled)));
    breaks(&seats[1], at(2));
    let counts = counts(&seats, &balance, SelectionInput::at(at(3)), 100);
    assert!(counts.iter().all(|count| *count >= 48), "{counts:?}");
}

#[test]
fn a_retry_prefers_another_target() {
    let (three, balance, choice) =
        (seats(&[1000, 1000, 1000]), Balance::default(), WeightedChoice::default());
    let mut asked = SelectionInput::at(at(1));
    for round in 0..3 {
        let picked = select(&three, &choice, &balance, asked).unwrap();
        assert!(!asked.tried.holds(picked.at), "{round}");
        asked.tried.add(picked.at);
    }
    assert!(select(&three, &choice, &balance, asked).is_some());
    // Even a failing target is preferred to one that has failed this very call.
    let seats = seats(&[1000, 1000]);
    breaks(&seats[1], at(1));
    let mut tried = TriedTargets::default();
    tried.add(0);
    let picked =
        select(&seats, &choice, &balance, SelectionInput { tried, ..SelectionInput::at(at(2)) })
            .unwrap();
    assert_eq!(picked.at, 1);
}

#[test]
fn every_target_is_tried_however_many_there_are() {
    let (seats, balance, choice) =
        (seats(&[1000; 150]), Balance::default(), WeightedChoice::default());
    let mut asked = SelectionInput::at(at(1));
    let mut rounds = 0;
    while let Some(picked) = select(&seats, &choice, &balance, asked)
        && !asked.tried.holds(picked.at)
    {
        asked.tried.add(picked.at);
        rounds += 1;
        assert!(rounds <= 150);
    }
    assert!(rounds >= 64, "{rounds}");
}

#[test]
fn the_least_busy_is_selected_relative_to_its_weight() {
    let seats = seats(&[1000, 1000, 2000]);
    let balance = by(Strategy::LeastBusy);
    let mut under_way = Vec::new();
    for _ in 0..40 {
        let picked =
            select(&seats, &WeightedChoice::default(), &balance, SelectionInput::at(at(1)))
                .unwrap();
        under_way.push(fly(&seats[picked.at], at(1)));
    }
    let calls: Vec<u32> = seats.iter().map(|seat| seat.health.in_flight()).collect();
    assert_eq!(calls, [10, 10, 20]);
}

#[test]
fn the_fastest_is_selected_most_often_but_not_always() {
    let seats = seats(&[1000, 1000, 1000]);
    for millis in 0..20 {
        fly(&seats[0], at(millis)).answered(at(millis + 500));
        fly(&seats[1], at(millis)).answered(at(millis + 50));
        fly(&seats[2], at(millis)).answered(at(millis + 500));
    }
    let counts = counts(&seats, &by(Strategy::Latency), SelectionInput::at(at(100)), 900);
    assert!(counts[1] > 450 && counts[0] > 50 && counts[2] > 50, "{counts:?}");
}

#[test]
fn the_target_with_the_most_quota_left_is_selected() {
    let mut seats = seats(&[1000, 1000]);
    for (seat, tpm) in seats.iter_mut().zip([100_000, 300_000]) {
        seat.quota = Quota { rpm: None, tpm: NonZeroU64::new(tpm) };
    }
    let mut calls = [0; 2];
    for _ in 0..100 {
        let picked = select(
            &seats,
            &WeightedChoice::default(),
            &by(Strategy::Usage),
            SelectionInput::at(at(1)),
        )
        .unwrap();
        drop(fly(&seats[picked.at], at(1)));
        calls[picked.at] += 1;
    }
    assert!((24..=26).contains(&calls[0]), "{calls:?}");
}

#[test]
fn a_target_beyond_its_quota_is_skipped_unless_all_are() {
    let mut seats = seats(&[1000, 1000]);
    seats[0].quota = Quota { rpm: NonZeroU32::new(2), tpm: None };
    seats[1].quota = Quota { rpm: NonZeroU32::new(4), tpm: None };
    let choice = WeightedChoice::default();
    let mut calls = [0; 2];
    for _ in 0..6 {
        let picked =
            select(&seats, &choice, &Balance::default(), SelectionInput::at(at(1))).unwrap();
        assert_ne!(picked.why, SelectionReason::MostRoom);
        drop(fly(&seats[picked.at], at(1)));
        calls[picked.at] += 1;
    }
    assert_eq!(calls, [2, 4]);
    let picked = select(&seats, &choice, &Balance::default(), SelectionInput::at(at(2))).unwrap();
    assert_eq!(picked.why, SelectionReason::MostRoom);
}

#[test]
fn a_higher_order_is_selected_only_when_the_lower_is_unhealthy() {
    let mut seats = seats(&[1000, 1000, 1000]);
    seats[0].order = 1;
    seats[2].order = 2;
    let balance = by(Strategy::Order);
    assert_eq!(counts(&seats, &balance, SelectionInput::at(at(1)), 10), [0, 10, 0]);
    breaks(&seats[1], at(1));
    assert_eq!(counts(&seats, &balance, SelectionInput::at(at(2)), 10), [10, 0, 0]);
    breaks(&seats[0], at(2));
    assert_eq!(counts(&seats, &balance, SelectionInput::at(at(3)), 10), [0, 0, 10]);
}

#[test]
fn a_key_stays_with_its_target_and_shares_follow_the_weights() {
    let seats = seats(&[1000, 1000, 2000]);
    let (choice, balance) = (WeightedChoice::default(), Balance::default());
    let of = |key: u64, now| {
        let asked = SelectionInput { key: Some(mixed(key + 1)), ..SelectionInput::at(now) };
        select(&seats, &choice, &balance, asked).unwrap().at
    };
    let homes: Vec<usize> = (0..4000).map(|key| of(key, at(1))).collect();
    assert!((0..4000).all(|key| of(key, at(2)) == homes[usize::try_from(key).unwrap()]));
    for (target, expected) in [(0, 1000), (1, 1000), (2, 2000)] {
        let count = homes.iter().filter(|home| **home == target).count();
        assert!(count.abs_diff(expected) < 150, "{target}: {count}");
    }
    // If one target fails, only its calls move.
    breaks(&seats[1], at(2));
    for (key, home) in (0..4000).zip(&homes) {
        let now = of(key, at(3));
        assert!(now == *home || *home == 1 && now != 1, "{key}");
    }
}

#[test]
fn without_a_cooldown_failing_targets_stay_in_use() {
    let seats = seats(&[1000, 1000]);
    for _ in 0..50 {
        let quota = Quota::default();
        InFlight::begin(&seats[0].health, at(1), CallRole::Normal, (quota, None), 0)
            .failed(at(1), Fault::Target);
    }
    let balance = Balance { cooldown: None, ..Balance::default() };
    assert_eq!(counts(&seats, &balance, SelectionInput::at(at(2)), 10), [5, 5]);
}

#[test]
fn only_probes_extend_the_cooldown_in_a_shared_outage() {
    let (seats, balance) = (seats(&[1000, 1000]), Balance::default());
    breaks(&seats[0], at(1));
    breaks(&seats[1], at(1));
    let call = |millis| {
        let picked =
            select(&seats, &WeightedChoice::default(), &balance, SelectionInput::at(at(millis)))
                .unwrap();
        let seat = &seats[picked.at];
        InFlight::begin(&seat.health, at(millis), picked.role, (seat.quota, balance.cooldown), 0)
    };
    for millis in 2..500 {
        assert!(!call(millis).failed(at(millis), Fault::Target));
        // A client that leaves does not shorten the cooldown.
        drop(call(millis));
    }
    let standings = |millis| [0, 1].map(|seat: usize| standing(&seats[seat], millis));
    assert_eq!(standings(5000), [HealthState::Open; 2]);
    assert_eq!(standings(5001), [HealthState::Probing; 2]);
    // A target that answers a last-resort call is healthy again.
    let picked =
        select(&seats, &WeightedChoice::default(), &balance, SelectionInput::at(at(4000))).unwrap();
    let seat = &seats[picked.at];
    InFlight::begin(&seat.health, at(4000), picked.role, (seat.quota, balance.cooldown), 0)
        .answered(at(4001));
    assert_eq!(standing(seat, 4002), HealthState::Healthy);
}

#[test]
fn without_a_cooldown_a_shared_open_breaker_does_not_count() {
    let seats = seats(&[1000, 1000]);
    breaks(&seats[0], at(1));
    let balance = Balance { cooldown: None, ..Balance::default() };
    for millis in [2, 5002, 100_000] {
        assert_eq!(
            counts(&seats, &balance, SelectionInput::at(at(millis)), 10),
            [5, 5],
            "{millis}"
        );
    }
}

#[test]
fn a_target_is_always_selected_despite_concurrent_changes() {
    let (seats, balance) = (seats(&[1000, 1000]), by(Strategy::Order));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for seat in &seats {
                    fly(seat, at(1)).failed(at(1), Fault::Throttled(None));
                }
                for seat in &seats {
                    let health = &seat.health;
                    InFlight::begin(health, at(1), CallRole::Probe, (seat.quota, None), 0)
                        .answered(at(1));
                }
            }
        });
        let choice = WeightedChoice::default();
        let picks =
            (0..300_000).map(|_| select(&seats, &choice, &balance, SelectionInput::at(at(1))));
        let nobody = picks.filter(Option::is_none).count();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(nobody, 0);
    });
}

#[test]
fn a_popular_key_does_not_fill_its_target_alone() {
    let (seats, now) = (seats(&[1000, 1000, 1000]), at(1));
    let asked = SelectionInput { key: Some(7), ..SelectionInput::at(now) };
    let home = select(&seats, &WeightedChoice::default(), &Balance::default(), asked).unwrap().at;
    let mut in_flight = Vec::new();
    for _ in 0..300 {
        let to = select(&seats, &WeightedChoice::default(), &Balance::default(), asked).unwrap().at;
        in_flight.push(fly(&seats[to], now));
    }
    let under_way: Vec<u32> = seats.iter().map(|seat| seat.health.in_flight()).collect();
    assert!(under_way[home] > 100, "the most are at home: {under_way:?}");
    assert!(under_way[home] <= 220, "and not all: {under_way:?}");
    drop(in_flight);
    assert_eq!(counts(&seats, &Balance::default(), asked, 9)[home], 9);
}
