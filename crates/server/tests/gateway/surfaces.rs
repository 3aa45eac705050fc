//! Models that are called on another surface than Converse: in OpenAI's APIs on bedrock-runtime and
//! bedrock-mantle, and in Anthropic's. The emulator checks the signature's service, the path, the id and the body.

use emulator::{Fault, Step};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

mod endings;
mod guarded;
mod messages;

/// Targets on each surface, by the API that serves them.
const YAML: &str = "models:
  runtime_chat: { model: openai.gpt-oss-120b-1:0, surface: runtime }
  runtime_responses: { model: us.openai.gpt-6-sol, surface: runtime }
  mantle_chat: { model: openai.gpt-oss-20b-1:0, surface: mantle }
  mantle_responses: { model: openai.gpt-6-sol, surface: mantle, project: proj_1 }
  mantle_claude: { model: claude-haiku-4-5, surface: mantle, project: wrk_1 }
";

/// Each with its path and the model's name there.
const PLACES: [(&str, &str, &str); 4] = [
    ("runtime_chat", "/openai/v1/chat/completions", "openai.gpt-oss-120b-1:0"),
    ("runtime_responses", "/openai/v1/responses", "us.openai.gpt-6-sol"),
    ("mantle_chat", "/v1/chat/completions", "openai.gpt-oss-20b"),
    ("mantle_responses", "/openai/v1/responses", "openai.gpt-6-sol"),
];

fn ask(model: &str, content: &str, stream: bool) -> Value {
    let messages = json!([{ "role": "user", "content": content }]);
    json!({ "model": model, "messages": messages, "stream": stream, "stream_options": { "include_usage": true } })
}

async fn post(rig: &Rig, path: &str, body: &Value) -> Received {
    rig.send(Method::POST, path, body.to_string().into()).await
}

/// The text of a chat's answer, whole or streamed.
fn text(answer: &Received, stream: bool) -> String {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    if !stream {
        return answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    }
    let (events, done) = answer.events();
    assert!(done, "{events:?}");
    let deltas = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    deltas.collect()
}

#[actix_rt::test]
async fn a_chat_is_answered_on_every_surface() {
    let rig = Rig::start(YAML).await;
    for (model, path, name) in PLACES {
        let mut said = Vec::new();
        for stream in [false, true] {
            let answer = rig.chat(&ask(model, "Say granite", stream)).await;
            said.push(text(&answer, stream));
            let call = rig.last_call();
            assert_eq!((&*call.path, &call.body["model"]), (path, &json!(name)), "{model}");
            assert_eq!(call.body.get("stream"), stream.then_some(&json!(true)));
            let usage = match stream {
                false => answer.json()["usage"].clone(),
                true => answer.events().0.last().unwrap()["usage"].clone(),
            };
            assert!(usage["prompt_tokens"].as_u64().unwrap() > 0, "{model}: {usage}");
            if !stream {
                assert_eq!(answer.json()["model"], model, "the caller's name");
                assert!(
                    answer.header("x-outcrop-cost").is_some()
                        || answer.header("x-litellm-response-cost").is_some(),
                    "{:?}",
                    answer.headers
                );
            }
        }
        assert!(said[0].contains("granite") && !said[0].contains("<reasoning>"), "{said:?}");
        assert_eq!(said[0], said[1], "{model}");
    }
    let call = rig.last_call();
    assert_eq!(call.headers.get("openai-project").map(String::as_str), Some("proj_1"));
    assert_eq!(call.body["store"], false);
    rig.stop().await;
}

#[actix_rt::test]
async fn every_front_door_is_answered_on_every_surface() {
    let rig = Rig::start(YAML).await;
    for (model, path, _) in PLACES {
        let response =
            post(&rig, "/v1/responses", &json!({ "model": model, "input": "Say basalt" })).await;
        assert_eq!(response.status, 200, "{:?}", response.body);
        let output = response.json()["output"].as_array().unwrap().clone();
        let message = output.iter().find(|item| item["type"] == "message").unwrap();
        assert!(message["content"][0]["text"].as_str().unwrap().contains("basalt"), "{message}");
        let request = json!({ "model": model, "max_tokens": 500, "messages": [{ "role": "user", "content": "Say slate" }] });
        let message = rig.message(&request).await.json();
        assert_eq!(message["stop_reason"], "end_turn", "{message}");
        assert!(message["content"].to_string().contains("slate"), "{message}");
        let request = json!({ "model": model, "prompt": "Say chalk", "max_tokens": 500 });
        let completion = post(&rig, "/v1/completions", &request).await.json();
        assert!(completion["choices"][0]["text"].is_string(), "{completion}");
        assert_eq!(rig.last_call().path, path);
    }
    rig.stop().await;
}

fn tool() -> Value {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"], "additionalProperties": false });
    json!({ "type": "function", "function": { "name": "get_weather", "description": "Gets the weather of a city", "parameters": schema, "strict": true } })
}

#[actix_rt::test]
async fn tools_are_called_and_answered_on_every_surface() {
    let rig = Rig::start(YAML).await;
    for (model, ..) in PLACES {
        let mut request = ask(model, "What is the weather in \"Oslo\"? Use get_weather.", false);
        request["tools"] = json!([tool()]);
        request["tool_choice"] = "required".into();
        if model == "mantle_chat" {
            request["tool_choice"] = "auto".into();
        }
        request["reasoning_effort"] = "high".into();
        let answer = rig.chat(&request).await;
        let whole = answer.json();
        let message = &whole["choices"][0]["message"];
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls", "{model}: {whole}");
        let call = &message["tool_calls"][0];
        assert_eq!(call["function"]["name"], "get_weather");
        let id = call["id"].as_str().unwrap();
        assert!(id.len() >= 12, "{id}");
        request["stream"] = true.into();
        let (events, done) = rig.chat(&request).await.events();
        let calls = events
            .iter()
            .filter_map(|event| event["choices"][0]["delta"]["tool_calls"][0]["index"].as_u64());
        assert!(
            done && calls.clone().count() > 0 && calls.clone().all(|index| index == 0),
            "{model}"
        );
        request["stream"] = false.into();
        request["tool_choice"] = "auto".into();
        let turns = request["messages"].as_array_mut().unwrap();
        turns.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
        turns.push(json!({ "role": "tool", "tool_call_id": id, "content": "7 degrees" }));
        let answer = rig.chat(&request).await;
        assert!(text(&answer, false).contains("7 degrees"), "{model}");
        let sent = rig.last_call().body;
        if model.ends_with("responses") {
            // The reasoning behind the call goes back, although the client did not send it.
            let input = sent["input"].as_array().unwrap();
            let kinds: Vec<&str> = input.iter().filter_map(|item| item["type"].as_str()).collect();
            assert_eq!(kinds, ["message", "reasoning", "function_call", "function_call_output"]);
            assert_eq!(input[1]["encrypted_content"].as_str().map(str::is_empty), Some(false));
            assert_eq!((&input[2]["call_id"], &input[3]["call_id"]), (&json!(id), &json!(id)));
            assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
        } else {
            assert_eq!(sent["messages"][2]["tool_call_id"], id);
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn formats_and_parameters_are_members_of_the_api() {
    let rig = Rig::start(YAML).await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"], "additionalProperties": false });
    for (model, ..) in PLACES {
        let mut request = ask(model, "Which city is \"Paris\"?", false);
        request["response_format"] = json!({ "type": "json_schema", "json_schema": { "name": "found", "schema": schema, "strict": true } });
        request["seed"] = 7.into();
        request["verbosity"] = "low".into();
        request["parallel_tool_calls"] = false.into();
        let answer = rig.chat(&request).await;
        let found: Value = serde_json::from_str(&text(&answer, false)).unwrap();
        assert!(found["city"].is_string(), "{found}");
        assert_eq!(
            answer.header("x-outcrop-structured-output"),
            Some("valid"),
            "{:?}",
            answer.headers
        );
        let sent = rig.last_call().body;
        let ignored = answer.header("x-outcrop-ignored").unwrap_or_default();
        if model.ends_with("responses") {
            assert_eq!(sent["text"]["format"]["schema"], schema, "{sent}");
            assert_eq!(
                (&sent["text"]["format"]["strict"], &sent["text"]["verbosity"]),
                (&json!(true), &json!("low"))
            );
            assert!(ignored.contains("seed"), "{ignored}");
        } else {
            assert_eq!(sent["response_format"]["json_schema"]["schema"], schema, "{sent}");
            assert_eq!((&sent["seed"], &sent["verbosity"]), (&json!(7), &json!("low")));
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_the_call_on_its_surface() {
    let rig = Rig::start(YAML).await;
    let headers = [("x-outcrop-dry-run", "true")];
    let shown = rig.chat_with(&headers, &ask("mantle_responses", "Hi", true)).await.json();
    let told = shown.to_string();
    assert!(told.contains("/openai/v1/responses") && told.contains("openai.gpt-6-sol"), "{told}");
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn models_of_one_surface_alone_are_called_there() {
    let rig = Rig::start("").await;
    for (model, path) in [
        ("google.gemma-4-31b", "/openai/v1/chat/completions"),
        ("gemma-4-31b", "/openai/v1/chat/completions"),
        ("openai.gpt-5.6-cyber", "/openai/v1/responses"),
        ("xai.grok-4.3", "/openai/v1/responses"),
        ("deepseek.v3.1", "/v1/chat/completions"),
        ("openai.gpt-oss-20b", "/v1/chat/completions"),
    ] {
        let answer = rig.chat(&ask(model, "Say marble", false)).await;
        assert!(text(&answer, false).contains("marble"), "{model}");
        assert_eq!(rig.last_call().path, path, "{model}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn media_are_sent_as_the_api_takes_them() {
    let rig = Rig::start(YAML).await;
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
    let url = format!("data:image/png;base64,{png}");
    let part = json!({ "type": "image_url", "image_url": { "url": url } });
    let mut request = ask("mantle_responses", "", false);
    request["messages"][0]["content"] = json!([{ "type": "text", "text": "Look" }, part]);
    let answer = rig.chat(&request).await;
    assert!(text(&answer, false).contains("I can see a png image"), "{:?}", answer.body);
    assert_eq!(rig.last_call().body["input"][0]["content"][1]["image_url"], url);
    rig.stop().await;
}
