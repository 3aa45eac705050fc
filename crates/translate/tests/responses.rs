//! Responses against snapshots: `fixtures/responses/*.json` holds a request (and, where needed, a
//! profile) and, where the answer matters, Converse's response. Every answer is also streamed: its
//! events keep the rules that clients depend on, and add up to the complete response.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]

use std::fmt::Write as _;

use bytes::BytesMut;
use request_case::Case;
use response_asked::{asked, reply, stream_of};
use response_events::{pushed, read, stamp, streamed};
use schema::converse::response::ConverseResponse;
use serde_json::{Value, json};
use translate::Profile;
use translate::answer_stream::{AnswerStream, Received, StreamFailure};
use translate::chat::Defaults;
use translate::dialect::Dialect;
use translate::responses::{ResponseReply, ResponseStream, Responses};

#[path = "support/case.rs"]
mod case;
#[path = "support/glass.rs"]
mod glass;
#[path = "support/golden.rs"]
mod golden;
#[path = "responses/items.rs"]
mod items;
#[path = "responses/properties.rs"]
mod properties;
#[path = "support/request_case.rs"]
mod request_case;
#[path = "support/response_asked.rs"]
mod response_asked;
#[path = "support/response_events.rs"]
mod response_events;
#[path = "responses/transcripts.rs"]
mod transcripts;
#[macro_use]
#[path = "support/snapshots.rs"]
mod snapshots;

#[test]
fn responses() {
    assert_fixtures!("fixtures/responses/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        asked(case.request.get(), &case.profile, |question| match question {
            Err(invalid) => format!("{invalid:#?}"),
            Ok(question) => {
                let mut shown = format!(
                    "ignored: {:?}\n{}",
                    question.report.ignored(),
                    serde_json::to_string_pretty(&question.body).unwrap()
                );
                if let Some(response) = case.response {
                    shown += &answered(response.get(), &question.reply);
                }
                shown
            }
        })
    });
}

#[test]
fn a_schema_is_limited_wherever_it_stands() {
    let large = json!({ "description": "x".repeat(256 * 1024) });
    let format = |schema: &Value| json!({ "type": "json_schema", "name": "a", "schema": schema });
    let nested = json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": large } });
    let text = |format: Value| json!({ "format": format });
    for (text, items) in [
        (text(format(&large)), json!([])),
        (text(nested), json!([])),
        (json!({}), json!([{ "type": "configuration_update", "text": text(format(&large)) }])),
    ] {
        let mut input = vec![json!({ "role": "user", "content": "x" })];
        input.extend(items.as_array().unwrap().iter().cloned());
        let request = json!({ "model": "m", "input": input, "text": text }).to_string();
        let refused =
            asked(&request, &Profile::default(), |question| question.map(drop).unwrap_err());
        assert_eq!(refused.param.as_deref(), Some("text.format.schema"));
        assert_eq!(refused.code, "string_above_max_length");
    }
}

/// The stream and the complete response, which have the same content.
fn answered(response: &str, reply: &ResponseReply) -> String {
    let converse: ConverseResponse<'_> = serde_json::from_str(response).unwrap();
    let stream = streamed(converse.clone(), reply);
    stream.check();
    let whole = whole(&converse, reply);
    assert_eq!(*stream.response(), whole);
    let mut shown = String::from("\nstream:\n");
    for (name, data) in &stream.events {
        if data.get("response").is_none() {
            writeln!(shown, "{name} {}", without_repeated(data)).unwrap();
        } else {
            writeln!(shown, "{name}").unwrap();
        }
    }
    shown + "whole: " + &serde_json::to_string_pretty(&whole).unwrap()
}

fn without_repeated(data: &Value) -> Value {
    let mut data = data.clone();
    for member in ["type", "sequence_number"] {
        data.as_object_mut().unwrap().remove(member);
    }
    data
}

fn whole(converse: &ConverseResponse<'_>, reply: &ResponseReply) -> Value {
    serde_json::to_value(Responses::answer(converse, reply, stamp()).answer).unwrap()
}

#[test]
fn the_events_of_a_text_come_in_the_order_of_the_api() {
    let events = [
        ("messageStart", json!({ "role": "assistant" })),
        (
            "contentBlockDelta",
            json!({ "contentBlockIndex": 0, "delta": { "text": "Granite is " } }),
        ),
        ("contentBlockDelta", json!({ "contentBlockIndex": 0, "delta": { "text": "a rock." } })),
        ("contentBlockStop", json!({ "contentBlockIndex": 0 })),
        ("messageStop", json!({ "stopReason": "end_turn" })),
        ("metadata", json!({ "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 } })),
    ];
    let events: Vec<_> = events.iter().map(|(name, data)| (*name, data.to_string())).collect();
    let stream = pushed(&events, &reply(&json!({ "model": "m", "input": "x" })));
    stream.check();
    assert_eq!(
        stream.names(),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(stream.response()["output"][0]["content"][0]["text"], "Granite is a rock.");
}

#[test]
fn a_call_without_arguments_is_an_empty_object_and_calls_follow_each_other() {
    let request = json!({ "model": "m", "input": "x", "tools": [
        { "type": "function", "name": "look" }, { "type": "function", "name": "dig" },
    ] });
    let content = json!([
        { "text": "Looking." },
        { "toolUse": { "toolUseId": "t1", "name": "look", "input": {} } },
        { "toolUse": { "toolUseId": "t2", "name": "dig", "input": { "deep": true } } },
    ]);
    let stream = stream_of(&request, &content, "tool_use");
    let output = stream.response()["output"].as_array().unwrap();
    assert_eq!(output[1]["arguments"], "{}");
    assert_eq!(
        (&output[2]["call_id"], &output[2]["arguments"]),
        (&json!("t2"), &json!(r#"{"deep":true}"#))
    );
    assert_eq!(stream.response()["status"], "completed");
}

#[test]
fn reasoning_is_shown_as_far_as_it_is_asked_for() {
    let content = json!([
        { "reasoningContent": { "reasoningText": { "text": "Hm.", "signature": "c2ln" } } },
        { "text": "Yes." },
    ]);
    let asking = |reasoning: Value, include: Value| json!({ "model": "m", "input": "x", "reasoning": reasoning, "include": include });
    let capsule = json!(["reasoning.encrypted_content"]);
    for (reasoning, include, items, has_capsule) in [
        (json!(null), json!(null), 1, false),
        (json!({ "effort": "low" }), json!([]), 1, false),
        (json!({ "effort": "low" }), capsule.clone(), 2, true),
        (json!({ "summary": "auto" }), json!(null), 2, true),
        (json!({ "summary": "auto" }), capsule.clone(), 2, true),
        (json!({ "summary": "auto", "exclude": true }), json!(null), 1, false),
    ] {
        let request = asking(reasoning, include);
        let stream = stream_of(&request, &content, "end_turn");
        let output = stream.response()["output"].as_array().unwrap();
        assert_eq!(output.len(), items, "{request}");
        let sealed = output[0]["encrypted_content"].is_string();
        assert_eq!(sealed, has_capsule, "{request}");
        if request["reasoning"]["summary"] == "auto" && items == 2 {
            assert_eq!(output[0]["summary"][0]["text"], "Hm.");
            // Kept for a client that sends only its id back.
            let kept = stream.kept.iter().find(|item| item.id == output[0]["id"]).unwrap();
            assert!(kept.json.contains("glass:reasoning:"), "{}", kept.json);
        }
    }
}

#[test]
fn endings_have_their_status() {
    let request =
        json!({ "model": "m", "input": "x", "tools": [{ "type": "function", "name": "f" }] });
    let text = json!([{ "text": "Granite forms" }]);
    for (stop, status, reason) in [
        ("end_turn", "completed", Value::Null),
        ("stop_sequence", "completed", Value::Null),
        ("pause_turn", "completed", Value::Null),
        ("of_tomorrow", "completed", Value::Null),
        ("max_tokens", "incomplete", json!({ "reason": "max_output_tokens" })),
        ("model_context_window_exceeded", "incomplete", json!({ "reason": "max_output_tokens" })),
        ("guardrail_intervened", "incomplete", json!({ "reason": "content_filter" })),
        ("content_filtered", "incomplete", json!({ "reason": "content_filter" })),
        ("refusal", "incomplete", json!({ "reason": "content_filter" })),
        ("malformed_model_output", "failed", Value::Null),
        ("malformed_tool_use", "failed", Value::Null),
    ] {
        let stream = stream_of(&request, &text, stop);
        let response = stream.response();
        assert_eq!(
            (&response["status"], &response["incomplete_details"]),
            (&json!(status), &reason),
            "{stop}"
        );
        assert_eq!(response["error"].is_null(), status != "failed");
        assert_eq!(response["completed_at"].is_null(), status != "completed");
        let of_item = if status == "incomplete" { "incomplete" } else { "completed" };
        assert_eq!(response["output"][0]["status"], of_item, "{stop}");
        assert_eq!(stream.names().last().copied(), Some(&*format!("response.{status}")));
    }
    let cut =
        json!([{ "text": "a" }, { "toolUse": { "toolUseId": "t", "name": "f", "input": {} } }]);
    let stream = stream_of(&request, &cut, "max_tokens");
    let statuses =
        [&stream.response()["output"][0]["status"], &stream.response()["output"][1]["status"]];
    assert_eq!(statuses, ["completed", "incomplete"], "only what was cut off is incomplete");
}

#[test]
fn a_stream_that_fails_ends_in_a_failed_response() {
    let failure = |status, code, retry_after_ms| StreamFailure {
        status,
        kind: "x",
        code,
        param: None,
        message: "Wait.",
        retry_after_ms,
    };
    for (failure, code, message) in [
        (
            failure(429, Some("rate_limit_exceeded"), Some(1500)),
            "rate_limit_exceeded",
            "Wait. Please try again in 1.5s",
        ),
        (failure(429, Some("insufficient_quota"), None), "insufficient_quota", "Wait."),
        (failure(400, Some("context_length_exceeded"), None), "context_length_exceeded", "Wait."),
        (failure(503, None, Some(1000)), "server_is_overloaded", "Wait."),
        (failure(403, None, None), "invalid_prompt", "Wait."),
        (failure(502, Some("upstream_truncated"), None), "server_error", "Wait."),
    ] {
        let mut out = BytesMut::new();
        let mut stream =
            Responses::stream(reply(&json!({ "model": "m", "input": "x" })), stamp(), 0);
        stream.fail(&failure, &mut out).unwrap();
        let events = read(&out);
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["response.created", "response.in_progress", "response.failed"]);
        let response = &events[2].1["response"];
        assert_eq!(response["error"], json!({ "code": code, "message": message }));
        assert_eq!(
            (&response["status"], &events[2].1["sequence_number"]),
            (&json!("failed"), &json!(2))
        );
        let mut out = BytesMut::new();
        ResponseStream::fail_without(&stamp(), Received::Head, &failure, &mut out).unwrap();
        assert_eq!(read(&out).len(), 3);
        let mut out = BytesMut::new();
        let piece = b"event: a\ndata: {\"type\":\"a\",\"sequence_number\":7,\"x\":{\"sequence_number\":9}}\n\n";
        let received = Received::Events(piece);
        ResponseStream::fail_without(&stamp(), received, &failure, &mut out).unwrap();
        let events = read(&out);
        assert_eq!(events.len(), 1, "the client has the first two");
        assert_eq!(events[0].1["sequence_number"], 8);
    }
}

/// An operator's reasoning reaches a request that does not choose its own, by any field of a chat request.
#[test]
fn reasoning_of_the_operator_is_complete() {
    let low = json!({ "reasoning": { "effort": "low" } });
    for (members, own, expected) in [
        (json!({ "reasoning_effort": "high" }), json!({}), json!("high")),
        (
            json!({ "reasoning_effort": "high" }),
            json!({ "reasoning": { "summary": "auto" } }),
            json!("high"),
        ),
        (json!({ "reasoning_effort": "high" }), low.clone(), json!("low")),
        (json!({ "reasoning": { "max_tokens": 2000 } }), json!({}), json!(2000)),
        (json!({ "reasoning": { "max_tokens": 2000 } }), low, json!("low")),
        (
            json!({ "thinking": { "type": "enabled", "budget_tokens": 3000 } }),
            json!({}),
            json!(3000),
        ),
        (json!({ "thinking": { "type": "disabled" } }), json!({}), json!(false)),
        (json!({ "reasoning": { "enabled": false } }), json!({}), json!(false)),
        (
            json!({ "reasoning_effort": "high" }),
            json!({ "additional_model_request_fields": { "thinking": { "type": "disabled" } } }),
            Value::Null,
        ),
    ] {
        let Value::Object(given) = members.clone() else { panic!("{members}") };
        let defaults = Defaults::read(given).unwrap();
        let mut request = json!({ "model": "m", "input": "x" });
        request.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let text = request.to_string();
        let mut request: <Responses as Dialect>::Request<'_> = serde_json::from_str(&text).unwrap();
        Responses::complete(&mut request, &defaults).unwrap();
        let told = format!("{request:?}");
        let wanted = match &expected {
            Value::String(effort) => format!("effort: Some(\"{effort}\")"),
            Value::Number(tokens) => format!("max_tokens: Some({tokens})"),
            Value::Bool(enabled) => format!("enabled: Some({enabled})"),
            _ => "reasoning: None".to_owned(),
        };
        assert!(told.contains(&wanted), "{members} {text}: {told}");
    }
}

#[test]
fn calls_that_overlap_are_written_one_after_the_other() {
    let block = |at: u32, id: &str| {
        (
            "contentBlockStart",
            json!({ "contentBlockIndex": at, "start": { "toolUse": { "toolUseId": id, "name": "look" } } }),
        )
    };
    let input = |at: u32, text: &str| {
        (
            "contentBlockDelta",
            json!({ "contentBlockIndex": at, "delta": { "toolUse": { "input": text } } }),
        )
    };
    let stop = |at: u32| ("contentBlockStop", json!({ "contentBlockIndex": at }));
    let end = [
        ("messageStop", json!({ "stopReason": "tool_use" })),
        ("metadata", json!({ "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 } })),
    ];
    let overlapping = [
        block(0, "a"),
        input(0, "{\"n\":"),
        block(1, "b"),
        input(1, "{\"n\":2"),
        block(2, "c"),
        input(0, "1}"),
        stop(1),
        stop(0),
        input(2, "{\"n\":3}"),
        stop(2),
    ];
    let events = overlapping.into_iter().chain(end);
    let events: Vec<_> = events.map(|(name, data)| (name, data.to_string())).collect();
    let tools = json!([{ "type": "function", "name": "look" }]);
    let stream = pushed(&events, &reply(&json!({ "model": "m", "input": "x", "tools": tools })));
    stream.check();
    let output = stream.response()["output"].as_array().unwrap();
    let calls: Vec<_> =
        output.iter().map(|item| (item["call_id"].clone(), item["arguments"].clone())).collect();
    let expected = [("a", "{\"n\":1}"), ("b", "{\"n\":2"), ("c", "{\"n\":3}")];
    assert_eq!(calls, expected.map(|(id, input)| (json!(id), json!(input))));
}

#[test]
fn an_answer_in_the_making_may_say_so_again() {
    let mut stream = Responses::stream(reply(&json!({ "model": "m", "input": "x" })), stamp(), 0);
    let mut out = BytesMut::new();
    for _ in 0..2 {
        stream.still_works(&mut out).unwrap();
    }
    out.extend_from_slice(b"data: [DONE]\n\n");
    let names: Vec<String> = read(&out).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.in_progress",
            "response.in_progress"
        ]
    );
}
