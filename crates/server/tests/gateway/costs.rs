//! Costs: of unary and streamed answers, of several calls, in the tier that served, and of native calls.

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::Rig;

/// 0.06 and 0.24 dollars for a million tokens.
const NOVA: &str = "us.amazon.nova-lite-v1:0";
/// A model without a price.
const UNKNOWN: &str = "emulator.echo";

fn ask(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] })
}

fn said(usage: &Value) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "Hello" }] } },
        "stopReason": "end_turn",
        "usage": usage,
        "metrics": { "latencyMs": 1 },
    }))
}

fn thousand() -> Step {
    said(&json!({ "inputTokens": 1000, "outputTokens": 500, "totalTokens": 1500 }))
}

#[actix_rt::test]
async fn a_unary_answer_states_its_cost_in_headers() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(thousand());
    let answer = rig.chat(&ask(NOVA)).await;
    // 1,000 at 0.06 and 500 at 0.24 per million.
    for name in ["x-outcrop-cost-usd", "x-litellm-response-cost"] {
        assert_eq!(answer.header(name), Some("0.00018"), "{name}");
    }
    assert_eq!(answer.json()["usage"]["cost"], Value::Null, "not unless it is configured");

    let answer = rig.chat(&ask(UNKNOWN)).await;
    assert_eq!((answer.status, answer.header("x-outcrop-cost-usd")), (200, None), "never 0");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_usage_states_the_cost_of_all_calls_where_it_is_configured() {
    let rig = Rig::start("chat: { usage_cost: true }\n").await;
    rig.emulator.script().push(thousand());
    rig.emulator.script().push(thousand());
    let mut request = ask(NOVA);
    request["n"] = 2.into();
    let answer = rig.chat(&request).await;
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some("0.00036"));
    assert_eq!(answer.json()["usage"]["cost"], json!(0.00036));

    rig.emulator.script().push(thousand());
    let mut request = ask(NOVA);
    request["stream"] = true.into();
    request["stream_options"] = json!({ "include_usage": true });
    let (events, _) = rig.chat(&request).await.events();
    assert_eq!(events.last().unwrap()["usage"]["cost"], json!(0.00018));

    let prompt = json!({ "model": NOVA, "prompt": "a" });
    rig.emulator.script().push(thousand());
    let answer = rig.send(Method::POST, "/v1/completions", prompt.to_string().into()).await;
    assert_eq!(answer.json()["usage"]["cost"], json!(0.00018));
    let answer = rig.chat(&ask(UNKNOWN)).await;
    assert_eq!(answer.json()["usage"].get("cost"), None, "never 0");
    rig.stop().await;
}

#[actix_rt::test]
async fn cached_tokens_have_prices_of_their_own() {
    let rig = Rig::start("").await;
    // Golden vector: global Sonnet 4.5, with cache writes of both lifetimes.
    rig.emulator.script().push(said(&json!({
        "inputTokens": 1000, "outputTokens": 500, "totalTokens": 14500,
        "cacheReadInputTokens": 10000, "cacheWriteInputTokens": 3000,
        "cacheDetails": [{ "ttl": "5m", "inputTokens": 2000 }, { "ttl": "1h", "inputTokens": 1000 }],
    })));
    let answer = rig.chat(&ask("global.anthropic.claude-sonnet-4-5-20250929-v1:0")).await;
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some("0.027"));
    rig.stop().await;
}

#[actix_rt::test]
async fn the_served_tier_decides() {
    let rig = Rig::start("").await;
    let model = "deepseek.v3.2";
    for (served, cost) in
        [(None, "0.00247"), (Some("flex"), "0.001235"), (Some("priority"), "0.0043225")]
    {
        let mut answer = json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": "Hello" }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 1000, "outputTokens": 1000, "totalTokens": 2000 },
            "metrics": { "latencyMs": 1 },
        });
        if let Some(served) = served {
            answer["serviceTier"] = json!({ "type": served });
        }
        rig.emulator.script().push(Step::Answer(answer));
        let answer = rig.chat(&ask(model)).await;
        assert_eq!(answer.header("x-outcrop-cost-usd"), Some(cost), "{served:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn embeddings_cost_their_tokens() {
    let rig = Rig::start("").await;
    let request = json!({ "model": "amazon.titan-embed-text-v2:0", "input": ["granite", "chalk"] });
    let answer = rig.send(Method::POST, "/v1/embeddings", request.to_string().into()).await;
    let tokens = answer.json()["usage"]["prompt_tokens"].as_u64().unwrap();
    // 0.02 dollars for a million tokens, 20,000 picodollars each.
    let cost = format!("{:.12}", tokens as f64 * 0.00000002);
    assert_eq!(answer.header("x-outcrop-cost-usd"), Some(cost.trim_end_matches('0')));
    rig.stop().await;
}
