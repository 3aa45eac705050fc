//! Option headers of the gateway. All are read once, before a byte of the body, so that an unreadable
//! header costs neither an upload nor a call.

use actix_web::http::header::{HeaderMap, HeaderName};
use translate::{Invalid, Unsupported};

use super::betas;
use super::guardrail::RequestedGuardrail;
use routing::Tags;

static UNSUPPORTED: HeaderName = HeaderName::from_static("x-outcrop-unsupported-params");
static DRY_RUN: HeaderName = HeaderName::from_static("x-outcrop-dry-run");
/// Headers that hold tags, with commas between.
static TAGS: [HeaderName; 2] =
    [HeaderName::from_static("x-outcrop-tags"), HeaderName::from_static("x-litellm-tags")];

/// The option headers of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequestOptions {
    unsupported: Option<Unsupported>,
    pub(crate) mode: CallMode,
    /// The guardrail named by InvokeModel's headers.
    pub(crate) guardrail: RequestedGuardrail,
    /// Betas of Anthropic's API.
    pub(crate) betas: Vec<String>,
    /// Tags of the targets that the request may go to.
    pub(crate) tags: Tags,
}

/// The treatment of a translated request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CallMode {
    /// It is sent.
    #[default]
    Send,
    /// It is shown to the caller.
    DryRun,
    /// It is answered without a call, and a later request continues it.
    WarmUp,
}

/// The option headers that a route supports besides the policy on unsupported parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteOptions {
    /// None, not even dry runs.
    None,
    /// Betas, which decide what is counted.
    Count,
    /// Dry runs.
    DryRun,
    /// Dry runs, guardrails and betas: requests to a model of Converse.
    Model,
}

impl RequestOptions {
    /// Reads the headers that a route supports.
    ///
    /// # Errors
    /// A header that cannot be read, by its name, or a dry run of a route without dry runs, because the
    /// request must then not be sent.
    pub(crate) fn read(headers: &HeaderMap, route: RouteOptions) -> Result<Self, Invalid> {
        let unsupported = word(headers, &UNSUPPORTED, "warn, drop or reject", Unsupported::parse)?;
        let mode = word(headers, &DRY_RUN, "true or false", |word| match word {
            "true" | "1" => Some(CallMode::DryRun),
            "false" | "0" => Some(CallMode::Send),
            _ => None,
        })?;
        let mode = mode.unwrap_or_default();
        let (guardrail, betas) = match route {
            RouteOptions::Model => (RequestedGuardrail::of(headers)?, betas::of(headers)?),
            RouteOptions::DryRun => Default::default(),
            RouteOptions::None | RouteOptions::Count if mode == CallMode::DryRun => {
                return Err(Invalid::value(
                    DRY_RUN.as_str(),
                    "There are dry runs of model calls and of Bedrock's own API, not of this.",
                ));
            }
            RouteOptions::None => Default::default(),
            RouteOptions::Count => (RequestedGuardrail::default(), betas::of(headers)?),
        };
        let tags =
            Tags::of_headers(TAGS.iter().filter_map(|name| headers.get(name)?.to_str().ok()));
        Ok(Self { unsupported, mode, guardrail, betas, tags })
    }

    /// Replaces the caller's policy for fields that cannot be honoured.
    pub(crate) fn keep_to(&mut self, policy: Unsupported) {
        self.unsupported = Some(policy);
    }

    /// The policy for fields that cannot be honoured; `own` is the operator's setting.
    pub(crate) fn policy(&self, own: Unsupported) -> Unsupported {
        self.unsupported.unwrap_or(own)
    }
}

fn word<T>(
    headers: &HeaderMap,
    name: &'static HeaderName,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Invalid> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let told = value.to_str().ok().and_then(|word| read(&word.trim().to_ascii_lowercase()));
    match told {
        Some(told) => Ok(Some(told)),
        None => Err(Invalid::value(name.as_str(), format!("The header {name} is {expected}."))),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(pairs: &[(&HeaderName, &'static str)]) -> Result<RequestOptions, Invalid> {
        let pair = |&(name, value): &(&HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        RequestOptions::read(&pairs.iter().map(pair).collect(), RouteOptions::DryRun)
    }

    #[test]
    fn headers_override_the_operator_and_mistakes_are_named() {
        let none = of(&[]).unwrap();
        assert_eq!(
            (none.mode, none.policy(Unsupported::Drop)),
            (CallMode::Send, Unsupported::Drop)
        );
        let told = of(&[(&UNSUPPORTED, " Reject "), (&DRY_RUN, "TRUE")]).unwrap();
        assert_eq!(
            (told.mode, told.policy(Unsupported::Drop)),
            (CallMode::DryRun, Unsupported::Reject)
        );
        assert_eq!(of(&[(&DRY_RUN, "false")]).unwrap().mode, CallMode::Send);
        for (name, value) in [(&UNSUPPORTED, "maybe"), (&UNSUPPORTED, ""), (&DRY_RUN, "yes please")]
        {
            let refused = of(&[(name, value)]).unwrap_err();
            assert_eq!(
                (refused.param.as_deref(), refused.code),
                (Some(name.as_str()), "invalid_value")
            );
        }
    }
}
