//! Several targets of one name: a failing one does not affect clients, no request is sent twice that may
//! have been answered, and the headers report the attempts.

use bytes::Bytes;
use emulator::{Call, Fault, Options, Running, Step};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const BODY: &str = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;

async fn upstream() -> Running {
    emulator::start(Options::default()).await.unwrap()
}

fn target(region: &str, upstream: &Running, more: &str) -> String {
    format!(
        "{{ model: nova-lite, region: {region}, endpoint_url: '{}', access_key_id: AKID{}, secret_access_key: x{more} }}",
        upstream.url(),
        region.replace('-', "").to_uppercase(),
    )
}

fn refusal(status: u16, kind: &str, headers: &[(&str, &str)]) -> Step {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Step::Error {
        status,
        kind: kind.to_owned(),
        message: "as the script says".to_owned(),
        headers: headers.collect(),
    }
}

fn throttled() -> Step {
    refusal(429, "ThrottlingException", &[])
}

fn at_start(kind: &str) -> Step {
    let message = "as the script says".to_owned();
    Step::Fault(Fault::Exception { after: 0, kind: kind.to_owned(), message })
}

fn ask(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": "one two three" }] })
}

fn count(upstream: &Running) -> usize {
    upstream.journal().calls().len()
}

fn trail(answer: &Received) -> (Option<&str>, Option<&str>, Option<&str>) {
    (
        answer.header("x-outcrop-target"),
        answer.header("x-outcrop-region"),
        answer.header("x-outcrop-attempts"),
    )
}

/// A gateway with two targets, of which `east` is preferred while it is healthy.
async fn pair(more: &str) -> (Rig, Running, Running) {
    let (east, west) = (upstream().await, upstream().await);
    let yaml = format!(
        "models:\n  both:\n    strategy: order\n    targets:\n      - {}\n      - {}\n{more}",
        target("us-east-1", &east, ", order: 1"),
        target("eu-west-1", &west, ", order: 2"),
    );
    (Rig::start(&yaml).await, east, west)
}

async fn stop(rig: Rig, east: Running, west: Running) {
    rig.stop().await;
    east.stop().await;
    west.stop().await;
}

const EAST: &str = "us.amazon.nova-lite-v1:0@us-east-1";
const WEST: &str = "eu.amazon.nova-lite-v1:0@eu-west-1";

#[actix_rt::test]
async fn a_throttled_target_is_skipped_and_then_gets_no_calls() {
    let (rig, east, west) = pair("").await;
    let answer = rig.chat(&ask("both", false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(trail(&answer), (Some(EAST), Some("us-east-1"), Some("1")));
    // Long enough for the rest of the test.
    east.script().push(refusal(429, "ThrottlingException", &[("Retry-After", "25")]));
    let answer = rig.chat(&ask("both", false)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(trail(&answer), (Some(WEST), Some("eu-west-1"), Some("2")));
    for stream in [false, true] {
        let answer = rig.chat(&ask("both", stream)).await;
        assert_eq!((answer.status, trail(&answer).2), (200, Some("1")));
    }
    assert_eq!((count(&east), count(&west)), (2, 3));
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn a_leading_exception_is_retried_elsewhere() {
    for kind in ["throttlingException", "modelStreamErrorException", "internalServerException"] {
        let (rig, east, west) = pair("").await;
        east.script().push(at_start(kind));
        let answer = rig.chat(&ask("both", true)).await;
        assert_eq!((answer.status, trail(&answer).2), (200, Some("2")), "{kind}");
        assert!(answer.events().1, "{kind}");
        assert_eq!((count(&east), count(&west)), (1, 1));
        stop(rig, east, west).await;
    }
}

#[actix_rt::test]
async fn after_the_first_event_there_is_no_retry() {
    let (rig, east, west) = pair("").await;
    for after in 1..4 {
        for kind in ["throttlingException", "internalServerException"] {
            let message = "as the script says".to_owned();
            let fault = Fault::Exception { after, kind: kind.to_owned(), message };
            // For either target.
            east.script().push(Step::Fault(fault.clone()));
            west.script().push(Step::Fault(fault));
            let before = count(&east) + count(&west);
            let answer = rig.chat(&ask("both", true)).await;
            assert_eq!(answer.status, 200);
            assert!(!answer.events().1, "{kind} after {after} ended like a whole answer");
            assert_eq!(count(&east) + count(&west), before + 1, "{kind} after {after}");
            east.script().clear();
            west.script().clear();
        }
    }
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn native_calls_go_to_another_target_with_the_same_bytes() {
    for (operation, step) in [
        ("converse", throttled()),
        ("converse-stream", throttled()),
        ("converse-stream", at_start("serviceUnavailableException")),
        ("invoke", refusal(503, "ServiceUnavailableException", &[])),
    ] {
        let (rig, east, west) = pair("").await;
        east.script().push(step);
        let body = match operation {
            "invoke" => {
                r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"inferenceConfig":{"maxTokens":20}}"#
            }
            _ => BODY,
        };
        let path = format!("/bedrock/model/both/{operation}");
        let answer = rig.send(Method::POST, &path, Bytes::from_static(body.as_bytes())).await;
        assert_eq!(
            (answer.status, trail(&answer)),
            (200, (Some(WEST), Some("eu-west-1"), Some("2"))),
            "{operation}"
        );
        let bodies = |upstream: &Running| -> Vec<Value> {
            upstream.journal().calls().into_iter().map(|call: Call| call.body).collect()
        };
        assert_eq!(bodies(&east), bodies(&west), "{operation}");
        stop(rig, east, west).await;
    }
}

#[actix_rt::test]
async fn a_native_stream_that_can_only_fail_passes_its_exception_on() {
    let (rig, east, west) = pair("").await;
    for upstream in [&east, &west] {
        for _ in 0..3 {
            upstream.script().push(at_start("modelStreamErrorException"));
        }
    }
    let path = "/bedrock/model/both/converse-stream";
    let answer = rig.send(Method::POST, path, Bytes::from_static(BODY.as_bytes())).await;
    assert_eq!((answer.status, trail(&answer).2), (200, Some("3")));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("modelStreamErrorException") && text.contains("as the script says"));
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn a_single_target_is_retried_within_the_limit() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(refusal(503, "ServiceUnavailableException", &[]));
    let answer = rig.chat(&ask("nova-lite", false)).await;
    assert_eq!((answer.status, trail(&answer).2), (200, Some("2")));
    for _ in 0..3 {
        rig.emulator.script().push(refusal(500, "InternalServerException", &[]));
    }
    let answer = rig.chat(&ask("nova-lite", false)).await;
    assert_eq!((answer.status, trail(&answer).2), (500, Some("3")));
    assert_eq!(answer.header("x-should-retry"), Some("false"), "ours are spent");
    assert_eq!(count(&rig.emulator), 5);
    rig.stop().await;
}

#[actix_rt::test]
async fn permanent_failures_are_not_retried() {
    let (rig, east, west) = pair("").await;
    east.script().push(refusal(400, "ValidationException", &[]));
    let answer = rig.chat(&ask("both", false)).await;
    assert_eq!((answer.status, trail(&answer).2), (400, Some("1")));
    assert_eq!((count(&east), count(&west)), (1, 0));
    assert_eq!(answer.header("x-should-retry"), None);
    stop(rig, east, west).await;
}

#[actix_rt::test]
async fn a_long_retry_after_is_left_to_the_client() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(refusal(429, "ThrottlingException", &[("Retry-After", "9")]));
    let answer = rig.chat(&ask("nova-lite", false)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("9")));
    assert_eq!((trail(&answer).2, answer.header("x-should-retry")), (Some("1"), None));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_budget_bounds_the_retries_of_all_calls() {
    let rig = Rig::start("routing: { retries: { budget: 0, budget_floor: 0 } }\n").await;
    rig.emulator.script().push(throttled());
    let answer = rig.chat(&ask("nova-lite", false)).await;
    assert_eq!((answer.status, trail(&answer).2), (429, Some("1")));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    rig.stop().await;
}

#[actix_rt::test]
async fn fallbacks_depend_on_the_failure_and_are_named() {
    let rig = Rig::start(
        "models:\n  small: { model: nova-micro, fallbacks: { general: [nova-lite], context_window: [nova-pro] } }\nrouting: { retries: { more: 0 } }\n",
    )
    .await;
    let long = Step::Error {
        status: 400,
        kind: "ValidationException".to_owned(),
        message: "Input is too long for requested model.".to_owned(),
        headers: [].into(),
    };
    for (step, fallback, model) in [
        (throttled(), "nova-lite", "us.amazon.nova-lite-v1:0"),
        (long, "nova-pro", "us.amazon.nova-pro-v1:0"),
        (refusal(403, "AccessDeniedException", &[]), "nova-lite", "us.amazon.nova-lite-v1:0"),
    ] {
        rig.emulator.journal().clear();
        rig.emulator.script().push(step);
        let answer = rig.chat(&ask("small", false)).await;
        assert_eq!((answer.status, answer.header("x-outcrop-fallback")), (200, Some(fallback)));
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls.last().unwrap().model_id.as_deref(), Some(model));
        assert_eq!(answer.json()["model"], "small", "the client's own name");
    }
    // A request that no model could answer does not go to a fallback.
    rig.emulator.script().push(refusal(400, "ValidationException", &[]));
    let answer = rig.chat(&ask("small", false)).await;
    assert_eq!((answer.status, answer.header("x-outcrop-fallback")), (400, None));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_reload_keeps_the_health_of_unchanged_targets() {
    let yaml = "models:\n  both:\n    strategy: order\n    targets: [{ model: nova-lite, order: 1 }, { model: nova-pro, order: 2 }]\n";
    let rig = Rig::start(yaml).await;
    rig.emulator.script().push(refusal(429, "ThrottlingException", &[("Retry-After", "25")]));
    let pro = "us.amazon.nova-pro-v1:0@us-east-1";
    assert_eq!(trail(&rig.chat(&ask("both", false)).await).0, Some(pro));
    // With other changes to the account.
    for more in ["", "timeouts: { idle: 99 }\n", "prompt_cache: off\n"] {
        rig.reload(&format!("{more}{yaml}")).await.unwrap();
        let answer = rig.chat(&ask("both", false)).await;
        assert_eq!((trail(&answer).0, trail(&answer).2), (Some(pro), Some("1")), "{more}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn native_calls_with_a_common_beginning_stay_together_and_short_ones_do_not() {
    let yaml = "models:\n  both: [{ model: nova-lite }, { model: nova-pro }]\n";
    let rig = Rig::start(yaml).await;
    let long = "granite ".repeat(1000);
    let mut homes = std::collections::BTreeSet::new();
    for number in 0..8 {
        let mut request = ask("both", false);
        request["messages"][0]["content"] = json!(format!("{number} {long}"));
        let first = rig.chat(&request).await.header("x-outcrop-target").unwrap().to_owned();
        request["messages"].as_array_mut().unwrap().extend([
            json!({ "role": "assistant", "content": "yes" }),
            json!({ "role": "user", "content": "and now?" }),
        ]);
        for _ in 0..3 {
            let again = rig.chat(&request).await;
            assert_eq!(again.header("x-outcrop-target"), Some(first.as_str()), "{number}");
        }
        homes.insert(first);
    }
    assert_eq!(homes.len(), 2, "they are not all at one");
    let mut shared = std::collections::BTreeMap::new();
    for _ in 0..20 {
        let answer = rig.chat(&ask("both", false)).await;
        *shared.entry(answer.header("x-outcrop-target").unwrap().to_owned()).or_insert(0) += 1;
    }
    assert!(shared.values().all(|count| (9..=11).contains(count)), "{shared:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn native_calls_reserve_their_output_tokens() {
    let [small, large] = ["tpm: 5000, order: 1", "tpm: 100000, order: 2"];
    let yaml = format!(
        "models:\n  both: [{{ model: nova-lite, {small} }}, {{ model: nova-pro, {large} }}]\n"
    );
    let rig = Rig::start(&yaml).await;
    let slow = || Step::Fault(Fault::Slow(60_000));
    rig.emulator.script().push(slow());
    let body = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"inferenceConfig":{"maxTokens":4990}}"#;
    let path = "/bedrock/model/both/converse";
    let waiting = rig.send(Method::POST, path, Bytes::from_static(body.as_bytes()));
    let mut waiting = Box::pin(waiting);
    let deadline = std::time::Instant::now() + super::rig::PATIENCE;
    while count(&rig.emulator) == 0 {
        assert!(std::time::Instant::now() < deadline, "never asked");
        let tick = tokio::time::sleep(std::time::Duration::from_millis(5));
        tokio::select! {
            _ = waiting.as_mut() => panic!("a slow call was answered"),
            () = tick => {}
        }
    }
    let answer = rig.send(Method::POST, path, Bytes::from_static(BODY.as_bytes())).await;
    assert_eq!(trail(&answer).0, Some("us.amazon.nova-pro-v1:0@us-east-1"), "no room in the first");
    drop(waiting);
    rig.stop().await;
}
