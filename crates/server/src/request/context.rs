//! Identity and end of one request. The context is dropped at the end of every request (answered,
//! refused, broken off, or the client gone), and dropping it writes the request's one line in the
//! access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{Clock, Nanodollars};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use schema::converse::response::TokenUsage;
use translate::Stamp;
use translate::answer_stream::AnswerStream;
use translate::dialect::ErrorDialect;
use translate::spent::Spent;
use uuid::Uuid;

use super::PendingResponse;
use super::access_line::{CostField, Place, bounded};
use super::account_headers::AccountHeaders;
use super::settlement::{CallEnd, EndedCall, ReservedCall, Settlement};
use super::stream_end::StreamEnd;
use crate::call_price::CallPrice;
use crate::cutoff::Cut;
use crate::disconnect::{AnswerForm, OnDisconnect};
use crate::error::{GatewayError, SHOULD_RETRY};
use crate::quoting;
use crate::state::Worker;
use crate::write_timeout::AfterClient;
use routing::{AttemptLog, InFlight};

pub(crate) const AWS_REQUEST_ID: HeaderName = HeaderName::from_static(bedrock::AWS_REQUEST_ID);
const TARGET: HeaderName = HeaderName::from_static("x-outcrop-target");
pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-outcrop-model");
const REGION: HeaderName = HeaderName::from_static("x-outcrop-region");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-outcrop-attempts");
const COST: HeaderName = HeaderName::from_static("x-outcrop-cost-usd");
const LITELLM_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const FALLBACK: HeaderName = HeaderName::from_static("x-outcrop-fallback");

/// The id of a request in responses and in the log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

impl RequestId {
    pub(crate) fn new() -> Self {
        let text = format!("req_{}", Uuid::now_v7().simple());
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("req_unknown")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The cut-off of a request to a worker; without a worker (in tests) it never triggers.
pub(crate) fn cut_of(worker: Option<&Data<Worker>>) -> Cut {
    worker.map(|worker| worker.shared.cutoff.watch()).unwrap_or_default()
}

/// The end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The client disconnected; applies unless another outcome is set.
    ClientClosed,
    /// Answered in full.
    Complete,
    /// Answered with an error status.
    Refused,
    /// A stream that ended in an error.
    Broken,
    /// Cut off by the end of the process.
    Shutdown,
    /// A panic ended it.
    Panicked,
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct RequestContext {
    id: RequestId,
    route: &'static str,
    /// Method and path, of requests that no route takes.
    at: Option<(String, String)>,
    /// The shape of its errors.
    dialect: ErrorDialect,
    started: Instant,
    model: String,
    status: u16,
    outcome: Outcome,
    spent: Spent,
    attempt_log: Option<AttemptLog>,
    /// The model that a prompt router chose.
    invoked: Option<String>,
    /// The in-flight call, for its target's health and usage.
    in_flight: Option<InFlight>,
    /// State of the response headers, if they may be sent before the answer.
    head: Option<PendingResponse>,
    /// Calls besides the attempts.
    settlement: Arc<Settlement>,
    /// The reservation, where there are accounts.
    reserved: Option<ReservedCall>,
    /// The code of the error it was refused with.
    error_code: Option<&'static str>,
    /// Whether Bedrock may bill a call that failed.
    may_be_billed: bool,
    /// The time to the beginning of the answer.
    ttft: Option<Duration>,
    /// Triggers when the process ends.
    cut: Cut,
}

impl RequestContext {
    /// Starts the context of a request; `route` names it in the log.
    pub(crate) fn begin(http: &HttpRequest, route: &'static str) -> Self {
        let id = http.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
        Self {
            id,
            route,
            at: None,
            dialect: ErrorDialect::default(),
            started: Instant::now(),
            model: String::new(),
            status: 499,
            outcome: Outcome::ClientClosed,
            spent: Spent::default(),
            attempt_log: None,
            invoked: None,
            in_flight: None,
            head: None,
            settlement: Arc::default(),
            reserved: None,
            error_code: None,
            may_be_billed: false,
            ttft: None,
            cut: cut_of(http.app_data::<Data<Worker>>()),
        }
    }

    /// Sets the pending response, if headers may be sent before the answer.
    pub(crate) fn behind(mut self, head: PendingResponse) -> Self {
        self.head = Some(head);
        self
    }

    /// Has the access log name method and path, without the query string: keys stand there at times, and in paths.
    pub(crate) fn is_at(&mut self, http: &HttpRequest) {
        self.at = Some((http.method().to_string(), quoting::path_without_keys(http.path())));
    }

    /// Sets the shape of errors.
    pub(crate) fn speaks(&mut self, dialect: ErrorDialect) {
        self.dialect = dialect;
    }

    /// The calls besides the attempts.
    pub(crate) fn settlement(&self) -> Arc<Settlement> {
        Arc::clone(&self.settlement)
    }

    /// Triggers when the process ends, or the client cancels a response in the background: the request ends.
    pub(crate) fn cut(&self) -> Cut {
        let running = self.head.as_ref().and_then(PendingResponse::running);
        match running {
            Some(running) => self.cut.clone().or_when(running.job.cancellation()),
            None => self.cut.clone(),
        }
    }

    /// Records the attempts of a call whose answer is still to come.
    pub(crate) fn is_answered(&mut self, attempt_log: AttemptLog, in_flight: InFlight) {
        self.attempt_log = Some(attempt_log);
        self.in_flight = Some(in_flight);
        self.ttft = Some(self.started.elapsed());
    }

    /// Records the reservation of its call.
    pub(crate) fn is_reserved(&mut self, reserved: ReservedCall) {
        self.reserved = Some(reserved);
    }

    /// Whether the answer is read on if the client leaves, by the operator's setting; without accounts there is no row
    /// to make exact.
    pub(crate) fn may_drain(&self, setting: OnDisconnect, form: AnswerForm) -> AfterClient {
        let drains = self.reserved.is_some() && setting.drains(form);
        if drains && let Some(head) = &self.head {
            head.drains();
        }
        if drains { AfterClient::Drain } else { AfterClient::End }
    }

    /// Records the price of the target that answers.
    pub(crate) fn is_priced_by(&mut self, price: &CallPrice) {
        if let Some(reserved) = &mut self.reserved {
            reserved.price = Some(price.clone());
        }
    }

    /// Records the attempts of a call.
    pub(crate) fn went(&mut self, attempt_log: AttemptLog) {
        self.attempt_log = Some(attempt_log);
    }

    /// Records one more call of the target.
    pub(crate) fn asked_again(&mut self) {
        if let Some(attempt_log) = &mut self.attempt_log {
            attempt_log.attempts += 1;
        }
    }

    /// Records the model that a prompt router chose.
    pub(crate) fn was_routed_to(&mut self, model: Option<String>) {
        self.invoked = model;
    }

    /// The cost of a unary answer as headers: the gateway's own name, and LiteLLM's.
    pub(crate) fn cost_headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let cost = self.spent.cost().and_then(|cost| header(&cost.to_string()));
        let names = [COST, LITELLM_COST].into_iter();
        names.filter_map(move |name| cost.clone().map(|cost| (name, cost)))
    }

    /// The call, its limits and the key's spend, as headers; none without accounts.
    pub(crate) fn account_headers(&self) -> AccountHeaders {
        let Some(reserved) = &self.reserved else { return AccountHeaders::default() };
        let mut headers = AccountHeaders::with_room();
        let so_far = self.started.elapsed();
        headers.call(self.id(), &self.model, self.attempt_log.as_ref(), so_far);
        let cost = self.spent.cost().map_or(0, |cost| i128::from(cost.0));
        let cost = Nanodollars::from_picodollars(cost);
        headers.limits(reserved, cost, Clock::default().now());
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
                (FALLBACK, fallback.and_then(|name| HeaderValue::from_str(name).ok())),
            ]
        });
        values.into_iter().flatten().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Adds the attempts to an error, and tells clients not to retry if the retries are used up.
    pub(crate) fn mark_refusal(&self, headers: &mut HeaderMap) {
        for (name, value) in self.attempt_log() {
            headers.insert(name, value);
        }
        if self.attempt_log.as_ref().is_some_and(|attempt_log| attempt_log.spent) {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }

    /// Records a failure, for the target's health and the row of the call.
    pub(crate) fn fails_with(&mut self, error: &GatewayError) {
        self.failed(error.code(), error.may_be_billed());
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.broke_off(error);
        }
    }

    /// Records a failure for the row of the call: its code, and whether Bedrock may bill it.
    pub(crate) fn failed(&mut self, code: &'static str, may_be_billed: bool) {
        (self.error_code, self.may_be_billed) = (Some(code), may_be_billed);
    }

    /// Records the model that the caller named, unless it is a key in the wrong place.
    pub(crate) fn names_model(&mut self, model: &str) {
        self.model = quoting::path_without_keys(model);
    }

    /// Records that the caller requested a stream of this dialect; ids of its answers begin with `prefix`.
    pub(crate) fn is_of_stream<S: AnswerStream>(&self, prefix: &str) {
        if let Some(head) = &self.head {
            head.is_of_stream(StreamEnd::of::<S>(self.stamp(prefix)));
        }
    }

    /// The state of the response, if its headers may be sent before the answer.
    pub(crate) fn head(&self) -> Option<PendingResponse> {
        self.head.clone()
    }

    /// The model that the caller named.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Id and timestamp for an answer to this request; the id begins with `prefix`.
    pub(crate) fn stamp(&self, prefix: &str) -> Stamp {
        Stamp {
            id: self.id.as_str().replacen("req_", prefix, 1),
            created: unix_seconds(),
            model: self.model.clone(),
        }
    }

    /// Records the usage of all answers, with its cost where it is known.
    pub(crate) fn settle(&mut self, spent: Spent) {
        self.spent = spent;
        if let (Some(usage), Some(in_flight)) = (spent.usage(), &mut self.in_flight) {
            in_flight.settle(of_quota(usage));
        }
    }

    /// Ends the request successfully.
    pub(crate) fn complete(&mut self) {
        self.status = 200;
        self.outcome = Outcome::Complete;
    }

    /// Ends the request that opened a WebSocket, with the connection.
    pub(crate) fn switched_protocols(&mut self) {
        self.status = 101;
        self.outcome = Outcome::Complete;
    }

    /// The id of the request.
    pub(crate) fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Ends with an error status that was written elsewhere.
    pub(crate) fn refused_with(&mut self, status: u16) {
        self.status = status;
        self.outcome = Outcome::Refused;
    }

    /// Ends with an error before any byte was sent.
    pub(crate) fn refuse(&mut self, error: &GatewayError) -> HttpResponse {
        self.fails_with(error);
        let mut response = error.respond(self.dialect, self.id.as_str());
        if let Some(id) = error.aws_request_id().and_then(|id| HeaderValue::from_str(id).ok()) {
            response.headers_mut().insert(AWS_REQUEST_ID, id);
        }
        self.mark_refusal(response.headers_mut());
        if let Some(head) = &self.head {
            head.fails_job(error);
        }
        if let Some(head) = self.head.as_ref().filter(|head| head.is_sent()) {
            head.refuses(error);
            log::warn!("{} refused after early headers: {error}", self.id.as_str());
            self.status = 200;
            self.outcome = Outcome::Broken;
        } else {
            self.refused_with(response.status().as_u16());
        }
        response
    }

    /// Ends a stream with an error.
    pub(crate) fn break_off(&mut self, error: &GatewayError) {
        log::warn!("{} stream broken off: {error}", self.id.as_str());
        self.fails_with(error);
        self.status = 200;
        self.outcome = match error {
            GatewayError::Stopping => Outcome::Shutdown,
            GatewayError::Cancelled => Outcome::ClientClosed,
            _ => Outcome::Broken,
        };
    }
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Shutdown => "shutdown",
            Self::Panicked => "panicked",
        }
    }
}

impl RequestContext {
    /// Ends the reservation of the call.
    fn account(&mut self) {
        let Some(reserved) = self.reserved.take() else { return };
        let end = match self.outcome {
            Outcome::Complete => CallEnd::Complete,
            Outcome::Refused if !self.may_be_billed => CallEnd::Refused,
            Outcome::Refused
            | Outcome::ClientClosed
            | Outcome::Broken
            | Outcome::Shutdown
            | Outcome::Panicked => CallEnd::CutOff,
        };
        let error_code = (end != CallEnd::Complete)
            .then(|| self.error_code.unwrap_or_else(|| self.outcome.name()));
        let ended = EndedCall {
            end,
            status: self.status,
            error_code,
            model: &self.model,
            attempt_log: self.attempt_log.as_ref(),
            spent: self.spent,
            guardrails: self.settlement.guardrails(),
            ttft: self.ttft,
            total: self.started.elapsed(),
        };
        reserved.end(&self.settlement, &ended);
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        let usage = self.spent.usage().unwrap_or_default();
        let guardrails = self.settlement.guardrails();
        if std::thread::panicking() {
            (self.status, self.outcome) = (500, Outcome::Panicked);
        } else if self.outcome == Outcome::ClientClosed && self.cut.has_come() {
            (self.status, self.outcome) = (503, Outcome::Shutdown);
        }
        self.account();
        log::info!(
            target: "outcrop::access",
            "{} {}{} model={:?} status={} outcome={} in={} out={} ms={} attempts={} guardrail_calls={} guardrail_units={} cost_usd={}",
            self.id.as_str(),
            self.route,
            Place(self.at.as_ref()),
            bounded(&self.model, 256),
            self.status,
            self.outcome.name(),
            usage.input_tokens + usage.cache_read_input_tokens + usage.cache_write_input_tokens,
            usage.output_tokens,
            self.started.elapsed().as_millis(),
            self.attempt_log.as_ref().map_or(0, |log| log.attempts),
            guardrails.calls,
            guardrails.units.total(),
            CostField(self.spent.cost()),
        );
    }
}

/// The time in Unix seconds.
pub(crate) fn unix_seconds() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u32::try_from(since.map_or(0, |since| since.as_secs())).unwrap_or(u32::MAX)
}

/// A header's value; absent if the text is empty.
fn header(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().filter(|_| !text.is_empty())
}

/// The tokens of a call that count against its target's quota.
pub(crate) fn of_quota(usage: TokenUsage) -> u64 {
    let tokens = [usage.input_tokens, usage.cache_write_input_tokens, usage.output_tokens];
    tokens.into_iter().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use translate::chat::ChatStream;

    use super::*;

    #[test]
    fn a_refusal_after_early_headers_is_logged_as_broken() {
        let http = actix_web::test::TestRequest::default().to_http_request();
        let head = PendingResponse::default();
        let mut context = RequestContext::begin(&http, "chat").behind(head.clone());
        context.is_of_stream::<ChatStream>("chatcmpl-");
        let error = GatewayError::UnknownModel { id: "x".to_owned(), near: Vec::new() };
        assert_eq!(context.refuse(&error).status(), 404);
        assert_eq!((context.status, context.outcome), (404, Outcome::Refused));
        head.goes_out();
        context.refuse(&error);
        assert_eq!((context.status, context.outcome), (200, Outcome::Broken));
    }
}
