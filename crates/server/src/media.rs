//! Media that stand somewhere else: fetched and written into the request before it is translated, so that
//! translation never waits for anything. Off unless the operator wants it; then only the public internet is
//! within reach, within limits, and a caller learns of a failure no more than that it failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustls::ClientConfig;
use schema::openai::chat::ChatRequest;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use translate::profile::Medium;
use translate::{Invalid, Stores};

mod address;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
mod guard;
mod link;
mod walk;

pub(crate) use address::{Range, Reach};
use fetch::{FetchError, Lookup, get};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use guard::{Way, loose, way};

/// Fetches of one request at a time.
const CONCURRENT: usize = 4;
/// Requests that fetch at a time. Each has a fetch of its own, so that one whose URLs hang holds up no other.
const REQUESTS: usize = 256;
/// Further fetches, of all requests together.
const FURTHER: usize = 64;
/// A failure takes at least so long: times tell as much about a network as words.
const FLOOR: Duration = Duration::from_millis(200);

/// What an operator says about media.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MediaSettings {
    pub(crate) fetch: bool,
    /// Also without TLS.
    pub(crate) http: bool,
    /// Ports beside the usual.
    pub(crate) ports: Vec<u16>,
    pub(crate) reach: Reach,
    /// Where the gateway itself listens, which no URL leads to.
    pub(crate) own_port: Option<u16>,
    /// Bytes of all URLs of a request together.
    pub(crate) size: usize,
    /// URLs of a request.
    pub(crate) urls: usize,
    /// From the first lookup to the last byte.
    pub(crate) timeout: Duration,
    /// What of S3 may be read.
    pub(crate) stores: Stores,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            fetch: false,
            http: false,
            ports: Vec::new(),
            reach: Reach::default(),
            own_port: None,
            size: 20 * 1024 * 1024,
            urls: 10,
            timeout: Duration::from_secs(10),
            stores: Stores::default(),
        }
    }
}

/// What a request refers to, as far as it may.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// By URL, as data URLs.
    content: HashMap<String, String>,
    /// What of S3 Bedrock may be sent to.
    pub(crate) stores: Stores,
}

impl Fetched {
    /// Writes what was fetched into a request, in place of its URLs.
    pub(crate) fn fill<'a>(&'a self, request: &mut ChatRequest<'a>) {
        if !self.content.is_empty() {
            walk::fill(request, |url| self.content.get(url).map(String::as_str));
        }
    }
}

/// URLs of a request that are to be fetched, each with the path of its field.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<(String, String)>);

impl Links {
    /// The URLs of a request; none where the operator does not want them fetched.
    pub(crate) fn of(request: &ChatRequest<'_>, settings: &MediaSettings) -> Self {
        Self(if settings.fetch { walk::links(request, settings.urls) } else { Vec::new() })
    }
}

/// What the fetches of one request share.
#[derive(Clone, Copy)]
struct Budget<'r> {
    settings: &'r MediaSettings,
    /// Bytes that may still be read.
    left: &'r AtomicUsize,
    /// Its own permit, which no other request takes.
    own: &'r Semaphore,
    started: Instant,
}

/// Fetches for the whole process.
#[derive(Debug)]
pub(crate) struct Fetcher {
    requests: Semaphore,
    further: Semaphore,
    lookup: Lookup,
    /// Read when the first https URL comes.
    trust: OnceCell<Arc<ClientConfig>>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self {
            requests: Semaphore::new(REQUESTS),
            further: Semaphore::new(FURTHER),
            lookup: Lookup::default(),
            trust: OnceCell::new(),
        }
    }
}

impl Fetcher {
    /// Fetches what a request refers to. The same URL is fetched once.
    ///
    /// # Errors
    /// The first URL that did not become content, and nothing about why.
    pub(crate) async fn fetch(
        &self,
        links: Links,
        settings: &MediaSettings,
    ) -> Result<Fetched, Invalid> {
        let stores = settings.stores.clone();
        let Links(links) = links;
        if links.is_empty() {
            return Ok(Fetched { content: HashMap::new(), stores });
        }
        if let Some((_, param)) = links.get(settings.urls) {
            let message = format!("Up to {} URLs are fetched for a request.", settings.urls);
            return Err(Invalid::value(param.clone(), message).with_code("array_above_max_length"));
        }
        let started = Instant::now();
        let left = AtomicUsize::new(settings.size);
        let own = Semaphore::new(1);
        let request = Budget { settings, left: &left, own: &own, started };
        let turn = tokio::time::timeout_at(started + settings.timeout, self.requests.acquire());
        let Ok(_turn) = turn.await else {
            log::info!("media not fetched: {REQUESTS} requests fetch already");
            return Err(refused(
                links.into_iter().next().map(|(_, param)| param).unwrap_or_default(),
            ));
        };
        let fetches = stream::iter(links).map(async |(url, param)| {
            let content = self.one(&url, medium(&param), request).await;
            content.map(|content| (url.clone(), content)).map_err(|error| (url, param, error))
        });
        match fetches.buffer_unordered(CONCURRENT).try_collect().await {
            Ok(content) => Ok(Fetched { content, stores }),
            Err((url, param, error)) => {
                let known = url.split(['?', '#']).next().unwrap_or_default();
                log::info!("media not fetched from {:?}: {error}", shortened(known));
                tokio::time::sleep_until(started + FLOOR).await;
                Err(refused(param))
            }
        }
    }

    async fn one(
        &self,
        url: &str,
        medium: Option<Medium>,
        request: Budget<'_>,
    ) -> Result<String, FetchError> {
        let Budget { settings, left, own, started } = request;
        let got = async {
            // Neither is ever closed.
            let _permit = tokio::select! {
                biased;
                permit = own.acquire() => permit,
                permit = self.further.acquire() => permit,
            };
            get(url, settings, &self.lookup, &self.trust, left).await
        };
        let bytes = tokio::time::timeout_at(started + settings.timeout, got)
            .await
            .map_err(|_| FetchError::TooSlow)??;
        // Here and not when the request is translated: other words, and sooner, would tell what is there.
        if !translate::is_media(&bytes, medium, url) {
            return Err(FetchError::Kind);
        }
        let mut content = "data:;base64,".to_owned();
        content.reserve(bytes.len().div_ceil(3) * 4);
        STANDARD.encode_string(&bytes, &mut content);
        Ok(content)
    }
}

/// What a part is for, by its field; files may be anything.
fn medium(param: &str) -> Option<Medium> {
    let fields = [
        ("image_url.url", Medium::Image),
        ("video_url.url", Medium::Video),
        ("input_audio.data", Medium::Audio),
    ];
    fields.into_iter().find(|(field, _)| param.ends_with(field)).map(|(_, medium)| medium)
}

fn refused(param: String) -> Invalid {
    let code = if param.contains("image_url") { "invalid_image_url" } else { "invalid_url" };
    Invalid::value(param, "The URL could not be fetched.").with_code(code)
}

/// Without the user some put into URLs, and not without end.
fn shortened(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{}", host.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests;
