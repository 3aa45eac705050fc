//! The Redis in which replicas share rate limits: its address from Outcrop's keys, from LiteLLM's, or from the
//! environment, as one URL or in parts.

use std::time::Duration;

use access::limit::RedisOptions;

use super::accounts::AccessSettings;
use super::provenance::{Show, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, Problem, Sources, parsers};
use bedrock::AccountSecret;

/// The key's path.
const PATH: &str = "access.redis_url";
const REMEDY: &str = "write redis://HOST:6379, or rediss:// for TLS; user, password and number of the database may be part of it: redis://user:password@HOST:6379/0";
/// The port where none is given.
const PORT: u32 = 6379;
/// The longest time that calls may be made to wait.
const LONGEST: Duration = Duration::from_secs(10);

/// The parts of an address, as LiteLLM names them.
#[derive(Default)]
struct Parts {
    host: String,
    port: Option<u32>,
    username: Option<String>,
    password: Option<String>,
    database: Option<u32>,
    has_tls: bool,
}

impl Parts {
    fn url(&self) -> AccountSecret {
        let Self { host, port, username, password, database, has_tls } = self;
        let scheme = if *has_tls { "rediss" } else { "redis" };
        let encoded = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let user = match (username, password) {
            (None, None) => String::new(),
            _ => format!("{}:{}@", encoded(username), encoded(password)),
        };
        let host = match host.contains(':') && !host.starts_with('[') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        let (port, database) = (port.unwrap_or(PORT), database.unwrap_or_default());
        AccountSecret::new(format!("{scheme}://{user}{host}:{port}/{database}"))
    }
}

/// Reads the keys of the section `access`.
pub(super) fn read(section: &mut Section<'_>, access: &mut AccessSettings) {
    let line = ["redis_url", "redis_url_file"].iter().find_map(|key| section.line(key));
    if let Some(url) = section.secret("redis_url", "redis_url_file") {
        if !is_address(&url) {
            let message = format!("{PATH} is no address of a Redis");
            section.reading.complain(line.unwrap_or(1), message, REMEDY);
        }
        access.redis_url = Some(url);
    }
    section.set("redis_timeout", &mut access.redis_timeout, patience);
}

/// Reads the address in LiteLLM's `cache_params`.
pub(super) fn of_cache(section: &mut Section<'_>) -> Option<AccountSecret> {
    let number = |value: &Value| parsers::whole(value, 0..=65_535, "a whole number up to 65535");
    let url = section.optional("url", parsers::secret);
    let host = section.optional("host", parsers::text);
    let secret = |secret: Option<AccountSecret>| secret.map(|secret| secret.reveal().to_owned());
    let parts = Parts {
        host: host.clone().unwrap_or_default(),
        port: section.optional("port", number),
        username: section.optional("username", parsers::text),
        password: secret(section.optional("password", parsers::secret)),
        database: section.optional("db", number),
        has_tls: section.optional("ssl", parsers::boolean) == Some(true),
    };
    url.or_else(|| host.map(|_| parts.url())).filter(is_address)
}

/// Reads the keys of LiteLLM's section `router_settings`. Its own section comes first. What cannot be used does not
/// stop the start, because LiteLLM would start.
pub(super) fn read_litellms(section: &mut Section<'_>, config: &mut Config) {
    let line = ["redis_url", "redis_host"].iter().find_map(|key| section.line(key));
    let url = section.optional("redis_url", parsers::secret);
    let host = section.optional("redis_host", parsers::text);
    let number = |value: &Value| parsers::whole(value, 0..=65_535, "a whole number up to 65535");
    let parts = Parts {
        host: host.clone().unwrap_or_default(),
        port: section.optional("redis_port", number),
        username: None,
        password: section
            .optional("redis_password", parsers::secret)
            .map(|password| password.reveal().to_owned()),
        database: section.optional("redis_db", number),
        has_tls: false,
    };
    let Some(url) = url.or_else(|| host.map(|_| parts.url())) else { return };
    let line = line.unwrap_or(1);
    if !is_address(&url) {
        let note = format!(
            "line {line}: router_settings names no address of a Redis: rate limits count in each process"
        );
        section.reading.notes.push(note);
    } else if config.access.redis_url.is_none() {
        let origin = ValueOrigin::line(&section.reading.file, line);
        section.reading.provenance.tell(PATH, url.show(), origin);
        config.access.redis_url = Some(url);
    }
}

/// Applies the environment.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    let told = reading.secret_variable("REDIS_URL").or_else(|| of_parts(sources));
    let Some((url, name)) = told else { return };
    // Without accounts the variable is that of another program.
    if !is_address(&url) && config.master_key.is_some() {
        let message = format!("{name} is no address of a Redis");
        reading.problems.add(Problem::general(message, REMEDY));
    }
    reading.provenance.tell(PATH, url.show(), ValueOrigin::Environment(name));
    config.access.redis_url = Some(url);
}

/// LiteLLM's variables.
fn of_parts(sources: &Sources) -> Option<(AccountSecret, String)> {
    let variable = |name| sources.first_set(&[name]).map(|(_, value)| value.trim().to_owned());
    let parts = Parts {
        host: variable("REDIS_HOST")?,
        // Kubernetes sets tcp://ADDRESS:PORT for a Service called redis.
        port: variable("REDIS_PORT").and_then(|port| port.parse().ok()),
        username: variable("REDIS_USERNAME"),
        password: variable("REDIS_PASSWORD"),
        database: variable("REDIS_DB").and_then(|database| database.parse().ok()),
        has_tls: variable("REDIS_SSL").is_some_and(|text| text.eq_ignore_ascii_case("true")),
    };
    Some((parts.url(), "REDIS_HOST".to_owned()))
}

fn is_address(url: &AccountSecret) -> bool {
    RedisOptions::at(url.reveal()).is_ok()
}

fn patience(value: &Value) -> Result<Duration, parsers::Expected> {
    let span = parsers::span(value).ok().filter(|span| *span <= LONGEST);
    span.ok_or("a number of seconds above 0 and up to 10, such as 0.1")
}
