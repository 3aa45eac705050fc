//! Identity and end of one request. The context is dropped at the end of every request (answered,
//! refused, broken off, or the client gone), which settles it; see `ending`.

mod ending;
mod headers;
mod timing;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::ledger::Refusal;
use access::{Accounts, Holder};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use schema::converse::response::TokenUsage;
use schema::openai::usage::CostUsd;
use translate::answer_stream::AnswerStream;
use translate::dialect::ErrorDialect;
use translate::spent::Spent;
use translate::{Report, Stamp};

use super::PendingResponse;
use super::settlement::{ReservedCall, Settlement};
use super::spare_call::SpareCall;
use super::stream_end::StreamEnd;
use crate::call_price::CallPrice;
use crate::cutoff::Cut;
use crate::disconnect::{AnswerForm, OnDisconnect};
use crate::error::GatewayError;
use crate::overload::Permit;
use crate::quoting;
pub(crate) use crate::request_id::RequestId;
use crate::state::Worker;
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::{CacheResult, Outcome};
use crate::telemetry::request_log::Recording;
use crate::telemetry::traces::{RequestStep, Trace};
pub(crate) use crate::unix_time::unix_seconds;
use crate::write_timeout::AfterClient;
pub(crate) use headers::MODEL;
use routing::{Attempt, AttemptLog, InFlight};

pub(crate) const AWS_REQUEST_ID: HeaderName = HeaderName::from_static(bedrock::AWS_REQUEST_ID);

/// The cut-off of a request to a worker; without a worker (in tests) it never triggers.
pub(crate) fn cut_of(worker: Option<&Data<Worker>>) -> Cut {
    worker.map(|worker| worker.shared.cutoff.watch()).unwrap_or_default()
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct RequestContext {
    id: RequestId,
    route: &'static str,
    method: Method,
    /// Without the query, where keys stand at times, and without keys.
    path: String,
    /// The shape of its errors.
    dialect: ErrorDialect,
    started: Instant,
    model: String,
    /// The model's name in metrics, once it is resolved.
    series: Option<Arc<str>>,
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
    /// The refusal of a call that has no row, and the accounts that keep it.
    refusal: Option<Box<Refusal>>,
    accounts: Option<Arc<Accounts>>,
    /// Whether Bedrock may bill a call that failed.
    may_be_billed: bool,
    /// The time to the beginning of the answer.
    ttft: Option<Duration>,
    /// The gateway's own part of the time until the answer was ready to be sent.
    overhead: Cell<Option<Duration>>,
    /// Whether it is among the open streams.
    is_streaming: bool,
    /// The holder of the caller's key.
    holder: Option<Arc<Holder>>,
    /// Its trace, if it is sampled.
    trace: Option<Box<Trace>>,
    telemetry: Option<Arc<Telemetry>>,
    /// Triggers when the process ends.
    cut: Cut,
    /// Its place among the calls in flight.
    permit: Option<Permit>,
    /// The call that was given up for another, and the identity of the model that answered.
    spare: Option<(SpareCall, u64)>,
    /// Whether another call went on with its answer.
    is_continued: bool,
    /// The part that kept answers have in it.
    cache: Option<CacheResult>,
    /// The recording of its content, where the operator keeps one.
    recording: Option<Recording>,
}

impl RequestContext {
    /// Starts the context of a request; `route` names it in the log.
    pub(crate) fn begin(http: &HttpRequest, route: &'static str) -> Self {
        let id = http.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
        let worker = http.app_data::<Data<Worker>>();
        let telemetry = worker.map(|worker| Arc::clone(&worker.shared.telemetry));
        if let Some(telemetry) = &telemetry {
            telemetry.metrics.in_flight.up();
        }
        let traces = telemetry.as_ref().and_then(|telemetry| telemetry.traces.as_ref());
        let trace = traces.and_then(|traces| traces.begin(http.headers()));
        Self {
            id,
            route,
            method: http.method().clone(),
            path: quoting::path_without_keys(http.path()),
            dialect: ErrorDialect::default(),
            started: Instant::now(),
            model: String::new(),
            series: None,
            status: 499,
            outcome: Outcome::ClientClosed,
            spent: Spent::default(),
            attempt_log: None,
            invoked: None,
            in_flight: None,
            head: None,
            settlement: Arc::new(Settlement::of(trace.as_ref().and_then(|trace| trace.header()))),
            reserved: None,
            error_code: None,
            refusal: None,
            accounts: worker.and_then(|worker| worker.shared.accounts.clone()),
            may_be_billed: false,
            ttft: None,
            overhead: Cell::new(None),
            is_streaming: false,
            holder: None,
            trace,
            telemetry,
            cut: cut_of(worker),
            permit: None,
            spare: None,
            is_continued: false,
            cache: None,
            recording: Recording::of(http),
        }
    }

    /// Sets the pending response, if headers may be sent before the answer.
    pub(crate) fn behind(mut self, head: PendingResponse) -> Self {
        self.head = Some(head);
        self
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

    /// Keeps its place among the calls in flight until it ends.
    pub(crate) fn is_in_flight(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }

    /// Records the holder of the caller's key.
    pub(crate) fn is_of(&mut self, holder: Option<&Arc<Holder>>) {
        self.holder = holder.cloned();
    }

    /// Records the body of the request, where the operator keeps content.
    pub(crate) fn asked(&self, body: &Bytes, headers: &HeaderMap) {
        let Some(recording) = &self.recording else { return };
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        recording.asked(body, kind.unwrap_or_default());
    }

    /// Begins a step.
    pub(crate) fn step(&self, step: RequestStep) {
        if let Some(trace) = &self.trace {
            trace.step(step);
        }
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

    /// Records the name in metrics of the model that its name resolves to.
    pub(crate) fn is_resolved(&mut self, series: &Arc<str>) {
        self.series = Some(Arc::clone(series));
    }

    /// The name in metrics of its model, once resolved.
    pub(crate) fn series(&self) -> Option<&Arc<str>> {
        self.series.as_ref()
    }

    /// Records the call that was given up for the answer of this model.
    pub(crate) fn gave_up(&mut self, spare: SpareCall, model: u64) {
        self.spare = Some((spare, model));
    }

    /// Records the part that kept answers have in it.
    pub(crate) fn is_cached(&mut self, result: CacheResult) {
        self.cache = Some(result);
    }

    /// Records that its answer was kept, and came from this target: its cost is 0.
    pub(crate) fn was_kept(&mut self, target: Option<&str>, region: Option<&str>) {
        self.is_cached(CacheResult::Hit);
        let (target, region) = (target.unwrap_or_default(), region.unwrap_or_default());
        let (target, region) = (Arc::from(target), region.to_owned());
        self.attempt_log = Some(AttemptLog { target, region, ..AttemptLog::default() });
        self.spent = Spent::default().at(Some(CostUsd(0)));
        if let Some(reserved) = &mut self.reserved {
            reserved.is_kept = true;
        }
    }

    /// Records the attempts of a call.
    pub(crate) fn went(&mut self, attempt_log: AttemptLog) {
        self.attempt_log = Some(attempt_log);
    }

    /// Records attempts of further calls of the request.
    pub(crate) fn also_made(&mut self, made: Vec<Attempt>) {
        if let Some(attempt_log) = &mut self.attempt_log {
            attempt_log.made.extend(made);
        }
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

    /// Records a failure, for the target's health and the row of the call.
    pub(crate) fn fails_with(&mut self, error: &GatewayError) {
        self.failed(error.code(), error.may_be_billed());
        if self.reserved.is_none() && self.accounts.is_some() {
            self.refusal = error.refusal().map(Box::new);
        }
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
        self.settlement.completes();
    }

    /// Ends the request that opened a WebSocket, with the connection.
    pub(crate) fn switched_protocols(&mut self) {
        self.status = 101;
        self.outcome = Outcome::Complete;
    }

    /// Counts the parameters that had no effect.
    pub(crate) fn ignores(&self, report: &Report) {
        if let Some(telemetry) = self.telemetry.as_ref().filter(|_| !report.ignored().is_empty()) {
            telemetry.metrics.ignored(report.ignored());
        }
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
