//! Records: what is kept of bodies, and what is not.

use serde_json::{Value, json};

use super::record::render;
use super::*;

fn content(body: &str, kind: &str) -> Content {
    let pieces = body.as_bytes().chunks(7).map(Bytes::copy_from_slice).collect();
    Content { pieces, size: body.len(), kind: kind.to_owned() }
}

fn rendered(request: Content, response: Content, patterns: &[&str]) -> Value {
    let patterns = patterns.iter().map(|written| RedactedPattern::parse(written).unwrap());
    let redact = Redaction(patterns.collect());
    let exchange = Exchange { facts: r#""route":"chat""#.to_owned(), request, response };
    let mut lines = String::new();
    render(&exchange, &redact, &mut lines);
    assert_eq!(lines.matches('\n').count(), 1, "{lines}");
    serde_json::from_str(&lines).unwrap()
}

#[test]
fn a_record_has_facts_request_and_response() {
    let request = content(r#"{"model":"m","messages":["a\nb"]}"#, "application/json");
    let record = rendered(request, content("plain words", "text/plain"), &[]);
    assert_eq!(record["route"], "chat");
    assert_eq!(record["request"]["messages"][0], "a\nb");
    assert_eq!(record["response"], "plain words");
    assert!(record["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn patterns_are_replaced_in_values_and_names() {
    let request = content(
        r#"{"a@b.example":["mail a@b.example or ring +49 30 1234567","key sk-abcdefghijklmnopqrst"]}"#,
        "application/json",
    );
    let empty = content("", "");
    let record = rendered(request, empty, &["email", "phone", "api_key", r"m\w+l"]);
    assert_eq!(
        record["request"],
        json!({"[redacted]": ["[redacted] [redacted] or ring [redacted]", "key [redacted]"]})
    );
    assert_eq!(record["response"], Value::Null);
}

#[test]
fn the_pieces_of_a_stream_are_joined_before_patterns_are_looked_for() {
    let events = concat!(
        ": comment\n\n",
        r#"data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"write to ali"}}]}"#,
        "\n\n",
        r#"data: {"id":"x","choices":[{"index":0,"delta":{"content":"ce@exam"}}]}"#,
        "\n\n",
        r#"data: {"id":"x","choices":[{"index":0,"delta":{"content":"ple.com now"},"finish_reason":"stop"}]}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let record = rendered(content("{}", ""), content(events, "text/event-stream"), &["email"]);
    let choice = &record["response"]["choices"][0];
    assert_eq!(choice["delta"]["content"], "write to [redacted] now");
    assert_eq!(
        (&choice["finish_reason"], &record["response"]["id"]),
        (&json!("stop"), &json!("x"))
    );
}

#[test]
fn media_and_what_is_too_large_or_no_text_is_left_out() {
    let media = format!(r#"{{"url":"data:image/png;base64,{}"}}"#, "A".repeat(5_000));
    let binary =
        Content { pieces: vec![Bytes::from_static(&[0xff, 0])], size: 2, kind: String::new() };
    let record = rendered(content(&media, "application/json"), binary, &[]);
    assert_eq!(record["request"]["url"], "[5022 bytes]");
    assert_eq!(record["response"], "[2 bytes]");
    let mut large = Content::default();
    for _ in 0..3 {
        large.push(&Bytes::from_static(&[b'x'; 50_000]), 100_000);
    }
    assert!(large.pieces.is_empty());
    assert_eq!(rendered(content("{}", ""), large, &[])["response"], "[150000 bytes]");
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    assert!(RedactedPattern::parse("(").is_err());
    assert!(RedactedPattern::parse("x*").is_err(), "it matches everywhere");
}

#[test]
fn places_in_s3_have_a_bucket() {
    let place = |text: &str| S3Place::parse(text).map(|place| place.address());
    assert_eq!(place("s3://b/a/c/").as_deref(), Some("s3://b/a/c/"));
    assert_eq!(place("s3://b").as_deref(), Some("s3://b/"));
    assert_eq!((place("s3:///a"), place("/var/log")), (None, None));
}
