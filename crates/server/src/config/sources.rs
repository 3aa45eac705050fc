//! The sources of a configuration: flags, the environment, and the file, which is searched for where none
//! is named.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::flags::ServeArgs;
use super::provenance::ValueOrigin;

const FILE_VARIABLE: &str = "OUTCROP_CONFIG";
/// Below a directory of configurations.
const BELOW: &str = "outcrop/outcrop.yaml";

/// Where a configuration comes from. Values, so that tests need no environment.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--host`, in place of the address's host.
    pub host: Option<IpAddr>,
    /// `--port`, in place of the address's port.
    pub port: Option<u16>,
    /// `--workers`.
    pub workers: Option<usize>,
    /// The configuration file: named, or found.
    pub file: Option<PathBuf>,
    /// Origin of the file.
    pub file_origin: FileOrigin,
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
            host: args.host,
            port: args.port,
            workers: args.workers.map(usize::from),
            allow_anonymous: args.allow_anonymous,
            #[cfg(feature = "demo")]
            demo: args.demo,
            ..Self::of_surroundings()
        }
        .with_file(args.named_file())
    }

    /// A file as a gateway that is started here without any flags would read it.
    pub(crate) fn of_file(file: Option<&Path>) -> Self {
        let surroundings = Self::of_surroundings();
        let variable = |name: &str| surroundings.environment.get(name).map(String::as_str);
        let allowed = variable("OUTCROP_ALLOW_ANONYMOUS").is_some_and(is_true);
        let listen = variable("OUTCROP_LISTEN").and_then(|listen| listen.parse().ok());
        Self { listen, allow_anonymous: allowed, ..surroundings }.with_file(file)
    }

    /// Takes the file that is named, else that of the environment, else the first that is found.
    fn with_file(mut self, named: Option<&Path>) -> Self {
        let variable = self.first_set(&[FILE_VARIABLE]).map(|(_, path)| PathBuf::from(path));
        (self.file, self.file_origin) = match (named, variable) {
            (Some(path), _) => (Some(path.to_owned()), FileOrigin::Named),
            (None, Some(path)) => (Some(path), FileOrigin::Variable),
            (None, None) => {
                (self.candidates().into_iter().find(|path| path.is_file()), FileOrigin::Found)
            }
        };
        self
    }

    /// Files that are read without being named; the first that is there counts.
    pub(crate) fn candidates(&self) -> Vec<PathBuf> {
        let variable = |name| self.first_set(&[name]).map(|(_, path)| PathBuf::from(path));
        let home = || variable("HOME").map(|home| home.join(".config"));
        let user = variable("XDG_CONFIG_HOME").or_else(home).map(|folder| folder.join(BELOW));
        let here = ["outcrop.yaml", "outcrop.yml"].map(|name| self.directory.join(name));
        here.into_iter().chain(user).chain([Path::new("/etc").join(BELOW)]).collect()
    }

    /// The address to listen on where flags or variables change `configured`, with the origin of the change.
    pub(super) fn listen_after(&self, configured: SocketAddr) -> Option<(SocketAddr, ValueOrigin)> {
        let mut listen = self.listen.unwrap_or(configured);
        let mut origin = self.listen.map(|_| self.origin("--listen", "OUTCROP_LISTEN"));
        if let Some(host) = self.host {
            listen.set_ip(host);
            origin = Some(ValueOrigin::Flag("--host"));
        }
        if let Some(port) = self.port {
            listen.set_port(port);
            origin = Some(ValueOrigin::Flag(if self.host.is_some() {
                "--host, --port"
            } else {
                "--port"
            }));
        }
        origin.map(|origin| (listen, origin))
    }

    fn of_surroundings() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self { environment: variables.collect(), directory: PathBuf::from("."), ..Self::default() }
    }

    /// Which of these variables is set first.
    pub(super) fn first_set<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &str)> {
        names.iter().find_map(|name| {
            let value = self.environment.get(*name).filter(|value| !value.trim().is_empty())?;
            Some((*name, value.as_str()))
        })
    }

    /// Who told a flag that a variable can tell too. The command line does not keep it.
    pub(super) fn origin(&self, flag: &'static str, variable: &str) -> ValueOrigin {
        match self.first_set(&[variable]) {
            Some(_) => ValueOrigin::Environment(variable.to_owned()),
            None => ValueOrigin::Flag(flag),
        }
    }
}

/// How a configuration file came to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileOrigin {
    /// On the command line.
    #[default]
    Named,
    /// By `OUTCROP_CONFIG`.
    Variable,
    /// At one of the usual places, if at all.
    Found,
}

/// As the command line reads such variables.
fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "t" | "yes" | "y" | "on")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(listen: Option<&str>, host: Option<&str>, port: Option<u16>) -> Sources {
        let (listen, host) =
            (listen.map(|at| at.parse().unwrap()), host.map(|host| host.parse().unwrap()));
        Sources { listen, host, port, ..Sources::default() }
    }

    #[test]
    fn host_and_port_replace_parts_of_the_address() {
        let configured = "10.0.0.1:5000".parse().unwrap();
        for (sources, expected) in [
            (sources(None, None, None), None),
            (sources(Some("[::1]:1"), None, None), Some("[::1]:1")),
            (sources(None, None, Some(8000)), Some("10.0.0.1:8000")),
            (sources(None, Some("0.0.0.0"), None), Some("0.0.0.0:5000")),
            (sources(Some("127.0.0.1:1"), Some("::"), Some(2)), Some("[::]:2")),
        ] {
            let found = sources.listen_after(configured).map(|(listen, _)| listen.to_string());
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn the_usual_places_are_tried_in_order() {
        let mut sources = Sources { directory: PathBuf::from("/here"), ..Sources::default() };
        let shown = |sources: &Sources| {
            let shown = sources.candidates().into_iter().map(|path| path.display().to_string());
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            shown(&sources),
            "/here/outcrop.yaml /here/outcrop.yml /etc/outcrop/outcrop.yaml"
        );
        sources.environment.insert("HOME".to_owned(), "/people/u".to_owned());
        assert!(shown(&sources).contains(" /people/u/.config/outcrop/outcrop.yaml /etc/"));
        sources.environment.insert("XDG_CONFIG_HOME".to_owned(), "/x".to_owned());
        assert!(shown(&sources).contains(" /x/outcrop/outcrop.yaml /etc/"));
    }

    #[test]
    fn a_named_file_comes_before_the_variable_and_the_variable_before_the_usual_places() {
        let directory = std::env::temp_dir().join(format!("outcrop-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("outcrop.yml"), "").unwrap();
        let mut sources = Sources { directory: directory.clone(), ..Sources::default() };
        let found = sources.clone().with_file(None);
        assert_eq!(found.file, Some(directory.join("outcrop.yml")));
        assert_eq!(found.file_origin, FileOrigin::Found);
        sources.environment.insert(FILE_VARIABLE.to_owned(), "/v".to_owned());
        let found = sources.clone().with_file(None);
        assert_eq!((found.file, found.file_origin), (Some("/v".into()), FileOrigin::Variable));
        let found = sources.with_file(Some(Path::new("/n")));
        assert_eq!((found.file, found.file_origin), (Some("/n".into()), FileOrigin::Named));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
