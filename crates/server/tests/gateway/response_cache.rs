//! Kept answers: a repeated request is answered without a call and costs 0, for the same caller alone, and
//! only where caller and operator want it.

use access::Nanodollars;
use access::ledger::CallState;
use emulator::{Fault, Step};
use http::Method;
use serde_json::{Value, json};

use super::keys::{MASTER, key};
use super::ledger::rows;
use super::redis_server::RedisServer;
use super::rig::{Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const ALL: &str = "response_cache: { mode: all }\n";

fn ask(text: &str, stream: bool) -> Value {
    json!({ "model": NOVA, "stream": stream, "messages": [{ "role": "user", "content": text }] })
}

fn cache(answer: &Received) -> (u16, Option<&str>) {
    (answer.status, answer.header("x-outcrop-cache"))
}

fn count(rig: &Rig) -> usize {
    rig.emulator.journal().calls().len()
}

#[actix_rt::test]
async fn a_repeated_request_is_answered_by_the_same_bytes_on_each_door() {
    let rig = Rig::start(ALL).await;
    let text = json!([{ "role": "user", "content": "one two three" }]);
    let doors = [
        ("/v1/chat/completions", json!({ "messages": text })),
        ("/v1/messages", json!({ "messages": text, "max_tokens": 100 })),
        ("/v1/responses", json!({ "input": "one two three", "store": false })),
        ("/v1/completions", json!({ "prompt": "one two three" })),
    ];
    let mut calls = 0;
    for (path, body) in doors {
        for stream in [false, true] {
            let mut body = body.clone();
            (body["model"], body["stream"]) = (NOVA.into(), stream.into());
            let send = || rig.send(Method::POST, path, body.to_string().into());
            let (first, second) = (send().await, send().await);
            calls += 1;
            assert_eq!(cache(&first), (200, Some("miss")), "{path}");
            assert_eq!(cache(&second), (200, Some("hit")), "{path}");
            assert_eq!(first.body, second.body, "{path}");
            for name in ["content-type", "x-outcrop-target", "x-outcrop-model"] {
                assert_eq!(first.header(name), second.header(name), "{name}");
            }
            assert!(second.header("age").is_some());
            assert_eq!(second.header("x-litellm-cache-key").unwrap().len(), 64);
            assert_eq!(second.header("x-outcrop-attempts"), None, "no call was made");
            assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
            assert_eq!(count(&rig), calls, "{path}");
        }
    }
    let metrics = rig.send(Method::GET, "/metrics", "".into()).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "outcrop_response_cache_total{result=\"hit\"} 8",
        "outcrop_response_cache_total{result=\"miss\"} 8",
        "outcrop_response_cache_entries 8",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_hit_costs_nothing_and_counts_in_the_limits_on_requests() {
    let rig = Rig::start(&format!("{MASTER}{ALL}")).await;
    let bearer = format!("Bearer {}", key(&rig, json!({ "rpm_limit": 2 })).await);
    let headers = [("authorization", bearer.as_str())];
    let first = rig.chat_with(&headers, &ask("one", false)).await;
    let second = rig.chat_with(&headers, &ask("one", false)).await;
    assert_eq!((cache(&first).1, cache(&second).1), (Some("miss"), Some("hit")));
    assert_eq!(second.header("x-outcrop-cost-usd"), Some("0"));
    assert_eq!(rig.chat_with(&headers, &ask("one", false)).await.status, 429);
    let rows = rows(&rig, 2).await;
    let id = second.header("x-request-id").unwrap();
    let hit = &rows.iter().find(|row| row.closing.call.id == id).unwrap().closing;
    assert_eq!((hit.state, hit.cost()), (CallState::Settled, Some(Nanodollars::ZERO)));
    assert_eq!(hit.outcome.price_source.as_deref(), Some("cache_hit"));
    assert_eq!((hit.outcome.model.as_str(), hit.outcome.attempts), (NOVA, 0));
    // Another key has answers of its own.
    let other = format!("Bearer {}", key(&rig, json!({})).await);
    let other = rig.chat_with(&[("authorization", &other)], &ask("one", false)).await;
    assert_eq!(cache(&other), (200, Some("miss")));
    rig.stop().await;
}

#[actix_rt::test]
async fn callers_ask_for_kept_answers_or_forbid_them() {
    let rig = Rig::start("response_cache: { mode: on_request }\n").await;
    let on = [("x-outcrop-cache", "on")];
    for _ in 0..2 {
        assert_eq!(cache(&rig.chat(&ask("one", false)).await), (200, None));
    }
    assert_eq!(cache(&rig.chat_with(&on, &ask("one", false)).await), (200, Some("miss")));
    assert_eq!(cache(&rig.chat_with(&on, &ask("one", false)).await), (200, Some("hit")));
    let mut member = ask("one", false);
    member["cache"] = json!({ "use-cache": true });
    let answer = rig.chat(&member).await;
    assert_eq!(cache(&answer), (200, Some("hit")), "LiteLLM's member is no part of the request");
    assert_eq!(answer.header("x-outcrop-ignored"), None);
    // A new answer replaces the kept one.
    let fresh = [on[0], ("cache-control", "no-cache")];
    assert_eq!(cache(&rig.chat_with(&fresh, &ask("one", false)).await), (200, Some("miss")));
    let secret = [on[0], ("cache-control", "no-store")];
    for _ in 0..2 {
        assert_eq!(cache(&rig.chat_with(&secret, &ask("two", false)).await).1, None);
    }
    member["cache"] = json!({ "use-cache": 1 });
    let refused = rig.chat(&member).await;
    assert_eq!((refused.status, refused.json()["error"]["param"].as_str()), (400, Some("cache")));
    let wrong = rig.chat_with(&[("x-outcrop-cache", "perhaps")], &ask("one", false)).await;
    assert_eq!(wrong.status, 400);
    rig.stop().await;
}

#[actix_rt::test]
async fn what_is_not_whole_or_not_the_same_is_not_kept() {
    let rig = Rig::start(ALL).await;
    rig.emulator.script().push(Step::Fault(Fault::Cut(3)));
    let broken = rig.chat(&ask("one", true)).await;
    assert!(!broken.events().1);
    assert_eq!(cache(&rig.chat(&ask("one", true)).await), (200, Some("miss")));
    assert_eq!(cache(&rig.chat(&ask("one", true)).await), (200, Some("hit")));
    for change in [json!({ "temperature": 0.5 }), json!({ "max_tokens": 9 }), json!({ "n": 2 })] {
        let mut request = ask("one", false);
        request.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(cache(&rig.chat(&request).await).1, Some("miss"), "{change}");
    }
    let policy = [("x-outcrop-unsupported-params", "drop")];
    assert_eq!(cache(&rig.chat_with(&policy, &ask("one", true)).await).1, Some("miss"));
    // An agent may do more than answer.
    for _ in 0..2 {
        let request =
            json!({ "model": "agent/EMULAAGENT/LIVE", "messages": ask("one", false)["messages"] });
        assert_eq!(cache(&rig.chat(&request).await), (200, None));
    }
    // A stored response has an id of its own.
    for _ in 0..2 {
        let body = json!({ "model": NOVA, "input": "one" }).to_string();
        assert_eq!(cache(&rig.send(Method::POST, "/v1/responses", body.into()).await).1, None);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn replicas_share_answers_sealed_in_redis() {
    let Some(server) = RedisServer::start() else { return };
    let yaml = format!(
        "master_key: sk-master-of-replicas\naccess: {{ redis_url: '{}', redis_timeout: 10 }}\nresponse_cache: {{ mode: all, redis: true }}\n",
        server.url()
    );
    let (one, other) = (Rig::start(&yaml).await, Rig::start(&yaml).await);
    let headers = [("authorization", "Bearer sk-master-of-replicas")];
    let first = one.chat_with(&headers, &ask("granite", false)).await;
    assert_eq!(cache(&first), (200, Some("miss")));
    let deadline = std::time::Instant::now() + super::rig::PATIENCE;
    // The other replica keeps no answers of its own. The first one stores its answer after it was sent.
    let reads = [headers[0], ("cache-control", "no-store")];
    let second = loop {
        let second = other.chat_with(&reads, &ask("granite", false)).await;
        if cache(&second).1 == Some("hit") {
            break second;
        }
        assert!(std::time::Instant::now() < deadline);
    };
    assert_eq!(second.body, first.body);
    assert_eq!(second.status, 200);
    one.stop().await;
    other.stop().await;
}
