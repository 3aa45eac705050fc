//! Moderation: OpenAI's request through checks or a guardrail, OpenAI's categories in return, and an error
//! without a verdict.

use std::collections::BTreeMap;

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";
const GUARDED: &str =
    "moderation:\n  guardrail: { id: mediumgr1, version: 3 }\n  topics: { Harm: self-harm }\n";

impl Rig {
    async fn moderate(&self, request: &Value) -> Received {
        self.send(Method::POST, "/v1/moderations", request.to_string().into()).await
    }

    async fn results(&self, request: &Value) -> Vec<Value> {
        let answer = self.moderate(request).await;
        let json = answer.json();
        assert_eq!(answer.status, 200, "{json}");
        assert!(json["id"].as_str().unwrap().starts_with("modr-"), "{json}");
        json["results"].as_array().unwrap().clone()
    }

    async fn unmoderated(&self, request: &Value) -> (u16, String, String) {
        let answer = self.moderate(request).await;
        let error = &answer.json()["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (answer.status, text("code"), text("message"))
    }
}

fn categories(result: &Value) -> Vec<&str> {
    let all = result["categories"].as_object().unwrap();
    assert_eq!(all.len(), 13);
    all.iter().filter(|(_, hit)| **hit == true).map(|(name, _)| name.as_str()).collect()
}

#[actix_rt::test]
async fn checks_measure_every_text_by_itself_in_order() {
    let rig = Rig::start("moderation: { concurrency: 2 }\n").await;
    let input = ["granite", "[violence]", "[hate:low] stone", "[insults:medium]", "[misconduct]"];
    let results = rig.results(&json!({ "input": input })).await;
    let hits: Vec<Vec<&str>> = results.iter().map(categories).collect();
    assert_eq!(hits, [vec![], vec!["violence"], vec![], vec!["harassment"], vec!["illicit"]]);
    let flagged: Vec<bool> = results.iter().map(|r| r["flagged"].as_bool().unwrap()).collect();
    assert_eq!(flagged, [false, true, false, true, true]);
    assert_eq!(results[2]["category_scores"]["hate"], 0.3);
    assert_eq!(results[1]["category_scores"]["violence/graphic"], 0.0);
    assert_eq!(results[1]["category_applied_input_types"]["violence"], json!(["text"]));
    assert_eq!(results[1]["outcrop"]["action"], Value::Null);
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls.len(), input.len());
    for call in calls {
        assert_eq!(call.operation, "guardrail-checks");
        assert!(call.body.pointer("/checks/promptAttack").is_none(), "nobody asked for that");
        assert_eq!(call.headers["authorization"], "AWS4-HMAC-SHA256", "signed as all others are");
        assert!(call.headers["user-agent"].starts_with("outcrop/"), "{:?}", call.headers);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_threshold_and_prompt_attacks_are_the_operators_to_set() {
    let rig = Rig::start("moderation: { threshold: 0.25, prompt_attacks: true }\n").await;
    let results =
        rig.results(&json!({ "input": ["[hate:low]", "[prompt_attack]"], "model": null })).await;
    assert_eq!(categories(&results[0]), ["hate"]);
    assert!(categories(&results[1]).is_empty());
    assert_eq!(results[1]["flagged"], true);
    let findings = results[1]["outcrop"]["findings"].as_array().unwrap();
    let attacks = findings.iter().filter(|finding| finding["policy"] == "prompt_attack");
    assert_eq!(attacks.filter(|finding| finding["detected"] == true).count(), 3);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_guardrail_applies_its_own_strengths_and_reads_images() {
    let rig = Rig::start(GUARDED).await;
    let parts = json!([
        { "type": "text", "text": "[hate:low] [violence:medium] [topic:Harm] [word:basalt]" },
        { "type": "text", "text": "write to a@b.example" },
        { "type": "image_url", "image_url": { "url": PNG } },
    ]);
    let results = rig.results(&json!({ "model": "omni-moderation-latest", "input": parts })).await;
    assert_eq!(results.len(), 1);
    assert_eq!(categories(&results[0]), ["self-harm", "violence"]);
    let scores = &results[0]["category_scores"];
    assert_eq!((&scores["hate"], &scores["violence"]), (&json!(0.33), &json!(0.67)));
    assert_eq!(scores["self-harm"], 1.0);
    let applied = &results[0]["category_applied_input_types"];
    assert_eq!(applied["violence"], json!(["text", "image"]));
    assert_eq!(applied["illicit"], json!(["text"]));
    let said = &results[0]["outcrop"];
    assert_eq!(said["action"], "GUARDRAIL_INTERVENED");
    assert!(!said.to_string().contains("basalt") && !said.to_string().contains("a@b.example"));
    let [call] = rig.emulator.journal().calls().try_into().unwrap();
    assert_eq!(call.path, "/guardrail/mediumgr1/version/3/apply");
    assert_eq!(
        (&call.body["source"], &call.body["outputScope"]),
        (&json!("INPUT"), &json!("FULL"))
    );
    assert_eq!(call.body["content"][2]["image"]["source"]["bytes"], PNG.split_once(',').unwrap().1);
    rig.stop().await;
}

#[actix_rt::test]
async fn headers_name_the_guardrail_and_the_request_id() {
    for (config, judge) in [("", "guardrail-checks"), (GUARDED, "mediumgr1:3")] {
        let rig = Rig::start(config).await;
        let answer = rig.moderate(&json!({ "input": ["granite", "basalt"] })).await;
        assert_eq!(answer.header("x-outcrop-model"), Some(judge));
        assert!(answer.header("x-amzn-requestid").is_some(), "{judge}");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_guardrail_checks_long_texts_in_portions() {
    let rig = Rig::start(GUARDED).await;
    let long = format!("[hate:low] {} [violence:medium]", "granite ".repeat(8_000));
    let results = rig.results(&json!({ "input": [long, "[topic:Harm]"] })).await;
    assert_eq!(categories(&results[0]), ["violence"]);
    assert_eq!(categories(&results[1]), ["self-harm"]);
    assert_eq!(results[0]["category_scores"]["hate"], 0.33, "the first portion counts too");
    assert_eq!(results[0]["outcrop"]["action"], "GUARDRAIL_INTERVENED");
    let findings = results[0]["outcrop"]["findings"].as_array().unwrap();
    let hate = findings.iter().filter(|one| one["name"] == "HATE").count();
    assert_eq!(hate, 1, "one finding of a kind: {findings:?}");
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls.len(), 5, "four portions and one");
    for call in calls {
        let text = call.body["content"][0]["text"]["text"].as_str().unwrap();
        assert!(text.chars().count() <= 20_000);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn content_without_a_verdict_is_not_called_harmless() {
    let denied = |kind: &str, status: u16| Step::Error {
        status,
        kind: kind.to_owned(),
        message: "no".to_owned(),
        headers: BTreeMap::new(),
    };
    for (kind, status, told, code) in [
        ("AccessDeniedException", 403, 403, "moderation_unavailable"),
        ("UnknownOperationException", 404, 404, "moderation_unavailable"),
        ("ThrottlingException", 429, 429, "rate_limit_exceeded"),
        ("InternalServerException", 500, 500, "internal_error"),
    ] {
        // A separate upstream for each case: a call left over from a refusal may still be in flight and
        // would take the next one's step.
        let rig = Rig::start("").await;
        rig.emulator.script().push(denied(kind, status));
        let (status, found, message) =
            rig.unmoderated(&json!({ "input": ["fine", "fine too"] })).await;
        assert_eq!((status, found.as_str()), (told, code), "{message}");
        assert_eq!(message.contains("moderation.guardrail"), code == "moderation_unavailable");
        rig.stop().await;
    }
    let rig = Rig::start("").await;
    let partial =
        r#"{"results":{"contentFilter":{"results":[{"category":"HATE","severityScore":0}]}}}"#;
    for body in ["{", "{}", "[1]", partial] {
        let step = Step::Text { body: body.to_owned(), headers: BTreeMap::new() };
        rig.emulator.script().push(step);
        let (status, code, _) = rig.unmoderated(&json!({ "input": "fine" })).await;
        assert_eq!((status, code.as_str()), (502, "upstream_protocol"), "{body}");
    }
    rig.reload("moderation: { guardrail: { id: missing1, version: DRAFT } }\n").await.unwrap();
    let (status, code, message) = rig.unmoderated(&json!({ "input": "fine" })).await;
    assert_eq!((status, code.as_str()), (404, "moderation_unavailable"), "{message}");
    rig.stop().await;
}

#[actix_rt::test]
async fn unsupported_moderation_requests_are_refused_by_field() {
    let rig = Rig::start("").await;
    let image = json!([{ "type": "image_url", "image_url": { "url": PNG } }]);
    for (request, param, code) in [
        (json!({ "input": "a", "model": "amazon.nova-lite-v1:0" }), "model", "model_not_found"),
        (json!({ "model": "omni-moderation-latest" }), "input", "missing_required_parameter"),
        (json!({ "input": [] }), "input", "invalid_value"),
        (json!({ "input": ["a", ""] }), "input[1]", "invalid_value"),
        (json!({ "input": image }), "input[0]", "unsupported_value"),
    ] {
        let answer = rig.moderate(&request).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!(param)), "{error}");
        assert_eq!(error["code"], code);
    }
    assert!(rig.emulator.journal().calls().is_empty());
    let answer = rig.moderate(&json!({ "input": "a", "user": "u" })).await;
    assert_eq!(answer.header("x-outcrop-ignored"), Some("user"));
    rig.stop().await;
}
