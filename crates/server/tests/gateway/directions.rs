//! Request options in a caller's headers and in the operator's configuration: handling of fields that
//! cannot be honoured, and dry runs.

use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const TITAN: &str = "amazon.titan-embed-text-v2:0";
const POLICY: &str = "x-outcrop-unsupported-params";
const DRY: (&str, &str) = ("x-outcrop-dry-run", "true");

fn ask(model: &str, fields: &Value) -> Value {
    let mut request = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

async fn embed(rig: &Rig, headers: &[(&str, &str)], request: &Value) -> Received {
    rig.send_with(headers, Method::POST, "/v1/embeddings", request.to_string().into()).await
}

/// Report of fields without effect in a response: the header, or the error's param, code and message.
fn told(answer: &Received) -> String {
    match answer.status {
        200 => answer.header("x-outcrop-ignored").unwrap_or("nothing").to_owned(),
        _ => {
            let error = &answer.json()["error"];
            assert_eq!((answer.status, &error["type"]), (400, &json!("invalid_request_error")));
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("'logprobs', 'seed'"), "{message}");
            format!("{} {}", error["param"].as_str().unwrap(), error["code"].as_str().unwrap())
        }
    }
}

#[actix_rt::test]
async fn ignored_fields_are_reported_dropped_or_refused_as_configured() {
    let yaml = "unsupported_params: drop
models:
  strict: { model: nova-lite, unsupported_params: reject }
  frank: { targets: [nova-lite], unsupported_params: warn }
  own: { unsupported_params: reject, targets: [{ model: nova-lite, unsupported_params: warn }] }
";
    let rig = Rig::start(yaml).await;
    let (both, refused) = ("logprobs, seed", "logprobs unsupported_parameter");
    for (model, header, expected) in [
        (NOVA, None, "nothing"),
        ("strict", None, refused),
        ("frank", None, both),
        ("own", None, both),
        (NOVA, Some("warn"), both),
        (NOVA, Some("reject"), refused),
        ("strict", Some("drop"), "nothing"),
        ("strict", Some("Warn"), both),
    ] {
        for stream in [false, true] {
            let fields = json!({ "seed": 7, "logprobs": true, "stream": stream });
            let headers: Vec<_> = header.map(|word| (POLICY, word)).into_iter().collect();
            let before = rig.emulator.journal().calls().len();
            let answer = rig.chat_with(&headers, &ask(model, &fields)).await;
            assert_eq!(told(&answer), expected, "{model} {header:?}");
            let sent = rig.emulator.journal().calls().len() - before;
            assert_eq!(sent, usize::from(answer.status == 200), "{model} {header:?}");
        }
    }
    let fine = rig.chat(&ask("strict", &json!({ "temperature": 0.5 }))).await;
    assert_eq!(told(&fine), "nothing");
    let wrong = rig.chat_with(&[(POLICY, "maybe")], &ask(NOVA, &json!({}))).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!(POLICY)));
    rig.stop().await;
}

#[actix_rt::test]
async fn unknown_tools_follow_the_policy_and_unknown_roles_and_parts_do_not() {
    let rig = Rig::start("").await;
    let tool = ask(NOVA, &json!({ "tools": [{ "type": "telepathy" }] }));
    let answer = rig.chat(&tool).await;
    let named = answer.header("x-outcrop-ignored").unwrap().to_owned();
    assert_eq!(answer.status, 200);
    let refused = rig.chat_with(&[(POLICY, "reject")], &tool).await;
    let error = &refused.json()["error"];
    assert_eq!((refused.status, &error["param"]), (400, &json!(named)));
    for (message, param) in [
        (json!({ "role": "wizard", "content": "x" }), "messages[0].role"),
        (
            json!({ "role": "user", "content": [{ "type": "hologram" }] }),
            "messages[0].content[0].type",
        ),
    ] {
        let request = json!({ "model": NOVA, "messages": [message] });
        let refused = rig.chat_with(&[(POLICY, "drop")], &request).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(param)));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_strict_target_leaves_the_call_to_one_that_is_not() {
    let yaml = "models:
  pair:
    strategy: order
    targets:
      - { model: nova-lite, region: us-east-1, order: 1, unsupported_params: reject }
      - { model: nova-lite, region: us-west-2, order: 2, unsupported_params: warn }
";
    let rig = Rig::start(yaml).await;
    let answer = rig.chat(&ask("pair", &json!({ "seed": 7 }))).await;
    assert_eq!((answer.status, answer.header("x-outcrop-ignored")), (200, Some("seed")));
    assert_eq!(answer.header("x-outcrop-region"), Some("us-west-2"));
    let answer = rig.chat(&ask("pair", &json!({}))).await;
    assert_eq!(answer.header("x-outcrop-region"), Some("us-east-1"));
    rig.stop().await;
}

#[actix_rt::test]
async fn embeddings_follow_the_policy_too() {
    let rig = Rig::start("").await;
    let request = json!({ "model": TITAN, "input": "Granite", "user": "u" });
    let ignored = |answer: &Received| answer.header("x-outcrop-ignored").map(ToOwned::to_owned);
    assert_eq!(ignored(&embed(&rig, &[], &request).await).as_deref(), Some("user"));
    let dropped = embed(&rig, &[(POLICY, "drop")], &request).await;
    assert_eq!((dropped.status, ignored(&dropped)), (200, None));
    let refused = embed(&rig, &[(POLICY, "reject")], &request).await;
    let error = &refused.json()["error"];
    assert_eq!(
        (refused.status, &error["param"], &error["code"]),
        (400, &json!("user"), &json!("unsupported_parameter"))
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_returns_the_exact_request_and_sends_none() {
    let rig = Rig::start("models:\n  mine: nova-lite\n").await;
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object", "properties": { "z": {}, "a": {} } } } }]);
    for (stream, operation) in [(false, "converse"), (true, "converse-stream")] {
        let fields = json!({ "tools": tools, "seed": 7, "stream": stream, "max_tokens": 9 });
        let dry = rig.chat_with(&[DRY], &ask("mine", &fields)).await;
        let shown = dry.json();
        assert_eq!(dry.status, 200, "{shown}");
        assert_eq!(dry.header("content-type"), Some("application/json"));
        assert_eq!(dry.header("x-outcrop-ignored"), Some("seed"));
        assert_eq!(dry.header("x-outcrop-target"), None, "nobody was asked");
        assert_eq!(shown["target"], "us.amazon.nova-lite-v1:0@us-east-1");
        assert_eq!(
            (&shown["object"], &shown["method"], &shown["model"], &shown["region"]),
            (&json!("outcrop.dry_run"), &json!("POST"), &json!("mine"), &json!("us-east-1"))
        );
        assert_eq!(shown["ignored"], json!(["seed"]));
        let url = format!("{}/model/us.amazon.nova-lite-v1%3A0/{operation}", rig.emulator.url());
        assert_eq!(shown["url"], url);
        let headers = shown["headers"].as_object().unwrap();
        let names: Vec<&str> = headers.keys().map(String::as_str).collect();
        let expected =
            ["accept", "content-length", "content-type", "host", "user-agent", "x-amz-user-agent"];
        // The emulator is not an AWS host: calls to it carry the mark against loops.
        assert_eq!(names, [expected.as_slice(), &["x-outcrop-hop"]].concat());
        assert_eq!(rig.emulator.journal().calls().len(), usize::from(stream));

        assert_eq!(rig.chat(&ask("mine", &fields)).await.status, 200);
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls.last().unwrap().body, shown["body"]);
        let body = String::from_utf8(dry.body.to_vec()).unwrap();
        assert!(body.contains(r#""properties":{"z":{},"a":{}}"#), "in its order: {body}");
        let length = headers["content-length"].as_str().unwrap().parse::<usize>().unwrap();
        let body = &body[body.find(r#""body":"#).unwrap() + 7..];
        let written = serde_json::Deserializer::from_str(body);
        let mut written = written.into_iter::<Value>();
        written.next().unwrap().unwrap();
        assert_eq!(written.byte_offset(), length, "byte by byte");
    }
    for (header, request, param) in [
        (DRY, json!({ "model": NOVA, "messages": [{ "role": "wizard" }] }), "messages[0].role"),
        (DRY, ask(NOVA, &json!({ "n": 0 })), "n"),
        (("x-outcrop-dry-run", "perhaps"), ask(NOVA, &json!({})), "x-outcrop-dry-run"),
    ] {
        let refused = rig.chat_with(&[header], &request).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(param)));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_of_embeddings_lists_every_call() {
    let rig = Rig::start("").await;
    let one = json!({ "model": TITAN, "input": "Granite", "dimensions": 256 });
    let shown = embed(&rig, &[DRY], &one).await.json();
    let wanted = json!({ "inputText": "Granite", "dimensions": 256 });
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(shown["body"][name], *value, "{shown}");
    }
    assert!(
        shown["url"].as_str().unwrap().ends_with("/model/amazon.titan-embed-text-v2%3A0/invoke")
    );
    let two = json!({ "model": TITAN, "input": ["Granite", "Basalt"] });
    let shown = embed(&rig, &[DRY], &two).await.json();
    let texts: Vec<&Value> =
        shown["calls"].as_array().unwrap().iter().map(|call| &call["body"]["inputText"]).collect();
    assert_eq!(texts, ["Granite", "Basalt"]);
    assert_eq!((&shown["object"], shown.get("body")), (&json!("outcrop.dry_run"), None));
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_without_support_is_refused_and_sends_no_call() {
    let rig = Rig::start("").await;
    for path in ["/v1/moderations", "/v1/chat/completions/input_tokens"] {
        let body = ask(NOVA, &json!({ "input": "Hi" })).to_string();
        let refused = rig.send_with(&[DRY], Method::POST, path, body.into()).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &error["param"]), (400, &json!(DRY.0)), "{path}");
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_of_a_native_call_returns_the_same_body() {
    let rig =
        Rig::start("models:\n  mine: { model: nova-lite, guardrail: { id: own, version: 1 } }\n")
            .await;
    let body = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
    let path = "/bedrock/model/mine/converse-stream";
    let dry = rig.send_with(&[DRY], Method::POST, path, body.into()).await;
    let shown = dry.json();
    assert_eq!(shown["body"]["guardrailConfig"]["guardrailIdentifier"], "own");
    assert_eq!(shown["model"], "mine");
    assert!(shown["url"].as_str().unwrap().ends_with("us.amazon.nova-lite-v1%3A0/converse-stream"));
    let list = "/bedrock/foundation-models";
    let shown = rig.send_with(&[DRY], Method::GET, list, "".into()).await.json();
    assert_eq!((&shown["method"], &shown["body"]), (&json!("GET"), &Value::Null));
    assert_eq!(shown.get("target"), None);
    let wrong =
        rig.send_with(&[("x-outcrop-dry-run", "so")], Method::POST, path, body.into()).await;
    assert_eq!(wrong.header("x-amzn-errortype"), Some("ValidationException"));
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_neither_advances_selection_nor_uses_quota() {
    let yaml = "models:
  even: [{ model: nova-lite, region: us-east-1 }, { model: nova-lite, region: us-west-2 }]
  scarce:
    strategy: order
    targets:
      - { model: nova-pro, region: us-east-1, order: 1, rpm: 1 }
      - { model: nova-pro, region: us-west-2, order: 2 }
";
    let rig = Rig::start(yaml).await;
    let region = |answer: &Received| {
        let json = answer.json();
        assert_eq!(answer.status, 200, "{json}");
        let told = answer.header("x-outcrop-region").or(json["region"].as_str());
        told.unwrap().to_owned()
    };
    let mut went = Vec::new();
    for _ in 0..4 {
        let foretold = region(&rig.chat_with(&[DRY], &ask("even", &json!({}))).await);
        assert_eq!(foretold, region(&rig.chat_with(&[DRY], &ask("even", &json!({}))).await));
        went.push(region(&rig.chat(&ask("even", &json!({}))).await));
        assert_eq!(went.last(), Some(&foretold));
    }
    assert_eq!(went.iter().filter(|region| *region == "us-east-1").count(), 2, "{went:?}");
    for _ in 0..3 {
        let foretold = region(&rig.chat_with(&[DRY], &ask("scarce", &json!({}))).await);
        assert_eq!(foretold, "us-east-1");
    }
    assert_eq!(region(&rig.chat(&ask("scarce", &json!({}))).await), "us-east-1");
    let foretold = region(&rig.chat_with(&[DRY], &ask("scarce", &json!({}))).await);
    assert_eq!(foretold, "us-west-2", "the one call of the minute is made");
    assert_eq!(rig.emulator.journal().calls().len(), 5);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_needs_no_upstream() {
    // Port 9 is the discard service, normally without a listener.
    let rig = Rig::before_url("http://127.0.0.1:9", "").await;
    let dry = rig.chat_with(&[DRY], &ask(NOVA, &json!({}))).await;
    assert_eq!(dry.status, 200);
    assert_eq!(dry.json()["body"]["messages"][0]["content"], json!([{ "text": "Hi" }]));
    rig.stop().await;
}
