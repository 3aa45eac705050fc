//! Opens the accounts of the gateway's callers: keys, limits, budgets and the ledger, in the store that the
//! configuration names. Without a master key there are none, because no caller could make a key.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::accounts::AccountSettings;
use access::ledger::LedgerOptions;
use access::limit::RedisOptions;
use access::store::{MemoryStore, SqlOptions, SqlStore, Store, StoreError};
use access::{Accounts, Clock, InvalidField, Pepper};

use crate::config::Config;
use crate::master_key::MasterKey;

/// File of the embedded store.
const FILE: &str = "outcrop.db";

/// Failures to open the accounts.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The folder of the store cannot be made.
    #[error(
        "data_dir: {0}: {1}; name a folder that can be written, in data_dir or OUTCROP_DATA_DIR"
    )]
    Folder(PathBuf, std::io::Error),
    /// The store cannot be opened.
    #[error(
        "the store of accounts cannot be opened: {0}; check database_url (DATABASE_URL) and data_dir"
    )]
    Store(#[from] StoreError),
    /// The accounts cannot be opened.
    #[error(
        "accounts: {0}; give the store the pepper it was made with (keys.pepper, OUTCROP_KEY_PEPPER)"
    )]
    Accounts(#[from] access::accounts::OpenError),
    /// The pepper cannot be used.
    #[error("keys.pepper: {0}")]
    Pepper(#[from] InvalidField),
    /// The address of the Redis cannot be used.
    #[error("access.redis_url (REDIS_URL): {0}")]
    Redis(InvalidField),
    /// No store outlives the process.
    #[error(
        "no folder can be written to keep accounts in: name one in data_dir or OUTCROP_DATA_DIR, or a database in DATABASE_URL"
    )]
    NoFolder,
    /// The configuration has no accounts.
    #[error(
        "no accounts are configured: set master_key (LITELLM_MASTER_KEY) as for the gateway, and DATABASE_URL or OUTCROP_DATA_DIR where it keeps them"
    )]
    NotConfigured,
}

/// A store, and its place for messages.
struct Kept {
    store: Arc<dyn Store>,
    place: String,
    /// Folder for intents beside a file; processes on other hosts would not find them.
    intents: Option<PathBuf>,
}

/// Opens the accounts on the present runtime, which must outlive them; `None` without a master key.
///
/// # Errors
/// The store that is named cannot be opened, or was made with another pepper.
pub(crate) async fn open(config: &Config) -> Result<Option<Arc<Accounts>>, AccountsError> {
    let Some(MasterKey::Key(_)) = config.master_key else { return Ok(None) };
    let (store, intents) = match kept(config).await {
        Ok(kept) => (kept.store, kept.intents),
        Err(AccountsError::NoFolder) => {
            log::warn!(
                "no folder can be written: keys and spend are kept in memory and lost at the end; set OUTCROP_DATA_DIR or DATABASE_URL"
            );
            (Arc::new(MemoryStore::new()) as Arc<dyn Store>, None)
        }
        Err(error) => return Err(error),
    };
    let mut settings = settings(config)?;
    settings.ledger.intents = intents;
    settings.redis = redis(config)?;
    Ok(Some(Accounts::open(store, settings).await?))
}

/// Opens the accounts of a gateway for a command beside it, and returns the place of their store.
///
/// # Errors
/// As for [`open`]; and if there are none, or no store would outlive the command.
pub(crate) async fn open_beside(config: &Config) -> Result<(Arc<Accounts>, String), AccountsError> {
    let has_key = matches!(config.master_key, Some(MasterKey::Key(_)));
    if !has_key && config.database_url.is_none() && config.data_dir.is_none() {
        return Err(AccountsError::NotConfigured);
    }
    // A command makes no calls: it needs neither intents nor rates.
    let Kept { store, place, intents: _ } = kept(config).await?;
    Ok((Accounts::open(store, settings(config)?).await?, place))
}

/// The Redis in which replicas share rate limits.
fn redis(config: &Config) -> Result<Option<RedisOptions>, AccountsError> {
    let access = &config.access;
    let Some(url) = &access.redis_url else {
        let database = config.database_url.as_ref().map_or("", |url| url.reveal());
        // Only such a store has replicas on other machines.
        if database.starts_with("postgres") {
            log::warn!(
                "rate limits count in each process: set REDIS_URL (access.redis_url) where there are several replicas"
            );
        }
        return Ok(None);
    };
    let mut redis = RedisOptions::at(url.reveal()).map_err(AccountsError::Redis)?;
    redis.patience = access.redis_timeout;
    Ok(Some(redis))
}

fn settings(config: &Config) -> Result<AccountSettings, AccountsError> {
    let pepper = config.keys.pepper.as_ref().map(|pepper| Pepper::given(pepper.reveal()));
    let access = &config.access;
    let ledger = LedgerOptions {
        fail_mode: access.fail_mode,
        retention: access.retention,
        ..LedgerOptions::default()
    };
    Ok(AccountSettings {
        pepper: pepper.transpose()?,
        clock: Clock::default(),
        zone: config.admin.zone(),
        ledger,
        unknown_customers: access.unknown_end_users.own(),
        unknown_customers_row: access.unknown_end_users.budget_id.clone(),
        every_key: access.every_key.clone(),
        tags: access.tags.clone(),
        gateway: access.gateway.clone(),
        redis: None,
    })
}

async fn kept(config: &Config) -> Result<Kept, AccountsError> {
    if let Some(url) = &config.database_url {
        let store = Arc::new(SqlStore::connect(url.reveal(), &sql_options(config)).await?);
        let place = "the database of database_url (DATABASE_URL)".to_owned();
        let file = url.reveal().strip_prefix("sqlite:");
        let file = file.map(|path| path.split('?').next().unwrap_or(path).trim_start_matches("//"));
        return Ok(Kept { store, place, intents: file.map(|path| intents_of(Path::new(path))) });
    }
    if let Some(folder) = &config.data_dir {
        touch(folder).map_err(|error| AccountsError::Folder(folder.clone(), error))?;
        return file(folder, config).await;
    }
    let folders = [config.state_folder.clone(), Some(PathBuf::from("."))];
    for folder in folders.into_iter().flatten() {
        match touch(&folder) {
            Ok(()) => return file(&folder, config).await,
            Err(error) => {
                log::debug!("{} cannot hold the store of accounts: {error}", folder.display());
            }
        }
    }
    Err(AccountsError::NoFolder)
}

fn sql_options(config: &Config) -> SqlOptions {
    let database = config.access.database;
    SqlOptions {
        connections: database.connections,
        connect_timeout: database.timeout,
        ..SqlOptions::default()
    }
}

/// Makes the folder and the file, for this user alone: the file holds what authenticates keys.
fn touch(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(folder.join(FILE)).map(drop)
}

async fn file(folder: &Path, config: &Config) -> Result<Kept, AccountsError> {
    let path = folder.join(FILE);
    log::info!("keys and spend are kept in {}", path.display());
    let Some(path) = path.to_str() else {
        return Err(StoreError::Unavailable("the path is not valid UTF-8".to_owned()).into());
    };
    let url = format!("sqlite:{}", path.replace('%', "%25").replace('?', "%3F"));
    let store = Arc::new(SqlStore::connect(&url, &sql_options(config)).await?);
    let intents = Some(intents_of(Path::new(path)));
    Ok(Kept { store, place: path.to_owned(), intents })
}

/// The folder of intents beside a database file.
fn intents_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-intents");
    name.into()
}
