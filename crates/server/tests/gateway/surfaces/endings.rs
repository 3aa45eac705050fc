//! Failures on other surfaces: refusals, retries, and streams that break.

use std::collections::BTreeMap;

use super::*;

fn refusal(status: u16) -> Step {
    let (kind, message) = ("any".to_owned(), "slow down".to_owned());
    Step::Error { status, kind, message, headers: BTreeMap::new() }
}

#[actix_rt::test]
async fn refusals_are_told_in_the_callers_envelope() {
    let yaml = format!(
        "{YAML}  lost: {{ model: openai.gpt-9, surface: mantle }}\n  wrong: {{ model: google.gemma-4-31b, accepts: {{ mantle_base: v1 }} }}\n"
    );
    let rig = Rig::start(&yaml).await;
    let lost = rig.chat(&ask("lost", "Hi", false)).await;
    let error = lost.json()["error"].clone();
    assert_eq!((lost.status, &error["code"]), (404, &json!("model_not_found")), "{error}");
    let wrong = rig.chat(&ask("wrong", "Hi", true)).await;
    let message = wrong.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(wrong.status, 400, "{message}");
    assert!(message.contains("isn't supported on this route"), "{message}");
    let messages = json!({ "model": "lost", "max_tokens": 5, "messages": [{ "role": "user", "content": "Hi" }] });
    assert_eq!(rig.message(&messages).await.json()["error"]["type"], "not_found_error");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_throttled_call_is_made_again() {
    let rig = Rig::start(YAML).await;
    for stream in [false, true] {
        rig.emulator.script().push(refusal(429));
        let before = rig.emulator.journal().calls().len();
        let answer = rig.chat(&ask("mantle_responses", "Say gneiss", stream)).await;
        assert!(text(&answer, stream).contains("gneiss"));
        assert_eq!(rig.emulator.journal().calls().len(), before + 2);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn an_error_as_the_first_event_has_a_status() {
    let rig = Rig::start("routing: { retries: { more: 0 } }\nmodels: { m: { model: openai.gpt-6-sol, surface: mantle } }\n").await;
    let error = json!({ "error": { "message": "Too long.", "type": "invalid_request_error", "code": null } });
    rig.emulator.script().push(Step::Events(vec![error]));
    let answer = rig.chat(&ask("m", "Hi", true)).await;
    assert_eq!(answer.status, 400, "{:?}", answer.body);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_that_breaks_ends_in_an_error() {
    let rig = Rig::start(YAML).await;
    for (model, ..) in PLACES {
        for fault in [Fault::Cut(5), Fault::Reset(5)] {
            rig.emulator.script().push(Step::Fault(fault));
            let answer =
                rig.chat(&ask(model, "Say many words about granite and basalt", true)).await;
            assert_eq!(answer.status, 200);
            let (events, done) = answer.events();
            assert!(!done, "{model}: half an answer never looks whole");
            assert!(events.last().unwrap()["error"].is_object(), "{model}: {events:?}");
        }
    }
    let failed = json!({ "type": "response.failed", "response": { "id": "resp_1", "error": { "code": "server_error", "message": "It failed." } } });
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let piece = json!({ "type": "response.output_text.delta", "output_index": 0, "delta": "Hel" });
    rig.emulator.script().push(Step::Events(vec![created, piece, failed]));
    let (events, done) = rig.chat(&ask("mantle_responses", "Hi", true)).await.events();
    assert!(
        !done
            && events.last().unwrap()["error"]["message"].as_str().unwrap().contains("It failed.")
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn reasoning_that_another_account_made_is_left_out_after_a_refusal() {
    let rig = Rig::start(YAML).await;
    let detail = json!({ "type": "reasoning.encrypted", "data": "rsn_foreign", "format": "unknown", "index": 0 });
    let mut request = ask("mantle_responses", "Hi", false);
    let turns = request["messages"].as_array_mut().unwrap();
    turns.push(json!({ "role": "assistant", "content": "Hello", "reasoning_details": [detail] }));
    turns.push(json!({ "role": "user", "content": "Say quartz" }));
    let answer = rig.chat(&request).await;
    assert!(text(&answer, false).contains("quartz"), "{:?}", answer.body);
    rig.stop().await;
}
