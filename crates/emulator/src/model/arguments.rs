//! Builds a JSON value that is valid for a schema from the content of a text. Tool arguments and structured
//! answers both come from here.

use serde_json::{Map, Value, json};

use super::{
    accepts::accepts,
    facts::{Facts, Kind, positions},
    lexicon::words_of,
    strings,
};
use crate::json::{items, text};

/// Sufficient for real schemas, and a limit for recursive ones.
const DEPTH: usize = 12;
/// Most values of one input, and most references and parts of one schema: a schema may contain itself more
/// than once.
const VALUES: usize = 10_000;
const PARTS: usize = 200;

/// A value for `schema` from the content of `said`; `names` (of tools) are no values.
pub(crate) fn build(schema: &Value, said: &str, names: &[&str]) -> Value {
    let mut names = names.to_vec();
    parameters(schema, &mut names);
    let names = names.as_slice();
    Builder { root: schema, facts: Facts::of(said, names), names, left: VALUES }
        .value(schema, None, DEPTH)
}

/// The names of all parameters; in the text they are names, not values.
fn parameters<'a>(schema: &'a Value, names: &mut Vec<&'a str>) {
    match schema {
        Value::Object(members) => {
            let own = members.get("properties").and_then(Value::as_object);
            names.extend(own.into_iter().flat_map(Map::keys).map(String::as_str));
            members.values().for_each(|member| parameters(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| parameters(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Builder<'a> {
    root: &'a Value,
    facts: Facts<'a>,
    names: &'a [&'a str],
    /// Number of values that may still be built.
    left: usize,
}

impl Builder<'_> {
    fn value(&mut self, schema: &Value, name: Option<&str>, depth: usize) -> Value {
        let (Some(depth), Some(left)) = (depth.checked_sub(1), self.left.checked_sub(1)) else {
            return Value::Null;
        };
        self.left = left;
        let schema = &self.resolved(schema);
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.chosen(values, name);
        }
        for union in ["anyOf", "oneOf"] {
            let variants = items(schema, union);
            if !variants.is_empty() {
                return self.variant(variants, name, depth);
            }
        }
        let given = name.and_then(|name| self.facts.named_json(name));
        if let Some(given) =
            given.filter(|given| accepts(schema, given, &|part| self.resolved(part)))
        {
            return given;
        }
        match self.kind(schema, name) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" => self.number(schema, name, true),
            "number" => self.number(schema, name, false),
            "boolean" => self.boolean(schema, name),
            "null" => Value::Null,
            _ => Value::from(self.string(schema, name)),
        }
    }

    /// The type to build, among those that a schema allows.
    fn kind<'s>(&self, schema: &'s Value, name: Option<&str>) -> &'s str {
        match schema.get("type") {
            Some(Value::String(kind)) => kind,
            Some(Value::Array(kinds)) => {
                let mut named = kinds.iter().filter_map(Value::as_str);
                let nullable = kinds.iter().any(|kind| kind.as_str() == Some("null"));
                let silent = name.is_some_and(|name| !self.facts.mentions(name));
                if nullable && silent && self.facts.all.is_empty() {
                    return "null";
                }
                named.find(|kind| *kind != "null").unwrap_or("null")
            }
            _ if schema.get("properties").is_some() => "object",
            _ if schema.get("items").is_some() => "array",
            _ => "string",
        }
    }

    /// `schema` with its reference followed and `allOf` merged.
    fn resolved(&self, schema: &Value) -> Value {
        self.merged(schema, DEPTH, &mut PARTS.clone())
    }

    fn merged(&self, schema: &Value, depth: usize, left: &mut usize) -> Value {
        let mut schema = schema.clone();
        for _ in 0..DEPTH {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix('#'))
                .and_then(|pointer| self.root.pointer(pointer));
            match target {
                Some(target) => schema = target.clone(),
                None => break,
            }
        }
        let parts = items(&schema, "allOf").to_vec();
        let Some(depth) = depth.checked_sub(1) else { return schema };
        for part in parts {
            let Some(fewer) = left.checked_sub(1) else { return schema };
            *left = fewer;
            let part = self.merged(&part, depth, left);
            if let (Value::Object(into), Value::Object(from)) = (&mut schema, part) {
                for (key, value) in from {
                    match (into.get_mut(&key), value) {
                        (Some(Value::Object(own)), Value::Object(more)) => own.extend(more),
                        (Some(Value::Array(own)), Value::Array(more)) => own.extend(more),
                        (_, value) => drop(into.insert(key, value)),
                    }
                }
            }
        }
        schema
    }

    /// The member of an enumeration that the text names, preferably beside its parameter.
    fn chosen(&mut self, values: &[Value], name: Option<&str>) -> Value {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let beside = name.and_then(|name| self.facts.named(name)).unwrap_or_default();
        let at = |value: &&Value| {
            let shown = shown(value);
            let spoken = shown.replace(['_', '-'], " ");
            let found = positions(self.facts.text, &shown).into_iter();
            found.chain(positions(self.facts.text, &spoken)).next()
        };
        let exact = values.iter().find(|value| shown(value).eq_ignore_ascii_case(&beside));
        let mentioned = || values.iter().filter(|value| !value.is_null() && at(value).is_some());
        exact
            .or_else(|| mentioned().min_by_key(|value| at(value)))
            .or_else(|| values.iter().find(|value| !value.is_null()))
            .cloned()
            .unwrap_or_default()
    }

    /// One of several schemas: null only for a parameter that the text does not mention.
    fn variant(&mut self, variants: &[Value], name: Option<&str>, depth: usize) -> Value {
        let resolved: Vec<Value> = variants.iter().map(|variant| self.resolved(variant)).collect();
        let nullable = resolved.iter().any(|variant| text(variant, "type") == "null");
        let silent = name.is_some_and(|name| !self.facts.mentions(name));
        if nullable && silent {
            return Value::Null;
        }
        let beside = name.and_then(|name| self.facts.clone().named(name)).unwrap_or_default();
        let number = beside.parse::<f64>().is_ok();
        let boolean = matches!(beside.to_lowercase().as_str(), "true" | "false");
        let fits = |variant: &&Value| match text(variant, "type") {
            "integer" | "number" => number,
            "boolean" => boolean,
            "string" => !number && !boolean,
            _ => false,
        };
        // A tagged union is selected by the tag that the text names.
        let tagged = |variant: &&Value| {
            let tags = variant.get("properties").and_then(Value::as_object);
            tags.into_iter().flat_map(Map::values).any(|property| {
                let tag = property.get("const").or_else(|| property.pointer("/enum/0"));
                tag.and_then(Value::as_str)
                    .is_some_and(|tag| !positions(self.facts.text, tag).is_empty())
            })
        };
        let real = || resolved.iter().filter(|variant| text(variant, "type") != "null");
        let best = real().find(fits).or_else(|| real().find(tagged)).or_else(|| real().next());
        match best.cloned() {
            Some(variant) => self.value(&variant, name, depth),
            None => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return json!({});
        };
        let required: Vec<&str> =
            items(schema, "required").iter().filter_map(Value::as_str).collect();
        let wanted = |key: &str, builder: &Self| {
            let named = || builder.facts.clone().named(key).is_some();
            // An optional choice is made if one of its values is in the text.
            let said = || {
                let values = properties.get(key).map(|property| items(property, "enum"));
                values
                    .unwrap_or_default()
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|value| !positions(builder.facts.text, value).is_empty())
            };
            required.contains(&key) || named() || said() || builder.facts.named_json(key).is_some()
        };
        let mut keys: Vec<&String> = properties.keys().filter(|key| wanted(key, self)).collect();
        if keys.is_empty() && required.is_empty() && schema.get("required").is_none() {
            // Without required or named parameters, the first one is the likeliest.
            keys.extend(properties.keys().next().filter(|_| !self.facts.all.is_empty()));
        }
        // Values beside their names are used before any is guessed.
        let (sure, guessed): (Vec<&String>, Vec<&String>) =
            keys.iter().partition(|key| self.facts.clone().named(key).is_some());
        let mut built = Map::new();
        for key in sure.into_iter().chain(guessed) {
            if let Some(property) = properties.get(key) {
                built.insert(key.clone(), self.value(property, Some(key), depth));
            }
        }
        let ordered =
            keys.iter().filter_map(|key| Some(((*key).clone(), built.get(*key)?.clone())));
        Value::Object(ordered.collect())
    }

    fn array(&mut self, schema: &Value, name: Option<&str>, depth: usize) -> Value {
        let any = json!({});
        let item = self.resolved(schema.get("items").unwrap_or(&any));
        let mut values = self.listed(&item, name, depth);
        let bound = |key: &str| {
            schema.get(key).and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok())
        };
        if schema.get("uniqueItems").and_then(Value::as_bool) == Some(true) {
            let mut seen = Vec::new();
            values.retain(|value| {
                let new = !seen.contains(value);
                seen.push(value.clone());
                new
            });
        }
        let least = bound("minItems").unwrap_or(0);
        for prefix in items(schema, "prefixItems").iter().skip(values.len()) {
            values.push(self.value(prefix, name, depth));
        }
        for number in values.len()..least.min(100) {
            let value = self.value(&item, None, depth);
            let value = match (values.contains(&value), value) {
                (true, Value::String(text)) => Value::from(format!("{text} {}", number + 1)),
                (true, Value::Number(_)) => Value::from(number + 1),
                (_, value) => value,
            };
            values.push(value);
        }
        if let Some(most) = bound("maxItems") {
            values.truncate(most);
        }
        Value::Array(values)
    }

    /// Items for an array, as many as the text lists.
    fn listed(&mut self, item: &Value, name: Option<&str>, depth: usize) -> Vec<Value> {
        if ["const", "anyOf", "oneOf"].iter().any(|key| item.get(*key).is_some()) {
            return vec![self.value(item, None, depth)];
        }
        if item.get("enum").is_some() {
            let values = items(item, "enum");
            let said = self.facts.text;
            let named: Vec<Value> = values
                .iter()
                .filter(|value| {
                    value.as_str().is_some_and(|value| !positions(said, value).is_empty())
                })
                .cloned()
                .collect();
            return if named.is_empty() { values.iter().take(1).cloned().collect() } else { named };
        }
        match self.kind(item, None) {
            kind @ ("integer" | "number") => {
                let found = self.facts.take_all(Kind::Number);
                let integer = kind == "integer";
                found.iter().map(|found| strings::number(item, Some(found), integer)).collect()
            }
            "object" => self.objects(item, depth),
            "string" => {
                let mut found = name.map(|name| self.tail(name)).unwrap_or_default();
                for kind in [Kind::Quoted, Kind::Code, Kind::Name] {
                    if found.is_empty() {
                        found = self.facts.take_all(kind);
                    }
                }
                if found.is_empty() {
                    found.push(self.facts.topic());
                }
                if strings::is_special(item) {
                    found.retain(|value| strings::fits(item, value));
                    if found.is_empty() {
                        found.push(strings::special(item, self.facts.text));
                    }
                }
                found.into_iter().map(|value| Value::from(strings::fit(item, value))).collect()
            }
            _ => vec![self.value(item, None, depth)],
        }
    }

    /// One object for every part of the text with values for it.
    fn objects(&mut self, item: &Value, depth: usize) -> Vec<Value> {
        let parts: Vec<&str> = self
            .facts
            .text
            .split(['.', ';', '\n'])
            .flat_map(|part| part.split(" and "))
            .filter(|part| {
                Facts::of(part, self.names).all.iter().any(|fact| fact.kind != Kind::Number)
            })
            .collect();
        if parts.len() < 2 {
            return vec![self.value(item, None, depth)];
        }
        let mut build = |part: &str| {
            let facts = Facts::of(part, self.names);
            let (root, names, left) = (self.root, self.names, self.left);
            let mut inner = Builder { root, facts, names, left };
            let built = inner.value(item, None, depth);
            self.left = inner.left;
            built
        };
        parts.into_iter().map(&mut build).collect()
    }

    /// The comma-separated words after a parameter's name.
    fn tail(&self, name: &str) -> Vec<String> {
        let said = self.facts.text;
        let Some(at) = positions(said, name).first().copied() else { return Vec::new() };
        let rest = said.get(at + name.len()..).unwrap_or_default();
        let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || "=:\"`".contains(c));
        let rest =
            ["are ", "is ", "of "].iter().find_map(|link| rest.strip_prefix(link)).unwrap_or(rest);
        let sentence = rest.split(['.', ';', '\n', '?', '!']).next().unwrap_or_default();
        let parts = sentence.split(',').flat_map(|part| part.split(" and "));
        let words: Vec<String> = parts
            .map(|part| {
                part.trim().trim_start_matches("and ").trim_matches(['"', '\'', '`']).to_owned()
            })
            .filter(|part| !part.is_empty() && part.split_whitespace().count() <= 4)
            .collect();
        if words.len() > 1 { words } else { Vec::new() }
    }

    fn number(&mut self, schema: &Value, name: Option<&str>, integer: bool) -> Value {
        let beside = name.and_then(|name| self.facts.named(name));
        let beside = beside.filter(|value| value.parse::<f64>().is_ok());
        let found = beside.or_else(|| self.facts.take(&[Kind::Number]));
        strings::number(schema, found.as_deref(), integer)
    }

    fn boolean(&mut self, schema: &Value, name: Option<&str>) -> Value {
        let beside = name.and_then(|name| self.facts.named(name)).unwrap_or_default();
        match beside.to_lowercase().as_str() {
            "true" | "yes" | "on" | "enabled" => Value::Bool(true),
            "false" | "no" | "off" | "disabled" => Value::Bool(false),
            _ => match schema.get("default") {
                Some(Value::Bool(default)) => Value::Bool(*default),
                _ => Value::Bool(name.is_some_and(|name| self.facts.mentions(name))),
            },
        }
    }

    fn string(&mut self, schema: &Value, name: Option<&str>) -> String {
        let accepts = |value: &String| strings::fits(schema, value);
        let beside = name.and_then(|name| self.facts.named(name));
        if let Some(value) = beside.filter(accepts) {
            return value;
        }
        if strings::is_special(schema) {
            return strings::special(schema, self.facts.text);
        }
        let kinds = match name.is_some_and(is_code) {
            true => [Kind::Quoted, Kind::Code, Kind::Name],
            false => [Kind::Quoted, Kind::Name, Kind::Code],
        };
        let found = self.facts.take(&kinds);
        let value = found.filter(accepts).unwrap_or_else(|| self.facts.topic());
        strings::fit(schema, value)
    }
}

/// Whether a parameter's name suggests an address, a date or an identifier.
fn is_code(name: &str) -> bool {
    const WORDS: &str = "id code number date time day when start end email mail url uri link key ref sku order version phone zip";
    words_of(name).iter().any(|word| WORDS.split(' ').any(|own| own == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better")]
    fn check(schema: Value, said: &str, expected: Value) {
        assert_eq!(build(&schema, said, &[]), expected, "{said}");
    }

    #[test]
    fn values_come_from_the_text() {
        let two = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}, "required": ["a", "b"]});
        check(two.clone(), "What is 3 and 4.5?", json!({"a": 3, "b": 4.5}));
        check(two, "b is 7, then 2", json!({"a": 2, "b": 7}));
        let city = json!({"type": "object", "properties": {
            "location": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
            "required": ["location"]});
        check(city.clone(), "What is the weather in Paris?", json!({"location": "Paris"}));
        check(
            city,
            "location 'New Delhi' with unit fahrenheit",
            json!({"location": "New Delhi", "unit": "fahrenheit"}),
        );
        let joke = json!({"type": "object", "properties": {"setup": {"type": "string"}}, "required": ["setup"]});
        check(joke, "Tell me a joke about cats.", json!({"setup": "cats"}));
    }

    #[test]
    fn nested_schemas_references_and_unions_hold() {
        let schema = json!({
            "type": "object",
            "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"]}},
            "properties": {
                "people": {"type": "array", "items": {"$ref": "#/$defs/Person"}},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "kind": {"const": "list"},
            },
            "required": ["people", "note", "kind"],
        });
        check(
            schema,
            "Jason is 25. Sarah Lee is 30",
            json!({"people": [{"name": "Jason", "age": 25}, {"name": "Sarah Lee", "age": 30}], "note": null, "kind": "list"}),
        );
        let tags = json!({"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2}}, "required": ["tags"]});
        check(tags, "tags red, blue and green", json!({"tags": ["red", "blue"]}));
    }

    #[test]
    fn schemas_that_contain_themselves_end() {
        for schema in [
            json!({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}, {"$ref": "#/properties/a"}]}}, "required": ["a"]}),
            json!({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}, {"$ref": "#/properties/a"}]}}, "required": ["a"]}),
            json!({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}, "c": {"$ref": "#"}, "d": {"$ref": "#"}}, "required": ["a", "b", "c", "d"]}),
        ] {
            build(&schema, "a is [1, 2]", &[]);
        }
    }

    #[test]
    fn limits_are_respected() {
        let schema = json!({"type": "object", "properties": {
            "n": {"type": "integer", "minimum": 10, "exclusiveMaximum": 20},
            "m": {"type": "number", "multipleOf": 5},
            "s": {"type": "string", "minLength": 12, "maxLength": 14},
            "d": {"type": "string", "format": "date"},
            "p": {"type": "string", "pattern": "^[A-Z]{3}-\\d{2}$"},
            "l": {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": true}},
            "required": ["n", "m", "s", "d", "p", "l"]});
        let built = build(&schema, "n is 99, m is 12, p is ABC-12, on 2026-05-04", &[]);
        assert_eq!(built["n"], 19);
        assert_eq!(built["m"], 10);
        assert!((12..=14).contains(&built["s"].as_str().expect("a string").len()), "{built}");
        assert_eq!(built["d"], "2026-05-04");
        assert_eq!(built["p"], "ABC-12");
        assert_eq!(built["l"].as_array().expect("a list").len(), 3);
        let generated = build(&schema, "nothing to see", &[]);
        assert!(
            regex_lite::Regex::new("^[A-Z]{3}-\\d{2}$")
                .expect("valid")
                .is_match(generated["p"].as_str().expect("a string"))
        );
    }
}
