//! Calls with a common beginning stay with the target whose prompt cache holds it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::region::{FAILING, Mood, Region, before, forget, region_of, statuses, targets, three};
use crate::rig::Rig;

fn handbook(prefix: usize) -> String {
    format!("Handbook {prefix}. {}", "Granite is an igneous rock. ".repeat(800))
}

fn behind(system: &Value, number: usize) -> Value {
    json!({
        "model": "all",
        "messages": [
            { "role": "system", "content": system },
            { "role": "user", "content": format!("{number}?") },
        ],
    })
}

/// A question after a long text, which is the same for the same `prefix`.
fn long(prefix: usize, number: usize) -> Value {
    let mark = json!({ "type": "ephemeral" });
    let text = json!([{ "type": "text", "text": handbook(prefix), "cache_control": mark }]);
    behind(&text, number)
}

/// The same without a mark: the gateway sets its own after the text.
fn unmarked(prefix: usize, number: usize) -> Value {
    behind(&json!(handbook(prefix)), number)
}

async fn regions_of(rig: &Rig, prefix: usize, count: usize) -> BTreeSet<String> {
    regions_asked(rig, count, |number| long(prefix, number)).await
}

async fn regions_asked(
    rig: &Rig,
    count: usize,
    asked: impl Fn(usize) -> Value,
) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for number in 0..count {
        let answer = rig.chat(&asked(number)).await;
        assert_eq!(answer.status, 200);
        seen.insert(region_of(&answer).to_owned());
    }
    seen
}

#[actix_rt::test]
async fn one_prefix_keeps_to_one_target_and_many_use_all() {
    let regions = three().await;
    let rig = before(&targets(&regions), "").await;
    let mut homes = BTreeSet::new();
    for prefix in 0..24 {
        let home = regions_of(&rig, prefix, 4).await;
        assert_eq!(home.len(), 1, "prefix {prefix}: {home:?}");
        homes.extend(home);
    }
    assert_eq!(homes.len(), 3, "{homes:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn an_unmarked_prefix_stays_with_one_target() {
    let regions = three().await;
    let rig = before(&targets(&regions), "").await;
    let mut homes = BTreeSet::new();
    for prefix in 0..24 {
        let home = regions_asked(&rig, 4, |number| unmarked(prefix, number)).await;
        assert_eq!(home.len(), 1, "prefix {prefix}: {home:?}");
        homes.extend(home);
    }
    assert_eq!(homes.len(), 3, "{homes:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_prefix_moves_while_its_target_fails_and_returns() {
    let regions = three().await;
    let rig = before(&targets(&regions), "cooldown: { in_a_row: 2, open: 0.3 }").await;
    let home = regions_of(&rig, 1, 5).await.pop_first().unwrap();
    let at = regions.iter().position(|region| region.name == home).unwrap();
    regions[at].is(FAILING);
    let away = regions_of(&rig, 1, 20).await;
    assert!(!away.contains(&home) && away.len() == 1, "all to the same other one: {away:?}");
    regions[at].is(Mood::Well);
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while regions_of(&rig, 1, 1).await != BTreeSet::from([home.clone()]) {
        assert!(std::time::Instant::now() < deadline, "never came back");
    }
    assert_eq!(regions_of(&rig, 1, 10).await, BTreeSet::from([home]), "and stays");
    rig.stop().await;
}

#[actix_rt::test]
async fn affinity_can_be_off_and_ignores_short_questions() {
    let regions = three().await;
    let rig = before(&targets(&regions), "affinity: off").await;
    assert_eq!(regions_of(&rig, 1, 12).await.len(), 3);
    rig.stop().await;

    let rig = before(&targets(&regions), "").await;
    forget(&regions);
    let asked = json!({ "model": "all", "messages": [{ "role": "user", "content": "Hi" }] });
    let mut answers = Vec::new();
    for _ in 0..12 {
        answers.push(rig.chat(&asked).await);
    }
    assert_eq!(statuses(&answers), [(200, 12)].into());
    let counts: Vec<usize> = regions.iter().map(Region::take).collect();
    assert!(counts.iter().all(|count| *count >= 3), "{counts:?}");
    rig.stop().await;
}
