//! `/metrics`: every documented name is there, names that callers make up are not, and the values are those of the
//! requests that were made.

mod listeners;
mod request_log;
mod traces;

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use super::models::ask;
use super::rig::{PATIENCE, Rig};

const DOCS: &str = include_str!("../../../../docs/telemetry.md");

/// The samples of `/metrics`, one a line.
async fn scrape(rig: &Rig) -> Vec<String> {
    let answer = rig.send(Method::GET, "/metrics", "".into()).await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// The value of the sample with this name and labels; 0 where there is none.
fn value(samples: &[String], name: &str) -> f64 {
    let found = samples.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until a sample has a value: a request is counted after its client has the answer.
async fn until(rig: &Rig, name: &str, wanted: f64) -> Vec<String> {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let samples = scrape(rig).await;
        if (value(&samples, name) - wanted).abs() < 1e-9 {
            return samples;
        }
        assert!(std::time::Instant::now() < deadline, "{name} is not {wanted}: {samples:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Names of metrics in the tables of the documentation, each with its labels.
fn documented() -> Vec<(String, String)> {
    let rows = DOCS.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let kinds = ["counter", "gauge", "histogram", "info"];
        (cells.len() == 6 && kinds.contains(&cells[2]))
            .then(|| (cells[1].trim_matches('`').to_owned(), cells[2].to_owned()))
    });
    rows.collect()
}

/// Names with their types, as `/metrics` describes them.
fn described(samples: &[String]) -> BTreeSet<(String, String)> {
    let of = |line: &String| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        Some((format!("{name}{suffix}"), kind.to_owned()))
    };
    samples.iter().filter_map(of).collect()
}

#[actix_rt::test]
async fn the_documentation_names_every_metric_and_no_other() {
    let rig = Rig::start("").await;
    rig.chat(&ask("nova-lite")).await;
    let told: BTreeSet<_> = documented().into_iter().collect();
    assert!(told.len() > 30, "{told:?}");
    assert_eq!(described(&scrape(&rig).await), told);
    rig.stop().await;
}

#[actix_rt::test]
async fn requests_are_counted_with_their_tokens_money_and_time() {
    let rig = Rig::start("models: { fast: nova-lite }\n").await;
    let answer = rig.chat(&ask("fast")).await;
    assert_eq!(answer.status, 200);
    let usage = answer.json()["usage"].clone();
    let labels = r#"{route="chat",model="fast",status_class="2xx",outcome="complete"}"#;
    let samples = until(&rig, &format!("outcrop_requests_total{labels}"), 1.0).await;
    let of = |name: &str| value(&samples, name);
    let read = usage["prompt_tokens"].as_f64().unwrap();
    let written = usage["completion_tokens"].as_f64().unwrap();
    assert!(read > 0.0 && written > 0.0);
    assert_eq!(of(r#"outcrop_tokens_total{model="fast",type="input"}"#), read);
    assert_eq!(of(r#"outcrop_tokens_total{model="fast",type="output"}"#), written);
    let cost: f64 = answer.header("x-outcrop-cost-usd").unwrap().parse().unwrap();
    let spent = of(r#"outcrop_spend_usd_total{model="fast"}"#);
    assert!((spent - cost).abs() < 1e-15, "{spent} for {cost}");
    let target = r#"model="us.amazon.nova-lite-v1:0",region="us-east-1""#;
    assert_eq!(of(&format!(r#"outcrop_upstream_requests_total{{{target},code="200"}}"#)), 1.0);
    assert_eq!(of(&format!("outcrop_upstream_duration_seconds_count{{{target}}}")), 1.0);
    assert_eq!(of(&format!("outcrop_breaker_state{{{target}}}")), 0.0);
    assert_eq!(of(r#"outcrop_overhead_seconds_count{route="chat"}"#), 1.0);
    let gen_ai = r#"gen_ai_operation_name="chat",gen_ai_provider_name="aws.bedrock",gen_ai_request_model="fast",route="chat",gen_ai_token_type="output""#;
    assert_eq!(of(&format!("gen_ai_client_token_usage_sum{{{gen_ai}}}")), written);
    let overhead: f64 = answer.header("x-outcrop-overhead-ms").unwrap().parse().unwrap();
    let summed = of(r#"outcrop_overhead_seconds_sum{route="chat"}"#) * 1000.0;
    assert!(overhead > 0.0 && (summed - overhead).abs() < 0.01, "{summed} for {overhead}");
    let timing = answer.header("server-timing").unwrap();
    let part = |name: &str| -> f64 {
        let found = timing.split(", ").find_map(|part| part.strip_prefix(name)).unwrap();
        found.strip_prefix(";dur=").unwrap().parse().unwrap()
    };
    // The rest of the total is read after the parts.
    assert!(part("wait") > 0.0 && part("total") >= part("overhead"), "{timing}");
    rig.stop().await;
}

#[actix_rt::test]
async fn streams_have_a_first_token_and_end_in_the_gauges() {
    let rig = Rig::start("").await;
    let mut request = ask("nova-lite");
    request["stream"] = json!(true);
    let answer = rig.chat(&request).await;
    assert!(answer.events().1, "{answer:?}", answer = answer.body);
    let labels = r#"{route="chat",model="amazon.nova-lite-v1:0"}"#;
    let name = format!("outcrop_time_to_first_token_seconds_count{labels}");
    let samples = until(&rig, &name, 1.0).await;
    assert_eq!(value(&samples, "outcrop_streams_active"), 0.0);
    assert_eq!(value(&samples, "outcrop_in_flight"), 0.0);
    rig.stop().await;
}

#[actix_rt::test]
async fn names_of_callers_never_become_labels() {
    let rig = Rig::start("models: { 'any-*': 'nova-*' }\n").await;
    rig.chat(&ask("nova-lite")).await;
    let before = scrape(&rig).await.len();
    for at in 0..40 {
        let mut request = ask(&format!("made-up-{at}"));
        request[format!("field_{at}")] = json!(1);
        for model in [format!("made-up-{at}"), format!("any-{at}"), format!("xx.{at}@us-west-2")] {
            request["model"] = json!(model);
            rig.chat(&request).await;
        }
        let path = format!("/made/up/{at}");
        rig.send(Method::POST, &path, "{}".into()).await;
        let path = format!("/bedrock/model/made.up-{at}/converse");
        let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "a" }] }] });
        rig.send(Method::POST, &path, body.to_string().into()).await;
    }
    let samples = scrape(&rig).await;
    let made_up: Vec<_> = samples
        .iter()
        .filter(|line| ["made", "field_", "any-1", "xx.1"].iter().any(|name| line.contains(name)))
        .collect();
    assert!(made_up.is_empty(), "{made_up:#?}");
    // A few models (the pattern, `other`, `none`), codes and routes, with the buckets of their histograms.
    assert!(samples.len() < before + 700, "{before} became {}", samples.len());
    let other = r#"outcrop_requests_total{route="chat",model="other""#;
    assert!(samples.iter().any(|line| line.starts_with(other)), "{samples:#?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn calls_of_a_model_at_its_end_say_so() {
    let rig = Rig::start(
        "catalogue:
  'amazon.nova-lite-v1:0':
    like: 'amazon.nova-micro-v1:0'
    eol: '2026-01-31'
    successor: 'amazon.nova-micro-v1:0'
",
    )
    .await;
    let answer = rig.chat(&ask("amazon.nova-lite-v1:0")).await;
    let told = answer.header("x-outcrop-model-end");
    assert_eq!(told, Some("2026-01-31; use=amazon.nova-micro-v1:0"), "{:?}", answer.body);
    let name = r#"outcrop_ending_model_requests_total{model="amazon.nova-lite-v1:0"}"#;
    until(&rig, name, 1.0).await;
    let answer = rig.chat(&ask("nova-micro")).await;
    assert_eq!((answer.status, answer.header("x-outcrop-model-end")), (200, None));
    rig.stop().await;
}

#[actix_rt::test]
async fn ignored_parameters_errors_and_reloads_are_counted() {
    let rig = Rig::start("").await;
    let mut request = ask("nova-lite");
    request["seed"] = json!(7);
    request["made_up_field"] = json!(7);
    assert_eq!(rig.chat(&request).await.status, 200);
    assert_eq!(rig.chat(&json!({ "model": "nova-lite" })).await.status, 400);
    rig.reload("models: { fast: nova-lite }\n").await.unwrap();
    rig.reload("models: [").await.unwrap_err();
    let refused =
        r#"outcrop_requests_total{route="chat",model="none",status_class="4xx",outcome="refused"}"#;
    let samples = until(&rig, refused, 1.0).await;
    let of = |name: &str| value(&samples, name);
    assert_eq!(of(r#"outcrop_ignored_parameters_total{parameter="seed"}"#), 1.0);
    assert_eq!(of(r#"outcrop_ignored_parameters_total{parameter="other"}"#), 1.0);
    assert_eq!(of(r#"outcrop_config_reloads_total{result="applied"}"#), 1.0);
    assert_eq!(of(r#"outcrop_config_reloads_total{result="refused"}"#), 1.0);
    let errors: f64 = samples
        .iter()
        .filter(|line| line.starts_with("outcrop_errors_total{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(errors, 1.0, "{samples:#?}");
    rig.stop().await;
}
