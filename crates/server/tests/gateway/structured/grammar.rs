//! A grammar for answers that the service refuses: the request is repeated without it, and a refusal that
//! concerns the model, and not only one schema, is kept for it.

use emulator::Step;
use serde_json::json;

use super::super::rig::Rig;
use super::{NATIVE, by_text, content, request, word};

/// Accepts a grammar through most of its profiles.
const NEWER: &str = "us.anthropic.claude-opus-4-8";
const UNSERVED: &str =
    "The model returned the following errors: output_config.format: Extra inputs are not permitted";
const TOO_COMPLEX: &str =
    "The model returned the following errors: output_config.format.schema: Schema is too complex";

fn refused(message: &str) -> Step {
    let kind = "ValidationException".to_owned();
    Step::Error { status: 400, kind, message: message.to_owned(), headers: [].into() }
}

/// For each call, whether it asked for a grammar and whether it forced the answering tool.
fn asked(rig: &Rig) -> Vec<(bool, bool)> {
    let calls = rig.emulator.journal().calls().into_iter();
    calls
        .map(|call| {
            let has = |member: &str| call.body.get(member).is_some();
            (has("outputConfig"), has("toolConfig"))
        })
        .collect()
}

#[actix_rt::test]
async fn a_model_without_grammar_support_is_called_again_without_one() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(refused(UNSERVED));
    rig.emulator.script().push(by_text("{\"age\": 7}"));
    let answer = rig.chat(&request(NEWER)).await;
    assert_eq!((answer.status, word(&answer)), (200, Some("valid")));
    assert_eq!(content(&answer), "{\"age\": 7}");
    for stream in [false, true] {
        let mut again = request(NEWER);
        again["stream"] = json!(stream);
        assert_eq!(rig.chat(&again).await.status, 200);
    }
    // Another model still gets a grammar.
    assert_eq!(rig.chat(&request(NATIVE)).await.status, 200);
    assert_eq!(
        asked(&rig),
        [(true, false), (false, true), (false, true), (false, true), (true, false)]
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn a_refused_schema_does_not_affect_the_next() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        let mut request = request(NATIVE);
        request["stream"] = json!(stream);
        rig.emulator.journal().clear();
        rig.emulator.script().push(refused(TOO_COMPLEX));
        assert_eq!(rig.chat(&request).await.status, 200, "{stream}");
        assert_eq!(rig.chat(&request).await.status, 200, "{stream}");
        assert_eq!(asked(&rig), [(true, false), (false, true), (true, false)], "{stream}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_second_or_unrelated_refusal_is_returned() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(refused(TOO_COMPLEX));
    rig.emulator.script().push(refused("The model returned the following errors: no"));
    let answer = rig.chat(&request(NATIVE)).await;
    assert_eq!(answer.status, 400);
    rig.emulator.script().push(refused("The model returned the following errors: max_tokens"));
    assert_eq!(rig.chat(&request(NATIVE)).await.status, 400);
    assert_eq!(asked(&rig).len(), 3);
    rig.stop().await;
}

#[actix_rt::test]
async fn newer_models_get_a_grammar_but_not_through_every_geography() {
    for (region, model, native) in [
        ("us-east-1", "claude-opus-4-8", true),
        ("eu-west-1", "claude-fable-5-1", true),
        ("us-east-1", "global.anthropic.claude-haiku-5-5", true),
        ("us-gov-west-1", "claude-opus-4-8", false),
        ("us-gov-west-1", "us-gov.anthropic.claude-sonnet-5", false),
        ("us-east-1", "claude-sonnet-5-5", false),
    ] {
        let rig = Rig::start_in(region, "").await;
        rig.emulator.script().push(by_text("{\"age\": 7}"));
        assert_eq!(rig.chat(&request(model)).await.status, 200, "{model}");
        assert_eq!(asked(&rig)[0].0, native, "{model} from {region}");
        rig.stop().await;
    }
}
