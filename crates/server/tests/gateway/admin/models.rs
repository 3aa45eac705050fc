//! Models, health, and LiteLLM's routes that are not served.

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::golden::expect;
use super::{Admin, text};
use crate::models::ask;
use crate::rig::Rig;

const MODELS: &str = "models:
  cheap: us.amazon.nova-micro-v1:0
  pair:
    targets:
      - { model: us.amazon.nova-lite-v1:0, rpm: 60, tpm: 1000 }
      - { model: us.amazon.nova-pro-v1:0, rpm: 40, tpm: 500 }
  vectors: amazon.titan-embed-text-v2:0
models_only: true
";

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|one| text(one, "model_name")).collect()
}

#[actix_rt::test]
async fn models_have_their_targets_prices_and_features() {
    let admin = Admin::with(MODELS).await;
    let list = admin.ask("GET /model/info", Value::Null).await;
    let raw = String::from_utf8_lossy(&list.received.body).into_owned();
    assert!(raw.contains("\"input_cost_per_token\":0.000000035"), "{raw}");
    let list = list.fine();
    assert_eq!(names(&list), ["cheap", "pair", "pair", "vectors"]);
    expect(
        &json!({"model_name": "cheap", "litellm_params": {"model": "bedrock/us.amazon.nova-micro-v1:0",
                "custom_llm_provider": "bedrock", "aws_region_name": "us-east-1"},
            "model_info": {"id": "us.amazon.nova-micro-v1:0@us-east-1", "db_model": false, "mode": "chat",
                "key": "us.amazon.nova-micro-v1:0", "base_model": "amazon.nova-micro-v1:0",
                "litellm_provider": "bedrock", "input_cost_per_token": 0.000000035,
                "output_cost_per_token": 0.00000014, "supports_vision": false, "supports_function_calling": true,
                "supports_system_messages": true, "supports_native_streaming": true, "price_source": "listed",
                "max_input_tokens": "<any>", "max_output_tokens": "<any>", "cache_read_input_token_cost": "<any>",
                "cache_creation_input_token_cost": "<any>", "deprecation_date": "<any>"}}),
        &list["data"][0],
    );
    expect(
        &json!({"litellm_params": {"rpm": 60, "tpm": 1000}, "model_info": {"supports_vision": true}}),
        &list["data"][1],
    );
    let vectors = &list["data"][3]["model_info"];
    assert_eq!(
        (&vectors["mode"], &vectors["supports_function_calling"]),
        (&json!("embedding"), &json!(false))
    );
    assert_eq!(admin.ask("GET /v1/model/info", Value::Null).await.fine(), list);
    for id in ["us.amazon.nova-pro-v1:0@us-east-1", "us.amazon.nova-pro-v1:0"] {
        let line = format!("GET /model/info?litellm_model_id={id}");
        let one = admin.ask(&line, Value::Null).await.fine();
        assert_eq!(one["data"], json!([list["data"][2]]));
    }
    let none = admin.ask("GET /model/info?litellm_model_id=none", Value::Null).await;
    assert_eq!(none.status, 400);
    assert_eq!(none.body["detail"], json!({"error": "Model id = none not found on litellm proxy"}));
    let page = admin.ask("GET /v2/model/info?size=1&page=2&search=PAIR", Value::Null).await.fine();
    expect(
        &json!({"data": [list["data"][2]], "total_count": 2, "current_page": 2, "total_pages": 2, "size": 1}),
        &page,
    );
    let groups = admin.ask("GET /model_group/info", Value::Null).await.fine();
    let of: Vec<_> =
        groups["data"].as_array().unwrap().iter().map(|one| text(one, "model_group")).collect();
    assert_eq!(of, ["cheap", "pair", "vectors"]);
    let pair = admin.ask("GET /model_group/info?model_group=pair", Value::Null).await.fine();
    expect(
        &json!({"data": [{"model_group": "pair", "providers": ["bedrock"], "mode": "chat", "tpm": 1500, "rpm": 100,
            "input_cost_per_token": list["data"][2]["model_info"]["input_cost_per_token"],
            "supports_vision": true, "supports_function_calling": true}]}),
        &pair,
    );
    let params = pair["data"][0]["supported_openai_params"].as_array().unwrap();
    assert!(params.contains(&json!("tools")) && params.contains(&json!("temperature")));
    admin.stop().await;
}

#[actix_rt::test]
async fn callers_see_the_models_that_they_may_call() {
    let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc";
    let yaml = MODELS.replace(
        "  vectors:",
        &format!("  own: {{ targets: [{{ model: \"{arn}\", base_model: us.amazon.nova-lite-v1:0 }}] }}\n  vectors:"),
    );
    let admin = Admin::with(&yaml).await;
    let few = admin.key(json!({"models": ["cheap", "vectors"]})).await;
    let few = admin.ask_as(text(&few, "key"), "GET /model/info", Value::Null).await.fine();
    assert_eq!(names(&few), ["cheap", "vectors"]);
    let all = admin.key(json!({})).await;
    let told = admin.ask_as(text(&all, "key"), "GET /model/info", Value::Null).await;
    let body = String::from_utf8_lossy(&told.received.body).into_owned();
    assert!(!body.contains("arn:") && !body.contains("123456789012"), "{body}");
    assert_eq!(names(&told.fine()), ["cheap", "own", "pair", "pair", "vectors"]);
    let told = admin.ask("GET /model/info", Value::Null).await;
    assert!(String::from_utf8_lossy(&told.received.body).contains(arn));
    let models = admin.key(json!({"key_type": "llm_api"})).await;
    admin.ask_as(text(&models, "key"), "GET /model/info", Value::Null).await.refused(403);
    admin.stop().await;
    // Without a list of names it shows what is served.
    let admin = Admin::start().await;
    let all = admin.ask("GET /model/info", Value::Null).await.fine();
    assert!(names(&all).len() > 20 && names(&all).contains(&"nova-lite"));
    let one = admin.key(json!({"models": ["nova-lite"]})).await;
    let one = admin.ask_as(text(&one, "key"), "GET /model/info", Value::Null).await.fine();
    assert!(names(&one).contains(&"nova-lite") && !names(&one).contains(&"nova-pro"), "{one}");
    admin.stop().await;
}

#[actix_rt::test]
async fn health_tells_how_the_last_calls_went() {
    let admin = Admin::with(&format!("{MODELS}routing: {{ retries: {{ more: 0 }} }}\n")).await;
    let probe = admin.rig.send(Method::GET, "/health", "".into()).await;
    assert_eq!((probe.status, &probe.json()["status"]), (200, &json!("ready")));
    let health = admin.ask("GET /health", Value::Null).await.fine();
    expect(
        &json!({"healthy_count": 4, "unhealthy_count": 0, "unhealthy_endpoints": [],
            "healthy_endpoints": [{"model": "bedrock/us.amazon.nova-micro-v1:0", "model_group": "cheap",
                "model_id": "us.amazon.nova-micro-v1:0@us-east-1", "api_base": null}, {}, {}, {}]}),
        &health,
    );
    let throttled = Step::Error {
        status: 429,
        kind: "ThrottlingException".to_owned(),
        message: "slow down".to_owned(),
        headers: Default::default(),
    };
    admin.rig.emulator.script().push(throttled);
    let bearer = format!("Bearer {}", super::MASTER);
    let told = admin.rig.chat_with(&[("authorization", &bearer)], &ask("cheap")).await;
    assert_eq!(told.status, 429);
    let down = admin.ask("GET /health?model=cheap", Value::Null).await;
    assert_eq!(down.status, 503);
    expect(
        &json!({"healthy_count": 0, "unhealthy_count": 1, "unhealthy_endpoints": [{"model_group": "cheap",
            "error": "Bedrock throttles calls of this target."}]}),
        &down.body,
    );
    admin.ask("GET /health?model=pair", Value::Null).await.fine();
    admin.ask("GET /health?probe=true", Value::Null).await.refused(400);
    let key = admin.key(json!({})).await;
    admin.ask_as(text(&key, "key"), "GET /health", Value::Null).await.refused(403);
    admin.ask_as("sk-unknown-key-of-nobody", "GET /health", Value::Null).await.refused(401);
    admin.stop().await;
}

#[actix_rt::test]
async fn probes_have_litellms_words() {
    let admin = Admin::start().await;
    for path in ["/health/liveliness", "/health/liveness"] {
        let alive = admin.rig.send(Method::GET, path, "".into()).await;
        assert_eq!((alive.status, alive.json()), (200, json!("I'm alive!")));
    }
    let ready = admin.rig.send(Method::GET, "/health/readiness", "".into()).await;
    expect(&json!({"status": "healthy", "db": "connected", "panics": 0}), &ready.json());
    admin.stop().await;
    let rig = Rig::start("").await;
    let ready = rig.send(Method::GET, "/health/readiness", "".into()).await;
    assert_eq!((ready.status, &ready.json()["db"]), (200, &json!("Not connected")));
    rig.stop().await;
}

#[actix_rt::test]
async fn routes_of_litellm_that_are_not_served_say_what_to_use() {
    let admin = Admin::start().await;
    for line in [
        "POST /model/new",
        "POST /model/update",
        "POST /model/delete",
        "PATCH /model/abc/update",
        "GET /organization/info?organization_id=o",
        "POST /organization/new",
        "DELETE /organization/delete",
        "GET /v1/access_group",
        "PUT /v1/access_group/g",
        "POST /access_group/new",
        "GET /access_group/g/info",
        "POST /project/new",
        "GET /credentials",
        "GET /guardrails/list",
        "GET /mcp/tools",
        "POST /vector_store/new",
        "GET /sso/key/generate",
        "GET /config/yaml",
        "GET /alerting/settings",
        "GET /health/services?service=slack",
    ] {
        let error = admin.ask(line, json!({})).await.refused(501);
        assert_eq!(text(&error, "type"), "not_implemented", "{line}");
        assert!(text(&error, "message").len() > 20, "{line}");
    }
    admin.stop().await;
}
