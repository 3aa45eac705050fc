//! Fields of a chat request on their way to Bedrock, and their effect on the response.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::rig::Rig;

const SONNET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "us.amazon.nova-lite-v1:0";

fn ask(model: &str, fields: &Value) -> Value {
    let mut request = json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] });
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

/// The request that Bedrock received and answered, and the fields reported as ignored.
async fn sent(rig: &Rig, model: &str, fields: &Value) -> (Value, String) {
    let answer = rig.chat(&ask(model, fields)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    let ignored = answer.header("x-outcrop-ignored").unwrap_or_default().to_owned();
    (rig.last_call().body, ignored)
}

#[actix_rt::test]
async fn each_family_gets_the_parameters_it_has_and_the_rest_is_named() {
    let rig = Rig::start("").await;
    let all = json!({ "top_k": 9, "seed": 7, "frequency_penalty": 1.5, "presence_penalty": -1 });
    for (model, fields, ignored) in [
        (SONNET, json!({ "top_k": 9 }), "frequency_penalty, presence_penalty, seed"),
        (
            NOVA,
            json!({ "inferenceConfig": { "topK": 9 } }),
            "frequency_penalty, presence_penalty, seed",
        ),
        (
            "cohere.command-r-v1:0",
            json!({ "k": 9, "frequency_penalty": 1.0, "seed": 7 }),
            "frequency_penalty, presence_penalty",
        ),
        (
            "ai21.jamba-1-5-mini-v1:0",
            json!({ "frequency_penalty": 1.5, "presence_penalty": -1.0 }),
            "top_k, seed",
        ),
        (
            "us.meta.llama3-3-70b-instruct-v1:0",
            Value::Null,
            "top_k, frequency_penalty, presence_penalty, seed",
        ),
        ("nobody.knows-this-v1:0", Value::Null, "top_k, frequency_penalty, presence_penalty, seed"),
    ] {
        let answer = rig.chat(&ask(model, &all)).await;
        let body = rig.last_call().body;
        assert_eq!(body["additionalModelRequestFields"], fields, "{model}");
        // Some are past their end of life and refused; only the request matters.
        if answer.status == 200 {
            assert_eq!(answer.header("x-outcrop-ignored"), Some(ignored), "{model}");
        } else {
            let message = answer.json()["error"]["message"].to_string();
            assert!(!message.contains("extraneous"), "{model}: {message}");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_default_output_limit_is_sent_if_the_services_own_may_be_small() {
    let rig = Rig::start(
        "models:\n  short: { model: us.amazon.nova-lite-v1:0, accepts: { default_max_tokens: 4096 } }\n  endless: { model: us.amazon.nova-lite-v1:0, accepts: { default_max_tokens: 99999 } }\n",
    )
    .await;
    let llama = "us.meta.llama3-3-70b-instruct-v1:0";
    let (body, _) = sent(&rig, llama, &json!({})).await;
    assert_eq!(body["inferenceConfig"], json!({ "maxTokens": 2048 }));
    let (body, _) = sent(&rig, llama, &json!({ "max_tokens": 9 })).await;
    assert_eq!(body["inferenceConfig"], json!({ "maxTokens": 9 }));
    let (body, _) = sent(&rig, NOVA, &json!({})).await;
    assert_eq!(body["inferenceConfig"], Value::Null);
    let long = json!({ "max_tokens": 9000 });
    for (name, fields, limit) in
        [("short", &json!({}), 4096), ("short", &long, 9000), ("endless", &json!({}), 10_000)]
    {
        let (body, ignored) = sent(&rig, name, fields).await;
        assert_eq!(
            (&body["inferenceConfig"]["maxTokens"], &*ignored),
            (&json!(limit), ""),
            "{name}"
        );
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn unknown_models_get_what_every_active_one_of_their_family_accepts() {
    let rig = Rig::start("").await;
    let marked =
        json!([{ "type": "text", "text": "Hi", "cache_control": { "type": "ephemeral" } }]);
    let fields = json!({
        "messages": [{ "role": "user", "content": marked }],
        "temperature": 0.2, "top_p": 0.9, "stop": ["END"], "max_tokens": 3, "reasoning_effort": "low",
    });
    let nested = json!({ "reasoning": { "effort": "low" } });
    for (model, config, fields_sent, marks) in [
        ("us.openai.gpt-7", json!({ "maxTokens": 16 }), nested.clone(), 0),
        ("us.xai.grok-5", json!({ "maxTokens": 16 }), nested, 0),
        (
            "us.anthropic.claude-opus-6",
            json!({ "maxTokens": 3, "stopSequences": ["END"] }),
            json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "low" } }),
            1,
        ),
        (
            "openai.gpt-oss-240b-1:0",
            json!({ "maxTokens": 3, "temperature": 0.2, "topP": 0.9, "stopSequences": ["END"] }),
            json!({ "reasoning_effort": "low" }),
            0,
        ),
    ] {
        // The emulator has none of them; only the request matters.
        rig.chat(&ask(model, &fields)).await;
        let body = rig.last_call().body;
        assert_eq!(body["inferenceConfig"], config, "{model}");
        assert_eq!(body["additionalModelRequestFields"], fields_sent, "{model}");
        let content = body["messages"][0]["content"].as_array().unwrap();
        assert_eq!(content.len(), 1 + marks, "{model}: {content:?}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_service_tier_is_reported_unary_and_streamed() {
    let rig = Rig::start(
        "models:\n  bought: { model: us.amazon.nova-lite-v1:0, accepts: { tiers: [reserved] } }\n",
    )
    .await;
    let fields = json!({ "service_tier": "flex" });
    let answer = rig.chat(&ask("amazon.nova-pro-v1:0", &fields)).await.json();
    assert_eq!(answer["service_tier"], "flex");
    let body = rig.last_call().body;
    assert_eq!(body["serviceTier"], json!({ "type": "flex" }));
    let (body, ignored) = sent(&rig, NOVA, &fields).await;
    assert_eq!((&body["serviceTier"], &*ignored), (&Value::Null, "service_tier"));
    rig.chat(&ask("bought", &json!({ "service_tier": "reserved" }))).await;
    let body = rig.last_call().body;
    assert_eq!(body["serviceTier"], json!({ "type": "reserved" }), "the operator knows better");
    for usage in [false, true] {
        let streamed = json!({ "service_tier": "auto", "stream": true, "stream_options": { "include_usage": usage } });
        let (events, done) = rig.chat(&ask(NOVA, &streamed)).await.events();
        assert!(done);
        assert_eq!(events.last().unwrap()["service_tier"], "default");
        assert_eq!(events[0]["service_tier"], Value::Null);
    }
    let plain = rig.chat(&ask(NOVA, &json!({}))).await.json();
    assert!(plain.get("service_tier").is_none());
    rig.stop().await;
}

#[actix_rt::test]
async fn the_user_is_sent_to_aws_in_its_allowed_characters() {
    let rig = Rig::start("").await;
    let long = "ü".repeat(600);
    let fields = json!({ "user": "auth0|7", "safety_identifier": "s", "metadata": { "team": "rocks", "long": long } });
    let (body, ignored) = sent(&rig, NOVA, &fields).await;
    let pairs = body["requestMetadata"].as_object().unwrap();
    assert_eq!((&pairs["user"], &pairs["team"]), (&json!("auth0_7"), &json!("rocks")));
    assert_eq!(pairs["long"].as_str().unwrap().len(), 256);
    assert_eq!(ignored, "user, metadata.long");
    let wrong = rig.chat(&ask(NOVA, &json!({ "metadata": "x" }))).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("metadata")));
    rig.stop().await;
}

#[actix_rt::test]
async fn single_tool_calls_are_ensured_by_model_or_gateway() {
    let rig = Rig::start("").await;
    let call = |id: &str| json!({ "toolUse": { "toolUseId": id, "name": "f", "input": {} } });
    let two = json!({
        "output": { "message": { "role": "assistant", "content": [call("a"), call("b")] } },
        "stopReason": "tool_use",
        "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
    });
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    for (parallel, count) in [(false, 1), (true, 2)] {
        rig.emulator.script().push(emulator::Step::Answer(two.clone()));
        let fields = json!({ "tools": tools, "parallel_tool_calls": parallel });
        let answer = rig.chat(&ask(SONNET, &fields)).await.json();
        let calls = answer["choices"][0]["message"]["tool_calls"].as_array().unwrap().len();
        assert_eq!(calls, count);
    }
    let first = &rig.emulator.journal().calls()[0].body["additionalModelRequestFields"];
    let wanted = json!({ "tool_choice": { "type": "auto", "disable_parallel_tool_use": true } });
    assert_eq!(*first, wanted);
    rig.stop().await;
}

#[actix_rt::test]
async fn guardrails_come_by_header_by_body_and_from_the_operator() {
    let yaml = "models:\n  mine: { model: nova-lite, guardrail: { id: own, version: 1 } }\n  held: { model: nova-lite, guardrail: { id: own, version: 1, mode: mandatory } }\n";
    let rig = Rig::start(yaml).await;
    let headers = [
        ("X-Amzn-Bedrock-GuardrailIdentifier", "abc"),
        ("X-Amzn-Bedrock-GuardrailVersion", "2"),
        ("X-Amzn-Bedrock-Trace", "ENABLED"),
    ];
    let by_header =
        json!({ "guardrailIdentifier": "abc", "guardrailVersion": "2", "trace": "enabled" });
    let own = json!({ "guardrailIdentifier": "own", "guardrailVersion": "1" });
    let by_body = json!({ "guardrailConfig": { "guardrailIdentifier": "xyz", "guardrailVersion": "DRAFT", "streamProcessingMode": "async" } });
    let in_body = json!({ "guardrailIdentifier": "xyz", "guardrailVersion": "DRAFT" });
    for (model, headers, fields, wanted) in [
        (NOVA, &headers[..], json!({}), &by_header),
        ("mine", &headers[..], json!({}), &by_header),
        ("mine", &[], json!({}), &own),
        ("mine", &[], by_body.clone(), &in_body),
        ("held", &[], json!({}), &own),
    ] {
        let answer = rig.chat_with(headers, &ask(model, &fields)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let body = rig.last_call().body;
        assert_eq!(body["guardrailConfig"], *wanted, "{model}");
    }
    let before = rig.emulator.journal().calls().len();
    for (headers, fields) in [(&headers[..], json!({})), (&[], by_body)] {
        let refused = rig.chat_with(headers, &ask("held", &fields)).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("guardrail_not_allowed"))
        );
    }
    let misspelt = json!({ "guardrail_config": { "guardrailIdentifier": "x", "guardrailVersion": "1", "tracing": true } });
    let refused = rig.chat(&ask(NOVA, &misspelt)).await;
    assert_eq!(refused.json()["error"]["param"], "guardrail_config.tracing");
    assert_eq!(rig.emulator.journal().calls().len(), before, "nothing was sent");
    rig.stop().await;
}

#[actix_rt::test]
async fn requested_members_of_the_models_answer_are_returned() {
    let rig = Rig::start("").await;
    let fields = json!({ "additional_model_response_field_paths": ["/stop_reason"] });
    let answer = rig.chat(&ask(SONNET, &fields)).await.json();
    let told = answer["choices"][0]["outcrop"]["additional_model_response_fields"].clone();
    assert_eq!(told, json!({ "stop_reason": "end_turn" }), "{answer}");
    // The model's own stream has the field at another path.
    let path = json!(["/delta/stop_reason"]);
    let streamed = json!({ "stream": true, "additional_model_response_field_paths": path });
    let (events, _) = rig.chat(&ask(SONNET, &streamed)).await.events();
    let ends = |event: &&Value| event["choices"][0]["finish_reason"] == "stop";
    let last = events.iter().find(ends).unwrap();
    let outcrop = &last["choices"][0]["outcrop"];
    assert_eq!(outcrop["additional_model_response_fields"], json!({ "delta": told }));
    // Fields that the gateway asks for internally are not returned.
    let thinking = json!({ "reasoning_effort": "low" });
    let answer = rig.chat(&ask(SONNET, &thinking)).await.json();
    assert!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"].is_u64(), "{answer}");
    assert_eq!(answer["choices"][0].get("outcrop"), None);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_model_without_converse_is_no_chat_model() {
    let rig = Rig::start("").await;
    let vision = "writer.palmyra-vision-7b";
    let refused = rig.chat(&ask(vision, &json!({}))).await;
    assert_eq!(refused.status, 400);
    let error = &refused.json()["error"];
    assert_eq!((&error["param"], &error["code"]), (&json!("model"), &json!("model_not_supported")));
    assert!(error["message"].as_str().unwrap().contains("/bedrock/model/"), "{error}");
    let told = rig.send(Method::GET, &format!("/v1/models/{vision}"), Bytes::new()).await.json();
    let capabilities = &told["capabilities"];
    assert_eq!((&capabilities["chat"], &capabilities["streaming"]), (&json!(false), &json!(false)));
    rig.stop().await;
}
