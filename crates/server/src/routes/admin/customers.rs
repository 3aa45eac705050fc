//! Routes for customers, the end users of applications that call the gateway.

use access::accounts::{AdminError, RecordSpend};
use access::ledger::ScopeKind;
use access::store::RecordQuery;
use access::{
    Accounts, CustomerInput, CustomerRecord, GeographyRule, Limits, Nanodollars, RecordKind, Set,
    UtcTime,
};
use serde::Serialize;
use serde_json::Number;

use super::answer::{AdminAnswer, Dollars};
use super::body::AdminBody;
use super::error::AdminRefusal;
use super::key_fields::money;
use super::key_row::found;
use super::limit_columns::BudgetColumns;
use super::record_spend::{self, Budgeted, SpentRecord};
use super::request::AdminRequest;
use super::unenforced;

/// Most rows of a page, and of a list without pages.
const MOST: u64 = 10_000;
/// Rows of a page whose request names no size.
const USUAL: u64 = 50;

/// A customer with all that its row shows.
#[derive(Debug)]
struct CustomerView {
    record: CustomerRecord,
    spent: SpentRecord,
}

/// A row of a customer.
#[derive(Debug, Serialize)]
struct CustomerRow<'c> {
    user_id: &'c str,
    alias: Option<&'c str>,
    blocked: bool,
    spend: Dollars,
    total_spend: Dollars,
    allowed_model_region: Option<GeographyRule>,
    default_model: Option<&'c str>,
    models: &'c [String],
    budget_id: Option<&'c str>,
    budget_reset_at: Option<UtcTime>,
    litellm_budget_table: Option<BudgetColumns<'c>>,
}

/// The answer of the routes that block.
#[derive(Debug, Serialize)]
struct BlockedCustomers<'c> {
    blocked_users: Vec<CustomerRow<'c>>,
}

#[derive(Debug, Serialize)]
struct DeletedCustomers {
    deleted_customers: u64,
    message: String,
}

/// The fields of a customer in a request.
struct CustomerFields {
    input: CustomerInput,
    spend: Option<Nanodollars>,
    ignored: Vec<String>,
}

/// `POST /customer/new`: makes a customer.
pub(super) async fn new(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id: String = request.body.require("user_id")?;
    let CustomerFields { input, spend, ignored } =
        CustomerFields::read(std::mem::take(&mut request.body))?;
    let mut record = CustomerRecord::new(&id)?;
    record.apply(input, request.accounts.now())?;
    let made = request.accounts.create(record, request.caller.actor()).await;
    let record = made.map_err(|error| match error {
        AdminError::Taken { .. } => exists(&id),
        other => other.into(),
    })?;
    set_spend(&request, &record, spend).await?;
    answer(&request, record, &ignored).await
}

/// `GET /customer/info`: a customer, also one that has no record and only made calls.
pub(super) async fn info(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/customer/info")?;
    let id = request.query.require("end_user_id")?;
    let accounts = &request.accounts;
    if let Some(record) = found(accounts.record::<CustomerRecord>(id).await)? {
        return answer(&request, record, &[]).await;
    }
    let Ok(record) = CustomerRecord::new(id) else { return Err(missing(id)) };
    let customer = accounts.customer(id).await?;
    let spend = accounts.spend_of(ScopeKind::Customer, id, &customer.limits).await?;
    if spend.total_spend == Nanodollars::ZERO && spend.reserved == Nanodollars::ZERO {
        return Err(missing(id));
    }
    let spend = RecordSpend { spend, ..RecordSpend::default() };
    let view = CustomerView { record, spent: SpentRecord { budget: None, spend } };
    AdminAnswer::of(&view.row(accounts))
}

/// `GET /customer/list`: customers with records, newest first.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/customer/list")?;
    let query = &request.query;
    let is_paged = query.text("page").is_some() || query.text("page_size").is_some();
    let page = query.page("page_size", (if is_paged { USUAL } else { MOST }, MOST))?;
    let all = RecordQuery::all(RecordKind::Customer, request.accounts.now());
    let contains = query.text("search").map(str::to_owned);
    let asked = RecordQuery { contains, offset: page.offset(), limit: page.size, ..all };
    let records = request.accounts.list::<CustomerRecord>(asked).await?.rows;
    let views = CustomerView::of_all(&request.accounts, records).await?;
    let rows = views.iter().map(|view| view.row(&request.accounts));
    AdminAnswer::of(&rows.collect::<Vec<_>>())
}

/// `POST /customer/update`: merges fields into a customer.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let id: String = request.body.require("user_id")?;
    let CustomerFields { input, spend, ignored } =
        CustomerFields::read(std::mem::take(&mut request.body))?;
    let merge = |record: &mut CustomerRecord, now| record.apply(input.clone(), now);
    let record = request.accounts.update(&id, request.caller.actor(), merge).await?;
    set_spend(&request, &record, spend).await?;
    answer(&request, record, &ignored).await
}

/// `POST /customer/block`: refuses calls for customers. Unknown ones are made.
pub(super) async fn block(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    set_blocked(request, true).await
}

/// `POST /customer/unblock`: lets them call again.
pub(super) async fn unblock(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    set_blocked(request, false).await
}

/// `POST /customer/delete`: removes records of customers. Calls for them are then those of unknown ones.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let ids: Vec<String> = request.body.require("user_ids")?;
    for id in &ids {
        request.accounts.record::<CustomerRecord>(id).await?;
    }
    let mut count = 0;
    for id in &ids {
        let gone = request.accounts.delete::<CustomerRecord>(id, request.caller.actor()).await;
        count += u64::from(found(gone)?.is_some());
    }
    let message = format!("Successfully deleted customers with ids: {}", ids.join(", "));
    AdminAnswer::of(&DeletedCustomers { deleted_customers: count, message })
}

impl CustomerFields {
    fn read(mut body: AdminBody) -> Result<Self, AdminRefusal> {
        let spend = body.option::<Number>("spend")?;
        let spend = spend.map(|spend| money(&spend, "spend")).transpose()?;
        let mut ignored = unenforced::stored(body.members());
        let (input, other) = body.fields::<CustomerInput>()?;
        if input.default_model.value().is_some_and(|model| !model.is_empty()) {
            ignored.push("default_model".to_owned());
        }
        ignored.extend(unenforced::unknown(&other)?);
        if let (Set::To(_), true) = (&input.budget_id, has_inline(&input)) {
            let message = "Set either budget_id or the limits themselves, not both.";
            return Err(AdminRefusal::bad(message).kind("bad_request").param("budget_id"));
        }
        Ok(Self { input, spend, ignored })
    }
}

/// Whether a request sets limits of the customer's own.
fn has_inline(input: &CustomerInput) -> bool {
    let mut own = Limits::default();
    let now = UtcTime::default();
    // Bad values are refused where they are stored.
    own.apply(input.limits.clone(), now).is_err() || own != Limits::default()
}

impl CustomerView {
    async fn of_all(
        accounts: &Accounts,
        records: Vec<CustomerRecord>,
    ) -> Result<Vec<Self>, AdminRefusal> {
        let asked: Vec<_> = records.iter().map(budgeted).collect();
        let spent = SpentRecord::of_all(accounts, ScopeKind::Customer, &asked).await?;
        Ok(records.into_iter().zip(spent).map(|(record, spent)| Self { record, spent }).collect())
    }

    fn row(&self, accounts: &Accounts) -> CustomerRow<'_> {
        let Self { record, spent } = self;
        let spend = spent.spend.spend;
        CustomerRow {
            user_id: &record.user_id,
            alias: record.alias.as_deref(),
            blocked: record.blocked,
            spend: Dollars(spend.spend),
            total_spend: Dollars(spend.total_spend),
            allowed_model_region: record.allowed_model_region,
            default_model: record.default_model.as_deref(),
            models: &record.models,
            budget_id: record.budget_id.as_deref(),
            budget_reset_at: spend.reset_at,
            litellm_budget_table: spent.budget_table(&record.limits, accounts),
        }
    }
}

async fn set_blocked(
    mut request: AdminRequest,
    blocked: bool,
) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let ids: Vec<String> = request.body.require("user_ids")?;
    let mut records = Vec::with_capacity(ids.len());
    for id in &ids {
        records.push(set_one(&request, id, blocked).await?);
    }
    let views = CustomerView::of_all(&request.accounts, records).await?;
    let blocked_users = views.iter().map(|view| view.row(&request.accounts)).collect();
    AdminAnswer::of(&BlockedCustomers { blocked_users })
}

async fn set_one(
    request: &AdminRequest,
    id: &str,
    blocked: bool,
) -> Result<CustomerRecord, AdminRefusal> {
    let (accounts, actor) = (&request.accounts, request.caller.actor());
    let merge = |record: &mut CustomerRecord, _| {
        record.blocked = blocked;
        Ok(())
    };
    if let Some(record) = found(accounts.update(id, actor, merge).await)? {
        return Ok(record);
    }
    let record = CustomerRecord { blocked, ..CustomerRecord::new(id)? };
    match accounts.create(record, actor).await {
        // Another request was faster.
        Err(AdminError::Taken { .. }) => Ok(accounts.update(id, actor, merge).await?),
        made => Ok(made?),
    }
}

async fn set_spend(
    request: &AdminRequest,
    record: &CustomerRecord,
    spend: Option<Nanodollars>,
) -> Result<(), AdminRefusal> {
    let Some(spend) = spend else { return Ok(()) };
    record_spend::set(&request.accounts, ScopeKind::Customer, budgeted(record), spend).await
}

async fn answer(
    request: &AdminRequest,
    record: CustomerRecord,
    ignored: &[String],
) -> Result<AdminAnswer, AdminRefusal> {
    let views = CustomerView::of_all(&request.accounts, vec![record]).await?;
    let rows: Vec<_> = views.iter().map(|view| view.row(&request.accounts)).collect();
    let row = rows.first().ok_or_else(|| AdminRefusal::internal(&"a customer without a row"))?;
    Ok(AdminAnswer::of(row)?.ignoring(ignored.iter().map(String::as_str)))
}

fn budgeted(record: &CustomerRecord) -> Budgeted<'_> {
    (&record.user_id, &record.limits, record.budget_id.as_deref())
}

fn exists(id: &str) -> AdminRefusal {
    let message =
        format!("Customer already exists, passed user_id={id}. Please pass a new user_id.");
    AdminRefusal::bad(message).kind("bad_request").param("user_id")
}

fn missing(id: &str) -> AdminRefusal {
    AdminError::NotFound { kind: RecordKind::Customer, id: id.to_owned() }.into()
}
