//! One target with a test clock: probes, penalties, quotas, clients that leave.

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp(millis * 1000)
}

fn in_flight(health: &Arc<TargetHealth>, now: Timestamp, role: CallRole) -> InFlight {
    let cooldown = Some(Cooldown::default());
    let mut in_flight = InFlight::begin(health, now, role, (Quota::default(), cooldown), 100);
    in_flight.sent(now);
    in_flight
}

fn standing(health: &TargetHealth, now: Timestamp) -> HealthState {
    health.standing(now, Some(&Cooldown::default()))
}

#[test]
fn a_client_that_leaves_says_nothing_about_the_target() {
    let health = Arc::new(TargetHealth::default());
    for _ in 0..100 {
        drop(in_flight(&health, at(1), CallRole::Normal));
    }
    assert_eq!((standing(&health, at(2)), health.in_flight()), (HealthState::Healthy, 0));
    let in_flight: Vec<_> = (0..3).map(|_| in_flight(&health, at(2), CallRole::Normal)).collect();
    assert_eq!(health.in_flight(), 3);
    drop(in_flight);
    assert_eq!(health.in_flight(), 0);
}

#[test]
fn a_probe_whose_client_leaves_is_released() {
    let (health, cooldown) = (Arc::new(TargetHealth::default()), Cooldown::default());
    for _ in 0..5 {
        in_flight(&health, at(1), CallRole::Normal).failed(at(1), Fault::Target);
    }
    assert_eq!(standing(&health, at(2)), HealthState::Open);
    assert_eq!(standing(&health, at(5001)), HealthState::Probing);
    assert!(health.claim(at(5001), Some(&cooldown)));
    let probe = in_flight(&health, at(5001), CallRole::Probe);
    // However long it hangs, it stays the only probe.
    for millis in [5001, 10_001, 100_000] {
        assert_eq!(standing(&health, at(millis)), HealthState::Open, "{millis}");
        assert!(!health.claim(at(millis), Some(&cooldown)), "{millis}");
    }
    drop(probe);
    assert_eq!(standing(&health, at(5002)), HealthState::Probing);
}

#[test]
fn a_refused_probe_shows_a_healthy_target() {
    let (health, cooldown) = (Arc::new(TargetHealth::default()), Cooldown::default());
    for _ in 0..5 {
        in_flight(&health, at(1), CallRole::Normal).failed(at(1), Fault::Target);
    }
    assert!(health.claim(at(5001), Some(&cooldown)));
    in_flight(&health, at(5001), CallRole::Probe).refused(at(5002));
    assert_eq!(standing(&health, at(5002)), HealthState::Healthy);
    // Other refusals do not affect health: failures in a row stay in a row.
    for _ in 0..5 {
        in_flight(&health, at(5003), CallRole::Normal).failed(at(5003), Fault::Target);
        in_flight(&health, at(5003), CallRole::Normal).refused(at(5003));
    }
    assert_eq!(standing(&health, at(5004)), HealthState::Open);
}

#[test]
fn a_client_that_leaves_late_does_not_shorten_the_cooldown() {
    let (health, cooldown) = (Arc::new(TargetHealth::default()), Cooldown::default());
    let breaks = |now| {
        for _ in 0..5 {
            in_flight(&health, now, CallRole::Normal).failed(now, Fault::Target);
        }
    };
    breaks(at(1));
    assert!(health.claim(at(5001), Some(&cooldown)));
    let mut probe = in_flight(&health, at(5001), CallRole::Probe);
    probe.answered(at(5002));
    breaks(at(5003));
    // Its client reads on, and leaves long after the target has failed again.
    drop(probe);
    assert_eq!(standing(&health, at(15_002)), HealthState::Open);
    assert_eq!(standing(&health, at(15_003)), HealthState::Probing);
}

#[test]
fn a_target_counts_as_fast_only_after_an_answer() {
    let (fresh, quick) = (Arc::new(TargetHealth::default()), Arc::new(TargetHealth::default()));
    in_flight(&quick, at(1), CallRole::Normal).answered(at(41));
    assert!(fresh.expected_wait() < quick.expected_wait(), "one call finds out");
    let waiting = in_flight(&fresh, at(50), CallRole::Normal);
    assert!(fresh.expected_wait() > quick.expected_wait(), "and the others wait for what it finds");
    drop(waiting);
}

#[test]
fn only_a_configured_quota_limits() {
    let health = Arc::new(TargetHealth::default());
    let mut call =
        InFlight::begin(&health, at(1), CallRole::Normal, (Quota::default(), None), 900_000);
    call.sent(at(1));
    let (rpm, tpm) = (NonZeroU32::new(1000), NonZeroU64::new(1_000_000));
    let room = |rpm, tpm| health.room(at(1), Quota { rpm, tpm });
    assert!(room(rpm, None) > room(None, tpm), "it has a thousand calls left, but for one");
    assert_eq!(room(rpm, tpm), room(None, tpm));
    assert_eq!(room(None, None), room(None, tpm));
}

#[test]
fn the_wait_begins_when_the_call_goes_out() {
    let health = Arc::new(TargetHealth::default());
    let mut call = InFlight::begin(&health, at(1), CallRole::Normal, (Quota::default(), None), 0);
    call.sent(at(5001));
    call.answered(at(5041));
    assert_eq!(health.gauges(at(5041)).latency, Duration::from_millis(40));
}

#[test]
fn a_throttled_target_is_not_a_failing_one() {
    let health = Arc::new(TargetHealth::default());
    for _ in 0..100 {
        in_flight(&health, at(1), CallRole::Normal).failed(at(1), Fault::Throttled(None));
    }
    assert_eq!(standing(&health, at(2)), HealthState::Throttled);
    assert!(health.claim(at(300), None));
    assert_eq!(standing(&health, at(5000)), HealthState::Throttled, "one finds out");
    in_flight(&health, at(300), CallRole::Probe).answered(at(310));
    assert_eq!(standing(&health, at(310)), HealthState::Healthy);
}

#[test]
fn a_fast_429_does_not_count_as_latency() {
    let (fast, slow) = (Arc::new(TargetHealth::default()), Arc::new(TargetHealth::default()));
    for millis in 0..20 {
        in_flight(&fast, at(millis), CallRole::Normal).answered(at(millis + 40));
        in_flight(&slow, at(millis), CallRole::Normal).answered(at(millis + 80));
    }
    assert!(fast.expected_wait() < slow.expected_wait());
    in_flight(&fast, at(50), CallRole::Normal).failed(at(51), Fault::Throttled(None));
    assert!(fast.expected_wait() > slow.expected_wait());
}

#[test]
fn reservations_are_settled_by_actual_use() {
    let health = Arc::new(TargetHealth::default());
    let quota = Quota { rpm: None, tpm: NonZeroU64::new(1000) };
    let mut call = InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), 900);
    assert!(!health.has_room(at(1), quota, 200));
    call.settle(100);
    assert!(health.has_room(at(1), quota, 900) && !health.has_room(at(1), quota, 901));
    call.settle(1000);
    assert!(!health.has_room(at(1), quota, 1));
}

#[test]
fn made_up_names_do_not_fill_the_memory() {
    let registry = HealthRegistry::default();
    let first = registry.of("a");
    assert!(Arc::ptr_eq(&first, &registry.of("a")) && !Arc::ptr_eq(&first, &registry.of("b")));
    for number in 0..LIMIT + 100 {
        registry.of(&number.to_string());
    }
    assert!((1..=LIMIT).contains(&registry.gauges(at(1)).len()));
}

#[test]
fn called_models_stay_tracked_however_many_names_are_made_up() {
    let registry = HealthRegistry::default();
    let ill = registry.of("ill");
    in_flight(&ill, at(1), CallRole::Normal).failed(at(1), Fault::Throttled(None));
    drop(ill);
    for number in 0..2 * LIMIT {
        registry.of(&number.to_string());
    }
    let real = registry.of("real");
    assert!(Arc::ptr_eq(&real, &registry.of("real")), "its state is kept");
    assert_eq!(registry.of("ill").throttle.level(), 1, "so is what has been found out");
}

#[test]
fn a_reservation_is_at_most_the_quota() {
    let health = Arc::new(TargetHealth::default());
    let quota = Quota { rpm: None, tpm: NonZeroU64::new(1000) };
    let mut call = InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), u64::MAX);
    call.sent(at(1));
    drop(call);
    assert!(!health.has_room(at(1), quota, 1));
    assert!(health.has_room(at(60_001), quota, 1000), "a minute later all is as it was");
}

#[test]
fn a_refused_call_uses_no_quota() {
    let quota = Quota { rpm: None, tpm: NonZeroU64::new(1000) };
    for (fault, room) in
        [(Fault::Nobody, true), (Fault::Throttled(None), true), (Fault::Target, false)]
    {
        let health = Arc::new(TargetHealth::default());
        InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), 1000).failed(at(1), fault);
        assert_eq!(health.has_room(at(1), quota, 1000), room, "{fault:?}");
        // A call that fails in the middle of its answer has used quota.
        let health = Arc::new(TargetHealth::default());
        let mut call = InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), 1000);
        call.answered(at(1));
        call.failed(at(1), fault);
        assert!(!health.has_room(at(1), quota, 1000), "{fault:?}");
    }
}

#[test]
fn broken_answers_count_once_as_failures() {
    let health = Arc::new(TargetHealth::default());
    // Nine of ten streams break off: the only sign of the failure.
    for call in 0..10 {
        let mut in_flight = in_flight(&health, at(call), CallRole::Normal);
        in_flight.answered(at(call));
        if call != 4 {
            in_flight.failed(at(call), Fault::Target);
        }
    }
    assert_eq!(standing(&health, at(11)), HealthState::Open);
    // Four of ten are below the threshold of one half.
    let health = Arc::new(TargetHealth::default());
    for call in 0..20 {
        let mut in_flight = in_flight(&health, at(call), CallRole::Normal);
        in_flight.answered(at(call));
        if call % 5 >= 3 {
            in_flight.failed(at(call), Fault::Target);
        }
    }
    assert_eq!(standing(&health, at(21)), HealthState::Healthy);
}

#[test]
fn late_results_change_neither_penalty_nor_breaker() {
    let health = Arc::new(TargetHealth::default());
    let mut slow = in_flight(&health, at(1), CallRole::Normal);
    let asked = Some(Duration::from_secs(5));
    in_flight(&health, at(10), CallRole::Normal).failed(at(10), Fault::Throttled(asked));
    slow.answered(at(20));
    assert_eq!(standing(&health, at(5009)), HealthState::Throttled, "what it asked for is kept to");

    let (health, cooldown) = (Arc::new(TargetHealth::default()), Cooldown::default());
    let mut slow: Vec<_> = (0..20).map(|_| in_flight(&health, at(1), CallRole::Normal)).collect();
    let (many, rest) = slow.split_at_mut(5);
    many.iter_mut().for_each(|call| _ = call.failed(at(100), Fault::Target));
    assert!(health.claim(at(5100), Some(&cooldown)));
    in_flight(&health, at(5100), CallRole::Probe).answered(at(5101));
    rest.iter_mut().for_each(|call| _ = call.failed(at(5200), Fault::Target));
    assert_eq!(
        standing(&health, at(5201)),
        HealthState::Healthy,
        "they began before it was well again"
    );
}

#[test]
fn an_unsent_call_uses_no_quota() {
    let health = Arc::new(TargetHealth::default());
    let quota = Quota { rpm: NonZeroU32::new(1), tpm: NonZeroU64::new(1000) };
    drop(InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), 1000));
    assert!(health.has_room(at(1), quota, 1000));
    let mut call = InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), 1000);
    call.sent(at(1));
    drop(call);
    assert!(!health.has_room(at(1), quota, 1), "of a client that left nobody knows what it used");

    // A call that reached its attempt but was not sent.
    let health = Arc::new(TargetHealth::default());
    let mut call = InFlight::begin(&health, at(1), CallRole::Normal, (quota, None), 1000);
    call.sent(at(1));
    call.unsent();
    drop(call);
    assert!(health.has_room(at(1), quota, 1000));
}
