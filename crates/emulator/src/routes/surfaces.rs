//! The APIs of OpenAI and Anthropic on bedrock-runtime and bedrock-mantle, with their differences: the ids that
//! name models, the paths that serve them, and the quirks of their streams.

mod chat;
mod models;
mod responses;

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Request, State,
    converse::{valid, with_faults},
    invoke::claude,
    scripted::{Scripted, scripted},
};
use crate::{
    delivery::{Act, Reply},
    error::Refusal,
    faults::Directive,
    json::text,
    model::{self, Answer, Prompt},
    models::{Reasoning, Target},
    validate::Mode,
};
pub(super) use models::list;
use models::{served, target};

/// Two services share paths, and differ by the name in their signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Runtime,
    Mantle,
}

/// An API by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Responses,
    Messages,
}

/// A path of one of the APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) api: Api,
    pub(super) path: &'static str,
}

const PLACES: [Place; 5] = [
    Place { api: Api::Chat, path: "/openai/v1/chat/completions" },
    Place { api: Api::Responses, path: "/openai/v1/responses" },
    Place { api: Api::Chat, path: "/v1/chat/completions" },
    Place { api: Api::Responses, path: "/v1/responses" },
    Place { api: Api::Messages, path: "/anthropic/v1/messages" },
];

impl Place {
    pub(super) fn of(path: &str) -> Option<Self> {
        PLACES.into_iter().find(|place| place.path == path)
    }
}

/// A call that was read.
struct Asked<'a> {
    service: Service,
    target: Target,
    /// The model's id as it was sent.
    model: &'a str,
    body: &'a Value,
    mode: Mode,
}

/// Answers a call; its errors are in the envelope of the API.
pub(super) fn answer(state: &State, request: &Request<'_>, place: Place) -> Reply {
    read(state, request, place).unwrap_or_else(|refusal| refused(refusal, place.api))
}

fn read(state: &State, request: &Request<'_>, place: Place) -> Result<Reply, Refusal> {
    let body = request.json()?;
    let model = text(&body, "model");
    if model.is_empty() {
        return Err(Refusal::validation("Missing required parameter: 'model'."));
    }
    let service = service(request, place, model);
    let streams = body.get("stream").and_then(Value::as_bool) == Some(true);
    let mode = if streams { Mode::Stream } else { Mode::Unary };
    let found = target(&state.models, model, service, request.caller.region.as_deref());
    let base = found.as_ref().ok().map(|target| target.model.id.as_str());
    let fault = match scripted(state, model, base)? {
        Scripted::Usual(fault) => fault,
        Scripted::Bytes(reply) | Scripted::Text(reply) => return Ok(reply),
        Scripted::Answer(answer) => {
            return Ok(Reply::bytes(200, "application/json", answer.to_string().into()));
        }
        Scripted::Events(events) => return Ok(stream(&events, state.options.pace)),
    };
    let target = found?;
    served(&target.model.id, model, service, place)?;
    let asked = Asked { service, target, model, body: &body, mode };
    let reply = match &asked.target.directive {
        Some(Directive::Instead(reply)) => (**reply).clone(),
        _ => modelled(state, request, &asked, place.api)?,
    };
    Ok(with_faults(reply, &asked.target, fault.as_ref()))
}

/// The service that a call is meant for. A bearer key does not tell.
fn service(request: &Request<'_>, place: Place, model: &str) -> Service {
    match (request.caller.service.as_deref(), place.path.starts_with("/v1")) {
        (_, true) | (Some("bedrock-mantle"), _) => Service::Mantle,
        (Some(_), _) => Service::Runtime,
        (None, _) if models::is_profile(model) => Service::Runtime,
        (None, _) => Service::Mantle,
    }
}

fn modelled(
    state: &State,
    request: &Request<'_>,
    asked: &Asked<'_>,
    api: Api,
) -> Result<Reply, Refusal> {
    let converse = match api {
        Api::Chat => chat::question(asked.body)?,
        Api::Responses => responses::question(asked.body, asked.service)?,
        Api::Messages => messages(asked.body)?,
    };
    let converse = with_effort(converse, asked);
    let checked = valid(state, request, &asked.target, (converse, asked.mode));
    let (converse, dropped) = checked.map_err(|refusal| in_own_words(refusal, api))?;
    let prompt = Prompt::read(&asked.target.model, &converse).of(request.account());
    let cache = state.cache.account(&asked.target.model, &converse);
    let answer = model::answer(&prompt, asked.target.directive.as_ref(), cache);
    let pace = state.options.pace;
    let reply = match (api, asked.mode) {
        (Api::Chat, Mode::Unary) => whole(&chat::response(asked, &answer)),
        (Api::Chat, Mode::Stream) => stream(&chat::events(asked, &answer, &prompt), pace),
        (Api::Responses, Mode::Unary) => whole(&responses::response(asked, &answer)),
        (Api::Responses, Mode::Stream) => stream(&responses::events(asked, &answer), pace),
        (Api::Messages, Mode::Unary) => whole(&claude::response(&answer, &prompt)),
        (Api::Messages, Mode::Stream) => named(&claude::chunks(&answer, &prompt), pace),
    };
    Ok(reply.without(dropped))
}

/// Encrypted reasoning of another account, or of none, has a refusal of its own.
fn in_own_words(refusal: Refusal, api: Api) -> Refusal {
    let is_sealed = api == Api::Responses && refusal.message.contains("reasoningContent");
    if !is_sealed {
        return refusal;
    }
    Refusal::validation(
        "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
    )
}

/// A body of Anthropic's API, whose version is a header.
fn messages(body: &Value) -> Result<Value, Refusal> {
    if body.get("anthropic_version").is_some() {
        return Err(Refusal::validation("anthropic_version: Extra inputs are not permitted"));
    }
    let mut native = body.clone();
    if let Value::Object(members) = &mut native {
        members.retain(|name, _| name != "model" && name != "stream");
        members.insert("anthropic_version".into(), "2023-06-01".into());
    }
    claude::question(&native)
}

/// The effort under the name by which the model reads it.
fn with_effort(mut converse: Value, asked: &Asked<'_>) -> Value {
    let effort = asked.body.get("reasoning_effort");
    let Some(effort) = effort.or(asked.body.pointer("/reasoning/effort")) else { return converse };
    let fields = match asked.target.model.reasoning {
        Reasoning::Effort | Reasoning::EffortHighOnly | Reasoning::EffortAlways => {
            json!({ "reasoning_effort": effort })
        }
        _ => json!({ "reasoning": { "effort": effort } }),
    };
    converse["additionalModelRequestFields"] = fields;
    converse
}

fn whole(body: &Value) -> Reply {
    Reply::bytes(200, "application/json", body.to_string().into())
}

/// Server-sent events without names, each sent alone; a text is sent as it is.
fn stream(events: &[Value], pace: Duration) -> Reply {
    let written = events.iter().map(|event| match event {
        Value::String(text) => format!("data: {text}\n\n"),
        event => format!("data: {event}\n\n"),
    });
    played(written, pace)
}

/// Server-sent events with the names of their types.
fn named(events: &[Value], pace: Duration) -> Reply {
    let written =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", text(event, "type")));
    played(written, pace)
}

fn played(written: impl Iterator<Item = String>, pace: Duration) -> Reply {
    let mut acts = Vec::new();
    for (index, event) in written.enumerate() {
        if index > 1 && !pace.is_zero() {
            acts.push(Act::Wait(pace));
        }
        acts.push(Act::Send(event.into()));
    }
    let mut reply = Reply::stream(acts);
    reply.headers = vec![("Content-Type".into(), "text/event-stream".into())];
    reply
}

/// A refusal in the envelope of the API; those of authentication stay AWS's own.
fn refused(refusal: Refusal, api: Api) -> Reply {
    let kind = match refusal.status {
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let body = match api {
        Api::Messages => {
            json!({ "type": "error", "error": { "type": kind, "message": refusal.message } })
        }
        Api::Chat | Api::Responses => {
            let code = (refusal.status == 404).then_some("model_not_found");
            let error =
                json!({ "message": refusal.message, "type": kind, "param": null, "code": code });
            json!({ "error": error })
        }
    };
    let mut reply = Reply::json(refusal.status, &body);
    reply.headers.extend(refusal.headers);
    reply
}

/// An id of an answer.
fn new_id(prefix: &str) -> String {
    format!("{prefix}{}", Uuid::now_v7().simple())
}

/// The id of a call: mantle counts them anew in every answer.
fn call_id(service: Service, id: &str, ordinal: usize) -> String {
    match service {
        Service::Mantle => format!("call_{ordinal}"),
        Service::Runtime => id.replace("tooluse_", "call_"),
    }
}

/// Whether the model writes its reasoning between tags, as gpt-oss does on the runtime.
fn tags_reasoning(asked: &Asked<'_>) -> bool {
    asked.service == Service::Runtime && asked.target.model.id.contains("gpt-oss")
}

/// Token counts, by the names of the API.
fn usage(answer: &Answer, [input, output]: [&str; 2]) -> Value {
    let counts = answer.usage.gross();
    let (read, written) = counts.cache.unwrap_or_default();
    let mut usage = Map::new();
    usage.insert(format!("{input}_tokens"), counts.input.into());
    usage.insert(format!("{output}_tokens"), counts.output.into());
    usage.insert("total_tokens".into(), (counts.input + counts.output).into());
    let details = json!({ "cached_tokens": read, "cache_write_tokens": written });
    usage.insert(format!("{input}_tokens_details"), details);
    let details = json!({ "reasoning_tokens": answer.thinking_tokens() });
    usage.insert(format!("{output}_tokens_details"), details);
    Value::Object(usage)
}
