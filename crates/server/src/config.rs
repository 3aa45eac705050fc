//! What the gateway is told: flags first, then the environment, then the file, then defaults.
//! Everything is read and judged before a port is bound, and all problems are told at once.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bedrock::Timeouts;
use crate::body::BodyLimits;
use crate::catalogue::ModelSettings;
use crate::cli::ServeArgs;
use crate::tls::TlsFiles;

mod fields;
mod local;
mod models;
mod problems;
mod tree;

use fields::Fields;
pub use problems::{Problem, Problems};

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Threads that serve; one per core by default.
    pub(crate) workers: Option<usize>,
    /// Certificate and key, to serve https.
    pub(crate) tls: Option<TlsFiles>,
    /// Serve beyond loopback without keys.
    pub(crate) allow_anonymous: bool,
    /// Region and profile where the environment names none.
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) timeouts: Timeouts,
    pub(crate) body: BodyLimits,
    pub(crate) embeddings: EmbeddingCalls,
    pub(crate) models: ModelSettings,
    /// How long a client may leave a piece of its answer untaken.
    pub(crate) write_stall: Duration,
    /// Silence after which a stream gets a comment.
    pub(crate) keep_alive: Duration,
    /// From SIGTERM to the closing of the listener; none on loopback.
    pub(crate) drain_delay: Duration,
    /// Longest wait for open requests after that.
    pub(crate) drain_timeout: Duration,
}

/// How one embeddings request becomes several calls.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingCalls {
    /// Most calls of one request in flight.
    pub(crate) concurrency: usize,
}

/// Where a configuration comes from. Values, so that tests need no environment.
#[derive(Debug, Default)]
pub struct Sources {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--allow-anonymous`.
    pub allow_anonymous: bool,
    /// The environment.
    pub environment: HashMap<String, String>,
    /// Where `bedrock.json` is looked for.
    pub directory: PathBuf,
}

impl Sources {
    pub(crate) fn of_process(args: &ServeArgs) -> Self {
        Self {
            listen: args.listen,
            file: args.config.clone(),
            allow_anonymous: args.allow_anonymous,
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            directory: PathBuf::from("."),
        }
    }

    fn is_set(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.environment.get(*name).is_some_and(|value| !value.is_empty()))
    }
}

impl Config {
    /// Reads and judges all sources.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let file = sources.file.as_deref().and_then(|path| read(path, &mut problems));
        let mut config = Self::defaults();
        if let (Some(path), Some(text)) = (sources.file.as_deref(), file) {
            config.apply_file(path, &text, &mut problems);
        }
        config.apply_local(sources, &mut problems);
        if let Some(listen) = sources.listen {
            config.listen = listen;
        }
        config.allow_anonymous |= sources.allow_anonymous;
        if sources.is_set(&["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"]) {
            config.region = None;
        }
        if sources.is_set(&["AWS_PROFILE"]) {
            config.profile = None;
        }
        if !config.listen.ip().is_loopback() && !config.allow_anonymous {
            problems.add(Problem::general(
                format!("{} can be reached from outside, and no keys are configured", config.listen),
                "listen on 127.0.0.1, or pass --allow-anonymous if the network itself keeps strangers out",
            ));
        }
        if config.listen.ip().is_loopback() {
            config.drain_delay = Duration::ZERO;
        }
        problems.or(config)
    }

    fn defaults() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4000)),
            workers: None,
            tls: None,
            allow_anonymous: false,
            region: None,
            profile: None,
            timeouts: Timeouts::default(),
            body: BodyLimits {
                size: 26 * 1024 * 1024,
                idle: Duration::from_secs(15),
                total: Duration::from_secs(120),
            },
            embeddings: EmbeddingCalls { concurrency: 8 },
            models: ModelSettings::default(),
            write_stall: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(300),
        }
    }

    fn apply_file(&mut self, path: &Path, text: &str, problems: &mut Problems) {
        let Some(root) = tree::parse(path, text, problems) else { return };
        let mut root = Fields::of_root(root, problems);
        root.set("listen", &mut self.listen, fields::address);
        root.set("workers", &mut self.workers, |node| fields::count(node).map(Some));
        let (mut certificate, mut key) = (None, None);
        root.section("tls", |section| {
            section.set("certificate", &mut certificate, |node| fields::path(node).map(Some));
            section.set("key", &mut key, |node| fields::path(node).map(Some));
        });
        root.set("allow_anonymous", &mut self.allow_anonymous, fields::boolean);
        root.set("region", &mut self.region, |node| fields::text(node).map(Some));
        root.set("profile", &mut self.profile, |node| fields::text(node).map(Some));
        root.section("timeouts", |section| {
            section.set("connect", &mut self.timeouts.connect, fields::seconds);
            section.set("first_byte_stream", &mut self.timeouts.first_byte_stream, fields::seconds);
            section.set("first_byte", &mut self.timeouts.first_byte_unary, fields::seconds);
            section.set("idle", &mut self.timeouts.idle, fields::seconds);
            section.set("total", &mut self.timeouts.total, fields::seconds);
            section.set("keep_alive", &mut self.keep_alive, fields::seconds);
            section.set("write_stall", &mut self.write_stall, fields::seconds);
        });
        root.section("body", |section| {
            section.set("max_mib", &mut self.body.size, |node| {
                fields::count(node).map(|mib| mib.saturating_mul(1024 * 1024))
            });
            section.set("idle", &mut self.body.idle, fields::seconds);
            section.set("total", &mut self.body.total, fields::seconds);
        });
        root.section("embeddings", |section| {
            section.set("concurrency", &mut self.embeddings.concurrency, fields::count);
        });
        root.section("models", |section| models::read(section, &mut self.models));
        root.section("shutdown", |section| {
            section.set("delay", &mut self.drain_delay, fields::seconds);
            section.set("timeout", &mut self.drain_timeout, fields::seconds);
        });
        root.finish();
        self.tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let remedy = "name two PEM files";
                problems.add(Problem::general("tls needs both a certificate and a key", remedy));
                None
            }
        };
    }

    /// `bedrock.json` fills in what nothing else says.
    fn apply_local(&mut self, sources: &Sources, problems: &mut Problems) {
        if let Some(local) = local::read(&sources.directory, problems) {
            self.region = self.region.take().or(local.region);
            self.profile = self.profile.take().or(local.profile);
        }
    }
}

fn read(path: &Path, problems: &mut Problems) -> Option<String> {
    std::fs::read_to_string(path)
        .map_err(|error| {
            problems.add(Problem::general(
                format!("{}: {error}", path.display()),
                "give --config the path of a readable YAML file",
            ));
        })
        .ok()
}

#[cfg(test)]
mod tests;
