//! Keys: the row of an empty request, and what becomes of fields.

use serde_json::{Value, json};

use super::{Admin, text};

/// The row of a key that was made without a field.
const EMPTY: &str = r#"{"key_name": "", "key_alias": null, "spend": 0.0, "total_spend": 0.0, "expires": null, "status": "active",
    "models": [], "aliases": {}, "config": {}, "router_settings": null, "user_id": "default_user_id",
    "team_id": null, "organization_id": null, "project_id": null, "agent_id": null, "permissions": {},
    "metadata": {}, "blocked": null, "max_budget": null, "soft_budget": null, "budget_duration": null,
    "budget_limits": null, "model_max_budget": {}, "tpm_limit": null, "rpm_limit": null, "tpd_limit": null,
    "max_parallel_requests": null, "strict_budget": null, "model_spend": {}, "budget_reset_at": null,
    "budget_id": null, "litellm_budget_table": null, "allowed_cache_controls": [], "allowed_routes": [],
    "key_type": null, "allowed_geographies": null, "allowed_operations": null, "allowed_s3_prefixes": null,
    "allow_media_fetch": null, "unsupported_params": null, "access_group_ids": null,
    "object_permission": null, "auto_rotate": false, "rotation_interval": null, "created_at": "",
    "created_by": "default_user_id", "updated_at": "", "updated_by": "default_user_id", "last_active": null,
    "outcrop": ""}"#;

#[actix_rt::test]
async fn an_empty_request_makes_a_key_without_limits() {
    let admin = Admin::start().await;
    let made = admin.ask("POST /key/generate", Value::Null).await;
    assert_eq!(made.received.header("cache-control"), Some("no-store"));
    let made = made.fine();
    let info = admin.ask(&format!("GET /key/info?key={}", text(&made, "token")), Value::Null).await;
    assert_eq!(info.received.header("cache-control"), None);
    let mut info = info.fine()["info"].clone();
    for (name, form) in [("created_at", 'Z'), ("updated_at", 'Z'), ("key_name", '.')] {
        assert!(text(&info, name).contains(form), "{info}");
        info[name] = json!("");
    }
    info["outcrop"] = json!("");
    assert_eq!(info, serde_json::from_str::<Value>(EMPTY).unwrap(), "{info:#}");
    admin.stop().await;
}

#[actix_rt::test]
async fn unknown_fields_are_named_and_unenforced_limits_are_refused() {
    let admin = Admin::start().await;
    let sent = json!({"key_alias": "a", "new_field": 1, "mcp_rpm_limit": {"a": 1}, "prompts": ["p"], "policies": [],
        "send_invite_email": true, "config": {}});
    let made = admin.ask("POST /key/generate", sent).await;
    let ignored = made.received.header("x-outcrop-ignored").unwrap();
    assert_eq!(ignored, "prompts, new_field, mcp_rpm_limit, send_invite_email");
    made.fine();
    for (fields, param) in [
        (json!({"policies": ["p"]}), "policies"),
        (json!({"enforced_params": ["user"]}), "enforced_params"),
        (json!({"auto_rotate": true}), "auto_rotate"),
        (json!({"hourly_budget": 0}), "hourly_budget"),
        (json!({"metadata": {"policies": ["p"]}}), "policies"),
        (json!({"max_budget": -1}), "max_budget"),
        (json!({"budget_duration": "soon"}), "budget_duration"),
        (json!({"team_id": "none"}), "team_id"),
        (json!({"budget_id": "none"}), "budget_id"),
        (json!({"key_alias": "a"}), "key_alias"),
        (json!({"key": "sk-short"}), "key"),
        (json!({"allowed_routes": ["/key/*"]}), "allowed_routes"),
        (
            json!({"temp_budget_increase": 1, "temp_budget_expiry": "2099-01-01T00:00:00Z"}),
            "temp_budget_increase",
        ),
    ] {
        let error = admin.ask("POST /key/generate", fields.clone()).await.refused(400);
        assert_eq!(
            (text(&error, "param"), text(&error, "type")),
            (param, "bad_request_error"),
            "{fields}"
        );
    }
    let listed = admin.ask("GET /key/list", Value::Null).await.fine();
    assert_eq!(listed["total_count"], 1);
    admin.stop().await;
}

#[actix_rt::test]
async fn a_raw_key_is_in_no_other_answer() {
    let admin = Admin::start().await;
    let made = admin.key(json!({"key": "sk-canary-of-the-caller", "key_alias": "a"})).await;
    assert_eq!(
        (text(&made, "key"), text(&made, "key_name")),
        ("sk-canary-of-the-caller", "sk-...ller")
    );
    for (line, body, status) in [
        ("GET /key/info?key=sk-canary-of-the-caller", Value::Null, 200),
        ("GET /key/info?key=sk-canary-of-the-calles", Value::Null, 404),
        ("POST /v2/key/info", json!({"keys": ["sk-canary-of-the-caller"]}), 200),
        ("GET /key/list?return_full_object=true&search=canary", Value::Null, 200),
        ("POST /key/update", json!({"key": "sk-canary-of-the-caller", "max_budget": 1}), 200),
        (
            "POST /key/update",
            json!({"key": "sk-canary-of-the-caller", "max_budget": "sk-canary"}),
            422,
        ),
        ("POST /key/update", json!({"key": ["sk-canary-of-the-caller"]}), 422),
        ("POST /key/generate", json!({"key": "sk-canary-of-the-caller"}), 400),
        (
            "POST /key/bulk_update",
            json!({"keys": [{"key": "sk-canary-of-the-caller"}, {"key": "sk-canary"}]}),
            200,
        ),
        ("GET /key/sk-canary-of-the-caller/regenerate", Value::Null, 405),
        ("POST /key/sk-canary-of-the-caller/other", Value::Null, 404),
        ("POST /key/sk-canary-of-the-caller/reset_spend", json!({"reset_to": 0}), 200),
        ("POST /key/block", json!({"key": "sk-canary-of-the-caller"}), 200),
        ("POST /key/delete", json!({"keys": ["sk-canary-of-the-caller"]}), 200),
        ("POST /key/delete", json!({"keys": ["sk-canary-of-the-caller"]}), 404),
    ] {
        let told = admin.ask(line, body).await;
        assert_eq!(told.status, status, "{line}: {}", told.body);
        assert!(!told.body.to_string().contains("canary"), "{line}: {}", told.body);
    }
    admin.stop().await;
}

#[actix_rt::test]
async fn without_a_master_key_no_accounts_are_kept() {
    let rig = super::super::rig::Rig::start("").await;
    for (method, path) in [("POST", "/key/generate"), ("GET", "/key/list"), ("POST", "/team/new")] {
        let answer = rig.send(method.parse().unwrap(), path, "{}".into()).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, text(&error, "type")), (503, "no_db_connection"), "{path}");
        assert!(text(&error, "message").contains("LITELLM_MASTER_KEY"));
    }
    rig.stop().await;
}
