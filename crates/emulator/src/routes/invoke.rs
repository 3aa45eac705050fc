//! InvokeModel and InvokeModelWithResponseStream: the providers' own body formats.

pub(super) mod claude;
mod claude_checks;
mod embeddings;
mod fields;
mod images;
mod nova;
mod rerank;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Request, State,
    converse::{valid, with_faults},
    scripted::{Scripted, scripted},
};
use crate::{
    delivery::{Act, Reply},
    error::Refusal,
    faults::{self, Directive},
    frames,
    model::{self, Answer, Prompt},
    models::{Family, Purpose, Target},
    validate::Mode,
};

/// Longest body accepted, in bytes.
const LIMIT: usize = 25_000_000;

/// Answers an InvokeModel or InvokeModelWithResponseStream request.
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
            if let (Ok(target), Some(content)) = (&target, answer.get("content")) {
                claude::remember(state, request, target, content);
            }
            return Ok(given(&[answer], mode, state.options.pace));
        }
        Scripted::Events(events) => return Ok(given(&events, mode, state.options.pace)),
    };
    let target = target?;
    if request.body.len() > LIMIT {
        return Err(Refusal::validation(format!(
            "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length less than or equal to {LIMIT}"
        )));
    }
    let body = request.json()?;
    let reply = match &target.directive {
        Some(Directive::Instead(reply)) => (**reply).clone(),
        _ => match (target.model.purpose, mode) {
            (Purpose::Chat, _) => text(state, request, &target, (&body, mode))?,
            (_, Mode::Stream) => {
                return Err(Refusal::validation(
                    "The model is unsupported for streaming. Use the InvokeModel operation instead.",
                ));
            }
            (Purpose::Embedding, Mode::Unary) => embeddings::answer(&target.model, &body)?,
            (Purpose::Image, Mode::Unary) => images::answer(&target.model, &body)?,
            (Purpose::Rerank, Mode::Unary) => rerank::answer(&target.model, &body)?,
        },
    };
    Ok(with_faults(reply, &target, fault.as_ref()))
}

/// Answers in the format of a text model's provider.
fn text(
    state: &State,
    request: &Request<'_>,
    target: &Target,
    (body, mode): (&Value, Mode),
) -> Result<Reply, Refusal> {
    let anthropic =
        body.get("anthropic_version").is_some() || target.model.family == Family::Claude;
    let nova = target.model.family == Family::Nova || body.get("schemaVersion").is_some();
    let converse = if anthropic {
        claude_checks::roles(&target.model, body)?;
        claude::question(body)?
    } else if nova {
        nova::question(body)
    } else {
        return Err(Refusal::validation(
            "This Bedrock is an emulator and does not know this model's own body. Use the Converse operation, or a Claude, Nova or embedding model.",
        ));
    };
    let (converse, dropped) = valid(state, request, target, (converse, mode))?;
    let prompt = Prompt::read(&target.model, &converse).of(request.account());
    let cache = state.cache.account(&target.model, &converse);
    let answer = model::answer(&prompt, target.directive.as_ref(), cache);
    let chunks = match (mode, anthropic) {
        (Mode::Unary, true) => vec![claude::response(&answer, &prompt)],
        (Mode::Unary, false) => vec![nova::response(&answer, &prompt)],
        (Mode::Stream, true) => claude::chunks(&answer, &prompt),
        (Mode::Stream, false) => nova::chunks(&answer, &prompt),
    };
    let reply = match mode {
        Mode::Unary => {
            let body: Vec<u8> = chunks.first().unwrap_or(&Value::Null).to_string().into_bytes();
            counted(Reply::bytes(200, "application/json", body.into()), &answer)
        }
        Mode::Stream => stream(&chunks, state.options.pace),
    };
    let failure = model::failure(&prompt);
    let reply = failure.iter().fold(reply, |reply, fault| faults::apply(fault, reply));
    Ok(reply.without(dropped))
}

fn counted(reply: Reply, answer: &Answer) -> Reply {
    let reply = reply
        .with_header("X-Amzn-Bedrock-Input-Token-Count", answer.usage.input.to_string())
        .with_header("X-Amzn-Bedrock-Output-Token-Count", answer.usage.output.to_string())
        .with_header("X-Amzn-Bedrock-Invocation-Latency", answer.latency_ms.to_string());
    match answer.usage.cache {
        Some((read, written)) => reply
            .with_header("X-Amzn-Bedrock-Cache-Read-Input-Token-Count", read.to_string())
            .with_header("X-Amzn-Bedrock-Cache-Write-Input-Token-Count", written.to_string()),
        None => reply,
    }
}

/// The provider's chunks as a stream of frames.
fn stream(chunks: &[Value], pace: Duration) -> Reply {
    let mut acts = Vec::with_capacity(chunks.len() * 2);
    for (index, chunk) in chunks.iter().enumerate() {
        if index > 1 && !pace.is_zero() {
            acts.push(Act::Wait(pace));
        }
        let payload = frames::padded(json!({ "bytes": STANDARD.encode(chunk.to_string()) }));
        acts.push(Act::Send(frames::event("chunk", &payload)));
    }
    Reply::stream(acts).with_header("X-Amzn-Bedrock-Content-Type", "application/json")
}

/// Metrics in the last chunk of every provider.
fn metrics(answer: &Answer) -> Value {
    json!({
        "inputTokenCount": answer.usage.input,
        "outputTokenCount": answer.usage.output,
        "invocationLatency": answer.latency_ms,
        "firstByteLatency": 200,
    })
}

fn given(values: &[Value], mode: Mode, pace: Duration) -> Reply {
    match mode {
        Mode::Unary => {
            let body = values.first().unwrap_or(&Value::Null).to_string();
            Reply::bytes(200, "application/json", Bytes::from(body))
        }
        Mode::Stream => stream(values, pace),
    }
}
