//! The log: env_logger on stderr, one line an event. What AWS's, hyper's and rustls's crates say
//! below a warning is never let through, whatever `RUST_LOG` asks for: their debug lines quote
//! canonical requests and headers.

use env_logger::{Builder, Env, Logger};
use log::{Level, Log, Metadata, Record};

const QUIET: &[&str] = &["aws", "hyper", "rustls", "actix", "mio", "h2", "tracing"];

/// Starts the log. `RUST_LOG` sets its level, `info` by default.
pub(crate) fn init() {
    let logger = Builder::from_env(Env::default().default_filter_or("info")).build();
    let level = logger.filter();
    // A second call (tests run several gateways in one process) keeps the first logger.
    if log::set_boxed_logger(Box::new(Capped(logger))).is_ok() {
        log::set_max_level(level);
    }
}

struct Capped(Logger);

impl Log for Capped {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_capped(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_capped(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn is_capped(metadata: &Metadata<'_>) -> bool {
    // Its warnings quote whole answers of STS and SSO, with the keys in them. What is wrong with a
    // source of credentials is told by a line of our own.
    let quotes = metadata.target().starts_with("aws_config");
    let loudest = if quotes { Level::Error } else { Level::Warn };
    metadata.level() > loudest && QUIET.iter().any(|crates| metadata.target().starts_with(crates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_peoples_debug_lines_are_capped() {
        let of =
            |target, level| is_capped(&Metadata::builder().target(target).level(level).build());
        assert!(of("aws_sigv4::http_request::sign", Level::Trace));
        assert!(of("hyper_util::client", Level::Info));
        assert!(of("aws_config::sso", Level::Warn));
        assert!(!of("aws_smithy_runtime", Level::Warn));
        assert!(!of("outcrop::access", Level::Debug));
    }
}
