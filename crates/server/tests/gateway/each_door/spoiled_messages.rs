//! Messages that clients were given spoiled in one way each, and what they did: none of them occurs, whichever way the
//! model is called. The clients are Claude Code, anthropic-python and the AI SDK.
//!
//! | spoiled | what a client does | test |
//! |---|---|---|
//! | no `usage` | anthropic-python: AttributeError; the AI SDK's stream fails | `usage_is_there_from_the_first_event` |
//! | `usage` of two counts | counts no cache | `usage_has_the_counts_of_the_cache` |
//! | no `event:` lines | anthropic-python reads an empty answer | `an_event_has_its_name` |
//! | no `content_block_stop` | Claude Code repeats the turn | `a_block_that_begins_ends` |
//! | no `message_delta`, no `message_stop`, a `[DONE]`, no signature | depends on the client | `a_stream_has_its_end_and_nothing_after_it`, `thinking_has_a_signature` |
//! | an `error` event | Claude Code asks thrice, then without a stream | `only_a_broken_stream_has_an_error_event` |
//! | 404 in another shape | the AI SDK shows no text | `a_refusal_has_anthropics_shape` |
//! | 429 | Claude Code tries 13 times in 40 seconds | `a_throttled_call_says_how_long_to_wait` |

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::super::rig::Rig;
use super::came::{Came, check_streams, every_kind, faults, refusals};
use super::{list, text};

const PATH: &str = "/v1/messages";
/// Called by InvokeModel, in Anthropic's own form.
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

fn request() -> Value {
    json!({ "max_tokens": 4000, "messages": [{ "role": "user", "content": "The weather in Oslo, please." }] })
}

/// Answers of Claude: text, thinking with a call, text up to its limit, and streams that break.
async fn of_claude() -> Vec<Came> {
    let rig = Rig::start("routing: { retries: { more: 0 } }\n").await;
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let tools = json!([{ "name": "weather", "description": "Reports the weather", "input_schema": schema }]);
    let thinking = json!({ "type": "enabled", "budget_tokens": 1024 });
    let calls = json!({ "tools": tools, "thinking": thinking });
    let mut all = Vec::new();
    let send = async |more: &Value, stream: bool| {
        let mut request = request();
        (request["model"], request["stream"]) = (json!(CLAUDE), json!(stream));
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rig.send(Method::POST, PATH, request.to_string().into()).await
    };
    for stream in [false, true] {
        for (kind, more) in [
            ("a text", json!({})),
            ("thinking and a call", calls.clone()),
            ("a text up to its limit", json!({ "max_tokens": 2 })),
        ] {
            let received = send(&more, stream).await;
            assert_eq!(received.status, 200, "{kind}: {:?}", received.body);
            let case = format!("Claude, {kind}, streamed: {stream}");
            all.push(Came { case, received, is_broken: false });
        }
    }
    for (case, fault) in faults() {
        rig.emulator.script().push(Step::Fault(fault));
        let received = send(&calls, true).await;
        all.push(Came { case: format!("Claude, {case}"), received, is_broken: true });
    }
    rig.stop().await;
    check_streams(&all);
    all
}

async fn every_answer() -> Vec<Came> {
    let mut all = every_kind(PATH, &request()).await;
    all.extend(of_claude().await);
    all
}

async fn every_stream() -> Vec<Came> {
    every_answer().await.into_iter().filter(Came::is_stream).collect()
}

/// The usage of an answer: of the whole message, or of the first event and of the last that has some.
fn usages(came: &Came) -> Vec<Value> {
    if !came.is_stream() {
        return vec![came.received.json()["usage"].clone()];
    }
    let first = came.events()[0].data["message"]["usage"].clone();
    let last = came.of_name("message_delta").into_iter().map(|event| event["usage"].clone());
    [first].into_iter().chain(last).collect()
}

#[actix_rt::test]
async fn usage_is_there_from_the_first_event() {
    for came in every_answer().await {
        let usages = usages(&came);
        assert_eq!(
            usages.len(),
            if came.is_stream() && !came.is_broken { 2 } else { 1 },
            "{}",
            came.case
        );
        let whole = came.is_broken || usages.last().unwrap()["output_tokens"].as_u64() > Some(0);
        assert!(whole, "{}: {usages:?}", came.case);
        for usage in usages {
            assert!(usage["output_tokens"].is_u64(), "{}: {usage}", came.case);
        }
        if came.is_stream() {
            let first = &came.events()[0].data["message"]["usage"];
            assert!(first["input_tokens"].is_u64(), "{}: {first}", came.case);
        }
    }
}

#[actix_rt::test]
async fn usage_has_the_counts_of_the_cache() {
    for came in every_answer().await {
        let usage = usages(&came).remove(0);
        for count in ["cache_creation_input_tokens", "cache_read_input_tokens"] {
            assert!(usage[count].is_u64(), "{}: {count} {usage}", came.case);
        }
    }
}

#[actix_rt::test]
async fn an_event_has_its_name() {
    for came in every_stream().await {
        for event in came.events() {
            assert_eq!(
                event.name.as_deref(),
                event.data["type"].as_str(),
                "{}: {event:?}",
                came.case
            );
        }
    }
}

#[actix_rt::test]
async fn a_block_that_begins_ends() {
    for came in every_stream().await {
        let (mut count, mut open) = (0, false);
        for event in came.events().into_iter().map(|event| event.data) {
            match text(&event["type"]) {
                "content_block_start" => {
                    assert!(!open && event["index"] == count, "{}: {event}", came.case);
                    open = true;
                }
                "content_block_delta" => {
                    assert!(open && event["index"] == count, "{}: {event}", came.case);
                }
                "content_block_stop" => {
                    assert!(open && event["index"] == count, "{}: {event}", came.case);
                    (open, count) = (false, count + 1);
                }
                _ => {}
            }
        }
        assert!(came.is_broken || !open, "{}: the last block is open", came.case);
        assert!(count > 0 || came.is_broken || came.case.contains("nothing"), "{}", came.case);
    }
}

#[actix_rt::test]
async fn a_stream_has_its_end_and_nothing_after_it() {
    for came in every_stream().await {
        assert!(!came.raw().contains("[DONE]"), "{}", came.case);
        let events = came.events();
        let names: Vec<&str> = events.iter().filter_map(|event| event.name.as_deref()).collect();
        assert_eq!(names[0], "message_start", "{}", came.case);
        let ends: Vec<&str> =
            names.iter().copied().filter(|name| name.starts_with("message_")).collect();
        if came.is_broken {
            assert_eq!(ends, ["message_start"], "{}", came.case);
            continue;
        }
        assert_eq!(ends, ["message_start", "message_delta", "message_stop"], "{}", came.case);
        assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"], "{}", came.case);
        let [delta] = &came.of_name("message_delta")[..] else { panic!("{}", came.case) };
        assert!(!text(&delta["delta"]["stop_reason"]).is_empty(), "{}: {delta}", came.case);
    }
}

/// The signatures of an answer's thinking blocks; `None` of one that has no member for it.
fn signatures(came: &Came) -> Vec<Option<String>> {
    let signature = |block: &Value| block["signature"].as_str().map(ToOwned::to_owned);
    if !came.is_stream() {
        let message = came.received.json();
        let blocks = list(&message["content"]).filter(|block| block["type"] == "thinking");
        return blocks.map(signature).collect();
    }
    let deltas = came.of_name("content_block_delta");
    let starts = came.of_name("content_block_start");
    let thinking = starts.iter().filter(|event| event["content_block"]["type"] == "thinking");
    let signed = |start: &Value| {
        let of_block = deltas.iter().filter(|event| event["index"] == start["index"]);
        let pieces: String =
            of_block.filter_map(|event| event["delta"]["signature"].as_str()).collect();
        signature(&start["content_block"]).map(|begun| begun + &pieces)
    };
    thinking.map(signed).collect()
}

#[actix_rt::test]
async fn thinking_has_a_signature() {
    let mut seen = 0;
    for came in every_answer().await.iter().filter(|came| !came.is_broken) {
        for signature in signatures(came) {
            // Claude signs its thinking; that of other models comes back in a capsule.
            let signature = signature.unwrap_or_else(|| panic!("{}: no signature", came.case));
            let is_capsule = signature.starts_with("oc1.");
            assert_eq!(is_capsule, !came.case.starts_with("Claude"), "{}", came.case);
            assert!(!signature.is_empty(), "{}", came.case);
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "three kinds of answers have thinking, whole and streamed");
}

#[actix_rt::test]
async fn only_a_broken_stream_has_an_error_event() {
    for came in every_stream().await {
        let errors = came.of_name("error");
        assert_eq!(errors.len(), usize::from(came.is_broken), "{}", came.case);
        let Some(event) = errors.first() else { continue };
        assert_eq!(came.events().pop().unwrap().data, *event, "{}: the error is last", came.case);
        let kind = if came.case.contains("throttling") { "rate_limit_error" } else { "api_error" };
        assert_eq!(event["error"]["type"], kind, "{}", came.case);
        assert!(!text(&event["error"]["message"]).is_empty(), "{}", came.case);
    }
}

#[actix_rt::test]
async fn a_refusal_has_anthropics_shape() {
    for stream in [false, true] {
        let mut request = request();
        request["stream"] = json!(stream);
        let [unknown, throttled] = refusals(PATH, &request).await;
        for (refused, status, kind) in
            [(unknown, 404, "not_found_error"), (throttled, 429, "rate_limit_error")]
        {
            let error = refused.json();
            assert_eq!((refused.status, &error["type"]), (status, &json!("error")));
            assert_eq!(error["error"]["type"], kind);
            assert!(!text(&error["error"]["message"]).is_empty(), "{error}");
            assert_eq!(error["request_id"].as_str(), refused.header("request-id"));
        }
    }
}

#[actix_rt::test]
async fn a_throttled_call_says_how_long_to_wait() {
    for stream in [false, true] {
        let mut request = request();
        request["stream"] = json!(stream);
        let [_, throttled] = refusals(PATH, &request).await;
        assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("7")));
    }
}
