//! Keys of the gateway: which calls they may make, by any header and any name of a model, and how they are refused.

use std::sync::Arc;

use access::{Accounts, KeyInput};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::models::ask;
use super::rig::{Received, Rig};

pub(super) const MASTER: &str = "master_key: sk-master\n";
const NOVA: &str = "us.amazon.nova-lite-v1:0";

/// Makes a key with these fields of the admin API, and returns it.
pub(super) async fn key(rig: &Rig, fields: Value) -> String {
    made(rig.accounts.as_ref().unwrap(), fields).await.secret.reveal().to_owned()
}

pub(super) async fn made(accounts: &Arc<Accounts>, fields: Value) -> access::accounts::NewKey {
    let input: KeyInput = serde_json::from_value(fields).unwrap();
    accounts.create_key(input, None, "test").await.unwrap()
}

/// A chat request with a key.
pub(super) async fn chat(rig: &Rig, key: &str, model: &str) -> Received {
    let header = format!("Bearer {key}");
    rig.chat_with(&[("authorization", &header)], &ask(model)).await
}

/// A native request with a key.
async fn converse(rig: &Rig, key: &str, model: &str, operation: &str) -> Received {
    let header = format!("Bearer {key}");
    let path = format!("/bedrock/model/{}/{operation}", model.replace('/', "%2F"));
    let body = match operation {
        "converse" | "converse-stream" => {
            json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] })
        }
        // The model in the body is a decoy: the path names the one that is called.
        _ => json!({
            "model": "amazon.nova-lite-v1:0", "modelId": "amazon.nova-lite-v1:0",
            "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }],
        }),
    };
    let headers = [("authorization", header.as_str())];
    rig.send_with(&headers, Method::POST, &path, body.to_string().into()).await
}

#[actix_rt::test]
async fn a_key_works_in_each_header_and_a_different_one_beside_it_does_not() {
    let rig = Rig::start(MASTER).await;
    let (key, other) = (key(&rig, json!({})).await, key(&rig, json!({})).await);
    let (bearer, signed) = (
        format!("Bearer {key}"),
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0"
        ),
    );
    for (name, value) in [
        ("authorization", bearer.as_str()),
        ("authorization", &signed),
        ("x-api-key", &key),
        ("api-key", &key),
        ("x-litellm-api-key", &bearer),
        ("ocp-apim-subscription-key", &key),
        ("x-goog-api-key", &key),
    ] {
        let alone = rig.chat_with(&[(name, value)], &ask(NOVA)).await;
        assert_eq!(alone.status, 200, "{name}");
        let twice = rig.chat_with(&[(name, value), ("x-api-key", &key)], &ask(NOVA)).await;
        assert_eq!(twice.status, 200, "{name}");
        let two = rig.chat_with(&[(name, value), ("x-litellm-api-key", &other)], &ask(NOVA)).await;
        assert_eq!(two.status, 400, "{name}");
        assert_eq!(two.json()["error"]["type"], "bad_request_error");
    }
    assert_eq!(rig.emulator.journal().calls().len(), 14, "a refused call goes nowhere");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_key_for_one_model_calls_no_other_by_any_name() {
    let rig = Rig::start(
        "master_key: sk-master\n\
         models:\n\
         \x20 mine: amazon.nova-lite-v1:0\n\
         \x20 other: { targets: [{ model: amazon.nova-pro-v1:0 }] }\n\
         \x20 falls: { targets: [{ model: amazon.nova-lite-v1:0 }], fallbacks: { general: [other] } }\n",
    )
    .await;
    let key = key(
        &rig,
        json!({ "models": ["mine", "falls", "nova-lite"], "aliases": { "sneaky": "other" } }),
    )
    .await;
    for model in [
        "other",
        "sneaky",
        "nova-pro",
        "amazon.nova-pro-v1:0",
        "us.amazon.nova-pro-v1:0",
        "bedrock/us.amazon.nova-pro-v1:0",
        "bedrock/converse/amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123",
        "no.such.model",
        "mine*",
    ] {
        let answer = chat(&rig, &key, model).await;
        assert_eq!(answer.status, 403, "{model}");
        let error = answer.json()["error"].clone();
        assert_eq!(error["type"], "key_model_access_denied", "{model}");
        assert_eq!((&error["param"], &error["code"]), (&json!("model"), &json!("403")));
        let text = error["message"].as_str().unwrap();
        assert!(text.starts_with("key not allowed to access model."), "{text}");
        assert!(!text.contains("falls"), "no other name is told: {text}");
        for operation in ["converse", "converse-stream", "invoke"] {
            if model == "bedrock/converse/amazon.nova-pro-v1:0" {
                continue;
            }
            let answer = converse(&rig, &key, model, operation).await;
            assert_eq!(answer.status, 403, "{model} {operation}");
            assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
        }
        let body = json!({ "model": model, "input": "a", "prompt": "a" }).to_string();
        let bearer = format!("Bearer {key}");
        for path in ["/v1/embeddings", "/v1/completions"] {
            let headers = [("authorization", bearer.as_str())];
            let answer =
                rig.send_with(&headers, Method::POST, path, Bytes::from(body.clone())).await;
            assert_eq!(answer.status, 403, "{path} {model}");
        }
    }
    assert!(rig.emulator.journal().calls().is_empty(), "no call came through");
    for model in ["mine", "nova-lite", "amazon.nova-lite-v1:0", "us.amazon.nova-lite-v1:0"] {
        assert_eq!(chat(&rig, &key, model).await.status, 200, "{model}");
        assert_eq!(converse(&rig, &key, model, "converse").await.status, 200, "{model}");
    }
    // The fallback is not granted, so the failure of the first stands.
    rig.emulator.journal().clear();
    for _ in 0..8 {
        rig.emulator.script().push(emulator::Step::Error {
            status: 500,
            kind: "InternalServerException".to_owned(),
            message: "no".to_owned(),
            headers: Default::default(),
        });
    }
    let failed = chat(&rig, &key, "falls").await;
    assert!(failed.status >= 500, "{}", failed.status);
    let calls = rig.emulator.journal().calls();
    assert!(calls.iter().all(|call| !call.path.contains("nova-pro")), "{calls:#?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_key_may_forbid_geographies() {
    let rig = Rig::start(
        "master_key: sk-master\n\
         models:\n\
         \x20 mixed:\n\
         \x20   targets:\n\
         \x20   - { model: global.anthropic.claude-sonnet-4-5-20250929-v1:0 }\n\
         \x20   - { model: us.anthropic.claude-sonnet-4-5-20250929-v1:0 }\n",
    )
    .await;
    let key = key(&rig, json!({ "allowed_geographies": ["us"] })).await;
    let global = chat(&rig, &key, "global.anthropic.claude-sonnet-4-5-20250929-v1:0").await;
    assert_eq!(global.status, 403);
    for _ in 0..6 {
        let answer = chat(&rig, &key, "mixed").await;
        assert_eq!(answer.status, 200);
        let target = answer.header("x-outcrop-target").unwrap();
        assert!(target.starts_with("us.anthropic."), "{target}");
    }
    let calls = rig.emulator.journal().calls();
    assert!(calls.iter().all(|call| !call.path.contains("global.")), "{calls:#?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn blocked_and_expired_keys_are_told_apart() {
    let rig = Rig::start(MASTER).await;
    let accounts = rig.accounts.clone().unwrap();
    let blocked = made(&accounts, json!({ "blocked": true })).await;
    let expired = made(&accounts, json!({ "duration": "0s" })).await;
    for (secret, status, kind, begins, native) in [
        (
            &blocked.secret,
            401,
            "auth_error",
            "Authentication Error, Key is blocked.",
            "AccessDeniedException",
        ),
        (
            &expired.secret,
            401,
            "expired_key",
            "Authentication Error - Expired Key.",
            "ExpiredTokenException",
        ),
    ] {
        let answer = chat(&rig, secret.reveal(), NOVA).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["type"]), (status, &json!(kind)));
        assert!(error["message"].as_str().unwrap().starts_with(begins), "{error}");
        assert!(!error.to_string().contains(secret.reveal()), "{error}");
        let answer = converse(&rig, secret.reveal(), NOVA, "converse").await;
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, Some(native)));
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn routes_and_operations_are_granted_by_the_key() {
    let rig = Rig::start(MASTER).await;
    let chats = key(&rig, json!({ "allowed_routes": ["/chat/completions"] })).await;
    let reads = key(&rig, json!({ "key_type": "read_only" })).await;
    let counts = key(&rig, json!({ "allowed_operations": ["CountTokens"] })).await;
    let denied = key(&rig, json!({ "denied_passthrough_routes": ["/bedrock/model/*"] })).await;
    assert_eq!(chat(&rig, &chats, NOVA).await.status, 200);
    rig.emulator.journal().clear();
    for (key, status) in [(&chats, 403), (&reads, 403), (&counts, 403), (&denied, 403)] {
        let answer = converse(&rig, key, NOVA, "converse").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    }
    let refused = chat(&rig, &reads, NOVA).await;
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.json()["error"]["message"],
        "Virtual key is not allowed to call this route."
    );
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_restricted_key_runs_no_model_that_only_a_body_names() {
    let rig = Rig::start(MASTER).await;
    let reranker = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0";
    let rerank = json!({ "rerankingConfiguration": { "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": { "modelConfiguration": { "modelArn": reranker } } } });
    let calls = [
        ("/rerank", rerank.clone()),
        ("/knowledgebases/KB12345678/retrieve", rerank),
        ("/knowledgebases/KB12345678/retrieve", json!({ "retrievalQuery": { "text": "x" } })),
        ("/retrieveAndGenerate", json!({ "input": { "text": "x" } })),
        ("/async-invoke", json!({ "modelId": "amazon.nova-reel-v1:1", "modelInput": {} })),
        ("/optimize-prompt", json!({ "targetModelId": "amazon.nova-pro-v1:0" })),
        ("/agents/A123456789/agentAliases/B123456789/sessions/s/text", json!({})),
    ];
    let plain_retrieval = 2;
    for (fields, refused) in [
        (json!({ "models": ["nova-lite"] }), true),
        (json!({ "allowed_geographies": ["eu"] }), true),
        (json!({ "models": ["*"] }), false),
        (json!({}), false),
    ] {
        let key = key(&rig, fields.clone()).await;
        let header = format!("Bearer {key}");
        for (at, (path, body)) in calls.iter().enumerate() {
            let path = format!("/bedrock{path}");
            let headers = [("authorization", header.as_str())];
            let answer =
                rig.send_with(&headers, Method::POST, &path, body.to_string().into()).await;
            let is_refused = answer.header("x-amzn-errortype") == Some("AccessDeniedException");
            assert_eq!(is_refused, refused && at != plain_retrieval, "{fields} {path}");
        }
    }
    // Escapes spell the same member.
    let escaped = calls[1].1.to_string().replace("rerankingC", "\\u0072erankingC");
    let restricted = format!("Bearer {}", key(&rig, json!({ "models": ["nova-lite"] })).await);
    let headers = [("authorization", restricted.as_str())];
    let path = "/bedrock/knowledgebases/KB12345678/retrieve";
    let answer = rig.send_with(&headers, Method::POST, path, escaped.into()).await;
    assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    // A record that restricts models may grant the operation by name.
    let granted =
        key(&rig, json!({ "models": ["nova-lite"], "allowed_operations": ["Rerank"] })).await;
    let header = format!("Bearer {granted}");
    let headers = [("authorization", header.as_str())];
    let body = calls[0].1.to_string().into();
    let answer = rig.send_with(&headers, Method::POST, "/bedrock/rerank", body).await;
    assert_ne!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    rig.stop().await;
}

/// A chat request about an image, with a key.
async fn about(rig: &Rig, key: &str, image: &str) -> Received {
    let header = format!("Bearer {key}");
    let image = json!({ "type": "image_url", "image_url": { "url": image } });
    let request = json!({ "model": NOVA, "messages": [{ "role": "user", "content": [image] }] });
    rig.chat_with(&[("authorization", &header)], &request).await
}

/// A native request about an image in S3, with a key.
async fn about_object(rig: &Rig, key: &str, uri: &str) -> Received {
    let header = format!("Bearer {key}");
    let image = json!({ "format": "png", "source": { "s3Location": { "uri": uri } } });
    let request = json!({ "messages": [{ "role": "user", "content": [{ "image": image }] }] });
    let path = format!("/bedrock/model/{NOVA}/converse");
    let headers = [("authorization", header.as_str())];
    rig.send_with(&headers, Method::POST, &path, request.to_string().into()).await
}

#[actix_rt::test]
async fn a_key_names_objects_below_its_own_places_only() {
    for (yaml, listed, elsewhere) in [
        ("media: { s3_prefixes: ['s3://pictures/'] }\n", 200, 403),
        ("native: { s3: allow }\nmedia: { s3_prefixes: ['s3://pictures/'] }\n", 200, 200),
    ] {
        let rig = Rig::start(&format!("{MASTER}{yaml}")).await;
        let all = key(&rig, json!({})).await;
        let ana = key(&rig, json!({ "allowed_s3_prefixes": ["s3://pictures/ana/"] })).await;
        let none = key(&rig, json!({ "allowed_s3_prefixes": [] })).await;
        let eve = key(&rig, json!({ "allowed_s3_prefixes": ["s3://elsewhere/"] })).await;
        for (key, uri, chat, native) in [
            (&all, "s3://pictures/bob/1.png", 200, listed),
            (&ana, "s3://pictures/ana/1.png", 200, listed),
            (&ana, "s3://pictures/bob/1.png", 400, 403),
            (&ana, "s3://pictures/ana", 400, 403),
            (&none, "s3://pictures/ana/1.png", 400, 403),
            // A key opens no place that the operator has not opened.
            (&eve, "s3://elsewhere/1.png", 400, elsewhere),
        ] {
            rig.emulator.journal().clear();
            let answers = (about(&rig, key, uri).await, about_object(&rig, key, uri).await);
            assert_eq!((answers.0.status, answers.1.status), (chat, native), "{yaml} {uri}");
            let calls = usize::from(chat == 200) + usize::from(native == 200);
            assert_eq!(rig.emulator.journal().calls().len(), calls, "{yaml} {uri}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_key_may_forbid_fetches_and_set_the_treatment_of_parameters() {
    let rig = Rig::start(&format!("{MASTER}media: {{ fetch: true, timeout: 1 }}\n")).await;
    let free = key(&rig, json!({})).await;
    let offline = key(&rig, json!({ "allow_media_fetch": false })).await;
    // Loopback is fetched for nobody: the one refusal comes from the fetch, the other instead of it.
    let url = "https://127.0.0.1:1/a.png";
    let (fetched, refused) = (about(&rig, &free, url).await, about(&rig, &offline, url).await);
    assert_eq!((fetched.status, refused.status), (400, 400));
    let message = |answer: &Received| answer.json()["error"]["message"].to_string();
    assert_ne!(message(&fetched), message(&refused));

    let strict = key(&rig, json!({ "unsupported_params": "reject" })).await;
    let tolerant = key(&rig, json!({ "unsupported_params": "drop" })).await;
    let mut request = ask(NOVA);
    request["logit_bias"] = json!({ "50256": -100 });
    for (key, policy, status, ignored) in [
        (&free, None, 200, Some("logit_bias")),
        (&free, Some("reject"), 400, None),
        (&strict, None, 400, None),
        (&strict, Some("drop"), 400, None),
        (&tolerant, Some("reject"), 200, None),
    ] {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(policy.map(|policy| ("x-outcrop-unsupported-params", policy)));
        let answer = rig.chat_with(&headers, &request).await;
        assert_eq!(answer.status, status, "{policy:?} {}", answer.json());
        assert_eq!(answer.header("x-outcrop-ignored"), ignored, "{policy:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_master_key_calls_models_unless_it_may_not() {
    let rig = Rig::start(MASTER).await;
    assert_eq!(chat(&rig, "sk-master", NOVA).await.status, 200);
    rig.stop().await;
    let rig = Rig::start("master_key: sk-master\nadmin: { master_calls: false }\n").await;
    assert_eq!(chat(&rig, "sk-master", NOVA).await.status, 403);
    let list = [("authorization", "Bearer sk-master")];
    let list = rig.send_with(&list, Method::GET, "/v1/models", Bytes::new()).await;
    assert_eq!(list.status, 200);
    rig.stop().await;
}

#[actix_rt::test]
async fn the_model_list_shows_what_a_key_may_call() {
    let rig = Rig::start("master_key: sk-master\nmodels: { mine: amazon.nova-lite-v1:0, other: amazon.nova-pro-v1:0 }\n").await;
    let key = key(&rig, json!({ "models": ["mine", "titan*"] })).await;
    let bearer = format!("Bearer {key}");
    let list = [("authorization", bearer.as_str())];
    let list = rig.send_with(&list, Method::GET, "/v1/models", Bytes::new()).await.json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"mine") && !ids.contains(&"other"), "{ids:?}");
    assert!(
        ids.iter().all(|id| *id == "mine" || id.contains("titan") || id.contains("nova-lite")),
        "{ids:?}"
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn the_guardrail_of_a_key_is_on_every_call_and_cannot_be_replaced() {
    let rig = Rig::start(
        "master_key: sk-master\n\
         models:\n\
         \x20 guarded: { targets: [{ model: amazon.nova-lite-v1:0 }], guardrail: { id: gr1configured, version: 2, mode: mandatory } }\n",
    )
    .await;
    let by_version = key(&rig, json!({ "guardrails": ["gr2ofthekey:7"] })).await;
    assert_eq!(chat(&rig, &by_version, NOVA).await.status, 200);
    assert_eq!(converse(&rig, &by_version, NOVA, "converse").await.status, 200);
    for call in rig.emulator.journal().calls() {
        let config = &call.body["guardrailConfig"];
        assert_eq!(config["guardrailIdentifier"], "gr2ofthekey", "{call:#?}");
        assert_eq!(config["guardrailVersion"], "7");
    }
    rig.emulator.journal().clear();
    let bearer = format!("Bearer {by_version}");
    let other = [
        ("authorization", bearer.as_str()),
        ("x-amzn-bedrock-guardrailidentifier", "gr3other"),
        ("x-amzn-bedrock-guardrailversion", "1"),
    ];
    assert_eq!(rig.chat_with(&other, &ask(NOVA)).await.status, 400);
    // Of two guardrails a call can carry one: neither is left out.
    assert_eq!(chat(&rig, &by_version, "guarded").await.status, 403);
    let unknown = key(&rig, json!({ "guardrails": ["no-such-name"] })).await;
    assert_eq!(chat(&rig, &unknown, NOVA).await.status, 403);
    assert!(rig.emulator.journal().calls().is_empty());
    let by_id = key(&rig, json!({ "guardrails": ["gr1configured"] })).await;
    assert_eq!(chat(&rig, &by_id, NOVA).await.status, 200);
    let call = rig.emulator.journal().calls().remove(0);
    assert_eq!(call.body["guardrailConfig"]["guardrailVersion"], "2");
    rig.stop().await;
}
