//! `POST /v1/moderations`: parse, ask Bedrock about each input, a few at a time, and put its verdicts
//! into OpenAI's categories.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use schema::openai::moderations::{Moderation, ModerationRequest};
use translate::Invalid;
use translate::guardrail::{Side, Verdict};
use translate::moderations::{Judge, Moderated, Question, question, result};

use super::directions::Directions;
use super::json::parse;
use super::whole::{Whole, respond};
use crate::app::{Snapshot, Worker};
use crate::bedrock::{Failure, GuardrailName, Typed};
use crate::body;
use crate::config;
use crate::error::GatewayError;
use crate::exchange::Exchange;

/// Who judges where no guardrail does.
const CHECKS: &str = "guardrail-checks";

/// Answers a moderation request.
pub(crate) async fn moderations(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let exchange = Exchange::begin(&http, "moderations");
    respond(exchange, async |exchange| moderate(&worker, &http, payload, exchange).await).await
}

async fn moderate(
    worker: &Worker,
    http: &HttpRequest,
    payload: Payload,
    exchange: &mut Exchange,
) -> Result<Whole<Moderation>, GatewayError> {
    let now = worker.now();
    let settings = &now.config.moderation;
    let body = body::read(http.headers(), payload, now.config.body).await?;
    Directions::only_send(http.headers())?;
    let request: ModerationRequest<'_> = parse(&body)?;
    let model = model(&request, settings)?;
    exchange.names_model(&model);
    let judge = match settings.guardrail {
        Some(_) => Judge::Guardrail,
        None => Judge::Checks,
    };
    let Question { inputs, report } = question(&request, judge)?;
    let typed = worker.typed(&now.moderator);
    let verdicts = verdicts(&typed, &now, &inputs)
        .await
        .map_err(|failure| GatewayError::Moderation { failure, judge })?;
    let results = verdicts.iter().zip(&inputs);
    let answer = Moderation {
        id: exchange.id().replacen("req_", "modr-", 1),
        model,
        results: results.map(|(verdict, input)| result(verdict, input, &settings.topics)).collect(),
    };
    let by = match &settings.guardrail {
        Some(guardrail) => format!("{}:{}", guardrail.id, guardrail.version),
        None => CHECKS.to_owned(),
    };
    let request_id = verdicts.into_iter().find_map(|verdict| verdict.request_id);
    Ok(Whole { answer, report, request_id, by: Some(by) })
}

/// The name the request asks by. Models of other kinds do not moderate, whatever they are called.
fn model(
    request: &ModerationRequest<'_>,
    settings: &config::Moderation,
) -> Result<String, GatewayError> {
    let known = &settings.models;
    match request.model.as_deref() {
        None | Some("") => Ok(known.first().cloned().unwrap_or_default()),
        Some(name) if known.iter().any(|one| one == name) => Ok(name.to_owned()),
        Some(_) => {
            let message = format!(
                "This model does not moderate. Names that do: {} (moderation.models in the gateway's configuration).",
                known.join(", ")
            );
            Err(Invalid::value("model", message).with_code("model_not_found").into())
        }
    }
}

/// One verdict an input, in their order. The first failure is the whole's: what nobody has judged is
/// not called harmless.
async fn verdicts(
    typed: &Typed,
    now: &Snapshot,
    inputs: &[Moderated<'_>],
) -> Result<Vec<Verdict>, Failure> {
    let settings = &now.config.moderation;
    let asked = inputs.iter().map(|input| judge(typed, settings, input));
    stream::iter(asked).buffered(settings.concurrency).try_collect().await
}

async fn judge(
    typed: &Typed,
    settings: &config::Moderation,
    input: &Moderated<'_>,
) -> Result<Verdict, Failure> {
    match &settings.guardrail {
        Some(guardrail) => {
            let name = GuardrailName { id: &guardrail.id, version: &guardrail.version };
            let mut whole = Verdict::default();
            for portion in input.portions() {
                whole = whole.and(typed.apply_guardrail(name, Side::Input, &portion).await?);
            }
            Ok(whole)
        }
        None => {
            let threshold = f64::from(settings.threshold.0) / 1000.0;
            typed.guardrail_checks(&input.texts, settings.scope, threshold).await
        }
    }
}
