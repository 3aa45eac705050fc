//! A chat request as received: its bytes, and an outline for routing. A small request is parsed once. A
//! large one is parsed off the worker thread and again during translation, so that parsed data need not
//! cross threads or be kept while the request waits.

use bytes::Bytes;
use memchr::memmem;
use schema::openai::chat::ChatRequest;
use schema::openai::format::FormatKind;
use translate::Invalid;
use translate::chat::{affinity, origin};
use translate::reasoning::Origin;

use super::pending_call::{TranslateContext, Translated, translated};
use crate::error::GatewayError;
use crate::media::{Links, MediaSettings};
use crate::offload::{LARGE, Offload};
use crate::request::options::RequestOptions;
use crate::routes::json::{Mistake, parse};
use crate::token_estimate;
use routing::{Operation, Tags, Target, Tokens};

/// Approximate factor by which a body with references grows during processing.
const WRITTEN_OUT: usize = 8;
/// Turns searched for the origin of the last reasoning, because some turns have none.
const TURNS: usize = 4;

/// The parts of a request that routing depends on.
#[derive(Debug)]
pub(in crate::routes) struct RequestOutline {
    pub(in crate::routes) model: String,
    pub(super) operation: Operation,
    /// Number of answers requested.
    pub(super) n: Option<i64>,
    pub(super) format: FormatKind,
    /// Tokens that the call may use.
    pub(super) tokens: Tokens,
    /// Tags that its body gives it.
    tags: Tags,
    /// Of the beginning that it shares with others.
    pub(super) key: Option<u64>,
    /// Ids of the tool calls of the last turns, the last first.
    pub(super) calls: Vec<String>,
    /// Origin of the last reasoning, if the client states it.
    pub(super) origin: Option<Origin>,
    /// Media that the request only links to.
    pub(in crate::routes) links: Links,
}

/// A request and its outline.
pub(in crate::routes) struct ParsedRequest<'b> {
    pub(in crate::routes) outline: RequestOutline,
    body: &'b Bytes,
    /// The parsed form of a small request.
    parsed: Option<ChatRequest<'b>>,
}

/// The reason why a request could not be translated.
#[derive(Debug)]
pub(in crate::routes) enum Untranslated {
    Json(Mistake),
    Invalid(Invalid),
    Internal(String),
}

impl From<Mistake> for Untranslated {
    fn from(mistake: Mistake) -> Self {
        Self::Json(mistake)
    }
}

impl From<Invalid> for Untranslated {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<serde_json::Error> for Untranslated {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Untranslated> for GatewayError {
    fn from(untranslated: Untranslated) -> Self {
        match untranslated {
            Untranslated::Json(mistake) => mistake.into(),
            Untranslated::Invalid(invalid) => invalid.into(),
            Untranslated::Internal(reason) => Self::Internal(reason),
        }
    }
}

impl RequestOutline {
    fn of(request: &ChatRequest<'_>, length: usize, media: &MediaSettings) -> Self {
        Self {
            model: request.model.to_string(),
            operation: match request.stream {
                Some(true) => Operation::ConverseStream,
                Some(false) | None => Operation::Converse,
            },
            n: request.n,
            format: request.response_format.as_ref().map_or(FormatKind::Text, |format| format.kind),
            tokens: token_estimate::of_chat(request, length),
            tags: Tags::of_chat(request),
            key: affinity(request),
            calls: last_calls(request),
            origin: origin(request, None),
            links: Links::of(request, media),
        }
    }
}

impl RequestOutline {
    /// The tags of the request, those of its headers included.
    pub(in crate::routes) fn tags(&self, options: &RequestOptions) -> Tags {
        options.tags.clone().and(&self.tags)
    }
}

/// The bytes that a body is worth in work: references in schemas may be written out wherever they are used.
pub(super) fn weight(body: &[u8]) -> usize {
    let growth = if memmem::find(body, b"\"$ref\"").is_some() { WRITTEN_OUT } else { 1 };
    body.len().saturating_mul(growth)
}

/// The ids of the tool calls of the last few turns, the last first.
fn last_calls(request: &ChatRequest<'_>) -> Vec<String> {
    let turns = request.messages.iter().rev().filter_map(|message| message.tool_calls.as_ref());
    let calls = turns.take(TURNS).flatten();
    calls.filter_map(|call| call.id.as_ref().map(ToString::to_string)).collect()
}

impl<'b> ParsedRequest<'b> {
    /// Parses a body.
    ///
    /// # Errors
    /// It is not a chat request.
    pub(in crate::routes) async fn read(
        body: &'b Bytes,
        media: &MediaSettings,
        offload: &Offload,
    ) -> Result<Self, GatewayError> {
        if weight(body) <= LARGE {
            let request: ChatRequest<'_> = parse(body)?;
            let outline = RequestOutline::of(&request, body.len(), media);
            return Ok(Self { outline, body, parsed: Some(request) });
        }
        let (bytes, media) = (body.clone(), media.clone());
        let read = offload.away(move || {
            let request: ChatRequest<'_> = parse(&bytes)?;
            Ok::<_, Mistake>(RequestOutline::of(&request, bytes.len(), &media))
        });
        Ok(Self { outline: read.await??, body, parsed: None })
    }

    /// Translates the request for a target and drops the parsed form.
    ///
    /// # Errors
    /// It requests a feature that cannot be expressed.
    pub(super) async fn translate(
        self,
        around: &TranslateContext,
        target: &Target,
        offload: &Offload,
    ) -> Result<Translated, GatewayError> {
        let Some(mut request) = self.parsed else {
            return around.translate(self.body, target, offload).await;
        };
        around.fetched.fill(&mut request);
        Ok(translated(&mut request, self.body.len(), around, target).await?)
    }
}
