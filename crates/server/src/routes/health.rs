//! Probes. Alive means that this process answers; ready also means that it wants traffic. Neither
//! asks AWS: an outage there must not restart or unplug the gateway.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::Worker;
use crate::panic_guard;
use crate::readiness::Credentials;

/// The process answers.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The gateway is configured and bound, has found credentials, and is not draining.
pub(crate) async fn ready(worker: Data<Worker>) -> HttpResponse {
    let obstacle = match worker.shared.readiness.credentials() {
        _ if worker.shared.is_draining() => Some("draining"),
        Credentials::Sought => Some("starting"),
        Credentials::Missing => Some("no_credentials"),
        Credentials::Found => None,
    };
    match obstacle {
        Some(status) => {
            HttpResponse::ServiceUnavailable().json(serde_json::json!({ "status": status }))
        }
        None => {
            // Panics are faults of the gateway's, to be reported; it serves on.
            let panics = panic_guard::count();
            HttpResponse::Ok().json(serde_json::json!({ "status": "ready", "panics": panics }))
        }
    }
}
