//! Cache marks of the gateway: a model's own body has them in the same places as a Converse call.

use schema::anthropic::messages::MessagesRequest;
use serde_json::{Value, json};
use translate::dialect::{Dialect, QuestionInput};
use translate::messages::Messages;
use translate::profile::{CachePoints, MessagesOperation, PromptCache};
use translate::{Profile, S3Access};

use crate::no_tokens;

fn cached() -> Profile {
    Profile { cache_points: CachePoints::Everywhere, least_cached_tokens: 10, ..Profile::default() }
}

/// The places of marks, as section and turn.
fn native_marks(body: &Value) -> Vec<String> {
    let is_marked = |part: &Value| part.get("cache_control").is_some();
    let blocks = |content: &Value| content.as_array().is_some_and(|all| all.iter().any(is_marked));
    let mut found = Vec::new();
    found.extend(blocks(&body["tools"]).then(|| "tools".to_owned()));
    found.extend(blocks(&body["system"]).then(|| "system".to_owned()));
    for (at, turn) in body["messages"].as_array().unwrap().iter().enumerate() {
        let last = turn["content"].as_array().and_then(|all| all.last());
        if last.is_some_and(is_marked) {
            found.push(format!("turn {at}"));
        }
    }
    found
}

fn converse_marks(body: &Value) -> Vec<String> {
    let is_point = |part: &Value| part.get("cachePoint").is_some();
    let any = |parts: &Value| parts.as_array().is_some_and(|all| all.iter().any(is_point));
    let mut found = Vec::new();
    found.extend(any(&body["toolConfig"]["tools"]).then(|| "tools".to_owned()));
    found.extend(any(&body["system"]).then(|| "system".to_owned()));
    for (at, turn) in body["messages"].as_array().unwrap().iter().enumerate() {
        if any(&turn["content"]) {
            found.push(format!("turn {at}"));
        }
    }
    found
}

fn marks(request: &Value, profile: &Profile) -> (Vec<String>, Vec<String>) {
    let text = request.to_string();
    let request: MessagesRequest<'_> = serde_json::from_str(&text).unwrap();
    let stores = S3Access::default();
    let input =
        QuestionInput { stores: &stores, restored: None, index: 0, betas: &[], text_of: no_tokens };
    let converse = Messages::question(&request, profile, &input).unwrap();
    let profile = Profile { messages: MessagesOperation::Invoke, ..profile.clone() };
    let native = Messages::native_question(&request, &profile, &input).unwrap().unwrap();
    let native: Value = serde_json::from_slice(&native.body).unwrap();
    (native_marks(&native), converse_marks(&serde_json::to_value(&converse.body).unwrap()))
}

fn request(with_tools: bool, turns: usize) -> Value {
    let words = "basalt granite gneiss slate marble schist";
    let mut request = json!({ "model": "m", "max_tokens": 9, "system": words });
    if with_tools {
        request["tools"] = json!([{ "name": "look", "description": words,
            "input_schema": { "type": "object" } }]);
    }
    let turn = |at: usize| {
        let role = if at.is_multiple_of(2) { "user" } else { "assistant" };
        json!({ "role": role, "content": words })
    };
    request["messages"] = (0..turns).map(turn).collect();
    request
}

#[test]
fn marks_of_the_gateway_are_in_the_same_places_on_both_ways() {
    for with_tools in [false, true] {
        for turns in [1, 3, 5, 7] {
            let (native, converse) = marks(&request(with_tools, turns), &cached());
            assert_eq!(native, converse, "{with_tools} {turns}");
            assert!(native.contains(&"system".to_owned()), "{native:?}");
            assert_eq!(native.contains(&"tools".to_owned()), with_tools);
            let last = format!("turn {}", turns - 1);
            assert_eq!(native.contains(&last), with_tools || turns > 1, "{native:?}");
        }
    }
}

#[test]
fn the_caller_and_the_operator_decide_first() {
    let request = request(true, 3);
    let mut marked = request.clone();
    marked["system"] =
        json!([{ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } }]);
    assert_eq!(marks(&marked, &cached()).0, ["system"], "the caller's marks alone");
    for profile in [
        Profile { prompt_cache: PromptCache::Marks, ..cached() },
        Profile { prompt_cache: PromptCache::Off, ..cached() },
        Profile { cache_points: CachePoints::Refused, ..cached() },
        Profile { least_cached_tokens: 100_000, ..cached() },
    ] {
        assert_eq!(marks(&request, &profile), (Vec::new(), Vec::new()));
    }
}
