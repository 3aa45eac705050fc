//! The accounts of one request: its reservation, the calls made besides its attempts, and the row that its end writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use access::accounts::Reservation;
use access::ledger::CallOutcome;
use access::spend::Usage;
use access::{Holder, Nanodollars};
use actix_web::http::header::HeaderValue;
use routing::catalogue::Catalogue;
use routing::{Attempt, AttemptLog};
use schema::converse::response::TokenUsage;
use schema::openai::usage::CostUsd;
use translate::guardrail::verdict::Units;
use translate::spent::{BilledTier, Spent};

use super::context::of_quota;
use crate::call_price::{CallPrice, counted, guardrail_cost};
use crate::telemetry::metrics::SettlementKind;
use crate::telemetry::traces::TRACEPARENT;

/// Bytes of text in a token, for estimates.
pub(super) const TOKEN: u64 = 4;
/// The source of the price of answers that were kept.
pub(crate) const KEPT: &str = "cache_hit";

/// Calls of a request besides those in its attempt log. Shared with work that outlives a borrow of the context.
#[derive(Debug)]
pub(crate) struct Settlement {
    guardrails: Mutex<GuardrailUse>,
    /// Whether bytes may have gone upstream.
    sent: AtomicBool,
    /// Whether the answer is complete.
    complete: AtomicBool,
    /// Bytes of text that the answer has had so far.
    written: AtomicU64,
    waits: Waits,
    /// The call that continued the answer.
    continued: Mutex<Option<ContinuedBy>>,
    /// Header of calls, if the request is traced.
    traceparent: Option<http::HeaderValue>,
}

/// Time in which a request waited for others than the gateway. Waits at the same time count once.
#[derive(Debug)]
struct Waits {
    origin: Instant,
    /// Waits under way.
    depth: AtomicU64,
    /// The beginning of the first of them, in nanoseconds since the origin.
    since: AtomicU64,
    /// Nanoseconds of those that are over.
    total: AtomicU64,
}

/// A wait; dropping it ends it.
pub(crate) struct Wait<'s>(&'s Waits);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Waits { depth, since, total, .. } = self.0;
        if depth.fetch_sub(1, Ordering::Relaxed) == 1 {
            let waited = self.0.now().saturating_sub(since.load(Ordering::Relaxed));
            total.fetch_add(waited, Ordering::Relaxed);
        }
    }
}

impl Waits {
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn begin(&self) -> Wait<'_> {
        if self.depth.fetch_add(1, Ordering::Relaxed) == 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
        Wait(self)
    }
}

impl Settlement {
    /// Of a request whose calls carry this `traceparent`.
    pub(crate) fn of(traceparent: Option<HeaderValue>) -> Self {
        let zero = || AtomicU64::new(0);
        let waits = Waits { origin: Instant::now(), depth: zero(), since: zero(), total: zero() };
        Self {
            guardrails: Mutex::default(),
            sent: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            written: zero(),
            waits,
            continued: Mutex::default(),
            traceparent: traceparent
                .and_then(|value| http::HeaderValue::from_bytes(value.as_bytes()).ok()),
        }
    }

    /// Adds the trace of the request to the headers of a call.
    pub(crate) fn traces(&self, headers: &mut http::HeaderMap) {
        if let Some(traceparent) = &self.traceparent {
            headers.insert(TRACEPARENT, traceparent.clone());
        }
    }
}

/// Guardrails that were called separately from the model.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GuardrailUse {
    pub(crate) calls: u64,
    pub(crate) units: Units,
}

/// The target of a call that continues another one, and its attempts.
#[derive(Debug)]
pub(crate) struct ContinuedBy {
    pub(crate) label: Arc<str>,
    pub(crate) region: String,
    pub(crate) price: CallPrice,
    pub(crate) attempts: u32,
    pub(crate) made: Vec<Attempt>,
}

/// A call that was reserved.
#[derive(Debug)]
pub(crate) struct ReservedCall {
    pub(crate) reservation: Reservation,
    /// Tokens that the model reads, estimated.
    pub(crate) read: u64,
    /// The price of the first target.
    pub(crate) price: Option<CallPrice>,
    /// Whether such calls cost nothing.
    pub(crate) is_free: bool,
    /// Whether a kept answer was given in place of a call.
    pub(crate) is_kept: bool,
    /// The holder of the key.
    pub(crate) holder: Option<Arc<Holder>>,
    /// The prices of guardrails.
    pub(crate) catalogue: Catalogue,
}

/// The end of a request, as far as its row tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// Answered in full.
    Complete,
    /// Refused before it was billed.
    Refused,
    /// Cut off at some point, by the client, the upstream or the gateway.
    CutOff,
}

/// Facts of a call at the end of its request.
pub(crate) struct EndedCall<'e> {
    pub(crate) end: CallEnd,
    pub(crate) status: u16,
    /// The code of the error, or the kind of end.
    pub(crate) error_code: Option<&'e str>,
    pub(crate) model: &'e str,
    pub(crate) attempt_log: Option<&'e AttemptLog>,
    pub(crate) spent: Spent,
    pub(crate) guardrails: GuardrailUse,
    pub(crate) ttft: Option<Duration>,
    pub(crate) total: Duration,
}

impl Settlement {
    /// Adds the usage of a guardrail call.
    pub(crate) fn guardrail(&self, units: Units) {
        let mut used = self.guardrails.lock().unwrap_or_else(PoisonError::into_inner);
        used.calls += 1;
        used.units += units;
    }

    /// Notes that a call may be made from now on.
    pub(crate) fn sends(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }

    /// Notes that another call goes on with the answer.
    pub(crate) fn continued(&self, by: ContinuedBy) {
        *self.continued.lock().unwrap_or_else(PoisonError::into_inner) = Some(by);
    }

    pub(super) fn take_continued(&self) -> Option<ContinuedBy> {
        self.continued.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that the answer is complete.
    pub(super) fn completes(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    /// Whether the answer is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// Adds text of the answer, in bytes.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Begins a wait for the client's body, for linked media or for Bedrock.
    pub(crate) fn waits(&self) -> Wait<'_> {
        self.waits.begin()
    }

    /// The time of all waits that are over.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waits.total.load(Ordering::Relaxed))
    }

    pub(crate) fn guardrails(&self) -> GuardrailUse {
        *self.guardrails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReservedCall {
    /// Ends the call: settled by its usage, estimated where it was cut off, void where it cost nothing.
    pub(crate) fn end(mut self, settlement: &Settlement, ended: &EndedCall<'_>) -> SettlementKind {
        if self.is_kept {
            let outcome = CallOutcome {
                price_source: Some(KEPT.to_owned()),
                ..self.outcome(ended, TokenUsage::default(), Some(CostUsd(0)))
            };
            self.reservation.settle(outcome, 0);
            return SettlementKind::Settled;
        }
        if !settlement.sent.load(Ordering::Relaxed) {
            let outcome = self.outcome(ended, TokenUsage::default(), None);
            self.reservation.void(outcome);
            return SettlementKind::Void;
        }
        match (ended.end, ended.spent.usage()) {
            (CallEnd::Refused, None) => {
                let outcome = self.outcome(ended, TokenUsage::default(), None);
                self.reservation.void(outcome);
                SettlementKind::Void
            }
            (CallEnd::Complete, None) => {
                // Without counts the call cost nothing but its guardrails, or what it cost is not known.
                let is_known = self.is_free || settlement.guardrails().calls > 0;
                let cost = is_known.then_some(CostUsd(0));
                let outcome = self.outcome(ended, TokenUsage::default(), cost);
                self.reservation.settle(outcome, 0);
                SettlementKind::Settled
            }
            (_, Some(usage)) => {
                let outcome = self.outcome(ended, usage, ended.spent.cost());
                self.reservation.settle(outcome, of_quota(usage));
                SettlementKind::Settled
            }
            (CallEnd::CutOff, None) => {
                let seen = settlement.written.load(Ordering::Relaxed);
                let usage = TokenUsage {
                    input_tokens: self.read,
                    output_tokens: seen.div_ceil(TOKEN),
                    ..TokenUsage::default()
                };
                let price = self.price.as_ref();
                match price.and_then(|price| price.cost(usage, BilledTier::Standard)) {
                    Some(cost) => {
                        let outcome = self.outcome(ended, usage, Some(cost));
                        self.reservation.settle_estimated(outcome, of_quota(usage));
                        SettlementKind::Estimated
                    }
                    // Everything that was reserved is taken for spent.
                    None => {
                        self.reservation.is_sent();
                        SettlementKind::Assumed
                    }
                }
            }
        }
    }

    /// The cost with that of guardrails called beside the model; none without a price for each.
    fn with_guardrails(&self, cost: CostUsd, used: GuardrailUse) -> Option<Nanodollars> {
        let cost = Nanodollars::from_picodollars(i128::from(cost.0));
        if used.calls == 0 {
            return Some(cost);
        }
        Some(cost.plus(guardrail_cost(&self.catalogue, &priced_units(used.units))?))
    }

    fn outcome(
        &self,
        ended: &EndedCall<'_>,
        usage: TokenUsage,
        cost: Option<CostUsd>,
    ) -> CallOutcome {
        let Usage { input, output, cache_read, cache_write, cache_write_1h, .. } = counted(usage);
        let target = ended.attempt_log.map(|log| &*log.target).unwrap_or_default();
        let served = target.rsplit_once('@').map_or(ended.model, |(model, _)| model);
        let priced = cost.and(self.price.as_ref());
        let row = priced.and_then(|price| price.row(usage, ended.spent.tier()));
        let (price_id, price_source) = row.unzip();
        CallOutcome {
            model: served.to_owned(),
            model_group: (served != ended.model).then(|| ended.model.to_owned()),
            region: ended.attempt_log.map(|log| log.region.clone()).filter(|it| !it.is_empty()),
            reach: priced.map(CallPrice::reach),
            tier: Some(ended.spent.tier().name().to_owned()),
            input,
            output,
            cache_read,
            cache_write_5m: cache_write,
            cache_write_1h,
            units: priced.and_then(|price| price.pieces().column()),
            cost: cost.and_then(|cost| self.with_guardrails(cost, ended.guardrails)),
            price_id,
            price_source,
            status: ended.status,
            error_code: ended.error_code.map(ToOwned::to_owned),
            ttft_ms: ended.ttft.map(millis),
            total_ms: millis(ended.total),
            attempts: ended.attempt_log.map_or(0, |log| log.attempts),
        }
    }
}

/// The units in the terms of prices.
fn priced_units(units: Units) -> Usage {
    let Units { content, topic, word, sensitive_information, contextual_grounding, images } = units;
    Usage {
        guardrail_content: content,
        guardrail_topic: topic,
        guardrail_word: word,
        guardrail_pii: sensitive_information,
        guardrail_grounding: contextual_grounding,
        guardrail_images: images,
        ..Usage::default()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
