//! The prefix property that prompt caches need: the body of a conversation is a prefix of the body
//! of the same conversation, continued.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::Profile;
use translate::chat::question;
use translate::profile::{BesideToolResult, CachePoints};

/// One exchange: the messages up to the next question, as in a client's history.
#[derive(Debug, Clone)]
enum Turn {
    Said(String),
    /// Calls of a tool; `turned` reverses the order of their results.
    Called {
        ids: Vec<String>,
        name: &'static str,
        turned: bool,
    },
    Instructed(String),
}

fn turn() -> impl Strategy<Value = Turn> {
    let text = "[a-z \n]{0,12}";
    prop_oneof![
        text.prop_map(Turn::Said),
        (
            prop::collection::btree_set("[a-z.#]{1,4}", 1..4),
            prop::sample::select(vec!["look.up", "look_up", "f"]),
            any::<bool>()
        )
            .prop_map(|(ids, name, turned)| Turn::Called {
                ids: ids.into_iter().collect(),
                name,
                turned
            }),
        text.prop_map(Turn::Instructed),
    ]
}

/// The messages of a turn; the last is the user's or a tool's.
fn messages(turn: &Turn, at: usize) -> Vec<Value> {
    let mark = json!({ "type": "ephemeral" });
    match turn {
        Turn::Said(text) => vec![
            json!({ "role": "assistant", "content": format!("answer {at}") }),
            json!({ "role": "user", "content": [
                { "type": "text", "text": text },
                { "type": "text", "text": "and?", "cache_control": if at.is_multiple_of(2) { mark } else { Value::Null } },
            ] }),
        ],
        Turn::Called { ids, name, turned } => {
            let calls: Vec<Value> = ids
                .iter()
                .map(|id| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": "{\"q\": 1}" } }))
                .collect();
            let mut results: Vec<Value> = ids
                .iter()
                .map(|id| json!({ "role": "tool", "tool_call_id": id, "content": format!("result {at}") }))
                .collect();
            if *turned {
                results.reverse();
            }
            let call = json!({ "role": "assistant", "content": null, "tool_calls": calls });
            std::iter::once(call).chain(results).collect()
        }
        Turn::Instructed(text) => vec![
            json!({ "role": "assistant", "content": "yes" }),
            json!({ "role": "developer", "content": text }),
            json!({ "role": "user", "content": format!("go on {at}") }),
        ],
    }
}

/// The blocks of a body in the reading order of a prompt, without its cache points.
fn blocks(messages: &[Value], profile: &Profile) -> (Vec<Value>, usize) {
    let body = json!({
        "model": "m",
        "messages": messages,
        "tools": [
            { "type": "function", "function": { "name": "look.up", "description": "d".repeat(40) } },
            { "type": "function", "function": { "name": "look_up" } },
            { "type": "function", "function": { "name": "f" } },
        ],
    })
    .to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let sent = serde_json::to_value(&question(&request, profile).unwrap().body).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let turns = list(&sent["messages"]).into_iter().flat_map(|turn| {
        let role = turn["role"].clone();
        list(&turn["content"]).into_iter().map(move |block| json!([role, block]))
    });
    let all: Vec<Value> = list(&sent["toolConfig"]["tools"])
        .into_iter()
        .chain(list(&sent["system"]))
        .chain(turns)
        .collect();
    let is_point = |block: &Value| {
        block.get("cachePoint").is_some() || block.pointer("/1/cachePoint").is_some()
    };
    let points = all.iter().filter(|block| is_point(block)).count();
    (all.into_iter().filter(|block| !is_point(block)).collect(), points)
}

/// The order in which a conversation is read: documents other than PDF come first in their turn,
/// unless a point is before them.
fn read(messages: &[Value], profile: &Profile) -> (Vec<Value>, usize) {
    let body = json!({ "model": "m", "messages": messages }).to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let sent = serde_json::to_value(&question(&request, profile).unwrap().body).unwrap();
    let (mut read, mut points) = (Vec::new(), 0);
    for turn in sent["messages"].as_array().unwrap() {
        let content = turn["content"].as_array().unwrap();
        let is_point = |block: &&Value| block.get("cachePoint").is_some();
        let first_point = content.iter().position(|block| is_point(&block));
        points += content.iter().filter(is_point).count();
        let floats = |at: usize, block: &Value| {
            let format = block["document"]["format"].as_str();
            format.is_some_and(|format| format != "pdf")
                && first_point.is_none_or(|point| at < point)
        };
        let blocks = content.iter().enumerate();
        let (first, rest): (Vec<_>, Vec<_>) = blocks.partition(|(at, block)| floats(*at, block));
        let turn = first.into_iter().chain(rest).map(|(_, block)| block.clone());
        read.extend(turn.filter(|block| !is_point(&block)));
    }
    (read, points)
}

#[test]
fn documents_are_read_in_the_same_place_in_every_later_turn() {
    let profile = Profile {
        cache_points: CachePoints::Everywhere,
        least_cached_tokens: 1,
        ..Profile::default()
    };
    let text = |at: usize| json!({ "type": "text", "text": format!("question {at}") });
    let file = |name: String, data: &str| json!({ "type": "file", "file": { "filename": name, "file_data": data } });
    let csv = |at: usize| file(format!("{at}.csv"), "data:text/csv;base64,YSxi");
    let pdf = |at: usize| file(format!("{at}.pdf"), "data:application/pdf;base64,JVBERi0xLjc=");
    let kinds: [&dyn Fn(usize) -> Value; 5] = [
        &|at| json!([text(at), csv(at)]),
        &|at| json!([csv(at), text(at)]),
        &|at| json!([text(at), csv(at), text(at)]),
        &|at| json!([text(at), pdf(at), csv(at)]),
        &|at| json!([text(at), pdf(at)]),
    ];
    for first in 0..kinds.len() {
        for step in 0..kinds.len() {
            let mut history = Vec::new();
            let mut before = Vec::new();
            let mut marked = 0;
            for at in 0..6 {
                let content = kinds[(first + at * step) % kinds.len()](at);
                history.push(json!({ "role": "user", "content": content }));
                let (now, points) = read(&history, &profile);
                assert_eq!(now[..before.len()], before[..], "{first} {step} {at}");
                (before, marked) = (now, marked + points);
                history.push(json!({ "role": "assistant", "content": format!("answer {at}") }));
            }
            assert!(marked > 0 || step == 0, "{first} {step}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_longer_conversation_begins_with_the_shorter_one(
        turns in prop::collection::vec(turn(), 1..8),
        alone in any::<bool>(),
    ) {
        let beside = if alone { BesideToolResult::Nothing } else { BesideToolResult::Anything };
        let profile = Profile {
            beside_tool_result: beside,
            cache_points: CachePoints::Everywhere,
            least_cached_tokens: 1,
            ..Profile::default()
        };
        let mut history = vec![
            json!({ "role": "system", "content": "Rules." }),
            json!({ "role": "user", "content": "Begin." }),
        ];
        let (mut before, _) = blocks(&history, &profile);
        for (at, turn) in turns.iter().enumerate() {
            history.extend(messages(turn, at));
            let (now, points) = blocks(&history, &profile);
            prop_assert!((1..=4).contains(&points), "{} points", points);
            prop_assert!(now.len() > before.len());
            prop_assert_eq!(&now[..before.len()], &before[..], "after turn {}", at);
            before = now;
        }
    }
}
