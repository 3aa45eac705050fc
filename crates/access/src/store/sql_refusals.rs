//! Refused calls in a database.

use super::StoreError;
use super::sql::{SqlRow, SqlStore, Statement, Value};
use super::sql_reports::Conditions;
use super::sql_text::{batches, rows_of};
use crate::UtcTime;
use crate::ledger::{Refusal, RefusalCount, RefusalFilter};

const REFUSAL_COLUMNS: &str = "id, happened_at, key_id, token, team_id, user_id, model, code, status, scope, scope_id, reason, refusals";
const REFUSAL_COUNT: usize = 13;
/// Most groups of counts.
const MOST_COUNTS: u64 = 100;

impl SqlStore {
    pub(super) async fn write_refusals(&self, refusals: Vec<Refusal>) -> Result<(), StoreError> {
        for rows in batches(&refusals) {
            let sql = format!(
                "INSERT INTO refusals ({REFUSAL_COLUMNS}) VALUES {} ON CONFLICT (id) DO NOTHING",
                rows_of(rows.len(), REFUSAL_COUNT)
            );
            let values = rows.iter().flat_map(refusal_values).collect();
            self.repeated(&Statement { sql, values }).await?;
        }
        Ok(())
    }

    pub(super) async fn find_refusals(
        &self,
        filter: RefusalFilter,
    ) -> Result<Vec<Refusal>, StoreError> {
        let mut conditions = of_refusals(&filter);
        conditions.values.push(filter.limit.into());
        let sql = format!(
            "SELECT {REFUSAL_COLUMNS} FROM refusals{} ORDER BY happened_at DESC, id DESC LIMIT ${}",
            conditions.clause(),
            conditions.values.len()
        );
        self.read(sql, conditions.values).await?.iter().map(refusal).collect()
    }

    pub(super) async fn sum_refusals(
        &self,
        filter: RefusalFilter,
    ) -> Result<Vec<RefusalCount>, StoreError> {
        let mut conditions = of_refusals(&filter);
        conditions.values.push(MOST_COUNTS.into());
        let sql = format!(
            "SELECT scope, code, CAST(SUM(refusals) AS BIGINT) FROM refusals{} GROUP BY scope, code ORDER BY 3 DESC, 1, 2 LIMIT ${}",
            conditions.clause(),
            conditions.values.len()
        );
        let rows = self.read(sql, conditions.values).await?;
        let count = |row: &SqlRow| {
            let count = row.int(2)?.unsigned_abs();
            Ok(RefusalCount { scope: row.text(0)?, code: row.text(1)?, count })
        };
        rows.iter().map(count).collect()
    }
}

fn of_refusals(filter: &RefusalFilter) -> Conditions {
    let RefusalFilter { from, until, id, before, who, models, code, limit: _ } = filter;
    let mut all = Conditions::default();
    all.and("happened_at", ">=", from.map(|at| at.millis().into()));
    all.and("happened_at", "<=", until.map(|at| at.millis().into()));
    all.and("id", "=", id.clone().map(Value::from));
    if let Some((at, id)) = before {
        all.older_than(("happened_at", "id"), *at, id);
    }
    all.parties_without_customers(who);
    all.one_of("model", models.as_deref());
    all.and("code", "=", code.clone().map(Value::from));
    all
}

fn refusal_values(refusal: &Refusal) -> [Value; REFUSAL_COUNT] {
    let Refusal {
        id,
        at,
        key_id,
        token,
        team,
        user,
        model,
        code,
        status,
        scope,
        scope_id,
        reason,
        count,
    } = refusal;
    [
        id.as_str().into(),
        at.millis().into(),
        key_id.as_str().into(),
        token.as_str().into(),
        team.clone().into(),
        user.clone().into(),
        model.as_str().into(),
        code.as_str().into(),
        i64::from(*status).into(),
        scope.as_str().into(),
        scope_id.as_str().into(),
        reason.as_str().into(),
        (*count).into(),
    ]
}

fn refusal(row: &SqlRow) -> Result<Refusal, StoreError> {
    Ok(Refusal {
        id: row.text(0)?,
        at: UtcTime::from_millis(row.int(1)?),
        key_id: row.text(2)?,
        token: row.text(3)?,
        team: row.maybe_text(4)?,
        user: row.maybe_text(5)?,
        model: row.text(6)?,
        code: row.text(7)?,
        status: u16::try_from(row.int(8)?).unwrap_or(0),
        scope: row.text(9)?,
        scope_id: row.text(10)?,
        reason: row.text(11)?,
        count: row.int(12)?.unsigned_abs(),
    })
}
