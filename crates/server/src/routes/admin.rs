//! The admin API, in LiteLLM's shapes: keys, teams, users, customers, budgets, tags and spend. A route is a line in a
//! table; `request` reads what all of them need, and a handler turns it into an answer or a refusal.

mod absent;
mod answer;
mod audit;
mod body;
mod budgets;
mod caller;
mod console_activity;
mod console_budgets;
mod console_facets;
mod console_models;
mod console_overview;
mod console_request;
mod console_requests;
mod console_row;
mod console_series;
mod console_session;
mod customers;
mod daily_activity;
mod endpoint_health;
mod error;
mod global_spend;
mod key_access;
mod key_bounds;
mod key_change;
mod key_fields;
mod key_list;
mod key_new;
mod key_read;
mod key_row;
mod limit_columns;
mod metadata;
mod model_info;
mod named_targets;
mod query;
mod record_defaults;
mod record_spend;
mod report_csv;
mod report_names;
mod report_range;
mod report_scope;
mod report_sums;
mod request;
mod spend_calculate;
mod spend_lists;
mod spend_logs;
mod spend_report;
mod spend_row;
mod tags;
mod team_access;
mod team_change;
mod team_fields;
mod team_members;
mod team_people;
mod team_read;
mod team_row;
mod unenforced;
mod user_change;
mod user_read;
mod user_row;

use access::policy::RouteGroup::{self, Information, Management, Spend};
use actix_web::web::Payload;
use actix_web::{HttpRequest, guard, web};

use self::answer::AdminAnswer;
use self::error::AdminRefusal;
use self::request::{AdminRequest, AdminRoute, serve};

/// First parts of its paths, after a version.
const PARTS: [&str; 13] = [
    "key",
    "team",
    "user",
    "customer",
    "end_user",
    "budget",
    "tag",
    "audit",
    "spend",
    "outcrop",
    "global",
    "model",
    "model_group",
];

/// Whether a path is one of the admin API.
pub(super) fn is_admin(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    let first = parts.next().filter(|part| !matches!(*part, "v1" | "v2"));
    first.or_else(|| parts.next()).is_some_and(|part| PARTS.contains(&part))
}

/// The routes of the admin API.
pub(crate) fn table(app: &mut web::ServiceConfig) {
    keys(app);
    teams(app);
    users(app);
    customers(app);
    budgets(app);
    spend(app);
    global(app);
    models(app);
    absent::table(app);
}

fn keys(app: &mut web::ServiceConfig) {
    app.service(post("/key/generate", Management, key_new::generate))
        .service(post("/key/service-account/generate", Management, key_new::service_account))
        .service(post("/key/regenerate", Management, key_new::regenerate))
        .service(post("/key/{key}/regenerate", Management, key_new::regenerate_in_path))
        .service(post("/key/update", Management, key_change::update))
        .service(post("/key/bulk_update", Management, key_change::bulk_update))
        .service(post("/key/block", Management, key_change::block))
        .service(post("/key/unblock", Management, key_change::unblock))
        .service(post("/key/delete", Management, key_change::delete))
        .service(post("/key/{key}/reset_spend", Management, key_change::reset_spend))
        .service(get("/key/info", Information, key_read::info))
        .service(post("/v2/key/info", Information, key_read::info_of_many))
        .service(get("/key/list", Information, key_list::list))
        .service(get("/key/aliases", Information, key_list::aliases))
        .service(post("/key/health", Information, key_read::health));
}

fn teams(app: &mut web::ServiceConfig) {
    app.service(post("/team/new", Management, team_change::new))
        .service(post("/team/update", Management, team_change::update))
        .service(post("/team/delete", Management, team_change::delete))
        .service(post("/team/block", Management, team_change::block))
        .service(post("/team/unblock", Management, team_change::unblock))
        .service(post("/team/model/add", Management, team_change::add_models))
        .service(post("/team/model/delete", Management, team_change::delete_models))
        .service(post("/team/permissions_update", Management, team_change::permissions_update))
        .service(get("/team/permissions_list", Information, team_change::permissions_list))
        .service(post("/team/member_add", Management, team_members::add))
        .service(post("/team/member_update", Management, team_members::update))
        .service(post("/team/member_delete", Management, team_members::delete))
        .service(get("/team/info", Information, team_read::info))
        .service(get("/team/list", Information, team_read::list))
        .service(get("/v2/team/list", Information, team_read::page))
        .service(get("/team/available", Information, team_read::available));
}

fn users(app: &mut web::ServiceConfig) {
    app.service(post("/user/new", Management, user_change::new))
        .service(post("/user/update", Management, user_change::update))
        .service(post("/user/delete", Management, user_change::delete))
        .service(get("/user/info", Information, user_read::info))
        .service(get("/v2/user/info", Information, user_read::alone))
        .service(get("/user/list", Information, user_read::list));
}

fn customers(app: &mut web::ServiceConfig) {
    app.service(post("/customer/new", Management, customers::new))
        .service(post("/customer/update", Management, customers::update))
        .service(post("/customer/delete", Management, customers::delete))
        .service(post("/customer/block", Management, customers::block))
        .service(post("/customer/unblock", Management, customers::unblock))
        .service(get("/customer/info", Information, customers::info))
        .service(get("/customer/list", Information, customers::list))
        .service(post("/end_user/new", Management, customers::new))
        .service(post("/end_user/update", Management, customers::update))
        .service(post("/end_user/delete", Management, customers::delete))
        .service(post("/end_user/block", Management, customers::block))
        .service(post("/end_user/unblock", Management, customers::unblock))
        .service(get("/end_user/info", Information, customers::info))
        .service(get("/end_user/list", Information, customers::list));
}

/// Budget rows, and tags.
fn budgets(app: &mut web::ServiceConfig) {
    app.service(post("/budget/new", Management, budgets::new))
        .service(post("/budget/update", Management, budgets::update))
        .service(post("/budget/delete", Management, budgets::delete))
        .service(post("/budget/info", Information, budgets::info))
        .service(get("/budget/list", Information, budgets::list))
        .service(get("/budget/settings", Information, budgets::settings))
        .service(post("/tag/new", Management, tags::new))
        .service(post("/tag/update", Management, tags::update))
        .service(post("/tag/delete", Management, tags::delete))
        .service(post("/tag/info", Information, tags::info))
        .service(get("/tag/list", Information, tags::list));
}

fn spend(app: &mut web::ServiceConfig) {
    app.service(get("/audit", Information, audit::list))
        .service(get("/spend/logs", Spend, spend_logs::logs))
        .service(get("/spend/logs/v2", Spend, spend_logs::page))
        .service(get("/spend/keys", Spend, spend_lists::keys))
        .service(get("/spend/users", Spend, user_read::by_spend))
        .service(get("/spend/tags", Spend, spend_lists::tags))
        .service(post("/spend/calculate", Spend, spend_calculate::calculate))
        .service(get("/key/spend/report", Spend, spend_report::of_key))
        .service(get("/team/spend/report", Spend, spend_report::of_team))
        .service(get("/user/spend/report", Spend, spend_report::of_user))
        .service(get("/user/daily/activity", Spend, daily_activity::of_users))
        .service(get("/user/daily/activity/aggregated", Spend, daily_activity::of_users_at_once))
        .service(get("/team/daily/activity", Spend, daily_activity::of_teams))
        .service(get("/tag/daily/activity", Spend, daily_activity::of_tags))
        .service(get("/customer/daily/activity", Spend, daily_activity::of_customers))
        .service(get("/end_user/daily/activity", Spend, daily_activity::of_customers))
        .service(get("/outcrop/activity", Spend, console_activity::activity))
        .service(get("/outcrop/overview", Spend, console_overview::overview))
        .service(get("/outcrop/requests", Spend, console_requests::page))
        .service(get("/outcrop/requests.csv", Spend, console_requests::csv))
        .service(get("/outcrop/requests/{id}", Spend, console_request::details))
        .service(get("/outcrop/models", Information, console_models::models))
        .service(get("/outcrop/session", Information, console_session::session));
}

/// Spend of the whole gateway.
fn global(app: &mut web::ServiceConfig) {
    app.service(get("/global/spend", Spend, global_spend::spend))
        .service(get("/global/spend/report", Spend, spend_report::report))
        .service(get("/global/spend/keys", Spend, global_spend::keys))
        .service(get("/global/spend/models", Spend, global_spend::models))
        .service(get("/global/spend/teams", Spend, global_spend::teams))
        .service(get("/global/spend/tags", Spend, global_spend::tags))
        .service(get("/global/spend/provider", Spend, global_spend::provider))
        .service(get("/global/spend/logs", Spend, global_spend::logs))
        .service(post("/global/spend/reset", Management, global_spend::reset))
        .service(get("/global/activity", Spend, global_spend::activity))
        .service(get("/global/activity/model", Spend, global_spend::activity_of_models));
}

fn models(app: &mut web::ServiceConfig) {
    app.service(get("/model/info", Information, model_info::list))
        .service(get("/v1/model/info", Information, model_info::list))
        .service(get("/v2/model/info", Information, model_info::page))
        .service(get("/model_group/info", Information, model_info::groups))
        .service(get("/health", Information, endpoint_health::health));
}

/// A route that is read.
fn get<F>(path: &'static str, group: RouteGroup, handler: F) -> actix_web::Resource
where
    F: AsyncFn(AdminRequest) -> Result<AdminAnswer, AdminRefusal> + Copy + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    let route = AdminRoute { name: path, group };
    web::resource(path)
        .route(
            web::route().guard(reads).to(move |http: HttpRequest, payload: Payload| {
                serve(http, payload, route, handler)
            }),
        )
        .default_service(super::refuse_method("GET, HEAD"))
}

/// A route that takes a body of JSON, by whatever type it is declared.
fn post<F>(path: &'static str, group: RouteGroup, handler: F) -> actix_web::Resource
where
    F: AsyncFn(AdminRequest) -> Result<AdminAnswer, AdminRefusal> + Copy + 'static,
{
    let route = AdminRoute { name: path, group };
    web::resource(path)
        .route(
            web::post().to(move |http: HttpRequest, payload: Payload| {
                serve(http, payload, route, handler)
            }),
        )
        .default_service(super::refuse_method("POST"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_admin_api_are_told_apart() {
        for path in ["/outcrop/session", "/key/list", "/v2/key/info", "/v1/model/info", "/audit"] {
            assert!(is_admin(path), "{path}");
        }
        for path in
            ["/", "/v1/models", "/v1/chat/completions", "/bedrock/model/key", "/keys", "/v1"]
        {
            assert!(!is_admin(path), "{path}");
        }
    }
}
