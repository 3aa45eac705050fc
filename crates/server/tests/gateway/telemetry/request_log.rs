//! The request log: what a file and a bucket hold of requests and answers.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bedrock::{Account, AccountKeys, AccountSecret, Bucket, Settings, Transport};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::models::ask;
use crate::rig::{PATIENCE, Received, Rig};

/// A file of a test, which goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("outcrop-requests-{}-{name}.jsonl", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that keeps nothing has no file.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of a file, once there are so many.
async fn awaited(path: &Path, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let lines = lines(path);
        if lines.len() >= count {
            return lines;
        }
        assert!(began.elapsed() < PATIENCE, "{} of {count} records", lines.len());
        actix_rt::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn echo(text: &str, stream: bool) -> Value {
    json!({"model": "emulator.echo", "stream": stream, "messages": [{"role": "user", "content": text}]})
}

#[actix_rt::test]
async fn a_file_has_what_was_asked_and_answered_without_what_is_redacted() {
    let path = Place::new("kept");
    let yaml =
        format!("telemetry:\n  requests: {{ file: {}, redact: [email] }}\n", path.0.display());
    let rig = Rig::start(&yaml).await;
    let whole = rig.chat(&echo("write to alice@example.com today", false)).await;
    let streamed = rig.chat(&echo("write to bob@example.com today", true)).await;
    let body = r#"{"messages":[{"role":"user","content":[{"text":"granite"}]}]}"#;
    let path_of_model = "/bedrock/model/emulator.echo/converse";
    let native = rig.send(Method::POST, path_of_model, Bytes::from_static(body.as_bytes())).await;
    // Neither lists nor probes are requests for a model.
    assert_eq!(rig.send(Method::GET, "/v1/models", Bytes::new()).await.status, 200);
    let records = awaited(&path.0, 3).await;
    let of = |answer: &Received| {
        let id = answer.header("x-request-id").unwrap().to_owned();
        records.iter().find(|record| record["request_id"] == id).unwrap().clone()
    };
    let record = of(&whole);
    assert_eq!(record["request"]["messages"][0]["content"], "write to [redacted] today");
    let answer = &record["response"]["choices"][0]["message"]["content"];
    assert_eq!(answer, "write to [redacted] today");
    assert_eq!((&record["route"], &record["status"]), (&json!("chat"), &json!(200)));
    assert!(record["input_tokens"].as_u64() > Some(0), "{record}");
    let record = of(&streamed);
    let answer = &record["response"]["choices"][0]["delta"]["content"];
    assert_eq!(answer, "write to [redacted] today", "{record}");
    let record = of(&native);
    assert_eq!(record["response"]["output"]["message"]["content"][0]["text"], "granite");
    assert!(!std::fs::read_to_string(&path.0).unwrap().contains("@example.com"));
    assert_eq!(records.len(), 3);
}

#[actix_rt::test]
async fn without_a_place_nothing_is_kept_and_a_sample_of_none_keeps_none() {
    let path = Place::new("none");
    let yaml = format!("telemetry: {{ requests: {{ file: {}, sample: 0 }} }}\n", path.0.display());
    let rig = Rig::start(&yaml).await;
    assert_eq!(rig.chat(&ask("nova-lite")).await.status, 200);
    rig.stop().await;
    assert!(!path.0.exists());
}

#[actix_rt::test]
async fn a_bucket_gets_what_has_gathered_when_the_gateway_ends() {
    let upstream = emulator::start(emulator::Options::default()).await.unwrap();
    let yaml = "telemetry: { requests: { s3: 's3://audit/outcrop' } }\n";
    let rig = Rig::before_url(&upstream.url(), yaml).await;
    assert_eq!(rig.chat(&echo("granite", false)).await.status, 200);
    rig.stop().await;
    let began = Instant::now();
    let put = loop {
        let calls = upstream.journal().calls();
        if let Some(put) = calls.into_iter().find(|call| call.method == "PUT") {
            break put;
        }
        assert!(began.elapsed() < PATIENCE, "no object was written");
        actix_rt::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(put.path.starts_with("/audit/outcrop/20"), "{}", put.path);
    assert!(put.path.contains(".jsonl"), "{}", put.path);
    let account = Account::load(Settings {
        region: Some("us-east-1".to_owned()),
        endpoint: Some(upstream.url()),
        keys: Some(AccountKeys::Static {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: AccountSecret::new("secret"),
            session_token: None,
        }),
        ..Settings::default()
    });
    let bucket = Bucket::new(Transport::new(&account.await.unwrap()), "audit", "");
    let key = put.path.split(['?']).next().unwrap().strip_prefix("/audit/").unwrap();
    let object = loop {
        // The emulator notes a call before it answers.
        if let Some(object) = bucket.read(key, 1_000_000).await.unwrap() {
            break object;
        }
        assert!(began.elapsed() < PATIENCE, "the object is not there");
    };
    let record: Value = serde_json::from_slice(&object.body).unwrap();
    assert_eq!(record["request"]["messages"][0]["content"], "granite");
    assert_eq!(record["response"]["choices"][0]["message"]["content"], "granite");
}
