//! Distribution of calls over healthy targets, and the effect of quotas and strategies.

use std::time::Duration;

use super::region::{
    Mood, Region, WORKERS, ask_many, ask_one, before, group, region_of, statuses, three,
};
use crate::rig::Rig;

/// A share, in per cent.
fn part(of: usize, all: usize) -> f64 {
    100.0 * f64::from(u32::try_from(of).unwrap()) / f64::from(u32::try_from(all).unwrap())
}

#[actix_rt::test]
async fn weights_share_ten_thousand_calls_within_two_per_cent() {
    let [east, west, _] = three().await;
    let equal = group("equal", &[east.target(), west.target()], "");
    let heavy = group("heavy", &[east.target_with("weight: 3"), west.target()], "");
    for workers in WORKERS {
        let rig = Rig::start_with(workers, &format!("models:\n{equal}{heavy}")).await;
        for (name, count, expected) in [("equal", 1_000, 50.0), ("heavy", 10_000, 75.0)] {
            let answers = ask_many(&rig, name, count, 16).await;
            assert_eq!(statuses(&answers), [(200, count)].into(), "{name}");
            let (here, there) = (east.take(), west.take());
            assert_eq!(here + there, count, "{name}: a call each");
            let found = part(here, count);
            assert!((found - expected).abs() <= 2.0, "{name}: {found} for {expected}");
            println!("{name}, {workers} workers: {here} and {there}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn the_lowest_order_is_called_while_healthy() {
    let [first, second, third] = three().await;
    let targets = [
        third.target_with("order: 3"),
        first.target_with("order: 1"),
        second.target_with("order: 2"),
    ];
    let rig = before(&targets, "strategy: order, cooldown: { in_a_row: 2, open: 0.2 }").await;
    ask_many(&rig, "all", 50, 4).await;
    assert_eq!([first.take(), second.take(), third.take()], [50, 0, 0]);
    first.is(super::region::FAILING);
    let answers = ask_many(&rig, "all", 50, 1).await;
    assert_eq!(statuses(&answers), [(200, 50)].into());
    assert!(second.take() >= 48 && third.take() == 0, "the next in order, and nobody else");
    first.take();
    first.is(Mood::Well);
    super::region::ask_until(&rig, "all", |answer| region_of(answer) == first.name).await;
    second.take();
    ask_many(&rig, "all", 20, 1).await;
    assert_eq!(second.take(), 0, "back to the first");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_least_busy_target_is_called() {
    let [slow, fast, _] = three().await;
    // Much longer than a call takes on a loaded machine.
    slow.is(Mood::Slow(Duration::from_secs(2)));
    let rig = before(&[slow.target(), fast.target()], "strategy: least_busy, affinity: off").await;
    let answers = ask_many(&rig, "all", 100, 8).await;
    assert_eq!(statuses(&answers), [(200, 100)].into());
    let (slow, fast) = (slow.take(), fast.take());
    assert!(slow >= 1 && fast > 3 * slow, "{slow} to the slow one, {fast} to the other");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_fastest_target_gets_the_most_calls() {
    let [slow, fast, _] = three().await;
    // Much longer than a call takes on a loaded machine.
    slow.is(Mood::Slow(Duration::from_millis(250)));
    let rig = before(&[slow.target(), fast.target()], "strategy: latency, affinity: off").await;
    ask_many(&rig, "all", 20, 1).await;
    slow.take();
    fast.take();
    ask_many(&rig, "all", 100, 2).await;
    let (slow, fast) = (slow.take(), fast.take());
    assert!(fast >= 65, "{slow} to the slow one, {fast} to the other");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_target_gets_no_more_calls_than_its_quota() {
    let [small, large, _] = three().await;
    // Ten calls per minute; all further ones go to the other.
    let targets = [small.target_with("rpm: 10"), large.target()];
    let rig = before(&targets, "").await;
    let start = std::time::Instant::now();
    let answers = ask_many(&rig, "all", 200, 8).await;
    let minutes = 1 + usize::try_from(start.elapsed().as_secs() / 60).unwrap();
    assert_eq!(statuses(&answers), [(200, 200)].into(), "nobody is refused");
    let (few, many) = (small.take(), large.take());
    assert!((5..=12 * minutes).contains(&few) && few + many == 200, "{few} and {many}");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_usage_strategy_selects_by_remaining_quota() {
    let [small, large, _] = three().await;
    let targets = [small.target_with("rpm: 100"), large.target_with("rpm: 900")];
    let rig = before(&targets, "strategy: usage, affinity: off").await;
    ask_many(&rig, "all", 200, 4).await;
    let (few, many) = (small.take(), large.take());
    assert!((10..=40).contains(&few) && few + many == 200, "{few} and {many}");
    rig.stop().await;
}

#[actix_rt::test]
async fn an_answer_names_its_target() {
    let east = Region::start("us-east-1").await;
    let rig = before(&[east.target()], "").await;
    let answer = ask_one(&rig, "all").await;
    assert_eq!(answer.header("x-outcrop-target"), Some("amazon.nova-lite-v1:0@us-east-1"));
    assert_eq!(answer.header("x-outcrop-region"), Some("us-east-1"));
    assert_eq!(answer.header("x-outcrop-attempts"), Some("1"));
    rig.stop().await;
}

#[actix_rt::test]
async fn tokens_are_reserved_as_bedrock_does_and_returned() {
    let [small, large, _] = three().await;
    let targets = [small.target_with("order: 0, tpm: 10000"), large.target_with("order: 1")];
    let rig = before(&targets, "strategy: order").await;
    let asking_for = |tokens: u32| {
        serde_json::json!({
            "model": "all", "max_tokens": tokens, "messages": [{ "role": "user", "content": "Hi" }]
        })
    };
    // Only seven tokens were used, so thousands reserved repeatedly are returned.
    for _ in 0..20 {
        assert_eq!(region_of(&rig.chat(&asking_for(1000)).await), small.name);
    }
    // Reserved tokens count before they are used, while the call is in flight.
    small.take();
    small.is(Mood::Silent);
    {
        let greedy = asking_for(9500);
        let mut waiting = std::pin::pin!(rig.chat(&greedy));
        tokio::select! {
            answer = waiting.as_mut() => panic!("answered by {}", region_of(&answer)),
            () = small.reached(1) => {}
        }
        assert_eq!(region_of(&rig.chat(&asking_for(1000)).await), large.name);
    }
    rig.stop().await;
}
