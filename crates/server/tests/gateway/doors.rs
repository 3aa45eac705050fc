//! What a newcomer meets first: addresses that are not served, the page, probes, Azure's paths.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

async fn get(rig: &Rig, headers: &[(&str, &str)], path: &str) -> Received {
    rig.send_with(headers, Method::GET, path, Bytes::new()).await
}

async fn post(rig: &Rig, path: &str, body: &Value) -> Received {
    rig.send(Method::POST, path, body.to_string().into()).await
}

fn ask() -> Value {
    json!({ "model": "emulator.echo", "messages": [{ "role": "user", "content": "Hi" }] })
}

#[actix_rt::test]
async fn an_api_that_is_not_served_is_named_with_its_replacement() {
    let rig = Rig::start("").await;
    let base = format!("http://{}", rig.address);
    for (path, told) in [
        ("/v1/conversations/c/x/y", format!("{base}/v1/responses")),
        ("/v1/responses/resp_1/others?x=1", "previous_response_id".to_owned()),
        ("/v1/engines/a/completions", "serves /v1/completions".to_owned()),
        ("/v1/images/others", format!("{base}/v1/images/edits")),
        ("/v1/v1/chat/completions", format!("base URL to {base}/v1")),
        ("/v1/v1/responses", "/v1 twice".to_owned()),
        ("/api/chat", "Ollama".to_owned()),
        ("/no/such/thing", "/v1/chat/completions".to_owned()),
    ] {
        let lost = post(&rig, path, &json!({})).await;
        let error = &lost.json()["error"];
        assert_eq!((lost.status, &error["code"]), (404, &json!("unknown_url")), "{path}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&told), "{path}: {message}");
        let path = path.split('?').next().unwrap();
        assert!(message.starts_with(&format!("Unknown request URL: POST {path}.")), "{message}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn an_api_that_nothing_on_bedrock_serves_is_not_implemented() {
    let rig = Rig::start("").await;
    let base = format!("http://{}", rig.address);
    for (path, told) in [
        ("/v1/audio/speech", "Amazon Polly".to_owned()),
        ("/v1/realtime/client_secrets", format!("{base}/v1/chat/completions")),
        ("/openai/v1/fine_tuning/jobs", "CreateModelCustomizationJob".to_owned()),
        ("/v1/assistants", "InvokeAgent".to_owned()),
        ("/threads/t/messages", format!("{base}/v1/responses")),
        ("/v1/images/variations", format!("{base}/v1/images/edits")),
        ("/v1/vector_stores", "/search".to_owned()),
        ("/v1/videos", "StartAsyncInvoke".to_owned()),
        ("/v1/uploads", format!("{base}/v1/files")),
        ("/v1/edits", format!("{base}/v1/chat/completions")),
    ] {
        let lost = post(&rig, path, &json!({})).await;
        let error = &lost.json()["error"];
        assert_eq!((lost.status, &error["code"]), (501, &json!("not_implemented")), "{path}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(lost.header("x-should-retry"), Some("false"), "{path}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("POST {path}: ")), "{message}");
        assert!(message.contains(&told) && !message.contains(". "), "{message}");
    }
    let socket = [("connection", "upgrade"), ("upgrade", "websocket")];
    let realtime = get(&rig, &socket, "/v1/realtime?model=a").await;
    assert_eq!(
        (realtime.status, &realtime.json()["error"]["code"]),
        (501, &json!("not_implemented"))
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn anthropics_paths_are_refused_in_anthropics_shape() {
    let rig = Rig::start("").await;
    for path in ["/v1/messages/other?beta=true", "/v1/complete", "/anthropic/v1/messages/other"] {
        let lost = post(&rig, path, &json!({})).await;
        let answer = lost.json();
        assert_eq!((lost.status, &answer["type"]), (404, &json!("error")), "{path}");
        assert_eq!(answer["error"]["type"], "not_found_error");
        assert_eq!(lost.header("x-request-id"), answer["request_id"].as_str());
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("ANTHROPIC_BASE_URL=http://"), "{message}");
    }
    let foreign = [("origin", "https://shop.example")];
    let refused = rig.send_with(&foreign, Method::POST, "/v1/messages", Bytes::new()).await;
    assert_eq!((refused.status, &refused.json()["type"]), (403, &json!("error")));
    rig.stop().await;
}

#[actix_rt::test]
async fn slashes_too_many_are_no_other_address() {
    let rig = Rig::start("").await;
    for path in ["/v1/chat/completions/", "//v1//chat/completions", "/openai/v1/chat/completions"] {
        assert_eq!(post(&rig, path, &ask()).await.status, 200, "{path}");
    }
    for path in ["/v1/models/", "/openai/models?api-version=1", "/v1/models/nova-lite/"] {
        assert_eq!(get(&rig, &[], path).await.status, 200, "{path}");
    }
    let wrong = get(&rig, &[], "/v1/chat/completions").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert!(wrong.json()["error"]["message"].as_str().unwrap().ends_with("use POST."));
    rig.stop().await;
}

#[actix_rt::test]
async fn the_root_is_a_page_for_browsers_and_text_for_others() {
    let rig = Rig::start("models: { zz-vectors: titan-embed-text-v2, own: nova-lite }\n").await;
    let base = format!("http://{}", rig.address);
    for path in ["/", "/v1", "/v1/"] {
        let page = get(&rig, &[("accept", "text/html,application/xhtml+xml")], path).await;
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for part in [&base, "/v1/models", "curl ", "own", env!("CARGO_PKG_VERSION")] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("src=") && !text.contains("<script"), "{text}");
    }
    let plain = get(&rig, &[("accept", "*/*")], "/").await;
    let text = String::from_utf8(plain.body.to_vec()).unwrap();
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(text.contains(&format!("{base}/v1")) && !text.contains('<'), "{text}");
    rig.stop().await;
}

#[actix_rt::test]
async fn probes_and_pages_answer_head() {
    let rig = Rig::start("").await;
    for path in ["/", "/v1", "/health", "/healthz", "/readyz", "/livez", "/v1/models"] {
        let (whole, head) =
            (get(&rig, &[], path).await, rig.send(Method::HEAD, path, Bytes::new()).await);
        assert_eq!((whole.status, head.status), (200, 200), "{path}");
        assert!(head.body.is_empty() && !whole.body.is_empty(), "{path}");
    }
    let wrong = rig.send(Method::POST, "/healthz", Bytes::new()).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, HEAD")));
    rig.stop().await;
}

#[actix_rt::test]
async fn azures_paths_name_the_model() {
    let rig = Rig::start("models: { gpt-4o: nova-lite, te-3: titan-embed-text-v2 }\n").await;
    let key = [("api-key", "unused")];
    let version = "?api-version=2024-10-21";
    for model in [Value::Null, json!("something-else")] {
        let mut body = ask();
        body["model"] = model;
        let path = format!("/openai/deployments/gpt-4o/chat/completions{version}");
        let answer = rig.send_with(&key, Method::POST, &path, body.to_string().into()).await;
        assert_eq!((answer.status, &answer.json()["model"]), (200, &json!("gpt-4o")));
    }
    let path = format!("/openai/deployments/te%2D3/embeddings{version}");
    let vectors = post(&rig, &path, &json!({ "input": "granite" })).await;
    assert_eq!((vectors.status, &vectors.json()["model"]), (200, &json!("te-3")));
    let dry = [("x-outcrop-dry-run", "true")];
    let path = "/openai/deployments/gpt-4o/chat/completions";
    let shown = rig.send_with(&dry, Method::POST, path, ask().to_string().into()).await;
    assert_eq!((shown.status, &shown.json()["model"]), (200, &json!("gpt-4o")));
    let broken = rig.send(Method::POST, path, "[".into()).await;
    assert_eq!(broken.status, 400);
    rig.stop().await;
}

#[actix_rt::test]
async fn chatting_with_an_embedding_model_names_the_right_address() {
    let rig = Rig::start("models: { vectors: titan-embed-text-v2 }\n").await;
    for model in ["vectors", "embed-english", "amazon.titan-embed-text-v2:0"] {
        for stream in [false, true] {
            let mut request = ask();
            request["model"] = json!(model);
            request["stream"] = json!(stream);
            let refused = rig.chat(&request).await;
            let error = &refused.json()["error"];
            assert_eq!((refused.status, &error["param"]), (400, &json!("model")), "{model}");
            assert!(error["message"].as_str().unwrap().contains("POST /v1/embeddings"), "{error}");
        }
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn refused_credentials_are_not_worth_a_retry() {
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
    let refused = rig.chat(&ask()).await;
    assert_eq!(
        (refused.status, refused.header("x-should-retry"), &refused.json()["error"]["code"]),
        (503, Some("false"), &json!("credentials_unavailable"))
    );
    rig.stop().await;
}
