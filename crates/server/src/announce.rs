//! The log of a start: the version, the configuration file, the permitted callers, the AWS side, the address.

use std::net::SocketAddr;
use std::time::Instant;

use crate::config::{Config, FileOrigin, Sources};
use crate::master_key::MasterKey;
use crate::state::Snapshot;
use bedrock::Service;
use routing::Unlisted;

/// Said where no secret is shared by replicas.
const OWN_CAPSULES: &str = "capsules of reasoning are sealed with a key of this process: after a restart, and in other replicas, they do not open, unless thinking_memory.store and thinking_memory.secret are set";

/// Logs the file that was read, the number of its names, and the permitted callers.
pub(crate) fn configuration(sources: &Sources, config: &Config, address: SocketAddr) {
    log::info!("outcrop {}", env!("CARGO_PKG_VERSION"));
    log::info!("configuration: {}; {}", file(sources), names(config));
    log::info!("may call: {}", callers(config, address));
}

/// Logs how Bedrock is called, and what will be in the way.
pub(crate) async fn bedrock(now: &Snapshot, is_demo: bool) {
    let account = now.names.home();
    let endpoint = account.endpoint(Service::Runtime);
    if is_demo {
        log::info!("Bedrock: the built-in emulator at {endpoint}");
    } else {
        let (region, source) = (account.region(), account.credential_source());
        log::info!("Bedrock in {region} at {endpoint}, credentials: {source}");
        for flaw in now.flaws().await {
            log::warn!("calls will fail: {flaw}");
        }
    }
    now.warn();
    if now.store.is_none() {
        log::info!("{OWN_CAPSULES}");
    }
}

/// Logs the address, once connections are accepted there.
pub(crate) fn ready(config: &Config, address: SocketAddr, started: Instant) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let elapsed = started.elapsed().as_millis();
    let place = match (config.socket.instead_of_port(), &config.socket.path) {
        (Some(socket), _) => format!("unix:{}", socket.display()),
        (None, Some(socket)) => format!("{scheme}://{address} and unix:{}", socket.display()),
        (None, None) => format!("{scheme}://{address}"),
    };
    log::info!("listening on {place}, ready in {elapsed} ms");
}

fn file(sources: &Sources) -> String {
    let Some(path) = &sources.file else {
        let places = sources.candidates();
        let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
        return format!("no file (looked for {})", places.join(", "));
    };
    let origin = match sources.file_origin {
        FileOrigin::Named => "",
        FileOrigin::Variable => " (from OUTCROP_CONFIG)",
        FileOrigin::Found => " (found there)",
    };
    format!("{}{origin}", path.display())
}

fn names(config: &Config) -> String {
    let own = match config.models.len() {
        0 => "no names of its own".to_owned(),
        1 => "1 name".to_owned(),
        count => format!("{count} names"),
    };
    match config.models_only {
        Unlisted::Served => format!("{own}, and all of Bedrock's"),
        Unlisted::Refused => format!("{own}, and no others"),
    }
}

fn callers(config: &Config, address: SocketAddr) -> String {
    match &config.master_key {
        Some(MasterKey::Key(_)) => {
            let keys = ["general_settings.master_key", "master_key", "master_key_file"];
            let told = keys.into_iter().find_map(|key| Some((key, config.provenance.origin(key)?)));
            let told = told.map(|(key, origin)| format!(" ({key}, {origin})")).unwrap_or_default();
            format!("callers that send the master key{told}")
        }
        Some(MasterKey::Missing(_)) => "no caller, because the master key is not set".to_owned(),
        None if address.ip().is_loopback() => {
            "every program on this machine, without a key".to_owned()
        }
        None => "everyone who can connect, without a key (allow_anonymous)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_are_named_with_the_source_of_their_key() {
        let sources = |variable: Option<&str>| {
            let key = variable.map(|key| ("LITELLM_MASTER_KEY".to_owned(), key.to_owned()));
            Sources { environment: key.into_iter().collect(), ..Sources::default() }
        };
        for (variable, address, expected) in [
            (None, "127.0.0.1:1", "every program on this machine, without a key"),
            (None, "0.0.0.0:1", "everyone who can connect, without a key (allow_anonymous)"),
            (
                Some("sk-1"),
                "0.0.0.0:1",
                "callers that send the master key (master_key, environment LITELLM_MASTER_KEY)",
            ),
        ] {
            let config = Config::load(&sources(variable)).unwrap();
            assert_eq!(callers(&config, address.parse().unwrap()), expected);
            assert_eq!(names(&config), "no names of its own, and all of Bedrock's");
        }
    }

    #[test]
    fn the_file_is_named_with_the_way_it_was_found() {
        let mut sources = Sources { directory: "/here".into(), ..Sources::default() };
        assert!(file(&sources).starts_with("no file (looked for /here/outcrop.yaml, "));
        sources.file = Some("/here/outcrop.yaml".into());
        assert_eq!(file(&sources), "/here/outcrop.yaml");
        sources.file_origin = FileOrigin::Variable;
        assert_eq!(file(&sources), "/here/outcrop.yaml (from OUTCROP_CONFIG)");
    }
}
