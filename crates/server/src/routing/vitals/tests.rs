//! One target over a clock of the test: probes, penalties, quotas, clients that leave.

use super::*;

fn at(millis: u64) -> Moment {
    Moment(millis * 1000)
}

fn flight(vitals: &Arc<Vitals>, now: Moment, errand: Errand) -> Flight {
    let cooldown = Some(Cooldown::default());
    Flight::begin(vitals, now, errand, Quota::default(), cooldown, 100)
}

#[test]
fn a_client_that_leaves_says_nothing_about_the_target() {
    let vitals = Arc::new(Vitals::default());
    for _ in 0..100 {
        drop(flight(&vitals, at(1), Errand::Usual));
    }
    assert_eq!((vitals.standing(at(2)), vitals.in_flight()), (Standing::Sound, 0));
    let flights: Vec<_> = (0..3).map(|_| flight(&vitals, at(2), Errand::Usual)).collect();
    assert_eq!(vitals.in_flight(), 3);
    drop(flights);
    assert_eq!(vitals.in_flight(), 0);
}

#[test]
fn a_probe_whose_client_leaves_lets_another_go() {
    let (vitals, cooldown) = (Arc::new(Vitals::default()), Cooldown::default());
    for _ in 0..5 {
        flight(&vitals, at(1), Errand::Usual).failed(at(1), Blame::Target);
    }
    assert_eq!(vitals.standing(at(2)), Standing::Failing);
    // Well before the clock of the process, at which a dropped flight is released.
    assert_eq!(vitals.standing(at(5001)), Standing::Due);
    assert!(vitals.claim(at(5001), Some(&cooldown)));
    assert_eq!(vitals.standing(at(5001)), Standing::Failing);
    drop(flight(&vitals, at(5001), Errand::Probe));
    assert_eq!(vitals.standing(Moment::now().max(at(5001))), Standing::Due);
}

#[test]
fn a_throttled_target_is_not_a_failing_one() {
    let vitals = Arc::new(Vitals::default());
    for _ in 0..100 {
        flight(&vitals, at(1), Errand::Usual).failed(at(1), Blame::Throttled(None));
    }
    assert_eq!(vitals.standing(at(2)), Standing::Throttled);
    assert!(vitals.claim(at(300), None));
    flight(&vitals, at(300), Errand::Probe).answered(at(310));
    assert_eq!(vitals.standing(at(310)), Standing::Sound);
}

#[test]
fn a_fast_429_makes_no_target_look_fast() {
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
fn what_is_set_aside_is_settled_by_what_was_used() {
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
fn names_that_callers_make_up_do_not_fill_the_memory() {
    let ward = Ward::default();
    let first = ward.of("a");
    assert!(Arc::ptr_eq(&first, &ward.of("a")) && !Arc::ptr_eq(&first, &ward.of("b")));
    for number in 0..LIMIT + 100 {
        ward.of(&number.to_string());
    }
    assert_eq!(ward.gauges(at(1)).len(), LIMIT);
}
