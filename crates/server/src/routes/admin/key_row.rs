//! Rows of keys as the admin API shows them.

use std::collections::BTreeMap;

use access::accounts::AdminError;
use access::ledger::ScopeKind;
use access::{
    Accounts, AwsKeyPair, KeyRecord, KeyType, Nanodollars, SecretKey, UnsupportedParams, UtcTime,
    access_key_id,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::answer::Dollars;
use super::error::AdminRefusal;
use super::limit_columns::{BudgetColumns, LimitColumns};
use super::metadata::MetadataColumn;
use super::record_spend::SpentRecord;

/// A key with all that its row shows.
#[derive(Debug)]
pub(super) struct KeyView {
    /// The record.
    pub(super) record: KeyRecord,
    spent: SpentRecord,
    last_active: Option<UtcTime>,
    /// When it was deleted.
    pub(super) deleted: Option<UtcTime>,
}

/// A row of a key.
#[derive(Debug, Serialize)]
pub(super) struct KeyRow<'k> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'k str>,
    key_name: &'k str,
    key_alias: Option<&'k str>,
    spend: Dollars,
    total_spend: Dollars,
    expires: Option<UtcTime>,
    status: &'static str,
    models: &'k [String],
    aliases: &'k BTreeMap<String, String>,
    config: &'k Map<String, Value>,
    router_settings: Option<&'k Value>,
    user_id: Option<&'k str>,
    team_id: Option<&'k str>,
    organization_id: Option<&'k str>,
    project_id: Option<&'k str>,
    agent_id: Option<&'k str>,
    permissions: &'k Map<String, Value>,
    metadata: MetadataColumn<'k>,
    blocked: Option<bool>,
    #[serde(flatten)]
    limits: LimitColumns<'k>,
    model_spend: BTreeMap<&'k str, Dollars>,
    budget_reset_at: Option<UtcTime>,
    budget_id: Option<&'k str>,
    litellm_budget_table: Option<BudgetColumns<'k>>,
    allowed_cache_controls: &'k [Value],
    allowed_routes: Vec<&'k str>,
    key_type: Option<KeyType>,
    allowed_geographies: Option<&'k [String]>,
    allowed_operations: Option<&'k [String]>,
    allowed_s3_prefixes: Option<&'k [String]>,
    allow_media_fetch: Option<bool>,
    unsupported_params: Option<UnsupportedParams>,
    access_group_ids: Option<&'k [String]>,
    object_permission: Option<&'k Value>,
    auto_rotate: bool,
    rotation_interval: Option<&'static str>,
    created_at: UtcTime,
    created_by: &'k str,
    updated_at: UtcTime,
    updated_by: &'k str,
    last_active: Option<UtcTime>,
    outcrop: OwnColumns<'k>,
}

/// Columns that LiteLLM does not have.
#[derive(Debug, Serialize)]
struct OwnColumns<'k> {
    public_id: &'k str,
    reserved: Dollars,
    aws_access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_secret_access_key: Option<&'k str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<UtcTime>,
}

/// The answer that makes a key: its row, the key itself, and the fields that rows show inside the metadata.
#[derive(Debug, Serialize)]
pub(super) struct NewKeyRow<'k> {
    key: &'k str,
    token_id: &'k str,
    #[serde(flatten)]
    row: KeyRow<'k>,
    tags: Option<&'k [String]>,
    guardrails: Option<&'k [String]>,
    prompts: Option<&'k [String]>,
    model_tpm_limit: Option<&'k BTreeMap<String, u64>>,
    model_rpm_limit: Option<&'k BTreeMap<String, u64>>,
}

impl KeyView {
    /// Reads what the rows of keys show besides their records, in a few questions for all of them.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of_all(
        accounts: &Accounts,
        records: Vec<KeyRecord>,
    ) -> Result<Vec<Self>, AdminRefusal> {
        let now = accounts.now();
        // A temporary increase is part of the limits while it lasts.
        let limits: Vec<_> = records.iter().map(|record| record.limits_at(now)).collect();
        let asked = records.iter().zip(&limits);
        let asked: Vec<_> = asked
            .map(|(record, own)| (record.id.as_str(), own, record.budget_id.as_deref()))
            .collect();
        let spent = SpentRecord::of_all(accounts, ScopeKind::Key, &asked).await?;
        let ids = records.iter().map(|record| record.id.clone()).collect();
        let latest = accounts.store().last_calls(ids).await?;
        let views = records.into_iter().zip(spent).zip(latest);
        let view =
            |((record, spent), last_active)| Self { record, spent, last_active, deleted: None };
        Ok(views.map(view).collect())
    }

    /// The same for one key.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of(accounts: &Accounts, record: KeyRecord) -> Result<Self, AdminRefusal> {
        let mut views = Self::of_all(accounts, vec![record]).await?;
        views.pop().ok_or_else(|| AdminRefusal::internal(&"a key without a row"))
    }

    /// Spend of the present window.
    pub(super) fn spend(&self) -> Nanodollars {
        self.spent.spend.spend.spend
    }

    /// The row with the token.
    pub(super) fn row_with_token(&self, accounts: &Accounts) -> KeyRow<'_> {
        KeyRow { token: Some(&self.record.token), ..self.row(accounts) }
    }

    /// The row without the token.
    pub(super) fn row(&self, accounts: &Accounts) -> KeyRow<'_> {
        let Self { record, spent, last_active, deleted } = self;
        let SpentRecord { budget, spend } = spent;
        let status = if deleted.is_some() { "deleted" } else { record.status(accounts.now()) };
        let models = spend.models.iter();
        KeyRow {
            token: None,
            key_name: &record.key_name,
            key_alias: record.key_alias.as_deref(),
            spend: Dollars(spend.spend.spend),
            total_spend: Dollars(spend.spend.total_spend),
            expires: record.expires,
            status,
            models: &record.models,
            aliases: &record.aliases,
            config: &record.config,
            router_settings: record.router_settings.as_ref(),
            user_id: record.user_id.as_deref(),
            team_id: record.team_id.as_deref(),
            organization_id: record.organization_id.as_deref(),
            project_id: record.project_id.as_deref(),
            agent_id: record.agent_id.as_deref(),
            permissions: &record.permissions,
            metadata: metadata(record),
            blocked: record.blocked,
            limits: LimitColumns::of(&record.limits, accounts),
            model_spend: models.map(|(model, spend)| (model.as_str(), Dollars(*spend))).collect(),
            budget_reset_at: spend.spend.reset_at,
            budget_id: record.budget_id.as_deref(),
            litellm_budget_table: budget.as_ref().map(|row| BudgetColumns::of_row(row, accounts)),
            allowed_cache_controls: &record.allowed_cache_controls,
            allowed_routes: routes(record),
            key_type: record.key_type,
            allowed_geographies: record.allowed_geographies.as_deref(),
            allowed_operations: record.allowed_operations.as_deref(),
            allowed_s3_prefixes: record.allowed_s3_prefixes.as_deref(),
            allow_media_fetch: record.allow_media_fetch,
            unsupported_params: record.unsupported_params,
            access_group_ids: record.access_group_ids.as_deref(),
            object_permission: record.object_permission.as_ref(),
            auto_rotate: false,
            rotation_interval: None,
            created_at: record.stamp.created_at,
            created_by: &record.stamp.created_by,
            updated_at: record.stamp.updated_at,
            updated_by: &record.stamp.updated_by,
            last_active: *last_active,
            outcrop: OwnColumns {
                public_id: &record.public_id,
                reserved: Dollars(spend.spend.reserved),
                aws_access_key_id: record.has_aws_pair.then(|| access_key_id(&record.public_id)),
                aws_secret_access_key: None,
                deleted_at: *deleted,
            },
        }
    }

    /// The row of a key that was just made, with its secrets.
    pub(super) fn new_row<'k>(
        &'k self,
        secret: &'k SecretKey,
        aws: &'k AwsKeyPair,
        accounts: &Accounts,
    ) -> NewKeyRow<'k> {
        let Self { record, .. } = self;
        let mut row = self.row_with_token(accounts);
        row.outcrop.aws_access_key_id = Some(aws.id().to_owned());
        row.outcrop.aws_secret_access_key = Some(aws.secret());
        NewKeyRow {
            key: secret.reveal(),
            token_id: &record.token,
            row,
            tags: record.tags.as_deref(),
            guardrails: record.guardrails.as_deref(),
            prompts: record.prompts.as_deref(),
            model_tpm_limit: record.limits.model_tpm_limit.as_ref(),
            model_rpm_limit: record.limits.model_rpm_limit.as_ref(),
        }
    }
}

/// A record, or none where it does not exist.
pub(super) fn found<R>(read: Result<R, AdminError>) -> Result<Option<R>, AdminRefusal> {
    match read {
        Ok(record) => Ok(Some(record)),
        Err(AdminError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The routes of a key: its list, or that of its type.
fn routes(record: &KeyRecord) -> Vec<&str> {
    let of_type: &[&str] = match record.key_type {
        None | Some(KeyType::Default) => &[],
        Some(KeyType::LlmApi) => &["llm_api_routes"],
        Some(KeyType::Management) => &["management_routes", "info_routes", "spend_tracking_routes"],
        Some(KeyType::ReadOnly) => &["info_routes", "spend_tracking_routes"],
    };
    match record.allowed_routes.as_slice() {
        [] => of_type.to_vec(),
        list => list.iter().map(String::as_str).collect(),
    }
}

fn metadata(record: &KeyRecord) -> MetadataColumn<'_> {
    let limits = &record.limits;
    MetadataColumn::of(&record.metadata)
        .with("tags", record.tags.as_ref())
        .with("guardrails", record.guardrails.as_ref())
        .with("prompts", record.prompts.as_ref())
        .with("model_tpm_limit", limits.model_tpm_limit.as_ref())
        .with("model_rpm_limit", limits.model_rpm_limit.as_ref())
        .with("tpm_limit_type", record.tpm_limit_type.as_ref())
        .with("rpm_limit_type", record.rpm_limit_type.as_ref())
        .with("allowed_passthrough_routes", record.allowed_passthrough_routes.as_ref())
        .with("denied_passthrough_routes", record.denied_passthrough_routes.as_ref())
        .with("default_estimated_output_tokens", record.default_estimated_output_tokens.as_ref())
        .with("temp_budget_increase", record.temp_budget_increase.map(Dollars).as_ref())
        .with("temp_budget_expiry", record.temp_budget_expiry.as_ref())
}
