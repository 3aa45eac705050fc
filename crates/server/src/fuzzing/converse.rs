//! Rules that every Converse request keeps for any input: those by which the service itself refuses
//! requests, restated independently of the code that writes them.

use std::collections::HashSet;

use serde_json::Value;
use translate::Profile;
use translate::profile::{CachePoints, SamplingSupport, StopSequences, ToolChoices};

/// Most cache points of a request.
const CACHE_POINTS: usize = 4;
/// The smallest reasoning budget, in tokens.
const LEAST_BUDGET: u64 = 1024;

/// Checks a body for a model with this profile. `own_fields` are the caller's model-specific fields,
/// which are never overridden.
pub(super) fn judge(body: &Value, profile: &Profile, own_fields: &Value) {
    assert!(body.is_object(), "a body is a JSON object");
    turns(body);
    calls_and_results(body);
    documents(body);
    places_of_points(body);
    tools(body, profile);
    cache_points(body, profile);
    sampling(body, profile);
    tier(body, profile);
    if own_fields.get("thinking").is_none() {
        budget(body);
    }
}

fn turns(body: &Value) {
    let mut before = "";
    for turn in items(&body["messages"]) {
        let role = turn["role"].as_str().unwrap_or_default();
        assert_ne!(role, before, "roles alternate");
        before = role;
        let content = items(&turn["content"]);
        assert!(!content.is_empty(), "no turn is empty");
        for block in content {
            let fields = block.as_object().map_or(0, serde_json::Map::len);
            assert_eq!(fields, 1, "a content block is one thing: {block}");
            assert!(!is_blank(block), "no text block is blank");
            let result = items(&block["toolResult"]["content"]);
            assert!(!result.iter().any(is_blank), "no text in a result is blank");
            let empty = block.get("toolResult").is_some() && result.is_empty();
            assert!(!empty, "no result is empty");
        }
    }
}

/// Checks that every call is answered in the next turn, in the order of the calls, and that there are
/// no other results.
fn calls_and_results(body: &Value) {
    let mut open: Vec<&str> = Vec::new();
    for turn in items(&body["messages"]) {
        let results = ids(turn, "toolResult");
        assert_eq!(results, open, "results are those of the calls before, in their order");
        open = ids(turn, "toolUse");
        for (place, id) in open.iter().enumerate() {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
            assert!((1..=64).contains(&id.len()) && id.chars().all(fits), "call id {id:?}");
            assert!(!open[..place].contains(id), "call id {id:?} twice in a turn");
        }
    }
    assert!(open.is_empty(), "calls without results: {open:?}");
}

/// Checks that every document has a unique name of allowed characters.
fn documents(body: &Value) {
    let turns = items(&body["messages"]).iter();
    let blocks = turns.flat_map(|turn| items(&turn["content"]));
    let all = blocks.flat_map(|block| {
        let inside = items(&block["toolResult"]["content"]);
        inside.iter().chain([block]).filter_map(|one| one["document"]["name"].as_str())
    });
    let mut names = HashSet::new();
    for name in all {
        let fits = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
        assert!(
            (1..=200).contains(&name.len()) && name.chars().all(fits),
            "document name {name:?}"
        );
        assert!(!name.contains("  "), "document name {name:?}");
        assert!(names.insert(name), "document name {name:?} twice");
    }
}

/// Checks the cache points: none is first in its section, next to another, or after a block that cannot
/// carry one, and no later point has a longer lifetime.
fn places_of_points(body: &Value) {
    let mut lives = Vec::new();
    let turns = items(&body["messages"]).iter().map(|turn| &turn["content"]);
    let sections = [&body["toolConfig"]["tools"], &body["system"]].into_iter().chain(turns);
    for section in sections {
        let mut before: Option<&Value> = None;
        for block in items(section) {
            if is_point(block) {
                let document = before.is_some_and(|before| {
                    let format = before["document"]["format"].as_str();
                    format.is_some_and(|format| format != "pdf")
                });
                let video = before.is_some_and(|before| before.get("video").is_some());
                let stands = before.is_some_and(|before| !is_point(before));
                assert!(stands && !document && !video, "a cache point behind {before:?}");
                lives.push(block["cachePoint"]["ttl"] == "1h");
            }
            before = Some(block);
        }
    }
    assert!(
        lives.is_sorted_by(|before, after| before >= after),
        "an hour after minutes: {lives:?}"
    );
}

fn is_blank(block: &Value) -> bool {
    block["text"].as_str().is_some_and(|text| text.trim().is_empty())
}

fn tools(body: &Value, profile: &Profile) {
    let config = &body["toolConfig"];
    let tools = items(&config["tools"]);
    for tool in tools {
        let Some(name) = tool["toolSpec"]["name"].as_str() else { continue };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        assert!((1..=64).contains(&name.len()) && name.chars().all(fits), "tool name {name:?}");
    }
    let mut turns = items(&body["messages"]).iter();
    let spoken_of =
        turns.any(|turn| !ids(turn, "toolUse").is_empty() || !ids(turn, "toolResult").is_empty());
    assert!(!spoken_of || config.is_object(), "past calls need a tool configuration");
    if config.is_object() {
        assert!(!tools.is_empty(), "a tool configuration declares tools");
    }
    let needed = match config["toolChoice"].as_object().and_then(|choice| choice.keys().next()) {
        Some(kind) if kind == "any" => ToolChoices::Any,
        Some(kind) if kind == "tool" => ToolChoices::Named,
        _ if config.is_object() => ToolChoices::Auto,
        _ => ToolChoices::NoTools,
    };
    assert!(needed <= profile.tool_choice, "the model does not know this tool choice");
}

fn cache_points(body: &Value, profile: &Profile) {
    let marks = |blocks: &Value| items(blocks).iter().filter(|one| is_point(one)).count();
    let behind_tools = marks(&body["toolConfig"]["tools"]);
    let turns = items(&body["messages"]).iter();
    let within: usize = turns.map(|turn| marks(&turn["content"])).sum();
    let all = behind_tools + marks(&body["system"]) + within;
    assert!(all <= CACHE_POINTS, "{all} cache points");
    match profile.cache_points {
        CachePoints::Refused => assert_eq!(all, 0, "cache points where none are taken"),
        CachePoints::SystemAndMessages => assert_eq!(behind_tools, 0, "a cache point behind tools"),
        CachePoints::AsMarked | CachePoints::Everywhere => {}
    }
}

fn sampling(body: &Value, profile: &Profile) {
    let config = &body["inferenceConfig"];
    for name in ["temperature", "topP"] {
        let value = config[name].as_f64();
        assert!(value.is_none_or(|value| (0.0..=1.0).contains(&value)), "{name} {value:?}");
    }
    let given = ["temperature", "topP"].iter().filter(|name| !config[**name].is_null()).count();
    let taken = match profile.sampling {
        SamplingSupport::Both => 2,
        SamplingSupport::One => 1,
        SamplingSupport::None => 0,
    };
    assert!(given <= taken, "{given} sampling parameters where {taken} are taken");
    let limit = config["maxTokens"].as_u64();
    let taken = u64::from(profile.least_max_tokens)..=u64::from(profile.most_max_tokens);
    assert!(limit.is_none_or(|limit| taken.contains(&limit)), "a limit of {limit:?} tokens");
    for stop in items(&config["stopSequences"]) {
        let stop = stop.as_str().unwrap_or_default();
        let taken = match profile.stop_sequences {
            StopSequences::Any => !stop.is_empty(),
            StopSequences::NotBlank => !stop.trim().is_empty(),
            StopSequences::Refused => false,
        };
        assert!(taken, "the stop sequence {stop:?}");
    }
}

fn tier(body: &Value, profile: &Profile) {
    let tier = &body["serviceTier"]["type"];
    let taken = serde_json::to_value(&profile.tiers).unwrap_or_default();
    let is_usual = tier.is_null() || tier == "default";
    assert!(is_usual || items(&taken).contains(tier), "the service tier {tier}");
}

/// Reasoning counts against the token limit, so some tokens must remain for the answer.
fn budget(body: &Value) {
    let thinking = &body["additionalModelRequestFields"]["thinking"];
    let Some(budget) = thinking["budget_tokens"].as_u64() else { return };
    assert!(budget >= LEAST_BUDGET, "a budget of {budget} tokens");
    let limit = body["inferenceConfig"]["maxTokens"].as_u64().unwrap_or_default();
    assert!(budget < limit, "a budget of {budget} tokens below a limit of {limit}");
}

fn is_point(block: &Value) -> bool {
    block.get("cachePoint").is_some()
}

fn ids<'b>(turn: &'b Value, kind: &str) -> Vec<&'b str> {
    let blocks = items(&turn["content"]).iter();
    blocks.filter_map(|block| block.get(kind)?["toolUseId"].as_str()).collect()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
