//! Names with targets: the signing account, the called server, and the permitted names.

use std::collections::BTreeMap;

use bytes::Bytes;
use emulator::{Call, Credentials, Options, Running};
use http::Method;
use serde_json::{Value, json};

use super::models::ask;
use super::rig::Rig;

/// An emulator that accepts a single access key.
async fn upstream(key: &str) -> Running {
    let credentials = Some(Credentials {
        access_key_id: key.to_owned(),
        secret_access_key: format!("secret of {key}"),
        session_token: None,
    });
    emulator::start(Options { credentials, ..Options::default() }).await.unwrap()
}

fn target(model: &str, region: &str, key: &str, upstream: &Running) -> String {
    format!(
        "{{ model: {model}, region: {region}, endpoint_url: '{}', access_key_id: {key}, secret_access_key: secret of {key} }}",
        upstream.url()
    )
}

fn models(upstream: &Running) -> Vec<String> {
    let calls = upstream.journal().calls().into_iter();
    calls.filter(|call| call.status == Some(200)).filter_map(|call| call.model_id).collect()
}

async fn native(rig: &Rig, path: &str, body: &str) -> (u16, Value) {
    let path = format!("/bedrock/model/{path}");
    let answer = rig.send(Method::POST, &path, Bytes::copy_from_slice(body.as_bytes())).await;
    (answer.status, answer.json())
}

const HELLO: &str = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;

#[actix_rt::test]
async fn each_target_is_called_in_its_region_with_its_credentials() {
    let (east, west) = (upstream("AKIDEAST").await, upstream("AKIDWEST").await);
    let yaml = format!(
        "models:\n  both:\n    - {}\n    - {}\n  west: {}\n",
        target("nova-lite", "us-east-1", "AKIDEAST", &east),
        target("nova-lite", "eu-west-1", "AKIDWEST", &west),
        target("amazon.nova-micro-v1:0", "eu-west-1", "AKIDWEST", &west),
    );
    let rig = Rig::start(&yaml).await;
    for _ in 0..10 {
        assert_eq!(rig.chat(&ask("both")).await.status, 200);
    }
    let (to_east, to_west) = (models(&east), models(&west));
    assert_eq!(to_east.len() + to_west.len(), 10);
    assert!((4..=6).contains(&to_east.len()), "{to_east:?}");
    // A short name gets the prefix of the target's region, not of the gateway's.
    assert!(to_east.iter().all(|id| id == "us.amazon.nova-lite-v1:0"), "{to_east:?}");
    assert!(to_west.iter().all(|id| id == "eu.amazon.nova-lite-v1:0"), "{to_west:?}");
    assert_eq!(rig.chat(&ask("west")).await.status, 200);
    assert_eq!(native(&rig, "west/converse", HELLO).await.0, 200);
    assert_eq!(
        models(&west)[to_west.len()..],
        ["amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0"]
    );
    assert!(rig.emulator.journal().calls().is_empty(), "nobody called the gateway's own account");
    assert_eq!(rig.chat(&ask("nova-lite")).await.status, 200);
    assert_eq!(rig.emulator.journal().calls().len(), 1, "what is not listed is called from there");
    rig.stop().await;
    east.stop().await;
    west.stop().await;
}

#[actix_rt::test]
async fn weights_share_the_calls() {
    let (east, west) = (upstream("AKIDEAST").await, upstream("AKIDWEST").await);
    let heavy = target("nova-lite", "us-east-1", "AKIDEAST", &east)
        .replace("{ model", "{ weight: 3, model");
    let light = target("nova-lite", "eu-west-1", "AKIDWEST", &west);
    let rig = Rig::start(&format!("models:\n  both: [{heavy}, {light}]\n")).await;
    for _ in 0..40 {
        assert_eq!(rig.chat(&ask("both")).await.status, 200);
    }
    let (to_east, to_west) = (models(&east).len(), models(&west).len());
    assert!((28..=32).contains(&to_east) && to_east + to_west == 40, "{to_east} {to_west}");
    rig.stop().await;
    east.stop().await;
    west.stop().await;
}

/// Whether calls were signed for a region that does not serve the profile: the emulator keeps the region
/// out of its journal, but refuses such a profile.
async fn refused_from(rig: &Rig, name: &str) -> bool {
    rig.chat(&ask(name)).await.status != 200
}

#[actix_rt::test]
async fn a_region_in_a_name_is_called_with_the_gateways_own_keys() {
    let rig = Rig::start_in("eu-west-1", "").await;
    assert!(!refused_from(&rig, "bedrock/us-west-2/nova-lite").await);
    assert_eq!(models(&rig.emulator), ["us.amazon.nova-lite-v1:0"]);
    assert!(!refused_from(&rig, "bedrock/us-west-2/us.amazon.nova-pro-v1:0").await);
    assert!(
        refused_from(&rig, "bedrock/eu-west-1/us.amazon.nova-pro-v1:0").await,
        "not from there"
    );
    for number in 0..70 {
        rig.chat(&ask(&format!("bedrock/aa-bb-{number}/nova-lite"))).await;
    }
    let answer = rig.chat(&ask("bedrock/zz-zz-1/nova-lite")).await;
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!("region_not_served")));
    assert_eq!(error["param"], "model");
    assert!(!refused_from(&rig, "bedrock/us-west-2/nova-lite").await, "open regions stay open");
    rig.stop().await;
}

#[actix_rt::test]
async fn names_that_are_not_listed_can_be_refused() {
    let yaml = "models_only: true\nmodels:\n  fast: nova-lite\n  us.amazon.nova-pro-v1:0: us.amazon.nova-pro-v1:0\n  claude-*: anthropic.claude-*\n";
    let rig = Rig::start(yaml).await;
    for name in ["fast", "us.amazon.nova-pro-v1:0"] {
        assert_eq!(rig.chat(&ask(name)).await.status, 200, "{name}");
        assert_eq!(native(&rig, &format!("{name}/converse"), HELLO).await.0, 200, "{name}");
    }
    let seen = rig.emulator.journal().calls().len();
    for name in ["nova-lite", "us.amazon.nova-lite-v1:0", "bedrock/us-west-2/fast", "nothing"] {
        let answer = rig.chat(&ask(name)).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["code"]), (404, &json!("model_not_found")), "{name}");
        assert_eq!(error["param"], "model");
    }
    let path = "/bedrock/model/us.amazon.nova-lite-v1%3A0/converse";
    let answer = rig.send(Method::POST, path, HELLO.into()).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-amzn-errortype"), Some("ResourceNotFoundException"));
    assert!(answer.json()["message"].as_str().unwrap().contains("us.amazon.nova-lite-v1:0"));
    assert_eq!(rig.emulator.journal().calls().len(), seen, "nothing was asked of AWS");

    let list = rig.send(Method::GET, "/v1/models", Bytes::new()).await.json();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids[..2], ["fast", "us.amazon.nova-pro-v1:0"]);
    assert!(ids[2..].iter().all(|id| id.starts_with("claude-")), "{ids:?}");
    assert_eq!(rig.send(Method::GET, "/v1/models/fast", Bytes::new()).await.status, 200);
    assert_eq!(rig.send(Method::GET, "/v1/models/nova-lite", Bytes::new()).await.status, 404);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_star_in_a_name_is_a_star_in_its_target() {
    let yaml = "models:\n  my-*: amazon.*\n  my-own: nova-micro\n  all/*: '*'\n";
    let rig = Rig::start(yaml).await;
    for (name, id) in [
        ("my-nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("my-own", "us.amazon.nova-micro-v1:0"),
        ("all/x", "all/x"),
    ] {
        rig.emulator.journal().clear();
        rig.chat(&ask(name)).await;
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls[0].model_id.as_deref(), Some(id), "{name}");
    }
    rig.stop().await;
}

/// The guardrail of each call: from the body of Converse, or from InvokeModel's headers.
fn guarded(call: &Call) -> Value {
    match call.body.get("guardrailConfig") {
        Some(config) => config.clone(),
        None => {
            let of = |part: &str| call.headers.get(&format!("x-amzn-bedrock-guardrail{part}"));
            let found: BTreeMap<&str, &String> = ["identifier", "version"]
                .into_iter()
                .filter_map(|part| Some((part, of(part)?)))
                .collect();
            json!(found)
        }
    }
}

#[actix_rt::test]
async fn a_names_guardrail_is_on_every_call_of_it() {
    let yaml = "models:\n  must: { model: nova-lite, guardrail: { id: g1, version: 2, mode: mandatory } }\n  may: { model: nova-lite, guardrail: { id: g1, version: 2 } }\n  vectors: { model: titan-embed-text-v2, guardrail: { id: g1, version: 2 } }\n";
    let rig = Rig::start(yaml).await;
    let ours = json!({ "guardrailIdentifier": "g1", "guardrailVersion": "2" });
    let last = || guarded(rig.emulator.journal().calls().last().unwrap());
    for name in ["must", "may"] {
        rig.chat(&ask(name)).await;
        assert_eq!(last(), ours, "{name}");
        native(&rig, &format!("{name}/converse"), HELLO).await;
        assert_eq!(last(), ours, "{name}");
        native(&rig, &format!("{name}/invoke"), "{}").await;
        assert_eq!(last(), json!({ "identifier": "g1", "version": "2" }), "{name}");
    }
    let request = json!({ "model": "vectors", "input": "x" }).to_string();
    rig.send(Method::POST, "/v1/embeddings", request.into()).await;
    assert_eq!(last(), json!({ "identifier": "g1", "version": "2" }));

    let other = r#"{"guardrailConfig":{"guardrailIdentifier":"g2","guardrailVersion":"1"},"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
    native(&rig, "may/converse", other).await;
    assert_eq!(last()["guardrailIdentifier"], "g2", "a default gives way");
    let before = rig.emulator.journal().calls().len();
    let (status, said) = native(&rig, "must/converse", other).await;
    assert_eq!((status, rig.emulator.journal().calls().len()), (403, before), "{said}");
    rig.stop().await;
}

#[actix_rt::test]
async fn names_that_are_not_listed_still_work_beside_those_that_are() {
    let rig = Rig::start("models:\n  fast: nova-lite\n").await;
    for name in ["fast", "nova-pro", "us.amazon.nova-lite-v1:0"] {
        assert_eq!(rig.chat(&ask(name)).await.status, 200, "{name}");
        for operation in ["converse", "converse-stream"] {
            let path = format!("/bedrock/model/{name}/{operation}");
            let answer = rig.send(Method::POST, &path, HELLO.into()).await;
            assert_eq!(answer.status, 200, "{name} {operation}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_quotas_of_a_target_stand_in_headers() {
    let rig = Rig::start("models:\n  small: { model: nova-lite, rpm: 10, tpm: 100000 }\n").await;
    for left in ["9", "8"] {
        let answer = rig.chat(&ask("small")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("10"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left));
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("100000"));
        assert!(
            answer.header("x-ratelimit-reset-requests").is_some_and(|span| span.ends_with('s'))
        );
    }
    let free = rig.chat(&ask("nova-lite")).await;
    assert_eq!(free.header("x-ratelimit-limit-requests"), None, "it has no quota");
}
