//! Routes of LiteLLM's that this gateway does not have. They answer 501 with what to use instead, and never 404:
//! clients take that for the end of an object.

use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::error::AdminRefusal;
use crate::body;
use crate::request::context::RequestContext;

/// Beginnings of paths, and what to use instead.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &["/project"],
        "This gateway has no projects: give each project a team (/team/new), or tag its keys.",
    ),
    (
        &["/credentials"],
        "Credentials of AWS are set in the configuration file, by the names of AWS's own tools; SIGHUP reads it again.",
    ),
    (
        &["/guardrails"],
        "Guardrails are Bedrock's own: name them in the configuration file, and on keys and teams by \"guardrails\".",
    ),
    (&["/mcp", "/v1/mcp"], "This gateway has no MCP servers: clients connect to them themselves."),
    (
        &["/vector_store"],
        "Knowledge bases are Bedrock's own and are made in AWS: search one at /v1/vector_stores/KNOWLEDGE_BASE_ID/search.",
    ),
    (
        &["/model/new", "/model/update", "/model/delete", "/model/{id}/update"],
        "Models are configured in the file: change \"models\" there, and reload it with SIGHUP. /model/info shows them.",
    ),
    (
        &["/organization", "/v2/organization"],
        "This gateway has no organizations: a team holds the budget and the models of its keys (/team/new).",
    ),
    (
        &["/access_group", "/v1/access_group"],
        "This gateway has no access groups: list models, also as \"family/*\", on keys and teams.",
    ),
    (
        &["/health/services"],
        "This gateway calls no other services for its log: /health/readiness tells its state.",
    ),
    (&["/sso"], "People do not sign in here: give them keys with /key/generate."),
    (&["/config"], "The configuration is a file; SIGHUP reads it again."),
    (
        &["/alerting"],
        "This gateway sends no alerts: watch its log, and the status 429 with the type budget_exceeded.",
    ),
];

/// The routes of this table.
pub(super) fn table(app: &mut web::ServiceConfig) {
    for (paths, instead) in ABSENT {
        for path in *paths {
            for pattern in [(*path).to_owned(), format!("{path}/{{rest:.*}}")] {
                app.service(web::resource(pattern).default_service(web::to(
                    move |http: HttpRequest, payload: Payload| refuse(http, payload, instead),
                )));
            }
        }
    }
}

async fn refuse(http: HttpRequest, mut payload: Payload, instead: &'static str) -> HttpResponse {
    let mut context = RequestContext::begin(&http, "admin");
    body::skim(&mut payload).await;
    AdminRefusal::not_implemented(instead).respond(&mut context)
}
