//! `GET /metrics`: all metrics in OpenMetrics' text format.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use access::{Denied, Principal};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::refusal;
use crate::credential;
use crate::overload::ShedReason;
use crate::readiness::Credentials;
use crate::state::{Shared, Worker};
use crate::telemetry::metrics::scrape::{self, AccountsState, Scrape};
use routing::{HealthState, TargetState};

/// Responds to the operator: to the master key and the read-only key where there are keys.
pub(crate) async fn of_operator(worker: Data<Worker>, http: HttpRequest) -> HttpResponse {
    match credential::principal(&http) {
        Some(Principal::Master | Principal::Viewer | Principal::Anonymous) => respond(&worker),
        None if worker.now().config.master_key.is_none() => respond(&worker),
        Some(Principal::Key(_)) | None => {
            let error = Denied::Route { route: http.path().to_owned() }.into();
            refusal::respond(&http, &worker.now().config, "metrics", error)
        }
    }
}

/// Responds to everyone who can reach the listener.
pub(crate) async fn open(worker: Data<Worker>) -> HttpResponse {
    respond(&worker)
}

fn respond(worker: &Worker) -> HttpResponse {
    match scrape::text(scraped(&worker.shared)) {
        Ok(text) => HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, scrape::CONTENT_TYPE))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(text),
        Err(error) => {
            log::error!("the metrics could not be written: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// The values of this moment.
fn scraped(shared: &Shared) -> Scrape {
    let now = shared.now();
    let (mut targets, mut credentials) = (BTreeMap::new(), BTreeMap::new());
    for TargetState { series, gauges } in now.names.target_states() {
        let (standing, calls) = targets.entry(series).or_insert((HealthState::Healthy, 0));
        *standing = gauges.standing.max(*standing);
        *calls += gauges.in_flight;
    }
    for account in now.names.accounts() {
        let Some(end) = account.credentials_expire_at() else { continue };
        let left = seconds_until(end);
        let soonest = credentials.entry(account.region().to_owned()).or_insert(left);
        *soonest = left.min(*soonest);
    }
    let accounts = shared.accounts.as_deref().map(|accounts| AccountsState {
        is_store_away: accounts.is_store_away(),
        calls: accounts.calls_under_way(),
        shares_rates: accounts.shares_rates(),
    });
    Scrape {
        telemetry: Arc::clone(&shared.telemetry),
        is_ready: shared.readiness.credentials() == Credentials::Found
            && !shared.draining.has_begun(),
        shed: ShedReason::ALL.map(|reason| (reason.label(), shared.overload.shed(reason))),
        targets,
        credentials,
        accounts,
        memory: shared.memory.sizes(),
        answers: shared.response_cache.size(),
        lookups: shared.memory.lookups(),
    }
}

/// Seconds from now on; less than 0 for what has passed.
fn seconds_until(end: SystemTime) -> f64 {
    match end.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(passed) => -passed.duration().as_secs_f64(),
    }
}
