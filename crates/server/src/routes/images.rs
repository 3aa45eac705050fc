//! `POST /v1/images/generations` and `/v1/images/edits`: parses the request, resolves the model, makes a call of
//! InvokeModel for each image, and returns the images in base64.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use routing::catalogue::{Catalogue, ResolvedModel};
use routing::{AttemptLog, FallbackScope, Tags, Target, Tokens};
use schema::openai::images::{IMAGE_SCALARS, ImageRequest};
use translate::dialect::end_user;
use translate::images::{
    ImageAnswer, ImageInput, ImageStamp, ImageTask, MadeImages, answer, question,
};
use translate::profile::ImageShape;
use translate::spent::Spent;
use translate::sse::write_named;
use translate::{Invalid, Report};

use crate::call_price::CallPrice;
use crate::error::GatewayError;
use crate::form;
use crate::pieces::Pieces;
use crate::pipeline::invoke::{InvokeCalls, Invoked, Untold, described, unsuitable};
use crate::pipeline::json::{Mistake, parse};
use crate::pipeline::parsed_request::Untranslated;
use crate::pipeline::reserve::{CallEstimate, EstimatedCost};
use crate::pipeline::{Incoming, deployment};
use crate::request::context::{RequestContext, unix_seconds};
use crate::request::options::{CallMode, RouteOptions};
use crate::state::Worker;
use crate::telemetry::traces::RequestStep;
use crate::token_estimate;
use crate::white_mask::white_mask;

/// Largest answer accepted for one call, in bytes: an image of 16 megapixels.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";
/// Calls of one request in flight.
const CONCURRENCY: usize = 4;

/// Responds with images from a text.
pub(crate) async fn generations(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    respond(worker, http, payload, ImageTask::Generate).await
}

/// Responds with images from images.
pub(crate) async fn edits(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    respond(worker, http, payload, ImageTask::Edit).await
}

async fn respond(
    worker: Data<Worker>,
    http: HttpRequest,
    payload: Payload,
    task: ImageTask,
) -> HttpResponse {
    let route = match task {
        ImageTask::Generate => "images.generations",
        ImageTask::Edit => "images.edits",
    };
    let mut context = RequestContext::begin(&http, route);
    let made = made(&worker, (&http, payload), task, &mut context).await;
    made.unwrap_or_else(|error| context.refuse(&error))
}

async fn made(
    worker: &Data<Worker>,
    (http, mut payload): (&HttpRequest, Payload),
    task: ImageTask,
    context: &mut RequestContext,
) -> Result<HttpResponse, GatewayError> {
    let mut incoming =
        Incoming::identify(worker, http, Some(&mut payload), RouteOptions::DryRun).await?;
    let offload = &worker.shared.offload;
    let body = incoming.read(payload, context).await?;
    let body = form::as_json(http, body, Some(IMAGE_SCALARS), offload).await?;
    let body = deployment::applied(http, body, offload).await?;
    let named = offload.run(body.len(), named(body.clone())).await??;
    incoming.acts_for(named.end_user, &named.tags)?;
    let admitted = incoming.admit(Some(&named.model), context).await?;
    let tags = admitted.options().tags.clone().and(&named.tags);
    let route = admitted.resolve(&named.model, tags).await?.of_one_model();
    context.is_resolved(route.series());
    let first = route
        .first()
        .ok_or_else(|| GatewayError::NotListed { name: named.model.clone(), near: Vec::new() })?;
    let policy = admitted.options().policy(first.unsupported);
    let shape = shape(&first.looked_up().await.model, admitted.now().names.catalogue())?;
    let most = admitted.now().config.chat.most_choices;
    let input = ImageInput { task, most, white_mask };
    let asked = offload.run(body.len(), picturing(body.clone(), (shape, input), first.heeds_tags));
    let Picturing { calls, output_format, mut report } = asked.await??;
    if let Some(field) = first.model.unheeded() {
        report.ignore(field);
    }
    let report = report.under(policy)?;
    let (id, pieces) = (context.id().to_owned(), Pieces::made(1));
    let calling = InvokeCalls {
        admitted: &admitted,
        route: route.clone(),
        id: &id,
        pieces,
        fallback_scope: FallbackScope::SameName,
        answer_limit: ANSWER_LIMIT,
    };
    if admitted.options().mode == CallMode::DryRun {
        return calling.show(&calls, &report, context).await;
    }
    let read = named.prompt_length;
    let tokens = Tokens::read(token_estimate::estimate(read));
    let count = u32::try_from(calls.len()).unwrap_or(u32::MAX);
    let cost = EstimatedCost::Model { route: &route, tokens, pieces, calls: count };
    admitted.reserve(CallEstimate { call_type: task_type(task), cost }, context).await?;
    context.step(RequestStep::Dispatch);
    let answered = send(&calling, (&calls, read), context).await?;
    context.step(RequestStep::Respond);
    let request_id = answered.iter().find_map(|one| one.request_id.clone());
    let stamp = ImageStamp { task, created: unix_seconds(), output_format, decode };
    let length = answered.iter().map(|one| one.body.len()).sum();
    let bodies = answered.into_iter().map(|one| one.body).collect();
    let Told { body, is_event } = offload.run(length, told(body, bodies, stamp)).await??;
    context.complete();
    let mut response = described(context, &report, request_id.as_deref());
    let content_type = if is_event { EVENTS } else { JSON };
    Ok(response.content_type(content_type).body(body))
}

/// The kind of call in rows of calls, by LiteLLM's name.
fn task_type(task: ImageTask) -> &'static str {
    match task {
        ImageTask::Generate => "aimage_generation",
        ImageTask::Edit => "aimage_edit",
    }
}

/// The parts of a request that selecting a model needs.
struct Named {
    model: String,
    prompt_length: usize,
    tags: Tags,
    end_user: Option<String>,
}

async fn named(body: Bytes) -> Result<Named, Mistake> {
    let request: ImageRequest<'_> = parse(&body)?;
    Ok(Named {
        model: request.model.to_string(),
        prompt_length: request.prompt.as_deref().map_or(0, str::len),
        end_user: end_user(request.user.as_deref(), None, None),
        tags: Tags::of_member(request.tags),
    })
}

fn shape(target: &ResolvedModel, catalogue: &Catalogue) -> Result<ImageShape, Invalid> {
    target.profile.image.ok_or_else(|| {
        unsuitable("makes no images", catalogue.image_makers()).with_code("model_not_supported")
    })
}

/// A translated request.
struct Picturing {
    calls: Vec<Bytes>,
    output_format: &'static str,
    report: Report,
}

async fn picturing(
    body: Bytes,
    (shape, input): (ImageShape, ImageInput),
    heeds_tags: bool,
) -> Result<Picturing, Untranslated> {
    let mut request: ImageRequest<'_> = parse(&body)?;
    request.tags = request.tags.filter(|_| !heeds_tags);
    let mut question = question(&request, shape, &input)?;
    let (output_format, report) = (question.output_format(), std::mem::take(&mut question.report));
    let calls = question.bodies()?.into_iter().map(Bytes::from).collect();
    Ok(Picturing { calls, output_format, report })
}

/// Sends all calls, a few at a time, and settles what they cost. The first failure fails the request and ends
/// the other calls.
async fn send(
    calling: &InvokeCalls<'_>,
    (calls, read): (&[Bytes], usize),
    context: &mut RequestContext,
) -> Result<Vec<Invoked>, GatewayError> {
    let sent =
        calls.iter().map(|body| calling.send(read, async move |_: &Target| Ok(body.clone())));
    let mut sent = stream::iter(sent).buffered(CONCURRENCY);
    let (mut answered, mut spent) = (Vec::with_capacity(calls.len()), Spent::default());
    let (mut log, mut attempts, mut failed) = (None::<AttemptLog>, 0_u32, None);
    let (mut images, mut total) = (0, None::<CallPrice>);
    while let Some(one) = sent.next().await {
        let mut invoked = match one {
            Ok(invoked) => invoked,
            Err(unsent) => {
                context.went(unsent.attempt_log);
                failed = Some(unsent.error);
                break;
            }
        };
        match MadeImages::read(&invoked.body) {
            Ok(made) => {
                let count = u64::try_from(made.count()).unwrap_or(u64::MAX);
                images += count;
                if let Some(price) = &mut invoked.price {
                    price.made(count);
                }
            }
            Err(error) => {
                failed = Some(GatewayError::Unreadable(error));
                break;
            }
        }
        spent = spent.and(invoked.spent());
        total = total.or(invoked.price.clone());
        attempts = attempts.saturating_add(invoked.attempt_log.attempts);
        match &mut log {
            Some(log) => log.made.append(&mut invoked.attempt_log.made),
            None => log = Some(invoked.attempt_log.clone()),
        }
        answered.push(invoked);
    }
    // Images that were made before a failure have a cost too.
    context.settle(spent);
    if let Some(mut price) = total {
        price.made(images);
        context.is_priced_by(&price);
    }
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(log) = log {
        context.went(AttemptLog { attempts, ..log });
    }
    Ok(answered)
}

/// The answer, and whether it is a stream of one event.
struct Told {
    body: Vec<u8>,
    is_event: bool,
}

async fn told(body: Bytes, bodies: Vec<Bytes>, stamp: ImageStamp) -> Result<Told, Untold> {
    let request: ImageRequest<'_> = parse(&body)?;
    let made = bodies.iter().map(|body| MadeImages::read(body)).collect::<Result<Vec<_>, _>>();
    let made = made.map_err(Untold::Answer)?;
    let answer = answer(&request, &made, stamp)?;
    if let ImageAnswer::Event(event) = &answer {
        let mut written = bytes::BytesMut::new();
        write_named(&mut written, event.kind, event)
            .map_err(|error| Untranslated::Internal(error.to_string()))?;
        return Ok(Told { body: written.to_vec(), is_event: true });
    }
    Ok(Told { body: serde_json::to_vec(&answer)?, is_event: false })
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    STANDARD.decode(base64).ok()
}
