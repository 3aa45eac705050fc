//! ARNs that do not contain their model: the control plane is asked once, and only if the operator has not
//! named the model.

use std::sync::Mutex;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::super::rig::Rig;

const PROFILE: &str =
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6";

/// Both temperature and top_p, which the emulator's application profiles refuse, as their model does.
fn ask(model: &str) -> Value {
    json!({
        "model": model, "temperature": 0.5, "top_p": 0.5,
        "messages": [{ "role": "user", "content": "Hi" }],
    })
}

#[actix_rt::test]
async fn an_application_profile_is_treated_as_its_model() {
    let rig = Rig::start("").await;
    let request = ask(PROFILE);
    let answers = futures_util::future::join_all((0..8).map(|_| rig.chat(&request))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answer.header("x-outcrop-ignored"), Some("top_p"));
    }
    let calls = rig.emulator.journal().calls();
    let asked: Vec<_> = calls.iter().filter(|call| call.operation == "inference-profile").collect();
    assert_eq!(asked.len(), 1, "eight calls at once ask once: {calls:#?}");
    assert!(asked[0].path.starts_with("/inference-profiles/arn%3Aaws%3Abedrock"));
    assert_eq!(asked[0].method, "GET");
    rig.stop().await;
}

#[actix_rt::test]
async fn a_model_named_by_the_operator_needs_no_lookup() {
    let yaml = format!(
        "models:\n  mine: {{ model: \"{PROFILE}\", base_model: claude-3-haiku, accepts: {{ sampling: one }} }}\n\
         catalogue:\n  \"{}\": {{ profile: {{ sampling: one }} }}\n",
        PROFILE.replace("a1b2", "0000"),
    );
    let rig = Rig::start(&yaml).await;
    for name in ["mine", &PROFILE.replace("a1b2", "0000")] {
        let answer = rig.chat(&ask(name)).await;
        assert_eq!(
            (answer.status, answer.header("x-outcrop-ignored")),
            (200, Some("top_p")),
            "{name}"
        );
    }
    let calls = rig.emulator.journal().calls();
    assert!(calls.iter().all(|call| call.operation == "converse"), "{calls:#?}");
    rig.stop().await;
}

/// A Bedrock whose control plane refuses every request.
async fn forbidding(request: HttpRequest, asked: web::Data<Mutex<Vec<String>>>) -> HttpResponse {
    asked.lock().unwrap().push(request.path().to_owned());
    if request.path().starts_with("/model/") {
        return HttpResponse::Ok().json(json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": "Hi" }] } },
            "stopReason": "end_turn",
            "usage": { "inputTokens": 1, "outputTokens": 1, "totalTokens": 2 },
            "metrics": { "latencyMs": 1 },
        }));
    }
    HttpResponse::Forbidden().insert_header(("x-amzn-errortype", "AccessDeniedException")).json(
        json!({ "message": "User is not authorized to perform: bedrock:GetInferenceProfile" }),
    )
}

#[actix_rt::test]
async fn a_refused_lookup_does_not_stop_the_call() {
    let asked = web::Data::new(Mutex::new(Vec::<String>::new()));
    let data = web::Data::clone(&asked);
    let server = HttpServer::new(move || {
        App::new().app_data(web::Data::clone(&data)).default_service(web::to(forbidding))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    let rig = Rig::before_url(&url, "").await;
    for _ in 0..3 {
        let answer = rig.chat(&ask(PROFILE)).await;
        assert_eq!((answer.status, answer.header("x-outcrop-ignored")), (200, None));
    }
    let asked = asked.lock().unwrap().clone();
    let (calls, questions): (Vec<_>, Vec<_>) =
        asked.iter().partition(|path| path.starts_with("/model/"));
    assert_eq!((calls.len(), questions.len()), (3, 1), "the refusal is remembered: {asked:?}");
    rig.stop().await;
    handle.stop(false).await;
}
