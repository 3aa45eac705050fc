//! Reload of the configuration under load: requests keep the configuration they began with, bad files
//! change nothing.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use emulator::Options;
use serde_json::json;
use tokio::sync::Semaphore;

use super::models::ask;
use super::rig::{PATIENCE, Rig, events};

fn fast(model: &str) -> String {
    format!("models:\n  fast: {model}\n")
}

fn called(rig: &Rig) -> Vec<String> {
    rig.emulator.journal().calls().into_iter().filter_map(|call| call.model_id).collect()
}

#[actix_rt::test]
async fn a_good_file_counts_at_once_and_a_bad_one_not_at_all() {
    let rig = Rig::start(&fast("nova-lite")).await;
    rig.chat(&ask("fast")).await;
    rig.reload(&fast("nova-micro")).await.unwrap();
    rig.chat(&ask("fast")).await;
    for bad in ["models: [", "models: { fast: 1 }\n", "lisen: 1\n", "models:\n  fast:\n"] {
        let error = rig.reload(bad).await.unwrap_err().to_string();
        assert!(error.contains("outcrop.yaml:"), "{error}");
        rig.chat(&ask("fast")).await;
    }
    let nova = |size: &str| format!("us.amazon.nova-{size}-v1:0");
    let mut expected = vec![nova("lite")];
    expected.extend(vec![nova("micro"); 5]);
    assert_eq!(called(&rig), expected);
    rig.reload("models_only: true\nmodels: { slow: nova-lite }\nbody: { max_mib: 1 }\n")
        .await
        .unwrap();
    assert_eq!(rig.chat(&ask("fast")).await.status, 404);
    assert_eq!(rig.chat(&ask("slow")).await.status, 200);
    let mut long = ask("slow");
    long["messages"][0]["content"] = json!("x".repeat(2 * 1024 * 1024));
    assert_eq!(rig.chat(&long).await.status, 413, "limits are reloaded too");
    rig.stop().await;
}

#[actix_rt::test]
async fn an_open_stream_ends_as_it_began() {
    let emulator =
        emulator::start(Options { pace: Duration::from_millis(20), ..Options::default() }).await;
    let rig = Rig::before(emulator.unwrap(), &fast("nova-lite")).await;
    let mut request = ask("fast");
    request["stream"] = json!(true);
    request["messages"][0]["content"] = json!("Tell me about granite and its minerals.");
    let (status, _, body) = rig.chat_open(&request).await;
    assert_eq!(status, 200);
    rig.reload("models_only: true\nmodels: { other: nova-micro }\n").await.unwrap();
    assert_eq!(rig.chat(&ask("fast")).await.status, 404, "the new configuration is in force");
    let whole = http_body_util::BodyExt::collect(body);
    let whole = tokio::time::timeout(PATIENCE, whole).await.unwrap().unwrap().to_bytes();
    assert!(events(std::str::from_utf8(&whole).unwrap()).1, "the stream came to its end");
    rig.stop().await;
}

/// Up to 300 requests per second, at most 40 at a time, with ten reloads, every other one of an unusable file.
#[actix_rt::test]
async fn reloads_under_load_lose_no_request() {
    const REQUESTS: usize = 900;
    // A delay on a busy machine is not a loss.
    let fast = |model| format!("{}timeouts: {{ connect: 60 }}\n", fast(model));
    let rig = Rc::new(Rig::start(&fast("nova-lite")).await);
    let mut tick = tokio::time::interval(Duration::from_micros(3_333));
    let mut sent = Vec::with_capacity(REQUESTS);
    // Fewer than there are between two reloads: on any machine, each configuration serves some of them.
    let open = Arc::new(Semaphore::new(40));
    let (mut good, mut bad) = (0, 0);
    for number in 0..REQUESTS {
        tick.tick().await;
        let of_task = Rc::clone(&rig);
        let permit = Arc::clone(&open).acquire_owned().await.unwrap();
        sent.push(actix_rt::spawn(async move {
            let _permit = permit;
            let mut request = ask("fast");
            request["stream"] = json!(number % 3 == 0);
            let answer = of_task.chat(&request).await;
            assert_eq!(answer.status, 200, "{number}: {}", String::from_utf8_lossy(&answer.body));
            assert!(
                number % 3 != 0 || answer.events().1,
                "{number}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        }));
        if number % 90 == 45 {
            let outcome = match (number / 90) % 4 {
                0 => rig.reload(&fast("nova-micro")).await,
                2 => rig.reload(&fast("nova-lite")).await,
                _ => rig.reload("models: { fast: ").await,
            };
            match outcome {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
    }
    assert_eq!((good, bad), (5, 5));
    for one in sent {
        one.await.unwrap();
    }
    let ids = called(&rig);
    assert_eq!(ids.len(), REQUESTS);
    for size in ["lite", "micro"] {
        let count = ids.iter().filter(|id| id.contains(size)).count();
        assert!(count > REQUESTS / 10, "{count} calls of {size}");
    }
    Rc::into_inner(rig).unwrap().stop().await;
}
