//! The read-only key reads what the master key reads, changes nothing and calls no model; and the audit log tells who changed what.

use serde_json::{Value, json};

use super::{Admin, MASTER, text};

const READER: &str = "sk-a-key-that-only-reads-0123456789";

#[actix_rt::test]
async fn the_read_only_key_changes_nothing_and_calls_no_model() {
    let admin = Admin::with(&format!("admin: {{ read_only_key: {READER} }}\n")).await;
    let key = admin.key(json!({"key_alias": "seen"})).await;
    let token = text(&key, "token").to_owned();
    for line in [
        "GET /key/list?return_full_object=true",
        "GET /team/list",
        "GET /user/list",
        "GET /spend/logs",
        "GET /global/spend",
        "GET /model/info",
        "GET /audit",
        "GET /v1/models",
        "GET /outcrop/activity",
    ] {
        admin.ask_as(READER, line, Value::Null).await.fine();
    }
    let info = format!("GET /key/info?key={token}");
    let info = admin.ask_as(READER, &info, Value::Null).await.fine();
    assert_eq!(info["info"]["key_alias"], "seen");
    for (line, body) in [
        ("POST /key/generate", json!({})),
        ("POST /key/update", json!({"key": token, "max_budget": 1})),
        ("POST /key/delete", json!({"keys": [token]})),
        ("POST /key/block", json!({"key": token})),
        ("POST /team/new", json!({})),
        ("POST /user/new", json!({})),
        ("POST /customer/new", json!({"user_id": "u"})),
        ("POST /budget/new", json!({"budget_id": "b"})),
        ("POST /global/spend/reset", json!({"confirm": true})),
        (
            "POST /v1/chat/completions",
            json!({"model": "nova-lite", "messages": [{"role": "user", "content": "Hi"}]}),
        ),
        ("POST /v1/embeddings", json!({"model": "amazon.titan-embed-text-v2:0", "input": "x"})),
        ("POST /bedrock/model/nova-lite/converse", json!({"messages": []})),
        ("GET /bedrock/foundation-models", Value::Null),
    ] {
        let told = admin.ask_as(READER, line, body).await;
        assert_eq!(told.status, 403, "{line}: {}", told.body);
    }
    assert!(admin.rig.emulator.journal().calls().iter().all(|call| call.model_id.is_none()));
    let unknown = admin.ask_as("sk-another-key-that-only-reads-0123", "GET /key/list", Value::Null);
    unknown.await.refused(401);
    admin.stop().await;
}

#[actix_rt::test]
async fn the_audit_log_tells_who_changed_what() {
    let admin = Admin::start().await;
    let key = admin.key(json!({"key_alias": "watched", "max_budget": 5})).await;
    let (secret, token) = (text(&key, "key").to_owned(), text(&key, "token").to_owned());
    let bearer = format!("Bearer {MASTER}");
    let changed = [("authorization", bearer.as_str()), ("litellm-changed-by", "ana")];
    let update = json!({"key": token, "max_budget": 7});
    admin.ask_with(&changed, "POST /key/update", update).await.fine();
    admin.ask("POST /key/delete", json!({"keys": [token]})).await.fine();
    let log = admin.ask("GET /audit?page_size=2", Value::Null).await.fine();
    assert_eq!((&log["total"], &log["total_pages"]), (&json!(3), &json!(2)));
    let rows = log["audit_logs"].as_array().unwrap();
    let told =
        |row: &Value| (text(row, "action").to_owned(), text(row, "outcrop_action").to_owned());
    assert_eq!(told(&rows[0]).0, "deleted");
    assert_eq!(told(&rows[1]), ("updated".to_owned(), "key.update".to_owned()));
    assert!(text(&rows[1], "changed_by").starts_with("ana ("), "{}", rows[1]);
    assert_eq!(rows[1]["table_name"], "LiteLLM_VerificationToken");
    let budget = |value: &Value| value["limits"]["max_budget"].clone();
    assert_ne!(budget(&rows[1]["before_value"]), budget(&rows[1]["updated_values"]));
    assert!(!log.to_string().contains(&secret), "the log holds no secret");
    let of_key = format!("GET /audit?object_id={}", text(&rows[0], "object_id"));
    assert_eq!(admin.ask(&of_key, Value::Null).await.fine()["total"], 3);
    let ordinary = admin.key(json!({})).await;
    admin.ask_as(text(&ordinary, "key"), "GET /audit", Value::Null).await.refused(403);
    admin.stop().await;
}
