//! The Unix socket on which models are served, beside the address of `listen` or in its place.

use std::path::{Path, PathBuf};

use super::parsers::{self, Expected};
use super::provenance::{Show, ValueOrigin};
use super::reader::ConfigReader;
use super::section::Section;
use super::yaml_tree::Value;
use super::{Config, Problem, Sources};

/// Longest path of a socket: systems take 103 bytes, and it is bound under another name first.
const LONGEST: usize = 95;
/// Permissions of a socket that nothing else sets: its owner and group may connect.
const MODE: SocketMode = SocketMode(0o660);

/// The Unix socket on which models are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketSettings {
    /// Its file; without one there is no socket.
    pub(crate) path: Option<PathBuf>,
    /// Permissions of the file: connecting needs the right to write.
    pub(crate) mode: SocketMode,
    /// Whether models are served there alone, and `listen` is not bound.
    pub(crate) only: bool,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self { path: None, mode: MODE, only: false }
    }
}

impl SocketSettings {
    /// The socket that takes the place of `listen`.
    pub(crate) fn instead_of_port(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| self.only)
    }
}

/// Permissions of a socket's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SocketMode(pub(crate) u32);

impl Show for SocketMode {
    fn show(&self) -> String {
        format!("\"{:04o}\"", self.0)
    }
}

/// Reads every key of the section.
pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    root.section("socket", |section| {
        section.set("path", &mut config.socket.path, |node| socket_path(node).map(Some));
        section.set("mode", &mut config.socket.mode, mode);
        section.set("only", &mut config.socket.only, parsers::boolean);
    });
}

/// Applies the environment, and checks what holds over both.
pub(super) fn apply(config: &mut Config, sources: &Sources, reading: &mut ConfigReader) {
    if let Some((name, value)) = sources.first_set(&["OUTCROP_SOCKET"]) {
        match socket_path(&Value::Text(value.trim().to_owned())) {
            Ok(path) => {
                let origin = ValueOrigin::Environment(name.to_owned());
                reading.provenance.tell("socket.path", path.show(), origin);
                config.socket.path = Some(path);
            }
            Err(expected) => reading.problems.add(Problem::general(
                format!("{name} cannot be used"),
                format!("write {expected}"),
            )),
        }
    }
    if config.socket.only && config.socket.path.is_none() {
        reading.problems.add(Problem::general(
            "socket.only is true, and no socket is named",
            "name one in socket.path (OUTCROP_SOCKET)",
        ));
    }
}

fn socket_path(value: &Value) -> Result<PathBuf, Expected> {
    let path = parsers::path(value)?;
    let is_usable = path.is_absolute() && path.as_os_str().len() <= LONGEST;
    is_usable
        .then_some(path)
        .ok_or("an absolute path of at most 95 bytes, such as /run/outcrop/outcrop.sock")
}

/// Octal digits in quotes: YAML has two ways to read them without.
fn mode(value: &Value) -> Result<SocketMode, Expected> {
    let digits = match value {
        Value::Text(text) if (3..=4).contains(&text.len()) => text.as_str(),
        _ => "",
    };
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .map(SocketMode)
        .ok_or("permissions as octal digits in quotes, such as \"0660\"")
}
