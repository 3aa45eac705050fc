//! Validation cost of one answer with one schema, counted in advance. Schema and answer are walked together
//! as a validator walks them, but past every mismatch, so the count is an upper bound of its steps and of
//! the mismatches that it can report. The walk itself stops at a limit.

use serde_json::{Map, Value};

use super::patterns::backtracks;
use super::schema_cost::target;

/// Deepest recursion accepted, in schemas: a validator keeps several stack frames for each.
const DEEPEST: usize = 512;
/// Largest number of properties compared one by one; more are looked up.
const COMPARED: u64 = 40;
/// Steps of a backtracking expression on one text. The limit of the engine is higher, and reached only by
/// expressions written to reach it.
const BACKTRACKING: u64 = 2_000;
/// Steps for compiling a text as an expression, as `format: regex` requires.
const COMPILING: u64 = 20_000;
/// Bytes of text compared or scanned in one step.
const STRETCH: usize = 32;

/// Upper bound of a validation's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValidationCost {
    /// Visits and comparisons.
    pub(super) steps: u64,
    /// Mismatches that can be reported.
    pub(super) mismatches: u64,
}

impl ValidationCost {
    /// The cost of validating `answer` with `schema`; `None` if it takes more than `most` steps or recurses
    /// too deeply. The schema is one that `schema_cost::is_bounded` accepts.
    pub(super) fn of(schema: &Value, answer: &Value, most: u64) -> Option<Self> {
        let mut walk = Walk { root: schema, left: most, mismatches: 0, depth: 0 };
        walk.visit(schema, answer)?;
        Some(Self { steps: most - walk.left, mismatches: walk.mismatches })
    }
}

struct Walk<'s> {
    root: &'s Value,
    left: u64,
    mismatches: u64,
    depth: usize,
}

impl<'s> Walk<'s> {
    fn take(&mut self, steps: u64) -> Option<()> {
        self.left = self.left.checked_sub(steps)?;
        Some(())
    }

    fn take_len(&mut self, steps: usize) -> Option<()> {
        self.take(u64::try_from(steps).ok()?)
    }

    /// Charges mismatches that can be reported one by one.
    fn report(&mut self, count: usize) -> Option<()> {
        self.mismatches = self.mismatches.saturating_add(u64::try_from(count).ok()?);
        self.take_len(count)
    }

    /// Charges one schema on one value.
    fn visit(&mut self, schema: &'s Value, value: &Value) -> Option<()> {
        self.report(1)?;
        let Value::Object(keywords) = schema else { return Some(()) };
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        let before = self.left;
        for (keyword, said) in keywords {
            self.report(1)?;
            self.in_place(keyword, said, value)?;
            self.compared(keyword, said, value)?;
            match value {
                Value::Object(members) => self.of_object(keywords, keyword, said, members)?,
                Value::Array(items) => self.of_array(keyword, said, items)?,
                Value::String(text) => self.of_text(keyword, said, text)?,
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        // Unevaluated members are found by evaluating all other keywords again for every member.
        if keywords.keys().any(|keyword| keyword.starts_with("unevaluated")) {
            self.take((before - self.left).saturating_mul(size_of_level(value)))?;
        }
        self.depth -= 1;
        Some(())
    }

    /// Keywords whose schemas apply to the same value.
    fn in_place(&mut self, keyword: &str, said: &'s Value, value: &Value) -> Option<()> {
        match (keyword, said) {
            ("$ref", Value::String(reference)) => {
                self.take(4)?;
                self.visit(target(self.root, reference)?, value)
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(branches)) => {
                branches.iter().try_for_each(|branch| self.visit(branch, value))
            }
            ("not" | "if" | "then" | "else", schema) => self.visit(schema, value),
            ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                schemas.values().try_for_each(|schema| match schema {
                    Value::Array(names) => self.report(names.len()),
                    schema => self.visit(schema, value),
                })
            }
            _ => Some(()),
        }
    }

    /// Keywords with values to compare with.
    fn compared(&mut self, keyword: &str, said: &Value, value: &Value) -> Option<()> {
        match (keyword, said) {
            ("enum" | "const", said) => self.weigh(said),
            ("uniqueItems", Value::Bool(true)) if value.is_array() => {
                // Up to fifteen items are compared with each other.
                (0..15).try_for_each(|_| self.weigh(value))
            }
            _ => Some(()),
        }
    }

    fn of_object(
        &mut self,
        keywords: &'s Map<String, Value>,
        keyword: &str,
        said: &'s Value,
        members: &Map<String, Value>,
    ) -> Option<()> {
        match (keyword, said) {
            ("required", Value::Array(names)) => self.report(names.len()),
            ("dependentRequired", Value::Object(by_name)) => {
                by_name.values().try_for_each(|one| self.report(one.as_array().map_or(1, Vec::len)))
            }
            ("properties", Value::Object(properties)) => {
                let compared = u64::try_from(properties.len()).ok()?.min(COMPARED);
                self.take(compared.saturating_mul(u64::try_from(members.len()).ok()?))?;
                self.take_len(properties.len())?;
                for (name, value) in members {
                    if let Some(schema) = properties.get(name) {
                        self.visit(schema, value)?;
                    }
                }
                Some(())
            }
            ("patternProperties", Value::Object(patterns)) => {
                for (name, value) in members {
                    for (pattern, schema) in patterns {
                        self.matched(pattern, name)?;
                        self.visit(schema, value)?;
                    }
                }
                Some(())
            }
            ("additionalProperties" | "unevaluatedProperties", schema) => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (name, value) in members {
                    self.take(1)?;
                    if !known.is_some_and(|known| known.contains_key(name)) {
                        self.visit(schema, value)?;
                    }
                }
                Some(())
            }
            ("propertyNames", schema) => members.keys().try_for_each(|name| {
                self.take_len(name.len() / STRETCH)?;
                self.visit(schema, &Value::String(name.clone()))
            }),
            _ => Some(()),
        }
    }

    fn of_array(&mut self, keyword: &str, said: &'s Value, items: &[Value]) -> Option<()> {
        match (keyword, said) {
            ("items" | "prefixItems", Value::Array(schemas)) => {
                schemas.iter().zip(items).try_for_each(|(schema, item)| self.visit(schema, item))
            }
            ("items" | "additionalItems" | "contains" | "unevaluatedItems", schema) => {
                items.iter().try_for_each(|item| self.visit(schema, item))
            }
            _ => Some(()),
        }
    }

    fn of_text(&mut self, keyword: &str, said: &Value, text: &str) -> Option<()> {
        match (keyword, said) {
            ("pattern", Value::String(pattern)) => self.matched(pattern, text),
            ("format", Value::String(format)) => {
                self.take_len(text.len())?;
                let compiles = format == "regex";
                if compiles { self.take(COMPILING) } else { Some(()) }
            }
            ("minLength" | "maxLength" | "contentEncoding" | "contentMediaType", _) => {
                self.take_len(text.len() / 4)
            }
            _ => Some(()),
        }
    }

    /// Charges a search for an expression.
    fn matched(&mut self, pattern: &str, text: &str) -> Option<()> {
        let steps = text.len().saturating_mul(repetitions(pattern).div_ceil(16));
        self.take_len(steps.saturating_add(4))?;
        if backtracks(pattern) { self.take(BACKTRACKING) } else { Some(()) }
    }

    /// Charges a comparison with a value, which reads at most all of it.
    fn weigh(&mut self, value: &Value) -> Option<()> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.take(1),
            Value::String(text) => self.take_len(1 + text.len() / STRETCH),
            Value::Array(items) => {
                self.take(1)?;
                items.iter().try_for_each(|item| self.weigh(item))
            }
            Value::Object(members) => {
                self.take(1)?;
                members.iter().try_for_each(|(name, member)| {
                    self.take_len(1 + name.len() / STRETCH)?;
                    self.weigh(member)
                })
            }
        }
    }
}

/// Number of values directly inside a value.
fn size_of_level(value: &Value) -> u64 {
    let size = match value {
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    };
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// Upper bound of the active positions of an expression at one byte of a text: the product of its counted
/// repetitions, since these may be nested.
fn repetitions(pattern: &str) -> usize {
    let counts = pattern.split('{').skip(1).filter_map(|rest| {
        let (count, _) = rest.split_once('}')?;
        count.rsplit(',').find_map(|most| most.parse::<usize>().ok())
    });
    counts.fold(1_usize, |product, count| product.saturating_mul(count.max(1))).min(1 << 16)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MOST: u64 = 1_000_000;

    fn effort(schema: &Value, answer: &Value) -> Option<ValidationCost> {
        ValidationCost::of(schema, answer, MOST)
    }

    fn steps(schema: &Value, answer: &Value) -> Option<u64> {
        effort(schema, answer).map(|effort| effort.steps)
    }

    #[test]
    fn lists_in_a_schema_count_once_per_compared_value() {
        let names: Vec<String> = (0..300).map(|at| format!("p{at}")).collect();
        let numbers: Vec<u32> = (0..300).collect();
        let by_name = |value: Value| -> Value {
            names.iter().map(|name| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
        };
        let objects = |count: usize| json!({ "a": vec![json!({ "p0": 1, "p1": "x" }); count] });
        for wide in [
            json!({ "required": names }),
            json!({ "enum": numbers }),
            json!({ "const": numbers }),
            json!({ "anyOf": numbers.iter().map(|at| json!({ "const": at })).collect::<Vec<_>>() }),
            json!({ "oneOf": vec![json!({ "type": "string" }); 300] }),
            json!({ "allOf": vec![json!({ "minProperties": 1 }); 300] }),
            json!({ "not": { "enum": numbers } }),
            json!({ "if": { "required": names } }),
            json!({ "then": { "required": names } }),
            json!({ "else": { "required": names } }),
            json!({ "dependentRequired": by_name(json!(["a"])) }),
            json!({ "dependentSchemas": by_name(json!({ "type": "object" })) }),
            json!({ "dependencies": by_name(json!(["a"])) }),
            json!({ "patternProperties": by_name(json!(true)) }),
            json!({ "properties": by_name(json!(true)) }),
            json!({ "additionalProperties": { "enum": numbers } }),
            json!({ "propertyNames": { "enum": numbers } }),
            json!({ "$ref": "#/$defs/wide" }),
        ] {
            let schema = json!({
                "properties": { "a": { "items": wide } },
                "$defs": { "wide": { "required": names } },
            });
            let (few, many) = (steps(&schema, &objects(10)), steps(&schema, &objects(100)));
            let (few, many) = (few.unwrap(), many.unwrap());
            assert!(many >= 100 * 300 && many <= 11 * few, "{few}, {many}");
            assert_eq!(steps(&schema, &objects(10_000)), None);
        }
    }

    #[test]
    fn lists_of_an_answer_count_too() {
        let numbers = |count: usize| json!(vec![json!(7); count]);
        let branches: Vec<Value> = (0..300).map(|at| json!({ "const": at })).collect();
        for schema in [
            json!({ "contains": { "anyOf": branches } }),
            json!({ "items": { "anyOf": branches } }),
            json!({ "prefixItems": vec![json!({ "anyOf": branches }); 2000] }),
            json!({ "additionalItems": { "anyOf": branches } }),
            json!({ "unevaluatedItems": { "anyOf": branches } }),
        ] {
            assert!(steps(&schema, &numbers(100)).is_none_or(|steps| steps > 30_000));
            assert_eq!(steps(&schema, &numbers(10_000)), None);
        }
        let unique = json!({ "uniqueItems": true });
        assert!(steps(&unique, &numbers(1000)).unwrap() < 20_000);
    }

    #[test]
    fn cost_that_doubles_per_level_stops_at_the_limit() {
        let twice =
            json!({ "properties": { "a": { "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] } } });
        let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({ "a": inner }));
        assert!(steps(&twice, &nested(8)).is_some());
        assert_eq!(steps(&twice, &nested(30)), None);
        let plain = json!({ "properties": { "a": { "$ref": "#" } } });
        assert!(steps(&plain, &nested(100)).unwrap() < 2_000);
    }

    #[test]
    fn recursion_stops_before_the_stack_is_exhausted() {
        // A chain of in-place references at every level of the answer.
        let mut defs: Map<String, Value> = (0..200)
            .map(|at| (format!("d{at}"), json!({ "$ref": format!("#/$defs/d{}", at + 1) })))
            .collect();
        defs.insert("d200".to_owned(), json!({ "items": { "$ref": "#/$defs/d0" } }));
        let schema = json!({ "$ref": "#/$defs/d0", "$defs": defs });
        let nested = |depth: usize| (0..depth).fold(json!([]), |inner, _| json!([inner]));
        assert!(steps(&schema, &nested(1)).is_some());
        assert_eq!(steps(&schema, &nested(100)), None);
    }

    #[test]
    fn expressions_count_by_their_repetitions() {
        let text = json!("x".repeat(1000));
        let cost = |pattern: &str| steps(&json!({ "pattern": pattern }), &text).unwrap();
        assert!(cost("^x") < 2_000);
        assert!(cost("[a-z]{400}y") > 20_000);
        assert!(cost("^(?=x)") > cost("^x") + 1_000);
        assert!(steps(&json!({ "format": "regex" }), &text).unwrap() > 10_000);
    }

    #[test]
    fn mismatches_are_counted_separately_from_comparisons() {
        let answer = json!(vec![json!({}); 10]);
        let names: Vec<String> = (0..100).map(|at| format!("p{at}")).collect();
        let required = effort(&json!({ "items": { "required": names } }), &answer).unwrap();
        assert!((1_000..1_100).contains(&required.mismatches), "{required:?}");
        let listed = effort(&json!({ "items": { "enum": names } }), &answer).unwrap();
        assert!(listed.mismatches < 50 && listed.steps > 1_000, "{listed:?}");
    }
}
