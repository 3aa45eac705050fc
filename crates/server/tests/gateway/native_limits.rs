//! Uses of the gateway's permissions that callers of Bedrock's own API are denied: weakening a guardrail,
//! access to S3, information about the gateway's account.

use bytes::Bytes;
use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const GUARDED: &str = "models_only: true
models:
  safe: { model: us.amazon.nova-lite-v1:0, guardrail: { id: gr1, version: 2, mode: mandatory } }
  usual: { model: us.amazon.nova-lite-v1:0, guardrail: { id: gr1, version: 2 } }
";
const IN_FIELDS: &str = r#"{"messages":[{"role":"user","content":[{"text":"x"}]}],"additionalModelRequestFields":{"amazon-bedrock-guardrailConfig":{"tagSuffix":"q7"}}}"#;
const ESCAPED: &str = r#"{"messages":[{"role":"user","content":[{"\u0067uardContent":{"text":{"text":"tame"}}},{"text":"x"}]}]}"#;

async fn post(rig: &Rig, path: &str, body: &str) -> Received {
    let method = if path.starts_with("/sessions") { Method::PUT } else { Method::POST };
    rig.send(method, &format!("/bedrock{path}"), Bytes::from(body.to_owned())).await
}

fn calls(rig: &Rig) -> usize {
    rig.emulator.journal().calls().len()
}

fn refused(answer: &Received, word: &str) {
    let message = answer.json()["message"].to_string();
    assert_eq!(answer.status, 403, "{message}");
    assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    assert!(message.contains(word), "{message}");
}

#[actix_rt::test]
async fn a_mandatory_guardrail_is_not_weakened() {
    let rig = Rig::start(GUARDED).await;
    let conversation = |content: Value, more: Value| {
        let mut body = json!({ "messages": [{ "role": "user", "content": content }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let marked = json!([{ "guardContent": { "text": { "text": "tame" } } }, { "text": "x" }]);
    let plain = json!([{ "text": "x" }]);
    let nested = json!([{ "toolResult": { "toolUseId": "t", "content": [{ "json": { "guardContent": 1 } }] } }]);
    for (body, word) in [
        (conversation(marked, json!({})), "guardContent"),
        (conversation(nested, json!({})), "guardContent"),
        (ESCAPED.to_owned(), "guardContent"),
        (IN_FIELDS.to_owned(), "tagSuffix"),
        (
            conversation(
                plain.clone(),
                json!({ "system": [{ "guardContent": { "text": { "text": "t" } } }] }),
            ),
            "guardContent",
        ),
        (
            conversation(
                plain.clone(),
                json!({ "guardrailConfig": { "guardrailIdentifier": "gr1", "guardrailVersion": "2", "streamProcessingMode": "async" } }),
            ),
            "streamProcessingMode",
        ),
        (
            conversation(
                plain.clone(),
                json!({ "additionalModelRequestFields": { "a": { "guardrailConfig": {} } } }),
            ),
            "guardrailConfig",
        ),
    ] {
        for operation in ["converse", "converse-stream"] {
            refused(&post(&rig, &format!("/model/safe/{operation}"), &body).await, word);
        }
    }
    for (config, word) in [
        (r#"{"streamProcessingMode":"ASYNCHRONOUS"}"#, "streamProcessingMode"),
        (r#"{"streamProcessingMode":"asynchronous"}"#, "streamProcessingMode"),
        (r#"{"tagSuffix":"q7"}"#, "tagSuffix"),
        (r#"{"streamProcessingMode":"SYNCHRONOUS","tag\u0053uffix":"q7"}"#, "tagSuffix"),
    ] {
        for name in ["amazon-bedrock-guardrailConfig", "amazon-bedrock\\u002dguardrailConfig"] {
            let body = format!(r#"{{"messages":[],"{name}":{config}}}"#);
            for operation in ["invoke", "invoke-with-response-stream"] {
                refused(&post(&rig, &format!("/model/safe/{operation}"), &body).await, word);
            }
        }
    }
    assert_eq!(calls(&rig), 0);
    // A caller may override a default guardrail.
    let body = conversation(plain.clone(), json!({}));
    for model in ["safe", "usual"] {
        assert_eq!(post(&rig, &format!("/model/{model}/converse"), &body).await.status, 200);
    }
    let sent = rig.emulator.journal().calls();
    assert!(sent.iter().all(|call| call.body["guardrailConfig"]["guardrailIdentifier"] == "gr1"));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_mandatory_guardrail_is_not_bypassed_by_operations_without_a_name() {
    let around = [
        ("/retrieveAndGenerate", r#"{"input":{"text":"x"}}"#),
        ("/retrieveAndGenerateStream", r#"{"input":{"text":"x"}}"#),
        ("/agents/session-1", r#"{"foundationModel":"a.b","inputText":"x"}"#),
        ("/agents/A/agentAliases/B/sessions/C/text", r#"{"inputText":"x"}"#),
        ("/async-invoke", r#"{"modelId":"a.b","modelInput":{}}"#),
        ("/flows/F/aliases/A", r#"{"inputs":[]}"#),
        ("/model-invocation-job", r#"{"modelId":"a.b"}"#),
    ];
    let services = "native: { services: [bedrock] }\n";
    let rig = Rig::start(&format!("{GUARDED}{services}")).await;
    for (path, body) in around {
        refused(&post(&rig, path, body).await, "native.other_models");
    }
    assert_eq!(calls(&rig), 0);
    assert_eq!(
        post(
            &rig,
            "/guardrail/gr1/version/2/apply",
            r#"{"source":"INPUT","content":[{"text":{"text":"x"}}]}"#
        )
        .await
        .status,
        200
    );
    rig.stop().await;
    let open = GUARDED.replace("models_only: true", "models_only: false");
    for yaml in [
        format!("{GUARDED}native: {{ services: [bedrock], other_models: allow }}\n"),
        format!("{open}{services}"),
        format!("models_only: true\nmodels: {{ a: nova-lite }}\n{services}"),
    ] {
        let rig = Rig::start(&yaml).await;
        for (at, (path, body)) in around.iter().enumerate() {
            // The emulator's own response does not matter here.
            let answer = post(&rig, path, body).await;
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("native.other_models"), "{path} {text}");
            assert_eq!(calls(&rig), at + 1, "{path}");
        }
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn fields_of_the_models_own_weaken_no_mandatory_guardrail_in_chat() {
    let rig = Rig::start(GUARDED).await;
    for (fields, word) in [
        (json!({ "amazon-bedrock-guardrailConfig": { "tagSuffix": "q7" } }), "tagSuffix"),
        (
            json!({ "amazon-bedrock-guardrailConfig": { "streamProcessingMode": "ASYNCHRONOUS" } }),
            "streamProcessingMode",
        ),
        (json!({ "deep": [{ "guardContent": {} }] }), "guardContent"),
        (json!({ "guardrailConfig": {} }), "guardrailConfig"),
    ] {
        for stream in [false, true] {
            let mut request = json!({ "model": "safe", "stream": stream, "messages": [{ "role": "user", "content": "x" }] });
            request["additional_model_request_fields"] = fields.clone();
            let answer = rig.chat(&request).await;
            let error = &answer.json()["error"];
            assert_eq!((answer.status, &error["code"]), (400, &json!("guardrail_not_allowed")));
            assert_eq!(error["param"], "additional_model_request_fields");
            assert!(error["message"].as_str().unwrap().contains(word), "{error}");
        }
    }
    assert_eq!(calls(&rig), 0);
    let request = json!({
        "model": "safe", "messages": [{ "role": "user", "content": "guardContent" }],
        "additional_model_request_fields": { "inferenceConfig": { "topK": 5 } },
    });
    assert_eq!(rig.chat(&request).await.status, 200);
    rig.stop().await;
}

#[actix_rt::test]
async fn s3_objects_are_checked_in_every_body() {
    let cases = [
        (
            "/retrieveAndGenerate",
            r#"{"c":{"sources":[{"sourceType":"S3","s3Location":{"uri":"@"}}]}}"#,
        ),
        ("/retrieveAndGenerateStream", r#"{"c":{"sources":[{"s3Location":{"uri":"@"}}]}}"#),
        (
            "/agents/session-1",
            r#"{"inlineSessionState":{"files":[{"source":{"s3Location":{"uri":"@"}}}]}}"#,
        ),
        (
            "/agents/session-1",
            r#"{"actionGroups":[{"apiSchema":{"s3":{"s3BucketName":"%B","s3ObjectKey":"in/a"}}}]}"#,
        ),
        (
            "/agents/A/agentAliases/B/sessions/C/text",
            r#"{"sessionState":{"files":[{"source":{"s3\u004cocation":{"uri":"@"}}}]}}"#,
        ),
        ("/sessions/S/invocationSteps/", r#"{"image":{"source":{"s3Location":{"uri":"@"}}}}"#),
        ("/model-invocation-job", r#"{"inputDataConfig":{"s3InputDataConfig":{"s3Uri":"@"}}}"#),
        ("/async-invoke", r#"{"outputDataConfig":{"s3OutputDataConfig":{"s3Uri":"@"}}}"#),
    ];
    let services = "native: { services: [bedrock] }\n";
    let listed = "media: { s3_prefixes: ['s3://pictures/in/'] }\n";
    for (yaml, bucket, passes) in [
        (services.to_owned(), "pictures", false),
        (format!("{services}{listed}"), "pictures", true),
        (format!("{services}{listed}"), "private", false),
        ("native: { services: [bedrock], s3: allow }\n".to_owned(), "private", true),
    ] {
        let rig = Rig::start(&yaml).await;
        for (at, (path, body)) in cases.iter().enumerate() {
            let uri = format!("s3://{bucket}/in/a");
            let answer = post(&rig, path, &body.replace('@', &uri).replace("%B", bucket)).await;
            if passes {
                assert_eq!(calls(&rig), at + 1, "{yaml} {path}");
            } else {
                refused(&answer, "media.s3_prefixes");
            }
        }
        assert_eq!(calls(&rig), if passes { cases.len() } else { 0 });
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn aws_errors_do_not_reveal_the_gateways_account() {
    let role = "arn:aws:sts::123456789012:assumed-role/gateway/i-0abc";
    let told = format!("User: {role} is not authorized to perform: bedrock:InvokeModel");
    for (yaml, masked) in [("", true), ("native: { errors: raw }\n", false)] {
        let rig = Rig::start(yaml).await;
        for (path, body) in [
            ("/model/nova-lite/converse", r#"{"messages":[]}"#),
            ("/model/nova-lite/converse-stream", r#"{"messages":[]}"#),
            ("/model/nova-lite/invoke", "{}"),
        ] {
            rig.emulator.script().push(Step::Error {
                status: 403,
                kind: "AccessDeniedException".to_owned(),
                message: told.clone(),
                headers: [].into(),
            });
            let answer = post(&rig, path, body).await;
            assert_eq!(answer.status, 403);
            let name = answer.header("x-amzn-errortype").unwrap();
            assert!(name.starts_with("AccessDeniedException"), "{name}");
            let message = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(message.contains("is not authorized to perform"), "{message}");
            assert_eq!(message == told, !masked, "{message}");
            assert_eq!(message.contains("123456789012"), !masked, "{message}");
        }
        rig.stop().await;
    }
}
