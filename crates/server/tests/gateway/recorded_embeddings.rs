//! Recorded embeddings of the real Bedrock, replayed through the whole gateway: the client must get the
//! recorded numbers, digit for digit, in order, with the recorded token count.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emulator::Step;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::recordings::folder;
use super::rig::Rig;

const TOKEN_COUNT: &str = "x-amzn-bedrock-input-token-count";

#[derive(Deserialize)]
struct Record<'a> {
    id: String,
    model_id: Option<String>,
    status: u16,
    request: Value,
    response_headers: Value,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Embedded<'a>>,
    usage: Value,
}

#[derive(Deserialize)]
struct Embedded<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
}

#[actix_rt::test]
async fn every_recorded_embedding_arrives_digit_for_digit() {
    let Some(folder) = folder() else { return };
    let rig = Rig::start("").await;
    let text = std::fs::read_to_string(folder.join("invoke_model.jsonl")).unwrap();
    let (mut same, mut all) = (0, 0);
    for line in text.lines() {
        let record: Record<'_> = serde_json::from_str(line).unwrap();
        let embeds = record.model_id.as_deref().is_some_and(|id| id.contains("embed"));
        if !embeds || record.status != 200 {
            continue;
        }
        all += 1;
        let good = arrives(&rig, &record).await;
        if !good {
            eprintln!("{}: not what was recorded", record.id);
        }
        same += usize::from(good);
    }
    println!("recorded embeddings: {same} of {all}");
    assert!(all >= 15, "the recordings are not all there");
    assert_eq!(same, all);
    rig.stop().await;
}

async fn arrives(rig: &Rig, record: &Record<'_>) -> bool {
    let vectors: Vec<Vec<&str>> = recorded(record).into_iter().map(numbers).collect();
    let count = &record.response_headers[TOKEN_COUNT];
    let count = count.as_str().or(count[0].as_str()).unwrap();
    let tokens: u64 = count.parse().unwrap();
    let plain = ask(rig, record, "float", count).await;
    let plain: Answer<'_> = serde_json::from_slice(&plain).unwrap();
    let encoded = ask(rig, record, "base64", count).await;
    let encoded: Answer<'_> = serde_json::from_slice(&encoded).unwrap();
    let received = plain.data.iter().map(|one| numbers(one.embedding));
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    received.eq(vectors.iter().cloned())
        && encoded.data.iter().map(|one| bytes(one.embedding)).eq(vectors.iter().map(rounded))
        && plain.usage == usage
        && encoded.usage == usage
}

/// Sends the recorded request, with the recorded response scripted in the emulator.
async fn ask(rig: &Rig, record: &Record<'_>, format: &str, count: &str) -> bytes::Bytes {
    let sent = &record.request;
    let single = &sent["singleEmbeddingParams"];
    let mut request = json!({ "model": record.model_id, "encoding_format": format });
    request["input"] = [&sent["texts"], &sent["inputText"], &single["text"]["value"]]
        .into_iter()
        .find(|input| !input.is_null())
        .unwrap()
        .clone();
    request["dimensions"] =
        [&sent["dimensions"], &single["embeddingDimension"]].into_iter().fold(Value::Null, first);
    request["input_type"] = sent["input_type"].clone();
    request["truncate"] = sent["truncate"].clone();
    rig.emulator.script().push(Step::Text {
        body: record.response.unwrap().get().to_owned(),
        headers: BTreeMap::from([(TOKEN_COUNT.to_owned(), count.to_owned())]),
    });
    let answer = rig.send(Method::POST, "/v1/embeddings", request.to_string().into()).await;
    assert_eq!(answer.status, 200, "{}: {}", record.id, answer.json());
    answer.body
}

fn first(found: Value, next: &Value) -> Value {
    if found.is_null() { next.clone() } else { found }
}

/// The recorded vectors, at the provider's position.
fn recorded<'a>(record: &Record<'a>) -> Vec<&'a RawValue> {
    type Members<'a> = HashMap<String, &'a RawValue>;
    let members: Members<'a> = serde_json::from_str(record.response.unwrap().get()).unwrap();
    let Some(all) = members.get("embeddings") else { return vec![members["embedding"]] };
    if let Ok(by_type) = serde_json::from_str::<Members<'a>>(all.get()) {
        return serde_json::from_str(by_type["float"].get()).unwrap();
    }
    match serde_json::from_str::<Vec<Members<'a>>>(all.get()) {
        Ok(objects) => objects.iter().map(|object| object["embedding"]).collect(),
        Err(_) => serde_json::from_str(all.get()).unwrap(),
    }
}

/// The numbers of a list, as written.
fn numbers(list: &RawValue) -> Vec<&str> {
    let inside = list.get().strip_prefix('[').unwrap().strip_suffix(']').unwrap();
    inside.split(',').map(str::trim).collect()
}

fn bytes(base64: &RawValue) -> Vec<u8> {
    STANDARD.decode(serde_json::from_str::<&str>(base64.get()).unwrap()).unwrap()
}

fn rounded(numbers: &Vec<&str>) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.parse::<f32>().unwrap().to_le_bytes()).collect()
}
