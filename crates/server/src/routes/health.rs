//! Probes. Alive means that this process answers; ready also means that it wants traffic. Neither
//! asks AWS: an outage there must not restart or unplug the gateway.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::Worker;
use crate::panics;

/// The process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The gateway is configured, bound and not draining.
pub(crate) async fn ready(worker: Data<Worker>) -> HttpResponse {
    if worker.shared.is_draining() {
        HttpResponse::ServiceUnavailable().json(serde_json::json!({ "status": "draining" }))
    } else {
        // Panics are faults of the gateway's, to be reported; it serves on.
        let panics = panics::count();
        HttpResponse::Ok().json(serde_json::json!({ "status": "ready", "panics": panics }))
    }
}
