//! Reranking: the paths of four APIs, costs by queries, fallbacks to another protocol, refusals, dry runs.

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const COHERE: &str = "cohere.rerank-v3-5:0";
const AMAZON: &str = "amazon.rerank-v1:0";
const QUERY: &str = "volcanic rock from cooled lava";

fn ask(model: &str) -> Value {
    json!({ "model": model, "query": QUERY, "documents": [
        "A recipe for soup", "Basalt is volcanic rock, cooled from lava", "Tax forms for companies",
    ] })
}

async fn post(rig: &Rig, path: &str, request: &Value) -> Received {
    rig.send(Method::POST, path, request.to_string().into()).await
}

#[actix_rt::test]
async fn documents_are_ranked_by_each_model_at_each_path() {
    let rig = Rig::start("").await;
    for model in [COHERE, AMAZON] {
        for path in ["/v1/rerank", "/v2/rerank", "/rerank", "/openai/v1/rerank"] {
            let answer = post(&rig, path, &ask(model)).await;
            let json = answer.json();
            assert_eq!(answer.status, 200, "{path} {json}");
            let results = json["results"].as_array().unwrap();
            assert_eq!((results.len(), &results[0]["index"]), (3, &json!(1)), "{json}");
            let scores: Vec<f64> =
                results.iter().map(|one| one["relevance_score"].as_f64().unwrap()).collect();
            assert!(scores.is_sorted_by(|one, other| one >= other), "{scores:?}");
            assert_eq!(results[0].get("document").is_some(), path != "/v2/rerank", "{json}");
            assert_eq!(json["meta"]["billed_units"], json!({ "search_units": 1 }));
            assert!(json["id"].as_str().unwrap().starts_with("rerank-"));
            assert_eq!(json["model"], *model);
            assert!(answer.header("x-outcrop-target").unwrap().contains("rerank"));
        }
    }
    let mut tei = ask(COHERE);
    tei["texts"] = tei["documents"].take();
    tei.as_object_mut().unwrap().remove("model");
    let path = format!("/openai/deployments/{COHERE}/rerank");
    let scores = post(&rig, &path, &tei).await.json();
    assert_eq!(scores[0]["index"], 1, "{scores}");
    rig.stop().await;
}

#[actix_rt::test]
async fn every_hundred_documents_are_a_query() {
    let rig = Rig::start("").await;
    let mut request = ask(COHERE);
    request["documents"] = (0..150).map(|at| json!(format!("document {at}"))).collect();
    request["top_n"] = json!(4);
    let answer = post(&rig, "/v1/rerank", &request).await;
    let json = answer.json();
    assert_eq!(json["results"].as_array().unwrap().len(), 4);
    assert_eq!(json["meta"]["billed_units"]["search_units"], 2);
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some("0.004"));
    assert_eq!(answer.header("x-litellm-response-cost"), Some("0.004"));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_name_falls_back_to_the_other_protocol() {
    let rig = Rig::start(&format!(
        "models:\n  ranks:\n    targets: [{{ model: '{COHERE}', order: 1 }}, {{ model: '{AMAZON}', order: 2 }}]\nrouting: {{ retries: {{ more: 1 }} }}\n"
    ))
    .await;
    rig.emulator.script().push(Step::Error {
        status: 503,
        kind: "ServiceUnavailableException".to_owned(),
        message: "no".to_owned(),
        headers: [].into(),
    });
    let answer = post(&rig, "/v1/rerank", &ask("ranks")).await;
    let json = answer.json();
    assert_eq!((answer.status, &json["results"][0]["index"]), (200, &json!(1)), "{json}");
    let calls = rig.emulator.journal().calls();
    let versions: Vec<_> = calls.iter().map(|call| call.body.get("api_version")).collect();
    assert_eq!(versions, [Some(&json!(2)), None]);
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some("0.001"), "at the price of the second");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_the_body_and_calls_no_model() {
    let rig = Rig::start("").await;
    let dry = [("x-outcrop-dry-run", "true")];
    let body = ask(COHERE).to_string().into();
    let shown = rig.send_with(&dry, Method::POST, "/v2/rerank", body).await.json();
    assert_eq!(shown["body"]["api_version"], 2, "{shown}");
    assert!(shown["url"].as_str().unwrap().ends_with("/model/cohere.rerank-v3-5%3A0/invoke"));
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn refusals_name_the_field_and_the_right_model() {
    let rig = Rig::start("").await;
    let mut other = ask("us.amazon.nova-lite-v1:0");
    let answer = post(&rig, "/v1/rerank", &other).await;
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["param"]), (400, &json!("model")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(AMAZON) && message.contains(COHERE), "{message}");
    other["model"] = json!(COHERE);
    other["documents"] = json!(["a", 4]);
    let error = post(&rig, "/v1/rerank", &other).await.json();
    assert_eq!(error["error"]["param"], "documents[1]", "{error}");
    assert_eq!(error["error"]["code"], "invalid_type");
    let chat = json!({ "model": COHERE, "messages": [{ "role": "user", "content": "Hi" }] });
    let error = rig.chat(&chat).await.json();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("POST /v1/rerank"), "{message}");
    assert!(rig.emulator.journal().calls().is_empty(), "something was sent all the same");
    for body in ["{}", "not JSON", r#"{"results":[{"index":9,"relevance_score":1}]}"#] {
        let (body, headers) = (body.to_owned(), Default::default());
        rig.emulator.script().push(Step::Text { body, headers });
        let answer = post(&rig, "/v1/rerank", &ask(COHERE)).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (502, Some("upstream_unreadable"))
        );
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn bedrocks_own_operation_keeps_its_path_where_it_is_served_at_the_root() {
    let rig = Rig::start("native: { root: true }\n").await;
    let own = post(&rig, "/rerank", &ask(COHERE)).await;
    assert!(own.header("x-amzn-errortype").is_some(), "an answer of AWS's: {:?}", own.body);
    assert_eq!(post(&rig, "/v1/rerank", &ask(COHERE)).await.status, 200);
    rig.stop().await;
}
