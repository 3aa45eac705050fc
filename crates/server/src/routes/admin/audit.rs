//! `GET /audit`: the changes of records, newest first, in LiteLLM's shape.

use access::UtcTime;
use access::store::AuditEntry;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::AdminAnswer;
use super::error::AdminRefusal;
use super::request::AdminRequest;

/// Entries that pages are cut from.
const MOST: u64 = 10_000;
/// Entries of a page, and most of them.
const PAGE: (u64, u64) = (10, 100);

#[derive(Debug, Serialize)]
struct AuditPage<'e> {
    audit_logs: Vec<AuditRow<'e>>,
    total: usize,
    page: u64,
    page_size: u64,
    total_pages: u64,
}

/// A change. `action` and `table_name` are LiteLLM's; `outcrop_action` is exact, such as `key.block`.
#[derive(Debug, Serialize)]
struct AuditRow<'e> {
    updated_at: UtcTime,
    changed_by: &'e str,
    action: &'static str,
    outcrop_action: &'e str,
    table_name: &'e str,
    object_id: &'e str,
    before_value: Option<&'e RawValue>,
    updated_values: Option<&'e RawValue>,
}

/// Reads a page of the audit log; `object_id` and `changed_by` select among the newest entries.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/audit")?;
    let page = request.query.page("page_size", PAGE)?;
    let (object, actor) = (request.query.text("object_id"), request.query.text("changed_by"));
    let mut entries = request.accounts.store().audit(MOST).await?;
    entries.retain(|entry| {
        object.is_none_or(|id| entry.object == id) && actor.is_none_or(|name| entry.actor == name)
    });
    let total = entries.len();
    let shown = page.cut(entries);
    AdminAnswer::of(&AuditPage {
        audit_logs: shown.iter().map(AuditRow::of).collect(),
        total,
        page: page.page,
        page_size: page.size,
        total_pages: page.pages(u64::try_from(total).unwrap_or(u64::MAX)),
    })
}

impl<'e> AuditRow<'e> {
    fn of(entry: &'e AuditEntry) -> Self {
        let AuditEntry { at, actor, action, object, before, after } = entry;
        let kind = action.split('.').next().unwrap_or_default();
        let json = |text: &'e Option<String>| {
            text.as_deref().and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
        };
        Self {
            updated_at: *at,
            changed_by: actor,
            action: match (before, after) {
                (None, _) => "created",
                (Some(_), None) => "deleted",
                (Some(_), Some(_)) => "updated",
            },
            outcrop_action: action,
            table_name: match kind {
                "key" => "LiteLLM_VerificationToken",
                "team" => "LiteLLM_TeamTable",
                "user" => "LiteLLM_UserTable",
                other => other,
            },
            object_id: object,
            before_value: json(before),
            updated_values: json(after),
        }
    }
}
