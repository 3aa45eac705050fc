//! Redis store: reasoning shared by replicas, on any server with the Redis protocol. It is read only if the
//! local store has no entry, within a short time limit, and not at all for a while after a failure: its
//! failures cost a request only the reasoning.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::timeout;
use translate::reasoning::{RestoredReasoning, SavedTurn};

use super::capsules::CapsuleKey;
use super::sealing::{self, Sealing};
use super::{Caller, StoreBackend, StoreLimits};
use bedrock::AccountSecret;

/// Longest wait of a request for the store.
const PATIENCE: Duration = Duration::from_millis(250);
/// Pause after a failure of the store.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest reasoning of one turn that is shared, in bytes.
const LARGEST: usize = 1024 * 1024;
/// Most calls per request that are looked up, the latest first.
const MOST: usize = 256;

/// Address of the store, and the secret for names and sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreSettings {
    /// `redis://` or `rediss://`; it may contain a password.
    pub(crate) url: AccountSecret,
    /// The same in all replicas.
    pub(crate) secret: AccountSecret,
}

impl StoreSettings {
    /// Shortest secret accepted.
    pub(crate) const SHORTEST_SECRET: usize = 16;

    /// Whether the address is valid.
    pub(crate) fn has_address(&self) -> bool {
        Client::open(self.url.reveal()).is_ok()
    }
}

/// The Redis store.
pub(crate) struct RedisStore {
    settings: StoreSettings,
    client: Client,
    seal: Sealing,
    /// Seals reasoning for clients; the same in all replicas.
    capsules: Option<Arc<CapsuleKey>>,
    /// Longest wait of a request.
    patience: Duration,
    /// Opened by the first request that needs it, and again after a failure.
    connection: Mutex<Option<MultiplexedConnection>>,
    born: Instant,
    /// End of the pause, in milliseconds since `born`.
    rests_until: AtomicU64,
    is_down: AtomicBool,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").finish_non_exhaustive()
    }
}

impl RedisStore {
    /// A store without a connection yet. `None` for an invalid address.
    pub(crate) fn new(settings: &StoreSettings) -> Option<Self> {
        Some(Self {
            client: Client::open(settings.url.reveal()).ok()?,
            seal: Sealing::new(settings.secret.reveal()).ok()?,
            capsules: sealing::capsule_key(settings.secret.reveal()).ok().map(Arc::new),
            settings: settings.clone(),
            patience: PATIENCE,
            connection: Mutex::new(None),
            born: Instant::now(),
            rests_until: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
        })
    }

    /// The store for these settings, reused from `before` if they are the same.
    pub(crate) fn open(
        settings: Option<&StoreSettings>,
        before: Option<&Arc<Self>>,
    ) -> Option<Arc<Self>> {
        let settings = settings?;
        match before.filter(|before| before.settings == *settings) {
            Some(before) => Some(Arc::clone(before)),
            None => Self::new(settings).map(Arc::new),
        }
    }

    /// The key of capsules.
    pub(super) fn capsules(&self) -> Option<&Arc<CapsuleKey>> {
        self.capsules.as_ref()
    }

    pub(super) fn caller<'h>(&self, told: impl Iterator<Item = Option<&'h [u8]>>) -> Caller {
        self.seal.caller(told)
    }

    /// A kept answer, by the digest of its request.
    pub(crate) async fn kept_answer(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let name = self.seal.name_of_answer(digest);
        let mut get = redis::pipe();
        get.get(&name);
        let found: Vec<Option<Vec<u8>>> = self.ask(&get).await?;
        self.seal.open_bytes(&name, found.into_iter().next()??)
    }

    /// Keeps an answer for so long.
    pub(crate) async fn keep_answer(&self, digest: &[u8], answer: Vec<u8>, ttl: Duration) {
        let name = self.seal.name_of_answer(digest);
        let Some(sealed) = self.seal.sealed(&name, answer) else { return };
        let mut set = redis::pipe();
        set.set_ex(name, sealed, seconds(ttl)).ignore();
        self.ask::<()>(&set).await;
    }

    /// Queries the store, unless it is paused. A failure starts a pause, and is logged once.
    async fn ask<T: FromRedisValue>(&self, what: &Pipeline) -> Option<T> {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = self.rests_until.load(Ordering::Relaxed);
        if now < until {
            return None;
        }
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        // One request probes whether it is back.
        if self.is_down.load(Ordering::Relaxed) {
            let rest = now.saturating_add(pause);
            let order = Ordering::Relaxed;
            self.rests_until.compare_exchange(until, rest, order, order).ok()?;
        }
        // Boxed, because most gateways have no second store, and their requests should be no larger for it.
        let failure = match timeout(self.patience, Box::pin(self.query(what))).await {
            Ok(Ok(answer)) => {
                self.rests_until.store(0, Ordering::Relaxed);
                if self.is_down.swap(false, Ordering::Relaxed) {
                    log::info!("the reasoning store is back");
                }
                return Some(answer);
            }
            Ok(Err(error)) => reason(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        self.forget_connection();
        self.rests_until.store(now.saturating_add(pause), Ordering::Relaxed);
        if !self.is_down.swap(true, Ordering::Relaxed) {
            log::warn!(
                "the reasoning store fails ({failure}): until it is back, each process remembers for itself"
            );
        }
        None
    }

    /// A pooled connection that was closed while idle is no failure.
    async fn query<T: FromRedisValue>(&self, what: &Pipeline) -> RedisResult<T> {
        let (mut connection, is_new) = self.connection().await?;
        match what.query_async(&mut connection).await {
            Err(error) if !is_new && (error.is_io_error() || error.is_unrecoverable_error()) => {
                self.forget_connection();
                let (mut connection, _) = self.connection().await?;
                what.query_async(&mut connection).await
            }
            answer => answer,
        }
    }

    /// The connection, and whether it is new.
    async fn connection(&self) -> RedisResult<(MultiplexedConnection, bool)> {
        let mut place = self.connection.lock().await;
        if let Some(connection) = &*place {
            return Ok((connection.clone(), false));
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(Some(self.patience));
        let connection = self.client.get_multiplexed_async_connection_with_config(&limits).await?;
        *place = Some(connection.clone());
        Ok((connection, true))
    }

    /// If another request is connecting just now, there is no connection to drop.
    fn forget_connection(&self) {
        if let Ok(mut place) = self.connection.try_lock() {
            *place = None;
        }
    }
}

impl StoreBackend for RedisStore {
    async fn keep(&self, caller: Caller, kept: &SavedTurn, limits: StoreLimits) {
        let mut all = redis::pipe();
        for call in &kept.calls {
            let name = self.seal.name(caller, call);
            let Some(sealed) = self.seal.close(&name, &kept.turn) else { continue };
            if sealed.len() <= LARGEST {
                all.set_ex(name, sealed, seconds(limits.ttl)).ignore();
            }
        }
        if !all.is_empty() {
            self.ask::<()>(&all).await;
        }
    }

    async fn restore<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: StoreLimits,
    ) -> RestoredReasoning {
        let named = calls.take(MOST).map(|call| (call, self.seal.name(caller, call)));
        let named: Vec<(&str, String)> = named.collect();
        let mut restored = RestoredReasoning::default();
        if named.is_empty() {
            return restored;
        }
        let mut all = redis::pipe();
        let ttl = i64::try_from(seconds(limits.ttl)).unwrap_or(i64::MAX);
        for (_, name) in &named {
            // Two commands, for servers without GETEX.
            all.get(name).expire(name, ttl).ignore();
        }
        let found: Vec<Option<Vec<u8>>> = self.ask(&all).await.unwrap_or_default();
        for ((call, name), sealed) in named.iter().zip(found) {
            if let Some(turn) = sealed.and_then(|sealed| self.seal.open(name, sealed)) {
                restored.add(call, turn);
            }
        }
        restored
    }
}

fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(1)
}

/// The loggable part of an error: the server's text may quote data sent to it.
fn reason(error: &RedisError) -> String {
    format!("{:?}", error.kind())
}

#[cfg(test)]
pub(super) mod tests;
