//! Guardrails on surfaces that enforce none: they are applied around the call, or the request is refused.

use super::*;

const GUARDED: &str = "models:
  around: { model: openai.gpt-6-sol, surface: mantle, guardrail: { id: gr1, version: 2, mode: mandatory } }
  claude: { model: claude-haiku-4-5, surface: mantle, guardrail: { id: gr1, version: 2, mode: mandatory } }
  open: { model: claude-haiku-4-5, surface: mantle }
";

fn verdict(action: &str, outputs: &[&str]) -> Step {
    let outputs: Vec<Value> = outputs.iter().map(|text| json!({ "text": text })).collect();
    Step::Answer(json!({ "usage": {}, "action": action, "outputs": outputs, "assessments": [] }))
}

#[actix_rt::test]
async fn a_mandatory_guardrail_is_applied_around_the_call() {
    let rig = Rig::start(GUARDED).await;
    for stream in [false, true] {
        rig.emulator.journal().clear();
        let answer = rig.chat(&ask("around", "Say obsidian", stream)).await;
        assert!(text(&answer, stream).contains("obsidian"));
        let calls = rig.emulator.journal().calls();
        let paths: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
        assert_eq!(paths, ["apply-guardrail", "/openai/v1/responses", "apply-guardrail"]);
        assert_eq!(calls[1].body["input"][0]["content"], "Say obsidian");
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn content_that_the_guardrail_stops_is_not_sent() {
    let rig = Rig::start(GUARDED).await;
    rig.emulator.script().push(verdict("GUARDRAIL_INTERVENED", &["Not this."]));
    let answer = rig.chat(&ask("around", "Say obsidian", false)).await;
    assert_eq!(text(&answer, false), "Not this.");
    assert_eq!(rig.emulator.journal().calls().len(), 1);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_guardrail_that_cannot_be_kept_refuses() {
    let rig = Rig::start(GUARDED).await;
    let body = |model: &str| json!({ "model": model, "max_tokens": 50, "messages": [{ "role": "user", "content": "Hi" }] });
    let refused = rig.message(&body("claude")).await;
    assert_eq!(refused.status, 400, "{:?}", refused.body);
    let mut named = body("open");
    named["amazon-bedrock-guardrailConfig"] =
        json!({ "guardrailIdentifier": "gr1", "guardrailVersion": "2" });
    let headers =
        [("x-amzn-bedrock-guardrailidentifier", "gr1"), ("x-amzn-bedrock-guardrailversion", "2")];
    let refused = rig.message_with(&headers, &body("open")).await;
    assert_eq!(refused.status, 400, "{:?}", refused.body);
    assert!(rig.emulator.journal().calls().is_empty());
    rig.stop().await;
}
