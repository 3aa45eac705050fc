//! Copies definitions to their places of use, for families that do not resolve references.
//! References that would not end, or would grow too far, are replaced by a description.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::repair::describe;
use super::walk::{each_below, pointed};

/// Growth limit of a schema: this multiple of its own size, and a fixed allowance for small ones. A
/// request holds many schemas, so the result must stay in proportion to the caller's bytes.
const TIMES: usize = 16;
const UNASKED: usize = 8 * 1024;
/// Overhead of a value, in bytes of JSON.
const AROUND: usize = 4;
/// Room for a list of all existing types.
const TYPE: usize = 128;
/// Deepest nesting of definitions, and deepest place in the schema, at which a definition is
/// copied: later readers accept at most 128 levels.
const DEPTH: usize = 16;
const NESTING: usize = 100;

/// Replaces every reference in `schema` by its definition, and drops the definitions.
pub(super) fn inline(schema: &mut Value) {
    let whole = schema.clone();
    if let Value::Object(root) = schema {
        root.shift_remove("$defs");
        root.shift_remove("definitions");
    }
    let mut uncounted = usize::MAX;
    spend(&mut uncounted, &whole, usize::MAX);
    let budget = (usize::MAX - uncounted).saturating_mul(TIMES).saturating_add(UNASKED);
    let mut anchors = HashMap::new();
    find_anchors(&whole, &mut anchors);
    Inliner { whole: &whole, anchors, budget, path: Vec::new(), nesting: 0 }.resolve(schema);
}

struct Inliner<'w> {
    whole: &'w Value,
    /// Definitions by their `$anchor`.
    anchors: HashMap<&'w str, &'w Map<String, Value>>,
    budget: usize,
    /// The references being followed.
    path: Vec<String>,
    nesting: usize,
}

impl<'w> Inliner<'w> {
    fn resolve(&mut self, schema: &mut Value) {
        if let Value::Object(members) = schema
            && let Some(Value::String(_)) = members.get("$ref")
            && let Some(Value::String(target)) = members.shift_remove("$ref")
        {
            let pointed = self.pointed(&target);
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
        // Each level adds at most two: the schema and a list or map of schemas.
        self.nesting += 2;
        each_below(schema, &mut |below| self.resolve(below));
        self.nesting -= 2;
    }

    fn pointed(&self, target: &str) -> Option<&'w Map<String, Value>> {
        let anchor = || self.anchors.get(target.strip_prefix('#')?).copied();
        pointed(self.whole, target).and_then(Value::as_object).or_else(anchor)
    }

    /// Returns whether the budget has room for the definition; if so, the room is spent.
    fn affords(&mut self, target: &str, pointed: &Map<String, Value>) -> bool {
        if self.path.len() >= DEPTH || self.path.iter().any(|known| known == target) {
            return false;
        }
        let Some(left) = NESTING.checked_sub(self.nesting) else { return false };
        spend_members(&mut self.budget, pointed, left)
    }
}

fn find_anchors<'w>(value: &'w Value, anchors: &mut HashMap<&'w str, &'w Map<String, Value>>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(anchor)) = members.get("$anchor") {
                anchors.entry(anchor).or_insert(members);
            }
            members.values().for_each(|member| find_anchors(member, anchors));
        }
        Value::Array(items) => items.iter().for_each(|item| find_anchors(item, anchors)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Subtracts the size of `value` from `budget`. False if the budget is too small or the value is
/// deeper than `depth`; the part read until then stays spent, because reading has a cost too.
fn spend(budget: &mut usize, value: &Value, depth: usize) -> bool {
    let text = match value {
        Value::String(text) => text.len(),
        // Numbers have only a few digits.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => 0,
    };
    if !take(budget, AROUND.saturating_add(text)) {
        return false;
    }
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| spend(budget, item, depth - 1)),
        Value::Object(members) => spend_members(budget, members, depth),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn spend_members(budget: &mut usize, members: &Map<String, Value>, depth: usize) -> bool {
    depth > 0
        && members.iter().all(|(keyword, member)| {
            take(budget, keyword.len()) && spend(budget, member, depth - 1)
        })
}

fn take(budget: &mut usize, bytes: usize) -> bool {
    let left = budget.checked_sub(bytes);
    *budget = left.unwrap_or_default();
    left.is_some()
}

/// Describes a definition that is not copied.
fn name(members: &mut Map<String, Value>, target: &str, pointed: Option<&Map<String, Value>>) {
    let kind = pointed.and_then(|pointed| pointed.get("type"));
    if let Some(kind) = kind.filter(|kind| spend(&mut TYPE.clone(), kind, 1)) {
        members.entry("type").or_insert_with(|| kind.clone());
    }
    let name = target.rsplit('/').next().filter(|name| *name != "#").unwrap_or("the whole");
    describe(members, &format!("(Shaped like {name}.)"));
}
