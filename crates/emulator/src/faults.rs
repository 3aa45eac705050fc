//! Turns successful answers into failing ones, and model ids such as `emulator.cut-3` into failures.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    delivery::{Act, Reply},
    error::Refusal,
    frames,
    script::{Fault, Step},
};

const UNEXPECTED: &str =
    "The system encountered an unexpected error during processing. Try your request again.";

/// The behaviour that a model id of the form `emulator.NAME` asks for.
#[derive(Clone, Debug)]
pub(crate) enum Directive {
    /// Answer with exactly the last user text.
    Echo,
    /// Answer as usual.
    Plain,
    /// Answer with this in place of the model.
    Instead(Box<Reply>),
    /// Answer as usual, but fail during the answer.
    Step(Box<Step>),
}

/// Parses the part after `emulator.`; `None` if there is no such fault.
pub(crate) fn directive(name: &str) -> Option<Directive> {
    let (word, count) = match name.rsplit_once('-') {
        Some((word, count)) => match count.parse::<u64>() {
            Ok(count) => (word, Some(count)),
            Err(_) => (name, None),
        },
        None => (name, None),
    };
    let events = usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX);
    let fault = match (word, count) {
        ("echo", None) => return Some(Directive::Echo),
        ("plain", None) => return Some(Directive::Plain),
        ("throttle", None) => {
            return Some(instead(Refusal::typical(429).with_header("Retry-After", "1").reply()));
        }
        ("not-ready", None) => {
            let message = "Model is not ready for inference. Wait and try your request again.";
            return Some(instead(Refusal::new(429, "ModelNotReadyException", message).reply()));
        }
        ("error", Some(400 | 403 | 404 | 408 | 424 | 429 | 500 | 503)) => {
            return Some(instead(Refusal::typical(u16::try_from(events).ok()?).reply()));
        }
        ("proxy", Some(502)) => {
            let page = "<html><head><title>502 Bad Gateway</title></head></html>";
            return Some(instead(Reply::bytes(
                502,
                "text/html",
                Bytes::from_static(page.as_bytes()),
            )));
        }
        ("exception", Some(_)) => exception(events, "modelStreamErrorException", UNEXPECTED),
        ("stream-throttle", Some(_)) => exception(
            events,
            "throttlingException",
            "Too many tokens, please wait before trying again.",
        ),
        ("error-frame", Some(_)) => Fault::ErrorFrame {
            after: events,
            code: "InternalFailure".into(),
            message: UNEXPECTED.into(),
        },
        ("cut", Some(_)) => Fault::Cut(events),
        ("reset", Some(_)) => Fault::Reset(events),
        ("stall", Some(_)) => Fault::Stall(events),
        ("silent", None) => Fault::Silent,
        ("slow", Some(delay)) => Fault::Slow(delay),
        ("corrupt", Some(_)) => Fault::Corrupt(events),
        ("oversized", Some(_)) => Fault::Oversized(events),
        _ => return None,
    };
    Some(Directive::Step(Box::new(Step::Fault(fault))))
}

/// `reply` with `fault` applied. A unary answer gets the closest equivalent of a stream fault: exceptions
/// become its status, the others occur half-way through its body.
pub(crate) fn apply(fault: &Fault, reply: Reply) -> Reply {
    match fault {
        Fault::Silent => before(reply, Act::Stall),
        Fault::Slow(delay) => before(reply, Act::Wait(Duration::from_millis(*delay))),
        Fault::Exception { kind, message, .. } if !reply.is_stream() => as_status(kind, message),
        Fault::ErrorFrame { code, message, .. } if !reply.is_stream() => {
            Refusal::new(500, code.clone(), message.clone()).reply()
        }
        Fault::Cut(_) if !reply.is_stream() => halved(reply, Act::Close),
        Fault::Reset(_) if !reply.is_stream() => halved(reply, Act::Reset),
        Fault::Stall(_) if !reply.is_stream() => halved(reply, Act::Stall),
        Fault::Exception { after, kind, message } => {
            until(reply, *after, |_| vec![Act::Send(frames::exception(kind, message)), Act::Cut])
        }
        Fault::ErrorFrame { after, code, message } => {
            until(reply, *after, |_| vec![Act::Send(frames::error(code, message)), Act::Cut])
        }
        Fault::Cut(after) => until(reply, *after, |_| vec![Act::Cut]),
        Fault::Stall(after) => until(reply, *after, |_| vec![Act::Stall]),
        Fault::Reset(after) => {
            until(reply, *after, |next| vec![Act::Send(next.slice(..next.len() / 2)), Act::Reset])
        }
        Fault::Corrupt(index) => change(reply, *index, frames::corrupted),
        Fault::Oversized(index) => change(reply, *index, frames::oversized),
    }
}

fn exception(after: usize, kind: &str, message: &str) -> Fault {
    Fault::Exception { after, kind: kind.into(), message: message.into() }
}

fn instead(reply: Reply) -> Directive {
    Directive::Instead(Box::new(reply))
}

fn before(mut reply: Reply, act: Act) -> Reply {
    reply.before.insert(0, act);
    reply
}

/// The HTTP form of an exception that a stream would carry as a frame.
fn as_status(kind: &str, message: &str) -> Reply {
    let status = match kind {
        "validationException" => 400,
        "modelTimeoutException" => 408,
        "modelStreamErrorException" => 424,
        "throttlingException" => 429,
        "serviceUnavailableException" => 503,
        _ => 500,
    };
    let mut name = kind.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    // Unary operations have no stream error; a model failure has another name there.
    let name =
        if name == "ModelStreamErrorException" { "ModelErrorException".into() } else { name };
    Refusal::new(status, name, message).reply()
}

/// Keeps `events` sends, then plays the acts that `rest` builds from the next frame.
fn until(mut reply: Reply, events: usize, rest: impl FnOnce(&Bytes) -> Vec<Act>) -> Reply {
    let mut kept = Vec::new();
    let mut sent = 0;
    let mut next = Bytes::new();
    for act in reply.body {
        if let Act::Send(frame) = &act {
            if sent == events {
                next = frame.clone();
                break;
            }
            sent += 1;
        }
        kept.push(act);
    }
    kept.extend(rest(&next));
    reply.body = kept;
    reply
}

/// Sends half of a body whose full length was announced, then plays `act`.
fn halved(mut reply: Reply, act: Act) -> Reply {
    if let Some(Act::Send(body)) = reply.body.first_mut() {
        *body = body.slice(..body.len() / 2);
    }
    reply.body.push(act);
    reply
}

fn change(mut reply: Reply, index: usize, change: impl FnOnce(&Bytes) -> Bytes) -> Reply {
    let mut frames = reply.body.iter_mut().filter_map(|act| match act {
        Act::Send(frame) => Some(frame),
        Act::Wait(_) | Act::Stall | Act::Reset | Act::Close | Act::Cut => None,
    });
    if let Some(frame) = frames.nth(index) {
        *frame = change(frame);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Reply {
        Reply::stream(vec![
            Act::Send(Bytes::from_static(b"one")),
            Act::Wait(Duration::from_millis(1)),
            Act::Send(Bytes::from_static(b"two!")),
            Act::Send(Bytes::from_static(b"three")),
        ])
    }

    #[test]
    fn a_cut_keeps_the_events_before_it() {
        let reply = apply(&Fault::Cut(1), stream());
        assert_eq!(reply.body.len(), 3);
        assert_eq!(reply.body[0], Act::Send(Bytes::from_static(b"one")));
        assert_eq!(reply.body[2], Act::Cut);
    }

    #[test]
    fn a_reset_occurs_inside_the_next_frame() {
        let reply = apply(&Fault::Reset(1), stream());
        assert_eq!(reply.body[2..], [Act::Send(Bytes::from_static(b"tw")), Act::Reset]);
    }

    #[test]
    fn a_stream_exception_is_a_status_on_a_unary_call() {
        let fault = exception(3, "throttlingException", "slow down");
        assert_eq!(apply(&fault, Reply::json(200, &serde_json::json!({}))).status, 429);
        assert_eq!(apply(&fault, stream()).status, 200);
    }

    #[test]
    fn only_known_model_ids_name_a_fault() {
        assert!(matches!(directive("echo"), Some(Directive::Echo)));
        let Some(Directive::Step(step)) = directive("error-frame-2") else { panic!("a step") };
        assert!(matches!(*step, Step::Fault(Fault::ErrorFrame { after: 2, .. })));
        assert!(directive("cut").is_none() && directive("error-200").is_none());
    }
}
