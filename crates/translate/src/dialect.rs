//! A front door's API. The gateway serves every model call by the same steps and is generic over this
//! trait; an implementation knows one API's requests, answers and streams, and translates them straight
//! to and from Converse.

use std::fmt::Debug;

use schema::converse::message::ContentBlock;
use schema::converse::request::{ConverseRequest, GuardrailConfig};
use schema::converse::response::ConverseResponse;
use schema::openai::format::FormatKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::answer_stream::{AnswerStream, KeptItem};
use crate::chat::Defaults;
use crate::parts::cache;
use crate::parts::tools::Delivery;
use crate::reasoning::{Origin, RestoredReasoning, SavedTurn};
use crate::requested_format::Wanted;
use crate::spent::Spent;
use crate::token_arrays::TextOf;
use crate::{Invalid, Profile, Reply, Report, S3Access, Stamp};

/// One API.
pub trait Dialect: Debug + Clone + 'static {
    /// The name in the access log.
    const NAME: &'static str;
    /// The kind of call in rows of calls, by LiteLLM's name.
    const CALL_TYPE: &'static str;
    /// Beginning of the ids of answers.
    const ID_PREFIX: &'static str;
    /// The shape of errors, as bodies and as events.
    const ERRORS: ErrorDialect;
    /// A complete answer that its model could not finish is a failure, because no stop reason of the API
    /// tells it.
    const MALFORMED_FAILS: bool = false;

    /// Names of the fields that are numbers or truth values, if requests are forms; all others are texts or
    /// files. `None`: requests are JSON.
    const FORM: Option<&'static [&'static str]> = None;

    /// A request, which borrows from its body.
    type Request<'a>: Deserialize<'a> + Send + Sync;
    /// State made by the question and consumed by the answer.
    type Reply: Debug + Clone + Send + Sync + 'static;
    /// A complete answer.
    type Answer: Serialize;
    /// The translator of a streamed answer.
    type Stream: AnswerStream + 'static;

    /// The same request with a shorter borrow, which the compiler does not see in a generic type.
    fn shorten<'s, 'l: 's>(request: Self::Request<'l>) -> Self::Request<'s>;

    /// The properties of a request that do not depend on its target.
    fn head(request: &Self::Request<'_>) -> RequestHead;

    /// The members that may select targets by tags.
    fn tags<'r>(request: &'r Self::Request<'_>) -> TagFields<'r>;

    /// Removes tags that have selected the target.
    fn remove_tags(request: &mut Self::Request<'_>);

    /// The distinct values that may be URLs of media, each with the path of its first field; at most one
    /// URL more than `most`.
    fn links(request: &Self::Request<'_>, most: usize) -> Vec<(String, String)>;

    /// Replaces every URL of media for which there is content.
    fn fill_links<'a>(request: &mut Self::Request<'a>, content: &dyn Fn(&str) -> Option<&'a str>);

    /// The ids of items that the request refers to instead of repeating them.
    fn item_ids<'r>(_request: &'r Self::Request<'_>) -> Vec<&'r str> {
        Vec::new()
    }

    /// Puts items where the request refers to them, as JSON in the form of a request's item.
    fn fill_items<'a>(_request: &mut Self::Request<'a>, _json: &dyn Fn(&str) -> Option<&'a str>) {}

    /// The fields of a request about the state of its conversation.
    fn state<'r>(_request: &'r Self::Request<'_>) -> StateFields<'r> {
        StateFields::default()
    }

    /// Sets what the gateway knows of the state of the conversation.
    fn knows(_request: &mut Self::Request<'_>, _known: KnownState) {}

    /// Adds an operator's parameters where the request gives none.
    ///
    /// # Errors
    /// None: the parameters were read with the configuration.
    fn complete<'a>(
        request: &mut Self::Request<'a>,
        defaults: &'a Defaults,
    ) -> Result<(), serde_json::Error>;

    /// Prepares a request whose tokens are only counted.
    fn counts_only(_: &mut Self::Request<'_>) {}

    /// The ids of the tool calls of the conversation, for reasoning saved with them.
    fn call_ids<'r>(request: &'r Self::Request<'_>) -> Vec<&'r str>;

    /// Appends an answer that does not match the requested format, and the request to correct it.
    fn ask_again<'a>(request: &mut Self::Request<'a>, answer: &'a str, complaint: &'a str);

    /// Translates the question for a model of this profile.
    ///
    /// # Errors
    /// The request cannot be expressed for this model; the error names the field.
    fn question<'q>(
        request: &'q Self::Request<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q, Self::Reply>, Invalid>;

    /// Translates the question into the model's own body, if its row says that requests of this API are
    /// sent so and nothing in the request needs Converse.
    ///
    /// # Errors
    /// As [`Self::question`].
    fn native_question<'q>(
        _: &'q Self::Request<'_>,
        _: &Profile,
        _: &QuestionInput<'q>,
    ) -> Result<Option<NativeQuestion<'q, Self::Reply>>, Invalid> {
        Ok(None)
    }

    /// The format that the answer is validated against.
    fn wanted(reply: &Self::Reply) -> Option<&Wanted>;

    /// Translates a complete answer.
    fn answer(
        response: &ConverseResponse<'_>,
        reply: &Self::Reply,
        stamp: Stamp,
    ) -> Answered<Self::Answer>;

    /// The parts of an answer that are kept, because later requests may refer to them by their ids.
    fn kept_items(_answer: &mut Self::Answer) -> Vec<KeptItem> {
        Vec::new()
    }

    /// Translates a complete answer to a question in the model's own body.
    ///
    /// # Errors
    /// It cannot be read.
    fn native_answer(
        _: &[u8],
        _: &Self::Reply,
        _: Stamp,
    ) -> Result<NativeAnswered<Self::Answer>, serde_json::Error> {
        Err(serde::de::Error::custom("this API asks no model in its own body"))
    }

    /// The whole answer, if it is kept so that later requests can continue or read it.
    fn kept_answer(_answer: &Self::Answer) -> Option<KeptItem> {
        None
    }

    /// The reason why an answer cannot be sent although the model gave one, in words for the caller.
    fn flaw(_answer: &Self::Answer) -> Option<&'static str> {
        None
    }

    /// The answer as it stands before it is made, if it is made in the background.
    fn queued(_reply: &Self::Reply, _stamp: Stamp) -> Option<KeptItem> {
        None
    }

    /// The answer as it is sent, where the caller wants plain text instead of JSON.
    fn plain(_answer: &Self::Answer) -> Option<&str> {
        None
    }

    /// The texts of an answer that are validated: none of an answer that was stopped or calls tools.
    fn checked_texts(answer: &Self::Answer) -> Vec<&str>;

    /// Combines the answers to one request, in order, with the usage of all. `None` without answers.
    fn gather(answers: Vec<Self::Answer>, total: Spent) -> Option<Self::Answer>;

    /// The translator of the answer with this index among several; the first is 0.
    fn stream(reply: Self::Reply, stamp: Stamp, index: u32) -> Self::Stream;
}

/// A shape of errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorDialect {
    /// `{"error": {...}}`.
    #[default]
    OpenAi,
    /// `{"type": "error", "error": {...}}`.
    Anthropic,
}

/// Properties of a request that do not depend on its target. Owned, because the request is dropped
/// before the call.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// The model as the caller named it.
    pub model: String,
    /// The answer is requested as events.
    pub stream: bool,
    /// Number of answers requested to each question.
    pub n: Option<i64>,
    /// The questions of the request, each of which is one call.
    pub questions: Questions,
    /// The questions are arrays of token ids.
    pub token_ids: bool,
    /// The requested format of the answer.
    pub format: FormatKind,
    /// Most tokens of an answer, if the request limits them.
    pub max_tokens: Option<u64>,
    /// The media that the body holds.
    pub media: MediaSize,
    /// Key of the prefix that the request shares with others, if a prompt cache would help.
    pub prefix: Option<u64>,
    /// Ids of the tool calls of the last turns, the last first.
    pub last_calls: Vec<String>,
    /// Origin of the last reasoning, if the client states it.
    pub origin: Option<Origin>,
    /// The end user on whose behalf the caller acts, if it says.
    pub end_user: Option<String>,
}

/// The end user of a request: the first of its members that is not empty.
pub fn end_user(
    user: Option<&str>,
    metadata: Option<&Map<String, Value>>,
    safety_identifier: Option<&str>,
) -> Option<String> {
    let of_metadata = metadata.and_then(|metadata| metadata.get("user_id")?.as_str());
    let all = [user, of_metadata, safety_identifier].into_iter().flatten();
    all.map(str::trim).find(|id| !id.is_empty()).map(ToOwned::to_owned)
}

/// Number of questions in one request, and the field that holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Questions {
    /// At least 1.
    pub count: usize,
    /// The field.
    pub param: &'static str,
}

impl Default for Questions {
    fn default() -> Self {
        Self { count: 1, param: "messages" }
    }
}

/// Media within a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaSize {
    /// Number of images, documents and the like.
    pub count: u64,
    /// Their size in the body, in bytes.
    pub bytes: usize,
}

/// Members that may hold tags.
#[derive(Debug, Clone, Copy, Default)]
pub struct TagFields<'r> {
    /// `tags`.
    pub tags: Option<&'r RawValue>,
    /// `metadata`, whose member `tags` may hold some.
    pub metadata: Option<&'r Map<String, Value>>,
}

/// Removes a list of tags from metadata, which may hold it beside the caller's own members.
pub(crate) fn remove_listed_tags(metadata: Option<&mut Map<String, Value>>) {
    const TAGS: &str = "tags";
    if let Some(metadata) = metadata
        && metadata.get(TAGS).is_some_and(Value::is_array)
    {
        metadata.remove(TAGS);
    }
}

/// Fields of a request about the state of its conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateFields<'r> {
    /// The answer that the request continues.
    pub previous: Option<&'r str>,
    /// The conversation that the request belongs to.
    pub conversation: Option<&'r str>,
    /// The answer may be kept.
    pub may_store: bool,
    /// The answer is made whether or not the client waits for it.
    pub is_background: bool,
}

/// The gateway's knowledge of the state of a conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownState {
    /// Answers are kept, if the request allows it.
    pub stores: bool,
    /// The items before the request are in it.
    pub is_continued: bool,
    /// The answer is kept as long as the caller's connection lives, whatever the request says.
    pub is_of_connection: bool,
}

/// Values that a question needs besides the request and the profile.
#[derive(Debug, Clone, Copy)]
pub struct QuestionInput<'q> {
    /// The S3 objects that the service may be told to read.
    pub stores: &'q S3Access,
    /// Reasoning that is put back where the client did not send it.
    pub restored: Option<&'q RestoredReasoning>,
    /// Index of the question, below [`RequestHead::questions`].
    pub index: usize,
    /// Betas that the caller requests by header.
    pub betas: &'q [String],
    /// Reads arrays of token ids, where [`RequestHead::token_ids`] says that there are some.
    pub text_of: TextOf,
}

/// A translated request: the body to send, the state that the answer half needs, and the fields
/// without effect.
#[derive(Debug)]
pub struct Question<'a, R = Reply> {
    /// The body for Converse or ConverseStream.
    pub body: ConverseRequest<'a>,
    /// The call by which the answer is fetched.
    pub delivery: Delivery,
    /// State that the answer half needs.
    pub reply: R,
    /// The fields that could not be honoured.
    pub report: Report,
}

/// A request in the model's own body.
#[derive(Debug)]
pub struct NativeQuestion<'a, R> {
    /// The body for InvokeModel or InvokeModelWithResponseStream.
    pub body: Vec<u8>,
    /// Headers of the call besides those of a guardrail.
    pub headers: Vec<(&'static str, String)>,
    /// The guardrail that the caller names in the body.
    pub guardrail: Option<GuardrailConfig<'a>>,
    /// Whether the body holds past reasoning.
    pub thinks_back: bool,
    /// Whether the body names betas, or members that need some.
    pub has_betas: bool,
    /// State that the answer half needs.
    pub reply: R,
    /// The fields that could not be honoured.
    pub report: Report,
}

/// A complete answer in the model's own form, and its usage.
#[derive(Debug)]
pub struct NativeAnswered<A> {
    /// The answer, and what the gateway keeps of it.
    pub answered: Answered<A>,
    /// Its usage.
    pub spent: Spent,
}

impl<R> Question<'_, R> {
    /// Returns whether the body holds past reasoning.
    pub fn thinks_back(&self) -> bool {
        let blocks = self.body.messages.iter().flat_map(|turn| &turn.content);
        blocks.into_iter().any(|block| matches!(block, ContentBlock::ReasoningContent(_)))
    }

    /// Returns whether the service caches a prefix of the body for later calls with the same
    /// prefix.
    pub fn is_cached(&self) -> bool {
        cache::any(&self.body)
    }
}

/// A complete answer, and what the gateway keeps of it.
#[derive(Debug)]
pub struct Answered<A> {
    /// The answer in the dialect's form.
    pub answer: A,
    /// The turn, if it has tool calls whose reasoning the model requires back: to be saved before the
    /// client sees the answer.
    pub saved: Option<SavedTurn>,
    /// The model that a prompt router chose.
    pub invoked_model: Option<String>,
}
