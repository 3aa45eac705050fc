//! Arguments for random schemas, checked by a separate validator, and calls for random names.

use serde_json::{Map, Value, json};

use super::{Block, Prompt, arguments::build, tools::calls};
use crate::models::Models;

const TEXTS: [&str; 6] = [
    "",
    "What is the weather in Paris and London?",
    "p0 is 7, p1 = \"seven\", p2: true",
    "Add 3, -4.5 and 1,250 to 'my list' for Jo Smith on 2026-02-03",
    "p3 [1, 2, 3] and p4 {\"p0\": 1}",
    "\u{4f60}\u{597d} \u{1f642} na\u{ef}ve \"\u{00fc}\" 99999999999999999999",
];

#[test]
fn arguments_are_valid_for_random_schemas() {
    let mut dice = Dice(0x5eed);
    for round in 0..2_000 {
        let schema = object(&mut dice, 3);
        let text = TEXTS[round % TEXTS.len()];
        let value = build(&schema, text, &["a_tool"]);
        if let Err(problem) = valid(&schema, &schema, &value) {
            panic!("{problem}\nschema {schema}\nvalue {value}\ntext {text}");
        }
    }
}

#[test]
fn calls_follow_the_text_with_random_names() {
    let models = Models::load();
    let mut dice = Dice(0xca11);
    for round in 0..60 {
        let (tool, other) = (dice.word("_"), dice.word("-"));
        let (text, count) = (dice.word("_"), dice.word(""));
        let (value, second, number) = (dice.word(""), dice.word(""), dice.roll(5_000));
        let schema = json!({"type": "object", "required": [text, count],
            "properties": {text.clone(): {"type": "string"}, count.clone(): {"type": "integer"}}});
        let one = json!({"type": "object", "properties": {text.clone(): {"type": "string"}}, "required": [text]});
        let expected = json!({text.clone(): value, count.clone(): number});
        let both = |first: &str, then: &str| json!([{tool.clone(): {text.clone(): first}}, {tool.clone(): {text.clone(): then}}]);
        let asked = [
            (
                format!("Call {tool} with {text} {value} and {count} {number}."),
                json!([{tool.clone(): expected}]),
            ),
            (
                format!("Use the {tool} tool. {text}={value}, {count}={number}"),
                json!([{tool.clone(): expected}]),
            ),
            (
                format!("Please run {tool} where {text} is \"{value}\" and {count} is {number}"),
                json!([{tool.clone(): expected}]),
            ),
            (
                format!("{tool}({text}='{value}', {count}={number})"),
                json!([{tool.clone(): expected}]),
            ),
            (
                format!("Invoke `{tool}` using {{\"{text}\": \"{value}\", \"{count}\": {number}}}"),
                json!([{tool.clone(): expected}]),
            ),
            (
                format!("set {count} to {number} and {text} to {value} in {tool}"),
                json!([{tool.clone(): expected}]),
            ),
        ];
        for (asked, wanted) in &asked {
            assert_eq!(
                &called(&models, &[(&tool, &schema), (&other, &one)], asked),
                wanted,
                "{round}: {asked}"
            );
        }
        let asked = [
            format!("Call {tool} for \"{value}\" and \"{second}\"."),
            format!("Call {tool} with {text}={value} and {tool} with {text}={second}"),
            format!(
                "Call {tool} twice, once with {text} '{value}' and once with {text} '{second}'"
            ),
        ];
        for asked in &asked {
            assert_eq!(
                called(&models, &[(&tool, &one), (&other, &schema)], asked),
                both(&value, &second),
                "{round}: {asked}"
            );
        }
        let asked = format!(
            "Call {tool} with {text} {value} and also call {other} with {text} {second} and {count} {number}"
        );
        let wanted = json!([{tool.clone(): {text.clone(): value}}, {other.clone(): {text: second, count: number}}]);
        assert_eq!(
            called(&models, &[(&other, &schema), (&tool, &one)], &asked),
            wanted,
            "{round}: {asked}"
        );
    }
}

/// The calls that the model makes for `asked`, each as `{name: input}`.
fn called(models: &Models, tools: &[(&String, &Value)], asked: &str) -> Value {
    let tools: Vec<Value> = tools
        .iter()
        .map(|(name, schema)| json!({"toolSpec": {"name": name, "inputSchema": {"json": schema}}}))
        .collect();
    let body = json!({"messages": [{"role": "user", "content": [{"text": asked}]}], "toolConfig": {"tools": tools}});
    let blocks = calls(&Prompt::read(models.generic(), &body));
    let calls = blocks.into_iter().map(|block| match block {
        Block::Call { name, input, .. } => json!({ name: input }),
        other => panic!("not a call: {other:?}"),
    });
    calls.collect()
}

/// A linear congruential generator: the same schemas in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

impl Dice {
    /// Two groups of made-up syllables, joined by `joint`.
    fn word(&mut self, joint: &str) -> String {
        let mut part = || -> String {
            (0..3)
                .map(|_| {
                    let pick = |letters: &str, at: u64| {
                        letters.chars().nth(usize::try_from(at).expect("small"))
                    };
                    let (c, v) = (self.roll(9), self.roll(4));
                    format!(
                        "{}{}",
                        pick("bdfgkmprz", c).expect("one"),
                        pick("aiou", v).expect("one")
                    )
                })
                .collect()
        };
        format!("{}{joint}{}", part(), part())
    }
}

fn object(dice: &mut Dice, depth: u64) -> Value {
    let mut properties = Map::new();
    for index in 0..dice.roll(5) {
        properties.insert(format!("p{index}"), schema(dice, depth));
    }
    let required: Vec<String> = properties.keys().filter(|_| dice.roll(3) > 0).cloned().collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false,
        "$defs": {"Leaf": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}})
}

fn schema(dice: &mut Dice, depth: u64) -> Value {
    let low = i64::try_from(dice.roll(20)).expect("small");
    match dice.roll(if depth == 0 { 8 } else { 13 }) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "string", "minLength": low, "maxLength": low + 3}),
        2 => json!({"type": "integer", "minimum": low, "maximum": low + 2}),
        3 => json!({"type": "number", "exclusiveMinimum": low, "multipleOf": 2}),
        4 => json!({"type": "boolean"}),
        5 => json!({"enum": ["Paris", "b c", 3, null]}),
        6 => json!({"type": "string", "pattern": "^[a-f]{2}-\\d+$"}),
        7 => json!({"type": ["integer", "null"]}),
        8 => json!({"type": "array", "items": schema(dice, depth - 1), "maxItems": 4}),
        9 => json!({"anyOf": [schema(dice, depth - 1), {"type": "null"}]}),
        10 => json!({"$ref": "#/$defs/Leaf"}),
        11 => json!({"const": low}),
        _ => {
            let mut inner = object(dice, depth - 1);
            inner.as_object_mut().expect("an object").shift_remove("$defs");
            inner
        }
    }
}

/// The part of JSON Schema that the schemas above use.
fn valid(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let fail = |what: &str| Err(format!("{value} breaks {what} of {schema}"));
    if let Some(reference) = schema["$ref"].as_str() {
        return valid(root, root.pointer(&reference[1..]).expect("a definition"), value);
    }
    if let Some(variants) = schema["anyOf"].as_array() {
        let fits = variants.iter().any(|variant| valid(root, variant, value).is_ok());
        return if fits { Ok(()) } else { fail("anyOf") };
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return fail("const");
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        return fail("enum");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    };
    if !kinds.iter().any(is) {
        return fail("type");
    }
    let bound = |key: &str| schema[key].as_f64();
    if let Some(number) = value.as_f64() {
        let wrong = bound("minimum").is_some_and(|least| number < least)
            || bound("maximum").is_some_and(|most| number > most)
            || bound("exclusiveMinimum").is_some_and(|least| number <= least)
            || bound("multipleOf").is_some_and(|step| number % step != 0.0);
        return if wrong { fail("a range") } else { Ok(()) };
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as f64;
        let pattern = schema["pattern"].as_str();
        let wrong = bound("minLength").is_some_and(|least| length < least)
            || bound("maxLength").is_some_and(|most| length > most)
            || pattern.is_some_and(|p| !regex_lite::Regex::new(p).expect("valid").is_match(text));
        return if wrong { fail("a limit") } else { Ok(()) };
    }
    if let Some(items) = value.as_array() {
        if bound("maxItems").is_some_and(|most| items.len() as f64 > most) {
            return fail("maxItems");
        }
        return items.iter().try_for_each(|item| valid(root, &schema["items"], item));
    }
    let Some(members) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return fail(&format!("required {name}"));
        }
    }
    for (name, member) in members {
        match schema["properties"].get(name) {
            Some(property) => valid(root, property, member)?,
            None => return fail(&format!("the absence of {name}")),
        }
    }
    Ok(())
}
