//! Transport pool: a worker's transports to Bedrock, one per account, each created on first use.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use super::account::Account;
use super::sdk::Sdk;
use super::send::Transport;

/// The transports of one worker, created on its thread. A transport keeps its account alive, so an
/// account's id stays unique while it is stored here.
#[derive(Debug, Default)]
pub struct TransportPool(RefCell<HashMap<usize, Way>>);

#[derive(Debug)]
struct Way {
    transport: Transport,
    /// Created by the first call through the SDK client: most workers never create one.
    sdk: OnceCell<Sdk>,
}

impl TransportPool {
    /// The transport of an account.
    pub fn to(&self, account: &Account) -> Transport {
        self.with(account, |way| way.transport.clone())
    }

    /// The SDK client of an account.
    pub fn sdk(&self, account: &Account) -> Sdk {
        self.with(account, |way| way.sdk.get_or_init(|| Sdk::new(way.transport.clone())).clone())
    }

    fn with<T>(&self, account: &Account, read: impl FnOnce(&Way) -> T) -> T {
        let mut open = self.0.borrow_mut();
        let way = open.entry(account.id()).or_insert_with(|| Way {
            transport: Transport::in_local_set(account),
            sdk: OnceCell::new(),
        });
        read(way)
    }

    /// Closes the idle connections to accounts that are no longer `wanted`. Calls in flight are not
    /// affected.
    pub fn keep(&self, wanted: impl Fn(&Account) -> bool) {
        self.0.borrow_mut().retain(|_, way| wanted(way.transport.account()));
    }
}
