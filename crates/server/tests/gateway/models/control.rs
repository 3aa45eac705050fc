//! A control plane that answers in pages, and one that is unavailable.

use std::sync::Mutex;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use super::super::rig::Rig;
use super::{get, ids};

/// Answers the two lists, the profiles in three pages; records the queries.
async fn page(request: HttpRequest, asked: web::Data<Mutex<Vec<String>>>) -> HttpResponse {
    let query = request.query_string();
    asked.lock().unwrap().push(query.to_owned());
    let profile = |name: &str| json!({ "inferenceProfileId": format!("us.maker.{name}"), "status": "ACTIVE", "type": "SYSTEM_DEFINED" });
    HttpResponse::Ok().json(match request.path() {
        "/foundation-models" => json!({ "modelSummaries": [
            { "modelId": "maker.one", "inferenceTypesSupported": ["ON_DEMAND"], "outputModalities": ["TEXT"], "inputModalities": ["TEXT", "IMAGE"],
              "responseStreamingSupported": true, "modelLifecycle": { "status": "LEGACY", "endOfLifeTime": "2999-01-08T00:00:00Z" } },
            { "modelId": "maker.only-bought", "inferenceTypesSupported": ["PROVISIONED"] },
        ] }),
        _ if query.contains("APPLICATION") => json!({ "inferenceProfileSummaries": [] }),
        _ if query.ends_with("nextToken=a%2Fb%3D") => {
            json!({ "inferenceProfileSummaries": [profile("two")], "nextToken": "last" })
        }
        _ if query.ends_with("nextToken=last") => json!({ "inferenceProfileSummaries": [profile("three")] }),
        _ => json!({ "inferenceProfileSummaries": [profile("one")], "nextToken": "a/b=" }),
    })
}

#[actix_rt::test]
async fn all_pages_are_read() {
    let asked = web::Data::new(Mutex::new(Vec::<String>::new()));
    let data = web::Data::clone(&asked);
    let control = HttpServer::new(move || {
        App::new().app_data(web::Data::clone(&data)).default_service(web::to(page))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}", control.addrs()[0]);
    let control = control.run();
    let handle = control.handle();
    actix_rt::spawn(control);
    let rig = Rig::before_url(&url, "").await;
    let (status, list) = get(&rig, "/v1/models").await;
    assert_eq!(status, 200);
    assert_eq!(ids(&list), ["maker.one", "us.maker.one", "us.maker.two", "us.maker.three"]);
    let one = &list["data"][0];
    assert_eq!((&one["owned_by"], &one["shutdown_date"]), (&json!("maker"), &json!("2999-01-08")));
    assert_eq!(one["lifecycle"]["status"], "legacy");
    assert_eq!(one["capabilities"]["input_modalities"], json!(["text", "image"]));
    // The profile of a model has the same facts.
    assert_eq!(list["data"][1]["lifecycle"], one["lifecycle"]);
    assert_eq!(asked.lock().unwrap().len(), 5);
    rig.stop().await;
    handle.stop(false).await;
}

#[actix_rt::test]
async fn an_unavailable_control_plane_is_no_error() {
    // A port that was free a moment ago, without a listener.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rig = Rig::before_url(&format!("http://{gone}"), "").await;
    for _ in 0..2 {
        let (status, list) = get(&rig, "/v1/models").await;
        assert_eq!(status, 200);
        assert!(ids(&list).contains(&"us.anthropic.claude-sonnet-5-5"));
    }
    rig.stop().await;
}
