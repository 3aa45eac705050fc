//! Calls through the accounts: reservations of all scopes, and their ends.

use std::sync::Arc;
use std::time::Duration;

use access::accounts::{AccountSettings, AdminError, AuthError, CallAsk, KeyRef, Refused};
use access::ledger::{CallFilter, CallOutcome, CallState, FailMode, LedgerOptions, ScopeKind};
use access::limit::RateKind;
use access::{
    Accounts, BudgetRecord, Caller, CustomerInput, CustomerRecord, KeyInput, Limits, Nanodollars,
    SecretKey, TagInput, TagRecord, TeamInput, TeamRecord, UserInput, UserRecord, UtcTime, admit,
};
use serde_json::{Value, json};

use crate::Opener;
use crate::keys::{input, noon, replica};
use crate::postgres::Server;

const CENT: i64 = 10_000_000;

pub(crate) fn ask(id: &str, cost: i64) -> CallAsk {
    CallAsk {
        id: id.into(),
        call_type: "acompletion".into(),
        model_asked: "sonnet".into(),
        model_names: vec!["sonnet".into(), "a-model".into()],
        tokens: 100,
        cost: Some(Nanodollars::new(cost)),
        ..CallAsk::default()
    }
}

pub(crate) fn used(cost: i64) -> CallOutcome {
    CallOutcome {
        model: "a-model".into(),
        cost: Some(Nanodollars::new(cost)),
        status: 200,
        ..CallOutcome::default()
    }
}

pub(crate) async fn caller(accounts: &Accounts, key: &SecretKey) -> Caller {
    accounts.authenticate(key).await.unwrap().into()
}

/// Makes a call that costs a cent.
async fn call(accounts: &Accounts, caller: &Caller, id: &str) -> Result<(), Refused> {
    let mut reserved = accounts.reserve(&admit(caller.clone()).unwrap(), ask(id, CENT)).await?;
    reserved.is_sent();
    reserved.settle(used(CENT), 50);
    accounts.flush().await;
    Ok(())
}

async fn state(accounts: &Accounts, id: &str) -> (CallState, Option<i64>, Option<String>) {
    accounts.flush().await;
    let filter = CallFilter { id: Some(id.into()), limit: 1, ..CallFilter::default() };
    let row = accounts.store().calls(filter).await.unwrap().rows.remove(0);
    assert!(!row.under_way);
    let outcome = row.closing.outcome;
    (row.closing.state, outcome.cost.map(Nanodollars::nano), outcome.error_code)
}

/// Work that ends hours after it was asked for is charged once, beyond its budget too; calls after it find no room.
pub(crate) async fn work_is_booked_once_by_whichever_replica(open: Opener) {
    let ((here, _), (there, _)) = (replica(&open).await, replica(&open).await);
    let made = here.create_key(input(json!({ "max_budget": 0.015 })), None, "ana").await.unwrap();
    let caller = caller(&here, &made.secret).await;
    for (accounts, is_new) in [(&here, true), (&there, false), (&here, false)] {
        let booked = accounts.book(&caller, ask("job", 0), used(2 * CENT)).await.unwrap();
        assert_eq!(booked, is_new);
    }
    assert_eq!(state(&there, "job").await, (CallState::Settled, Some(2 * CENT), None));
    let refused = call(&here, &caller, "later").await.unwrap_err();
    let Refused::Budget(budget) = refused else { panic!("{refused:?}") };
    assert_eq!((budget.spent.nano(), budget.reserved.nano()), (2 * CENT, 0));
}

pub(crate) async fn ten_of_two_hundred_calls_pass_on_two_replicas(open: Opener) {
    let ((here, _), (there, _)) = (replica(&open).await, replica(&open).await);
    let made = here
        .create_key(input(json!({"max_budget": 0.1, "budget_duration": "1d"})), None, "ana")
        .await
        .unwrap();
    let mut tasks = Vec::new();
    for n in 0..200 {
        let accounts = if n % 2 == 0 { here.clone() } else { there.clone() };
        let caller = caller(&accounts, &made.secret).await;
        tasks.push(tokio::spawn(async move {
            let admission = admit(caller).unwrap();
            let reserved = accounts.reserve(&admission, ask(&format!("c{n}"), CENT)).await;
            let mut reserved = match reserved {
                Ok(reserved) => reserved,
                Err(Refused::Budget(budget)) => {
                    assert_eq!((budget.kind, budget.max.nano()), (ScopeKind::Key, 10 * CENT));
                    assert_eq!(budget.retry_after_seconds(), Some(12 * 3600));
                    return 0;
                }
                Err(other) => panic!("{other}"),
            };
            reserved.is_sent();
            tokio::time::sleep(Duration::from_millis(1)).await;
            reserved.settle(used(CENT), 50);
            1
        }));
    }
    let mut passed = 0;
    for task in tasks {
        passed += task.await.unwrap();
    }
    assert_eq!(passed, 10);
    here.flush().await;
    there.flush().await;
    let spend = here.spend_of(ScopeKind::Key, &made.record.id, &made.record.limits).await.unwrap();
    let found = [spend.spend, spend.reserved, spend.total_spend].map(Nanodollars::nano);
    assert_eq!(found, [10 * CENT, 0, 10 * CENT]);
    assert_eq!((here.calls_under_way(), there.calls_under_way()), (0, 0));
}

pub(crate) async fn a_dropped_call_is_voided_or_estimated(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let made = accounts
        .create_key(input(json!({"max_parallel_requests": 1, "rpm_limit": 3})), None, "ana")
        .await
        .unwrap();
    let admission = admit(caller(&accounts, &made.secret).await).unwrap();
    let first = accounts.reserve(&admission, ask("not sent", CENT)).await.unwrap();
    let second = accounts.reserve(&admission, ask("second", CENT)).await;
    assert!(matches!(second, Err(Refused::Rate(rate)) if rate.rate == RateKind::Parallel));
    drop(first);
    assert_eq!(
        state(&accounts, "not sent").await,
        (CallState::Voided, None, Some("not_made".into()))
    );
    let mut sent = accounts.reserve(&admission, ask("sent", CENT)).await.unwrap();
    sent.is_sent();
    drop(sent);
    assert_eq!(
        state(&accounts, "sent").await,
        (CallState::Estimated, Some(CENT), Some("cut_off".into()))
    );
    let void = accounts.reserve(&admission, ask("refused", CENT)).await.unwrap();
    void.void(CallOutcome {
        error_code: Some("throttled".into()),
        status: 429,
        ..CallOutcome::default()
    });
    assert_eq!(
        state(&accounts, "refused").await,
        (CallState::Voided, None, Some("throttled".into()))
    );
    // Of three requests a minute only the one that was sent is gone.
    for n in 0..2 {
        call(&accounts, admission.caller(), &format!("more {n}")).await.unwrap();
    }
    let over = accounts.reserve(&admission, ask("over", CENT)).await;
    assert!(matches!(over, Err(Refused::Rate(rate)) if rate.retry_after_seconds() == Some(20)));
    let spend =
        accounts.spend_of(ScopeKind::Key, &made.record.id, &made.record.limits).await.unwrap();
    assert_eq!((spend.spend.nano(), spend.reserved), (3 * CENT, Nanodollars::ZERO));
}

pub(crate) async fn every_scope_refuses_by_its_name(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let of = |fields: Value| serde_json::from_value(fields).unwrap();
    let cents = |n: u32| json!({"max_budget": f64::from(n) / 100.0});
    let make = async |key: Value, team: Value, user: Value, customer: Value, tag: Value| {
        let id = uuid(&key, &team, &user, &customer, &tag);
        let mut record = TeamRecord::new(&id).unwrap();
        record.apply(serde_json::from_value::<TeamInput>(team).unwrap(), noon()).unwrap();
        accounts.create(record, "ana").await.unwrap();
        let mut record = UserRecord::new(&id).unwrap();
        record.apply(serde_json::from_value::<UserInput>(user).unwrap(), noon()).unwrap();
        accounts.create(record, "ana").await.unwrap();
        let mut record = CustomerRecord::new(&id).unwrap();
        record.apply(serde_json::from_value::<CustomerInput>(customer).unwrap(), noon()).unwrap();
        accounts.create(record, "ana").await.unwrap();
        let mut record = TagRecord::new(&id).unwrap();
        record.apply(serde_json::from_value::<TagInput>(tag).unwrap(), noon()).unwrap();
        accounts.create(record, "ana").await.unwrap();
        let mut fields: KeyInput = of(key);
        fields.team_id = access::Set::To(id.clone());
        fields.user_id = access::Set::To(id.clone());
        let made = accounts.create_key(fields, None, "ana").await.unwrap();
        let mut caller = caller(&accounts, &made.secret).await;
        caller.customer = Some(accounts.customer(&id).await.unwrap());
        caller.tags =
            vec![accounts.tag(&id).await.unwrap(), accounts.tag("unknown").await.unwrap()];
        (id, caller)
    };
    let none = || json!({});
    for (scopes, kind) in [
        ([cents(2), none(), none(), none(), none()], ScopeKind::Key),
        ([none(), cents(2), none(), none(), none()], ScopeKind::Team),
        ([none(), none(), cents(2), none(), none()], ScopeKind::User),
        ([none(), none(), none(), cents(2), none()], ScopeKind::Customer),
        ([none(), none(), none(), none(), cents(2)], ScopeKind::Tag),
        (
            [
                json!({"model_max_budget": {"sonnet": {"budget_limit": 0.02, "time_period": "1d"}}}),
                none(),
                none(),
                none(),
                none(),
            ],
            ScopeKind::Key,
        ),
        (
            [
                json!({"budget_limits": [{"budget_duration": "1h", "max_budget": 0.02}]}),
                cents(9),
                none(),
                none(),
                none(),
            ],
            ScopeKind::Key,
        ),
    ] {
        let [key, team, user, customer, tag] = scopes;
        let (id, caller) = make(key, team, user, customer, tag).await;
        for n in 0..2 {
            call(&accounts, &caller, &format!("{id} {n}")).await.unwrap();
        }
        let refusal = call(&accounts, &caller, &format!("{id} over")).await.unwrap_err();
        let Refused::Budget(budget) = refusal else { panic!("{refusal}") };
        assert_eq!(
            (budget.kind, budget.spent.nano(), budget.max.nano()),
            (kind, 2 * CENT, 2 * CENT)
        );
    }
}

/// An id of the place of the one scope that has a limit.
fn uuid(key: &Value, team: &Value, user: &Value, customer: &Value, tag: &Value) -> String {
    let text = format!("{key}{team}{user}{customer}{tag}");
    text.chars().filter(char::is_ascii_alphanumeric).collect::<String>()
        + &text.find("budget").unwrap_or(0).to_string()
}

pub(crate) async fn windows_end_without_a_job(open: Opener) {
    let (accounts, clock) = replica(&open).await;
    let fields = json!({"max_budget": 0.01, "budget_duration": "1d"});
    let made = accounts.create_key(input(fields), None, "ana").await.unwrap();
    let caller = caller(&accounts, &made.secret).await;
    for day in 0..3 {
        clock.go_to(noon().plus(Duration::from_hours(24 * day)));
        call(&accounts, &caller, &format!("day {day}")).await.unwrap();
        assert!(matches!(call(&accounts, &caller, "over").await, Err(Refused::Budget(_))));
    }
    // A call that began before midnight counts there, whenever it ends.
    let admission = admit(caller.clone()).unwrap();
    clock.go_to(UtcTime::parse("2026-12-01T23:59:59Z").unwrap());
    let late = accounts.reserve(&admission, ask("late", CENT)).await.unwrap();
    clock.go_to(UtcTime::parse("2026-12-02T00:00:01Z").unwrap());
    late.settle(used(CENT), 1);
    call(&accounts, &caller, "new day").await.unwrap();
    let spend =
        accounts.spend_of(ScopeKind::Key, &made.record.id, &made.record.limits).await.unwrap();
    assert_eq!((spend.spend.nano(), spend.total_spend.nano()), (CENT, 5 * CENT));
    assert_eq!(spend.reset_at, UtcTime::parse("2026-12-03T00:00:00Z"));
    // A reset for the hand.
    let (id, limits) = (&made.record.id, &made.record.limits);
    accounts.set_spend(ScopeKind::Key, id, limits, Nanodollars::ZERO).await.unwrap();
    call(&accounts, &caller, "after the reset").await.unwrap();
}

pub(crate) async fn a_window_set_on_a_key_with_history_starts_at_zero(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let made = accounts.create_key(KeyInput::default(), None, "ana").await.unwrap();
    let before = caller(&accounts, &made.secret).await;
    for n in 0..3 {
        call(&accounts, &before, &format!("before {n}")).await.unwrap();
    }
    let by = KeyRef::Secret(made.secret.clone());
    let fields = json!({"max_budget": 0.02, "budget_duration": "30d"});
    let record = accounts.update_key(&by, input(fields), "ana").await.unwrap();
    let after = caller(&accounts, &made.secret).await;
    for n in 0..2 {
        call(&accounts, &after, &format!("after {n}")).await.unwrap();
    }
    assert!(matches!(call(&accounts, &after, "over").await, Err(Refused::Budget(_))));
    let spend = accounts.spend_of(ScopeKind::Key, &record.id, &record.limits).await.unwrap();
    assert_eq!((spend.spend.nano(), spend.total_spend.nano()), (2 * CENT, 5 * CENT));
}

pub(crate) async fn a_call_without_a_price_needs_no_budget(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let unpriced = |id: &str| CallAsk { cost: None, ..ask(id, 0) };
    for (fields, passes) in [(json!({}), true), (json!({"max_budget": 5}), false)] {
        let made = accounts.create_key(input(fields), None, "ana").await.unwrap();
        let admission = admit(caller(&accounts, &made.secret).await).unwrap();
        match accounts.reserve(&admission, unpriced(&made.record.id)).await {
            Ok(reserved) => {
                reserved.settle(CallOutcome { cost: None, ..used(0) }, 1);
                assert!(passes);
                assert_eq!(
                    state(&accounts, &made.record.id).await,
                    (CallState::Settled, None, None)
                );
            }
            Err(refusal) => {
                assert!(!passes);
                assert!(matches!(refusal, Refused::Unpriced { level: ScopeKind::Key }));
            }
        }
    }
    assert!(!Limits::default().has_budget());
}

pub(crate) async fn a_model_with_two_targets_is_counted_once(open: Opener) {
    let (accounts, _) = replica(&open).await;
    let fields = json!({"model_rpm_limit": {"a-model": 2}});
    let made = accounts.create_key(input(fields), None, "ana").await.unwrap();
    let admission = admit(caller(&accounts, &made.secret).await).unwrap();
    let names = ["a-model", "a-model", "sonnet"].map(ToOwned::to_owned);
    for (id, passes) in [("t1", true), ("t2", true), ("t3", false)] {
        let ask = CallAsk { model_names: names.to_vec(), ..ask(id, 0) };
        let reserved = accounts.reserve(&admission, ask).await;
        assert_eq!(reserved.is_ok(), passes, "{id}");
        reserved.into_iter().for_each(|reserved| reserved.settle(used(0), 1));
    }
}

/// Calls before, during and after an outage: all are served in one mode, with rows afterwards; in the other those
/// during it are refused, as what they are.
pub(crate) async fn the_store_goes_away(open: Opener, fail_mode: FailMode, server: &Server) {
    let ledger = LedgerOptions {
        fail_mode,
        patience: Duration::from_millis(300),
        ..LedgerOptions::default()
    };
    let accounts =
        Accounts::open(open().await, AccountSettings { ledger, ..AccountSettings::default() })
            .await
            .unwrap();
    let made = accounts.create_key(input(json!({"max_budget": 1})), None, "ana").await.unwrap();
    let known = caller(&accounts, &made.secret).await;
    let one = async |id: String| {
        let mut reserved = accounts.reserve(&admit(known.clone()).unwrap(), ask(&id, CENT)).await?;
        reserved.is_sent();
        reserved.settle(used(CENT), 50);
        Ok::<_, Refused>(())
    };
    one("before".into()).await.unwrap();
    accounts.flush().await;
    server.halt();
    let stranger = SecretKey::generate().unwrap();
    assert!(matches!(accounts.authenticate(&stranger).await, Err(AuthError::Unavailable(_))));
    for n in 0..20 {
        match (one(format!("during {n}")).await, fail_mode) {
            (Ok(()), FailMode::Open) | (Err(Refused::Unavailable(_)), FailMode::Closed) => {}
            (other, mode) => panic!("{mode:?} {other:?}"),
        }
    }
    // The longest time an entry is used without asking.
    tokio::time::sleep(Duration::from_millis(5100)).await;
    assert_eq!(accounts.authenticate(&made.secret).await.is_ok(), fail_mode == FailMode::Open);
    server.go();
    accounts.flush().await;
    one("after".into()).await.unwrap();
    accounts.flush().await;
    let served = if fail_mode == FailMode::Open { 22 } else { 2 };
    let all = CallFilter { succeeded: Some(true), limit: 1, ..CallFilter::default() };
    assert_eq!(accounts.store().calls(all).await.unwrap().total, served);
    let spend =
        accounts.spend_of(ScopeKind::Key, &made.record.id, &made.record.limits).await.unwrap();
    let served = i64::try_from(served).unwrap();
    assert_eq!((spend.spend.nano(), spend.reserved), (served * CENT, Nanodollars::ZERO));
    accounts.close().await;
}

pub(crate) async fn unknown_customers_and_the_gateway_have_limits(open: Opener) {
    let limits = |cents: i64| Limits {
        max_budget: Some(Nanodollars::new(cents * CENT)),
        ..Limits::default()
    };
    let (unknown_customers, gateway) = (limits(2), limits(5));
    let settings = AccountSettings { unknown_customers, gateway, ..AccountSettings::default() };
    let accounts = Accounts::open(open().await, settings).await.unwrap();
    let made = accounts.create_key(KeyInput::default(), None, "ana").await.unwrap();
    let mut refusals = Vec::new();
    for id in ["a", "b", "c"] {
        let mut caller = caller(&accounts, &made.secret).await;
        caller.customer = Some(accounts.customer(id).await.unwrap());
        let calls = (0..4).map(|n| (caller.clone(), format!("{id} {n}")));
        for (caller, id) in calls {
            match call(&accounts, &caller, &id).await {
                Ok(()) => {}
                Err(Refused::Budget(budget)) => refusals.push(budget.kind),
                Err(other) => panic!("{other}"),
            }
        }
    }
    use ScopeKind::{Customer, Gateway};
    assert_eq!(refusals, [Customer, Customer, Customer, Customer, Gateway, Gateway, Gateway]);
}

/// Tags and end users without limits of their own have those of the configuration, and every key its rates.
pub(crate) async fn configured_limits_hold_where_records_have_none(open: Opener) {
    let rpm = |limit| Limits { rpm_limit: Some(limit), ..Limits::default() };
    let settings = AccountSettings {
        unknown_customers: Limits { max_parallel_requests: Some(9), ..Limits::default() },
        unknown_customers_row: Some("small".to_owned()),
        every_key: Limits { model_rpm_limit: Some([("sonnet".to_owned(), 5)].into()), ..rpm(7) },
        tags: [("batch".to_owned(), rpm(3))].into(),
        ..AccountSettings::default()
    };
    let accounts = Accounts::open(open().await, settings).await.unwrap();
    let error = accounts.customer("a").await.unwrap_err();
    assert!(error.to_string().contains("no budget \"small\""), "{error}");
    let mut row = BudgetRecord::new("small").unwrap();
    row.limits = rpm(2);
    accounts.create(row, "ana").await.unwrap();
    let mut known = CustomerRecord::new("known").unwrap();
    accounts.create(known.clone(), "ana").await.unwrap();
    known.user_id = "limited".to_owned();
    known.limits = rpm(4);
    accounts.create(known, "ana").await.unwrap();
    for (id, expected) in [("a", Some(2)), ("known", Some(2)), ("limited", Some(4))] {
        let customer = accounts.customer(id).await.unwrap();
        assert_eq!(customer.limits.rpm_limit, expected, "{id}");
    }
    assert_eq!(accounts.customer("a").await.unwrap().limits.max_parallel_requests, Some(9));
    let in_use = accounts.delete_unused_budget("small", "ana").await.unwrap_err();
    assert_eq!(in_use, AdminError::InUse { count: 1 });
    // One key is limited by the model's rate, the other by that of all its calls.
    let mut refusals = Vec::new();
    for (fields, calls) in [
        (json!({"model_rpm_limit": {"other": 9}}), 7),
        (json!({"model_rpm_limit": {"sonnet": 9}}), 10),
    ] {
        let made = accounts.create_key(input(fields), None, "ana").await.unwrap();
        let mut caller = caller(&accounts, &made.secret).await;
        let tag = accounts.tag("batch").await.unwrap();
        for at in 0..calls {
            caller.tags = if at < 2 { vec![Arc::clone(&tag)] } else { Vec::new() };
            match call(&accounts, &caller, &format!("{calls} {at}")).await {
                Ok(()) => {}
                Err(Refused::Rate(rate)) => refusals.push((rate.kind, rate.limit)),
                Err(other) => panic!("{other}"),
            }
        }
    }
    use ScopeKind::{Key, Tag};
    assert_eq!(refusals, [(Key, 5), (Key, 5), (Tag, 3), (Key, 7), (Key, 7)]);
    accounts.close().await;
}
