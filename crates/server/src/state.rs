//! State of the process: the part that all workers share, the part that a reload replaces, and each
//! worker's own.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use access::{Accounts, Admission};
use actix_server::GracefulShutdownSignal;
use arc_swap::ArcSwap;
use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;

use crate::config::Config;
use crate::cutoff::Cutoff;
use crate::draining::Draining;
use crate::json_schema::Validators;
use crate::listener::Listener;
use crate::master_key::MasterKey;
use crate::media::Fetcher;
use crate::offload::Offload;
use crate::overload::Overload;
use crate::readiness::Readiness;
use crate::reasoning_store::{LocalStore, RedisStore};
use crate::response_cache::ResponseCache;
use crate::telemetry::Telemetry;
use crate::wrong_keys::WrongKeys;
use bedrock::{
    Account, AccountSecret, AccountSpec, Bucket, Sdk, Settings, SetupError, Transport,
    TransportPool,
};
use routing::{ModelSettings, OpenError, Resolver};

/// Most moderations of large inputs at a time; each holds a thread while Bedrock works.
const MODERATIONS: usize = 8;

/// State shared by all workers.
#[derive(Debug)]
pub(crate) struct Shared {
    current: ArcSwap<Snapshot>,
    /// Whether the process is about to end.
    pub(crate) draining: Draining,
    /// Connections that clients have open.
    pub(crate) connections: AtomicUsize,
    /// Calls in flight, and those refused because there were too many.
    pub(crate) overload: Arc<Overload>,
    /// Tells of batches that were just made.
    pub(crate) new_batches: Notify,
    /// Keys, limits and the ledger; `None` without a master key.
    pub(crate) accounts: Option<Arc<Accounts>>,
    /// Wrong keys at the admin API.
    pub(crate) wrong_keys: WrongKeys,
    /// Place of the admin API.
    pub(crate) admin: AdminPlace,
    /// The master key of a demo, which asks callers for none.
    pub(crate) demo_key: Option<MasterKey>,
    /// The address of the console, where it has one that this machine alone reaches.
    pub(crate) console: OnceLock<SocketAddr>,
    /// Whether credentials were found.
    pub(crate) readiness: Readiness,
    /// Counts and states for `/metrics`.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Cuts off open requests when the process must end.
    pub(crate) cutoff: Cutoff,
    /// Triggers when no more requests are taken, and those that are open may finish.
    pub(crate) closing: GracefulShutdownSignal,
    /// Fetches media that requests link to.
    pub(crate) fetcher: Fetcher,
    /// Kept answers.
    pub(crate) response_cache: ResponseCache,
    /// The local reasoning store; it survives reloads.
    pub(crate) memory: Arc<LocalStore>,
    /// Validators of answers that were requested as JSON.
    pub(crate) validators: Validators,
    /// Threads for long computations.
    pub(crate) offload: Offload,
    /// Threads for moderations of large inputs, which wait for Bedrock as well.
    pub(crate) moderation: Offload,
}

/// Accounts of a demo, and the key of its console.
#[derive(Debug)]
pub(crate) struct DemoKeys {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) master: AccountSecret,
}

/// Place of the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AdminPlace {
    /// There are no accounts.
    Nowhere,
    /// On the address of the models.
    BesideModels,
    /// On an address of its own.
    Alone,
}

/// State that a reload replaces as one: a request uses one snapshot from beginning to end.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) config: Config,
    pub(crate) names: Resolver,
    /// The account for moderations.
    pub(crate) moderator: Account,
    /// The account that keeps files; absent without a bucket.
    pub(crate) storage: Option<Account>,
    /// The Redis store that replicas share.
    pub(crate) store: Option<Arc<RedisStore>>,
    /// The Redis that keeps answers.
    pub(crate) answers: Option<Arc<RedisStore>>,
    /// Number of snapshots before this one.
    generation: u64,
}

/// Most notes that are logged; `outcrop check` prints all.
const NOTES: usize = 4;

impl Snapshot {
    /// Opens the accounts that a configuration needs; `setup` supplies the settings it leaves open.
    /// Accounts of `before` are kept if their settings have not changed.
    pub(crate) async fn open(
        mut config: Config,
        setup: &Settings,
        before: Option<&Self>,
    ) -> Result<Self, OpenError> {
        let setup = Settings {
            region: setup.region.clone().or_else(|| config.region.clone()),
            last_region: config.last_region.clone(),
            profile: setup.profile.clone().or_else(|| config.profile.clone()),
            timeouts: config.timeouts.of_calls(),
            ..setup.clone()
        };
        let settings = config.names();
        let names = opening_names(&settings, setup, before.map(|before| &before.names)).await?;
        config.notes.extend(names.doubts());
        let place = &config.moderation.place;
        let (files, others) = (&config.files, before.map(|before| &before.names));
        let moderator = opening(&names, place, others).await.map_err(OpenError::Moderation)?;
        let storage = match &files.bucket {
            None => None,
            Some(_) => {
                let opened = opening(&names, &files.place, others).await;
                Some(opened.map_err(OpenError::Files)?)
            }
        };
        let generation = before.map_or(0, |before| before.generation + 1);
        let store = config.thinking_memory.shared();
        let store =
            RedisStore::open(store.as_ref(), before.and_then(|before| before.store.as_ref()));
        let answers = config.answer_store();
        let answers =
            RedisStore::open(answers.as_ref(), before.and_then(|before| before.answers.as_ref()));
        Ok(Self { config, names, moderator, storage, store, answers, generation })
    }

    /// Defects of the accounts' trust roots and profiles, as far as files show them.
    pub(crate) async fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        for account in self.names.accounts() {
            flaws.extend(account.flaws().await);
        }
        flaws.sort();
        flaws.dedup();
        flaws
    }

    /// Logs the notes on the configuration.
    pub(crate) fn warn(&self) {
        for note in self.config.notes.iter().take(NOTES) {
            log::warn!("{note}");
        }
        let more = self.config.notes.len().saturating_sub(NOTES);
        if more > 0 {
            log::warn!("{more} more notes on the configuration: outcrop check lists them");
        }
    }
}

/// Opens the accounts of all targets, boxed like [`opening`].
fn opening_names<'n>(
    settings: &'n ModelSettings,
    setup: Settings,
    before: Option<&'n Resolver>,
) -> LocalBoxFuture<'n, Result<Resolver, OpenError>> {
    Box::pin(Resolver::open(settings, setup, before))
}

/// Opens an account. The work is boxed here, because its state would enlarge that of its caller, and its stack.
fn opening<'n>(
    names: &'n Resolver,
    place: &'n AccountSpec,
    before: Option<&'n Resolver>,
) -> LocalBoxFuture<'n, Result<Account, SetupError>> {
    Box::pin(names.account_at(place, before))
}

impl Shared {
    pub(crate) fn new(
        snapshot: Snapshot,
        accounts: Option<Arc<Accounts>>,
        closing: GracefulShutdownSignal,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let offload = Offload::default();
        let admin = match (&accounts, snapshot.config.serves_admin_beside_models()) {
            (None, _) => AdminPlace::Nowhere,
            (Some(_), true) => AdminPlace::BesideModels,
            (Some(_), false) => AdminPlace::Alone,
        };
        Self {
            new_batches: Notify::new(),
            wrong_keys: WrongKeys::default(),
            accounts,
            admin,
            demo_key: None,
            current: ArcSwap::from_pointee(snapshot),
            draining: Draining::default(),
            connections: AtomicUsize::new(0),
            overload: Arc::default(),
            console: OnceLock::new(),
            readiness: Readiness::default(),
            telemetry,
            cutoff: Cutoff::default(),
            closing,
            fetcher: Fetcher::default(),
            response_cache: ResponseCache::default(),
            memory: Arc::default(),
            validators: Validators::new(offload.clone()),
            offload,
            moderation: Offload::with_permits(MODERATIONS),
        }
    }

    /// Takes the accounts of a demo: those who send its keys are counted, all others call without a key.
    pub(crate) fn with_demo(mut self, demo: DemoKeys) -> Self {
        let DemoKeys { accounts, master } = demo;
        self.accounts = Some(accounts);
        self.admin = AdminPlace::Alone;
        self.demo_key = Some(MasterKey::Key(master));
        self
    }

    /// Notes the address of the admin API, for the page at the root.
    pub(crate) fn serves_admin_at(&self, address: SocketAddr) {
        let config = &self.now().config;
        let has_console = config.serves_console(Listener::Admin) || self.demo_key.is_some();
        if has_console && address.ip().is_loopback() && !config.is_reachable() {
            // Set once: there is one such listener.
            let _ = self.console.set(address);
        }
    }

    /// The snapshot in force.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Puts another snapshot in force. Requests that have begun keep theirs.
    pub(crate) fn replace(&self, next: Snapshot) {
        self.current.store(Arc::new(next));
    }
}

/// State of one worker: the shared part, and connections of its own.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    transports: TransportPool,
    /// The generation of the snapshot for which the transports were last tidied.
    tidied: Cell<u64>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, transports: TransportPool::default(), tidied: Cell::new(0) }
    }

    /// The snapshot in force.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        let now = self.shared.now();
        if self.tidied.replace(now.generation) != now.generation {
            self.transports.keep(|account| now.names.holds(account));
        }
        now
    }

    /// The bucket of files, if one is configured. It is no service of Bedrock, so that no admission is needed.
    pub(crate) fn bucket(&self, now: &Snapshot) -> Option<Bucket> {
        let (account, files) = (now.storage.as_ref()?, &now.config.files);
        let name = files.bucket.as_deref()?;
        Some(Bucket::new(self.transports.to(account), name, &files.prefix))
    }

    /// A connection to an account, for an admitted request.
    pub(crate) fn transport(&self, _admission: &Admission, account: &Account) -> Transport {
        self.transports.to(account)
    }

    /// The SDK's client for an account, for an admitted request.
    pub(crate) fn sdk(&self, _admission: &Admission, account: &Account) -> Sdk {
        self.transports.sdk(account)
    }
}
