//! Slices of budgets: room that a process holds ahead of its calls.

use std::time::Duration;

use access::ledger::{
    CallFilter, CallState, Closing, LedgerOptions, LedgerWriter, OpenRefusal, Opening, ScopeKind,
    Slice,
};
use access::{Clock, Nanodollars, UtcTime};

use crate::ledger::{at, call, counter, ending, state};
use crate::{Folder, Opener};

fn slice(id: &str, amount: i64, max: i64, lease_until: UtcTime) -> Slice {
    Slice {
        id: id.into(),
        counter: counter(ScopeKind::Key, "k1"),
        max: Nanodollars::new(max),
        amount: Nanodollars::new(amount),
        lease_until,
    }
}

fn under(slice: &str, call: Opening) -> Opening {
    let mut call = call;
    call.charges[0].slice = Some(slice.into());
    call
}

pub(crate) async fn a_slice_is_reserved_until_it_is_used_or_given_back(open: Opener) {
    let store = open().await;
    let key = || counter(ScopeKind::Key, "k1");
    let lent = vec![
        slice("a", 300, 1000, at(100)),
        slice("b", 700, 1000, at(100)),
        slice("c", 600, 1000, at(100)),
    ];
    let states = store.lend(lent).await.unwrap();
    let reserved: Vec<_> = states.iter().map(|s| s.map(|s| s.reserved.nano())).collect();
    assert_eq!(reserved, [Some(300), None, Some(900)], "nine tenths are lent");
    // Calls in a slice have their first row at their end; the estimate leaves the slice, the cost is spent.
    let first = under("a", call("c1", 100, Some(1000)));
    let ends = vec![ending(&first, 40), ending(&first, 40)];
    assert_eq!(store.close(ends.into()).await.unwrap(), [true, false]);
    assert_eq!(state(&*store, key()).await, (40, 800, 1));
    // One that was reserved in the store has left no slice.
    let second = call("c2", 50, Some(1000));
    store.open(vec![second.clone()]).await.unwrap();
    store.close([ending(&under("a", second), 50)].into()).await.unwrap();
    assert_eq!(state(&*store, key()).await, (90, 800, 2));
    store.give_back(vec![("a".into(), Nanodollars::new(150))]).await.unwrap();
    assert_eq!(state(&*store, key()).await, (90, 650, 2));
    // More than a slice holds is no room of its counter.
    store.give_back(vec![("a".into(), Nanodollars::new(51))]).await.unwrap();
    assert_eq!(state(&*store, key()).await, (90, 650, 2));
    store.renew_slices(vec!["c".into(), "unknown".into()], at(900)).await.unwrap();
    assert_eq!(store.reap_slices(at(100)).await.unwrap(), 0);
    assert_eq!(store.reap_slices(at(101)).await.unwrap(), 1);
    assert_eq!(state(&*store, key()).await, (90, 600, 2));
    // The slice of this call is gone, and its room with it.
    store.close([ending(&under("a", call("c3", 50, None)), 50)].into()).await.unwrap();
    assert_eq!(state(&*store, key()).await, (140, 600, 3));
    assert_eq!(store.reap_slices(at(901)).await.unwrap(), 1);
    assert_eq!(state(&*store, key()).await, (140, 0, 3));
}

async fn replica(open: &Opener, folder: &Folder) -> LedgerWriter {
    let options = LedgerOptions { intents: Some(folder.0.clone()), ..LedgerOptions::default() };
    LedgerWriter::start(open().await, Clock::System, options)
}

/// Makes calls until one is refused, and returns the number of those served.
async fn calls_until_refused(replica: &LedgerWriter, name: &str) -> usize {
    for count in 0.. {
        let now = Clock::System.now();
        let mut call = call(&format!("{name}{count:04}"), 10, Some(10_000));
        (call.at, call.lease_until) = (now, now.plus(Duration::from_secs(60)));
        match replica.open(call, &Clock::System).await {
            Ok(opened) => {
                let Closing { outcome, .. } = ending(opened.call(), 10);
                opened.close(CallState::Settled, outcome);
            }
            Err(OpenRefusal::Budget { charge: 0, .. }) => return count,
            Err(other) => panic!("{other}"),
        }
    }
    unreachable!("a budget ends")
}

pub(crate) async fn replicas_with_slices_spend_a_budget_to_its_end(open: Opener) {
    let folders = (Folder::new(), Folder::new());
    let (one, two) = (replica(&open, &folders.0).await, replica(&open, &folders.1).await);
    let store = open().await;
    let (first, second) =
        tokio::join!(calls_until_refused(&one, "a"), calls_until_refused(&two, "b"));
    let mut served = first + second;
    assert!(served <= 1000, "{served}");
    one.flush().await;
    two.flush().await;
    for _ in 0..500 {
        if state(&*store, counter(ScopeKind::Key, "k1")).await.1 == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served += calls_until_refused(&one, "c").await;
    assert_eq!(served, 1000, "what a replica has not used is given back");
    one.stop().await;
    two.stop().await;
    assert_eq!(state(&*store, counter(ScopeKind::Key, "k1")).await, (10_000, 0, 1000));
    // Most calls were not written to the store before their end.
    let rows = CallFilter { limit: 1000, ..CallFilter::default() };
    let rows = store.calls(rows).await.unwrap().rows;
    let in_slices = rows.iter().filter(|row| row.closing.call.charges[0].slice.is_some()).count();
    assert!(in_slices > 500, "{in_slices} of {}", rows.len());
}

pub(crate) async fn a_stopped_process_gives_its_slices_back(open: Opener) {
    let folder = Folder::new();
    let replica = replica(&open, &folder).await;
    for count in 0..3 {
        let opened = replica.open(call(&count.to_string(), 10, Some(1_000_000)), &Clock::System);
        let opened = opened.await.unwrap();
        let outcome = ending(opened.call(), 7).outcome;
        opened.close(CallState::Settled, outcome);
        replica.flush().await;
    }
    let store = open().await;
    let key = counter(ScopeKind::Key, "k1");
    let (spent, reserved, calls) = state(&*store, key.clone()).await;
    assert_eq!((spent, calls), (21, 3));
    // 128 calls, less two; nothing if the machine stood still for as long as a slice may be idle.
    assert!([1260, 0].contains(&reserved), "{reserved}");
    replica.stop().await;
    assert_eq!(state(&*store, key).await, (21, 0, 3));
}
