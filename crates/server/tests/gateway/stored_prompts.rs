//! Prompts of Prompt management, called like models. The emulator's prompt says "Say one sentence about {{rock}}.", and
//! refuses the settings that Bedrock refuses beside a prompt.

use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig, with};

const PROMPT: &str = "prompt/EMULPROMPT:1";
const ARN: &str = "arn:aws:bedrock:us-east-1:123456789012:prompt/EMULPROMPT:1";
const PATH: &str =
    "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aprompt%2FEMULPROMPT%3A1/converse";

fn filled(model: &str) -> Value {
    json!({ "model": model, "messages": [], "prompt_variables": { "rock": "slate" } })
}

async fn post(rig: &Rig, path: &str, body: &Value) -> Received {
    rig.send(Method::POST, path, body.to_string().into()).await
}

fn param(answer: &Received) -> (u16, Value) {
    (answer.status, answer.json()["error"]["param"].clone())
}

#[actix_rt::test]
async fn a_prompt_is_called_by_its_arn_with_its_variables() {
    let rig = Rig::start("models: { mason: prompt/EMULPROMPT:1 }\n").await;
    for model in [PROMPT, ARN, "mason"] {
        let answer = rig.chat(&filled(model)).await;
        assert_eq!(answer.status, 200, "{model}: {:?}", answer.body);
        let said = answer.json()["choices"][0]["message"]["content"].to_string();
        assert!(said.contains("Say one sentence about slate."), "{said}");
        let call = rig.last_call();
        assert_eq!(call.path, PATH, "{model}");
        assert_eq!(call.body, json!({ "promptVariables": { "rock": { "text": "slate" } } }));
        // The price is that of the prompt's model.
        let cost: f64 = answer.header("x-outcrop-cost-usd").unwrap().parse().unwrap();
        assert!(cost > 0.0, "{cost}");
    }
    let calls = rig.emulator.journal().calls();
    let paths: Vec<&str> = calls.iter().map(|call| call.path.as_str()).collect();
    let looked_up = paths.iter().filter(|path| path.starts_with("/prompts/EMULPROMPT/?")).count();
    assert_eq!(looked_up, 2, "once for each of its names: {paths:?}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_prompt_is_streamed_and_takes_further_messages() {
    let rig = Rig::start("").await;
    let more = json!({ "stream": true, "messages": [
        { "role": "assistant", "content": "Slate splits." }, { "role": "user", "content": "And then?" },
    ] });
    let answer = rig.chat(&with(filled(PROMPT), &more)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let (events, done) = answer.events();
    let said: String = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert!(done && said.contains("And then?"), "{said}");
    let call = rig.last_call();
    assert_eq!(call.path, format!("{PATH}-stream"));
    assert_eq!(call.body["messages"][0]["role"], "assistant", "nothing is put before it");
    rig.stop().await;
}

#[actix_rt::test]
async fn calls_of_a_prompts_own_tools_are_answered() {
    let rig = Rig::start("").await;
    let called = json!({ "id": "call_1", "type": "function", "function": { "name": "dig", "arguments": "{}" } });
    let more = json!({ "messages": [
        { "role": "assistant", "content": null, "tool_calls": [called] },
        { "role": "tool", "tool_call_id": "call_1", "content": "gold" },
    ] });
    let answer = rig.chat(&with(filled(PROMPT), &more)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let body = rig.last_call().body;
    assert_eq!(body["messages"][0]["content"][0]["toolUse"]["name"], "dig");
    assert_eq!(body["toolConfig"], Value::Null);
    rig.stop().await;
}

#[actix_rt::test]
async fn what_a_prompt_has_of_its_own_is_refused_by_name_or_told() {
    let rig = Rig::start("").await;
    let tool = json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }]);
    for (more, named) in [
        (json!({ "tools": tool }), "tools"),
        (json!({ "messages": [{ "role": "system", "content": "x" }] }), "messages"),
        (
            json!({ "additional_model_request_fields": { "a": 1 } }),
            "additional_model_request_fields",
        ),
        (json!({ "prompt_variables": { "rock": ["a"] } }), "prompt_variables.rock"),
    ] {
        let refused = rig.chat(&with(filled(PROMPT), &more)).await;
        assert_eq!(param(&refused), (400, json!(named)), "{more}");
    }
    let settings = json!({ "temperature": 0.5, "top_p": 0.5, "stop": "x", "max_tokens": 9 });
    let told = rig.chat(&with(filled(PROMPT), &settings)).await;
    assert_eq!(told.status, 200, "{:?}", told.body);
    let ignored = told.header("x-outcrop-ignored").unwrap();
    for name in ["temperature", "top_p", "stop", "max_tokens"] {
        assert!(ignored.split(", ").any(|field| field == name), "{name}: {ignored}");
    }
    // A variable that is missing is told by Bedrock.
    let missing = rig.chat(&json!({ "model": PROMPT, "messages": [] })).await;
    assert_eq!(missing.status, 400, "{:?}", missing.body);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_prompt_that_cannot_be_found_is_told_before_a_call() {
    let rig = Rig::start("").await;
    for model in ["prompt/NOSUCHPROM", "prompt/EMULPROMPT:7"] {
        let lost = rig.chat(&filled(model)).await;
        assert_eq!(param(&lost), (400, json!("model")), "{:?}", lost.body);
        let message = lost.json()["error"]["message"].to_string();
        assert!(message.contains("bedrock:GetPrompt"), "{message}");
    }
    let calls = rig.emulator.journal().calls();
    assert!(calls.iter().all(|call| !call.path.starts_with("/model/")), "nothing was sent");
    let unused = rig.chat(&filled("nova-lite")).await;
    assert_eq!(unused.status, 400, "a model needs a message");
    let hello = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    let unused = rig.chat(&with(filled("nova-lite"), &hello)).await;
    assert_eq!(unused.header("x-outcrop-ignored"), Some("prompt_variables"));
    rig.stop().await;
}

#[actix_rt::test]
async fn responses_name_a_prompt_as_openai_does() {
    let rig = Rig::start("models: { mason: prompt/EMULPROMPT:1 }\n").await;
    let variables = json!({ "rock": { "type": "input_text", "text": "slate" } });
    for prompt in [
        json!({ "id": "EMULPROMPT", "version": "1", "variables": variables }),
        json!({ "id": ARN, "variables": variables }),
        json!({ "id": "mason", "variables": variables }),
    ] {
        let answer = post(&rig, "/v1/responses", &json!({ "prompt": prompt })).await;
        assert_eq!(answer.status, 200, "{prompt}: {:?}", answer.body);
        let answer = answer.json();
        assert_eq!(answer["prompt"]["id"], prompt["id"]);
        let said = answer["output"][0]["content"][0]["text"].to_string();
        assert!(said.contains("about slate."), "{said}");
        let call = rig.last_call();
        assert_eq!(call.path, PATH, "{prompt}");
        assert_eq!(call.body, json!({ "promptVariables": { "rock": { "text": "slate" } } }));
    }
    let prompt = json!({ "id": "EMULPROMPT", "variables": { "rock": "slate" } });
    let image = json!({ "id": "EMULPROMPT", "variables": { "rock": { "type": "input_image" } } });
    for (body, named) in [
        (json!({ "prompt": prompt, "model": "nova-lite" }), "prompt"),
        (json!({ "prompt": prompt, "model": "mason" }), "model"),
        (json!({ "prompt": prompt, "instructions": "x" }), "messages"),
        (json!({ "prompt": { "id": "nova-lite" }, "input": "x" }), "prompt"),
        (json!({ "prompt": { "id": "mason", "version": "1" } }), "prompt.version"),
        (json!({ "prompt": image }), "prompt.variables.rock"),
        (json!({ "input": "x" }), "model"),
    ] {
        assert_eq!(param(&post(&rig, "/v1/responses", &body).await), (400, json!(named)), "{body}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn messages_take_variables_too() {
    let rig = Rig::start("").await;
    let request = with(filled(PROMPT), &json!({ "max_tokens": 99 }));
    let answer = post(&rig, "/v1/messages", &request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let said = answer.json()["content"][0]["text"].to_string();
    assert!(said.contains("about slate."), "{said}");
    rig.stop().await;
}
