//! The admin API, in LiteLLM's shapes: keys, teams, users, customers, budgets, tags and spend.

use actix_web::web;

/// The routes of the admin API.
pub(crate) fn table(_app: &mut web::ServiceConfig) {}
