//! `POST /v1/moderations`: parses the request, has Bedrock check the inputs, a few at a time, and maps
//! its results to OpenAI's categories.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use schema::openai::moderations::{Moderation, ModerationRequest, ModerationResult};
use translate::guardrail::verdict::{GuardrailVerdict, Side, Units};
use translate::moderations::{Judge, Moderated, ModerationInputs, question, result};
use translate::{Invalid, Report};

use crate::config;
use crate::error::GatewayError;
use crate::guardrail_api::{GuardrailName, apply_guardrail, guardrail_checks};
use crate::pipeline::Incoming;
use crate::pipeline::json::parse;
use crate::pipeline::json_response::{JsonResponse, respond};
use crate::pipeline::parsed_request::Untranslated;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::request::context::RequestContext;
use crate::request::options::RouteOptions;
use crate::state::{Snapshot, Worker};
use bedrock::{Failure, Sdk};

/// The model name in responses if no guardrail is configured.
const CHECKS: &str = "guardrail-checks";

/// Responds to a moderation request.
pub(crate) async fn moderations(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let context = RequestContext::begin(&http, "moderations");
    respond(context, async |context| moderate(&worker, &http, payload, context).await).await
}

async fn moderate(
    worker: &Data<Worker>,
    http: &HttpRequest,
    mut payload: Payload,
    context: &mut RequestContext,
) -> Result<JsonResponse<Moderation>, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::None).await?;
    let body = incoming.read(payload, context).await?;
    let length = body.len();
    let named = named(Arc::clone(incoming.now()), body.clone());
    let model = worker.shared.offload.run(length, named).await??;
    let admitted = incoming.admit(Some(&model), context).await?;
    let estimate =
        CallEstimate { call_type: "amoderation", cost: EstimatedCost::Guardrail { bytes: length } };
    admitted.reserve(estimate, context).await?;
    let now = Arc::clone(admitted.now());
    // AWS's SDK serialises and hashes the input, which takes time in proportion to its length.
    let judged = judged(Arc::clone(&now), admitted.sdk(&now.moderator), body);
    let wait = admitted.settlement().waits();
    let Judged { results, report, request_id, units } =
        worker.shared.moderation.run(length, judged).await??;
    drop(wait);
    units.into_iter().for_each(|units| admitted.settlement().guardrail(units));
    let answer = Moderation { id: context.id().replacen("req_", "modr-", 1), model, results };
    let by = match &now.config.moderation.guardrail {
        Some(guardrail) => format!("{}:{}", guardrail.id, guardrail.version),
        None => CHECKS.to_owned(),
    };
    Ok(JsonResponse { answer, report, request_id, by: Some(by) })
}

/// Reads the model name of a request.
async fn named(now: Arc<Snapshot>, body: Bytes) -> Result<String, Untranslated> {
    let request: ModerationRequest<'_> = parse(&body)?;
    Ok(model(&request, &now.config.moderation)?)
}

/// Bedrock's results for all inputs.
struct Judged {
    results: Vec<ModerationResult>,
    report: Report,
    request_id: Option<String>,
    /// Text units of each input.
    units: Vec<Units>,
}

/// The reason why there is no result.
enum Unjudged {
    Request(Untranslated),
    Upstream(Failure, Judge),
}

impl From<Untranslated> for Unjudged {
    fn from(untranslated: Untranslated) -> Self {
        Self::Request(untranslated)
    }
}

impl From<Unjudged> for GatewayError {
    fn from(unjudged: Unjudged) -> Self {
        match unjudged {
            Unjudged::Request(untranslated) => untranslated.into(),
            Unjudged::Upstream(failure, judge) => Self::Moderation { failure, judge },
        }
    }
}

async fn judged(now: Arc<Snapshot>, sdk: Sdk, body: Bytes) -> Result<Judged, Unjudged> {
    let settings = &now.config.moderation;
    let request: ModerationRequest<'_> = parse(&body).map_err(Untranslated::from)?;
    let judge = match settings.guardrail {
        Some(_) => Judge::Guardrail,
        None => Judge::Checks,
    };
    let ModerationInputs { inputs, report } =
        question(&request, judge).map_err(Untranslated::from)?;
    let verdicts = verdicts(&sdk, &now, &inputs)
        .await
        .map_err(|failure| Unjudged::Upstream(failure, judge))?;
    let told = verdicts.iter().zip(&inputs);
    let results = told.map(|(verdict, input)| result(verdict, input, &settings.topics)).collect();
    let units = verdicts.iter().map(|verdict| verdict.units).collect();
    let request_id = verdicts.into_iter().find_map(|verdict| verdict.request_id);
    Ok(Judged { results, report, request_id, units })
}

/// The model name of a request. Models of other kinds do not moderate, even if their name suggests it.
fn model(
    request: &ModerationRequest<'_>,
    settings: &config::Moderation,
) -> Result<String, Invalid> {
    let known = &settings.models;
    match request.model.as_deref() {
        None | Some("") => Ok(known.first().cloned().unwrap_or_default()),
        Some(name) if known.iter().any(|one| one == name) => Ok(name.to_owned()),
        Some(_) => {
            let message = format!(
                "This model does not moderate. Names that do: {} (moderation.models in the gateway's configuration).",
                known.join(", ")
            );
            Err(Invalid::value("model", message).with_code("model_not_found"))
        }
    }
}

/// Checks every input and returns the results in input order. The first failure fails the request,
/// because an unchecked input must not be reported as harmless.
async fn verdicts(
    sdk: &Sdk,
    now: &Snapshot,
    inputs: &[Moderated<'_>],
) -> Result<Vec<GuardrailVerdict>, Failure> {
    let settings = &now.config.moderation;
    let mut asked = Vec::with_capacity(inputs.len());
    // A loop, because with a closure the compiler cannot prove `Send` for every lifetime.
    for input in inputs {
        asked.push(judge(sdk, settings, input));
    }
    stream::iter(asked).buffered(settings.concurrency).try_collect().await
}

async fn judge(
    sdk: &Sdk,
    settings: &config::Moderation,
    input: &Moderated<'_>,
) -> Result<GuardrailVerdict, Failure> {
    match &settings.guardrail {
        Some(guardrail) => {
            let name = GuardrailName { id: &guardrail.id, version: &guardrail.version };
            let mut whole = GuardrailVerdict::default();
            for portion in input.portions() {
                whole = whole.and(apply_guardrail(sdk, name, Side::Input, &portion).await?);
            }
            Ok(whole)
        }
        None => {
            let threshold = f64::from(settings.threshold.0) / 1000.0;
            guardrail_checks(sdk, &input.texts, settings.prompt_attacks, threshold).await
        }
    }
}
