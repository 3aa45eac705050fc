//! Every key of the JSON schema has a field of `Config` with the same path: `timeouts.connect` is
//! `config.timeouts.connect`. The fields' paths are read from the structure's `Debug` output.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::*;
use super::Directory;

const SCHEMA: &str = include_str!("../../../../../config/outcrop.schema.json");

/// Sets the optional sections, so that `Debug` shows their fields.
const OPTIONAL: &str = "\
tls: { certificate: c.pem, key: k.pem }
moderation: { guardrail: { id: g, version: 1 } }
routing: { hedge: on }
";

#[test]
fn every_key_is_a_field_with_its_path() {
    let directory = Directory::new("paths");
    let config = Config::load(&directory.sources(OPTIONAL)).unwrap();
    let fields = fields(&format!("{config:#?}"));
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut keys = Vec::new();
    collect(&schema, &schema, "", &mut keys);
    assert!(keys.len() > 100, "{keys:?}");
    let without: Vec<_> = keys.iter().filter(|key| !fields.contains(&field_of(key))).collect();
    assert!(without.is_empty(), "{without:#?} are no fields");
}

/// The path of the field that holds a key. Keys that exclude each other share one: a secret and the
/// file it is in, and the ways to give an account's credentials.
fn field_of(key: &str) -> String {
    let key = key.strip_suffix("_file").unwrap_or(key);
    let Some((section, name)) = key.rsplit_once('.') else { return key.to_owned() };
    let shared = match name {
        "profile" | "access_key_id" | "secret_access_key" | "session_token" | "bearer_key" => {
            "login"
        }
        "role_arn" | "external_id" | "session_name" | "session_tags" => "role",
        name => name,
    };
    let is_account = shared != name || ["region", "endpoint_url"].contains(&name);
    match (section, is_account) {
        ("batches", _) => key.to_owned(),
        ("files" | "moderation", true) => format!("{section}.place.{shared}"),
        _ => format!("{section}.{shared}"),
    }
}

/// The paths of all fields in a pretty `Debug` output: one field a line, indented below its structure.
fn fields(shown: &str) -> BTreeSet<String> {
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut paths = BTreeSet::new();
    for line in shown.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        open.retain(|(outer, _)| *outer < depth);
        let Some((name, _)) = text.split_once(": ") else { continue };
        if name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)) {
            open.push((depth, name));
            let path: Vec<_> = open.iter().map(|(_, name)| *name).collect();
            paths.insert(path.join("."));
        }
    }
    paths
}

/// Collects the paths of the keys below a node of the schema. A section whose keys the operator chooses
/// counts as one key.
fn collect(schema: &Value, node: &Value, prefix: &str, keys: &mut Vec<String>) {
    for (name, node) in properties(schema, node).into_iter().flatten() {
        let path = format!("{prefix}{name}");
        if properties(schema, node).is_some() {
            collect(schema, node, &format!("{path}."), keys);
        } else {
            keys.push(path);
        }
    }
}

/// The keys of a section, which may stand behind a reference or among alternatives.
fn properties<'s>(
    schema: &'s Value,
    node: &'s Value,
) -> Option<&'s serde_json::Map<String, Value>> {
    if let Some(pointer) = node["$ref"].as_str() {
        return properties(schema, schema.pointer(pointer.trim_start_matches('#'))?);
    }
    let alternatives = node["anyOf"].as_array().into_iter().flatten();
    let own = node["properties"].as_object();
    own.or_else(|| alternatives.into_iter().find_map(|node| properties(schema, node)))
}
