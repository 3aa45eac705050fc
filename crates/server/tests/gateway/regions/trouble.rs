//! Unhealthy targets, one of several or all: the time until the breaker opens, the time until recovery, and
//! the absence of effects on clients.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;

use super::region::{
    BlackHole, FAILING, Mood, Region, THROTTLING, WORKERS, ask_many, ask_one, ask_until, attempts,
    before, before_with, forget, nobody, question, region_of, statuses, target, targets, three,
};
use crate::rig::{PATIENCE, Received, Rig};

/// A short cooldown, so that a test sees a target recover.
const OPEN: Duration = Duration::from_millis(400);
const COOLDOWN: &str = "cooldown: { open: 0.4, longest: 0.4 }, affinity: off";

/// Retries within the budget for `calls` that took `time`: a fifth of the calls and ten times `floor`, once
/// per window of ten seconds; from the second window on, calls of the one before it count too.
fn allowed(calls: usize, time: Duration, floor: usize) -> usize {
    // The window advances in tenths.
    let windows = usize::try_from(time.as_secs()).unwrap() / 9 + 1;
    calls / 5 * windows.min(2) + 10 * floor * windows
}

#[actix_rt::test]
async fn one_throttling_target_of_three_does_not_affect_clients() {
    for workers in WORKERS {
        let regions = three().await;
        regions[0].is(THROTTLING);
        let rig = before_with(workers, &targets(&regions), "").await;
        let mut failed = 0;
        // Two seconds to detect the failure; then as long again for counting, with enough calls.
        let mut counted = Duration::ZERO;
        for least in [1, 500] {
            forget(&regions);
            let (start, mut all) = (Instant::now(), 0);
            while start.elapsed() < Duration::from_secs(2) || all < least {
                let answers = ask_many(&rig, "all", 50, 8).await;
                all += answers.len();
                failed += answers.iter().filter(|answer| answer.status != 200).count();
            }
            counted = start.elapsed();
        }
        let counts: Vec<usize> = regions.iter().map(Region::take).collect();
        println!("{workers} workers: {failed} failed, in the last {counted:?} {counts:?}");
        assert_eq!(failed, 0, "there is always another target");
        // One call probes when a cooldown is over. Five probes reach the longest cooldown, which is four
        // seconds.
        let due = 5 + usize::try_from(counted.as_secs()).unwrap() / 4;
        assert!(counts[0] <= due, "{counts:?}");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn retries_stay_bounded_when_all_throttle() {
    // The defaults: a fifth of the calls, and always ten a second; then with one a second.
    for (workers, settings, floor) in
        [(WORKERS[0], "", 10), (WORKERS[1], "retries: { budget_floor: 1 }", 1)]
    {
        let regions = three().await;
        regions.iter().for_each(|region| region.is(THROTTLING));
        let rig = before_with(workers, &targets(&regions), settings).await;
        let start = Instant::now();
        let mut answers = Vec::new();
        // As many as fit into one window of the budget.
        while answers.len() < 4000 && start.elapsed() < Duration::from_secs(8) {
            answers.extend(ask_many(&rig, "all", 200, 64).await);
        }
        let (count, took) = (answers.len(), start.elapsed());
        assert_eq!(statuses(&answers), [(429, count)].into());
        let upstream: usize = regions.iter().map(Region::take).sum();
        println!("{workers} workers: {upstream} calls upstream for {count} in {took:?}");
        assert!(upstream >= count, "{upstream} for {count}");
        // Workers that check at the same time may each get the last retry.
        let more = allowed(count, took, floor) + workers - 1;
        assert!(upstream - count <= more, "{upstream} for {count}, {more} more allowed");
        let told = |answer: &&Received| answer.header("x-should-retry") == Some("false");
        let spent = answers.iter().filter(told).count();
        assert!(
            spent + (upstream - count) >= count,
            "clients hear that trying again is no use, but for {} of {count}",
            count - spent
        );

        regions.iter().for_each(|region| region.is(Mood::Well));
        // Open as they all are, the next calls are let through.
        let answers = ask_many(&rig, "all", 20, 1).await;
        assert!(answers.iter().any(|answer| answer.status == 200), "{:?}", statuses(&answers));
        let answers = ask_many(&rig, "all", 100, 4).await;
        assert_eq!(statuses(&answers), [(200, 100)].into());
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn one_failing_target_of_three_is_cut_off_within_ten_calls_and_recovers_soon() {
    let regions = three().await;
    let rig = before(&targets(&regions), COOLDOWN).await;
    regions[0].is(FAILING);
    let broke = Instant::now();
    let mut answers = Vec::new();
    while broke.elapsed() < OPEN / 2 || answers.len() < 60 {
        answers.extend(ask_many(&rig, "all", 10, 1).await);
    }
    assert_eq!(statuses(&answers), [(200, answers.len())].into(), "clients feel nothing");
    let probes = usize::try_from(broke.elapsed().as_millis() / OPEN.as_millis()).unwrap();
    let asked = regions[0].take();
    println!("{asked} calls to the failing target of {} ({probes} probes)", answers.len());
    assert!(asked <= 10 + probes, "{asked} calls before it was left alone");

    // While it fails, it gets only probes.
    let known = Instant::now();
    while broke.elapsed() < OPEN * 3 {
        ask_many(&rig, "all", 10, 1).await;
    }
    let pauses = usize::try_from(known.elapsed().as_millis() / OPEN.as_millis()).unwrap();
    assert!(regions[0].take() <= 1 + pauses, "one probe for each time");
    regions[0].is(Mood::Well);
    // Whenever the last probe was, its cooldown is over after this.
    actix_rt::time::sleep(OPEN).await;
    let answers = ask_many(&rig, "all", 10, 1).await;
    assert!(answers.iter().any(|answer| region_of(answer) == regions[0].name), "back soon");
    // After recovery it gets its share again.
    forget(&regions);
    let answers = ask_many(&rig, "all", 90, 4).await;
    assert_eq!(statuses(&answers), [(200, 90)].into());
    assert!((20..=40).contains(&regions[0].take()), "a third");
    rig.stop().await;
}

#[actix_rt::test]
async fn with_all_breakers_open_the_least_bad_target_is_called() {
    let regions = three().await;
    let rig = before(&targets(&regions), "cooldown: { in_a_row: 1, open: 60 }").await;
    regions.iter().for_each(|region| region.is(FAILING));
    ask_many(&rig, "all", 10, 1).await;
    regions.iter().for_each(|region| region.is(Mood::Well));
    assert_eq!(ask_one(&rig, "all").await.status, 200, "rather than a refusal of our own");
    rig.stop().await;
}

#[actix_rt::test]
async fn without_cooldown_a_failing_target_keeps_its_share() {
    let regions = three().await;
    regions[0].is(FAILING);
    let rig = before(&targets(&regions), "cooldown: off").await;
    let answers = ask_many(&rig, "all", 60, 1).await;
    assert_eq!(statuses(&answers), [(200, 60)].into());
    let asked = regions[0].take();
    assert!((18..=22).contains(&asked), "{asked} of 60");
    rig.stop().await;
}

#[actix_rt::test]
async fn an_unreachable_target_is_skipped() {
    let east = Region::start("us-east-1").await;
    let hole = BlackHole::open().await;
    // A refusal is known at once, so its limit is long; a black hole takes as long as its limit.
    for (what, url, connect) in [("refused", nobody(), 60), ("black hole", hole.url.clone(), 1)] {
        let keys = "cooldown: { in_a_row: 3, open: 60 }";
        let yaml = format!(
            "timeouts: {{ connect: {} }}\nmodels:\n{}",
            connect,
            super::region::group("all", &[target("us-west-2", &url), east.target()], keys)
        );
        let rig = Rig::start(&yaml).await;
        let mut tried = 0;
        while tried < 3 {
            let start = Instant::now();
            let answer = ask_one(&rig, "all").await;
            let took = start.elapsed();
            assert_eq!((answer.status, east.take()), (200, 1), "{what}");
            if attempts(&answer) == 2 {
                tried += 1;
                println!("{what}: answered by the other after {took:?}");
                let waited = took >= Duration::from_secs(connect);
                assert_eq!(waited, what == "black hole", "{what}: {took:?}");
            }
        }
        // The target's state is known now: no call waits for it any more.
        let answers = ask_many(&rig, "all", 20, 1).await;
        assert!(answers.iter().all(|answer| answer.status == 200 && attempts(answer) == 1));
        assert_eq!(east.take(), 20, "{what}");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_target_that_closes_connections_is_skipped() {
    let regions = three().await;
    regions[1].is(Mood::HangingUp);
    let rig = before(&targets(&regions), "").await;
    let answers = ask_many(&rig, "all", 50, 4).await;
    assert_eq!(statuses(&answers), [(200, 50)].into());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_connection_that_was_just_closed_is_no_failure() {
    // Alone, and at the same time as others that draw closed connections from the same pool.
    for at_once in [1, 16] {
        let east = Region::start("us-east-1").await;
        east.is(Mood::Stale);
        let rig = before(&[east.target()], "cooldown: { in_a_row: 1, open: 60 }").await;
        // A resent call gets a connection of its own, so every second call finds one to reuse.
        let count = 2200;
        let calls = stream::iter(0..count).map(async |number| {
            let start = Instant::now();
            (rig.chat(&question("all", number)).await, start.elapsed())
        });
        let answers: Vec<(Received, Duration)> = calls.buffer_unordered(at_once).collect().await;
        for (answer, took) in answers {
            assert_eq!(answer.status, 200, "{at_once} at once");
            // A call that failed after a second may have been read, so the router sends it again.
            let is_slow = took >= Duration::from_secs(1);
            assert!(attempts(&answer) == 1 || is_slow, "an attempt of the router's, {took:?}");
        }
        assert_eq!(east.take(), count, "a connection that is closed unread was asked nothing");
        let reused = east.closed_unread();
        println!("{reused} closed connections were used again, {at_once} at once");
        assert!(reused >= 1000, "{reused} of {count}, {at_once} at once");
        for number in 0..20 {
            let mut asked = question("all", number);
            asked["stream"] = true.into();
            let answer = rig.chat(&asked).await;
            assert!(answer.status == 200 && answer.events().1, "{number}: a whole stream");
        }
        assert!(east.closed_unread() >= reused + 10);
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn clients_that_leave_say_nothing_about_the_target() {
    let [slow, other, _] = three().await;
    slow.is(Mood::Silent);
    let keys = "strategy: order, cooldown: { in_a_row: 2, calls: 2, open: 60 }";
    let rig = before(&[slow.target_with("order: 0"), other.target_with("order: 1")], keys).await;
    for number in 1..=50 {
        let asked = question("all", number);
        let mut waiting = std::pin::pin!(rig.chat_open(&asked));
        tokio::select! {
            _ = waiting.as_mut() => panic!("a silent call was answered"),
            () = slow.reached(number) => {}
        }
    }
    slow.left(50).await;
    assert_eq!(other.take(), 0, "nobody was asked in its place");
    slow.is(Mood::Well);
    assert_eq!(region_of(&ask_one(&rig, "all").await), slow.name, "it is held to be well");
    rig.stop().await;
}

#[actix_rt::test]
async fn clients_that_leave_during_an_answer_say_nothing_about_the_target() {
    let [hanging, other, _] = three().await;
    hanging.is(Mood::Hanging(2));
    let keys = "strategy: order, cooldown: { in_a_row: 1, calls: 1, open: 60 }";
    let rig = before(&[hanging.target_with("order: 0"), other.target_with("order: 1")], keys).await;
    let asked = |number| {
        let mut asked = question("all", number);
        asked["stream"] = true.into();
        asked
    };
    for number in 1..=50 {
        let (status, _, mut body) = match number % 2 {
            0 => rig.chat_open(&asked(number)).await,
            _ => {
                let path = "/bedrock/model/all/converse-stream";
                rig.open(http::Method::POST, path, bytes::Bytes::from_static(b"{}")).await
            }
        };
        let first = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap();
        assert!(status == 200 && first.unwrap().unwrap().is_data(), "{number}: it has begun");
        drop(body);
        hanging.left(number).await;
    }
    assert_eq!((hanging.take(), other.take()), (50, 0), "nobody was asked in its place");
    hanging.is(Mood::Well);
    assert_eq!(region_of(&ask_one(&rig, "all").await), hanging.name, "it is held to be well");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_hanging_probe_stays_the_only_one() {
    let [ill, other, _] = three().await;
    ill.is(FAILING);
    let rig = before(&[ill.target(), other.target()], COOLDOWN).await;
    let answers = ask_many(&rig, "all", 30, 1).await;
    assert_eq!(statuses(&answers), [(200, 30)].into());
    ill.take();
    ill.is(Mood::Silent);
    let asked = question("all", 1);
    let mut hanging = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while ill.reached_so_far() == 0 {
        assert!(Instant::now() < deadline, "never probed");
        let mut waiting = Box::pin(rig.chat(&asked));
        tokio::select! {
            answer = waiting.as_mut() => assert_eq!(region_of(&answer), other.name),
            () = ill.reached(1) => hanging.push(waiting),
        }
    }
    let probed = Instant::now();
    while probed.elapsed() < 4 * OPEN {
        let answers = ask_many(&rig, "all", 10, 2).await;
        assert!(answers.iter().all(|answer| region_of(answer) == other.name));
    }
    assert_eq!(ill.take(), 1, "one has been out for all that time");
    drop(hanging);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_probe_whose_client_left_is_repeated() {
    let [ill, other, _] = three().await;
    ill.is(FAILING);
    let keys = "strategy: order, cooldown: { in_a_row: 1, open: 0.1, longest: 0.1 }";
    let rig = before(&[ill.target_with("order: 0"), other.target_with("order: 1")], keys).await;
    assert_eq!(attempts(&ask_one(&rig, "all").await), 2);
    ill.take();
    ill.is(Mood::Silent);
    let deadline = Instant::now() + PATIENCE;
    // One of these is the probe, and hangs until its client disconnects.
    loop {
        assert!(Instant::now() < deadline, "never probed");
        let asked = question("all", 1);
        let mut waiting = std::pin::pin!(rig.chat(&asked));
        tokio::select! {
            answer = waiting.as_mut() => assert_eq!(region_of(&answer), other.name),
            () = ill.reached(1) => break,
        }
    }
    ill.left(1).await;
    ill.is(Mood::Well);
    ask_until(&rig, "all", |answer| region_of(answer) == ill.name).await;
    rig.stop().await;
}
