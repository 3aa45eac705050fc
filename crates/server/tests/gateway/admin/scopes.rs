//! Scopes: who may call which route, and for which objects. Foreign objects are refused, and no data of them is shown.

use access::{UserInput, UserRecord};
use serde_json::{Value, json};

use super::{Admin, MASTER, text};

/// A gateway with a caller of each kind, and objects that are theirs or not.
pub(crate) struct Cast {
    pub(crate) admin: Admin,
    keys: Vec<(&'static str, String)>,
    tokens: Vec<(&'static str, String)>,
}

impl Cast {
    pub(crate) async fn start() -> Self {
        let admin = Admin::start().await;
        let accounts = admin.accounts().await;
        for (id, role) in [
            ("u-admin", "proxy_admin"),
            ("u-viewer", "proxy_admin_viewer"),
            ("u-lead", "internal_user"),
            ("u-member", "internal_user"),
            ("u-reader", "internal_user_viewer"),
        ] {
            let mut user = UserRecord::new(id).unwrap();
            let input: UserInput = serde_json::from_value(json!({"user_role": role})).unwrap();
            user.apply(input, accounts.now()).unwrap();
            accounts.create(user, "tests").await.unwrap();
        }
        for team in ["t-own", "t-foreign"] {
            admin.ask("POST /team/new", json!({"team_id": team, "max_budget": 50})).await.fine();
        }
        let members = json!({"team_id": "t-own", "member": [{"role": "admin", "user_id": "u-lead"},
            {"role": "user", "user_id": "u-member"}]});
        admin.ask("POST /team/member_add", members).await.fine();
        let (mut keys, mut tokens) = (vec![("master", MASTER.to_owned())], Vec::new());
        for (name, fields) in [
            ("admin", json!({"user_id": "u-admin"})),
            ("viewer", json!({"user_id": "u-viewer"})),
            ("lead", json!({"user_id": "u-lead"})),
            ("member", json!({"user_id": "u-member"})),
            ("reader", json!({"user_id": "u-reader"})),
            ("plain", json!({})),
            ("of-team", json!({"team_id": "t-own"})),
            ("manager", json!({"team_id": "t-own", "key_type": "management"})),
            ("models", json!({"key_type": "llm_api", "user_id": "u-member"})),
            ("read-only", json!({"key_type": "read_only", "user_id": "u-member"})),
            ("in-team", json!({"team_id": "t-own", "user_id": "u-member"})),
            ("spare", json!({"user_id": "u-member"})),
            ("foreign", json!({"team_id": "t-foreign", "user_id": "u-stranger"})),
        ] {
            let key = admin.key(fields).await;
            keys.push((name, text(&key, "key").to_owned()));
            tokens.push((name, text(&key, "token").to_owned()));
        }
        Self { admin, keys, tokens }
    }

    pub(crate) fn key(&self, name: &str) -> &str {
        &self.keys.iter().find(|(known, _)| *known == name).unwrap().1
    }

    pub(crate) fn token(&self, name: &str) -> &str {
        &self.tokens.iter().find(|(known, _)| *known == name).unwrap().1
    }

    pub(crate) async fn status(&self, caller: &str, line: &str, body: Value) -> u16 {
        let line = self.filled(line);
        let body = serde_json::from_str(&self.filled(&body.to_string())).unwrap();
        let told = self.admin.ask_as(self.key(caller), &line, body).await;
        if told.status == 403 {
            let error = &told.body["error"];
            assert_eq!(error["type"], "auth_error", "{line}: {}", told.body);
            for secret in ["u-stranger", "t-foreign", "default_user_id"] {
                assert!(!told.body.to_string().contains(secret), "{line}: {}", told.body);
            }
        }
        told.status
    }

    /// Puts tokens in place of `$name`.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, token) in &self.tokens {
            text = text.replace(&format!("${name};"), token);
        }
        text
    }
}

/// A request, and the callers that may make it; all others are refused with 403.
type Rule = (&'static str, Value, &'static [&'static str]);

const ALL_BUT_MODELS: &[&str] = &[
    "master",
    "admin",
    "viewer",
    "lead",
    "member",
    "reader",
    "plain",
    "of-team",
    "manager",
    "read-only",
    "in-team",
];

/// Those who may read a team: its keys too, and all who read everything.
const IN_TEAM: &[&str] =
    &["master", "admin", "viewer", "lead", "member", "of-team", "manager", "read-only", "in-team"];
const ADMINS: &[&str] = &["master", "admin"];
const READERS: &[&str] = &["master", "admin", "viewer"];

/// Keys: of the team for those who lead it, own ones for users that may manage them.
fn rules_of_keys() -> Vec<Rule> {
    vec![
        ("POST /key/generate", json!({}), &["master", "admin", "lead", "member", "manager"]),
        (
            "POST /key/generate",
            json!({"team_id": "t-own"}),
            &["master", "admin", "lead", "manager"],
        ),
        ("POST /key/generate", json!({"team_id": "t-foreign"}), ADMINS),
        ("POST /key/generate", json!({"user_id": "u-stranger"}), ADMINS),
        (
            "POST /key/generate",
            json!({"team_id": "t-own", "user_id": "u-member"}),
            &["master", "admin", "lead", "manager"],
        ),
        (
            "POST /key/service-account/generate",
            json!({"team_id": "t-own"}),
            &["master", "admin", "lead", "manager"],
        ),
        ("POST /key/service-account/generate", json!({"team_id": "t-foreign"}), ADMINS),
        ("POST /key/generate", json!({"spend": 1}), ADMINS),
        (
            "POST /key/update",
            json!({"key": "$in-team;", "metadata": {}}),
            &["master", "admin", "lead", "member", "manager", "in-team"],
        ),
        (
            "POST /key/update",
            json!({"key": "$of-team;", "metadata": {}}),
            &["master", "admin", "lead", "manager"],
        ),
        ("POST /key/update", json!({"key": "$foreign;", "metadata": {}}), ADMINS),
        ("POST /key/update", json!({"key": "$plain;", "metadata": {}}), ADMINS),
        ("POST /key/update", json!({"key": "$spare;", "user_id": "u-stranger"}), ADMINS),
        ("POST /key/update", json!({"key": "$spare;", "team_id": "t-foreign"}), ADMINS),
        ("POST /key/block", json!({"key": "$foreign;"}), ADMINS),
        ("POST /key/unblock", json!({"key": "$foreign;"}), ADMINS),
        (
            "POST /key/bulk_update",
            json!({"keys": [{"key": "$foreign;"}]}),
            &[
                "master", "admin", "lead", "member", "plain", "of-team", "manager", "in-team",
                "reader",
            ],
        ),
        ("POST /key/$foreign;/reset_spend", json!({"reset_to": 0}), ADMINS),
        (
            "POST /key/$of-team;/reset_spend",
            json!({"reset_to": 0}),
            &["master", "admin", "lead", "manager"],
        ),
        ("POST /key/$member;/reset_spend", json!({"reset_to": 0}), ADMINS),
        ("GET /key/info?key=$foreign;", Value::Null, READERS),
        ("GET /key/info?key=$of-team;", Value::Null, IN_TEAM),
        (
            "GET /key/info?key=$member;",
            Value::Null,
            &["master", "admin", "viewer", "member", "read-only"],
        ),
        ("POST /v2/key/info", json!({"keys": ["$foreign;"]}), READERS),
        ("GET /key/list", Value::Null, ALL_BUT_MODELS),
        ("GET /key/aliases", Value::Null, ALL_BUT_MODELS),
        ("POST /key/health", Value::Null, ALL_BUT_MODELS),
        ("POST /key/regenerate", json!({"key": "$foreign;"}), ADMINS),
    ]
}

/// Teams: their members by those who lead them, their limits by administrators.
fn rules_of_teams() -> Vec<Rule> {
    vec![
        ("POST /team/new", json!({"team_id": "t-own"}), ADMINS),
        ("POST /team/update", json!({"team_id": "t-own", "max_budget": 50}), ADMINS),
        ("POST /team/block", json!({"team_id": "t-foreign"}), ADMINS),
        ("POST /team/unblock", json!({"team_id": "t-foreign"}), ADMINS),
        ("POST /team/model/add", json!({"team_id": "t-own", "models": []}), ADMINS),
        ("POST /team/model/delete", json!({"team_id": "t-own", "models": []}), ADMINS),
        (
            "POST /team/member_update",
            json!({"team_id": "t-own", "user_id": "u-member"}),
            &["master", "admin", "lead", "manager"],
        ),
        (
            "POST /team/member_add",
            json!({"team_id": "t-foreign", "member": {"role": "user", "user_id": "u-lead"}}),
            ADMINS,
        ),
        ("POST /team/member_delete", json!({"team_id": "t-foreign", "user_id": "u-lead"}), ADMINS),
        ("GET /team/info?team_id=t-own", Value::Null, IN_TEAM),
        ("GET /team/info?team_id=t-foreign", Value::Null, READERS),
        ("GET /team/permissions_list?team_id=t-own", Value::Null, IN_TEAM),
        (
            "POST /team/permissions_update",
            json!({"team_id": "t-foreign", "team_member_permissions": ["/key/info"]}),
            ADMINS,
        ),
        ("GET /team/list", Value::Null, ALL_BUT_MODELS),
        ("GET /v2/team/list", Value::Null, ALL_BUT_MODELS),
        ("GET /team/available", Value::Null, ALL_BUT_MODELS),
    ]
}

#[actix_rt::test]
async fn routes_follow_the_rights_of_the_caller() {
    let cast = Cast::start().await;
    // Administrators come last: their calls succeed, and some take the object away.
    let callers: Vec<_> = cast.keys.iter().map(|(name, _)| *name).collect();
    let (last, first): (Vec<_>, Vec<_>) = callers
        .into_iter()
        .filter(|name| !matches!(*name, "foreign" | "spare"))
        .partition(|name| ADMINS.contains(name));
    for (line, body, allowed) in rules_of_keys().into_iter().chain(rules_of_teams()) {
        for caller in first.iter().chain(&last) {
            let status = cast.status(caller, line, body.clone()).await;
            assert_eq!(
                status != 403,
                allowed.contains(caller),
                "{caller}: {line} {body}: {status}"
            );
        }
    }
    cast.admin.stop().await;
}

#[actix_rt::test]
async fn lists_show_what_the_caller_may_read() {
    let cast = Cast::start().await;
    for (caller, teams, keys) in [
        ("viewer", &["t-foreign", "t-own"][..], 13),
        // Its own, and those of the team that it leads.
        ("lead", &["t-own"], 4),
        ("manager", &["t-own"], 3),
        // Its own, in the team and out of it.
        ("member", &["t-own"], 5),
        ("reader", &[], 1),
        // The user of the master key is no person: its keys do not own each other.
        ("plain", &[], 1),
        ("of-team", &["t-own"], 1),
    ] {
        let key = cast.key(caller);
        let list = cast.admin.ask_as(key, "GET /key/list?size=100", Value::Null).await.fine();
        assert_eq!(list["total_count"], keys, "{caller}: {list}");
        let list = cast.admin.ask_as(key, "GET /team/list", Value::Null).await.fine();
        let mut found: Vec<_> =
            list.as_array().unwrap().iter().map(|team| text(team, "team_id").to_owned()).collect();
        found.sort();
        assert_eq!(found, teams, "{caller}");
        let foreign = format!("GET /key/list?key_hash={}", cast.token("foreign"));
        let list = cast.admin.ask_as(key, &foreign, Value::Null).await.fine();
        assert_eq!(list["total_count"], u64::from(caller == "viewer"), "{caller}");
    }
    // A member sees its own membership only.
    let info =
        cast.admin.ask_as(cast.key("member"), "GET /team/info?team_id=t-own", Value::Null).await;
    let info = info.fine();
    let users: Vec<_> = info["team_memberships"].as_array().unwrap().iter().collect();
    assert_eq!(users.len(), 1);
    assert_eq!(users[0]["user_id"], "u-member");
    cast.admin.stop().await;
}

#[actix_rt::test]
async fn no_key_grants_more_than_its_creator_has() {
    let admin = Admin::start().await;
    admin.ask("POST /team/new", json!({"team_id": "t", "models": ["nova-*", "sonnet"], "max_budget": 100, "rpm_limit": 50,
        "team_member_key_duration": "30d"})).await.fine();
    let manager = admin
        .key(json!({"team_id": "t", "key_type": "management", "models": ["nova-*"], "max_budget": 10, "rpm_limit": 20,
            "duration": "10d", "tags": ["audited"], "guardrails": ["pii:1"]}))
        .await;
    let manager = text(&manager, "key");
    let fine = json!({"models": ["nova-lite"], "max_budget": 4, "rpm_limit": 20, "duration": "5d", "tags": ["audited"], "guardrails": ["pii:1"]});
    let with = |change: Value| {
        let mut fields = fine.clone();
        fields.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        fields
    };
    let made = admin.ask_as(manager, "POST /key/generate", fine.clone()).await.fine();
    assert_eq!((&made["team_id"], &made["key_type"]), (&json!("t"), &Value::Null));
    let token = text(&made, "token");
    for (change, param) in [
        (json!({"models": ["sonnet"]}), "models"),
        (json!({"models": []}), "models"),
        (json!({"max_budget": 11}), "max_budget"),
        (json!({"max_budget": null}), "max_budget"),
        (json!({"rpm_limit": 21}), "rpm_limit"),
        (json!({"duration": "11d"}), "duration"),
        (json!({"duration": null}), "duration"),
        (json!({"tags": null}), "tags"),
        (json!({"guardrails": []}), "guardrails"),
        (json!({"budget_duration": "1d"}), "budget_duration"),
    ] {
        for line in ["POST /key/generate", "POST /key/update", "POST /key/regenerate"] {
            let mut fields = with(change.clone());
            if !line.ends_with("/generate") {
                fields = change.clone();
                fields["key"] = json!(token);
            }
            let error = admin.ask_as(manager, line, fields).await.refused(403);
            assert_eq!(text(&error, "param"), param, "{line} {change}");
        }
    }
    // The budgets of keys that it made come out of its own.
    admin.ask_as(manager, "POST /key/generate", with(json!({"max_budget": 6}))).await.fine();
    let error = admin.ask_as(manager, "POST /key/generate", with(json!({"max_budget": 1}))).await;
    assert_eq!(text(&error.refused(403), "param"), "max_budget");
    // A key does not lift its own limits.
    let own =
        admin.ask_as(manager, "POST /key/update", json!({"key": manager, "rpm_limit": 40})).await;
    assert_eq!(text(&own.refused(403), "param"), "rpm_limit");
    admin.stop().await;
}

#[actix_rt::test]
async fn the_owner_of_a_key_does_not_undo_its_revocation() {
    let cast = Cast::start().await;
    let (token, member) = (cast.token("in-team"), cast.key("member"));
    for (revoke, undo) in [
        (json!({"blocked": true}), json!({"blocked": false})),
        (json!({"blocked": true}), json!({"blocked": null})),
        (json!({"blocked": null, "duration": "0s"}), json!({"duration": "1d"})),
        (json!({"duration": "0s"}), json!({"duration": null})),
    ] {
        let named = |mut fields: Value| {
            fields["key"] = json!(token);
            fields
        };
        cast.admin.ask("POST /key/update", named(revoke)).await.fine();
        cast.admin.ask_as(member, "POST /key/update", named(undo)).await.refused(403);
    }
    cast.admin.ask_as(member, "POST /key/unblock", json!({"key": token})).await.fine();
    cast.admin.ask("POST /key/block", json!({"key": token})).await.fine();
    cast.admin.ask_as(member, "POST /key/unblock", json!({"key": token})).await.refused(403);
    cast.admin.ask_as(cast.key("lead"), "POST /key/unblock", json!({"key": token})).await.fine();
    cast.admin.stop().await;
}

#[actix_rt::test]
async fn a_key_made_for_another_user_acts_within_its_team() {
    let cast = Cast::start().await;
    let (admin, lead) = (&cast.admin, cast.key("lead"));
    let joined = json!({"team_id": "t-own", "member": {"role": "user", "user_id": "u-admin"}});
    let told = admin.ask_as(lead, "POST /team/member_add", joined).await.fine();
    assert_eq!(told["updated_users"][0]["user_role"], Value::Null, "{told}");
    for user in ["u-admin", "u-member"] {
        let fields = json!({"team_id": "t-own", "user_id": user});
        let key = admin.ask_as(lead, "POST /key/generate", fields).await.fine();
        let key = text(&key, "key");
        for line in
            ["/team/info?team_id=t-foreign", "/key/info?key=$spare;", "/key/info?key=$foreign;"]
        {
            let line = format!("GET {}", cast.filled(line));
            admin.ask_as(key, &line, Value::Null).await.refused(403);
        }
        let update = json!({"key": cast.token("spare"), "metadata": {"a": 1}});
        admin.ask_as(key, "POST /key/update", update).await.refused(403);
        admin.ask_as(key, "POST /team/new", json!({})).await.refused(403);
    }
    // Out of the team a key would be free of its limits.
    for update in
        [json!({"team_id": null}), json!({"team_id": ""}), json!({"user_id": "u-stranger"})]
    {
        let mut update = update;
        update["key"] = json!(cast.token("in-team"));
        admin.ask_as(lead, "POST /key/update", update).await.refused(403);
    }
    cast.admin.stop().await;
}

#[actix_rt::test]
async fn limits_of_a_budget_row_are_limits_of_the_key() {
    let admin = Admin::start().await;
    let accounts = admin.accounts().await;
    let mut row = access::BudgetRecord::new("small").unwrap();
    let input = serde_json::from_value(json!({"max_budget": 5, "rpm_limit": 10})).unwrap();
    row.apply(input, accounts.now()).unwrap();
    accounts.create(row, "tests").await.unwrap();
    let key = admin.key(json!({"budget_id": "small", "key_type": "management"})).await;
    let (secret, token) = (text(&key, "key"), text(&key, "token"));
    assert_eq!(key["litellm_budget_table"]["max_budget"], 5.0);
    for change in [
        json!({"max_budget": 1000}),
        json!({"budget_id": null}),
        json!({"rpm_limit": 11}),
        json!({"budget_id": "small", "max_budget": 6}),
    ] {
        let mut change = change;
        change["key"] = json!(token);
        admin.ask_as(secret, "POST /key/update", change).await.refused(403);
    }
    let own = json!({"key": token, "metadata": {"a": 1}, "max_budget": 4});
    admin.ask_as(secret, "POST /key/update", own).await.fine();
    admin.stop().await;
}

#[actix_rt::test]
async fn guaranteed_rates_fit_into_the_teams() {
    let admin = Admin::start().await;
    admin
        .ask("POST /team/new", json!({"team_id": "t", "rpm_limit": 100, "tpm_limit": 1000}))
        .await
        .fine();
    let key = |rpm: u64| json!({"team_id": "t", "rpm_limit": rpm, "rpm_limit_type": "guaranteed_throughput"});
    let first = admin.key(key(60)).await;
    admin.key(json!({"team_id": "t", "rpm_limit": 90})).await;
    let error = admin.ask("POST /key/generate", key(41)).await.refused(400);
    assert_eq!(text(&error, "param"), "rpm_limit");
    admin.key(key(40)).await;
    let update = json!({"key": first["token"], "rpm_limit": 61});
    assert_eq!(
        text(&admin.ask("POST /key/update", update).await.refused(400), "param"),
        "rpm_limit"
    );
    admin.stop().await;
}
