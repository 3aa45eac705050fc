//! A native call as far as its last step but one: resolved, bound to its guardrail, and shown.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use translate::Report;

use super::{BIDIRECTIONAL, NativeError, call, guarded, objects, operation, terms};
use crate::app::{Snapshot, Worker};
use crate::body;
use crate::error::GatewayError;
use crate::request::context::RequestContext;
use crate::routes::{dry_run, options};
use bedrock::unsigned;
use routing::{AttemptLog, Dispatch};

/// Answers with the request that would have been sent.
pub(super) async fn rehearse(
    worker: &Worker,
    now: &Snapshot,
    http: &HttpRequest,
    payload: Payload,
    context: &mut RequestContext,
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
    let (attempt_log, request) = match matched.model() {
        None => {
            let home = now.names.home();
            let attempt_log =
                AttemptLog { region: home.region().to_owned(), ..AttemptLog::default() };
            (attempt_log, unsigned(home, &call(http, &matched, body, None, offload).await?)?)
        }
        Some(name) => {
            context.names_model(name);
            let tags = options::tags(http.headers());
            let route = now.names.resolve(name, tags).await.map_err(GatewayError::from)?;
            let terms = terms(&matched, &route, &body, context.id(), offload).await?;
            let target = Dispatch::preview(&route, terms).map_err(GatewayError::from)?;
            let call = call(http, &matched, body, Some(&target), offload).await?;
            (AttemptLog::to(&target), unsigned(&target.account, &call)?)
        }
    };
    Ok(dry_run::tell(attempt_log, vec![request], &Report::default(), context, offload).await?)
}
