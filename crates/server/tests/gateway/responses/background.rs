//! Responses that are made in the background: they outlive their client, are followed, cancelled, and told to
//! have failed.

use std::time::{Duration, Instant};

use emulator::{Fault, Step};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::stored::{ANN, BOB, refusal};
use super::{NOVA, events, response, text_of};
use crate::rig::{PATIENCE, Received, Rig};

impl Rig {
    async fn kept(&self, caller: (&str, &str), method: Method, below: &str) -> Received {
        let path = format!("/v1/responses/{below}");
        self.send_with(&[caller], method, &path, bytes::Bytes::new()).await
    }

    /// A streamed response that has begun: its id, and the rest of its events.
    async fn begun(&self, request: &Value) -> (String, Incoming) {
        let body = request.to_string().into();
        let (status, _, mut body) =
            self.open_with(&[ANN], Method::POST, "/v1/responses", body).await;
        assert_eq!(status, 200);
        let mut begun = String::new();
        loop {
            let frame = timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
            begun += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
            // Comments may come first, where the machine is busy.
            if let Some((_, id)) = begun.split_once(r#""id":"resp_"#) {
                return (format!("resp_{}", id.split('"').next().unwrap()), body);
            }
        }
    }

    /// The response once it has ended.
    async fn ended(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let object = self.kept(ANN, Method::GET, id).await.json();
            if !["queued", "in_progress"].contains(&object["status"].as_str().unwrap()) {
                return object;
            }
            assert!(begun.elapsed() < PATIENCE, "{object}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn in_background(model: &str, input: &str, stream: bool) -> Value {
    json!({ "model": model, "input": input, "background": true, "stream": stream })
}

#[actix_rt::test]
async fn a_response_is_queued_and_completed_without_its_client() {
    let rig = Rig::start("").await;
    let queued = rig.respond_with(&[ANN], &in_background("emulator.echo", "one", false)).await;
    assert_eq!(queued.status, 200);
    let queued = queued.json();
    assert_eq!((&queued["status"], &queued["background"]), (&json!("queued"), &json!(true)));
    assert_eq!((&queued["output"], &queued["usage"]), (&json!([]), &Value::Null));
    let id = queued["id"].as_str().unwrap();
    let made = rig.ended(id).await;
    assert_eq!((&made["status"], text_of(&made).as_str()), (&json!("completed"), "one"));
    assert_eq!((&made["background"], &made["id"]), (&json!(true), &queued["id"]));
    // It has no events, belongs to its caller, and is continued like any other.
    let stream = rig.kept(ANN, Method::GET, &format!("{id}?stream=true")).await;
    assert_eq!(refusal(&stream), (400, json!("unsupported_parameter"), json!("stream")));
    assert_eq!(rig.kept(BOB, Method::GET, id).await.status, 404);
    assert_eq!(rig.kept(BOB, Method::POST, &format!("{id}/cancel")).await.status, 404);
    let next = json!({ "model": "emulator.echo", "input": "two", "previous_response_id": id });
    assert_eq!(text_of(&response(&rig.respond_with(&[ANN], &next).await)), "two");
    rig.stop().await;
}

#[actix_rt::test]
async fn events_are_followed_and_read_again() {
    let rig = Rig::start("").await;
    let request = in_background("emulator.echo", "one two three four", true);
    let live = rig.respond_with(&[ANN], &request).await;
    let all = events(&live);
    let numbers: Vec<u64> =
        all.iter().map(|(_, data)| data["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
    let last = &all.last().unwrap().1["response"];
    assert_eq!((&last["status"], &last["background"]), (&json!("completed"), &json!(true)));
    let id = last["id"].as_str().unwrap();
    assert_eq!(rig.ended(id).await, *last);
    for (query, skipped) in [("?stream=true", 0), ("?stream=true&starting_after=2", 3)] {
        let again = events(&rig.kept(ANN, Method::GET, &format!("{id}{query}")).await);
        assert_eq!(again, all[skipped..], "{query}");
    }
    let past = rig.kept(ANN, Method::GET, &format!("{id}?stream=true&starting_after=999")).await;
    assert_eq!((past.status, &*past.body), (200, &b"data: [DONE]\n\n"[..]));
    for (query, param) in [
        ("?stream=true&starting_after=x", "starting_after"),
        ("?starting_after=1", "starting_after"),
        ("?stream=maybe", "stream"),
    ] {
        let refused = rig.kept(ANN, Method::GET, &format!("{id}{query}")).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(param)));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_response_is_cancelled_before_and_within_its_answer() {
    // Before: the model has not begun.
    let rig = Rig::start("").await;
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    let id = rig.respond_with(&[ANN], &in_background(NOVA, "x", false)).await.json()["id"].clone();
    let below = format!("{}/cancel", id.as_str().unwrap());
    let cancelled = rig.kept(ANN, Method::POST, &below).await;
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(cancelled.json()["error"], Value::Null);
    assert_eq!(rig.kept(ANN, Method::POST, &below).await.json(), cancelled.json());
    rig.stop().await;
    // Within: what there is stays.
    let rig = Rig::start("").await;
    let words = "granite ".repeat(20_000);
    let (id, mut body) = rig.begun(&in_background("emulator.echo", &words, true)).await;
    let cancelled = rig.kept(ANN, Method::POST, &format!("{id}/cancel")).await.json();
    assert_eq!((&cancelled["status"], &cancelled["error"]), (&json!("cancelled"), &Value::Null));
    let mut last = String::new();
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.unwrap() {
        last += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
    }
    assert!(last.ends_with("data: [DONE]\n\n"));
    assert!(last.contains("event: response.incomplete\n"));
    assert_eq!(rig.ended(&id).await, cancelled);
    for item in cancelled["output"].as_array().unwrap() {
        assert_eq!(item["status"], "incomplete", "{item}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_outlives_its_client() {
    let rig = Rig::start("").await;
    let words = "granite ".repeat(200);
    let (id, body) = rig.begun(&in_background("emulator.echo", &words, true)).await;
    drop(body);
    let made = rig.ended(&id).await;
    assert_eq!((&made["status"], text_of(&made)), (&json!("completed"), words));
    let again = events(&rig.kept(ANN, Method::GET, &format!("{id}?stream=true")).await);
    assert_eq!(again.last().unwrap().1["response"], made);
    rig.stop().await;
}

#[actix_rt::test]
async fn failures_are_kept() {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    for stream in [false, true] {
        let begun =
            rig.respond_with(&[ANN], &in_background("emulator.throttle", "x", stream)).await;
        assert_eq!(begun.status, 200);
        let object = if stream { response(&begun) } else { begun.json() };
        let failed = rig.ended(object["id"].as_str().unwrap()).await;
        assert_eq!(failed["status"], "failed");
        assert_eq!(failed["error"]["code"], "rate_limit_exceeded", "{failed}");
        let next = json!({ "model": NOVA, "input": "y", "previous_response_id": failed["id"] });
        let refused = rig.respond_with(&[ANN], &next).await;
        assert_eq!(refusal(&refused).1, json!("previous_response_not_found"));
    }
    let begun =
        rig.respond_with(&[ANN], &in_background("emulator.cut-3", "a b c d e f", true)).await;
    let object = response(&begun);
    assert_eq!(object["error"]["code"], "server_error");
    assert_eq!(rig.ended(object["id"].as_str().unwrap()).await, object);
    // A request that cannot be accepted is refused at once.
    for request in [
        json!({ "model": NOVA, "input": [], "background": true }),
        json!({ "model": NOVA, "input": "x", "background": true, "store": false }),
        json!({ "model": NOVA, "input": "x", "background": true, "previous_response_id": "resp_x" }),
    ] {
        let refused = rig.respond_with(&[ANN], &request).await;
        assert_eq!(refused.status, 400, "{request}");
    }
    let usual = response(&rig.respond_with(&[ANN], &json!({ "model": NOVA, "input": "x" })).await);
    let id = usual["id"].as_str().unwrap();
    let refused = rig.kept(ANN, Method::POST, &format!("{id}/cancel")).await;
    assert_eq!(refusal(&refused).0, 400);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_response_being_made_can_be_deleted_and_not_continued() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(Step::Fault(Fault::Silent));
    let begun = rig.respond_with(&[ANN], &in_background(NOVA, "x", false)).await.json();
    let id = begun["id"].as_str().unwrap();
    assert_eq!(rig.kept(ANN, Method::GET, id).await.json()["status"], "in_progress");
    let next = json!({ "model": NOVA, "input": "y", "previous_response_id": id });
    let refused = rig.respond_with(&[ANN], &next).await;
    assert_eq!(refusal(&refused), (400, json!("invalid_value"), json!("previous_response_id")));
    assert_eq!(rig.kept(ANN, Method::DELETE, id).await.status, 200);
    assert_eq!(rig.kept(ANN, Method::GET, id).await.status, 404);
    rig.stop().await;
}
