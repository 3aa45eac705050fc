//! Calls of guardrails apart from a model's: their requests and answers in the values that translation works
//! with.

mod apply;
mod checks;

pub(crate) use apply::{GuardrailName, apply_guardrail};
pub(crate) use checks::{CheckScope, guardrail_checks};
