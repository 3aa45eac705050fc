//! Requests for vectors as records of batch jobs: one for each call.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use translate::Stamp;
use translate::batch::RecordForm;
use translate::embeddings::Answers;

use super::{Asked, asked, named, shape};
use crate::error::GatewayError;
use crate::pipeline::Incoming;
use crate::pipeline::record::{RecordAnswer, RecordPlan, RecordReader};
use crate::request::context::RequestContext;
use crate::state::Worker;
use crate::token_ids;

/// Translates a request into records.
///
/// # Errors
/// The request is not valid, or its model may not be called or embeds no texts.
pub(crate) async fn plan(
    worker: &Data<Worker>,
    http: &HttpRequest,
    body: Bytes,
) -> Result<RecordPlan, GatewayError> {
    let mut context = RequestContext::begin(http, "embeddings");
    let mut incoming = Incoming::of_line(worker, http)?;
    let offload = &worker.shared.offload;
    let named = offload.run(body.len(), named(body.clone())).await??;
    incoming.acts_for(named.end_user, &named.tags)?;
    let admitted = incoming.admit(Some(&named.model), &mut context).await?;
    let now = Arc::clone(admitted.now());
    let tags = admitted.options().tags.clone().and(&named.tags);
    let name = admitted.admission().alias(&named.model).unwrap_or(&named.model).to_owned();
    let route = admitted.resolve(&named.model, tags).await?;
    let missing = || GatewayError::NotListed { name: named.model.clone(), near: Vec::new() };
    let target = route.first().ok_or_else(missing)?.looked_up().await.into_owned();
    let shape = shape(&target.model, now.names.catalogue())?;
    if named.holds_tokens {
        token_ids::load().await?;
    }
    let asked = offload.run(body.len(), asked(body, shape, target.heeds_tags)).await??;
    let Asked { calls, answers, report } = asked;
    let report = report.under(admitted.options().policy(target.unsupported))?;
    Ok(RecordPlan {
        name,
        asked: named.model,
        target,
        form: RecordForm::Invoke,
        inputs: calls.into_iter().map(|call| call.body).collect(),
        ignored: report.ignored().to_vec(),
        reader: Box::new(Reader(answers)),
    })
}

/// Joins the vectors of a request's records.
struct Reader(Answers);

impl RecordReader for Reader {
    fn read(
        self: Box<Self>,
        outputs: Vec<Bytes>,
        stamp: Stamp,
    ) -> LocalBoxFuture<'static, Result<RecordAnswer, GatewayError>> {
        Box::pin(async move {
            let Self(mut answers) = *self;
            for (at, output) in outputs.iter().enumerate() {
                answers.take(at, output, None).map_err(GatewayError::Unreadable)?;
            }
            let body = serde_json::to_vec(&answers.finish(stamp.model));
            let body = body.map_err(|error| GatewayError::Internal(error.to_string()))?;
            Ok(RecordAnswer { body })
        })
    }
}
