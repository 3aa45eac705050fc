//! The transport with endpoints that stall, disconnect, cut off or answer nonsense.

use std::future::Future;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bedrock::{
    Exception, Failure, FrameError, FrameKind, Phase, ProtocolError, Timeouts, UpstreamResponse,
};
use http::{HeaderMap, HeaderValue};

use crate::accounts::{BRIEF, plain, short, static_keys, streaming, transport, unary};
use crate::recorder::{Recorder, Step, answer, chunk, event, head, json, refusal, stream_head};

/// Runs into a limit of [`BRIEF`]; checks that it was this limit and the time it took.
async fn times_out<T: std::fmt::Debug>(
    phase: Phase,
    work: impl Future<Output = Result<T, Failure>>,
) {
    let start = Instant::now();
    match work.await {
        Err(Failure::Timeout(found)) => assert_eq!(found, phase),
        other => panic!("expected a timeout, got {other:?}"),
    }
    let took = start.elapsed();
    assert!(took >= BRIEF, "{took:?}");
}

async fn read_all(mut answer: UpstreamResponse) -> Result<usize, Failure> {
    let mut length = 0;
    while let Some(chunk) = answer.chunk().await? {
        length += chunk.len();
    }
    Ok(length)
}

async fn read_frames(
    answer: UpstreamResponse,
) -> Result<Vec<FrameKind>, (Vec<FrameKind>, Failure)> {
    let mut kinds = Vec::new();
    let mut events = match answer.events() {
        Ok(events) => events,
        Err(failure) => return Err((kinds, failure)),
    };
    loop {
        match events.next().await {
            Ok(Some(frame)) => kinds.push(frame.kind),
            Ok(None) => return Ok(kinds),
            Err(failure) => return Err((kinds, failure)),
        }
    }
}

#[tokio::test]
async fn the_connect_limit_covers_the_tls_handshake() {
    // Accepts in the backlog and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let limits = short(|limits| limits.connect = BRIEF);
    let transport = transport(&url, static_keys(None), limits).await;
    // Reading the trust roots is outside the limit: a first connection does it, untimed.
    let _ = transport.send(unary()).await;
    times_out(Phase::Connect, transport.send(unary())).await;
}

#[tokio::test]
async fn refused_connections_and_failed_handshakes_are_distinguished() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = plain(&format!("http://127.0.0.1:{port}")).await.send(unary()).await.unwrap_err();
    assert!(matches!(failure, Failure::Connect(_)), "{failure:?}");
    let failure = plain(&format!("https://127.0.0.1:{port}")).await.send(unary()).await;
    assert!(matches!(failure, Err(Failure::Connect(_))), "{failure:?}");

    let server = Recorder::start(|_, _| vec![Step::Close]).await;
    let speaks_plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", speaks_plain.local_addr().unwrap());
    let not_tls = tokio::spawn(async move {
        while let Ok((stream, _)) = speaks_plain.accept().await {
            stream.writable().await.unwrap();
            let _ = stream.try_write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let failure = plain(&url).await.send(unary()).await.unwrap_err();
    assert!(matches!(failure, Failure::Tls(_)), "{failure:?}");
    not_tls.abort();
    drop(server);
}

#[tokio::test]
async fn an_unreadable_ca_bundle_is_a_tls_failure_that_names_the_file() {
    use bedrock::{Account, Settings, Transport};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Settings {
        region: Some("us-east-1".into()),
        keys: Some(static_keys(None)),
        endpoint: Some(format!("https://{}", listener.local_addr().unwrap())),
        ca_bundle: Some("/nonexistent/bundle.pem".into()),
        ..Settings::default()
    };
    let transport = Transport::new(&Account::load(setup).await.unwrap());
    match transport.send(unary()).await {
        Err(Failure::Tls(reason)) => {
            assert!(reason.contains("/nonexistent/bundle.pem"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_byte_has_its_own_limit_for_streams_and_for_unary_calls() {
    let server = Recorder::start(|_, _| vec![Step::Stall]).await;
    let limits = short(|limits| limits.first_byte_stream = BRIEF);
    let quick_streams = transport(&server.url, static_keys(None), limits).await;
    times_out(Phase::FirstByte, quick_streams.send(streaming())).await;
    let limits = short(|limits| limits.first_byte_unary = BRIEF);
    let quick_unary = transport(&server.url, static_keys(None), limits).await;
    times_out(Phase::FirstByte, quick_unary.send(unary())).await;
    server.departures(2).await;
    assert_eq!(server.seen().len(), 2, "a timeout is never resent here");
}

#[tokio::test]
async fn silence_is_noticed_wherever_it_begins() {
    let delta = event("contentBlockDelta", "{\"delta\":{\"text\":\"hi\"}}");
    let half = delta.len() / 2;
    let cases = [
        vec![stream_head()],
        vec![stream_head(), chunk(&delta)],
        vec![stream_head(), chunk(&delta), chunk(&delta[..7])],
        vec![stream_head(), chunk(&[&delta[..], &delta[..half]].concat())],
    ];
    let limits = short(|limits| limits.idle = BRIEF);
    for (number, sent) in cases.into_iter().enumerate() {
        let bytes = sent.concat();
        let server =
            Recorder::start(move |_, _| vec![Step::Send(bytes.clone()), Step::Stall]).await;
        let transport = transport(&server.url, static_keys(None), limits).await;
        let answer = transport.send(streaming()).await.unwrap();
        times_out(Phase::Idle, async { read_frames(answer).await.map_err(|(_, e)| e) }).await;
        server.departures(1).await;
        assert_eq!(server.seen().len(), 1, "case {number}");
    }
}

#[tokio::test]
async fn a_stream_that_keeps_talking_meets_only_the_total_limit() {
    // Pauses far below the limit on silence, which is below the limit in total.
    let (pace, idle) = (Duration::from_millis(20), Duration::from_secs(3));
    let server = Recorder::start(move |_, _| {
        let delta = chunk(&event("contentBlockDelta", "{}"));
        let mut steps = vec![Step::Send(stream_head())];
        for _ in 0..1000 {
            steps.extend([Step::Send(delta.clone()), Step::Pause(pace)]);
        }
        steps
    })
    .await;
    let limits = short(|limits| {
        limits.idle = idle;
        limits.total = idle + Duration::from_secs(1);
    });
    let transport = transport(&server.url, static_keys(None), limits).await;
    times_out(Phase::Total, async {
        let answer = transport.send(streaming()).await?;
        read_frames(answer).await.map_err(|(seen, failure)| {
            assert!(seen.len() >= 3, "events flowed until then");
            failure
        })
    })
    .await;
}

#[tokio::test]
async fn leaving_closes_the_upstream_connection_at_every_stage() {
    let server = Recorder::start(|number, _| match number {
        0 => vec![Step::Stall],
        _ => {
            let first = [stream_head(), chunk(&event("messageStart", "{}"))].concat();
            vec![Step::Send(first), Step::Stall]
        }
    })
    .await;
    let transport = plain(&server.url).await;
    // While waiting for the response headers.
    let sending = tokio::spawn({
        let transport = transport.clone();
        async move { transport.send(streaming()).await.map(|_| ()) }
    });
    server.requests(1).await;
    sending.abort();
    server.departures(1).await;
    // With the response in hand.
    let answer = transport.send(streaming()).await.unwrap();
    drop(answer);
    server.departures(2).await;
    // In the middle of its events.
    let mut events = transport.send(streaming()).await.unwrap().events().unwrap();
    assert!(events.next().await.unwrap().is_some());
    drop(events);
    server.departures(3).await;
}

#[tokio::test]
async fn a_whole_stream_is_read_and_its_connection_used_again() {
    let server = Recorder::start(|_, _| {
        let names = ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop"];
        let mut bytes = stream_head();
        for name in names {
            bytes.extend(chunk(&event(name, "{}")));
        }
        bytes.extend(chunk(b""));
        vec![Step::Send(bytes)]
    })
    .await;
    let transport = plain(&server.url).await;
    for _ in 0..3 {
        let answer = transport.send(streaming()).await.unwrap();
        assert_eq!(answer.request_id.as_deref(), Some("stream-1"));
        assert_eq!(read_frames(answer).await.unwrap().len(), 4);
    }
    assert!(server.seen().iter().all(|request| request.connection == 0), "one connection");
}

#[tokio::test]
async fn a_cut_stream_is_never_a_clean_end() {
    let delta = event("contentBlockDelta", "{\"delta\":{\"text\":\"hi\"}}");
    let mut flipped = delta.clone();
    flipped[2] ^= 0x40;
    let mut corrupt = delta.clone();
    corrupt[delta.len() - 6] ^= 1;
    let cut = |bytes: Vec<u8>| vec![stream_head(), chunk(&delta), bytes];
    let cases = [
        ("after a frame", cut(Vec::new()), "truncated"),
        ("inside a chunk", cut(chunk(&delta)[..20].to_vec()), "truncated"),
        ("inside a frame, chunk whole", cut(chunk(&delta[..20])), "truncated"),
        ("clean end inside a frame", cut([chunk(&delta[..20]), chunk(b"")].concat()), "frame"),
        ("length bit flipped", cut(chunk(&flipped)), "frame"),
        ("payload corrupt", cut(chunk(&corrupt)), "frame"),
    ];
    for (what, parts, expected) in cases {
        let bytes = parts.concat();
        let server =
            Recorder::start(move |_, _| vec![Step::Send(bytes.clone()), Step::Close]).await;
        let answer = plain(&server.url).await.send(streaming()).await.unwrap();
        let (seen, failure) = read_frames(answer).await.unwrap_err();
        assert_eq!(seen.len(), 1, "{what}: what was whole is delivered");
        match expected {
            "frame" => assert!(matches!(failure, Failure::Frame(_)), "{what}: {failure:?}"),
            _ => assert!(matches!(failure, Failure::Truncated(_)), "{what}: {failure:?}"),
        }
    }
}

#[tokio::test]
async fn a_hostile_length_is_refused_while_the_connection_still_waits() {
    let mut bytes = stream_head();
    bytes.extend(chunk(b"\xff\xff\xff\xf0\0\0\0\0\xde\xad\xbe\xef"));
    let server = Recorder::start(move |_, _| vec![Step::Send(bytes.clone()), Step::Stall]).await;
    let answer = plain(&server.url).await.send(streaming()).await.unwrap();
    let (_, failure) = read_frames(answer).await.unwrap_err();
    assert!(matches!(failure, Failure::Frame(FrameError::PreludeChecksum)), "{failure:?}");
    server.departures(1).await;
}

#[tokio::test]
async fn a_body_shorter_than_its_length_is_truncated() {
    let length = ("content-length", "100");
    let bytes = [head("200 OK", &[length]), b"{\"output\":".to_vec()].concat();
    let server = Recorder::start(move |_, _| vec![Step::Send(bytes.clone()), Step::Close]).await;
    let answer = plain(&server.url).await.send(unary()).await.unwrap();
    let failure = answer.bytes(1 << 20).await.unwrap_err();
    assert!(matches!(failure, Failure::Truncated(_)), "{failure:?}");
}

#[tokio::test]
async fn bodies_are_read_whole_up_to_the_callers_limit() {
    let server = Recorder::start(|number, _| match number {
        0 | 1 => vec![Step::Send(json(&"x".repeat(5000)))],
        _ => {
            let chunked = ("transfer-encoding", "chunked");
            let parts = [chunk(&[b'y'; 3000]), chunk(&[b'z'; 2000]), chunk(b"")];
            vec![Step::Send([head("200 OK", &[chunked]), parts.concat()].concat())]
        }
    })
    .await;
    let transport = plain(&server.url).await;
    for _ in 0..2 {
        let whole = transport.send(unary()).await.unwrap().bytes(5000).await.unwrap();
        assert_eq!(whole.len(), 5000);
        let failure = transport.send(unary()).await.unwrap().bytes(4999).await.unwrap_err();
        assert!(matches!(failure, Failure::Protocol(ProtocolError::TooLarge(4999))), "{failure:?}");
    }
    assert_eq!(read_all(transport.send(unary()).await.unwrap()).await.unwrap(), 5000);
}

#[tokio::test]
async fn responses_not_from_bedrock_are_protocol_errors() {
    let page = b"<html>bad gateway</html>";
    let zip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("redirect", answer("302 Found", &[("location", "http://127.0.0.1:1/")], b"")),
        ("page", answer("502 Bad Gateway", &[("content-type", "text/html")], page)),
        ("encoded", answer("200 OK", &zip, b"\x1f\x8b\x08")),
        ("json for a stream", json("{}")),
        ("not http", b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let server =
            Recorder::start(move |_, _| vec![Step::Send(bytes.clone()), Step::Close]).await;
        let failure = match plain(&server.url).await.send(streaming()).await {
            Ok(answer) => read_frames(answer).await.unwrap_err().1,
            Err(failure) => failure,
        };
        assert!(matches!(failure, Failure::Protocol(_)), "{what}: {failure:?}");
        assert_eq!(server.seen().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn a_refusal_carries_everything_bedrock_said() {
    let text = "The provided model identifier is invalid.";
    let server = Recorder::answering(refusal("400 Bad Request", "ValidationException", text)).await;
    match plain(&server.url).await.send(unary()).await {
        Err(Failure::Service(error)) => {
            assert_eq!((error.status, error.exception), (400, Exception::Validation));
            assert_eq!(error.message, text);
            assert_eq!(error.request_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
            assert!(error.headers.contains_key("x-amzn-errortype"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn headers_of_a_call_cannot_replace_ours() {
    let server = Recorder::answering(json("{}")).await;
    let mut call = unary();
    let mut headers = HeaderMap::new();
    for name in [
        "host",
        "authorization",
        "connection",
        "transfer-encoding",
        "content-length",
        "expect",
        "accept-encoding",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "te",
        "user-agent",
        "x-amz-user-agent",
        "keep-alive",
    ] {
        headers.insert(name, HeaderValue::from_static("evil"));
    }
    headers.insert("x-amzn-bedrock-trace", HeaderValue::from_static("ENABLED"));
    call.headers = headers;
    plain(&server.url).await.send(call).await.unwrap();
    let seen = server.take_only();
    assert!(!seen.headers.iter().any(|(_, value)| value == "evil"), "{:?}", seen.headers);
    let signed = crate::judge::verified(&seen, crate::accounts::SECRET).signed_headers;
    assert!(signed.contains(&"x-amzn-bedrock-trace".to_owned()), "{signed:?}");
}

#[tokio::test]
async fn an_invalid_call_is_refused_before_sending() {
    let server = Recorder::answering(json("{}")).await;
    let transport = transport(&server.url, static_keys(None), Timeouts::default()).await;
    for path in ["model/x/converse", "", "/model/a b/converse", "/model/\u{7f}/converse"] {
        let mut call = unary();
        call.path = path.to_owned();
        let failure = transport.send(call).await.unwrap_err();
        assert!(matches!(failure, Failure::Request(_)), "{path:?}: {failure:?}");
    }
    assert!(server.seen().is_empty());
}
