//! Converse, ConverseStream and CountTokens.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Request, State, invoke, prompts,
    scripted::{Scripted, scripted},
};
use crate::{
    delivery::{Act, Reply},
    error::Refusal,
    faults::{self, Directive},
    frames,
    model::{
        self, Prompt,
        events::{self, Event},
        seal::Short,
        tokens,
    },
    models::Target,
    script::{Fault, Step},
    validate::{self, Mode, thoughts::Replay},
};

/// Answers a Converse or ConverseStream request.
pub(super) fn answer(
    state: &State,
    request: &Request<'_>,
    id: &str,
    mode: Mode,
) -> Result<Reply, Refusal> {
    let target = state.models.resolve(id, request.caller.region.as_deref());
    let base = target.as_ref().ok().map(|target| target.model.id.as_str());
    let fault = match scripted(state, id, base)? {
        Scripted::Usual(fault) => fault,
        Scripted::Bytes(reply) | Scripted::Text(reply) => return Ok(reply),
        Scripted::Answer(answer) => {
            let content = answer.pointer("/output/message/content").and_then(Value::as_array);
            if let (Ok(target), Some(content)) = (&target, content) {
                remember(state, request, target, content);
            }
            return Ok(given(state, &answer, mode));
        }
        Scripted::Events(events) => {
            let events: Vec<Event> = events.iter().filter_map(Event::parse).collect();
            if let Ok(target) = &target {
                remember(state, request, target, &model::folded(&events));
            }
            return Ok(stream(&events, state.options.pace));
        }
    };
    let target = target?;
    let body = request.json()?;
    let (mut body, dropped) = valid(state, request, &target, (body, mode))?;
    prompts::fill(id, &mut body)?;
    let reply = match &target.directive {
        Some(Directive::Instead(reply)) => (**reply).clone(),
        _ => modelled(state, &target, &body, (mode, request.account())),
    };
    Ok(with_faults(reply, &target, fault.as_ref()).without(dropped))
}

/// The request as the model reads it, and a description of the reasoning blocks that it does not read.
pub(super) fn valid(
    state: &State,
    request: &Request<'_>,
    target: &Target,
    (body, mode): (Value, Mode),
) -> Result<(Value, Vec<String>), Refusal> {
    let replay = Replay { account: request.account(), remembered: &state.remembered };
    let dropped = validate::converse(target, &body, mode, &replay)?;
    let words = dropped.iter().map(ToString::to_string).collect();
    Ok((validate::without(body, &dropped), words))
}

/// Stores the reasoning blocks of a scripted answer.
pub(super) fn remember(state: &State, request: &Request<'_>, target: &Target, content: &[Value]) {
    if let Ok(body) = request.json() {
        state.remembered.keep(content, &target.model, request.account(), &body);
    }
}

/// Answers a CountTokens request.
pub(super) fn count_tokens(
    state: &State,
    request: &Request<'_>,
    id: &str,
) -> Result<Reply, Refusal> {
    scripted(state, id, None)?;
    let model = state.models.base(id)?;
    let body = request.json()?;
    validate::count_tokens(&model, &body)?;
    let count = match body.pointer("/input/converse") {
        Some(converse) => tokens::of_request(converse),
        None => {
            let data = body.pointer("/input/invokeModel/body").and_then(Value::as_str);
            let inner = data.and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default();
            let inner: Value = serde_json::from_slice(&inner).map_err(|_| {
                Refusal::validation(
                    "Malformed input request, please reformat your input and try again.",
                )
            })?;
            let native = inner.get("anthropic_version").is_some();
            tokens::of_request(&if native { invoke::claude::question(&inner)? } else { inner })
        }
    };
    Ok(Reply::json(200, &json!({ "inputTokens": count.max(1) })))
}

/// Events as a paced stream of frames.
pub(super) fn stream(events: &[Event], pace: Duration) -> Reply {
    let mut acts = Vec::with_capacity(events.len() * 2);
    let mut deltas = 0_usize;
    for event in events {
        if event.name == "contentBlockDelta" {
            if deltas > 0 && !pace.is_zero() {
                acts.push(Act::Wait(pace));
            }
            deltas += 1;
        }
        let payload = frames::padded(event.payload.clone());
        acts.push(Act::Send(frames::event(&event.name, &payload)));
    }
    Reply::stream(acts)
}

/// Applies the faults of the model id and of the script, in that order.
pub(super) fn with_faults(reply: Reply, target: &Target, scripted: Option<&Fault>) -> Reply {
    let named = match &target.directive {
        Some(Directive::Step(step)) => match &**step {
            Step::Fault(fault) => Some(fault),
            _ => None,
        },
        _ => None,
    };
    named.into_iter().chain(scripted).fold(reply, |reply, fault| faults::apply(fault, reply))
}

fn modelled(state: &State, target: &Target, body: &Value, (mode, account): (Mode, Short)) -> Reply {
    let prompt = Prompt::read(&target.model, body).of(account);
    let cache = state.cache.account(&target.model, body);
    let answer = model::answer(&prompt, target.directive.as_ref(), cache);
    let reply = match mode {
        Mode::Unary => Reply::json(200, &answer.unary(&prompt)),
        Mode::Stream => stream(&events::of(&answer, &prompt), state.options.pace),
    };
    model::failure(&prompt).iter().fold(reply, |reply, fault| faults::apply(fault, reply))
}

fn given(state: &State, answer: &Value, mode: Mode) -> Reply {
    match mode {
        Mode::Unary => Reply::json(200, answer),
        Mode::Stream => stream(&events::of_response(answer), state.options.pace),
    }
}
