//! Rate limits of gateways that share a Redis: they hold over replicas, and calls pass while it is away.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use super::keys::{MASTER, chat, key};
use super::redis_server::RedisServer;
use super::rig::{PATIENCE, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";

/// Replicas with one store and one Redis.
async fn replicas(server: &RedisServer, timeout: f64) -> (Vec<Rig>, std::path::PathBuf) {
    let folder = std::env::temp_dir().join(format!("outcrop-rates-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&folder).unwrap();
    let yaml = format!(
        "{MASTER}database_url: sqlite:{}/shared.db\naccess: {{ redis_url: '{}', redis_timeout: {timeout} }}\n",
        folder.display(),
        server.url()
    );
    let mut rigs = Vec::new();
    for _ in 0..3 {
        rigs.push(Rig::start(&yaml).await);
    }
    (rigs, folder)
}

#[actix_rt::test]
async fn ten_of_two_hundred_calls_pass_on_three_replicas() {
    let Some(server) = RedisServer::start() else { return };
    // The machine may be busy.
    let (rigs, folder) = replicas(&server, 10.0).await;
    let key = key(&rigs[0], json!({ "rpm_limit": 10, "max_parallel_requests": 100 })).await;
    let sent = (0..200).map(|at| chat(&rigs[at % 3], &key, NOVA));
    let answers = join_all(sent).await;
    let of = |wanted: u16| answers.iter().filter(move |answer| answer.status == wanted);
    assert_eq!((of(200).count(), of(429).count()), (10, 190));
    let calls: usize = rigs.iter().map(|rig| rig.emulator.journal().calls().len()).sum();
    assert_eq!(calls, 10);
    let left = of(200).map(|answer| answer.header("x-ratelimit-remaining-requests").unwrap());
    let mut left: Vec<u64> = left.map(|left| left.parse().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let refused = of(429).next().unwrap();
    assert_eq!(refused.header("rate_limit_type"), Some("requests"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    for rig in rigs {
        rig.stop().await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[actix_rt::test]
async fn calls_pass_while_redis_is_away() {
    let Some(mut server) = RedisServer::start() else { return };
    let (rigs, folder) = replicas(&server, 10.0).await;
    let key = key(&rigs[0], json!({ "rpm_limit": 2 })).await;
    assert_eq!(chat(&rigs[0], &key, NOVA).await.status, 200);
    server.halt();
    for rig in &rigs {
        // By the rates of each process.
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(chat(rig, &key, NOVA).await.status);
        }
        assert_eq!(statuses, [200, 200, 429]);
    }
    server.go();
    // It is asked again within seconds, and knows nothing of the calls before.
    let start = Instant::now();
    while chat(&rigs[0], &key, NOVA).await.status == 429 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for rig in rigs {
        rig.stop().await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
