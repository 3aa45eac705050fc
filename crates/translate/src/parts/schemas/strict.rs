//! Strict schemas: the schemas that a grammar can enforce, and the keywords to move into the
//! description.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::repair::{into_words, is_beyond_grammars, pattern_into_words};
use super::walk::each_schema;
use crate::profile::REFUSED_BOUNDS;

/// Longest chain of references, and the deepest nesting through references. Schemas of real clients
/// are far below both; without a limit, a chain of 100,000 definitions would overflow the stack and
/// end the process.
const LONGEST_CHAIN: usize = 64;
const DEEPEST: usize = 512;

/// Limits for all strict schemas of one request together: optional properties, and properties of
/// several types. (Anthropic, "Structured outputs", complexity limits, read 2026.)
const OPTIONAL: usize = 24;
const UNIONS: usize = 16;

/// Features of a schema that make its grammar large.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::parts) struct Looseness {
    optional: usize,
    unions: usize,
}

impl Looseness {
    pub(in crate::parts) fn of(schema: &Value) -> Self {
        let mut looseness = Self::default();
        looseness.add(schema);
        looseness
    }

    /// The sum of both, if it is within the limits.
    pub(in crate::parts) fn with(self, other: Self) -> Option<Self> {
        let both =
            Self { optional: self.optional + other.optional, unions: self.unions + other.unions };
        (both.optional <= OPTIONAL && both.unions <= UNIONS).then_some(both)
    }

    fn add(&mut self, schema: &Value) {
        match schema {
            Value::Object(members) => {
                if let Some(Value::Object(properties)) = members.get("properties") {
                    let required = members.get("required").and_then(Value::as_array);
                    let required: HashSet<_> =
                        required.into_iter().flatten().filter_map(Value::as_str).collect();
                    let is_optional = |name: &&String| !required.contains(name.as_str());
                    self.optional += properties.keys().filter(is_optional).count();
                    self.unions += properties.values().filter(|one| is_union(one)).count();
                }
                members.values().for_each(|member| self.add(member));
            }
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn is_union(schema: &Value) -> bool {
    schema.get("anyOf").is_some() || schema.get("type").is_some_and(Value::is_array)
}

/// Enforceability of a schema.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::parts) enum Held {
    /// Not enforceable.
    Not,
    /// Enforceable unchanged.
    AsItIs,
    /// Enforceable once these keywords are moved into the description, where they are no longer
    /// enforced.
    Without(Vec<&'static str>),
}

/// Brings a schema into an enforceable form, if that forbids no value that the original allows.
pub(in crate::parts) fn hold(schema: &mut Value) -> Held {
    if is_strict(schema) {
        return Held::AsItIs;
    }
    let mut loosened = schema.clone();
    let mut told = Vec::new();
    each_schema(&mut loosened, &mut |members| loosen(members, &mut told));
    if !is_strict(&loosened) {
        return Held::Not;
    }
    *schema = loosened;
    Held::Without(told)
}

fn loosen(members: &mut Map<String, Value>, told: &mut Vec<&'static str>) {
    let mut note = |keyword| {
        if !told.contains(&keyword) {
            told.push(keyword);
        }
    };
    for keyword in REFUSED_BOUNDS {
        if members.contains_key(keyword) {
            into_words(members, keyword);
            note(keyword);
        }
    }
    let before = members.contains_key("pattern");
    pattern_into_words(members);
    if before && !members.contains_key("pattern") {
        note("pattern");
    }
}

/// Returns whether a schema uses only what grammars can enforce: closed objects, no numeric or size
/// bounds, no look-around, no recursive or external references.
fn is_strict(schema: &Value) -> bool {
    is_enforceable(schema) && !refers_badly(schema)
}

fn is_enforceable(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            // A member may also be a property with the name of a keyword: then its value is a
            // schema.
            let bound = |word: &&str| members.get(*word).is_some_and(|bound| !bound.is_object());
            let pattern = members.get("pattern").and_then(Value::as_str);
            let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
            (!may_be_object(members.get("type")) || closed)
                && !REFUSED_BOUNDS.iter().any(bound)
                && !pattern.is_some_and(is_beyond_grammars)
                && members.values().all(is_enforceable)
        }
        Value::Array(items) => items.iter().all(is_enforceable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

pub(super) fn may_be_object(kind: Option<&Value>) -> bool {
    match kind {
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(kind) => kind == "object",
        None => false,
    }
}

/// Returns whether a `$ref` leaves the document, has no target, is recursive, or is part of a chain
/// over the limit.
pub(super) fn refers_badly(schema: &Value) -> bool {
    let mut references =
        References { root: schema, path: Vec::new(), sound: HashSet::new(), depth: 0 };
    references.are_bad(schema)
}

struct References<'s> {
    root: &'s Value,
    /// The references being followed.
    path: Vec<&'s str>,
    sound: HashSet<&'s str>,
    /// Depth of the search. The caller controls the length of reference chains, and the stack is
    /// limited.
    depth: usize,
}

impl<'s> References<'s> {
    fn are_bad(&mut self, schema: &'s Value) -> bool {
        if self.depth >= DEEPEST {
            return true;
        }
        self.depth += 1;
        let bad = match schema {
            Value::Object(members) => {
                matches!(members.get("$ref"), Some(Value::String(target)) if self.is_bad(target))
                    || members.values().any(|member| self.are_bad(member))
            }
            Value::Array(items) => items.iter().any(|item| self.are_bad(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        self.depth -= 1;
        bad
    }

    fn is_bad(&mut self, target: &'s str) -> bool {
        if self.sound.contains(target) {
            return false;
        }
        let pointed = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        let follow = self.path.len() < LONGEST_CHAIN && !self.path.contains(&target);
        let Some(pointed) = pointed.filter(|_| follow) else { return true };
        self.path.push(target);
        let bad = self.are_bad(pointed);
        self.path.pop();
        if !bad {
            self.sound.insert(target);
        }
        bad
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_schemas_are_closed_and_unbounded() {
        let closed = |inner: Value| json!({ "type": "object", "properties": { "a": inner }, "additionalProperties": false });
        assert!(is_strict(&closed(json!({ "type": "string", "maxLength": 3 }))));
        assert!(is_strict(&closed(json!({ "type": ["string", "null"] }))));
        // A property may have the name of a keyword.
        assert!(is_strict(
            &json!({ "type": "object", "additionalProperties": false, "properties": { "minimum": { "type": "string" } } })
        ));
        assert!(!is_strict(&json!({ "type": "object" })));
        assert!(!is_strict(&closed(json!({ "type": "object" }))));
        assert!(!is_strict(&closed(json!({ "type": ["object", "null"] }))));
        assert!(!is_strict(&closed(json!({ "type": "integer", "minimum": 0 }))));
        assert!(!is_strict(&closed(json!({ "type": "string", "pattern": "(?=x)" }))));
    }

    #[test]
    fn a_pattern_may_group_but_not_look_around_or_back() {
        for refused in
            [r"(?=x)", r"(?!x)", r"(?<=x)", r"(?<!x)", r"(?P=n)", r"(a)\1", r"\\\1", r"\k<n>"]
        {
            assert!(!is_strict(&json!({ "pattern": refused })), "{refused}");
        }
        for taken in [r"(?:a|b)", r"^\d+$", r"\\1", r"a{1,2}", r"\0"] {
            assert!(is_strict(&json!({ "pattern": taken })), "{taken}");
        }
    }

    #[test]
    fn optional_properties_and_unions_are_counted_together() {
        let of = |count: usize, required: Value| {
            let properties = (0..count).map(|at| (format!("p{at}"), json!({ "type": "string" })));
            let properties: Map<String, Value> = properties.collect();
            Looseness::of(&json!({ "items": { "properties": properties, "required": required } }))
        };
        let most = of(25, json!(["p0", "p1"])).with(of(1, json!([])));
        assert!(most.is_some_and(|most| most.with(of(1, json!([]))).is_none()));
        assert!(most.is_some_and(|most| most.with(of(1, json!(["p0"]))).is_some()));
        let unions = Looseness::of(&json!({ "required": ["a", "b"],
            "properties": { "a": { "type": ["string", "null"] }, "b": { "anyOf": [] } } }));
        assert_eq!(unions, Looseness { optional: 0, unions: 2 });
    }

    #[test]
    fn references_must_end_inside_the_schema() {
        let with = |defs: Value| json!({ "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }], "$defs": defs });
        assert!(is_strict(&with(
            json!({ "a": { "$ref": "#/$defs/b" }, "b": { "type": "string" } })
        )));
        assert!(!is_strict(&with(
            json!({ "a": { "$ref": "#/$defs/b" }, "b": { "items": { "$ref": "#/$defs/a" } } })
        )));
        assert!(!is_strict(&with(json!({}))));
        assert!(!is_strict(&json!({ "items": { "$ref": "#" } })));
        assert!(!is_strict(&json!({ "$ref": "https://example.com/schema" })));
    }

    #[test]
    fn a_chain_of_references_ends_before_the_stack_does() {
        let chain = |hops: usize, step: fn(String) -> Value| {
            let link = |at: usize| (format!("d{at}"), step(format!("#/$defs/d{}", at + 1)));
            let mut defs: Map<String, Value> = (0..hops).map(link).collect();
            defs.insert(format!("d{hops}"), json!({ "type": "string" }));
            json!({ "items": { "$ref": "#/$defs/d0" }, "$defs": defs })
        };
        assert!(refers_badly(&chain(100_000, |next| json!({ "$ref": next }))));
        let nested = |next| json!({ "items": { "anyOf": [{ "$ref": next }] } });
        assert!(refers_badly(&chain(1_000, nested)));
        assert!(!refers_badly(&chain(20, nested)));
    }

    #[test]
    fn bounds_that_cannot_be_enforced_move_into_the_description() {
        let schema = |inner: Value| json!({ "type": "object", "properties": { "minimum": inner }, "additionalProperties": false });
        let mut bounded =
            schema(json!({ "type": "integer", "minimum": 1, "description": "How many." }));
        assert_eq!(hold(&mut bounded), Held::Without(vec!["minimum"]));
        assert_eq!(
            bounded,
            schema(json!({ "type": "integer", "description": "How many. (minimum: 1)" }))
        );
        assert_eq!(hold(&mut bounded), Held::AsItIs);
        let mut open = json!({ "type": "object", "properties": { "a": { "maximum": 1 } } });
        let before = open.clone();
        assert_eq!(hold(&mut open), Held::Not);
        assert_eq!(open, before);
    }
}
