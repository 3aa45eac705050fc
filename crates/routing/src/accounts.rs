//! Regional accounts: one for each distinct set of region, endpoint and credentials, with the catalogue of
//! its region. A reload keeps every account whose settings are unchanged, with its credentials and
//! connections.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::health::HealthRegistry;
use crate::catalogue::{Catalogue, Naming, is_known_region};
use bedrock::{Account, AccountSpec, Settings, SetupError, Timeouts};

/// An account in a region and its catalogue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RegionalAccount {
    pub account: Account,
    pub catalogue: Catalogue,
    /// Hash that identifies the account.
    pub(super) owner: u64,
    /// The health of its models.
    pub(super) registry: HealthRegistry,
}

/// The settings that an account depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    place: AccountSpec,
    /// The gateway's own account spec, for the parts that `place` leaves open.
    own: AccountSpec,
    region: Option<String>,
    profile: Option<String>,
    timeouts: Timeouts,
    naming: Naming,
}

/// All regional accounts of one configuration.
#[derive(Debug)]
pub(crate) struct RegionalAccounts {
    base: Settings,
    /// The gateway's own account, as far as the configuration describes it.
    own: AccountSpec,
    naming: Naming,
    open: Mutex<HashMap<Key, Opened>>,
    /// Accounts that callers reach by region, readable without waiting.
    regions: ArcSwap<HashMap<String, RegionalAccount>>,
}

/// A regional account, and the number opened before it.
#[derive(Debug)]
struct Opened {
    number: usize,
    site: RegionalAccount,
}

impl RegionalAccounts {
    /// Regions that callers have used at `before` stay open if their settings are unchanged; all others are
    /// opened on first use.
    pub(crate) fn new(
        base: Settings,
        own: AccountSpec,
        naming: Naming,
        before: Option<&Self>,
    ) -> Self {
        let (open, regions) = (Mutex::default(), ArcSwap::default());
        let sites = Self { base, own, naming, open, regions };
        if let Some(before) = before {
            let open = before.open.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, opened) in open.iter().filter(|(key, _)| key.place.is_region()) {
                if sites.key(&key.place) == *key {
                    sites.keep(key.clone(), opened.site.clone());
                }
            }
        }
        sites
    }

    /// The regional account of a spec, reused from `before` or opened now. Uses no network if the region is
    /// known.
    ///
    /// # Errors
    /// The account cannot be opened.
    pub(crate) async fn open(
        &self,
        place: &AccountSpec,
        before: Option<&Self>,
    ) -> Result<RegionalAccount, SetupError> {
        let key = self.key(place);
        if let Some(site) = self.find(&key).or_else(|| before?.find(&key)) {
            return Ok(self.keep(key, site));
        }
        let setup = place.setup(&self.own.setup(&self.base));
        let owner = setup.owner();
        let account = Account::load(setup).await?;
        let catalogue = Catalogue::new(self.naming.clone(), account.region());
        let registry = before.and_then(|before| before.ward_of(&key)).unwrap_or_default();
        Ok(self.keep(key, RegionalAccount { account, catalogue, owner, registry }))
    }

    /// The gateway's own account in a region that a caller asks for. `None`: AWS has no such region and the
    /// operator has no target there, so that made-up regions leave no state behind.
    pub(crate) async fn in_region(
        &self,
        region: &str,
    ) -> Option<Result<RegionalAccount, SetupError>> {
        if let Some(site) = self.regions.load().get(region) {
            return Some(Ok(site.clone()));
        }
        let place = AccountSpec::in_region(region);
        if !is_known_region(region) && !self.is_named(region) {
            return None;
        }
        let opened = self.open(&place, None).await;
        if let Ok(site) = &opened {
            self.regions.rcu(|known| {
                let mut known = HashMap::clone(known);
                known.insert(region.to_owned(), site.clone());
                known
            });
        }
        Some(opened)
    }

    /// Every regional account opened so far, in order.
    pub(super) fn all(&self) -> Vec<RegionalAccount> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = open.values().map(|opened| (opened.number, &opened.site)).collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, site)| site.clone()).collect()
    }

    /// Every account opened so far.
    pub(crate) fn accounts(&self) -> Vec<Account> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().map(|opened| opened.site.account.clone()).collect()
    }

    /// Whether an account belongs to one of these.
    pub(crate) fn holds(&self, account: &Account) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|opened| opened.site.account.is(account))
    }

    /// Whether the operator has a target in a region.
    fn is_named(&self, region: &str) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|opened| opened.site.account.region() == region)
    }

    fn key(&self, place: &AccountSpec) -> Key {
        Key {
            place: place.clone(),
            own: self.own.clone(),
            region: self.base.region.clone(),
            profile: self.base.profile.clone(),
            timeouts: self.base.timeouts,
            naming: self.naming.clone(),
        }
    }

    fn find(&self, key: &Key) -> Option<RegionalAccount> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(key).map(|opened| opened.site.clone())
    }

    /// The health registry of an account before its timeouts or naming changed.
    fn ward_of(&self, wanted: &Key) -> Option<HealthRegistry> {
        let Key { place, own, region, profile, timeouts: _, naming: _ } = wanted;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |key: &&Key| {
            key.place == *place
                && key.own == *own
                && key.region == *region
                && key.profile == *profile
        };
        let key = open.keys().find(is_it)?;
        open.get(key).map(|opened| opened.site.registry.clone())
    }

    /// Stores an account unless another worker has opened it first: each spec has one account.
    fn keep(&self, key: Key, site: RegionalAccount) -> RegionalAccount {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.len();
        open.entry(key).or_insert(Opened { number, site }).site.clone()
    }
}
