//! A memory that replicas share: any server that speaks Redis' protocol. It is asked only where the process's
//! own knows nothing, within a short time, and not at all for a while once it has failed: what it cannot do
//! costs a request nothing but the memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::timeout;
use translate::thoughts::{Kept, Recalled};

use super::seal::Seal;
use super::{Caller, MemoryLimits, ThoughtStore};
use crate::bedrock::AccountSecret;

/// How long a request waits for the store.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a store that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(5);
/// Thoughts of one turn that are too long to be shared.
const LARGEST: usize = 1024 * 1024;
/// Most calls of one request that are asked for, the latest first.
const MOST: usize = 256;

/// Where the store is, and by what its entries are named and sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreSettings {
    /// `redis://` or `rediss://`; it may hold a password.
    pub(crate) url: AccountSecret,
    /// The same in all replicas.
    pub(crate) secret: AccountSecret,
}

impl StoreSettings {
    /// The shortest secret accepted.
    pub(crate) const SHORTEST_SECRET: usize = 16;

    /// Whether the address is one.
    pub(crate) fn has_address(&self) -> bool {
        Client::open(self.url.reveal()).is_ok()
    }
}

/// The store.
pub(crate) struct SharedMemory {
    settings: StoreSettings,
    client: Client,
    seal: Seal,
    /// Made by the first request that needs it, and again after it has failed.
    connection: Mutex<Option<MultiplexedConnection>>,
    born: Instant,
    /// Until when it is left alone, in milliseconds since it was born.
    rests_until: AtomicU64,
    is_down: AtomicBool,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory").finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// A store; nothing is connected to yet. `None` for an address that is none.
    pub(crate) fn new(settings: &StoreSettings) -> Option<Self> {
        Some(Self {
            client: Client::open(settings.url.reveal()).ok()?,
            seal: Seal::new(settings.secret.reveal()).ok()?,
            settings: settings.clone(),
            connection: Mutex::new(None),
            born: Instant::now(),
            rests_until: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
        })
    }

    /// The store for these settings: the one there was, if it is the same.
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

    pub(super) fn caller<'h>(&self, told: impl Iterator<Item = Option<&'h [u8]>>) -> Caller {
        self.seal.caller(told)
    }

    /// Asks the store, if it is not resting. A failure sends it to rest, and is told once.
    async fn ask<T: FromRedisValue>(&self, what: &Pipeline) -> Option<T> {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until = self.rests_until.load(Ordering::Relaxed);
        if now < until {
            return None;
        }
        let pause = u64::try_from(PAUSE.as_millis()).unwrap_or(u64::MAX);
        // One request finds out whether it is back.
        if self.is_down.load(Ordering::Relaxed) {
            let rest = now.saturating_add(pause);
            let order = Ordering::Relaxed;
            self.rests_until.compare_exchange(until, rest, order, order).ok()?;
        }
        let failure = match timeout(PATIENCE, self.query(what)).await {
            Ok(Ok(answer)) => {
                self.rests_until.store(0, Ordering::Relaxed);
                if self.is_down.swap(false, Ordering::Relaxed) {
                    log::info!("the store of thoughts is back");
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
                "the store of thoughts fails ({failure}): until it is back, each process remembers for itself"
            );
        }
        None
    }

    /// A connection that was closed while nobody used it is no failure.
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

    /// The connection, and whether it is a new one.
    async fn connection(&self) -> RedisResult<(MultiplexedConnection, bool)> {
        let mut place = self.connection.lock().await;
        if let Some(connection) = &*place {
            return Ok((connection.clone(), false));
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = self.client.get_multiplexed_async_connection_with_config(&limits).await?;
        *place = Some(connection.clone());
        Ok((connection, true))
    }

    /// Where another request is connecting just now, there is nothing to forget.
    fn forget_connection(&self) {
        if let Ok(mut place) = self.connection.try_lock() {
            *place = None;
        }
    }
}

impl ThoughtStore for SharedMemory {
    async fn keep(&self, caller: Caller, kept: &Kept, limits: MemoryLimits) {
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

    async fn recall<'c>(
        &self,
        caller: Caller,
        calls: impl Iterator<Item = &'c str>,
        limits: MemoryLimits,
    ) -> Recalled {
        let named = calls.take(MOST).map(|call| (call, self.seal.name(caller, call)));
        let named: Vec<(&str, String)> = named.collect();
        let mut recalled = Recalled::default();
        if named.is_empty() {
            return recalled;
        }
        let mut all = redis::pipe();
        let ttl = i64::try_from(seconds(limits.ttl)).unwrap_or(i64::MAX);
        for (_, name) in &named {
            // Two commands, for servers that do not know GETEX.
            all.get(name).expire(name, ttl).ignore();
        }
        let found: Vec<Option<Vec<u8>>> = self.ask(&all).await.unwrap_or_default();
        for ((call, name), sealed) in named.iter().zip(found) {
            if let Some(turn) = sealed.and_then(|sealed| self.seal.open(name, sealed)) {
                recalled.add(call, turn);
            }
        }
        recalled
    }
}

fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(1)
}

/// What the log may say: what a server says may quote what it was told.
fn reason(error: &RedisError) -> String {
    format!("{:?}", error.kind())
}

#[cfg(test)]
pub(super) mod tests;
