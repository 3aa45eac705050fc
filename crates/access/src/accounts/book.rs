//! Rows of work that was not reserved as a call: the jobs of batches, which end hours after they were asked for.

use std::sync::Arc;

use super::Accounts;
use super::calls::CallAsk;
use crate::Caller;
use crate::ledger::{CallOutcome, CallState, Closing, Opening};
use crate::store::StoreError;

impl Accounts {
    /// Writes the row of work that is done, and charges its cost to every scope of its caller, whether or not there is
    /// room. Returns whether the row is new: an id is booked once.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn book(
        &self,
        caller: &Caller,
        ask: CallAsk,
        outcome: CallOutcome,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        let charges = self.charged(caller, &ask.model_names, now);
        let call = Arc::new(Opening { estimate: None, ..ask.opening(caller, now, charges) });
        let closing = Closing { call, at: now, state: CallState::Settled, outcome };
        let written = self.store().close(Arc::from([closing])).await?;
        Ok(written.first().copied().unwrap_or_default())
    }
}
