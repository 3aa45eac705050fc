//! Embeddings: lists of any length in order, a limited number of concurrent calls, every form of input and
//! encoding.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::{Call, Delivery, Fault, Options, Running, Step};
use http::Method;
use serde_json::{Value, json};

use super::rig::{PATIENCE, Received, Rig};

const TITAN: &str = "amazon.titan-embed-text-v2:0";
const COHERE_3: &str = "cohere.embed-english-v3";
const COHERE_4: &str = "us.cohere.embed-v4:0";

impl Rig {
    async fn embed(&self, request: &Value) -> Received {
        self.send(Method::POST, "/v1/embeddings", request.to_string().into()).await
    }

    /// The vectors of a request that must succeed.
    async fn vectors(&self, request: &Value) -> Vec<Value> {
        let answer = self.embed(request).await;
        let json = answer.json();
        assert_eq!(answer.status, 200, "{json}");
        let data = json["data"].as_array().unwrap();
        for (at, one) in data.iter().enumerate() {
            assert_eq!((&one["object"], &one["index"]), (&json!("embedding"), &json!(at)));
        }
        data.iter().map(|one| one["embedding"].clone()).collect()
    }

    /// Status, code and param of a request that must fail.
    async fn refused(&self, request: &Value) -> (u16, String, String) {
        let answer = self.embed(request).await;
        let error = &answer.json()["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        (answer.status, text("code"), text("param"))
    }
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("stone number {n}")).collect()
}

fn floats(base64: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

/// Highest number of calls in flight at one time.
fn most_in_flight(calls: &[Call]) -> i32 {
    let begun = calls.iter().map(|call| (call.received_ms, 1));
    let ended = calls.iter().map(|call| (call.ended_ms.unwrap(), -1));
    let mut moments: Vec<(u64, i32)> = begun.chain(ended).collect();
    // Within the same millisecond the end comes first: the next call waits for it.
    moments.sort_unstable();
    let open = moments.iter().scan(0, |open, (_, change)| {
        *open += change;
        Some(*open)
    });
    open.max().unwrap_or_default()
}

#[actix_rt::test]
async fn a_list_comes_back_whole_and_in_order() {
    let rig = Rig::start("").await;
    for (model, dimensions, calls) in [(TITAN, 256, 250), (COHERE_3, 1024, 3), (COHERE_4, 256, 3)] {
        rig.emulator.journal().clear();
        // The first call is answered last.
        rig.emulator.script().push(Step::Fault(Fault::Slow(100)));
        let texts = texts(250);
        let request = json!({ "model": model, "input": texts, "dimensions": dimensions });
        let vectors = rig.vectors(&request).await;
        assert_eq!(vectors.len(), 250, "{model}");
        assert_eq!(rig.emulator.journal().calls().len(), calls, "{model}");
        for (at, text) in texts.iter().enumerate().step_by(7) {
            let request = json!({ "model": model, "input": text, "dimensions": dimensions });
            assert_eq!(rig.vectors(&request).await, [vectors[at].clone()], "{model} {at}");
        }
        // Split in another way, the vectors are the same.
        for (texts, vectors) in texts.chunks(41).zip(vectors.chunks(41)) {
            let request = json!({ "model": model, "input": texts, "dimensions": dimensions });
            assert_eq!(rig.vectors(&request).await, vectors, "{model}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn calls_are_made_a_few_at_a_time() {
    for (yaml, most) in [("", 8), ("embeddings: { concurrency: 3 }\n", 3)] {
        let rig = Rig::start(yaml).await;
        for _ in 0..32 {
            rig.emulator.script().push(Step::Fault(Fault::Slow(40)));
        }
        let request = json!({ "model": TITAN, "input": texts(32), "dimensions": 256 });
        assert_eq!(rig.vectors(&request).await.len(), 32);
        let calls = rig.until(|calls| calls.iter().all(|call| call.ended_ms.is_some())).await;
        let open = most_in_flight(&calls);
        assert!(calls.len() == 32 && (2..=most).contains(&open), "{open} of {most} in flight");
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn the_first_failure_is_the_whole_answer_and_ends_the_other_calls() {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    for _ in 0..7 {
        rig.emulator.script().push(Step::Fault(Fault::Silent));
    }
    rig.emulator.script().push(Step::Error {
        status: 429,
        kind: "ThrottlingException".to_owned(),
        message: "Too many requests, please wait before trying again.".to_owned(),
        headers: [("Retry-After".to_owned(), "3".to_owned())].into(),
    });
    let answer = rig.embed(&json!({ "model": TITAN, "input": texts(30) })).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("3")));
    assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
    let gone = |call: &&Call| call.delivery == Delivery::ClientGone;
    let calls = rig.until(|calls| calls.iter().filter(gone).count() == 7).await;
    assert_eq!(calls.len(), 8, "calls were begun after the failure");
    rig.stop().await;
}

#[actix_rt::test]
async fn base64_holds_the_floats_of_every_protocol() {
    let rig = Rig::start("").await;
    for (model, dimensions) in [
        ("amazon.titan-embed-text-v1", 1536),
        (TITAN, 1024),
        ("amazon.titan-embed-image-v1", 1024),
        (COHERE_3, 1024),
        (COHERE_4, 1536),
        ("amazon.nova-2-multimodal-embeddings-v1:0", 3072),
        ("us.twelvelabs.marengo-embed-2-7-v1:0", 1024),
        ("us.twelvelabs.marengo-embed-3-0-v1:0", 512),
    ] {
        let ask = |format: &str| json!({ "model": model, "input": ["Basalt", "Gneiss"], "encoding_format": format, "dimensions": dimensions });
        let (plain, encoded) =
            (rig.vectors(&ask("float")).await, rig.vectors(&ask("base64")).await);
        assert_eq!((plain.len(), encoded.len()), (2, 2), "{model}");
        for (plain, encoded) in plain.iter().zip(&encoded) {
            let plain: Vec<f32> = serde_json::from_value(plain.clone()).unwrap();
            assert_eq!((plain.len(), &floats(encoded)), (dimensions, &plain), "{model}");
        }
        assert_ne!(plain[0], plain[1], "{model}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_answer_has_openais_shape() {
    let rig = Rig::start("").await;
    let request = json!({ "model": TITAN, "input": "Granite", "dimensions": 256, "user": "u", "zeal": 9, "truncate": null });
    for path in ["/v1/embeddings", "/embeddings"] {
        let answer = rig.send(Method::POST, path, request.to_string().into()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-outcrop-ignored"), Some("user, zeal"));
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
        assert!(answer.header("x-amzn-requestid").is_some());
        let json = answer.json();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["object", "data", "model", "usage"]);
        assert_eq!((&json["object"], &json["model"]), (&json!("list"), &json!(TITAN)));
        assert_eq!(json["data"][0]["embedding"].as_array().unwrap().len(), 256);
        let usage = &json["usage"];
        assert!(usage["prompt_tokens"].as_u64().unwrap() > 0);
        assert_eq!(usage["prompt_tokens"], usage["total_tokens"]);
        assert_eq!(usage.as_object().unwrap().len(), 2);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn tokens_are_counted_over_all_calls() {
    let rig = Rig::start("").await;
    // Titan reports tokens in its body, Cohere only in a header.
    for model in [TITAN, COHERE_3] {
        let texts = texts(100);
        let all = rig.embed(&json!({ "model": model, "input": texts })).await.json();
        let mut sum = 0;
        for text in &texts {
            let one = rig.embed(&json!({ "model": model, "input": text })).await.json();
            sum += one["usage"]["prompt_tokens"].as_u64().unwrap();
        }
        assert!(sum >= 100);
        assert_eq!(all["usage"], json!({ "prompt_tokens": sum, "total_tokens": sum }), "{model}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn token_input_equals_its_text() {
    let rig = Rig::start("").await;
    let ask = |input: Value| json!({ "model": COHERE_3, "input": input });
    let said = rig.vectors(&ask(json!(["hello world", "hello"]))).await;
    assert_eq!(rig.vectors(&ask(json!([[15339, 1917], [15339]]))).await, said);
    assert_eq!(rig.vectors(&ask(json!([15339, 1917]))).await, said[..1]);
    rig.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_embedded_is_refused_with_its_place() {
    let rig = Rig::start("").await;
    let ask = |input: Value| json!({ "model": TITAN, "input": input });
    for (input, code, param) in [
        (json!(""), "invalid_value", "input"),
        (json!(" \n"), "invalid_value", "input"),
        (json!(["a", "b", ""]), "invalid_value", "input[2]"),
        (json!([]), "empty_array", "input"),
        (json!([[1], []]), "invalid_value", "input[1]"),
        (json!(["a", "b", "c", 4]), "invalid_type", "input[3]"),
        (json!([1, 2, "c"]), "invalid_type", "input[2]"),
        (json!([[1], "b"]), "invalid_type", "input[1]"),
        (json!([[1], [2, "b"]]), "invalid_type", "input[1][1]"),
        (json!(["a", null]), "invalid_type", "input[1]"),
        (json!([1, -1]), "invalid_value", "input[1]"),
        (json!([1, 99_999_999]), "invalid_value", "input[1]"),
        (json!([[1], [2, 99_999_999]]), "invalid_value", "input[1][1]"),
        (json!(3), "invalid_type", "input"),
        (json!(null), "invalid_type", "input"),
        (json!(vec!["x"; 2049]), "array_above_max_length", "input"),
    ] {
        let expected = (400, code.to_owned(), param.to_owned());
        assert_eq!(rig.refused(&ask(input.clone())).await, expected, "{input}");
    }
    for (more, param) in [
        (json!({ "dimensions": 100 }), "dimensions"),
        (json!({ "dimensions": -1 }), "dimensions"),
        (json!({ "encoding_format": "int8" }), "encoding_format"),
        (json!({ "input_type": "poem" }), "input_type"),
        (json!({ "truncate": "MIDDLE" }), "truncate"),
    ] {
        let mut request = ask(json!("a"));
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let expected = (400, "invalid_value".to_owned(), param.to_owned());
        assert_eq!(rig.refused(&request).await, expected, "{more}");
    }
    assert_eq!(
        rig.refused(&json!({ "model": TITAN })).await,
        (400, "missing_required_parameter".to_owned(), "input".to_owned())
    );
    assert!(rig.emulator.journal().calls().is_empty(), "something was sent all the same");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_model_that_does_not_embed_says_so() {
    let rig = Rig::start("").await;
    for model in ["us.amazon.nova-lite-v1:0", "nobody.knows-this"] {
        let answer = rig.embed(&json!({ "model": model, "input": "a" })).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["param"]), (400, &json!("model")));
        let message = error["message"].as_str().unwrap();
        let (_, others) = message.split_once(" Try ").unwrap();
        let others: Vec<&str> = others.trim_end_matches('.').split(" or ").collect();
        assert_eq!(others.len(), 2, "{message}");
        for other in others {
            rig.vectors(&json!({ "model": other, "input": "a" })).await;
        }
        rig.emulator.journal().clear();
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn a_malformed_embedding_response_is_an_error() {
    let rig = Rig::start("").await;
    for body in ["{}", "[]", "not JSON", r#"{"embedding":[]}"#, r#"{"embedding":null}"#] {
        let (body, headers) = (body.to_owned(), Default::default());
        rig.emulator.script().push(Step::Text { body, headers });
        let (status, code, _) = rig.refused(&json!({ "model": TITAN, "input": "a" })).await;
        assert_eq!((status, code.as_str()), (502, "upstream_unreadable"));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_recovered_target_gets_texts_again() {
    for other in [TITAN, "amazon.titan-embed-text-v1"] {
        let (east, west) = (
            emulator::start(Options::default()).await.unwrap(),
            emulator::start(Options::default()).await.unwrap(),
        );
        let target = |model: &str, region: &str, upstream: &Running, order: u32| {
            let url = upstream.url();
            format!(
                "{{ model: '{model}', region: {region}, endpoint_url: '{url}', access_key_id: AKID, secret_access_key: x, order: {order} }}"
            )
        };
        let rig = Rig::start(&format!(
            "models:\n  both:\n    cooldown: {{ in_a_row: 1, open: 0.1, longest: 1 }}\n    targets: [{}, {}]\n",
            target(TITAN, "us-east-1", &east, 1),
            target(other, "us-west-2", &west, 2),
        ))
        .await;
        for _ in 0..1000 {
            east.script().push(Step::Error {
                status: 500,
                kind: "InternalServerException".to_owned(),
                message: "no".to_owned(),
                headers: [].into(),
            });
        }
        let request = json!({ "model": "both", "input": "stone" });
        let deadline = Instant::now() + PATIENCE;
        // It fails and gets no calls; then it recovers, is probed and gets calls again.
        for expected in ["us-west-2", "us-east-1"] {
            loop {
                assert!(Instant::now() < deadline, "{other}: {expected} was never asked again");
                let answer = rig.embed(&request).await;
                if answer.status == 200 && answer.header("x-outcrop-region") == Some(expected) {
                    break;
                }
            }
            east.script().clear();
        }
        rig.stop().await;
        east.stop().await;
        west.stop().await;
    }
}
