//! A caller's word on kept answers: the header `x-outcrop-cache`, `Cache-Control`, and LiteLLM's member `cache`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap};
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use translate::Invalid;

use super::CacheMode;

const HEADER: &str = "x-outcrop-cache";
const MEMBER: &str = "cache";

/// A caller's word on kept answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// Whether it asks for them, or forbids them.
    wanted: Option<bool>,
    /// The answer must be new.
    no_cache: bool,
    /// The answer must not be kept.
    no_store: bool,
    /// Longest time that the answer may be used.
    ttl: Option<Duration>,
    /// Longest age of a kept answer.
    max_age: Option<Duration>,
}

/// LiteLLM's member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    #[serde(rename = "use-cache")]
    wanted: Option<bool>,
    #[serde(rename = "no-cache")]
    no_cache: Option<bool>,
    #[serde(rename = "no-store")]
    no_store: Option<bool>,
    ttl: Option<u32>,
    #[serde(rename = "s-maxage", alias = "s-max-age")]
    max_age: Option<u32>,
}

impl CacheControl {
    /// The word of the headers. Directives without a meaning here are left to other caches.
    ///
    /// # Errors
    /// `x-outcrop-cache` is neither `on` nor `off`.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Self, Invalid> {
        let mut control = Self::default();
        if let Some(value) = headers.get(HEADER) {
            let word = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
            control.wanted = Some(match word.as_str() {
                "on" | "true" | "1" => true,
                "off" | "false" | "0" => false,
                _ => {
                    return Err(Invalid::value(HEADER, "The header x-outcrop-cache is on or off."));
                }
            });
        }
        let lines = headers.get_all(CACHE_CONTROL).filter_map(|value| value.to_str().ok());
        for directive in lines.flat_map(|line| line.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let seconds = || value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
            match name.trim().to_ascii_lowercase().as_str() {
                "no-cache" => control.no_cache = true,
                "no-store" => control.no_store = true,
                "max-age" => control.max_age = seconds().or(control.max_age),
                _ => {}
            }
        }
        Ok(control)
    }

    /// Whether a request may be answered by a kept answer.
    pub(crate) fn reads(&self, mode: CacheMode) -> bool {
        self.is_used(mode) && !self.no_cache
    }

    /// Whether its answer may be kept.
    pub(crate) fn stores(&self, mode: CacheMode) -> bool {
        self.is_used(mode) && !self.no_store && self.ttl != Some(Duration::ZERO)
    }

    /// Whether an answer of this age is young enough.
    pub(crate) fn accepts(&self, age: Duration) -> bool {
        self.max_age.is_none_or(|max_age| age <= max_age)
    }

    /// The time for which its answer is used; the operator's is the longest.
    pub(crate) fn ttl(&self, longest: Duration) -> Duration {
        self.ttl.unwrap_or(longest).min(longest)
    }

    fn is_used(&self, mode: CacheMode) -> bool {
        match mode {
            CacheMode::Off => false,
            CacheMode::OnRequest => self.wanted == Some(true),
            CacheMode::All => self.wanted != Some(false),
        }
    }

    fn with(mut self, member: &RawValue) -> Result<Self, Invalid> {
        let read: Option<Member> = serde_json::from_str(member.get()).map_err(|_| {
            let message = "cache is an object of use-cache, no-cache, no-store (true or false), ttl and s-maxage (seconds).";
            Invalid::value(MEMBER, message)
        })?;
        let Some(member) = read else { return Ok(self) };
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        self.wanted = member.wanted.or(self.wanted);
        self.no_cache |= member.no_cache == Some(true);
        self.no_store |= member.no_store == Some(true);
        self.ttl = member.ttl.map(seconds).or(self.ttl);
        self.max_age = member.max_age.map(seconds).or(self.max_age);
        Ok(self)
    }
}

/// Takes the member `cache` out of a body, which no model knows.
///
/// # Errors
/// It cannot be read.
pub(crate) fn taken_out(
    body: Bytes,
    control: CacheControl,
) -> Result<(Bytes, CacheControl), Invalid> {
    if memmem::find(&body, b"\"cache\"").is_none() {
        return Ok((body, control));
    }
    // A body that is no object is refused where it is read.
    let Some(mut members) = members(&body) else { return Ok((body, control)) };
    let Some(member) = members.remove(MEMBER) else { return Ok((body, control)) };
    let control = control.with(member)?;
    let rest = serde_json::to_vec(&members).map(Bytes::from);
    let rest = rest.map_err(|error| Invalid::value(MEMBER, error.to_string()))?;
    Ok((rest, control))
}

/// The members of a body, by name.
pub(crate) fn members(body: &[u8]) -> Option<BTreeMap<Cow<'_, str>, &RawValue>> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;
    use CacheMode::{All, Off, OnRequest};

    fn of(pairs: &[(&'static str, &'static str)]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                actix_web::http::header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        CacheControl::of_headers(&headers).unwrap()
    }

    #[test]
    fn headers_ask_for_kept_answers_or_forbid_them() {
        let (none, on, off) = (of(&[]), of(&[(HEADER, " On")]), of(&[(HEADER, "off")]));
        for (control, mode, used) in [
            (none, Off, false),
            (none, OnRequest, false),
            (none, All, true),
            (on, Off, false),
            (on, OnRequest, true),
            (on, All, true),
            (off, All, false),
        ] {
            assert_eq!((control.reads(mode), control.stores(mode)), (used, used), "{control:?}");
        }
        let fresh = of(&[("cache-control", "no-cache"), ("cache-control", "max-age=5")]);
        assert_eq!((fresh.reads(All), fresh.stores(All)), (false, true));
        assert!(fresh.accepts(Duration::from_secs(5)) && !fresh.accepts(Duration::from_secs(6)));
        let secret = of(&[("cache-control", "max-stale, no-store")]);
        assert_eq!((secret.reads(All), secret.stores(All)), (true, false));
        let mut headers = HeaderMap::new();
        headers.insert(
            actix_web::http::header::HeaderName::from_static(HEADER),
            HeaderValue::from_static("maybe"),
        );
        assert_eq!(CacheControl::of_headers(&headers).unwrap_err().param.as_deref(), Some(HEADER));
    }

    #[test]
    fn the_member_is_taken_out_of_the_body() {
        let body = |text: &str| taken_out(Bytes::from(text.to_owned()), CacheControl::default());
        let (rest, control) = body(
            r#"{"b": [1, 2], "cache": {"use-cache": true, "ttl": 30, "s-maxage": 9}, "a": 1}"#,
        )
        .unwrap();
        assert_eq!(rest, r#"{"a":1,"b":[1, 2]}"#);
        assert!(control.reads(OnRequest) && control.stores(OnRequest));
        assert_eq!(control.ttl(Duration::from_secs(60)), Duration::from_secs(30));
        assert_eq!(control.ttl(Duration::from_secs(10)), Duration::from_secs(10));
        let (_, control) = body(r#"{"cache": {"no-cache": true, "no-store": true}}"#).unwrap();
        assert!(!control.reads(All) && !control.stores(All));
        let inner = r#"{"messages": [{"cache": 1}]}"#;
        assert_eq!(body(inner).unwrap(), (Bytes::from(inner), CacheControl::default()));
        assert_eq!(body(r#"{"cache":null}"#).unwrap().0, "{}");
        for wrong in [r#"{"cache": true}"#, r#"{"cache": {"ttl": -1}}"#, r#"{"cache": {"x": 1}}"#] {
            assert_eq!(body(wrong).unwrap_err().param.as_deref(), Some("cache"), "{wrong}");
        }
    }
}
