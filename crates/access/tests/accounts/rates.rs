//! Rates of accounts that share a Redis: they hold over replicas, from the reservation of a call to its end.

use std::sync::Arc;
use std::time::Duration;

use access::accounts::{AccountSettings, Refused, Reservation};
use access::ledger::ScopeKind;
use access::limit::{RateKind, RedisOptions};
use access::store::MemoryStore;
use access::{Accounts, Admission, Pepper, admit};
use serde_json::json;

use crate::calls::{ask, caller, used};
use crate::keys::input;
use crate::redis_server::RedisServer;

/// Three replicas on one store.
async fn replicas(server: &RedisServer) -> Vec<Arc<Accounts>> {
    let store = Arc::new(MemoryStore::new());
    let mut all = Vec::new();
    for _ in 0..3 {
        let mut redis = RedisOptions::at(&server.url()).unwrap();
        redis.patience = Duration::from_secs(120);
        let settings = AccountSettings {
            pepper: Some(Pepper::given("a pepper of the replicas").unwrap()),
            redis: Some(redis),
            ..AccountSettings::default()
        };
        all.push(Accounts::open(store.clone(), settings).await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_hold_over_replicas() {
    let Some(server) = RedisServer::start() else { return };
    let replicas = replicas(&server).await;
    let fields = json!({ "rpm_limit": 10, "tpm_limit": 100_000 });
    let made = replicas[0].create_key(input(fields), None, "ana").await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..200 {
        let accounts = Arc::clone(&replicas[n % 3]);
        let admission = admit(caller(&accounts, &made.secret).await).unwrap();
        tasks.push(tokio::spawn(async move {
            accounts.reserve(&admission, ask(&format!("c{n}"), 0)).await
        }));
    }
    let (mut passed, mut lowest) = (Vec::new(), u64::MAX);
    for task in tasks {
        match task.await.unwrap() {
            Ok(reservation) => {
                lowest = lowest.min(reservation.rates().requests().unwrap().remaining);
                passed.push(reservation);
            }
            Err(Refused::Rate(rate)) => {
                assert_eq!((rate.kind, rate.rate), (ScopeKind::Key, RateKind::Requests));
                assert!(rate.retry_after.is_some_and(|wait| wait <= Duration::from_secs(6)));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((passed.len(), lowest), (10, 0));
    // Calls that were not made give back what they took, before the accounts are closed.
    passed.into_iter().for_each(|reservation| reservation.void(used(0)));
    for accounts in &replicas {
        accounts.close().await;
    }
    let fresh = self::replicas(&server).await.remove(0);
    let admission = admit(caller(&replicas[0], &made.secret).await).unwrap();
    let reservation = fresh.reserve(&admission, ask("later", 0)).await.unwrap();
    assert_eq!(reservation.rates().requests().unwrap().remaining, 9);
    fresh.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_taken_from_all_replicas_until_the_call_ends() {
    let Some(server) = RedisServer::start() else { return };
    let replicas = replicas(&server).await;
    let fields = json!({ "max_parallel_requests": 1 });
    let made = replicas[0].create_key(input(fields), None, "ana").await.unwrap();
    let admission = admit(caller(&replicas[0], &made.secret).await).unwrap();
    for (n, accounts) in replicas.iter().enumerate() {
        let next = &replicas[(n + 1) % 3];
        let mut reservation = eventually(accounts, &admission).await;
        match next.reserve(&admission, ask(&format!("refused {n}"), 0)).await {
            Err(Refused::Rate(rate)) => assert_eq!(rate.rate, RateKind::Parallel),
            other => panic!("{other:?}"),
        }
        reservation.is_sent();
        // However it ends.
        match n {
            0 => reservation.settle(used(0), 50),
            1 => reservation.void(used(0)),
            _ => drop(reservation),
        }
    }
    drop(eventually(&replicas[1], &admission).await);
}

/// Reserves a call as soon as an earlier one has ended.
async fn eventually(accounts: &Accounts, admission: &Admission) -> Reservation {
    let start = std::time::Instant::now();
    for n in 0.. {
        match accounts.reserve(admission, ask(&format!("{start:?} {n}"), 0)).await {
            Ok(reservation) => return reservation,
            Err(refused) => assert!(start.elapsed() < Duration::from_secs(120), "{refused}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    unreachable!()
}
