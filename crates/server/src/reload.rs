//! Reloads the configuration on SIGHUP and when its files change. The new one is put in force as a
//! whole: a request that has begun ends under the configuration it began with. If a file cannot be
//! used, the old configuration stays in force.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::config::{Config, Problems, Sources};
use crate::files::{self, FileStamp, ReadPanicked};
use crate::panic_guard;
use crate::startup::{self, ServeError};
use crate::state::{Shared, Snapshot};
use crate::telemetry::metrics::ReloadResult;
use bedrock::Settings;
use routing::OpenError;

/// Most changes told one by one.
const CHANGES: usize = 6;
/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The reason why the old configuration stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The files have problems.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The AWS accounts cannot be opened.
    #[error(transparent)]
    Account(#[from] OpenError),
    /// An endpoint is the gateway itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A fault of the gateway or of a library that reads the configuration.
    #[error("reading it ended in a panic: {0}")]
    Panicked(String),
}

impl From<ReadPanicked> for ReloadError {
    fn from(error: ReadPanicked) -> Self {
        Self::Panicked(error.to_string())
    }
}

/// Reloads a gateway's configuration.
#[derive(Debug)]
pub struct Reloader {
    sources: Sources,
    setup: Settings,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl ReloadError {
    fn in_one_line(&self) -> String {
        match self {
            Self::Problems(problems) => {
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
            }
            Self::Account(_) | Self::Serve(_) | Self::Panicked(_) => self.to_string(),
        }
    }
}

/// The changes, in one line.
fn summary(changes: &[String]) -> String {
    if changes.is_empty() {
        return "no value changed (secrets are not compared)".to_owned();
    }
    let told: Vec<_> = changes.iter().take(CHANGES).map(String::as_str).collect();
    match changes.len() - told.len() {
        0 => told.join(", "),
        more => format!("{}, and {more} more", told.join(", ")),
    }
}

/// Files with their stamps.
pub(crate) type Stamps = Vec<(PathBuf, Option<FileStamp>)>;

/// The stamps `after` a configuration was read; a file keeps its stamp from `before` it was read, so that a
/// change meanwhile is noticed. The new configuration may name other files.
fn unchanged(before: &Stamps, mut after: Stamps) -> Stamps {
    for (path, stamp) in &mut after {
        if let Some((_, earlier)) = before.iter().find(|(known, _)| known == path) {
            *stamp = *earlier;
        }
    }
    after
}

impl Reloader {
    pub(crate) fn new(
        sources: Sources,
        setup: Settings,
        address: SocketAddr,
        shared: Arc<Shared>,
    ) -> Self {
        Self { sources, setup, address, shared }
    }

    /// Reads the configuration and puts it in force. Values that only a restart can change are kept,
    /// and named in the log.
    ///
    /// # Errors
    /// [`ReloadError`]; the old configuration is still in force.
    pub async fn reload(&self) -> Result<Vec<String>, ReloadError> {
        // A panic concerns one version of the files; the next may be readable.
        let applied = panic_guard::caught("reading the configuration again", self.apply()).await;
        let told = |_| Err(ReloadError::Panicked("the log says where".to_owned()));
        let applied = applied.unwrap_or_else(told);
        let result = match &applied {
            Ok(_) => ReloadResult::Applied,
            Err(_) => ReloadResult::Refused,
        };
        self.shared.telemetry.metrics.reloaded(result);
        applied
    }

    async fn apply(&self) -> Result<Vec<String>, ReloadError> {
        let before = self.shared.now();
        let sources = self.sources.clone();
        let mut config =
            files::apart("reading the configuration", move || Config::load(&sources)).await??;
        let fixed = config.keep_fixed(&before.config);
        // The listening address stays, but the setting that made it safe may have been removed.
        if let Some(problem) = config.exposure() {
            return Err(Problems::of(problem).into());
        }
        let next = Snapshot::open(config, &self.setup, Some(&before)).await?;
        startup::refuse_loops(&next, self.address).await?;
        if !fixed.is_empty() {
            log::warn!("a restart is needed to change {}", fixed.join(", "));
        }
        next.warn();
        let is_fixed = |key: &str| fixed.iter().any(|name| key.starts_with(name));
        let changes = next.config.provenance.changes(&before.config.provenance).into_iter();
        let changes = changes.filter(|change| !is_fixed(&change.key)).map(|change| change.text);
        let changes = changes.collect();
        self.shared.replace(next);
        Ok(changes)
    }

    /// Reloads on request and when the files differ from `seen`; runs until dropped.
    pub(crate) async fn keep_current(&self, mut seen: Stamps) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                log::error!("cannot listen for SIGHUP, the configuration stays as it is: {error}");
                return;
            }
        };
        loop {
            let told = tokio::select! {
                _ = hangup.recv() => Told::Signal,
                () = sleep(INTERVAL) => Told::Nothing,
            };
            let stamps = self.stamps().await;
            if told == Told::Nothing && stamps == seen {
                continue;
            }
            match self.reload().await {
                Ok(changes) => {
                    log::info!("configuration read again: {}", summary(&changes));
                    seen = unchanged(&stamps, self.stamps().await);
                }
                Err(error) => {
                    log::error!("configuration unchanged: {}", error.in_one_line());
                    seen = stamps;
                }
            }
        }
    }

    /// The stamps of the files; `None` for a file whose state is unknown.
    pub(crate) async fn stamps(&self) -> Stamps {
        let now = self.shared.now();
        let local = self.sources.directory.join("bedrock.json");
        let named = self.sources.file.iter().chain([&local]).chain(&now.config.read_files);
        let named: Vec<PathBuf> = named.cloned().collect();
        let look = || named.into_iter().map(|path| (path.clone(), FileStamp::of(&path))).collect();
        let found = files::apart("looking at the configuration files", look).await;
        found.unwrap_or_else(|error| {
            log::error!("{error}");
            Stamps::new()
        })
    }
}

/// The event that woke the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Signal,
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_while_files_are_read_is_noticed() {
        let folder = std::env::temp_dir().join(format!("outcrop-reload-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&folder).unwrap();
        let [known, new] = ["known", "new"].map(|name| folder.join(name));
        let look = |paths: &[&PathBuf]| -> Stamps {
            paths.iter().map(|path| ((*path).clone(), FileStamp::of(path))).collect()
        };
        std::fs::write(&known, "first").unwrap();
        let before = look(&[&known]);
        std::fs::write(&known, "a second, which was not read").unwrap();
        std::fs::write(&new, "first").unwrap();
        let seen = unchanged(&before, look(&[&known, &new]));
        let now = look(&[&known, &new]);
        assert_ne!(seen[0], now[0], "the change is still to be read");
        assert_eq!(seen[1], now[1]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn changes_are_told_in_one_line() {
        let changes: Vec<String> = (0..8).map(|at| format!("a{at}: 1 -> 2")).collect();
        assert_eq!(summary(&changes[..2]), "a0: 1 -> 2, a1: 1 -> 2");
        assert!(summary(&changes).ends_with("a5: 1 -> 2, and 2 more"));
        assert_eq!(summary(&[]), "no value changed (secrets are not compared)");
    }
}
