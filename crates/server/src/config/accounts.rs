//! The settings of accounts: the store, keys, the treatment of its outages, and the admin API.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use access::ledger::FailMode;
use access::limit::RedisOptions;
use access::{BudgetZone, Limits, Pepper};
use actix_web::http::header::HeaderName;

use super::account_limits::{self, EndUserLimits};
use super::key_rules::{self, KeyBounds, RecordDefaults};
use super::provenance::{Show, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, Problem, Sources, parsers, redis};
use crate::credential;
use crate::disconnect::OnDisconnect;
use crate::listener::Listener;
use crate::master_key::MasterKey;
use bedrock::AccountSecret;

/// Remedy for a pepper that is too short.
const LONGER: &str = "take a random one: openssl rand -hex 32";
/// The time of day at which budget windows begin by default.
const MIDNIGHT: &str = "00:00";
/// Folder of the gateway's state below that of the user.
const FOLDER: &str = "outcrop";

/// Settings of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeySettings {
    /// The secret that a stolen store lacks; absent keeps one in the store.
    pub(crate) pepper: Option<AccountSecret>,
}

/// Settings of the ledger and of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessSettings {
    /// The treatment of calls while the store cannot be reached.
    pub(crate) fail_mode: FailMode,
    /// The age at which rows of calls are removed; absent keeps them.
    pub(crate) retention: Option<Duration>,
    /// The status of refusals for a budget.
    pub(crate) budget_exceeded_status: BudgetStatus,
    /// The treatment of answers whose client has left.
    pub(crate) on_disconnect: OnDisconnect,
    /// The member of `requestMetadata` that names the end user of native calls.
    pub(crate) end_user_metadata: Option<String>,
    /// Headers that name the end user, after those that always do.
    pub(crate) end_user_headers: Vec<String>,
    /// Whether calls that name no end user are refused.
    pub(crate) require_end_user: bool,
    /// Connections to the database.
    pub(crate) database: DatabaseSettings,
    /// Limits of all calls together.
    pub(crate) gateway: Limits,
    /// Rate limits that hold for every key where its own are null.
    pub(crate) every_key: Limits,
    /// Limits of end users without any of their own.
    pub(crate) unknown_end_users: EndUserLimits,
    /// Limits of tags without any of their own.
    pub(crate) tags: BTreeMap<String, Limits>,
    /// Address of the Redis in which replicas share rate limits; absent counts them in each process.
    pub(crate) redis_url: Option<AccountSecret>,
    /// The longest time that a call waits for it.
    pub(crate) redis_timeout: Duration,
}

/// Connections to the database of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatabaseSettings {
    /// Most of them at the same time.
    pub(crate) connections: u32,
    /// Longest wait for one.
    pub(crate) timeout: Duration,
}

/// The status of refusals for a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BudgetStatus(pub(crate) u16);

/// Settings of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminSettings {
    /// Whether it is served beside the models even where strangers can reach them.
    pub(crate) on_data_port: bool,
    /// The address it has otherwise.
    pub(crate) listen: SocketAddr,
    /// Whether the master key calls models.
    pub(crate) master_calls: bool,
    /// A key that reads what the master key reads, changes nothing and calls no model.
    pub(crate) read_only_key: Option<AccountSecret>,
    /// Whether the operator's page is served beside the admin API; absent where strangers cannot reach that.
    pub(crate) console: Option<bool>,
    /// Time without use after which the page forgets its key.
    pub(crate) console_idle: Duration,
    /// The time zone in which the windows of budgets begin.
    pub(crate) budget_timezone: String,
    /// The time of day at which they begin.
    pub(crate) budget_reset_time: String,
    /// Fields of new keys that requests leave out.
    pub(crate) key_defaults: RecordDefaults,
    /// Most that a key is given.
    pub(crate) key_bounds: KeyBounds,
    /// Fields of new teams that requests leave out.
    pub(crate) team_defaults: RecordDefaults,
    /// Fields of new users, other than administrators, that requests leave out.
    pub(crate) user_defaults: RecordDefaults,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            fail_mode: FailMode::Closed,
            retention: Some(Duration::from_hours(90 * 24)),
            budget_exceeded_status: BudgetStatus(429),
            on_disconnect: OnDisconnect::default(),
            end_user_metadata: None,
            end_user_headers: Vec::new(),
            require_end_user: false,
            database: DatabaseSettings { connections: 10, timeout: Duration::from_secs(5) },
            gateway: Limits::default(),
            every_key: Limits::default(),
            unknown_end_users: EndUserLimits::default(),
            tags: BTreeMap::new(),
            redis_url: None,
            redis_timeout: RedisOptions::PATIENCE,
        }
    }
}

impl Default for AdminSettings {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 4001));
        Self {
            on_data_port: false,
            listen,
            master_calls: true,
            read_only_key: None,
            console: None,
            console_idle: Duration::from_mins(15),
            budget_timezone: "UTC".to_owned(),
            budget_reset_time: MIDNIGHT.to_owned(),
            key_defaults: RecordDefaults::default(),
            key_bounds: KeyBounds::default(),
            team_defaults: RecordDefaults::default(),
            user_defaults: RecordDefaults::default(),
        }
    }
}

impl Show for FailMode {
    fn show(&self) -> String {
        match self {
            Self::Open => "open".to_owned(),
            Self::Closed => "closed".to_owned(),
        }
    }
}

impl Show for OnDisconnect {
    fn show(&self) -> String {
        match self {
            Self::Auto => "auto",
            Self::Cancel => "cancel",
            Self::Drain => "drain",
        }
        .to_owned()
    }
}

impl Show for BudgetStatus {
    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl AdminSettings {
    /// The zone in which the windows of budgets begin.
    pub(crate) fn zone(&self) -> BudgetZone {
        // Both were read with the configuration.
        BudgetZone::named(&self.budget_timezone, &self.budget_reset_time).unwrap_or_default()
    }
}

impl Config {
    /// Whether a listener has the operator's page: where the admin API is, but on the port of the models only if that is
    /// said or strangers cannot reach it.
    pub(crate) fn serves_console(&self, listener: Listener) -> bool {
        let has_accounts = matches!(self.master_key, Some(MasterKey::Key(_)));
        let beside_models = self.serves_admin_beside_models();
        let usual = match listener {
            Listener::Admin => true,
            Listener::Models => !self.is_reachable(),
            Listener::Telemetry => return false,
        };
        let is_here = listener == Listener::Admin || beside_models;
        has_accounts && is_here && self.admin.console.unwrap_or(usual)
    }

    /// Whether the admin API is served beside the models.
    pub(crate) fn serves_admin_beside_models(&self) -> bool {
        self.admin.on_data_port || !self.is_reachable()
    }
}

/// Reads Outcrop's keys.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    config.data_dir = root.optional("data_dir", parsers::path);
    if let Some(url) = root.secret("database_url", "database_url_file") {
        config.database_url = Some(url);
    }
    root.section("keys", |section| {
        let line = section.line("pepper").or_else(|| section.line("pepper_file"));
        let Some(pepper) = section.secret("pepper", "pepper_file") else { return };
        if Pepper::given(pepper.reveal()).is_err() {
            let message = "keys.pepper is shorter than 16 bytes".to_owned();
            section.reading.complain(line.unwrap_or(1), message, LONGER);
        }
        config.keys.pepper = Some(pepper);
    });
    root.section("access", |section| {
        let access = &mut config.access;
        section.set("fail_mode", &mut access.fail_mode, fail_mode);
        section.set("retention", &mut access.retention, retention);
        section.set("budget_exceeded_status", &mut access.budget_exceeded_status, status);
        section.set("on_disconnect", &mut access.on_disconnect, on_disconnect);
        section.set("end_user_metadata", &mut access.end_user_metadata, |value| {
            parsers::text(value).map(Some)
        });
        section.set("end_user_headers", &mut access.end_user_headers, header_names);
        section.set("require_end_user", &mut access.require_end_user, parsers::boolean);
        section.section("database", |section| {
            section.set("connections", &mut access.database.connections, connections);
            section.set("timeout", &mut access.database.timeout, parsers::span);
        });
        account_limits::read(section, access);
        redis::read(section, access);
    });
    root.section("admin", |section| {
        section.set("on_data_port", &mut config.admin.on_data_port, parsers::boolean);
        section.set("listen", &mut config.admin.listen, parsers::address);
        section.set("master_calls", &mut config.admin.master_calls, parsers::boolean);
        section
            .set("console", &mut config.admin.console, |value| parsers::boolean(value).map(Some));
        section.set("console_idle", &mut config.admin.console_idle, parsers::span);
        section.set("budget_timezone", &mut config.admin.budget_timezone, timezone);
        section.set("budget_reset_time", &mut config.admin.budget_reset_time, reset_time);
        if let Some(key) = section.secret("read_only_key", "read_only_key_file") {
            config.admin.read_only_key = Some(key);
        }
        key_rules::read(section, &mut config.admin);
    });
}

/// Applies the environment, and finds the folder of the store.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    if let Some((name, value)) = sources.first_set(&["DATABASE_URL"]) {
        let url = AccountSecret::new(value.trim());
        let origin = ValueOrigin::Environment(name.to_owned());
        reading.provenance.tell("database_url", url.show(), origin);
        config.database_url = Some(url);
    }
    redis::apply(config, sources, reading);
    if let Some((pepper, name)) = reading.secret_variable("OUTCROP_KEY_PEPPER") {
        if Pepper::given(pepper.reveal()).is_err() {
            let message = format!("{name} is shorter than 16 bytes");
            reading.problems.add(Problem::general(message, LONGER));
        }
        reading.provenance.tell("keys.pepper", pepper.show(), ValueOrigin::Environment(name));
        config.keys.pepper = Some(pepper);
    }
    if let Some((key, name)) = reading.secret_variable("OUTCROP_READ_ONLY_KEY") {
        reading.provenance.tell("admin.read_only_key", key.show(), ValueOrigin::Environment(name));
        config.admin.read_only_key = Some(key);
    }
    if let Some((name, value)) = sources.first_set(&["OUTCROP_ADMIN_LISTEN"]) {
        match value.trim().parse::<SocketAddr>() {
            Ok(listen) => {
                let origin = ValueOrigin::Environment(name.to_owned());
                reading.provenance.tell("admin.listen", listen.show(), origin);
                config.admin.listen = listen;
            }
            Err(_) => reading.problems.add(Problem::general(
                format!("{name} is not an address"),
                "write an address and a port, such as 127.0.0.1:4001",
            )),
        }
    }
    if let Some((name, value)) = sources.first_set(&["OUTCROP_DATA_DIR"]) {
        let folder = PathBuf::from(value);
        reading.provenance.tell(
            "data_dir",
            folder.show(),
            ValueOrigin::Environment(name.to_owned()),
        );
        config.data_dir = Some(folder);
    }
    config.state_folder = Some(state_folder(sources));
}

/// The folder of the store where none is named.
fn state_folder(sources: &Sources) -> PathBuf {
    let variable = |name| sources.first_set(&[name]).map(|(_, path)| PathBuf::from(path));
    let home = || variable("HOME").map(|home| home.join(".local/state"));
    let user = variable("XDG_STATE_HOME").or_else(home).map(|folder| folder.join(FOLDER));
    user.unwrap_or_else(|| sources.directory.clone())
}

/// Names of headers for end users. Those that hold keys would put keys into the ledger.
pub(super) fn header_names(value: &Value) -> Result<Vec<String>, parsers::Expected> {
    let names = parsers::names(value)?.into_iter().map(|name| name.to_ascii_lowercase());
    let names: Vec<_> = names.collect();
    let is_usable = |name: &String| {
        HeaderName::from_bytes(name.as_bytes()).is_ok() && !credential::is_key_header(name)
    };
    if names.iter().all(is_usable) { Ok(names) } else { Err("names of headers that hold no key") }
}

/// Connections to a database: at least two, because one task writes the ledger.
pub(super) fn connections(value: &Value) -> Result<u32, parsers::Expected> {
    parsers::whole(value, 2..=1024, "a whole number from 2 to 1024")
}

fn fail_mode(value: &Value) -> Result<FailMode, parsers::Expected> {
    match value {
        Value::Text(text) if text == "open" => Ok(FailMode::Open),
        Value::Text(text) if text == "closed" => Ok(FailMode::Closed),
        _ => Err("open or closed"),
    }
}

fn on_disconnect(value: &Value) -> Result<OnDisconnect, parsers::Expected> {
    match value {
        Value::Text(text) if text == "auto" => Ok(OnDisconnect::Auto),
        Value::Text(text) if text == "cancel" => Ok(OnDisconnect::Cancel),
        Value::Text(text) if text == "drain" => Ok(OnDisconnect::Drain),
        _ => Err("auto, cancel or drain"),
    }
}

fn retention(value: &Value) -> Result<Option<Duration>, parsers::Expected> {
    match value {
        Value::Text(text) if text == "forever" => Ok(None),
        Value::Text(text) => {
            let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
            days.filter(|days| (1..=36_500).contains(days))
                .map(|days| Some(Duration::from_hours(days * 24)))
                .ok_or("a number of days such as 90d, or forever")
        }
        _ => Err("a number of days such as 90d, or forever"),
    }
}

pub(super) fn timezone(value: &Value) -> Result<String, parsers::Expected> {
    parsers::text(value)
        .ok()
        .filter(|name| BudgetZone::named(name, MIDNIGHT).is_ok())
        .ok_or("a time zone such as UTC or Europe/Berlin")
}

fn reset_time(value: &Value) -> Result<String, parsers::Expected> {
    parsers::text(value)
        .ok()
        .filter(|time| BudgetZone::named("UTC", time).is_ok())
        .ok_or("a time of day such as \"00:00\"")
}

pub(super) fn status(value: &Value) -> Result<BudgetStatus, parsers::Expected> {
    match value {
        Value::Integer(429) => Ok(BudgetStatus(429)),
        Value::Integer(422) => Ok(BudgetStatus(422)),
        Value::Integer(400) => Ok(BudgetStatus(400)),
        _ => Err("429, 422 or 400"),
    }
}
