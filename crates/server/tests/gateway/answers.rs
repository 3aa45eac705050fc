//! Data of answers besides their text, unary and streamed: sources, guardrails, models, ids, reasoning
//! between tags.

use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::rig::Rig;

const NOVA: &str = "us.amazon.nova-lite-v1:0";

fn ask(model: &str, more: &Value) -> Value {
    let mut request = json!({ "model": model, "messages": [{ "role": "user", "content": "x" }] });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

fn answered(content: &Value, stop: &str, trace: &Value) -> Value {
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop,
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
        "metrics": { "latencyMs": 1 },
        "trace": trace,
    })
}

fn events(deltas: &[(u32, Value)], stop: &str, trace: &Value) -> Vec<Value> {
    let mut events = vec![json!({ "messageStart": { "role": "assistant" } })];
    for (at, (block, delta)) in deltas.iter().enumerate() {
        events.push(json!({ "contentBlockDelta": { "contentBlockIndex": block, "delta": delta } }));
        if deltas.get(at + 1).is_none_or(|(next, _)| next != block) {
            events.push(json!({ "contentBlockStop": { "contentBlockIndex": block } }));
        }
    }
    events.push(json!({ "messageStop": { "stopReason": stop } }));
    let usage = json!({ "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 });
    events.push(json!({ "metadata": { "usage": usage, "trace": trace } }));
    events
}

fn pieces(events: &[Value], member: &str) -> Vec<String> {
    let deltas = events.iter().filter_map(|event| event["choices"][0]["delta"][member].as_str());
    deltas.filter(|text| !text.is_empty()).map(ToOwned::to_owned).collect()
}

#[actix_rt::test]
async fn sources_point_at_the_words_that_rest_on_them() {
    let rig = Rig::start("").await;
    let web =
        json!({ "location": { "web": { "url": "https://a.example/x", "domain": "a.example" } } });
    let page = json!({ "title": "D", "location": { "documentPage": { "documentIndex": 0, "start": 1, "end": 2 } } });
    let content = json!([
        { "text": "Größe 😀: " },
        { "citationsContent": { "content": [{ "text": "zehn" }], "citations": [page] } },
        { "text": " Meter" },
        { "citationsContent": { "citations": [web] } },
    ]);
    rig.emulator.script().push(Step::Answer(answered(&content, "end_turn", &Value::Null)));
    let whole = rig.chat(&ask(NOVA, &json!({}))).await.json();
    let deltas = [
        (0, json!({ "text": "Größe 😀: " })),
        (1, json!({ "citation": page })),
        (1, json!({ "text": "ze" })),
        (1, json!({ "text": "hn" })),
        (2, json!({ "text": " Meter" })),
        (3, json!({ "citation": web })),
    ];
    rig.emulator.script().push(Step::Events(events(&deltas, "end_turn", &Value::Null)));
    let (streamed, done) = rig.chat(&ask(NOVA, &json!({ "stream": true }))).await.events();
    assert!(done);

    let message = &whole["choices"][0]["message"];
    let text = message["content"].as_str().unwrap();
    assert_eq!(pieces(&streamed, "content").concat(), text);
    let told: Vec<&Value> = streamed
        .iter()
        .map(|event| &event["choices"][0]["delta"]["annotations"])
        .filter(|annotations| !annotations.is_null())
        .collect();
    assert_eq!(told, [&message["annotations"]], "in one delta");
    let last = &streamed.last().unwrap()["choices"][0];
    assert_eq!(last["finish_reason"], "stop");
    let outcrop = &whole["choices"][0]["outcrop"];
    assert_eq!(&last["outcrop"], outcrop);

    let words = |cited: &Value| -> String {
        let (start, end) =
            (cited["start_index"].as_u64().unwrap(), cited["end_index"].as_u64().unwrap());
        let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
        text.chars().skip(start).take(end - start).collect()
    };
    assert_eq!(words(&message["annotations"][0]["url_citation"]), " Meter");
    let cited: Vec<String> = outcrop["citations"].as_array().unwrap().iter().map(words).collect();
    assert_eq!(cited, ["zehn", " Meter"]);
    assert_eq!(outcrop["citations"][0]["citation"], page, "as it came");
    rig.stop().await;
}

#[actix_rt::test]
async fn guardrail_actions_are_reported() {
    let rig = Rig::start("").await;
    let trace = json!({ "guardrail": { "actionReason": "Guardrail blocked.", "inputAssessment": { "g": {} } } });
    let content = json!([{ "text": "Sorry." }]);
    rig.emulator.script().push(Step::Answer(answered(&content, "guardrail_intervened", &trace)));
    let whole = rig.chat(&ask(NOVA, &json!({}))).await.json()["choices"][0].clone();
    let deltas = [(0, json!({ "text": "Sorry." }))];
    rig.emulator.script().push(Step::Events(events(&deltas, "guardrail_intervened", &trace)));
    let (streamed, done) = rig.chat(&ask(NOVA, &json!({ "stream": true }))).await.events();
    assert!(done);
    for choice in [&whole, &streamed.last().unwrap()["choices"][0]] {
        assert_eq!(choice["finish_reason"], "content_filter");
        assert_eq!(choice["outcrop"]["stop_reason"], "guardrail_intervened");
        assert_eq!(choice["outcrop"]["guardrail"], trace["guardrail"]);
    }
    assert_eq!(whole["message"]["content"], "Sorry.");
    assert_eq!(pieces(&streamed, "content"), ["Sorry."]);
    rig.stop().await;
}

#[actix_rt::test]
async fn every_answer_names_its_model() {
    let rig = Rig::start("").await;
    let embed = json!({ "model": "amazon.titan-embed-text-v2:0", "input": "x" }).to_string();
    let embedded = rig.send(Method::POST, "/v1/embeddings", embed.into()).await;
    let whole = rig.chat(&ask("nova-lite", &json!({}))).await;
    let stream = rig.chat(&ask("nova-lite", &json!({ "stream": true }))).await;
    rig.emulator.script().push(Step::Error {
        status: 400,
        kind: "ValidationException".to_owned(),
        message: "no".to_owned(),
        headers: std::collections::BTreeMap::new(),
    });
    let refused = rig.chat(&ask("nova-lite", &json!({}))).await;
    let statuses = [embedded.status, whole.status, stream.status, refused.status];
    assert_eq!(statuses, [200, 200, 200, 400]);
    let calls = rig.emulator.journal().calls();
    for (at, answer) in [embedded, whole, stream, refused].iter().enumerate() {
        let model = answer.header("x-outcrop-model").unwrap_or_else(|| panic!("{at}"));
        assert_eq!(calls[at].model_id.as_deref(), Some(model));
        for header in ["x-request-id", "x-amzn-requestid"] {
            assert!(answer.header(header).is_some_and(|id| !id.is_empty()), "{header} of {at}");
        }
    }

    let trace = json!({ "promptRouter": { "invokedModelId": "amazon.nova-pro-v1:0" } });
    let content = json!([{ "text": "Hi" }]);
    rig.emulator.script().push(Step::Answer(answered(&content, "end_turn", &trace)));
    let routed = rig.chat(&ask(NOVA, &json!({}))).await;
    assert_eq!(routed.header("x-outcrop-model"), Some("amazon.nova-pro-v1:0"));
    assert_eq!(routed.json()["choices"][0]["outcrop"]["invoked_model_id"], "amazon.nova-pro-v1:0");
    rig.stop().await;
}

#[actix_rt::test]
async fn reasoning_between_tags_is_separated_if_configured() {
    let yaml = "models:\n  apart: { model: nova-lite, accepts: { thinking_tags: split } }\n";
    let rig = Rig::start(yaml).await;
    let pushed = || {
        let text = ["<thin", "king> hm", "m</thinking>", "\n\n", "It <thinking>", " is."];
        let deltas: Vec<(u32, Value)> =
            text.iter().map(|text| (0, json!({ "text": text }))).collect();
        rig.emulator.script().push(Step::Events(events(&deltas, "end_turn", &Value::Null)));
    };
    for (model, format, thoughts, said) in [
        ("nova-lite", json!("parsed"), vec![" hm", "m"], "It <thinking> is."),
        ("nova-lite", json!("hidden"), vec![], "It <thinking> is."),
        ("nova-lite", json!(null), vec![], "<thinking> hmm</thinking>\n\nIt <thinking> is."),
        ("apart", json!(null), vec![" hm", "m"], "It <thinking> is."),
        ("apart", json!("raw"), vec![], "<thinking> hmm</thinking>\n\nIt <thinking> is."),
    ] {
        pushed();
        let request = ask(model, &json!({ "stream": true, "reasoning_format": format }));
        let answer = rig.chat(&request).await;
        assert_eq!(answer.header("x-outcrop-ignored"), None);
        let (events, done) = answer.events();
        assert!(done, "{events:?}");
        assert_eq!(pieces(&events, "reasoning_content"), thoughts, "{model} {format}");
        assert_eq!(pieces(&events, "content").concat(), said, "{model} {format}");
    }
    let odd = rig.chat(&ask(NOVA, &json!({ "reasoning_format": "loud" }))).await;
    assert_eq!((odd.status, &odd.json()["error"]["param"]), (400, &json!("reasoning_format")));
    rig.stop().await;
}
