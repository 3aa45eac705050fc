//! A worker's ways to Bedrock, one an account, each made when it is first needed.

use std::cell::RefCell;
use std::collections::HashMap;

use super::account::Account;
use super::send::Transport;

/// The transports of one worker. A transport keeps its account alive, so an account's id stays its
/// own for as long as it stands here.
#[derive(Debug, Default)]
pub struct Transports(RefCell<HashMap<usize, Transport>>);

impl Transports {
    /// The way to an account.
    pub fn to(&self, account: &Account) -> Transport {
        let mut open = self.0.borrow_mut();
        open.entry(account.id()).or_insert_with(|| Transport::new(account)).clone()
    }

    /// Closes the idle connections to accounts that are no longer `wanted`. Calls under way end as
    /// they would.
    pub fn keep(&self, wanted: impl Fn(&Account) -> bool) {
        self.0.borrow_mut().retain(|_, transport| wanted(transport.account()));
    }
}
