//! The keys that a caller may read and change, and what it may grant to them.

use access::accounts::KeyRef;
use access::policy::within;
use access::store::{Document, RecordQuery};
use access::{
    Holder, InvalidField, KeyRecord, LimitType, Nanodollars, RecordKind, TeamRecord, UtcTime,
    WrittenSpan,
};

use super::error::AdminRefusal;
use super::key_row::found;
use super::request::AdminRequest;

/// Rows read at once where all of a selection are needed.
const PAGE: u64 = 500;

/// A use of a key's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Its row is read.
    Read,
    /// It is changed, replaced or deleted.
    Change,
}

/// A key as it is to be, with the key as it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyGrant<'k> {
    /// The record that is to be written.
    pub(super) after: &'k KeyRecord,
    /// The record before a change; absent for a new key.
    pub(super) before: Option<&'k KeyRecord>,
    /// The route, as teams grant it to their members.
    pub(super) route: &'static str,
}

/// Finds a key that the caller may use. An alias of a key that it may not use names no key: aliases can be guessed.
///
/// # Errors
/// There is none, or the caller may not.
pub(super) async fn find(
    request: &AdminRequest,
    key: &KeyRef,
    (usage, route): (KeyUse, &str),
) -> Result<KeyRecord, AdminRefusal> {
    let record = request.accounts.key(key).await?;
    if may(request, &record, (usage, route)).await? {
        return Ok(record);
    }
    match key {
        KeyRef::Alias(_) => Err(AdminRefusal::not_found("Key not found in database").param("key")),
        KeyRef::Secret(_) | KeyRef::Token(_) | KeyRef::Id(_) => Err(AdminRefusal::forbidden(
            "You are not allowed to access this key's info or to change it.",
        )),
    }
}

/// Whether the caller may use a key.
///
/// # Errors
/// The store fails.
pub(super) async fn may(
    request: &AdminRequest,
    key: &KeyRecord,
    (usage, route): (KeyUse, &str),
) -> Result<bool, AdminRefusal> {
    let caller = &request.caller;
    if caller.is_admin() || usage == KeyUse::Read && caller.reads_all() {
        return Ok(true);
    }
    if caller.owns(key) && (usage == KeyUse::Read || caller.manages_own()) {
        return Ok(true);
    }
    let Some(team) = team_of(request, key.team_id.as_deref()).await? else { return Ok(false) };
    Ok(caller.leads(&team) || caller.is_granted(&team, route))
}

/// The team of an id, where there is one.
///
/// # Errors
/// The store fails.
pub(super) async fn team_of(
    request: &AdminRequest,
    id: Option<&str>,
) -> Result<Option<TeamRecord>, AdminRefusal> {
    match id {
        Some(id) => found(request.accounts.record(id).await),
        None => Ok(None),
    }
}

/// Checks that a caller grants no more than it has, and that the keys of a team that are guaranteed their rates have
/// room in the team's.
///
/// # Errors
/// The first field that grants too much.
pub(super) async fn check(request: &AdminRequest, grant: KeyGrant<'_>) -> Result<(), AdminRefusal> {
    let team = team_of(request, grant.after.team_id.as_deref()).await?;
    if let Some(team) = &team {
        check_guarantees(request, grant, team).await?;
    }
    let Some(holder) = request.caller.holder().filter(|_| !request.caller.is_admin()) else {
        return Ok(());
    };
    check_owner(request, holder, (grant, team.as_ref()))?;
    check_revoked(request, grant, team.as_ref())?;
    let KeyGrant { after, before, .. } = grant;
    let limits = request.accounts.with_row(&after.limits, after.budget_id.as_deref()).await?;
    let child = KeyRecord { limits, ..after.clone() };
    let exceeds =
        |refusal: InvalidField| AdminRefusal::forbidden(refusal.message).param(refusal.param);
    if let Err(refusal) = within(&child, holder) {
        // A key that had more from an administrator keeps it.
        let was = match before {
            Some(before) => Some(request.accounts.holder(before.clone()).await?),
            None => None,
        };
        if was.is_none_or(|was| within(&child, &was).is_err()) {
            return Err(exceeds(refusal));
        }
    }
    if let Some(team) = &team {
        check_team(grant, team, request.accounts.now()).map_err(exceeds)?;
    }
    check_remainder(request, holder, KeyGrant { after: &child, ..grant }).await
}

/// The owner of a key is the caller's user, or a member of a team that the caller leads.
fn check_owner(
    request: &AdminRequest,
    holder: &Holder,
    (grant, team): (KeyGrant<'_>, Option<&TeamRecord>),
) -> Result<(), AdminRefusal> {
    let caller = &request.caller;
    let KeyGrant { after, before, route } = grant;
    let leads = team.is_some_and(|team| caller.leads(team));
    let may_place = match (before, &after.team_id) {
        // Out of its team a key would be free of the team's limits.
        (Some(before), team) => before.team_id == *team,
        (None, Some(_)) => leads || team.is_some_and(|team| caller.is_granted(team, route)),
        (None, None) => caller.manages_own(),
    };
    if !may_place {
        return Err(AdminRefusal::only_admins());
    }
    let own = after.user_id == holder.key.user_id
        || before.is_some_and(|before| before.user_id == after.user_id);
    let of_member = leads
        && after
            .user_id
            .as_deref()
            .is_none_or(|user| team.is_some_and(|team| team.role_of(user).is_some()));
    if own || of_member {
        return Ok(());
    }
    let message = "A key may be made for the calling user, or by a team's admin for its members.";
    Err(AdminRefusal::forbidden(message).param("user_id"))
}

/// Checks that a key which was blocked or has expired stays so: its owner does not undo what an administrator did.
fn check_revoked(
    request: &AdminRequest,
    grant: KeyGrant<'_>,
    team: Option<&TeamRecord>,
) -> Result<(), AdminRefusal> {
    let KeyGrant { after, before: Some(before), .. } = grant else { return Ok(()) };
    if team.is_some_and(|team| request.caller.leads(team)) {
        return Ok(());
    }
    let is_unblocked = before.blocked == Some(true) && after.blocked != Some(true);
    let had_expired = before.expires.is_some_and(|at| at <= request.accounts.now());
    let is_revived = had_expired && after.expires != before.expires;
    if is_unblocked || is_revived { Err(AdminRefusal::only_admins()) } else { Ok(()) }
}

/// Checks that a key stays within its team, which limits it in calls as well.
fn check_team(grant: KeyGrant<'_>, team: &TeamRecord, now: UtcTime) -> Result<(), InvalidField> {
    let KeyGrant { after, before, .. } = grant;
    let refuse = |param: &'static str| {
        Err(InvalidField { param, message: format!("{param} exceeds what the team has") })
    };
    let above = |own: Option<u64>, team: Option<u64>| matches!((own, team), (Some(own), Some(team)) if own > team);
    let nano = |amount: Option<Nanodollars>| amount.map(|amount| amount.nano().unsigned_abs());
    let (own, most) = (&after.limits, &team.limits);
    let is_same = before.is_some_and(|before| before.limits == *own);
    let checks = [
        ("max_budget", above(nano(own.max_budget), nano(most.max_budget))),
        ("tpm_limit", above(own.tpm_limit, most.tpm_limit)),
        ("rpm_limit", above(own.rpm_limit, most.rpm_limit)),
        ("tpd_limit", above(own.tpd_limit, most.tpd_limit)),
        ("max_parallel_requests", above(own.max_parallel_requests, most.max_parallel_requests)),
    ];
    if let Some((param, _)) = checks.iter().find(|(_, above)| *above && !is_same) {
        return refuse(param);
    }
    let granted = |models: &[String]| {
        let named = models.iter().filter(|model| *model != "all-team-models");
        let child = KeyRecord { models: named.cloned().collect(), ..KeyRecord::default() };
        let key = KeyRecord { models: team.models.clone(), ..KeyRecord::default() };
        child.models.is_empty() || within(&child, &Holder { key, ..Holder::default() }).is_ok()
    };
    if !granted(&after.models) && before.is_none_or(|before| before.models != after.models) {
        return refuse("models");
    }
    let longest = team.team_member_key_duration.as_deref().and_then(WrittenSpan::parse);
    let ends = longest.map(|span| span.after(now));
    let is_late = match (after.expires, ends) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(own), Some(latest)) => own > latest,
    };
    if is_late && before.is_none_or(|before| before.expires != after.expires) {
        return refuse("duration");
    }
    Ok(())
}

/// Checks that a budget is left over from the creator's: from its spend, and from the budgets of keys that it made
/// before.
async fn check_remainder(
    request: &AdminRequest,
    holder: &Holder,
    grant: KeyGrant<'_>,
) -> Result<(), AdminRefusal> {
    let KeyGrant { after, before, .. } = grant;
    let now = request.accounts.now();
    let limits = holder.key.limits_at(now).or(&holder.key_budget);
    let (Some(most), Some(asked)) = (limits.max_budget, after.limits.max_budget) else {
        return Ok(());
    };
    let is_raised =
        before.is_none_or(|before| before.limits.max_budget.is_none_or(|had| asked > had));
    if !is_raised || after.id == holder.key.id {
        return Ok(());
    }
    let (kind, id) = (access::ledger::ScopeKind::Key, holder.key.id.as_str());
    let spent = request.accounts.spend_of(kind, id, &limits).await?;
    let mut query = RecordQuery::all(RecordKind::Key, now);
    query.user.clone_from(&holder.key.user_id);
    let mut left = most.minus(spent.spend).minus(spent.reserved);
    for (key, _) in every(request, query).await? {
        let made = key.id != holder.key.id && key.id != after.id && request.caller.made(&key);
        if let Some(promised) = key.limits.max_budget.filter(|_| made) {
            left = left.minus(promised);
        }
    }
    if asked > left {
        let message = "max_budget exceeds what is left of the creating key's budget";
        return Err(AdminRefusal::forbidden(message).param("max_budget"));
    }
    Ok(())
}

/// Checks that the rates that a team guarantees to its keys fit into its own.
async fn check_guarantees(
    request: &AdminRequest,
    grant: KeyGrant<'_>,
    team: &TeamRecord,
) -> Result<(), AdminRefusal> {
    let guaranteed = |kind: Option<LimitType>, limit: Option<u64>| match kind {
        Some(LimitType::GuaranteedThroughput) => limit.unwrap_or_default(),
        Some(LimitType::BestEffortThroughput | LimitType::Dynamic) | None => 0,
    };
    let tokens = |key: &KeyRecord| guaranteed(key.tpm_limit_type, key.limits.tpm_limit);
    let requests = |key: &KeyRecord| guaranteed(key.rpm_limit_type, key.limits.rpm_limit);
    let (mut of_tokens, mut of_requests) = (tokens(grant.after), requests(grant.after));
    if of_tokens == 0 && of_requests == 0 {
        return Ok(());
    }
    let mut query = RecordQuery::all(RecordKind::Key, request.accounts.now());
    query.team = Some(team.team_id.clone());
    for (key, _) in every(request, query).await? {
        if key.id != grant.after.id {
            of_tokens = of_tokens.saturating_add(tokens(&key));
            of_requests = of_requests.saturating_add(requests(&key));
        }
    }
    for (param, sum, limit) in [
        ("tpm_limit", of_tokens, team.limits.tpm_limit),
        ("rpm_limit", of_requests, team.limits.rpm_limit),
    ] {
        if let Some(limit) = limit.filter(|limit| sum > *limit) {
            let message = format!(
                "The {param} guaranteed to keys of this team would be {sum}, above the team's {limit}."
            );
            return Err(AdminRefusal::bad(message).param(param));
        }
    }
    Ok(())
}

/// All keys of a selection, newest first, with the time of their deletion.
///
/// # Errors
/// The store fails.
pub(super) async fn every(
    request: &AdminRequest,
    query: RecordQuery,
) -> Result<Vec<(KeyRecord, Option<UtcTime>)>, AdminRefusal> {
    let mut query = RecordQuery { offset: 0, limit: PAGE, ..query };
    let mut keys = Vec::new();
    loop {
        let page = request.accounts.store().documents(query.clone()).await?;
        query.offset += page.rows.len() as u64;
        for document in &page.rows {
            keys.push(read(document)?);
        }
        if page.rows.is_empty() || query.offset >= page.total {
            return Ok(keys);
        }
    }
}

/// A key and the time of its deletion.
pub(super) fn read(document: &Document) -> Result<(KeyRecord, Option<UtcTime>), AdminRefusal> {
    Ok((document.read()?, document.deleted))
}
