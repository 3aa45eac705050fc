//! The log: env_logger on stderr, one line per event. Lines below a warning from AWS's, hyper's and
//! rustls's crates are always dropped, even if `RUST_LOG` requests them, because their debug lines
//! quote canonical requests and headers.

use std::borrow::Cow;

use env_logger::{Builder, Env, Logger};
use log::{Level, Log, Metadata, Record};

use crate::panic_guard;
use bedrock::MESSAGES;

const QUIET: &[&str] = &["aws", "hyper", "rustls", "actix", "mio", "h2", "tracing"];

/// The gateway's own crates besides the binary's.
const CRATES: &[&str] = &["access", "bedrock", "routing"];

/// The variable that sets the level.
const FILTER: &str = "RUST_LOG";

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
        self.logger.log(&copy.args(format_args!("{line}")).build());
    }

    fn flush(&self) {
        self.logger.flush();
    }
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
    if !text.contains(is_disguise) {
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
