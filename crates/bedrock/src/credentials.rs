//! The credentials cache of the process: read without a lock, refreshed ahead of expiry by a single fetch
//! at a time, and kept longer when the refresh fails: AWS may still accept calls while the source is down
//! for a minute.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_credential_types::provider::token::{ProvideToken, SharedTokenProvider};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use http::HeaderValue;
use tokio::task::AbortHandle;

use super::clock::{Clock, ClockError};
use super::sign::SigningKeys;

/// Time before expiry at which a refresh begins; a quarter of the lifetime for short-lived credentials.
const REFRESH_AHEAD: Duration = Duration::from_secs(5 * 60);
/// Least extension of the last good credentials when a refresh fails.
const EXTENSION: Duration = Duration::from_secs(10 * 60);
/// Random addition to it, so that the machines of a fleet do not refresh at the same time.
const EXTENSION_SPREAD_SECONDS: u64 = 5 * 60;
/// Time between refresh attempts during an extension.
const NEXT_ATTEMPT: Duration = Duration::from_secs(30);
/// Pause after a failed fetch, and after a refresh that returned the same keys: a stream of failing calls
/// must not become a stream of fetches.
const PAUSE: Duration = Duration::from_secs(1);
/// Characters kept of a failure's reason: enough for a whole chain of sources.
const REASON: usize = 800;

/// No credentials are available. The text names the provider's reason, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no usable AWS credentials: {0}")]
pub struct CredentialsError(pub String);

impl From<ClockError> for CredentialsError {
    fn from(error: ClockError) -> Self {
        Self(error.to_string())
    }
}

/// The authorisation of a request.
#[derive(Clone)]
pub(super) enum Proof {
    /// Access keys.
    Keys(SigningKeys),
    /// The complete `authorization` header of a bearer key.
    Bearer(HeaderValue),
}

impl Proof {
    pub(super) fn keys(keys: Credentials) -> Self {
        Self::Keys(SigningKeys::new(keys))
    }

    pub(super) fn bearer(token: &str) -> Result<Self, CredentialsError> {
        let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| CredentialsError("the bearer key is no header value".to_owned()))?;
        header.set_sensitive(true);
        Ok(Self::Bearer(header))
    }

    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(a), Self::Keys(b)) => {
                let (a, b) = (a.credentials(), b.credentials());
                a.access_key_id() == b.access_key_id()
                    && a.secret_access_key() == b.secret_access_key()
                    && a.session_token() == b.session_token()
            }
            (Self::Bearer(a), Self::Bearer(b)) => a == b,
            (Self::Keys(_), Self::Bearer(_)) | (Self::Bearer(_), Self::Keys(_)) => false,
        }
    }
}

/// Present credentials and the time of their refresh.
pub(super) struct Grant {
    pub(super) proof: Proof,
    /// `None`: they do not expire.
    usable_until: Option<SystemTime>,
    refresh_at: Option<SystemTime>,
    /// Set if a forced refresh returned the same credentials.
    confirmed: Option<Instant>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("usable_until", &self.usable_until).finish_non_exhaustive()
    }
}

/// Source of credentials.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Keys(SharedCredentialsProvider),
    Token(SharedTokenProvider),
}

#[derive(Debug)]
pub(super) struct CredentialCache {
    source: Source,
    /// Name of the source for operators.
    name: String,
    clock: Arc<Clock>,
    /// Time limit of one fetch.
    limit: Duration,
    current: ArcSwapOption<Grant>,
    /// Held during a fetch; holds the last failure.
    gate: tokio::sync::Mutex<Option<Refusal>>,
    /// Number of finished fetches, for callers that waited at the gate.
    finished: AtomicU64,
    in_background: AtomicBool,
    background: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Refusal {
    error: CredentialsError,
    at: Instant,
}

/// Effect of a failed fetch on credentials that were valid so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    Extend,
    Discard,
}

impl CredentialCache {
    pub(super) fn new(
        source: Source,
        name: String,
        clock: Arc<Clock>,
        limit: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            name,
            clock,
            limit,
            current: ArcSwapOption::empty(),
            gate: tokio::sync::Mutex::new(None),
            finished: AtomicU64::new(0),
            in_background: AtomicBool::new(false),
            background: Mutex::new(None),
        })
    }

    /// Credentials to sign with now. Waits only if there are none, or only expired ones.
    pub(super) async fn current(self: &Arc<Self>) -> Result<Arc<Grant>, CredentialsError> {
        let now = self.clock.now()?;
        match self.current.load_full() {
            Some(grant) if grant.usable_until.is_none_or(|end| now < end) => {
                if grant.refresh_at.is_some_and(|due| due <= now) {
                    self.refresh_in_background();
                }
                Ok(grant)
            }
            stale => self.fetch(stale.as_ref(), OnFailure::Extend).await,
        }
    }

    /// The end of the present credentials, extensions included.
    pub(super) fn expires_at(&self) -> Option<SystemTime> {
        self.current.load().as_ref().and_then(|grant| grant.usable_until)
    }

    /// Newer credentials in place of those that the service refused. `Ok(None)`: there are none, so the
    /// refusal stands.
    pub(super) async fn replace(
        self: &Arc<Self>,
        refused: &Arc<Grant>,
    ) -> Result<Option<Arc<Grant>>, CredentialsError> {
        if refused.confirmed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(None);
        }
        let newer = self.fetch(Some(refused), OnFailure::Discard).await?;
        Ok((!newer.proof.is_same_as(&refused.proof)).then_some(newer))
    }

    /// Ends a background refresh; called by the owner when it is dropped.
    pub(super) fn stop(&self) {
        let task = self.background.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
    }

    fn refresh_in_background(self: &Arc<Self>) {
        if self.in_background.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Background(Arc::clone(self));
        let task = tokio::spawn(async move {
            let seen = running.0.current.load_full();
            // The fetch stores its failure, which is reported when the extension ends.
            if let Err(error) = running.0.fetch(seen.as_ref(), OnFailure::Extend).await {
                log::warn!("{error}");
            }
        });
        *self.background.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    /// Fetches in place of `stale`, unless another caller did so during the wait at the gate.
    async fn fetch(
        &self,
        stale: Option<&Arc<Grant>>,
        on_failure: OnFailure,
    ) -> Result<Arc<Grant>, CredentialsError> {
        let finished_before = self.finished.load(Ordering::Acquire);
        let mut last_refusal = self.gate.lock().await;
        if let Some(newer) = self.current.load_full().filter(|now| !is_same(Some(now), stale)) {
            return Ok(newer);
        }
        if let Some(refusal) = &*last_refusal
            && (finished_before != self.finished.load(Ordering::Acquire)
                || refusal.at.elapsed() < PAUSE)
        {
            return Err(refusal.error.clone());
        }
        let outcome = self.ask_source().await;
        self.finished.fetch_add(1, Ordering::AcqRel);
        match outcome {
            Ok(mut grant) => {
                let same = stale.is_some_and(|stale| stale.proof.is_same_as(&grant.proof));
                if on_failure == OnFailure::Discard && same {
                    grant.confirmed = Some(Instant::now());
                }
                *last_refusal = None;
                let grant = Arc::new(grant);
                self.current.store(Some(Arc::clone(&grant)));
                Ok(grant)
            }
            Err(error) => {
                if on_failure == OnFailure::Extend
                    && let Some(extended) = stale.and_then(|stale| self.extended(stale))
                {
                    log::warn!("{error}; the last good credentials stay in use");
                    let extended = Arc::new(extended);
                    self.current.store(Some(Arc::clone(&extended)));
                    return Ok(extended);
                }
                self.current.store(None);
                *last_refusal = Some(Refusal { error: error.clone(), at: Instant::now() });
                Err(error)
            }
        }
    }

    async fn ask_source(&self) -> Result<Grant, CredentialsError> {
        let answer = tokio::time::timeout(self.limit, async {
            match &self.source {
                Source::Keys(provider) => {
                    let keys = provider.provide_credentials().await.map_err(|e| reason(&e))?;
                    Ok((keys.expiry(), Proof::keys(keys)))
                }
                Source::Token(provider) => {
                    let token = provider.provide_token().await.map_err(|e| reason(&e))?;
                    Ok((token.expiration(), Proof::bearer(token.token())?))
                }
            }
        });
        let (expiry, proof) = answer
            .await
            .unwrap_or_else(|_| Err(CredentialsError(format!("no answer within {:?}", self.limit))))
            .map_err(|CredentialsError(why)| CredentialsError(format!("{}: {why}", self.name)))?;
        let now = self.clock.now()?;
        let refresh_at = expiry.map(|end| {
            let lifetime = end.duration_since(now).unwrap_or_default();
            end.checked_sub(REFRESH_AHEAD.min(lifetime / 4)).unwrap_or(end)
        });
        let grant = Grant { proof, usable_until: expiry, refresh_at, confirmed: None };
        if expiry.is_none_or(|end| now < end) {
            return Ok(grant);
        }
        // An overloaded metadata service returns such credentials. Fetching again for every call would not
        // help it.
        log::warn!(
            "{}: the credentials have already expired; AWS may still accept them",
            self.name
        );
        Ok(self.extended(&grant).unwrap_or(grant))
    }

    /// The same credentials with a later end; `None` if they never expire.
    fn extended(&self, grant: &Grant) -> Option<Grant> {
        let now = self.clock.now().ok()?;
        let spread = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let extension =
            EXTENSION + Duration::from_secs(u64::from(spread) % EXTENSION_SPREAD_SECONDS);
        Some(Grant {
            proof: grant.proof.clone(),
            usable_until: Some(grant.usable_until?.max(now + extension)),
            refresh_at: Some(now + NEXT_ATTEMPT),
            confirmed: None,
        })
    }
}

/// Marks a background refresh; dropped at every kind of end, also when the runtime shuts down.
struct Background(Arc<CredentialCache>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.in_background.store(false, Ordering::Release);
    }
}

fn is_same(a: Option<&Arc<Grant>>, b: Option<&Arc<Grant>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The chain of causes in one line. Uses only `Display` texts: the debug output of providers is not under
/// the gateway's control.
fn reason(error: &(dyn std::error::Error + 'static)) -> CredentialsError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    // Providers list their attempts, and programs print errors, in several lines.
    let line =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    CredentialsError(line.collect::<Vec<_>>().join(" ").chars().take(REASON).collect())
}

#[cfg(test)]
mod tests;
