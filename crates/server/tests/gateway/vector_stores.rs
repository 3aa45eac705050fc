//! Searches of vector stores: filters, several queries, thresholds, refusals, dry runs, and the policy of keys.

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::keys::{MASTER, key};
use super::rig::{Received, Rig};

const PATH: &str = "/v1/vector_stores/EMULATORKB/search";

async fn search(rig: &Rig, request: &Value) -> Received {
    rig.send(Method::POST, PATH, request.to_string().into()).await
}

/// File names of the results of a search that must succeed.
async fn names(rig: &Rig, request: &Value) -> Vec<String> {
    let answer = search(rig, request).await;
    let json = answer.json();
    assert_eq!(answer.status, 200, "{json}");
    let data = json["data"].as_array().unwrap();
    data.iter().map(|one| one["filename"].as_str().unwrap().to_owned()).collect()
}

fn compare(kind: &str, key: &str, value: Value) -> Value {
    let mut filter = json!({ "type": kind, "key": key });
    filter["value"] = value;
    filter
}

#[actix_rt::test]
async fn a_page_has_openais_shape() {
    let rig = Rig::start("").await;
    let request = json!({ "query": "dark volcanic rock from lava", "max_num_results": 2,
        "rewrite_query": true, "ranking_options": { "ranker": "default-2024-11-15" }, "zeal": 1 });
    let answer = search(&rig, &request).await;
    assert_eq!(
        answer.header("x-outcrop-ignored"),
        Some("rewrite_query, ranking_options.ranker, zeal")
    );
    assert!(answer.header("x-amzn-requestid").is_some());
    let page = answer.json();
    assert_eq!(page["object"], "vector_store.search_results.page");
    assert_eq!(page["search_query"], json!(["dark volcanic rock from lava"]));
    assert_eq!((&page["has_more"], &page["next_page"]), (&json!(false), &Value::Null));
    let first = &page["data"][0];
    assert_eq!(first["file_id"], "s3://emulator-rocks/field-guide/basalt.txt");
    assert_eq!(first["filename"], "basalt.txt");
    assert_eq!(
        first["attributes"],
        json!({ "kind": "igneous", "year": 1998, "authors": r#"["A. Mason","B. Quarry"]"# })
    );
    assert_eq!(first["content"][0]["type"], "text");
    assert!(first["content"][0]["text"].as_str().unwrap().starts_with("Basalt is"));
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    rig.stop().await;
}

#[actix_rt::test]
async fn an_image_is_searched_for_by_its_data_url() {
    let rig = Rig::start("").await;
    let png = "iVBORw0KGgo=";
    let url = format!("data:image/png;base64,{png}");
    let picture = |image: &str| {
        let location = json!({ "type": "S3", "s3Location": { "uri": "s3://rocks/atlas.pdf" } });
        json!({ "content": { "type": "IMAGE", "byteContent": image }, "location": location, "score": 0.5 })
    };
    let clip = json!({ "content": { "type": "AUDIO", "audio": { "s3Uri": "s3://rocks/a", "transcription": "Gneiss." } }, "score": 0.4 });
    let results = json!([picture("data:image/png;base64,AA=="), picture(&url), clip]);
    rig.emulator.script().push(Step::Answer(json!({ "retrievalResults": results })));
    let answer = search(&rig, &json!({ "query": [url, "slate"] })).await;
    let page = answer.json();
    assert_eq!(answer.status, 200, "{page}");
    assert_eq!(page["search_query"], json!(["data:image/png;base64", "slate"]));
    let images: Vec<&Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["outcrop"]["image_url"])
        .filter(|url| url.is_string())
        .collect();
    assert_eq!(images.len(), 2, "two images of one document are two passages: {page}");
    assert!(page["data"].to_string().contains("Gneiss."), "{page}");
    let calls = rig.emulator.journal().calls();
    let mut queries: Vec<String> =
        calls.iter().map(|call| call.body["retrievalQuery"].to_string()).collect();
    queries.sort_unstable();
    let image = json!({ "image": { "format": "png", "inlineContent": png }, "type": "IMAGE" });
    assert_eq!(queries, [image.to_string(), json!({ "text": "slate" }).to_string()]);

    // The emulator's knowledge base finds something for an image too.
    assert!(
        !names(&rig, &json!({ "query": format!("data:image/png;base64,{png}") })).await.is_empty()
    );
    let large = format!("data:image/png;base64,{png}{}", "A".repeat(7_000_000 / 4 * 4));
    for query in [&large, "data:image/png;base64,%%", "data:image/svg+xml;base64,PHN2Zz4="] {
        let refused = search(&rig, &json!({ "query": query })).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, &error["param"]), (400, &json!("query")), "{error}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn filters_hold_for_the_metadata() {
    let rig = Rig::start("").await;
    let year = |kind: &str, value: u64| compare(kind, "year", json!(value));
    for (filters, expected) in [
        (compare("eq", "kind", json!("metamorphic")), vec!["marble.md", "slate.md"]),
        (compare("in", "kind", json!(["metamorphic"])), vec!["marble.md", "slate.md"]),
        (
            compare("nin", "kind", json!(["metamorphic", "igneous"])),
            vec!["chalk.pdf", "sandstone.pdf"],
        ),
        (year("gt", 2019), vec!["chalk.pdf"]),
        (year("gte", 2019), vec!["chalk.pdf", "sandstone.pdf"]),
        (year("lt", 2004), vec!["basalt.txt"]),
        (year("lte", 2004), vec!["basalt.txt", "granite.txt"]),
        (
            json!({ "type": "and", "filters": [compare("ne", "kind", json!("igneous")), year("lt", 2016)] }),
            vec!["marble.md"],
        ),
        (
            json!({ "type": "or", "filters": [year("eq", 2023), { "type": "and", "filters": [year("eq", 1998)] }] }),
            vec!["basalt.txt", "chalk.pdf"],
        ),
    ] {
        let mut found = names(&rig, &json!({ "query": "rock", "filters": filters })).await;
        found.sort_unstable();
        assert_eq!(found, expected, "{filters}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn several_queries_are_merged_and_scores_have_a_threshold() {
    let rig = Rig::start("").await;
    let queries = ["volcanic rock from lava", "soft white limestone of shells"];
    let found = names(&rig, &json!({ "query": queries, "max_num_results": 2 })).await;
    assert_eq!(rig.emulator.journal().calls().len(), 2);
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["basalt.txt", "chalk.pdf"], "the best of each");
    let all = search(&rig, &json!({ "query": queries })).await.json();
    let scores: Vec<f64> =
        all["data"].as_array().unwrap().iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert_eq!(scores.len(), 6, "each passage once");
    assert!(scores.is_sorted_by(|one, other| one >= other), "{scores:?}");
    let threshold = f64::midpoint(scores[1], scores[2]);
    let request = json!({ "query": queries, "ranking_options": { "score_threshold": threshold } });
    assert_eq!(names(&rig, &request).await, found);
    rig.stop().await;
}

#[actix_rt::test]
async fn places_of_all_kinds_name_the_file() {
    let rig = Rig::start("").await;
    for (location, content, name, text) in [
        (
            json!({ "type": "WEB", "webLocation": { "url": "https://a.example/b/" } }),
            json!({ "type": "TEXT", "text": "t" }),
            "b",
            json!([{ "type": "text", "text": "t" }]),
        ),
        (
            json!({ "type": "CUSTOM", "customDocumentLocation": { "id": "doc-1" } }),
            json!({ "type": "IMAGE", "byteContent": "data:image/png;base64,AAAA" }),
            "doc-1",
            json!([]),
        ),
        (
            json!({ "type": "SQL", "sqlLocation": { "query": "select 1" } }),
            json!({ "type": "ROW", "row": [{ "columnName": "a", "columnValue": "1", "type": "LONG" }, { "columnName": "b" }] }),
            "select 1",
            json!([{ "type": "text", "text": "a: 1\nb: " }]),
        ),
        (Value::Null, json!({ "text": "t" }), "", json!([{ "type": "text", "text": "t" }])),
    ] {
        let results = json!({ "retrievalResults": [{ "content": content, "location": location }] });
        rig.emulator.script().push(Step::Text { body: results.to_string(), headers: [].into() });
        let page = search(&rig, &json!({ "query": "q" })).await.json();
        let one = &page["data"][0];
        assert_eq!((&one["filename"], &one["content"]), (&json!(name), &text), "{page}");
        assert_eq!((&one["score"], &one["attributes"]), (&json!(0.0), &json!({})));
    }
    rig.emulator.script().push(Step::Text { body: "{}".to_owned(), headers: [].into() });
    let unread = search(&rig, &json!({ "query": "q" })).await;
    assert_eq!(
        (unread.status, &unread.json()["error"]["code"]),
        (502, &json!("upstream_unreadable"))
    );
    rig.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_searched_is_refused_with_its_place() {
    let rig = Rig::start("").await;
    let filter = |filter: Value| json!({ "query": "q", "filters": filter });
    for (request, param, code) in [
        (json!({}), "query", "missing_required_parameter"),
        (json!({ "query": 3 }), "query", "invalid_type"),
        (json!({ "query": [] }), "query", "empty_array"),
        (json!({ "query": ["a", " "] }), "query", "invalid_value"),
        (json!({ "query": vec!["q"; 11] }), "query", "array_above_max_length"),
        (json!({ "query": "q", "max_num_results": 51 }), "max_num_results", "invalid_value"),
        (json!({ "query": "q", "max_num_results": 0 }), "max_num_results", "invalid_value"),
        (filter(compare("like", "k", json!(1))), "filters.type", "invalid_value"),
        (
            filter(json!({ "type": "eq", "key": "k" })),
            "filters.value",
            "missing_required_parameter",
        ),
        (filter(json!({ "type": "eq", "value": 1 })), "filters.key", "missing_required_parameter"),
        (filter(json!({ "type": "and", "filters": [] })), "filters.filters", "empty_array"),
        (
            filter(json!({ "type": "or", "filters": [{ "type": "x" }] })),
            "filters.filters[0].type",
            "invalid_value",
        ),
    ] {
        let answer = search(&rig, &request).await;
        let error = &answer.json()["error"];
        let found = (answer.status, error["param"].as_str(), error["code"].as_str());
        assert_eq!(found, (400, Some(param), Some(code)), "{request} {error}");
    }
    assert!(rig.emulator.journal().calls().is_empty(), "something was sent all the same");
    for id in ["vs_abc123", "OTHERKB123", "arn%3Aaws%3Abedrock"] {
        let path = format!("/v1/vector_stores/{id}/search");
        let lost = rig.send(Method::POST, &path, r#"{"query":"q"}"#.into()).await;
        let error = &lost.json()["error"];
        assert_eq!((lost.status, &error["param"]), (404, &json!("vector_store_id")), "{error}");
    }
    let made = rig.send(Method::POST, "/v1/vector_stores", "{}".into()).await;
    let message = made.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(made.status == 501 && message.contains("KNOWLEDGE_BASE_ID/search"), "{message}");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_dry_run_shows_every_call() {
    let rig = Rig::start("").await;
    let dry = [("x-outcrop-dry-run", "true")];
    let body = json!({ "query": ["a", "b"], "max_num_results": 7 }).to_string().into();
    let shown = rig.send_with(&dry, Method::POST, PATH, body).await.json();
    let calls = shown["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2, "{shown}");
    assert!(calls[0]["url"].as_str().unwrap().ends_with("/knowledgebases/EMULATORKB/retrieve"));
    assert_eq!(
        calls[1]["body"],
        json!({ "retrievalQuery": { "text": "b" },
            "retrievalConfiguration": { "vectorSearchConfiguration": { "numberOfResults": 7 } } })
    );
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn policies_of_the_operation_hold_for_searches() {
    let rig = Rig::start(MASTER).await;
    for (rules, status) in [
        (json!({}), 200),
        (json!({ "allowed_operations": ["Converse"] }), 403),
        (json!({ "allowed_operations": ["Retrieve"] }), 200),
        (json!({ "denied_passthrough_routes": ["/bedrock/knowledgebases/EMULATORKB"] }), 403),
        (json!({ "max_budget": 1 }), 400),
    ] {
        let bearer = format!("Bearer {}", key(&rig, rules.clone()).await);
        let headers = [("authorization", bearer.as_str())];
        let body = r#"{"query":"q"}"#.into();
        let answer = rig.send_with(&headers, Method::POST, PATH, body).await;
        assert_eq!(answer.status, status, "{rules} {:?}", answer.body);
    }
    rig.stop().await;
}
