//! Profile cache: the profiles that differ from their rows. To put one together reads a table, which takes longer than
//! the translation of a short request. Read on every request without a lock, written once per target.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use translate::Profile;

use super::{Catalogue, Inner, ProfileOverrides};

/// Models kept: all are forgotten at this number. Only ids of the catalogue and of the operator are kept.
const MOST: usize = 1024;

/// The profiles of one catalogue, by model.
#[derive(Debug, Default)]
pub(super) struct ProfileCache(ArcSwap<HashMap<String, Vec<Entry>>>);

#[derive(Debug, Clone)]
struct Entry {
    geography: Option<String>,
    /// Hash of the operator's overrides.
    overrides: u64,
    profile: Arc<Profile>,
}

impl Catalogue {
    /// Every distinct profile of the catalogue's models.
    pub fn profiles(&self) -> Vec<Arc<Profile>> {
        let mut profiles: Vec<Arc<Profile>> = Vec::new();
        for (_, row) in self.0.registry.models() {
            if !profiles.contains(&row.profile) {
                profiles.push(Arc::clone(&row.profile));
            }
        }
        profiles
    }

    /// The profile of a model called through the inference profiles of a geography, with an operator's overrides.
    pub(super) fn profile(
        &self,
        base: Option<&str>,
        geography: Option<&str>,
        overrides: &ProfileOverrides,
    ) -> Arc<Profile> {
        let Inner { registry, naming, profiles, .. } = &*self.0;
        let row = base.and_then(|base| registry.find(base));
        let cache = naming.prompt_cache;
        if let Some(row) = row
            && overrides.changes_nothing(row, geography, cache)
        {
            return Arc::clone(&row.profile);
        }
        let digest = overrides.digest();
        let base = base.unwrap_or_default();
        let make = || overrides.over(row, geography, cache, registry.surfaces());
        profiles.get_or_make(base, geography, digest, make)
    }
}

impl ProfileCache {
    /// The profile of a model in a geography with these overrides.
    pub(super) fn get_or_make(
        &self,
        base: &str,
        geography: Option<&str>,
        overrides: u64,
        make: impl FnOnce() -> Profile,
    ) -> Arc<Profile> {
        let is_it = |entry: &&Entry| {
            entry.overrides == overrides && entry.geography.as_deref() == geography
        };
        let known = self.0.load();
        if let Some(entry) = known.get(base).and_then(|entries| entries.iter().find(is_it)) {
            return Arc::clone(&entry.profile);
        }
        let profile = Arc::new(make());
        let geography = geography.map(str::to_owned);
        let entry = Entry { geography, overrides, profile: Arc::clone(&profile) };
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            if known.len() >= MOST && !known.contains_key(base) {
                known.clear();
            }
            known.entry(base.to_owned()).or_default().push(entry.clone());
            known
        });
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(most_max_tokens: u32) -> Profile {
        Profile { most_max_tokens, ..Profile::default() }
    }

    #[test]
    fn a_profile_is_made_once_for_a_model_a_geography_and_overrides() {
        let cache = ProfileCache::default();
        let keys = [("a", None, 0), ("a", Some("us"), 0), ("a", None, 7), ("b", None, 0)];
        for (number, (base, geography, overrides)) in (1..).zip(keys) {
            let made = cache.get_or_make(base, geography, overrides, || limited(number));
            assert_eq!(made.most_max_tokens, number);
        }
        for (number, (base, geography, overrides)) in (1..).zip(keys) {
            let found = cache.get_or_make(base, geography, overrides, || limited(0));
            assert_eq!(found.most_max_tokens, number);
        }
    }

    #[test]
    fn the_number_of_models_is_bounded() {
        let cache = ProfileCache::default();
        for number in 0..MOST + 1 {
            let _ = cache.get_or_make(&number.to_string(), None, 0, Profile::default);
        }
        assert_eq!(cache.0.load().len(), 1);
    }
}
