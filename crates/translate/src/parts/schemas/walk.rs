//! Visits the schemas inside a schema. A property may have the name of a keyword, so keywords may
//! only be searched for at known places.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Keywords that hold one schema, or a list of them.
const HOLDERS: [&str; 17] = [
    "items",
    "prefixItems",
    "additionalItems",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "propertyNames",
    "contains",
    "contentSchema",
    "not",
    "if",
    "then",
    "else",
    "anyOf",
    "oneOf",
    "allOf",
    "extends",
];

/// Keywords that hold schemas by name.
const NAMED: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Calls `visit` with this schema and then with every schema below it. The depth is bounded by the
/// parser's limit.
pub(super) fn each_schema(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    if let Value::Object(members) = schema {
        visit(members);
    }
    each_below(schema, &mut |below| each_schema(below, visit));
}

/// Calls `visit` with every schema directly below this one.
pub(super) fn each_below(schema: &mut Value, visit: &mut dyn FnMut(&mut Value)) {
    let Value::Object(members) = schema else { return };
    for (keyword, member) in members {
        match member {
            Value::Array(schemas) if HOLDERS.contains(&keyword.as_str()) => {
                schemas.iter_mut().for_each(&mut *visit);
            }
            Value::Object(schemas) if NAMED.contains(&keyword.as_str()) => {
                schemas.values_mut().for_each(&mut *visit);
            }
            Value::Object(_) if HOLDERS.contains(&keyword.as_str()) => visit(member),
            _ => {}
        }
    }
}

/// The target of a `$ref` inside its document. Generators write names with spaces or brackets
/// percent-encoded, because a reference is a URL.
pub(super) fn pointed<'s>(whole: &'s Value, target: &str) -> Option<&'s Value> {
    let pointer = target.strip_prefix('#')?;
    whole.pointer(pointer).or_else(|| whole.pointer(&percent_decoded(pointer)))
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    let mut parts = text.split('%');
    let Some(first) = parts.next().filter(|first| first.len() < text.len()) else {
        return Cow::Borrowed(text);
    };
    let mut decoded = first.as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                decoded.push(byte);
                decoded.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                decoded.push(b'%');
                decoded.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}
