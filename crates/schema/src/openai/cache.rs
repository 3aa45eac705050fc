//! Prompt cache fields of a chat request: marks on parts, messages and tools (in the common de
//! facto form and in OpenAI's own), and options for the whole request.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::Str;

/// A mark: the content before it may be cached. Either form gives the same mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub spelling: Spelling,
    pub ttl: Option<Lifetime>,
}

/// The form of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    CacheControl,
    Breakpoint,
}

impl Spelling {
    /// The name of the field.
    pub fn name(self) -> &'static str {
        match self {
            Self::CacheControl => "cache_control",
            Self::Breakpoint => "prompt_cache_breakpoint",
        }
    }
}

/// Lifetime of a cached prefix, in minutes; written as `5m`, `1h`, `12h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lifetime(pub u32);

/// De facto `cache_control: {"type": "ephemeral", "ttl": "5m" | "1h"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct CacheControl {
    #[serde(rename = "type")]
    pub kind: Option<CacheControlKind>,
    pub ttl: Option<Lifetime>,
}

/// The only kind of `cache_control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheControlKind {
    Ephemeral,
}

/// OpenAI's `prompt_cache_breakpoint: {"mode": "explicit", "ttl": "30m" | "12h"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Breakpoint {
    pub mode: Option<BreakpointMode>,
    pub ttl: Option<Lifetime>,
}

/// The only kind of breakpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakpointMode {
    Explicit,
}

/// OpenAI's `prompt_cache_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct CacheOptions {
    pub mode: Option<CacheMode>,
    pub ttl: Option<Lifetime>,
}

/// The party that chooses the cached content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// The service.
    Implicit,
    /// The caller, by marks only.
    Explicit,
}

impl From<CacheControl> for Mark {
    fn from(CacheControl { kind: _, ttl }: CacheControl) -> Self {
        Self { spelling: Spelling::CacheControl, ttl }
    }
}

impl From<Breakpoint> for Mark {
    fn from(Breakpoint { mode: _, ttl }: Breakpoint) -> Self {
        Self { spelling: Spelling::Breakpoint, ttl }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Str::deserialize(deserializer)?;
        minutes(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no duration such as 5m or 1h")))
    }
}

fn minutes(text: &str) -> Option<u32> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 1),
        None => (text.strip_suffix('h')?, 60),
    };
    number.parse::<u32>().ok()?.checked_mul(unit).filter(|minutes| *minutes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_as_minutes() {
        for (text, read) in [
            ("5m", Some(5)),
            ("1h", Some(60)),
            ("12h", Some(720)),
            ("0m", None),
            ("-1h", None),
            ("1d", None),
            ("h", None),
            ("", None),
            ("99999999h", None),
        ] {
            assert_eq!(minutes(text), read, "{text}");
        }
    }
}
