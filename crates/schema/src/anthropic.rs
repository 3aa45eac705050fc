//! Anthropic's HTTP API, as its official SDKs of November 2026 define it. Requests are strict in the
//! known fields and collect the names of the others; parts that a model may get unchanged keep their
//! original text.

pub mod count;
pub mod error;
pub mod messages;
pub mod models;
pub mod object;

/// The header that names betas.
pub const BETA_HEADER: &str = "anthropic-beta";
/// Beginning of the line of a system prompt by which Claude Code names itself.
pub const ATTRIBUTION: &str = "x-anthropic-billing-header:";
