//! The checked parts of bodies, their portions, and the replacements for masked text.

use super::*;

fn judged(subject: &Subject) -> Vec<String> {
    let mut texts = vec![String::new(); subject.len()];
    for stretch in subject.portions().concat() {
        texts[stretch.of].push_str(stretch.text);
    }
    texts
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn rewritten(subject: Subject, edit: impl Fn(&str) -> String) -> Value {
    let texts: Vec<String> = judged(&subject).iter().map(|text| edit(text)).collect();
    serde_json::from_slice(&subject.with(&texts).unwrap()).unwrap()
}

#[test]
fn texts_of_every_role_in_a_request_are_checked() {
    let body = json!({
        "system": [{ "text": "s" }, { "cachePoint": { "type": "default" } }],
        "messages": [
            { "role": "user", "content": [
                { "text": "u" },
                { "image": { "format": "png", "source": { "bytes": "iVBO" } } },
            ] },
            { "role": "assistant", "content": [
                { "reasoningContent": { "reasoningText": { "text": "t", "signature": "x" } } },
                { "text": "  " },
                { "toolUse": { "toolUseId": "1", "name": "f", "input": { "a": "u" } } },
            ] },
            { "role": "user", "content": [{ "toolResult": { "toolUseId": "1", "content": [
                { "text": "r" }, { "json": { "b": 1 } },
            ] } }] },
        ],
    });
    let subject = question(&bytes(&body)).unwrap();
    assert_eq!(judged(&subject), ["s", "u", "t", r#"{"a":"u"}"#, "r", r#"{"b":1}"#]);
    assert_eq!(subject.images(), [Picture { format: PictureFormat::Png, data: "iVBO" }]);
    let masked = rewritten(subject, |text| text.replace('u', "{NAME}").replace('r', "R"));
    assert_eq!(masked["messages"][0]["content"][0]["text"], "{NAME}");
    assert_eq!(masked["messages"][1]["content"][2]["toolUse"]["input"], json!({ "a": "{NAME}" }));
    assert_eq!(masked["messages"][2]["content"][0]["toolResult"]["content"][0]["text"], "R");
    assert_eq!(rewritten(question(&bytes(&body)).unwrap(), str::to_owned), body, "nothing changed");
}

#[test]
fn content_that_guardrails_cannot_read_is_refused() {
    for block in [
        json!({ "document": { "format": "txt", "name": "a", "source": { "text": "a" } } }),
        json!({ "video": {} }),
        json!({ "ofTomorrow": {} }),
        json!({ "image": { "format": "gif", "source": { "bytes": "R0lG" } } }),
        json!({ "image": { "format": "png", "source": { "s3Location": { "uri": "s3://a/b" } } } }),
        json!({ "toolResult": { "content": [{ "document": {} }] } }),
    ] {
        let body = json!({ "messages": [{ "role": "user", "content": [block] }] });
        let refused = question(&bytes(&body)).unwrap_err();
        assert_eq!(refused.code, "guardrail_cannot_read", "{block}");
    }
}

fn an_answer() -> Value {
    json!({
        "output": { "message": { "role": "assistant", "content": [
            { "reasoningContent": { "reasoningText": { "text": "hm a@b.example", "signature": "x" } } },
            { "text": "write to a@" },
            { "citationsContent": {
                "content": [{ "text": "b.example" }], "citations": [{ "title": "T" }],
            } },
            { "toolUse": { "toolUseId": "1", "name": "f", "input": { "to": "a@b.example" } } },
        ] } },
        "stopReason": "tool_use",
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
        "additionalModelResponseFields": { "/own": "o" },
        "trace": null,
    })
}

#[test]
fn text_divided_into_blocks_is_checked_as_one() {
    let subject = answer(&bytes(&an_answer())).unwrap();
    let texts = judged(&subject);
    let calls = [r#"[{"title":"T"}]"#, r#"{"to":"a@b.example"}"#];
    let own = r#"{"/own":"o"}"#;
    assert_eq!(texts, [calls[0], calls[1], own, "write to a@b.example", "hm a@b.example"]);
    let masked = rewritten(subject, |text| text.replace("a@b.example", "{EMAIL}"));
    assert_eq!(
        masked["output"]["message"]["content"],
        json!([
            { "reasoningContent": { "reasoningText": { "text": "hm {EMAIL}" } } },
            { "text": "write to {EMAIL}" },
            { "toolUse": { "toolUseId": "1", "name": "f", "input": { "to": "{EMAIL}" } } },
        ])
    );
    assert_eq!(masked["stopReason"], "tool_use");
    assert_eq!(rewritten(answer(&bytes(&an_answer())).unwrap(), str::to_owned), an_answer());
}

#[test]
fn masked_text_that_is_no_longer_json_is_an_error() {
    let subject = answer(&bytes(&an_answer())).unwrap();
    let texts: Vec<String> = judged(&subject).iter().map(|_| "{EMAIL}".to_owned()).collect();
    let held = subject.with(&texts).unwrap_err().held_back("no");
    let held: Value = serde_json::from_slice(&held).unwrap();
    assert!(held.get(OWN_FIELDS).is_none());
    assert_eq!(held["output"]["message"]["content"], json!([{ "text": "no" }]));
    assert_eq!(
        (&held["stopReason"], &held["usage"]["outputTokens"]),
        (&json!(INTERVENED), &json!(2))
    );
}

#[test]
fn long_texts_are_checked_in_portions_without_loss() {
    let words = "größe ".repeat(WINDOW / 4);
    let unbroken = "é".repeat(WINDOW + 1);
    let blank = " ".repeat(WINDOW * 2);
    let content: Vec<Value> = [words.clone(), "a".to_owned(), unbroken, blank + "b"]
        .map(|text| json!({ "text": text }))
        .into();
    let body = json!({ "messages": [{ "role": "user", "content": content }] });
    let subject = question(&bytes(&body)).unwrap();
    let portions = subject.portions();
    assert!(portions.len() > 4);
    for portion in &portions {
        let length: usize = portion.iter().map(|stretch| stretch.text.chars().count()).sum();
        assert!((1..=WINDOW).contains(&length), "{length}");
    }
    assert!(portions[0][0].text.ends_with(' '), "no word is cut");
    assert_eq!(judged(&subject), subject.texts);
    assert_eq!(subject.texts[0], words);
}

#[test]
fn the_most_severe_action_is_reported_and_no_finding_twice() {
    let mut report = GuardrailReport::default();
    for (action, told) in [
        (Action::Passed, "NONE"),
        (Action::Masked, "GUARDRAIL_INTERVENED"),
        (Action::Passed, "GUARDRAIL_INTERVENED"),
    ] {
        let finding = Finding {
            policy: schema::openai::moderations::Policy::Topic,
            name: "a".to_owned(),
            score: None,
            detected: true,
        };
        add(
            &mut report,
            &GuardrailVerdict { action, findings: vec![finding], ..GuardrailVerdict::default() },
        );
        assert_eq!(report.action, Some(told));
    }
    assert_eq!(report.findings.len(), 1);
    assert_eq!(message(&GuardrailVerdict::default()), HELD_BACK);
    let traced = traced(&bytes(&an_answer()), Some(&report), None).unwrap();
    let traced: Value = serde_json::from_slice(&traced).unwrap();
    assert_eq!(traced["trace"]["guardrail"]["input"]["action"], "GUARDRAIL_INTERVENED");
}
