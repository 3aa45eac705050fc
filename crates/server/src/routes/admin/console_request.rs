//! `GET /outcrop/requests/{id}`: one call with all that is kept of it, for an operator's page.

use access::UtcTime;
use access::ledger::{CallFilter, Charge, Closing, RefusalFilter, ScopeKind};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::AdminAnswer;
use super::console_row::{ConsoleRow, LedgerEntry, RowNames, cut};
use super::error::AdminRefusal;
use super::report_scope::{AskedParties, selected};
use super::request::AdminRequest;
use super::spend_row::{CostParts, raw};

#[derive(Debug, Serialize)]
struct RequestDetails<'r> {
    #[serde(flatten)]
    row: ConsoleRow<'r>,
    #[serde(flatten)]
    call: Option<CallDetails<'r>>,
    /// Content of requests and answers is never kept.
    content_kept: bool,
}

/// Members that only calls have.
#[derive(Debug, Serialize)]
struct CallDetails<'r> {
    ended_at: Option<UtcTime>,
    model_group: Option<&'r str>,
    reach: Option<&'r str>,
    tier: Option<&'r str>,
    session: Option<String>,
    ip: Option<&'r str>,
    tags: Vec<String>,
    metadata: Option<&'r RawValue>,
    units: Option<&'r RawValue>,
    cache_write_5m: u64,
    cache_write_1h: u64,
    /// Null where no price was known before the call.
    reserved_nano: Option<String>,
    price_row: Option<&'r str>,
    price_source: Option<&'r str>,
    /// Parts of the cost; null where they do not make up what was charged.
    parts: Option<Vec<CostPart>>,
    budgets: Vec<ChargedBudget<'r>>,
}

#[derive(Debug, Serialize)]
struct CostPart {
    part: &'static str,
    cost_nano: String,
}

/// A budget that the call counted in.
#[derive(Debug, Serialize)]
struct ChargedBudget<'r> {
    kind: &'static str,
    label: String,
    window: &'r str,
    max_nano: String,
}

/// `GET /outcrop/requests/{id}`.
pub(super) async fn details(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let id = request.in_path("id").to_owned();
    let who = selected(&request, AskedParties::default()).await?;
    let store = request.accounts.store();
    let filter =
        CallFilter { id: Some(id.clone()), who: who.clone(), limit: 1, ..CallFilter::default() };
    let mut entries: Vec<_> =
        store.newest(filter).await?.rows.into_iter().map(LedgerEntry::Call).collect();
    if entries.is_empty() {
        let filter =
            RefusalFilter { id: Some(id.clone()), who, limit: 1, ..RefusalFilter::default() };
        entries.extend(store.refusals(filter).await?.into_iter().map(LedgerEntry::Refusal));
    }
    let Some(entry) = entries.first() else {
        let message =
            format!("Request '{}' not found: it was never made or its row is removed.", cut(&id));
        return Err(AdminRefusal::not_found(message).param("id"));
    };
    let names = RowNames::read(&request, &entries).await?;
    let call = match entry {
        LedgerEntry::Call(row) => {
            Some(CallDetails::of(&row.closing, (&request, &names), row.under_way))
        }
        LedgerEntry::Refusal(_) => None,
    };
    let answer = RequestDetails { row: ConsoleRow::of(entry, &names), call, content_kept: false };
    AdminAnswer::of(&answer).map(|answer| answer.header("cache-control", "no-store"))
}

impl<'r> CallDetails<'r> {
    fn of(closing: &'r Closing, (request, names): (&AdminRequest, &RowNames), runs: bool) -> Self {
        let Closing { call, at, outcome, .. } = closing;
        let now = request.worker().now();
        let total = closing.cost().filter(|_| !runs);
        let parts = total
            .and_then(|total| CostParts::of(closing, total, now.names.catalogue()))
            .map(|parts| {
                parts.named().map(|(part, nano)| CostPart { part, cost_nano: nano.to_string() })
            });
        let limited = call.charges.iter().filter_map(|charge| charged(charge, names));
        Self {
            ended_at: (!runs).then_some(*at),
            model_group: outcome.model_group.as_deref(),
            reach: outcome.reach.as_deref(),
            tier: outcome.tier.as_deref(),
            session: call.session_id.as_deref().map(|text| cut(text).into_owned()),
            ip: call.ip.as_deref(),
            tags: call.who.tags.iter().map(|tag| cut(tag).into_owned()).collect(),
            metadata: raw(call.meta.as_deref()),
            units: raw(outcome.units.as_deref()),
            cache_write_5m: outcome.cache_write_5m,
            cache_write_1h: outcome.cache_write_1h,
            reserved_nano: call.estimate.map(|estimate| estimate.nano().to_string()),
            price_row: outcome.price_id.as_deref(),
            price_source: outcome.price_source.as_deref(),
            parts: parts.map(Vec::from),
            budgets: limited.collect(),
        }
    }
}

fn charged<'r>(charge: &'r Charge, names: &RowNames) -> Option<ChargedBudget<'r>> {
    let counter = &charge.counter;
    let label = match counter.kind {
        ScopeKind::Key => names.keys.shown(&counter.id),
        ScopeKind::Team => names.teams.shown(&counter.id).to_owned(),
        ScopeKind::Member
        | ScopeKind::User
        | ScopeKind::Customer
        | ScopeKind::Tag
        | ScopeKind::Model
        | ScopeKind::Gateway => counter.id.clone(),
    };
    Some(ChargedBudget {
        kind: counter.kind.as_str(),
        label: cut(&label).into_owned(),
        window: &counter.window,
        max_nano: charge.max?.nano().to_string(),
    })
}
