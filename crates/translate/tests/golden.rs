//! Complete translations against their snapshots. A new file is a new test: `fixtures/chat/*.json`
//! holds a request (and, where needed, a profile), `fixtures/answer/*.json` a request and
//! Converse's response. `INSTA_UPDATE=always cargo test` writes the snapshots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

use request_case::Case;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use translate::Stamp;
use translate::chat::{answer, question};

#[path = "support/case.rs"]
mod case;
#[path = "support/request_case.rs"]
mod request_case;
#[macro_use]
#[path = "support/snapshots.rs"]
mod snapshots;

#[test]
fn requests() {
    assert_fixtures!("fixtures/chat/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        let request: ChatRequest<'_> = serde_json::from_str(case.request.get()).unwrap();
        match question(&request, &case.profile) {
            Ok(question) => format!(
                "ignored: {:?}{}\n{}",
                question.report.ignored(),
                question
                    .report
                    .lost_thoughts()
                    .map(|led_to| format!("\nlost thoughts: {led_to:?}"))
                    .unwrap_or_default(),
                serde_json::to_string_pretty(&question.body).unwrap()
            ),
            Err(invalid) => format!("{invalid:#?}"),
        }
    });
}

#[test]
fn answers() {
    assert_fixtures!("fixtures/answer/*.json", |text: &str| {
        let case: Case<'_> = serde_json::from_str(text).unwrap();
        let request: ChatRequest<'_> = serde_json::from_str(case.request.get()).unwrap();
        let reply = question(&request, &case.profile).unwrap().reply;
        let response: ConverseResponse<'_> =
            serde_json::from_str(case.response.unwrap().get()).unwrap();
        let stamp = Stamp { id: "chatcmpl-1".into(), created: 1, model: request.model.to_string() };
        serde_json::to_string_pretty(&answer(&response, &reply, stamp)).unwrap()
    });
}
