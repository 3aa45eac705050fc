//! Reasoning blocks sent back: positions in a turn, and the bindings of the newest models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/clients.rs"]
mod support;

use emulator::{Running, Step};
use serde_json::{Value, json};
use support::{post, send, start};

/// Checks signatures and positions.
const OPUS: &str = "us.anthropic.claude-opus-4-8";
/// Binds its reasoning blocks to model, account and conversation.
const BOUND: &str = "us.anthropic.claude-opus-5-5";
const FABLE: &str = "us.anthropic.claude-fable-5-2";
const MODIFIED: &str = "blocks in the latest assistant message cannot be modified";
const OTHER: &str = "The block is bound to a different conversation";
const REDACTED: &str = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING";

/// A conversation with an agent that has two tools.
#[derive(Clone)]
struct Talk {
    model: &'static str,
    key: &'static str,
    body: Value,
}

impl Talk {
    fn new(model: &'static str, asked: &str) -> Self {
        let tool = |name: &str| {
            json!({"toolSpec": {"name": name, "description": "d", "inputSchema": {"json": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}})
        };
        let body = json!({
            "system": [{"text": "Be brief."}],
            "messages": [{"role": "user", "content": [{"text": asked}]}],
            "toolConfig": {"tools": [tool("get_weather"), tool("get_time")]},
            "additionalModelRequestFields": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        });
        Self { model, key: "Bearer key", body }
    }

    fn send(&self, emulator: &Running) -> Result<Vec<Value>, String> {
        let path = format!("/model/{}/converse", self.model);
        let headers = [("Authorization", self.key)];
        let body = self.body.to_string();
        let answer = send(emulator.addr(), "POST", &path, &headers, body.as_bytes());
        match answer.status {
            200 => Ok(answer.json()["output"]["message"]["content"].as_array().unwrap().clone()),
            _ => Err(answer.message()),
        }
    }

    /// The conversation after `said` with a result for each of its calls.
    fn after(&self, said: &[Value]) -> Self {
        let results: Vec<Value> = said
            .iter()
            .filter_map(|block| block.get("toolUse"))
            .map(|call| json!({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "fair"}]}}))
            .collect();
        let results = if results.is_empty() { vec![json!({"text": "Go on."})] } else { results };
        let mut next = self.clone();
        let messages = next.body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": said}));
        messages.push(json!({"role": "user", "content": results}));
        next
    }

    fn with(&self, pointer: &str, value: Value) -> Self {
        let mut changed = self.clone();
        *changed.body.pointer_mut(pointer).unwrap() = value;
        changed
    }
}

/// R, X, T and C for readable and redacted reasoning blocks, texts and calls.
fn shape(content: &[Value]) -> String {
    let letter = |block: &Value| match () {
        () if block.pointer("/reasoningContent/redactedContent").is_some() => 'X',
        () if block.get("reasoningContent").is_some() => 'R',
        () if block.get("toolUse").is_some() => 'C',
        () => 'T',
    };
    content.iter().map(letter).collect()
}

/// The blocks of `said` in another order, or only some of them.
fn picked(said: &[Value], order: &[usize]) -> Vec<Value> {
    order.iter().map(|index| said[*index].clone()).collect()
}

fn refused(emulator: &Running, talk: &Talk, part: &str) {
    let refusal = talk.send(emulator).expect_err(part);
    assert!(refusal.contains(part), "{refusal} instead of {part}");
}

#[tokio::test]
async fn only_high_effort_reasons_between_calls() {
    let emulator = start().await;
    let two = "What is the weather in Paris and London?";
    let three = "What is the weather in Paris, London and Rome?";
    for (asked, expected) in [
        (two.to_owned(), "RCRC"),
        (three.to_owned(), "RCCRC"),
        ("What is the weather in Oslo?".to_owned(), "RTRC"),
        ("Tell me a story.".to_owned(), "RT"),
        (format!("{REDACTED} {two}"), "XCRC"),
    ] {
        assert_eq!(shape(&Talk::new(OPUS, &asked).send(&emulator).unwrap()), expected, "{asked}");
    }
    let effort = "/additionalModelRequestFields/output_config/effort";
    let little = Talk::new(OPUS, two).with(effort, json!("low"));
    assert_eq!(shape(&little.send(&emulator).unwrap()), "RTCC");
    let budget = json!({"thinking": {"type": "enabled", "budget_tokens": 2_000}});
    let old = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let mut old = Talk::new(old, two).with("/additionalModelRequestFields", budget);
    assert_eq!(shape(&old.send(&emulator).unwrap()), "RTCC", "no beta, one thought");
    old.body["additionalModelRequestFields"]["anthropic_beta"] =
        json!(["interleaved-thinking-2025-05-14"]);
    assert_eq!(shape(&old.send(&emulator).unwrap()), "RCRC");
    emulator.stop().await;
}

#[tokio::test]
async fn reasoning_of_the_latest_turn_keeps_its_positions_or_is_removed_entirely() {
    let emulator = start().await;
    for model in [OPUS, "us.anthropic.claude-opus-4-6-v1", BOUND] {
        let asked = Talk::new(model, "What is the weather in Paris and London?");
        let said = asked.send(&emulator).unwrap();
        asked.after(&said).send(&emulator).expect("as it was");
        asked.after(&picked(&said, &[1, 3])).send(&emulator).expect("no thoughts at all");
        let part = if model == BOUND { OTHER } else { MODIFIED };
        // Both in front, in the wrong order, after the wrong call.
        for order in [&[0, 2, 1, 3][..], &[2, 1, 0, 3], &[0, 1, 3, 2], &[0, 3, 2, 1]] {
            refused(&emulator, &asked.after(&picked(&said, order)), part);
        }
        // One of them is missing.
        for order in [&[0, 1, 3][..], &[1, 2, 3]] {
            refused(&emulator, &asked.after(&picked(&said, order)), MODIFIED);
        }
        let mut altered = said.clone();
        altered[2]["reasoningContent"]["reasoningText"]["text"] = json!("Something else.");
        refused(&emulator, &asked.after(&altered), "Invalid `signature` in `thinking` block");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn texts_and_redacted_reasoning_have_positions_too() {
    let emulator = start().await;
    let asked = Talk::new(OPUS, "What is the weather in Oslo?");
    let said = asked.send(&emulator).unwrap();
    assert_eq!(shape(&said), "RTRC");
    asked.after(&said).send(&emulator).expect("as it was");
    refused(&emulator, &asked.after(&picked(&said, &[0, 2, 1, 3])), MODIFIED);
    refused(&emulator, &asked.after(&picked(&said, &[0, 2, 3])), MODIFIED);
    let asked = Talk::new(OPUS, &format!("{REDACTED} What is the weather in Paris and Rome?"));
    let said = asked.send(&emulator).unwrap();
    assert_eq!(shape(&said), "XCRC");
    asked.after(&said).send(&emulator).expect("as it was");
    refused(&emulator, &asked.after(&picked(&said, &[0, 2, 1, 3])), MODIFIED);
    let foreign = json!([{"reasoningContent": {"redactedContent": "AAEC"}}, said[1]]);
    let foreign = asked.after(foreign.as_array().unwrap());
    refused(&emulator, &foreign, "Invalid `data` in `redacted_thinking` block");
    emulator.stop().await;
}

#[tokio::test]
async fn only_turns_since_the_last_user_text_are_checked() {
    let emulator = start().await;
    let first = Talk::new(OPUS, "What is the weather in Paris and London?");
    let said = first.send(&emulator).unwrap();
    let wrong = first.after(&picked(&said, &[0, 2, 1, 3]));
    let call =
        json!([{"toolUse": {"toolUseId": "t9", "name": "get_time", "input": {"city": "Bonn"}}}]);
    refused(&emulator, &wrong.after(call.as_array().unwrap()), MODIFIED);
    let mut later = wrong.after(&[json!({"text": "It is fair."})]);
    later.send(&emulator).expect("the user has asked for something else since");
    later.body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"]["signature"] =
        json!("Zm9yZWlnbg==");
    refused(&emulator, &later, "Invalid `signature`");
    emulator.stop().await;
}

#[tokio::test]
async fn the_newest_models_bind_reasoning_to_the_conversation_before_it() {
    let emulator = start().await;
    for model in
        [BOUND, FABLE, "us.anthropic.claude-haiku-5-5", "global.anthropic.claude-mythos-5-2"]
    {
        let asked = Talk::new(model, "What is the weather in Oslo?");
        let said = asked.send(&emulator).unwrap();
        let next = asked.after(&said);
        next.send(&emulator).expect("nothing has changed");
        let settings =
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}});
        next.with("/additionalModelRequestFields", settings)
            .send(&emulator)
            .expect("effort may change");
        let mut pointed = next.clone();
        pointed.body["system"]
            .as_array_mut()
            .unwrap()
            .push(json!({"cachePoint": {"type": "default"}}));
        pointed.send(&emulator).expect("cache points may move");
        let mut fewer = next.clone();
        fewer.body["toolConfig"]["tools"].as_array_mut().unwrap().pop();
        for changed in [
            next.with("/system/0/text", json!("Be brief. Answer in JSON.")),
            next.with("/messages/0/content/0/text", json!("What is the weather in Rome?")),
            fewer,
        ] {
            refused(&emulator, &changed, OTHER);
            refused(
                &emulator,
                &changed,
                "messages.1.content.0: Invalid `signature` in `thinking` block",
            );
            let binding = json!({"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}});
            let lenient = changed.with("/additionalModelRequestFields/thinking", binding);
            lenient.send(&emulator).expect("the thoughts are left out");
            let call = emulator.journal().calls().pop().unwrap();
            assert_eq!(call.dropped_thoughts.first().unwrap(), "messages.1.content.0: prefix");
        }
        let older = Talk { model: OPUS, ..next.with("/system/0/text", json!("Otherwise.")) };
        older.send(&emulator).expect("older models check signatures only");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn reasoning_of_another_model_or_account_is_not_read() {
    let emulator = start().await;
    let dropped = || emulator.journal().calls().pop().unwrap().dropped_thoughts;
    let asked = Talk::new(BOUND, "What is the weather in Oslo?");
    let next = asked.after(&asked.send(&emulator).unwrap());
    next.send(&emulator).unwrap();
    assert_eq!(dropped(), Vec::<String>::new());
    Talk { model: FABLE, ..next.clone() }.send(&emulator).expect("without them");
    assert_eq!(dropped(), ["messages.1.content.0: model", "messages.1.content.2: model"]);
    Talk { model: OPUS, ..next.clone() }.send(&emulator).expect("without them");
    assert_eq!(dropped().len(), 2, "no older model reads the thoughts of a newer one");
    Talk { key: "Bearer other", ..next.clone() }.send(&emulator).expect("without them");
    assert_eq!(dropped(), ["messages.1.content.0: account", "messages.1.content.2: account"]);
    let haiku = Talk::new("us.anthropic.claude-haiku-5-5", "What is the weather in Oslo?");
    let next = haiku.after(&haiku.send(&emulator).unwrap());
    Talk { model: BOUND, ..next }.send(&emulator).unwrap();
    assert_eq!(dropped(), Vec::<String>::new(), "Haiku's thoughts are not locked to it");
    emulator.stop().await;
}

/// Reasoning blocks may be removed from the front, but not between others.
#[tokio::test]
async fn later_reasoning_blocks_are_bound_to_the_one_before() {
    let emulator = start().await;
    let first = Talk::new(BOUND, "What is the weather in Oslo?");
    let one = first.send(&emulator).unwrap();
    let second = first.after(&one);
    let two = second.send(&emulator).unwrap();
    let third = second.after(&two);
    let three = third.send(&emulator).unwrap();
    let end = third.after(&three);
    end.send(&emulator).expect("as it was");
    let without = |talk: &Talk, message: usize| {
        let mut less = talk.clone();
        let content = less.body["messages"][message]["content"].as_array_mut().unwrap();
        content.retain(|block| block.get("reasoningContent").is_none());
        less
    };
    without(&end, 1).send(&emulator).expect("the oldest may go");
    refused(&emulator, &without(&end, 3), OTHER);
    emulator.stop().await;
}

#[tokio::test]
async fn scripted_reasoning_is_stored() {
    let emulator = start().await;
    let thought = |text: &str, signature: &str| json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}});
    let call = |id: &str| json!({"toolUse": {"toolUseId": id, "name": "get_weather", "input": {"city": id}}});
    let content = [thought("A", "c2lnQQ=="), call("tA"), thought("B", "c2lnQg=="), call("tB")];
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use", "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    });
    for model in [OPUS, BOUND] {
        emulator.script().push(Step::Answer(answer.clone()));
        let asked = Talk::new(model, "w?");
        assert_eq!(asked.send(&emulator).unwrap(), content);
        asked.after(&content).send(&emulator).expect("as it was");
        let part = if model == BOUND { OTHER } else { MODIFIED };
        refused(&emulator, &asked.after(&picked(&content, &[0, 2, 1, 3])), part);
        let forged = [thought("A", "bm9uZQ=="), call("tA")];
        refused(&emulator, &asked.after(&forged), "Invalid `signature`");
    }
    // The same by events, and in Claude's own body.
    let delta = |delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": delta}}});
    let events = vec![
        json!({"messageStart": {"role": "assistant"}}),
        delta(json!({"text": "I th"})),
        delta(json!({"text": "ink"})),
        delta(json!({"signature": "ZXZlbnRz"})),
        json!({"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "tC", "name": "get_weather"}}}}),
        json!({"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{\"city\":\"tC\"}"}}}}),
        json!({"messageStop": {"stopReason": "tool_use"}}),
    ];
    emulator.script().push(Step::Events(events));
    let asked = Talk::new(OPUS, "w?");
    post(emulator.addr(), &format!("/model/{OPUS}/converse-stream"), &asked.body);
    asked.after(&[thought("I think", "ZXZlbnRz"), call("tC")]).send(&emulator).expect("remembered");
    let native = json!({"type": "message", "role": "assistant", "content": [
        {"type": "thinking", "thinking": "native", "signature": "bmF0aXZl"}, {"type": "text", "text": "so"}]});
    emulator.script().push(Step::Answer(native.clone()));
    let mut body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": [{"role": "user", "content": "w?"}]});
    let path = format!("/model/{OPUS}/invoke");
    post(emulator.addr(), &path, &body);
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": native["content"]}));
    messages.push(json!({"role": "user", "content": "Go on."}));
    assert_eq!(post(emulator.addr(), &path, &body).status, 200);
    body["messages"][1]["content"][0]["signature"] = json!("Zm9yZWlnbg==");
    assert!(post(emulator.addr(), &path, &body).message().contains("Invalid `signature`"));
    emulator.stop().await;
}

/// Claude's own body returns the same reasoning blocks at the same positions, unary and streamed, and
/// accepts them back with its own ids.
#[tokio::test]
async fn claudes_own_body_checks_positions_too() {
    let emulator = start().await;
    let tool = json!({"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}});
    for model in [OPUS, BOUND] {
        let mut body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4_000, "tools": [tool],
            "thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"},
            "messages": [{"role": "user", "content": "What is the weather in Paris and London?"}]});
        let path = format!("/model/{model}/invoke");
        let said = post(emulator.addr(), &path, &body).json()["content"].clone();
        let kinds: Vec<&str> =
            said.as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["thinking", "tool_use", "thinking", "tool_use"]);
        let result = |index: usize| json!({"type": "tool_result", "tool_use_id": said[index]["id"], "content": "fair"});
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": said}));
        messages.push(json!({"role": "user", "content": [result(1), result(3)]}));
        assert_eq!(post(emulator.addr(), &path, &body).status, 200, "{model}");
        let moved = json!([said[0], said[2], said[1], said[3]]);
        body["messages"][1]["content"] = moved;
        assert_eq!(post(emulator.addr(), &path, &body).status, 400, "{model}");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn encrypted_reasoning_is_accepted_unchanged() {
    let emulator = start().await;
    for (model, maker) in
        [("us.openai.gpt-5.6-sol", 0), ("global.openai.gpt-6.2-astra", 0), ("us.xai.grok-4.7", 1)]
    {
        let effort = json!({"reasoning": {"effort": "medium"}});
        let asked = Talk::new(model, "What is the weather in Oslo?")
            .with("/additionalModelRequestFields", effort);
        let said = asked.send(&emulator).unwrap();
        assert_eq!(shape(&said), "XC", "{model}");
        asked.after(&said).send(&emulator).expect("unchanged");
        asked.after(&picked(&said, &[1])).send(&emulator).expect("without it");
        let mut altered = said.clone();
        altered[0]["reasoningContent"]["redactedContent"] = json!("AAEC");
        refused(&emulator, &asked.after(&altered), "could not be verified");
        let readable =
            json!([{"reasoningContent": {"reasoningText": {"text": "I think"}}}, said[1]]);
        refused(
            &emulator,
            &asked.after(readable.as_array().unwrap()),
            "doesn't support the reasoningContent.reasoningText.text field",
        );
        let other = ["us.xai.grok-4.7", "us.openai.gpt-6-sol"][maker];
        refused(&emulator, &Talk { model: other, ..asked.after(&said) }, "could not be verified");
        let claude = asked.after(&said).with("/additionalModelRequestFields", json!({}));
        refused(&emulator, &Talk { model: OPUS, ..claude }, "Invalid `data`");
    }
    emulator.stop().await;
}
