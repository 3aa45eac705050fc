//! A native call as far as its last step but one: resolved, bound to its guardrail, and shown.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use translate::Report;

use super::{BIDIRECTIONAL, NativeError, call, guarded, objects, operation, terms};
use crate::app::{Snapshot, Worker};
use crate::bedrock::unsigned;
use crate::body;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::routes::{directions, dry_run};
use crate::routing::{Journey, Trail};

/// Answers with the request that would have been sent.
pub(super) async fn rehearse(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<HttpResponse, NativeError> {
    let matched = operation(http, &now.config.native_services)?;
    if matched.row.operation == BIDIRECTIONAL {
        return Err(NativeError::Bidirectional);
    }
    let body = body::read(http.headers(), payload, now.config.body).await;
    let body = body.map_err(GatewayError::from)?;
    let offload = &worker.shared.offload;
    objects(now, &matched, &body, offload).await?;
    guarded(now, &matched)?;
    let (trail, request) = match matched.model() {
        None => {
            let home = now.names.home();
            let trail = Trail { region: home.region().to_owned(), ..Trail::default() };
            (trail, unsigned(home, &call(http, &matched, body, None, offload).await?)?)
        }
        Some(name) => {
            exchange.names_model(name);
            let tags = directions::tags(http.headers());
            let route = now.names.resolve(name, tags).await.map_err(GatewayError::from)?;
            let terms = terms(&matched, &route, &body, exchange.id(), offload).await?;
            let leg = Journey::glance(&route, terms).map_err(GatewayError::from)?;
            let call = call(http, &matched, body, Some(&leg), offload).await?;
            (Trail::to(&leg), unsigned(&leg.account, &call)?)
        }
    };
    Ok(dry_run::tell(trail, vec![request], &Report::default(), exchange, offload).await?)
}
