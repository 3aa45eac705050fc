//! The log: env_logger on stderr, one line an event. What AWS's, hyper's and rustls's crates say
//! below a warning is never let through: their debug lines quote session tokens.

use env_logger::{Builder, Env};
use log::LevelFilter;

const QUIET: &[&str] = &["aws", "hyper", "rustls", "actix", "mio", "h2", "tracing"];

/// Starts the log. `RUST_LOG` sets its level, `info` by default.
pub(crate) fn init() {
    let mut builder = Builder::from_env(Env::default().default_filter_or("info"));
    for module in QUIET {
        builder.filter_module(module, LevelFilter::Warn);
    }
    // A second call (tests run several gateways in one process) keeps the first logger.
    let _ = builder.try_init();
}
