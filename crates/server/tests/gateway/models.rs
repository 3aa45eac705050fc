//! Names as sent to Bedrock from every geography, and the list of models.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::rig::Rig;

mod behind;
mod codex;
mod control;
mod refusals;

const REGIONS: [&str; 6] =
    ["us-east-1", "eu-west-1", "ap-northeast-1", "ap-southeast-2", "us-gov-west-1", "ca-central-1"];

/// Short name, model, and its prefix in each of `REGIONS`: empty where no profile of the model may be
/// called.
#[rustfmt::skip]
const SHORT: &[(&str, &str, [&str; 6])] = &[
    ("claude-3-5-sonnet",   "anthropic.claude-3-5-sonnet-20241022-v2:0", ["us", "eu", "", "", "", "us"]),
    ("claude-3-5-haiku",    "anthropic.claude-3-5-haiku-20241022-v1:0",  ["us", "eu", "", "", "", "us"]),
    ("claude-3-opus",       "anthropic.claude-3-opus-20240229-v1:0",     ["us", "eu", "", "", "", "us"]),
    ("claude-3-sonnet",     "anthropic.claude-3-sonnet-20240229-v1:0",   ["us", "eu", "apac", "apac", "", "us"]),
    ("claude-3-haiku",      "anthropic.claude-3-haiku-20240307-v1:0",    ["us", "eu", "apac", "apac", "us-gov", "us"]),
    ("llama3-2-90b",        "meta.llama3-2-90b-instruct-v1:0",           ["us", "", "", "", "", "us"]),
    ("llama3-2-11b",        "meta.llama3-2-11b-instruct-v1:0",           ["us", "", "", "", "", "us"]),
    ("llama3-2-3b",         "meta.llama3-2-3b-instruct-v1:0",            ["us", "eu", "", "", "", "us"]),
    ("llama3-2-1b",         "meta.llama3-2-1b-instruct-v1:0",            ["us", "eu", "", "", "", "us"]),
    ("llama3-1-405b",       "meta.llama3-1-405b-instruct-v1:0",          ["us", "", "", "", "", "us"]),
    ("llama3-1-70b",        "meta.llama3-1-70b-instruct-v1:0",           ["us", "", "", "", "", "us"]),
    ("llama3-1-8b",         "meta.llama3-1-8b-instruct-v1:0",            ["us", "", "", "", "", "us"]),
    ("nova-pro",            "amazon.nova-pro-v1:0",                      ["us", "eu", "apac", "apac", "", "us"]),
    ("nova-lite",           "amazon.nova-lite-v1:0",                     ["us", "eu", "apac", "apac", "", "ca"]),
    ("nova-micro",          "amazon.nova-micro-v1:0",                    ["us", "eu", "apac", "apac", "", "us"]),
    ("mistral-7b",          "mistral.mistral-7b-instruct-v0:2",          ["", "", "", "", "", ""]),
    ("mixtral-8x7b",        "mistral.mixtral-8x7b-instruct-v0:1",        ["", "", "", "", "", ""]),
    ("mistral-large",       "mistral.mistral-large-2407-v1:0",           ["", "", "", "", "", ""]),
    ("command-r",           "cohere.command-r-v1:0",                     ["", "", "", "", "", ""]),
    ("command-r-plus",      "cohere.command-r-plus-v1:0",                ["", "", "", "", "", ""]),
    ("jamba-1-5-large",     "ai21.jamba-1-5-large-v1:0",                 ["", "", "", "", "", ""]),
    ("jamba-1-5-mini",      "ai21.jamba-1-5-mini-v1:0",                  ["", "", "", "", "", ""]),
    ("titan-embed-text",    "amazon.titan-embed-text-v1",                ["", "", "", "", "", ""]),
    ("titan-embed-text-v2", "amazon.titan-embed-text-v2:0",              ["", "", "", "", "", ""]),
    ("embed-english",       "cohere.embed-english-v3",                   ["", "", "", "", "", ""]),
    ("embed-multilingual",  "cohere.embed-multilingual-v3",              ["", "", "", "", "", ""]),
];

/// Names that are sent as the id on the right in every region.
const SAME_EVERYWHERE: &[(&str, &str)] = &[
    ("us.amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0"),
    ("eu.anthropic.claude-sonnet-5", "eu.anthropic.claude-sonnet-5"),
    ("apac.amazon.nova-pro-v1:0", "apac.amazon.nova-pro-v1:0"),
    ("jp.anthropic.claude-sonnet-5", "jp.anthropic.claude-sonnet-5"),
    ("au.anthropic.claude-sonnet-5", "au.anthropic.claude-sonnet-5"),
    ("ca.amazon.nova-lite-v1:0", "ca.amazon.nova-lite-v1:0"),
    ("in.anthropic.claude-sonnet-5", "in.anthropic.claude-sonnet-5"),
    ("us-gov.anthropic.claude-sonnet-5", "us-gov.anthropic.claude-sonnet-5"),
    ("global.anthropic.claude-sonnet-5", "global.anthropic.claude-sonnet-5"),
    ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
    ("bedrock/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
    ("bedrock/converse/us.amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0"),
    ("bedrock/invoke/zai.glm-5", "zai.glm-5"),
    ("bedrock_converse/zai.glm-5", "zai.glm-5"),
    ("nobody.has-listed/this:1", "nobody.has-listed/this:1"),
];

const ARNS: &[&str] = &[
    "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
    "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
    "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-lite-v1:0:300k/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:2",
    "arn:aws:bedrock:us-east-1:123456789012:prompt-router/abcdefghijkl",
    "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/anthropic.claude:1",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine",
    "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.nova-pro-v1:0",
    "arn:aws-cn:sagemaker:cn-north-1:123456789012:endpoint/mine",
];

pub(crate) fn ask(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] })
}

/// Encodes an id in a path as AWS's SDKs do.
fn path(id: &str) -> String {
    let operation = if is_embedder(id) { "invoke" } else { "converse" };
    format!("/model/{}/{operation}", id.replace(':', "%3A").replace('/', "%2F"))
}

/// Embedding models are not asked to chat.
fn is_embedder(model: &str) -> bool {
    model.contains("embed")
}

/// The path of the first model call for a request; the control plane may be asked for the model of an ARN
/// before.
async fn first_path(rig: &Rig, model: &str) -> String {
    rig.emulator.journal().clear();
    if is_embedder(model) {
        let request = json!({ "model": model, "input": "Hi" });
        rig.send(Method::POST, "/v1/embeddings", request.to_string().into()).await;
    } else {
        rig.chat(&ask(model)).await;
    }
    rig.emulator
        .journal()
        .calls()
        .iter()
        .find(|call| call.path.starts_with("/model/"))
        .unwrap_or_else(|| panic!("{model} was not sent"))
        .path
        .clone()
}

async fn get(rig: &Rig, path: &str) -> (u16, Value) {
    let answer = rig.send(Method::GET, path, Bytes::new()).await;
    (answer.status, answer.json())
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn every_name_reaches_the_upstream_as_aws_wants_it() {
    assert_eq!(SHORT.len(), 26);
    for (at, region) in REGIONS.into_iter().enumerate() {
        let rig = Rig::start_in(region, "").await;
        for (name, model, prefixes) in SHORT {
            let id = match prefixes[at] {
                "" => (*model).to_owned(),
                prefix => format!("{prefix}.{model}"),
            };
            assert_eq!(first_path(&rig, name).await, path(&id), "{name} from {region}");
            let prefixed = format!("bedrock/{region}/{name}");
            assert_eq!(first_path(&rig, &prefixed).await, path(&id), "{prefixed} from {region}");
        }
        for (name, id) in SAME_EVERYWHERE {
            assert_eq!(first_path(&rig, name).await, path(id), "{name} from {region}");
        }
        for arn in ARNS {
            assert_eq!(first_path(&rig, arn).await, path(arn), "{arn} from {region}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn spellings_of_others_reach_the_same_models() {
    let rig = Rig::start_in("eu-west-1", "models: { amazon/nova-pro-v1: nova-micro }\n").await;
    for (name, id, ignored) in [
        ("claude-sonnet-4-5", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
        ("claude-opus-5-5", "eu.anthropic.claude-opus-5-5", None),
        ("gpt-oss-120b", "openai.gpt-oss-120b-1:0", None),
        ("nova-2-lite", "eu.amazon.nova-2-lite-v1:0", None),
        ("anthropic/claude-sonnet-4.5", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
        ("claude-sonnet-4-5-20250929", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", None),
        ("openai/gpt-oss-120b:free", "openai.gpt-oss-120b-1:0", Some("model.free")),
        ("qwen/qwen3-32b", "qwen.qwen3-32b-v1:0", None),
        (
            "bedrock/us-east-1/meta-llama/llama-3.3-70b-instruct",
            "us.meta.llama3-3-70b-instruct-v1:0",
            None,
        ),
        // The operator's own names take precedence.
        ("amazon/nova-pro-v1", "eu.amazon.nova-micro-v1:0", None),
    ] {
        rig.emulator.journal().clear();
        let answer = rig.chat(&ask(name)).await;
        assert_eq!((answer.status, &answer.json()["model"]), (200, &json!(name)), "{name}");
        assert_eq!(answer.header("x-outcrop-ignored"), ignored, "{name}");
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls[0].model_id.as_deref(), Some(id), "{name}");
    }
    let strict = [("x-outcrop-unsupported-params", "reject")];
    let refused = rig.chat_with(&strict, &ask("qwen/qwen3-32b:thinking")).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("model.thinking"))
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn a_leading_assistant_turn_is_kept_only_for_models_known_to_accept_it() {
    let rig = Rig::start("").await;
    for (model, first) in [
        ("claude-sonnet-4-5", "assistant"),
        ("claude-3-haiku", "user"),
        ("claude-3-5-sonnet", "user"),
        ("claude-opus-5-5", "user"),
        ("qwen3-32b", "user"),
        ("glm-5", "user"),
        ("anthropic.claude-of-tomorrow", "user"),
    ] {
        rig.emulator.journal().clear();
        let hello = json!({ "role": "assistant", "content": "Hello there." });
        let mut request = ask(model);
        request["messages"].as_array_mut().unwrap().insert(0, hello);
        rig.chat(&request).await;
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls[0].body["messages"][0]["role"], first, "{model}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn answers_carry_the_requested_name() {
    let rig = Rig::start_in("eu-west-1", "models: { fast: nova-micro }\n").await;
    for (name, id) in [
        ("fast", "eu.amazon.nova-micro-v1:0"),
        ("nova-lite", "eu.amazon.nova-lite-v1:0"),
        ("anthropic.claude-sonnet-5-5", "eu.anthropic.claude-sonnet-5-5"),
        ("bedrock/eu-west-1/zai.glm-5", "zai.glm-5"),
    ] {
        rig.emulator.journal().clear();
        let answer = rig.chat(&ask(name)).await;
        assert_eq!((answer.status, &answer.json()["model"]), (200, &json!(name)), "{name}");
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls[0].model_id.as_deref(), Some(id), "{name}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_list_has_the_gateways_names_before_the_accounts() {
    let rig = Rig::start_in("eu-west-1", "models: { fast: nova-micro }\n").await;
    let (status, list) = get(&rig, "/v1/models").await;
    assert_eq!((status, &list["object"]), (200, &json!("list")));
    let ids = ids(&list);
    assert_eq!(ids[0], "fast");
    let at = |id: &str| ids.iter().position(|other| *other == id);
    assert!(at("nova-lite") < at("amazon.nova-lite-v1:0"), "short names first");
    assert!(at("eu.amazon.nova-lite-v1:0").is_some(), "its profile");
    assert_eq!(at("us.amazon.nova-lite-v1:0"), None, "not from here");
    assert_eq!(at("anthropic.claude-sonnet-5-5"), None, "not without a profile");
    assert!(at("global.anthropic.claude-sonnet-5-5").is_some());
    assert_eq!(at("claude-3-haiku"), None, "past its end");
    assert!(ids.iter().any(|id| id.contains(":application-inference-profile/")));
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "every id once");
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["object"], "model", "{model}");
        assert!(model["created"].is_i64() && model["owned_by"].is_string(), "{model}");
        assert!(model["lifecycle"]["status"].is_string(), "{model}");
    }
    let data = list["data"].as_array().unwrap();
    let chats: Vec<bool> =
        data[1..].iter().map(|model| model["capabilities"]["chat"] == true).collect();
    let chatting = chats.iter().filter(|chats| **chats).count();
    assert!(chats[..chatting].iter().all(|chats| *chats), "what chats comes first");
    assert!(at("embed-english").unwrap() > chatting, "then the rest");
    assert!(data.iter().all(|model| model["created"].as_i64().unwrap() > 1_600_000_000));
    let dated = &data[at("claude-sonnet-4-5").unwrap()]["created"];
    assert_eq!(dated, 1_759_104_000, "2025-09-29");
    let nova = &list["data"][at("eu.amazon.nova-lite-v1:0").unwrap()];
    assert_eq!((&nova["owned_by"], &nova["context_length"]), (&json!("amazon"), &json!(300_000)));
    assert_eq!(nova["max_output_tokens"], 10_000);
    assert_eq!(
        nova["capabilities"]["input_modalities"],
        json!(["text", "image", "document", "video"])
    );
    assert_eq!(nova["lifecycle"]["status"], "active");
    assert_eq!(list["data"][0]["stands_for"], "eu.amazon.nova-micro-v1:0");
    rig.stop().await;
}

#[actix_rt::test]
async fn concurrent_listings_share_one_refresh() {
    let rig = Rig::start("").await;
    let (a, b, c) = tokio::join!(
        get(&rig, "/v1/models"),
        get(&rig, "/models"),
        get(&rig, "/v1/models/nova-lite")
    );
    assert_eq!((a.0, b.0, c.0), (200, 200, 200));
    assert_eq!(a.1, b.1);
    get(&rig, "/v1/models").await;
    let calls = rig.emulator.journal().calls();
    let mut paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "/foundation-models",
            "/inference-profiles?maxResults=1000&type=APPLICATION",
            "/inference-profiles?maxResults=1000&type=SYSTEM_DEFINED",
        ]
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn an_account_without_permission_lists_the_compiled_in_models() {
    let emulator = emulator::start(emulator::Options {
        credentials: Some(emulator::Credentials {
            access_key_id: "AKIDOTHER".to_owned(),
            secret_access_key: "other".to_owned(),
            session_token: None,
        }),
        ..emulator::Options::default()
    })
    .await
    .unwrap();
    let rig = Rig::before(emulator, "").await;
    let (status, list) = get(&rig, "/v1/models").await;
    assert_eq!(status, 200);
    let ids = ids(&list);
    for id in [
        "nova-lite",
        "amazon.nova-lite-v1:0",
        "us.anthropic.claude-sonnet-5-5",
        "cohere.embed-v4:0",
    ] {
        assert!(ids.contains(&id), "{id}");
    }
    assert!(!ids.contains(&"claude-3-haiku") && !ids.contains(&"anthropic.claude-sonnet-5-5"));
    rig.stop().await;
}

#[actix_rt::test]
async fn one_model_is_found_by_any_of_its_names() {
    let rig = Rig::start("models: { fast: nova-micro }\n").await;
    for (path, id, stands_for) in [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0", Value::Null),
        ("us.amazon.nova-lite-v1%3A0", "us.amazon.nova-lite-v1:0", Value::Null),
        ("fast", "fast", json!("us.amazon.nova-micro-v1:0")),
        ("bedrock/nova-lite", "bedrock/nova-lite", json!("us.amazon.nova-lite-v1:0")),
        ("bedrock%2Fnova-lite", "bedrock/nova-lite", json!("us.amazon.nova-lite-v1:0")),
        (
            "bedrock/eu-west-1/nova-lite",
            "bedrock/eu-west-1/nova-lite",
            json!("eu.amazon.nova-lite-v1:0"),
        ),
        ("claude-3-haiku", "claude-3-haiku", json!("us.anthropic.claude-3-haiku-20240307-v1:0")),
    ] {
        let (status, model) = get(&rig, &format!("/v1/models/{path}")).await;
        assert_eq!((status, &model["id"]), (200, &json!(id)), "{path}");
        assert_eq!(model["stands_for"], stands_for, "{path}");
    }
    let (_, ended) = get(&rig, "/v1/models/claude-3-haiku").await;
    assert_eq!(ended["lifecycle"]["status"], "end_of_life");
    assert_eq!(
        (&ended["shutdown_date"], &ended["lifecycle"]["successor"]),
        (&json!("2026-09-10"), &json!("anthropic.claude-haiku-5-5"))
    );
    for path in ["gpt-4o", "nobody.knows:1", "bedrock/us-west-2/gpt-4o", "%FF"] {
        let (status, answer) = get(&rig, &format!("/v1/models/{path}")).await;
        assert_eq!(
            (status, &answer["error"]["code"], &answer["error"]["param"]),
            (404, &json!("model_not_found"), &json!("model")),
            "{path}"
        );
    }
    let wrong = rig.send(Method::POST, "/v1/models", "{}".into()).await;
    assert_eq!(wrong.status, 405);
    rig.stop().await;
}
