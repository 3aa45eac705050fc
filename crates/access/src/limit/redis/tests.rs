//! Rates in a real Redis: against those of one process, between replicas, and while the server is away or slow.

mod differential;
#[path = "../../../tests/support/redis_server.rs"]
mod redis_server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::UtcTime;
use crate::limit::RateLimits;

use redis_server::RedisServer;

/// Longer than any step takes, on a machine a hundred times as slow.
const LONG: Duration = Duration::from_secs(120);

fn pepper() -> Pepper {
    Pepper::given("a pepper of the replicas").unwrap()
}

fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions { patience: LONG, ..RedisOptions::at(&server.url()).unwrap() }
}

async fn replica(options: &RedisOptions) -> Arc<RateLimits> {
    Arc::new(RateLimits::open(Some(options.clone()), &pepper()).await)
}

fn scope(rpm: Option<u64>, tpm: Option<u64>, parallel: Option<u64>) -> [ScopeRates; 1] {
    let (id, shown, model) = ("k1".to_owned(), "batch".to_owned(), String::new());
    [ScopeRates { kind: ScopeKind::Key, id, model, shown, parallel, rpm, tpm, tpd: None }]
}

/// A call with an id of its own.
async fn take(
    rates: &RateLimits,
    scopes: &[ScopeRates],
    tokens: u64,
) -> Result<RateHold, Box<RateExceeded>> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let id = format!("call-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    rates.take(&id, scopes, tokens, UtcTime::from_millis(0)).await
}

async fn flush(rates: &RateLimits) {
    rates.shared.as_ref().unwrap().calls.flush(LONG).await;
}

fn is_shared(hold: &RateHold) -> bool {
    matches!(hold.held, Held::Shared(_))
}

/// Waits until Redis is asked again.
async fn until_shared(rates: &RateLimits) {
    let start = Instant::now();
    while !is_shared(&take(rates, &scope(None, Some(1_000_000), None), 1).await.unwrap()) {
        assert!(start.elapsed() < LONG);
        sleep(Duration::from_millis(10)).await;
    }
}

/// Has the server stand still, or go on: its connections stay open.
fn signal(server: &RedisServer, name: &str) {
    let id = server.process.as_ref().unwrap().id().to_string();
    assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
}

/// A connection for a look from outside.
async fn outside(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_two_hundred_calls_pass_on_three_replicas() {
    let Some(server) = RedisServer::start() else { return };
    let options = options(&server);
    let replicas = [replica(&options).await, replica(&options).await, replica(&options).await];
    let mut calls = JoinSet::new();
    for at in 0..200 {
        let rates = Arc::clone(&replicas[at % 3]);
        calls.spawn(async move { take(&rates, &scope(Some(10), None, None), 0).await });
    }
    let answers = calls.join_all().await;
    let passed = answers.iter().flatten().collect::<Vec<_>>();
    assert_eq!(passed.len(), 10);
    assert!(passed.iter().all(|hold| is_shared(hold)));
    let mut left: Vec<_> = passed.iter().map(|hold| hold.requests().unwrap().remaining).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let refusal = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
    assert_eq!((refusal.rate, refusal.limit, refusal.id.as_str()), (RateKind::Requests, 10, "k1"));
    let wait = refusal.retry_after.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(6), "{wait:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_calls_at_once_are_under_way_on_three_replicas() {
    let Some(server) = RedisServer::start() else { return };
    let options = options(&server);
    let replicas = [replica(&options).await, replica(&options).await, replica(&options).await];
    let (now, passed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut calls = JoinSet::new();
    for at in 0..60 {
        let (rates, now) = (Arc::clone(&replicas[at % 3]), Arc::clone(&now));
        let passed = Arc::clone(&passed);
        calls.spawn(async move {
            for _ in 0..5 {
                match take(&rates, &scope(None, None, Some(5)), 0).await {
                    Ok(mut hold) => {
                        let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(count <= 5, "{count} at once");
                        passed.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(2)).await;
                        hold.settle(1);
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                    Err(refusal) => {
                        assert_eq!((refusal.rate, refusal.retry_after), (RateKind::Parallel, None));
                        sleep(Duration::from_millis(1)).await;
                    }
                }
            }
        });
    }
    calls.join_all().await;
    assert!(passed.load(Ordering::Relaxed) >= 5);
    // All places are free again: exactly five pass.
    for rates in &replicas {
        flush(rates).await;
    }
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(take(&replicas[0], &scope(None, None, Some(5)), 0).await.unwrap());
    }
    take(&replicas[1], &scope(None, None, Some(5)), 0).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn places_of_a_dead_process_end_with_their_lease_and_those_of_a_long_call_do_not() {
    let Some(server) = RedisServer::start() else { return };
    let lease = Duration::from_millis(1500);
    let options = RedisOptions { lease, ..options(&server) };
    let (one, two) = (replica(&options).await, replica(&options).await);
    let scopes = scope(None, None, Some(2));
    let long = take(&two, &scopes, 0).await.unwrap();
    let lost = take(&one, &scopes, 0).await.unwrap();
    // The process dies: its calls neither end nor are their leases renewed.
    one.shared.as_ref().unwrap().stop();
    std::mem::forget(lost);
    take(&two, &scopes, 0).await.unwrap_err();
    let start = Instant::now();
    let second = loop {
        match take(&two, &scopes, 0).await {
            Ok(hold) => break hold,
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
        assert!(start.elapsed() < LONG);
    };
    assert!(start.elapsed() > lease / 2, "{:?}", start.elapsed());
    // Longer than a lease after its start the long call still has its place.
    take(&two, &scopes, 0).await.unwrap_err();
    drop((long, second));
    flush(&two).await;
    let both = [take(&two, &scopes, 0).await, take(&two, &scopes, 0).await];
    assert!(both.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_corrected_on_all_replicas_and_once() {
    let Some(server) = RedisServer::start() else { return };
    let options = options(&server);
    let (one, two) = (replica(&options).await, replica(&options).await);
    let scopes = scope(None, Some(1000), None);
    let mut hold = take(&one, &scopes, 900).await.unwrap();
    assert_eq!(hold.tokens().unwrap().remaining, 100);
    let refusal = take(&two, &scopes, 500).await.unwrap_err();
    assert!(refusal.retry_after.unwrap() > Duration::from_secs(20));
    hold.settle(100);
    hold.settle(0);
    hold.refund();
    drop(hold);
    flush(&one).await;
    let mut hold = take(&two, &scopes, 500).await.unwrap();
    // A minute's worth comes back in a minute.
    let left = hold.tokens().unwrap().remaining;
    assert!((400..=500).contains(&left), "{left}");
    hold.refund();
    drop(hold);
    flush(&two).await;
    let left = take(&one, &scopes, 1).await.unwrap().tokens().unwrap().remaining;
    assert!((899..=999).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_taken_and_ended_once() {
    let Some(server) = RedisServer::start() else { return };
    let limiter = RedisLimiter::start(options(&server), &pepper()).await;
    let scopes = scope(Some(600), Some(600_000), Some(3));
    let remaining = async |id: &str| {
        let hold = limiter.take(id, &scopes, 100_000).await.unwrap().unwrap();
        let left = hold.tokens().unwrap().remaining / 100_000;
        std::mem::forget(hold);
        left
    };
    assert_eq!((remaining("a").await, remaining("a").await, remaining("b").await), (5, 5, 4));
    let call = limiter.names.call("a", wanted(&scopes, 100_000).map(|(_, one)| one).collect());
    let scripts = limiter.link.scripts();
    let refund = scripts.end(&call, &[0, -100_000, -10_000_000]);
    for _ in 0..3 {
        assert!(limiter.link.run(std::slice::from_ref(&refund)).await);
    }
    assert_eq!(remaining("c").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_arrive_is_undone() {
    let Some(server) = RedisServer::start() else { return };
    let patience = Duration::from_millis(300);
    let (one, two) = (
        replica(&RedisOptions { patience, ..options(&server) }).await,
        replica(&options(&server)).await,
    );
    until_shared(&one).await;
    let scopes = scope(Some(10), None, Some(1));
    signal(&server, "-STOP");
    // Whatever becomes of the call, it is taken in this process too.
    let hold = take(&one, &scopes, 0).await.unwrap();
    assert!(!is_shared(&hold));
    // A call whose client leaves before the answer.
    let left = Arc::clone(&two);
    let leaves = tokio::spawn(async move { take(&left, &scope(Some(10), None, Some(1)), 0).await });
    sleep(Duration::from_millis(50)).await;
    leaves.abort();
    signal(&server, "-CONT");
    until_shared(&one).await;
    flush(&one).await;
    flush(&two).await;
    let hold = take(&one, &scopes, 0).await.unwrap();
    assert_eq!((is_shared(&hold), hold.requests().unwrap().remaining), (true, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_redis_lets_calls_pass_by_the_rates_of_the_process() {
    let Some(mut server) = RedisServer::start() else { return };
    let options = RedisOptions { pause: Duration::from_millis(50), ..options(&server) };
    let (one, two) = (replica(&options).await, replica(&options).await);
    let scopes = scope(Some(10), None, None);
    let long = take(&one, &scope(None, None, Some(1)), 0).await.unwrap();
    let mut settled_late = take(&one, &scope(None, Some(1000), None), 900).await.unwrap();
    server.halt();
    for rates in [&one, &two] {
        let answers = [(); 12].map(|()| take(rates, &scopes, 0));
        let mut passed = 0;
        for answer in answers {
            passed += usize::from(answer.await.is_ok());
        }
        assert_eq!(passed, 10, "each process has its own rates");
    }
    // The end of a call whose record goes with the server is none.
    settled_late.settle(100);
    drop(settled_late);
    server.go();
    until_shared(&one).await;
    until_shared(&two).await;
    flush(&one).await;
    let mut passed = 0;
    for at in 0..40 {
        passed += usize::from(take([&one, &two][at % 2], &scopes, 0).await.is_ok());
    }
    assert_eq!(passed, 10);
    // The long call has its place again.
    let start = Instant::now();
    while take(&two, &scope(None, None, Some(1)), 0).await.is_ok() {
        assert!(start.elapsed() < LONG);
        sleep(Duration::from_millis(10)).await;
    }
    drop(long);
    flush(&one).await;
    take(&two, &scope(None, None, Some(1)), 0).await.unwrap();
    one.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_redis_is_reconnected_within_a_call() {
    let Some(mut server) = RedisServer::start() else { return };
    let rates = replica(&options(&server)).await;
    // In the time that the server takes to start, the task may have looked at it: then that is an outage.
    let mut is_kept = false;
    for _ in 0..20 {
        until_shared(&rates).await;
        flush(&rates).await;
        server.halt();
        server.go();
        let hold = take(&rates, &scope(Some(10), None, None), 0).await.unwrap();
        is_kept = is_shared(&hold) && hold.requests().unwrap().remaining == 9;
        if is_kept {
            break;
        }
    }
    assert!(is_kept);
    let mut outside = outside(&server).await;
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut outside).await.unwrap();
    let hold = take(&rates, &scope(Some(10), None, None), 0).await.unwrap();
    assert_eq!((is_shared(&hold), hold.requests().unwrap().remaining), (true, 8));
    redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut outside).await.unwrap();
    drop(hold);
    flush(&rates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_waits_long_for_a_redis_that_does_not_answer() {
    let Some(server) = RedisServer::start() else { return };
    let rates = Arc::new(RateLimits::open(RedisOptions::at(&server.url()).ok(), &pepper()).await);
    signal(&server, "-STOP");
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let rates = Arc::clone(&rates);
        calls.spawn(async move { take(&rates, &scope(Some(100), None, None), 0).await.unwrap() });
    }
    calls.join_all().await;
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(10), "{waited:?}");
    // While it is known to be away no call waits at all: the task asks.
    let start = Instant::now();
    for _ in 0..2000 {
        drop(take(&rates, &scope(Some(1_000_000), None, None), 0).await.unwrap());
    }
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(20), "{waited:?}: 2000 calls of 100 ms are 200 s");
    signal(&server, "-CONT");
    until_shared(&rates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_not_there_at_start_is_found_later() {
    let Some(mut server) = RedisServer::start() else { return };
    server.halt();
    let options = RedisOptions { pause: Duration::from_millis(50), ..options(&server) };
    let rates = replica(&options).await;
    assert!(!is_shared(&take(&rates, &scope(Some(1), None, None), 0).await.unwrap()));
    server.go();
    until_shared(&rates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_tls_is_away_where_the_address_asks_for_it() {
    let Some(server) = RedisServer::start() else { return };
    let url = server.url().replace("redis://", "rediss://:password@");
    let rates = RateLimits::open(RedisOptions::at(&url).ok(), &pepper()).await;
    assert!(!is_shared(&take(&rates, &scope(Some(1), None, None), 0).await.unwrap()));
    let shared = rates.shared.as_ref().unwrap();
    assert!(!shared.task.lock().unwrap().as_ref().unwrap().is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_rates_count_in_the_process() {
    let Some(server) = RedisServer::start() else { return };
    let rates = replica(&options(&server)).await;
    until_shared(&rates).await;
    rates.close().await;
    let start = Instant::now();
    assert!(!is_shared(&take(&rates, &scope(Some(1), None, None), 0).await.unwrap()));
    assert!(start.elapsed() < LONG / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_to_write_is_away() {
    let Some(server) = RedisServer::start() else { return };
    let options = RedisOptions { pause: Duration::from_millis(50), ..options(&server) };
    let rates = replica(&options).await;
    until_shared(&rates).await;
    let mut outside = outside(&server).await;
    let mut memory = async |limit: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(limit);
        set.query_async::<()>(&mut outside).await.unwrap();
    };
    memory("1").await;
    for _ in 0..3 {
        assert!(!is_shared(&take(&rates, &scope(Some(1000), None, None), 0).await.unwrap()));
        sleep(Duration::from_millis(60)).await;
    }
    memory("0").await;
    until_shared(&rates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_have_one_slot_and_no_ids_and_end_with_their_use() {
    let Some(server) = RedisServer::start() else { return };
    let rates = replica(&options(&server)).await;
    let mut scopes = scope(Some(10), Some(100), Some(5));
    scopes[0].id = "person@example.com".to_owned();
    drop(take(&rates, &scopes, 10).await.unwrap());
    let held = take(&rates, &scopes, 10).await.unwrap();
    flush(&rates).await;
    let mut outside = outside(&server).await;
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut outside).await.unwrap();
    assert_eq!(names.iter().filter(|name| name.contains(":call:")).count(), 1, "{names:?}");
    assert!(names.len() >= 4, "{names:?}");
    for name in &names {
        assert!(name.starts_with("{outcrop:") && !name.contains("person"), "{name}");
        let left: i64 = redis::cmd("PTTL").arg(name).query_async(&mut outside).await.unwrap();
        assert!(left > 0, "{name} has no end");
    }
    drop(held);
    // Another installation on the same server has its own.
    let other = Pepper::given("a pepper of another store").unwrap();
    let other = RateLimits::open(Some(options(&server)), &other).await;
    assert_eq!(take(&other, &scopes, 10).await.unwrap().requests().unwrap().remaining, 9);
    // Ids and models with the same letters are different buckets.
    let names = Names::of(&pepper());
    let bucket = |id: &str, model: &str| {
        let (id, model) = (id.to_owned(), model.to_owned());
        names.bucket(&BucketKey { kind: ScopeKind::Key, id, model, rate: RateKind::Requests })
    };
    assert_ne!(bucket("ab", "c"), bucket("a", "bc"));
}

#[test]
fn an_address_is_checked_and_not_shown() {
    for url in ["redis://h", "rediss://user:password@h:6380/2"] {
        assert_eq!(format!("{:?}", RedisOptions::at(url).unwrap()), "RedisOptions(..)");
    }
    for url in ["", "http://canary", "redis://canary:port", "canary"] {
        let refusal = RedisOptions::at(url).unwrap_err();
        assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
    }
}
