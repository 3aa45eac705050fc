//! Headers of answers and errors that tell of the calls: attempts, cost, limits.

use access::{Clock, Nanodollars};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use routing::catalogue::ModelEnd;

use super::RequestContext;
use crate::error::SHOULD_RETRY;
use crate::request::account_headers::AccountHeaders;

const TARGET: HeaderName = HeaderName::from_static("x-outcrop-target");
const REGION: HeaderName = HeaderName::from_static("x-outcrop-region");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-outcrop-attempts");
const COST: HeaderName = HeaderName::from_static("x-outcrop-cost-usd");
const LITELLM_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const MODEL_END: HeaderName = HeaderName::from_static("x-outcrop-model-end");
const HEDGE: HeaderName = HeaderName::from_static("x-outcrop-hedge");
const FALLBACK: HeaderName = HeaderName::from_static("x-outcrop-fallback");
pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-outcrop-model");

impl RequestContext {
    /// The cost of a unary answer as headers: the gateway's own name, and LiteLLM's.
    pub(crate) fn cost_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let cost = self.spent.cost().and_then(|cost| header(&cost.to_string()));
        let names = [COST, LITELLM_COST].into_iter();
        names.filter_map(move |name| cost.clone().map(|cost| (name, cost)))
    }

    /// The call, its limits and the key's spend, as headers; without accounts, the quotas of its target.
    pub(crate) fn account_headers(&self) -> AccountHeaders {
        let quota = self.attempt_log.as_ref().map(|log| log.quota).unwrap_or_default();
        let Some(reserved) = &self.reserved else { return AccountHeaders::of_quota(quota) };
        let mut headers = AccountHeaders::with_room();
        let so_far = self.started.elapsed();
        headers.call(self.id(), &self.model, self.attempt_log.as_ref(), so_far);
        let cost = self.spent.cost().map_or(0, |cost| i128::from(cost.0));
        let cost = Nanodollars::from_picodollars(cost);
        headers.rates(Some(reserved), quota);
        headers.spend(reserved, cost, Clock::default().now());
        headers
    }

    /// The attempts, as headers.
    pub(crate) fn attempt_log(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // Without an attempt there is no target to name.
        let attempt_log = self.attempt_log.as_ref().filter(|attempt_log| attempt_log.attempts > 0);
        let values = attempt_log.map(|attempt_log| {
            let fallback = attempt_log.fallback.as_deref();
            let asked = attempt_log.target.rsplit_once('@').map(|(model, _)| model);
            let model = self.invoked.as_deref().or(asked);
            [
                (MODEL, model.and_then(|model| HeaderValue::from_str(model).ok())),
                (TARGET, header(&attempt_log.target)),
                (REGION, header(&attempt_log.region)),
                (ATTEMPTS, Some(HeaderValue::from(attempt_log.attempts))),
                (MODEL_END, attempt_log.end.as_deref().and_then(model_end)),
                (HEDGE, attempt_log.hedge.map(|end| HeaderValue::from_static(end.name()))),
                (FALLBACK, fallback.and_then(|name| HeaderValue::from_str(name).ok())),
            ]
        });
        values.into_iter().flatten().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Adds the attempts to an error, and tells clients not to retry if the retries are used up.
    pub(crate) fn mark_refusal(&self, headers: &mut HeaderMap) {
        for (name, value) in self.attempt_log().chain(self.timing()) {
            headers.insert(name, value);
        }
        if self.attempt_log.as_ref().is_some_and(|attempt_log| attempt_log.spent) {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
}

/// The day after a model's life, and its successor.
fn model_end(end: &ModelEnd) -> Option<HeaderValue> {
    let value = match &end.successor {
        None => end.day.to_string(),
        Some(other) => format!("{}; use={other}", end.day),
    };
    HeaderValue::try_from(value).ok()
}

/// A header's value; absent if the text is empty.
fn header(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().filter(|_| !text.is_empty())
}
