//! Recorded replies through every front door, each as it was recorded and in the other form: what came whole is
//! also streamed, and what was streamed also comes whole. All eight answers to a reply say what a reading
//! of the recording says, which shares no code with the translator: text, calls, reasoning, usage and cost.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::Step;
use serde_json::{Value, json};

use super::super::recordings::{Sum, folder, recorded_events, recorded_message, records};
use super::super::rig::Rig;
use super::{Door, Told, list, parsed, text};

/// A model whose reasoning has blocks of its own, and not tags in its text, on every door.
const MODEL: &str = "us.amazon.nova-2-lite-v1:0";
/// Its price in picodollars a token: input, output, tokens read from the cache; writing is free.
const RATES: [u64; 3] = [330_000, 2_750_000, 82_500];

/// A reply in both forms.
struct Reply {
    id: String,
    whole: Step,
    streamed: Step,
    recorded: Sum,
    has_usage: bool,
}

impl Reply {
    /// A reply that was recorded whole.
    fn of_whole(record: &Value) -> Self {
        let response = &record["response"];
        Self {
            id: text(&record["id"]).to_owned(),
            whole: Step::Answer(response.clone()),
            streamed: Step::Events(events_of(response)),
            recorded: recorded_message(response),
            has_usage: true,
        }
    }

    /// A reply that was recorded as a stream; `None` of one that broke.
    fn of_stream(record: &Value) -> Option<Self> {
        let events = record["events"].as_array().unwrap();
        let recorded = recorded_events(events);
        let step = |event: &Value| json!({ text(&event["type"]): event["payload"] });
        let streamed = match record["response_b64"].as_str() {
            Some(bytes) => Step::Bytes(STANDARD.decode(bytes).unwrap()),
            None => Step::Events(events.iter().map(step).collect()),
        };
        (!recorded.finish.is_empty()).then(|| Self {
            id: text(&record["id"]).to_owned(),
            whole: Step::Answer(whole_of(events)),
            streamed,
            recorded,
            has_usage: events.iter().any(|event| event["type"] == "metadata"),
        })
    }

    /// The answer that a client of this door should read.
    fn expected(&self, door: Door) -> Told {
        let recorded = &self.recorded;
        let mut told = Told { text: recorded.text.clone(), ..Told::default() };
        if door.has_turns() {
            told.reasoning.clone_from(&recorded.reasoning);
            told.calls.clone_from(&recorded.calls);
        }
        if self.has_usage {
            let (read, written) = (recorded.cache.read, recorded.cache.written);
            (told.usage.prompt, told.usage.completion) = (recorded.prompt, recorded.completion);
            (told.usage.cache_read, told.usage.cache_written) = (read, written);
            let counts = [recorded.prompt - read - written, recorded.completion, read];
            let picodollars: u64 = counts.iter().zip(RATES).map(|(count, rate)| count * rate).sum();
            // The same decimal number, read as JSON's are.
            told.usage.cost = parsed(&format!("{picodollars}e-12"));
        }
        told
    }
}

/// The events of a stream that says the same as a whole reply.
fn events_of(response: &Value) -> Vec<Value> {
    let mut events = vec![json!({ "messageStart": { "role": "assistant" } })];
    for (at, block) in list(&response["output"]["message"]["content"]).enumerate() {
        let mut delta = |delta: Value| {
            let delta = json!({ "contentBlockIndex": at, "delta": delta });
            events.push(json!({ "contentBlockDelta": delta }));
        };
        let (thought, cited) = (&block["reasoningContent"], &block["citationsContent"]);
        for (member, value) in list(&json!([
            ["text", thought["reasoningText"]["text"]],
            ["signature", thought["reasoningText"]["signature"]],
            ["redactedContent", thought["redactedContent"]],
        ]))
        .map(|pair| (text(&pair[0]).to_owned(), pair[1].clone()))
        .filter(|(_, value)| value.is_string())
        {
            delta(json!({ "reasoningContent": { member: value } }));
        }
        list(&cited["citations"]).for_each(|citation| delta(json!({ "citation": citation })));
        list(&cited["content"]).for_each(|part| delta(json!({ "text": part["text"] })));
        if let Some(said) = block["text"].as_str() {
            // Cut in two, as a stream may be anywhere.
            let middle = said.char_indices().nth(said.chars().count() / 2).map_or(0, |(at, _)| at);
            delta(json!({ "text": said[..middle] }));
            delta(json!({ "text": said[middle..] }));
        }
        let call = &block["toolUse"];
        if call.is_object() {
            let mut start = call.clone();
            start.as_object_mut().unwrap().remove("input");
            let start = json!({ "contentBlockIndex": at, "start": { "toolUse": start } });
            let input = json!({ "toolUse": { "input": call["input"].to_string() } });
            events.push(json!({ "contentBlockStart": start }));
            events
                .push(json!({ "contentBlockDelta": { "contentBlockIndex": at, "delta": input } }));
        }
        events.push(json!({ "contentBlockStop": { "contentBlockIndex": at } }));
    }
    events.push(json!({ "messageStop": { "stopReason": response["stopReason"] } }));
    let mut metadata = json!({ "usage": response["usage"], "metrics": { "latencyMs": 1 } });
    if response["trace"].is_object() {
        metadata["trace"] = response["trace"].clone();
    }
    events.push(json!({ "metadata": metadata }));
    events
}

/// A block of a stream, as far as it has come.
#[derive(Default)]
struct Block {
    text: String,
    reasoning: serde_json::Map<String, Value>,
    citations: Vec<Value>,
    call: Option<(Value, String)>,
}

impl Block {
    fn add(&mut self, delta: &Value) {
        self.text += text(&delta["text"]);
        for (member, piece) in delta["reasoningContent"].as_object().into_iter().flatten() {
            let so_far = self.reasoning.entry(member).or_insert_with(|| json!(""));
            *so_far = (text(so_far).to_owned() + text(piece)).into();
        }
        self.citations.extend(delta.get("citation").cloned());
        if let Some((_, input)) = &mut self.call {
            *input += text(&delta["toolUse"]["input"]);
        }
    }

    fn whole(mut self) -> Value {
        if let Some((mut call, input)) = self.call {
            call["input"] = if input.is_empty() { json!({}) } else { parsed(&input) };
            return json!({ "toolUse": call });
        }
        if let Some(data) = self.reasoning.remove("redactedContent") {
            return json!({ "reasoningContent": { "redactedContent": data } });
        }
        if !self.reasoning.is_empty() {
            self.reasoning.entry("text").or_insert_with(|| json!(""));
            return json!({ "reasoningContent": { "reasoningText": self.reasoning } });
        }
        if self.citations.is_empty() {
            return json!({ "text": self.text });
        }
        json!({ "citationsContent": { "content": [{ "text": self.text }], "citations": self.citations } })
    }
}

/// The whole reply that says the same as a stream.
fn whole_of(events: &[Value]) -> Value {
    let mut blocks = std::collections::BTreeMap::<u64, Block>::new();
    let usage = json!({ "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 });
    let mut response = json!({ "metrics": { "latencyMs": 1 }, "usage": usage });
    for event in events {
        let payload = &event["payload"];
        let at = payload["contentBlockIndex"].as_u64().unwrap_or(0);
        match text(&event["type"]) {
            "contentBlockStart" if payload["start"]["toolUse"].is_object() => {
                let call = payload["start"]["toolUse"].clone();
                blocks.entry(at).or_default().call = Some((call, String::new()));
            }
            // The results of tools that the service runs are not the client's.
            "contentBlockDelta" if !payload["delta"]["toolResult"].is_array() => {
                blocks.entry(at).or_default().add(&payload["delta"]);
            }
            "messageStop" => response["stopReason"] = payload["stopReason"].clone(),
            "metadata" => {
                for member in
                    ["usage", "trace"].into_iter().filter(|name| payload[*name].is_object())
                {
                    response[member] = payload[member].clone();
                }
            }
            _ => {}
        }
    }
    let content: Vec<Value> = blocks.into_values().map(Block::whole).collect();
    response["output"] = json!({ "message": { "role": "assistant", "content": content } });
    response
}

/// Sends a reply through every door, whole and streamed; returns what differs.
async fn through_every_door(rig: &Rig, reply: &Reply) -> Vec<String> {
    let mut wrong = Vec::new();
    for door in Door::ALL {
        let expected = reply.expected(door);
        for stream in [false, true] {
            let step = if stream { &reply.streamed } else { &reply.whole };
            rig.emulator.script().push(step.clone());
            let mut told = door.read(&door.ask(rig, MODEL, stream).await);
            told.end = expected.end.clone();
            if !reply.has_usage {
                told.usage = expected.usage.clone();
            }
            if told != expected {
                wrong.push(format!(
                    "{} {door:?}, streamed: {stream}\n  {told:?}\n  {expected:?}",
                    reply.id
                ));
            }
        }
    }
    wrong
}

#[actix_rt::test]
async fn a_recorded_reply_says_the_same_through_every_door_whole_and_streamed() {
    let Some(folder) = folder() else { return };
    let served = |file: &str| {
        let records = records(&folder, file);
        records.into_iter().filter(|record| record["status"] == 200).collect::<Vec<_>>()
    };
    let mut replies: Vec<Reply> = served("converse.jsonl").iter().map(Reply::of_whole).collect();
    let whole = replies.len();
    replies.extend(served("converse_stream.jsonl").iter().filter_map(Reply::of_stream));
    let rig = Rig::start("chat: { usage_cost: true }\n").await;
    let mut wrong = Vec::new();
    for reply in &replies {
        wrong.extend(through_every_door(&rig, reply).await);
    }
    rig.stop().await;
    println!(
        "recorded replies through every door: {whole} whole, {} streamed",
        replies.len() - whole
    );
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(whole > 150 && replies.len() - whole > 40, "the recordings are not all there");
}
