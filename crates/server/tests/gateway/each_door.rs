//! Every front door that answers with a conversation's next turn: how it is asked, and what a client of it
//! reads from its answers, whole and streamed, in terms that all of them share.

use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig};

mod came;
mod endings;
mod fold;
mod recorded;
mod spoiled_messages;
mod spoiled_responses;

/// A front door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Chat,
    Responses,
    Messages,
    Completions,
}

/// An answer as a client reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) reasoning: String,
    /// Id, name and arguments.
    pub(super) calls: Vec<(String, String, Value)>,
    pub(super) usage: Usage,
    pub(super) end: End,
}

/// Tokens and their cost. The prompt includes the tokens of the cache.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) cache_read: u64,
    pub(super) cache_written: u64,
    /// In US dollars; null without a price.
    pub(super) cost: Value,
}

/// The end of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum End {
    /// No end that a client knows.
    #[default]
    None,
    /// In the words of the door.
    Good(String),
    /// The door's code or type of the error.
    Failed(String),
}

impl Door {
    pub(super) const ALL: [Self; 4] =
        [Self::Chat, Self::Responses, Self::Messages, Self::Completions];

    /// Text completions have text alone.
    pub(super) fn has_turns(self) -> bool {
        self != Self::Completions
    }

    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Messages => "/v1/messages",
            Self::Completions => "/v1/completions",
        }
    }

    /// A question that shows reasoning where the door can.
    fn request(self, model: &str, stream: bool) -> Value {
        let turns = json!([{ "role": "user", "content": "x" }]);
        let usage = if stream { json!({ "include_usage": true }) } else { Value::Null };
        match self {
            Self::Chat => {
                json!({ "model": model, "stream": stream, "stream_options": usage, "messages": turns })
            }
            Self::Responses => {
                json!({ "model": model, "stream": stream, "input": "x", "reasoning": { "summary": "auto" } })
            }
            Self::Messages => {
                json!({ "model": model, "stream": stream, "max_tokens": 4000, "messages": turns })
            }
            Self::Completions => {
                json!({ "model": model, "stream": stream, "stream_options": usage, "prompt": "x" })
            }
        }
    }

    pub(super) async fn ask(self, rig: &Rig, model: &str, stream: bool) -> Received {
        let body = self.request(model, stream).to_string().into();
        rig.send(Method::POST, self.path(), body).await
    }

    /// Reads an answer: a whole one, a stream, or a refusal.
    pub(super) fn read(self, received: &Received) -> Told {
        if received.status != 200 {
            let error = &received.json()["error"];
            assert!(!text(&error["message"]).is_empty(), "{self:?} {error}");
            let word = if self == Self::Messages { &error["type"] } else { &error["code"] };
            return Told { end: End::Failed(text(word).to_owned()), ..Told::default() };
        }
        let is_whole = received.header("content-type") == Some("application/json");
        match (self, is_whole) {
            (Self::Chat, true) => of_chat(&received.json()),
            (Self::Chat, false) => fold::chat(received),
            (Self::Responses, true) => of_response(&received.json()),
            (Self::Responses, false) => fold::responses(received),
            (Self::Messages, true) => of_message(&received.json()),
            (Self::Messages, false) => fold::messages(received),
            (Self::Completions, true) => of_completion(&received.json()),
            (Self::Completions, false) => fold::completions(received),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|error| panic!("{error} in {arguments:?}"))
}

/// Counts in the terms of chat and of text completions.
fn usage_of_chat(usage: &Value) -> Usage {
    let details = &usage["prompt_tokens_details"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    assert_eq!(
        number(&usage["total_tokens"]),
        number(&usage["prompt_tokens"]) + number(&usage["completion_tokens"])
    );
    Usage {
        prompt: number(&usage["prompt_tokens"]),
        completion: number(&usage["completion_tokens"]),
        cache_read: number(&details["cached_tokens"]),
        cache_written: number(&details["cache_write_tokens"]),
        cost: usage["cost"].clone(),
    }
}

fn usage_of_response(usage: &Value) -> Usage {
    let details = &usage["input_tokens_details"];
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(
        number(&usage["total_tokens"]),
        number(&usage["input_tokens"]) + number(&usage["output_tokens"])
    );
    Usage {
        prompt: number(&usage["input_tokens"]),
        completion: number(&usage["output_tokens"]),
        cache_read: number(&details["cached_tokens"]),
        cache_written: number(&details["cache_write_tokens"]),
        cost: usage["cost"].clone(),
    }
}

fn usage_of_message(usage: &Value) -> Usage {
    let number = |name: &str| usage[name].as_u64().unwrap();
    let (cache_read, cache_written) =
        (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
    Usage {
        prompt: number("input_tokens") + cache_read + cache_written,
        completion: number("output_tokens"),
        cache_read,
        cache_written,
        cost: usage["cost"].clone(),
    }
}

fn of_chat(answer: &Value) -> Told {
    let choice = &answer["choices"][0];
    let calls = list(&choice["message"]["tool_calls"]).map(|call| {
        let function = &call["function"];
        let arguments = parsed(text(&function["arguments"]));
        (text(&call["id"]).to_owned(), text(&function["name"]).to_owned(), arguments)
    });
    Told {
        text: text(&choice["message"]["content"]).to_owned(),
        reasoning: text(&choice["message"]["reasoning_content"]).to_owned(),
        calls: calls.collect(),
        usage: usage_of_chat(&answer["usage"]),
        end: End::Good(choice["finish_reason"].as_str().unwrap().to_owned()),
    }
}

/// The end of a response: its status, with the reason for one that is not complete.
fn end_of_response(response: &Value) -> End {
    match response["status"].as_str().unwrap() {
        "failed" => End::Failed(response["error"]["code"].as_str().unwrap().to_owned()),
        "incomplete" => {
            End::Good(response["incomplete_details"]["reason"].as_str().unwrap().to_owned())
        }
        status => End::Good(status.to_owned()),
    }
}

fn of_response(response: &Value) -> Told {
    let mut told = Told { end: end_of_response(response), ..Told::default() };
    for item in list(&response["output"]) {
        match item["type"].as_str().unwrap() {
            "message" => list(&item["content"]).for_each(|part| told.text += text(&part["text"])),
            "reasoning" => {
                list(&item["summary"]).for_each(|part| told.reasoning += text(&part["text"]));
            }
            "function_call" => told.calls.push((
                text(&item["call_id"]).to_owned(),
                text(&item["name"]).to_owned(),
                parsed(text(&item["arguments"])),
            )),
            other => panic!("{other}"),
        }
    }
    if matches!(told.end, End::Good(_)) {
        told.usage = usage_of_response(&response["usage"]);
    }
    told
}

fn of_message(message: &Value) -> Told {
    let mut told = Told {
        usage: usage_of_message(&message["usage"]),
        end: End::Good(message["stop_reason"].as_str().unwrap().to_owned()),
        ..Told::default()
    };
    for block in list(&message["content"]) {
        match block["type"].as_str().unwrap() {
            "text" => told.text += text(&block["text"]),
            "thinking" => told.reasoning += text(&block["thinking"]),
            "redacted_thinking" => {}
            "tool_use" => told.calls.push((
                text(&block["id"]).to_owned(),
                text(&block["name"]).to_owned(),
                block["input"].clone(),
            )),
            other => panic!("{other}"),
        }
    }
    told
}

fn of_completion(answer: &Value) -> Told {
    let choice = &answer["choices"][0];
    Told {
        text: choice["text"].as_str().unwrap().to_owned(),
        usage: usage_of_chat(&answer["usage"]),
        end: End::Good(choice["finish_reason"].as_str().unwrap().to_owned()),
        ..Told::default()
    }
}
