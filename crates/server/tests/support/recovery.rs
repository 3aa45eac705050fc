//! The three errors that the transport corrects by itself, each exactly once: a stale connection, a wrong
//! clock, expired credentials. Also the errors that it must not retry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bedrock::{AccountKeys, Exception, Failure, Timeouts};

use crate::accounts::{SECRET, plain, static_keys, transport, unary};
use crate::judge::verified;
use crate::recorder::{Recorder, Seen, Step, answer, json, refusal};

/// Provides `AKID0`, `AKID1`, ... and counts the fetches.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl ProvideCredentials for Counting {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            // Yields, so that a missing guard against concurrent fetches would show.
            tokio::task::yield_now().await;
            let id = format!("AKID{}", self.0.fetch_add(1, Ordering::SeqCst));
            Ok(Credentials::new(id, SECRET, None, None, "counting"))
        })
    }
}

impl Counting {
    fn keys(&self) -> AccountKeys {
        AccountKeys::Provider(SharedCredentialsProvider::new(self.clone()))
    }

    fn fetches(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn key_id(request: &Seen) -> String {
    verified(request, SECRET).access_key_id
}

#[tokio::test]
async fn fifty_first_calls_share_one_fetch_of_credentials() {
    let server = Recorder::answering(json("{}")).await;
    let source = Counting::default();
    let transport = transport(&server.url, source.keys(), Timeouts::default()).await;
    assert_eq!(source.fetches(), 0, "loading an account fetches nothing");
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let transport = transport.clone();
            tokio::spawn(async move { transport.send(unary()).await.map(|_| ()) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((source.fetches(), server.seen().len()), (1, 50));
}

#[tokio::test]
async fn expired_credentials_are_renewed_and_the_call_sent_again() {
    for exception in ["ExpiredTokenException", "UnrecognizedClientException"] {
        let server = Recorder::start(move |_, request| {
            let stale = key_id(request) == "AKID0";
            let no = || refusal("403 Forbidden", exception, "The security token is expired");
            vec![Step::Send(if stale { no() } else { json("{}") })]
        })
        .await;
        let source = Counting::default();
        let transport = transport(&server.url, source.keys(), Timeouts::default()).await;
        transport.send(unary()).await.unwrap();
        transport.send(unary()).await.unwrap();
        let ids: Vec<_> = server.seen().iter().map(key_id).collect();
        assert_eq!(ids, ["AKID0", "AKID1", "AKID1"]);
        assert_eq!(source.fetches(), 2);
    }
}

#[tokio::test]
async fn credentials_refused_twice_are_given_up() {
    let no = refusal("403 Forbidden", "ExpiredTokenException", "The security token is expired");
    let server = Recorder::answering(no).await;
    let source = Counting::default();
    let failing = transport(&server.url, source.keys(), Timeouts::default()).await;
    match failing.send(unary()).await {
        Err(Failure::Service(error)) => assert_eq!(error.exception, Exception::ExpiredToken),
        other => panic!("{other:?}"),
    }
    assert_eq!((server.seen().len(), source.fetches()), (2, 2));
    // A call with keys that cannot change is not sent again.
    let fixed = plain(&server.url).await;
    assert!(fixed.send(unary()).await.is_err());
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_wrong_clock_is_learned_once_and_for_all() {
    for minutes in [10, -10] {
        let server = Recorder::start(move |_, request| {
            let signed = request.header("x-amz-date").unwrap();
            let signed = iso(signed).secs();
            let now = DateTime::from(SystemTime::now()).secs() + minutes * 60;
            if (now - signed).abs() <= 300 {
                return vec![Step::Send(json("{}"))];
            }
            let date = DateTime::from_secs(now).fmt(Format::HttpDate).unwrap();
            let kind = ("x-amzn-errortype", "InvalidSignatureException");
            let headers = [("date", date.as_str()), kind, ("content-type", "application/json")];
            let body = br#"{"message":"Signature expired: 1 is now earlier than 2"}"#;
            vec![Step::Send(answer("403 Forbidden", &headers, body))]
        })
        .await;
        let transport = plain(&server.url).await;
        transport.send(unary()).await.unwrap();
        assert_eq!(server.seen().len(), 2, "one extra call");
        let offset = transport.account().clock_offset_seconds();
        assert!((offset - minutes * 60).abs() <= 5, "{offset}");
        transport.send(unary()).await.unwrap();
        assert_eq!(server.seen().len(), 3, "and none after it");
        for request in server.seen() {
            verified(&request, SECRET);
        }
    }
}

/// `20261121T034600Z` as a time.
fn iso(text: &str) -> DateTime {
    let part = |from: usize, to: usize| &text[from..to];
    let (date, time) = (
        [part(0, 4), part(4, 6), part(6, 8)].join("-"),
        [part(9, 11), part(11, 13), part(13, 15)].join(":"),
    );
    DateTime::from_str(&format!("{date}T{time}Z"), Format::DateTime).unwrap()
}

#[tokio::test]
async fn a_refused_signature_with_the_right_time_is_not_sent_again() {
    let server = Recorder::start(|_, _| {
        let now = DateTime::from(SystemTime::now()).fmt(Format::HttpDate).unwrap();
        let kind = ("x-amzn-errortype", "InvalidSignatureException");
        let headers = [("date", now.as_str()), kind];
        vec![Step::Send(answer("403 Forbidden", &headers, b"{\"message\":\"no match\"}"))]
    })
    .await;
    let failure = plain(&server.url).await.send(unary()).await.unwrap_err();
    assert!(matches!(failure, Failure::Service(_)), "{failure:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn stale_connections_are_hidden_from_callers() {
    // Closed right after the response, and closed only when the next request arrives.
    type Ending = fn() -> Step;
    let endings: [Ending; 2] = [|| Step::Close, || Step::CloseOnNextRequest];
    for ending in endings {
        let server = Recorder::start(move |_, _| vec![Step::Send(json("{}")), ending()]).await;
        let transport = plain(&server.url).await;
        for round in 0..200 {
            let answer = transport.send(unary()).await;
            let answer = answer.unwrap_or_else(|failure| panic!("round {round}: {failure}"));
            answer.bytes(100).await.unwrap_or_else(|failure| panic!("round {round}: {failure}"));
        }
        assert_eq!(server.seen().len(), 200, "nothing was processed twice");
    }
}

#[tokio::test]
async fn a_new_connection_that_closes_unanswered_is_reported_and_not_resent() {
    let server = Recorder::start(|_, _| vec![Step::Close]).await;
    let failure = plain(&server.url).await.send(unary()).await.unwrap_err();
    assert!(matches!(failure, Failure::Closed(_)), "{failure:?}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_call_in_progress_for_long_is_not_resent_when_its_connection_dies() {
    let server = Recorder::start(|number, _| match number {
        0 => vec![Step::Send(json("{}"))],
        _ => vec![Step::Pause(Duration::from_millis(1200)), Step::Close],
    })
    .await;
    let transport = transport(&server.url, static_keys(None), Timeouts::default()).await;
    transport.send(unary()).await.unwrap().bytes(100).await.unwrap();
    let failure = transport.send(unary()).await.unwrap_err();
    assert!(matches!(failure, Failure::Closed(_)), "{failure:?}");
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "the model may have run: only the router may decide");
    assert_eq!(seen[1].connection, 0, "it was a reused connection");
}
