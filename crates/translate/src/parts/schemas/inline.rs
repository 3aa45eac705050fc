//! Definitions written out where they are used, for families that do not look them up. What would never
//! end, or grow beyond measure, is named instead.

use serde_json::{Map, Value};

use super::mend::describe;
use super::walk::each_below;

/// How many JSON values all that is written out may have together.
const BUDGET: usize = 20_000;
/// How many definitions deep a definition is written out.
const DEPTH: usize = 16;

/// Replaces every pointer in `schema` by what it points at, and drops the definitions.
pub(super) fn inline(schema: &mut Value) {
    let whole = schema.clone();
    if let Value::Object(root) = schema {
        root.shift_remove("$defs");
        root.shift_remove("definitions");
    }
    Inliner { whole: &whole, budget: BUDGET, path: Vec::new() }.resolve(schema);
}

struct Inliner<'w> {
    whole: &'w Value,
    budget: usize,
    /// The pointers being followed.
    path: Vec<String>,
}

impl Inliner<'_> {
    fn resolve(&mut self, schema: &mut Value) {
        if let Value::Object(members) = schema
            && let Some(Value::String(_)) = members.get("$ref")
            && let Some(Value::String(target)) = members.shift_remove("$ref")
        {
            let pointed = target.strip_prefix('#').and_then(|pointer| self.whole.pointer(pointer));
            let pointed = pointed.and_then(Value::as_object);
            match pointed.filter(|pointed| self.affords(&target, pointed)) {
                Some(pointed) => {
                    let beside = std::mem::replace(members, pointed.clone());
                    members.extend(beside);
                    self.path.push(target);
                    self.resolve(schema);
                    self.path.pop();
                    return;
                }
                None => name(members, &target, pointed),
            }
        }
        each_below(schema, &mut |below| self.resolve(below));
    }

    fn affords(&mut self, target: &str, pointed: &Map<String, Value>) -> bool {
        if self.path.len() >= DEPTH || self.path.iter().any(|known| known == target) {
            return false;
        }
        self.budget = pointed.values().fold(self.budget, spend);
        self.budget > 0
    }
}

/// What is left of `budget` after `value`.
fn spend(budget: usize, value: &Value) -> usize {
    if budget == 0 {
        return 0;
    }
    match value {
        Value::Array(items) => items.iter().fold(budget - 1, spend),
        Value::Object(members) => members.values().fold(budget - 1, spend),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => budget - 1,
    }
}

/// Says in words what is not written out.
fn name(members: &mut Map<String, Value>, target: &str, pointed: Option<&Map<String, Value>>) {
    if let Some(kind) = pointed.and_then(|pointed| pointed.get("type")) {
        members.entry("type").or_insert_with(|| kind.clone());
    }
    let name = target.rsplit('/').next().filter(|name| *name != "#").unwrap_or("the whole");
    describe(members, &format!("(Shaped like {name}.)"));
}
