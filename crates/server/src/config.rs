//! The configuration: flags first, then the environment, then the file, then defaults. It is read and
//! checked completely before a port is bound, and all problems are reported together.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use translate::Unsupported;
use translate::profile::PromptCache;

use crate::body::BodyLimits;
use crate::browser::{BrowserSettings, cors::Cors, host::AllowedHosts};
use crate::files;
use crate::json_schema::StructuredSettings;
use crate::master_key::{MasterKey, is_short};
use crate::media::MediaSettings;
use crate::native::settings::NativeSettings;
use crate::overload::OverloadLimits;
use crate::response_cache::CacheSettings;
use crate::tls::TlsFiles;
use bedrock::{AccountSecret, AccountSpec, Login};
use routing::catalogue::{CrossRegion, EolAliases, Naming, OperatorRows};
use routing::{GroupSettings, Guardrail, ModelSettings, Unlisted};

mod account_limits;
mod accounts;
mod balance;
mod bedrock_json;
mod browser;
mod calls;
mod catalogue;
mod credentials;
mod file_store;
pub(crate) mod flags;
mod json_schema;
mod key_rules;
mod lifecycle;
mod litellm;
mod log;
mod master_key;
mod media;
mod model_overrides;
mod models;
mod moderation;
mod outcrop_format;
mod parameters;
mod parsers;
mod problems;
mod provenance;
mod reader;
mod reasoning_store;
mod redis;
mod response_cache;
mod responses;
mod section;
mod socket;
mod sources;
mod telemetry;
mod timeouts;
mod yaml_tree;

use self::log::LogSettings;
pub(crate) use accounts::AdminSettings;
use accounts::{AccessSettings, KeySettings};
use balance::Routing;
pub(crate) use calls::UsageCost;
use calls::{ChatCalls, EmbeddingCalls};
pub(crate) use file_store::{BatchSettings, FileSettings, SmallBatches};
pub(crate) use key_rules::{KeyBounds, RecordDefaults};
pub(crate) use lifecycle::Drain;
pub(crate) use moderation::Moderation;
pub use problems::{Problem, Problems};
use provenance::Show as _;
pub(crate) use provenance::{Provenance, ValueOrigin};
use reader::ConfigReader;
use reasoning_store::ThinkingMemory;
use responses::ResponseSettings;
use section::Section;
pub(crate) use socket::SocketSettings;
pub(crate) use sources::FileOrigin;
pub use sources::Sources;
use telemetry::TelemetrySettings;
use timeouts::TimeLimits;
use yaml_tree::{Key, Node, Repeated};

/// Variables in which AWS's SDKs find an access key.
const KEY_VARIABLES: [&str; 1] = ["AWS_ACCESS_KEY_ID"];

/// The key that refuses names that are not listed.
const MODELS_ONLY: &str = "models_only";

/// The effective configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// A Unix socket for models.
    pub(crate) socket: SocketSettings,
    /// Threads that serve requests; one per core by default.
    pub(crate) workers: Option<usize>,
    /// Certificate and key for https.
    pub(crate) tls: Option<TlsFiles>,
    /// Whether to serve beyond loopback without keys.
    pub(crate) allow_anonymous: bool,
    /// The key that callers must send; `None` if no key is required.
    pub(crate) master_key: Option<MasterKey>,
    /// Folder of the store of accounts, if one is named.
    pub(crate) data_dir: Option<PathBuf>,
    /// Folder of the user's state, where no folder is named.
    pub(crate) state_folder: Option<PathBuf>,
    /// Address of the store of accounts, if it is another than a file in the folder.
    pub(crate) database_url: Option<AccountSecret>,
    pub(crate) keys: KeySettings,
    pub(crate) access: AccessSettings,
    pub(crate) admin: AdminSettings,
    pub(crate) telemetry: TelemetrySettings,
    pub(crate) log: LogSettings,
    /// Region and profile used if the environment names none.
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    /// Region where nothing else names one.
    pub(crate) last_region: Option<String>,
    pub(crate) timeouts: TimeLimits,
    pub(crate) body: BodyLimits,
    /// Host names the gateway accepts.
    pub(crate) allowed_hosts: AllowedHosts,
    /// Web pages that may call it.
    pub(crate) cors: Cors,
    pub(crate) chat: ChatCalls,
    pub(crate) embeddings: EmbeddingCalls,
    pub(crate) media: MediaSettings,
    /// The reasoning store, for clients that do not send reasoning back.
    pub(crate) thinking_memory: ThinkingMemory,
    pub(crate) responses: ResponseSettings,
    pub(crate) response_cache: CacheSettings,
    pub(crate) files: FileSettings,
    pub(crate) batches: BatchSettings,
    pub(crate) moderation: Moderation,
    pub(crate) structured_output: StructuredSettings,
    /// Use of inference profiles.
    pub(crate) cross_region: CrossRegion,
    /// Short names of retired models.
    pub(crate) eol_aliases: EolAliases,
    /// Default for targets.
    pub(crate) prompt_cache: PromptCache,
    /// Treatment of parameters that cannot be honoured; a default likewise.
    pub(crate) unsupported_params: Unsupported,
    /// Treatment of names that are not listed.
    pub(crate) models_only: Unlisted,
    /// Region and credentials that targets have where they give none.
    pub(crate) defaults: AccountSpec,
    /// Balancing, retries and fallbacks of all names.
    pub(crate) routing: Routing,
    /// The operator's own names. Each may contain one `*`.
    pub(crate) models: BTreeMap<String, GroupSettings>,
    /// Guardrails that LiteLLM's file names, for keys and teams.
    pub(crate) guardrails: BTreeMap<String, Guardrail>,
    /// Rows laid over the compiled-in catalogue.
    pub(crate) catalogue: OperatorRows,
    /// The gateway's own account, as far as LiteLLM's keys or `bedrock.json` describe it.
    pub(crate) account: AccountSpec,
    /// Whether tags in the bodies of requests are refused, rather than heeded.
    pub(crate) refuses_body_tags: bool,
    pub(crate) native: NativeSettings,
    /// Time limits of a shutdown; on loopback without a delay unless one is configured.
    pub(crate) shutdown: Drain,
    /// Limits above which calls are refused at once.
    pub(crate) overload: OverloadLimits,
    /// Remarks on the file that are not errors.
    pub(crate) notes: Vec<String>,
    /// Files that values were read from, besides the configuration itself.
    pub(crate) read_files: Vec<PathBuf>,
    /// Every value, and where it comes from.
    pub(crate) provenance: Provenance,
}

impl Config {
    /// Reads and checks all sources.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let path = sources.file.clone().unwrap_or_default();
        let mut reading = ConfigReader::new(path, sources.environment.clone());
        let mut config = Self::defaults();
        config.apply_file(sources, &mut reading);
        config.apply_local(sources, &mut reading);
        config.apply_environment(sources, &mut reading);
        config.prefer_profile(sources, &mut reading);
        config.notes = std::mem::take(&mut reading.notes);
        config.read_files = std::mem::take(&mut reading.files);
        config.provenance = std::mem::take(&mut reading.provenance);
        let ConfigReader { mut problems, .. } = reading;
        let found = [config.exposure(), config.weak_key(), config.uncounted_limits()];
        for problem in found.into_iter().flatten() {
            problems.add(problem);
        }
        config.media.own_port = Some(config.listen.port());
        let delay = config.provenance.origin("shutdown.delay");
        let is_told = delay.is_some_and(|origin| *origin != ValueOrigin::Default);
        // On loopback there is a load balancer only where the operator has one.
        if !config.is_reachable() && !is_told {
            config.shutdown.delay = Duration::ZERO;
        }
        if sources.demo {
            config.stay_home();
        }
        problems.or(config)
    }

    /// Whether other machines can connect to the models.
    pub(crate) fn is_reachable(&self) -> bool {
        self.socket.instead_of_port().is_none() && !self.listen.ip().is_loopback()
    }

    /// The problem of an address that is reachable from outside while no key is required.
    pub(crate) fn exposure(&self) -> Option<Problem> {
        let is_guarded = self.allow_anonymous || self.master_key.is_some();
        (!is_guarded && self.is_reachable()).then(|| {
            Problem::general(
                format!("{} can be reached from outside, and no keys are configured", self.listen),
                "set master_key (or LITELLM_MASTER_KEY), listen on 127.0.0.1, or pass --allow-anonymous if the network itself restricts access",
            )
        })
    }

    /// The problem of a master key that can be guessed where strangers can reach the gateway. On loopback it is noted.
    fn weak_key(&mut self) -> Option<Problem> {
        let master = self.master_key.as_ref().filter(|key| key.is_weak());
        let read_only = self.admin.read_only_key.as_ref().filter(|key| is_short(key));
        let read_only = read_only.map(|_| "admin.read_only_key");
        let key = master.map(|_| "the master key").or(read_only)?;
        let is_short = format!("{key} has less than 32 characters");
        if !self.is_reachable() {
            let note = "and would be refused where strangers can reach the gateway";
            self.notes.push(format!("{is_short}, {note}"));
            return None;
        }
        Some(Problem::general(
            format!("{is_short}, and {} can be reached from outside", self.listen),
            "take a random one: echo sk-$(openssl rand -hex 32)",
        ))
    }

    /// Copies from `before` the values that only a restart can change, and returns the keys that
    /// differed.
    pub(crate) fn keep_fixed(&mut self, before: &Self) -> Vec<&'static str> {
        let mut differed = Vec::new();
        keep(&mut self.listen, &before.listen, "listen", &mut differed);
        keep(&mut self.socket, &before.socket, "socket", &mut differed);
        keep(&mut self.workers, &before.workers, "workers", &mut differed);
        keep(&mut self.tls, &before.tls, "tls", &mut differed);
        keep(&mut self.data_dir, &before.data_dir, "data_dir", &mut differed);
        keep(&mut self.database_url, &before.database_url, "database_url", &mut differed);
        keep(&mut self.keys, &before.keys, "keys", &mut differed);
        keep(&mut self.access, &before.access, "access", &mut differed);
        keep(&mut self.admin, &before.admin, "admin", &mut differed);
        keep(&mut self.log, &before.log, "log", &mut differed);
        keep(&mut self.telemetry, &before.telemetry, "telemetry", &mut differed);
        keep(&mut self.allow_anonymous, &before.allow_anonymous, "allow_anonymous", &mut differed);
        keep(&mut self.shutdown.delay, &before.shutdown.delay, "shutdown.delay", &mut differed);
        keep(
            &mut self.shutdown.timeout,
            &before.shutdown.timeout,
            "shutdown.timeout",
            &mut differed,
        );
        differed
    }

    /// The settings that protect against web pages.
    pub(crate) fn browser(&self) -> BrowserSettings<'_> {
        BrowserSettings { hosts: &self.allowed_hosts, cors: &self.cors }
    }

    /// The settings of names and targets in the router's terms.
    pub(crate) fn names(&self) -> ModelSettings {
        ModelSettings {
            naming: Naming {
                cross_region: self.cross_region,
                eol_aliases: self.eol_aliases,
                rows: self.catalogue.clone(),
                prompt_cache: self.prompt_cache,
            },
            account: self.account.clone(),
            unlisted: self.models_only,
            balance: self.routing.balance(),
            fallbacks: self.routing.fallbacks.clone(),
            unsupported: self.unsupported_params,
            refuses_body_tags: self.refuses_body_tags,
            groups: self.models.clone(),
            guardrails: self.guardrails.clone(),
        }
    }

    /// Keeps names, models and regions, and removes endpoints, credentials and the shared store: all calls
    /// go to the gateway's own endpoint.
    fn stay_home(&mut self) {
        self.account = AccountSpec::default();
        let targets = self.models.values_mut().flat_map(|group| &mut group.targets);
        let places = targets.map(|target| &mut target.place);
        for place in places.chain([&mut self.defaults, &mut self.moderation.place]) {
            let region = place.region.take();
            *place = AccountSpec { region, ..AccountSpec::default() };
        }
        self.thinking_memory.stay_home();
        file_store::stay_home(self);
        self.access.redis_url = None;
    }

    fn defaults() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4000)),
            socket: SocketSettings::default(),
            workers: None,
            tls: None,
            allow_anonymous: false,
            master_key: None,
            data_dir: None,
            state_folder: None,
            database_url: None,
            keys: KeySettings::default(),
            access: AccessSettings::default(),
            admin: AdminSettings::default(),
            telemetry: TelemetrySettings::default(),
            log: LogSettings::default(),
            region: None,
            profile: None,
            last_region: None,
            timeouts: TimeLimits::default(),
            body: BodyLimits::default(),
            allowed_hosts: AllowedHosts::default(),
            cors: Cors::default(),
            chat: ChatCalls { most_choices: 8, usage_cost: UsageCost::default() },
            embeddings: EmbeddingCalls { concurrency: 8 },
            media: MediaSettings::default(),
            thinking_memory: ThinkingMemory::default(),
            responses: ResponseSettings::default(),
            response_cache: CacheSettings::default(),
            files: FileSettings::default(),
            batches: BatchSettings::default(),
            moderation: Moderation::default(),
            structured_output: StructuredSettings::default(),
            cross_region: CrossRegion::default(),
            eol_aliases: EolAliases::default(),
            prompt_cache: PromptCache::default(),
            unsupported_params: Unsupported::default(),
            models_only: Unlisted::default(),
            defaults: AccountSpec::default(),
            routing: Routing::default(),
            models: BTreeMap::new(),
            guardrails: BTreeMap::new(),
            catalogue: OperatorRows::default(),
            account: AccountSpec::default(),
            refuses_body_tags: false,
            native: NativeSettings::default(),
            shutdown: Drain::default(),
            overload: OverloadLimits::default(),
            notes: Vec::new(),
            read_files: Vec::new(),
            provenance: Provenance::default(),
        }
    }

    /// Reads the file in the format it has. Without a file the defaults are noted.
    fn apply_file(&mut self, sources: &Sources, reading: &mut ConfigReader) {
        let text = match &sources.file {
            None => Some(String::new()),
            Some(path) => read(path, &mut reading.problems),
        };
        let Some(text) = text else { return };
        let file = reading.file.clone();
        let Some(root) = yaml_tree::parse(&file, &text, &mut reading.problems) else { return };
        if litellm::is_it(&root) {
            litellm::read(root, reading, self);
        } else {
            self.apply_own_shape(root, reading);
        }
    }

    fn apply_own_shape(&mut self, root: Vec<(Key, Node)>, reading: &mut ConfigReader) {
        for Repeated { name, line, replaced } in yaml_tree::repeated(&root) {
            let message = format!("{name} stands on line {replaced} too");
            reading.complain(line, message, "keep one of them");
        }
        let line = root.iter().find(|(key, _)| key.name == MODELS_ONLY).map(|(key, _)| key.line);
        outcrop_format::read(Section::of_root(root, reading), self);
        if self.models_only == Unlisted::Refused && self.models.is_empty() {
            let message = format!("{MODELS_ONLY} is true, and no models are listed");
            reading.complain(line.unwrap_or(1), message, "list them under models");
        }
    }

    /// Fills in from `bedrock.json` the values that no other source sets.
    fn apply_local(&mut self, sources: &Sources, reading: &mut ConfigReader) {
        let Some(local) = bedrock_json::read(&sources.directory, &mut reading.problems) else {
            return;
        };
        let path = sources.directory.join("bedrock.json");
        let origin = ValueOrigin::line(&path, 1);
        let is_told = self.profile.is_some() || self.account.login.is_some();
        let by_environment = sources.first_set(&KEY_VARIABLES).map(|(name, _)| name);
        match (local.keys, by_environment) {
            (Some(_), _) if is_told || local.profile.is_some() => {}
            (Some(_), Some(name)) => {
                let note = format!("{}: {name} is set, and comes before its keys", path.display());
                reading.notes.push(note);
            }
            (keys, _) => self.account.login = self.account.login.take().or(keys),
        }
        let places = [
            ("region", &mut self.region, local.region),
            ("profile", &mut self.profile, local.profile),
        ];
        for (key, place, told) in places {
            if place.is_none() && told.is_some() {
                *place = told;
                reading.provenance.tell(key, place.show(), origin.clone());
            }
        }
        if !local.ignored.is_empty() {
            let names = local.ignored.join(", ");
            reading.notes.push(format!("{}: not read: {names}", path.display()));
        }
    }

    /// A configured profile takes precedence over access keys in the environment, like a profile that a
    /// program passes to boto3. The SDK's own order is the other way round.
    fn prefer_profile(&mut self, sources: &Sources, reading: &mut ConfigReader) {
        let (Some(profile), None) = (&self.profile, &self.account.login) else { return };
        if let Some((name, _)) = sources.first_set(&KEY_VARIABLES) {
            reading.notes.push(format!("profile {profile} is configured, and comes before {name}"));
            self.account.login = Some(Login::Profile(profile.clone()));
        }
    }

    /// Applies flags and the environment, which take precedence over all files.
    fn apply_environment(&mut self, sources: &Sources, reading: &mut ConfigReader) {
        if let Some((listen, origin)) = sources.listen_after(self.listen) {
            self.listen = listen;
            reading.provenance.tell("listen", listen.show(), origin);
        }
        if let Some(workers) = sources.workers {
            self.workers = Some(workers);
            reading.provenance.tell("workers", workers.show(), ValueOrigin::Flag("--workers"));
        }
        if sources.allow_anonymous {
            self.allow_anonymous = true;
            let origin = sources.origin("--allow-anonymous", "OUTCROP_ALLOW_ANONYMOUS");
            reading.provenance.tell("allow_anonymous", true.show(), origin);
        }
        master_key::apply(self, sources, reading);
        accounts::apply(self, sources, reading);
        socket::apply(self, sources, reading);
        telemetry::apply(self, sources, reading);
        log::apply(self, sources, reading);
        browser::apply(self, sources, reading);
        self.check_answer_store(reading);
        // aws-config reads the values of these variables itself.
        let regions = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"].as_slice();
        for (key, place, names) in [
            ("region", &mut self.region, regions),
            ("profile", &mut self.profile, &["AWS_PROFILE"]),
        ] {
            if let Some((name, value)) = sources.first_set(names) {
                *place = None;
                let origin = ValueOrigin::Environment(name.to_owned());
                reading.provenance.tell(key, value.to_owned().show(), origin);
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
