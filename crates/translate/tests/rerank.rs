//! Rerank requests in the shapes of four APIs, their bodies for both protocols, and the answers.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use schema::rerank::RerankRequest;
use serde_json::{Value, json};
use translate::Invalid;
use translate::profile::RerankShape::{self, Plain, Versioned};
use translate::rerank::{RerankApi, RerankStamp, answer, question};

/// The body for a request, and the fields without effect.
fn body(request: &Value, shape: RerankShape) -> Result<(Value, Vec<String>), Invalid> {
    let text = request.to_string();
    let request: RerankRequest<'_> = serde_json::from_str(&text).unwrap();
    let question = question(&request, shape)?;
    let body = serde_json::to_value(question.body(shape)).unwrap();
    Ok((body, question.report.ignored().to_vec()))
}

fn answered(request: &Value, api: RerankApi, body: &Value) -> Result<Value, serde_json::Error> {
    let text = request.to_string();
    let request: RerankRequest<'_> = serde_json::from_str(&text).unwrap();
    let question = question(&request, Plain).unwrap();
    let stamp = RerankStamp { id: "rerank-1", model: "m", api, search_units: 2, tokens: 7 };
    let answer = answer(&request, &question, body.to_string().as_bytes(), stamp)?;
    Ok(serde_json::to_value(answer).unwrap())
}

fn refused(request: &Value) -> (String, &'static str) {
    let invalid = body(request, Plain).unwrap_err();
    (invalid.param.unwrap(), invalid.code)
}

fn ask(more: Value) -> Value {
    let mut request = json!({ "model": "m", "query": "q", "documents": ["a", "b", "c"] });
    let Value::Object(more) = more else { panic!("{more}") };
    request.as_object_mut().unwrap().extend(more);
    request
}

#[test]
fn each_protocol_has_its_body() {
    let request = ask(json!({ "top_n": 2, "max_tokens_per_doc": 99, "zeal": 1, "user": "u" }));
    let common = json!({ "query": "q", "documents": ["a", "b", "c"], "top_n": 2 });
    let mut versioned = common.clone();
    versioned["api_version"] = json!(2);
    versioned["max_tokens_per_doc"] = json!(99);
    assert_eq!(
        body(&request, Plain).unwrap(),
        (common, ["max_tokens_per_doc", "user", "zeal"].map(str::to_owned).to_vec())
    );
    assert_eq!(
        body(&request, Versioned).unwrap(),
        (versioned, ["user", "zeal"].map(str::to_owned).to_vec())
    );
    let (whole, _) = body(&ask(json!({ "top_n": 50 })), Plain).unwrap();
    assert_eq!(whole["top_n"], 3, "no more than there are");
}

#[test]
fn documents_are_texts_or_objects() {
    let documents = json!(["a\n", { "text": "b \"x\"" }, { "title": "t", "n": 1 }, { "text": 5, "image": "i" }]);
    let (whole, _) = body(&ask(json!({ "documents": documents })), Plain).unwrap();
    assert_eq!(
        whole["documents"],
        json!(["a\n", "b \"x\"", r#"{"title":"t","n":1}"#, r#"{"text":5,"image":"i"}"#])
    );
    let fields = ask(json!({
        "documents": [{ "text": "b", "title": "t", "year": 9 }, "plain"],
        "rank_fields": ["title", "year", "none"],
    }));
    assert_eq!(body(&fields, Plain).unwrap().0["documents"], json!(["title: t\nyear: 9", "plain"]));
    let query = ask(json!({ "query": { "text": "of an object" } }));
    assert_eq!(body(&query, Plain).unwrap().0["query"], "of an object");
}

#[test]
fn blank_documents_stay_here_and_score_nothing() {
    let request = ask(json!({ "documents": [" ", "b", "", "d"], "return_documents": false }));
    let (sent, _) = body(&request, Plain).unwrap();
    assert_eq!(sent["documents"], json!(["b", "d"]));
    let results = json!({ "results": [{ "index": 1, "relevance_score": 0.9 }, { "index": 0, "relevance_score": 0.25 }] });
    let answer = answered(&request, RerankApi::First, &results).unwrap();
    assert_eq!(
        answer["results"],
        json!([
            { "index": 3, "relevance_score": 0.9 },
            { "index": 1, "relevance_score": 0.25 },
            { "index": 0, "relevance_score": 0.0 },
            { "index": 2, "relevance_score": 0.0 },
        ])
    );
}

#[test]
fn answers_repeat_documents_as_each_version_does() {
    let results = json!({ "results": [{ "index": 2, "relevance_score": 0.5 }, { "index": 0, "relevance_score": 0.75 }] });
    let objects = json!({ "documents": [{ "text": "a", "k": 1 }, "b", "c"], "top_n": 2 });
    let first = answered(&ask(objects.clone()), RerankApi::First, &results).unwrap();
    assert_eq!(
        first,
        json!({
            "id": "rerank-1",
            "model": "m",
            "results": [
                { "index": 0, "relevance_score": 0.75, "document": { "text": "a", "k": 1 } },
                { "index": 2, "relevance_score": 0.5, "document": { "text": "c" } },
            ],
            "meta": { "api_version": { "version": "1" }, "billed_units": { "search_units": 2 } },
            "usage": { "total_tokens": 7 },
        })
    );
    let second = answered(&ask(objects.clone()), RerankApi::Second, &results).unwrap();
    assert_eq!(second["results"][0], json!({ "index": 0, "relevance_score": 0.75 }));
    assert_eq!(second["meta"]["api_version"]["version"], "2");
    let mut asked = objects;
    asked["return_documents"] = json!(true);
    let asked = answered(&ask(asked), RerankApi::Second, &results).unwrap();
    assert_eq!(asked["results"][1]["document"], json!({ "text": "c" }));
}

#[test]
fn requests_with_texts_get_a_plain_array() {
    let results = json!({ "results": [{ "index": 0, "relevance_score": 0.5 }, { "index": 1, "relevance_score": 0.75 }] });
    let mut request =
        json!({ "model": "m", "query": "q", "texts": ["a", "b"], "raw_scores": false });
    let answer = answered(&request, RerankApi::First, &results).unwrap();
    assert_eq!(answer, json!([{ "index": 1, "score": 0.75 }, { "index": 0, "score": 0.5 }]));
    request["return_text"] = json!(true);
    let answer = answered(&request, RerankApi::First, &results).unwrap();
    assert_eq!(answer[0], json!({ "index": 1, "score": 0.75, "text": "b" }));
    request["raw_scores"] = json!(true);
    assert_eq!(body(&request, Plain).unwrap().1, ["raw_scores"]);
}

#[test]
fn requests_that_cannot_be_ranked_name_the_field() {
    for (more, param, code) in [
        (json!({ "documents": null }), "documents", "missing_required_parameter"),
        (json!({ "documents": [] }), "documents", "empty_array"),
        (json!({ "documents": ["", " "] }), "documents", "invalid_value"),
        (json!({ "documents": vec!["x"; 1001] }), "documents", "array_above_max_length"),
        (json!({ "documents": ["a", { "image": "i" }] }), "documents[1]", "invalid_value"),
        (json!({ "texts": ["a"] }), "texts", "invalid_value"),
        (json!({ "query": " " }), "query", "invalid_value"),
        (json!({ "top_n": 0 }), "top_n", "integer_below_min_value"),
    ] {
        assert_eq!(refused(&ask(more.clone())), (param.to_owned(), code), "{more}");
    }
}

#[test]
fn answers_about_other_documents_are_errors() {
    for body in [
        json!({}),
        json!([]),
        json!({ "results": [{ "index": 3, "relevance_score": 0.5 }] }),
        json!({ "results": [{ "index": 0 }] }),
    ] {
        assert!(answered(&ask(json!({})), RerankApi::First, &body).is_err(), "{body}");
    }
}
