//! Services that an operator adds to Bedrock's own API: bedrock-mantle with its streams, and whom they are refused to.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const ADDED: &str = "native: { services: [bedrock-mantle, bedrock-agentcore] }\n";

async fn post(rig: &Rig, path: &str, headers: &[(&str, &str)], body: &Value) -> Received {
    rig.send_with(headers, Method::POST, path, body.to_string().into()).await
}

#[actix_rt::test]
async fn mantles_apis_pass_with_their_streams() {
    let rig = Rig::start(ADDED).await;
    let own = [("openai-project", "proj_1"), ("authorization", "Bearer secret")];
    let ask = json!({ "model": "openai.gpt-6-sol", "input": "Stone", "store": true });
    let path = "/bedrock/mantle/openai/v1/responses";
    let answer = post(&rig, path, &own, &ask).await;
    assert_eq!((answer.status, &answer.json()["object"]), (200, &json!("response")));
    let calls = rig.emulator.journal().calls();
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((&*call.path, &call.body), ("/openai/v1/responses", &ask));
    assert_eq!(call.headers.get("openai-project").map(String::as_str), Some("proj_1"));
    assert_ne!(call.headers.get("authorization").map(String::as_str), Some("Bearer"));

    let ask = json!({ "model": "openai.gpt-6-sol", "input": "Stone", "stream": true });
    let stream = post(&rig, path, &[], &ask).await;
    assert_eq!(stream.status, 200);
    assert!(stream.header("content-type").unwrap().starts_with("text/event-stream"));
    let text = String::from_utf8(stream.body.to_vec()).unwrap();
    assert!(text.contains("response.completed"), "{text}");

    let models = rig.send(Method::GET, "/bedrock/mantle/v1/models", Bytes::new()).await;
    assert_eq!((models.status, &models.json()["object"]), (200, &json!("list")));
    let unknown = post(&rig, "/bedrock/mantle/v1/files", &[], &json!({})).await;
    assert_eq!(unknown.header("x-amzn-errortype"), Some("UnknownOperationException"));
    rig.stop().await;
}

#[actix_rt::test]
async fn services_that_are_not_added_are_unknown() {
    let rig = Rig::start("").await;
    for path in ["/bedrock/mantle/v1/responses", "/bedrock/runtimes/x/invocations"] {
        let refused = post(&rig, path, &[], &json!({ "model": "a" })).await;
        assert_eq!(
            (refused.status, refused.header("x-amzn-errortype")),
            (404, Some("UnknownOperationException")),
            "{path}"
        );
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_mandatory_guardrail_closes_operations_that_run_models_unseen() {
    let guarded = format!(
        "{ADDED}models_only: true\nmodels:\n  nova: {{ model: nova-lite, guardrail: {{ id: gr1, version: '1', mode: mandatory }} }}\n"
    );
    let rig = Rig::start(&guarded).await;
    for path in ["/bedrock/mantle/v1/chat/completions", "/bedrock/runtimes/x/invocations"] {
        let refused = post(&rig, path, &[], &json!({ "model": "openai.gpt-oss-20b" })).await;
        assert_eq!(
            (refused.status, refused.header("x-amzn-errortype")),
            (403, Some("AccessDeniedException")),
            "{path}"
        );
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}
