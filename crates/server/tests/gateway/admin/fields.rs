//! The field matrix of keys and teams: each field is set, read in both places, changed, cleared and read again.

use serde_json::{Value, json};

use super::{Admin, text};

/// A field: its name, a first and a second value as they are sent and read, and what is read where it was not set.
struct Field(&'static str, Value, Value, Value);

/// Fields that rows show as columns.
fn columns() -> Vec<Field> {
    let null = || Value::Null;
    vec![
        Field("key_alias", json!("one"), json!("two"), null()),
        Field("models", json!(["a", "b/*"]), json!(["c"]), json!([])),
        Field("aliases", json!({"fast": "a"}), json!({}), json!({})),
        Field("user_id", json!("u-1"), json!("u-2"), null()),
        Field("team_id", json!("t-1"), json!("t-2"), null()),
        Field("organization_id", json!("o-1"), json!("o-2"), null()),
        Field("project_id", json!("p-1"), json!("p-2"), null()),
        Field("agent_id", json!("a-1"), json!("a-2"), null()),
        Field("max_budget", json!(25.0), json!(0.000000001), null()),
        Field("soft_budget", json!(10.5), json!(0.0), null()),
        Field("budget_duration", json!("30d"), json!("1h"), null()),
        Field("budget_id", json!("b-1"), json!("b-2"), null()),
        Field(
            "model_max_budget",
            json!({"a": {"budget_limit": 1.5, "time_period": "1d"}}),
            json!({"b": {"budget_limit": 2.0, "time_period": null}}),
            json!({}),
        ),
        Field("tpm_limit", json!(100), json!(0), null()),
        Field("rpm_limit", json!(60), json!(0), null()),
        Field("tpd_limit", json!(1000), json!(0), null()),
        Field("max_parallel_requests", json!(4), json!(0), null()),
        Field("blocked", json!(true), json!(false), null()),
        Field("metadata", json!({"owner": "ana"}), json!({"cost": [1, 2.5]}), json!({})),
        Field("permissions", json!({"a": true}), json!({"b": false}), json!({})),
        Field("config", json!({"a": 1}), json!({}), json!({})),
        Field("allowed_cache_controls", json!(["no-cache"]), json!([]), json!([])),
        Field("router_settings", json!({"a": 1}), json!({}), null()),
        Field("object_permission", json!({"a": 1}), json!({}), null()),
        Field("allowed_routes", json!(["llm_api_routes"]), json!(["/key/info"]), json!([])),
        Field("key_type", json!("read_only"), json!("management"), null()),
        Field("access_group_ids", json!(["g"]), json!([]), null()),
        Field("allowed_geographies", json!(["eu"]), json!([]), null()),
        Field("allowed_operations", json!(["Converse"]), json!([]), null()),
        Field("strict_budget", json!(true), json!(false), null()),
        Field("allowed_s3_prefixes", json!(["s3://a/in/"]), json!([]), null()),
        Field("allow_media_fetch", json!(false), json!(true), null()),
        Field("unsupported_params", json!("reject"), json!("warn"), null()),
    ]
}

/// Fields that rows show inside the metadata, where null is no member.
fn inside() -> Vec<Field> {
    let null = || Value::Null;
    vec![
        Field("tags", json!(["a"]), json!([]), null()),
        Field("guardrails", json!(["pii:1"]), json!([]), null()),
        Field("prompts", json!(["p"]), json!([]), null()),
        Field("model_tpm_limit", json!({"a": 5}), json!({}), null()),
        Field("model_rpm_limit", json!({"a": 5}), json!({"b": 0}), null()),
        Field("tpm_limit_type", json!("guaranteed_throughput"), json!("dynamic"), null()),
        Field("rpm_limit_type", json!("best_effort_throughput"), json!("dynamic"), null()),
        Field("default_estimated_output_tokens", json!(512), json!(0), null()),
        Field("allowed_passthrough_routes", json!(["/bedrock/model"]), json!([]), null()),
        Field("denied_passthrough_routes", json!(["/bedrock/agents"]), json!([]), null()),
    ]
}

/// The places of a field in a row.
#[derive(Clone, Copy)]
enum Place {
    Column,
    Inside,
}

impl Place {
    fn of(self, row: &Value, name: &str) -> Value {
        match self {
            Self::Column => row[name].clone(),
            Self::Inside => row["metadata"][name].clone(),
        }
    }
}

async fn surroundings(admin: &Admin) {
    for team in ["t-1", "t-2"] {
        admin.ask("POST /team/new", json!({"team_id": team})).await.fine();
    }
    for budget in ["b-1", "b-2"] {
        let record = access::BudgetRecord::new(budget).unwrap();
        admin.accounts().await.create(record, "tests").await.unwrap();
    }
}

#[actix_rt::test]
async fn each_field_of_a_key_reads_back_in_both_places() {
    let admin = Admin::start().await;
    surroundings(&admin).await;
    let fields = columns().into_iter().map(|field| (Place::Column, field));
    let fields = fields.chain(inside().into_iter().map(|field| (Place::Inside, field)));
    for (place, Field(name, first, second, unset)) in fields {
        let key = admin.key(json!({name: first})).await;
        let token = text(&key, "token").to_owned();
        let read = async |expected: &Value| {
            let info = admin.ask(&format!("GET /key/info?key={token}"), Value::Null).await.fine();
            assert_eq!(place.of(&info["info"], name), *expected, "{name} in info: {info}");
            let line = format!("GET /key/list?return_full_object=true&key_hash={token}");
            let list = admin.ask(&line, Value::Null).await.fine();
            assert_eq!(place.of(&list["keys"][0], name), *expected, "{name} in the list: {list}");
        };
        read(&first).await;
        for (sent, expected) in [(&second, &second), (&Value::Null, &unset)] {
            let update = json!({"key": token, name: sent});
            let updated = admin.ask("POST /key/update", update).await.fine();
            assert_eq!(place.of(&updated, name), *expected, "{name} in the update: {updated}");
            read(expected).await;
        }
        // The same through the metadata, as clients send back what they read.
        if let Place::Inside = place {
            let update = json!({"key": token, "metadata": {"own": 1, name: first}});
            let updated = admin.ask("POST /key/update", update).await.fine();
            assert_eq!(updated["metadata"], json!({"own": 1, name: first}), "{name}");
        }
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn each_field_of_a_team_reads_back() {
    let admin = Admin::start().await;
    surroundings(&admin).await;
    let null = || Value::Null;
    let own = vec![
        Field("team_alias", json!("one"), json!("one"), null()),
        Field("model_aliases", json!({"fast": "a"}), json!({}), json!({})),
        Field("team_member_budget", json!(5.0), json!(0.0), null()),
        Field("team_member_budget_duration", json!("30d"), json!("1d"), null()),
        Field("team_member_rpm_limit", json!(5), json!(0), null()),
        Field("team_member_tpm_limit", json!(5), json!(0), null()),
        Field("team_member_key_duration", json!("30d"), json!("1d"), null()),
        Field("team_member_permissions", json!(["/key/info"]), json!([]), null()),
        Field("blocked", json!(true), json!(false), json!(false)),
    ];
    let of_keys = [
        "key_alias",
        "aliases",
        "user_id",
        "team_id",
        "project_id",
        "agent_id",
        "permissions",
        "config",
        "allowed_cache_controls",
        "allowed_routes",
        "key_type",
        "blocked",
        "tpm_limit_type",
        "rpm_limit_type",
        "default_estimated_output_tokens",
        "allowed_passthrough_routes",
        "denied_passthrough_routes",
        "allowed_s3_prefixes",
        "allow_media_fetch",
        "unsupported_params",
    ];
    let shared = |field: &Field| !of_keys.contains(&field.0);
    let columns = columns().into_iter().filter(shared).chain(own);
    let fields = columns.map(|field| (Place::Column, field));
    let fields =
        fields.chain(inside().into_iter().filter(shared).map(|field| (Place::Inside, field)));
    for (at, (place, Field(name, first, second, unset))) in fields.enumerate() {
        let id = format!("t-of-{at}");
        let made = admin.ask("POST /team/new", json!({"team_id": id, name: first})).await.fine();
        assert_eq!(place.of(&made, name), first, "{name} in the new team: {made}");
        for (sent, expected) in [(&second, &second), (&Value::Null, &unset)] {
            let update = json!({"team_id": id, name: sent});
            let updated = admin.ask("POST /team/update", update).await.fine();
            assert_eq!(
                place.of(&updated["data"], name),
                *expected,
                "{name} in the update: {updated}"
            );
            let info = admin.ask(&format!("GET /team/info?team_id={id}"), Value::Null).await.fine();
            assert_eq!(place.of(&info["team_info"], name), *expected, "{name} in info: {info}");
        }
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn windows_expiry_and_spend_have_rules_of_their_own() {
    let admin = Admin::start().await;
    let key = admin
        .key(json!({"spend": 1.25, "budget_limits": [{"budget_duration": "1d", "max_budget": 2}], "budget_duration": "30d",
            "duration": "90d"}))
        .await;
    assert_eq!((&key["spend"], &key["total_spend"]), (&json!(1.25), &json!(1.25)));
    let window = &key["budget_limits"][0];
    assert_eq!((&window["budget_duration"], &window["max_budget"]), (&json!("1d"), &json!(2.0)));
    assert!(text(window, "reset_at").ends_with("T00:00:00Z"), "{window}");
    let token = text(&key, "token");
    for (line, body, spend) in [
        ("POST /key/update".to_owned(), json!({"key": token, "spend": 7}), 7.0),
        (format!("POST /key/{token}/reset_spend"), json!({"reset_to": 0.5}), 0.5),
    ] {
        let row = admin.ask(&line, body).await.fine();
        assert_eq!((&row["spend"], &row["total_spend"]), (&json!(spend), &json!(7.0)), "{line}");
    }
    let above = admin.ask(&format!("POST /key/{token}/reset_spend"), json!({"reset_to": 1})).await;
    assert_eq!(text(&above.refused(400), "param"), "reset_to");
    for (update, param) in [
        (json!({"soft_budget": 5, "max_budget": 5}), "soft_budget"),
        (json!({"temp_budget_increase": 5}), "temp_budget_expiry"),
        (json!({"budget_duration": "0d"}), "budget_duration"),
        (json!({"spend": -1}), "spend"),
        (json!({"metadata": {"x": "y".repeat(70_000)}}), "metadata"),
    ] {
        let mut update = update;
        update["key"] = json!(token);
        let error = admin.ask("POST /key/update", update.clone()).await.refused(400);
        assert_eq!(text(&error, "param"), param);
    }
    let raise = json!({"key": token, "temp_budget_increase": 5, "temp_budget_expiry": "2099-01-01T00:00:00Z"});
    let row = admin.ask("POST /key/update", raise).await.fine();
    let expected =
        json!({"temp_budget_increase": 5.0, "temp_budget_expiry": "2099-01-01T00:00:00Z"});
    assert_eq!(row["metadata"], expected);
    let row = admin.ask("POST /key/update", json!({"key": token, "duration": null})).await.fine();
    assert_eq!((&row["expires"], &row["status"]), (&Value::Null, &json!("active")));
    let row = admin.ask("POST /key/update", json!({"key": token, "duration": "0d"})).await.fine();
    assert_eq!(row["status"], "expired");
    admin.stop().await;
}

#[actix_rt::test]
async fn types_of_keys_are_presets_of_routes() {
    let admin = Admin::start().await;
    for (kind, routes) in [
        ("default", json!([])),
        ("llm_api", json!(["llm_api_routes"])),
        ("management", json!(["management_routes", "info_routes", "spend_tracking_routes"])),
        ("read_only", json!(["info_routes", "spend_tracking_routes"])),
    ] {
        let key = admin.key(json!({"key_type": kind})).await;
        assert_eq!((&key["key_type"], &key["allowed_routes"]), (&json!(kind), &routes));
        // What was read may be sent back.
        let update = json!({"key": key["token"], "allowed_routes": routes, "key_type": kind});
        admin.ask("POST /key/update", update).await.fine();
        let info = admin.ask_as(text(&key, "key"), "GET /key/info", Value::Null).await;
        assert_eq!(info.status, if kind == "llm_api" { 403 } else { 200 }, "{kind}");
    }
    admin.stop().await;
}
