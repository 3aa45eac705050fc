//! Traces, as a collector gets them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use http::Method;
use serde_json::{Value, json};

use crate::models::ask;
use crate::rig::{PATIENCE, Rig};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

/// Messages, each with the value of the header `x-key`.
type Messages = Arc<Mutex<Vec<(Option<String>, Value)>>>;

/// A collector of OTLP over HTTP, which refuses its first message for now.
struct Collector {
    url: String,
    messages: Messages,
    handle: actix_web::dev::ServerHandle,
}

impl Collector {
    fn start() -> Self {
        let messages = Messages::default();
        let kept = Arc::clone(&messages);
        let refused = Arc::new(Mutex::new(false));
        let server = HttpServer::new(move || {
            let (kept, refused) = (Arc::clone(&kept), Arc::clone(&refused));
            let take = move |http: HttpRequest, body: web::Bytes| {
                let is_first = !std::mem::replace(&mut *refused.lock().unwrap(), true);
                if !is_first {
                    assert_eq!(http.headers().get("content-type").unwrap(), "application/json");
                    let key = http.headers().get("x-key");
                    let key = key.map(|key| key.to_str().unwrap().to_owned());
                    kept.lock().unwrap().push((key, serde_json::from_slice(&body).unwrap()));
                }
                async move {
                    if is_first { HttpResponse::ServiceUnavailable() } else { HttpResponse::Ok() }
                        .finish()
                }
            };
            App::new()
                .app_data(web::PayloadConfig::new(16 << 20))
                .route("/v1/traces", web::post().to(take))
        });
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self { url, messages, handle }
    }

    fn yaml(&self, more: &str) -> String {
        format!("telemetry: {{ traces: {{ endpoint: '{}', delay: 0.1{more} }} }}\n", self.url)
    }

    /// The spans of all messages, once there are this many.
    async fn spans(&self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let messages = self.messages.lock().unwrap().clone();
            let spans: Vec<Value> = messages
                .iter()
                .flat_map(|(_, message)| {
                    message["resourceSpans"][0]["scopeSpans"][0]["spans"]
                        .as_array()
                        .unwrap()
                        .clone()
                })
                .collect();
            if wanted(&spans) {
                return spans;
            }
            assert!(Instant::now() < deadline, "not in time: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The attributes of a span, or of a resource.
fn attributes(of: &Value) -> BTreeMap<String, Value> {
    let one = |pair: &Value| {
        let value = pair["value"].as_object().unwrap().values().next().unwrap().clone();
        (pair["key"].as_str().unwrap().to_owned(), value)
    };
    of["attributes"].as_array().unwrap().iter().map(one).collect()
}

fn named<'s>(spans: &'s [Value], name: &str) -> &'s Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"))
}

fn nanos(span: &Value, name: &str) -> u64 {
    span[name].as_str().unwrap().parse().unwrap()
}

#[actix_rt::test]
async fn a_callers_trace_goes_on_through_steps_and_attempts() {
    let collector = Collector::start();
    let yaml = collector.yaml(
        ", sample: 0, headers: 'x-key=a%20b', service_name: gate, resource_attributes: 'team=red'",
    );
    let rig = Rig::start(&yaml).await;
    let sampled = format!("{CALLER}-01");
    let mut request = ask("nova-lite");
    request["stream"] = json!(true);
    let answer = rig.chat_with(&[("traceparent", &sampled)], &request).await;
    assert_eq!(answer.status, 200);
    let spans = collector.spans(|spans| !spans.is_empty()).await;
    let (key, message) = collector.messages.lock().unwrap()[0].clone();
    assert_eq!(key.as_deref(), Some("a b"));
    let resource = attributes(&message["resourceSpans"][0]["resource"]);
    assert_eq!((&resource["service.name"], &resource["team"]), (&json!("gate"), &json!("red")));

    let root = named(&spans, "chat");
    assert_eq!((&root["parentSpanId"], &root["kind"]), (&json!("00f067aa0ba902b7"), &json!(2)));
    for span in &spans {
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        let (began, ended) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
        assert!(nanos(root, "startTimeUnixNano") <= began && began <= ended, "{span}");
        assert!(ended <= nanos(root, "endTimeUnixNano"), "{span}");
    }
    let about = attributes(root);
    assert_eq!(about["http.response.status_code"], "200");
    assert_eq!(about["outcrop.request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(about["outcrop.outcome"], "complete");
    assert!(about["outcrop.cost_usd"].as_f64().unwrap() > 0.0, "{about:?}");
    let steps =
        ["identify", "read", "admit", "media", "translate", "dispatch", "respond", "settle"];
    for step in steps {
        assert_eq!(named(&spans, step)["parentSpanId"], root["spanId"], "{step}");
    }
    let attempt = named(&spans, "chat us.amazon.nova-lite-v1:0");
    assert_eq!(attempt["parentSpanId"], named(&spans, "dispatch")["spanId"]);
    assert_eq!(attempt["kind"], 3);
    let about = attributes(attempt);
    assert_eq!(about["gen_ai.provider.name"], "aws.bedrock");
    assert_eq!(about["gen_ai.request.model"], "nova-lite");
    assert_eq!(about["cloud.region"], "us-east-1");
    for count in ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"] {
        assert_ne!(about[count], "0", "{about:?}");
    }
    assert!(about["gen_ai.response.time_to_first_chunk"].as_f64().unwrap() > 0.0, "{about:?}");
    let ids: std::collections::BTreeSet<_> =
        spans.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), spans.len()), (steps.len() + 2, steps.len() + 2), "{spans:#?}");
    // What was said is in no span.
    assert!(!message.to_string().contains("messages"), "{message}");
    rig.stop().await;
    collector.handle.stop(false).await;
}

#[actix_rt::test]
async fn requests_are_sampled_by_chance_or_by_their_callers_flag() {
    let collector = Collector::start();
    let all = Rig::start(&collector.yaml(", sample: 1")).await;
    let off = format!("{CALLER}-00");
    assert_eq!(all.chat_with(&[("traceparent", &off)], &ask("nova-lite")).await.status, 200);
    assert_eq!(all.chat_with(&[("traceparent", "junk")], &json!({})).await.status, 400);
    let spans = collector.spans(|spans| !spans.is_empty()).await;
    let roots: Vec<_> = spans.iter().filter(|span| span["kind"] == 2).collect();
    assert_eq!(roots.len(), 1, "the caller of the first has decided: {spans:#?}");
    assert_eq!(roots[0].get("parentSpanId"), None);
    let about = attributes(roots[0]);
    assert_eq!(
        (&about["http.response.status_code"], &about["url.path"]),
        (&json!("400"), &json!("/v1/chat/completions"))
    );
    assert!(about.contains_key("error.type"), "{about:?}");
    all.stop().await;
    collector.handle.stop(false).await;
}

#[actix_rt::test]
async fn a_collector_that_is_away_holds_up_no_request() {
    let yaml = "telemetry: { traces: { endpoint: 'http://127.0.0.1:9', sample: 1 } }\n";
    let rig = Rig::start(yaml).await;
    for _ in 0..20 {
        assert_eq!(rig.chat(&ask("nova-lite")).await.status, 200);
    }
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "a" }] }] });
    let path = "/bedrock/model/amazon.nova-lite-v1:0/converse";
    let answer = rig.send(Method::POST, path, body.to_string().into()).await;
    assert_eq!(answer.status, 200);
    rig.stop().await;
}
