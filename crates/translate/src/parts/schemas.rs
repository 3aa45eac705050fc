//! JSON Schemas for Bedrock: kept byte for byte where possible, repaired where necessary, and
//! checked for what a grammar can enforce.

use std::borrow::Cow;
use std::fmt;

use schema::{Raw, Str};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Invalid;
use crate::parts::json_strings::JsonStrings;
use crate::parts::tools::Form;
use crate::profile::{Profile, SchemaPatterns, SchemaReferences, SchemaRoot};

mod inline;
mod native;
mod older;
mod repair;
mod strict;
mod walk;

pub(super) use native::native;
pub(super) use strict::{Held, Looseness, hold};

/// The deepest nesting accepted in raw JSON: the same limit that the parser has elsewhere.
const MAX_DEPTH: usize = 128;

/// The schema of a tool in the form that is sent.
pub(super) struct ToolSchema<'a> {
    pub(super) json: Raw<'a>,
    /// Constraints removed from the schema, for the tool's description.
    pub(super) words: Vec<String>,
    pub(super) form: Form,
}

impl ToolSchema<'_> {
    /// A tool's description extended by the constraints removed from its schema.
    pub(super) fn describe<'d>(&self, said: &'d str) -> Cow<'d, str> {
        let mut whole = Cow::Borrowed(said);
        for words in self.words.iter().filter(|words| !said.contains(words.as_str())) {
            let separator = if whole.len() == said.len() { "\n\n" } else { " " };
            whole.to_mut().push_str(separator);
            whole.to_mut().push_str(words);
        }
        whole
    }
}

/// The schema of a tool for a model of this profile: byte for byte the caller's, if it needs no
/// change.
///
/// # Errors
/// The content of `param` is not a schema.
pub(super) fn tool_schema<'a>(
    parameters: Option<&'a RawValue>,
    param: &str,
    profile: &Profile,
) -> Result<ToolSchema<'a>, Invalid> {
    let complain = |message: &'static str| {
        Invalid::value(param, message).with_code("invalid_function_parameters")
    };
    let unreadable = |_| complain("The schema is not valid JSON.");
    let plain = |json| ToolSchema { json, words: Vec::new(), form: Form::Plain };
    let Some(parameters) = parameters.filter(|raw| raw.get() != "null") else {
        let nothing = owned(r#"{"type":"object","properties":{}}"#.to_owned());
        return nothing.map(plain).map_err(unreadable);
    };
    let text = parameters.get();
    if !text.starts_with('{') {
        return Err(complain("The parameters of a tool are a JSON Schema object."));
    }
    if too_deep(text) {
        return Err(complain("The schema is nested too deeply; 128 levels are the limit."));
    }
    let root: Root = serde_json::from_str(text)
        .map_err(|_| complain("The schema gives a member of its root twice."))?;
    match root.kind.filter(|_| !root.needs_mending(text, profile)) {
        Some(Kind::Object) => return Ok(plain(Cow::Borrowed(parameters))),
        Some(Kind::Missing) => {
            let rest = text[1..].trim_start();
            let comma = if rest.starts_with('}') { "" } else { "," };
            let typed = owned(format!(r#"{{"type":"object"{comma}{rest}"#));
            return typed.map(plain).map_err(unreadable);
        }
        None => {}
    }
    let schema: Value = serde_json::from_str(text).map_err(unreadable)?;
    let repair::RepairedSchema { schema, words, form } = repair::mend(schema, profile);
    let json = owned(schema.to_string()).map_err(unreadable)?;
    Ok(ToolSchema { json, words, form })
}

/// The features of a schema's root that show whether it can be kept.
#[derive(Default)]
struct Root {
    /// `None` for a type that is not plainly an object.
    kind: Option<Kind>,
    decides: bool,
    /// Members beyond type, properties and required.
    more: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Object,
    Missing,
}

impl Root {
    fn needs_mending(&self, text: &str, profile: &Profile) -> bool {
        let bare = profile.schema_root == SchemaRoot::Bare;
        let inlined = bare || profile.schema_references == SchemaReferences::Inlined;
        self.decides
            || holds_null(text)
            || older::may_be_older(text)
            || (bare && self.more)
            || (inlined && text.contains(r#""$ref""#))
            || (profile.schema_patterns == SchemaPatterns::Plain && may_hold_pattern(text))
    }
}

/// Returns whether a schema may hold a pattern with a group or a backslash; a false positive costs
/// only a closer look.
fn may_hold_pattern(text: &str) -> bool {
    text.contains(r#""pattern""#) && (text.contains("(?") || text.contains('\\'))
}

/// Returns whether a schema may hold a null; a false positive costs only a closer look.
fn holds_null(text: &str) -> bool {
    text.match_indices("null").any(|(at, _)| !text[..at].ends_with('"'))
}

impl<'de> Deserialize<'de> for Root {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RootVisitor)
    }
}

struct RootVisitor;

impl<'de> Visitor<'de> for RootVisitor {
    type Value = Root;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON Schema object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Root, A::Error> {
        let mut root = Root { kind: Some(Kind::Missing), ..Root::default() };
        let mut typed = false;
        while let Some((keyword, value)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
            match keyword.as_str() {
                "type" if typed => return Err(A::Error::duplicate_field("type")),
                "type" => {
                    typed = true;
                    root.kind = (value.get() == r#""object""#).then_some(Kind::Object);
                }
                "properties" | "required" => {}
                keyword => {
                    root.decides |= repair::DECIDING.contains(&keyword);
                    root.more = true;
                }
            }
        }
        Ok(root)
    }
}

/// Raw JSON written by this crate.
pub(super) fn owned<'a>(text: String) -> Result<Raw<'a>, serde_json::Error> {
    RawValue::from_string(text).map(Cow::Owned)
}

/// Returns whether JSON exceeds the depth limit. Raw JSON has no limit of its own, and its next
/// reader may recurse.
pub(super) fn too_deep(json: &str) -> bool {
    let (mut depth, mut strings) = (0_usize, JsonStrings::default());
    json.bytes().any(|byte| {
        match (strings.read(byte), byte) {
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str, profile: &Profile) -> Result<(String, Form, Vec<String>), Invalid> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        let schema = tool_schema(Some(raw), "t", profile)?;
        Ok((schema.json.get().to_owned(), schema.form, schema.words))
    }

    fn json_of(text: &str) -> String {
        sent(text, &Profile::default()).unwrap().0
    }

    #[test]
    fn schemas_keep_their_bytes_and_get_a_type() {
        let kept =
            r#"{ "type": "object", "properties": {"z": {"type": ["null", "string"]}, "a": {}} }"#;
        let raw: &RawValue = serde_json::from_str(kept).unwrap();
        let schema = tool_schema(Some(raw), "t", &Profile::default()).unwrap();
        assert!(matches!(schema.json, Cow::Borrowed(text) if text.get() == kept));
        assert_eq!(json_of(r#"{"properties":{}}"#), r#"{"type":"object","properties":{}}"#);
        assert_eq!(json_of("{ }"), r#"{"type":"object"}"#);
        assert_eq!(json_of("null"), r#"{"type":"object","properties":{}}"#);
        assert_eq!(json_of(r#"{"z":1,"type":null,"a":2}"#), r#"{"type":"object","z":1,"a":2}"#);
        assert_eq!(
            json_of(r#"{"z":1,"type":["object","null"],"a":2}"#),
            r#"{"z":1,"type":"object","a":2}"#
        );
        for refused in ["[]", "1", r#"{"type":"object","type":"object"}"#] {
            let refused = sent(refused, &Profile::default()).unwrap_err();
            assert_eq!(refused.code, "invalid_function_parameters");
        }
    }

    #[test]
    fn nulls_without_meaning_are_dropped_and_others_stay() {
        assert_eq!(
            json_of(r#"{"type":"object","properties":null,"required":null,"default":null}"#),
            r#"{"type":"object","default":null}"#
        );
        assert_eq!(
            json_of(
                r#"{"type":"object","properties":{"required":null,"a":{"enum":[null],"items":null}}}"#
            ),
            r#"{"type":"object","properties":{"required":{},"a":{"enum":[null]}}}"#
        );
    }

    #[test]
    fn references_and_all_of_at_the_root_are_expanded() {
        assert_eq!(
            json_of(
                r##"{"$ref":"#/$defs/A","$defs":{"A":{"type":"object","properties":{"next":{"$ref":"#/$defs/A"}}}}}"##
            ),
            r##"{"type":"object","properties":{"next":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"object","properties":{"next":{"$ref":"#/$defs/A"}}}}}"##
        );
        assert_eq!(
            json_of(
                r##"{"allOf":[{"$ref":"#/$defs/A"},{"properties":{"b":{}},"required":["b"]}],"$defs":{"A":{"type":"object","properties":{"a":{}},"required":["a"]}}}"##
            ),
            r##"{"type":"object","$defs":{"A":{"type":"object","properties":{"a":{}},"required":["a"]}},"properties":{"a":{},"b":{}},"required":["a","b"]}"##
        );
        // Conflicting parts, and parts with more keywords, are left to the model.
        for apart in [
            r#"{"allOf":[{"properties":{"a":{"minimum":1}}},{"properties":{"a":{"maximum":2}}}]}"#,
            r#"{"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]}"#,
        ] {
            assert_eq!(sent(apart, &Profile::default()).unwrap().1, Form::Value, "{apart}");
        }
    }

    #[test]
    fn a_root_that_lists_no_properties_is_wrapped() {
        let (json, form, _) = sent(
            r##"{"type":"object","oneOf":[{"$ref":"#/$defs/A"},{"$ref":"#"}],"$defs":{"A":{}}}"##,
            &Profile::default(),
        )
        .unwrap();
        assert_eq!(form, Form::Value);
        assert_eq!(
            json,
            r##"{"type":"object","properties":{"value":{"type":"object","oneOf":[{"$ref":"#/$defs/A"},{"$ref":"#/properties/value"}]}},"required":["value"],"$defs":{"A":{}}}"##
        );
        for other in [r#"{"type":"string"}"#, r#"{"type":["string","null"]}"#, r#"{"enum":[{}]}"#] {
            assert_eq!(sent(other, &Profile::default()).unwrap().1, Form::Value, "{other}");
        }
    }

    #[test]
    fn a_bare_root_holds_three_members_and_no_references() {
        let bare = Profile { schema_root: SchemaRoot::Bare, ..Profile::default() };
        let (json, _, words) = sent(
            r##"{"$schema":"x","title":"T","description":"D.","type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"additionalProperties":false,"minProperties":1,"$defs":{"A":{"type":"object","properties":{"a":{"$ref":"#/$defs/A"},"b":{"pattern":"^x"}}}}}"##,
            &bare,
        )
        .unwrap();
        assert_eq!(
            json,
            r#"{"type":"object","properties":{"a":{"type":"object","properties":{"a":{"type":"object","description":"(Shaped like A.)"},"b":{"pattern":"^x"}}}}}"#
        );
        assert_eq!(
            words,
            [
                "D.",
                "No other arguments are accepted.",
                r#"The arguments also obey this JSON Schema: {"minProperties":1}"#,
            ]
        );
        let untouched = r#"{"type":"object","properties":{"a":{"additionalProperties":false}},"required":["a"]}"#;
        assert_eq!(sent(untouched, &bare).unwrap().0, untouched);
    }

    #[test]
    fn unsupported_patterns_move_into_the_description() {
        let plain = Profile { schema_patterns: SchemaPatterns::Plain, ..Profile::default() };
        assert_eq!(
            sent(r#"{"type":"object","properties":{"pattern":{"pattern":"^(?!a)b"},"b":{"pattern":"(?:a)"}}}"#, &plain).unwrap().0,
            r#"{"type":"object","properties":{"pattern":{"description":"(pattern: \"^(?!a)b\")"},"b":{"pattern":"(?:a)"}}}"#
        );
    }

    #[test]
    fn references_over_the_growth_limit_are_described() {
        let inlined =
            Profile { schema_references: SchemaReferences::Inlined, ..Profile::default() };
        let defs: Vec<String> = (0..40)
            .map(|at| {
                let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, at + 1);
                format!(r#""d{at}":{{"type":"object","properties":{{"a":{next},"b":{next}}}}}"#)
            })
            .collect();
        let bomb = format!(
            r##"{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{}}}}}"##,
            defs.join(",")
        );
        let sent = sent(&bomb, &inlined).unwrap().0;
        assert!(sent.len() < 24 * bomb.len() && sent.contains("Shaped like d"));
        assert!(!sent.contains("$ref"));
    }

    #[test]
    fn long_definitions_count_by_their_length_and_deep_ones_by_their_depth() {
        let inlined =
            Profile { schema_references: SchemaReferences::Inlined, ..Profile::default() };
        let long = "x".repeat(100_000);
        let uses: Vec<String> =
            (0..4_000).map(|at| format!(r##""p{at}":{{"$ref":"#/$defs/d"}}"##)).collect();
        let uses = uses.join(",");
        for said in [
            format!(r#""description":"{long}""#),
            format!(r##""type":"{long}","items":{{"$ref":"#/$defs/d"}}"##),
            format!(r#""{long}":1"#),
        ] {
            let text = format!(
                r#"{{"type":"object","properties":{{{uses}}},"$defs":{{"d":{{{said}}}}}}}"#
            );
            let sent = sent(&text, &inlined).unwrap().0;
            assert!(sent.len() < 24 * text.len(), "{} of {}", sent.len(), text.len());
        }
        // Sixteen nested definitions, each a hundred levels deep.
        let nested = |at: usize| {
            let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, at + 1);
            let inner = (0..100).fold(next, |inner, _| format!(r#"{{"items":{inner}}}"#));
            format!(r#""d{at}":{inner}"#)
        };
        let defs: Vec<String> = (0..16).map(nested).collect();
        let text = format!(
            r##"{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d0"}}}},"$defs":{{{}}}}}"##,
            defs.join(",")
        );
        let sent = sent(&text, &inlined).unwrap().0;
        assert!(serde_json::from_str::<Value>(&sent).is_ok(), "the parser has a limit of 128");
    }

    #[test]
    fn depth_is_counted_outside_strings() {
        assert!(!too_deep(&"[".repeat(128)));
        assert!(too_deep(&"[".repeat(129)));
        assert!(!too_deep(&format!("\"{}\"", "[".repeat(500))));
        assert!(!too_deep(&format!("\"\\\"{}\"", "[".repeat(500))));
    }
}
