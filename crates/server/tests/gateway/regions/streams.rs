//! Broken streams: before the first event the call is retried elsewhere, after it never.

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use super::region::{Break, Mood, Region, attempts, before, region_of, targets, three};
use crate::rig::{Received, Rig};

pub(super) const BREAKS: [Break; 8] = [
    Break::Cut,
    Break::End,
    Break::Exception("modelStreamErrorException"),
    Break::Told("internalServerException"),
    Break::ErrorFrame,
    Break::Corrupt,
    Break::HalfFrame,
    // Last: a throttling target gets fewer calls for a while.
    Break::Exception("throttlingException"),
];

/// No circuit breaker, so that each call meets the break.
pub(super) const NO_COOLDOWN: &str =
    "cooldown: off, retries: { budget: 1, budget_floor: 1000 }, affinity: off";

async fn stream_many(rig: &Rig, count: usize) -> Vec<Received> {
    stream::iter(0..count)
        .map(|number| async move {
            let content = format!("{number}?");
            let asked = json!({
                "model": "all", "stream": true, "messages": [{ "role": "user", "content": content }]
            });
            rig.chat(&asked).await
        })
        .buffer_unordered(8)
        .collect()
        .await
}

#[actix_rt::test]
async fn after_the_first_byte_there_is_no_second_call() {
    let regions = three().await;
    let rig = before(&targets(&regions), NO_COOLDOWN).await;
    let mut streams = 0;
    for after in [1, 2, 4] {
        for how in BREAKS.into_iter().chain([Break::Oversized]) {
            regions.iter().for_each(|region| region.is(Mood::Broken(after, how)));
            let answers = stream_many(&rig, 21).await;
            for answer in &answers {
                assert_eq!((answer.status, attempts(answer)), (200, 1), "{how:?} after {after}");
                let (events, done) = answer.events();
                assert!(
                    !done && events.last().unwrap()["error"].is_object(),
                    "{how:?} after {after}"
                );
            }
            let upstream: usize = regions.iter().map(Region::take).sum();
            assert_eq!(upstream, answers.len(), "{how:?} after {after}: a call each, and no more");
            streams += answers.len();
        }
    }
    assert!(streams >= 500, "{streams}");
    rig.stop().await;
}

#[actix_rt::test]
async fn before_the_first_event_a_broken_stream_is_retried_elsewhere() {
    let regions = three().await;
    let rig = before(&targets(&regions), NO_COOLDOWN).await;
    for how in BREAKS {
        regions[0].is(Mood::Broken(0, how));
        let answers = stream_many(&rig, 12).await;
        for answer in &answers {
            assert_eq!(answer.status, 200, "{how:?}");
            let (events, done) = answer.events();
            assert!(done && !events.iter().any(|event| event["error"].is_object()), "{how:?}");
            assert_ne!(region_of(answer), regions[0].name);
        }
        let counts: Vec<usize> = regions.iter().map(Region::take).collect();
        assert_eq!(counts[1] + counts[2], 12, "{how:?}: {counts:?}");
        let again = answers.iter().filter(|answer| attempts(answer) == 2).count();
        assert_eq!(again, counts[0], "{how:?}");
        assert!(again > 0, "{how:?} was met");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_broken_unary_response_is_not_retried() {
    let regions = three().await;
    regions.iter().for_each(|region| region.is(Mood::Broken(0, Break::Cut)));
    let rig = before(&targets(&regions), NO_COOLDOWN).await;
    let answer = super::region::ask_one(&rig, "all").await;
    assert_eq!(answer.status, 502, "it was answered, and is paid for");
    assert_eq!(regions.iter().map(Region::take).sum::<usize>(), 1);
    rig.stop().await;
}
