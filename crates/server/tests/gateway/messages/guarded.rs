//! Guardrails on this API: on the call in headers or in the body, around it, and from the configuration;
//! an intervention is a refusal and no clean end.

use serde_json::{Value, json};

use super::endings::script;
use super::{CLAUDE, NOVA, asking, events, message, text_of};
use crate::rig::Rig;

const YAML: &str = "models:
  around:
    model: us.amazon.nova-lite-v1:0
    accepts: { guardrail: around }
    guardrail: { id: gr1, version: 2, mode: mandatory }
  around_claude:
    model: us.anthropic.claude-sonnet-4-5-20250929-v1:0
    accepts: { guardrail: around }
    guardrail: { id: gr1, version: 2, mode: mandatory }
  guarded: { model: us.amazon.nova-lite-v1:0, guardrail: { id: gr1, version: 2 } }
  guarded_claude: { model: us.anthropic.claude-sonnet-4-5-20250929-v1:0, guardrail: { id: gr1, version: 2, mode: mandatory } }
";
const BLOCKED: &str = "Sorry, this is not something to talk about.";

#[actix_rt::test]
async fn a_configured_guardrail_is_on_the_call_of_either_way() {
    let rig = Rig::start(YAML).await;
    for stream in [false, true] {
        let more = json!({ "stream": stream });
        assert_eq!(rig.message(&asking("guarded", &more)).await.status, 200);
        assert_eq!(rig.message(&asking("guarded_claude", &more)).await.status, 200);
        let calls = rig.emulator.journal().calls();
        assert_eq!(calls[0].body["guardrailConfig"]["guardrailIdentifier"], "gr1");
        let header = |name: &str| calls[1].headers.get(name).map(String::as_str);
        assert_eq!(header("x-amzn-bedrock-guardrailidentifier"), Some("gr1"));
        assert_eq!(header("x-amzn-bedrock-guardrailversion"), Some("2"));
        rig.emulator.journal().clear();
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn the_caller_names_a_guardrail_in_headers_or_in_the_body() {
    let rig = Rig::start("").await;
    let headers = [
        ("x-amzn-bedrock-guardrailidentifier", "own1"),
        ("x-amzn-bedrock-guardrailversion", "DRAFT"),
        ("x-amzn-bedrock-trace", "ENABLED"),
    ];
    let config = json!({ "guardrail_config": { "guardrail_identifier": "own1",
        "guardrail_version": "DRAFT", "trace": "enabled" } });
    for model in [NOVA, CLAUDE] {
        assert_eq!(rig.message_with(&headers, &asking(model, &json!({}))).await.status, 200);
        assert_eq!(rig.message(&asking(model, &config)).await.status, 200);
    }
    let calls = rig.emulator.journal().calls();
    for call in &calls[..2] {
        assert_eq!(call.body["guardrailConfig"]["guardrailIdentifier"], "own1", "{call:#?}");
        assert_eq!(call.body["guardrailConfig"]["trace"], "enabled");
    }
    for call in &calls[2..] {
        let header = |name: &str| call.headers.get(name).map(String::as_str);
        assert_eq!(header("x-amzn-bedrock-guardrailidentifier"), Some("own1"), "{call:#?}");
        assert_eq!(header("x-amzn-bedrock-trace"), Some("ENABLED"));
        assert!(call.body.get("guardrail_config").is_none());
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn blocked_input_is_a_refusal_with_the_guardrails_words() {
    let rig = Rig::start(YAML).await;
    for model in ["around", "around_claude"] {
        for stream in [false, true] {
            let more =
                json!({ "stream": stream, "messages": [{ "role": "user", "content": "kill it" }] });
            let answer = message(&rig.message(&asking(model, &more)).await);
            assert_eq!(answer["stop_reason"], "refusal", "{model} {answer}");
            assert_eq!(text_of(&answer), BLOCKED, "{model}");
        }
    }
    let calls = rig.emulator.journal().calls();
    assert!(calls.iter().all(|call| call.operation == "apply-guardrail"), "nothing was sent");
    rig.stop().await;
}

/// Members of InvokeModel's body beside an answer that its guardrail has replaced.
fn told() -> Value {
    json!({ "amazon-bedrock-guardrailAction": "INTERVENED",
        "amazon-bedrock-trace": { "guardrail": { "actionReason": "Guardrail blocked." } } })
}

#[actix_rt::test]
async fn an_answer_that_a_guardrail_replaced_is_a_refusal_on_the_models_own_way() {
    let rig = Rig::start("").await;
    for stream in [false, true] {
        script(&rig, stream, BLOCKED, "end_turn", &told());
        let answer = rig.message(&asking(CLAUDE, &json!({ "stream": stream }))).await;
        let outcrop = match stream {
            false => answer.json()["outcrop"].clone(),
            true => {
                let all = events(&answer);
                let ending = all.iter().find(|event| event["type"] == "message_delta").unwrap();
                assert_eq!(ending["delta"]["stop_details"]["type"], "refusal");
                ending["outcrop"].clone()
            }
        };
        assert_eq!(outcrop["guardrail_action"], "INTERVENED");
        assert_eq!(outcrop["guardrail"]["guardrail"]["actionReason"], "Guardrail blocked.");
        assert!(!String::from_utf8_lossy(&answer.body).contains("amazon-bedrock"));
        let answer = message(&answer);
        assert_eq!(
            (&answer["stop_reason"], text_of(&answer)),
            (&json!("refusal"), BLOCKED.to_owned())
        );
        script(
            &rig,
            stream,
            "Granite.",
            "end_turn",
            &json!({ "amazon-bedrock-guardrailAction": "NONE" }),
        );
        let answer = message(&rig.message(&asking(CLAUDE, &json!({ "stream": stream }))).await);
        assert_eq!((&answer["stop_reason"], answer.get("outcrop")), (&json!("end_turn"), None));
    }
    rig.stop().await;
}
