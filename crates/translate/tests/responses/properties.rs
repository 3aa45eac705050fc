//! Properties of responses for any input: every split of an answer says the same, every conversation of
//! items becomes turns that Bedrock accepts, and no JSON makes the translation panic.

use bytes::BytesMut;
use proptest::prelude::*;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use serde_json::{Value, json};
use translate::answer_stream::AnswerStream;
use translate::dialect::Dialect;
use translate::responses::{IncomingRequest, Responses};

use crate::response_asked::{asked, converse, reply, thinking};
use crate::response_events::{pushed, stamp};

fn words() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "a",
        " b\n",
        "\u{fc}\u{1f30d}",
        "\"q\" \\",
        "long text of many words ",
    ])
    .prop_map(ToOwned::to_owned)
}

fn block() -> impl Strategy<Value = Value> {
    let input = words().prop_map(|text| json!({ "input": text }));
    prop_oneof![
        words().prop_map(|text| json!({ "text": text })),
        words().prop_map(|text| json!({ "reasoningContent": { "reasoningText": { "text": text, "signature": "c2ln" } } })),
        (prop::sample::select(vec!["look", "patch", "shell", "ns__look"]), input).prop_map(|(name, input)| {
            json!({ "toolUse": { "toolUseId": "t", "name": name, "input": input } })
        }),
    ]
}

fn request() -> Value {
    json!({ "model": "m", "input": "x", "reasoning": { "summary": "auto" },
        "include": ["reasoning.encrypted_content"], "tools": [
            { "type": "function", "name": "look" }, { "type": "custom", "name": "patch" },
            { "type": "shell" },
            { "type": "namespace", "name": "ns", "tools": [{ "type": "function", "name": "look" }] },
        ] })
}

/// The events of these blocks, with their texts in pieces of this many characters.
fn events(blocks: &[Value], size: usize) -> Vec<(&'static str, String)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for (at, block) in blocks.iter().enumerate() {
        let mut pieces = |text: &str, delta: &dyn Fn(String) -> Value| {
            let characters: Vec<char> = text.chars().collect();
            for piece in characters.chunks(size) {
                let delta = delta(piece.iter().collect());
                events.push((
                    "contentBlockDelta",
                    json!({ "contentBlockIndex": at, "delta": delta }),
                ));
            }
        };
        let thought = &block["reasoningContent"]["reasoningText"];
        if let Some(text) = block["text"].as_str() {
            pieces(text, &|text| json!({ "text": text }));
        } else if let Some(text) = thought["text"].as_str() {
            pieces(text, &|text| json!({ "reasoningContent": { "text": text } }));
            pieces("c2ln", &|text| json!({ "reasoningContent": { "signature": text } }));
        } else {
            let call = &block["toolUse"];
            let input = call["input"].to_string();
            events.push((
                "contentBlockStart",
                json!({ "contentBlockIndex": at, "start": { "toolUse": {
                "toolUseId": call["toolUseId"], "name": call["name"] } } }),
            ));
            let mut pieces = |text: &str| {
                let characters: Vec<char> = text.chars().collect();
                for piece in characters.chunks(size) {
                    let delta = json!({ "toolUse": { "input": piece.iter().collect::<String>() } });
                    events.push((
                        "contentBlockDelta",
                        json!({ "contentBlockIndex": at, "delta": delta }),
                    ));
                }
            };
            pieces(&input);
        }
        events.push(("contentBlockStop", json!({ "contentBlockIndex": at })));
    }
    events.push(("messageStop", json!({ "stopReason": "tool_use" })));
    let usage = json!({ "inputTokens": 14, "outputTokens": 8, "totalTokens": 22 });
    events.push(("metadata", json!({ "usage": usage })));
    events.into_iter().map(|(name, payload)| (name, payload.to_string())).collect()
}

fn item() -> impl Strategy<Value = Value> {
    let id = || prop::sample::select(vec!["c1", "c2", "c/3"]);
    let text = || prop::sample::select(vec!["", " ", "a", "b\n"]);
    prop_oneof![
        (prop::sample::select(vec!["system", "developer", "user", "assistant"]), text())
            .prop_map(|(role, text)| json!({ "role": role, "content": text })),
        (id(), text()).prop_map(|(id, text)| {
            json!({ "type": "function_call", "call_id": id, "name": "look", "arguments": text })
        }),
        (id(), text()).prop_map(|(id, text)| {
            json!({ "type": "function_call_output", "call_id": id, "output": text })
        }),
        (id(), text()).prop_map(|(id, text)| {
            json!({ "type": "custom_tool_call", "call_id": id, "name": "patch", "input": text })
        }),
        text().prop_map(|text| json!({ "type": "reasoning", "summary": [],
            "encrypted_content": format!("oc1.glass:reasoning:{{\"t\":[\"{}\",\"c2ln\"],\"f\":\"unknown\"}}", text.trim()) })),
        Just(json!({ "type": "web_search_call", "id": "ws" })),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let names = vec![
        "type",
        "role",
        "content",
        "id",
        "call_id",
        "name",
        "arguments",
        "input",
        "output",
        "tools",
        "action",
        "operation",
        "function",
        "format",
        "text",
        "encrypted_content",
        "summary",
    ];
    let words = vec![
        "message",
        "function_call",
        "function_call_output",
        "custom",
        "namespace",
        "reasoning",
        "additional_tools",
        "item_reference",
        "tool_search",
        "user",
        "shell",
        "input_image",
        "x",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop::sample::select(words).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..5).prop_map(
                |members| members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            ),
        ]
    })
}

/// Turns alternate, begin with the user, and every call has its result in the next turn.
fn well_formed(sent: &Value) -> Result<(), TestCaseError> {
    let turns = sent["messages"].as_array().unwrap();
    let ids = |turn: &Value, kind: &str| -> Vec<String> {
        let blocks = turn["content"].as_array().unwrap().iter();
        let ids = blocks.filter_map(|block| block[kind]["toolUseId"].as_str());
        ids.map(ToOwned::to_owned).collect()
    };
    for (at, turn) in turns.iter().enumerate() {
        prop_assert_eq!(&turn["role"], if at % 2 == 0 { "user" } else { "assistant" });
        let results = turns.get(at + 1).map(|next| ids(next, "toolResult")).unwrap_or_default();
        prop_assert_eq!(ids(turn, "toolUse"), results);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_split_of_an_answer_says_what_the_complete_answer_says(
        blocks in prop::collection::vec(block(), 0..6),
        size in 1_usize..9,
    ) {
        let reply = reply(&request());
        let stream = pushed(&events(&blocks, size), &reply);
        stream.check();
        let text = converse(&Value::from(blocks), "tool_use");
        let whole: ConverseResponse<'_> = serde_json::from_str(&text).unwrap();
        let whole = serde_json::to_value(Responses::answer(&whole, &reply, stamp()).answer).unwrap();
        prop_assert_eq!(stream.response(), &whole);
    }

    #[test]
    fn turns_of_items_alternate_and_every_call_has_its_result(items in prop::collection::vec(item(), 1..12)) {
        let request = json!({ "model": "m", "input": items, "tools": [{ "type": "function", "name": "look" }] });
        let sent = asked(&request.to_string(), &thinking(), |question| {
            // An output without its call is refused.
            question.ok().map(|question| serde_json::to_value(&question.body).unwrap())
        });
        if let Some(sent) = sent {
            well_formed(&sent)?;
        }
    }

    #[test]
    fn no_json_makes_it_panic(items in json_value(), tools in json_value(), choice in json_value(), payload in json_value()) {
        let text = json!({ "model": "m", "input": [items], "tools": [tools], "tool_choice": choice }).to_string();
        if serde_json::from_str::<IncomingRequest<'_>>(&text).is_ok() {
            asked(&text, &thinking(), |_| ());
        }
        let payload = payload.to_string();
        for name in ["contentBlockStart", "contentBlockDelta", "messageStop", "metadata"] {
            if let Ok(event) = StreamEvent::parse(name, payload.as_bytes()) {
                let mut stream = Responses::stream(reply(&request()), stamp(), 0);
                stream.push(&event, &mut BytesMut::new()).unwrap();
            }
        }
    }
}
