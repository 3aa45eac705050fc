//! The identity behind a request.

/// The party that a request is admitted for and accounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A caller without a key of the gateway's.
    Anonymous,
}
