//! Rows of teams and memberships as the admin API shows them.

use std::collections::BTreeMap;

use access::accounts::{RecordSpend, SpendAsk};
use access::ledger::ScopeKind;
use access::{
    Accounts, Limits, MemberRecord, TeamMember, TeamRecord, TeamRole, UtcTime, WrittenSpan,
};
use serde::Serialize;
use serde_json::Value;

use super::answer::Dollars;
use super::error::AdminRefusal;
use super::limit_columns::{BudgetColumns, LimitColumns};
use super::metadata::MetadataColumn;
use super::record_spend::{Budgeted, SpentRecord};

/// A team with all that its row shows.
#[derive(Debug)]
pub(super) struct TeamView {
    /// The record.
    pub(super) record: TeamRecord,
    spent: SpentRecord,
}

/// A row of a team.
#[derive(Debug, Serialize)]
pub(super) struct TeamRow<'t> {
    team_id: &'t str,
    team_alias: Option<&'t str>,
    organization_id: Option<&'t str>,
    admins: Vec<&'t str>,
    members: Vec<&'t str>,
    members_with_roles: &'t [TeamMember],
    metadata: MetadataColumn<'t>,
    models: &'t [String],
    model_aliases: &'t BTreeMap<String, String>,
    litellm_model_table: Option<ModelTable<'t>>,
    model_id: Option<u64>,
    blocked: bool,
    #[serde(flatten)]
    limits: LimitColumns<'t>,
    spend: Dollars,
    total_spend: Dollars,
    model_spend: BTreeMap<&'t str, Dollars>,
    budget_reset_at: Option<UtcTime>,
    budget_id: Option<&'t str>,
    litellm_budget_table: Option<BudgetColumns<'t>>,
    team_member_budget: Option<Dollars>,
    team_member_budget_duration: Option<&'t WrittenSpan>,
    team_member_rpm_limit: Option<u64>,
    team_member_tpm_limit: Option<u64>,
    team_member_key_duration: Option<&'t str>,
    team_member_permissions: Option<&'t [String]>,
    allowed_geographies: Option<&'t [String]>,
    allowed_operations: Option<&'t [String]>,
    access_group_ids: Option<&'t [String]>,
    router_settings: Option<&'t Value>,
    object_permission: Option<&'t Value>,
    created_at: UtcTime,
    updated_at: UtcTime,
    outcrop: OwnTeamColumns,
}

/// LiteLLM's table of a team's aliases.
#[derive(Debug, Serialize)]
struct ModelTable<'t> {
    model_aliases: &'t BTreeMap<String, String>,
}

/// Columns that LiteLLM does not have.
#[derive(Debug, Serialize)]
struct OwnTeamColumns {
    reserved: Dollars,
    /// The window of the members' budget: a budget without a duration is one for the lifetime.
    team_member_budget_window: Option<String>,
}

/// A membership.
#[derive(Debug, Serialize)]
pub(super) struct MembershipRow<'m> {
    user_id: &'m str,
    team_id: &'m str,
    budget_id: Option<String>,
    spend: Dollars,
    total_spend: Dollars,
    allowed_models: Option<&'m [String]>,
    litellm_budget_table: Option<BudgetColumns<'m>>,
}

impl TeamView {
    /// Reads what the rows of teams show besides their records.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_all(
        accounts: &Accounts,
        records: Vec<TeamRecord>,
    ) -> Result<Vec<Self>, AdminRefusal> {
        let asked: Vec<_> = records.iter().map(budgeted).collect();
        let spent = SpentRecord::of_all(accounts, ScopeKind::Team, &asked).await?;
        Ok(records.into_iter().zip(spent).map(|(record, spent)| Self { record, spent }).collect())
    }

    /// The same for one team.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of(accounts: &Accounts, record: TeamRecord) -> Result<Self, AdminRefusal> {
        let mut views = Self::of_all(accounts, vec![record]).await?;
        views.pop().ok_or_else(|| AdminRefusal::internal(&"a team without a row"))
    }

    /// Spend of the present window.
    pub(super) fn spend(&self) -> access::Nanodollars {
        self.spent.spend.spend.spend
    }

    /// The row.
    pub(super) fn row(&self, accounts: &Accounts) -> TeamRow<'_> {
        let Self { record, spent } = self;
        let SpentRecord { budget, spend } = spent;
        let of_role = |role| {
            let members = record.members_with_roles.iter().filter(move |m| m.role == role);
            members.filter_map(|member| member.user_id.as_deref()).collect()
        };
        let member = &record.member_limits;
        let aliases = &record.model_aliases;
        let models = spend.models.iter();
        TeamRow {
            team_id: &record.team_id,
            team_alias: record.team_alias.as_deref(),
            organization_id: record.organization_id.as_deref(),
            admins: of_role(TeamRole::Admin),
            members: of_role(TeamRole::User),
            members_with_roles: &record.members_with_roles,
            metadata: metadata(record),
            models: &record.models,
            model_aliases: aliases,
            litellm_model_table: (!aliases.is_empty())
                .then_some(ModelTable { model_aliases: aliases }),
            model_id: None,
            blocked: record.blocked,
            limits: LimitColumns::of(&record.limits, accounts),
            spend: Dollars(spend.spend.spend),
            total_spend: Dollars(spend.spend.total_spend),
            model_spend: models.map(|(model, spend)| (model.as_str(), Dollars(*spend))).collect(),
            budget_reset_at: spend.spend.reset_at,
            budget_id: record.budget_id.as_deref(),
            litellm_budget_table: budget.as_ref().map(|row| BudgetColumns::of_row(row, accounts)),
            team_member_budget: member.max_budget.map(Dollars),
            team_member_budget_duration: member.budget_duration.as_ref(),
            team_member_rpm_limit: member.rpm_limit,
            team_member_tpm_limit: member.tpm_limit,
            team_member_key_duration: record.team_member_key_duration.as_deref(),
            team_member_permissions: record.team_member_permissions.as_deref(),
            allowed_geographies: record.allowed_geographies.as_deref(),
            allowed_operations: record.allowed_operations.as_deref(),
            access_group_ids: record.access_group_ids.as_deref(),
            router_settings: record.router_settings.as_ref(),
            object_permission: record.object_permission.as_ref(),
            created_at: record.stamp.created_at,
            updated_at: record.stamp.updated_at,
            outcrop: OwnTeamColumns {
                reserved: Dollars(spend.spend.reserved),
                team_member_budget_window: member.max_budget.map(|_| {
                    let span = member.budget_duration.as_ref();
                    span.map_or_else(|| "lifetime".to_owned(), ToString::to_string)
                }),
            },
        }
    }
}

impl<'m> MembershipRow<'m> {
    /// The rows of memberships of a team. Limits that a membership does not have are the team's for members.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_all(
        accounts: &Accounts,
        team: &TeamRecord,
        members: &'m [MemberRecord],
    ) -> Result<Vec<Self>, AdminRefusal> {
        use access::Record as _;
        let ids: Vec<_> = members.iter().map(MemberRecord::id).collect();
        let limits: Vec<_> =
            members.iter().map(|member| member.limits.or(&team.member_limits)).collect();
        let asks = ids.iter().zip(&limits);
        let asks: Vec<_> =
            asks.map(|(id, limits)| SpendAsk { kind: ScopeKind::Member, id, limits }).collect();
        let spends = accounts.spends_of(&asks).await?;
        let rows = members.iter().zip(spends).map(|(member, RecordSpend { spend, .. })| {
            let since = member.limits.budget_since;
            let has_limits = member.limits != Limits { budget_since: since, ..Limits::default() };
            Self {
                user_id: &member.user_id,
                team_id: &member.team_id,
                budget_id: has_limits.then(|| member.id()),
                spend: Dollars(spend.spend),
                total_spend: Dollars(spend.total_spend),
                allowed_models: member.allowed_models.as_deref(),
                litellm_budget_table: has_limits
                    .then(|| BudgetColumns::of_limits(&member.limits, accounts)),
            }
        });
        Ok(rows.collect())
    }
}

/// A team, as its spend depends on it.
fn budgeted(team: &TeamRecord) -> Budgeted<'_> {
    (&team.team_id, &team.limits, team.budget_id.as_deref())
}

fn metadata(record: &TeamRecord) -> MetadataColumn<'_> {
    MetadataColumn::of(&record.metadata)
        .with("tags", record.tags.as_ref())
        .with("guardrails", record.guardrails.as_ref())
        .with("prompts", record.prompts.as_ref())
        .with("model_tpm_limit", record.limits.model_tpm_limit.as_ref())
        .with("model_rpm_limit", record.limits.model_rpm_limit.as_ref())
}
