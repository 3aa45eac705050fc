//! Fallback names: selected by the failure, in chains, each once.

use serde_json::json;

use super::region::{FAILING, Mood, Region, ask_one, attempts, group, region_of, three};
use crate::rig::Rig;

const TOO_LONG: Mood =
    Mood::Refusing(400, "ValidationException", "Input is too long for requested model.", None);
const BLOCKED: Mood =
    Mood::Refusing(400, "ValidationException", "Output blocked by content filtering policy", None);
const INVALID: Mood = Mood::Refusing(400, "ValidationException", "Malformed input request.", None);
const NO_ACCESS: Mood = Mood::Refusing(
    403,
    "AccessDeniedException",
    "You don't have access to the model with the specified model ID.",
    None,
);

/// Three names with one target each; `keys` are those of the first.
async fn chain(regions: &[Region; 3], keys: &str, second: &str) -> Rig {
    let names = [("first", keys), ("second", second), ("third", "")];
    let groups: String = names
        .iter()
        .zip(regions)
        .map(|((name, keys), region)| group(name, &[region.target()], keys))
        .collect();
    let routing = "routing: { cooldown: off, retries: { more: 0 } }\n";
    Rig::start(&format!("{routing}models:\n{groups}")).await
}

fn counts(regions: &[Region; 3]) -> [usize; 3] {
    [regions[0].take(), regions[1].take(), regions[2].take()]
}

#[actix_rt::test]
async fn each_class_of_failure_has_its_own_fallbacks() {
    let regions = three().await;
    let keys = "fallbacks: { general: [second], context_window: [third] }";
    let rig = chain(&regions, keys, "").await;
    for (mood, expected, status) in [
        (FAILING, [1, 1, 0], 200),
        (super::region::THROTTLING, [1, 1, 0], 200),
        (NO_ACCESS, [1, 1, 0], 200),
        (TOO_LONG, [1, 0, 1], 200),
        (INVALID, [1, 0, 0], 400),
        (Mood::Well, [1, 0, 0], 200),
    ] {
        regions[0].is(mood);
        let answer = ask_one(&rig, "first").await;
        assert_eq!((answer.status, counts(&regions)), (status, expected), "{mood:?}");
        let name = match expected {
            [_, 1, _] => Some("second"),
            [_, _, 1] => Some("third"),
            _ => None,
        };
        assert_eq!(answer.header("x-outcrop-fallback"), name, "{mood:?}");
        assert_eq!(attempts(&answer), expected.iter().sum::<usize>(), "{mood:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn content_filters_trigger_fallbacks_and_guardrails_do_not() {
    let regions = three().await;
    let rig = chain(&regions, "fallbacks: { content_policy: [second] }", "").await;
    regions[0].is(BLOCKED);
    let answer = ask_one(&rig, "first").await;
    assert_eq!((answer.status, counts(&regions)), (200, [1, 1, 0]));
    assert_eq!(answer.header("x-outcrop-fallback"), Some("second"));
    // The operator's own guardrail cannot be bypassed.
    regions[0].is(Mood::Guarded);
    let answer = ask_one(&rig, "first").await;
    assert_eq!((answer.status, counts(&regions)), (200, [1, 0, 0]));
    assert_eq!(answer.json()["choices"][0]["finish_reason"], "content_filter");
    rig.stop().await;
}

#[actix_rt::test]
async fn chains_are_followed_and_end() {
    let regions = three().await;
    let rig = chain(
        &regions,
        "fallbacks: { general: [second] }",
        "fallbacks: { general: [third, first] }",
    )
    .await;
    regions[0].is(FAILING);
    regions[1].is(FAILING);
    let answer = ask_one(&rig, "first").await;
    assert_eq!((answer.status, counts(&regions)), (200, [1, 1, 1]));
    assert_eq!(answer.header("x-outcrop-fallback"), Some("third"));
    assert_eq!(region_of(&answer), regions[2].name);

    // In a loop: each once.
    regions[2].is(FAILING);
    let answer = ask_one(&rig, "first").await;
    assert_eq!((answer.status, counts(&regions)), (500, [1, 1, 1]));
    assert_eq!(answer.json()["error"]["code"], json!("internal_error"));
    rig.stop().await;
}

#[actix_rt::test]
async fn general_fallbacks_apply_to_unlisted_names() {
    let regions = three().await;
    let groups = group("spare", &[regions[0].target()], "");
    let yaml = format!(
        "routing: {{ fallbacks: {{ general: [spare] }}, retries: {{ more: 0 }} }}\nmodels:\n{groups}"
    );
    let rig = Rig::start(&yaml).await;
    // The emulator treats this one as a model that always fails.
    let answer = ask_one(&rig, "emulator.error-500").await;
    assert_eq!((answer.status, regions[0].take()), (200, 1));
    assert_eq!(answer.header("x-outcrop-fallback"), Some("spare"));
    rig.stop().await;
}

#[actix_rt::test]
async fn streams_fall_back_too_until_their_first_event() {
    let regions = three().await;
    let rig = chain(&regions, "fallbacks: { general: [second] }", "").await;
    let asked = json!({
        "model": "first", "stream": true, "messages": [{ "role": "user", "content": "Hi" }]
    });
    regions[0].is(FAILING);
    let answer = rig.chat(&asked).await;
    assert!(answer.status == 200 && answer.events().1);
    assert_eq!(counts(&regions), [1, 1, 0]);
    regions[0].is(Mood::Broken(1, super::region::Break::Cut));
    let answer = rig.chat(&asked).await;
    assert!(answer.status == 200 && !answer.events().1);
    assert_eq!(counts(&regions), [1, 0, 0]);
    rig.stop().await;
}
