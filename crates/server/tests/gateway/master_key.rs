//! A master key: whatever reaches Bedrock wants it, in every dialect; probes do not.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use super::models::ask;
use super::rig::Rig;

const KEY: &str = "master_key: sk-master\n";

#[actix_rt::test]
async fn every_route_wants_the_key_and_probes_do_not() {
    let rig = Rig::start(KEY).await;
    let native = "/bedrock/model/nova-lite/converse";
    let routes = [
        (Method::POST, "/v1/chat/completions"),
        (Method::POST, "/chat/completions"),
        (Method::POST, "/v1/chat/completions/input_tokens"),
        (Method::POST, "/v1/embeddings"),
        (Method::POST, "/v1/moderations"),
        (Method::GET, "/v1/models"),
        (Method::GET, "/v1/models/nova-lite"),
        (Method::POST, native),
        (Method::GET, "/bedrock/foundation-models"),
        (Method::POST, "/v1/some/other"),
    ];
    for (method, path) in routes {
        for headers in [
            &[][..],
            &[("authorization", "Bearer other")],
            &[("api-key", "other")],
            &[("x-api-key", "other")],
            &[("authorization", "Bearer sk-master"), ("x-api-key", "other")],
        ] {
            let answer = rig.send_with(headers, method.clone(), path, Bytes::from("{}")).await;
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("sk-master"), "{text}");
            let (status, code, exception) = match headers.len() {
                0 => (401, "401", "MissingAuthenticationTokenException"),
                1 => (401, "401", "UnrecognizedClientException"),
                _ => (400, "400", "ValidationException"),
            };
            if path.starts_with("/bedrock") {
                let kind = answer.header("x-amzn-errortype");
                assert_eq!(kind, Some(exception), "{path} {headers:?}");
                assert_eq!(answer.status, if status == 401 { 403 } else { status });
                assert!(answer.json()["message"].is_string());
            } else {
                assert_eq!(answer.status, status, "{method} {path} {headers:?}");
                let challenge = (status == 401).then_some("Bearer");
                assert_eq!(answer.header("www-authenticate"), challenge);
                assert_eq!(answer.json()["error"]["code"], code, "{path}");
            }
        }
    }
    assert!(rig.emulator.journal().calls().is_empty(), "no call came through");
    for path in ["/livez", "/readyz", "/health/liveliness", "/health/readiness"] {
        assert_eq!(rig.send(Method::GET, path, Bytes::new()).await.status, 200, "{path}");
    }
    for header in [
        ("authorization", "Bearer sk-master"),
        ("x-api-key", "sk-master"),
        ("api-key", "sk-master"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=sk-master/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0",
        ),
    ] {
        assert_eq!(rig.chat_with(&[header], &ask("nova-lite")).await.status, 200, "{header:?}");
        let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi." }] }] });
        let answer = rig.send_with(&[header], Method::POST, native, body.to_string().into()).await;
        assert_eq!(answer.status, 200, "{header:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_reload_changes_the_key_at_once() {
    let rig = Rig::start(KEY).await;
    let with = |key: &str| format!("Bearer {key}");
    rig.reload("master_key: sk-next\n").await.unwrap();
    for (key, status) in [("sk-master", 401), ("sk-next", 200)] {
        let header = with(key);
        let answer = rig.chat_with(&[("authorization", &header)], &ask("nova-lite")).await;
        assert_eq!(answer.status, status, "{key}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_reload_does_not_open_what_strangers_can_reach() {
    let key = "sk-0123456789abcdef0123456789abcdef";
    let rig = Rig::start(&format!(
        "listen: 0.0.0.0:0\nmaster_key: {key}\nadmin: {{ listen: '127.0.0.1:0' }}\n"
    ))
    .await;
    for yaml in ["listen: 127.0.0.1:0\n", "listen: 0.0.0.0:0\n"] {
        let error = rig.reload(yaml).await.unwrap_err().to_string();
        assert!(error.contains("can be reached from outside"), "{error}");
        assert_eq!(rig.chat(&ask("nova-lite")).await.status, 401);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_key_that_is_not_set_locks_the_gateway() {
    let yaml = "model_list:\n- { model_name: fast, litellm_params: { model: bedrock/nova-lite } }\ngeneral_settings: { master_key: os.environ/OUTCROP_TEST_UNSET }\noutcrop: { workers: 1, listen: '127.0.0.1:0' }\n";
    let rig = Rig::start("").await;
    rig.write(yaml);
    rig.read_again().await.unwrap();
    for headers in [&[][..], &[("authorization", "Bearer ")], &[("x-api-key", "x")]] {
        let answer = rig.chat_with(headers, &ask("fast")).await;
        assert_eq!(answer.status, 401);
        assert!(String::from_utf8_lossy(&answer.body).contains("refuses every call"));
    }
    rig.stop().await;
}
