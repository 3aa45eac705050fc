//! A service that sends a wrong date in a refusal: later calls are signed with a plausible time.

use bytes::Bytes;
use emulator::Step;
use http::Method;
use serde_json::json;

use super::rig::Rig;

fn refusal(kind: &str, date: &str) -> Step {
    Step::Error {
        status: 403,
        kind: kind.to_owned(),
        message: "Signature expired: it is too late".to_owned(),
        headers: [("Date".to_owned(), date.to_owned())].into(),
    }
}

#[actix_rt::test]
async fn an_absurd_date_changes_nothing_for_the_calls_after_it() {
    let rig = Rig::start("routing: { retries: { more: 0 }, cooldown: off }\n").await;
    let message = json!([{ "role": "user", "content": "granite" }]);
    let chat = json!({ "model": "emulator.echo", "messages": message });
    let native = json!({ "messages": [{ "role": "user", "content": [{ "text": "granite" }] }] });
    for (kind, date) in [
        ("InvalidSignatureException", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("InvalidSignatureException", "Fri, 31 Dec 9999 23:59:58 GMT"),
        ("RequestTimeTooSkewed", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("AccessDeniedException", "Mon, 01 Jan 2100 00:00:00 GMT"),
        ("RequestExpired", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("InvalidSignatureException", "Mon, 01 Jan 0001 00:00:00 GMT"),
        ("InvalidSignatureException", "Fri, 99 Foo 99999 23:59:59 GMT"),
    ] {
        rig.emulator.script().push(refusal(kind, date));
        let answer = rig.chat(&chat).await;
        assert!(matches!(answer.status, 403 | 503), "{kind} {date}: {}", answer.status);
        for _ in 0..3 {
            assert_eq!(rig.chat(&chat).await.status, 200, "{date}");
        }
        let path = "/bedrock/model/emulator.echo/converse";
        let answer = rig.send(Method::POST, path, Bytes::from(native.to_string())).await;
        assert_eq!(answer.status, 200, "{date}");
    }
    let calls = rig.emulator.journal().calls();
    let year = |call: &emulator::Call| call.headers["x-amz-date"][..4].to_owned();
    assert!(calls.iter().all(|call| year(call) == year(&calls[0])), "{calls:#?}");
    rig.stop().await;
}
