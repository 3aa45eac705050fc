//! Targets that are not set up to be called: clients get their answers elsewhere, operators get a log line.

use serde_json::json;

use super::lines::Lines;
use super::region::{
    Mood, Region, ask_many, ask_one, attempts, before, region_of, statuses, targets, three,
};

const NO_ACCESS: Mood = Mood::Refusing(
    403,
    "AccessDeniedException",
    "You don't have access to the model with the specified model ID.",
    None,
);
const NOWHERE: Mood =
    Mood::Refusing(404, "ResourceNotFoundException", "The requested model was not found.", None);
const NO_SUCH: Mood =
    Mood::Refusing(400, "ValidationException", "The provided model identifier is invalid.", None);

fn ordered(regions: &[Region]) -> Vec<String> {
    let with = |(at, region): (usize, &Region)| region.target_with(&format!("order: {at}"));
    regions.iter().enumerate().map(with).collect()
}

#[actix_rt::test]
async fn one_target_without_setup_is_logged_and_does_not_affect_clients() {
    let lines = Lines::keep();
    let regions = three().await;
    // Such a refusal neither costs retry budget nor counts as a failure.
    let keys = "affinity: off, retries: { budget: 0, budget_floor: 0 }, cooldown: { in_a_row: 1 }";
    let rig = before(&targets(&regions), keys).await;
    for mood in [NO_ACCESS, NOWHERE, NO_SUCH] {
        regions[0].is(mood);
        let answers = ask_many(&rig, "all", 12, 1).await;
        assert_eq!(statuses(&answers), [(200, 12)].into(), "{mood:?}");
        let asked = regions[0].take();
        assert!((3..=5).contains(&asked), "it has its share: {asked}");
        let again = answers.iter().filter(|answer| attempts(answer) == 2).count();
        assert_eq!(again, asked, "{mood:?}");
        let told = lines.count("\"amazon.nova-lite-v1:0@us-east-1\" is not set up to be called");
        assert_eq!(told, asked, "{mood:?}: {lines:?}");
        lines.forget();
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_recovered_target_without_setup_gets_no_more_than_its_share() {
    let regions = three().await;
    let keys = "affinity: off, cooldown: { in_a_row: 2, open: 0.1, longest: 0.1 }";
    let rig = before(&targets(&regions), keys).await;
    regions[0].is(super::region::FAILING);
    ask_many(&rig, "all", 12, 1).await;
    regions[0].take();
    regions[0].is(NO_ACCESS);
    // The probe is answered.
    super::region::ask_until(&rig, "all", |answer| attempts(answer) == 2).await;
    regions[0].take();
    let answers = ask_many(&rig, "all", 12, 1).await;
    assert_eq!(statuses(&answers), [(200, 12)].into());
    let asked = regions[0].take();
    assert!((3..=5).contains(&asked), "{asked} of 12");
    rig.stop().await;
}

#[actix_rt::test]
async fn without_any_setup_the_first_refusal_is_returned() {
    let regions = three().await;
    let rig = before(&ordered(&regions), "strategy: order").await;
    regions[0].is(NO_ACCESS);
    regions[1].is(NOWHERE);
    regions[2].is(NO_SUCH);
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer)), (403, 3));
    assert!(regions.iter().all(|region| region.take() == 1), "each once");
    // Another target's failure says more than the missing setup of the next.
    regions[0].is(super::region::FAILING);
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer)), (500, 3));
    rig.stop().await;

    let rig = before(&ordered(&regions), "strategy: order, retries: { more: 0 }").await;
    regions[0].is(NO_ACCESS);
    let answer = ask_one(&rig, "all").await;
    assert_eq!((answer.status, attempts(&answer)), (403, 1), "no more attempts than there may be");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_reason_for_a_selection_is_logged_at_debug_level() {
    let lines = Lines::keep();
    let regions = three().await;
    let rig = before(&ordered(&regions), "strategy: order").await;
    ask_one(&rig, "all").await;
    let first = "\"all\" goes to \"amazon.nova-lite-v1:0@us-east-1\": Strategy(Order)";
    assert_eq!(lines.count(first), 1, "{lines:?}");
    regions[0].is(super::region::FAILING);
    let answer = ask_one(&rig, "all").await;
    assert_eq!(region_of(&answer), regions[1].name);
    assert_eq!(lines.count(first), 2, "{lines:?}");
    let second = "\"all\" goes to \"amazon.nova-lite-v1:0@us-east-2\": Strategy(Order)";
    assert_eq!(lines.count(second), 1, "{lines:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_request_that_no_target_accepts_ends_and_uses_no_quota() {
    let [east, west, _] = three().await;
    let mut many: Vec<String> = (0..70).map(|_| west.target_with("order: 2")).collect();
    many.push(east.target_with("order: 1, rpm: 1"));
    let rig = before(&many, "strategy: order, fallbacks: { general: [nova-lite] }").await;
    let empty = json!({ "model": "all", "messages": [] });
    for _ in 0..3 {
        let answer = rig.chat(&empty).await;
        assert_eq!(answer.status, 400, "{:?}", answer.body);
    }
    assert_eq!((east.take(), west.take()), (0, 0), "none was asked");
    let answer = ask_one(&rig, "all").await;
    assert_eq!(region_of(&answer), east.name, "its one call a minute is still there");
    rig.stop().await;
}
