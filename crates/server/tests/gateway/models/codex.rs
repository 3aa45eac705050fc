//! The list of models in the form that Codex reads.

use serde_json::{Value, json};

use super::get;
use crate::rig::Rig;

/// Members without which Codex 0.171 refuses a list.
const REQUIRED: [&str; 12] = [
    "slug",
    "display_name",
    "supported_reasoning_levels",
    "shell_type",
    "visibility",
    "supported_in_api",
    "priority",
    "base_instructions",
    "support_verbosity",
    "truncation_policy",
    "experimental_supported_tools",
    "supports_parallel_tool_calls",
];

#[actix_rt::test]
async fn codex_reads_the_models_that_call_tools() {
    let rig = Rig::start("models: { coder: claude-sonnet-4-5 }\n").await;
    let (status, list) = get(&rig, "/v1/models?client_version=0.171.0").await;
    assert_eq!((status, list.get("data")), (200, None));
    let models = list["models"].as_array().unwrap();
    for model in models {
        for member in REQUIRED {
            assert!(!model[member].is_null(), "{member}: {model}");
        }
    }
    let found = |slug: &str| models.iter().find(|model| model["slug"] == slug);
    assert_eq!((&models[0]["slug"], &models[0]["priority"]), (&json!("coder"), &json!(1)));
    let efforts = |model: &Value| -> Vec<Value> {
        let levels = model["supported_reasoning_levels"].as_array().unwrap().iter();
        levels.map(|level| level["effort"].clone()).collect()
    };
    assert_eq!(efforts(&models[0]), ["low", "medium", "high"], "a budget");
    assert_eq!(models[0]["default_reasoning_level"], "medium");
    assert_eq!(models[0]["context_window"], 200_000);
    let nova = found("nova-lite").unwrap();
    assert_eq!((efforts(nova).len(), &nova["supports_reasoning_summaries"]), (0, &json!(false)));
    assert_eq!(nova["input_modalities"], json!(["text", "image"]));
    assert!(nova.get("default_reasoning_level").is_none());
    assert!(found("embed-english").is_none() && found("titan-embed-text-v2").is_none());
    let (_, one) = get(&rig, "/v1/models/coder").await;
    assert_eq!(one["capabilities"]["reasoning"], true);
    assert_eq!(one["capabilities"]["reasoning_efforts"], json!(["low", "medium", "high"]));
    rig.stop().await;
}
