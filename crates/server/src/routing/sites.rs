//! Accounts by place: one for each distinct set of region, endpoint and credentials, with what names
//! mean there. A reload keeps every site nothing has changed about, with its credentials and its
//! connections.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::vitals::Ward;
use crate::bedrock::{Account, Place, Setup, SetupError, Timeouts};
use crate::catalogue::{Catalogue, Naming, is_known_region};

/// An account in a region, and what names mean to it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) account: Account,
    pub(crate) catalogue: Catalogue,
    /// Whose account it is, as a hash.
    pub(super) owner: u64,
    /// How its models are doing.
    pub(super) ward: Ward,
}

/// What a site depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    /// The gateway's own, where the place leaves it open.
    own: Place,
    region: Option<String>,
    profile: Option<String>,
    timeouts: Timeouts,
    naming: Naming,
}

/// All sites of one configuration.
#[derive(Debug)]
pub(crate) struct Sites {
    base: Setup,
    /// The gateway's own account, as far as the configuration describes it.
    own: Place,
    naming: Naming,
    open: Mutex<HashMap<Key, Opened>>,
    /// Those that callers ask for by their region, to be found without waiting for anybody.
    regions: ArcSwap<HashMap<String, Site>>,
}

/// A site, and how many were opened before it.
#[derive(Debug)]
struct Opened {
    number: usize,
    site: Site,
}

impl Sites {
    /// Regions that callers asked of `before` stay open where nothing about them has changed; all else
    /// is opened when it is asked for.
    pub(crate) fn new(base: Setup, own: Place, naming: Naming, before: Option<&Self>) -> Self {
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

    /// The site of a place, as it was before or opened now. Touches no network where the region is
    /// known.
    ///
    /// # Errors
    /// What is wrong with the place.
    pub(crate) async fn open(
        &self,
        place: &Place,
        before: Option<&Self>,
    ) -> Result<Site, SetupError> {
        let key = self.key(place);
        if let Some(site) = self.find(&key).or_else(|| before?.find(&key)) {
            return Ok(self.keep(key, site));
        }
        let setup = place.setup(&self.own.setup(&self.base));
        let owner = setup.owner();
        let account = Account::load(setup).await?;
        let catalogue = Catalogue::new(self.naming.clone(), account.region());
        let ward = before.and_then(|before| before.ward_of(&key)).unwrap_or_default();
        Ok(self.keep(key, Site { account, catalogue, owner, ward }))
    }

    /// The gateway's own account in a region some caller asks for. `None`: AWS has no such region, and no
    /// target of the operator's is there, so that what callers make up leaves nothing behind.
    pub(crate) async fn in_region(&self, region: &str) -> Option<Result<Site, SetupError>> {
        if let Some(site) = self.regions.load().get(region) {
            return Some(Ok(site.clone()));
        }
        let place = Place::in_region(region);
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

    /// Every site opened so far, the first first.
    pub(super) fn all(&self) -> Vec<Site> {
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

    /// Whether an account is one of these sites'.
    pub(crate) fn holds(&self, account: &Account) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|opened| opened.site.account.is(account))
    }

    /// Whether the operator has something in a region.
    fn is_named(&self, region: &str) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|opened| opened.site.account.region() == region)
    }

    fn key(&self, place: &Place) -> Key {
        Key {
            place: place.clone(),
            own: self.own.clone(),
            region: self.base.region.clone(),
            profile: self.base.profile.clone(),
            timeouts: self.base.timeouts,
            naming: self.naming.clone(),
        }
    }

    fn find(&self, key: &Key) -> Option<Site> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(key).map(|opened| opened.site.clone())
    }

    /// How the models of an account were doing when it was called in another way, or by other names.
    fn ward_of(&self, wanted: &Key) -> Option<Ward> {
        let Key { place, own, region, profile, timeouts: _, naming: _ } = wanted;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |key: &&Key| {
            key.place == *place
                && key.own == *own
                && key.region == *region
                && key.profile == *profile
        };
        let key = open.keys().find(is_it)?;
        open.get(key).map(|opened| opened.site.ward.clone())
    }

    /// Whoever opened it first wins: there is one account a place.
    fn keep(&self, key: Key, site: Site) -> Site {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.len();
        open.entry(key).or_insert(Opened { number, site }).site.clone()
    }
}
