//! Embedding models over InvokeModel: Titan, Cohere, Nova and Marengo, each with its own body, limits and
//! token counting.

use serde_json::{Map, Value, json};

use super::fields::{members, string};
use crate::{
    delivery::Reply,
    error::Refusal,
    json::{items, text},
    model::{embed, tokens},
    models::{Family, Model},
};

/// Most texts in one call to Cohere.
const BATCH: usize = 96;

/// A body and the input tokens in its header.
struct Embedded {
    body: Value,
    tokens: u64,
}

/// Embeds the inputs of `body`.
pub(super) fn answer(model: &Model, body: &Value) -> Result<Reply, Refusal> {
    let embedded = match model.family {
        Family::Cohere => cohere(model, body),
        Family::Nova => nova(model, body),
        Family::Marengo => marengo(model, body),
        _ if model.id.contains("embed-image") => titan_multimodal(model, body),
        _ => titan_text(model, body),
    }?;
    // The order of members is the provider's, not alphabetical.
    let reply =
        Reply::bytes(200, "application/json", embedded.body.to_string().into_bytes().into());
    Ok(reply
        .with_header("X-Amzn-Bedrock-Input-Token-Count", embedded.tokens.to_string())
        .with_header("X-Amzn-Bedrock-Invocation-Latency", (40 + embedded.tokens).to_string()))
}

fn titan_text(model: &Model, body: &Value) -> Result<Embedded, Refusal> {
    let second = model.id.contains("-v2");
    let known: &[&str] = if second {
        &["inputText", "dimensions", "normalize", "embeddingTypes"]
    } else {
        &["inputText"]
    };
    members(body, known)?;
    let input = string(body, "inputText")?;
    if input.chars().count() > 50_000 {
        let problem = format!("expected maxLength: 50000, actual: {}", input.chars().count());
        return Err(Refusal::malformed("#/inputText", &problem));
    }
    let count = bounded(model, input)?;
    if !second {
        let vector = numbers(embed::vector(input, dimensions(model, body.get("dimensions"))?));
        let body = json!({ "embedding": vector, "inputTextTokenCount": count });
        return Ok(Embedded { body, tokens: count });
    }
    let mut vector = embed::vector(input, dimensions(model, body.get("dimensions"))?);
    if body.get("normalize").and_then(Value::as_bool) == Some(false) {
        vector.iter_mut().for_each(|value| *value *= 8.0);
    }
    let wanted: Vec<&str> =
        items(body, "embeddingTypes").iter().filter_map(Value::as_str).collect();
    if let Some(kind) = wanted.iter().find(|kind| !["float", "binary"].contains(kind)) {
        let problem = format!("{kind} is not a valid enum value");
        return Err(Refusal::malformed("#/embeddingTypes", &problem));
    }
    let mut typed = Map::new();
    if wanted.contains(&"binary") {
        typed.insert("binary".into(), vector.iter().map(|value| i32::from(*value > 0.0)).collect());
    }
    let mut answer = Map::new();
    if wanted.is_empty() || wanted.contains(&"float") {
        answer.insert("embedding".into(), numbers(vector.clone()));
        typed.insert("float".into(), numbers(vector));
    }
    answer.insert("embeddingsByType".into(), Value::Object(typed));
    answer.insert("inputTextTokenCount".into(), count.into());
    Ok(Embedded { body: Value::Object(answer), tokens: count })
}

fn titan_multimodal(model: &Model, body: &Value) -> Result<Embedded, Refusal> {
    members(body, &["inputText", "inputImage", "embeddingConfig"])?;
    let (words, image) = (text(body, "inputText"), text(body, "inputImage"));
    if words.is_empty() && image.is_empty() {
        return Err(Refusal::validation(
            "Malformed input request: At least one of inputText or inputImage must be provided, please reformat your input and try again.",
        ));
    }
    let count = bounded(model, words)?;
    let length = dimensions(model, body.pointer("/embeddingConfig/outputEmbeddingLength"))?;
    let vector = numbers(embed::vector(&format!("{words}{image}"), length));
    let body = json!({ "embedding": vector, "inputTextTokenCount": count, "message": null });
    Ok(Embedded { body, tokens: count })
}

fn cohere(model: &Model, body: &Value) -> Result<Embedded, Refusal> {
    let fourth = model.id.contains("-v4");
    let mut known = vec!["texts", "images", "input_type", "truncate", "embedding_types"];
    if fourth {
        known.extend(["inputs", "output_dimension", "max_tokens"]);
    }
    members(body, &known)?;
    let kinds = ["search_document", "search_query", "classification", "clustering", "image"];
    let kind = string(body, "input_type")?;
    if !kinds.contains(&kind) {
        return Err(Refusal::malformed(
            "#/input_type",
            &format!("{kind} is not a valid enum value"),
        ));
    }
    let truncate = body.get("truncate").and_then(Value::as_str).unwrap_or("NONE");
    let truncations: &[&str] =
        if fourth { &["NONE", "LEFT", "RIGHT", "START", "END"] } else { &["NONE", "START", "END"] };
    if !truncations.contains(&truncate) {
        return Err(Refusal::malformed(
            "#/truncate",
            &format!("{truncate} is not a valid enum value"),
        ));
    }
    let inputs = cohere_inputs(model, body, fourth)?;
    let length = dimensions(model, body.get("output_dimension"))?;
    let count: u64 = inputs.iter().map(|input| 1 + tokens::of_text(input)).sum();
    let vectors: Vec<Vec<f64>> = inputs.iter().map(|input| embed::vector(input, length)).collect();
    let wanted: Vec<&str> =
        items(body, "embedding_types").iter().filter_map(Value::as_str).collect();
    let mut answer = json!({ "id": uuid::Uuid::now_v7().to_string() });
    // The fourth generation answers by type even without `embedding_types`.
    if wanted.is_empty() && !fourth {
        answer["embeddings"] = vectors.into_iter().map(numbers).collect();
        answer["response_type"] = json!("embeddings_floats");
    } else {
        let wanted = if wanted.is_empty() { vec!["float"] } else { wanted };
        let mut typed = Map::new();
        for kind in wanted {
            let values = vectors.iter().map(|vector| quantised(vector, kind));
            let values: Option<Vec<Value>> = values.collect();
            let Some(values) = values else {
                let problem = format!("{kind} is not a valid enum value");
                return Err(Refusal::malformed("#/embedding_types", &problem));
            };
            typed.insert(kind.to_owned(), Value::Array(values));
        }
        answer["embeddings"] = Value::Object(typed);
        answer["response_type"] = json!("embeddings_by_type");
    }
    if let Some(texts) = body.get("texts") {
        answer["texts"] = texts.clone();
    }
    Ok(Embedded { body: answer, tokens: count })
}

/// The inputs to embed: texts, images or mixed inputs, as strings to hash.
fn cohere_inputs(model: &Model, body: &Value, fourth: bool) -> Result<Vec<String>, Refusal> {
    let sources: Vec<&str> =
        ["texts", "images", "inputs"].into_iter().filter(|key| body.get(*key).is_some()).collect();
    let &[source] = sources.as_slice() else {
        return Err(Refusal::malformed(
            "#",
            "exactly one of [texts, images, inputs] must be provided",
        ));
    };
    let values = items(body, source);
    if values.is_empty() {
        let pointer = format!("#/{source}");
        return Err(Refusal::malformed(&pointer, "expected minimum item count: 1, found: 0"));
    }
    let most = if source == "images" { 1 } else { BATCH };
    if values.len() > most {
        let problem = format!("expected maximum item count: {most}, found: {}", values.len());
        return Err(Refusal::malformed(&format!("#/{source}"), &problem));
    }
    let mut inputs = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let pointer = format!("#/{source}/{index}");
        match (source, value.as_str()) {
            ("inputs", _) => inputs.push(value.to_string()),
            (_, None) => {
                return Err(Refusal::malformed(
                    &pointer,
                    "expected type: String, found: JSONObject",
                ));
            }
            (_, Some("")) => {
                return Err(Refusal::malformed(&pointer, "expected minLength: 1, actualLength: 0"));
            }
            ("images", Some(image)) if !image.starts_with("data:image/") => {
                return Err(Refusal::validation("invalid image: expected a data URI"));
            }
            (_, Some(input)) => {
                let length = input.chars().count();
                if source == "texts" && !fourth && length > 2_048 {
                    let problem = format!("expected maxLength: 2048, actual: {length}");
                    return Err(Refusal::malformed(&pointer, &problem));
                }
                if text(body, "truncate") == "NONE" {
                    bounded(model, input)?;
                }
                inputs.push(input.to_owned());
            }
        }
    }
    Ok(inputs)
}

fn quantised(vector: &[f64], kind: &str) -> Option<Value> {
    let scaled = |value: f64| (value * 1_000.0).round().clamp(-128.0, 127.0);
    let bits = || {
        vector
            .chunks(8)
            .map(|bits| bits.iter().fold(0_i32, |byte, bit| byte * 2 + i32::from(*bit > 0.0)))
    };
    Some(match kind {
        "float" => numbers(vector.to_vec()),
        "int8" => vector.iter().map(|value| whole(scaled(*value))).collect(),
        "uint8" => vector.iter().map(|value| whole(scaled(*value) + 128.0)).collect(),
        "ubinary" => bits().collect(),
        "binary" => bits().map(|byte| byte - 128).collect(),
        _ => return None,
    })
}

fn nova(model: &Model, body: &Value) -> Result<Embedded, Refusal> {
    members(body, &["schemaVersion", "taskType", "singleEmbeddingParams"])?;
    if text(body, "taskType") != "SINGLE_EMBEDDING" {
        return Err(Refusal::malformed(
            "#/taskType",
            "only SINGLE_EMBEDDING is supported by InvokeModel",
        ));
    }
    let Some(params) = body.get("singleEmbeddingParams") else {
        return Err(Refusal::malformed("#", "required key [singleEmbeddingParams] not found"));
    };
    let purposes = [
        "GENERIC_INDEX",
        "GENERIC_RETRIEVAL",
        "TEXT_RETRIEVAL",
        "IMAGE_RETRIEVAL",
        "VIDEO_RETRIEVAL",
        "DOCUMENT_RETRIEVAL",
        "AUDIO_RETRIEVAL",
        "CLASSIFICATION",
        "CLUSTERING",
    ];
    if !purposes.contains(&text(params, "embeddingPurpose")) {
        let pointer = "#/singleEmbeddingParams/embeddingPurpose";
        return Err(Refusal::malformed(pointer, "is missing or not a valid enum value"));
    }
    let length = dimensions(model, params.get("embeddingDimension"))?;
    let kinds: Vec<&str> = ["text", "image", "video", "audio"]
        .into_iter()
        .filter(|kind| params.get(*kind).is_some())
        .collect();
    let &[kind] = kinds.as_slice() else {
        let pointer = "#/singleEmbeddingParams";
        return Err(Refusal::malformed(
            pointer,
            "exactly one of [text, image, video, audio] must be provided",
        ));
    };
    let input = &params[kind];
    let (hashed, count) = if kind == "text" {
        let value = string(input, "value")?;
        if !["START", "END", "NONE"].contains(&text(input, "truncationMode")) {
            let pointer = "#/singleEmbeddingParams/text/truncationMode";
            return Err(Refusal::malformed(pointer, "is missing or not a valid enum value"));
        }
        let count = if text(input, "truncationMode") == "NONE" {
            bounded(model, value)?
        } else {
            tokens::of_text(value).min(model.context)
        };
        (value.to_owned(), count)
    } else {
        (input.to_string(), tokens::of_value(input))
    };
    let vector = numbers(embed::vector(&hashed, length));
    let kind = kind.to_ascii_uppercase();
    let body = json!({ "embeddings": [{ "embedding": vector, "embeddingType": kind }] });
    Ok(Embedded { body, tokens: count.max(1) })
}

fn marengo(model: &Model, body: &Value) -> Result<Embedded, Refusal> {
    let kind = string(body, "inputType")?;
    // The third generation nests the members that the second has at the top.
    let third = model.id.contains("-3-0");
    let input = if third { body.get(kind).unwrap_or(&Value::Null) } else { body };
    let hashed = match kind {
        "text" => {
            let value = string(input, "inputText")?;
            if text(input, "textTruncate") == "none" {
                bounded(model, value)?;
            }
            value.to_owned()
        }
        "image" | "text_image" | "multi_input" | "video" | "audio" => {
            if input.is_null() {
                return Err(Refusal::malformed("#", &format!("required key [{kind}] not found")));
            }
            input.to_string()
        }
        _ => {
            return Err(Refusal::malformed(
                "#/inputType",
                &format!("{kind} is not a valid enum value"),
            ));
        }
    };
    let (_, length) = model.dimensions();
    let vector = numbers(embed::vector(&hashed, usize::try_from(length).unwrap_or(512)));
    let body = json!({ "data": [{ "embedding": vector }] });
    Ok(Embedded { body, tokens: tokens::of_text(&hashed).max(1) })
}

/// Tokens of `input`, refused above the model's limit.
fn bounded(model: &Model, input: &str) -> Result<u64, Refusal> {
    let count = tokens::of_text(input);
    if count > model.context {
        return Err(Refusal::validation(format!(
            "400 Bad Request: Too many input tokens. Max input tokens: {}, request input token count: {count} ",
            model.context
        )));
    }
    Ok(count)
}

fn dimensions(model: &Model, wanted: Option<&Value>) -> Result<usize, Refusal> {
    let (offered, default) = model.dimensions();
    let length = match wanted.filter(|wanted| !wanted.is_null()) {
        None => default,
        Some(wanted) => {
            wanted.as_u64().filter(|length| offered.contains(length)).ok_or_else(|| {
                Refusal::malformed(
                    "#",
                    &format!("{wanted} is not a valid enum value of {offered:?}"),
                )
            })?
        }
    };
    Ok(usize::try_from(length).unwrap_or(1_024))
}

/// Numbers with the service's precision: about that of a 32-bit float.
fn numbers(vector: Vec<f64>) -> Value {
    vector.into_iter().map(|value| (value * 1e9).round() / 1e9).collect()
}

fn whole(value: f64) -> Value {
    let whole = value as i32;
    Value::from(whole)
}
