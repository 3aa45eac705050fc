//! Probes. Alive means that this process answers; ready also means that it wants traffic. Neither
//! asks AWS: an outage there must not restart or unplug the gateway.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::Worker;

/// The process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The gateway is configured, bound and not draining.
pub(crate) async fn ready(worker: Data<Worker>) -> HttpResponse {
    if worker.shared.is_draining() {
        HttpResponse::ServiceUnavailable().json(serde_json::json!({ "status": "draining" }))
    } else {
        HttpResponse::Ok().json(serde_json::json!({ "status": "ready" }))
    }
}
