//! Lists of keys.

use std::cmp::Ordering;
use std::collections::HashMap;

use access::store::{RecordQuery, RecordState};
use access::{KeyRecord, RecordKind, TeamRecord, UserRecord, UtcTime};
use serde::Serialize;

use super::answer::AdminAnswer;
use super::caller::AdminCaller;
use super::error::AdminRefusal;
use super::key_access;
use super::key_row::{KeyRow, KeyView, found};
use super::query::{AdminQuery, PageAsk};
use super::request::AdminRequest;

const LIST: &str = "/key/list";
/// Keys of a page, where the request says no number, and at most.
const SIZES: (u64, u64) = (10, 100);

/// The answer of `/key/list`.
#[derive(Debug, Serialize)]
struct KeyList<'k> {
    keys: Vec<ListedKey<'k>>,
    total_count: u64,
    current_page: u64,
    total_pages: u64,
}

/// A key in a list: its token alone, or its row.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ListedKey<'k> {
    Token(&'k str),
    Row(Box<FullRow<'k>>),
}

#[derive(Debug, Serialize)]
struct FullRow<'k> {
    #[serde(flatten)]
    row: KeyRow<'k>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<OwnerColumns<'k>>,
}

/// The user of a key, with `expand=user`.
#[derive(Debug, Clone, Copy, Serialize)]
struct OwnerColumns<'u> {
    user_id: &'u str,
    user_email: Option<&'u str>,
    user_alias: Option<&'u str>,
}

/// The answer of `/key/aliases`.
#[derive(Debug, Serialize)]
struct AliasList {
    aliases: Vec<String>,
    total_count: u64,
    current_page: u64,
    total_pages: u64,
    size: u64,
}

/// Orders of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeySort {
    Created,
    Updated,
    Spend,
    MaxBudget,
    Token,
    Alias,
}

/// The keys of a list, as the request selects them.
struct KeySelection<'q> {
    user: Option<&'q str>,
    team: Option<&'q str>,
    organization: Option<&'q str>,
    token: Option<&'q str>,
    alias: Option<&'q str>,
    search: Option<String>,
    state: Option<RecordState>,
    matching: Matching,
    /// Keys of teams that the user leads are listed besides its own.
    with_teams: bool,
    /// Keys that the user made are listed besides its own.
    with_made: bool,
}

/// The comparison of aliases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matching {
    Exact,
    Substring,
}

/// `GET /key/list`: a page of keys that the caller may read.
pub(super) async fn list(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let query = &request.query;
    let page = query.page("size", SIZES)?;
    let sort = KeySort::of(query)?;
    let (is_full, ascending) = (query.flag("return_full_object")?, query.is_ascending()?);
    let selection = KeySelection::of(query)?;
    let (views, total_count) = match selection.query(&request) {
        Some(query) if sort == KeySort::Created && !ascending => {
            let rows = request.accounts.store().documents(page.of(query)).await?;
            let keys = rows.rows.iter().map(key_access::read).collect::<Result<_, _>>()?;
            (views(&request, keys).await?, rows.total)
        }
        Some(_) | None => {
            let mut keys = selection.keys(&request).await?;
            let total = keys.len() as u64;
            let views = if sort.is_of_record() {
                keys.sort_by(|(a, _), (b, _)| directed(sort.compare(a, b), ascending));
                views(&request, page.cut(keys)).await?
            } else {
                let mut views = views(&request, keys).await?;
                views.sort_by(|a, b| directed(a.spend().cmp(&b.spend()), ascending));
                page.cut(views)
            };
            (views, total)
        }
    };
    let owners = match query.text("expand") {
        Some("user") if is_full => owners(&request, &views).await?,
        Some(_) | None => HashMap::new(),
    };
    let listed = views.iter().map(|view| {
        if !is_full {
            return ListedKey::Token(&view.record.token);
        }
        let owner = view.record.user_id.as_ref().and_then(|user| owners.get(user));
        let user = owner.map(|user| OwnerColumns {
            user_id: &user.user_id,
            user_email: user.user_email.as_deref(),
            user_alias: user.user_alias.as_deref(),
        });
        let row = view.row_with_token(&request.accounts);
        ListedKey::Row(Box::new(FullRow { row, user }))
    });
    let (current_page, total_pages) = (page.page, page.pages(total_count));
    AdminAnswer::of(&KeyList { keys: listed.collect(), total_count, current_page, total_pages })
}

/// `GET /key/aliases`: the aliases of the keys that the caller may read, in alphabetical order.
pub(super) async fn aliases(request: AdminRequest) -> Result<AdminAnswer, AdminRefusal> {
    let page @ PageAsk { size, .. } = request.query.page("size", (50, 100))?;
    let keys = KeySelection::of(&request.query)?.keys(&request).await?;
    let mut aliases: Vec<_> = keys.into_iter().filter_map(|(key, _)| key.key_alias).collect();
    aliases.sort();
    let total_count = aliases.len() as u64;
    let (current_page, total_pages) = (page.page, page.pages(total_count));
    let aliases = page.cut(aliases);
    AdminAnswer::of(&AliasList { aliases, total_count, current_page, total_pages, size })
}

impl KeySort {
    fn of(query: &AdminQuery) -> Result<Self, AdminRefusal> {
        Ok(match query.text("sort_by") {
            None | Some("created_at") => Self::Created,
            Some("updated_at") => Self::Updated,
            Some("spend") => Self::Spend,
            Some("max_budget") => Self::MaxBudget,
            Some("token") => Self::Token,
            Some("key_alias") => Self::Alias,
            Some(other) => {
                return Err(AdminRefusal::bad(format!(
                    "Invalid sort column '{other}'. Use one of: spend, max_budget, created_at, updated_at, token, key_alias."
                ))
                .param("sort_by"));
            }
        })
    }

    /// Whether records alone give the order.
    fn is_of_record(self) -> bool {
        self != Self::Spend
    }

    fn compare(self, a: &KeyRecord, b: &KeyRecord) -> Ordering {
        let by_time = a.stamp.created_at.cmp(&b.stamp.created_at).then_with(|| a.id.cmp(&b.id));
        match self {
            Self::Created | Self::Spend => by_time,
            Self::Updated => a.stamp.updated_at.cmp(&b.stamp.updated_at).then(by_time),
            Self::MaxBudget => a.limits.max_budget.cmp(&b.limits.max_budget).then(by_time),
            Self::Token => a.token.cmp(&b.token),
            Self::Alias => a.key_alias.cmp(&b.key_alias).then(by_time),
        }
    }
}

impl<'q> KeySelection<'q> {
    fn of(query: &'q AdminQuery) -> Result<Self, AdminRefusal> {
        let state = match query.text("status") {
            None => None,
            Some("active") => Some(RecordState::Active),
            Some("expired") => Some(RecordState::Expired),
            Some("revoked") => Some(RecordState::Revoked),
            Some("deleted") => Some(RecordState::Deleted),
            Some(other) => {
                return Err(AdminRefusal::bad(format!(
                    "Invalid status '{other}'. Use one of: active, expired, revoked, deleted."
                ))
                .param("status"));
            }
        };
        let matching = match query.flag("substring_matching")? {
            true => Matching::Substring,
            false => Matching::Exact,
        };
        Ok(Self {
            user: query.text("user_id"),
            team: query.text("team_id"),
            organization: query.text("organization_id"),
            token: query.text("key_hash"),
            alias: query.text("key_alias"),
            search: query.text("search").map(str::to_lowercase),
            state,
            matching,
            with_teams: query.flag("include_team_keys")?,
            with_made: query.flag("include_created_by_keys")?,
        })
    }

    /// The selection as a question to the store, newest first; absent where the store does not know all it needs.
    fn query(&self, request: &AdminRequest) -> Option<RecordQuery> {
        let Self { user, team, organization, token, alias, search, state, matching, .. } = self;
        let is_exact = alias.is_none() || *matching == Matching::Exact;
        let is_joined = self.with_teams || self.with_made || !request.caller.reads_all();
        let is_known = is_exact && !is_joined && token.is_none() && search.is_none();
        is_known.then(|| RecordQuery {
            user: user.map(str::to_owned),
            team: team.map(str::to_owned),
            organization: organization.map(str::to_owned),
            alias: alias.map(str::to_owned),
            state: *state,
            ..RecordQuery::all(RecordKind::Key, request.accounts.now())
        })
    }

    /// The selected keys that the caller may read.
    async fn keys(
        &self,
        request: &AdminRequest,
    ) -> Result<Vec<(KeyRecord, Option<UtcTime>)>, AdminRefusal> {
        let caller = &request.caller;
        let led = self.led_teams(request).await?;
        let of_led =
            |key: &KeyRecord| led.iter().any(|team| key.team_id.as_deref() == Some(&team.team_id));
        let may_read = |key: &KeyRecord| caller.reads_all() || caller.owns(key) || of_led(key);
        let mut keys = Vec::new();
        for query in self.questions(request, &led) {
            keys.extend(key_access::every(request, query).await?);
        }
        if let Some(holder) = caller.holder().filter(|_| !owns_others(caller))
            && matches!(self.state, None | Some(RecordState::Active))
        {
            keys.push((holder.key.clone(), None));
        }
        keys.retain(|(key, _)| may_read(key) && self.takes(key, of_led(key)));
        // A key of the caller's user in a team that it leads answers two questions.
        keys.sort_by(|(a, _), (b, _)| b.id.cmp(&a.id));
        keys.dedup_by(|(a, _), (b, _)| a.id == b.id);
        Ok(keys)
    }

    /// Questions to the store whose answers hold all keys that the caller may read.
    fn questions(&self, request: &AdminRequest, led: &[TeamRecord]) -> Vec<RecordQuery> {
        let all = RecordQuery {
            state: self.state,
            organization: self.organization.map(str::to_owned),
            ..RecordQuery::all(RecordKind::Key, request.accounts.now())
        };
        let caller = &request.caller;
        let Some(holder) = caller.holder().filter(|_| !caller.reads_all()) else {
            return vec![RecordQuery { team: self.team.map(str::to_owned), ..all }];
        };
        let of_teams = led.iter().map(|team| {
            let team = Some(team.team_id.clone());
            RecordQuery { team, ..all.clone() }
        });
        let own = owns_others(caller).then(|| {
            let (user, team) = (holder.key.user_id.clone(), holder.key.team_id.clone());
            RecordQuery { user, team, ..all.clone() }
        });
        own.into_iter().chain(of_teams).collect()
    }

    /// The teams whose keys are listed: those that the caller leads, or, for a caller who reads all, those that the
    /// selected user leads.
    async fn led_teams(&self, request: &AdminRequest) -> Result<Vec<TeamRecord>, AdminRefusal> {
        let caller = &request.caller;
        let reads_all = caller.reads_all();
        if reads_all && !self.with_teams || !owns_others(caller) {
            return Ok(Vec::new());
        }
        let mut query = RecordQuery::all(RecordKind::Team, request.accounts.now());
        query.limit = u64::from(u32::MAX);
        let mut teams = request.accounts.list::<TeamRecord>(query).await?.rows;
        teams.retain(|team| match self.user {
            Some(user) if reads_all => team.role_of(user).is_some(),
            Some(_) | None => caller.leads(team) || caller.is_granted(team, LIST),
        });
        Ok(teams)
    }

    fn takes(&self, key: &KeyRecord, of_led_team: bool) -> bool {
        let is = |wanted: Option<&str>, found: &str| wanted.is_none_or(|wanted| wanted == found);
        let alias = key.key_alias.as_deref().unwrap_or_default();
        let of_team = is(self.team, key.team_id.as_deref().unwrap_or_default())
            && is(self.organization, key.organization_id.as_deref().unwrap_or_default());
        let named = match (self.alias, self.matching) {
            (None, _) => true,
            (Some(wanted), Matching::Exact) => alias == wanted,
            (Some(wanted), Matching::Substring) => {
                alias.to_lowercase().contains(&wanted.to_lowercase())
            }
        };
        let searched = self.search.as_ref().is_none_or(|part| {
            [alias, &key.key_name, &key.token].iter().any(|text| text.to_lowercase().contains(part))
        });
        let of_user = self.user.is_none_or(|user| {
            key.user_id.as_deref() == Some(user)
                || self.with_teams && of_led_team
                || self.with_made && key.stamp.created_by == user
        });
        is(self.token, &key.token) && of_team && named && searched && of_user
    }
}

/// Whether the caller may own other keys than itself: those of its user, or those that it made.
fn owns_others(caller: &AdminCaller) -> bool {
    caller.reads_all() || caller.user().is_some() || caller.manages_own()
}

fn directed(order: Ordering, ascending: bool) -> Ordering {
    if ascending { order } else { order.reverse() }
}

/// The keys with all that their rows show.
async fn views(
    request: &AdminRequest,
    keys: Vec<(KeyRecord, Option<UtcTime>)>,
) -> Result<Vec<KeyView>, AdminRefusal> {
    let (records, deleted): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let mut views = KeyView::of_all(&request.accounts, records).await?;
    for (view, deleted) in views.iter_mut().zip(deleted) {
        view.deleted = deleted;
    }
    Ok(views)
}

async fn owners(
    request: &AdminRequest,
    views: &[KeyView],
) -> Result<HashMap<String, UserRecord>, AdminRefusal> {
    let mut owners = HashMap::new();
    for id in views.iter().filter_map(|view| view.record.user_id.as_ref()) {
        if owners.contains_key(id) {
            continue;
        }
        if let Some(user) = found(request.accounts.record::<UserRecord>(id).await)? {
            owners.insert(id.clone(), user);
        }
    }
    Ok(owners)
}
