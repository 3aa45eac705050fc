//! Routes for budget rows: limits that keys, customers and others refer to.

use access::store::RecordQuery;
use access::{BudgetInput, BudgetRecord, RecordKind};
use serde::Serialize;
use serde_json::Value;

use super::answer::AdminAnswer;
use super::body::AdminBody;
use super::error::{AdminRefusal, FieldFault};
use super::key_row::found;
use super::limit_columns::BudgetColumns;
use super::request::AdminRequest;
use super::unenforced;

/// Most rows of a list.
const MOST: u64 = 10_000;
/// Its value is computed here.
const RESET: &str = "budget_reset_at";

/// Fields of `/budget/settings`, with their types and descriptions.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("max_budget", "Float", "Dollars that may be spent in a window of budget_duration."),
    ("soft_budget", "Float", "Dollars above which a warning is given. Calls pass."),
    (
        "budget_duration",
        "String",
        "The window, such as 1d, 7d or 1mo. Without one it is the lifetime.",
    ),
    ("model_max_budget", "Object", "Dollars by model, each with its own window."),
    ("tpm_limit", "Integer", "Tokens a minute."),
    ("rpm_limit", "Integer", "Requests a minute."),
    ("max_parallel_requests", "Integer", "Calls at the same time."),
];

/// A field of `/budget/settings`.
#[derive(Debug, Serialize)]
struct BudgetSetting {
    field_name: &'static str,
    field_type: &'static str,
    field_description: &'static str,
    field_value: Value,
    stored_in_db: bool,
}

/// `POST /budget/new`: makes a row.
pub(super) async fn new(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id = request.body.text("budget_id")?;
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let (input, ignored) = fields(std::mem::take(&mut request.body))?;
    let mut row = BudgetRecord::new(&id)?;
    row.apply(input, request.accounts.now())?;
    let row = request.accounts.create(row, request.caller.actor()).await?;
    answer(&request, &row, &ignored)
}

/// `POST /budget/update`: merges fields into a row.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id: String = request.body.require("budget_id")?;
    let (input, ignored) = fields(std::mem::take(&mut request.body))?;
    let merge = |row: &mut BudgetRecord, now| row.apply(input.clone(), now);
    let row = request.accounts.update(&id, request.caller.actor(), merge).await?;
    answer(&request, &row, &ignored)
}

/// `POST /budget/info`: some rows; those that do not exist are left out.
pub(super) async fn info(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/budget/info")?;
    let ids: Vec<String> = request.body.require("budgets")?;
    if ids.is_empty() {
        return Err(AdminRefusal::unprocessable(&[FieldFault::missing("body", "budgets")]));
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in &ids {
        rows.extend(found(request.accounts.record::<BudgetRecord>(id).await)?);
    }
    shown(&request, &rows)
}

/// `GET /budget/list`: all rows, newest first.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/budget/list")?;
    let all = RecordQuery::all(RecordKind::Budget, request.accounts.now());
    let query = RecordQuery { limit: MOST, ..all };
    let rows = request.accounts.list::<BudgetRecord>(query).await?.rows;
    shown(&request, &rows)
}

/// `POST /budget/delete`: removes a row. While records refer to it they would lose their limits, so that this must be
/// asked for.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id: String = request.body.require("id")?;
    let (accounts, actor) = (&request.accounts, request.caller.actor());
    let row = match request.body.option("force")? {
        Some(true) => accounts.delete_budget_and_links(&id, actor).await?,
        Some(false) | None => accounts.delete_unused_budget(&id, actor).await?,
    };
    answer(&request, &row, &[])
}

/// `GET /budget/settings`: the fields of a row, with what they mean.
pub(super) async fn settings(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/budget/settings")?;
    let id = request.query.require("budget_id")?;
    let row = request.accounts.record::<BudgetRecord>(id).await?;
    let columns = serde_json::to_value(BudgetColumns::of_row(&row, &request.accounts));
    let columns = columns.map_err(|error| AdminRefusal::internal(&error))?;
    let setting = |(name, kind, description): &(&'static str, &'static str, &'static str)| {
        let field_value = columns.get(*name).cloned().unwrap_or_default();
        let is_empty = field_value.as_object().is_some_and(serde_json::Map::is_empty);
        BudgetSetting {
            field_name: name,
            field_type: kind,
            field_description: description,
            stored_in_db: !field_value.is_null() && !is_empty,
            field_value,
        }
    };
    AdminAnswer::of(&SETTINGS.iter().map(setting).collect::<Vec<_>>())
}

fn fields(mut body: AdminBody) -> Result<(BudgetInput, Vec<String>), AdminRefusal> {
    let mut ignored = Vec::new();
    if body.remove(RESET).is_some_and(|value| !value.is_null()) {
        ignored.push(RESET.to_owned());
    }
    ignored.extend(unenforced::stored(body.members()));
    let (input, other) = body.fields::<BudgetInput>()?;
    ignored.extend(unenforced::unknown(&other)?);
    Ok((input, ignored))
}

fn answer(
    request: &AdminRequest,
    row: &BudgetRecord,
    ignored: &[String],
) -> Result<AdminAnswer, AdminRefusal> {
    let answer = AdminAnswer::of(&BudgetColumns::of_row(row, &request.accounts))?;
    Ok(answer.ignoring(ignored.iter().map(String::as_str)))
}

fn shown(request: &AdminRequest, rows: &[BudgetRecord]) -> Result<AdminAnswer, AdminRefusal> {
    let rows = rows.iter().map(|row| BudgetColumns::of_row(row, &request.accounts));
    AdminAnswer::of(&rows.collect::<Vec<_>>())
}
