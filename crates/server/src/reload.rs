//! The configuration read again, on SIGHUP and when its files change. The new one is put in force as
//! one piece: a request that has begun ends under the configuration it began with. A file that cannot be
//! used leaves the old one in force.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::app::{Shared, Snapshot};
use crate::bedrock::Setup;
use crate::config::{Config, Problems, Sources};
use crate::routing::OpenError;
use crate::serve::{self, ServeError};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// Why the old configuration stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The files.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// What they say about the AWS side.
    #[error(transparent)]
    Account(#[from] OpenError),
    /// An endpoint that is the gateway itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Reads a gateway's configuration again.
#[derive(Debug)]
pub struct Reloader {
    sources: Sources,
    setup: Setup,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Files, each with its last change and its length.
type Stamp = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

impl Reloader {
    pub(crate) fn new(
        sources: Sources,
        setup: Setup,
        address: SocketAddr,
        shared: Arc<Shared>,
    ) -> Self {
        Self { sources, setup, address, shared }
    }

    /// Reads the configuration and puts it in force. What only a restart can change stays, and is named
    /// in the log.
    ///
    /// # Errors
    /// [`ReloadError`]; the old one is still in force.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let before = self.shared.now();
        let mut config = Config::load(&self.sources)?;
        let fixed = config.keep_fixed(&before.config);
        let next = Snapshot::open(config, &self.setup, Some(&before)).await?;
        for account in next.names.accounts() {
            serve::refuse_loop(&account, self.address)?;
        }
        if !fixed.is_empty() {
            log::warn!("a restart is needed to change {}", fixed.join(", "));
        }
        next.warn();
        self.shared.replace(next);
        Ok(())
    }

    /// Reloads when told to, and when the files change; runs until dropped.
    pub(crate) async fn keep_current(self) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                log::error!("cannot listen for SIGHUP, the configuration stays as it is: {error}");
                return;
            }
        };
        let mut seen = self.stamp();
        loop {
            let told = tokio::select! {
                _ = hangup.recv() => Told::Signal,
                () = sleep(INTERVAL) => Told::Nothing,
            };
            let stamp = self.stamp();
            if told == Told::Nothing && stamp == seen {
                continue;
            }
            match self.reload().await {
                Ok(()) => {
                    log::info!("configuration read again");
                    // It may name other files now.
                    seen = self.stamp();
                }
                Err(error) => {
                    log::error!("configuration unchanged: {error}");
                    seen = stamp;
                }
            }
        }
    }

    fn stamp(&self) -> Stamp {
        let now = self.shared.now();
        let local = self.sources.directory.join("bedrock.json");
        let files = self.sources.file.iter().chain([&local]).chain(&now.config.files);
        files
            .map(|path| {
                let metadata = fs::metadata(path).ok();
                let stamp = metadata.and_then(|found| Some((found.modified().ok()?, found.len())));
                (path.clone(), stamp)
            })
            .collect()
    }
}

/// What woke the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Signal,
    Nothing,
}
