//! Complete embeddings translations: `fixtures/embeddings/*.json` holds a shape, a request and,
//! where needed, the answers to its calls. `INSTA_UPDATE=always cargo test` writes the snapshots.
//! Properties follow below.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use schema::openai::embeddings::EmbeddingsRequest;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use translate::Profile;
use translate::embeddings::{Codec, EmbeddingPlan, UnknownToken, question};
use translate::profile::EmbeddingShape;

#[path = "support/case.rs"]
mod case;
#[macro_use]
#[path = "support/snapshots.rs"]
mod snapshots;

/// A tokenizer with a vocabulary of a thousand words.
const CODEC: Codec = Codec {
    text_of: |tokens| match tokens.iter().position(|token| *token >= 1000) {
        Some(at) => Err(UnknownToken { at }),
        None => Ok(tokens.iter().map(|token| format!("word{token} ")).collect()),
    },
    base64: |bytes| STANDARD.encode(bytes),
};

#[derive(Deserialize)]
struct Case<'a> {
    shape: EmbeddingShape,
    #[serde(borrow)]
    request: &'a RawValue,
    #[serde(borrow, default)]
    answers: Vec<CallAnswer<'a>>,
}

#[derive(Deserialize)]
struct CallAnswer<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    counted: Option<u64>,
}

#[test]
fn embeddings() {
    assert_fixtures!("fixtures/embeddings/*.json", |text: &str| {
        shown(&serde_json::from_str(text).unwrap())
    });
}

fn shown(case: &Case<'_>) -> String {
    let request: EmbeddingsRequest<'_> = serde_json::from_str(case.request.get()).unwrap();
    let EmbeddingPlan { calls, mut answers, report } = match question(&request, case.shape, CODEC) {
        Ok(question) => question,
        Err(invalid) => return format!("{invalid:#?}"),
    };
    let mut shown = format!("ignored: {:?}\n", report.ignored());
    for call in &calls {
        shown += &serde_json::to_string(call).unwrap();
        shown.push('\n');
    }
    if case.answers.is_empty() {
        return shown;
    }
    // Out of order: the last first.
    for (at, answer) in case.answers.iter().enumerate().rev() {
        if let Err(error) = answers.take(at, answer.body.get().as_bytes(), answer.counted) {
            return format!("{shown}unreadable: {error}");
        }
    }
    shown + &serde_json::to_string_pretty(&answers.finish("m".to_owned())).unwrap()
}

#[test]
fn the_catalogue_spells_the_shapes_like_this() {
    for (name, shape) in [
        ("titan_v1", EmbeddingShape::TitanV1),
        ("titan_v2", EmbeddingShape::TitanV2),
        ("titan_multimodal", EmbeddingShape::TitanMultimodal),
        ("cohere_v3", EmbeddingShape::CohereV3),
        ("cohere_v4", EmbeddingShape::CohereV4),
        ("nova_multimodal", EmbeddingShape::NovaMultimodal),
        ("marengo2", EmbeddingShape::Marengo2),
        ("marengo3", EmbeddingShape::Marengo3),
    ] {
        let profile: Profile = serde_json::from_value(json!({ "embedding": name })).unwrap();
        assert_eq!(profile.embedding, Some(shape), "{name}");
    }
}

#[test]
fn an_answer_without_a_call_is_refused() {
    let request = json!({ "model": "m", "input": "one" }).to_string();
    let request: EmbeddingsRequest<'_> = serde_json::from_str(&request).unwrap();
    let mut answers = question(&request, EmbeddingShape::TitanV1, CODEC).unwrap().answers;
    for body in ["", "[]", "{}", r#"{"embedding":{}}"#, r#"{"embedding":[]}"#, r#"{"embedding":3}"#]
    {
        assert!(answers.take(0, body.as_bytes(), None).is_err(), "{body}");
    }
    assert!(answers.take(1, br#"{"embedding":[1]}"#, None).is_err());
}

/// Requests one text from Titan, answers with this vector, and returns the client's embedding.
fn embedded(vector: &str, format: &str) -> Value {
    let request = json!({ "model": "m", "input": "one", "encoding_format": format }).to_string();
    let request: EmbeddingsRequest<'_> = serde_json::from_str(&request).unwrap();
    let mut answers = question(&request, EmbeddingShape::TitanV2, CODEC).unwrap().answers;
    let body = format!("{{\"embedding\":{vector},\"inputTextTokenCount\":1}}");
    answers.take(0, body.as_bytes(), None).unwrap();
    let mut response = serde_json::to_value(answers.finish("m".to_owned())).unwrap();
    response["data"][0]["embedding"].take()
}

fn decoded(base64: &Value) -> Vec<f32> {
    let bytes = STANDARD.decode(base64.as_str().unwrap()).unwrap();
    let (floats, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    floats.iter().copied().map(f32::from_le_bytes).collect()
}

proptest! {
    #[test]
    fn base64_holds_the_floats(vector in prop::collection::vec(any::<f32>().prop_filter("JSON has no others", |f| f.is_finite()), 1..64)) {
        let json = serde_json::to_string(&vector).unwrap();
        prop_assert_eq!(decoded(&embedded(&json, "base64")), vector.clone());
        let floats: Vec<f32> = serde_json::from_value(embedded(&json, "float")).unwrap();
        prop_assert_eq!(floats, vector);
    }

    #[test]
    fn digits_beyond_a_float_are_rounded_once(vector in prop::collection::vec(-1.0_f64..1.0, 1..64)) {
        let spelled: Vec<String> = vector.iter().map(|value| format!("{value:.18}")).collect();
        let json = format!("[ {} ]", spelled.join(" , "));
        let expected: Vec<f32> = spelled.iter().map(|value| value.parse().unwrap()).collect();
        prop_assert_eq!(decoded(&embedded(&json, "base64")), expected);
        let sent = embedded(&json, "float");
        prop_assert_eq!(sent.as_array().unwrap().len(), vector.len());
    }

    #[test]
    fn any_json_is_answered_without_panic(input in any_json(), shape in 0..8_usize) {
        let shapes = ["titan_v1", "titan_v2", "titan_multimodal", "cohere_v3", "cohere_v4", "nova_multimodal", "marengo2", "marengo3"];
        let shape = serde_json::from_value(json!(shapes[shape])).unwrap();
        let request = json!({ "model": "m", "input": input }).to_string();
        if let Ok(request) = serde_json::from_str::<EmbeddingsRequest<'_>>(&request)
            && let Ok(EmbeddingPlan { calls, mut answers, .. }) = question(&request, shape, CODEC)
        {
            prop_assert!(!calls.is_empty());
            let _ = answers.take(0, input.to_string().as_bytes(), Some(1));
            let body = json!({ "embedding": input, "embeddings": input, "data": input }).to_string();
            let _ = answers.take(0, body.as_bytes(), None);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..2000_u32).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("embedding|float|data", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
