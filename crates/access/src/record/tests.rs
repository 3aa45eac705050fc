//! Records keep null apart from absent, and say which field is wrong.

use serde_json::json;

use super::*;
use crate::Nanodollars;

fn now() -> UtcTime {
    UtcTime::parse("2026-11-28T10:00:00Z").unwrap()
}

fn key(fields: serde_json::Value) -> KeyRecord {
    let mut record = KeyRecord::default();
    record.apply(serde_json::from_value(fields).unwrap(), now()).unwrap();
    record
}

fn refused(fields: serde_json::Value) -> (&'static str, String) {
    let input: KeyInput = serde_json::from_value(fields).unwrap();
    let refusal = KeyRecord::default().apply(input, now()).unwrap_err();
    (refusal.param, refusal.message)
}

#[test]
fn an_empty_request_sets_no_field() {
    let record = key(json!({}));
    assert_eq!(record, KeyRecord::default());
    assert_eq!((record.models, record.tags, record.blocked), (vec![], None, None));
}

#[test]
fn an_update_keeps_clears_and_replaces() {
    let mut record = key(json!({
        "key_alias": "billing-batch", "models": ["sonnet", "nova-*"], "team_id": "t-finance", "max_budget": 25,
        "budget_duration": "30d", "rpm_limit": 60.0, "tpm_limit": 200_000, "tags": ["batch"],
        "metadata": {"owner": "ana"}, "duration": "90d", "soft_budget": 20.5, "mcp_servers": ["x"],
    }));
    assert_eq!(record.limits.max_budget, Some(Nanodollars::new(25_000_000_000)));
    assert_eq!(record.limits.rpm_limit, Some(60));
    assert_eq!(record.expires.unwrap().to_string(), "2027-02-26T10:00:00Z");
    let before = record.clone();
    let update = json!({"max_budget": 40, "soft_budget": null, "models": [], "duration": null, "team_id": ""});
    record.apply(serde_json::from_value(update).unwrap(), now()).unwrap();
    let mut expected = before;
    expected.limits.max_budget = Some(Nanodollars::new(40_000_000_000));
    (expected.limits.soft_budget, expected.expires, expected.team_id) = (None, None, None);
    expected.models.clear();
    assert_eq!(record, expected);
}

#[test]
fn unknown_fields_are_left_to_the_caller() {
    let input: KeyInput =
        serde_json::from_value(json!({"max_budget": 1, "mcp_servers": ["x"]})).unwrap();
    assert_eq!(input.other.keys().collect::<Vec<_>>(), ["mcp_servers"]);
    assert!(serde_json::from_value::<KeyInput>(json!({"models": "sonnet"})).is_err());
}

#[test]
fn wrong_values_name_their_field() {
    for (fields, param, part) in [
        (json!({"max_budget": -1}), "max_budget", "max_budget cannot be negative"),
        (json!({"rpm_limit": -1}), "rpm_limit", "cannot be negative"),
        (json!({"rpm_limit": 1.5}), "rpm_limit", "whole number"),
        (json!({"max_budget": 1e30}), "max_budget", "too large"),
        (json!({"max_budget": 1, "soft_budget": 1}), "soft_budget", "lower than max_budget"),
        (json!({"budget_duration": "soon"}), "budget_duration", "Invalid budget_duration 'soon'"),
        (json!({"duration": "soon"}), "duration", "Invalid duration"),
        (
            json!({"model_max_budget": {"m": {"budget_limit": 1, "tpm_limit": 5}}}),
            "model_max_budget",
            "tpm_limit",
        ),
        (
            json!({"budget_limits": [{"budget_duration": "1d", "max_budget": 1, "soft": 1}]}),
            "budget_limits",
            "soft",
        ),
        (json!({"team_id": "a b"}), "team_id", "characters"),
        (json!({"key_alias": "a".repeat(256)}), "key_alias", "at most 255"),
        (json!({"allowed_routes": ["/v1/*"]}), "allowed_routes", "wildcards"),
        (json!({"metadata": {"a": "b".repeat(70_000)}}), "metadata", "64 KiB"),
        (
            json!({"budget_limits": [{"budget_duration": "0d", "max_budget": 1}]}),
            "budget_limits",
            "Invalid",
        ),
        (json!({"model_max_budget": {"a": {"budget_limit": -1}}}), "model_max_budget", "negative"),
        (json!({"temp_budget_increase": 5}), "temp_budget_expiry", "together"),
    ] {
        let (found, message) = refused(fields.clone());
        assert_eq!(found, param, "{fields}");
        assert!(message.contains(part), "{fields}: {message}");
    }
}

#[test]
fn a_window_starts_when_its_span_is_set_and_goes_on_when_it_is_set_again() {
    let mut record = key(json!({"max_budget": 1}));
    assert_eq!(record.limits.budget_since, UtcTime::default());
    let set = |record: &mut KeyRecord, fields, at| {
        record.apply(serde_json::from_value(fields).unwrap(), UtcTime::parse(at).unwrap()).unwrap();
    };
    let windows = json!({"budget_duration": "30d", "budget_limits": [{"budget_duration": "1d", "max_budget": 1}],
        "model_max_budget": {"sonnet": {"budget_limit": 2, "time_period": "1d"}}});
    set(&mut record, windows.clone(), "2026-11-29T00:00:00Z");
    let first = record.limits.clone();
    set(&mut record, windows, "2026-11-30T00:00:00Z");
    assert_eq!(record.limits, first);
    set(&mut record, json!({"budget_duration": "7d"}), "2026-12-01T00:00:00Z");
    assert_eq!(record.limits.budget_since.to_string(), "2026-12-01T00:00:00Z");
}

#[test]
fn own_limits_win_over_a_budget_row_field_by_field() {
    let own = key(json!({"rpm_limit": 5})).limits;
    let row = key(json!({"rpm_limit": 9, "max_budget": 3, "budget_duration": "1d"})).limits;
    let both = own.or(&row);
    assert_eq!((both.rpm_limit, both.max_budget), (Some(5), Some(Nanodollars::new(3_000_000_000))));
    assert_eq!(both.budget_duration, row.budget_duration);
    assert_eq!(both.budget_since, now());
    assert!(both.has_budget() && !own.has_budget());
}

#[test]
fn a_temporary_increase_ends() {
    let record = key(json!({
        "max_budget": 10, "temp_budget_increase": 5, "temp_budget_expiry": "2026-12-01T00:00:00Z",
    }));
    let max =
        |at: &str| record.limits_at(UtcTime::parse(at).unwrap()).max_budget.unwrap().to_string();
    assert_eq!(
        (max("2026-11-30T00:00:00Z"), max("2026-12-01T00:00:00Z")),
        ("15.0".into(), "10.0".into())
    );
}

#[test]
fn a_status_is_revoked_expired_or_active() {
    assert_eq!(key(json!({})).status(now()), "active");
    assert_eq!(key(json!({"duration": "0d"})).status(now()), "expired");
    assert_eq!(key(json!({"blocked": true, "duration": "0s"})).status(now()), "revoked");
}

#[test]
fn records_read_back_from_the_store_as_they_were() {
    let record = key(
        json!({"max_budget": 0.1, "budget_duration": "1mo", "tags": [], "aliases": {"a": "b"}}),
    );
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<KeyRecord>(&text).unwrap(), record);
    // A record of a version with fewer fields.
    assert!(serde_json::from_str::<KeyRecord>("{\"id\": \"k\"}").is_ok());
}

#[test]
fn the_other_records_take_their_fields() {
    let mut team = TeamRecord::new("t-finance").unwrap();
    let fields = json!({"team_alias": "finance", "max_budget": 300, "members_with_roles": [{"role": "admin", "user_id": "u-1"}]});
    team.apply(serde_json::from_value(fields).unwrap(), now()).unwrap();
    assert_eq!((team.role_of("u-1"), team.role_of("u-2")), (Some(TeamRole::Admin), None));
    let mut user = UserRecord::new("ana@example.org").unwrap();
    let fields = json!({"user_role": "internal_user", "teams": ["t-finance"]});
    user.apply(serde_json::from_value(fields).unwrap(), now()).unwrap();
    assert_eq!(user.user_role, Some(UserRole::InternalUser));
    let mut customer = CustomerRecord::new("tenant 42").unwrap();
    let fields = json!({"allowed_model_region": "eu", "budget_id": "small"});
    customer.apply(serde_json::from_value(fields).unwrap(), now()).unwrap();
    assert_eq!(customer.links().budget, Some("small"));
    assert!(TeamRecord::new("a b").is_err() && CustomerRecord::new("a\nb").is_err());
    assert!(TagRecord::new(&"t".repeat(65)).is_err() && BudgetRecord::new("").is_err());
}
