//! What the gateway is told: flags first, then the environment, then the file, then defaults.
//! Everything is read and judged before a port is bound, and all problems are told at once.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bedrock::{Login, Service, Timeouts};
use crate::body::BodyLimits;
use crate::browser::BrowserSettings;
use crate::cli::ServeArgs;
use crate::files;
use crate::master_key::MasterKey;
use crate::media::MediaSettings;
use crate::native::s3::NativeS3;
use crate::native::settings::{NativeErrors, OtherModels};
use crate::recall::{MemoryLimits, StoreSettings};
use crate::routing::{ModelSettings, Unlisted};
use crate::structured::StructuredSettings;
use crate::tls::TlsFiles;

mod browser;
mod catalogue;
mod credentials;
mod facts;
mod fields;
mod ledger;
mod litellm;
mod local;
mod master_key;
mod media;
mod models;
mod moderation;
mod ours;
mod parameters;
mod problems;
mod reading;
mod routing;
mod structured;
mod thinking_memory;
mod tree;
mod values;

use fields::Fields;
use ledger::Show as _;
pub(crate) use ledger::{Ledger, Origin};
pub(crate) use moderation::Moderation;
pub use problems::{Problem, Problems};
use reading::Reading;
use tree::{Key, Node, Repeated};

const MIB: usize = 1024 * 1024;

/// Variables by which AWS's SDKs find an access key.
const KEY_VARIABLES: [&str; 1] = ["AWS_ACCESS_KEY_ID"];

/// Whether names that are not listed are refused.
const MODELS_ONLY: &str = "models_only";

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
    /// The key that callers must send; `None` where none is asked for.
    pub(crate) master_key: Option<MasterKey>,
    /// Region and profile where the environment names none.
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    /// Region where nothing else names one.
    pub(crate) last_region: Option<String>,
    pub(crate) timeouts: Timeouts,
    pub(crate) body: BodyLimits,
    /// Which names it is called by, and which web pages may.
    pub(crate) browser: BrowserSettings,
    pub(crate) chat: ChatCalls,
    pub(crate) embeddings: EmbeddingCalls,
    pub(crate) media: MediaSettings,
    /// How much of what models thought is remembered for clients that do not send it back.
    pub(crate) thinking_memory: MemoryLimits,
    /// Where replicas share it.
    pub(crate) thinking_store: Option<StoreSettings>,
    pub(crate) moderation: Moderation,
    pub(crate) structured: StructuredSettings,
    pub(crate) models: ModelSettings,
    /// Whether Bedrock's own API hangs at the root as well.
    pub(crate) native_root: bool,
    /// Services whose every operation passes, beyond the usual ones.
    pub(crate) native_services: Vec<Service>,
    /// What of S3 its callers may name.
    pub(crate) native_s3: NativeS3,
    /// How much of AWS's own errors its callers see.
    pub(crate) native_errors: NativeErrors,
    /// Whether they may run models that no name stands for, past a mandatory guardrail.
    pub(crate) other_models: OtherModels,
    /// How long a client may leave a piece of its answer untaken.
    pub(crate) write_stall: Duration,
    /// Silence after which a stream gets a comment.
    pub(crate) keep_alive: Duration,
    /// From SIGTERM to the closing of the listener; none on loopback.
    pub(crate) drain_delay: Duration,
    /// Longest wait for open requests after that.
    pub(crate) drain_timeout: Duration,
    /// What an operator should know about the file, and can live with.
    pub(crate) notes: Vec<String>,
    /// Files that values were read from, beside the configuration itself.
    pub(crate) files: Vec<PathBuf>,
}

/// How one chat request becomes several calls.
#[derive(Debug, Clone)]
pub(crate) struct ChatCalls {
    /// The largest `n`.
    pub(crate) most_choices: u32,
}

/// How one embeddings request becomes several calls.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingCalls {
    /// Most calls of one request in flight.
    pub(crate) concurrency: usize,
}

/// Where a configuration comes from. Values, so that tests need no environment.
#[derive(Clone, Default)]
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
    /// Nothing but the emulator may be called.
    pub demo: bool,
}

/// By hand: the environment is full of secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Sources {
    pub(crate) fn of_process(args: &ServeArgs) -> Self {
        Self {
            listen: args.listen,
            file: args.config.clone(),
            allow_anonymous: args.allow_anonymous,
            #[cfg(feature = "demo")]
            demo: args.demo,
            ..Self::of_surroundings()
        }
    }

    /// A file as it would be read here without any flags.
    pub(crate) fn of_file(file: PathBuf) -> Self {
        let surroundings = Self::of_surroundings();
        let variable = |name: &str| surroundings.environment.get(name).map(String::as_str);
        let allowed = variable("OUTCROP_ALLOW_ANONYMOUS").is_some_and(is_true);
        let listen = variable("OUTCROP_LISTEN").and_then(|listen| listen.parse().ok());
        Self { file: Some(file), listen, allow_anonymous: allowed, ..surroundings }
    }

    fn of_surroundings() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self { environment: variables.collect(), directory: PathBuf::from("."), ..Self::default() }
    }

    /// Which of these variables is set first.
    fn first_set<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &str)> {
        names.iter().find_map(|name| {
            let value = self.environment.get(*name).filter(|value| !value.trim().is_empty())?;
            Some((*name, value.as_str()))
        })
    }

    /// Who told a flag that a variable can tell too. The command line does not keep it.
    fn origin(&self, flag: &'static str, variable: &str) -> Origin {
        match self.first_set(&[variable]) {
            Some(_) => Origin::Environment(variable.to_owned()),
            None => Origin::Flag(flag),
        }
    }
}

/// A configuration, and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) ledger: Ledger,
}

impl Config {
    /// Reads and judges all sources.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        Self::read(sources).map(|loaded| loaded.config)
    }

    /// The same, with who told what.
    pub(crate) fn read(sources: &Sources) -> Result<Loaded, Problems> {
        let path = sources.file.clone().unwrap_or_default();
        let mut reading = Reading::new(path, sources.environment.clone());
        let mut config = Self::defaults();
        config.apply_file(sources, &mut reading);
        config.apply_local(sources, &mut reading);
        config.apply_environment(sources, &mut reading);
        config.prefer_profile(sources, &mut reading);
        config.notes = std::mem::take(&mut reading.notes);
        config.files = std::mem::take(&mut reading.files);
        let Reading { mut problems, ledger, .. } = reading;
        if let Some(problem) = config.exposure() {
            problems.add(problem);
        }
        config.media.own_port = Some(config.listen.port());
        if config.listen.ip().is_loopback() {
            config.drain_delay = Duration::ZERO;
        }
        if sources.demo {
            config.models.stay_home();
            config.moderation.stay_home();
            config.thinking_store = None;
        }
        problems.or(Loaded { config, ledger })
    }

    /// The problem of an address that strangers can reach where no key is asked for.
    pub(crate) fn exposure(&self) -> Option<Problem> {
        let is_guarded = self.allow_anonymous || self.master_key.is_some();
        (!is_guarded && !self.listen.ip().is_loopback()).then(|| {
            Problem::general(
                format!("{} can be reached from outside, and no keys are configured", self.listen),
                "set master_key (or LITELLM_MASTER_KEY), listen on 127.0.0.1, or pass --allow-anonymous if the network itself keeps strangers out",
            )
        })
    }

    /// Takes over from `before` what only a restart can change, and names what differed.
    pub(crate) fn keep_fixed(&mut self, before: &Self) -> Vec<&'static str> {
        let mut differed = Vec::new();
        keep(&mut self.listen, &before.listen, "listen", &mut differed);
        keep(&mut self.workers, &before.workers, "workers", &mut differed);
        keep(&mut self.tls, &before.tls, "tls", &mut differed);
        keep(&mut self.allow_anonymous, &before.allow_anonymous, "allow_anonymous", &mut differed);
        keep(&mut self.drain_delay, &before.drain_delay, "shutdown.delay", &mut differed);
        keep(&mut self.drain_timeout, &before.drain_timeout, "shutdown.timeout", &mut differed);
        differed
    }

    fn defaults() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4000)),
            workers: None,
            tls: None,
            allow_anonymous: false,
            master_key: None,
            region: None,
            profile: None,
            last_region: None,
            timeouts: Timeouts::default(),
            body: BodyLimits {
                size: 26 * MIB,
                idle: Duration::from_secs(15),
                total: Duration::from_secs(120),
            },
            browser: BrowserSettings::default(),
            chat: ChatCalls { most_choices: 8 },
            embeddings: EmbeddingCalls { concurrency: 8 },
            media: MediaSettings::default(),
            thinking_memory: MemoryLimits { bytes: 64 * MIB, ttl: Duration::from_secs(3600) },
            thinking_store: None,
            moderation: Moderation::default(),
            structured: StructuredSettings::default(),
            models: ModelSettings::default(),
            native_root: false,
            native_services: Vec::new(),
            native_s3: NativeS3::default(),
            native_errors: NativeErrors::default(),
            other_models: OtherModels::default(),
            write_stall: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(300),
            notes: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Reads the file in the shape it has. Without a file the defaults are noted.
    fn apply_file(&mut self, sources: &Sources, reading: &mut Reading) {
        let text = match &sources.file {
            None => Some(String::new()),
            Some(path) => read(path, &mut reading.problems),
        };
        let Some(text) = text else { return };
        let file = reading.file.clone();
        let Some(root) = tree::parse(&file, &text, &mut reading.problems) else { return };
        if litellm::is_it(&root) {
            litellm::read(root, reading, self);
        } else {
            self.apply_own_shape(root, reading);
        }
    }

    fn apply_own_shape(&mut self, root: Vec<(Key, Node)>, reading: &mut Reading) {
        for Repeated { name, line, replaced } in tree::repeated(&root) {
            let message = format!("{name} stands on line {replaced} too");
            reading.complain(line, message, "keep one of them");
        }
        let line = root.iter().find(|(key, _)| key.name == MODELS_ONLY).map(|(key, _)| key.line);
        ours::read(Fields::of_root(root, reading), self);
        if self.models.unlisted == Unlisted::Refused && self.models.groups.is_empty() {
            let message = format!("{MODELS_ONLY} is true, and no models are listed");
            reading.complain(line.unwrap_or(1), message, "list them under models");
        }
    }

    /// `bedrock.json` fills in what nothing else says.
    fn apply_local(&mut self, sources: &Sources, reading: &mut Reading) {
        let Some(local) = local::read(&sources.directory, &mut reading.problems) else { return };
        let path = sources.directory.join("bedrock.json");
        let origin = Origin::line(&path, 1);
        let is_told = self.profile.is_some() || self.models.account.login.is_some();
        let by_environment = sources.first_set(&KEY_VARIABLES).map(|(name, _)| name);
        match (local.keys, by_environment) {
            (Some(_), _) if is_told || local.profile.is_some() => {}
            (Some(_), Some(name)) => {
                let note = format!("{}: {name} is set, and comes before its keys", path.display());
                reading.notes.push(note);
            }
            (keys, _) => self.models.account.login = self.models.account.login.take().or(keys),
        }
        let places = [
            ("region", &mut self.region, local.region),
            ("profile", &mut self.profile, local.profile),
        ];
        for (key, place, told) in places {
            if place.is_none() && told.is_some() {
                *place = told;
                reading.ledger.tell(key, place.show(), origin.clone());
            }
        }
        if !local.ignored.is_empty() {
            let names = local.ignored.join(", ");
            reading.notes.push(format!("{}: not read: {names}", path.display()));
        }
    }

    /// A profile that the configuration names comes before access keys in the environment, as a profile
    /// does that a program hands to boto3; the SDK's own order is the other way round.
    fn prefer_profile(&mut self, sources: &Sources, reading: &mut Reading) {
        let (Some(profile), None) = (&self.profile, &self.models.account.login) else { return };
        if let Some((name, _)) = sources.first_set(&KEY_VARIABLES) {
            reading.notes.push(format!("profile {profile} is configured, and comes before {name}"));
            self.models.account.login = Some(Login::Profile(profile.clone()));
        }
    }

    /// Flags and the environment come before all files.
    fn apply_environment(&mut self, sources: &Sources, reading: &mut Reading) {
        if let Some(listen) = sources.listen {
            self.listen = listen;
            let origin = sources.origin("--listen", "OUTCROP_LISTEN");
            reading.ledger.tell("listen", listen.show(), origin);
        }
        if sources.allow_anonymous {
            self.allow_anonymous = true;
            let origin = sources.origin("--allow-anonymous", "OUTCROP_ALLOW_ANONYMOUS");
            reading.ledger.tell("allow_anonymous", true.show(), origin);
        }
        master_key::apply(self, sources, reading);
        browser::apply(&mut self.browser, sources, reading);
        // What the environment says about these is aws-config's to read.
        let regions = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"].as_slice();
        for (key, place, names) in [
            ("region", &mut self.region, regions),
            ("profile", &mut self.profile, &["AWS_PROFILE"]),
        ] {
            if let Some((name, value)) = sources.first_set(names) {
                *place = None;
                let origin = Origin::Environment(name.to_owned());
                reading.ledger.tell(key, value.to_owned().show(), origin);
            }
        }
    }
}

fn keep<T: Clone + PartialEq>(
    place: &mut T,
    before: &T,
    name: &'static str,
    differed: &mut Vec<&'static str>,
) {
    if place != before {
        place.clone_from(before);
        differed.push(name);
    }
}

/// As the command line reads such variables.
fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "t" | "yes" | "y" | "on")
}

fn read(path: &Path, problems: &mut Problems) -> Option<String> {
    files::read_text(path)
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
