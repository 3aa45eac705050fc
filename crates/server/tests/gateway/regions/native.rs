//! Bedrock's own API takes part in all of it: shares, attempts, cooldowns.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::region::{
    Break, FAILING, Mood, Region, THROTTLING, attempts, before, region_of, statuses, targets, three,
};
use crate::rig::{Received, Rig};

const OPERATIONS: [&str; 4] =
    ["converse", "converse-stream", "invoke", "invoke-with-response-stream"];

async fn call(rig: &Rig, operation: &str) -> Received {
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] });
    let path = format!("/bedrock/model/all/{operation}");
    rig.send(Method::POST, &path, Bytes::from(body.to_string())).await
}

#[actix_rt::test]
async fn calls_are_shared_and_say_where_they_went() {
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
async fn a_bad_target_is_not_felt() {
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
async fn with_nobody_else_the_callers_get_bedrocks_own_words() {
    let regions = three().await;
    regions.iter().for_each(|region| region.is(THROTTLING));
    let rig = before(&targets(&regions), "").await;
    let answer = call(&rig, "converse").await;
    assert_eq!((answer.status, attempts(&answer)), (429, 3));
    assert_eq!(answer.header("x-amzn-errortype"), Some("ThrottlingException"));
    assert_eq!(answer.json()["message"], "Too many requests, please wait before trying again.");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_has_begun_is_not_begun_again() {
    let regions = three().await;
    let rig = before(&targets(&regions), "cooldown: off").await;
    for how in [Break::Cut, Break::Exception("modelStreamErrorException"), Break::Corrupt] {
        regions.iter().for_each(|region| region.is(Mood::Broken(2, how)));
        for operation in ["converse-stream", "invoke-with-response-stream"] {
            let path = format!("/bedrock/model/all/{operation}");
            // The answer may end in an error of its transport: what counts is how often was asked.
            let (status, _, body) = rig.open(Method::POST, &path, Bytes::from_static(b"{}")).await;
            let _ = http_body_util::BodyExt::collect(body).await;
            assert_eq!(status, 200);
            let upstream: usize = regions.iter().map(Region::take).sum();
            assert_eq!(upstream, 1, "{how:?} {operation}");
        }
    }
    rig.stop().await;
}
