//! Retries: their conditions, number, backoff, and headers for clients.

use std::time::{Duration, Instant};

use super::region::{
    FAILING, Mood, Region, THROTTLING, WORKERS, ask_many, ask_one, attempts, before, before_with,
    region_of, statuses, targets, three,
};

/// One target fails at once, and has no cooldown.
const PLAIN: &str = "cooldown: off, affinity: off";

fn refusing(status: u16, exception: &'static str) -> Mood {
    Mood::Refusing(status, exception, "No.", None)
}

#[actix_rt::test]
async fn only_retryable_failures_are_tried_elsewhere() {
    let regions = three().await;
    let order: Vec<String> =
        (0..3).map(|at| regions[at].target_with(&format!("order: {at}"))).collect();
    let rig = before(&order, &format!("strategy: order, {PLAIN}")).await;
    for (mood, again, status) in [
        // First: on a reused connection, the transport itself sends once more.
        (Mood::HangingUp, true, 200),
        (refusing(500, "InternalServerException"), true, 200),
        (refusing(503, "ServiceUnavailableException"), true, 200),
        (Mood::Page(500), true, 200),
        (Mood::Page(503), true, 200),
        (Mood::Page(502), false, 502),
        (Mood::CutRefusal(503, "ServiceUnavailableException"), true, 200),
        (Mood::CutRefusal(500, "InternalServerException"), true, 200),
        (Mood::CutRefusal(400, "ValidationException"), false, 400),
        (refusing(400, "ValidationException"), false, 400),
        (refusing(424, "ModelErrorException"), false, 502),
        (refusing(408, "ModelTimeoutException"), false, 504),
        // Last: throttled targets get fewer calls afterwards.
        (refusing(429, "ModelNotReadyException"), true, 200),
    ] {
        regions[0].is(mood);
        let answer = ask_one(&rig, "all").await;
        let counts: Vec<usize> = regions.iter().map(Region::take).collect();
        assert_eq!(answer.status, status, "{mood:?}");
        assert_eq!(counts, [1, usize::from(again), 0], "{mood:?}");
        assert_eq!(attempts(&answer), if again { 2 } else { 1 }, "{mood:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn token_counts_are_retried_elsewhere_too() {
    let regions = three().await;
    let order: Vec<String> =
        (0..3).map(|at| regions[at].target_with(&format!("order: {at}"))).collect();
    let rig = before(&order, &format!("strategy: order, {PLAIN}")).await;
    let path = "/v1/chat/completions/input_tokens";
    for mood in [FAILING, refusing(403, "AccessDeniedException"), THROTTLING] {
        regions[0].is(mood);
        let asked = super::region::question("all", 1).to_string().into();
        let answer = rig.send(http::Method::POST, path, asked).await;
        assert_eq!((answer.status, attempts(&answer)), (200, 2), "{mood:?}");
        assert_eq!(region_of(&answer), regions[1].name, "{mood:?}");
        assert_eq!(answer.json()["input_tokens"], 7, "{mood:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn three_attempts_go_to_three_targets() {
    let regions = three().await;
    regions.iter().for_each(|region| region.is(FAILING));
    let rig = before(&targets(&regions), PLAIN).await;
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer)), (500, 3));
    assert_eq!(answer.header("x-should-retry"), Some("false"), "we have tried enough");
    assert!(regions.iter().all(|region| region.take() == 1));
    rig.stop().await;

    let rig = before(&targets(&regions), &format!("retries: {{ more: 0 }}, {PLAIN}")).await;
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer)), (500, 1));
    assert_eq!(regions.iter().map(Region::take).sum::<usize>(), 1);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_permanent_failure_is_left_to_the_client() {
    let east = Region::start("us-east-1").await;
    let rig = before(&[east.target()], PLAIN).await;
    east.is(refusing(400, "ValidationException"));
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (400, None));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_single_target_is_retried_after_its_retry_after() {
    let east = Region::start("us-east-1").await;
    let asking = |seconds| Mood::Refusing(429, "ThrottlingException", "Slow down.", Some(seconds));
    let rig = before(&[east.target()], "retries: { more: 1, retry_after_limit: 2 }").await;
    east.is(asking("1"));
    let start = Instant::now();
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer), east.take()), (429, 2, 2));
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());

    east.is(asking("90"));
    let start = Instant::now();
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer), east.take()), (429, 1, 1), "longer than allowed");
    assert!(start.elapsed() < Duration::from_secs(90));
    assert_eq!(answer.header("retry-after"), Some("90"), "the client may wait for it");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_throttling_single_target_is_retried_later_and_the_client_may_retry() {
    let east = Region::start("us-east-1").await;
    east.is(THROTTLING);
    let rig = before(&[east.target()], "").await;
    let start = Instant::now();
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer), east.take()), (429, 3, 3));
    // A quarter of a second, then half a second, and up to as much again.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(750), "{took:?}");
    assert_eq!(answer.header("x-should-retry"), None, "the client's own pauses are longer still");
    rig.stop().await;

    // After the last permitted attempt, clients are told.
    let rig = before(&[east.target()], "retries: { budget: 0, budget_floor: 0 }").await;
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer), east.take()), (429, 1, 1));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    rig.stop().await;
}

#[actix_rt::test]
async fn clients_learn_that_all_attempts_were_made() {
    let regions = three().await;
    let order: Vec<String> =
        (0..3).map(|at| regions[at].target_with(&format!("order: {at}"))).collect();
    let rig = before(&order, &format!("strategy: order, {PLAIN}")).await;
    regions[0].is(FAILING);
    regions[1].is(FAILING);
    for (last, status) in [
        // Never retried, retried only elsewhere, and a `Retry-After` above the limit.
        (refusing(424, "ModelErrorException"), 502),
        (refusing(400, "ServiceQuotaExceededException"), 429),
        (Mood::Refusing(503, "ServiceUnavailableException", "No.", Some("9")), 503),
    ] {
        regions[2].is(last);
        let answer = ask_one(&rig, "all").await;
        assert_eq!((answer.status, attempts(&answer)), (status, 3), "{last:?}");
        let expected = (status != 429).then_some("false");
        assert_eq!(answer.header("x-should-retry"), expected, "{last:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_pause_asked_for_by_one_target_does_not_hold_up_another() {
    let [east, west, _] = three().await;
    east.is(Mood::Refusing(429, "ThrottlingException", "Slow down.", Some("90")));
    let targets = [east.target_with("order: 0"), west.target_with("order: 1")];
    let rig = before(&targets, "strategy: order").await;
    let start = Instant::now();
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer), region_of(&answer)), (200, 2, west.name));
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
    rig.stop().await;
}

#[actix_rt::test]
async fn the_budget_bounds_the_load_of_retries() {
    for workers in WORKERS {
        let regions = three().await;
        regions.iter().for_each(|region| region.is(FAILING));
        let keys = format!("retries: {{ budget: 0.1, budget_floor: 0 }}, {PLAIN}");
        let rig = before_with(workers, &targets(&regions), &keys).await;
        let answers = ask_many(&rig, "all", 500, 8).await;
        assert_eq!(statuses(&answers), [(500, 500)].into());
        let upstream: usize = regions.iter().map(Region::take).sum();
        println!("{workers} workers: {upstream} calls upstream for 500");
        assert!((540..=555).contains(&upstream), "{upstream} for 500");
        let told = answers.iter().filter(|answer| answer.header("x-should-retry") == Some("false"));
        assert_eq!(told.count(), 500, "every client hears that trying again is no use");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_throttled_call_of_a_single_target_is_retried() {
    let east = Region::start("us-east-1").await;
    east.is(THROTTLING);
    let rig = before(&[east.target()], "retries: { first_pause: 0.02 }").await;
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer), east.take()), (429, 3, 3));
    rig.stop().await;
}
