//! Routes for tags that have limits or models of their own. Other tags are only counted.

use std::collections::BTreeMap;

use access::ledger::ScopeKind;
use access::store::RecordQuery;
use access::{Accounts, RecordKind, TagInput, TagRecord, UtcTime};
use serde::Serialize;

use super::answer::{AdminAnswer, Dollars};
use super::body::AdminBody;
use super::error::AdminRefusal;
use super::key_row::found;
use super::limit_columns::{BudgetColumns, LimitColumns};
use super::record_spend::{Budgeted, SpentRecord};
use super::request::AdminRequest;
use super::unenforced;

/// Most rows of a list.
const MOST: u64 = 10_000;

/// A tag with all that its row shows.
#[derive(Debug)]
struct TagView {
    record: TagRecord,
    spent: SpentRecord,
}

/// A row of a tag.
#[derive(Debug, Serialize)]
struct TagRow<'t> {
    name: &'t str,
    description: Option<&'t str>,
    models: &'t [String],
    #[serde(flatten)]
    limits: LimitColumns<'t>,
    spend: Dollars,
    total_spend: Dollars,
    budget_reset_at: Option<UtcTime>,
    budget_id: Option<&'t str>,
    litellm_budget_table: Option<BudgetColumns<'t>>,
    created_at: UtcTime,
    created_by: &'t str,
    updated_at: UtcTime,
    updated_by: &'t str,
}

#[derive(Debug, Serialize)]
struct DeletedTag {
    message: String,
}

/// `POST /tag/new`: makes a tag.
pub(super) async fn new(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let name: String = request.body.require("name")?;
    let (input, ignored) = fields(std::mem::take(&mut request.body))?;
    let mut tag = TagRecord::new(&name)?;
    tag.apply(input, request.accounts.now())?;
    let tag = request.accounts.create(tag, request.caller.actor()).await?;
    answer(&request, tag, &ignored).await
}

/// `POST /tag/update`: merges fields into a tag.
pub(super) async fn update(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let name: String = request.body.require("name")?;
    let (input, ignored) = fields(std::mem::take(&mut request.body))?;
    let merge = |tag: &mut TagRecord, now| tag.apply(input.clone(), now);
    let tag = request.accounts.update(&name, request.caller.actor(), merge).await?;
    answer(&request, tag, &ignored).await
}

/// `POST /tag/delete`: removes the limits of a tag. Calls with it are still counted.
pub(super) async fn delete(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_admin()?;
    let name: String = request.body.require("name")?;
    request.accounts.delete::<TagRecord>(&name, request.caller.actor()).await?;
    AdminAnswer::of(&DeletedTag { message: format!("Tag {name} deleted successfully") })
}

/// `POST /tag/info`: some tags by their names; those that do not exist are left out, unless none does.
pub(super) async fn info(mut request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/tag/info")?;
    let names: Vec<String> = request.body.require("names")?;
    let mut tags = Vec::with_capacity(names.len());
    for name in &names {
        tags.extend(found(request.accounts.record::<TagRecord>(name).await)?);
    }
    if tags.is_empty() {
        let message = format!("Tags not found: {}", names.join(", "));
        return Err(AdminRefusal::not_found(message).param("names"));
    }
    let views = TagView::of_all(&request.accounts, tags).await?;
    let rows = views.iter().map(|view| (view.record.name.as_str(), view.row(&request.accounts)));
    AdminAnswer::of(&rows.collect::<BTreeMap<_, _>>())
}

/// `GET /tag/list`: all tags, newest first.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    request.caller.require_reader("/tag/list")?;
    let all = RecordQuery::all(RecordKind::Tag, request.accounts.now());
    let tags = request.accounts.list::<TagRecord>(RecordQuery { limit: MOST, ..all }).await?.rows;
    let views = TagView::of_all(&request.accounts, tags).await?;
    let rows = views.iter().map(|view| view.row(&request.accounts));
    AdminAnswer::of(&rows.collect::<Vec<_>>())
}

fn fields(body: AdminBody) -> Result<(TagInput, Vec<String>), AdminRefusal> {
    let mut ignored = unenforced::stored(body.members());
    let (input, other) = body.fields::<TagInput>()?;
    ignored.extend(unenforced::unknown(&other)?);
    Ok((input, ignored))
}

impl TagView {
    async fn of_all(
        accounts: &Accounts,
        records: Vec<TagRecord>,
    ) -> Result<Vec<Self>, AdminRefusal> {
        let asked: Vec<_> = records.iter().map(budgeted).collect();
        let spent = SpentRecord::of_all(accounts, ScopeKind::Tag, &asked).await?;
        Ok(records.into_iter().zip(spent).map(|(record, spent)| Self { record, spent }).collect())
    }

    fn row(&self, accounts: &Accounts) -> TagRow<'_> {
        let Self { record, spent } = self;
        let spend = spent.spend.spend;
        TagRow {
            name: &record.name,
            description: record.description.as_deref(),
            models: &record.models,
            limits: LimitColumns::of(&record.limits, accounts),
            spend: Dollars(spend.spend),
            total_spend: Dollars(spend.total_spend),
            budget_reset_at: spend.reset_at,
            budget_id: record.budget_id.as_deref(),
            litellm_budget_table: spent.budget_table(&record.limits, accounts),
            created_at: record.stamp.created_at,
            created_by: &record.stamp.created_by,
            updated_at: record.stamp.updated_at,
            updated_by: &record.stamp.updated_by,
        }
    }
}

fn budgeted(tag: &TagRecord) -> Budgeted<'_> {
    (&tag.name, &tag.limits, tag.budget_id.as_deref())
}

async fn answer(
    request: &AdminRequest,
    tag: TagRecord,
    ignored: &[String],
) -> Result<AdminAnswer, AdminRefusal> {
    let views = TagView::of_all(&request.accounts, vec![tag]).await?;
    let rows: Vec<_> = views.iter().map(|view| view.row(&request.accounts)).collect();
    let row = rows.first().ok_or_else(|| AdminRefusal::internal(&"a tag without a row"))?;
    Ok(AdminAnswer::of(row)?.ignoring(ignored.iter().map(String::as_str)))
}
