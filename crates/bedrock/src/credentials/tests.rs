//! The cache with sources that are slow, failing or rotating. Tests move the expiry instead of waiting.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::provider::error::CredentialsError as SourceError;
use aws_credential_types::provider::{ProvideCredentials, future};
use tokio::sync::Semaphore;

use super::*;
use crate::clock::Correction;

type Answer = Box<dyn Fn(usize) -> Result<Credentials, SourceError> + Send + Sync>;

/// A source that counts its fetches and answers each one when the test permits it.
struct Scripted {
    fetches: AtomicUsize,
    running: AtomicUsize,
    permits: Semaphore,
    answer: Answer,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[derive(Debug, Clone)]
struct Provider(Arc<Scripted>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let number = self.0.fetches.fetch_add(1, Ordering::SeqCst);
            assert_eq!(self.0.running.fetch_add(1, Ordering::SeqCst), 0, "two fetches at once");
            let _running = Running(&self.0.running);
            self.0.permits.acquire().await.unwrap().forget();
            (self.0.answer)(number)
        })
    }
}

/// Decrements the count at the end of a fetch, also when it is cancelled.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn keys(number: usize, expires_in: Option<i64>) -> Credentials {
    let now = SystemTime::now();
    let expiry = expires_in.map(|seconds| {
        let by = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 { now - by } else { now + by }
    });
    Credentials::new(format!("AKID{number}"), "secret", None, expiry, "test")
}

fn cache(
    permits: usize,
    answer: impl Fn(usize) -> Result<Credentials, SourceError> + Send + Sync + 'static,
) -> (Arc<CredentialCache>, Arc<Scripted>) {
    let scripted = Arc::new(Scripted {
        fetches: AtomicUsize::new(0),
        running: AtomicUsize::new(0),
        permits: Semaphore::new(permits),
        answer: Box::new(answer),
    });
    let provider = SharedCredentialsProvider::new(Provider(Arc::clone(&scripted)));
    let clock = Arc::new(Clock::new(Correction::On));
    let limit = Duration::from_secs(60);
    (CredentialCache::new(Source::Keys(provider), "a script".to_owned(), clock, limit), scripted)
}

fn key_of(grant: &Grant) -> String {
    match &grant.proof {
        Proof::Keys(keys) => keys.credentials().access_key_id().to_owned(),
        Proof::Bearer(_) => "bearer".to_owned(),
    }
}

/// Moves the expiry of the credentials into the past.
fn expire(cache: &CredentialCache) {
    let now = SystemTime::now();
    let expired = cache.current.load_full().map(|grant| Grant {
        proof: grant.proof.clone(),
        usable_until: Some(now - Duration::from_secs(1)),
        refresh_at: Some(now - Duration::from_secs(1)),
        confirmed: None,
    });
    cache.current.store(expired.map(Arc::new));
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_first_fetch_is_lazy_and_shared_by_all_who_wait() {
    let (cache, source) = cache(0, |number| Ok(keys(number, None)));
    assert_eq!(source.fetches.load(Ordering::SeqCst), 0);
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { key_of(&cache.current().await.unwrap()) })
        })
        .collect();
    until("the fetch starts", || source.fetches.load(Ordering::SeqCst) == 1).await;
    source.permits.add_permits(100);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "AKID0");
    }
    assert_eq!(source.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_cancel_the_fetch() {
    let (cache, source) = cache(0, |number| Ok(keys(number, None)));
    let first = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { cache.current().await.map(|_| ()) }
    });
    until("the fetch starts", || source.fetches.load(Ordering::SeqCst) == 1).await;
    let second = tokio::spawn({
        let cache = Arc::clone(&cache);
        async move { key_of(&cache.current().await.unwrap()) }
    });
    first.abort();
    let _ = first.await;
    source.permits.add_permits(10);
    assert_eq!(second.await.unwrap(), "AKID1");
}

#[tokio::test]
async fn a_refresh_ahead_of_expiry_happens_once_in_the_background() {
    let (cache, source) = cache(1, |number| Ok(keys(number, Some(3600))));
    let first = cache.current().await.unwrap();
    // Makes the refresh due without waiting.
    let due = Grant {
        proof: first.proof.clone(),
        usable_until: first.usable_until,
        refresh_at: Some(SystemTime::now()),
        confirmed: None,
    };
    cache.current.store(Some(Arc::new(due)));
    for _ in 0..100 {
        assert_eq!(key_of(&cache.current().await.unwrap()), "AKID0");
    }
    until("the refresh starts", || source.fetches.load(Ordering::SeqCst) == 2).await;
    for _ in 0..100 {
        assert_eq!(key_of(&cache.current().await.unwrap()), "AKID0", "nobody waits for it");
    }
    source.permits.add_permits(1);
    until("the new keys are in force", || {
        cache.current.load_full().is_some_and(|grant| key_of(&grant) == "AKID1")
    })
    .await;
    assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn short_lived_credentials_are_refreshed_in_their_last_quarter() {
    let (cache, _source) = cache(1, |number| Ok(keys(number, Some(400))));
    let grant = cache.current().await.unwrap();
    let ahead = grant.usable_until.unwrap().duration_since(grant.refresh_at.unwrap()).unwrap();
    assert!((99..=100).contains(&ahead.as_secs()), "{ahead:?}");
}

#[tokio::test]
async fn the_last_good_credentials_outlive_a_failing_source() {
    let (cache, source) = cache(100, |number| match number {
        0 => Ok(keys(0, Some(3600))),
        _ => Err(SourceError::provider_error("the metadata service is down")),
    });
    assert_eq!(key_of(&cache.current().await.unwrap()), "AKID0");
    expire(&cache);
    let extended = cache.current().await.unwrap();
    assert_eq!((key_of(&extended).as_str(), source.fetches.load(Ordering::SeqCst)), ("AKID0", 2));
    let left = extended.usable_until.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((595..=901).contains(&left.as_secs()), "{left:?}");
    for _ in 0..100 {
        cache.current().await.unwrap();
    }
    assert_eq!(source.fetches.load(Ordering::SeqCst), 2, "the source is left alone for a while");
}

#[tokio::test]
async fn a_source_that_gives_expired_credentials_is_not_asked_for_every_call() {
    let (cache, source) = cache(100, |number| Ok(keys(number, Some(-60))));
    for _ in 0..100 {
        assert_eq!(key_of(&cache.current().await.unwrap()), "AKID0");
    }
    assert_eq!(source.fetches.load(Ordering::SeqCst), 1);
    let grant = cache.current().await.unwrap();
    let next = grant.refresh_at.unwrap().duration_since(SystemTime::now()).unwrap();
    assert!((25..=30).contains(&next.as_secs()), "it is asked again soon: {next:?}");
}

#[tokio::test]
async fn a_failure_names_its_source_in_one_line() {
    let (cache, _source) =
        cache(100, |_| Err(SourceError::provider_error("first\n  second\r\n\u{1b}[31mthird")));
    let said = cache.current().await.unwrap_err().to_string();
    assert!(said.starts_with("no usable AWS credentials: a script: "), "{said}");
    assert!(said.ends_with("first second [31mthird"), "{said}");
}

#[tokio::test]
async fn without_any_credentials_a_failure_is_shared_and_not_repeated_at_once() {
    let (cache, source) = cache(0, |_| Err(SourceError::not_loaded("no source is set up")));
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let cache = Arc::clone(&cache);
            tokio::spawn(async move { cache.current().await.map(|_| ()) })
        })
        .collect();
    until("the fetch starts", || source.fetches.load(Ordering::SeqCst) == 1).await;
    source.permits.add_permits(100);
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("no source is set up"), "{error}");
    }
    assert!(cache.current().await.is_err());
    assert_eq!(source.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn refused_credentials_are_replaced_once_for_all_who_were_refused() {
    let (cache, source) = cache(100, |number| Ok(keys(number, Some(3600))));
    let refused = cache.current().await.unwrap();
    let (a, b) = tokio::join!(cache.replace(&refused), cache.replace(&refused));
    assert_eq!(key_of(&a.unwrap().unwrap()), "AKID1");
    assert_eq!(key_of(&b.unwrap().unwrap()), "AKID1");
    assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn keys_that_never_change_are_not_fetched_for_every_refusal() {
    let (cache, source) = cache(100, |_| Ok(keys(7, None)));
    let refused = cache.current().await.unwrap();
    assert!(cache.replace(&refused).await.unwrap().is_none(), "the same keys are no replacement");
    let refused = cache.current().await.unwrap();
    for _ in 0..50 {
        assert!(cache.replace(&refused).await.unwrap().is_none());
    }
    assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn refused_credentials_are_not_extended() {
    let (cache, _source) = cache(100, |number| match number {
        0 => Ok(keys(0, Some(3600))),
        _ => Err(SourceError::provider_error("down")),
    });
    let refused = cache.current().await.unwrap();
    assert!(cache.replace(&refused).await.is_err());
    assert!(cache.current().await.is_err());
}

#[test]
fn debug_output_contains_no_secrets() {
    let keys = Credentials::new("AKIDX", "hunter2", Some("token3".into()), None, "test");
    let grant =
        Grant { proof: Proof::keys(keys), usable_until: None, refresh_at: None, confirmed: None };
    let Ok(Proof::Bearer(bearer)) = Proof::bearer("hunter2") else { panic!() };
    let text = format!("{grant:?} {bearer:?}");
    assert!(!text.contains("hunter2") && !text.contains("token3"), "{text}");
    assert!(Proof::bearer("a\nb").is_err());
}
