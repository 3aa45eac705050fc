//! What a call costs in CPU time on the calling thread, through the AWS SDK and through our
//! transport, against the same local server: why the hot path is signed directly.
//!
//! `cargo bench -p outcrop --bench upstream` prints the table. Without `--bench` (as in a test run) it
//! only makes sure that both paths work.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, SystemContentBlock,
};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};
use bedrock::{
    Account, AccountKeys, AccountSecret, Call, Kind, Service, Settings, Transport, model_path,
};
use http::{HeaderMap, HeaderValue as HttpValue, Method};
use serde_json::{Value, json};

const MODEL: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const DELTAS: usize = 64;
const EVENTS: usize = DELTAS + 4;
const PROMPT: &str = "Explain in a few sentences why the sky is blue and the sunset is not.";

fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (rounds, calls) = if measured { (9, 400) } else { (1, 5) };
    let url = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sdk, ours) = runtime.block_on(clients(&url));
    runtime.block_on(async {
        // Connections, caches and allocator warm before anything is counted.
        cost(calls, || sdk_unary(&sdk)).await;
        cost(calls, || our_unary(&ours)).await;
        let unary = compare(rounds, calls, || sdk_unary(&sdk), || our_unary(&ours)).await;
        let streams =
            compare(rounds, calls / 4 + 1, || sdk_stream(&sdk), || our_stream(&ours)).await;
        println!("CPU time of the calling thread, median of {rounds} rounds");
        println!("{:<28}{:>12}{:>12}{:>9}", "", "SDK", "outcrop", "ratio");
        row("Converse call", unary);
        row(&format!("ConverseStream, {EVENTS} events"), streams);
    });
}

fn row(name: &str, [sdk, ours]: [Duration; 2]) {
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    println!("{name:<28}{:>9.1} us{:>9.1} us{:>8.2}x", us(sdk), us(ours), us(sdk) / us(ours));
}

/// Median cost of both, taken in turns so that a slow moment hits either.
async fn compare<A: Future<Output = ()>, B: Future<Output = ()>>(
    rounds: usize,
    calls: u32,
    first: impl Fn() -> A,
    second: impl Fn() -> B,
) -> [Duration; 2] {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        a.push(cost(calls, &first).await);
        b.push(cost(calls, &second).await);
    }
    a.sort_unstable();
    b.sort_unstable();
    [a[rounds / 2], b[rounds / 2]]
}

async fn cost<F: Future<Output = ()>>(calls: u32, call: impl Fn() -> F) -> Duration {
    let start = cpu_time();
    for _ in 0..calls {
        call().await;
    }
    (cpu_time() - start) / calls
}

/// Time this thread has spent running, by the kernel's scheduler.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

async fn clients(url: &str) -> (Client, Transport) {
    let setup = Settings {
        region: Some("us-east-1".to_owned()),
        keys: Some(AccountKeys::Static {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: AccountSecret::new("secret"),
            session_token: Some(AccountSecret::new("t".repeat(400))),
        }),
        endpoint: Some(url.to_owned()),
        ..Settings::default()
    };
    let account = Account::load(setup).await.unwrap();
    (Client::from_conf(account.sdk().build()), Transport::new(&account))
}

fn sdk_message() -> Message {
    Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(PROMPT.to_owned()))
        .build()
        .unwrap()
}

fn sdk_limits() -> InferenceConfiguration {
    InferenceConfiguration::builder().max_tokens(500).temperature(0.5).build()
}

async fn sdk_unary(client: &Client) {
    let request = client.converse().model_id(MODEL).messages(sdk_message());
    let request = request.system(SystemContentBlock::Text("Be brief.".to_owned()));
    let answer = request.inference_config(sdk_limits()).send().await.unwrap();
    assert_eq!(answer.usage().unwrap().total_tokens(), 120);
}

async fn sdk_stream(client: &Client) {
    let request = client.converse_stream().model_id(MODEL).messages(sdk_message());
    let request = request.system(SystemContentBlock::Text("Be brief.".to_owned()));
    let mut answer = request.inference_config(sdk_limits()).send().await.unwrap();
    let mut events = 0;
    while answer.stream.recv().await.unwrap().is_some() {
        events += 1;
    }
    assert_eq!(events, EVENTS);
}

fn our_call(operation: &str, kind: Kind) -> Call {
    let body = json!({
        "messages": [{"role": "user", "content": [{"text": PROMPT}]}],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 500, "temperature": 0.5},
    });
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HttpValue::from_static("application/json"));
    Call {
        service: Service::Runtime,
        method: Method::POST,
        path: model_path(MODEL, operation).unwrap(),
        query: None,
        headers,
        body: serde_json::to_vec(&body).unwrap().into(),
        kind,
    }
}

async fn our_unary(transport: &Transport) {
    let answer = transport.send(our_call("converse", Kind::Unary)).await.unwrap();
    let body = answer.bytes(1 << 20).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["usage"]["totalTokens"], 120);
}

async fn our_stream(transport: &Transport) {
    let answer = transport.send(our_call("converse-stream", Kind::Stream)).await.unwrap();
    let mut frames = answer.events().unwrap();
    let mut events = 0;
    while let Some(frame) = frames.next().await.unwrap() {
        let event: Value = serde_json::from_slice(&frame.payload).unwrap();
        assert!(event.is_object());
        events += 1;
    }
    assert_eq!(events, EVENTS);
}

/// Serves both operations on threads of its own until the process ends.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve_connection(stream.unwrap()));
        }
    });
    url
}

fn serve_connection(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let (unary, events) = (unary_answer(), event_chunks());
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    loop {
        let (mut length, mut streaming, mut started) = (0, false, false);
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            if !started {
                (started, streaming) = (true, line.contains("converse-stream"));
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        if streaming {
            for chunk in &events {
                stream.write_all(chunk).unwrap();
            }
        } else {
            stream.write_all(&unary).unwrap();
        }
    }
}

fn unary_answer() -> Vec<u8> {
    let body = json!({
        "metrics": {"latencyMs": 900},
        "output": {"message": {"content": [{"text": "Because of scattering. ".repeat(20)}],
            "role": "assistant"}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 20, "outputTokens": 100, "totalTokens": 120},
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amzn-requestid: bench\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Head, events and end of a stream, each written on its own as Bedrock does.
fn event_chunks() -> Vec<Vec<u8>> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n\
                transfer-encoding: chunked\r\nx-amzn-requestid: bench\r\n\r\n";
    let mut chunks = vec![head.as_bytes().to_vec()];
    chunks.push(event("messageStart", &json!({"p": "abcdefgh", "role": "assistant"})));
    for number in 0..DELTAS {
        let delta = json!({"contentBlockIndex": 0, "delta": {"text": format!(" word{number}")},
            "p": "abcdefghijklmnopqrstu"});
        chunks.push(event("contentBlockDelta", &delta));
    }
    chunks.push(event("contentBlockStop", &json!({"contentBlockIndex": 0, "p": "abc"})));
    chunks.push(event("messageStop", &json!({"p": "abcd", "stopReason": "end_turn"})));
    let usage = json!({"inputTokens": 20, "outputTokens": 100, "totalTokens": 120});
    let metadata = json!({"metrics": {"latencyMs": 900}, "p": "ab", "usage": usage});
    chunks.push(event("metadata", &metadata));
    chunks.push(b"0\r\n\r\n".to_vec());
    chunks
}

fn event(name: &str, payload: &Value) -> Vec<u8> {
    let header = |name: &str, value: &str| {
        Header::new(name.to_owned(), HeaderValue::String(value.to_owned().into()))
    };
    let frame = Frame::new(payload.to_string().into_bytes())
        .add_header(header(":event-type", name))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "event"));
    let mut bytes = Vec::new();
    write_message_to(&frame, &mut bytes).unwrap();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()
}
