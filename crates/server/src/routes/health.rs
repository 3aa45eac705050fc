//! Probes. Liveness means that this process responds; readiness also means that it wants traffic.
//! Neither calls AWS, because an AWS outage must not restart the gateway or remove it from the load
//! balancer.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::panic_guard;
use crate::readiness::Credentials;
use crate::state::Worker;

/// Responds while the process runs.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// Reports whether the gateway is configured, bound and not draining.
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
