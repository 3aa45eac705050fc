//! One target with a test clock: probes, penalties, quotas, clients that leave.

use super::*;

fn at(millis: u64) -> Moment {
    Moment(millis * 1000)
}

fn flight(vitals: &Arc<Vitals>, now: Moment, errand: Errand) -> Flight {
    let cooldown = Some(Cooldown::default());
    let mut flight = Flight::begin(vitals, now, errand, Quota::default(), cooldown, 100);
    flight.sent(now);
    flight
}

fn standing(vitals: &Vitals, now: Moment) -> Standing {
    vitals.standing(now, Some(&Cooldown::default()))
}

#[test]
fn a_client_that_leaves_says_nothing_about_the_target() {
    let vitals = Arc::new(Vitals::default());
    for _ in 0..100 {
        drop(flight(&vitals, at(1), Errand::Usual));
    }
    assert_eq!((standing(&vitals, at(2)), vitals.in_flight()), (Standing::Sound, 0));
    let flights: Vec<_> = (0..3).map(|_| flight(&vitals, at(2), Errand::Usual)).collect();
    assert_eq!(vitals.in_flight(), 3);
    drop(flights);
    assert_eq!(vitals.in_flight(), 0);
}

#[test]
fn a_probe_whose_client_leaves_is_released() {
    let (vitals, cooldown) = (Arc::new(Vitals::default()), Cooldown::default());
    for _ in 0..5 {
        flight(&vitals, at(1), Errand::Usual).failed(at(1), Blame::Target);
    }
    assert_eq!(standing(&vitals, at(2)), Standing::Failing);
    assert_eq!(standing(&vitals, at(5001)), Standing::Due);
    assert!(vitals.claim(at(5001), Some(&cooldown)));
    let probe = flight(&vitals, at(5001), Errand::Probe);
    // However long it hangs, it stays the only probe.
    for millis in [5001, 10_001, 100_000] {
        assert_eq!(standing(&vitals, at(millis)), Standing::Failing, "{millis}");
        assert!(!vitals.claim(at(millis), Some(&cooldown)), "{millis}");
    }
    drop(probe);
    assert_eq!(standing(&vitals, at(5002)), Standing::Due);
}

#[test]
fn a_refused_probe_shows_a_healthy_target() {
    let (vitals, cooldown) = (Arc::new(Vitals::default()), Cooldown::default());
    for _ in 0..5 {
        flight(&vitals, at(1), Errand::Usual).failed(at(1), Blame::Target);
    }
    assert!(vitals.claim(at(5001), Some(&cooldown)));
    flight(&vitals, at(5001), Errand::Probe).refused(at(5002));
    assert_eq!(standing(&vitals, at(5002)), Standing::Sound);
    // Other refusals do not affect health: failures in a row stay in a row.
    for _ in 0..5 {
        flight(&vitals, at(5003), Errand::Usual).failed(at(5003), Blame::Target);
        flight(&vitals, at(5003), Errand::Usual).refused(at(5003));
    }
    assert_eq!(standing(&vitals, at(5004)), Standing::Failing);
}

#[test]
fn a_client_that_leaves_late_does_not_shorten_the_cooldown() {
    let (vitals, cooldown) = (Arc::new(Vitals::default()), Cooldown::default());
    let breaks = |now| {
        for _ in 0..5 {
            flight(&vitals, now, Errand::Usual).failed(now, Blame::Target);
        }
    };
    breaks(at(1));
    assert!(vitals.claim(at(5001), Some(&cooldown)));
    let mut probe = flight(&vitals, at(5001), Errand::Probe);
    probe.answered(at(5002));
    breaks(at(5003));
    // Its client reads on, and leaves long after the target has failed again.
    drop(probe);
    assert_eq!(standing(&vitals, at(15_002)), Standing::Failing);
    assert_eq!(standing(&vitals, at(15_003)), Standing::Due);
}

#[test]
fn a_target_counts_as_fast_only_after_an_answer() {
    let (fresh, quick) = (Arc::new(Vitals::default()), Arc::new(Vitals::default()));
    flight(&quick, at(1), Errand::Usual).answered(at(41));
    assert!(fresh.expected_wait() < quick.expected_wait(), "one call finds out");
    let waiting = flight(&fresh, at(50), Errand::Usual);
    assert!(fresh.expected_wait() > quick.expected_wait(), "and the others wait for what it finds");
    drop(waiting);
}

#[test]
fn only_a_configured_quota_limits() {
    let vitals = Arc::new(Vitals::default());
    let mut call = Flight::begin(&vitals, at(1), Errand::Usual, Quota::default(), None, 900_000);
    call.sent(at(1));
    let (rpm, tpm) = (NonZeroU32::new(1000), NonZeroU64::new(1_000_000));
    let room = |rpm, tpm| vitals.room(at(1), Quota { rpm, tpm });
    assert!(room(rpm, None) > room(None, tpm), "it has a thousand calls left, but for one");
    assert_eq!(room(rpm, tpm), room(None, tpm));
    assert_eq!(room(None, None), room(None, tpm));
}

#[test]
fn the_wait_begins_when_the_call_goes_out() {
    let vitals = Arc::new(Vitals::default());
    let mut call = Flight::begin(&vitals, at(1), Errand::Usual, Quota::default(), None, 0);
    call.sent(at(5001));
    call.answered(at(5041));
    assert_eq!(vitals.gauges(at(5041)).latency, Duration::from_millis(40));
}

#[test]
fn a_throttled_target_is_not_a_failing_one() {
    let vitals = Arc::new(Vitals::default());
    for _ in 0..100 {
        flight(&vitals, at(1), Errand::Usual).failed(at(1), Blame::Throttled(None));
    }
    assert_eq!(standing(&vitals, at(2)), Standing::Throttled);
    assert!(vitals.claim(at(300), None));
    assert_eq!(standing(&vitals, at(5000)), Standing::Throttled, "one finds out");
    flight(&vitals, at(300), Errand::Probe).answered(at(310));
    assert_eq!(standing(&vitals, at(310)), Standing::Sound);
}

#[test]
fn a_fast_429_does_not_count_as_latency() {
    let (fast, slow) = (Arc::new(Vitals::default()), Arc::new(Vitals::default()));
    for millis in 0..20 {
        flight(&fast, at(millis), Errand::Usual).answered(at(millis + 40));
        flight(&slow, at(millis), Errand::Usual).answered(at(millis + 80));
    }
    assert!(fast.expected_wait() < slow.expected_wait());
    flight(&fast, at(50), Errand::Usual).failed(at(51), Blame::Throttled(None));
    assert!(fast.expected_wait() > slow.expected_wait());
}

#[test]
fn reservations_are_settled_by_actual_use() {
    let vitals = Arc::new(Vitals::default());
    let quota = Quota { rpm: None, tpm: NonZeroU64::new(1000) };
    let mut call = Flight::begin(&vitals, at(1), Errand::Usual, quota, None, 900);
    assert!(!vitals.has_room(at(1), quota, 200));
    call.settle(100);
    assert!(vitals.has_room(at(1), quota, 900) && !vitals.has_room(at(1), quota, 901));
    call.settle(1000);
    assert!(!vitals.has_room(at(1), quota, 1));
}

#[test]
fn made_up_names_do_not_fill_the_memory() {
    let ward = Ward::default();
    let first = ward.of("a");
    assert!(Arc::ptr_eq(&first, &ward.of("a")) && !Arc::ptr_eq(&first, &ward.of("b")));
    for number in 0..LIMIT + 100 {
        ward.of(&number.to_string());
    }
    assert!((1..=LIMIT).contains(&ward.gauges(at(1)).len()));
}

#[test]
fn called_models_stay_tracked_however_many_names_are_made_up() {
    let ward = Ward::default();
    let ill = ward.of("ill");
    flight(&ill, at(1), Errand::Usual).failed(at(1), Blame::Throttled(None));
    drop(ill);
    for number in 0..2 * LIMIT {
        ward.of(&number.to_string());
    }
    let real = ward.of("real");
    assert!(Arc::ptr_eq(&real, &ward.of("real")), "its state is kept");
    assert_eq!(ward.of("ill").throttle.level(), 1, "so is what has been found out");
}

#[test]
fn a_reservation_is_at_most_the_quota() {
    let vitals = Arc::new(Vitals::default());
    let quota = Quota { rpm: None, tpm: NonZeroU64::new(1000) };
    let mut call = Flight::begin(&vitals, at(1), Errand::Usual, quota, None, u64::MAX);
    call.sent(at(1));
    drop(call);
    assert!(!vitals.has_room(at(1), quota, 1));
    assert!(vitals.has_room(at(60_001), quota, 1000), "a minute later all is as it was");
}

#[test]
fn a_refused_call_uses_no_quota() {
    let quota = Quota { rpm: None, tpm: NonZeroU64::new(1000) };
    for (blame, room) in
        [(Blame::Nobody, true), (Blame::Throttled(None), true), (Blame::Target, false)]
    {
        let vitals = Arc::new(Vitals::default());
        Flight::begin(&vitals, at(1), Errand::Usual, quota, None, 1000).failed(at(1), blame);
        assert_eq!(vitals.has_room(at(1), quota, 1000), room, "{blame:?}");
        // A call that fails in the middle of its answer has used quota.
        let vitals = Arc::new(Vitals::default());
        let mut call = Flight::begin(&vitals, at(1), Errand::Usual, quota, None, 1000);
        call.answered(at(1));
        call.failed(at(1), blame);
        assert!(!vitals.has_room(at(1), quota, 1000), "{blame:?}");
    }
}

#[test]
fn broken_answers_count_once_as_failures() {
    let vitals = Arc::new(Vitals::default());
    // Nine of ten streams break off: the only sign of the failure.
    for call in 0..10 {
        let mut flight = flight(&vitals, at(call), Errand::Usual);
        flight.answered(at(call));
        if call != 4 {
            flight.failed(at(call), Blame::Target);
        }
    }
    assert_eq!(standing(&vitals, at(11)), Standing::Failing);
    // Four of ten are below the threshold of one half.
    let vitals = Arc::new(Vitals::default());
    for call in 0..20 {
        let mut flight = flight(&vitals, at(call), Errand::Usual);
        flight.answered(at(call));
        if call % 5 >= 3 {
            flight.failed(at(call), Blame::Target);
        }
    }
    assert_eq!(standing(&vitals, at(21)), Standing::Sound);
}

#[test]
fn late_results_change_neither_penalty_nor_breaker() {
    let vitals = Arc::new(Vitals::default());
    let mut slow = flight(&vitals, at(1), Errand::Usual);
    let asked = Some(Duration::from_secs(5));
    flight(&vitals, at(10), Errand::Usual).failed(at(10), Blame::Throttled(asked));
    slow.answered(at(20));
    assert_eq!(standing(&vitals, at(5009)), Standing::Throttled, "what it asked for is kept to");

    let (vitals, cooldown) = (Arc::new(Vitals::default()), Cooldown::default());
    let mut slow: Vec<_> = (0..20).map(|_| flight(&vitals, at(1), Errand::Usual)).collect();
    let (many, rest) = slow.split_at_mut(5);
    many.iter_mut().for_each(|call| _ = call.failed(at(100), Blame::Target));
    assert!(vitals.claim(at(5100), Some(&cooldown)));
    flight(&vitals, at(5100), Errand::Probe).answered(at(5101));
    rest.iter_mut().for_each(|call| _ = call.failed(at(5200), Blame::Target));
    assert_eq!(standing(&vitals, at(5201)), Standing::Sound, "they began before it was well again");
}

#[test]
fn an_unsent_call_uses_no_quota() {
    let vitals = Arc::new(Vitals::default());
    let quota = Quota { rpm: NonZeroU32::new(1), tpm: NonZeroU64::new(1000) };
    drop(Flight::begin(&vitals, at(1), Errand::Usual, quota, None, 1000));
    assert!(vitals.has_room(at(1), quota, 1000));
    let mut call = Flight::begin(&vitals, at(1), Errand::Usual, quota, None, 1000);
    call.sent(at(1));
    drop(call);
    assert!(!vitals.has_room(at(1), quota, 1), "of a client that left nobody knows what it used");

    // A call that reached its attempt but was not sent.
    let vitals = Arc::new(Vitals::default());
    let mut call = Flight::begin(&vitals, at(1), Errand::Usual, quota, None, 1000);
    call.sent(at(1));
    call.unsent();
    drop(call);
    assert!(vitals.has_room(at(1), quota, 1000));
}
