//! Properties of every answer with citations, tagged reasoning and unusual counts: complete and
//! streamed answers are equal, positions match the cited text, and counts add up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/fold.rs"]
mod fold;
#[path = "support/wire.rs"]
mod wire;

use fold::Folded;
use proptest::prelude::*;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::chat::{answer, question};
use translate::profile::{StructuredOutput, ThinkingTags};
use translate::{Profile, Reply, Stamp};

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() }
}

fn reply_to(format: &str, tags: &str) -> Reply {
    let body = json!({
        "model": "m",
        "messages": [{ "role": "user", "content": "x" }],
        "stream_options": { "include_usage": true },
        "reasoning_format": tags,
        "response_format": { "type": format, "json_schema": { "schema": { "type": "object" } } },
    })
    .to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let profile = Profile {
        thinking_tags: ThinkingTags::Kept,
        structured_output: StructuredOutput::ForcedTool,
        ..Profile::default()
    };
    question(&request, &profile).unwrap().reply
}

#[derive(Debug, Clone)]
enum Block {
    Text(Vec<String>),
    /// Pieces of text, and citations.
    Cited(Vec<String>, Vec<Value>),
    Answer,
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    let piece = prop::sample::select(vec![
        "<thinking>",
        "</thinking>",
        "<thin",
        "king>",
        "</",
        " ",
        "\n",
        "a",
        "é",
        "😀",
        "e\u{301}",
        "",
        "<",
    ]);
    let piece = prop::collection::vec(piece, 0..4).prop_map(|words| words.concat());
    prop::collection::vec(piece, 0..4)
}

fn source() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({ "location": { "web": { "url": "https://a.example/x", "domain": "a.example" } } }),
        json!({ "location": { "web": { "url": "https://b.example" } }, "title": "B" }),
        json!({ "title": "T", "source": "https://c.example", "sourceContent": [{ "text": "c" }],
                "location": { "searchResultLocation": { "searchResultIndex": 0, "start": 0, "end": 1 } } }),
        json!({ "title": "D", "location": { "documentChar": { "documentIndex": 0, "start": 3, "end": 9 } } }),
        json!({ "title": 5 }),
        json!({ "hologram": [] }),
    ])
}

fn block() -> impl Strategy<Value = Block> {
    prop_oneof![
        4 => pieces().prop_map(Block::Text),
        4 => (pieces(), prop::collection::vec(source(), 0..3))
            .prop_map(|(pieces, sources)| Block::Cited(pieces, sources)),
        1 => Just(Block::Answer),
    ]
}

fn count() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u64..100).prop_map(Value::from),
        Just(Value::Null),
        Just(json!("7")),
    ]
}

fn usage() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "inputTokens",
        "outputTokens",
        "totalTokens",
        "cacheReadInputTokens",
        "cacheWriteInputTokens",
        "serverToolUsage",
        "newTokens",
    ]);
    let ttl = prop::sample::select(vec![json!("5m"), json!("1h"), json!("1d"), json!(null)]);
    let detail =
        (ttl, count()).prop_map(|(ttl, count)| json!({ "ttl": ttl, "inputTokens": count }));
    let details = prop_oneof![
        prop::collection::vec(detail, 0..4).prop_map(Value::from),
        Just(json!(null)),
        Just(json!({ "5m": 1 })),
    ];
    (prop::collection::btree_map(name, count(), 0..7), prop::option::of(details)).prop_map(
        |(counts, details)| {
            let mut usage = json!(counts);
            if let Some(details) = details {
                usage["cacheDetails"] = details;
            }
            usage
        },
    )
}

fn trace() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!({ "guardrail": { "actionReason": "Guardrail masked.", "inputAssessment": {} } }),
        json!({ "promptRouter": { "invokedModelId": "arn:aws:bedrock:x" }, "new": 1 }),
        json!({ "promptRouter": 1 }),
        json!("odd"),
    ])
}

fn whole(blocks: &[Block], stop: &str, usage: &Value, trace: &Value) -> String {
    let content: Vec<Value> = blocks
        .iter()
        .map(|block| match block {
            Block::Text(pieces) => json!({ "text": pieces.concat() }),
            Block::Cited(pieces, sources) => {
                let content: Vec<Value> =
                    pieces.iter().map(|text| json!({ "text": text })).collect();
                json!({ "citationsContent": { "content": content, "citations": sources } })
            }
            Block::Answer => json!({ "toolUse": {
                "toolUseId": "t", "name": "structured_answer", "input": { "a": 1 },
            } }),
        })
        .collect();
    let message = json!({ "role": "assistant", "content": content });
    json!({ "output": { "message": message }, "stopReason": stop, "usage": usage, "trace": trace })
        .to_string()
}

fn streamed(
    blocks: &[Block],
    stop: &str,
    usage: &Value,
    trace: &Value,
) -> Vec<(&'static str, String)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for (index, block) in blocks.iter().enumerate() {
        let delta = |delta: Value| {
            ("contentBlockDelta", json!({ "contentBlockIndex": index, "delta": delta, "p": "ab" }))
        };
        match block {
            Block::Text(pieces) => {
                events.extend(pieces.iter().map(|text| delta(json!({ "text": text }))));
            }
            Block::Cited(pieces, sources) => {
                events.extend(sources.iter().map(|source| delta(json!({ "citation": source }))));
                events.extend(pieces.iter().map(|text| delta(json!({ "text": text }))));
            }
            Block::Answer => {
                let start = json!({ "toolUse": { "toolUseId": "t", "name": "structured_answer" } });
                events.push((
                    "contentBlockStart",
                    json!({ "contentBlockIndex": index, "start": start }),
                ));
                events.push(delta(json!({ "toolUse": { "input": "{\"a\":1}" } })));
            }
        }
        events.push(("contentBlockStop", json!({ "contentBlockIndex": index })));
    }
    events.push(("messageStop", json!({ "stopReason": stop })));
    events.push(("metadata", json!({ "usage": usage, "trace": trace })));
    events.into_iter().map(|(name, payload)| (name, payload.to_string())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn complete_and_streamed_answers_have_equal_sources_tags_and_counts(
        blocks in prop::collection::vec(block(), 0..6),
        stop in prop::sample::select(vec!["end_turn", "pause_turn", "refusal", "guardrail_intervened", "moon"]),
        format in prop::sample::select(vec!["text", "json_schema"]),
        tags in prop::sample::select(vec!["raw", "parsed", "hidden"]),
        usage in usage(),
        trace in trace(),
    ) {
        let text = whole(&blocks, stop, &usage, &trace);
        let response: ConverseResponse<'_> = serde_json::from_str(&text).unwrap();
        let answered = Folded::of_answer(&answer(&response, &reply_to(format, tags), stamp()));
        let events = streamed(&blocks, stop, &usage, &trace);
        let folded = Folded::of_events(reply_to(format, tags), stamp(), &events).unwrap();
        prop_assert_eq!(&folded, &answered);
        let replayed = Folded::of_replay(reply_to(format, tags), stamp(), response).unwrap();
        prop_assert_eq!(&replayed, &answered);
        points_at_words(&answered)?;
        adds_up(&answered)?;
        if tags == "raw" && format == "text" {
            let said = blocks.iter().map(|block| match block {
                Block::Text(pieces) | Block::Cited(pieces, _) => pieces.concat(),
                Block::Answer => String::new(),
            });
            prop_assert_eq!(&answered.content, &said.collect::<String>(), "joined exactly");
        }
        prop_assert!(tags != "hidden" || answered.reasoning.is_empty());
    }
}

/// Checks that every position is within the content, and every citation is kept as received.
fn points_at_words(answered: &Folded) -> Result<(), TestCaseError> {
    let length = answered.content.chars().count() as u64;
    for annotation in &answered.annotations {
        let cited = &annotation["url_citation"];
        let (start, end) =
            (cited["start_index"].as_u64().unwrap(), cited["end_index"].as_u64().unwrap());
        prop_assert!(start < end && end <= length, "{start}..{end} of {length}");
    }
    for cited in answered.outcrop["citations"].as_array().into_iter().flatten() {
        let (start, end) =
            (cited["start_index"].as_u64().unwrap(), cited["end_index"].as_u64().unwrap());
        prop_assert!(start <= end && end <= length, "{start}..{end} of {length}");
        prop_assert!(!cited["citation"].is_null());
    }
    Ok(())
}

fn adds_up(answered: &Folded) -> Result<(), TestCaseError> {
    let usage = &answered.usage;
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let of = |path: &str| count(path).unwrap();
    let (prompt, completion) = (of("/prompt_tokens"), of("/completion_tokens"));
    prop_assert_eq!(of("/total_tokens"), prompt + completion);
    if usage["prompt_tokens_details"].is_object() {
        let written = of("/prompt_tokens_details/cache_write_tokens");
        prop_assert!(of("/prompt_tokens_details/cached_tokens") + written <= prompt);
        let parts = "/prompt_tokens_details/cache_creation_token_details";
        if usage.pointer(parts).is_some_and(Value::is_object) {
            let sum = of(&format!("{parts}/ephemeral_5m_input_tokens"))
                + of(&format!("{parts}/ephemeral_1h_input_tokens"));
            prop_assert!(sum <= written);
        }
    }
    Ok(())
}
