//! The ends of answers through every front door, whole and streamed: each has the door's own word for what
//! happened, and an answer that was cut never looks like a good one.

use std::collections::BTreeMap;

use emulator::{Fault, Step};
use serde_json::json;

use super::super::rig::Rig;
use super::{Door, End, Told};

/// Converse for every door: a failed call is not tried again.
const ONCE: &str = "routing: { retries: { more: 0 } }\n";
const NOVA: &str = "us.amazon.nova-2-lite-v1:0";
/// Its messages go by InvokeModel, in Anthropic's own form.
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// Bedrock's reason to stop, whether the answer has a call, and the words of chat, responses, messages and
/// text completions, in the order of [`Door::ALL`].
const GOOD: [(&str, bool, [&str; 4]); 13] = [
    ("end_turn", false, ["stop", "completed", "end_turn", "stop"]),
    ("stop_sequence", false, ["stop", "completed", "stop_sequence", "stop"]),
    ("tool_use", true, ["tool_calls", "completed", "tool_use", "stop"]),
    // A client runs calls that have come, whatever the reason is called.
    ("end_turn", true, ["tool_calls", "completed", "tool_use", "stop"]),
    ("max_tokens", false, ["length", "max_output_tokens", "max_tokens", "length"]),
    ("max_tokens", true, ["length", "max_output_tokens", "max_tokens", "length"]),
    (
        "model_context_window_exceeded",
        false,
        ["length", "max_output_tokens", "model_context_window_exceeded", "length"],
    ),
    ("guardrail_intervened", false, FILTERED),
    ("guardrail_intervened", true, FILTERED),
    ("content_filtered", false, FILTERED),
    ("refusal", false, FILTERED),
    ("pause_turn", false, ["stop", "completed", "pause_turn", "stop"]),
    ("a_reason_of_later_years", false, ["stop", "completed", "end_turn", "stop"]),
];
const FILTERED: [&str; 4] = ["content_filter", "content_filter", "refusal", "content_filter"];

/// A failure of the service.
struct Failure {
    /// Its name in a stream.
    exception: &'static str,
    /// Its status and name before one.
    refusal: (u16, &'static str),
    /// OpenAI's code, empty without one.
    code: &'static str,
    /// The code of a failed response, which clients act on.
    of_response: &'static str,
    /// Anthropic's type.
    kind: &'static str,
}

const FAILURES: [Failure; 6] = [
    Failure {
        exception: "throttlingException",
        refusal: (429, "ThrottlingException"),
        code: "rate_limit_exceeded",
        of_response: "rate_limit_exceeded",
        kind: "rate_limit_error",
    },
    Failure {
        exception: "serviceUnavailableException",
        refusal: (503, "ServiceUnavailableException"),
        code: "server_is_overloaded",
        of_response: "server_is_overloaded",
        kind: "overloaded_error",
    },
    Failure {
        exception: "internalServerException",
        refusal: (500, "InternalServerException"),
        code: "internal_error",
        of_response: "server_error",
        kind: "api_error",
    },
    Failure {
        exception: "modelStreamErrorException",
        refusal: (424, "ModelErrorException"),
        code: "model_error",
        of_response: "server_error",
        kind: "api_error",
    },
    Failure {
        exception: "modelTimeoutException",
        refusal: (408, "ModelTimeoutException"),
        code: "model_timeout",
        of_response: "server_error",
        kind: "timeout_error",
    },
    Failure {
        exception: "validationException",
        refusal: (400, "ValidationException"),
        code: "",
        of_response: "invalid_prompt",
        kind: "invalid_request_error",
    },
];

impl Failure {
    /// The word of a door, before the answer has begun or in its course.
    fn word(&self, door: Door, has_begun: bool) -> End {
        let word = match door {
            Door::Messages => self.kind,
            Door::Responses if has_begun => self.of_response,
            Door::Chat | Door::Responses | Door::Completions => self.code,
        };
        End::Failed(word.to_owned())
    }

    fn before(&self) -> Step {
        Step::Error {
            status: self.refusal.0,
            kind: self.refusal.1.to_owned(),
            message: "It broke.".to_owned(),
            headers: BTreeMap::new(),
        }
    }

    fn within(&self, after: usize) -> Step {
        let (kind, message) = (self.exception.to_owned(), "It broke.".to_owned());
        Step::Fault(Fault::Exception { after, kind, message })
    }
}

fn answer(reason: &str, calls: bool) -> Step {
    let mut content = vec![json!({ "text": "granite and gneiss" })];
    calls.then(|| {
        content.push(
            json!({ "toolUse": { "toolUseId": "call_1", "name": "dig", "input": { "deep": true } } }),
        );
    });
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": reason,
        "usage": { "inputTokens": 3, "outputTokens": 4, "totalTokens": 7 },
        "metrics": { "latencyMs": 1 },
    }))
}

#[actix_rt::test]
async fn a_good_end_has_the_word_of_its_door() {
    let rig = Rig::start("").await;
    for (reason, calls, words) in GOOD {
        for (door, word) in Door::ALL.into_iter().zip(words) {
            for stream in [false, true] {
                rig.emulator.script().push(answer(reason, calls));
                let told = door.read(&door.ask(&rig, NOVA, stream).await);
                let case = format!("{reason}, calls: {calls}, {door:?}, streamed: {stream}");
                assert_eq!(told.text, "granite and gneiss", "{case}");
                assert_eq!(told.end, End::Good(word.to_owned()), "{case}");
                assert_eq!(told.calls.len(), usize::from(calls && door.has_turns()), "{case}");
                assert_eq!((told.usage.prompt, told.usage.completion), (3, 4), "{case}");
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_blocked_answer_has_the_guardrails_text_and_no_good_end() {
    let rig = Rig::start("").await;
    let blocked = json!({
        "output": { "message": { "role": "assistant", "content": [{ "text": "This was blocked." }] } },
        "stopReason": "guardrail_intervened",
        "usage": { "inputTokens": 0, "outputTokens": 0, "totalTokens": 0 },
        "trace": { "guardrail": { "actionReason": "Guardrail blocked." } },
        "metrics": { "latencyMs": 1 },
    });
    for (door, word) in Door::ALL.into_iter().zip(FILTERED) {
        for stream in [false, true] {
            rig.emulator.script().push(Step::Answer(blocked.clone()));
            let told = door.read(&door.ask(&rig, NOVA, stream).await);
            let case = format!("{door:?}, streamed: {stream}");
            assert_eq!(
                (told.text.as_str(), told.end),
                ("This was blocked.", End::Good(word.to_owned())),
                "{case}"
            );
        }
    }
    rig.stop().await;
}

/// Asks one model through one door, with this step in the way.
async fn asked(rig: &Rig, door: Door, model: &str, stream: bool, step: Step) -> (u16, Told) {
    rig.emulator.script().push(step);
    let received = door.ask(rig, model, stream).await;
    (received.status, door.read(&received))
}

/// The doors and models of a failure: messages of Claude come another way.
fn ways() -> impl Iterator<Item = (Door, &'static str)> {
    Door::ALL.into_iter().map(|door| (door, NOVA)).chain([(Door::Messages, CLAUDE)])
}

#[actix_rt::test]
async fn an_exception_is_the_doors_error_before_a_stream_and_in_it() {
    let rig = Rig::start(ONCE).await;
    for failure in FAILURES {
        for (door, model) in ways() {
            let case = format!("{} {door:?} {model}", failure.exception);
            for stream in [false, true] {
                let (status, told) = asked(&rig, door, model, stream, failure.before()).await;
                assert!(status >= 400, "{case}");
                assert_eq!(told.end, failure.word(door, false), "{case}, streamed: {stream}");
            }
            for after in [0, 1, 3] {
                let (status, told) = asked(&rig, door, model, true, failure.within(after)).await;
                assert_eq!(status == 200, after > 0, "{case} after {after}");
                assert_eq!(told.end, failure.word(door, after > 0), "{case} after {after}");
            }
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn an_answer_that_the_model_spoiled_is_told() {
    let rig = Rig::start("").await;
    for reason in ["malformed_model_output", "malformed_tool_use"] {
        for (door, expected) in [
            (Door::Chat, End::Good("stop".to_owned())),
            (Door::Responses, End::Failed("server_error".to_owned())),
            (Door::Messages, End::Failed("api_error".to_owned())),
            (Door::Completions, End::Good("stop".to_owned())),
        ] {
            for stream in [false, true] {
                rig.emulator.script().push(answer(reason, false));
                let received = door.ask(&rig, NOVA, stream).await;
                let case = format!("{reason} {door:?}, streamed: {stream}");
                assert_eq!(door.read(&received).end, expected, "{case}");
                // Where the door has no word for it, Bedrock's own stands beside it.
                let told = String::from_utf8_lossy(&received.body).into_owned();
                let is_failed = matches!(expected, End::Failed(_));
                assert!(
                    is_failed || told.contains(&format!("\"stop_reason\":\"{reason}\"")),
                    "{case}: {told}"
                );
            }
        }
    }
    rig.stop().await;
}

/// The faults that cut a stream.
const CUTS: [fn(usize) -> Fault; 4] = [Fault::Cut, Fault::Reset, Fault::Corrupt, Fault::Oversized];

#[actix_rt::test]
async fn a_cut_answer_never_ends_well() {
    let rig = Rig::start(ONCE).await;
    for cut in CUTS {
        for (door, model) in ways() {
            let mut begun = 0;
            for after in 0..8 {
                let fault = cut(after);
                let case = format!("{fault:?} {door:?} {model}");
                let (status, told) = asked(&rig, door, model, true, Step::Fault(fault)).await;
                assert!(matches!(told.end, End::Failed(_)), "{case}: {told:?}");
                assert!(status == 200 || status >= 500, "{case}: {status}");
                begun += usize::from(status == 200);
            }
            assert!(begun >= 6, "{cut:?} {door:?} {model}: {begun} streams had begun");
        }
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn a_whole_answer_that_is_cut_is_an_error() {
    let rig = Rig::start(ONCE).await;
    let Step::Answer(whole) = answer("end_turn", false) else { panic!() };
    let text = whole.to_string();
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": "granite" }], "usage": { "input_tokens": 3, "output_tokens": 4 },
    });
    for (door, model) in ways() {
        let text = if model == CLAUDE { message.to_string() } else { text.clone() };
        for end in [0, 1, text.len() / 2, text.len() - 1] {
            let step = Step::Text { body: text[..end].to_owned(), headers: BTreeMap::new() };
            let (status, told) = asked(&rig, door, model, false, step).await;
            assert!(status >= 500, "{door:?} {model} cut at {end}: {status} {told:?}");
            assert!(matches!(told.end, End::Failed(_)), "{door:?} {model} cut at {end}");
        }
    }
    rig.stop().await;
}
