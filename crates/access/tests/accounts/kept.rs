//! Rows that are kept between requests: by owner, chains, items in order, and their bounds.

use std::sync::Arc;
use std::time::Duration;

use access::UtcTime;
use access::store::{KeptId, KeptLimits, KeptRow, RowKind, Store};

use crate::Opener;

const NOW: i64 = 1_800_000_000_000;

fn at(seconds: i64) -> KeptLimits {
    let now = UtcTime::from_millis(NOW + seconds * 1000);
    KeptLimits { now, oldest: UtcTime::from_millis(now.millis() - 86_400_000), bytes: 1000 }
}

fn row(owner: &str, kind: RowKind, (id, parent, position): (&str, &str, i64)) -> KeptRow {
    let (owner, id, parent) = (owner.to_owned(), id.to_owned(), parent.to_owned());
    KeptRow { owner, kind, id, parent, position, body: "x".repeat(40) }
}

fn ids(rows: &[KeptRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

/// Rows are their owner's, in both databases alike, and another process finds them.
pub(crate) async fn rows_are_kept(open: Opener) {
    let (store, other): (Arc<dyn Store>, Arc<dyn Store>) = (open().await, open().await);
    let (store, other) = (store.database().unwrap(), other.database().unwrap());
    let responses = ["r1", "r2", "r3"].into_iter().zip(["", "r1", "r2"]);
    let mut rows: Vec<KeptRow> =
        responses.map(|(id, parent)| row("ann", RowKind::Response, (id, parent, 0))).collect();
    rows.push(row("bob", RowKind::Response, ("r2", "", 0)));
    rows.push(row("ann", RowKind::Conversation, ("c1", "", 0)));
    for (id, position) in [("c1/b", 2), ("c1/a", 1), ("c1/c", 3)] {
        rows.push(row("ann", RowKind::Item, (id, "c1", position)));
    }
    store.keep_rows(rows, at(0).now).await.unwrap();

    let chain = other.kept_chain(("ann", "r3"), 10, at(1)).await.unwrap();
    assert_eq!(ids(&chain), ["r3", "r2", "r1"]);
    assert_eq!(chain[0], row("ann", RowKind::Response, ("r3", "r2", 0)));
    assert_eq!(ids(&other.kept_chain(("ann", "r3"), 2, at(1)).await.unwrap()), ["r3", "r2"]);
    assert_eq!(ids(&other.kept_chain(("bob", "r2"), 10, at(1)).await.unwrap()), ["r2"]);
    let items = other.kept_items(("ann", "c1"), at(1)).await.unwrap();
    assert_eq!(ids(&items), ["c1/a", "c1/b", "c1/c"]);

    let name = |owner, kind, id| KeptId { owner, kind, id };
    let r3 = name("ann", RowKind::Response, "r3");
    assert!(other.rewrite_row(r3, "new".to_owned()).await.unwrap());
    assert_eq!(store.kept_row(r3, at(1)).await.unwrap().unwrap().body, "new");
    assert!(!store.rewrite_row(name("bob", RowKind::Response, "r3"), String::new()).await.unwrap());
    let lease = store.lease_row(r3, at(30).now).await.unwrap().unwrap();
    assert_eq!((lease.until, lease.is_cancelled), (at(30).now, false));
    other.cancel_row(r3).await.unwrap();
    assert!(store.lease_row(r3, at(60).now).await.unwrap().unwrap().is_cancelled);

    // A conversation goes with its items; a chain ends where a response is gone.
    assert!(store.remove_row(name("ann", RowKind::Conversation, "c1")).await.unwrap());
    assert!(!store.remove_row(name("ann", RowKind::Conversation, "c1")).await.unwrap());
    assert!(other.kept_items(("ann", "c1"), at(1)).await.unwrap().is_empty());
    assert!(store.remove_row(name("ann", RowKind::Response, "r2")).await.unwrap());
    assert_eq!(ids(&other.kept_chain(("ann", "r3"), 10, at(1)).await.unwrap()), ["r3"]);
    let bobs = name("bob", RowKind::Response, "r2");
    assert!(other.kept_row(bobs, at(1)).await.unwrap().is_some());
    assert!(
        store.lease_row(name("ann", RowKind::Response, "r2"), at(1).now).await.unwrap().is_none()
    );

    // A use counts to the hour; what was not used for the whole time is gone, and so is what is too much.
    let later = at(80_000);
    assert!(other.kept_row(bobs, later).await.unwrap().is_some());
    let end = at(80_000 + 86_000);
    assert!(store.kept_row(bobs, end).await.unwrap().is_some());
    assert!(store.kept_row(r3, end).await.unwrap().is_none());
    assert_eq!(store.prune_kept(end).await.unwrap(), 2, "r1 and r3");
    let second = Duration::from_secs(1);
    for number in 0..30 {
        let new = row("ann", RowKind::Response, (&format!("n{number:02}"), "", 0));
        store.keep_rows(vec![new], end.now.plus(second * number)).await.unwrap();
    }
    assert!(store.prune_kept(end).await.unwrap() > 5);
    let (oldest, newest) =
        (name("ann", RowKind::Response, "n00"), name("ann", RowKind::Response, "n29"));
    assert!(store.kept_row(oldest, end).await.unwrap().is_none());
    assert!(store.kept_row(newest, end).await.unwrap().is_some());
    assert_eq!(store.prune_kept(end).await.unwrap(), 0);
}
