//! Keys, limits, budgets and rows of calls on this API.

use access::Nanodollars;
use access::ledger::CallState;
use http::Method;
use serde_json::json;

use super::{CLAUDE, NOVA, asking, message};
use crate::keys::{MASTER, key};
use crate::ledger::rows;
use crate::rig::Rig;

#[actix_rt::test]
async fn a_key_counts_in_each_header_and_its_refusals_are_anthropics() {
    let rig = Rig::start(MASTER).await;
    let own = key(&rig, json!({ "models": ["nova-lite"] })).await;
    let bearer = format!("Bearer {own}");
    for (name, value) in [("x-api-key", &own), ("authorization", &bearer)] {
        let headers = [(name, value.as_str()), ("anthropic-version", "2023-06-01")];
        let answer = rig.message_with(&headers, &asking("nova-lite", &json!({}))).await;
        assert_eq!(answer.status, 200, "{name}");
        let other = rig.message_with(&headers, &asking(CLAUDE, &json!({}))).await;
        let error = other.json();
        assert_eq!(error["type"], "error", "{error}");
        assert!([403, 404].contains(&other.status), "{error}");
    }
    let none = rig.message(&asking(NOVA, &json!({}))).await;
    assert_eq!((none.status, &none.json()["error"]["type"]), (401, &json!("authentication_error")));
    let path = "/v1/messages/count_tokens";
    let body = asking(NOVA, &json!({})).to_string();
    let none = rig.send(Method::POST, path, body.into()).await;
    assert_eq!((none.status, &none.json()["error"]["type"]), (401, &json!("authentication_error")));
    rig.stop().await;
}

#[actix_rt::test]
async fn limits_and_budgets_are_told_as_anthropics_clients_read_them() {
    let rig = Rig::start(MASTER).await;
    for model in [NOVA, CLAUDE] {
        let once = key(&rig, json!({ "rpm_limit": 1 })).await;
        let headers = [("x-api-key", once.as_str())];
        assert_eq!(rig.message_with(&headers, &asking(model, &json!({}))).await.status, 200);
        let refused = rig.message_with(&headers, &asking(model, &json!({}))).await;
        let error = refused.json();
        assert_eq!((refused.status, &error["error"]["type"]), (429, &json!("rate_limit_error")));
        assert!(refused.header("retry-after").is_some() && refused.header("request-id").is_some());
        let spent = key(&rig, json!({ "max_budget": 0 })).await;
        let refused = rig.message_with(&[("x-api-key", &spent)], &asking(model, &json!({}))).await;
        assert_eq!(refused.json()["error"]["type"], "billing_error", "{model}");
        assert_eq!(refused.header("x-should-retry"), Some("false"));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn every_call_has_one_row_with_the_usage_that_the_client_saw() {
    let rig = Rig::start(MASTER).await;
    let own = key(&rig, json!({ "key_alias": "code" })).await;
    let mut seen = Vec::new();
    for model in [NOVA, CLAUDE] {
        for stream in [false, true] {
            let more = json!({ "stream": stream, "metadata": { "user_id": "ann" } });
            let answer = rig.message_with(&[("x-api-key", &own)], &asking(model, &more)).await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            let usage = message(&answer)["usage"].clone();
            seen.push((id, usage));
        }
    }
    let rows = rows(&rig, seen.len()).await;
    assert_eq!(rows.len(), seen.len());
    for (id, usage) in seen {
        let row = rows.iter().find(|row| row.closing.call.id == id).unwrap();
        let (call, outcome) = (&row.closing.call, &row.closing.outcome);
        assert_eq!(row.closing.state, CallState::Settled, "{id}");
        assert_eq!(Some(outcome.input), usage["input_tokens"].as_u64());
        assert_eq!(Some(outcome.output), usage["output_tokens"].as_u64());
        assert!(outcome.cost.unwrap() > Nanodollars::ZERO);
        assert_eq!(call.who.customer.as_deref(), Some("ann"));
    }
    rig.stop().await;
}
