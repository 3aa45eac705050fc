//! Prompt caching from a client's request to the counts in its answer.

use serde_json::{Value, json};

use super::rig::Rig;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "us.amazon.nova-lite-v1:0";

fn user(content: impl Into<Value>) -> Value {
    json!({ "role": "user", "content": content.into() })
}

/// Calls of a tool in one turn, and their results.
fn step(turn: usize, calls: usize) -> Vec<Value> {
    let id = |call: usize| format!("call_{turn}_{call}");
    let asked: Vec<Value> = (0..calls)
        .map(|call| json!({ "id": id(call), "type": "function", "function": { "name": "look.up", "arguments": "{}" } }))
        .collect();
    let mut messages = vec![json!({ "role": "assistant", "content": null, "tool_calls": asked })];
    messages.extend((0..calls).map(|call| {
        let found = format!("finding {call} of turn {turn} ").repeat(20);
        json!({ "role": "tool", "tool_call_id": id(call), "content": found })
    }));
    messages
}

fn tools() -> Value {
    json!([{ "type": "function", "function": {
        "name": "look.up", "description": "d".repeat(6_000), "parameters": { "type": "object" },
    } }])
}

/// Cached and written tokens of an answer; checks their sums.
fn cached(answer: &Value) -> (u64, u64) {
    let usage = &answer["usage"];
    let number = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (read, written) = (
        number("/prompt_tokens_details/cached_tokens"),
        number("/prompt_tokens_details/cache_write_tokens"),
    );
    assert!(number("/prompt_tokens") >= read + written, "{usage}");
    assert_eq!(
        number("/total_tokens"),
        number("/prompt_tokens") + number("/completion_tokens"),
        "{usage}"
    );
    (read, written)
}

/// The bodies that the model has received.
fn sent(rig: &Rig) -> Vec<Value> {
    rig.emulator.journal().calls().into_iter().map(|call| call.body).collect()
}

async fn ask(rig: &Rig, request: &Value) -> (Value, Option<String>) {
    let answer = rig.chat(request).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    (answer.json(), answer.header("x-outcrop-ignored").map(ToOwned::to_owned))
}

#[actix_rt::test]
async fn an_agent_reads_a_growing_cache_every_turn() {
    let rig = Rig::start("").await;
    for model in [CLAUDE, NOVA] {
        let mut messages =
            vec![json!({ "role": "system", "content": "s".repeat(7_000) }), user("Look.")];
        let (mut before, mut wrote) = (0, 0);
        // The fifth turn exceeds the lookback of a cache point.
        for (turn, calls) in [1, 2, 1, 1, 30, 1].into_iter().enumerate() {
            let request = json!({ "model": model, "messages": messages, "tools": tools() });
            let (answer, ignored) = ask(&rig, &request).await;
            assert_eq!(ignored, None);
            let (read, written) = cached(&answer);
            assert_eq!(read, before + wrote, "{model}, turn {turn}: all that was written is read");
            // Nova accepts no cache point after results: more is written only when the user has sent a
            // text.
            let is_spoken = turn == 0 || turn == 3;
            assert_eq!(written > 0, model == CLAUDE || is_spoken, "{model}, turn {turn}");
            (before, wrote) = (read, written);
            messages.extend(step(turn, calls));
            if turn == 2 {
                messages.push(json!({ "role": "system", "content": "Be brief from now on." }));
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn cache_marks_are_honoured_on_every_part_of_a_request() {
    let rig = Rig::start("").await;
    let mark = json!({ "type": "ephemeral" });
    let long = "l".repeat(20_000);
    let on_part = json!([{ "type": "text", "text": long, "cache_control": mark }, { "type": "text", "text": "And?" }]);
    let request = |messages: Value, more: Value| {
        let mut request = json!({ "model": CLAUDE, "messages": messages });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let mut tool = tools();
    tool[0]["cache_control"] = mark.clone();
    let cases = [
        request(json!([user(on_part)]), json!({})),
        request(
            json!([{ "role": "user", "content": format!("m{long}"), "cache_control": mark }]),
            json!({}),
        ),
        request(
            json!([{ "role": "system", "content": [{ "type": "text", "text": format!("s{long}"), "cache_control": mark }] }, user("Hi")]),
            json!({}),
        ),
        request(json!([user("Hi")]), json!({ "tools": tool })),
        request(json!([user(format!("t{long}"))]), json!({ "cache_control": mark })),
        request(
            json!([user(
                json!([{ "type": "text", "text": format!("b{long}"), "prompt_cache_breakpoint": { "mode": "explicit" } }])
            )]),
            json!({}),
        ),
        request(
            json!([user(format!("o{long}"))]),
            json!({ "prompt_cache_options": { "mode": "implicit", "ttl": "30m" } }),
        ),
    ];
    for case in cases {
        let (first, ignored) = ask(&rig, &case).await;
        let (read, written) = cached(&first);
        assert!(read == 0 && written > 1_000 && ignored.is_none(), "{first} {ignored:?}");
        let (second, _) = ask(&rig, &case).await;
        assert_eq!(cached(&second), (written, 0));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_model_without_caching_answers_and_the_mark_is_named() {
    let rig = Rig::start("").await;
    let part = json!([{ "type": "text", "text": "Hi", "cache_control": { "type": "ephemeral" } }]);
    for model in ["us.meta.llama3-3-70b-instruct-v1:0", "zai.glm-4.7", "openai.gpt-oss-120b-1:0"] {
        let (answer, ignored) =
            ask(&rig, &json!({ "model": model, "messages": [user(part.clone())] })).await;
        assert_eq!(ignored.as_deref(), Some("messages.content.cache_control"), "{model}");
        assert!(answer["usage"].get("prompt_tokens_details").is_none(), "{answer}");
    }
    let hour = json!([{ "type": "text", "text": "Hi", "cache_control": { "type": "ephemeral", "ttl": "1h" } }]);
    let (_, ignored) = ask(&rig, &json!({ "model": NOVA, "messages": [user(hour)] })).await;
    assert_eq!(ignored.as_deref(), Some("messages.content.cache_control.ttl"));
    let wrong = json!([{ "type": "text", "text": "Hi", "cache_control": { "type": "ephemeral", "ttl": "soon" } }]);
    let refused = rig.chat(&json!({ "model": NOVA, "messages": [user(wrong)] })).await;
    assert_eq!(refused.status, 400, "{}", refused.json());
    rig.stop().await;
}

#[actix_rt::test]
async fn the_operator_sets_caching_for_all_and_for_single_names() {
    let rig = Rig::start(&format!(
        "prompt_cache: marks\nmodels:\n  own: {{ model: '{CLAUDE}', prompt_cache: auto }}\n  none: {{ model: '{CLAUDE}', prompt_cache: off }}\n"
    ))
    .await;
    let system = |mark: Value| json!({ "role": "system", "content": [{ "type": "text", "text": "s".repeat(8_000), "cache_control": mark }] });
    let mark = json!({ "type": "ephemeral" });
    for (model, mark, points) in [
        (CLAUDE, Value::Null, 0),
        (CLAUDE, mark.clone(), 1),
        ("own", Value::Null, 1),
        ("none", mark, 0),
    ] {
        ask(&rig, &json!({ "model": model, "messages": [system(mark), user("Hi")] })).await;
        let body = sent(&rig).pop().unwrap();
        assert_eq!(body.to_string().matches("cachePoint").count(), points, "{model}");
    }
    rig.stop().await;
}
