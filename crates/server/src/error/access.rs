//! Refusals of callers: for their credential, the policy of their key, their limits and budgets. The beginnings of the
//! messages are LiteLLM's, because scripts match them; codes and exceptions are those that clients do not retry in
//! vain.

use std::time::Duration;

use access::accounts::{BudgetExceeded, Refused};
use access::ledger::{Refusal, ScopeKind};
use access::limit::RateExceeded;
use access::{Clock, Denied, UtcTime};
use actix_web::http::header::HeaderName;

use super::{GatewayError, Rendered};
use crate::credential::AuthRefusal;

const AUTH: &str = "auth_error";
const BAD: &str = "bad_request_error";
/// The names of the level that has no room.
const LIMIT: HeaderName = HeaderName::from_static("x-outcrop-limit");
const LIMIT_TYPE: HeaderName = HeaderName::from_static("rate_limit_type");
const RESET_AT: HeaderName = HeaderName::from_static("reset_at");
const WAYS: &str = "Send a key of this gateway in the header \"authorization: Bearer KEY\" (the api_key of OpenAI's SDKs, OPENAI_API_KEY), x-api-key or api-key.";

/// A call that a limit or the ledger refuses.
#[derive(Debug, thiserror::Error)]
#[error("{refused}")]
pub(crate) struct LimitRefusal {
    pub(crate) refused: Refused,
    /// The status of refusals for a budget.
    pub(crate) budget_status: u16,
}

impl GatewayError {
    /// Status and exception in the native API, for refusals that have one of their own.
    pub(crate) fn exception(&self) -> Option<(u16, &'static str)> {
        Some(match self {
            Self::Auth(refusal) => match refusal {
                AuthRefusal::NoKey => (403, "MissingAuthenticationTokenException"),
                AuthRefusal::Unknown(_)
                | AuthRefusal::Malformed(_)
                | AuthRefusal::UnknownSigner
                | AuthRefusal::NotConfigured => (403, "UnrecognizedClientException"),
                AuthRefusal::Signature(_) => (403, "InvalidSignatureException"),
                AuthRefusal::Expired { .. } => (403, "ExpiredTokenException"),
                AuthRefusal::MasterCalls => (403, "AccessDeniedException"),
                AuthRefusal::Different => (400, "ValidationException"),
                AuthRefusal::TooManyWrong { .. } => (429, "ThrottlingException"),
                AuthRefusal::Unavailable(_) => (503, "ServiceUnavailableException"),
            },
            Self::Denied(Denied::Expired { .. }) => (403, "ExpiredTokenException"),
            Self::Denied(_) => (403, "AccessDeniedException"),
            Self::Limit(limit) => match &limit.refused {
                Refused::Rate(_) => (429, "ThrottlingException"),
                Refused::Budget(_) => (400, "ServiceQuotaExceededException"),
                Refused::Unpriced { .. } => (400, "ValidationException"),
                Refused::Unavailable(_) => (503, "ServiceUnavailableException"),
            },
            Self::Overloaded(_) => (503, "ServiceUnavailableException"),
            _ => return None,
        })
    }
}

impl GatewayError {
    /// The refusal of a call by a limit or a policy: its scope, and the reason without secrets.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let (kind, id, reason) = match self {
            Self::Limit(limit) => match &limit.refused {
                Refused::Rate(rate) => (rate.kind.as_str(), rate.id.clone(), rate.to_string()),
                Refused::Budget(budget) => {
                    let BudgetExceeded { kind, id, spent, reserved, max, .. } = &**budget;
                    let reason = format!(
                        "{budget}: {spent} spent and {reserved} reserved of {max} US dollars"
                    );
                    (kind.as_str(), id.clone(), reason)
                }
                Refused::Unpriced { level } => {
                    (level.as_str(), String::new(), limit.refused.to_string())
                }
                Refused::Unavailable(_) => return None,
            },
            Self::Denied(denied) => {
                let level = match denied {
                    Denied::Model { level, .. }
                    | Denied::Operation { level, .. }
                    | Denied::Geography { level, .. }
                    | Denied::Blocked { level } => *level,
                    Denied::Route { .. } | Denied::Guardrail { .. } | Denied::Expired { .. } => {
                        ScopeKind::Key
                    }
                };
                (level.as_str(), String::new(), denied.to_string())
            }
            _ => return None,
        };
        let scope = kind.to_owned();
        Some(Refusal { scope, scope_id: id, reason, ..Refusal::default() })
    }
}

/// The answer to a credential that is refused.
pub(super) fn credential(refusal: &AuthRefusal) -> Rendered {
    let unknown = |more: String| {
        let message = format!("Authentication Error, Invalid proxy server token passed. {more}");
        Rendered::new(401, AUTH, Some("401"), message).about("key")
    };
    match refusal {
        AuthRefusal::NoKey => {
            let message = format!("Authentication Error, No api key passed in. {WAYS}");
            Rendered::new(401, AUTH, Some("401"), message)
        }
        AuthRefusal::Unknown(header) => {
            unknown(format!("The key in the header {header} is not known. {WAYS}"))
        }
        AuthRefusal::Malformed(header) => {
            unknown(format!("The header {header} holds no key. {WAYS}"))
        }
        AuthRefusal::UnknownSigner => unknown(
            "The access key of the signature is not known: sign with the AWS key pair of a key of this gateway, or send the key as a bearer key (AWS_BEARER_TOKEN_BEDROCK)."
                .to_owned(),
        ),
        AuthRefusal::Signature(error) => unknown(format!("Refused: {error}.")),
        AuthRefusal::NotConfigured => unknown(
            "The gateway is configured to check a master key but has none, so it refuses every call; its operator sets the variable that master_key names."
                .to_owned(),
        ),
        AuthRefusal::Expired { at, now } => expired(*at, *now),
        AuthRefusal::Different => Rendered::new(
            400,
            BAD,
            Some("400"),
            "Two headers hold different keys: send one key, or the same one in each.",
        ),
        AuthRefusal::MasterCalls => Rendered::new(
            403,
            AUTH,
            Some("403"),
            "Virtual key is not allowed to call this route. The master key makes keys here and calls no models (admin.master_calls): make one with POST /key/generate.",
        ),
        AuthRefusal::TooManyWrong { wait } => {
            let message = "Too many wrong keys came from this address in a minute: no further key is tried before the time in Retry-After.";
            Rendered {
                retry_after: Some(*wait),
                ..Rendered::new(429, "rate_limit_error", Some("429"), message)
            }
        }
        AuthRefusal::Unavailable(_) => unavailable(),
    }
}

/// The answer to a caller whose key does not grant the call.
pub(super) fn denied(denied: &Denied) -> Rendered {
    match denied {
        Denied::Model { model, level } => {
            let level_name = level.as_str();
            let message = format!(
                "{level_name} not allowed to access model. This {level_name} may not call the model {model:?}; GET /v1/models lists those it may."
            );
            Rendered::new(403, access_denied(*level), Some("403"), message).about_model()
        }
        Denied::Geography { geography, level } => {
            let level_name = level.as_str();
            let message = format!(
                "{level_name} not allowed to access model. It would run in {geography:?}, where this {level_name} may not send data."
            );
            Rendered::new(403, access_denied(*level), Some("403"), message).about_model()
        }
        Denied::Route { route: _ } => {
            Rendered::new(403, AUTH, Some("403"), "Virtual key is not allowed to call this route.")
        }
        Denied::Operation { operation, level: _ } => {
            let message = format!(
                "Virtual key is not allowed to call this route. It is not granted the operation {operation:?}."
            );
            Rendered::new(403, AUTH, Some("403"), message)
        }
        Denied::Guardrail { guardrail } => {
            let message = format!(
                "Virtual key is not allowed to call this route. Its guardrail {guardrail:?} cannot be applied here: name one as ID:VERSION, or by the name or id of a configured one, and only where no other is mandatory."
            );
            Rendered::new(403, AUTH, Some("403"), message)
        }
        Denied::Blocked { level: ScopeKind::Key } => Rendered::new(
            401,
            AUTH,
            Some("401"),
            "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.",
        ),
        Denied::Blocked { level } => {
            let message = format!("Authentication Error, the {} is blocked.", level.as_str());
            Rendered::new(401, AUTH, Some("401"), message)
        }
        Denied::Expired { at, now } => expired(*at, *now),
    }
}

/// The answer to a call that a limit refuses.
pub(super) fn limit(limit: &LimitRefusal) -> Rendered {
    match &limit.refused {
        Refused::Rate(exceeded) => rate(exceeded),
        Refused::Budget(exceeded) => budget(exceeded, limit.budget_status),
        Refused::Unpriced { level } => {
            let message = format!(
                "The model has no price, and the {} has a budget, so the call could not be counted: call another model, or have the operator state a price (catalogue).",
                level.as_str()
            );
            Rendered::new(400, BAD, Some("400"), message).about_model()
        }
        Refused::Unavailable(_) => unavailable(),
    }
}

fn rate(exceeded: &RateExceeded) -> Rendered {
    let RateExceeded { kind, shown, rate, limit, model, .. } = exceeded;
    let of = match kind {
        ScopeKind::Key => "api_key",
        kind => kind.as_str(),
    };
    let seconds = exceeded.retry_after_seconds();
    let resets = match seconds {
        Some(seconds) => format!("Limit resets at: {}", from_now(seconds)),
        None => "It ends with a call that is under way".to_owned(),
    };
    let for_model = if model.is_empty() { String::new() } else { format!(" Model: {model}.") };
    let message = format!(
        "Rate limit exceeded for {of}: {shown}. Limit type: {}. Current limit: {limit}, Remaining: 0. {resets}.{for_model}",
        rate.as_str()
    );
    // The end of a parallel call is not known, and it may be near.
    let wait = seconds.unwrap_or(1);
    Rendered::new(429, "rate_limit_error", Some("429"), message)
        .after(wait)
        .with(LIMIT, kind.as_str())
        .with(LIMIT_TYPE, rate.as_str())
        .with(RESET_AT, &from_now(wait))
}

fn budget(exceeded: &BudgetExceeded, status: u16) -> Rendered {
    let BudgetExceeded { kind, shown, spent, reserved, max, reset_at, .. } = exceeded;
    let cost = spent.plus(*reserved);
    let message = match kind {
        ScopeKind::Customer => {
            format!("ExceededBudget: End User={shown} over budget. Spend={cost}, Budget={max}")
        }
        kind => format!(
            "Budget has been exceeded! {}={shown} Current cost: {cost}, Max budget: {max}",
            capitalised(*kind)
        ),
    };
    let mut rendered =
        Rendered::new(status, "budget_exceeded", Some("insufficient_quota"), message)
            .with(LIMIT, kind.as_str())
            .with(LIMIT_TYPE, "budget");
    if let Some(at) = reset_at {
        rendered = rendered.with(RESET_AT, &at.to_string());
    }
    if let Some(seconds) = exceeded.retry_after_seconds() {
        rendered = rendered.after(seconds);
    }
    if *kind == ScopeKind::Customer {
        rendered = rendered.about("user");
    }
    Rendered { in_vain: true, ..rendered }
}

fn unavailable() -> Rendered {
    Rendered::new(503, "no_db_connection", Some("503"), "Service Unavailable").after(1)
}

fn expired(at: UtcTime, now: UtcTime) -> Rendered {
    let message =
        format!("Authentication Error - Expired Key. Key Expiry time {at} and current time {now}");
    Rendered::new(401, "expired_key", Some("401"), message).about("expires")
}

fn access_denied(level: ScopeKind) -> &'static str {
    match level {
        ScopeKind::Key | ScopeKind::Model | ScopeKind::Gateway => "key_model_access_denied",
        ScopeKind::Team | ScopeKind::Member => "team_model_access_denied",
        ScopeKind::User => "user_model_access_denied",
        ScopeKind::Customer => "customer_model_access_denied",
        ScopeKind::Tag => "tag_model_access_denied",
    }
}

fn capitalised(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Key => "Key",
        ScopeKind::Team => "Team",
        ScopeKind::Member => "TeamMember",
        ScopeKind::User => "User",
        ScopeKind::Customer => "EndUser",
        ScopeKind::Tag => "Tag",
        ScopeKind::Model => "Model",
        ScopeKind::Gateway => "Gateway",
    }
}

fn from_now(seconds: u64) -> String {
    Clock::default().now().plus(Duration::from_secs(seconds)).to_string()
}
