//! Agents and flows of Bedrock's, called like models. The emulator's agent and flow repeat what they are told.

use emulator::{Call, Step, frames};
use http::Method;
use serde_json::{Value, json};

use super::rig::{Received, Rig, with};

const AGENT: &str = "agent/EMULAAGENT/LIVE";
const FLOW: &str = "flow/EMULATFLOW/LIVE";

fn ask(model: &str, content: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": content }] })
}

/// The session in the path of a call to the agent.
fn session(call: &Call) -> String {
    let rest = call.path.strip_prefix("/agents/EMULAAGENT/agentAliases/LIVE/sessions/").unwrap();
    rest.strip_suffix("/text").unwrap().to_owned()
}

fn content(answer: &Received) -> String {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

fn streamed(answer: &Received) -> (String, Vec<Value>) {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let (events, done) = answer.events();
    assert!(done, "{events:?}");
    let deltas = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    (deltas.collect(), events)
}

#[actix_rt::test]
async fn an_agent_answers_whole_and_streamed() {
    let rig = Rig::start("models: { miner: agent/EMULAAGENT/LIVE }\n").await;
    for model in [AGENT, "miner"] {
        let whole = rig.chat(&ask(model, "Granite?")).await;
        assert_eq!(content(&whole), "You said: Granite?");
        let answer = whole.json();
        assert_eq!(
            (&answer["model"], &answer["choices"][0]["finish_reason"]),
            (&json!(model), &json!("stop"))
        );
        let cited = &answer["choices"][0]["outcrop"]["citations"][0];
        assert_eq!(cited["citation"]["source"], "s3://emulator-rocks/granite.txt", "{answer}");
        assert_eq!(whole.header("x-outcrop-cost-usd"), None, "the price of an agent is not known");
        let call = rig.last_call();
        assert_eq!(call.body, json!({ "inputText": "Granite?" }));
        assert_eq!(call.headers.get("x-outcrop-session"), None);
        assert!(session(&call).len() > 20);

        let stream = rig.chat(&with(ask(model, "Granite?"), &json!({ "stream": true }))).await;
        assert_eq!(streamed(&stream).0, "You said: Granite?");
        let sent = rig.last_call().body;
        assert_eq!(sent["streamingConfigurations"], json!({ "streamFinalResponse": true }));
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn what_was_said_before_is_sent_unless_a_session_remembers_it() {
    let rig = Rig::start("").await;
    let talk = json!({ "model": AGENT, "messages": [
        { "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }, { "role": "user", "content": "c" },
    ] });
    rig.chat(&talk).await;
    let call = rig.last_call();
    let history = json!([
        { "role": "user", "content": [{ "text": "a" }] }, { "role": "assistant", "content": [{ "text": "b" }] },
    ]);
    assert_eq!(call.body["inputText"], "c");
    assert_eq!(call.body["sessionState"]["conversationHistory"]["messages"], history);
    let first = session(&call);
    rig.chat(&talk).await;
    assert_ne!(session(&rig.last_call()), first, "each call has a session of its own");

    let mut sessions = Vec::new();
    for name in ["s-1", "s-1", "s-2"] {
        let metadata = json!({ "session_id": name, "mine": "7" });
        let answer = rig.chat(&with(talk.clone(), &json!({ "metadata": metadata }))).await;
        assert_eq!(answer.header("x-outcrop-ignored"), None);
        let call = rig.last_call();
        assert_eq!(call.body["sessionState"], json!({ "sessionAttributes": { "mine": "7" } }));
        sessions.push(session(&call));
    }
    assert_eq!(sessions[0], sessions[1]);
    assert_ne!(sessions[0], sessions[2]);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_trace_comes_where_it_is_asked_for_and_tells_the_usage() {
    let rig = Rig::start("").await;
    let untraced = rig.chat(&ask(AGENT, "a")).await.json();
    assert_eq!(untraced["choices"][0]["outcrop"]["trace"], Value::Null);
    let more = json!({ "additional_model_request_fields": { "enableTrace": true, "sessionAttributes": { "k": "v" } } });
    let request = with(ask(AGENT, "a"), &more);
    let whole = rig.chat(&request).await.json();
    let choice = &whole["choices"][0];
    assert!(choice["outcrop"]["trace"][0]["orchestrationTrace"].is_object(), "{whole}");
    assert_eq!(whole["usage"]["prompt_tokens"], 11);
    assert_eq!(whole["usage"]["completion_tokens"], 7);
    let sent = rig.last_call().body;
    assert_eq!(
        (&sent["enableTrace"], &sent["sessionState"]["sessionAttributes"]["k"]),
        (&json!(true), &json!("v"))
    );
    let options = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let (_, events) = streamed(&rig.chat(&with(request, &options)).await);
    let traced = events.iter().any(|event| event["choices"][0]["outcrop"]["trace"].is_array());
    assert!(traced, "{events:?}");
    assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 18);
    rig.stop().await;
}

#[actix_rt::test]
async fn what_an_agent_does_not_take_is_refused_by_name_or_told() {
    let rig = Rig::start("").await;
    let tool = json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }]);
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "a", "strict": true, "schema":
        { "type": "object", "properties": {}, "required": [], "additionalProperties": false } } });
    let image = json!([{ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } }]);
    for (more, param) in [
        (json!({ "tools": tool }), "tools"),
        (json!({ "response_format": schema }), "response_format"),
        (
            json!({ "messages": [{ "role": "system", "content": "x" }, { "role": "user", "content": "y" }] }),
            "messages",
        ),
        (json!({ "messages": [{ "role": "user", "content": image }] }), "messages"),
        (
            json!({ "additional_model_request_fields": { "sessionState": {} } }),
            "additional_model_request_fields",
        ),
    ] {
        for model in [AGENT, FLOW] {
            let refused = rig.chat(&with(ask(model, "a"), &more)).await;
            assert_eq!(
                (refused.status, &refused.json()["error"]["param"]),
                (400, &json!(param)),
                "{more}"
            );
        }
    }
    assert!(rig.emulator.journal().calls().is_empty());
    let told = rig.chat(&with(ask(AGENT, "a"), &json!({ "temperature": 0.5, "stop": "x" }))).await;
    assert_eq!((told.status, told.header("x-outcrop-ignored")), (200, Some("temperature, stop")));
    let lost = rig.chat(&ask("agent/NOSUCHAGEN/LIVE", "a")).await;
    assert_eq!(lost.status, 404, "{:?}", lost.body);
    rig.stop().await;
}

#[actix_rt::test]
async fn characters_are_whole_and_actions_are_an_error() {
    let rig = Rig::start("").await;
    // "é" is w6k=, in two bytes.
    let pieces = [r#"{"bytes":"YcM="}"#, r#"{"bytes":"qWI="}"#];
    let bytes = pieces.map(|piece| frames::event("chunk", piece.as_bytes())).concat();
    for stream in [false, true] {
        rig.emulator.script().push(Step::Bytes(bytes.clone()));
        let answer = rig.chat(&with(ask(AGENT, "a"), &json!({ "stream": stream }))).await;
        let text = if stream { streamed(&answer).0 } else { content(&answer) };
        assert_eq!(text, "aéb", "{stream}");
    }
    let control = br#"{"invocationId":"i","invocationInputs":[]}"#;
    rig.emulator.script().push(Step::Bytes(frames::event("returnControl", control).to_vec()));
    let refused = rig.chat(&ask(AGENT, "a")).await;
    assert_eq!(refused.status, 400);
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("InvokeAgent"), "{message}");
    rig.emulator
        .script()
        .push(Step::Bytes(frames::exception("throttlingException", "slow").to_vec()));
    let throttled = rig.chat(&ask(AGENT, "a")).await;
    assert_eq!(throttled.status, 429);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_flow_is_given_the_last_message() {
    let rig = Rig::start("").await;
    let answer = rig.chat(&ask(FLOW, "Basalt")).await;
    assert_eq!((content(&answer), answer.header("x-outcrop-ignored")), ("Basalt".to_owned(), None));
    let call = rig.last_call();
    assert_eq!(call.path, "/flows/EMULATFLOW/aliases/LIVE");
    assert_eq!(call.body["inputs"][0]["content"], json!({ "document": "Basalt" }));
    let talk = json!({ "model": FLOW, "stream": true, "messages": [
        { "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }, { "role": "user", "content": "c" },
    ] });
    let answer = rig.chat(&talk).await;
    assert_eq!(answer.header("x-outcrop-ignored"), Some("messages"));
    assert_eq!(streamed(&answer).0, "c");
    // An object is written as JSON; a flow that breaks off has no answer.
    let output = br#"{"nodeName":"o","nodeType":"FlowOutputNode","content":{"document":{"a":1}}}"#;
    let end = br#"{"completionReason":"SUCCESS"}"#;
    let whole =
        [frames::event("flowOutputEvent", output), frames::event("flowCompletionEvent", end)];
    rig.emulator.script().push(Step::Bytes(whole.concat()));
    assert_eq!(content(&rig.chat(&ask(FLOW, "a")).await), r#"{"a":1}"#);
    rig.emulator.script().push(Step::Bytes(whole[0].to_vec()));
    assert!(rig.chat(&ask(FLOW, "a")).await.status >= 500);
    rig.stop().await;
}

#[actix_rt::test]
async fn other_doors_reach_agents_too() {
    let rig = Rig::start("").await;
    let messages = json!([{ "role": "user", "content": "Gneiss" }]);
    for (path, body) in [
        ("/v1/responses", json!({ "model": AGENT, "input": "Gneiss" })),
        ("/v1/messages", json!({ "model": AGENT, "max_tokens": 9, "messages": messages })),
    ] {
        let answer = rig.send(Method::POST, path, body.to_string().into()).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.contains("You said: ") && text.contains("Gneiss"), "{path}: {text}");
    }
    // Text completions come with an instruction, which an agent does not take.
    let body = json!({ "model": AGENT, "prompt": "Gneiss" }).to_string();
    let refused = rig.send(Method::POST, "/v1/completions", body.into()).await;
    assert_eq!(refused.status, 400, "{:?}", refused.body);
    rig.stop().await;
}

#[actix_rt::test]
async fn only_listed_agents_are_called_where_names_are_listed() {
    let rig = Rig::start("models_only: true\nmodels: { miner: agent/EMULAAGENT/LIVE }\n").await;
    assert_eq!(rig.chat(&ask("miner", "a")).await.status, 200);
    assert_eq!(rig.chat(&ask(AGENT, "a")).await.status, 404);
    rig.stop().await;
}
