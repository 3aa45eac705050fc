//! Probes. Liveness means that this process responds; readiness also means that it wants traffic.
//! Neither calls AWS, because an AWS outage must not restart the gateway or remove it from the load
//! balancer.

use std::time::Duration;

use access::ledger::FailMode;
use actix_web::HttpResponse;
use actix_web::guard::GuardContext;
use actix_web::web::Data;
use serde_json::json;

use crate::panic_guard;
use crate::readiness::Credentials;
use crate::state::Worker;

/// The longest wait for the store of accounts.
const PATIENCE: Duration = Duration::from_secs(1);
/// Headers with which LiteLLM's `/health` is asked for, rather than the probe.
const KEYS: [&str; 4] = ["authorization", "api-key", "x-api-key", "x-litellm-api-key"];

/// Responds while the process runs.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// The same in LiteLLM's words.
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json("I'm alive!")
}

/// Reports whether the gateway is configured, bound and not draining.
pub(crate) async fn ready(worker: Data<Worker>) -> HttpResponse {
    match obstacle(&worker) {
        Some(status) => HttpResponse::ServiceUnavailable().json(json!({ "status": status })),
        None => {
            // Panics are faults of the gateway's, to be reported; it serves on.
            let panics = panic_guard::count();
            HttpResponse::Ok().json(json!({ "status": "ready", "panics": panics }))
        }
    }
}

/// The same in LiteLLM's words, with the store of accounts: calls are refused while it is away, unless configured
/// otherwise.
pub(crate) async fn ready_with_store(worker: Data<Worker>) -> HttpResponse {
    let (db, serves) = match &worker.shared.accounts {
        None => ("Not connected", true),
        Some(accounts) => match tokio::time::timeout(PATIENCE, accounts.store().version()).await {
            Ok(Ok(_)) => ("connected", true),
            Ok(Err(_)) | Err(_) => {
                let passes = worker.now().config.access.fail_mode == FailMode::Open;
                ("disconnected", passes)
            }
        },
    };
    let panics = panic_guard::count();
    match obstacle(&worker) {
        Some(status) => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": status, "db": db }))
        }
        None if !serves => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "unhealthy", "db": db }))
        }
        None => HttpResponse::Ok().json(json!({ "status": "healthy", "db": db, "panics": panics })),
    }
}

/// Whether a request has no key: `/health` is a probe then.
pub(crate) fn is_probe(context: &GuardContext<'_>) -> bool {
    let headers = context.head().headers();
    !KEYS.iter().any(|name| headers.contains_key(*name))
}

/// The reason not to send traffic here.
fn obstacle(worker: &Worker) -> Option<&'static str> {
    match worker.shared.readiness.credentials() {
        _ if worker.shared.draining.has_begun() => Some("draining"),
        Credentials::Sought => Some("starting"),
        Credentials::Missing => Some("no_credentials"),
        Credentials::Found => None,
    }
}
