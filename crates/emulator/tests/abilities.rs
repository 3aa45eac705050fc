//! Tools, structured answers, native bodies, embeddings and the control plane.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/clients.rs"]
mod support;

use std::collections::BTreeMap;

use aws_sdk_bedrockruntime::{
    primitives::Blob,
    types::{
        AnyToolChoice, ContentBlock, ContentBlockDelta, ContentBlockStart, ConversationRole,
        ConverseStreamOutput, ResponseStream, StopReason, Tool, ToolChoice, ToolConfiguration,
        ToolInputSchema, ToolResultBlock, ToolResultContentBlock, ToolSpecification, ToolUseBlock,
    },
};
use aws_smithy_types::Document;
use serde_json::{Value, json};
use support::{client, get, message, post, start, user};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::Number(value) => {
            value.as_u64().map_or_else(|| Document::from(value.as_f64().unwrap()), Document::from)
        }
        Value::String(value) => Document::from(value.clone()),
        Value::Array(values) => Document::Array(values.iter().map(document).collect()),
        Value::Object(values) => Document::Object(
            values.iter().map(|(key, value)| (key.clone(), document(value))).collect(),
        ),
    }
}

fn json_of(value: &Document) -> Value {
    match value {
        Document::Null => Value::Null,
        Document::Bool(value) => json!(value),
        Document::Number(value) => json!(value.to_f64_lossy()),
        Document::String(value) => json!(value),
        Document::Array(values) => values.iter().map(json_of).collect(),
        Document::Object(values) => {
            values.iter().map(|(key, value)| (key.clone(), json_of(value))).collect()
        }
    }
}

fn tool(name: &str, schema: &Value) -> Tool {
    Tool::ToolSpec(
        ToolSpecification::builder()
            .name(name)
            .description("A tool")
            .input_schema(ToolInputSchema::Json(document(schema)))
            .build()
            .unwrap(),
    )
}

fn weather() -> ToolConfiguration {
    let schema = json!({"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]});
    let nothing = json!({"type": "object", "properties": {}});
    let tools = [tool("get_weather", &schema), tool("ping", &nothing)];
    ToolConfiguration::builder().set_tools(Some(tools.into())).build().unwrap()
}

fn calls(content: &[ContentBlock]) -> Vec<ToolUseBlock> {
    content.iter().filter_map(|block| block.as_tool_use().ok()).cloned().collect()
}

#[tokio::test]
async fn parallel_calls_go_round_and_their_results_are_quoted() {
    let emulator = start().await;
    let client = client(&emulator);
    let question = user("What is the weather in Paris and London?");
    let ask = || client.converse().model_id(CLAUDE).tool_config(weather());
    let answer = ask().messages(question.clone()).send().await.unwrap();
    assert_eq!(*answer.stop_reason(), StopReason::ToolUse);
    let said = answer.output().unwrap().as_message().unwrap().clone();
    let calls = calls(said.content());
    let places: Vec<Value> = calls.iter().map(|call| json_of(call.input())).collect();
    assert_eq!(places, [json!({"location": "Paris"}), json!({"location": "London"})]);
    assert_ne!(calls[0].tool_use_id(), calls[1].tool_use_id());
    let results = calls.iter().zip(["11 degrees", "9 degrees"]).map(|(call, text)| {
        ContentBlock::ToolResult(
            ToolResultBlock::builder()
                .tool_use_id(call.tool_use_id())
                .content(ToolResultContentBlock::Text(text.into()))
                .build()
                .unwrap(),
        )
    });
    let results = message(ConversationRole::User, results.collect());
    let answer = ask().messages(question).messages(said).messages(results).send().await.unwrap();
    assert_eq!(*answer.stop_reason(), StopReason::EndTurn);
    let text =
        answer.output().unwrap().as_message().unwrap().content()[0].as_text().unwrap().clone();
    assert!(text.contains("11 degrees") && text.contains("9 degrees"), "{text}");
    emulator.stop().await;
}

#[tokio::test]
async fn streamed_calls_fold_into_the_unary_ones() {
    let emulator = start().await;
    let client = client(&emulator);
    let any = || ToolChoice::Any(AnyToolChoice::builder().build());
    for (model, text, forced) in [
        (CLAUDE, "What is the weather in Paris and London?", false),
        ("us.amazon.nova-lite-v1:0", "weather for location 'New York' please", false),
        (CLAUDE, "Please use ping", false),
        ("us.moonshotai.kimi-k3", "What is the weather in Oslo?", true),
    ] {
        let config = || {
            let config = weather();
            let choice = forced.then(any);
            ToolConfiguration::builder()
                .set_tools(Some(config.tools().to_vec()))
                .set_tool_choice(choice)
                .build()
                .unwrap()
        };
        let answer = client
            .converse()
            .model_id(model)
            .tool_config(config())
            .messages(user(text))
            .send()
            .await
            .unwrap();
        let unary: Vec<(String, String, Value)> =
            calls(answer.output().unwrap().as_message().unwrap().content())
                .iter()
                .map(|call| {
                    (call.tool_use_id().to_owned(), call.name().to_owned(), json_of(call.input()))
                })
                .collect();
        assert!(!unary.is_empty(), "{model}: {text}");
        let mut stream = client
            .converse_stream()
            .model_id(model)
            .tool_config(config())
            .messages(user(text))
            .send()
            .await
            .unwrap()
            .stream;
        let mut open: BTreeMap<i32, (String, String, String)> = BTreeMap::new();
        while let Some(event) = stream.recv().await.unwrap() {
            match event {
                ConverseStreamOutput::ContentBlockStart(event) => {
                    let Some(ContentBlockStart::ToolUse(start)) = event.start() else {
                        panic!("a tool start")
                    };
                    let entry =
                        (start.tool_use_id().to_owned(), start.name().to_owned(), String::new());
                    open.insert(event.content_block_index(), entry);
                }
                ConverseStreamOutput::ContentBlockDelta(event) => {
                    if let Some(ContentBlockDelta::ToolUse(delta)) = event.delta() {
                        open.get_mut(&event.content_block_index())
                            .expect("started")
                            .2
                            .push_str(delta.input());
                    }
                }
                _ => {}
            }
        }
        let folded: Vec<(String, String, Value)> = open
            .into_values()
            .map(|(id, name, input)| {
                let input = if input.is_empty() {
                    json!({})
                } else {
                    serde_json::from_str(&input).unwrap()
                };
                (id, name, input)
            })
            .collect();
        assert_eq!(folded, unary, "{model}");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn structured_answers_are_valid_for_their_schema() {
    let emulator = start().await;
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}});
    let body = |schema: &Value| {
        json!({
            "messages": [{"role": "user", "content": [{"text": "Jason is 25 years old"}]}],
            "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "person", "schema": schema.to_string()}}}},
        })
    };
    let path = format!("/model/{CLAUDE}/converse");
    let answer = post(emulator.addr(), &path, &body(&schema)).json();
    let text = answer["output"]["message"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"name": "Jason", "age": 25}));
    let open = post(emulator.addr(), &path, &body(&json!({"type": "object"})));
    assert!(open.message().contains("'additionalProperties' must be explicitly set to false"));
    let nova = post(emulator.addr(), "/model/us.amazon.nova-lite-v1:0/converse", &body(&schema));
    assert!(nova.message().contains("output_config.format: Extra inputs are not permitted"));
    emulator.stop().await;
}

#[tokio::test]
async fn claude_and_nova_answer_in_their_own_bodies() {
    let emulator = start().await;
    let client = client(&emulator);
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": [{"role": "user", "content": "Say outcrop"}],
        "tools": [{"name": "get_weather", "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}}]});
    let bytes = |body: &Value| Blob::new(body.to_string());
    let invoked = client
        .invoke_model()
        .model_id(CLAUDE)
        .content_type("application/json")
        .body(bytes(&body))
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_slice(invoked.body().as_ref()).unwrap();
    assert_eq!((&answer["type"], &answer["stop_reason"]), (&json!("message"), &json!("end_turn")));
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Say outcrop"), "{text}");

    let mut streamed = client
        .invoke_model_with_response_stream()
        .model_id(CLAUDE)
        .body(bytes(&body))
        .send()
        .await
        .unwrap()
        .body;
    let (mut folded, mut kinds) = (String::new(), Vec::new());
    let mut last = Value::Null;
    while let Some(event) = streamed.recv().await.unwrap() {
        let ResponseStream::Chunk(part) = event else { panic!("a chunk") };
        last = serde_json::from_slice(part.bytes().unwrap().as_ref()).unwrap();
        folded.push_str(last["delta"]["text"].as_str().unwrap_or_default());
        kinds.push(last["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(folded, text);
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(
        last["amazon-bedrock-invocationMetrics"]["outputTokenCount"],
        answer["usage"]["output_tokens"]
    );

    let nova = json!({"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "Say outcrop"}]}], "inferenceConfig": {"max_new_tokens": 5}});
    let reply = post(emulator.addr(), "/model/us.amazon.nova-lite-v1:0/invoke", &nova);
    assert_eq!(reply.json()["stopReason"], "max_tokens");
    assert_eq!(reply.header("x-amzn-bedrock-output-token-count"), Some("5"));
    emulator.stop().await;
}

/// The vector at `pointer`, checked for its length and for unit length.
fn vector(answer: &Value, pointer: &str, dimensions: usize) -> Vec<f64> {
    let values = answer.pointer(pointer).unwrap_or_else(|| panic!("{pointer} of {answer}"));
    let vector: Vec<f64> =
        values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    assert_eq!(vector.len(), dimensions, "{pointer}");
    assert!((length - 1.0).abs() < 1e-6, "{pointer}: {length}");
    vector
}

#[tokio::test]
async fn every_embedding_family_answers_in_its_own_shape() {
    let emulator = start().await;
    let ask = |model: &str, body: &Value| {
        let answer = post(emulator.addr(), &format!("/model/{model}/invoke"), body);
        assert_eq!(answer.status, 200, "{model}: {}", String::from_utf8_lossy(&answer.body));
        let tokens =
            answer.header("x-amzn-bedrock-input-token-count").expect("counted in a header");
        assert!(tokens.parse::<u64>().unwrap() > 0, "{model}");
        assert!(answer.header("x-amzn-bedrock-output-token-count").is_none(), "{model}");
        answer.json()
    };
    let titan = ask("amazon.titan-embed-text-v1", &json!({"inputText": "hello"}));
    vector(&titan, "/embedding", 1_536);
    assert!(titan.get("embeddingsByType").is_none() && titan["inputTextTokenCount"] == 2);
    let second = "amazon.titan-embed-text-v2:0";
    let titan = ask(second, &json!({"inputText": "hello", "dimensions": 256, "normalize": true}));
    assert_eq!(vector(&titan, "/embedding", 256), vector(&titan, "/embeddingsByType/float", 256));
    let binary = ask(second, &json!({"inputText": "hello", "embeddingTypes": ["binary"]}));
    assert_eq!(binary["embeddingsByType"]["binary"].as_array().unwrap().len(), 1_024);
    let image = json!({"inputText": "hello", "embeddingConfig": {"outputEmbeddingLength": 384}});
    vector(&ask("amazon.titan-embed-image-v1", &image), "/embedding", 384);
    let two = json!({"texts": ["one", "two"], "input_type": "search_document"});
    let third = ask("cohere.embed-english-v3", &two);
    assert_eq!(third["response_type"], "embeddings_floats");
    assert_ne!(vector(&third, "/embeddings/0", 1_024), vector(&third, "/embeddings/1", 1_024));
    let fourth = ask("us.cohere.embed-v4:0", &two);
    assert_eq!(
        (&fourth["response_type"], &fourth["texts"]),
        (&json!("embeddings_by_type"), &two["texts"])
    );
    vector(&fourth, "/embeddings/float/1", 1_536);
    let small = json!({"texts": ["one"], "input_type": "search_query", "output_dimension": 256, "embedding_types": ["int8", "ubinary"]});
    let small = ask("us.cohere.embed-v4:0", &small);
    assert_eq!(small["embeddings"]["int8"][0].as_array().unwrap().len(), 256);
    assert_eq!(small["embeddings"]["ubinary"][0].as_array().unwrap().len(), 32);
    let nova = json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {"embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 384, "text": {"value": "hi", "truncationMode": "END"}}});
    let nova = ask("amazon.nova-2-multimodal-embeddings-v1:0", &nova);
    vector(&nova, "/embeddings/0/embedding", 384);
    assert_eq!(nova["embeddings"][0]["embeddingType"], "TEXT");
    let marengo = json!({"inputType": "text", "inputText": "hi"});
    vector(&ask("us.twelvelabs.marengo-embed-2-7-v1:0", &marengo), "/data/0/embedding", 1_024);
    let marengo = json!({"inputType": "text", "text": {"inputText": "hi"}});
    vector(&ask("us.twelvelabs.marengo-embed-3-0-v1:0", &marengo), "/data/0/embedding", 512);
    emulator.stop().await;
}

#[tokio::test]
async fn embedding_limits_are_enforced() {
    let emulator = start().await;
    let many: Vec<&str> = vec!["x"; 97];
    for (model, body, expected) in [
        (
            "cohere.embed-english-v3",
            json!({"texts": many, "input_type": "search_query"}),
            "#/texts: expected maximum item count: 96, found: 97",
        ),
        ("cohere.embed-english-v3", json!({"texts": ["a"]}), "required key [input_type] not found"),
        (
            "cohere.embed-english-v3",
            json!({"texts": ["a", ""], "input_type": "search_query"}),
            "#/texts/1: expected minLength: 1",
        ),
        (
            "cohere.embed-english-v3",
            json!({"texts": ["a".repeat(2_049)], "input_type": "search_query"}),
            "expected maxLength: 2048",
        ),
        (
            "amazon.titan-embed-text-v2:0",
            json!({"inputText": ""}),
            "#/inputText: expected minLength: 1",
        ),
        (
            "amazon.titan-embed-text-v2:0",
            json!({"inputText": "a", "dimensions": 300}),
            "300 is not a valid enum value",
        ),
        (
            "amazon.titan-embed-text-v1",
            json!({"inputText": "a", "dimensions": 256}),
            "extraneous key [dimensions]",
        ),
        (
            "amazon.titan-embed-text-v1",
            json!({"inputText": "word ".repeat(9_000)}),
            "Too many input tokens",
        ),
        (
            "us.twelvelabs.marengo-embed-3-0-v1:0",
            json!({"inputType": "smell"}),
            "smell is not a valid enum value",
        ),
        (
            "amazon.nova-2-multimodal-embeddings-v1:0",
            json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {"text": {"value": "a", "truncationMode": "END"}}}),
            "embeddingPurpose",
        ),
        (
            "us.meta.llama3-3-70b-instruct-v1:0",
            json!({"prompt": "hi"}),
            "does not know this model's own body",
        ),
    ] {
        let answer = post(emulator.addr(), &format!("/model/{model}/invoke"), &body);
        assert_eq!(answer.status, 400, "{model}");
        assert!(answer.message().contains(expected), "{model}: {}", answer.message());
    }
    emulator.stop().await;
}

#[tokio::test]
async fn models_and_profiles_are_listed_in_pages() {
    let emulator = start().await;
    let addr = emulator.addr();
    let models = get(addr, "/foundation-models").json();
    let models = models["modelSummaries"].as_array().unwrap().clone();
    let find = |id: &str| models.iter().find(|model| model["modelId"] == id);
    assert_eq!(
        find("anthropic.claude-sonnet-5-5").unwrap()["inferenceTypesSupported"],
        json!(["INFERENCE_PROFILE"])
    );
    assert_eq!(
        find("amazon.nova-lite-v1:0").unwrap()["inferenceTypesSupported"],
        json!(["ON_DEMAND", "INFERENCE_PROFILE"])
    );
    assert!(find("anthropic.claude-3-haiku-20240307-v1:0").is_none(), "past its end of life");
    let embeddings = get(addr, "/foundation-models?byOutputModality=EMBEDDING").json();
    let embeddings = embeddings["modelSummaries"].as_array().unwrap().clone();
    assert!(
        embeddings.len() >= 8
            && embeddings.iter().all(|model| model["outputModalities"] == json!(["EMBEDDING"]))
    );
    assert_eq!(
        get(addr, "/foundation-models/amazon.nova-lite-v1%3A0").json()["modelDetails"]["modelName"],
        "Nova Lite"
    );
    assert_eq!(get(addr, "/foundation-models/nope").status, 404);

    let (mut token, mut profiles, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page =
            get(addr, &format!("/inference-profiles?type=SYSTEM_DEFINED&maxResults=40{token}"))
                .json();
        profiles.extend(page["inferenceProfileSummaries"].as_array().unwrap().clone());
        pages += 1;
        let Some(next) = page["nextToken"].as_str() else { break };
        token = format!("&nextToken={next}");
    }
    assert!(pages > 1 && profiles.len() > 40, "{pages} {}", profiles.len());
    let mut ids: Vec<&str> =
        profiles.iter().map(|profile| profile["inferenceProfileId"].as_str().unwrap()).collect();
    assert!(
        ids.contains(&"us.amazon.nova-lite-v1:0") && !ids.iter().any(|id| id.starts_with("eu.")),
        "the caller's region"
    );
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "no profile twice");
    assert_eq!(get(addr, "/inference-profiles?maxResults=0").status, 400);
    let application = get(addr, "/inference-profiles?type=APPLICATION").json();
    let arn = application["inferenceProfileSummaries"][0]["inferenceProfileArn"]
        .as_str()
        .unwrap()
        .to_owned();
    let encoded = arn.replace(':', "%3A").replace('/', "%2F");
    let profile = get(addr, &format!("/inference-profiles/{encoded}")).json();
    assert_eq!(profile["inferenceProfileArn"], arn);
    assert!(
        profile["models"][0]["modelArn"]
            .as_str()
            .unwrap()
            .ends_with("anthropic.claude-haiku-4-5-20251001-v1:0")
    );
    let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    assert_eq!(post(addr, &format!("/model/{encoded}/converse"), &body).status, 200);
    emulator.stop().await;
}

#[tokio::test]
async fn counted_tokens_equal_charged_tokens() {
    let emulator = start().await;
    let addr = emulator.addr();
    let body =
        json!({"messages": [{"role": "user", "content": [{"text": "How many tokens is this?"}]}]});
    let path = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let counted = post(
        addr,
        "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/count-tokens",
        &json!({"input": {"converse": body}}),
    );
    let charged = post(addr, &format!("{path}/converse"), &body).json();
    assert_eq!(counted.json(), json!({"inputTokens": charged["usage"]["inputTokens"]}));
    let refused = post(
        addr,
        "/model/amazon.nova-lite-v1:0/count-tokens",
        &json!({"input": {"converse": body}}),
    );
    assert_eq!(refused.message(), "The provided model doesn't support counting tokens.");

    let system = "rule ".repeat(2_000);
    let cached = json!({"system": [{"text": system}, {"cachePoint": {"type": "default"}}], "messages": body["messages"]});
    let usage = || post(addr, &format!("{path}/converse"), &cached).json()["usage"].clone();
    let (first, second) = (usage(), usage());
    assert_eq!(first["cacheWriteInputTokens"], second["cacheReadInputTokens"]);
    assert_eq!(second["cacheReadInputTokens"], second["cacheReadInputTokenCount"]);
    assert!(
        first["cacheWriteInputTokens"].as_u64().unwrap() >= 2_000
            && first["cacheReadInputTokens"] == 0
    );
    let sum: u64 = ["inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"]
        .iter()
        .map(|key| second[*key].as_u64().unwrap())
        .sum();
    assert_eq!(second["totalTokens"], sum);
    emulator.stop().await;
}
