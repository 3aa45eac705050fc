//! What the tests around Rust's clients share: a demo gateway that ends with its owner, and words that
//! are new in every run.

pub mod gateway;
pub mod invented;
