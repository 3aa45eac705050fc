//! The models that the account itself offers: foundation models and inference profiles, listed by the
//! control plane in the background, one refresh at a time, and never within a chat request. Missing
//! permission or an unavailable control plane is no error: the listing stays empty.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Inner;
use super::id::{Id, Name};
use super::prices::CallReach;
use bedrock::Transport;

mod fetch;

pub(super) use fetch::{FoundationModel, InferenceProfile, Missing, ProfiledModel, encoded, page};

/// Lifetime of a listing.
const FRESH: Duration = Duration::from_mins(10);
/// Lifetime after a failure, shorter.
const RETRY: Duration = Duration::from_mins(1);
/// Longest wait of the first caller for the first listing.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest duration of a refresh, all its pages included.
const LIMIT: Duration = Duration::from_secs(30);

/// The models of the account, refreshed when a caller asks for them.
#[derive(Debug)]
pub(super) struct Listing {
    known: ArcSwapOption<AccountModels>,
    refreshing: AtomicBool,
    /// Counts finished refreshes, successful or not.
    ended: watch::Sender<u64>,
    /// The running refresh; it is aborted with this listing.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// The account's offer at one point in time.
#[derive(Debug, Default)]
pub(super) struct AccountModels {
    /// `None` if listing models was not possible.
    pub(super) models: Option<Vec<FoundationModel>>,
    /// `None` if listing profiles was not possible.
    pub(super) profiles: Option<Vec<InferenceProfile>>,
    /// Positions in `models`, by id.
    index: HashMap<String, usize>,
    until: Option<Instant>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            known: ArcSwapOption::empty(),
            refreshing: AtomicBool::new(false),
            ended: watch::Sender::new(0),
            task: Mutex::new(None),
        }
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

impl Listing {
    /// The present listing; makes no call.
    pub(super) fn known(&self) -> Option<Arc<AccountModels>> {
        self.known.load_full()
    }

    fn is_stale(&self, now: Instant) -> bool {
        let known = self.known.load();
        known.as_ref().is_none_or(|known| known.until.is_none_or(|until| until <= now))
    }

    fn keep(&self, found: AccountModels, now: Instant) {
        let complete = found.models.is_some() && found.profiles.is_some();
        let before = self.known.load_full().unwrap_or_default();
        // A list that could not be fetched this time is kept from the last refresh.
        let models = found.models.or_else(|| before.models.clone());
        let profiles = found.profiles.or_else(|| before.profiles.clone());
        let until = Some(now + if complete { FRESH } else { RETRY });
        self.known.store(Some(Arc::new(AccountModels::new(models, profiles, until))));
    }
}

impl Inner {
    /// The account's offer. A stale listing is returned while a fresh one is fetched; only the very first
    /// caller waits, for a short time.
    pub(super) async fn account(self: &Arc<Self>, transport: &Transport) -> Arc<AccountModels> {
        let listing = &self.listing;
        let mut ended = listing.ended.subscribe();
        if listing.is_stale(Instant::now()) {
            self.refresh(transport);
        }
        if listing.known.load().is_none() {
            // A refresh that takes longer continues for the next caller.
            let _ = timeout(PATIENCE, ended.changed()).await;
        }
        listing.known().unwrap_or_default()
    }

    fn refresh(self: &Arc<Self>, transport: &Transport) {
        let listing = &self.listing;
        if listing.refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let refresh = Refresh(Arc::downgrade(self));
        // The pool of a worker belongs to the worker's own tasks.
        let transport = Transport::new(transport.account());
        let task = tokio::spawn(async move {
            let found = timeout(LIMIT, fetch::all(&transport)).await.unwrap_or_else(|_| {
                log::warn!("listing the account's models took too long");
                AccountModels::default()
            });
            if let Some(inner) = refresh.0.upgrade() {
                inner.listing.keep(found, Instant::now());
            }
        });
        *listing.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

/// A running refresh. Dropped at its end, also when its worker stops in the middle of it.
struct Refresh(Weak<Inner>);

impl Drop for Refresh {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.listing.refreshing.store(false, Ordering::Release);
            inner.listing.ended.send_modify(|count| *count += 1);
        }
    }
}

impl AccountModels {
    fn new(
        models: Option<Vec<FoundationModel>>,
        profiles: Option<Vec<InferenceProfile>>,
        until: Option<Instant>,
    ) -> Self {
        let listed = models.iter().flatten().enumerate();
        let index = listed.map(|(at, model)| (model.model_id.clone(), at)).collect();
        Self { models, profiles, index, until }
    }

    /// A foundation model, by its id.
    pub(super) fn model(&self, id: &str) -> Option<&FoundationModel> {
        self.models.as_ref()?.get(*self.index.get(id)?)
    }

    /// Whether the account may call this inference profile.
    pub(super) fn has_profile(&self, id: &str) -> bool {
        self.profiles.iter().flatten().any(|profile| profile.id == id && profile.is_active())
    }

    /// The model of an application inference profile, whose name does not contain it.
    pub(super) fn arn_lookup(&self, arn: &str) -> Option<&str> {
        let profile = self.profiles.iter().flatten().find(|profile| profile.arn == arn)?;
        profile.models.iter().find_map(|model| match Name::parse(&model.arn).id {
            Id::Arn(arn) => arn.resource.into(),
            Id::Profile { .. } | Id::Model(_) => None,
        })
    }

    /// The reach of an application inference profile.
    pub(super) fn reach(&self, arn: &str) -> Option<CallReach> {
        let profile = self.profiles.iter().flatten().find(|profile| profile.arn == arn)?;
        CallReach::of_models(profile.models.iter().map(|model| model.arn.as_str()))
    }

    /// Whether the listing is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.models.is_none() && self.profiles.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn model(json: &serde_json::Value) -> Vec<FoundationModel> {
        vec![FoundationModel::deserialize(json).unwrap()]
    }

    fn profile(json: &serde_json::Value) -> Vec<InferenceProfile> {
        vec![InferenceProfile::deserialize(json).unwrap()]
    }

    fn found(models: Option<&str>, profiles: Option<&str>) -> AccountModels {
        let models = models.map(|id| model(&json!({ "modelId": id })));
        let profiles = profiles.map(|id| profile(&json!({ "inferenceProfileId": id })));
        AccountModels::new(models, profiles, None)
    }

    #[test]
    fn a_list_that_cannot_be_refreshed_is_kept_and_retried_sooner() {
        let (listing, start) = (Listing::default(), Instant::now());
        assert!(listing.is_stale(start) && listing.known().is_none());
        listing.keep(found(Some("a.b"), Some("us.a.b")), start);
        assert!(!listing.is_stale(start + FRESH - Duration::from_secs(1)));
        assert!(listing.is_stale(start + FRESH));

        listing.keep(found(None, Some("eu.a.b")), start + FRESH);
        let known = listing.known().unwrap();
        assert!(known.model("a.b").is_some() && known.has_profile("eu.a.b"));
        assert!(!known.has_profile("us.a.b"));
        assert!(!listing.is_stale(start + FRESH) && listing.is_stale(start + FRESH + RETRY));
    }

    #[test]
    fn the_model_of_an_application_profile_is_looked_up() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x";
        let model = "arn:aws:bedrock:us-east-1::foundation-model/a.b-v1:0";
        let listed = json!({ "inferenceProfileArn": arn, "models": [{}, { "modelArn": model }] });
        let account = AccountModels::new(None, Some(profile(&listed)), None);
        assert_eq!(account.arn_lookup(arn), Some("a.b-v1:0"));
        assert_eq!(account.arn_lookup("other"), None);
        assert_eq!(account.reach(arn), Some(CallReach::Region("us-east-1".to_owned())));
        assert_eq!(account.reach("other"), None);
    }
}
