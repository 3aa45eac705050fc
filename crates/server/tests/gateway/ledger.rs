//! Rows of calls: one for each, settled, voided or estimated by how it ended; and limits that hold under concurrency.

use std::time::{Duration, Instant};

use access::ledger::{CallFilter, CallRow, CallState, ScopeKind};
use access::{Limits, Nanodollars};
use emulator::{Fault, Step};
use futures_util::future::join_all;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::keys::{MASTER, chat, key, made};
use super::rig::{PATIENCE, Rig};

/// 0.06 and 0.24 dollars for a million tokens.
const NOVA: &str = "us.amazon.nova-lite-v1:0";

fn said(input: u64, output: u64) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Hello" }] } },
        "stopReason": "end_turn",
        "usage": { "inputTokens": input, "outputTokens": output, "totalTokens": input + output },
        "metrics": { "latencyMs": 1 },
    }))
}

/// Waits for so many rows whose calls have ended, and returns all.
pub(crate) async fn rows(rig: &Rig, count: usize) -> Vec<CallRow> {
    let accounts = rig.accounts.as_ref().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        accounts.flush().await;
        let filter = CallFilter { limit: 1000, ..CallFilter::default() };
        let rows = accounts.store().calls(filter).await.unwrap().rows;
        if rows.len() >= count && rows.iter().all(|row| !row.under_way) {
            return rows;
        }
        assert!(Instant::now() < deadline, "{} rows: {rows:#?}", rows.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_rt::test]
async fn every_call_has_one_row_with_its_cost_and_parties() {
    let rig = Rig::start(MASTER).await;
    let made = made(
        rig.accounts.as_ref().unwrap(),
        json!({ "key_alias": "billing", "team_id": null, "user_id": "u-1", "tags": ["batch"], "max_budget": 5, "rpm_limit": 60 }),
    )
    .await;
    rig.emulator.script().push(said(1000, 500));
    let bearer = format!("Bearer {}", made.secret.reveal());
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-litellm-tags", "one, two"),
        ("x-litellm-spend-logs-metadata", r#"{"cost":0,"user":"forged"}"#),
    ];
    let request = json!({
        "model": NOVA, "user": "tenant-42", "messages": [{ "role": "user", "content": "Hi" }],
    });
    let answer = rig.chat_with(&headers, &request).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("x-litellm-call-id", answer.header("x-request-id").unwrap()),
        ("x-litellm-model-id", answer.header("x-outcrop-target").unwrap()),
        ("x-litellm-model-group", NOVA),
        ("x-litellm-attempted-retries", "0"),
        ("x-litellm-key-spend", "0.00018"),
        ("x-litellm-key-max-budget", "5.0"),
        ("x-litellm-key-rpm-limit", "60"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert_eq!(answer.header("x-litellm-key-tpm-limit"), None, "what is not set has no header");
    let row = rows(&rig, 1).await.remove(0).closing;
    assert_eq!(row.state, CallState::Settled);
    assert_eq!(Some(row.call.id.as_str()), answer.header("x-request-id"));
    let who = &row.call.who;
    assert_eq!((&who.token, who.user.as_deref()), (&made.record.token, Some("u-1")));
    assert_eq!(who.customer.as_deref(), Some("tenant-42"));
    assert_eq!(who.tags, ["batch", "one", "two"]);
    let outcome = &row.outcome;
    assert_eq!((outcome.input, outcome.output, outcome.status), (1000, 500, 200));
    assert_eq!(outcome.cost, Nanodollars::parse("0.00018"));
    assert_eq!((outcome.model.as_str(), outcome.reach.as_deref()), (NOVA, Some("us")));
    assert_eq!(outcome.price_source.as_deref(), Some("listed"));
    assert_eq!((outcome.attempts, outcome.error_code.as_deref()), (1, None));
    rig.stop().await;
}

#[actix_rt::test]
async fn refused_calls_are_void_and_broken_ones_estimated() {
    let rig = Rig::start("master_key: sk-master\nrouting: { retries: { more: 0 } }\n").await;
    let key = key(&rig, json!({ "max_budget": 1 })).await;
    let refused = Step::Error {
        status: 400,
        kind: "ValidationException".to_owned(),
        message: "no".to_owned(),
        headers: Default::default(),
    };
    rig.emulator.script().push(refused);
    assert_eq!(chat(&rig, &key, NOVA).await.status, 400);
    let row = rows(&rig, 1).await.remove(0).closing;
    assert_eq!((row.state, row.outcome.status), (CallState::Voided, 400));

    rig.emulator.script().push(Step::Fault(Fault::Cut(3)));
    let bearer = format!("Bearer {key}");
    let mut request = super::models::ask(NOVA);
    request["stream"] = true.into();
    let cut = rig.chat_with(&[("authorization", &bearer)], &request).await;
    assert_eq!(cut.status, 200);
    let row = rows(&rig, 2).await.into_iter().find(|row| row.closing.state != CallState::Voided);
    let row = row.unwrap().closing;
    assert_eq!(row.state, CallState::Estimated);
    assert!(row.outcome.cost.unwrap() > Nanodollars::ZERO && row.outcome.output > 0);
    assert_eq!(row.outcome.error_code.as_deref(), Some("upstream_truncated"));

    // An answer that is refused before it is sent has no reservation left either.
    let accounts = rig.accounts.as_ref().unwrap();
    let spend =
        accounts.spend_of(ScopeKind::Key, &row.call.who.key_id, &Limits::default()).await.unwrap();
    assert_eq!(spend.reserved, Nanodollars::ZERO);
    assert_eq!(spend.total_spend, row.outcome.cost.unwrap());
    rig.stop().await;
}

/// A router, whose models are not known before it answers.
const UNPRICED: &str = "arn:aws:bedrock:us-east-1:123456789012:prompt-router/a1b2c3";

#[actix_rt::test]
async fn calls_without_a_whole_answer_are_estimated_on_every_door() {
    let rig = Rig::start(&format!(
        "{MASTER}routing: {{ retries: {{ more: 0 }} }}\ntimeouts: {{ first_byte: 0.3, first_byte_stream: 0.3, idle: 0.3 }}\n"
    ))
    .await;
    let key = key(&rig, json!({})).await;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let mut expected = 0;
    for model in [NOVA, UNPRICED] {
        let native = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] });
        let chat = super::models::ask(model);
        let mut stream = chat.clone();
        stream["stream"] = true.into();
        let path = format!("/bedrock/model/{}", model.replace(':', "%3A").replace('/', "%2F"));
        let mut doors = vec![
            ("/v1/chat/completions".to_owned(), chat),
            ("/v1/chat/completions".to_owned(), stream),
            (format!("{path}/converse"), native.clone()),
            (format!("{path}/converse-stream"), native.clone()),
        ];
        // InvokeModel takes no routers.
        if model == NOVA {
            doors.push((format!("{path}/invoke"), native));
        }
        for (path, request) in doors {
            for fault in [Fault::Silent, Fault::Cut(3)] {
                // InvokeModel tells its usage in headers.
                let state = match fault {
                    Fault::Cut(_) if path.ends_with("/invoke") => CallState::Settled,
                    _ => CallState::Estimated,
                };
                rig.emulator.script().push(Step::Fault(fault));
                let body = request.to_string().into();
                let (_, _, body) = rig.open_with(&headers, Method::POST, &path, body).await;
                // It ends in an error, or is cut off.
                let _ = tokio::time::timeout(PATIENCE, body.collect()).await.unwrap();
                expected += 1;
                let row = rows(&rig, expected).await.remove(0).closing;
                let told = format!("{path} {:?}", row.outcome);
                assert_eq!(row.state, state, "{told}");
                assert!(row.outcome.error_code.is_some(), "{told}");
                let cost = row.outcome.cost;
                assert_eq!(
                    cost.is_some_and(|cost| cost > Nanodollars::ZERO),
                    model == NOVA,
                    "{told}"
                );
                assert_eq!(cost.is_none(), model == UNPRICED, "{told}");
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_is_charged_for_what_it_saw() {
    let rig = Rig::start(MASTER).await;
    let key = key(&rig, json!({})).await;
    rig.emulator.script().push(Step::Fault(Fault::Stall(4)));
    let (_, _, mut body) = {
        let bearer = format!("Bearer {key}");
        let mut request = super::models::ask(NOVA);
        request["stream"] = true.into();
        rig.open_with(
            &[("authorization", &bearer)],
            Method::POST,
            "/v1/chat/completions",
            request.to_string().into(),
        )
        .await
    };
    let first = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap();
    assert!(first.is_some());
    drop(body);
    let row = rows(&rig, 1).await.remove(0).closing;
    assert_eq!(row.state, CallState::Estimated);
    assert_eq!(row.outcome.error_code.as_deref(), Some("client_closed"));
    assert!(row.outcome.input > 0 && row.outcome.cost.is_some(), "{row:#?}");
    rig.stop().await;
}

/// Sends a request and leaves once the upstream has it.
async fn leave_early(rig: &Rig, key: &str, path: &str, request: &Value) {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let sent = rig.open_with(&headers, Method::POST, path, request.to_string().into());
    tokio::select! {
        _ = sent => panic!("answered before the upstream was"),
        _ = rig.until(|calls| !calls.is_empty()) => {}
    }
    rig.emulator.journal().clear();
}

#[actix_rt::test]
async fn a_whole_answer_is_awaited_after_its_client_has_left() {
    let rig = Rig::start(MASTER).await;
    let key = key(&rig, json!({})).await;
    let native = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] });
    let native_path = format!("/bedrock/model/{NOVA}/converse");
    for (path, request) in
        [("/v1/chat/completions", super::models::ask(NOVA)), (&native_path, native)]
    {
        rig.emulator.script().push(Step::Fault(Fault::Slow(400)));
        leave_early(&rig, &key, path, &request).await;
    }
    for row in rows(&rig, 2).await {
        let outcome = &row.closing.outcome;
        assert_eq!(row.closing.state, CallState::Settled, "{outcome:#?}");
        assert!(outcome.output > 0 && outcome.status == 200, "{outcome:#?}");
    }
    // A gateway that stops does not wait for it.
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    leave_early(&rig, &key, "/v1/chat/completions", &super::models::ask(NOVA)).await;
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_ends_the_call_or_has_it_read_on_as_configured() {
    for (setting, state) in [("cancel", CallState::Estimated), ("drain", CallState::Settled)] {
        let rig = Rig::start(&format!("{MASTER}access: {{ on_disconnect: {setting} }}\n")).await;
        let key = key(&rig, json!({})).await;
        rig.emulator.script().push(Step::Fault(Fault::Slow(400)));
        leave_early(&rig, &key, "/v1/chat/completions", &super::models::ask(NOVA)).await;
        let row = rows(&rig, 1).await.remove(0).closing;
        assert_eq!(row.state, state, "{setting} of a whole answer");
        let text = "word ".repeat(2_000);
        rig.emulator.script().push(Step::Answer(json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 5, "outputTokens": 2_000, "totalTokens": 2_005 },
            "metrics": { "latencyMs": 1 },
        })));
        let mut request = super::models::ask(NOVA);
        request["stream"] = true.into();
        let bearer = format!("Bearer {key}");
        let path = "/v1/chat/completions";
        let headers = [("authorization", bearer.as_str())];
        let (_, _, mut body) =
            rig.open_with(&headers, Method::POST, path, request.to_string().into()).await;
        tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        drop(body);
        let rows = rows(&rig, 2).await;
        let row = rows.iter().map(|row| &row.closing).max_by_key(|row| row.call.at).unwrap();
        assert_eq!(row.state, state, "{setting} of a stream");
        assert_eq!(row.outcome.output == 2_000, setting == "drain", "{:#?}", row.outcome);
        rig.stop().await;
    }
}

#[actix_rt::test]
async fn a_strict_budget_reserves_all_that_a_model_may_write() {
    let rig = Rig::start(MASTER).await;
    // 4096 tokens cost 0.00098304 dollars, and the most that the model writes, 10000, cost 0.0024.
    for (fields, status) in [
        (json!({ "max_budget": 0.002 }), 200),
        (json!({ "max_budget": 0.002, "strict_budget": true }), 429),
        (json!({ "max_budget": 0.003, "strict_budget": true }), 200),
        (json!({ "strict_budget": true }), 200),
    ] {
        let key = key(&rig, fields.clone()).await;
        assert_eq!(chat(&rig, &key, NOVA).await.status, status, "{fields}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_budget_for_ten_calls_passes_ten_of_two_hundred() {
    let rig = Rig::start_with(2, MASTER).await;
    ten_of_two_hundred(&[&rig]).await;
    rig.stop().await;
}

#[actix_rt::test]
async fn replicas_with_one_store_share_a_budget() {
    let folder = std::env::temp_dir().join(format!("outcrop-replicas-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&folder).unwrap();
    let yaml = format!("{MASTER}database_url: sqlite:{}/shared.db\n", folder.display());
    let (one, two, three) =
        (Rig::start(&yaml).await, Rig::start(&yaml).await, Rig::start(&yaml).await);
    ten_of_two_hundred(&[&one, &two, &three]).await;
    for rig in [one, two, three] {
        rig.stop().await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Sends 200 calls at once to replicas, with a key whose budget has room for ten.
async fn ten_of_two_hundred(rigs: &[&Rig]) {
    let request = json!({
        "model": NOVA, "max_tokens": 100, "messages": [{ "role": "user", "content": "Hi" }],
    });
    // Four bytes a token: what is used is what was reserved.
    let read = u64::try_from(request.to_string().len() / 4).unwrap();
    let nano = i64::try_from(10 * (read * 60 + 100 * 240)).unwrap();
    let budget: Value = serde_json::from_str(&Nanodollars::new(nano).to_string()).unwrap();
    let key = key(rigs[0], json!({ "max_budget": budget, "budget_duration": "1d" })).await;
    let bearer = format!("Bearer {key}");
    for rig in rigs {
        (0..200).for_each(|_| rig.emulator.script().push(said(read, 100)));
    }
    let sent = (0..200).map(async |at| {
        let rig = rigs[at % rigs.len()];
        let answer = rig.chat_with(&[("authorization", &bearer)], &request).await;
        (answer.status, answer.json())
    });
    let answers = join_all(sent).await;
    let of = |wanted: u16| answers.iter().filter(move |(status, _)| *status == wanted);
    assert_eq!((of(200).count(), of(429).count()), (10, 190), "{answers:?}");
    let calls: usize = rigs.iter().map(|rig| rig.emulator.journal().calls().len()).sum();
    assert_eq!(calls, 10);
    let error = &of(429).next().unwrap().1["error"];
    let expected = (&json!("budget_exceeded"), &json!("insufficient_quota"));
    assert_eq!((&error["type"], &error["code"]), expected);
    let text = error["message"].as_str().unwrap();
    assert!(text.starts_with("Budget has been exceeded! Key=sk-..."), "{text}");
    let rows = rows(rigs[0], 10).await;
    assert_eq!(rows.len(), 10);
    let id = &rows[0].closing.call.who.key_id;
    let accounts = rigs[0].accounts.as_ref().unwrap();
    let spend = accounts.spend_of(ScopeKind::Key, id, &Limits::default()).await.unwrap();
    assert_eq!((spend.reserved, spend.total_spend), (Nanodollars::ZERO, Nanodollars::new(nano)));
}

#[actix_rt::test]
async fn limits_refuse_with_the_headers_that_clients_heed() {
    let rig = Rig::start(MASTER).await;
    let once = key(&rig, json!({ "rpm_limit": 1 })).await;
    assert_eq!(chat(&rig, &once, NOVA).await.status, 200);
    let refused = chat(&rig, &once, NOVA).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("rate_limit_type"), Some("requests"));
    assert_eq!(refused.header("x-outcrop-limit"), Some("key"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let text = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Rate limit exceeded for api_key: sk-..."), "{text}");

    let spent = key(&rig, json!({ "max_budget": 0 })).await;
    let refused = chat(&rig, &spent, NOVA).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(refused.header("retry-after"), None, "a lifetime has no end");
    let bearer = format!("Bearer {spent}");
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hi" }] }] });
    let path = format!("/bedrock/model/{NOVA}/converse");
    let native = rig
        .send_with(&[("authorization", &bearer)], Method::POST, &path, body.to_string().into())
        .await;
    let kind = native.header("x-amzn-errortype");
    assert_eq!((native.status, kind), (400, Some("ServiceQuotaExceededException")));
    let unpriced = chat(&rig, &spent, "emulator.echo").await;
    assert_eq!(unpriced.status, 400);
    assert_eq!(rig.emulator.journal().calls().len(), 1);
    rig.stop().await;
}
