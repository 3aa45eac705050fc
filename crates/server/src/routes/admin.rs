//! The admin API, in LiteLLM's shapes: keys, teams, users, customers, budgets, tags and spend. A route is a line in a
//! table; `request` reads what all of them need, and a handler turns it into an answer or a refusal.

mod absent;
mod answer;
mod body;
mod caller;
mod error;
mod key_access;
mod key_change;
mod key_fields;
mod key_list;
mod key_new;
mod key_read;
mod key_row;
mod limit_columns;
mod metadata;
mod query;
mod request;
mod unenforced;

use access::policy::RouteGroup::{self, Information, Management};
use actix_web::web::Payload;
use actix_web::{HttpRequest, guard, web};

use self::answer::AdminAnswer;
use self::error::AdminRefusal;
use self::request::{AdminRequest, AdminRoute, serve};

/// The routes of the admin API.
pub(crate) fn table(app: &mut web::ServiceConfig) {
    keys(app);
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
