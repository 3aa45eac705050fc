//! Anthropic's API: so far its errors alone, for paths of that API which are not served.

pub mod error;
