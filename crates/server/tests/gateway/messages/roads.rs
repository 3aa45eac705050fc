//! What both roads do alike: betas, dry runs, limits of keys, fallbacks and structured output.

use std::collections::BTreeMap;

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::{CLAUDE, NOVA, asking, message, text_of};
use crate::rig::Rig;

#[actix_rt::test]
async fn betas_that_bedrock_knows_are_sent_and_the_others_are_reported() {
    let rig = Rig::start("").await;
    let headers = [(
        "anthropic-beta",
        "interleaved-thinking-2025-05-14,claude-code-20250219,no-such-2099-01-01",
    )];
    let answer = rig.message_with(&headers, &asking(CLAUDE, &json!({}))).await;
    assert_eq!(answer.status, 200);
    let ignored = answer.header("x-outcrop-ignored").unwrap();
    assert!(ignored.contains("no-such-2099-01-01"), "{ignored}");
    let calls = rig.emulator.journal().calls();
    let betas = calls[0].body["anthropic_beta"].as_array().unwrap();
    assert!(betas.contains(&json!("interleaved-thinking-2025-05-14")), "{betas:?}");
    assert!(!betas.contains(&json!("no-such-2099-01-01")), "{betas:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_the_body_of_its_road() {
    let rig = Rig::start("").await;
    let headers = [("x-outcrop-dry-run", "true")];
    for (model, member) in [(NOVA, "inferenceConfig"), (CLAUDE, "anthropic_version")] {
        let shown = rig.message_with(&headers, &asking(model, &json!({}))).await;
        assert_eq!(shown.status, 200);
        let text = String::from_utf8_lossy(&shown.body).into_owned();
        assert!(text.contains(member), "{text}");
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_question_falls_back_from_one_road_to_the_other() {
    let yaml = format!(
        "models:\n  pair: {{ model: {CLAUDE}, fallbacks: {{ general: [nova-lite] }} }}\nrouting: {{ retries: {{ more: 0 }} }}\n"
    );
    let rig = Rig::start(&yaml).await;
    for stream in [false, true] {
        let before = rig.emulator.journal().calls().len();
        rig.emulator.script().push(Step::Error {
            status: 429,
            kind: "ThrottlingException".to_owned(),
            message: "Too many requests.".to_owned(),
            headers: BTreeMap::default(),
        });
        let answer = rig.message(&asking("pair", &json!({ "stream": stream }))).await;
        let told = message(&answer);
        assert!(text_of(&told).contains("Nova"), "{told}");
        let calls = rig.emulator.journal().calls();
        assert!(
            calls[before].path.contains("/invoke")
                && calls.last().unwrap().path.contains("/converse")
        );
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn an_answer_has_the_shape_that_was_asked_for() {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } },
        "required": ["name"], "additionalProperties": false });
    let more = |stream: bool| json!({ "stream": stream, "output_config": { "format": { "type": "json_schema", "schema": schema } } });
    let rig = Rig::start("").await;
    for model in [NOVA, CLAUDE] {
        for stream in [false, true] {
            let answer = message(&rig.message(&asking(model, &more(stream))).await);
            let value: Value = serde_json::from_str(&text_of(&answer)).unwrap();
            assert!(value["name"].is_string(), "{model} {value}");
            assert_eq!(answer["stop_reason"], "end_turn", "{model}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_limit_of_the_answer_is_told() {
    let rig = Rig::start("").await;
    for model in [NOVA, CLAUDE] {
        for stream in [false, true] {
            let more = json!({ "stream": stream, "max_tokens": 2 });
            let answer = message(&rig.message(&asking(model, &more)).await);
            assert_eq!(answer["stop_reason"], "max_tokens", "{model}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn costs_are_told_on_both_roads() {
    let rig = Rig::start("").await;
    for model in [NOVA, CLAUDE] {
        let body = asking(model, &json!({})).to_string();
        let answer = rig.send(Method::POST, "/v1/messages", body.into()).await;
        let cost: f64 = answer.header("x-outcrop-cost-usd").unwrap().parse().unwrap();
        assert!(cost > 0.0, "{model}");
    }
    rig.stop().await;
}
