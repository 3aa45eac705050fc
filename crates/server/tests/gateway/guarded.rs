//! A guardrail applied around models that support none on the call: blocked content is neither sent nor
//! shown, and masked content is masked; an unavailable guardrail blocks everything.

use std::collections::BTreeMap;

use emulator::{Call, Step};
use serde_json::{Value, json};

use super::rig::{Received, Rig};

const NOVA: &str = "us.amazon.nova-lite-v1:0";
const BLOCKED: &str = "Sorry, this is not something to talk about.";
const YAML: &str = "models:
  around:
    model: us.amazon.nova-lite-v1:0
    accepts: { guardrail: around }
    guardrail: { id: gr1, version: 2, mode: mandatory }
  bare: { model: us.amazon.nova-lite-v1:0, accepts: { guardrail: around } }
  on_call: { model: us.amazon.nova-lite-v1:0, guardrail: { id: gr1, version: 2 } }
";

fn ask(model: &str, content: &str, stream: bool) -> Value {
    let messages = json!([
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": content },
    ]);
    json!({ "model": model, "messages": messages, "stream": stream })
}

fn answered(content: &Value, stop: &str) -> Step {
    Step::Answer(json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": stop,
        "usage": { "inputTokens": 1, "outputTokens": 2, "totalTokens": 3 },
        "metrics": { "latencyMs": 1 },
    }))
}

fn verdict(action: &str, outputs: &[&str], done: Option<&str>) -> Step {
    let outputs: Vec<Value> = outputs.iter().map(|text| json!({ "text": text })).collect();
    let entities: Vec<Value> = done
        .iter()
        .map(|done| json!({ "match": "x", "type": "NAME", "action": done, "detected": true }))
        .collect();
    let usage = json!({
        "topicPolicyUnits": 1, "contentPolicyUnits": 1, "wordPolicyUnits": 1,
        "sensitiveInformationPolicyUnits": 1, "sensitiveInformationPolicyFreeUnits": 0,
        "contextualGroundingPolicyUnits": 0,
    });
    let policy = json!({ "piiEntities": entities, "regexes": [] });
    Step::Answer(json!({
        "usage": usage, "action": action, "outputs": outputs,
        "assessments": [{ "sensitiveInformationPolicy": policy }],
    }))
}

fn denied() -> Step {
    Step::Error {
        status: 403,
        kind: "AccessDeniedException".to_owned(),
        message: "no".to_owned(),
        headers: BTreeMap::new(),
    }
}

/// The choice of an answer, unary or merged, with the message under `message`.
fn choice(answer: &Received, stream: bool) -> Value {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    if !stream {
        return answer.json()["choices"][0].clone();
    }
    let (events, done) = answer.events();
    assert!(done, "{events:?}");
    let text = |member: &str| -> String {
        let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
        match member {
            "content" => deltas.filter_map(|delta| delta["content"].as_str()).collect(),
            _ => deltas
                .filter_map(|delta| delta["tool_calls"][0]["function"]["arguments"].as_str())
                .collect(),
        }
    };
    let mut last = events.last().unwrap()["choices"][0].clone();
    let call = json!({ "function": { "arguments": text("arguments") } });
    last["message"] = json!({ "content": text("content"), "tool_calls": [call] });
    last
}

fn operations(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.operation.as_str()).collect()
}

#[actix_rt::test]
async fn a_blocked_request_uses_no_quota() {
    let target = |model: &str, more: &str| {
        format!("{{ model: {model}, accepts: {{ guardrail: around }}, {more} }}")
    };
    let yaml = format!(
        "models:\n  both:\n    strategy: order\n    guardrail: {{ id: gr1, version: 2, mode: mandatory }}\n    targets: [{}, {}]\n",
        target("nova-lite", "order: 1, rpm: 1"),
        target("nova-pro", "order: 2"),
    );
    let rig = Rig::start(&yaml).await;
    for stream in [false, true] {
        let answer = rig.chat(&ask("both", "kill it", stream)).await;
        assert_eq!(choice(&answer, stream)["finish_reason"], "content_filter");
    }
    let answer = rig.chat(&ask("both", "Hello", false)).await;
    assert_eq!(answer.header("x-outcrop-model"), Some(NOVA), "its one call a minute is left");
    let answer = rig.chat(&ask("both", "Hello", false)).await;
    assert_ne!(answer.header("x-outcrop-model"), Some(NOVA));
    rig.stop().await;
}

#[actix_rt::test]
async fn blocked_input_is_never_sent() {
    let rig = Rig::start(YAML).await;
    let traced = [("x-amzn-bedrock-trace", "ENABLED")];
    for stream in [false, true] {
        let answer = rig.chat_with(&traced, &ask("around", "kill it", stream)).await;
        let choice = choice(&answer, stream);
        assert_eq!(choice["finish_reason"], "content_filter");
        assert_eq!(choice["message"]["content"], BLOCKED);
        assert_eq!(choice["outcrop"]["stop_reason"], "guardrail_intervened");
        let input = &choice["outcrop"]["guardrail"]["input"];
        assert_eq!(input["action"], "GUARDRAIL_INTERVENED");
        assert_eq!(input["findings"].as_array().unwrap().len(), 1, "only what was found");
        assert_eq!(input["findings"][0]["name"], "VIOLENCE");
    }
    let calls = rig.emulator.journal().calls();
    assert_eq!(operations(&calls), ["apply-guardrail"; 2]);
    for call in calls {
        assert_eq!(call.path, "/guardrail/gr1/version/2/apply");
        assert_eq!(call.body["source"], "INPUT");
        let texts = json!([{ "text": { "text": "Be brief." } }, { "text": { "text": "kill it" } }]);
        assert_eq!(call.body["content"], texts);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn blocked_output_is_never_shown() {
    let rig = Rig::start(YAML).await;
    for stream in [false, true] {
        let content = json!([
            { "text": "To mur" }, { "text": "der somebody" },
            { "toolUse": { "toolUseId": "1", "name": "f", "input": { "secret": 1 } } },
        ]);
        rig.emulator.script().push_for(NOVA, answered(&content, "tool_use"));
        let answer = rig.chat(&ask("around", "Hello", stream)).await;
        let choice = choice(&answer, stream);
        assert_eq!(choice["finish_reason"], "content_filter");
        assert_eq!(choice["message"]["content"], BLOCKED);
        assert_eq!(choice["outcrop"]["guardrail"], Value::Null, "no trace was asked for");
        let shown = String::from_utf8_lossy(&answer.body);
        assert!(!shown.contains("To mur") && !shown.contains("secret"), "{shown}");
        assert_eq!(answer.header("x-outcrop-model"), Some(NOVA));
    }
    let calls = rig.emulator.journal().calls();
    let once = ["apply-guardrail", "converse", "apply-guardrail"];
    assert_eq!(operations(&calls), [once, once].concat());
    assert!(calls[1].body.get("guardrailConfig").is_none());
    assert_eq!(calls[2].body["source"], "OUTPUT");
    rig.stop().await;
}

#[actix_rt::test]
async fn the_guardrail_checks_each_choice() {
    let rig = Rig::start(YAML).await;
    for stream in [false, true] {
        for text in ["All is well.", "To murder somebody"] {
            rig.emulator.script().push_for(NOVA, answered(&json!([{ "text": text }]), "end_turn"));
        }
        let mut request = ask("around", "Hello", stream);
        request["n"] = json!(2);
        let answer = rig.chat(&request).await;
        assert_eq!(answer.status, 200);
        let shown = String::from_utf8_lossy(&answer.body);
        assert!(!shown.contains("murder"), "{shown}");
        assert!(shown.contains("All is well.") && shown.contains(BLOCKED), "{shown}");
        assert!(shown.contains("content_filter"), "{shown}");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn masking_applies_to_input_and_output() {
    let rig = Rig::start(YAML).await;
    for stream in [false, true] {
        let content = json!([
            { "text": "Writing to c@d.example" },
            { "toolUse": { "toolUseId": "1", "name": "f", "input": { "to": "c@d.example" } } },
        ]);
        rig.emulator.script().push_for(NOVA, answered(&content, "tool_use"));
        let mut request = ask("around", "I am a@b.example", stream);
        let parameters = json!({ "type": "object", "properties": {} });
        let function = json!({ "name": "f", "parameters": parameters });
        request["tools"] = json!([{ "type": "function", "function": function }]);
        let choice = choice(&rig.chat(&request).await, stream);
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], "Writing to {EMAIL}");
        let call = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!(call["arguments"], r#"{"to":"{EMAIL}"}"#);
    }
    let calls = rig.emulator.journal().calls();
    assert_eq!(calls[1].body["messages"][0]["content"][0]["text"], "I am {EMAIL}");
    assert_eq!(calls[1].body["system"][0]["text"], "Be brief.");

    // A guardrail that does not say which text it has masked is called for each text.
    rig.emulator.journal().clear();
    rig.emulator
        .script()
        .push_for("gr1", verdict("GUARDRAIL_INTERVENED", &["x"], Some("ANONYMIZED")));
    assert_eq!(rig.chat(&ask("around", "I am a@b.example", false)).await.status, 200);
    let calls = rig.emulator.journal().calls();
    let asked = ["apply-guardrail", "apply-guardrail", "apply-guardrail", "converse"];
    assert_eq!(operations(&calls)[..4], asked);
    assert_eq!(calls[3].body["messages"][0]["content"][0]["text"], "I am {EMAIL}");
    rig.stop().await;
}

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// A conversation with Claude, with or without a guardrail around it, with reasoning and tools.
fn thoughtful(model: &str, messages: &[Value], stream: bool) -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let function = json!({ "name": "weather", "description": "Reports the weather of a city", "parameters": parameters });
    json!({ "model": model, "stream": stream, "messages": messages, "reasoning_effort": "low",
            "tools": [{ "type": "function", "function": function }] })
}

fn around_claude() -> String {
    let claude =
        |more: &str| format!("{{ model: '{CLAUDE}', accepts: {{ guardrail: around }}{more} }}");
    let guarded = claude(", guardrail: { id: gr1, version: 2, mode: mandatory }");
    format!("models:\n  guarded: {guarded}\n  bare: {}\n", claude(""))
}

/// The message of an answer as a client limited to OpenAI's fields sends it back, with a result for each
/// call.
fn continued(question: &Value, answer: &Received, stream: bool) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let call = if stream {
        let (events, _) = answer.events();
        let calls = events.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]);
        let calls: Vec<_> = calls.filter(|call| call.is_object()).collect();
        let arguments = calls.iter().filter_map(|call| call["function"]["arguments"].as_str());
        let function = json!({ "name": "weather", "arguments": arguments.collect::<String>() });
        json!({ "id": calls[0]["id"], "type": "function", "function": function })
    } else {
        answer.json()["choices"][0]["message"]["tool_calls"][0].clone()
    };
    let result = json!({ "role": "tool", "tool_call_id": call["id"], "content": "fair" });
    let turn = json!({ "role": "assistant", "content": null, "tool_calls": [call] });
    vec![question.clone(), turn, result]
}

fn has_thoughts(call: &Call) -> bool {
    call.body["messages"].to_string().contains("reasoningContent")
}

#[actix_rt::test]
async fn reasoning_masked_in_the_output_is_not_restored() {
    let rig = Rig::start(&around_claude()).await;
    let question = json!({ "role": "user", "content": "What is the weather in Paris?" });
    for stream in [false, true] {
        let thought = json!({ "text": "I write to c@d.example.", "signature": "U2lnbmVk" });
        let content = json!([
            { "reasoningContent": { "reasoningText": thought } },
            { "toolUse": { "toolUseId": format!("t-{stream}"), "name": "weather", "input": { "city": "Paris" } } },
        ]);
        rig.emulator.script().push_for(CLAUDE, answered(&content, "tool_use"));
        let first = rig.chat(&thoughtful("guarded", std::slice::from_ref(&question), stream)).await;
        assert!(String::from_utf8_lossy(&first.body).contains("I write to {EMAIL}."));
        let messages = continued(&question, &first, stream);
        rig.emulator.journal().clear();
        let second = rig.chat(&thoughtful("guarded", &messages, stream)).await;
        assert_eq!(second.status, 200, "{:?}", second.body);
        assert_eq!(second.header("x-outcrop-thinking"), Some("dropped"));
        let calls = rig.emulator.journal().calls();
        let asked = calls.iter().find(|call| call.operation == "converse").unwrap();
        assert!(!has_thoughts(asked), "{}", asked.body);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn signed_reasoning_that_would_be_masked_is_left_out() {
    let rig = Rig::start(&around_claude()).await;
    let question = json!({ "role": "user", "content": "What is the weather in Paris?" });
    for stream in [false, true] {
        let first = rig.chat(&thoughtful("bare", std::slice::from_ref(&question), stream)).await;
        let messages = continued(&question, &first, stream);
        // Content that passes is sent back unchanged.
        rig.emulator.journal().clear();
        let passed = rig.chat(&thoughtful("guarded", &messages, stream)).await;
        assert_eq!((passed.status, passed.header("x-outcrop-thinking")), (200, None));
        let calls = rig.emulator.journal().calls();
        assert!(has_thoughts(&calls[1]), "{}", calls[1].body);
        // Masked reasoning is not sent back; all other content is.
        let judged = calls[0].body["content"].as_array().unwrap().clone();
        let mut outputs: Vec<&str> =
            judged.iter().map(|one| one["text"]["text"].as_str().unwrap()).collect();
        let thought = outputs.iter().position(|text| text.contains("The user wrote")).unwrap();
        outputs[thought] = "{MASKED}";
        rig.emulator.journal().clear();
        let script = rig.emulator.script();
        script.push_for("gr1", verdict("GUARDRAIL_INTERVENED", &outputs, Some("ANONYMIZED")));
        let masked = rig.chat(&thoughtful("guarded", &messages, stream)).await;
        assert_eq!(masked.status, 200, "{:?}", masked.body);
        assert_eq!(masked.header("x-outcrop-thinking"), Some("dropped"));
        let calls = rig.emulator.journal().calls();
        let once = ["apply-guardrail", "apply-guardrail", "converse", "apply-guardrail"];
        assert_eq!(operations(&calls), once);
        assert!(!has_thoughts(&calls[2]), "{}", calls[2].body);
        assert!(!calls[2].body.to_string().contains("MASKED"), "{}", calls[2].body);
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_answer_of_a_repair_call_is_checked_too() {
    let rig = Rig::start(&format!("{YAML}structured_output: {{ repair: once }}\n")).await;
    let mut request = ask("around", "Hello", false);
    let schema = json!({
        "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"],
        "additionalProperties": false,
    });
    let schema = json!({ "name": "n", "schema": schema });
    request["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
    for said in ["{\"b\":1}", "kill"] {
        rig.emulator.script().push_for(NOVA, answered(&json!([{ "text": said }]), "end_turn"));
    }
    let answer = rig.chat(&request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert!(!String::from_utf8_lossy(&answer.body).contains("kill"), "{:?}", answer.body);
    let calls = rig.emulator.journal().calls();
    let once = ["apply-guardrail", "converse", "apply-guardrail"];
    assert_eq!(operations(&calls), [once, once].concat());
    rig.stop().await;
}

#[actix_rt::test]
async fn without_a_verdict_no_content_passes() {
    let rig = Rig::start(YAML).await;
    let script = rig.emulator.script();
    let said = json!([{ "text": "granite" }]);
    for stream in [false, true] {
        script.push_for("gr1", denied());
        let answer = rig.chat(&ask("around", "Hello", stream)).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (403, &json!("guardrail_unavailable")));
        assert_eq!(operations(&rig.emulator.journal().calls()), ["apply-guardrail"]);
        for judged in [denied(), Step::Text { body: "{".to_owned(), headers: BTreeMap::new() }] {
            script.push_for("gr1", verdict("NONE", &[], None));
            script.push_for("gr1", judged);
            script.push_for(NOVA, answered(&said, "end_turn"));
            let answer = rig.chat(&ask("around", "Hello", stream)).await;
            let error = answer.json()["error"].clone();
            assert!([403, 502].contains(&answer.status), "{error}");
            assert_eq!(error["code"], "guardrail_unavailable");
            assert!(!error.to_string().contains("granite"));
        }
        // Unknown actions of a guardrail never let content pass.
        for (action, done) in [("TOMORROW", None), ("GUARDRAIL_INTERVENED", Some("TOMORROW"))] {
            script.push_for("gr1", verdict("NONE", &[], None));
            script.push_for("gr1", verdict(action, &[], done));
            script.push_for(NOVA, answered(&said, "end_turn"));
            let choice = choice(&rig.chat(&ask("around", "Hello", stream)).await, stream);
            assert_eq!(choice["finish_reason"], "content_filter");
            assert!(!choice.to_string().contains("granite"), "{choice}");
        }
        rig.emulator.journal().clear();
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn content_that_no_guardrail_reads_is_refused_by_name() {
    let rig = Rig::start(YAML).await;
    let mut request = ask("around", "", false);
    let gif = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
    request["messages"][1]["content"] =
        json!([{ "type": "image_url", "image_url": { "url": gif } }]);
    let answer = rig.chat(&request).await;
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status, &error["param"]), (400, &json!("messages")), "{error}");
    assert_eq!(error["code"], "guardrail_cannot_read");
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}

#[actix_rt::test]
async fn models_that_support_a_guardrail_get_it_on_the_call() {
    let rig = Rig::start(YAML).await;
    for (model, guarded) in [("on_call", true), ("bare", false)] {
        let (_, done) = rig.chat(&ask(model, "Hello", true)).await.events();
        assert!(done);
        let calls = rig.emulator.journal().calls();
        assert_eq!(operations(&calls), ["converse-stream"], "{model}");
        assert_eq!(calls[0].body.get("guardrailConfig").is_some(), guarded);
        rig.emulator.journal().clear();
    }
    // A caller's own guardrail is applied around the model too, to the complete answer: no stream can run
    // ahead of it.
    let mut request = ask("bare", "Hello", true);
    request["guardrail_config"] = json!({
        "guardrail_identifier": "own1", "guardrail_version": "DRAFT",
        "stream_processing_mode": "async",
    });
    let answer = rig.chat(&request).await;
    let ignored = answer.header("x-outcrop-ignored");
    assert_eq!(ignored, Some("guardrail_config.stream_processing_mode"));
    let calls = rig.emulator.journal().calls();
    assert_eq!(operations(&calls), ["apply-guardrail", "converse", "apply-guardrail"]);
    assert_eq!(calls[0].path, "/guardrail/own1/version/DRAFT/apply");
    rig.stop().await;
}
