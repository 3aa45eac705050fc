//! Calls of InvokeModel for front doors whose answers are not those of Converse: vectors, ranks, images. They
//! differ from those of `dispatch` in that the whole answer is one body, which the front door reads.

use actix_web::{HttpResponse, HttpResponseBuilder};
use bedrock::Kind;
use bytes::Bytes;
use http::HeaderMap;
use routing::{
    AttemptLog, CallPurpose, CallSpec, Dispatch, DispatchError, Dispatched, FallbackScope,
    Operation, Outgoing, Route, Target, Tokens,
};
use schema::converse::response::TokenUsage;
use translate::spent::{BilledTier, Spent};
use translate::{Invalid, Report};

use super::json::Mistake;
use super::parsed_request::Untranslated;
use super::{Admitted, dry_run};
use crate::call_price::CallPrice;
use crate::error::GatewayError;
use crate::pieces::Pieces;
use crate::request::answer_headers::describe;
use crate::request::context::RequestContext;
use crate::token_estimate;

const TOKEN_COUNT: &str = "x-amzn-bedrock-input-token-count";

/// The calls of one request: each goes to a target of this route.
pub(crate) struct InvokeCalls<'r> {
    pub(crate) admitted: &'r Admitted,
    pub(crate) route: Route,
    /// The request's id.
    pub(crate) id: &'r str,
    /// Pieces that each call is billed for besides tokens.
    pub(crate) pieces: Pieces,
    pub(crate) fallback_scope: FallbackScope,
    /// Largest answer accepted for one call, in bytes.
    pub(crate) answer_limit: usize,
}

/// The answer to one call.
pub(crate) struct Invoked {
    pub(crate) body: Bytes,
    /// Tokens read, if a header states them.
    pub(crate) counted: Option<u64>,
    pub(crate) request_id: Option<String>,
    pub(crate) attempt_log: AttemptLog,
    /// The price at the target that answered, with the pieces of the call.
    pub(crate) price: Option<CallPrice>,
}

/// The reason why an answer could not be written, which may arise on another thread.
pub(crate) enum Untold {
    /// The request cannot be read a second time, or the answer must not be given.
    Request(Untranslated),
    /// The model's answer cannot be read.
    Answer(serde_json::Error),
}

impl From<Untranslated> for Untold {
    fn from(error: Untranslated) -> Self {
        Self::Request(error)
    }
}

impl From<Mistake> for Untold {
    fn from(mistake: Mistake) -> Self {
        Self::Request(mistake.into())
    }
}

impl From<Invalid> for Untold {
    fn from(invalid: Invalid) -> Self {
        Self::Request(invalid.into())
    }
}

impl From<serde_json::Error> for Untold {
    fn from(error: serde_json::Error) -> Self {
        Self::Request(error.into())
    }
}

impl From<Untold> for GatewayError {
    fn from(untold: Untold) -> Self {
        match untold {
            Untold::Request(error) => error.into(),
            Untold::Answer(error) => Self::Unreadable(error),
        }
    }
}

/// Refuses a model that does not do what the front door is for, and names others that do.
pub(crate) fn unsuitable<'m>(what: &str, others: impl Iterator<Item = &'m str>) -> Invalid {
    let others: Vec<&str> = others.take(2).collect();
    let others = match others.as_slice() {
        [] => String::new(),
        some => format!(" Try {}.", some.join(" or ")),
    };
    Invalid::value("model", format!("This model {what}.{others}"))
}

/// The response to a request that is complete: the headers that every answer has, and its cost.
pub(crate) fn described(
    context: &RequestContext,
    report: &Report,
    aws_request_id: Option<&str>,
) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    describe(&mut response, context, report, aws_request_id);
    for header in context.cost_headers() {
        response.insert_header(header);
    }
    response
}

impl Invoked {
    /// The usage of the call with its cost, where the price is by the piece.
    pub(crate) fn spent(&self) -> Spent {
        let usage = self.counted.map(|tokens| TokenUsage {
            input_tokens: tokens,
            total_tokens: tokens,
            ..TokenUsage::default()
        });
        let spent = Spent::counted(usage, BilledTier::Standard);
        self.price.as_ref().map_or(spent, |price| price.priced_answer(spent))
    }
}

impl InvokeCalls<'_> {
    /// Makes one call of about `length` bytes. `body` is asked for once for each attempt.
    ///
    /// # Errors
    /// No target answered, or the answer broke off.
    pub(crate) async fn send(
        &self,
        length: usize,
        body: impl AsyncFn(&Target) -> Result<Bytes, GatewayError>,
    ) -> Result<Invoked, Box<DispatchError<GatewayError>>> {
        let lost = |error: GatewayError| {
            Box::new(DispatchError { error, attempt_log: AttemptLog::default() })
        };
        let (admitted, pieces) = (self.admitted, self.pieces);
        let spec = self.spec(length);
        let dispatch = Dispatch::begin(&admitted.now().names, self.route.clone(), spec);
        let dispatch = dispatch.map_err(|error| lost(error.into()))?;
        let mut price = None;
        let sent = dispatch.run(async |target: &Target| {
            let body = body(target).await?;
            price = Some(CallPrice::of(&target.looked_up().await.model).with(pieces));
            let transport = admitted.transport(target);
            let outgoing = Outgoing::new(Operation::Invoke, body);
            let _wait = admitted.settlement().waits();
            routing::send(&transport, target, outgoing).await.map_err(GatewayError::from)
        });
        let Dispatched { answer, mut in_flight, attempt_log } = sent.await.map_err(Box::new)?;
        let (counted, request_id) = (counted(&answer.headers), answer.request_id.clone());
        let wait = admitted.settlement().waits();
        let read = answer.bytes(self.answer_limit).await;
        drop(wait);
        match read {
            Ok(body) => {
                if let Some(counted) = counted {
                    in_flight.settle(counted);
                }
                Ok(Invoked { body, counted, request_id, attempt_log, price })
            }
            Err(failure) => {
                in_flight.broke_off(&failure);
                Err(Box::new(DispatchError { error: failure.into(), attempt_log }))
            }
        }
    }

    /// Answers a dry run of calls with these bodies.
    ///
    /// # Errors
    /// The name has no target.
    pub(crate) async fn show(
        &self,
        bodies: &[Bytes],
        report: &Report,
        context: &mut RequestContext,
    ) -> Result<HttpResponse, GatewayError> {
        let target = Dispatch::preview(&self.route, self.spec(0))?;
        let mut requests = Vec::with_capacity(bodies.len());
        for body in bodies {
            let outgoing = Outgoing::new(Operation::Invoke, body.clone());
            requests.push(routing::outline(&target, outgoing)?);
        }
        let log = AttemptLog::to(&target);
        dry_run::tell(log, requests, report, context, self.admitted.offload()).await
    }

    fn spec(&self, length: usize) -> CallSpec<'_> {
        CallSpec {
            admission: self.admitted.admission(),
            id: self.id,
            kind: Kind::Unary,
            purpose: CallPurpose::Model,
            tokens: Tokens::read(token_estimate::estimate(length)),
            key: None,
            home: None,
            fallback_scope: self.fallback_scope,
        }
    }
}

fn counted(headers: &HeaderMap) -> Option<u64> {
    headers.get(TOKEN_COUNT)?.to_str().ok()?.parse().ok()
}
