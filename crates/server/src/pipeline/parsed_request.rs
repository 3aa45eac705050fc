//! A request as received: its bytes, and an outline for routing. A small request is parsed once. A large one
//! is parsed off the worker thread and again during translation, so that parsed data need not cross threads
//! or be kept while the request waits.

use bytes::Bytes;
use memchr::memmem;
use translate::Invalid;
use translate::dialect::{Dialect, RequestHead, StateFields};

use super::json::{Mistake, parse};
use super::pending_call::{TranslateContext, Translated, translated};
use crate::error::GatewayError;
use crate::media::{Links, MediaSettings};
use crate::offload::{LARGE, Offload};
use crate::request::options::RequestOptions;
use crate::token_estimate;
use routing::{Operation, Tags, Target, Tokens};

/// Approximate factor by which a body with references grows during processing.
const WRITTEN_OUT: usize = 8;

/// The parts of a request that routing depends on.
#[derive(Debug)]
pub(crate) struct RequestOutline {
    pub(crate) head: RequestHead,
    /// Tokens that one call may use.
    pub(super) tokens: Tokens,
    /// Tags that its body gives it.
    tags: Tags,
    /// Media that the request only links to.
    pub(crate) links: Links,
    /// Items that the request only refers to.
    pub(crate) item_ids: Vec<String>,
    /// The answer that the request continues.
    pub(super) previous: Option<String>,
    /// The conversation that the request belongs to.
    pub(super) conversation: Option<String>,
    /// Its answer may be kept.
    pub(super) may_store: bool,
}

/// A request and its outline.
pub(crate) struct ParsedRequest<'b, D: Dialect> {
    pub(crate) outline: RequestOutline,
    pub(super) body: &'b Bytes,
    /// The parsed form of a small request.
    parsed: Option<D::Request<'b>>,
}

/// The reason why a request could not be translated.
#[derive(Debug)]
pub(crate) enum Untranslated {
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
    fn of<D: Dialect>(request: &D::Request<'_>, length: usize, media: &MediaSettings) -> Self {
        let head = D::head(request);
        let tokens = token_estimate::of_request(&head, length);
        let StateFields { previous, conversation, may_store, is_background: _ } = D::state(request);
        Self {
            tokens,
            tags: Tags::of_body(D::tags(request)),
            links: Links::of::<D>(request, media),
            item_ids: D::item_ids(request).into_iter().map(ToOwned::to_owned).collect(),
            previous: previous.map(ToOwned::to_owned),
            conversation: conversation.map(ToOwned::to_owned),
            may_store,
            head,
        }
    }

    /// The tags of the request, those of its headers included.
    pub(crate) fn tags(&self, options: &RequestOptions) -> Tags {
        options.tags.clone().and(&self.tags)
    }

    /// The operation that the caller requests.
    pub(super) fn operation(&self) -> Operation {
        if self.head.stream { Operation::ConverseStream } else { Operation::Converse }
    }
}

/// The bytes that a body is worth in work: references in schemas may be written out wherever they are used.
pub(super) fn weight(body: &[u8]) -> usize {
    let growth = if memmem::find(body, b"\"$ref\"").is_some() { WRITTEN_OUT } else { 1 };
    body.len().saturating_mul(growth)
}

impl<'b, D: Dialect> ParsedRequest<'b, D> {
    /// Parses a body.
    ///
    /// # Errors
    /// It is not a request of this dialect.
    pub(crate) async fn read(
        body: &'b Bytes,
        media: &MediaSettings,
        offload: &Offload,
    ) -> Result<Self, GatewayError> {
        if weight(body) <= LARGE {
            let request: D::Request<'_> = parse(body)?;
            let outline = RequestOutline::of::<D>(&request, body.len(), media);
            return Ok(Self { outline, body, parsed: Some(request) });
        }
        let (bytes, media) = (body.clone(), media.clone());
        let read = offload.away(move || {
            let request: D::Request<'_> = parse(&bytes)?;
            Ok::<_, Mistake>(RequestOutline::of::<D>(&request, bytes.len(), &media))
        });
        Ok(Self { outline: read.await??, body, parsed: None })
    }

    /// Translates the request for a target and drops the parsed form.
    ///
    /// # Errors
    /// It requests a feature that cannot be expressed.
    pub(super) async fn translate(
        self,
        context: &TranslateContext,
        target: &Target,
        offload: &Offload,
    ) -> Result<Translated<D::Reply>, GatewayError> {
        let Some(request) = self.parsed else {
            return context.translate::<D>(self.body, target, offload).await;
        };
        let mut request = D::shorten(request);
        context.fetched.fill::<D>(&mut request);
        context.items.fill::<D>(&mut request);
        Ok(translated::<D>(&mut request, self.body.len(), context, target).await?)
    }
}
