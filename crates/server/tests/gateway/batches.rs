//! Batches: jobs at half the price with their answers in the order of the lines, lines too few for a job, and every
//! way to end early.

use std::time::{Duration, Instant};

use access::ledger::CallRow;
use http::Method;
use serde_json::{Value, json};

use super::files::{BUCKET, ask, form, send};
use super::keys::{MASTER, key};
use super::ledger::rows;
use super::rig::{PATIENCE, Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const CLAUDE: &str = "us.anthropic.claude-haiku-4-5-20251001-v1:0";
const ROLE: &str = "arn:aws:iam::123456789012:role/batches";
const CHAT: &str = "/v1/chat/completions";

/// The body of a line by its number.
type BodyOf = fn(usize) -> Value;

fn yaml(role: &str, more: &str) -> String {
    format!("{MASTER}{BUCKET}batches: {{ role_arn: '{ROLE}{role}', poll: 0.1{more} }}\n")
}

fn line(id: &str, url: &str, body: &Value) -> Value {
    json!({ "custom_id": id, "method": "POST", "url": url, "body": body })
}

fn question(model: &str, number: usize) -> Value {
    let text = format!("Tell me about stone {number}.");
    json!({ "model": model, "messages": [{ "role": "user", "content": text }] })
}

fn text(number: usize) -> String {
    format!("Tell me about stone {number}.")
}

fn questions(model: &str, count: usize) -> Vec<Value> {
    (0..count).map(|n| line(&format!("q-{n}"), CHAT, &question(model, n))).collect()
}

async fn post(rig: &Rig, key: &str, path: &str, body: &Value) -> Received {
    let bearer = format!("Bearer {key}");
    let body = body.to_string().into();
    rig.send_with(&[("authorization", &bearer)], Method::POST, path, body).await
}

async fn made(rig: &Rig, key: &str, endpoint: &str, lines: &[Value]) -> Received {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    let file = send(rig, key, form(&[("purpose", "batch")], text.join("\n").as_bytes())).await;
    let order = json!({
        "input_file_id": file.json()["id"], "endpoint": endpoint, "completion_window": "24h",
        "metadata": { "kind": "test" },
    });
    post(rig, key, "/v1/batches", &order).await
}

/// The batch at its end, and the statuses it was seen in.
async fn ended(rig: &Rig, key: &str, id: &str) -> (Value, Vec<String>) {
    let (deadline, mut seen) = (Instant::now() + PATIENCE, Vec::new());
    loop {
        let batch = ask(rig, key, Method::GET, &format!("/v1/batches/{id}")).await.json();
        let status = batch["status"].as_str().unwrap_or_else(|| panic!("{batch}")).to_owned();
        if seen.last() != Some(&status) {
            seen.push(status.clone());
        }
        if ["completed", "failed", "cancelled", "expired"].contains(&status.as_str()) {
            return (batch, seen);
        }
        assert!(Instant::now() < deadline, "not in time: {batch}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The lines of a file of the batch.
async fn lines(rig: &Rig, key: &str, file: &Value) -> Vec<Value> {
    let Some(id) = file.as_str() else { return Vec::new() };
    let content = ask(rig, key, Method::GET, &format!("/v1/files/{id}/content")).await;
    let text = String::from_utf8(content.body.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Makes a batch and waits for its end.
async fn done(
    rig: &Rig,
    key: &str,
    endpoint: &str,
    all: &[Value],
) -> (Value, Vec<Value>, Vec<Value>) {
    let created = made(rig, key, endpoint, all).await;
    let batch = created.json();
    assert_eq!(created.status, 200, "{batch}");
    let (batch, _) = ended(rig, key, batch["id"].as_str().unwrap()).await;
    let output = lines(rig, key, &batch["output_file_id"]).await;
    let errors = lines(rig, key, &batch["error_file_id"]).await;
    (batch, output, errors)
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["custom_id"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn a_job_answers_in_the_order_of_the_lines_at_half_the_price() {
    let rig = Rig::start(&yaml("", "")).await;
    let key = key(&rig, json!({})).await;
    let mut all = questions(NOVA, 250);
    // Lines that are no requests, or no requests for a job, have errors of their own.
    all[3]["url"] = json!("/v1/embeddings");
    all[5] = line("q-2", CHAT, &question(NOVA, 5));
    all[7]["body"]["stream"] = json!(true);
    all[9]["body"]["messages"] = json!("no list");
    all[11]["body"]["model"] = json!("no.such-model");
    all[13]["body"]["model"] = json!("openai.gpt-oss-20b-1:0");
    all[13]["body"]["tools"] = json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }]);
    let created = made(&rig, &key, CHAT, &all).await.json();
    assert_eq!((&created["status"], &created["object"]), (&json!("validating"), &json!("batch")));
    assert!(created["id"].as_str().unwrap().starts_with("batch_"));
    let (batch, seen) = ended(&rig, &key, created["id"].as_str().unwrap()).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    assert!(seen.iter().any(|status| status == "in_progress"), "{seen:?}");
    let counts = json!({ "total": 250, "completed": 244, "failed": 6 });
    assert_eq!(batch["request_counts"], counts, "{batch}");
    assert_eq!(batch["metadata"], json!({ "kind": "test" }));
    assert_eq!(batch["outcrop"]["groups"][0]["mode"], "job");
    let output = lines(&rig, &key, &batch["output_file_id"]).await;
    let bad = [3, 5, 7, 9, 11, 13];
    let expected: Vec<String> =
        (0..250).filter(|n| !bad.contains(n)).map(|n| format!("q-{n}")).collect();
    assert_eq!(ids(&output), expected);
    let (mut input, mut written) = (0, 0);
    for one in &output {
        assert_eq!((&one["response"]["status_code"], &one["error"]), (&json!(200), &Value::Null));
        let body = &one["response"]["body"];
        let number = one["custom_id"].as_str().unwrap().trim_start_matches("q-");
        let text = body["choices"][0]["message"]["content"].as_str().unwrap();
        assert!(text.contains(&format!("stone {number}.")), "{one}");
        assert_eq!(body["model"], NOVA);
        input += body["usage"]["prompt_tokens"].as_u64().unwrap();
        written += body["usage"]["completion_tokens"].as_u64().unwrap();
    }
    let errors = lines(&rig, &key, &batch["error_file_id"]).await;
    assert_eq!(ids(&errors), ["q-3", "q-2", "q-7", "q-9", "q-11", "q-13"]);
    assert_eq!(errors[0]["error"]["code"], "invalid_url");
    assert_eq!(errors[1]["error"]["code"], "duplicate_custom_id");
    let refused = |at: usize| &errors[at]["response"]["body"]["error"];
    assert_eq!(refused(2)["param"], "stream");
    assert_eq!(errors[3]["response"]["status_code"], 400);
    assert_eq!(refused(4)["param"], "model");
    assert_eq!(refused(5)["code"], "unsupported_in_batches");
    // A token of nova-lite costs 60 and 240 nanodollars, and half of it in a batch.
    let rows = rows(&rig, 2).await;
    let costs: Vec<i64> =
        rows.iter().filter_map(|row| row.closing.cost()).map(access::Nanodollars::nano).collect();
    let cost = i64::try_from(input * 30 + written * 120).unwrap();
    assert_eq!(costs.iter().sum::<i64>(), cost, "{rows:#?}");
    let job = rows.iter().find(|row| row.closing.call.call_type == "abatch_completion").unwrap();
    let outcome = &job.closing.outcome;
    assert_eq!((outcome.input, outcome.output), (input, written));
    assert_eq!((outcome.tier.as_deref(), outcome.model.as_str()), (Some("batch"), NOVA));
    let metrics = ask(&rig, "sk-master", Method::GET, "/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(metrics.contains("outcrop_batches_total{status=\"completed\"} 1"), "{metrics}");
    assert!(metrics.contains("outcrop_batch_lines_total{end=\"failed\"} 6"));
    rig.stop().await;
}

#[actix_rt::test]
async fn each_endpoint_and_models_with_tools_go_through_jobs() {
    let rig = Rig::start(&yaml("", "")).await;
    let key = key(&rig, json!({})).await;
    for model in [CLAUDE, NOVA] {
        let all: Vec<Value> = (0..100)
            .map(|n| {
                let mut body = question(model, n);
                body["messages"][0]["content"] = json!(format!("Call get_weather for city {n}"));
                body["tools"] = json!([{ "type": "function", "function": {
                    "name": "get_weather",
                    "parameters": { "type": "object", "properties": { "city": { "type": "string" } } },
                } }]);
                body["top_k"] = json!(9);
                line(&format!("t-{n}"), CHAT, &body)
            })
            .collect();
        let (batch, output, errors) = done(&rig, &key, CHAT, &all).await;
        assert_eq!(
            (batch["status"].as_str(), output.len()),
            (Some("completed"), 100),
            "{errors:?}"
        );
        assert_eq!(batch["outcrop"]["groups"][0]["mode"], "job", "{model}");
        for one in &output {
            let choice = &one["response"]["body"]["choices"][0];
            assert_eq!(choice["finish_reason"], "tool_calls", "{one}");
            assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "get_weather");
            assert!(one["response"]["body"]["usage"]["completion_tokens"].as_u64() > Some(0));
        }
    }
    let bodies: [(&str, BodyOf, &str); 4] = [
        (
            "/v1/messages",
            |n| json!({ "model": CLAUDE, "max_tokens": 200, "messages": [{ "role": "user", "content": text(n) }] }),
            "/content/0/text",
        ),
        (
            "/v1/responses",
            |n| json!({ "model": NOVA, "input": text(n) }),
            "/output/0/content/0/text",
        ),
        ("/v1/completions", |n| json!({ "model": NOVA, "prompt": text(n) }), "/choices/0/text"),
        (
            "/v1/embeddings",
            |n| json!({ "model": "amazon.titan-embed-text-v2:0", "input": [text(n), "second"] }),
            "/data/1/embedding/0",
        ),
    ];
    for (endpoint, body, pointer) in bodies {
        let all: Vec<Value> =
            (0..100).map(|n| line(&format!("e-{n}"), endpoint, &body(n))).collect();
        let (batch, output, errors) = done(&rig, &key, endpoint, &all).await;
        assert_eq!(batch["status"], "completed", "{batch}");
        assert_eq!(output.len(), 100, "{endpoint} {:?}", errors.first());
        assert_eq!(batch["outcrop"]["groups"][0]["mode"], "job");
        for (n, one) in output.iter().enumerate() {
            let found = one["response"]["body"].pointer(pointer);
            let found = found.unwrap_or_else(|| panic!("{pointer} in {one}"));
            // Before a prompt the gateway puts a system prompt, which the emulator repeats first.
            if let Some(said) = found.as_str().filter(|_| endpoint != "/v1/completions") {
                assert!(said.contains(&format!("stone {n}.")), "{said}");
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn lines_too_few_for_a_job_are_run_as_calls_or_fail_as_the_operator_says() {
    let rig = Rig::start(&yaml("", "")).await;
    let key = key(&rig, json!({})).await;
    let mut all = questions(NOVA, 3);
    all[1]["body"]["model"] = json!("no.such-model");
    let (batch, output, errors) = done(&rig, &key, CHAT, &all).await;
    assert_eq!(batch["status"], "completed", "{batch}");
    assert_eq!(batch["outcrop"]["groups"][0]["mode"], "calls");
    assert_eq!((ids(&output), ids(&errors)), (vec!["q-0", "q-2"], vec!["q-1"]));
    assert_eq!(batch["request_counts"], json!({ "total": 3, "completed": 2, "failed": 1 }));
    let rows = rows(&rig, 3).await;
    let of_call = |row: &&CallRow| row.closing.call.call_type == "acompletion";
    let calls = rows.iter().filter(of_call).filter(|row| row.closing.outcome.status == 200);
    assert_eq!(calls.count(), 2, "{rows:#?}");
    rig.stop().await;
    let rig = Rig::start(&yaml("", ", small: fail")).await;
    let (batch, ..) = done(&rig, "sk-master", CHAT, &questions(NOVA, 3)).await;
    assert_eq!(batch["status"], "failed");
    assert_eq!(batch["errors"]["data"][0]["code"], "too_few_records");
    rig.stop().await;
}

#[actix_rt::test]
async fn batches_fail_expire_and_are_cancelled() {
    let rig = Rig::start(&yaml("-fails", "")).await;
    let (batch, output, errors) = done(&rig, "sk-master", CHAT, &questions(NOVA, 100)).await;
    assert_eq!((output.len(), errors.len()), (0, 100), "{batch}");
    assert_eq!(errors[0]["response"]["status_code"], 502, "{}", errors[0]);
    rig.stop().await;
    let rig = Rig::start(&yaml("-expires", "")).await;
    let (batch, output, errors) = done(&rig, "sk-master", CHAT, &questions(NOVA, 100)).await;
    assert_eq!(batch["status"], "expired", "{batch}");
    assert_eq!((output.len(), errors.len()), (50, 50));
    assert!(errors.iter().all(|line| line["error"]["code"] == "batch_expired"), "{}", errors[0]);
    rig.stop().await;
    let rig = Rig::start(&yaml("", "")).await;
    let created = made(&rig, "sk-master", CHAT, &questions(NOVA, 2000)).await.json();
    let id = created["id"].as_str().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let batch = ask(&rig, "sk-master", Method::GET, &format!("/v1/batches/{id}")).await.json();
        if batch["request_counts"]["completed"].as_u64() > Some(0) {
            break;
        }
        assert!(Instant::now() < deadline, "{batch}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let path = format!("/v1/batches/{id}/cancel");
    let cancelled = post(&rig, "sk-master", &path, &json!({})).await.json();
    assert_eq!(cancelled["status"], "cancelling");
    let (batch, _) = ended(&rig, "sk-master", id).await;
    assert_eq!(batch["status"], "cancelled");
    let output = lines(&rig, "sk-master", &batch["output_file_id"]).await;
    let errors = lines(&rig, "sk-master", &batch["error_file_id"]).await;
    assert!(!output.is_empty() && output.len() + errors.len() == 2000, "{}", output.len());
    assert!(errors.iter().all(|line| line["error"]["code"] == "batch_cancelled"));
    rig.stop().await;
}

#[actix_rt::test]
async fn orders_that_make_no_batch_are_refused_and_batches_are_their_keys_alone() {
    let rig = Rig::start(&yaml("", "")).await;
    let (one, other) = (key(&rig, json!({})).await, key(&rig, json!({})).await);
    let file = send(&rig, &one, form(&[("purpose", "batch")], b"{}")).await.json();
    let vision = send(&rig, &one, form(&[("purpose", "vision")], b"{}")).await.json();
    let good = json!({ "input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h" });
    for (member, value, status) in [
        ("input_file_id", json!("file-00000000000000000000000000000000"), 404),
        ("input_file_id", vision["id"].clone(), 400),
        ("input_file_id", Value::Null, 400),
        ("endpoint", json!("/v1/moderations"), 400),
        ("completion_window", json!("1h"), 400),
        ("metadata", json!({ "a": 1 }), 400),
        ("output_expires_after", json!({ "anchor": "created_at", "seconds": 1 }), 400),
        ("odd", json!(1), 400),
    ] {
        let mut order = good.clone();
        order[member] = value;
        let refused = post(&rig, &one, "/v1/batches", &order).await;
        assert_eq!(refused.status, status, "{member}: {}", refused.json());
    }
    assert_eq!(post(&rig, &other, "/v1/batches", &good).await.status, 404, "another key's file");
    let batch = post(&rig, &one, "/v1/batches", &good).await.json();
    let id = batch["id"].as_str().unwrap();
    for (key, status) in [(one.as_str(), 200), (&other, 404)] {
        let path = format!("/v1/batches/{id}");
        assert_eq!(ask(&rig, key, Method::GET, &path).await.status, status);
        let list = ask(&rig, key, Method::GET, "/v1/batches?limit=5").await.json();
        assert_eq!(list["data"].as_array().unwrap().len(), usize::from(status == 200));
    }
    let path = format!("/v1/batches/{id}/cancel");
    assert_eq!(post(&rig, &other, &path, &json!({})).await.status, 404);
    let (batch, _) = ended(&rig, &one, id).await;
    assert_eq!(batch["status"], "completed", "its one line is no request: {batch}");
    assert_eq!(batch["request_counts"], json!({ "total": 1, "completed": 0, "failed": 1 }));
    rig.stop().await;
    let rig = Rig::start("").await;
    let refused = post(&rig, "", "/v1/batches", &good).await.json();
    assert_eq!(refused["error"]["code"], "files_not_configured");
    rig.stop().await;
}

#[actix_rt::test]
async fn anthropics_batches_run_on_the_same_engine() {
    let rig = Rig::start(&yaml("", "")).await;
    let key = key(&rig, json!({})).await;
    let requests: Vec<Value> = (0..100)
        .map(|n| {
            let text = format!("Tell me about stone {n}.");
            let mut params = json!({
                "model": CLAUDE, "max_tokens": 100, "messages": [{ "role": "user", "content": text }],
            });
            if n == 4 {
                params["max_tokens"] = json!("many");
            }
            json!({ "custom_id": format!("m-{n}"), "params": params })
        })
        .collect();
    let path = "/v1/messages/batches";
    let created = post(&rig, &key, path, &json!({ "requests": requests })).await;
    let mut batch = created.json();
    assert_eq!((created.status, &batch["type"]), (200, &json!("message_batch")), "{batch}");
    assert_eq!(batch["processing_status"], "in_progress");
    let id = batch["id"].as_str().unwrap().to_owned();
    let one = format!("{path}/{id}");
    let deadline = Instant::now() + PATIENCE;
    while batch["processing_status"] != "ended" {
        assert!(Instant::now() < deadline, "{batch}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        batch = ask(&rig, &key, Method::GET, &one).await.json();
    }
    let counts = json!({
        "processing": 0, "succeeded": 99, "errored": 1, "canceled": 0, "expired": 0,
    });
    assert_eq!(batch["request_counts"], counts, "{batch}");
    let url = batch["results_url"].as_str().unwrap();
    assert!(url.ends_with(&format!("{one}/results")), "{url}");
    let results = ask(&rig, &key, Method::GET, &format!("{one}/results")).await;
    let text = String::from_utf8(results.body.to_vec()).unwrap();
    let results: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let expected: Vec<String> = (0..100).map(|n| format!("m-{n}")).collect();
    assert_eq!(ids(&results), expected);
    assert_eq!(results[4]["result"]["type"], "errored");
    assert_eq!(results[4]["result"]["error"]["error"]["type"], "invalid_request_error");
    let message = &results[7]["result"]["message"];
    assert_eq!(
        (&results[7]["result"]["type"], &message["type"]),
        (&json!("succeeded"), &json!("message"))
    );
    assert!(message["content"][0]["text"].as_str().unwrap().contains("stone 7."), "{message}");
    let list = ask(&rig, &key, Method::GET, path).await.json();
    assert_eq!((&list["data"][0]["id"], &list["has_more"]), (&json!(id), &json!(false)));
    assert_eq!(ask(&rig, &key, Method::GET, &format!("/v1/batches/{id}")).await.status, 404);
    let gone = ask(&rig, &key, Method::DELETE, &one).await.json();
    assert_eq!(gone, json!({ "id": id, "type": "message_batch_deleted" }));
    let missing = ask(&rig, &key, Method::GET, &one).await;
    assert_eq!((missing.status, &missing.json()["type"]), (404, &json!("error")));
    let empty = post(&rig, &key, path, &json!({ "requests": [] })).await;
    assert_eq!(
        (empty.status, &empty.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    rig.stop().await;
}
