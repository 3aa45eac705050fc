//! Metadata of records. LiteLLM keeps some fields of its API inside: they are moved out of it on the way in, and back
//! on the way out, so that clients find them where LiteLLM shows them.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::AdminBody;

/// The member of a body.
const METADATA: &str = "metadata";

/// Fields of teams that reads show inside `metadata`.
pub(super) const OF_TEAMS: &[&str] =
    &["model_tpm_limit", "model_rpm_limit", "tags", "guardrails", "policies", "prompts"];
/// Fields of users that reads show inside `metadata`.
pub(super) const OF_USERS: &[&str] = &["model_tpm_limit", "model_rpm_limit"];
/// Fields of keys that reads show inside `metadata`.
pub(super) const OF_KEYS: &[&str] = &[
    "model_tpm_limit",
    "model_rpm_limit",
    "tpm_limit_type",
    "rpm_limit_type",
    "tags",
    "guardrails",
    "policies",
    "enforced_params",
    "prompts",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "default_estimated_output_tokens",
    "temp_budget_increase",
    "temp_budget_expiry",
];

/// Moves fields out of the metadata of a body to its root, where they are read. A field that stands at the root too
/// is taken from there.
pub(super) fn move_out(body: &mut AdminBody, fields: &[&'static str]) {
    let Some(metadata) = body.object_mut(METADATA) else { return };
    let moved: Vec<_> =
        fields.iter().filter_map(|name| Some((*name, metadata.shift_remove(*name)?))).collect();
    for (name, value) in moved {
        body.fill(name, value);
    }
}

/// Metadata as reads show it: the caller's own, then the fields that were set.
#[derive(Debug)]
pub(super) struct MetadataColumn<'m> {
    own: &'m Map<String, Value>,
    fields: Vec<(&'static str, Box<RawValue>)>,
}

impl<'m> MetadataColumn<'m> {
    /// The caller's own metadata.
    pub(super) fn of(own: &'m Map<String, Value>) -> Self {
        Self { own, fields: Vec::new() }
    }

    /// Adds a field that was set.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: Option<&impl Serialize>) -> Self {
        // What cannot be written is no value of a record.
        if let Some(Ok(value)) = value.map(serde_json::value::to_raw_value) {
            self.fields.push((name, value));
        }
        self
    }
}

impl Serialize for MetadataColumn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let is_field = |name: &String| self.fields.iter().any(|(field, _)| field == name);
        for (name, value) in self.own.iter().filter(|(name, _)| !is_field(name)) {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_move_out_and_back() {
        let sent = json!({"metadata": {"owner": "ana", "tags": ["a"], "model_rpm_limit": {"m": 1}}, "tags": ["b"]});
        let mut body = AdminBody::of(sent).unwrap();
        move_out(&mut body, OF_KEYS);
        let expected =
            json!({"metadata": {"owner": "ana"}, "tags": ["b"], "model_rpm_limit": {"m": 1}});
        assert_eq!(Value::Object(body.members().clone()), expected);
        let own = json!({"owner": "ana"});
        let column = MetadataColumn::of(own.as_object().unwrap())
            .with("tags", Some(&["b"]))
            .with("guardrails", None::<&Vec<String>>);
        assert_eq!(serde_json::to_value(&column).unwrap(), json!({"owner": "ana", "tags": ["b"]}));
    }
}
