//! Fetches media that a request names by URL, and writes them into the request before translation, so that
//! translation never waits for the network. Off by default; if the operator enables it, only the public
//! internet is reachable, within limits, and the caller learns only that a fetch failed, not why.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rustls::ClientConfig;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use translate::dialect::Dialect;
use translate::profile::Medium;
use translate::{Invalid, S3Access};

use crate::byte_size::Mib;

mod address;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
mod guard;
mod link;

pub(crate) use address::Range;
use address::is_public;
use fetch::{FetchError, Lookup, get};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use guard::{Way, loose, way};

/// Concurrent fetches of one request.
const CONCURRENT: usize = 4;
/// Concurrent requests with fetches. Each has one fetch of its own, so that a request with hanging URLs
/// delays no other.
const REQUESTS: usize = 256;
/// Additional fetches, shared by all requests.
const FURTHER: usize = 64;
/// Least duration of a failure: response times reveal as much about a network as error texts.
const FLOOR: Duration = Duration::from_millis(200);

/// The operator's settings for media.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MediaSettings {
    pub(crate) fetch: bool,
    /// Allows URLs without TLS.
    pub(crate) allow_http: bool,
    /// Ports allowed besides the default ones.
    pub(crate) ports: Vec<u16>,
    /// Addresses allowed although they are not public.
    pub(crate) allow_private: Vec<Range>,
    /// Addresses refused although they are public.
    pub(crate) deny: Vec<Range>,
    /// The gateway's own port, which no URL may reach.
    pub(crate) own_port: Option<u16>,
    /// Size of all URLs of a request together.
    pub(crate) max_mib: Mib,
    /// URLs per request.
    pub(crate) max_urls: usize,
    /// Time from the first lookup to the last byte.
    pub(crate) timeout: Duration,
    /// The S3 objects that may be read.
    pub(crate) s3_prefixes: S3Access,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            fetch: false,
            allow_http: false,
            ports: Vec::new(),
            allow_private: Vec::new(),
            deny: Vec::new(),
            own_port: None,
            max_mib: Mib::new(20),
            max_urls: 10,
            timeout: Duration::from_secs(10),
            s3_prefixes: S3Access::default(),
        }
    }
}

impl MediaSettings {
    /// Whether an address may be connected to.
    pub(crate) fn admits(&self, address: IpAddr) -> bool {
        let within = |ranges: &[Range]| ranges.iter().any(|range| range.holds(address));
        !within(&self.deny) && (within(&self.allow_private) || is_public(address))
    }
}

/// The fetched media of a request, and its S3 access.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// By URL, as data URLs.
    content: HashMap<String, String>,
    /// The S3 objects that Bedrock may be told to read.
    pub(crate) stores: S3Access,
}

impl Fetched {
    /// Writes the fetched content into a request, in place of its URLs.
    pub(crate) fn fill<'a, D: Dialect>(&'a self, request: &mut D::Request<'a>) {
        if !self.content.is_empty() {
            D::fill_links(request, &|url| self.content.get(url).map(String::as_str));
        }
    }
}

/// URLs of a request to fetch, each with the path of its field.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<(String, String)>);

impl Links {
    /// The URLs of a request; empty if fetching is off.
    pub(crate) fn of<D: Dialect>(request: &D::Request<'_>, settings: &MediaSettings) -> Self {
        Self(if settings.fetch { D::links(request, settings.max_urls) } else { Vec::new() })
    }

    /// Whether the request has none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// State shared by the fetches of one request.
#[derive(Clone, Copy)]
struct Budget<'r> {
    settings: &'r MediaSettings,
    /// Bytes that may still be read.
    left: &'r AtomicUsize,
    /// The request's own permit, which no other request uses.
    own: &'r Semaphore,
    started: Instant,
}

/// Fetches for the whole process.
#[derive(Debug)]
pub(crate) struct Fetcher {
    requests: Semaphore,
    further: Semaphore,
    lookup: Lookup,
    /// Loaded for the first https URL.
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
    /// Fetches the media that a request names. Equal URLs are fetched once.
    ///
    /// # Errors
    /// The field of the first URL that failed, without the reason.
    pub(crate) async fn fetch(
        &self,
        links: Links,
        settings: &MediaSettings,
    ) -> Result<Fetched, Invalid> {
        let stores = settings.s3_prefixes.clone();
        let Links(links) = links;
        if links.is_empty() {
            return Ok(Fetched { content: HashMap::new(), stores });
        }
        if let Some((_, param)) = links.get(settings.max_urls) {
            let message = format!("Up to {} URLs are fetched for a request.", settings.max_urls);
            return Err(Invalid::value(param.clone(), message).with_code("array_above_max_length"));
        }
        let started = Instant::now();
        let left = AtomicUsize::new(settings.max_mib.bytes());
        let own = Semaphore::new(1);
        let request = Budget { settings, left: &left, own: &own, started };
        let turn = tokio::time::timeout_at(started + settings.timeout, self.requests.acquire());
        let Ok(_turn) = turn.await else {
            log::info!("media not fetched: {REQUESTS} requests are fetching already");
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
            // Neither semaphore is ever closed.
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
        // Checked here and not during translation: a different or faster error would reveal what the URL
        // holds.
        if !translate::is_media(&bytes, medium, url) {
            return Err(FetchError::Kind);
        }
        let mut content = "data:;base64,".to_owned();
        content.reserve(bytes.len().div_ceil(3) * 4);
        STANDARD.encode_string(&bytes, &mut content);
        Ok(content)
    }
}

/// The medium of a part, by its field; files may be of any kind.
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

/// The URL without user information, and shortened.
fn shortened(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{}", host.chars().take(200).collect::<String>())
}

#[cfg(test)]
mod tests;
