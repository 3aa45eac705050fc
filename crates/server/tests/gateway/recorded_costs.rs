//! Rows of recorded calls: their usage and cost, beside those that a few lines here read from the recording and compute
//! from another's price list.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use access::Nanodollars;
use access::ledger::CallRow;
use actix_web::dev::ServerHandle;
use actix_web::{HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::keys::{MASTER, key};
use super::ledger::rows;
use super::recordings::{folder, records};
use super::rig::Rig;

/// Prices of litellm and genai-prices by id, for the present day and in us-east-1.
const LISTS: [&str; 2] = [
    include_str!("../../../routing/tests/prices/litellm.tsv"),
    include_str!("../../../routing/tests/prices/genai-prices.tsv"),
];
/// In public extended access since 2025-12-01, at twice the price; both lists state the former one.
const EXTENDED: &str = "anthropic.claude-3-5-sonnet-20240620-v1:0";

/// Tokens, by the names of rates.
type Counts = BTreeMap<&'static str, u64>;

/// The counts that are not zero: input, output, tokens read from the cache, and written to it for both lifetimes.
fn counts(tokens: [u64; 5]) -> Counts {
    let names = ["input", "output", "cache_read", "cache_write", "cache_write_1h"];
    names.into_iter().zip(tokens).filter(|(_, count)| *count > 0).collect()
}

/// Answers every call with the recording at hand.
#[derive(Default)]
struct Replay(Mutex<Option<Value>>);

async fn answer(replay: web::Data<Arc<Replay>>) -> HttpResponse {
    let record = replay.0.lock().unwrap().clone().unwrap();
    let mut response = HttpResponse::Ok();
    for (name, value) in record["response_headers"].as_object().into_iter().flatten() {
        if name != "content-length" && name != "transfer-encoding" {
            response.insert_header((name.as_str(), value.as_str().unwrap()));
        }
    }
    match record["response_b64"].as_str() {
        Some(bytes) => response
            .insert_header(("content-type", "application/vnd.amazon.eventstream"))
            .body(STANDARD.decode(bytes).unwrap()),
        None => response
            .insert_header(("content-type", "application/json"))
            .body(record["response"].to_string()),
    }
}

/// Starts an upstream that answers with the recording at hand; its URL and handle come with it.
fn upstream() -> (Arc<Replay>, String, ServerHandle) {
    let replay = Arc::<Replay>::default();
    let shared = Arc::clone(&replay);
    let upstream = HttpServer::new(move || {
        let data = web::Data::new(Arc::clone(&shared));
        actix_web::App::new().app_data(data).default_service(web::to(answer))
    });
    let upstream = upstream.workers(1).bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", upstream.addrs()[0]);
    let upstream = upstream.run();
    let handle = upstream.handle();
    actix_rt::spawn(upstream);
    (replay, url, handle)
}

#[actix_rt::test]
async fn recorded_calls_cost_what_another_list_says() {
    let Some(folder) = folder() else { return };
    let (replay, url, handle) = upstream();

    let rig = Rig::before_url(&url, &format!("{MASTER}native: {{ s3: allow }}\n")).await;
    let key = key(&rig, json!({})).await;
    let bearer = format!("Bearer {key}");
    let prices = Prices::read();
    let (mut compared, mut unpriced, mut wrong) = (0, 0, Vec::new());
    for (file, operation) in [
        ("converse", "converse"),
        ("converse_stream", "converse-stream"),
        ("invoke_model", "invoke"),
        ("invoke_model_stream", "invoke-with-response-stream"),
    ] {
        for record in records(&folder, &format!("{file}.jsonl")) {
            let (Some(model), Some(recorded), 200) =
                (record["model_id"].as_str(), counted(&record), record["status"].as_u64().unwrap())
            else {
                continue;
            };
            *replay.0.lock().unwrap() = Some(record.clone());
            let id = model.replace(':', "%3A").replace('/', "%2F");
            let path = format!("/bedrock/model/{id}/{operation}");
            let body = record["request"].to_string().into();
            let headers = [("authorization", bearer.as_str())];
            let answer = rig.send_with(&headers, Method::POST, &path, body).await;
            assert_eq!(answer.status, 200, "{} {:?}", record["id"], answer.body);
            let row = row_of(&rig, answer.header("x-litellm-call-id").unwrap()).await;
            let outcome = &row.closing.outcome;
            let told = counts([
                outcome.input,
                outcome.output,
                outcome.cache_read,
                outcome.cache_write_5m,
                outcome.cache_write_1h,
            ]);
            let expected = prices.cost(model, &recorded);
            if expected.is_none() {
                unpriced += 1;
            }
            let same = expected.is_none() || expected == outcome.cost;
            if told != recorded || !same {
                wrong.push(format!(
                    "{} {model}: {told:?} {:?}, recorded {recorded:?} {expected:?}",
                    record["id"], outcome.cost
                ));
            }
            compared += 1;
        }
    }
    println!("recorded usages: {compared} compared, {unpriced} of models in no list");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 150 && unpriced * 4 < compared, "the recordings are not all there");
    rig.stop().await;
    handle.stop(false).await;
}

#[actix_rt::test]
async fn pieces_have_prices_of_their_own() {
    let (replay, url, handle) = upstream();
    let rig = Rig::before_url(&url, MASTER).await;
    let key = key(&rig, json!({ "max_budget": 1 })).await;
    let bearer = format!("Bearer {key}");
    let documents = vec!["d"; 350];
    let reranker = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0";
    let rerank = json!({ "queries": [{}], "sources": documents, "rerankingConfiguration": {
        "bedrockRerankingConfiguration": { "modelConfiguration": { "modelArn": reranker } } } });
    let checked = json!({ "usage": { "contentPolicyUnits": 3, "topicPolicyUnits": 3,
        "sensitiveInformationPolicyUnits": 3, "sensitiveInformationPolicyFreeUnits": 3 }, "action": "NONE" });
    let tokens = json!({ "x-amzn-bedrock-input-token-count": "10" });
    for (path, request, headers, response, cost, units) in [
        (
            "model/amazon.titan-embed-image-v1/invoke",
            json!({ "inputText": "ore ".repeat(10), "inputImage": "AAAA" }),
            &tokens,
            json!({ "embedding": [0.5] }),
            "0.000068",
            Some("images"),
        ),
        (
            "model/amazon.nova-canvas-v1%3A0/invoke",
            json!({ "taskType": "TEXT_IMAGE", "imageGenerationConfig": { "numberOfImages": 3 } }),
            &tokens,
            // One of the three was filtered.
            json!({ "images": ["AAAA", "BBBB"], "error": null }),
            "0.12",
            Some("output_images"),
        ),
        (
            "model/cohere.rerank-v3-5%3A0/invoke",
            json!({ "query": "q", "documents": documents }),
            &json!({}),
            json!({ "results": [] }),
            "0.008",
            Some("rerank_queries"),
        ),
        ("rerank", rerank, &json!({}), json!({ "results": [] }), "0.008", Some("rerank_queries")),
        (
            "guardrail/g1/version/1/apply",
            json!({ "source": "INPUT", "content": [{ "text": { "text": "x".repeat(2300) } }] }),
            &json!({}),
            checked,
            "0.0012",
            None,
        ),
    ] {
        let record = json!({ "response_headers": headers, "response": response });
        *replay.0.lock().unwrap() = Some(record);
        let headers = [("authorization", bearer.as_str())];
        let path = format!("/bedrock/{path}");
        let answer = rig.send_with(&headers, Method::POST, &path, request.to_string().into()).await;
        assert_eq!(answer.status, 200, "{path} {:?}", answer.body);
        let row = row_of(&rig, answer.header("x-litellm-call-id").unwrap()).await.closing;
        assert_eq!(row.outcome.cost, Nanodollars::parse(cost), "{path} {:?}", row.outcome);
        assert!(row.call.estimate.unwrap() >= row.outcome.cost.unwrap(), "{path} {row:?}");
        let column = row.outcome.units.unwrap_or_default();
        assert!(units.is_none_or(|name| column.contains(name)), "{path} {column}");
    }
    rig.stop().await;
    handle.stop(false).await;
}

async fn row_of(rig: &Rig, id: &str) -> CallRow {
    rows(rig, 1).await.into_iter().find(|row| row.closing.call.id == id).unwrap()
}

/// The usage of a recorded answer; absent where it tells none.
fn counted(record: &Value) -> Option<Counts> {
    let events = record["events"].as_array().cloned().unwrap_or_default();
    let operation = record["operation"].as_str().unwrap();
    let found = match operation {
        "Converse" => of_converse(&record["response"]["usage"]),
        "ConverseStream" => {
            let last = events.iter().find(|event| event["type"] == "metadata")?;
            of_converse(&last["payload"]["usage"])
        }
        "InvokeModel" => {
            let headers = &record["response_headers"];
            let count = |name: &str| {
                let header = format!("x-amzn-bedrock-{name}-token-count");
                headers[header].as_str().map(|text| text.parse::<u64>().unwrap())
            };
            count("input")?;
            let split = &record["response"]["usage"]["cache_creation"];
            let hour = split["ephemeral_1h_input_tokens"].as_u64().unwrap_or(0);
            let written = count("cache-write-input").unwrap_or(0);
            counts([
                count("input")?,
                count("output").unwrap_or(0),
                count("cache-read-input").unwrap_or(0),
                written - hour,
                hour,
            ])
        }
        _ => {
            let chunks = events.iter().filter_map(|event| {
                let bytes = STANDARD.decode(event["payload"]["bytes"].as_str()?).ok()?;
                serde_json::from_slice::<Value>(&bytes).ok()
            });
            let (mut hour, mut metrics) = (0, Value::Null);
            for chunk in chunks {
                let usage = &chunk["message"]["usage"]["cache_creation"];
                hour = usage["ephemeral_1h_input_tokens"].as_u64().unwrap_or(hour);
                if chunk["amazon-bedrock-invocationMetrics"].is_object() {
                    metrics = chunk["amazon-bedrock-invocationMetrics"].clone();
                }
            }
            let count = |name: &str| metrics[name].as_u64();
            let written = count("cacheWriteInputTokenCount").unwrap_or(0);
            counts([
                count("inputTokenCount")?,
                count("outputTokenCount").unwrap_or(0),
                count("cacheReadInputTokenCount").unwrap_or(0),
                written - hour,
                hour,
            ])
        }
    };
    (!found.is_empty()).then_some(found)
}

fn of_converse(usage: &Value) -> Counts {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let details = usage["cacheDetails"].as_array().into_iter().flatten();
    let hour: u64 = details
        .filter(|detail| detail["ttl"] == "1h")
        .map(|detail| detail["inputTokens"].as_u64().unwrap())
        .sum();
    counts([
        count("inputTokens"),
        count("outputTokens"),
        count("cacheReadInputTokens"),
        count("cacheWriteInputTokens") - hour,
        hour,
    ])
}

/// Rates in picodollars a token, by id and by the size of the prompt above which they hold.
struct Prices(HashMap<String, BTreeMap<u64, HashMap<String, u64>>>);

impl Prices {
    fn read() -> Self {
        let mut all = HashMap::<_, BTreeMap<_, _>>::new();
        // The first list wins.
        for list in LISTS {
            let mut of_list = HashMap::<String, BTreeMap<u64, HashMap<String, u64>>>::new();
            for line in list.lines().filter(|line| !line.starts_with('#')) {
                let columns: Vec<_> = line.split('\t').collect();
                let [_, id, "us-east-1", "", "standard", above, rates] = columns[..] else {
                    continue;
                };
                let rates = rates.split(' ').map(|rate| {
                    let (part, dollars) = rate.split_once('=').unwrap();
                    (part.to_owned(), picodollars(dollars))
                });
                let steps = of_list.entry(id.to_owned()).or_default();
                steps.insert(above.parse().unwrap(), rates.collect());
            }
            for (id, steps) in of_list {
                all.entry(id).or_insert(steps);
            }
        }
        Self(all)
    }

    /// The cost by this list; absent if it does not state a rate for every part.
    fn cost(&self, model: &str, counts: &Counts) -> Option<Nanodollars> {
        let steps = self.0.get(model)?;
        let output = counts.get("output").copied().unwrap_or(0);
        let prompt = counts.values().sum::<u64>() - output;
        let (_, rates) = steps.iter().rev().find(|(above, _)| **above == 0 || prompt > **above)?;
        let mut picodollars = 0_i128;
        for (part, count) in counts {
            picodollars += i128::from(*rates.get(*part)?) * i128::from(*count);
        }
        let times = if model.ends_with(EXTENDED) { 2 } else { 1 };
        Some(Nanodollars::from_picodollars(times * picodollars))
    }
}

/// Dollars a million tokens as picodollars a token.
fn picodollars(dollars: &str) -> u64 {
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
    assert!(fraction.len() <= 6, "{dollars}");
    format!("{whole}{fraction:0<6}").parse().unwrap()
}
