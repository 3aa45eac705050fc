//! Schema cost: accepts only schemas that can be compiled. A caller's schema can reference itself without
//! end, double with every reference, or chain ten thousand definitions: such schemas are found by following
//! them, and are not used for validation. The work on one answer is counted in `effort`.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Most steps for examining a schema.
const STEPS: u32 = 50_000;
/// Deepest chain of references, and of the nesting between them: compiling and following them uses the
/// stack, which a schema with 100,000 chained definitions would exhaust.
const DEEPEST: usize = 256;
/// Longest chain of schema levels, references included.
const LONGEST: usize = 1_024;

/// Keywords whose schemas apply to the same value.
const IN_PLACE: [&str; 7] = ["anyOf", "oneOf", "allOf", "not", "if", "then", "else"];
/// Keywords that only a validator can resolve.
const ELSEWHERE: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$id", "$anchor"];

/// Whether a schema ends wherever it is followed, within the allowed steps.
pub(super) fn is_bounded(schema: &Value) -> bool {
    let (path, followed) = (Vec::new(), HashSet::new());
    let mut survey = SchemaCost { root: schema, steps: STEPS, path, depth: 0, followed };
    survey.each(schema).is_some() && survey.compiled(schema, LONGEST).is_some()
}

/// The schema that a reference points at; `None` if it is not a plain pointer.
pub(super) fn target<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.contains('%') { None } else { root.pointer(fragment) }
}

struct SchemaCost<'s> {
    root: &'s Value,
    steps: u32,
    /// The references being followed.
    path: Vec<&'s str>,
    /// Depth of schemas for one value.
    depth: usize,
    /// The references already followed.
    followed: HashSet<&'s str>,
}

impl<'s> SchemaCost<'s> {
    /// Examines every object as if it were a schema: some are not, and cost a step.
    fn each(&mut self, value: &'s Value) -> Option<()> {
        match value {
            Value::Object(members) => {
                self.place(members)?;
                members.values().try_for_each(|member| self.each(member))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.each(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
        }
    }

    /// All keywords for one value.
    fn place(&mut self, schema: &'s Map<String, Value>) -> Option<()> {
        for (keyword, value) in schema {
            self.steps = self.steps.checked_sub(1)?;
            match (keyword.as_str(), value) {
                ("$ref", Value::String(target)) => self.follow(target)?,
                ("properties", Value::Object(properties)) => {
                    self.steps = self.steps.checked_sub(u32::try_from(properties.len()).ok()?)?;
                }
                ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                    schemas.values().try_for_each(|one| self.below(one))?;
                }
                (in_place, _) if IN_PLACE.contains(&in_place) => match value {
                    Value::Array(all) => all.iter().try_for_each(|one| self.below(one))?,
                    one => self.below(one)?,
                },
                (elsewhere, Value::String(_)) if ELSEWHERE.contains(&elsewhere) => {
                    // The name that a document gives itself at its root references no other schema.
                    let at_root = std::ptr::eq(schema, self.root.as_object()?);
                    if !(elsewhere == "$id" && at_root) {
                        return None;
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    fn below(&mut self, value: &'s Value) -> Option<()> {
        let Some(schema) = value.as_object() else { return Some(()) };
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        self.place(schema)?;
        self.depth -= 1;
        Some(())
    }

    fn follow(&mut self, reference: &'s str) -> Option<()> {
        if self.path.contains(&reference) {
            // An endless loop back to the same value.
            return None;
        }
        let pointed = target(self.root, reference)?;
        self.path.push(reference);
        self.below(pointed)?;
        self.path.pop();
        Some(())
    }

    /// Follows every reference once, at any position, as a compiler does.
    fn compiled(&mut self, value: &'s Value, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match value {
            Value::Object(members) => members.iter().try_for_each(|(keyword, member)| {
                if keyword == "$ref"
                    && let Value::String(reference) = member
                    && self.followed.insert(reference)
                {
                    self.compiled(target(self.root, reference)?, depth)?;
                }
                self.compiled(member, depth)
            }),
            Value::Array(items) => items.iter().try_for_each(|item| self.compiled(item, depth)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> bool {
        !is_bounded(schema)
    }

    #[test]
    fn usual_schemas_are_bounded() {
        for fine in [
            json!({ "type": "object", "properties": { "a": { "items": { "type": "string" } } } }),
            json!({ "$ref": "#/$defs/n", "$defs": { "n": { "properties": { "l": { "$ref": "#/$defs/n" }, "r": { "$ref": "#/$defs/n" } } } } }),
            json!({ "properties": { "a": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] } } }),
            json!({ "$id": "https://example.com/x", "type": "object" }),
        ] {
            assert!(is_bounded(&fine), "{fine}");
        }
    }

    #[test]
    fn endless_schemas_are_refused() {
        for endless in [
            json!({ "$ref": "#" }),
            json!({ "anyOf": [{ "type": "string" }, { "$ref": "#" }] }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "not": { "$ref": "#/$defs/b" } }, "b": { "$ref": "#/$defs/a" } } }),
            json!({ "$ref": "https://example.com/x" }),
            json!({ "$ref": "#anchor" }),
            json!({ "items": { "$id": "x" } }),
            json!({ "$dynamicRef": "#x" }),
        ] {
            assert!(refused(&endless), "{endless}");
        }
        // Doubled forty times.
        let mut defs = Map::new();
        for at in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            defs.insert(format!("d{at}"), json!({ "anyOf": [next, next] }));
        }
        defs.insert("d40".to_owned(), json!({}));
        assert!(refused(&json!({ "$ref": "#/$defs/d0", "$defs": defs })));
    }

    /// A chain of definitions.
    fn chain(hops: usize, link: impl Fn(Value) -> Value) -> Value {
        let link =
            |at: usize| (format!("d{at}"), link(json!({ "$ref": format!("#/$defs/d{}", at + 1) })));
        let mut defs: Map<String, Value> = (0..hops).map(link).collect();
        defs.insert(format!("d{hops}"), json!({}));
        json!({ "$ref": "#/$defs/d0", "$defs": defs })
    }

    #[test]
    fn a_chain_of_references_ends_before_the_stack_does() {
        // Within the limit of steps, but too deep.
        for hops in [1_000, 100_000] {
            assert!(refused(&chain(hops, |next| next)));
            assert!(refused(&chain(hops, |next| json!({ "items": next }))));
            assert!(refused(&chain(hops, |next| json!({ "properties": { "a": next } }))));
        }
        assert!(!refused(&chain(20, |next| next)));
        assert!(!refused(&chain(20, |next| json!({ "properties": { "a": next } }))));
    }

    #[test]
    fn the_longest_accepted_chain_can_be_compiled() {
        for hops in [100, 200, 300, 500, 1_000] {
            for link in [
                |next| json!({ "items": next }),
                |next| json!({ "properties": { "a": { "anyOf": [next] } } }),
            ] {
                let schema = chain(hops, link);
                if is_bounded(&schema) {
                    assert!(jsonschema::options().offline().build(&schema).is_ok());
                }
            }
        }
    }
}
