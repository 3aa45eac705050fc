//! Headers that tell a caller of its limits, its spend and its call, by OpenAI's and LiteLLM's names. A limit that is
//! not set has no header.

use std::time::Duration;

use access::limit::{RateHold, RateState};
use access::{Nanodollars, UtcTime};
use actix_web::http::header::{HeaderName, HeaderValue};
use routing::{AttemptLog, QuotaLeft};

use super::settlement::ReservedCall;

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const MODEL_REGION: HeaderName = HeaderName::from_static("x-litellm-model-region");
const RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const KEY_SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
const KEY_MAX_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");
const KEY_TPM: HeaderName = HeaderName::from_static("x-litellm-key-tpm-limit");
const KEY_RPM: HeaderName = HeaderName::from_static("x-litellm-key-rpm-limit");
const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// Headers that a call under all limits has.
const MOST: usize = 18;

/// Headers in the making.
#[derive(Debug, Default)]
pub(crate) struct AccountHeaders(Vec<(HeaderName, HeaderValue)>);

impl AccountHeaders {
    /// No headers, with room for all.
    pub(super) fn with_room() -> Self {
        Self(Vec::with_capacity(MOST))
    }

    /// The call by LiteLLM's names, whose clients and dashboards read them.
    pub(super) fn call(
        &mut self,
        id: &str,
        model: &str,
        log: Option<&AttemptLog>,
        so_far: Duration,
    ) {
        self.add(CALL_ID, id);
        self.0.push((VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION"))));
        self.add(MODEL_GROUP, model);
        self.count(DURATION, u64::try_from(so_far.as_millis()).unwrap_or(u64::MAX));
        let Some(log) = log.filter(|log| log.attempts > 0) else { return };
        self.add(MODEL_ID, &log.target);
        self.add(MODEL_REGION, &log.region);
        self.count(RETRIES, (log.attempts - 1).into());
        self.count(FALLBACKS, log.fallback.is_some().into());
    }

    /// The quotas of the target of a call without accounts.
    pub(super) fn of_quota(quota: QuotaLeft) -> Self {
        let mut headers = Self::default();
        headers.rates(None, quota);
        headers
    }

    /// The rates that the call was reserved under and the quotas of its target: of each kind, the one that leaves the
    /// least.
    pub(super) fn rates(&mut self, reserved: Option<&ReservedCall>, quota: QuotaLeft) {
        let rates = reserved.map(|reserved| reserved.reservation.rates());
        let requests = rates.and_then(RateHold::requests);
        let tokens = rates.and_then(RateHold::tokens);
        self.rate(tighter(requests, quota.requests), REQUESTS);
        self.rate(tighter(tokens, quota.tokens), TOKENS);
    }

    /// The key's limits, and its spend with the cost of this call.
    pub(super) fn spend(&mut self, reserved: &ReservedCall, cost: Nanodollars, now: UtcTime) {
        if let Some(spend) = reserved.reservation.key_spend() {
            self.add(KEY_SPEND, &spend.plus(cost).to_string());
        }
        let Some(holder) = reserved.holder.as_deref() else { return };
        let limits = holder.key_limits_at(now);
        if let Some(most) = limits.max_budget {
            self.add(KEY_MAX_BUDGET, &most.to_string());
        }
        for (name, limit) in [(KEY_TPM, limits.tpm_limit), (KEY_RPM, limits.rpm_limit)] {
            if let Some(limit) = limit {
                self.count(name, limit);
            }
        }
    }

    fn rate(&mut self, state: Option<RateState>, [limit, remaining, reset]: [HeaderName; 3]) {
        let Some(state) = state else { return };
        self.count(limit, state.limit);
        self.count(remaining, state.remaining);
        let millis = state.reset_after.as_millis();
        let span = match millis {
            0..1000 => format!("{millis}ms"),
            _ => format!("{}s", millis.div_ceil(1000)),
        };
        self.add(reset, &span);
    }

    fn count(&mut self, name: HeaderName, count: u64) {
        self.0.push((name, HeaderValue::from(count)));
    }

    fn add(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            self.0.push((name, value));
        }
    }
}

fn tighter(one: Option<RateState>, other: Option<RateState>) -> Option<RateState> {
    one.into_iter().chain(other).min_by_key(|state| state.remaining)
}

impl IntoIterator for AccountHeaders {
    type Item = (HeaderName, HeaderValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
