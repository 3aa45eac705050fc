//! Selection of tool calls and their arguments: forced by the request, named in the text, or recognised by
//! the words of tool names and descriptions.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    answer::{Block, call_id},
    arguments::build,
    facts::{Facts, Kind, positions},
    lexicon::{content_words, words_of},
    prompt::{Choice, Prompt, Tool},
    relevance::{name_words, score, spoken, stem},
};
use crate::json::{items, text};

/// Most calls at once; more would be a misreading of the text.
const MOST: usize = 8;

/// A tool and the part of the text that its arguments come from.
struct Call<'a> {
    tool: Tool<'a>,
    said: String,
}

/// The tool calls that answer `prompt`; empty if it is answered by text.
pub(crate) fn calls(prompt: &Prompt<'_>) -> Vec<Block> {
    let names: Vec<&str> = prompt.tools.iter().map(|tool| tool.name).collect();
    let mut chosen = chosen(prompt);
    chosen.truncate(if prompt.one_call { 1 } else { MOST });
    chosen
        .iter()
        .enumerate()
        .map(|(index, call)| Block::Call {
            id: call_id(prompt.model, call.tool.name, prompt.body, index),
            name: call.tool.name.to_owned(),
            input: build(call.tool.schema, &call.said, &names),
        })
        .collect()
}

fn chosen<'a>(prompt: &Prompt<'a>) -> Vec<Call<'a>> {
    let find = |name: &str| prompt.tools.iter().find(|tool| tool.name == name).copied();
    let answering = !prompt.results.is_empty();
    match prompt.choice {
        Choice::Never => Vec::new(),
        Choice::Named(name) => find(name).map(|tool| forced(prompt, tool)).unwrap_or_default(),
        Choice::Any if answering => {
            // A result exists, so the next step is the one to force.
            let fresh = prompt.tools.iter().find(|tool| !prompt.called.contains(&tool.name));
            fresh.or(prompt.tools.last()).map(|tool| forced(prompt, *tool)).unwrap_or_default()
        }
        Choice::Any => {
            let calls = requested(prompt);
            if calls.is_empty() {
                return prompt.tools.first().map(|tool| forced(prompt, *tool)).unwrap_or_default();
            }
            calls
        }
        Choice::Auto if answering => sequel(prompt),
        Choice::Auto => requested(prompt),
    }
}

/// The call of a tool that the request forces, with results as material too.
fn forced<'a>(prompt: &Prompt<'a>, tool: Tool<'a>) -> Vec<Call<'a>> {
    let results = prompt.results.iter().map(|result| result.said.as_str());
    let said: Vec<&str> = std::iter::once(prompt.asked.as_str()).chain(results).collect();
    vec![Call { tool, said: said.join("\n") }]
}

/// A tool that the text names for later, when the result that it needs exists.
fn sequel<'a>(prompt: &Prompt<'a>) -> Vec<Call<'a>> {
    mentions(&prompt.tools, &prompt.asked)
        .into_iter()
        .filter_map(|(_, index)| prompt.tools.get(index))
        .find(|tool| !prompt.called.contains(&tool.name))
        .map(|tool| {
            let results = prompt.results.iter().map(|result| result.said.as_str());
            Call { tool: *tool, said: results.collect::<Vec<_>>().join("\n") }
        })
        .into_iter()
        .collect()
}

/// The calls that the user's text alone asks for.
fn requested<'a>(prompt: &Prompt<'a>) -> Vec<Call<'a>> {
    let asked = prompt.asked.as_str();
    let mentions = mentions(&prompt.tools, asked);
    if !mentions.is_empty() {
        return by_mention(prompt, asked, &mentions);
    }
    let mut scored: Vec<(usize, Tool<'a>)> =
        prompt.tools.iter().map(|tool| (score(tool, asked), *tool)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or_default();
    let told = [
        "use the tool",
        "using the tool",
        "use a tool",
        "call the tool",
        "with the tool",
        "use your tool",
    ];
    let lower = asked.to_lowercase();
    if best == 0 && !told.iter().any(|phrase| lower.contains(phrase)) {
        return Vec::new();
    }
    let mut several: Vec<(usize, Call<'a>)> = prompt
        .tools
        .iter()
        .filter(|_| best > 0)
        .filter_map(|tool| {
            let (at, said) = part_for(tool, asked)?;
            Some((at, Call { tool: *tool, said }))
        })
        .collect();
    several.sort_by_key(|(at, _)| *at);
    // Each of them has its own part of the sentence.
    if several.len() > 1 {
        return several.into_iter().map(|(_, call)| call).collect();
    }
    scored.retain(|(score, _)| *score == best);
    let tool = scored.first().map(|(_, tool)| *tool);
    tool.map(|tool| repeated(tool, asked, &names(prompt))).unwrap_or_default()
}

/// The part of a compound sentence that contains a word of the tool's own name, and its index.
fn part_for(tool: &Tool<'_>, asked: &str) -> Option<(usize, String)> {
    let named = name_words(tool);
    let parts: Vec<&str> =
        asked.split([';', '?', '\n', ',']).flat_map(|part| part.split(" and ")).collect();
    let fits =
        |part: &&str| content_words(&spoken(part)).map(stem).any(|word| named.contains(&word));
    let at = parts.iter().position(fits).filter(|_| parts.len() > 1)?;
    parts.get(at).map(|part| (at, (*part).to_owned()))
}

/// Mentions of tools: byte offset and index of the tool, in the order of the text.
fn mentions(tools: &[Tool<'_>], asked: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, tool) in tools.iter().enumerate() {
        let mut spellings = vec![tool.name.to_owned()];
        let words = words_of(tool.name);
        // A single plain word is a tool name only if written as one, with a call or quotes around it.
        if words.len() > 1 {
            spellings.push(words.join(" "));
            // A client that may not send a hyphen replaces it, often with a digest at the end.
            let digest = |end: &str| end.len() == 8 && end.bytes().all(|b| b.is_ascii_hexdigit());
            let plain = tool.name.rsplit_once('_').filter(|(_, end)| digest(end));
            spellings.push(plain.map_or(tool.name, |(plain, _)| plain).replace('_', "-"));
        }
        for spelling in spellings {
            found.extend(
                positions(asked, &spelling).into_iter().map(|at| (at, index, spelling.len())),
            );
        }
    }
    // A name inside a longer name is not a separate mention.
    let inside = |at: usize, length: usize, other: &(usize, usize, usize)| {
        other.2 > length && other.0 <= at && at + length <= other.0 + other.2
    };
    let mut kept: Vec<(usize, usize)> = found
        .iter()
        .filter(|(at, _, length)| !found.iter().any(|other| inside(*at, *length, other)))
        .map(|(at, index, _)| (*at, *index))
        .collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// One call for each mention with its own values, otherwise one for each mentioned tool.
fn by_mention<'a>(prompt: &Prompt<'a>, asked: &str, mentions: &[(usize, usize)]) -> Vec<Call<'a>> {
    let names = names(prompt);
    let tool_at = |index: usize| prompt.tools.get(index).copied();
    let distinct: BTreeSet<usize> = mentions.iter().map(|(_, index)| *index).collect();
    if mentions.len() == 1 {
        let tool = mentions.first().and_then(|(_, index)| tool_at(*index));
        return tool.map(|tool| repeated(tool, asked, &names)).unwrap_or_default();
    }
    let mut calls: Vec<Call<'a>> = Vec::new();
    let mut waiting = BTreeSet::new();
    for (position, (at, index)) in mentions.iter().enumerate() {
        let end = mentions.get(position + 1).map_or(asked.len(), |(next, _)| *next);
        let (Some(part), Some(tool)) = (asked.get(*at..end), tool_at(*index)) else { continue };
        let bare = has_values(part, tool.schema, &names) || !takes_values(tool.schema);
        // A call that needs the result of an earlier one waits for it.
        let later = !calls.is_empty()
            && ["result", "output", "answer"].iter().any(|word| !positions(part, word).is_empty());
        if later {
            waiting.insert(*index);
            continue;
        }
        let repeated = calls.iter().any(|call| call.tool.name == tool.name && call.said == part);
        if bare && !repeated {
            calls.push(Call { tool, said: part.to_owned() });
        }
    }
    let covered: BTreeSet<&str> = calls.iter().map(|call| call.tool.name).collect();
    let missing = distinct.difference(&waiting).filter_map(|index| tool_at(*index));
    let missing: Vec<Tool<'a>> = missing.filter(|tool| !covered.contains(tool.name)).collect();
    for tool in missing {
        calls.push(Call { tool, said: asked.to_owned() });
    }
    // Several mentions of a tool without parameters are one call.
    let mut empty = BTreeSet::new();
    calls.retain(|call| takes_values(call.tool.schema) || empty.insert(call.tool.name));
    calls
}

/// One call, or one for each of the values that the text lists for the tool.
fn repeated<'a>(tool: Tool<'a>, asked: &str, names: &[&str]) -> Vec<Call<'a>> {
    let whole = || vec![Call { tool, said: asked.to_owned() }];
    let required = items(tool.schema, "required").iter().filter_map(Value::as_str);
    let parameters: Vec<&str> = required.collect();
    let wanted: Vec<&str> = parameters
        .iter()
        .filter_map(|name| tool.schema.pointer(&format!("/properties/{name}/type"))?.as_str())
        .collect();
    let kinds: &[Kind] = match wanted.first() {
        Some(&"string") if wanted.len() == 1 => &[Kind::Quoted, Kind::Code, Kind::Name],
        Some(&("integer" | "number"))
            if wanted.iter().all(|kind| matches!(*kind, "integer" | "number")) =>
        {
            &[Kind::Number]
        }
        _ => return whole(),
    };
    let facts = Facts::of(asked, names);
    let lists = kinds.iter().map(|kind| listed(&facts, *kind, &parameters));
    let Some(values) = lists.into_iter().find(|values| values.len() > 1) else { return whole() };
    if values.len() % wanted.len() != 0 || values.len() == wanted.len() {
        return whole();
    }
    // Each call reads the text with only its own values left in it.
    let calls = values.chunks(wanted.len()).map(|own| {
        let mut said = String::new();
        let mut from = 0;
        for (start, end) in &values {
            if !own.contains(&(*start, *end)) {
                said.push_str(asked.get(from..*start).unwrap_or_default());
                from = *end;
            }
        }
        said.push_str(asked.get(from..).unwrap_or_default());
        Call { tool, said }
    });
    calls.collect()
}

/// Spans of the facts of `kind` in a single list (`a, b and c`).
fn listed(facts: &Facts<'_>, kind: Kind, parameters: &[&str]) -> Vec<(usize, usize)> {
    let spans =
        facts.all.iter().filter(|fact| fact.kind == kind).map(|fact| (fact.start, fact.end));
    let mut best: Vec<(usize, usize)> = Vec::new();
    let mut run: Vec<(usize, usize)> = Vec::new();
    for span in spans {
        let joined = run.last().is_some_and(|(_, end)| {
            joins(facts.text.get(*end..span.0).unwrap_or_default(), parameters)
        });
        if !joined {
            run.clear();
        }
        run.push(span);
        if run.len() > best.len() {
            best.clone_from(&run);
        }
    }
    best
}

/// Whether `between` only joins the values around it; it may repeat the parameter.
fn joins(between: &str, parameters: &[&str]) -> bool {
    const JOINTS: &str = "and or & , + * x plus times by versus vs";
    const FILLERS: &str = "with in for the of at once also then again about what how another";
    let spaced = between.replace(',', " , ");
    let words: Vec<String> = spaced.split_whitespace().map(str::to_lowercase).collect();
    let among = |set: &str, word: &str| set.split(' ').any(|own| own == word);
    words.iter().any(|word| among(JOINTS, word))
        && words.iter().all(|word| {
            among(JOINTS, word) || among(FILLERS, word) || parameters.contains(&word.as_str())
        })
}

/// Whether `part` contains values for the parameters of `schema`.
fn has_values(part: &str, schema: &Value, names: &[&str]) -> bool {
    let facts = Facts::of(part, names);
    let properties = schema.get("properties").and_then(Value::as_object);
    !facts.all.is_empty()
        || properties.is_some_and(|properties| {
            properties.keys().any(|name| facts.clone().named(name).is_some())
        })
}

fn takes_values(schema: &Value) -> bool {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|properties| !properties.is_empty())
        && text(schema, "type") == "object"
}

fn names<'a>(prompt: &Prompt<'a>) -> Vec<&'a str> {
    prompt.tools.iter().map(|tool| tool.name).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Models;

    /// Names and inputs of the calls that the model makes for `asked`.
    fn called(asked: &str, choice: Value) -> Vec<(String, Value)> {
        let tool = |name: &str, description: &str, schema: Value| json!({"toolSpec": {"name": name, "description": description, "inputSchema": {"json": schema}}});
        let one = |key: &str, kind: &str| json!({"type": "object", "properties": {key: {"type": kind}}, "required": [key]});
        let pair = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]});
        let mut body = json!({
            "messages": [{"role": "user", "content": [{"text": asked}]}],
            "toolConfig": {"tools": [
                tool("get_weather", "Get the weather at a location", one("location", "string")),
                tool("add", "Adds two numbers", pair),
                tool("zq_17x", "Does something", json!({"type": "object", "properties": {"vkx": {"type": "string"}, "n": {"type": "integer"}}, "required": ["vkx", "n"]})),
                tool("now", "Tells the time", json!({"type": "object", "properties": {}})),
            ]},
        });
        if !choice.is_null() {
            body["toolConfig"]["toolChoice"] = choice;
        }
        let models = Models::load();
        let prompt = Prompt::read(models.generic(), &body);
        calls(&prompt)
            .into_iter()
            .map(|block| match block {
                Block::Call { name, input, .. } => (name, input),
                other => panic!("not a call: {other:?}"),
            })
            .collect()
    }

    #[expect(clippy::needless_pass_by_value, reason = "literals read better")]
    fn check(asked: &str, expected: Value) {
        let calls: Vec<Value> = called(asked, Value::Null)
            .into_iter()
            .map(|(name, input)| json!({name: input}))
            .collect();
        assert_eq!(Value::from(calls), expected, "{asked}");
    }

    #[test]
    fn the_text_selects_the_tool_and_its_values() {
        check(
            "What is the weather like in San Francisco?",
            json!([{"get_weather": {"location": "San Francisco"}}]),
        );
        check(
            "Call zq_17x with vkx \"blorp\" and n 42",
            json!([{"zq_17x": {"vkx": "blorp", "n": 42}}]),
        );
        check("please add 3 and 4", json!([{"add": {"a": 3, "b": 4}}]));
        check("Use now", json!([{"now": {}}]));
        check("Tell me a story.", json!([]));
    }

    #[test]
    fn two_things_are_two_calls() {
        check(
            "What's the weather in Paris and London?",
            json!([{"get_weather": {"location": "Paris"}}, {"get_weather": {"location": "London"}}]),
        );
        check(
            "call get_weather for location Oslo and zq_17x with vkx=ab and n=3",
            json!([{"get_weather": {"location": "Oslo"}}, {"zq_17x": {"vkx": "ab", "n": 3}}]),
        );
        check(
            "add 1 and 2, and add 30 and 40",
            json!([{"add": {"a": 1, "b": 2}}, {"add": {"a": 30, "b": 40}}]),
        );
        check(
            "Tell me the weather for Rome and the zq of 'blip' 4",
            json!([{"get_weather": {"location": "Rome"}}, {"zq_17x": {"vkx": "blip", "n": 4}}]),
        );
        check(
            "Call get_weather for Oslo, then call zq_17x with the result",
            json!([{"get_weather": {"location": "Oslo"}}]),
        );
    }

    #[test]
    fn a_name_is_recognised_by_its_hyphens() {
        check(
            "call get-weather for location Oslo and zq-17x with vkx=ab and n=3",
            json!([{"get_weather": {"location": "Oslo"}}, {"zq_17x": {"vkx": "ab", "n": 3}}]),
        );
    }

    #[test]
    fn arithmetic_is_understood() {
        check("What is 3 + 12?", json!([{"add": {"a": 3, "b": 12}}]));
        check(
            "get_weather twice: once for Oslo and once for Lima",
            json!([{"get_weather": {"location": "Oslo"}}, {"get_weather": {"location": "Lima"}}]),
        );
    }

    #[test]
    fn a_forced_tool_is_called_with_any_text() {
        let named = called("Hello!", json!({"tool": {"name": "zq_17x"}}));
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].0, "zq_17x");
        assert!(named[0].1["vkx"].is_string() && named[0].1["n"].is_i64(), "{named:?}");
        assert_eq!(called("Hello!", json!({"any": {}})).len(), 1);
        assert_eq!(
            called("Which weather in Rome?", json!({"any": {}}))[0].1,
            json!({"location": "Rome"})
        );
    }
}
