//! A chat request as far as its last step but one: translated for the target it would go to, and shown.
//! What the translation needs is fetched as ever: media where the operator wants that, and the model
//! behind an ARN that does not tell it.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use schema::openai::chat::ChatRequest;
use translate::chat::affinity;

use super::{Circumstances, Made, Wanted, choices, made, operation, terms};
use crate::app::{Snapshot, Worker};
use crate::body;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::foreseen;
use crate::recall::Recall;
use crate::routes::directions::Directions;
use crate::routes::dry_run;
use crate::routes::json::parse;
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
    let body = body::read(headers, payload, now.config.body).await?;
    let mut request: ChatRequest<'_> = parse(&body)?;
    exchange.names_model(&request.model);
    let route = now.names.resolve(&request.model).await?;
    // So many calls would be made, all of them this one.
    choices::count(request.n, now.config.chat.most_choices)?;
    let tokens = foreseen::of_chat(&request, body.len());
    let fetched = worker.shared.fetcher.fetch(&request, &now.config.media).await?;
    fetched.fill(&mut request);
    let (wanted, directions) = (Wanted::of(headers)?, Directions::of(headers)?);
    let operation = operation(&request);
    let around = Circumstances {
        operation,
        wanted: &wanted,
        directions,
        fetched: &fetched,
        recall,
        withheld: &[],
    };
    let leg = Journey::glance(&route, terms(exchange.id(), operation, tokens, affinity(&request)))?;
    let made = made(&request, body.len(), &around, &*leg.settled().await).await?;
    let operation = made.operation(operation);
    let Made { body, report, .. } = made;
    dry_run::tell(&Trail::to(&leg), &[outline(&leg, operation, body)?], &report, exchange)
}
