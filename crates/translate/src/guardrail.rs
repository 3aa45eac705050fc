//! Guardrails: the texts of a body that one is asked about (`content`), and what it says of them (`verdict`).

pub mod content;
pub mod verdict;
