//! The booking of a call that is given up because another's answer came first.

use std::sync::Arc;
use std::time::Instant;

use routing::{AttemptLog, Target};
use schema::converse::response::TokenUsage;
use translate::spent::{BilledTier, Spent};

use super::settlement::{CallEnd, EndedCall, GuardrailUse, ReservedCall, Settlement, TOKEN};
use crate::call_price::CallPrice;
use crate::telemetry::Telemetry;

/// The status of calls that their client gave up.
const CLOSED: u16 = 499;

/// A target, as far as the row of a call tells.
#[derive(Debug, Clone)]
pub(crate) struct CalledTarget {
    label: Arc<str>,
    region: String,
    /// Of the model: the same where tokens are counted alike.
    identity: u64,
    price: CallPrice,
}

impl CalledTarget {
    pub(crate) fn of(target: &Target) -> Self {
        Self {
            label: Arc::clone(&target.label),
            region: target.account.region().to_owned(),
            identity: target.model.identity(),
            price: CallPrice::of(&target.model),
        }
    }

    pub(crate) fn price(&self) -> &CallPrice {
        &self.price
    }

    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(crate) fn identity(&self) -> u64 {
        self.identity
    }
}

/// The second of two calls, or the one that is given up. However the request ends, its row is written once:
/// void if it was not sent or was refused, else with the tokens that it read, and those of the text
/// that was received.
#[derive(Debug)]
pub(crate) struct SpareCall {
    at: CalledTarget,
    model: String,
    /// Tokens that it reads.
    read: u64,
    /// Bytes of text that it has written.
    written: usize,
    series: Option<Arc<str>>,
    telemetry: Arc<Telemetry>,
    began: Instant,
    end: SpareEnd,
}

#[derive(Debug)]
enum SpareEnd {
    /// It is settled at the end.
    Reserved(Box<ReservedCall>),
    /// Without accounts it is only counted.
    Unaccounted,
    /// It has been settled.
    Over,
}

impl SpareCall {
    /// A call of these names, of the model as asked for and in metrics, that reads so many tokens.
    pub(crate) fn new(
        at: CalledTarget,
        (model, series): (String, Option<Arc<str>>),
        read: u64,
        reserved: Option<ReservedCall>,
        telemetry: &Arc<Telemetry>,
    ) -> Self {
        let end = match reserved {
            Some(reserved) => SpareEnd::Reserved(Box::new(reserved)),
            None => SpareEnd::Unaccounted,
        };
        let (telemetry, began) = (Arc::clone(telemetry), Instant::now());
        Self { at, model, read, written: 0, series, telemetry, began, end }
    }

    /// Notes the text that it has written, in bytes.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written = bytes;
    }

    /// The call of this target is the one that is given up.
    pub(crate) fn is_at(&mut self, at: CalledTarget) {
        self.at = at;
    }

    /// Ends it by the usage of the answer that came first: the prompt has as many tokens, if the models count
    /// alike.
    pub(crate) fn beside(mut self, usage: Option<TokenUsage>, target: u64) {
        if let Some(usage) = usage.filter(|_| self.at.identity == target) {
            let cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens;
            self.read = usage.input_tokens + cached;
        }
        // Dropping it writes its row.
    }

    /// Ends it as a call that cost nothing.
    pub(crate) fn void(mut self) {
        let SpareEnd::Reserved(reserved) = std::mem::replace(&mut self.end, SpareEnd::Over) else {
            return;
        };
        self.settle(*reserved, CallEnd::Refused);
    }

    fn settle(&self, mut reserved: ReservedCall, end: CallEnd) {
        (reserved.read, reserved.price) = (self.read, Some(self.at.price.clone()));
        let settlement = Settlement::of(None);
        settlement.sends();
        settlement.wrote(self.written);
        let attempt_log = AttemptLog {
            target: Arc::clone(&self.at.label),
            region: self.at.region.clone(),
            attempts: 1,
            ..AttemptLog::default()
        };
        let kind = reserved.end(
            &settlement,
            &EndedCall {
                end,
                status: CLOSED,
                error_code: None,
                model: &self.model,
                attempt_log: Some(&attempt_log),
                spent: Spent::default(),
                guardrails: GuardrailUse::default(),
                ttft: None,
                total: self.began.elapsed(),
            },
        );
        self.telemetry.metrics.settled(kind);
    }
}

impl Drop for SpareCall {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.end, SpareEnd::Over) {
            SpareEnd::Over => return,
            SpareEnd::Unaccounted => {}
            SpareEnd::Reserved(reserved) => self.settle(*reserved, CallEnd::CutOff),
        }
        let output_tokens = u64::try_from(self.written).unwrap_or(u64::MAX).div_ceil(TOKEN);
        let usage = TokenUsage { input_tokens: self.read, output_tokens, ..TokenUsage::default() };
        let cost = self.at.price.cost(usage, BilledTier::Standard);
        self.telemetry.metrics.given_up(self.series.as_ref(), usage, cost);
    }
}
