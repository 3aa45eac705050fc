//! Keys through the accounts: two replicas, graces, deaths.

use std::sync::Arc;
use std::time::{Duration, Instant};

use access::accounts::{AccountSettings, AdminError, AuthError, KeyRef, OpenError};
use access::store::RecordQuery;
use access::{
    Accounts, BudgetRecord, Clock, Denied, KeyInput, KeyRecord, Pepper, Principal, RecordKind,
    SecretKey, TeamInput, TeamRecord, UserRecord, UtcTime, WrittenSpan, admit,
};
use serde_json::{Value, json};

use crate::Opener;

pub(crate) fn noon() -> UtcTime {
    UtcTime::parse("2026-11-28T12:00:00Z").unwrap()
}

pub(crate) fn input(fields: Value) -> KeyInput {
    serde_json::from_value(fields).unwrap()
}

/// A replica with a clock of its own.
pub(crate) async fn replica(open: &Opener) -> (Arc<Accounts>, Clock) {
    let clock = Clock::standing_at(noon());
    let pepper = Some(Pepper::given("a pepper of the tests").unwrap());
    let settings = AccountSettings { pepper, clock: clock.clone(), ..AccountSettings::default() };
    (Accounts::open(open().await, settings).await.unwrap(), clock)
}

async fn refused(accounts: &Accounts, key: &SecretKey) -> Option<AuthError> {
    accounts.authenticate(key).await.err()
}

pub(crate) async fn a_key_works_until_it_is_deleted_on_any_replica(open: Opener) {
    let ((here, _), (there, clock)) = (replica(&open).await, replica(&open).await);
    let stranger = SecretKey::generate().unwrap();
    assert_eq!(refused(&there, &stranger).await, Some(AuthError::Unknown));
    let made = here
        .create_key(input(json!({"key_alias": "a", "duration": "90d"})), None, "ana")
        .await
        .unwrap();
    for accounts in [&here, &there] {
        let Principal::Key(holder) = accounts.authenticate(&made.secret).await.unwrap() else {
            panic!()
        };
        assert_eq!(holder.key, made.record);
        let (signer, pair) = accounts.signer(made.aws.id()).await.unwrap();
        assert_eq!((signer, pair.secret()), (Principal::Key(holder), made.aws.secret()));
    }
    // A token is no credential.
    let token = SecretKey::presented(&made.record.token).unwrap();
    assert_eq!(refused(&here, &token).await, Some(AuthError::Unknown));
    clock.go_to(noon().plus(Duration::from_hours(91 * 24)));
    assert!(matches!(refused(&there, &made.secret).await, Some(AuthError::Expired { .. })));
    clock.go_to(noon());
    let by = KeyRef::Secret(made.secret.clone());
    let blocked = here.update_key(&by, input(json!({"blocked": true})), "ana").await.unwrap();
    assert_eq!(blocked.stamp.updated_by, "ana");
    let begun = Instant::now();
    loop {
        let principal = there.authenticate(&made.secret).await.unwrap();
        if let Err(Denied::Blocked { .. }) = admit(principal) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let deleted = here
        .delete_keys(&[KeyRef::Alias("a".into()), KeyRef::Alias("b".into())], "ana")
        .await
        .unwrap();
    assert_eq!(deleted.len(), 1);
    assert_eq!(refused(&here, &made.secret).await, Some(AuthError::Unknown));
    let begun = Instant::now();
    while refused(&there, &made.secret).await.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The alias is free at once.
    here.create_key(input(json!({"key_alias": "a"})), None, "ana").await.unwrap();
}

pub(crate) async fn a_replaced_secret_has_its_grace(open: Opener) {
    let (accounts, clock) = replica(&open).await;
    let first = accounts.create_key(input(json!({"rpm_limit": 5})), None, "ana").await.unwrap();
    let grace = WrittenSpan::parse("24h");
    let by = KeyRef::parse(&first.record.token).unwrap();
    let second = accounts
        .regenerate_key(&by, (KeyInput::default(), None), grace.as_ref(), "ana")
        .await
        .unwrap();
    assert_eq!((&second.record.id, second.record.limits.rpm_limit), (&first.record.id, Some(5)));
    assert_ne!((second.aws.id(), second.aws.secret()), (first.aws.id(), first.aws.secret()));
    for secret in [&first.secret, &second.secret] {
        let Principal::Key(holder) = accounts.authenticate(secret).await.unwrap() else { panic!() };
        assert_eq!(holder.key, second.record);
    }
    clock.go_to(noon().plus(Duration::from_hours(24)));
    assert!(matches!(refused(&accounts, &first.secret).await, Some(AuthError::Expired { .. })));
    let by = KeyRef::Secret(second.secret.clone());
    let third =
        accounts.regenerate_key(&by, (KeyInput::default(), None), None, "ana").await.unwrap();
    assert_eq!(refused(&accounts, &second.secret).await, Some(AuthError::Unknown));
    assert_eq!(refused(&accounts, &third.secret).await, None);
}

pub(crate) async fn a_chosen_key_is_taken_over_once(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let chosen = || Some(SecretKey::chosen("sk-canary-of-the-tests").unwrap());
    let made = accounts
        .create_key(input(json!({"key_alias": "a", "user_id": "u-1"})), chosen(), "ana")
        .await
        .unwrap();
    assert_eq!(made.record.key_name, "sk-...ests");
    assert_eq!(accounts.record::<UserRecord>("u-1").await.unwrap().stamp.created_by, "ana");
    let again = accounts.create_key(KeyInput::default(), chosen(), "ana").await;
    assert!(matches!(again, Err(AdminError::Invalid(refusal)) if refusal.param == "key"));
    let alias = accounts.create_key(input(json!({"key_alias": "a"})), None, "ana").await;
    assert!(matches!(alias, Err(AdminError::Taken { param: "key_alias", .. })));
    let other = accounts.create_key(input(json!({"key_alias": "b"})), None, "ana").await.unwrap();
    let rename = accounts
        .update_key(&KeyRef::Id(other.record.id), input(json!({"key_alias": "a"})), "ana")
        .await;
    assert!(matches!(rename, Err(AdminError::Taken { param: "key_alias", .. })));
    let unknown = accounts.key(&KeyRef::parse("sk-canary-nobody-made").unwrap()).await.unwrap_err();
    assert!(!format!("{unknown:?} {unknown}").contains("canary"), "{unknown}");
}

pub(crate) async fn keys_die_with_their_team(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let unknown = accounts.create_key(input(json!({"team_id": "t-1"})), None, "ana").await;
    assert!(matches!(unknown, Err(AdminError::Invalid(refusal)) if refusal.param == "team_id"));
    accounts.create(TeamRecord::new("t-1").unwrap(), "ana").await.unwrap();
    let twice = accounts.create(TeamRecord::new("t-1").unwrap(), "ana").await;
    assert!(matches!(twice, Err(AdminError::Taken { param: "team_id", .. })));
    let key = accounts.create_key(input(json!({"team_id": "t-1"})), None, "ana").await.unwrap();
    let free = accounts.create_key(KeyInput::default(), None, "ana").await.unwrap();
    let fields: TeamInput = serde_json::from_value(json!({"blocked": true})).unwrap();
    accounts
        .update("t-1", "ana", |team: &mut TeamRecord, now| team.apply(fields.clone(), now))
        .await
        .unwrap();
    let principal = accounts.authenticate(&key.secret).await.unwrap();
    assert!(matches!(admit(principal), Err(Denied::Blocked { level }) if level.as_str() == "team"));
    accounts.delete::<TeamRecord>("t-1", "ana").await.unwrap();
    assert_eq!(refused(&accounts, &key.secret).await, Some(AuthError::Unknown));
    assert_eq!(refused(&accounts, &free.secret).await, None);
    let all = accounts.keys(RecordQuery::all(RecordKind::Key, noon())).await.unwrap();
    assert_eq!((all.total, &all.rows[0].id), (1, &free.record.id));
    assert!(matches!(accounts.record::<TeamRecord>("t-1").await, Err(AdminError::NotFound { .. })));
}

pub(crate) async fn a_budget_in_use_stays(open: Opener) {
    let (accounts, _) = replica(&open).await;
    accounts.create(BudgetRecord::new("small").unwrap(), "ana").await.unwrap();
    let key = accounts.create_key(input(json!({"budget_id": "small"})), None, "ana").await.unwrap();
    let used = accounts.delete_unused_budget("small", "ana").await;
    assert!(matches!(used, Err(AdminError::InUse { count: 1 })));
    accounts
        .update_key(&KeyRef::Id(key.record.id), input(json!({"budget_id": null})), "ana")
        .await
        .unwrap();
    accounts.delete_unused_budget("small", "ana").await.unwrap();
}

pub(crate) async fn the_store_holds_no_secret(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let made = accounts.create_key(KeyInput::default(), None, "ana").await.unwrap();
    let by = KeyRef::Secret(made.secret.clone());
    accounts.update_key(&by, input(json!({"max_budget": 5})), "ana").await.unwrap();
    let again =
        accounts.regenerate_key(&by, (KeyInput::default(), None), None, "ana").await.unwrap();
    accounts.delete_keys(&[KeyRef::Secret(again.secret.clone())], "ana").await.unwrap();
    let audit = accounts.store().audit(100).await.unwrap();
    let actions: Vec<_> = audit.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["key.delete", "key.regenerate", "key.update", "key.new"]);
    let deleted = RecordQuery {
        state: Some(access::store::RecordState::Deleted),
        ..RecordQuery::all(RecordKind::Key, noon())
    };
    let rows = accounts.list::<KeyRecord>(deleted).await.unwrap();
    let kept = format!("{audit:?} {rows:?}");
    for secret in
        [made.secret.reveal(), again.secret.reveal(), made.aws.secret(), again.aws.secret()]
    {
        assert!(!kept.contains(secret));
    }
}

pub(crate) async fn another_pepper_is_refused(open: Opener) {
    let (first, _) = replica(&open).await;
    first.close().await;
    let pepper = Some(Pepper::given("another pepper 123").unwrap());
    let other =
        Accounts::open(open().await, AccountSettings { pepper, ..AccountSettings::default() })
            .await;
    assert_eq!(other.err(), Some(OpenError::WrongPepper));
}
