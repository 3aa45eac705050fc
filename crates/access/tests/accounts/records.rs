//! Records and secrets.

use access::store::{
    AuditEntry, Change, Document, RecordQuery, RecordState, SecretBy, StoreError, StoredSecret,
};
use access::{KeyRecord, Pepper, RecordKind, SecretKey, TeamRecord, UtcTime};

use crate::Opener;

fn at(millis: i64) -> UtcTime {
    UtcTime::from_millis(millis)
}

fn key(id: &str, alias: Option<&str>) -> KeyRecord {
    KeyRecord { id: id.to_owned(), key_alias: alias.map(str::to_owned), ..KeyRecord::default() }
}

fn document(record: &KeyRecord, revision: i64) -> Document {
    Document::of(record, revision).unwrap()
}

pub(crate) async fn a_record_is_made_changed_and_deleted(open: Opener) {
    let store = open().await;
    let before = store.version().await.unwrap();
    let mut record = key("k1", Some("batch"));
    let version = store.write(vec![Change::Insert(document(&record, 0))]).await.unwrap();
    assert!(version > before);
    let replica = open().await;
    assert_eq!(replica.version().await.unwrap(), version);
    let found = replica.document(RecordKind::Key, "k1".into()).await.unwrap().unwrap();
    assert_eq!((found.revision, found.read::<KeyRecord>().unwrap()), (1, record.clone()));
    record.key_alias = None;
    record.blocked = Some(true);
    store.write(vec![Change::Update(document(&record, 1))]).await.unwrap();
    let stale = replica.write(vec![Change::Update(document(&record, 1))]).await;
    assert_eq!(stale, Err(StoreError::Stale));
    let found = replica.document(RecordKind::Key, "k1".into()).await.unwrap().unwrap();
    assert_eq!((found.revision, found.blocked, found.alias), (2, true, None));
    let taken = store.write(vec![Change::Insert(document(&record, 0))]).await;
    assert_eq!(taken, Err(StoreError::IdTaken));
    let delete = Change::Delete { kind: RecordKind::Key, id: "k1".into(), at: at(5) };
    store.write(vec![delete]).await.unwrap();
    assert_eq!(replica.document(RecordKind::Key, "k1".into()).await.unwrap(), None);
    assert_eq!(
        store.write(vec![Change::Update(document(&record, 2))]).await,
        Err(StoreError::Stale)
    );
    store.write(vec![Change::Insert(document(&record, 0))]).await.unwrap();
    assert_eq!(replica.document(RecordKind::Key, "k1".into()).await.unwrap().unwrap().revision, 1);
}

pub(crate) async fn an_alias_names_one_living_key(open: Opener) {
    let store = open().await;
    store.write(vec![Change::Insert(document(&key("k1", Some("a")), 0))]).await.unwrap();
    let same = || vec![Change::Insert(document(&key("k2", Some("a")), 0))];
    assert_eq!(store.write(same()).await, Err(StoreError::AliasTaken));
    store.write(vec![Change::Insert(document(&key("k3", Some("b")), 0))]).await.unwrap();
    let rename = vec![Change::Update(document(&key("k3", Some("a")), 1))];
    assert_eq!(store.write(rename).await, Err(StoreError::AliasTaken));
    let delete = Change::Delete { kind: RecordKind::Key, id: "k1".into(), at: at(5) };
    store.write(vec![delete]).await.unwrap();
    store.write(same()).await.unwrap();
    // Teams may share one.
    for id in ["t1", "t2"] {
        let team = TeamRecord {
            team_id: id.into(),
            team_alias: Some("a".into()),
            ..TeamRecord::default()
        };
        store.write(vec![Change::Insert(Document::of(&team, 0).unwrap())]).await.unwrap();
    }
}

pub(crate) async fn pages_are_newest_first_and_filtered(open: Opener) {
    let store = open().await;
    for n in 0..7 {
        let mut record = key(&format!("k{n}"), Some(&format!("Alias_{n}")));
        record.team_id = (n % 2 == 0).then(|| "t".to_owned());
        record.expires = (n == 1).then(|| at(50));
        record.blocked = (n == 2).then_some(true);
        store.write(vec![Change::Insert(document(&record, 0))]).await.unwrap();
    }
    let delete = Change::Delete { kind: RecordKind::Key, id: "k3".into(), at: at(60) };
    store.write(vec![delete]).await.unwrap();
    let all = RecordQuery::all(RecordKind::Key, at(100));
    let select = async |query: RecordQuery| {
        let page = store.documents(query).await.unwrap();
        (page.rows.into_iter().map(|row| row.id).collect::<Vec<_>>().join(" "), page.total)
    };
    assert_eq!(select(all.clone()).await, ("k6 k5 k4 k2 k1 k0".into(), 6));
    assert_eq!(
        select(RecordQuery { offset: 2, limit: 2, ..all.clone() }).await,
        ("k4 k2".into(), 6)
    );
    assert_eq!(select(RecordQuery { offset: 9, ..all.clone() }).await, (String::new(), 6));
    let of_team = RecordQuery { team: Some("t".into()), ..all.clone() };
    assert_eq!(select(of_team).await, ("k6 k4 k2 k0".into(), 4));
    for (state, expected) in [
        (RecordState::Active, "k6 k5 k4 k0"),
        (RecordState::Expired, "k1"),
        (RecordState::Revoked, "k2"),
        (RecordState::Deleted, "k3"),
    ] {
        assert_eq!(select(RecordQuery { state: Some(state), ..all.clone() }).await.0, expected);
    }
    let contains = |part: &str| RecordQuery { contains: Some(part.into()), ..all.clone() };
    assert_eq!(select(contains("ALIAS_4")).await.0, "k4");
    // Signs of patterns are only themselves.
    assert_eq!(select(contains("%")).await.0, "");
    let alias = RecordQuery { alias: Some("Alias_5".into()), ..all };
    assert_eq!(select(alias).await.0, "k5");
}

pub(crate) async fn a_secret_is_found_until_it_ends(open: Opener) {
    let store = open().await;
    let pepper = Pepper::given("a pepper of the tests").unwrap();
    let secret = |valid_until| {
        let key = SecretKey::generate().unwrap();
        StoredSecret {
            digest: key.digest(&pepper),
            token: key.token(&pepper),
            public_id: key.public_id().unwrap().to_owned(),
            key_id: "k1".into(),
            valid_until,
        }
    };
    let (old, new) = (secret(None), secret(None));
    store.write(vec![Change::AddSecret(old.clone())]).await.unwrap();
    assert_eq!(
        store.write(vec![Change::AddSecret(old.clone())]).await,
        Err(StoreError::AliasTaken)
    );
    for by in [
        SecretBy::Digest(old.digest.clone()),
        SecretBy::Token(old.token.clone()),
        SecretBy::PublicId(old.public_id.clone()),
    ] {
        assert_eq!(store.secret(by).await.unwrap(), Some(old.clone()));
    }
    let end = Change::EndSecrets { key_id: "k1".into(), until: Some(at(99)) };
    store.write(vec![end, Change::AddSecret(new.clone())]).await.unwrap();
    let found = store.secret(SecretBy::Digest(old.digest.clone())).await.unwrap().unwrap();
    assert_eq!(found.valid_until, Some(at(99)));
    assert_eq!(
        store.secret(SecretBy::Digest(new.digest.clone())).await.unwrap(),
        Some(new.clone())
    );
    store.write(vec![Change::EndSecrets { key_id: "k1".into(), until: None }]).await.unwrap();
    for secret in [old, new] {
        assert_eq!(store.secret(SecretBy::Digest(secret.digest)).await.unwrap(), None);
    }
}

pub(crate) async fn a_change_that_fails_leaves_no_trace(open: Opener) {
    let store = open().await;
    store.write(vec![Change::Insert(document(&key("k1", None), 0))]).await.unwrap();
    let version = store.version().await.unwrap();
    let entry = AuditEntry {
        at: at(1),
        actor: "ana".into(),
        action: "key.new".into(),
        object: "k2".into(),
        before: None,
        after: Some("{}".into()),
    };
    let changes = vec![
        Change::Insert(document(&key("k2", None), 0)),
        Change::Audit(entry.clone()),
        Change::Insert(document(&key("k1", None), 0)),
    ];
    assert_eq!(store.write(changes).await, Err(StoreError::IdTaken));
    assert_eq!(store.document(RecordKind::Key, "k2".into()).await.unwrap(), None);
    assert_eq!(store.version().await.unwrap(), version);
    assert_eq!(store.audit(5).await.unwrap(), []);
    store.write(vec![Change::Audit(entry.clone())]).await.unwrap();
    assert_eq!(store.audit(5).await.unwrap(), [entry]);
}

pub(crate) async fn the_first_value_is_kept(open: Opener) {
    let (store, replica) = (open().await, open().await);
    assert_eq!(store.keep("pepper", "one".into()).await.unwrap(), "one");
    assert_eq!(replica.keep("pepper", "two".into()).await.unwrap(), "one");
}
