//! Responses as clients read them: the events of a stream, judged by what clients break on.

use bytes::BytesMut;
use schema::converse::event::StreamEvent;
use schema::converse::response::ConverseResponse;
use serde_json::Value;
use translate::Stamp;
use translate::answer_stream::{AnswerStream, KeptItem, replay};
use translate::dialect::Dialect;
use translate::responses::{ResponseReply, Responses};

/// A stream as a client has read it.
#[derive(Debug, Default)]
pub(crate) struct ReadStream {
    pub(crate) events: Vec<(String, Value)>,
    pub(crate) kept: Vec<KeptItem>,
}

pub(crate) fn stamp() -> Stamp {
    Stamp { id: format!("resp_{}", "0123456789abcdef".repeat(2)), created: 1, model: "m".into() }
}

/// Streams a complete response.
pub(crate) fn streamed(response: ConverseResponse<'_>, reply: &ResponseReply) -> ReadStream {
    let mut stream = Responses::stream(reply.clone(), stamp(), 0);
    let mut out = BytesMut::new();
    let progress = replay(response, &mut stream, &mut out).unwrap();
    ended(stream, progress.answer, out)
}

/// Streams events.
pub(crate) fn pushed(events: &[(&str, String)], reply: &ResponseReply) -> ReadStream {
    let mut stream = Responses::stream(reply.clone(), stamp(), 0);
    let mut out = BytesMut::new();
    let mut answer = None;
    for (name, payload) in events {
        let event = StreamEvent::parse(name, payload.as_bytes()).unwrap();
        answer = stream.push(&event, &mut out).unwrap().answer.or(answer);
    }
    ended(stream, answer, out)
}

fn ended(
    mut stream: <Responses as Dialect>::Stream,
    answer: Option<String>,
    mut out: BytesMut,
) -> ReadStream {
    let late = stream.close(&mut out).unwrap();
    if answer.or(late.answer).is_some() {
        stream.judged(None, &mut out).unwrap();
    }
    stream.ends_at(1);
    let spent = stream.spent();
    stream.finish(spent, &mut out).unwrap();
    let kept = stream.take_items();
    ReadStream { events: read(&out), kept }
}

/// The events of a stream that ended in `[DONE]`.
pub(crate) fn read(out: &[u8]) -> Vec<(String, Value)> {
    let text = std::str::from_utf8(out).unwrap();
    let text = text.strip_suffix("data: [DONE]\n\n").expect("[DONE] is last");
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name);
        (name.to_owned(), data)
    };
    text.split_terminator("\n\n").map(event).collect()
}

impl ReadStream {
    /// The last event's response.
    pub(crate) fn response(&self) -> &Value {
        &self.events.last().unwrap().1["response"]
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.events.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Checks what clients break on, event by event.
    pub(crate) fn check(&self) {
        let numbers: Vec<u64> =
            self.events.iter().map(|(_, data)| data["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        let names = self.names();
        assert_eq!(names[..2], ["response.created", "response.in_progress"]);
        let is_end = |name: &&str| {
            ["response.completed", "response.incomplete", "response.failed"].contains(name)
        };
        assert_eq!(names.iter().filter(|name| is_end(name)).count(), 1);
        assert!(is_end(names.last().unwrap()));
        for (_, data) in &self.events {
            if let Some(response) = data.get("response") {
                check_object(response);
            }
        }
        let done = self.items();
        assert_eq!(self.response()["output"], Value::Array(done));
    }

    /// The complete items, folded from the events as a client does.
    fn items(&self) -> Vec<Value> {
        let mut done: Vec<Value> = Vec::new();
        let mut open: Option<Value> = None;
        let mut written = String::new();
        for (name, data) in &self.events {
            let Some(index) = data["output_index"].as_u64() else { continue };
            assert_eq!(index, done.len() as u64, "indexes have no gaps: {name}");
            match name.as_str() {
                "response.output_item.added" => {
                    assert!(open.is_none(), "an item is closed before the next opens");
                    check_added(&data["item"]);
                    open = Some(data["item"].clone());
                    written.clear();
                }
                "response.output_item.done" => {
                    let added = open.take().expect("an item begins");
                    let item = &data["item"];
                    for member in ["type", "id", "call_id"] {
                        assert_eq!(added[member], item[member], "{member}");
                    }
                    assert!(text_of(item).is_none_or(|text| text == written), "{item} {written}");
                    done.push(item.clone());
                }
                _ => {
                    let item = open.as_ref().expect("an item is open");
                    assert_eq!(data["item_id"], item["id"]);
                    written += data["delta"].as_str().unwrap_or_default();
                    let parts = ["text", "arguments", "input"];
                    if name.ends_with(".done")
                        && let Some(text) = parts.iter().find_map(|part| data[*part].as_str())
                    {
                        assert_eq!(text, written, "{name}");
                    }
                }
            }
        }
        assert!(open.is_none(), "every item ends");
        done
    }
}

fn check_added(item: &Value) {
    assert!(item["id"].is_string());
    match item["type"].as_str().unwrap() {
        "message" => assert_eq!(item["content"], Value::Array(Vec::new())),
        "function_call" => assert_eq!(item["arguments"], ""),
        "custom_tool_call" => assert_eq!(item["input"], ""),
        _ => {}
    }
}

/// The text that the pieces of an item add up to; `None` for items that have none.
fn text_of(item: &Value) -> Option<&str> {
    match item["type"].as_str().unwrap() {
        "message" => {
            let part = &item["content"][0];
            assert!(part["annotations"].is_array() && part["logprobs"].is_array());
            part["text"].as_str()
        }
        "function_call" => item["arguments"].as_str(),
        "custom_tool_call" => item["input"].as_str(),
        "reasoning" => Some(item["summary"][0]["text"].as_str().unwrap_or_default()),
        _ => None,
    }
}

/// Members without which strict clients refuse a response.
fn check_object(response: &Value) {
    let object = response.as_object().unwrap();
    for member in [
        "id",
        "object",
        "created_at",
        "completed_at",
        "status",
        "background",
        "error",
        "frequency_penalty",
        "incomplete_details",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "output",
        "parallel_tool_calls",
        "presence_penalty",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "usage",
    ] {
        assert!(object.contains_key(member), "{member}");
    }
    for member in ["effort", "summary"] {
        assert!(response["reasoning"].as_object().unwrap().contains_key(member));
    }
    assert!(response["text"]["format"]["type"].is_string());
    if response["status"] == "in_progress" {
        assert!(response["usage"].is_null() && response["output"] == Value::Array(Vec::new()));
    } else if response["error"].is_null() {
        for path in [
            "/input_tokens",
            "/output_tokens",
            "/total_tokens",
            "/input_tokens_details/cached_tokens",
            "/input_tokens_details/cache_write_tokens",
            "/output_tokens_details/reasoning_tokens",
        ] {
            assert!(response["usage"].pointer(path).is_some_and(Value::is_u64), "{path}");
        }
    }
}
