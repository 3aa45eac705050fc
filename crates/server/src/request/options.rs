//! What a caller says by header of how a request is to be treated: what becomes of fields that cannot be
//! honoured, what targets it is for, and whether Bedrock is called at all.

use actix_web::http::header::HeaderMap;
use translate::{Invalid, Unsupported};

use routing::Tags;

const UNSUPPORTED: &str = "x-outcrop-unsupported-params";
const DRY_RUN: &str = "x-outcrop-dry-run";

/// How a request is to be treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestOptions {
    unsupported: Option<Unsupported>,
    pub(crate) mode: CallMode,
}

/// What is done with a question once it is translated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CallMode {
    /// It is sent.
    #[default]
    Send,
    /// It is shown to the caller.
    DryRun,
}

impl RequestOptions {
    /// Reads the headers.
    ///
    /// # Errors
    /// One that cannot be read, by its name.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Invalid> {
        let unsupported = word(headers, UNSUPPORTED, "warn, drop or reject", Unsupported::parse)?;
        let mode = word(headers, DRY_RUN, "true or false", |word| match word {
            "true" | "1" => Some(CallMode::DryRun),
            "false" | "0" => Some(CallMode::Send),
            _ => None,
        })?;
        Ok(Self { unsupported, mode: mode.unwrap_or_default() })
    }

    /// For calls that cannot be shown: sending one that was to be shown would be the worst of answers.
    ///
    /// # Errors
    /// The caller asks for a dry run, or for what cannot be read.
    pub(crate) fn only_send(headers: &HeaderMap) -> Result<(), Invalid> {
        match Self::of(headers)?.mode {
            CallMode::Send => Ok(()),
            CallMode::DryRun => Err(Invalid::value(
                DRY_RUN,
                "There are dry runs of chats, embeddings and Bedrock's own API, not of this.",
            )),
        }
    }

    /// What becomes of fields that cannot be honoured; `own` is what the operator says.
    pub(crate) fn policy(self, own: Unsupported) -> Unsupported {
        self.unsupported.unwrap_or(own)
    }
}

/// Tags that a caller's headers give a request.
pub(crate) fn tags(headers: &HeaderMap) -> Tags {
    Tags::of_headers(|name| headers.get(name)?.to_str().ok())
}

fn word<T>(
    headers: &HeaderMap,
    name: &'static str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Invalid> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let told = value.to_str().ok().and_then(|word| read(&word.trim().to_ascii_lowercase()));
    match told {
        Some(told) => Ok(Some(told)),
        None => Err(Invalid::value(name, format!("The header {name} is {expected}."))),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Result<RequestOptions, Invalid> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        RequestOptions::of(&pairs.iter().map(pair).collect())
    }

    #[test]
    fn headers_count_before_the_operator_and_mistakes_are_named() {
        let none = of(&[]).unwrap();
        assert_eq!(
            (none.mode, none.policy(Unsupported::Drop)),
            (CallMode::Send, Unsupported::Drop)
        );
        let told = of(&[(UNSUPPORTED, " Reject "), (DRY_RUN, "TRUE")]).unwrap();
        assert_eq!(
            (told.mode, told.policy(Unsupported::Drop)),
            (CallMode::DryRun, Unsupported::Reject)
        );
        assert_eq!(of(&[(DRY_RUN, "false")]).unwrap().mode, CallMode::Send);
        for (name, value) in [(UNSUPPORTED, "maybe"), (UNSUPPORTED, ""), (DRY_RUN, "yes please")] {
            let refused = of(&[(name, value)]).unwrap_err();
            assert_eq!((refused.param.as_deref(), refused.code), (Some(name), "invalid_value"));
        }
    }
}
