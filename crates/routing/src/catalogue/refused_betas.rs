//! Betas that a model refused although its row says it accepts them. It is called without betas for an
//! hour, because the service learns new ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use translate::Profile;

use super::ResolvedModel;

/// Time after which a refusal is forgotten.
const MEMORY: Duration = Duration::from_secs(3600);
/// Most models that are remembered.
const LIMIT: usize = 4096;

/// Ids as sent, of models that refused betas, and the times of the refusals.
#[derive(Debug, Default)]
pub(super) struct RefusedBetas(ArcSwap<HashMap<String, Instant>>);

impl RefusedBetas {
    pub(super) fn holds(&self, id: &str) -> bool {
        self.0.load().get(id).is_some_and(|since| since.elapsed() < MEMORY)
    }

    fn remember(&self, id: &str) {
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.retain(|_, since| since.elapsed() < MEMORY);
            if known.len() < LIMIT {
                known.insert(id.to_owned(), Instant::now());
            }
            Arc::new(known)
        });
    }
}

impl ResolvedModel {
    /// The same target without betas and the members that need some, after a refusal: for an hour's calls
    /// of the model.
    pub fn without_betas(&self) -> Self {
        log::warn!(
            "{} refuses a beta or a member that its row says it accepts; it gets none for an hour",
            self.model_id
        );
        self.catalogue.0.refused_betas.remember(&self.model_id);
        let mut target = self.clone();
        forget_betas(Arc::make_mut(&mut target.profile));
        target
    }
}

/// Removes betas of the model's own body, and the features that need some.
pub(super) fn forget_betas(profile: &mut Profile) {
    profile.native_betas.clear();
    profile.native_own_betas.clear();
    profile.native_features.clear();
}
