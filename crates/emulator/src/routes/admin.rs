//! The emulator's own endpoints: scripting answers and faults, and reading the journal.

use actix_web::{HttpResponse, http::StatusCode};
use bytes::Bytes;
use serde_json::{Value, json};

use super::State;
use crate::script::Entry;

/// Answers `/_emulator/{resource}`; these calls are neither authenticated nor journalled.
pub(super) fn answer(state: &State, method: &str, resource: &str, body: &Bytes) -> HttpResponse {
    match (method, resource) {
        ("POST", "script") => match entries(body) {
            Ok(entries) => {
                entries.into_iter().for_each(|entry| state.script.push_entry(entry));
                HttpResponse::Ok().json(json!({ "waiting": state.script.len() }))
            }
            Err(problem) => refused(StatusCode::BAD_REQUEST, &problem),
        },
        ("DELETE", "script") => {
            state.script.clear();
            HttpResponse::NoContent().finish()
        }
        ("GET", "calls") => HttpResponse::Ok().json(state.journal.calls()),
        ("DELETE", "calls") => {
            state.journal.clear();
            HttpResponse::NoContent().finish()
        }
        _ => refused(StatusCode::NOT_FOUND, "no such emulator resource"),
    }
}

/// One entry or a list of them.
fn entries(body: &Bytes) -> Result<Vec<Entry>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let values = match value {
        Value::Array(values) => values,
        single => vec![single],
    };
    values
        .into_iter()
        .map(|value| serde_json::from_value(value).map_err(|error| error.to_string()))
        .collect()
}

fn refused(status: StatusCode, problem: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "message": problem }))
}
