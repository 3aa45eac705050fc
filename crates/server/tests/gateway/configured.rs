//! Limits and rules that the configuration gives: to all calls, to every key, to end users and tags without any of their
//! own; calls without an end user; and what new keys and teams are given.

use access::{BudgetRecord, Nanodollars};
use http::Method;
use serde_json::{Value, json};

use super::admin::{Admin, text};
use super::keys::{MASTER, chat, key};
use super::models::ask;
use super::rig::{Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";

fn refused_by(answer: &Received) -> (u16, &str, &str) {
    let header = |name| answer.header(name).unwrap_or_default();
    (answer.status, header("rate_limit_type"), header("x-outcrop-limit"))
}

#[actix_rt::test]
async fn the_gateway_has_a_budget_that_everyone_shares() {
    let yaml = format!(
        "{MASTER}access: {{ gateway: {{ max_budget: 0.000001, budget_duration: 30d }} }}\n"
    );
    let rig = Rig::start(&yaml).await;
    for key in [key(&rig, json!({})).await, "sk-master".to_owned()] {
        let answer = chat(&rig, &key, NOVA).await;
        assert_eq!(refused_by(&answer), (429, "budget", "gateway"), "{key}");
        let error = answer.json()["error"].clone();
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("budget_exceeded"), &json!("insufficient_quota"))
        );
    }
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn records_without_limits_have_those_of_the_configuration() {
    let yaml = format!(
        "{MASTER}models:\n  mine: {NOVA}\naccess:\n  every_key: {{ rpm_limit: 3, model_rpm_limit: {{ mine: 1 }} }}\n  \
         unknown_end_users: {{ rpm_limit: 2 }}\n  tags: {{ batch: {{ rpm_limit: 1 }} }}\n"
    );
    let rig = Rig::start(&yaml).await;
    let say = async |key: &str, model: &str, (name, value): (&str, &str)| {
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str()), (name, value)];
        rig.chat_with(&headers, &ask(model)).await
    };
    let none = ("x-unused", "");
    let tenant = ("x-litellm-end-user-id", "tenant");
    let batch = ("x-litellm-tags", "batch");
    let first = key(&rig, json!({})).await;
    assert_eq!(say(&first, "mine", none).await.status, 200);
    assert_eq!(refused_by(&say(&first, "mine", none).await), (429, "requests", "key"));
    assert_eq!(say(&first, NOVA, tenant).await.status, 200);
    let second = key(&rig, json!({"rpm_limit": 100, "aliases": {"fast": "mine"}})).await;
    assert_eq!(say(&second, NOVA, tenant).await.status, 200);
    assert_eq!(refused_by(&say(&second, NOVA, tenant).await), (429, "requests", "customer"));
    assert_eq!(say(&second, NOVA, batch).await.status, 200);
    assert_eq!(refused_by(&say(&second, NOVA, batch).await), (429, "requests", "tag"));
    for status in [200, 429] {
        assert_eq!(say(&second, "fast", none).await.status, status, "an alias counts as its model");
    }
    for _ in 0..3 {
        assert_eq!(say(&second, NOVA, none).await.status, 200, "its own limit is higher");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn calls_without_an_end_user_are_refused() {
    let access = "access: { require_end_user: true, end_user_headers: [X-Tenant], end_user_metadata: tenant }\n";
    let rig = Rig::start(&format!("{MASTER}{access}")).await;
    let pinned = key(&rig, json!({"metadata": {"end_user": "t-0"}})).await;
    let master = ("authorization", "Bearer sk-master");
    let with = |member: Value| {
        let mut body = ask(NOVA);
        body.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
        body
    };
    let refused = rig.chat_with(&[master], &ask(NOVA)).await;
    assert_eq!(refused.status, 400);
    let error = refused.json()["error"].clone();
    assert_eq!(
        (&error["type"], &error["param"]),
        (&json!("invalid_request_error"), &json!("user"))
    );
    for (path, body) in [
        ("/v1/chat/completions/input_tokens", ask(NOVA)),
        ("/v1/completions", json!({"model": NOVA, "prompt": "Hi"})),
        ("/v1/embeddings", json!({"model": "titan-embed-text-v2", "input": "Hi"})),
        ("/v1/moderations", json!({"input": "Hi"})),
        ("/bedrock/model/us.amazon.nova-lite-v1%3A0/converse", json!({"messages": []})),
    ] {
        let answer = rig.send_with(&[master], Method::POST, path, body.to_string().into()).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert!(rig.emulator.journal().calls().is_empty(), "no call came through");
    for (headers, body) in [
        (vec![master], with(json!({"user": "t-1"}))),
        (vec![master, ("x-tenant", "t-1")], ask(NOVA)),
        (vec![master, ("x-litellm-end-user-id", "t-1")], ask(NOVA)),
        (vec![("authorization", format!("Bearer {pinned}").leak())], ask(NOVA)),
    ] {
        assert_eq!(rig.chat_with(&headers, &body).await.status, 200, "{headers:?}");
    }
    let counted = with(json!({"user": "t-1"})).to_string().into();
    let path = "/v1/chat/completions/input_tokens";
    assert_eq!(rig.send_with(&[master], Method::POST, path, counted).await.status, 200);
    let body = json!({
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}], "requestMetadata": {"tenant": "t-1"},
    });
    let path = "/bedrock/model/us.amazon.nova-lite-v1%3A0/converse";
    let answer = rig.send_with(&[master], Method::POST, path, body.to_string().into()).await;
    assert_eq!(answer.status, 200);
    let list = rig.send_with(&[master], Method::GET, "/v1/models", Default::default()).await;
    assert_eq!(list.status, 200, "a list is no call");
    rig.stop().await;
}

const RULES: &str = "\
admin:
  key_defaults: { max_budget: 5, budget_duration: 30d, models: [nova-lite], metadata: { plan: free } }
  key_bounds: { max_budget: 10, budget_duration: 30d, duration: 90d, rpm_limit: 60 }
  team_defaults: { max_budget: 50, rpm_limit: 30, team_member_budget: 2 }
";

#[actix_rt::test]
async fn new_keys_are_filled_and_held_to_bounds() {
    let admin = Admin::with(RULES).await;
    let made = admin.key(json!({"key_alias": "filled"})).await;
    assert_eq!((&made["max_budget"], &made["budget_duration"]), (&json!(5.0), &json!("30d")));
    assert_eq!(
        (&made["models"], &made["metadata"]["plan"]),
        (&json!(["nova-lite"]), &json!("free"))
    );
    assert_eq!((&made["rpm_limit"], &made["tpm_limit"]), (&json!(60), &Value::Null));
    assert!(made["expires"].is_string(), "{made}");
    let own = json!({"max_budget": 10, "budget_duration": "1d", "models": ["nova-pro"], "duration": "1d", "rpm_limit": 1});
    let own = admin.key(own).await;
    assert_eq!((&own["max_budget"], &own["budget_duration"]), (&json!(10.0), &json!("1d")));
    assert_eq!((&own["models"], &own["rpm_limit"]), (&json!(["nova-pro"]), &json!(1)));
    let key = text(&own, "token").to_owned();
    for (fields, param) in [
        (json!({"max_budget": 10.01}), "max_budget"),
        (json!({"budget_duration": "31d"}), "budget_duration"),
        (json!({"duration": "91d"}), "duration"),
        (json!({"rpm_limit": 61}), "rpm_limit"),
    ] {
        let mut with_key = fields.clone();
        with_key["key"] = json!(key);
        for (line, body) in [
            ("POST /key/generate", fields),
            ("POST /key/update", with_key.clone()),
            ("POST /key/regenerate", with_key),
        ] {
            let error = admin.ask(line, body).await.refused(400);
            assert_eq!(error["param"], param, "{line}");
            let message = error["message"].as_str().unwrap();
            assert!(
                message.starts_with(&format!("{param} is over max limit set in config")),
                "{message}"
            );
        }
    }
    let increase = json!({"key": key, "temp_budget_increase": 1, "temp_budget_expiry": "2099-01-01T00:00:00Z"});
    let error = admin.ask("POST /key/update", increase).await.refused(400);
    assert_eq!(error["param"], "temp_budget_increase");
    let cleared =
        json!({"key": key, "max_budget": null, "rpm_limit": null, "budget_duration": null});
    let cleared = admin.ask("POST /key/update", cleared).await.fine();
    assert_eq!((&cleared["max_budget"], &cleared["rpm_limit"]), (&json!(10.0), &json!(60)));
    assert_eq!(cleared["budget_duration"], "30d", "what is cleared gets the bound");
    admin.stop().await;
}

#[actix_rt::test]
async fn budgets_and_teams_narrow_what_keys_are_given() {
    let admin = Admin::with(RULES).await;
    let mut budget = BudgetRecord::new("small").unwrap();
    budget.limits.max_budget = Nanodollars::parse("1");
    budget.limits.rpm_limit = Some(70);
    admin.rig.accounts.as_ref().unwrap().create(budget, "test").await.unwrap();
    let made = admin.key(json!({"budget_id": "small"})).await;
    assert_eq!(made["max_budget"], Value::Null, "the budget has less than default and bound");
    assert_eq!(made["rpm_limit"], 60, "the budget has more than the bound");
    let team = admin.ask("POST /team/new", json!({"team_id": "t"})).await.fine();
    assert_eq!((&team["max_budget"], &team["rpm_limit"]), (&json!(50.0), &json!(30)));
    let own = admin.ask("POST /team/new", json!({"team_id": "own", "rpm_limit": 9})).await.fine();
    assert_eq!((&own["max_budget"], &own["rpm_limit"]), (&json!(50.0), &json!(9)));
    let made =
        admin.ask("POST /key/service-account/generate", json!({"team_id": "t"})).await.fine();
    assert_eq!(
        (&made["max_budget"], &made["rpm_limit"]),
        (&json!(5.0), &json!(30)),
        "no more than its team"
    );
    admin.stop().await;
}

#[actix_rt::test]
async fn new_users_and_their_keys_are_filled_and_held_to_bounds() {
    let yaml = format!(
        "{RULES}  user_defaults: {{ user_role: internal_user, max_budget: 3, budget_duration: 1d, models: [nova-lite] }}\n"
    );
    let admin = Admin::with(&yaml).await;
    let user = admin.ask("POST /user/new", json!({"user_id": "u-1", "models": []})).await.fine();
    assert_eq!((&user["user_role"], &user["max_budget"]), (&json!("internal_user"), &json!(3.0)));
    assert_eq!((&user["models"], &user["budget_duration"]), (&json!(["nova-lite"]), &json!("1d")));
    let key =
        admin.ask(&format!("GET /key/info?key={}", text(&user, "token")), Value::Null).await.fine();
    let key = &key["info"];
    assert_eq!((&key["max_budget"], &key["rpm_limit"]), (&json!(5.0), &json!(60)), "{key}");
    assert_eq!(key["user_id"], "u-1");
    let own = json!({"user_id": "u-2", "max_budget": 9, "user_role": "internal_user_viewer", "auto_create_key": false});
    let own = admin.ask("POST /user/new", own).await.fine();
    assert_eq!(
        (&own["max_budget"], &own["user_role"]),
        (&json!(9.0), &json!("internal_user_viewer"))
    );
    let root = json!({"user_id": "u-3", "user_role": "proxy_admin", "auto_create_key": false});
    let root = admin.ask("POST /user/new", root).await.fine();
    assert_eq!((&root["max_budget"], &root["models"]), (&Value::Null, &json!([])));
    let long = json!({"user_id": "u-4", "duration": "91d"});
    assert_eq!(admin.ask("POST /user/new", long).await.refused(400)["param"], "duration");
    let gone = admin.ask("GET /user/info?user_id=u-4", Value::Null).await;
    assert_eq!(gone.status, 404, "a user whose key is refused is not made");
    admin.stop().await;
}
