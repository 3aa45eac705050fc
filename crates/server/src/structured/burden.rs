//! How long a schema may keep a validator busy. A caller's schema can look at the same value twice as often
//! with every level, point at itself without an end, or be a library of ten thousand definitions: such are
//! found by looking at them, and are not judged by.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most steps for looking at a schema.
const STEPS: u32 = 50_000;
/// How deep references, and the nesting between them, may lead: what compiles and follows them does so on
/// the stack, which one schema of 100,000 definitions in a row would use up.
const DEEPEST: usize = 256;
/// How often all bytes of an answer together may be looked at.
const LOOKS: f64 = 100_000_000.0;

/// Keywords whose schemas are about the same value.
const IN_PLACE: [&str; 7] = ["anyOf", "oneOf", "allOf", "not", "if", "then", "else"];
/// Keywords whose schemas are about what is inside the value.
const INSIDE: [&str; 8] = [
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
];
/// Keywords that lead where only a validator finds.
const ELSEWHERE: [&str; 4] = ["$dynamicRef", "$recursiveRef", "$id", "$anchor"];

/// How often a value inside another is looked at for every look at the outer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Burden {
    looks: u32,
}

impl Burden {
    /// The burden of a schema; `None` if it has no bound, or none that can be found.
    pub(super) fn of(schema: &Value) -> Option<Self> {
        let mut survey = Survey { root: schema, steps: STEPS, path: Vec::new(), depth: 0 };
        let mut looks = 1;
        survey.each(schema, &mut looks)?;
        Some(Self { looks })
    }

    /// Whether this JSON can be judged: at worst every level of it doubles the looks at what is inside.
    pub(super) fn allows(self, json: &str) -> bool {
        let depth = i32::try_from(depth(json)).unwrap_or(i32::MAX);
        let size = u32::try_from(json.len()).unwrap_or(u32::MAX);
        f64::from(self.looks).powi(depth) * f64::from(size) <= LOOKS
    }
}

/// How deep JSON is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

struct Survey<'s> {
    root: &'s Value,
    steps: u32,
    /// The references being followed.
    path: Vec<&'s str>,
    /// How deep in the schemas about one value.
    depth: usize,
}

impl<'s> Survey<'s> {
    /// Looks at every object there is as if it were a schema: some are not, and cost a step.
    fn each(&mut self, value: &'s Value, most: &mut u32) -> Option<()> {
        match value {
            Value::Object(members) => {
                let mut looks = Looks::default();
                self.place(members, &mut looks)?;
                *most = (*most).max(looks.most());
                members.values().try_for_each(|member| self.each(member, most))
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.each(item, most)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(()),
        }
    }

    /// Everything that is said about one value.
    fn place(&mut self, schema: &'s Map<String, Value>, looks: &mut Looks<'s>) -> Option<()> {
        for (keyword, value) in schema {
            self.steps = self.steps.checked_sub(1)?;
            match (keyword.as_str(), value) {
                ("$ref", Value::String(target)) => self.follow(target, looks)?,
                ("properties", Value::Object(properties)) => {
                    for name in properties.keys() {
                        self.steps = self.steps.checked_sub(1)?;
                        *looks.named.entry(name).or_default() += 1;
                    }
                }
                ("patternProperties", Value::Object(patterns)) => {
                    looks.any += u32::try_from(patterns.len()).ok()?;
                }
                ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                    schemas.values().try_for_each(|one| self.below(one, looks))?;
                }
                (inside, Value::Object(_) | Value::Array(_)) if INSIDE.contains(&inside) => {
                    looks.any += 1;
                }
                (in_place, _) if IN_PLACE.contains(&in_place) => match value {
                    Value::Array(all) => all.iter().try_for_each(|one| self.below(one, looks))?,
                    one => self.below(one, looks)?,
                },
                (elsewhere, Value::String(_)) if ELSEWHERE.contains(&elsewhere) => {
                    // The name that a document gives itself at its root leads nowhere.
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

    fn below(&mut self, value: &'s Value, looks: &mut Looks<'s>) -> Option<()> {
        let Some(schema) = value.as_object() else { return Some(()) };
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        self.place(schema, looks)?;
        self.depth -= 1;
        Some(())
    }

    fn follow(&mut self, target: &'s str, looks: &mut Looks<'s>) -> Option<()> {
        if self.path.contains(&target) {
            // It comes back to the same value, forever.
            return None;
        }
        let pointed = self.root.pointer(&decoded(target.strip_prefix('#')?)?)?;
        self.path.push(target);
        self.below(pointed, looks)?;
        self.path.pop();
        Some(())
    }
}

/// A fragment as the pointer it encodes; `None` for one that is no plain pointer.
fn decoded(fragment: &str) -> Option<String> {
    (!fragment.contains('%')).then(|| fragment.to_owned())
}

#[derive(Default)]
struct Looks<'s> {
    named: HashMap<&'s str, u32>,
    /// At whatever is inside.
    any: u32,
}

impl Looks<'_> {
    fn most(&self) -> u32 {
        self.named.values().copied().max().unwrap_or_default().saturating_add(self.any)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn looks(schema: &Value) -> Option<u32> {
        Burden::of(schema).map(|burden| burden.looks)
    }

    #[test]
    fn what_branches_at_every_level_has_a_depth_it_can_bear() {
        let plain =
            json!({ "type": "object", "properties": { "a": { "items": { "type": "string" } } } });
        assert_eq!(looks(&plain), Some(1));
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Burden::of(&plain).unwrap().allows(&nested(128)));
        let tree = json!({ "$ref": "#/$defs/n", "$defs": { "n": { "properties": { "l": { "$ref": "#/$defs/n" }, "r": { "$ref": "#/$defs/n" } } } } });
        assert_eq!(looks(&tree), Some(1));
        let twice =
            json!({ "properties": { "a": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } } });
        assert_eq!(looks(&twice), Some(2));
        assert!(Burden::of(&twice).unwrap().allows(&nested(20)));
        assert!(!Burden::of(&twice).unwrap().allows(&nested(24)));
        assert!(!Burden::of(&twice).unwrap().allows(&format!("{}{}", nested(20), " ".repeat(100))));
    }

    #[test]
    fn what_never_ends_has_no_bound() {
        for endless in [
            json!({ "$ref": "#" }),
            json!({ "anyOf": [{ "type": "string" }, { "$ref": "#" }] }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "not": { "$ref": "#/$defs/b" } }, "b": { "$ref": "#/$defs/a" } } }),
            json!({ "$ref": "https://example.com/x" }),
            json!({ "$ref": "#anchor" }),
            json!({ "items": { "$id": "x" } }),
            json!({ "$dynamicRef": "#x" }),
        ] {
            assert_eq!(looks(&endless), None, "{endless}");
        }
        // Doubled forty times over.
        let mut defs = Map::new();
        for at in 0..40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            defs.insert(format!("d{at}"), json!({ "anyOf": [next, next] }));
        }
        defs.insert("d40".to_owned(), json!({}));
        assert_eq!(looks(&json!({ "$ref": "#/$defs/d0", "$defs": defs })), None);
    }

    #[test]
    fn a_chain_of_references_ends_before_the_stack_does() {
        let chain = |hops: usize| {
            let link =
                |at: usize| (format!("d{at}"), json!({ "$ref": format!("#/$defs/d{}", at + 1) }));
            let mut defs: Map<String, Value> = (0..hops).map(link).collect();
            defs.insert(format!("d{hops}"), json!({}));
            json!({ "$ref": "#/$defs/d0", "$defs": defs })
        };
        // Few enough for the steps there are, and too many all the same.
        assert_eq!(looks(&chain(1_000)), None);
        assert_eq!(looks(&chain(100_000)), None);
        assert_eq!(looks(&chain(20)), Some(1));
    }

    #[test]
    fn nesting_is_counted_outside_strings() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[{},"[[[\"[["]}"#), 3);
    }
}
