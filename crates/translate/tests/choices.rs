//! Several answers to one request: each equals the single answer apart from its index, and the
//! usage is the sum.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use serde_json::{Value, json};
use translate::answer_stream::Truncated;
use translate::chat::{ChatStream, answer, gather, question};
use translate::spent::Spent;
use translate::{Profile, Reply, Stamp};
use wire::Wire;

#[path = "support/wire.rs"]
mod wire;

fn stamp() -> Stamp {
    Stamp { id: "chatcmpl-1".into(), created: 1, model: "m".into() }
}

fn reply() -> Reply {
    let body = json!({
        "model": "m", "n": 2, "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "x" }],
        "tools": [{ "type": "function", "function": { "name": "f" } }],
    })
    .to_string();
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let question = question(&request, &Profile::default()).unwrap();
    assert_eq!(question.report.ignored(), [""; 0], "n is honoured");
    question.reply
}

/// Texts, whether there is a call, and the token counts.
type Said = (Vec<String>, bool, [u32; 4]);

fn said() -> impl Strategy<Value = Said> {
    (
        prop::collection::vec("[a-zß\"]{1,4}", 1..4),
        any::<bool>(),
        prop::array::uniform4(0..1_u32 << 30),
    )
}

fn usage([input, output, read, written]: [u32; 4]) -> Value {
    json!({ "inputTokens": input, "outputTokens": output, "totalTokens": 0, "cacheReadInputTokens": read, "cacheWriteInputTokens": written })
}

fn events((texts, calls, counts): &Said) -> Vec<(&'static str, String)> {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for text in texts {
        let delta = json!({ "contentBlockIndex": 0, "delta": { "text": text } });
        events.push(("contentBlockDelta", delta));
    }
    events.push(("contentBlockStop", json!({ "contentBlockIndex": 0 })));
    if *calls {
        let start = json!({ "toolUse": { "toolUseId": "t", "name": "f" } });
        events.push(("contentBlockStart", json!({ "contentBlockIndex": 1, "start": start })));
        events.push(("contentBlockStop", json!({ "contentBlockIndex": 1 })));
    }
    events.push(("messageStop", json!({ "stopReason": "end_turn" })));
    events.push(("metadata", json!({ "usage": usage(*counts) })));
    events.into_iter().map(|(name, payload)| (name, payload.to_string())).collect()
}

/// Chunks as JSON.
struct Seen(Vec<Value>);

impl Seen {
    fn of_choice(&self, index: usize) -> Vec<Value> {
        let is_its = |chunk: &&Value| chunk["choices"][0]["index"] == index;
        self.0.iter().filter(is_its).cloned().collect()
    }
}

fn alone(said: &Said) -> Seen {
    let (mut wire, mut chat) = (Wire::default(), ChatStream::new(reply(), stamp()));
    for (name, payload) in events(said) {
        wire.push(&mut chat, name, &payload);
    }
    wire.finish(&mut chat, Spent::default()).unwrap();
    Seen(wire.chunks())
}

/// All answers in one stream; `order` selects the answer of each next event.
fn together(all: &[Said], order: &[prop::sample::Index]) -> Seen {
    let mut wire = Wire::default();
    let line = |(index, said)| {
        (events(said).into_iter(), Some(ChatStream::new(reply(), stamp()).of_choice(index)))
    };
    let mut lines: Vec<_> = (0..).zip(all).map(line).collect();
    let (mut spent, mut open) = (Spent::default(), all.len());
    let rest = (0..all.len()).cycle();
    for mut at in order.iter().map(|order| order.index(all.len())).chain(rest) {
        while lines[at].1.is_none() {
            at = (at + 1) % all.len();
        }
        let (events, chat) = &mut lines[at];
        if let Some((name, payload)) = events.next() {
            wire.push(chat.as_mut().unwrap(), name, &payload);
            continue;
        }
        open -= 1;
        let mut chat = chat.take().unwrap();
        if open == 0 {
            wire.finish(&mut chat, spent).unwrap();
            break;
        }
        spent = spent.and(wire.close(&mut chat).unwrap());
    }
    Seen(wire.chunks())
}

fn whole((texts, calls, counts): &Said) -> String {
    let mut content = vec![json!({ "text": texts.concat() })];
    if *calls {
        content.push(json!({ "toolUse": { "toolUseId": "t", "name": "f", "input": {} } }));
    }
    json!({ "output": { "message": { "role": "assistant", "content": content } }, "stopReason": "end_turn", "usage": usage(*counts) }).to_string()
}

/// The sums of prompt, completion and total tokens.
fn sums(all: &[Said]) -> [u64; 3] {
    let prompt = |[input, _, read, written]: [u32; 4]| {
        u64::from(input) + u64::from(read) + u64::from(written)
    };
    let prompt = all.iter().map(|(_, _, counts)| prompt(*counts)).sum();
    let completion = all.iter().map(|(_, _, counts)| u64::from(counts[1])).sum();
    [prompt, completion, prompt + completion]
}

fn told(usage: &Value) -> [u64; 3] {
    ["prompt_tokens", "completion_tokens", "total_tokens"].map(|name| usage[name].as_u64().unwrap())
}

proptest! {
    #[test]
    fn a_choice_equals_the_single_answer(
        all in prop::collection::vec(said(), 1..5),
        order in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let seen = together(&all, &order);
        for (index, said) in all.iter().enumerate() {
            let mut wanted = alone(said).of_choice(0);
            for chunk in &mut wanted {
                chunk["choices"][0]["index"] = index.into();
            }
            prop_assert_eq!(seen.of_choice(index), wanted);
        }
        let (last, others) = seen.0.split_last().unwrap();
        prop_assert_eq!(&last["choices"], &json!([]));
        prop_assert_eq!(told(&last["usage"]), sums(&all));
        prop_assert!(others.iter().all(|chunk| chunk["usage"].is_null()), "usage is told once");
    }

    #[test]
    fn whole_answers_are_counted_and_summed(all in prop::collection::vec(said(), 1..5)) {
        let bodies: Vec<_> = all.iter().map(whole).collect();
        let (mut spent, mut answers) = (Spent::default(), Vec::new());
        for body in &bodies {
            let response: ConverseResponse<'_> = serde_json::from_str(body).unwrap();
            spent = spent.and(Spent::of(&response));
            answers.push(answer(&response, &reply(), stamp()));
        }
        let gathered = serde_json::to_value(gather(answers.clone(), spent).unwrap()).unwrap();
        for (index, one) in answers.into_iter().enumerate() {
            let mut wanted = serde_json::to_value(&one.choices[0]).unwrap();
            wanted["index"] = index.into();
            prop_assert_eq!(&gathered["choices"][index], &wanted);
        }
        prop_assert_eq!(gathered["choices"].as_array().unwrap().len(), all.len());
        prop_assert_eq!(told(&gathered["usage"]), sums(&all));
    }
}

#[test]
fn no_answers_gather_to_none() {
    assert!(gather([], Spent::default()).is_none());
}

#[test]
fn an_answer_that_broke_off_is_no_choice() {
    let mut chat = ChatStream::new(reply(), stamp()).of_choice(1);
    assert_eq!(Wire::default().close(&mut chat), Err(Truncated));
}
