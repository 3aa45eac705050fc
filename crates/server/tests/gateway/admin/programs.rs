//! Habits of programs that call this API, each with what a naive server would break: the order of Terraform providers,
//! bootstraps, disabled keys, service accounts.

use http::Method;
use serde_json::{Value, json};

use super::super::models::ask;
use super::{Admin, MASTER, text};

/// Waits for a revocation, which reaches every replica within five seconds.
const SOON: std::time::Duration = std::time::Duration::from_secs(5);

async fn calls(admin: &Admin, key: &str) -> u16 {
    let bearer = format!("Bearer {key}");
    admin.rig.chat_with(&[("authorization", &bearer)], &ask("nova-lite")).await.status
}

#[actix_rt::test]
async fn terraform_sees_no_change_it_did_not_make() {
    let admin = Admin::start().await;
    let bearer = format!("Bearer {MASTER}");
    // One credential in two headers.
    let headers = [("authorization", bearer.as_str()), ("x-api-key", MASTER)];
    let told = async |line: &str, body: Value| admin.ask_with(&headers, line, body).await;
    let team = json!({"team_id": "5f0c1f9e-2f0e-4d5c-9a51-0c3a8f6f1a11", "team_alias": "a", "models": [],
        "metadata": {"managed": "terraform"}});
    told("POST /team/new", team.clone()).await.fine();
    let line = format!("GET /team/info?team_id={}", text(&team, "team_id"));
    let first = told(&line, Value::Null).await.fine();
    assert_eq!(told(&line, Value::Null).await.fine(), first);
    let key = json!({"key_alias": "tf", "models": [], "max_budget": 10, "duration": "30d", "tags": ["x"],
        "metadata": {"owner": "ana"}, "team_id": team["team_id"], "guardrails": null});
    let made = told("POST /key/generate", key).await.fine();
    let line = format!("GET /key/info?key={}", text(&made, "key").replace('-', "%2D"));
    let first = told(&line, Value::Null).await.fine();
    assert_eq!(told(&line, Value::Null).await.fine(), first, "the plan is empty");
    let mut sent = first["info"]["metadata"].clone();
    sent["owner"] = json!("ben");
    let update = json!({"key": made["key"], "metadata": sent, "max_budget": 10.0});
    told("POST /key/update", update).await.fine();
    let mut expected = first.clone();
    expected["info"]["metadata"]["owner"] = json!("ben");
    let mut second = told(&line, Value::Null).await.fine();
    assert!(second["info"]["updated_at"].as_str() >= first["info"]["updated_at"].as_str());
    second["info"]["updated_at"] = first["info"]["updated_at"].clone();
    assert_eq!(second, expected, "one field has changed");
    told("POST /key/delete", json!({"keys": [made["key"]]})).await.fine();
    told(&line, Value::Null).await.refused(404);
    told("POST /key/delete", json!({"keys": [made["key"]]})).await.refused(404);
    told("POST /team/delete", json!({"team_ids": [team["team_id"]]})).await.fine();
    told("POST /team/delete", json!({"team_ids": [team["team_id"]]})).await.refused(404);
    admin.stop().await;
}

#[actix_rt::test]
async fn credentials_may_come_in_any_header_and_must_be_equal() {
    let admin = Admin::start().await;
    let bearer = format!("Bearer {MASTER}");
    for header in
        [("x-api-key", MASTER), ("api-key", MASTER), ("x-litellm-api-key", bearer.as_str())]
    {
        admin.ask_with(&[header], "GET /key/list", Value::Null).await.fine();
    }
    let unequal = [("authorization", bearer.as_str()), ("x-api-key", "sk-other-0123456789")];
    admin.ask_with(&unequal, "POST /key/generate", json!({})).await.refused(400);
    let error = admin.ask_with(&[], "POST /key/generate", json!({})).await.refused(401);
    assert!(text(&error, "message").starts_with("Authentication Error, No api key passed in."));
    let key = admin.key(json!({})).await;
    // The handle of a key is no credential.
    let error = admin.ask_as(text(&key, "token"), "GET /key/info", Value::Null).await.refused(401);
    assert!(
        text(&error, "message").starts_with("Authentication Error, Invalid proxy server token")
    );
    assert_eq!(admin.rig.emulator.journal().calls().len(), 0);
    admin.stop().await;
}

#[actix_rt::test]
async fn bodies_need_no_type_and_heads_and_methods_are_answered() {
    let admin = Admin::start().await;
    let bearer = format!("Bearer {MASTER}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    admin.ask_with(&headers, "POST /key/generate", json!({"key_alias": "a"})).await.fine();
    let head = admin.rig.send_with(&headers[..1], Method::HEAD, "/key/list", "".into()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (line, allowed) in [
        ("GET /key/generate", "POST"),
        ("POST /key/list", "GET, HEAD"),
        ("DELETE /team/delete", "POST"),
    ] {
        let told = admin.ask(line, Value::Null).await;
        assert_eq!((told.status, told.received.header("allow")), (405, Some(allowed)), "{line}");
    }
    let long = json!({"metadata": {"x": "y".repeat(1_100_000)}});
    admin.ask("POST /key/generate", long).await.refused(413);
    for line in
        ["POST /project/new", "GET /credentials", "POST /config/update", "GET /sso/key/generate"]
    {
        let error = admin.ask(line, Value::Null).await.refused(501);
        assert_eq!(error["type"], "not_implemented", "{line}");
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn an_alias_is_free_at_once_and_never_taken_twice() {
    let admin = Admin::start().await;
    for _ in 0..2 {
        // A bootstrap deletes what it may have made before.
        let deleted = admin.ask("POST /key/delete", json!({"key_aliases": ["boot"]})).await;
        assert!(matches!(deleted.status, 200 | 404));
        admin.key(json!({"key_alias": "boot"})).await;
    }
    let error = admin.ask("POST /key/generate", json!({"key_alias": "boot"})).await.refused(400);
    assert_eq!(
        text(&error, "message"),
        "Key with alias 'boot' already exists. Unique key aliases across all keys are required."
    );
    let other = admin.key(json!({})).await;
    let rename = json!({"key": other["token"], "key_alias": "boot"});
    assert_eq!(
        text(&admin.ask("POST /key/update", rename).await.refused(400), "param"),
        "key_alias"
    );
    // Deleted keys keep their names in the list.
    let gone =
        admin.ask("GET /key/list?status=deleted&return_full_object=true", Value::Null).await.fine();
    assert_eq!((&gone["total_count"], &gone["keys"][0]["status"]), (&json!(1), &json!("deleted")));
    admin.ask("GET /key/list?status=lost", Value::Null).await.refused(400);
    admin.stop().await;
}

#[actix_rt::test]
async fn keys_are_refused_soon_after_their_end() {
    let admin = Admin::start().await;
    let end = |line: &'static str, body: fn(&Value) -> Value| (line, body);
    for (line, body) in [
        end("POST /key/update", |token| json!({"key": token, "duration": "0d"})),
        end("POST /key/update", |token| json!({"key": token, "duration": "0s"})),
        end("POST /key/update", |token| json!({"key": token, "blocked": true})),
        end("POST /key/block", |token| json!({"key": token})),
        end("POST /key/regenerate", |token| json!({"key": token})),
        end("POST /key/delete", |token| json!({"keys": [token]})),
    ] {
        let key = admin.key(json!({})).await;
        assert_eq!(calls(&admin, text(&key, "key")).await, 200);
        admin.ask(line, body(&key["token"])).await.fine();
        let begun = std::time::Instant::now();
        while calls(&admin, text(&key, "key")).await != 401 {
            assert!(begun.elapsed() < SOON, "{line}");
        }
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn a_replaced_key_keeps_its_row_and_has_its_grace() {
    let admin = Admin::start().await;
    let key = admin.key(json!({"key_alias": "a", "rpm_limit": 60, "spend": 2.5})).await;
    let token = text(&key, "token");
    let body = json!({"grace_period": "1h", "max_budget": 9});
    let line = format!("POST /key/{token}/regenerate");
    let told = admin.ask(&line, body).await;
    assert_eq!(told.received.header("cache-control"), Some("no-store"));
    let next = told.fine();
    assert_ne!((&next["key"], &next["token"]), (&key["key"], &key["token"]));
    for (name, value) in [
        ("key_alias", json!("a")),
        ("rpm_limit", json!(60)),
        ("spend", json!(2.5)),
        ("max_budget", json!(9.0)),
    ] {
        assert_eq!(next[name], value, "{name}");
    }
    for key in [&key, &next] {
        assert_eq!(calls(&admin, text(key, "key")).await, 200);
    }
    // The key itself may ask for another secret, which it may choose.
    let chosen = json!({"new_key": "sk-chosen-by-the-holder"});
    let last = admin.ask_as(text(&next, "key"), "POST /key/regenerate", chosen).await.fine();
    assert_eq!(text(&last, "key"), "sk-chosen-by-the-holder");
    admin.ask("POST /key/regenerate", json!({})).await.refused(422);
    admin.ask("POST /key/regenerate", json!({"key": "0".repeat(64)})).await.refused(404);
    let weak = json!({"key": last["token"], "new_key": "sk-short"});
    assert_eq!(text(&admin.ask("POST /key/regenerate", weak).await.refused(400), "param"), "key");
    admin.stop().await;
}

#[actix_rt::test]
async fn a_service_account_keeps_its_mark() {
    let admin = Admin::start().await;
    let line = "POST /key/service-account/generate";
    let error = admin.ask(line, json!({"key_alias": "robot"})).await.refused(400);
    assert_eq!(text(&error, "param"), "team_id");
    admin.ask("POST /team/new", json!({"team_id": "t"})).await.fine();
    let key = admin
        .ask(line, json!({"key_alias": "robot", "team_id": "t", "metadata": {"a": 1}}))
        .await
        .fine();
    assert_eq!(key["metadata"], json!({"a": 1, "service_account_id": "robot"}));
    assert_eq!(key["user_id"], Value::Null);
    let token = text(&key, "token");
    for (metadata, expected) in [
        (json!({"b": 2}), json!({"b": 2, "service_account_id": "robot"})),
        (Value::Null, json!({"service_account_id": "robot"})),
        (json!({"service_account_id": "robot"}), json!({"service_account_id": "robot"})),
    ] {
        let update = json!({"key": token, "metadata": metadata});
        assert_eq!(admin.ask("POST /key/update", update).await.fine()["metadata"], expected);
    }
    let other = json!({"key": token, "metadata": {"service_account_id": "other"}});
    for line in ["POST /key/update", "POST /key/regenerate"] {
        assert_eq!(text(&admin.ask(line, other.clone()).await.refused(400), "param"), "metadata");
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn several_keys_are_changed_each_for_itself() {
    let admin = Admin::start().await;
    let (one, two) = (admin.key(json!({"key_alias": "one"})).await, admin.key(json!({})).await);
    let keys = json!([
        {"key": one["token"], "max_budget": 1},
        {"key_alias": "one", "rpm_limit": 5},
        {"key": two["token"], "max_budget": -1},
        {"key": "0".repeat(64), "max_budget": 1},
        {"max_budget": 1},
        3,
    ]);
    let told = admin.ask("POST /key/bulk_update", json!({"keys": keys})).await.fine();
    assert_eq!(told["total_requested"], 6);
    let changed = told["successful_updates"].as_array().unwrap();
    assert_eq!(changed.len(), 2);
    assert_eq!(
        (&changed[1]["key"], &changed[1]["key_info"]["max_budget"]),
        (&one["token"], &json!(1.0))
    );
    assert_eq!(told["failed_updates"].as_array().unwrap().len(), 4);
    assert_eq!(told["failed_updates"][0]["failed_reason"], "max_budget cannot be negative");
    admin.ask("POST /key/bulk_update", json!({"keys": []})).await.refused(400);
    let infos = json!({"keys": [one["token"], "0".repeat(64), two["token"]]});
    let told = admin.ask("POST /v2/key/info", infos).await.fine();
    assert_eq!(told["key"], json!([one["token"], two["token"]]));
    assert_eq!(told["info"][0]["key_alias"], "one");
    admin.stop().await;
}

#[actix_rt::test]
async fn lists_are_filtered_sorted_and_cut() {
    let admin = Admin::start().await;
    for (alias, budget) in [("alpha", 3), ("beta", 1), ("alphabet", 2)] {
        admin
            .key(json!({"key_alias": alias, "max_budget": budget, "spend": budget, "user_id": "u"}))
            .await;
    }
    admin.key(json!({"organization_id": "o"})).await;
    let named = async |query: &str| {
        let line = format!("GET /key/list?return_full_object=true&{query}");
        let list = admin.ask(&line, Value::Null).await.fine();
        let rows = list["keys"].as_array().unwrap();
        let names: Vec<_> =
            rows.iter().map(|row| row["key_alias"].as_str().unwrap_or("-")).collect();
        (
            names.join(" "),
            list["total_count"].as_u64().unwrap(),
            list["total_pages"].as_u64().unwrap(),
        )
    };
    for (query, names, total, pages) in [
        ("", "- alphabet beta alpha", 4, 1),
        ("sort_order=asc", "alpha beta alphabet -", 4, 1),
        ("size=2&page=2", "beta alpha", 4, 2),
        ("size=2&page=9", "", 4, 2),
        ("key_alias=alpha", "alpha", 1, 1),
        ("key_alias=ALPHA&substring_matching=true", "alphabet alpha", 2, 1),
        ("search=BET", "alphabet beta", 2, 1),
        ("user_id=u&sort_by=max_budget", "alpha alphabet beta", 3, 1),
        ("user_id=u&sort_by=spend&sort_order=asc&size=1&page=2", "alphabet", 3, 3),
        ("user_id=u&sort_by=key_alias&sort_order=asc", "alpha alphabet beta", 3, 1),
        ("organization_id=o", "-", 1, 1),
        ("team_id=none&unknown=1", "", 0, 0),
        ("status=expired", "", 0, 0),
        ("user_id=default_user_id&include_created_by_keys=true", "- alphabet beta alpha", 4, 1),
    ] {
        assert_eq!(named(query).await, (names.to_owned(), total, pages), "{query}");
    }
    for query in ["size=101", "page=0", "size=x", "return_full_object=perhaps"] {
        admin.ask(&format!("GET /key/list?{query}"), Value::Null).await.refused(422);
    }
    for query in ["sort_by=colour", "sort_order=up", "status=lost"] {
        admin.ask(&format!("GET /key/list?{query}"), Value::Null).await.refused(400);
    }
    let line = "GET /key/list?return_full_object=true&expand=user&user_id=u&size=1";
    let list = admin.ask(line, Value::Null).await.fine();
    assert_eq!(list["keys"][0]["user"]["user_id"], "u");
    let aliases = admin.ask("GET /key/aliases?size=2&search=alpha", Value::Null).await.fine();
    let expected = json!({"aliases": ["alpha", "alphabet"], "total_count": 2, "current_page": 1, "total_pages": 1,
        "size": 2});
    assert_eq!(aliases, expected);
    admin.stop().await;
}

#[actix_rt::test]
async fn changes_name_the_key_and_the_person_behind_it() {
    let admin = Admin::start().await;
    let bearer = format!("Bearer {MASTER}");
    let headers = [("authorization", bearer.as_str()), ("litellm-changed-by", "ana@example.org")];
    let key = admin.key(json!({})).await;
    let update = json!({"key": key["token"], "max_budget": 1});
    let row = admin.ask_with(&headers, "POST /key/update", update).await.fine();
    assert_eq!(
        (&row["created_by"], &row["updated_by"]),
        (&json!("default_user_id"), &json!("ana@example.org (default_user_id)"))
    );
    admin.stop().await;
}

#[actix_rt::test]
async fn fields_of_later_versions_are_named_by_every_route() {
    let admin = Admin::start().await;
    admin.ask("POST /team/new", json!({"team_id": "t"})).await.fine();
    let key = admin.key(json!({"key_alias": "a", "team_id": "t"})).await;
    let token = text(&key, "token");
    for (line, body) in [
        ("POST /key/generate", json!({})),
        ("POST /key/service-account/generate", json!({"team_id": "t"})),
        ("POST /key/update", json!({"key": token})),
        ("POST /key/bulk_update", json!({"keys": [{"key": token}]})),
        ("POST /key/block", json!({"key": token})),
        ("POST /key/unblock", json!({"key": token})),
        ("POST /v2/key/info", json!({"keys": [token]})),
        ("POST /key/health", json!({})),
        (&format!("POST /key/{token}/reset_spend"), json!({"reset_to": 0})),
        ("POST /key/regenerate", json!({"key": token, "grace_period": "1h"})),
        ("POST /key/delete", json!({"key_aliases": ["a"]})),
        ("POST /team/new", json!({})),
        ("POST /team/update", json!({"team_id": "t"})),
        (
            "POST /team/member_add",
            json!({"team_id": "t", "member": {"role": "user", "user_id": "u"}}),
        ),
        ("POST /team/member_update", json!({"team_id": "t", "user_id": "u"})),
        ("POST /team/member_delete", json!({"team_id": "t", "user_id": "u"})),
        ("POST /team/permissions_update", json!({"team_id": "t", "team_member_permissions": []})),
        ("POST /team/model/add", json!({"team_id": "t", "models": ["a"]})),
        ("POST /team/model/delete", json!({"team_id": "t", "models": ["a"]})),
        ("POST /team/block", json!({"team_id": "t"})),
        ("POST /team/unblock", json!({"team_id": "t"})),
        ("POST /team/delete", json!({"team_ids": ["t"]})),
    ] {
        let mut body = body;
        (body["new_field"], body["none"]) = (json!({"a": 1}), Value::Null);
        let told = admin.ask(line, body).await;
        assert_eq!(told.received.header("x-outcrop-ignored"), Some("new_field"), "{line}");
        told.fine();
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn limits_inside_of_members_and_budgets_are_not_swallowed() {
    let admin = Admin::start().await;
    let member = |more: Value| {
        let mut member = json!({"role": "user", "user_id": "u"});
        member.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        member
    };
    let limited = member(json!({"tpm_limit": 5}));
    let team = json!({"team_id": "t", "members_with_roles": [limited]});
    assert_eq!(text(&admin.ask("POST /team/new", team).await.refused(400), "param"), "tpm_limit");
    let team = json!({"team_id": "t", "members_with_roles": [member(json!({"colour": "red"}))]});
    let told = admin.ask("POST /team/new", team).await;
    assert_eq!(told.received.header("x-outcrop-ignored"), Some("colour"));
    told.fine();
    for (member, status) in [
        (json!({"user_id": "v"}), 422),
        (json!("v"), 422),
        (json!([]), 422),
        (json!({"role": "user"}), 400),
    ] {
        let body = json!({"team_id": "t", "member": member});
        admin.ask("POST /team/member_add", body).await.refused(status);
    }
    let windows = json!([{"budget_duration": "1d", "max_budget": 1, "rpm_limit": 5}]);
    for fields in [
        json!({"budget_limits": windows}),
        json!({"model_max_budget": {"m": {"budget_limit": 1, "rpm_limit": 5}}}),
    ] {
        admin.ask("POST /key/generate", fields).await.refused(400);
    }
    // What reads show may be sent back.
    let key =
        admin.key(json!({"budget_limits": [{"budget_duration": "1d", "max_budget": 1}]})).await;
    let update = json!({"key": key["token"], "budget_limits": key["budget_limits"]});
    let updated = admin.ask("POST /key/update", update).await.fine();
    assert_eq!(updated["budget_limits"], key["budget_limits"]);
    admin.stop().await;
}

#[actix_rt::test]
async fn a_creation_that_is_sent_twice_makes_one_key() {
    let admin = Admin::start().await;
    let made = (0..8)
        .map(|_| admin.ask("POST /key/generate", json!({"key_alias": "once", "user_id": "new"})));
    let made = futures_util::future::join_all(made).await;
    let statuses: Vec<_> = made.iter().map(|told| told.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 400)), "{statuses:?}");
    // Keys of one new user do not refuse each other.
    let made = (0..8).map(|_| admin.ask("POST /key/generate", json!({"user_id": "another"})));
    for told in futures_util::future::join_all(made).await {
        told.fine();
    }
    let teams = (0..8).map(|_| admin.ask("POST /team/new", json!({"team_id": "once"})));
    let teams = futures_util::future::join_all(teams).await;
    let statuses: Vec<_> = teams.iter().map(|told| told.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 400)), "{statuses:?}");
    admin.stop().await;
}
