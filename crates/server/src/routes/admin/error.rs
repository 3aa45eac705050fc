//! Refusals of the admin API: LiteLLM's envelope, with the status as the code. A status of 404 says "not found", and
//! no other one does: clients take an object for gone by either.

use access::accounts::AdminError;
use access::ledger::ScopeKind;
use access::store::StoreError;
use access::{Denied, InvalidField, RecordKind};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::{Value, json};

use crate::body::{BodyError, Unread};
use crate::quoting;
use crate::request::context::RequestContext;

const BAD_REQUEST: &str = "bad_request_error";
const AUTH: &str = "auth_error";

/// A refusal of an admin route.
#[derive(Debug)]
pub(in crate::routes) struct AdminRefusal(Box<Told>);

#[derive(Debug)]
struct Told {
    status: StatusCode,
    kind: &'static str,
    param: Option<String>,
    message: String,
    /// The member beside `error` in which LiteLLM's own clients look.
    detail: Option<Value>,
    /// For the log only.
    cause: Option<String>,
    unread: Option<Unread>,
}

/// A field of a request that has the wrong type, or is missing: an element of `detail`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::routes) struct FieldFault {
    /// The kind of the mistake, in pydantic's words.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// The path to the field; it starts with `body` or `query`.
    pub(super) loc: Vec<Value>,
    /// The reason.
    pub(super) msg: String,
    /// The value, unless it is a text, which may be a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Value>,
}

#[derive(Serialize)]
struct Envelope<'e> {
    error: ErrorBody<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'e Value>,
}

#[derive(Serialize)]
struct ErrorBody<'e> {
    message: &'e str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'e str>,
    code: &'e str,
}

impl FieldFault {
    /// A field that a request must have.
    pub(super) fn missing(place: &str, name: &str) -> Self {
        Self {
            kind: "missing",
            loc: vec![json!(place), json!(name)],
            msg: "Field required".to_owned(),
            input: Some(json!({})),
        }
    }

    /// A value that does not fit its field.
    pub(super) fn wrong(place: &str, name: &str, kind: &'static str, msg: &str) -> Self {
        let loc = vec![json!(place), json!(name)];
        Self { kind, loc, msg: msg.to_owned(), input: None }
    }
}

impl AdminRefusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let (param, detail, cause, unread) = (None, None, None, None);
        Self(Box::new(Told { status, kind, param, message, detail, cause, unread }))
    }

    /// 400: the request says something that cannot be.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, BAD_REQUEST, message)
    }

    /// 403: the caller may not.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, AUTH, message)
    }

    /// 403: the caller may not manage keys, users or teams.
    pub(super) fn only_admins() -> Self {
        Self::forbidden(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams.",
        )
    }

    /// 403: the route is for administrators.
    pub(super) fn only_master(route: &str) -> Self {
        Self::forbidden(format!(
            "Authentication Error, Tried to access route={route}, which is only for MASTER KEY"
        ))
    }

    /// 401: no credential was sent.
    pub(super) fn no_key() -> Self {
        let message = "Authentication Error, No api key passed in.";
        Self::new(StatusCode::UNAUTHORIZED, AUTH, message)
    }

    /// 404 with LiteLLM's words for the kind of object; they contain "not found".
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found_error", message)
    }

    /// 422: fields have the wrong type or are missing.
    pub(super) fn unprocessable(faults: &[FieldFault]) -> Self {
        let tell = |fault: &FieldFault| {
            let path: Vec<_> =
                fault.loc.iter().map(|part| part.to_string().replace('"', "")).collect();
            format!("{}: {}", path.join("."), fault.msg)
        };
        let message = faults.iter().map(tell).collect::<Vec<_>>().join("; ");
        let first = faults.first().and_then(|fault| fault.loc.get(1));
        let mut refusal =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request_error", message);
        refusal.0.param = first.and_then(Value::as_str).map(quoting::path);
        refusal.detail(json!(faults))
    }

    /// 501: a route of LiteLLM's that this gateway does not have, with what to use instead.
    pub(super) fn not_implemented(instead: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", instead)
    }

    /// 503: no accounts are kept.
    pub(super) fn no_accounts() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_db_connection",
            "No accounts are kept: set a master key (master_key, LITELLM_MASTER_KEY), and DATABASE_URL for a database other than the file in the data folder.",
        )
    }

    /// 503: the store failed. The cause is for the log.
    pub(super) fn unavailable(cause: &impl ToString) -> Self {
        let refusal =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_db_connection", "Service Unavailable");
        refusal.because(cause)
    }

    /// 500: the gateway failed. The cause is for the log.
    pub(super) fn internal(cause: &impl ToString) -> Self {
        let message = "The gateway failed; its log has the cause under the request id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message).because(cause)
    }

    /// Names the field.
    #[must_use]
    pub(super) fn param(mut self, param: &'static str) -> Self {
        self.0.param = Some(param.to_owned());
        self
    }

    /// Names a field of the caller's.
    #[must_use]
    pub(super) fn about(mut self, name: &str) -> Self {
        self.0.param = Some(quoting::path(name));
        self
    }

    /// Sets the type.
    #[must_use]
    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets the member `detail` beside `error`.
    #[must_use]
    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Replaces the message of a 404, which differs between routes; other refusals stay.
    #[must_use]
    pub(super) fn or_missing(mut self, message: &str) -> Self {
        if self.is_missing() {
            message.clone_into(&mut self.0.message);
        }
        self
    }

    /// Whether it says that an object does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.0.status == StatusCode::NOT_FOUND
    }

    /// The message, for answers that report several outcomes.
    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    #[cfg(test)]
    pub(super) fn shown_detail(&self) -> Option<&Value> {
        self.0.detail.as_ref()
    }

    fn because(mut self, cause: &impl ToString) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// The HTTP answer, which ends the request.
    pub(super) fn respond(self, context: &mut RequestContext) -> HttpResponse {
        let Told { status, kind, param, message, detail, cause, unread } = *self.0;
        if status.is_server_error() {
            let cause = cause.as_deref().unwrap_or(kind);
            log::warn!("{} {}: {cause}", context.id(), status.as_u16());
        }
        let message = quoting::message(message.into());
        let error =
            ErrorBody { message: &message, kind, param: param.as_deref(), code: status.as_str() };
        let response =
            HttpResponseBuilder::new(status).json(Envelope { error, detail: detail.as_ref() });
        context.refused_with(status.as_u16());
        match unread {
            Some(unread) => unread.close_after(response),
            None => response,
        }
    }
}

impl From<AdminError> for AdminRefusal {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Invalid(invalid) => invalid.into(),
            AdminError::Taken { param: "key_alias", value } => Self::bad(format!(
                "Key with alias '{value}' already exists. Unique key aliases across all keys are required."
            ))
            .param("key_alias"),
            AdminError::Taken { param: "budget_id", value } => {
                let message = format!("Budget with id '{value}' already exists.");
                let detail = json!({ "error": message });
                Self::bad(message).param("budget_id").detail(detail)
            }
            AdminError::Taken { param: "team_id", value } => Self::bad(format!(
                "Team id = {value} already exists. Please use a different team id."
            ))
            .param("team_id"),
            AdminError::Taken { param, value } => {
                Self::bad(format!("{param} = {value} already exists. Use a different {param}."))
                    .param(param)
            }
            AdminError::NotFound { kind, id } => missing(kind, &id),
            AdminError::InUse { count } => Self::bad(format!(
                "{count} records refer to this budget; send \"force\": true to delete it all the same."
            ))
            .param("id"),
            AdminError::Store(error) => error.into(),
            AdminError::Randomness(error) => Self::internal(&error),
        }
    }
}

/// 404 in LiteLLM's words for each kind.
fn missing(kind: RecordKind, id: &str) -> AdminRefusal {
    match kind {
        RecordKind::Key => AdminRefusal::not_found("Key not found in database").param("key"),
        RecordKind::Team => {
            AdminRefusal::not_found(format!("Team not found, passed team id: {id}."))
                .param("team_id")
        }
        RecordKind::User => {
            let message = format!("User {id} not found");
            let detail = json!(message);
            AdminRefusal::not_found(message).param("user_id").detail(detail)
        }
        RecordKind::Customer => {
            // The message is LiteLLM's; the detail has the words by which clients know a 404.
            let detail = json!({ "error": format!("End user {id} not found") });
            AdminRefusal::not_found(format!("End User Id={id} does not exist in db"))
                .kind("not_found")
                .param("end_user_id")
                .detail(detail)
        }
        RecordKind::Member => AdminRefusal::not_found("Team member not found").param("user_id"),
        RecordKind::Tag => AdminRefusal::not_found(format!("Tag {id} not found")).param("name"),
        RecordKind::Budget => {
            AdminRefusal::not_found(format!("Budget not found, passed budget_id: {id}."))
                .param("budget_id")
        }
    }
}

impl From<InvalidField> for AdminRefusal {
    fn from(InvalidField { param, message }: InvalidField) -> Self {
        Self::bad(message).param(param)
    }
}

impl From<StoreError> for AdminRefusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Self::new(
                StatusCode::CONFLICT,
                BAD_REQUEST,
                "The object was changed by other requests at the same time; send the request again.",
            ),
            StoreError::Unavailable(_)
            | StoreError::Unreadable(_)
            | StoreError::IdTaken
            | StoreError::AliasTaken => Self::unavailable(&error),
        }
    }
}

impl From<Denied> for AdminRefusal {
    fn from(denied: Denied) -> Self {
        let unauthorized = |message: String| Self::new(StatusCode::UNAUTHORIZED, AUTH, message);
        match denied {
            Denied::Blocked { level: ScopeKind::Key } => unauthorized(
                "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin."
                    .to_owned(),
            ),
            Denied::Blocked { level } => {
                unauthorized(format!("Authentication Error, the {} is blocked.", level.as_str()))
            }
            Denied::Expired { at, now } => unauthorized(format!(
                "Authentication Error - Expired Key. Key Expiry time {at} and current time {now}"
            ))
            .kind("expired_key")
            .param("expires"),
            Denied::Route { route: _ } => {
                Self::forbidden("Virtual key is not allowed to call this route.")
            }
            Denied::Model { .. }
            | Denied::Operation { .. }
            | Denied::Geography { .. }
            | Denied::Guardrail { .. } => {
                Self::forbidden(format!("Authentication Error, {denied}."))
            }
        }
    }
}

impl From<Unread> for AdminRefusal {
    fn from(unread: Unread) -> Self {
        let status = match unread.error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
            BodyError::Encoded(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        };
        let message = format!("The request cannot be read: {}.", unread.error);
        let mut refusal = Self::new(status, BAD_REQUEST, message);
        refusal.0.unread = Some(unread);
        refusal
    }
}
