//! A chat request as it was received: its bytes, and what the way to a target needs to know of it. A small one
//! is parsed once; a large one away from the worker, and again when it is translated, so that nothing parsed
//! has to cross threads or to be kept while the request waits.

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use memchr::memmem;
use schema::openai::chat::ChatRequest;
use schema::openai::format::FormatKind;
use translate::Invalid;
use translate::chat::{affinity, origin};
use translate::thoughts::Origin;

use super::asking::{Circumstances, Made, made};
use crate::error::GatewayError;
use crate::foreseen;
use crate::media::{Links, MediaSettings};
use crate::offload::{LARGE, Offload};
use crate::routes::directions;
use crate::routes::json::{Mistake, parse};
use crate::routing::{Leg, Operation, Tags, Tokens};

/// How many times as long a body with references is worked on, about.
const WRITTEN_OUT: usize = 8;
/// Turns that are looked at to find out where the last thoughts were made: some are made without.
const TURNS: usize = 4;

/// What a request asks for, as far as its way to a target depends on it.
#[derive(Debug)]
pub(in crate::routes) struct Outline {
    pub(in crate::routes) model: String,
    pub(super) operation: Operation,
    /// How many answers are wanted.
    pub(super) n: Option<i64>,
    pub(super) format: FormatKind,
    /// Tokens that the call may use.
    pub(super) tokens: Tokens,
    /// Tags that its body gives it.
    tags: Tags,
    /// Of the beginning that it shares with others.
    pub(super) key: Option<u64>,
    /// The calls of the last turns, the last first.
    pub(super) calls: Vec<String>,
    /// Where the last thoughts were made, as far as the client tells.
    pub(super) origin: Option<Origin>,
    /// Media that stand elsewhere.
    pub(in crate::routes) links: Links,
}

/// A request and its outline.
pub(in crate::routes) struct Received<'b> {
    pub(in crate::routes) outline: Outline,
    body: &'b Bytes,
    /// Of a small one.
    parsed: Option<ChatRequest<'b>>,
}

/// Why a request could not be translated.
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

impl Outline {
    fn of(request: &ChatRequest<'_>, length: usize, media: &MediaSettings) -> Self {
        Self {
            model: request.model.to_string(),
            operation: match request.stream {
                Some(true) => Operation::ConverseStream,
                Some(false) | None => Operation::Converse,
            },
            n: request.n,
            format: request.response_format.as_ref().map_or(FormatKind::Text, |format| format.kind),
            tokens: foreseen::of_chat(request, length),
            tags: Tags::of_chat(request),
            key: affinity(request),
            calls: last_calls(request),
            origin: origin(request, None),
            links: Links::of(request, media),
        }
    }
}

impl Outline {
    /// The tags of the request, those of its headers included.
    pub(in crate::routes) fn tags(&self, headers: &HeaderMap) -> Tags {
        directions::tags(headers).and(&self.tags)
    }
}

/// The bytes that a body is worth in work: references in schemas may be written out wherever they are used.
pub(super) fn weight(body: &[u8]) -> usize {
    let growth = if memmem::find(body, b"\"$ref\"").is_some() { WRITTEN_OUT } else { 1 };
    body.len().saturating_mul(growth)
}

/// The ids of the calls of the last few turns, the last first.
fn last_calls(request: &ChatRequest<'_>) -> Vec<String> {
    let turns = request.messages.iter().rev().filter_map(|message| message.tool_calls.as_ref());
    let calls = turns.take(TURNS).flatten();
    calls.filter_map(|call| call.id.as_ref().map(ToString::to_string)).collect()
}

impl<'b> Received<'b> {
    /// Parses a body.
    ///
    /// # Errors
    /// It is no chat request.
    pub(in crate::routes) async fn read(
        body: &'b Bytes,
        media: &MediaSettings,
        offload: &Offload,
    ) -> Result<Self, GatewayError> {
        if weight(body) <= LARGE {
            let request: ChatRequest<'_> = parse(body)?;
            let outline = Outline::of(&request, body.len(), media);
            return Ok(Self { outline, body, parsed: Some(request) });
        }
        let (bytes, media) = (body.clone(), media.clone());
        let read = offload.away(move || {
            let request: ChatRequest<'_> = parse(&bytes)?;
            Ok::<_, Mistake>(Outline::of(&request, bytes.len(), &media))
        });
        Ok(Self { outline: read.await??, body, parsed: None })
    }

    /// Translates the request for a target; nothing parsed is left of it afterwards.
    ///
    /// # Errors
    /// It asks for what cannot be expressed.
    pub(super) async fn translate(
        self,
        around: &Circumstances,
        leg: &Leg,
        offload: &Offload,
    ) -> Result<Made, GatewayError> {
        let Some(mut request) = self.parsed else {
            return around.translate(self.body, leg, offload).await;
        };
        around.fetched.fill(&mut request);
        Ok(made(&mut request, self.body.len(), around, leg).await?)
    }
}
