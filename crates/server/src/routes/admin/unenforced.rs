//! Fields of requests that have no effect here. They are never refused for being unknown, and never dropped in
//! silence: answers name them. A field that would limit something is refused, because a limit that reads back but
//! does nothing is worse than none.

use serde_json::{Map, Value};

use super::error::AdminRefusal;

/// Known fields that are stored and read back, and that the gateway does not use.
const STORED: &[&str] = &[
    "permissions",
    "config",
    "allowed_cache_controls",
    "router_settings",
    "object_permission",
    "prompts",
    "access_group_ids",
    "project_id",
    "agent_id",
    "soft_budget",
];
/// Fields that limit something, by their whole names.
const LIMITING: &[&str] = &[
    "max_parallel_requests",
    "models",
    "allowed_routes",
    "guardrails",
    "policies",
    "enforced_params",
    "allowed_model_region",
    "auto_rotate",
    "rotation_interval",
];
/// Fields that keys alone have. Each of their values limits something, an empty list too.
const OF_KEYS: &[&str] = &["allowed_s3_prefixes", "allow_media_fetch", "unsupported_params"];
/// Beginnings of fields that belong to features the gateway does not have at all.
const FOREIGN: &[&str] = &["mcp_", "agent_", "vector_store", "cache_"];

/// Names of the known fields of a body that are stored and have no effect.
pub(super) fn stored(members: &Map<String, Value>) -> Vec<String> {
    let sent = |name: &&&str| members.get(**name).is_some_and(|value| !is_empty(value));
    STORED.iter().filter(sent).map(|name| (*name).to_owned()).collect()
}

/// Names of unknown fields that have a value.
///
/// # Errors
/// One of them would limit something.
pub(super) fn unknown(members: &Map<String, Value>) -> Result<Vec<String>, AdminRefusal> {
    let is_set = |name: &&&str| members.get(**name).is_some_and(|value| !value.is_null());
    if let Some(name) = OF_KEYS.iter().find(is_set) {
        return Err(refuse(name));
    }
    let mut names = Vec::new();
    for (name, _) in members.iter().filter(|(_, value)| !is_empty(value)) {
        if limits(name) {
            return Err(refuse(name));
        }
        names.push(name.clone());
    }
    Ok(names)
}

/// The refusal of a field that would limit something.
pub(super) fn refuse(name: &str) -> AdminRefusal {
    AdminRefusal::bad(format!(
        "The field '{name}' limits calls, and this gateway does not enforce it: leave it out."
    ))
    .about(name)
}

/// Whether a field of this name limits something.
fn limits(name: &str) -> bool {
    let is_foreign = FOREIGN.iter().any(|beginning| name.starts_with(beginning));
    let limits = name.ends_with("_limit")
        || name.contains("budget")
        || name.ends_with("_passthrough_routes")
        || LIMITING.contains(&name);
    limits && !is_foreign
}

/// Whether a value says no more than an absent field does.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn limiting_fields_are_refused_and_others_are_named() {
        let harmless = json!({"new_field": 1, "mcp_rpm_limit": {"a": 1}, "agent_budget": 1, "policies": [],
            "auto_rotate": false, "x_limit": null, "y": {}, "flag": false});
        let expected = ["new_field", "mcp_rpm_limit", "agent_budget"];
        assert_eq!(unknown(&members(&harmless)).unwrap(), expected);
        for limiting in [
            json!({"tph_limit": 0}),
            json!({"hourly_budget": 1}),
            json!({"policies": ["p"]}),
            json!({"enforced_params": ["user"]}),
            json!({"auto_rotate": true}),
            json!({"rotation_interval": "30d"}),
            json!({"some_passthrough_routes": ["/a"]}),
            json!({"allowed_s3_prefixes": []}),
            json!({"allow_media_fetch": false}),
        ] {
            let refusal = unknown(&members(&limiting)).unwrap_err();
            assert!(refusal.message().contains("does not enforce"), "{limiting}");
        }
    }

    #[test]
    fn stored_fields_without_effect_are_named() {
        let sent =
            json!({"prompts": ["p"], "config": {}, "permissions": {"a": true}, "models": ["m"]});
        assert_eq!(stored(&members(&sent)), ["permissions", "prompts"]);
    }
}
