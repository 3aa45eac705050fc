//! One request's identity and its end. However a request ends (answered, refused, broken off, or
//! the client gone) the exchange is dropped, and that writes its one line in the access log.

use std::fmt;
use std::time::Instant;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use schema::converse::response::TokenUsage;
use translate::report::LostReasoning;
use translate::{Report, Stamp};
use uuid::Uuid;

use crate::app::Worker;
use crate::error::{ErrorDialect, GatewayError};
use crate::shutdown::Cut;
use crate::sse::PendingResponse;
use bedrock::Kind;
use routing::{AttemptLog, Classify, InFlight, Timestamp};

const IGNORED: HeaderName = HeaderName::from_static("x-outcrop-ignored");
const THINKING: HeaderName = HeaderName::from_static("x-outcrop-thinking");
const AWS_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TARGET: HeaderName = HeaderName::from_static("x-outcrop-target");
pub(crate) const MODEL: HeaderName = HeaderName::from_static("x-outcrop-model");
const REGION: HeaderName = HeaderName::from_static("x-outcrop-region");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-outcrop-attempts");
const FALLBACK: HeaderName = HeaderName::from_static("x-outcrop-fallback");
/// Tells OpenAI's SDKs that another try is in vain: ours were made already.
pub(crate) const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// More names than fit here say nothing more.
const IGNORED_LIMIT: usize = 1024;

/// The id under which a request is known to client and log.
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

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Nobody was left to answer: what holds unless something better is noted.
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

/// One request under way.
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
    usage: Option<TokenUsage>,
    attempt_log: Option<AttemptLog>,
    /// The model that a prompt router chose.
    invoked: Option<String>,
    /// The call under way, for its target's books.
    in_flight: Option<InFlight>,
    /// Tokens of the quota that stand in the books of another call.
    apart: u64,
    /// What is known of the response's head, where it may go out ahead of the answer.
    head: Option<PendingResponse>,
    /// Comes when the process ends.
    cut: Cut,
}

impl RequestContext {
    /// Begins with the request at a route, named for the log.
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
            usage: None,
            attempt_log: None,
            invoked: None,
            in_flight: None,
            apart: 0,
            head: None,
            cut: Cut::of(http.app_data::<Data<Worker>>()),
        }
    }

    /// The same where the head of a stream may go out ahead of it.
    pub(crate) fn behind(mut self, head: PendingResponse) -> Self {
        self.head = Some(head);
        self
    }

    /// Has the access log name method and path, without the query string: keys stand there at times.
    pub(crate) fn is_at(&mut self, http: &HttpRequest) {
        self.at = Some((http.method().to_string(), http.path().to_owned()));
    }

    /// Sets the shape of errors.
    pub(crate) fn speaks(&mut self, dialect: ErrorDialect) {
        self.dialect = dialect;
    }

    /// Comes when the process ends, and the request with it.
    pub(crate) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// Notes where the call has been, and that its answer is still to come.
    pub(crate) fn is_answered(&mut self, attempt_log: AttemptLog, in_flight: InFlight) {
        self.attempt_log = Some(attempt_log);
        self.in_flight = Some(in_flight);
    }

    /// Notes where the call has been.
    pub(crate) fn went(&mut self, attempt_log: AttemptLog) {
        self.attempt_log = Some(attempt_log);
    }

    /// Notes that the target was asked once more.
    pub(crate) fn asked_again(&mut self) {
        if let Some(attempt_log) = &mut self.attempt_log {
            attempt_log.attempts += 1;
        }
    }

    /// Notes what such a call has cost, which its own flight knows already.
    pub(crate) fn settled_apart(&mut self, usage: TokenUsage) {
        self.apart = self.apart.saturating_add(of_quota(usage));
    }

    /// Notes which model a prompt router chose.
    pub(crate) fn was_routed_to(&mut self, model: Option<&str>) {
        self.invoked = model.map(ToOwned::to_owned);
    }

    /// Where the call has been, as headers.
    pub(crate) fn attempt_log(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        // A question that nobody could take was sent to nobody.
        let attempt_log = self.attempt_log.as_ref().filter(|attempt_log| attempt_log.attempts > 0);
        let values = attempt_log.map(|attempt_log| {
            let fallback = attempt_log.fallback.as_deref();
            let asked = attempt_log.target.rsplit_once('@').map(|(model, _)| model);
            let model = self.invoked.as_deref().or(asked);
            [
                (MODEL, model.and_then(|model| HeaderValue::from_str(model).ok())),
                (TARGET, HeaderValue::from_str(&attempt_log.target).ok()),
                (REGION, HeaderValue::from_str(&attempt_log.region).ok()),
                (ATTEMPTS, Some(HeaderValue::from(attempt_log.attempts))),
                (FALLBACK, fallback.and_then(|name| HeaderValue::from_str(name).ok())),
            ]
        });
        values.into_iter().flatten().filter_map(|(name, value)| Some((name, value?)))
    }

    /// Tells with an error where the call has been, and clients that would try again that this was done.
    pub(crate) fn mark_refusal(&self, headers: &mut HeaderMap) {
        for (name, value) in self.attempt_log() {
            headers.insert(name, value);
        }
        if self.attempt_log.as_ref().is_some_and(|attempt_log| attempt_log.spent) {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }

    /// An answer that had begun cannot be used, or has broken off.
    fn fault(&mut self, error: &GatewayError) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.failed(Timestamp::now(), error.verdict(Kind::Unary).fault);
        }
    }

    /// Notes which model the caller named.
    pub(crate) fn names_model(&mut self, model: &str) {
        model.clone_into(&mut self.model);
    }

    /// Notes that the caller wants a stream.
    pub(crate) fn is_of_stream(&self) {
        if let Some(head) = &self.head {
            head.is_of_stream();
        }
    }

    /// Ids and time for an answer of this exchange.
    pub(crate) fn stamp(&self) -> Stamp {
        let seconds = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Stamp {
            id: self.id.as_str().replacen("req_", "chatcmpl-", 1),
            created: u32::try_from(seconds).unwrap_or(u32::MAX),
            model: self.model.clone(),
        }
    }

    /// Notes what the answer cost.
    pub(crate) fn settle(&mut self, usage: Option<TokenUsage>) {
        self.usage = usage;
        if let (Some(usage), Some(in_flight)) = (usage, &mut self.in_flight) {
            in_flight.settle(of_quota(usage).saturating_sub(self.apart));
        }
    }

    /// Ends well.
    pub(crate) fn complete(&mut self) {
        self.status = 200;
        self.outcome = Outcome::Complete;
    }

    /// The id it is known under.
    pub(crate) fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Ends with an error status that was written elsewhere.
    pub(crate) fn refused_with(&mut self, status: u16) {
        self.status = status;
        self.outcome = Outcome::Refused;
    }

    /// Ends with an error before anything was sent.
    pub(crate) fn refuse(&mut self, error: &GatewayError) -> HttpResponse {
        self.fault(error);
        let mut response = error.respond(self.dialect, self.id.as_str());
        if let Some(id) = error.aws_request_id().and_then(|id| HeaderValue::from_str(id).ok()) {
            response.headers_mut().insert(AWS_REQUEST_ID, id);
        }
        self.mark_refusal(response.headers_mut());
        if self.head.as_ref().is_some_and(PendingResponse::is_sent) {
            log::warn!("{} refused behind the head of a stream: {error}", self.id.as_str());
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
        self.fault(error);
        self.status = 200;
        self.outcome = match error {
            GatewayError::Stopping => Outcome::Shutdown,
            _ => Outcome::Broken,
        };
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        let usage = self.usage.unwrap_or_default();
        if std::thread::panicking() {
            (self.status, self.outcome) = (500, Outcome::Panicked);
        } else if self.outcome == Outcome::ClientClosed && self.cut.has_come() {
            (self.status, self.outcome) = (503, Outcome::Shutdown);
        }
        log::info!(
            target: "outcrop::access",
            "{} {}{} model={:?} status={} outcome={} in={} out={} ms={}",
            self.id.as_str(),
            self.route,
            Place(self.at.as_ref()),
            bounded(&self.model, 256),
            self.status,
            match self.outcome {
                Outcome::ClientClosed => "client_closed",
                Outcome::Complete => "complete",
                Outcome::Refused => "refused",
                Outcome::Broken => "broken",
                Outcome::Shutdown => "shutdown",
                Outcome::Panicked => "panicked",
            },
            usage.input_tokens + usage.cache_read_input_tokens + usage.cache_write_input_tokens,
            usage.output_tokens,
            self.started.elapsed().as_millis(),
        );
    }
}

/// Method and path in the access log, escaped and bounded: both are a caller's own text.
struct Place<'e>(Option<&'e (String, String)>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((method, path)) => {
                write!(f, " method={:?} path={:?}", bounded(method, 32), bounded(path, 256))
            }
            None => Ok(()),
        }
    }
}

/// At most the first `bytes` of a text.
fn bounded(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The tokens of a call that count against its target's quota.
pub(crate) fn of_quota(usage: TokenUsage) -> u64 {
    let tokens = [usage.input_tokens, usage.cache_write_input_tokens, usage.output_tokens];
    tokens.into_iter().fold(0, u64::saturating_add)
}

/// Headers that every translated answer carries: where it comes from, what had no effect, what became of
/// thinking whose past is lost, and AWS's own request id.
pub(crate) fn describe(
    response: &mut HttpResponseBuilder,
    context: &RequestContext,
    report: &Report,
    aws_request_id: Option<&str>,
) {
    for header in context.attempt_log() {
        response.insert_header(header);
    }
    if let Some(value) = ignored(report) {
        response.insert_header((IGNORED, value));
    }
    if let Some(led_to) = report.lost_thoughts() {
        let value = match led_to {
            LostReasoning::Dropped => "dropped",
            LostReasoning::Forgotten => "forgotten",
        };
        response.insert_header((THINKING, value));
    }
    if let Some(value) = aws_request_id.and_then(|id| HeaderValue::from_str(id).ok()) {
        response.insert_header((AWS_REQUEST_ID, value));
    }
}

/// Field names as one header value. They are the caller's own text, so anything but plain name
/// characters is replaced.
fn ignored(report: &Report) -> Option<HeaderValue> {
    let mut list = String::new();
    for name in report.ignored() {
        if list.len() + name.len() > IGNORED_LIMIT {
            list.push_str(", ...");
            break;
        }
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.extend(name.chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | '[' | ']' => c,
            _ => '?',
        }));
    }
    if list.is_empty() { None } else { HeaderValue::try_from(list).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_behind_the_head_of_a_stream_is_a_stream_that_broke() {
        let http = actix_web::test::TestRequest::default().to_http_request();
        let head = PendingResponse::default();
        let mut context = RequestContext::begin(&http, "chat").behind(head.clone());
        context.is_of_stream();
        let error = GatewayError::UnknownModel { id: "x".to_owned(), near: Vec::new() };
        assert_eq!(context.refuse(&error).status(), 404);
        assert_eq!((context.status, context.outcome), (404, Outcome::Refused));
        head.goes_out();
        context.refuse(&error);
        assert_eq!((context.status, context.outcome), (200, Outcome::Broken));
    }

    #[test]
    fn the_ignored_header_cannot_be_broken_by_names() {
        let mut report = Report::default();
        assert_eq!(ignored(&report), None);
        report.ignore("seed");
        report.ignore("x\r\nset-cookie: a");
        for at in 0..20 {
            report.ignore(&format!("{at:0>100}"));
        }
        let told = ignored(&report).unwrap();
        let told = told.to_str().unwrap();
        assert!(told.starts_with("seed, x??set-cookie??a, 000"), "{told}");
        assert!(told.ends_with(", ...") && told.len() < IGNORED_LIMIT + 200, "{told}");
    }
}
