//! Parameters of an entry that requests may do without: those of OpenAI's API, of LiteLLM, and of Converse
//! in LiteLLM's spelling.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use translate::chat::Defaults;

use super::super::parameters::{self, member};
use super::super::section::Section;
use super::super::yaml_tree::Value;
use super::Passed;

/// Spellings of LiteLLM's, and the members of a request that they are.
const SPELLED: [(&str, &str); 3] = [
    ("performanceConfig", "performance_config"),
    ("requestMetadata", "request_metadata"),
    ("additionalModelRequestFields", "additional_model_request_fields"),
];

/// Reads the parameters of an entry from its `litellm_params`.
pub(super) fn read(section: &mut Section<'_>, passed: &mut Passed) -> Option<Arc<Defaults>> {
    let mut members = Map::new();
    all(section, &mut members);
    let path = section.path("extra_body");
    if let Some(entries) = section.map("extra_body") {
        section.child(format!("{path}."), entries, |section| {
            all(section, &mut members);
            passed.rest("litellm_params.extra_body", section, &[]);
        });
    }
    parameters::read(members)
}

fn all(section: &mut Section<'_>, members: &mut Map<String, Json>) {
    for name in Defaults::NAMES {
        member(section, name, name, members);
    }
    for (name, known) in SPELLED {
        member(section, name, known, members);
    }
    tier(section, members);
}

/// Converse's `serviceTier: { type: ... }`.
fn tier(section: &mut Section<'_>, members: &mut Map<String, Json>) {
    let Some((key, mut node)) = section.take("serviceTier") else { return };
    if let Value::Map(entries) = node.value {
        let told = entries.into_iter().find(|(key, _)| key.name == "type");
        node = match told {
            Some((_, node)) => node,
            None => {
                let message = format!("{} names no tier", section.path("serviceTier.type"));
                section.reading.complain(key.line, message, "give priority, flex or default");
                return;
            }
        };
    }
    let path = section.path("serviceTier");
    if let Some(tier) = parameters::json(section.reading, &path, node) {
        members.entry("service_tier").or_insert(tier);
    }
}
