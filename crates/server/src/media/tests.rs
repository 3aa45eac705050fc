//! Fetches from misbehaving servers of every kind. They listen on loopback, which is not reachable unless a
//! test's settings allow it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use schema::openai::chat::ChatRequest;
use translate::chat::Chat;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n1234";

/// Response of a server.
#[derive(Clone, Copy)]
enum Answer {
    /// These bytes, then the end.
    Bytes(&'static [u8]),
    /// Response headers, then `x` without end.
    Endless,
    /// Response headers, then silence.
    Silent,
}

struct Origin {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    seen: Arc<Mutex<String>>,
    task: actix_rt::task::JoinHandle<()>,
}

impl Origin {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::default()));
        let (count, heard) = (Arc::clone(&accepted), Arc::clone(&seen));
        let task = actix_rt::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                // Some tests use clients that hang up.
                let _ = serve(stream, answer, &heard).await;
            }
        });
        Self { address, accepted, seen, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Settings that allow this one address.
    fn settings(&self) -> MediaSettings {
        MediaSettings {
            fetch: true,
            allow_http: true,
            ports: vec![self.address.port()],
            allow_private: vec!["127.0.0.1".parse().unwrap()],
            max_mib: Mib::of_bytes(64 * 1024),
            timeout: Duration::from_secs(60),
            ..MediaSettings::default()
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Answer,
    heard: &Mutex<String>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    *heard.lock().unwrap() = String::from_utf8(head).unwrap();
    match answer {
        Answer::Bytes(bytes) => stream.write_all(bytes).await,
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Answer::Silent => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n\x89PNG").await?;
            stream.read_u8().await.map(drop)
        }
    }
}

async fn got(url: &str, settings: &MediaSettings, lookup: &Lookup) -> Result<Vec<u8>, FetchError> {
    get(url, settings, lookup, &OnceCell::new(), &AtomicUsize::new(settings.max_mib.bytes())).await
}

fn asking(urls: &[String]) -> String {
    let parts: Vec<_> = urls
        .iter()
        .map(|url| serde_json::json!({ "type": "image_url", "image_url": { "url": url } }))
        .collect();
    serde_json::json!({ "model": "m", "messages": [{ "role": "user", "content": parts }] })
        .to_string()
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n\x89PNG\r\n\x1a\n1234";

#[actix_rt::test]
async fn no_spelling_of_a_private_address_is_connected_to() {
    let origin = Origin::start(Answer::Bytes(OK)).await;
    let settings = MediaSettings { allow_private: Vec::new(), ..origin.settings() };
    let port = origin.address.port();
    let hosts = include_str!("refused_hosts.txt");
    let hosts: Vec<_> = hosts
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(hosts.len() >= 120, "{}", hosts.len());
    for host in hosts {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/a.png");
            let error = got(&url, &settings, &Lookup::System).await.unwrap_err();
            assert!(matches!(error, FetchError::Address | FetchError::Link(_)), "{url}: {error}");
        }
    }
    assert_eq!(origin.accepted(), 0);
}

#[actix_rt::test]
async fn a_name_is_looked_up_once_and_all_its_addresses_are_checked() {
    let origin = Origin::start(Answer::Bytes(OK)).await;
    let (settings, here) = (origin.settings(), origin.address);
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], here.port()));
    let url = format!("http://files.example.com:{}/a.png", here.port());
    let scripted = |answers: &[&[SocketAddr]]| {
        Lookup::Scripted(Mutex::new(answers.iter().map(|a| a.to_vec()).collect::<VecDeque<_>>()))
    };
    // The checked address is the one connected to: no second lookup is made.
    let lookup = scripted(&[&[here], &[elsewhere]]);
    assert_eq!(got(&url, &settings, &lookup).await.unwrap(), PNG);
    let Lookup::Scripted(rest) = &lookup else { panic!() };
    assert_eq!(rest.lock().unwrap().len(), 1);
    assert!(
        origin
            .seen
            .lock()
            .unwrap()
            .contains(&format!("host: files.example.com:{}\r\n", here.port()))
    );
    for mixed in [[here, elsewhere], [elsewhere, here]] {
        let error = got(&url, &settings, &scripted(&[&mixed])).await.unwrap_err();
        assert!(matches!(error, FetchError::Address), "{error}");
    }
    let error = got(&url, &settings, &scripted(&[&[]])).await.unwrap_err();
    assert!(matches!(error, FetchError::Address), "{error}");
    assert_eq!(origin.accepted(), 1);
}

#[actix_rt::test]
async fn the_gateway_does_not_fetch_from_itself() {
    let origin = Origin::start(Answer::Bytes(OK)).await;
    let settings = MediaSettings { own_port: Some(origin.address.port()), ..origin.settings() };
    let error = got(&origin.url("a.png"), &settings, &Lookup::System).await.unwrap_err();
    assert!(error.to_string().contains("from itself"), "{error}");
    assert_eq!(*origin.seen.lock().unwrap(), "");
}

#[actix_rt::test]
async fn responses_without_media_content_are_refused() {
    for (answer, wanted) in [
        (
            b"HTTP/1.1 301 Moved\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n".as_slice(),
            "status 301",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
            "status 302",
        ),
        (b"HTTP/1.1 307 T\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "status 307"),
        (b"HTTP/1.1 308 P\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "status 308"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n\x89PNG", "status 404"),
        (b"HTTP/1.1 206 Partial\r\nContent-Length: 4\r\n\r\n\x89PNG", "status 206"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
            "compressed",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n\x89PNG", "larger"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "empty"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\n<html", "markup"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<svg", "markup"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\xef\xbb\xbf<html", "markup"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\xff\xfe<\0h\0t\0", "markup"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x89PNG", "no answer"),
        (b"SSH-2.0-OpenSSH_9.0\r\n", "no answer"),
    ] {
        let origin = Origin::start(Answer::Bytes(answer)).await;
        let error =
            got(&origin.url("a.png"), &origin.settings(), &Lookup::System).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert_eq!(origin.accepted(), 1, "{wanted}: nothing is followed or tried again");
    }
}

#[actix_rt::test]
async fn reading_ends_at_the_limit_and_at_the_deadline() {
    let endless = Origin::start(Answer::Endless).await;
    let error = got(&endless.url("a.png"), &endless.settings(), &Lookup::System).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge), "{error}");

    let silent = Origin::start(Answer::Silent).await;
    let settings = MediaSettings { timeout: Duration::from_millis(300), ..silent.settings() };
    let body = asking(&[silent.url("a.png")]);
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let started = std::time::Instant::now();
    let invalid = Fetcher::default()
        .fetch(Links::of::<Chat>(&request, &settings), &settings)
        .await
        .unwrap_err();
    assert!(started.elapsed() >= settings.timeout, "{:?}", started.elapsed());
    assert_eq!(invalid.param.as_deref(), Some("messages[0].content[0].image_url.url"));
}

#[actix_rt::test]
async fn content_is_filled_in_and_the_same_url_fetched_once() {
    let origin = Origin::start(Answer::Bytes(OK)).await;
    let settings = origin.settings();
    let (a, b) = (origin.url("a.png"), origin.url("b.png?secret=1"));
    let body = asking(&[a.clone(), b, a]);
    let mut request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let fetcher = Fetcher::default();
    let fetched = fetcher.fetch(Links::of::<Chat>(&request, &settings), &settings).await.unwrap();
    let mut filled = request.clone();
    fetched.fill::<Chat>(&mut filled);
    assert_eq!(origin.accepted(), 2);
    let profile = translate::Profile::default();
    let question = translate::chat::question(&filled, &profile).unwrap();
    let sent = serde_json::to_value(&question.body).unwrap();
    for index in 0..3 {
        let image = &sent["messages"][0]["content"][index]["image"];
        assert_eq!(image["format"], "png");
        assert_eq!(image["source"]["bytes"], STANDARD.encode(PNG));
    }
    // With fetching off, no URL is fetched and no content filled in.
    let off = MediaSettings { fetch: false, ..settings };
    let nothing = fetcher.fetch(Links::of::<Chat>(&request, &off), &off).await.unwrap();
    nothing.fill::<Chat>(&mut request);
    assert!(translate::chat::question(&request, &profile).is_err());
    assert_eq!(origin.accepted(), 2);
}

#[actix_rt::test]
async fn callers_do_not_learn_the_reason() {
    let origin = Origin::start(Answer::Bytes(b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n")).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = Origin::start(Answer::Bytes(
        b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"secret\": 1}",
    ))
    .await;
    let pdf = Origin::start(Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%PDF-1.4"));
    let (pdf, endless) = (pdf.await, Origin::start(Answer::Endless).await);
    let mut settings = origin.settings();
    let others = [&text, &pdf, &endless].map(|origin| origin.address.port());
    settings.ports.extend(others.into_iter().chain([closed.port()]));
    let mut told = Vec::new();
    for url in [
        origin.url("a.png"),
        // Of an unwanted kind under any name, and too large.
        text.url("a.png"),
        pdf.url("a.png"),
        endless.url("a.png"),
        format!("http://{closed}/a.png"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://user@127.0.0.1/".to_owned(),
    ] {
        let body = asking(&[url]);
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        let started = std::time::Instant::now();
        told.push(
            Fetcher::default()
                .fetch(Links::of::<Chat>(&request, &settings), &settings)
                .await
                .unwrap_err(),
        );
        assert!(started.elapsed() >= FLOOR, "{:?}", started.elapsed());
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:?}");
    assert_eq!(told[0].code, "invalid_image_url");
}

#[actix_rt::test]
async fn the_number_of_urls_is_limited() {
    let origin = Origin::start(Answer::Bytes(OK)).await;
    let urls: Vec<_> = (0..11).map(|at| origin.url(&format!("{at}.png"))).collect();
    let body = asking(&urls);
    let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
    let invalid = Fetcher::default()
        .fetch(Links::of::<Chat>(&request, &origin.settings()), &origin.settings())
        .await
        .unwrap_err();
    assert_eq!(invalid.param.as_deref(), Some("messages[0].content[10].image_url.url"));
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn the_log_contains_no_secrets() {
    assert_eq!(shortened("https://user:secret@example.com/a"), "https://example.com/a");
    assert!(shortened(&format!("https://e.com/{}", "x".repeat(9000))).len() < 300);
}

/// A request keeps one fetch of its own, however many fetches of other requests hang.
#[actix_rt::test]
async fn hanging_fetches_do_not_delay_other_requests() {
    let origin = Origin::start(Answer::Bytes(OK)).await;
    let (fetcher, settings) = (Fetcher::default(), origin.settings());
    let hanging = fetcher.further.acquire_many(u32::try_from(FURTHER).unwrap()).await.unwrap();
    let body = asking(&[origin.url("a.png"), origin.url("b.png"), origin.url("c.png")]);
    let request = serde_json::from_str(&body).unwrap();
    let fetched = fetcher.fetch(Links::of::<Chat>(&request, &settings), &settings).await.unwrap();
    assert_eq!((fetched.content.len(), origin.accepted()), (3, 3));
    drop(hanging);
    // More requests than may fetch at a time: refused in time, without a connection.
    let all = fetcher.requests.acquire_many(u32::try_from(REQUESTS).unwrap()).await.unwrap();
    let settings = MediaSettings { timeout: Duration::from_millis(100), ..settings };
    let refused =
        fetcher.fetch(Links::of::<Chat>(&request, &settings), &settings).await.unwrap_err();
    assert_eq!(
        (refused.param.as_deref(), origin.accepted()),
        (Some("messages[0].content[0].image_url.url"), 3)
    );
    drop(all);
}
