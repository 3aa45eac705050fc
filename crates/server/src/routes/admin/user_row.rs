//! Rows of users as the admin API shows them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use access::ledger::ScopeKind;
use access::{Accounts, Nanodollars, UserRecord, UserRole, UtcTime};
use serde::Serialize;

use super::answer::Dollars;
use super::error::AdminRefusal;
use super::limit_columns::{BudgetColumns, LimitColumns};
use super::metadata::MetadataColumn;
use super::query::AdminQuery;
use super::record_spend::{Budgeted, SpentRecord};

/// A user with all that its row shows.
#[derive(Debug)]
pub(super) struct UserView {
    /// The record.
    pub(super) record: UserRecord,
    spent: SpentRecord,
}

/// A row of a user.
#[derive(Debug, Serialize)]
pub(super) struct UserRow<'u> {
    user_id: &'u str,
    user_email: Option<&'u str>,
    user_alias: Option<&'u str>,
    user_role: Option<UserRole>,
    teams: &'u [String],
    organization_id: Option<&'u str>,
    models: &'u [String],
    metadata: MetadataColumn<'u>,
    blocked: Option<bool>,
    #[serde(flatten)]
    limits: LimitColumns<'u>,
    spend: Dollars,
    total_spend: Dollars,
    model_spend: BTreeMap<&'u str, Dollars>,
    budget_reset_at: Option<UtcTime>,
    budget_id: Option<&'u str>,
    litellm_budget_table: Option<BudgetColumns<'u>>,
    allowed_geographies: Option<&'u [String]>,
    allowed_operations: Option<&'u [String]>,
    sso_user_id: Option<()>,
    created_at: UtcTime,
    updated_at: UtcTime,
    outcrop: OwnUserColumns,
}

/// Columns that LiteLLM does not have.
#[derive(Debug, Serialize)]
struct OwnUserColumns {
    reserved: Dollars,
}

/// An order of users.
pub(super) type UserOrder = Box<dyn Fn(&UserView, &UserView) -> Ordering>;

impl UserView {
    /// Reads what the rows of users show besides their records.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_all(
        accounts: &Accounts,
        records: Vec<UserRecord>,
    ) -> Result<Vec<Self>, AdminRefusal> {
        let asked: Vec<_> = records.iter().map(budgeted).collect();
        let spent = SpentRecord::of_all(accounts, ScopeKind::User, &asked).await?;
        Ok(records.into_iter().zip(spent).map(|(record, spent)| Self { record, spent }).collect())
    }

    /// The same for one user.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of(accounts: &Accounts, record: UserRecord) -> Result<Self, AdminRefusal> {
        let mut views = Self::of_all(accounts, vec![record]).await?;
        views.pop().ok_or_else(|| AdminRefusal::internal(&"a user without a row"))
    }

    /// Spend of the present window.
    pub(super) fn spend(&self) -> Nanodollars {
        self.spent.spend.spend.spend
    }

    /// The row.
    pub(super) fn row(&self, accounts: &Accounts) -> UserRow<'_> {
        let Self { record, spent } = self;
        let SpentRecord { budget, spend } = spent;
        let models = spend.models.iter();
        UserRow {
            user_id: &record.user_id,
            user_email: record.user_email.as_deref(),
            user_alias: record.user_alias.as_deref(),
            user_role: record.user_role,
            teams: &record.teams,
            organization_id: record.organization_id.as_deref(),
            models: &record.models,
            metadata: MetadataColumn::of(&record.metadata)
                .with("model_tpm_limit", record.limits.model_tpm_limit.as_ref())
                .with("model_rpm_limit", record.limits.model_rpm_limit.as_ref()),
            blocked: record.blocked,
            limits: LimitColumns::of(&record.limits, accounts),
            spend: Dollars(spend.spend.spend),
            total_spend: Dollars(spend.spend.total_spend),
            model_spend: models.map(|(model, spend)| (model.as_str(), Dollars(*spend))).collect(),
            budget_reset_at: spend.spend.reset_at,
            budget_id: record.budget_id.as_deref(),
            litellm_budget_table: budget.as_ref().map(|row| BudgetColumns::of_row(row, accounts)),
            allowed_geographies: record.allowed_geographies.as_deref(),
            allowed_operations: record.allowed_operations.as_deref(),
            sso_user_id: None,
            created_at: record.stamp.created_at,
            updated_at: record.stamp.updated_at,
            outcrop: OwnUserColumns { reserved: Dollars(spend.spend.reserved) },
        }
    }
}

/// A user, as its spend depends on it.
pub(super) fn budgeted(user: &UserRecord) -> Budgeted<'_> {
    (&user.user_id, &user.limits, user.budget_id.as_deref())
}

/// The order that a list of users is asked for in; ties by id.
///
/// # Errors
/// There is no such order.
pub(super) fn order(query: &AdminQuery) -> Result<UserOrder, AdminRefusal> {
    let up: fn(&UserView, &UserView) -> Ordering = match query.text("sort_by") {
        None | Some("created_at") => {
            |a, b| a.record.stamp.created_at.cmp(&b.record.stamp.created_at)
        }
        Some("updated_at") => |a, b| a.record.stamp.updated_at.cmp(&b.record.stamp.updated_at),
        Some("user_id") => |a, b| a.record.user_id.cmp(&b.record.user_id),
        Some("user_email") => |a, b| a.record.user_email.cmp(&b.record.user_email),
        Some("user_alias") => |a, b| a.record.user_alias.cmp(&b.record.user_alias),
        Some("user_role") => |a, b| role(a).cmp(&role(b)),
        Some("max_budget") => |a, b| a.record.limits.max_budget.cmp(&b.record.limits.max_budget),
        Some("spend") => |a, b| a.spend().cmp(&b.spend()),
        Some(other) => {
            return Err(AdminRefusal::bad(format!(
                "Invalid sort column '{other}'. Use one of: created_at, updated_at, user_id, user_email, user_alias, user_role, max_budget, spend."
            ))
            .param("sort_by"));
        }
    };
    let ascending = query.is_ascending()?;
    Ok(Box::new(move |a, b| {
        let order = up(a, b).then_with(|| a.record.user_id.cmp(&b.record.user_id));
        if ascending { order } else { order.reverse() }
    }))
}

/// The rank of a user's role, the least first.
fn role(user: &UserView) -> Option<u8> {
    user.record.user_role.map(|role| match role {
        UserRole::InternalUserViewer => 0,
        UserRole::InternalUser => 1,
        UserRole::ProxyAdminViewer => 2,
        UserRole::ProxyAdmin => 3,
    })
}
