//! The log: env_logger on stderr, one line per event, as text or as JSON. Lines below a warning from AWS's, hyper's and
//! rustls's crates are always dropped, even if `RUST_LOG` requests them, because their debug lines
//! quote canonical requests and headers.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use access::Clock;
use env_logger::{Builder, Env, Logger};
use log::{Level, Log, Metadata, Record};

use crate::panic_guard;
use bedrock::MESSAGES;

const QUIET: &[&str] = &["aws", "hyper", "rustls", "actix", "mio", "h2", "tracing"];

/// The gateway's own crates besides the binary's.
const CRATES: &[&str] = &["access", "bedrock", "routing"];

/// The target of the access log.
pub(crate) const ACCESS: &str = "outcrop::access";

/// The variable that sets the level.
const FILTER: &str = "RUST_LOG";

/// Whether lines are JSON. One setting per process, as there is one stderr.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Forms of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// Sets the form of the lines from now on.
pub(crate) fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// The form of the lines.
pub(crate) fn format() -> LogFormat {
    if IS_JSON.load(Ordering::Relaxed) { LogFormat::Json } else { LogFormat::Text }
}

/// Starts the log. `RUST_LOG` sets its level; `level` is the default.
pub(crate) fn init(level: &str) {
    let logger = Builder::from_env(Env::default().default_filter_or(level)).build();
    let level = logger.filter();
    let messages = std::env::var(FILTER).is_ok_and(|filter| names_messages(&filter));
    // A second call (tests run several gateways in one process) keeps the first logger.
    if log::set_boxed_logger(Box::new(Capped { logger, messages })).is_ok() {
        log::set_max_level(level);
        panic_guard::log_them();
    }
}

struct Capped {
    logger: Logger,
    /// Whether texts from upstream are logged.
    messages: bool,
}

impl Capped {
    fn is_capped(&self, metadata: &Metadata<'_>) -> bool {
        is_capped(metadata) || !self.messages && metadata.target() == MESSAGES
    }
}

impl Log for Capped {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = full(metadata.target());
        let metadata = Metadata::builder().level(metadata.level()).target(&target).build();
        !self.is_capped(&metadata) && self.logger.enabled(&metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let target = full(record.target());
        let metadata = Metadata::builder().level(record.level()).target(&target).build();
        let line = record.args().to_string();
        let line = in_one_line(&line);
        let mut copy = Record::builder();
        copy.metadata(metadata)
            .module_path(record.module_path())
            .file(record.file())
            .line(record.line());
        let args = format_args!("{line}");
        let record = copy.args(args).build();
        match format() {
            LogFormat::Text => self.logger.log(&record),
            LogFormat::Json if self.logger.matches(&record) => {
                let object = object(record.level(), &target, &line);
                // There is no other place to report a failure to.
                let _ = io::stderr().lock().write_all(object.as_bytes());
            }
            LogFormat::Json => {}
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

/// Appends a line of the access log, for [`write_access_lines`]: text, or the members of a JSON object.
pub(crate) fn push_access_line(line: &impl fmt::Display, lines: &mut String) {
    let start = lines.len();
    // Writing to a string does not fail.
    let _ = match format() {
        LogFormat::Text => write!(lines, "[{} INFO  {ACCESS}] {line}", Clock::default().now()),
        LogFormat::Json => {
            begin_object(Level::Info, ACCESS, lines);
            write!(lines, "{line}}}")
        }
    };
    if let Cow::Owned(shown) = in_one_line(&lines[start..]) {
        lines.truncate(start);
        lines.push_str(&shown);
    }
    lines.push('\n');
}

/// Writes lines of the access log, past the logger: it would look at each line's level again, and remove colours that
/// they do not have.
pub(crate) fn write_access_lines(lines: &str) {
    // There is no other place to report a failure to.
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}

/// The JSON object of a line.
fn object(level: Level, target: &str, line: &str) -> String {
    let mut object = String::with_capacity(line.len() + 128);
    begin_object(level, target, &mut object);
    // Writing to a string does not fail.
    let _ = writeln!(object, r#""message":{}}}"#, json_text(line));
    object
}

fn begin_object(level: Level, target: &str, object: &mut String) {
    let (time, level) = (Clock::default().now(), level.as_str().to_ascii_lowercase());
    // Writing to a string does not fail.
    let _ =
        write!(object, r#"{{"time":"{time}","level":"{level}","module":{},"#, json_text(target));
}

/// A text as JSON, in which all characters can be seen.
pub(crate) fn json_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    // Most texts need no escapes.
    let (plain, rest) = text.split_at(text.bytes().position(needs_escape).unwrap_or(text.len()));
    quoted.push_str(plain);
    for c in rest.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_disguise(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a byte of a text as JSON is not written as it is, or may not be.
fn needs_escape(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')
}

/// The target under the gateway's name, so that filters need not name the crate of a module.
fn full(target: &str) -> Cow<'_, str> {
    let crate_name = target.split("::").next().unwrap_or_default();
    if CRATES.contains(&crate_name) {
        Cow::Owned(format!("outcrop::{target}"))
    } else {
        Cow::Borrowed(target)
    }
}

/// Makes text a single line that shows all its characters: callers' names may contain line ends, and
/// marks that reverse the writing direction.
fn in_one_line(text: &str) -> Cow<'_, str> {
    // Printable ASCII, which is most lines, is told apart without decoding it.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain || !text.contains(is_disguise) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_disguise(c) { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    Cow::Owned(line)
}

fn is_disguise(c: char) -> bool {
    let is_format = matches!(c,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    c.is_control() || is_format
}

/// Whether a filter requests texts from upstream by name; a level for all targets does not.
fn names_messages(filter: &str) -> bool {
    filter
        .split([',', '/'])
        .any(|part| part.split('=').next().unwrap_or_default().trim() == MESSAGES)
}

fn is_capped(metadata: &Metadata<'_>) -> bool {
    // Warnings of `aws_config` quote complete responses of STS and SSO, including the keys in them. The
    // gateway logs a failing credential source in a line of its own.
    let quotes = metadata.target().starts_with("aws_config");
    let loudest = if quotes { Level::Error } else { Level::Warn };
    metadata.level() > loudest && QUIET.iter().any(|crates| metadata.target().starts_with(crates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_lines_of_dependencies_are_dropped() {
        let of =
            |target, level| is_capped(&Metadata::builder().target(target).level(level).build());
        assert!(of("aws_sigv4::http_request::sign", Level::Trace));
        assert!(of("hyper_util::client", Level::Info));
        assert!(of("aws_config::sso", Level::Warn));
        assert!(!of("aws_smithy_runtime", Level::Warn));
        assert!(!of("outcrop::access", Level::Debug));
    }

    #[test]
    fn log_targets_carry_the_gateways_name() {
        assert_eq!(full("routing::dispatch"), "outcrop::routing::dispatch");
        assert_eq!(full("outcrop::access"), "outcrop::access");
        assert_eq!(full("routing_table"), "routing_table");
    }

    #[test]
    fn text_becomes_one_line_with_visible_characters() {
        assert!(matches!(in_one_line("é 語 🪨 \"x\" \\n"), Cow::Borrowed(_)));
        for (text, line) in [
            ("a\nb", "a\\nb"),
            ("a\r\n[INFO] b", "a\\r\\n[INFO] b"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\u{2066}b\u{200b}", "a\\u{2066}b\\u{200b}"),
            ("é\0", "é\\0"),
        ] {
            assert_eq!(in_one_line(text), line);
        }
    }

    #[test]
    fn json_lines_are_objects_and_hold_one_line_each() {
        let text = "a \"b\" \\ \n \u{2028} \u{1b} é \u{e0001}";
        let line = object(Level::Warn, "outcrop::serve", text);
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["level"], &read["message"]), (&"warn".into(), &text.into()));
        assert!(read["time"].as_str().unwrap().ends_with('Z'), "{read}");
    }

    #[test]
    fn message_texts_must_be_requested_by_name() {
        for (filter, named) in [
            ("", false),
            ("trace", false),
            ("outcrop=trace,info", false),
            ("outcrop::upstream=debug", false),
            ("info,outcrop::upstream_messages=debug", true),
            ("outcrop::upstream_messages", true),
        ] {
            assert_eq!(names_messages(filter), named, "{filter}");
        }
    }
}
