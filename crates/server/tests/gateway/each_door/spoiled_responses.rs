//! Responses that clients were given spoiled in one way each, and what they did: none of them occurs. The clients are
//! Codex, openai-python, openai-agents, LangChain, pydantic-ai and the AI SDK.
//!
//! | spoiled | what a client does | test |
//! |---|---|---|
//! | `usage` null, or without details | counts nothing | `usage_is_there_with_its_details` |
//! | a response object of six members | reads defaults | `a_response_object_has_all_its_members` |
//! | a response object of `id` and `output` | the AI SDK's stream fails | `a_response_object_has_what_strict_clients_need` |
//! | no `response.created` | openai-python raises | `a_stream_begins_with_response_created` |
//! | no `response.in_progress`, `sequence_number`, `event:` lines, `[DONE]` | depends on the client | `a_stream_has_its_second_event_numbers_names_and_done` |
//! | no events of content parts | openai-agents: IndexError | `a_part_is_opened_before_its_text_and_closed_after_it` |
//! | only done events, no deltas | pydantic-ai: an empty answer | `texts_and_arguments_come_in_deltas` |
//! | no done events | Codex ends as if it were done | `what_begins_is_done` |
//! | no `response.completed` | Codex repeats the turn six times | `a_stream_has_one_end` |
//! | items without `id` | the AI SDK's stream fails | `an_item_has_an_id_and_its_events_name_it` |
//! | `output_text` without `annotations` | pydantic-ai: TypeError | `a_text_has_annotations` |
//! | `response.failed` | Codex acts on the code; golden streams show the wait in the message | `a_failure_has_a_code_and_a_message` |
//! | an `error` event | Codex repeats the turn five times | `a_broken_stream_has_no_error_event` |
//! | `response.incomplete` | openai-python raises | `only_what_is_incomplete_says_so` |
//! | 404 and 429 | retries | `a_refusal_has_a_status_a_code_and_its_wait` |

use serde_json::{Value, json};

use super::came::{Came, Event, every_kind, refusals};
use super::{list, text};

const PATH: &str = "/v1/responses";
const ENDS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

fn request() -> Value {
    json!({ "input": "x", "reasoning": { "summary": "auto" }, "include": ["reasoning.encrypted_content"] })
}

async fn every_answer() -> Vec<Came> {
    every_kind(PATH, &request()).await
}

async fn every_stream() -> Vec<Came> {
    every_answer().await.into_iter().filter(Came::is_stream).collect()
}

/// The response objects of an answer: the whole one, or those of the events.
fn objects(came: &Came) -> Vec<Value> {
    if !came.is_stream() {
        return vec![came.received.json()];
    }
    let responses =
        came.named().into_iter().filter_map(|event| event.data.get("response").cloned());
    responses.collect()
}

/// The items of an answer, as they begin and as they are in the end.
fn items(came: &Came) -> Vec<Value> {
    let of_events = |event: Event| event.data.get("item").cloned();
    let events = if came.is_stream() { came.named() } else { Vec::new() };
    let mut items: Vec<Value> = events.into_iter().filter_map(of_events).collect();
    for response in objects(came) {
        items.extend(list(&response["output"]).cloned());
    }
    items
}

#[actix_rt::test]
async fn usage_is_there_with_its_details() {
    for came in every_answer().await.iter().filter(|came| !came.is_broken) {
        let response = objects(came).pop().unwrap();
        for path in [
            "/input_tokens",
            "/input_tokens_details/cached_tokens",
            "/output_tokens",
            "/output_tokens_details/reasoning_tokens",
            "/total_tokens",
        ] {
            let count = response["usage"].pointer(path);
            assert!(count.is_some_and(Value::is_u64), "{}: {path} {response}", came.case);
        }
    }
}

#[actix_rt::test]
async fn a_response_object_has_all_its_members() {
    let members = "background completed_at created_at error id incomplete_details instructions max_output_tokens \
                   max_tool_calls metadata model object output parallel_tool_calls previous_response_id reasoning \
                   service_tier status store temperature text tool_choice tools top_logprobs top_p truncation usage";
    for came in every_answer().await {
        for response in objects(&came) {
            let missing = members.split(' ').filter(|name| response.get(*name).is_none());
            assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new(), "{}", came.case);
        }
    }
}

#[actix_rt::test]
async fn a_response_object_has_what_strict_clients_need() {
    for came in every_answer().await {
        let objects = objects(&came);
        assert_eq!(objects.len(), if came.is_stream() { 3 } else { 1 }, "{}", came.case);
        for response in &objects {
            assert!(text(&response["id"]).starts_with("resp_"), "{}", came.case);
            assert_eq!(response["id"], objects[0]["id"], "{}", came.case);
            assert!(response["created_at"].is_u64(), "{}", came.case);
            assert!(!text(&response["model"]).is_empty(), "{}", came.case);
            assert_eq!(response["object"], "response", "{}", came.case);
            assert!(response["output"].is_array(), "{}", came.case);
            assert!(!text(&response["status"]).is_empty(), "{}", came.case);
        }
    }
}

#[actix_rt::test]
async fn a_stream_begins_with_response_created() {
    for came in every_stream().await {
        let first = &came.events()[0].data;
        assert_eq!(first["type"], "response.created", "{}", came.case);
        assert_eq!(first["response"]["status"], "in_progress", "{}", came.case);
    }
}

#[actix_rt::test]
async fn a_stream_has_its_second_event_numbers_names_and_done() {
    for came in every_stream().await {
        let mut events = came.events();
        let done = events.pop().unwrap();
        assert_eq!((done.name, done.data), (None, json!("[DONE]")), "{}", came.case);
        assert_eq!(events[1].data["type"], "response.in_progress", "{}", came.case);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event.data["sequence_number"], number, "{}", came.case);
            assert_eq!(event.name.as_deref(), event.data["type"].as_str(), "{}", came.case);
        }
    }
}

/// The part or item that an event belongs to.
fn place(event: &Value) -> String {
    let index = if event["summary_index"].is_u64() {
        &event["summary_index"]
    } else {
        &event["content_index"]
    };
    format!("{} {index}", event["item_id"])
}

#[actix_rt::test]
async fn a_part_is_opened_before_its_text_and_closed_after_it() {
    for came in every_stream().await {
        let (mut open, mut seen) = (Vec::new(), 0);
        for event in came.named() {
            let kind = text(&event.data["type"]);
            let place = place(&event.data);
            let of_text = kind.starts_with("response.output_text.")
                || kind.starts_with("response.reasoning_summary_text.");
            if kind.ends_with("_part.added") {
                assert!(
                    event.data["part"]["text"] == "" && !open.contains(&place),
                    "{}",
                    came.case
                );
                open.push(place);
            } else if kind.ends_with("_part.done") {
                open.retain(|one| *one != place);
            } else if of_text {
                assert!(open.contains(&place), "{}: {kind} outside of a part", came.case);
                seen += 1;
            }
        }
        assert!(came.is_broken || open.is_empty(), "{}: {open:?}", came.case);
        assert!(seen > 0 || !came.case.contains("text"), "{}: no text at all", came.case);
    }
}

#[actix_rt::test]
async fn texts_and_arguments_come_in_deltas() {
    for came in every_stream().await {
        let mut so_far = String::new();
        for event in came.named() {
            let kind = text(&event.data["type"]);
            if kind.ends_with(".delta") {
                assert!(!text(&event.data["delta"]).is_empty(), "{}: an empty piece", came.case);
                so_far += text(&event.data["delta"]);
            } else if ["text", "arguments"].iter().any(|part| event.data[*part].is_string()) {
                let whole = event.data.get("text").unwrap_or(&event.data["arguments"]);
                assert_eq!(text(whole), so_far, "{}: {kind}", came.case);
                so_far.clear();
            }
        }
        assert!(came.is_broken || so_far.is_empty(), "{}: {so_far:?} is not done", came.case);
    }
}

#[actix_rt::test]
async fn what_begins_is_done() {
    for came in every_stream().await.iter().filter(|came| !came.is_broken) {
        for (begins, ends) in [
            ("response.output_item.added", "response.output_item.done"),
            ("response.content_part.added", "response.content_part.done"),
            ("response.content_part.added", "response.output_text.done"),
            ("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
            ("response.reasoning_summary_part.added", "response.reasoning_summary_text.done"),
        ] {
            let (begun, ended) = (came.of_name(begins).len(), came.of_name(ends).len());
            assert_eq!(begun, ended, "{}: {begins}, {ends}", came.case);
        }
        let done = came.of_name("response.output_item.done");
        let calls = done.iter().filter(|event| event["item"]["type"] == "function_call").count();
        let told = came.of_name("response.function_call_arguments.done").len();
        assert_eq!(calls, told, "{}", came.case);
        let items: Vec<&Value> = done.iter().map(|event| &event["item"]).collect();
        let last = objects(came).pop().unwrap();
        assert_eq!(items, list(&last["output"]).collect::<Vec<_>>(), "{}", came.case);
    }
}

#[actix_rt::test]
async fn a_stream_has_one_end() {
    for came in every_stream().await {
        let events = came.named();
        let names: Vec<&str> = events.iter().map(|event| text(&event.data["type"])).collect();
        let ends: Vec<&&str> = names.iter().filter(|name| ENDS.contains(name)).collect();
        assert_eq!(ends, [names.last().unwrap()], "{}", came.case);
        assert_eq!(*ends[0] == "response.failed", came.is_broken, "{}", came.case);
    }
}

#[actix_rt::test]
async fn an_item_has_an_id_and_its_events_name_it() {
    for came in every_answer().await {
        for item in items(&came) {
            assert!(!text(&item["id"]).is_empty(), "{}: {item}", came.case);
        }
        if !came.is_stream() {
            continue;
        }
        let (mut ids, mut open) = (Vec::new(), Value::Null);
        for event in came.named().into_iter().map(|event| event.data) {
            if event["type"] == "response.output_item.added" {
                open = event["item"]["id"].clone();
                assert!(!ids.contains(&open), "{}: {open} twice", came.case);
                ids.push(open.clone());
            } else if let Some(named) = event.get("item_id").or_else(|| event["item"].get("id")) {
                assert_eq!(*named, open, "{}: {event}", came.case);
            }
        }
    }
}

#[actix_rt::test]
async fn a_text_has_annotations() {
    let mut cited = 0;
    for came in every_answer().await {
        let parts = if came.is_stream() { came.named() } else { Vec::new() };
        let mut parts: Vec<Value> =
            parts.into_iter().filter_map(|event| event.data.get("part").cloned()).collect();
        for item in items(&came) {
            parts.extend(list(&item["content"]).cloned());
        }
        for part in parts.iter().filter(|part| part["type"] == "output_text") {
            cited += part["annotations"]
                .as_array()
                .unwrap_or_else(|| panic!("{}: {part}", came.case))
                .len();
        }
    }
    assert!(cited > 0, "the page that a text cites is an annotation");
}

#[actix_rt::test]
async fn a_failure_has_a_code_and_a_message() {
    for came in every_stream().await.iter().filter(|came| came.is_broken) {
        let [failed] = &came.of_name("response.failed")[..] else { panic!("{}", came.case) };
        let error = &failed["response"]["error"];
        let is_throttled = came.case.contains("throttling");
        let code = if is_throttled { "rate_limit_exceeded" } else { "server_error" };
        assert_eq!(error["code"], code, "{}", came.case);
        assert!(!text(&error["message"]).is_empty(), "{}", came.case);
    }
}

#[actix_rt::test]
async fn a_broken_stream_has_no_error_event() {
    for came in every_stream().await {
        assert!(came.of_name("error").is_empty(), "{}", came.case);
    }
}

#[actix_rt::test]
async fn only_what_is_incomplete_says_so() {
    for came in every_answer().await.iter().filter(|came| !came.is_broken) {
        let response = objects(came).pop().unwrap();
        let reason = match &came.case {
            case if case.contains("limit") => Some("max_output_tokens"),
            case if case.contains("filtered") => Some("content_filter"),
            _ => None,
        };
        let status = if reason.is_some() { "incomplete" } else { "completed" };
        assert_eq!(response["status"], status, "{}", came.case);
        let told = response["incomplete_details"]["reason"].as_str();
        assert_eq!(told, reason, "{}", came.case);
    }
}

#[actix_rt::test]
async fn a_refusal_has_a_status_a_code_and_its_wait() {
    for stream in [false, true] {
        let mut request = request();
        request["stream"] = json!(stream);
        let [unknown, throttled] = refusals(PATH, &request).await;
        assert_eq!((unknown.status, throttled.status), (404, 429));
        assert_eq!(throttled.header("retry-after"), Some("7"));
        for (refused, code) in [(unknown, "model_not_found"), (throttled, "rate_limit_exceeded")] {
            let error = &refused.json()["error"];
            assert_eq!(error["code"], code);
            assert!(!text(&error["message"]).is_empty() && !text(&error["type"]).is_empty());
            assert!(error.get("param").is_some(), "{error}");
        }
    }
}
