//! Opening the accounts, and authenticating callers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::cache::{Cached, RecordCache};
use super::refusals;
use crate::ledger::{FailMode, LedgerOptions, LedgerWriter, RefusalQueue};
use crate::limit::{RateLimits, RedisOptions};
use crate::record::{
    BudgetRecord, CustomerRecord, KeyRecord, Limits, MemberRecord, Record, TagRecord, TeamRecord,
    UserRecord,
};
use crate::store::{SecretBy, Store, StoreError};
use crate::{
    BudgetZone, CallTag, Clock, Customer, Holder, KeyDigest, NoRandomness, Pepper, Principal,
    SecretKey, UtcTime, public_id_of,
};

/// The time between two looks for changes of other replicas.
const POLL: Duration = Duration::from_secs(1);
/// Entries of each cache.
const ENTRIES: u64 = 100_000;

/// Settings of the accounts.
#[derive(Debug, Clone, Default)]
pub struct AccountSettings {
    /// The operator's pepper; absent makes one and keeps it in the store.
    pub pepper: Option<Pepper>,
    /// The source of time.
    pub clock: Clock,
    /// The zone in which budget windows begin.
    pub zone: BudgetZone,
    /// Settings of the ledger.
    pub ledger: LedgerOptions,
    /// Limits of end users that have no record, or one without limits.
    pub unknown_customers: Limits,
    /// The id of a budget row that fills them. While there is no such row, their calls are refused.
    pub unknown_customers_row: Option<String>,
    /// Rate limits that hold for every key where its own are null.
    pub every_key: Limits,
    /// Limits of tags, by their names, that have no record, or one without limits.
    pub tags: BTreeMap<String, Limits>,
    /// Limits of all calls together.
    pub gateway: Limits,
    /// The Redis in which replicas share rate limits; absent counts them in this process.
    pub redis: Option<RedisOptions>,
}

/// Limits that the operator configured, rather than a record.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfiguredLimits {
    unknown_customers: Limits,
    pub(super) unknown_customers_row: Option<String>,
    pub(super) every_key: Limits,
    tags: BTreeMap<String, Limits>,
    pub(super) gateway: Limits,
}

/// Failures to open the accounts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No pepper could be made.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The store was used with another pepper: none of its keys would be recognised.
    #[error("the pepper is not the one that the store's keys were made with")]
    WrongPepper,
}

/// The reasons for which a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No such key exists, or it has the form of none.
    #[error("the key is unknown")]
    Unknown,
    /// The key, or the grace period of a replaced secret, is over.
    #[error("the key expired at {at}")]
    Expired {
        /// The time it expired.
        at: UtcTime,
        /// The time of the refusal.
        now: UtcTime,
    },
    /// The store cannot be reached, and the key is not remembered. The text is for the log.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// A holder, and the end of the secret that was presented.
type Known = (Arc<Holder>, KeyDigest, Option<UtcTime>);

/// The accounts of a gateway.
pub struct Accounts {
    pub(super) store: Arc<dyn Store>,
    pub(super) pepper: Pepper,
    pub(super) clock: Clock,
    pub(super) zone: BudgetZone,
    pub(super) ledger: LedgerWriter,
    pub(super) rates: RateLimits,
    pub(super) configured: ConfiguredLimits,
    fail_mode: FailMode,
    known_version: Arc<AtomicU64>,
    holders: RecordCache<SecretBy, Known>,
    customers: RecordCache<String, Arc<Customer>>,
    tags: RecordCache<String, Arc<CallTag>>,
    pub(super) refusals: Arc<RefusalQueue>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts(..)")
    }
}

impl Accounts {
    /// Opens the accounts of a store, and starts the tasks that write the ledger and look for changes of other
    /// replicas; on the present tokio runtime, which must outlive them.
    ///
    /// # Errors
    /// The store fails, or was used with another pepper.
    pub async fn open(
        store: Arc<dyn Store>,
        settings: AccountSettings,
    ) -> Result<Arc<Self>, OpenError> {
        let AccountSettings {
            pepper,
            clock,
            zone,
            ledger,
            unknown_customers,
            unknown_customers_row,
            every_key,
            tags,
            gateway,
            redis,
        } = settings;
        let configured =
            ConfiguredLimits { unknown_customers, unknown_customers_row, every_key, tags, gateway };
        let pepper = match pepper {
            Some(pepper) => pepper,
            None => kept_pepper(&*store).await?,
        };
        let mark = crate::key::hex(&pepper.mac(&[b"pepper of this store"]));
        if store.keep("pepper_mark", mark.clone()).await? != mark {
            return Err(OpenError::WrongPepper);
        }
        let known_version = Arc::new(AtomicU64::new(store.version().await?));
        let rates = RateLimits::open(redis, &pepper).await;
        let refusals = Arc::<RefusalQueue>::default();
        let tasks = vec![
            tokio::spawn(poll(Arc::clone(&store), Arc::clone(&known_version))),
            tokio::spawn(refusals::write(Arc::clone(&store), Arc::clone(&refusals))),
        ];
        Ok(Arc::new(Self {
            fail_mode: ledger.fail_mode,
            ledger: LedgerWriter::start(Arc::clone(&store), clock.clone(), ledger),
            store,
            pepper,
            clock,
            zone,
            rates,
            configured,
            known_version,
            holders: RecordCache::new(ENTRIES),
            customers: RecordCache::new(ENTRIES),
            tags: RecordCache::new(ENTRIES),
            refusals,
            tasks: Mutex::new(tasks),
        }))
    }

    /// Writes what is queued and stops the tasks.
    pub async fn close(&self) {
        self.ledger.stop().await;
        self.rates.close().await;
        self.write_refusals().await;
        self.end_tasks();
    }

    fn end_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
    }

    /// The store, for reports.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The present time.
    pub fn now(&self) -> UtcTime {
        self.clock.now()
    }

    /// The zone of budget windows.
    pub fn zone(&self) -> &BudgetZone {
        &self.zone
    }

    /// The limits of all calls together.
    pub fn gateway_limits(&self) -> &Limits {
        &self.configured.gateway
    }

    /// Authenticates a key. Blocks are judged by [`crate::admit`].
    ///
    /// # Errors
    /// It is unknown or expired, or the store cannot tell.
    pub async fn authenticate(&self, key: &SecretKey) -> Result<Principal, AuthError> {
        let digest = key.digest(&self.pepper);
        let (holder, stored, ends) = self.known(SecretBy::Digest(digest.clone())).await?;
        if !stored.matches(&digest) {
            return Err(AuthError::Unknown);
        }
        self.in_time(holder, ends)
    }

    /// Finds the holder of an access key id, with the digest from which its secret is derived. The caller verifies
    /// the signature.
    ///
    /// # Errors
    /// It is unknown or expired, or the store cannot tell.
    pub async fn signer(
        &self,
        access_key_id: &str,
    ) -> Result<(Principal, crate::AwsKeyPair), AuthError> {
        let id = public_id_of(access_key_id).ok_or(AuthError::Unknown)?;
        let (holder, digest, ends) = self.known(SecretBy::PublicId(id.to_owned())).await?;
        if !holder.key.has_aws_pair {
            return Err(AuthError::Unknown);
        }
        let pair = crate::AwsKeyPair::derive(id, &digest, &self.pepper);
        Ok((self.in_time(holder, ends)?, pair))
    }

    /// The end user of a call, with its limits or the default ones.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn customer(&self, id: &str) -> Result<Arc<Customer>, StoreError> {
        let known = self.known_version.load(Ordering::Acquire);
        let earlier = match self.customers.look_up(&id.to_owned(), known) {
            Cached::Found(customer) => return Ok(customer),
            Cached::Missing => None,
            Cached::Unknown(earlier) => earlier,
        };
        let read = Box::pin(async {
            let version = self.store.version().await?;
            let record = self.read::<CustomerRecord>(id).await?;
            let limits = match &record {
                Some(record) if has_limits(&record.limits, record.budget_id.as_deref()) => {
                    self.with_row(&record.limits, record.budget_id.as_deref()).await?
                }
                Some(_) | None => self.limits_of_unknown_customers().await?,
            };
            let customer = Arc::new(Customer { id: id.to_owned(), record, limits });
            self.customers.keep(id.to_owned(), Some(Arc::clone(&customer)), version);
            Ok(customer)
        });
        // While the store is away, an end user who is not remembered counts as one without a record.
        let unknown = || {
            let limits = self.configured.unknown_customers.clone();
            Arc::new(Customer { id: id.to_owned(), record: None, limits })
        };
        self.or_earlier(read, earlier.or_else(|| Some(unknown()))).await
    }

    /// A tag of a call, with its limits.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn tag(&self, name: &str) -> Result<Arc<CallTag>, StoreError> {
        let known = self.known_version.load(Ordering::Acquire);
        let earlier = match self.tags.look_up(&name.to_owned(), known) {
            Cached::Found(tag) => return Ok(tag),
            Cached::Missing => None,
            Cached::Unknown(earlier) => earlier,
        };
        let read = Box::pin(async {
            let version = self.store.version().await?;
            let record = self.read::<TagRecord>(name).await?;
            let limits = match &record {
                Some(record) if has_limits(&record.limits, record.budget_id.as_deref()) => {
                    self.with_row(&record.limits, record.budget_id.as_deref()).await?
                }
                Some(_) | None => self.configured.tags.get(name).cloned().unwrap_or_default(),
            };
            let tag = Arc::new(CallTag { name: name.to_owned(), record, limits });
            self.tags.keep(name.to_owned(), Some(Arc::clone(&tag)), version);
            Ok(tag)
        });
        let unknown = || Arc::new(CallTag { name: name.to_owned(), ..CallTag::default() });
        self.or_earlier(read, earlier.or_else(|| Some(unknown()))).await
    }

    /// Notes a version of the store: records read before it are read again.
    pub(super) fn changed(&self, version: u64) {
        self.known_version.fetch_max(version, Ordering::AcqRel);
    }

    /// Reads a record.
    pub(super) async fn read<R: Record>(&self, id: &str) -> Result<Option<R>, StoreError> {
        let found = self.store.document(R::KIND, id.to_owned()).await?;
        found.map(|document| document.read()).transpose()
    }

    /// Limits, filled from a budget row.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn with_row(&self, own: &Limits, row: Option<&str>) -> Result<Limits, StoreError> {
        let Some(id) = row else { return Ok(own.clone()) };
        let row = self.read::<BudgetRecord>(id).await?;
        Ok(row.map_or_else(|| own.clone(), |row| own.or(&row.limits)))
    }

    /// The configured limits of end users. A row that is missing limits nothing, so that no call may pass by it.
    async fn limits_of_unknown_customers(&self) -> Result<Limits, StoreError> {
        let ConfiguredLimits { unknown_customers: own, unknown_customers_row: row, .. } =
            &self.configured;
        let Some(id) = row else { return Ok(own.clone()) };
        match self.read::<BudgetRecord>(id).await? {
            Some(row) => Ok(own.or(&row.limits)),
            None => Err(StoreError::Unreadable(format!(
                "it has no budget {id:?}, which is configured for end users: make it with /budget/new"
            ))),
        }
    }

    fn in_time(&self, holder: Arc<Holder>, ends: Option<UtcTime>) -> Result<Principal, AuthError> {
        let now = self.clock.now();
        let end = [ends, holder.key.expires].into_iter().flatten().min();
        match end {
            Some(at) if at <= now => Err(AuthError::Expired { at, now }),
            _ => Ok(Principal::Key(holder)),
        }
    }

    async fn known(&self, by: SecretBy) -> Result<Known, AuthError> {
        let version = self.known_version.load(Ordering::Acquire);
        let earlier = match self.holders.look_up(&by, version) {
            Cached::Found(known) => return Ok(known),
            Cached::Missing => return Err(AuthError::Unknown),
            Cached::Unknown(earlier) => earlier,
        };
        let read = Box::pin(async {
            // Before the rows: what is read may be newer than this, never older.
            let version = self.store.version().await?;
            let found = self.read_holder(by.clone()).await?;
            self.changed(version);
            self.holders.keep(by, found.clone(), version);
            Ok(found)
        });
        let found = self.or_earlier(read, earlier.map(Some)).await?;
        found.ok_or(AuthError::Unknown)
    }

    async fn read_holder(&self, by: SecretBy) -> Result<Option<Known>, StoreError> {
        let Some(secret) = self.store.secret(by).await? else { return Ok(None) };
        let Some(key) = self.read::<KeyRecord>(&secret.key_id).await? else { return Ok(None) };
        let holder = self.holder(key).await?;
        Ok(Some((Arc::new(holder), secret.digest, secret.valid_until)))
    }

    /// A key with the records above it.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn holder(&self, key: KeyRecord) -> Result<Holder, StoreError> {
        let mut holder = Holder::default();
        if let Some(id) = &key.budget_id {
            holder.key_budget =
                self.read::<BudgetRecord>(id).await?.map(|row| row.limits).unwrap_or_default();
        }
        if let Some(id) = &key.team_id {
            holder.team = self.read::<TeamRecord>(id).await?;
            // Keys die with their team; one that outlived it by an accident may call no model.
            if holder.team.is_none() {
                holder.team = Some(TeamRecord {
                    team_id: id.clone(),
                    blocked: true,
                    ..TeamRecord::default()
                });
            }
        }
        if let Some(team) = &holder.team {
            holder.team_limits = self.with_row(&team.limits, team.budget_id.as_deref()).await?;
        }
        if let Some(id) = &key.user_id {
            holder.user = self.read::<UserRecord>(id).await?;
        }
        if let Some(user) = &holder.user {
            holder.user_limits = self.with_row(&user.limits, user.budget_id.as_deref()).await?;
        }
        if let (Some(team), Some(user)) = (&key.team_id, &key.user_id) {
            holder.member = self.read::<MemberRecord>(&MemberRecord::id_of(team, user)).await?;
        }
        if let Some(team) = &holder.team {
            let own = holder.member.as_ref().map(|member| member.limits.or(&team.member_limits));
            holder.member_limits = own.unwrap_or_else(|| team.member_limits.clone());
        }
        let every_key = &self.configured.every_key;
        holder.key_limits = key.limits.or(&holder.key_budget).or_by_model(every_key);
        holder.key = key;
        Ok(holder)
    }

    /// While the store is away an earlier answer serves, if calls are to pass then. `read` is boxed by its caller:
    /// most requests find what they need in memory, and should not be as large as a look into the store.
    async fn or_earlier<T>(
        &self,
        read: Pin<Box<impl Future<Output = Result<T, StoreError>>>>,
        earlier: Option<T>,
    ) -> Result<T, StoreError> {
        let Some(earlier) = earlier.filter(|_| self.fail_mode == FailMode::Open) else {
            return read.await;
        };
        // A store that is known to be away is not waited for.
        if self.ledger.is_away() {
            return Ok(earlier);
        }
        match read.await {
            Err(StoreError::Unavailable(cause)) => {
                log::warn!("an earlier answer serves while the store of accounts is away: {cause}");
                Ok(earlier)
            }
            read => read,
        }
    }
}

impl Drop for Accounts {
    fn drop(&mut self) {
        self.end_tasks();
    }
}

/// Whether a record has limits, of its own or of a budget row.
fn has_limits(own: &Limits, row: Option<&str>) -> bool {
    *own != Limits::default() || row.is_some()
}

/// The kinds whose changes matter to authentication are all of them: a version is one number for the whole store.
async fn poll(store: Arc<dyn Store>, known: Arc<AtomicU64>) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match store.version().await {
            Ok(version) => {
                known.fetch_max(version, Ordering::AcqRel);
            }
            Err(error) => log::warn!("changes of other replicas are not seen: {error}"),
        }
    }
}

async fn kept_pepper(store: &dyn Store) -> Result<Pepper, OpenError> {
    let text = store.keep("pepper", Pepper::generate()?).await?;
    log::warn!(
        "no pepper is configured: the one in the store is used, which a copy of the store includes"
    );
    Pepper::given(&text).map_err(|e| StoreError::Unreadable(e.message).into())
}
