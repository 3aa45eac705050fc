//! A chat request as far as its last step but one: translated for the target it would go to, and shown.
//! What the translation needs is fetched as ever: media where the operator wants that, and the model
//! behind an ARN that does not tell it.

use std::sync::Arc;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::{Circumstances, Made, Received, Thoughts, Wanted, betas, choices, home, terms};
use crate::app::{Snapshot, Worker};
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::recall::Recall;
use crate::routes::directions::Directions;
use crate::routes::{deployment, dry_run};
use crate::routing::{Journey, Trail, outline};

/// Answers with the request that would have been sent.
pub(super) async fn rehearse(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    recall: &Recall,
    exchange: &mut Exchange,
) -> Result<HttpResponse, GatewayError> {
    let headers = http.headers();
    let offload = &worker.shared.offload;
    let body = deployment::read(http, payload, now.config.body, offload).await?;
    let mut received = Received::read(&body, &now.config.media, offload).await?;
    exchange.names_model(&received.outline.model);
    let tags = received.outline.tags(headers);
    let route = now.names.resolve(&received.outline.model, tags).await?;
    // So many calls would be made, all of them this one.
    choices::count(received.outline.n, now.config.chat.most_choices)?;
    let links = std::mem::take(&mut received.outline.links);
    let fetched = Arc::new(worker.shared.fetcher.fetch(links, &now.config.media).await?);
    let (wanted, directions) = (Wanted::of(headers)?, Directions::of(headers)?);
    let operation = received.outline.operation;
    let home = home(&route, recall, &received.outline).await;
    let leg = Journey::glance(&route, terms(exchange.id(), &received.outline, home))?;
    let around = Circumstances {
        operation,
        wanted,
        directions,
        betas: betas::of(headers)?,
        fetched,
        recall: recall.clone(),
        withheld: Vec::new(),
        thoughts: Thoughts::Veiled,
        added: Vec::new(),
    };
    let made = received.translate(&around, &*leg.settled().await, offload).await?;
    let operation = made.operation(operation);
    let Made { body, report, .. } = made;
    let shown = vec![outline(&leg, operation, body)?];
    dry_run::tell(Trail::to(&leg), shown, &report, exchange, offload).await
}
