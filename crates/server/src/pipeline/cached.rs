//! Kept answers in the steps of a request: one that was kept is the response in place of steps 4 to 7, at a
//! cost of 0; one that is new is kept when all of it was sent.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::header::{AGE, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use routing::Route;
use translate::dialect::{Dialect, KnownState};
use translate::{Invalid, Report};

use super::parsed_request::RequestOutline;
use super::reserve::{CallEstimate, EstimatedCost};
use super::{Admitted, Incoming};
use crate::error::GatewayError;
use crate::file_store::owner;
use crate::request::answer_headers::describe;
use crate::request::context::RequestContext;
use crate::request::options::CallMode;
use crate::request::settlement::Settlement;
use crate::response_cache::{
    AnswerHead, AnswerName, CacheControl, CacheMode, KeptAnswer, LARGEST, RecordedBody,
    ResponseCache, taken_out,
};
use crate::state::{Snapshot, Worker};
use crate::telemetry::metrics::CacheResult;

const HEADER: HeaderName = HeaderName::from_static("x-outcrop-cache");
const LITELLM_KEY: HeaderName = HeaderName::from_static("x-litellm-cache-key");
/// The result of a validation, as a header.
const STRUCTURED_OUTPUT: &str = "x-outcrop-structured-output";

/// The caller's word on kept answers, and the body without it.
///
/// # Errors
/// It cannot be read.
pub(super) fn asked(
    incoming: &Incoming<'_>,
    http: &HttpRequest,
    body: Bytes,
) -> Result<(Bytes, CacheControl), Invalid> {
    if incoming.now().config.response_cache.mode == CacheMode::Off {
        return Ok((body, CacheControl::default()));
    }
    taken_out(body, CacheControl::of_headers(http.headers())?)
}

/// A request whose answer may be kept, or may have been.
pub(super) struct CachedCall {
    name: AnswerName,
    control: CacheControl,
}

impl CachedCall {
    /// The request by everything that its answer depends on. `None` if kept answers have no part in it: the
    /// caller or the operator does not want them, or the answer depends on more than the request.
    pub(super) fn of<D: Dialect>(
        (admitted, route): (&Admitted, &Route),
        (outline, body): (&RequestOutline, &Bytes),
        state: KnownState,
        control: CacheControl,
    ) -> Option<Self> {
        let settings = &admitted.now().config.response_cache;
        if !control.reads(settings.mode) && !control.stores(settings.mode) {
            return None;
        }
        let has_state = state.stores || state.is_continued || state.is_of_connection;
        let refers = !outline.links.is_empty() || !outline.item_ids.is_empty();
        if has_state || refers || admitted.options().mode != CallMode::Send {
            return None;
        }
        let targets = route.targets();
        if targets.iter().any(|(target, _)| target.model.profile.has_effects()) {
            return None;
        }
        let who = owner(admitted.admission().principal());
        let options = format!("{:?}", admitted.options());
        let targets: Vec<String> = targets
            .iter()
            .map(|(target, _)| {
                format!("{} {:?} {:?}", target.label, target.guardrail, target.params)
            })
            .collect();
        let door = if outline.head.stream { "stream" } else { "whole" };
        let texts = [&settings.namespace, D::NAME, door, &who, &options];
        let about = texts.into_iter().chain(targets.iter().map(String::as_str));
        let name = AnswerName::of(about, body);
        Some(Self { name, control })
    }

    /// The answer, if it was kept.
    pub(super) async fn find(&self, admitted: &Admitted) -> Option<Arc<KeptAnswer>> {
        let (now, shared) = (admitted.now(), &admitted.worker().shared);
        let settings = &now.config.response_cache;
        if !self.control.reads(settings.mode) {
            return None;
        }
        let found = shared.response_cache.find(self.name, now.answers.as_deref(), settings).await;
        found.filter(|answer| !answer.left().is_zero() && self.control.accepts(answer.age()))
    }

    /// Responds with a kept answer. It counts in the limits on requests, and costs 0.
    pub(super) async fn respond<D: Dialect>(
        &self,
        answer: &KeptAnswer,
        admitted: &Admitted,
        context: &mut RequestContext,
    ) -> Result<HttpResponse, GatewayError> {
        let estimate = CallEstimate { call_type: D::CALL_TYPE, cost: EstimatedCost::Nothing };
        admitted.reserve(estimate, context).await?;
        context.was_kept(answer.header("x-outcrop-target"), answer.header("x-outcrop-region"));
        context.complete();
        let mut response = HttpResponse::Ok();
        describe(&mut response, context, &Report::default(), None);
        for header in context.cost_headers() {
            response.insert_header(header);
        }
        for (name, value) in answer.headers() {
            response.insert_header((name, value));
        }
        response.insert_header((HEADER, CacheResult::Hit.name()));
        response.insert_header((AGE, answer.age().as_secs()));
        response.insert_header((LITELLM_KEY, self.name.hex()));
        response.insert_header((CONTENT_TYPE, answer.content_type()));
        if answer.content_type().starts_with("text/event-stream") {
            response.insert_header(("cache-control", "no-cache"));
            response.insert_header(("x-accel-buffering", "no"));
        }
        Ok(response.body(answer.body.clone()))
    }

    /// The way to keep the answer that is to come, if it may be kept.
    pub(super) fn keeper(
        self,
        admitted: &Admitted,
        context: &mut RequestContext,
    ) -> Option<AnswerKeeper> {
        let settings = &admitted.now().config.response_cache;
        if self.control.reads(settings.mode) {
            context.is_cached(CacheResult::Miss);
        }
        self.control.stores(settings.mode).then(|| AnswerKeeper {
            name: self.name,
            ttl: self.control.ttl(settings.ttl),
            worker: admitted.worker_data(),
            now: Arc::clone(admitted.now()),
            settlement: Arc::clone(admitted.settlement()),
        })
    }
}

/// Keeps one answer.
pub(super) struct AnswerKeeper {
    name: AnswerName,
    ttl: Duration,
    worker: Data<Worker>,
    now: Arc<Snapshot>,
    settlement: Arc<Settlement>,
}

impl AnswerKeeper {
    /// The response, which is kept when all of it was sent.
    pub(super) fn keeps(self, response: HttpResponse) -> HttpResponse {
        let mismatches =
            response.headers().get(STRUCTURED_OUTPUT).is_some_and(|it| it == "mismatch");
        if response.status() != 200 || mismatches {
            return response;
        }
        let head = AnswerHead::of(response.headers(), self.ttl);
        let (mut response, body) = response.into_parts();
        response.headers_mut().insert(HEADER, HeaderValue::from_static(CacheResult::Miss.name()));
        let body = match body.try_into_bytes() {
            Ok(whole) => {
                self.keep(head, whole.clone());
                BoxBody::new(whole)
            }
            Err(stream) => {
                BoxBody::new(RecordedBody::of(stream, move |bytes| self.keep(head, bytes)))
            }
        };
        response.set_body(body)
    }

    fn keep(self, head: AnswerHead, body: Bytes) {
        if !self.settlement.is_complete() || body.len() > LARGEST {
            return;
        }
        let (answer, settings) = (Arc::new(head.with(body)), &self.now.config.response_cache);
        let cache = &self.worker.shared.response_cache;
        cache.keep(self.name, Arc::clone(&answer), settings);
        if let Some(shared) = self.now.answers.clone() {
            // The store answers within a bounded time.
            actix_web::rt::spawn(async move {
                ResponseCache::share(self.name, &answer, &shared).await;
            });
        }
    }
}
