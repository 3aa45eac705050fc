//! The listeners of a gateway, by what they serve.

/// A listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// The models, and the admin API where that has no listener of its own.
    Models,
    /// The admin API alone.
    Admin,
    /// The metrics, to everyone who can reach it.
    Telemetry,
}
