//! Slices of budgets in a database. A slice is reserved in its counter, and what leaves it leaves the counter in the same
//! transaction. Slices are locked before counters, except new ones, which no other transaction can see.

use std::collections::BTreeMap;

use super::StoreError;
use super::sql::{Session, SqlRow, Value, Work};
use super::sql_counters::{Counters, add_to_counters, key_values, locked, scope_kind};
use super::sql_text::{batches, rows_of};
use crate::ledger::{CounterKey, CounterState, Slice, SliceAmounts};
use crate::{Nanodollars, UtcTime};

/// Slices to lend together.
pub(super) struct LendBatch(pub(super) Vec<Slice>);

/// Amounts to give back.
pub(super) struct GiveBack(pub(super) SliceAmounts);

/// The end of slices whose lease ran out, or from which everything was taken.
pub(super) struct ReapSlices {
    pub(super) now: UtcTime,
}

impl Work for LendBatch {
    type Answer = Vec<Option<CounterState>>;

    async fn run(&self, session: &mut Session) -> Result<Self::Answer, StoreError> {
        let Self(slices) = self;
        let keys = slices.iter().map(|slice| slice.counter.clone()).collect();
        let mut counters = locked(session, keys).await?;
        let (mut lent, mut added, mut answers) = (Vec::new(), Counters::new(), Vec::new());
        for slice in slices {
            let state = counters.entry(slice.counter.clone()).or_default();
            let fits = slice.fits(*state);
            if fits {
                state.reserved = state.reserved.plus(slice.amount);
                let sum = added.entry(slice.counter.clone()).or_default();
                sum.reserved = sum.reserved.plus(slice.amount);
                lent.push(slice);
            }
            answers.push(fits.then_some(*state));
        }
        for lent in batches(&lent) {
            let sql = format!(
                "INSERT INTO slices (id, kind, scope_id, span, starts_at, amount, lease_until) VALUES {}",
                rows_of(lent.len(), 7)
            );
            let mut values = Vec::with_capacity(lent.len() * 7);
            for Slice { id, counter, max: _, amount, lease_until } in lent {
                values.push(id.as_str().into());
                values.extend(key_values(counter));
                values.extend([amount.nano().into(), lease_until.millis().into()]);
            }
            session.run(sql, values).await?;
        }
        add_to_counters(session, added).await?;
        Ok(answers)
    }
}

impl Work for GiveBack {
    type Answer = ();

    async fn run(&self, session: &mut Session) -> Result<(), StoreError> {
        let mut counters = Counters::new();
        reduce(session, self.0.iter().cloned().collect(), &mut counters).await?;
        add_to_counters(session, counters).await
    }
}

impl Work for ReapSlices {
    type Answer = u64;

    async fn run(&self, session: &mut Session) -> Result<u64, StoreError> {
        let sql = "DELETE FROM slices WHERE lease_until < $1 OR amount <= 0
            RETURNING kind, scope_id, span, starts_at, amount";
        let rows = session.rows(sql.to_owned(), vec![self.now.millis().into()]).await?;
        let (mut counters, mut count) = (Counters::new(), 0);
        for row in rows {
            let amount = Nanodollars::new(row.int(4)?);
            count += u64::from(amount > Nanodollars::ZERO);
            release(&row, amount, &mut counters)?;
        }
        add_to_counters(session, counters).await?;
        Ok(count)
    }
}

/// Takes amounts from slices, and from what their counters hold as reserved. A slice that another process has given back
/// holds nothing any more.
pub(super) async fn reduce(
    session: &mut Session,
    amounts: BTreeMap<String, Nanodollars>,
    counters: &mut Counters,
) -> Result<(), StoreError> {
    for (id, amount) in amounts {
        let sql = "UPDATE slices SET amount = amount - $1 WHERE id = $2 AND amount >= $3
            RETURNING kind, scope_id, span, starts_at";
        let values = vec![amount.nano().into(), Value::from(id), amount.nano().into()];
        for row in session.rows(sql.to_owned(), values).await? {
            release(&row, amount, counters)?;
        }
    }
    Ok(())
}

fn release(row: &SqlRow, amount: Nanodollars, counters: &mut Counters) -> Result<(), StoreError> {
    let kind = row.text(0)?;
    let Some(kind) = scope_kind(&kind) else {
        return Err(StoreError::Unreadable(format!("a slice of a {kind}")));
    };
    let start = UtcTime::from_millis(row.int(3)?);
    let key = CounterKey { kind, id: row.text(1)?, window: row.text(2)?, start };
    let sum = counters.entry(key).or_default();
    sum.reserved = sum.reserved.minus(amount);
    Ok(())
}
