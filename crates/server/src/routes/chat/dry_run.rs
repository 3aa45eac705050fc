//! A chat request as far as its last step but one: translated for the target it would go to, and shown.
//! What the translation needs is fetched as ever: media where the operator wants that, and the model
//! behind an ARN that does not tell it.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::{
    ParsedRequest, PastReasoning, RequestedGuardrail, TranslateContext, Translated, betas, choices,
    home, terms,
};
use crate::app::{Snapshot, Worker};
use crate::error::GatewayError;
use crate::reasoning_store::ReasoningStore;
use crate::request::context::RequestContext;
use crate::request::options::RequestOptions;
use crate::routes::{deployment, dry_run};
use routing::{AttemptLog, Dispatch, outline};

/// Answers with the request that would have been sent.
pub(super) async fn rehearse(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    reasoning: &ReasoningStore,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let headers = http.headers();
    let offload = &worker.shared.offload;
    let body = deployment::read(http, payload, now.config.body, offload).await?;
    let mut received = ParsedRequest::read(&body, &now.config.media, offload).await?;
    context.names_model(&received.outline.model);
    let tags = received.outline.tags(headers);
    let route = now.names.resolve(&received.outline.model, tags).await?;
    // So many calls would be made, all of them this one.
    choices::count(received.outline.n, now.config.chat.most_choices)?;
    let links = std::mem::take(&mut received.outline.links);
    let fetched = Arc::new(worker.shared.fetcher.fetch(links, &now.config.media).await?);
    let (wanted, options) = (RequestedGuardrail::of(headers)?, RequestOptions::of(headers)?);
    let operation = received.outline.operation;
    let home = home(&route, reasoning, &received.outline).await;
    let target = Dispatch::preview(&route, terms(context.id(), &received.outline, home))?;
    let around = TranslateContext {
        operation,
        wanted,
        options,
        betas: betas::of(headers)?,
        fetched,
        reasoning: reasoning.clone(),
        withheld: Vec::new(),
        thoughts: PastReasoning::Veiled,
        added: Vec::new(),
    };
    let translated = received.translate(&around, &*target.settled().await, offload).await?;
    let operation = translated.operation(operation);
    let Translated { body, report, .. } = translated;
    let shown = vec![outline(&target, operation, body)?];
    dry_run::tell(AttemptLog::to(&target), shown, &report, context, offload).await
}
