//! `GET /outcrop/session`: the rights of a key, for an operator's page that signs in with it.

use serde::Serialize;

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::request::AdminRequest;

#[derive(Debug, Serialize)]
struct Session<'s> {
    /// `administrator`, `reader` or `own records`.
    role: &'static str,
    can_change: bool,
    user: &'s str,
    /// Minutes without use after which the page forgets the key.
    idle_minutes: f64,
    version: &'static str,
}

/// `GET /outcrop/session`.
pub(super) async fn session(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let caller = &request.caller;
    let role = match (caller.is_admin(), caller.reads_all()) {
        (true, _) => "administrator",
        (false, true) => "reader",
        (false, false) => "own records",
    };
    AdminAnswer::of(&Session {
        role,
        can_change: caller.is_admin() || !caller.reads_all() && caller.manages_own(),
        user: caller.actor(),
        idle_minutes: request.settings().console_idle.as_secs_f64() / 60.0,
        version: env!("CARGO_PKG_VERSION"),
    })
    .map(|answer| answer.header("cache-control", "no-store"))
}
