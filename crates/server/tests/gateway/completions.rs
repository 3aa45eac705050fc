//! Text completions: one call per prompt and choice, echo, holes, token arrays, streams, refusals.

use emulator::{Call, Delivery, Step};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const ECHO: &str = "emulator.echo";

impl Rig {
    async fn complete(&self, request: &Value) -> Received {
        self.send(Method::POST, "/v1/completions", request.to_string().into()).await
    }

    /// The texts of an answer that must succeed, in order.
    async fn completed(&self, request: &Value) -> Vec<String> {
        let answer = self.complete(request).await;
        let json = answer.json();
        assert_eq!(answer.status, 200, "{json}");
        assert_eq!(json["object"], "text_completion");
        assert!(json["id"].as_str().unwrap().starts_with("cmpl-"), "{json}");
        let choices = json["choices"].as_array().unwrap();
        for (at, choice) in choices.iter().enumerate() {
            assert_eq!((&choice["index"], &choice["logprobs"]), (&json!(at), &Value::Null));
        }
        choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect()
    }

    /// The bodies that the emulator received.
    fn bodies(&self) -> Vec<Value> {
        self.emulator.journal().calls().into_iter().map(|call| call.body).collect()
    }
}

fn said(text: &str, [input, output]: [u64; 2]) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
        "stopReason": "max_tokens",
        "usage": { "inputTokens": input, "outputTokens": output, "totalTokens": input + output },
        "metrics": { "latencyMs": 1 },
    }))
}

/// Folds a stream into texts and finish reasons by index, and its usage.
fn folded(events: &[Value]) -> (Vec<String>, Vec<Value>, Value) {
    let (mut texts, mut reasons, mut usage) = (Vec::new(), Vec::new(), Value::Null);
    for event in events {
        assert_eq!(event["object"], "text_completion");
        if !event["usage"].is_null() {
            usage = event["usage"].clone();
        }
        for choice in event["choices"].as_array().unwrap() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            if texts.len() <= index {
                texts.resize(index + 1, String::new());
                reasons.resize(index + 1, Value::Null);
            }
            assert!(reasons[index].is_null(), "text behind the finish reason: {event}");
            texts[index].push_str(choice["text"].as_str().unwrap());
            reasons[index] = choice["finish_reason"].clone();
        }
    }
    (texts, reasons, usage)
}

#[actix_rt::test]
async fn a_text_is_continued_under_an_instruction_and_openais_limit() {
    let rig = Rig::start("").await;
    rig.emulator.script().push(said(" upon a time", [9, 3]));
    let answer = rig.complete(&json!({ "model": NOVA, "prompt": "Once", "echo": true })).await;
    let json = answer.json();
    assert_eq!(json["choices"][0]["text"], "Once upon a time");
    assert_eq!(json["choices"][0]["finish_reason"], "length");
    assert_eq!(json["usage"]["total_tokens"], 12);
    let [body] = &rig.bodies()[..] else { panic!() };
    assert_eq!(body["messages"], json!([{ "role": "user", "content": [{ "text": "Once" }] }]));
    assert_eq!(body["inferenceConfig"]["maxTokens"], 16);
    let instruction = body["system"][0]["text"].as_str().unwrap();
    assert!(instruction.starts_with("Continue the text."), "{instruction}");
    rig.stop().await;
}

#[actix_rt::test]
async fn every_prompt_is_a_call_and_choices_are_in_the_order_of_prompts() {
    let rig = Rig::start("").await;
    let prompts = ["one granite", "two granite", "three granite"];
    let request = json!({ "model": ECHO, "prompt": prompts, "n": 2, "max_tokens": 50 });
    let texts = rig.completed(&request).await;
    let whole = rig.complete(&request).await.json()["usage"].clone();
    assert_eq!(texts.len(), 6);
    for (at, text) in texts.iter().enumerate() {
        assert_eq!(text, prompts[at / 2], "{texts:?}");
    }
    assert_eq!(rig.emulator.journal().calls().len(), 12);

    let streamed = json!({ "model": ECHO, "prompt": prompts, "n": 2, "max_tokens": 50, "stream": true, "echo": true, "stream_options": { "include_usage": true } });
    let (events, done) = rig.complete(&streamed).await.events();
    let (texts, reasons, usage) = folded(&events);
    assert!(done);
    for (at, text) in texts.iter().enumerate() {
        assert_eq!(*text, prompts[at / 2].repeat(2), "{texts:?}");
    }
    assert_eq!(reasons, vec![json!("stop"); 6]);
    assert_eq!(usage, whole, "of all calls");
    assert_eq!(events.iter().filter(|event| !event["usage"].is_null()).count(), 1);
    rig.stop().await;
}

#[actix_rt::test]
async fn token_arrays_are_texts() {
    let rig = Rig::start("").await;
    // "hello world" in cl100k_base.
    for (prompt, expected) in [
        (json!([15339, 1917]), vec!["hello world"]),
        (json!([[15339, 1917], [15339]]), vec!["hello world", "hello"]),
    ] {
        let request = json!({ "model": ECHO, "prompt": prompt, "max_tokens": 50 });
        assert_eq!(rig.completed(&request).await, expected);
    }
    let request = json!({ "model": ECHO, "prompt": [[15339], [4_000_000_000u32]] });
    let refused = rig.complete(&request).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("prompt[1][0]")));
    rig.stop().await;
}

#[actix_rt::test]
async fn a_hole_is_filled_without_fence_and_repetition() {
    let rig = Rig::start("").await;
    let (before, after) = ("fn one() -> u8 {\n", "\n}\n");
    let answer = "```rust\n    let one = 1;\n    one\n}\n```";
    let template = format!("<|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>");
    for (request, stream) in [
        (json!({ "prompt": before, "suffix": after }), false),
        (json!({ "prompt": before, "suffix": after }), true),
        (json!({ "prompt": template }), false),
    ] {
        rig.emulator.journal().clear();
        rig.emulator.script().push(said(answer, [9, 9]));
        let mut request = request;
        request["model"] = NOVA.into();
        request["stream"] = stream.into();
        let text = match stream {
            false => rig.completed(&request).await.remove(0),
            true => folded(&rig.complete(&request).await.events().0).0.remove(0),
        };
        assert_eq!(text, "    let one = 1;\n    one");
        let asked = &rig.bodies()[0]["messages"][0]["content"][0]["text"];
        assert_eq!(*asked, format!("<before>{before}</before><cursor/><after>{after}</after>"));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn requests_that_cannot_be_kept_are_refused_or_named() {
    let rig = Rig::start("chat:\n  most_choices: 4\n").await;
    let scored = json!({ "prompt": "a", "echo": true, "max_tokens": 0, "logprobs": 1 });
    for (request, param, code) in [
        (json!({}), "prompt", "invalid_value"),
        (json!({ "prompt": "" }), "prompt", "invalid_value"),
        (json!({ "prompt": [] }), "prompt", "invalid_value"),
        (json!({ "prompt": ["a", " \n"] }), "prompt[1]", "invalid_value"),
        (json!({ "prompt": ["a", "b", "c"], "n": 2 }), "n", "integer_above_max_value"),
        (json!({ "prompt": "a", "n": 5 }), "n", "integer_above_max_value"),
        (json!({ "prompt": "a", "n": 0 }), "n", "integer_below_min_value"),
        (json!({ "prompt": "a", "max_tokens": 0 }), "max_tokens", "integer_below_min_value"),
        (json!({ "prompt": 7 }), "prompt", "invalid_type"),
        (json!({ "prompt": "a", "temperature": "hot" }), "temperature", "invalid_type"),
        (scored, "logprobs", "unsupported_parameter"),
    ] {
        let mut request = request;
        request["model"] = NOVA.into();
        let refused = rig.complete(&request).await;
        let error = refused.json()["error"].clone();
        let told = (refused.status, error["param"].as_str(), error["code"].as_str());
        assert_eq!(told, (400, Some(param), Some(code)), "{request}: {error}");
    }
    assert!(rig.emulator.journal().calls().is_empty(), "refused before any call");

    let request = json!({ "model": ECHO, "prompt": "a", "logprobs": 2, "best_of": 3, "logit_bias": { "1": 5 }, "min_p": 0.1 });
    let answer = rig.complete(&request).await;
    assert_eq!(answer.status, 200);
    let named = answer.header("x-outcrop-ignored").unwrap();
    for field in ["logprobs", "best_of", "logit_bias", "min_p"] {
        assert!(named.split(", ").any(|name| name == field), "{field}: {named}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_a_call_per_prompt() {
    let rig = Rig::start("").await;
    let request = json!({ "model": NOVA, "prompt": ["one", "two"] }).to_string();
    let dry = [("x-outcrop-dry-run", "true")];
    let shown = rig.send_with(&dry, Method::POST, "/v1/completions", request.into()).await;
    let text = shown.json().to_string();
    assert_eq!(shown.status, 200, "{text}");
    assert!(text.contains("\"one\"") && text.contains("\"two\""), "{text}");
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn guardrails_of_the_call_and_of_the_name_are_kept() {
    let yaml = "models:\n  watched:\n    model: us.amazon.nova-lite-v1:0\n    guardrail: { id: ownownownown, version: 1, mode: mandatory }\n";
    let rig = Rig::start(yaml).await;
    let asked = |model| json!({ "model": model, "prompt": "a" }).to_string();
    let header =
        [("x-amzn-bedrock-guardrailidentifier", "asked"), ("x-amzn-bedrock-guardrailversion", "2")];
    let answer = rig.send_with(&header, Method::POST, "/v1/completions", asked(NOVA).into()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(rig.bodies()[0]["guardrailConfig"]["guardrailIdentifier"], "asked");
    let refused =
        rig.send_with(&header, Method::POST, "/v1/completions", asked("watched").into()).await;
    assert_eq!(refused.status, 400, "{}", refused.json());
    assert_eq!(rig.emulator.journal().calls().len(), 1);
    let answer = rig.complete(&json!({ "model": "watched", "prompt": "a" })).await;
    assert_eq!(answer.status, 200);
    assert_eq!(rig.bodies()[1]["guardrailConfig"]["guardrailIdentifier"], "ownownownown");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_client_that_leaves_ends_the_calls_of_all_prompts() {
    let rig = Rig::start("").await;
    let prompts = vec!["word ".repeat(2000); 3];
    let request = json!({ "model": ECHO, "prompt": prompts, "max_tokens": 4000, "stream": true });
    let (status, _, body) =
        rig.open(Method::POST, "/v1/completions", request.to_string().into()).await;
    assert_eq!(status, 200);
    drop(body);
    let gone = |call: &Call| call.delivery == Delivery::ClientGone;
    rig.until(|calls| calls.len() == 3 && calls.iter().all(gone)).await;
    rig.stop().await;
}
