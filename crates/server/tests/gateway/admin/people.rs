//! Users, customers, budget rows and tags: empty rows, fields without effect, and who may.

use std::sync::Arc;

use access::ledger::{
    Attribution, CallOutcome, CallState, Charge, Closing, CounterKey, Opening, ScopeKind,
};
use access::{Nanodollars, UtcTime};
use serde_json::{Value, json};

use super::scopes::Cast;
use super::{Admin, text};

/// The row of a user that was made without a field.
const EMPTY_USER: &str = r#"{"user_id": "u", "user_email": null, "user_alias": null, "user_role": null, "teams": [],
    "organization_id": null, "models": [], "metadata": {}, "blocked": null, "max_budget": null, "soft_budget": null,
    "budget_duration": null, "budget_limits": null, "model_max_budget": {}, "tpm_limit": null, "rpm_limit": null,
    "tpd_limit": null, "max_parallel_requests": null, "strict_budget": null, "spend": 0.0, "total_spend": 0.0,
    "model_spend": {}, "budget_reset_at": null, "budget_id": null, "litellm_budget_table": null,
    "allowed_geographies": null, "allowed_operations": null, "sso_user_id": null, "created_at": "", "updated_at": "",
    "outcrop": {"reserved": 0.0}}"#;

#[actix_rt::test]
async fn what_was_not_set_reads_as_null() {
    let admin = Admin::start().await;
    admin.ask("POST /user/new", json!({"user_id": "u"})).await.fine();
    let mut user = admin.ask("GET /v2/user/info?user_id=u", Value::Null).await.fine();
    for name in ["created_at", "updated_at"] {
        assert!(text(&user, name).ends_with('Z'));
        user[name] = json!("");
    }
    assert_eq!(user, serde_json::from_str::<Value>(EMPTY_USER).unwrap(), "{user:#}");
    let customer = admin.ask("POST /customer/new", json!({"user_id": "c"})).await.fine();
    assert_eq!(
        customer,
        json!({"user_id": "c", "alias": null, "blocked": false, "spend": 0.0, "total_spend": 0.0,
            "allowed_model_region": null, "default_model": null, "models": [], "budget_id": null,
            "budget_reset_at": null, "litellm_budget_table": null})
    );
    admin.stop().await;
}

#[actix_rt::test]
async fn fields_are_named_or_refused() {
    let admin = Admin::start().await;
    for (line, fields, ignored) in [
        (
            "POST /user/new",
            json!({"user_id": "u", "send_invite_email": true, "sso_user_id": "x", "permissions": {"a": 1}}),
            "permissions, send_invite_email, sso_user_id",
        ),
        (
            "POST /user/update",
            json!({"user_id": "u", "teams": ["t"], "password": "x"}),
            "password, teams",
        ),
        (
            "POST /customer/new",
            json!({"user_id": "c", "object_permission": {"a": 1}}),
            "object_permission",
        ),
        ("POST /customer/update", json!({"user_id": "c", "new_field": 1}), "new_field"),
        (
            "POST /budget/new",
            json!({"budget_id": "b", "budget_reset_at": "2026-12-01T00:00:00Z", "allowed_cache": 1}),
            "budget_reset_at, allowed_cache",
        ),
        ("POST /tag/new", json!({"name": "t", "model_info": {"a": 1}}), "model_info"),
    ] {
        let told = admin.ask(line, fields).await;
        let header = told.received.header("x-outcrop-ignored").map(str::to_owned);
        told.fine();
        let mut names: Vec<_> = header.as_deref().unwrap_or_default().split(", ").collect();
        let mut expected: Vec<_> = ignored.split(", ").collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected, "{line}");
    }
    for (line, fields, param) in [
        ("POST /user/new", json!({"hourly_budget": 1}), "hourly_budget"),
        ("POST /user/new", json!({"max_budget": -1}), "max_budget"),
        ("POST /user/new", json!({"user_id": "a b"}), "user_id"),
        ("POST /user/new", json!({"budget_id": "none"}), "budget_id"),
        ("POST /user/update", json!({"user_id": "u", "spend": -1}), "spend"),
        ("POST /customer/new", json!({"user_id": "d", "guardrails": ["g"]}), "guardrails"),
        (
            "POST /customer/new",
            json!({"user_id": "d", "budget_duration": "soon"}),
            "budget_duration",
        ),
        ("POST /customer/new", json!({"user_id": "d", "budget_id": "none"}), "budget_id"),
        ("POST /budget/new", json!({"max_budget": 1, "soft_budget": 2}), "soft_budget"),
        ("POST /budget/new", json!({"hourly_limit": 2}), "hourly_limit"),
        ("POST /tag/new", json!({"name": "x".repeat(65)}), "name"),
    ] {
        let error = admin.ask(line, fields.clone()).await.refused(400);
        assert_eq!(text(&error, "param"), param, "{line} {fields}");
    }
    let email = json!({"user_email": "ana@example.org"});
    admin.ask("POST /user/new", email.clone()).await.fine();
    assert_eq!(text(&admin.ask("POST /user/new", email).await.refused(400), "param"), "user_email");
    let missing = json!({"teams": ["t-none"]});
    admin.ask("POST /user/new", missing).await.refused(404);
    admin.stop().await;
}

#[actix_rt::test]
async fn the_key_made_with_a_user_has_its_own_fields() {
    let admin = Admin::start().await;
    let fields = json!({"user_id": "u", "max_budget": 3, "key_alias": "first", "duration": "1d", "tags": ["a"],
        "spend": 1.5});
    let made = admin.ask("POST /user/new", fields).await;
    assert_eq!(made.received.header("cache-control"), Some("no-store"));
    let made = made.fine();
    assert_eq!(
        (&made["key_alias"], &made["spend"], &made["max_budget"]),
        (&json!("first"), &json!(1.5), &json!(3.0))
    );
    let line = format!("GET /key/info?key={}", text(&made, "token"));
    let key = admin.ask(&line, Value::Null).await.fine()["info"].clone();
    assert_eq!(
        (&key["user_id"], &key["metadata"], &key["max_budget"], &key["expires"]),
        (&json!("u"), &json!({"tags": ["a"]}), &Value::Null, &made["expires"])
    );
    // It reads its own user, whose budget it spends.
    let own = admin.ask_as(text(&made, "key"), "GET /user/info", Value::Null).await.fine();
    assert_eq!((&own["user_id"], &own["user_info"]["spend"]), (&json!("u"), &json!(1.5)));
    admin.stop().await;
}

#[actix_rt::test]
async fn customers_that_only_made_calls_are_known() {
    let admin = Admin::start().await;
    let accounts = admin.rig.accounts.as_ref().unwrap();
    let counter = CounterKey {
        kind: ScopeKind::Customer,
        id: "walk-in".to_owned(),
        window: "total".to_owned(),
        start: UtcTime::default(),
    };
    let call = Opening {
        id: "0193".to_owned(),
        at: accounts.now(),
        who: Attribution { customer: Some("walk-in".to_owned()), ..Attribution::default() },
        charges: vec![Charge { counter, max: None, slice: None }],
        ..Opening::default()
    };
    let outcome = CallOutcome { cost: Nanodollars::parse("0.25"), ..CallOutcome::default() };
    let (call, at, state) = (Arc::new(call), accounts.now(), CallState::Settled);
    accounts.store().close([Closing { call, at, state, outcome }].into()).await.unwrap();
    let info = admin.ask("GET /customer/info?end_user_id=walk-in", Value::Null).await.fine();
    assert_eq!((&info["spend"], &info["blocked"]), (&json!(0.25), &json!(false)));
    admin.ask("GET /customer/info?end_user_id=never", Value::Null).await.refused(404);
    admin.stop().await;
}

#[actix_rt::test]
async fn people_are_the_administrators_matter() {
    let cast = Cast::start().await;
    for (line, body) in [
        ("POST /customer/new", json!({"user_id": "c-1", "budget_id": null})),
        ("POST /budget/new", json!({"budget_id": "b-1"})),
        ("POST /tag/new", json!({"name": "batch"})),
    ] {
        cast.admin.ask(line, body).await.fine();
    }
    let (admins, readers) =
        (["master", "admin"].as_slice(), ["master", "admin", "viewer"].as_slice());
    let own = ["master", "admin", "viewer", "member", "lead", "manager"].as_slice();
    for (line, body, allowed) in [
        ("POST /user/new", json!({"auto_create_key": false}), admins),
        ("POST /user/update", json!({"user_id": "u-member", "user_alias": "m"}), admins),
        ("POST /user/delete", json!({"user_ids": []}), admins),
        ("GET /user/list", Value::Null, readers),
        ("GET /user/info?user_id=u-member", Value::Null, own),
        ("GET /v2/user/info?user_id=u-member", Value::Null, own),
        ("GET /user/info?user_id=u-stranger", Value::Null, readers),
        ("POST /customer/block", json!({"user_ids": ["c-2"]}), admins),
        ("POST /customer/update", json!({"user_id": "c-1", "alias": "x"}), admins),
        ("POST /end_user/unblock", json!({"user_ids": ["c-2"]}), admins),
        ("POST /customer/delete", json!({"user_ids": []}), admins),
        ("GET /customer/info?end_user_id=c-1", Value::Null, readers),
        ("GET /customer/list", Value::Null, readers),
        ("GET /end_user/list", Value::Null, readers),
        ("POST /budget/update", json!({"budget_id": "b-1", "max_budget": 1}), admins),
        ("POST /budget/info", json!({"budgets": ["b-1"]}), readers),
        ("GET /budget/list", Value::Null, readers),
        ("GET /budget/settings?budget_id=b-1", Value::Null, readers),
        ("POST /tag/update", json!({"name": "batch", "max_budget": 1}), admins),
        ("POST /tag/info", json!({"names": ["batch"]}), readers),
        ("GET /tag/list", Value::Null, readers),
    ] {
        for caller in
            ["master", "admin", "viewer", "lead", "member", "reader", "plain", "manager", "models"]
        {
            let expected = if allowed.contains(&caller) { 200 } else { 403 };
            assert_eq!(cast.status(caller, line, body.clone()).await, expected, "{caller} {line}");
        }
    }
    for (line, body) in [
        ("POST /budget/delete", json!({"id": "b-1"})),
        ("POST /tag/delete", json!({"name": "batch"})),
        ("POST /customer/new", json!({"user_id": "c-9"})),
        ("POST /budget/new", json!({})),
        ("POST /tag/new", json!({"name": "other"})),
    ] {
        assert_eq!(cast.status("viewer", line, body.clone()).await, 403, "{line}");
        assert_eq!(cast.status("lead", line, body.clone()).await, 403, "{line}");
        assert_eq!(cast.status("admin", line, body).await, 200, "{line}");
    }
    cast.admin.stop().await;
}

#[actix_rt::test]
async fn who_leads_a_team_sees_its_members_in_it() {
    let cast = Cast::start().await;
    cast.admin
        .ask("POST /user/update", json!({"user_id": "u-member", "user_alias": "secret"}))
        .await
        .fine();
    let line = "GET /user/info?user_id=u-member";
    let told = cast.admin.ask_as(cast.key("lead"), line, Value::Null).await.fine();
    assert_eq!(told["user_info"]["teams"], json!(["t-own"]));
    assert_eq!(
        (&told["user_info"]["user_alias"], told["user_info"].get("spend")),
        (&Value::Null, None)
    );
    let tokens: Vec<_> =
        told["keys"].as_array().unwrap().iter().map(|key| text(key, "token")).collect();
    assert_eq!(tokens, [cast.token("in-team")]);
    // A key of the user that all keys of the master key share sees itself only.
    let own = cast.admin.ask_as(cast.key("plain"), "GET /user/info", Value::Null).await.fine();
    assert_eq!((&own["user_info"], &own["teams"]), (&Value::Null, &json!([])));
    assert_eq!(own["keys"].as_array().map(Vec::len), Some(1));
    let all = cast.admin.ask("GET /user/info", Value::Null).await.fine();
    assert_eq!(
        (all["keys"].as_array().map(Vec::len), all["teams"].as_array().map(Vec::len)),
        (Some(13), Some(2))
    );
    cast.admin.stop().await;
}
