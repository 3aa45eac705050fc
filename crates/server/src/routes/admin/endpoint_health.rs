//! `GET /health` with a key: the targets of the operator's names, as their last calls went. No call is made for it.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use routing::{HealthState, Tags};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::request::AdminRequest;
use super::spend_row::PROVIDER;

#[derive(Debug, Serialize)]
struct EndpointHealth {
    healthy_endpoints: Vec<Endpoint>,
    unhealthy_endpoints: Vec<Endpoint>,
    healthy_count: usize,
    unhealthy_count: usize,
}

/// A target of a name.
#[derive(Debug, Serialize)]
struct Endpoint {
    model: String,
    model_group: String,
    model_id: String,
    api_base: Option<()>,
    aws_region_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// `GET /health`: all targets, or those of one name or id.
pub(super) async fn health(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/health")?;
    if request.query.flag("probe")? {
        let message = "Targets are not called by /health: it reports how their last calls went.";
        return Err(AdminRefusal::bad(message).param("probe"));
    }
    let (name, id) = (request.query.text("model"), request.query.text("model_id"));
    let (healthy, unhealthy): (Vec<_>, Vec<_>) =
        endpoints(&request, name, id).await.into_iter().partition(|one| one.error.is_none());
    let is_down = (name.is_some() || id.is_some()) && healthy.is_empty();
    let answer = AdminAnswer::of(&EndpointHealth {
        healthy_count: healthy.len(),
        unhealthy_count: unhealthy.len(),
        healthy_endpoints: healthy,
        unhealthy_endpoints: unhealthy,
    })?;
    Ok(if is_down { answer.status(StatusCode::SERVICE_UNAVAILABLE) } else { answer })
}

async fn endpoints(request: &AdminRequest, name: Option<&str>, id: Option<&str>) -> Vec<Endpoint> {
    let now = request.worker().now();
    let names = &now.names;
    let states: HashMap<_, _> =
        names.gauges().into_iter().map(|(label, gauges)| (label, gauges.standing)).collect();
    let is_admin = request.caller.is_admin();
    let mut all = Vec::new();
    for one in names.listed() {
        if name.is_some_and(|name| name != one.name) {
            continue;
        }
        let admission = request.caller.admission();
        let Ok(route) = names.resolve(admission, one.name, Tags::default()).await else { continue };
        for (target, _) in route.targets() {
            let model = &target.model.model_id;
            if id.is_some_and(|id| id != &*target.label && id != model) {
                continue;
            }
            let shown = if is_admin || !model.starts_with("arn:") { model } else { one.name };
            let region = target.account.region().to_owned();
            all.push(Endpoint {
                model: format!("{PROVIDER}/{shown}"),
                model_group: one.name.to_owned(),
                model_id: format!("{shown}@{region}"),
                api_base: None,
                aws_region_name: region,
                error: states.get(&*target.label).copied().and_then(error),
            });
        }
    }
    all
}

/// The reason why a target is not called, if it is not.
fn error(state: HealthState) -> Option<&'static str> {
    match state {
        HealthState::Healthy | HealthState::Probing => None,
        HealthState::Throttled => Some("Bedrock throttles calls of this target."),
        HealthState::Open => Some("Calls of this target fail; it is left out for a while."),
    }
}
