//! Routing of Bedrock's own API: shares, attempts, cooldowns.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::region::{
    Break, FAILING, Mood, Region, THROTTLING, attempts, before, region_of, statuses, targets, three,
};
use super::streams::{BREAKS, NO_COOLDOWN};
use crate::rig::{Received, Rig};

const OPERATIONS: [&str; 4] =
    ["converse", "converse-stream", "invoke", "invoke-with-response-stream"];

const STREAMS: [&str; 2] = ["converse-stream", "invoke-with-response-stream"];

async fn call(rig: &Rig, operation: &str) -> Received {
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] });
    let path = format!("/bedrock/model/all/{operation}");
    rig.send(Method::POST, &path, Bytes::from(body.to_string())).await
}

#[actix_rt::test]
async fn calls_are_distributed_and_report_their_target() {
    let regions = three().await;
    let rig = before(&targets(&regions), "affinity: off").await;
    for operation in OPERATIONS {
        for _ in 0..9 {
            let answer = call(&rig, operation).await;
            assert_eq!((answer.status, attempts(&answer)), (200, 1), "{operation}");
            assert!(regions.iter().any(|region| region.name == region_of(&answer)));
        }
        let counts: Vec<usize> = regions.iter().map(Region::take).collect();
        assert!(counts.iter().all(|count| (2..=4).contains(count)), "{operation}: {counts:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_failing_target_does_not_affect_clients() {
    let regions = three().await;
    for mood in [FAILING, THROTTLING, Mood::HangingUp] {
        let rig = before(&targets(&regions), "affinity: off").await;
        regions[0].is(mood);
        for operation in OPERATIONS {
            let mut answers = Vec::new();
            for _ in 0..12 {
                answers.push(call(&rig, operation).await);
            }
            assert_eq!(statuses(&answers), [(200, 12)].into(), "{mood:?} {operation}");
            assert!(answers.iter().all(|answer| region_of(answer) != regions[0].name));
        }
        regions[0].is(Mood::Well);
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn without_other_targets_callers_get_bedrocks_error() {
    let regions = three().await;
    regions.iter().for_each(|region| region.is(THROTTLING));
    let rig = before(&targets(&regions), "").await;
    let answer = call(&rig, "converse").await;
    assert_eq!((answer.status, attempts(&answer)), (429, 3));
    assert_eq!(answer.header("x-amzn-errortype"), Some("ThrottlingException"));
    assert_eq!(answer.json()["message"], "Too many requests, please wait before trying again.");
    rig.stop().await;
}

/// The status, and the body as far as received: it may end in a transport error.
async fn streamed(rig: &Rig, operation: &str) -> (u16, HeaderMap, Vec<u8>) {
    let path = format!("/bedrock/model/all/{operation}");
    let (status, headers, mut body) =
        rig.open(Method::POST, &path, Bytes::from_static(b"{}")).await;
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    (status, headers, bytes)
}

#[actix_rt::test]
async fn a_started_stream_is_not_retried() {
    let regions = three().await;
    let rig = before(&targets(&regions), "cooldown: off").await;
    let mut streams = 0;
    for how in BREAKS.into_iter().chain([Break::Oversized]) {
        for after in [1, 2, 4] {
            regions.iter().for_each(|region| region.is(Mood::Broken(after, how)));
            for operation in STREAMS {
                for _ in 0..3 {
                    let (status, _, body) = streamed(&rig, operation).await;
                    assert!(status == 200 && !body.is_empty(), "{how:?} {operation}");
                    let upstream: usize = regions.iter().map(Region::take).sum();
                    assert_eq!(upstream, 1, "{how:?} {operation}");
                    streams += 1;
                }
            }
        }
    }
    assert!(streams >= 150, "{streams}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_breaks_before_its_first_event_is_retried_elsewhere() {
    let regions = three().await;
    let rig = before(&targets(&regions), NO_COOLDOWN).await;
    for how in BREAKS {
        regions[0].is(Mood::Broken(0, how));
        for operation in STREAMS {
            for _ in 0..6 {
                let (status, headers, body) = streamed(&rig, operation).await;
                assert_eq!(status, 200, "{how:?} {operation}");
                assert_ne!(headers["x-outcrop-region"], regions[0].name, "{how:?} {operation}");
                let whole = String::from_utf8_lossy(&body).contains("messageStop");
                assert!(whole, "{how:?} {operation}");
            }
        }
        let counts: Vec<usize> = regions.iter().map(Region::take).collect();
        assert!(counts[0] > 0 && counts[1] + counts[2] == 12, "{how:?}: {counts:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_never_starts_gives_an_error_status() {
    let regions = three().await;
    let rig = before(&targets(&regions), NO_COOLDOWN).await;
    for how in [Break::Cut, Break::End, Break::Corrupt, Break::HalfFrame] {
        regions.iter().for_each(|region| region.is(Mood::Broken(0, how)));
        let answer = call(&rig, "converse-stream").await;
        assert_eq!((answer.status, attempts(&answer)), (503, 3), "{how:?}");
        assert_eq!(answer.header("x-amzn-errortype"), Some("ServiceUnavailableException"));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_target_with_broken_streams_gets_no_calls() {
    for how in BREAKS {
        // Throttling causes a penalty, not a failure.
        if how == Break::Exception("throttlingException") {
            continue;
        }
        let [ill, well, _] = three().await;
        let keys = "strategy: order, cooldown: { calls: 2, open: 60 }";
        let rig = before(&[ill.target_with("order: 0"), well.target_with("order: 1")], keys).await;
        ill.is(Mood::Broken(2, how));
        for operation in STREAMS {
            streamed(&rig, operation).await;
        }
        assert_eq!((ill.take(), well.take()), (2, 0), "{how:?}");
        let (_, headers, _) = streamed(&rig, "converse-stream").await;
        assert_eq!(headers["x-outcrop-region"], well.name, "{how:?}: two of two");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_target_with_throttled_streams_gets_fewer_calls() {
    let [busy, well, _] = three().await;
    let targets = [busy.target_with("order: 0"), well.target_with("order: 1")];
    let rig = before(&targets, "strategy: order").await;
    busy.is(Mood::Broken(2, Break::Told("throttlingException")));
    streamed(&rig, "converse-stream").await;
    let (_, headers, _) = streamed(&rig, "converse-stream").await;
    assert_eq!(headers["x-outcrop-region"], well.name);
    rig.stop().await;
}

/// A native body with a long beginning, which ends with a cache point if `marked`.
fn long(prefix: usize, marked: bool, operation: &str, question: usize) -> Value {
    let text = format!("Handbook {prefix}. {}", "Granite is an igneous rock. ".repeat(800));
    let mut system = vec![json!({ "text": text })];
    if marked {
        system.push(json!({ "cachePoint": { "type": "default" } }));
    }
    if operation.starts_with("invoke") {
        system = vec![json!({ "type": "text", "text": text })];
        if marked {
            system[0]["cache_control"] = json!({ "type": "ephemeral" });
        }
    }
    let content = json!([{ "text": format!("{question}?") }]);
    json!({ "messages": [{ "role": "user", "content": content }], "system": system })
}

#[actix_rt::test]
async fn calls_with_a_common_beginning_stay_with_one_target() {
    let regions = three().await;
    for (keys, kept) in [("", true), ("affinity: off", false)] {
        let rig = before(&targets(&regions), keys).await;
        for operation in OPERATIONS {
            let path = format!("/bedrock/model/all/{operation}");
            let mut homes = BTreeSet::new();
            for prefix in 0..24 {
                let mut seen = BTreeSet::new();
                for question in 0..4 {
                    let body = long(prefix, prefix % 2 == 0, operation, question).to_string();
                    let answer = rig.send(Method::POST, &path, body.into()).await;
                    assert_eq!(answer.status, 200);
                    seen.insert(region_of(&answer).to_owned());
                }
                assert_eq!(seen.len() == 1, kept, "{operation} {prefix}: {seen:?}");
                homes.extend(seen);
            }
            assert_eq!(homes.len(), 3, "{operation}: {homes:?}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn token_counts_reserve_no_quota_and_do_not_count_as_latency() {
    let [small, large, _] = three().await;
    let targets = [small.target_with("order: 0, tpm: 1000"), large.target_with("order: 1")];
    let rig = before(&targets, "strategy: order").await;
    for _ in 0..5 {
        let answer = call(&rig, "count-tokens").await;
        assert_eq!((answer.status, region_of(&answer)), (200, small.name));
    }
    rig.stop().await;

    // The target that counts tokens at once takes longer to answer.
    let [slow, fast, _] = three().await;
    let rig = before(&[slow.target(), fast.target()], "strategy: latency, affinity: off").await;
    slow.is(Mood::Slow(Duration::from_millis(250)));
    for _ in 0..10 {
        call(&rig, "converse").await;
    }
    slow.is(Mood::Well);
    for _ in 0..40 {
        call(&rig, "count-tokens").await;
    }
    slow.take();
    fast.take();
    for _ in 0..40 {
        call(&rig, "converse").await;
    }
    let (slow, fast) = (slow.take(), fast.take());
    assert!(fast >= 22, "{slow} to the slow one, {fast} to the other");
    rig.stop().await;
}
