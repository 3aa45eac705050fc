//! The JSON schema and the reader accept the same keys: each section is given an unknown key, and the
//! complaint lists the known ones.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::*;
use super::Directory;

const SCHEMA: &str = include_str!("../../../../../config/outcrop.schema.json");

/// A section's pointer in the schema, and a file with an unknown key in that section.
#[rustfmt::skip]
const SECTIONS: [(&str, &str); 39] = [
    ("", "zzzzzzzzzzzz: 1\n"),
    ("/properties/access", "access: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/access/properties/database", "access: { database: { zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/access/properties/gateway", "access: { gateway: { zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/access/properties/every_key", "access: { every_key: { zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/access/properties/unknown_end_users", "access: { unknown_end_users: { zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/access/properties/tags/additionalProperties", "access: { tags: { a: { zzzzzzzzzzzz: 1 } } }\n"),
    ("/properties/admin", "admin: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/admin/properties/key_bounds", "admin: { key_bounds: { zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/socket", "socket: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/telemetry", "telemetry: { zzzzzzzzzzzz: 1 }\n"),
    (
        "/properties/telemetry/properties/requests",
        "telemetry: { requests: { zzzzzzzzzzzz: 1 } }\n",
    ),
    ("/properties/telemetry/properties/traces", "telemetry: { traces: { zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/log", "log: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/tls", "tls: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/timeouts", "timeouts: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/body", "body: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/cors", "cors: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/native", "native: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/media", "media: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/chat", "chat: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/embeddings", "embeddings: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/thinking_memory", "thinking_memory: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/files", "files: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/batches", "batches: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/moderation", "moderation: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/moderation/properties/guardrail", "moderation: { guardrail: { id: g, version: 1, zzzzzzzzzzzz: 1 } }\n"),
    ("/properties/structured_output", "structured_output: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/routing", "routing: { zzzzzzzzzzzz: 1 }\n"),
    ("/$defs/retries", "routing: { retries: { zzzzzzzzzzzz: 1 } }\n"),
    ("/$defs/cooldown/anyOf/1", "routing: { cooldown: { zzzzzzzzzzzz: 1 } }\n"),
    ("/$defs/fallbacks", "models: { a: { model: b, fallbacks: { zzzzzzzzzzzz: 1 } } }\n"),
    ("/properties/shutdown", "shutdown: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/overload", "overload: { zzzzzzzzzzzz: 1 }\n"),
    ("/properties/defaults", "defaults: { zzzzzzzzzzzz: 1 }\n"),
    ("/$defs/target", "models: { a: { model: b, zzzzzzzzzzzz: 1 } }\n"),
    ("/$defs/params", "models: { a: { model: b, params: { zzzzzzzzzzzz: 1 } } }\n"),
    ("/$defs/guardrail", "models: { a: { model: b, guardrail: { id: g, version: 1, zzzzzzzzzzzz: 1 } } }\n"),
    ("/$defs/model/anyOf/3", "models: { a: { targets: [b], zzzzzzzzzzzz: 1 } }\n"),
];

#[test]
fn schema_and_reader_have_the_same_keys() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let directory = Directory::new("schema");
    for (place, yaml) in SECTIONS {
        let problems = Config::load(&directory.sources(yaml)).unwrap_err();
        let told = problems.iter().find(|problem| problem.remedy.starts_with("known here: "));
        let told = told.unwrap_or_else(|| panic!("{place}: {problems}"));
        let known: BTreeSet<&str> = told.remedy["known here: ".len()..].split(", ").collect();
        let properties = schema.pointer(&format!("{place}/properties")).unwrap();
        let written: BTreeSet<&str> =
            properties.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, written, "{place}");
        assert_eq!(schema.pointer(place).unwrap()["additionalProperties"], false, "{place}");
    }
}

/// The catalogue reads the rows; its complaints are serde's.
#[test]
fn the_schema_has_the_keys_of_rows_and_prices() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let directory = Directory::new("schema-rows");
    let aside = BTreeSet::from([
        "like",
        "evidence",
        "dated",
        "geo",
        "long",
        "flex",
        "priority",
        "ultrafast",
        "batch",
    ]);
    for (place, yaml) in [
        ("/$defs/row", "catalogue: { a.b: { zzzzzzzzzzzz: 1 } }\n"),
        ("/$defs/price_table", "catalogue: { a.b: { prices: { zzzzzzzzzzzz: 1 } } }\n"),
    ] {
        let problems = Config::load(&directory.sources(yaml)).unwrap_err().to_string();
        let known: BTreeSet<&str> = problems.split('`').skip(3).step_by(2).collect();
        let properties = schema.pointer(&format!("{place}/properties")).unwrap();
        let written: BTreeSet<&str> =
            properties.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(known.len() > 5, "{place}: {problems}");
        assert_eq!(known, written.difference(&aside).copied().collect(), "{place}");
    }
}

#[test]
fn outcrops_root_keys_are_refused_in_a_litellm_file() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let directory = Directory::new("shapes-apart");
    for key in schema["properties"].as_object().unwrap().keys() {
        let yaml = format!("model_list: []\n{key}: null\n");
        let text = Config::load(&directory.sources(&yaml)).unwrap_err().to_string();
        assert!(text.contains(&format!(":2: {key} stands beside LiteLLM's keys")), "{text}");
    }
}
