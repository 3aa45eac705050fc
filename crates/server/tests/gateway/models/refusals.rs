//! The most common refusals: their automatic handling, and their messages.

use bytes::Bytes;
use emulator::Step;
use http::Method;
use serde_json::{Value, json};

use super::super::rig::{Received, Rig};
use super::ask;

const NOVA: &str = "amazon.nova-lite-v1:0";

fn refusal(status: u16, kind: &str, message: &str) -> Step {
    Step::Error { status, kind: kind.to_owned(), message: message.to_owned(), headers: [].into() }
}

fn only_through_profiles() -> Step {
    refusal(
        400,
        "ValidationException",
        "Invocation of model ID amazon.nova-lite-v1:0 with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
    )
}

fn error(answer: &Received) -> (u16, Value, String) {
    let json = answer.json();
    let message = json["error"]["message"].as_str().unwrap().to_owned();
    (answer.status, json["error"]["code"].clone(), message)
}

fn called(rig: &Rig) -> Vec<String> {
    let calls = rig.emulator.journal().calls().into_iter();
    calls.map(|call| call.model_id.unwrap_or_default()).collect()
}

#[actix_rt::test]
async fn a_profile_fallback_is_used_and_kept() {
    let rig = Rig::start_in("eu-west-1", "").await;
    rig.emulator.script().push(only_through_profiles());
    let answer = rig.chat(&ask(NOVA)).await;
    assert_eq!((answer.status, &answer.json()["model"]), (200, &json!(NOVA)));
    let mut streamed = ask(NOVA);
    streamed["stream"] = json!(true);
    assert!(rig.chat(&streamed).await.events().1);
    let through = "eu.amazon.nova-lite-v1:0";
    assert_eq!(called(&rig), [NOVA, through, through]);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_stream_takes_the_same_way() {
    let rig = Rig::start_in("ca-central-1", "").await;
    rig.emulator.script().push(only_through_profiles());
    let mut request = ask(NOVA);
    request["stream"] = json!(true);
    assert!(rig.chat(&request).await.events().1);
    assert_eq!(called(&rig), [NOVA, "ca.amazon.nova-lite-v1:0"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn forbidden_profiles_are_not_used() {
    let rig = Rig::start_in("eu-west-1", "cross_region: never\n").await;
    rig.emulator.script().push(only_through_profiles());
    let (status, code, message) = error(&rig.chat(&ask(NOVA)).await);
    assert_eq!((status, code), (400, json!("model_not_supported")));
    assert!(message.contains("eu.amazon.nova-lite-v1:0") && message.contains("never"), "{message}");
    // Bedrock itself refuses the short name of a model that has only profiles.
    let (_, _, message) = error(&rig.chat(&ask("anthropic.claude-sonnet-5-5")).await);
    assert!(message.contains("eu.anthropic.claude-sonnet-5-5"), "{message}");
    assert_eq!(called(&rig), [NOVA, "anthropic.claude-sonnet-5-5"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_failed_profile_fallback_is_not_kept_and_is_reported() {
    let rig = Rig::start_in("eu-west-1", "routing: { retries: { more: 0 } }\n").await;
    let throttled = || refusal(429, "ThrottlingException", "Too many requests");
    rig.emulator.script().push(only_through_profiles());
    rig.emulator.script().push(throttled());
    assert_eq!(error(&rig.chat(&ask(NOVA)).await).0, 429);
    assert_eq!(rig.chat(&ask(NOVA)).await.status, 200);
    assert_eq!(called(&rig), [NOVA, "eu.amazon.nova-lite-v1:0", NOVA]);

    // An unknown model: the nearest profile is tried, and the first refusal is returned.
    rig.emulator.script().push(only_through_profiles());
    let (status, code, message) = error(&rig.chat(&ask("nobody.knows-1")).await);
    assert_eq!((status, code), (400, json!("model_not_supported")), "{message}");
    assert_eq!(called(&rig)[3..], ["nobody.knows-1", "eu.nobody.knows-1"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn common_refusals_say_what_to_do_next() {
    let rig = Rig::start_in("eu-west-1", "").await;
    for (status, kind, message, expected, code, hint) in [
        (
            403,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
            403,
            "insufficient_permissions",
            "request access",
        ),
        (
            400,
            "ValidationException",
            "amazon.nova-lite-v1:0 is not supported for inference in your account",
            403,
            "insufficient_permissions",
            "use-case form",
        ),
        (
            403,
            "AccessDeniedException",
            "User: arn:aws:sts::123456789012:assumed-role/gw/x is not authorized to perform: bedrock:InvokeModel on resource: y",
            403,
            "insufficient_permissions",
            "bedrock:InvokeModelWithResponseStream",
        ),
        (
            400,
            "ValidationException",
            "This model is not available in this region.",
            404,
            "model_not_found",
            "call eu.amazon.nova-lite-v1:0",
        ),
        (
            400,
            "ValidationException",
            "Input is too long for requested model.",
            400,
            "context_length_exceeded",
            "maximum context length is 300000 tokens",
        ),
        (
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
            503,
            "credentials_unavailable",
            "aws sso login",
        ),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            503,
            "credentials_unavailable",
            "session token",
        ),
    ] {
        // Pushed twice, since expired credentials are renewed and the call is sent again.
        rig.emulator.script().push(refusal(status, kind, message));
        rig.emulator.script().push(refusal(status, kind, message));
        for stream in [false, true] {
            let mut request = ask(NOVA);
            request["stream"] = json!(stream);
            let (found, found_code, said) = error(&rig.chat(&request).await);
            assert_eq!((found, &found_code), (expected, &json!(code)), "{said}");
            assert!(said.contains(hint), "{hint:?} in {said}");
            assert!(!said.contains("123456789012") && !said.contains("assumed-role"), "{said}");
        }
        rig.emulator.script().clear();
    }
    rig.stop().await;
}

#[actix_rt::test]
async fn models_past_their_end_name_their_successor() {
    let rig = Rig::start_in("eu-west-1", "").await;
    let (status, code, message) = error(&rig.chat(&ask("claude-3-5-sonnet")).await);
    assert_eq!((status, code), (404, json!("model_not_found")));
    for part in ["end of its life", "2026-07-30", "call eu.anthropic.claude-sonnet-5-5 instead"] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    let (_, _, message) = error(&rig.chat(&ask("command-r")).await);
    assert!(message.contains("2026-08-19") && message.contains("/v1/models"), "{message}");
    rig.stop().await;

    let rig = Rig::start_in("eu-west-1", "eol_aliases: remap\n").await;
    assert_eq!(rig.chat(&ask("claude-3-5-sonnet")).await.status, 200);
    assert_eq!(called(&rig), ["eu.anthropic.claude-sonnet-5-5"]);
    rig.stop().await;
}

#[actix_rt::test]
async fn a_refusal_names_the_regions_of_the_model() {
    let rig = Rig::start_in("eu-west-1", "").await;
    // The model has profiles only for the Americas, and no other access.
    let (status, code, message) = error(&rig.chat(&ask("meta.llama3-3-70b-instruct-v1:0")).await);
    assert_eq!((status, code), (400, json!("model_not_supported")));
    assert!(message.contains("it has us.meta.llama3-3-70b-instruct-v1:0"), "{message}");
    let (status, code, message) =
        error(&rig.chat(&ask("us.meta.llama3-3-70b-instruct-v1:0")).await);
    assert_eq!((status, code), (404, json!("model_not_found")));
    assert!(message.contains("not offered in eu-west-1"), "{message}");
    rig.stop().await;
}

fn unknown_model() -> Step {
    refusal(400, "ValidationException", "The provided model identifier is invalid.")
}

#[actix_rt::test]
async fn an_unknown_name_gets_suggestions() {
    let rig = Rig::start("models: { balanced-team: nova-pro }\n").await;
    for (name, meant) in [
        ("nova-lit", Some("Did you mean \"nova-lite\"?")),
        ("claude-sonet-4.5", Some("\"claude-sonnet-4-5\"")),
        ("anthropic.claude-opus-5-6", Some("\"claude-opus-5-5\"")),
        ("balancedteam", Some("Did you mean \"balanced-team\"?")),
        ("text-davinci-003", None),
    ] {
        rig.emulator.script().push(unknown_model());
        let (status, code, message) = error(&rig.chat(&ask(name)).await);
        assert_eq!((status, code), (404, json!("model_not_found")), "{name}");
        match meant {
            Some(meant) => assert!(message.contains(meant), "{name}: {message}"),
            None => assert!(!message.contains("Did you mean"), "{name}: {message}"),
        }
    }
    let (_, _, message) = error(&rig.send(Method::GET, "/v1/models/nova-lit", Bytes::new()).await);
    assert!(message.contains("Did you mean \"nova-lite\"?"), "{message}");
    rig.stop().await;
}

#[actix_rt::test]
async fn only_listed_names_are_suggested_if_others_are_refused() {
    let rig = Rig::start("models: { nova-fast: nova-lite }\nmodels_only: true\n").await;
    for (name, meant) in [
        ("nova-fats", Some("nova-fast")),
        ("nova-lite", None),
        ("claude-sonnet-4-5", None),
        ("anthropic/claude-sonnet-4.5", None),
    ] {
        let (status, _, message) = error(&rig.chat(&ask(name)).await);
        assert_eq!(status, 404, "{name}");
        let found = message.split("Did you mean ").nth(1);
        assert_eq!(found, meant.map(|meant| format!("\"{meant}\"?")).as_deref(), "{message}");
    }
    assert_eq!(rig.emulator.journal().calls().len(), 0);
    rig.stop().await;
}
