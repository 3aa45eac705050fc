//! `POST /v1/messages`, in Anthropic's API. A model whose row says so gets the request in its own body,
//! by InvokeModel (`native.rs`): only that body has all of the API's features. Every other model gets
//! it as a Converse call (`converse.rs`).

use std::sync::Arc;

use schema::anthropic::ATTRIBUTION;
use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::content::{BlockKind, Content};
use schema::converse::response::ConverseResponse;
use schema::openai::format::FormatKind;

use crate::capsule::Capsules;
use crate::chat::Defaults;
use crate::dialect::{
    Answered, Dialect, ErrorDialect, MediaSize, NativeAnswered, NativeQuestion, Question,
    QuestionInput, Questions, RequestHead, TagFields, remove_listed_tags,
};
use crate::requested_format::Wanted;
use crate::spent::Spent;
use crate::{Invalid, Profile, Reply, Stamp};

mod affinity;
mod answer;
mod bedrock_members;
mod conversation;
mod converse;
mod defaults;
mod error;
mod fields;
mod foreign;
mod limits;
mod links;
mod native;
mod native_answer;
mod params;
mod sealed;
mod stream;
mod tools;
mod writer;

pub use answer::MessagesAnswer;
pub use error::MessagesError;
pub use stream::MessagesStream;

/// `POST /v1/messages`.
#[derive(Debug, Clone, Copy)]
pub struct Messages;

/// State made by the question half and consumed by the answer half.
#[derive(Debug, Clone, Default)]
pub struct MessagesReply {
    pub(crate) reply: Reply,
    /// Format to seal encrypted reasoning with.
    sealed: Option<String>,
    /// Seals reasoning without a signature, so that clients send it back.
    capsules: Option<Arc<dyn Capsules>>,
    /// The answer comes in the model's own form.
    is_native: bool,
}

/// Turns searched for the origin of the last reasoning, because some turns have none.
const TURNS: usize = 4;

/// Returns whether a text of the system prompt is its client's attribution. It changes with every build,
/// so that it would spoil every cached prefix, and means something to Anthropic alone.
fn is_attribution(text: &str) -> bool {
    text.starts_with(ATTRIBUTION)
}

impl Dialect for Messages {
    const NAME: &'static str = "messages";
    const CALL_TYPE: &'static str = "anthropic_messages";
    const ID_PREFIX: &'static str = "msg_";
    const ERRORS: ErrorDialect = ErrorDialect::Anthropic;
    const MALFORMED_FAILS: bool = true;

    type Request<'a> = MessagesRequest<'a>;
    type Reply = MessagesReply;
    type Answer = MessagesAnswer;
    type Stream = MessagesStream;

    fn shorten<'s, 'l: 's>(request: MessagesRequest<'l>) -> MessagesRequest<'s> {
        request
    }

    fn head(request: &MessagesRequest<'_>) -> RequestHead {
        let format = match params::output_format(request) {
            Some(_) => FormatKind::JsonSchema,
            None => FormatKind::Text,
        };
        RequestHead {
            model: request.model.to_string(),
            stream: request.stream == Some(true),
            n: None,
            questions: Questions::default(),
            token_ids: false,
            format,
            max_tokens: request.max_tokens.and_then(|most| u64::try_from(most).ok()),
            media: media(request),
            prefix: affinity::affinity(request),
            last_calls: last_calls(request),
            origin: None,
            end_user: params::end_user(request.metadata.as_ref()),
        }
    }

    fn tags<'r>(request: &'r MessagesRequest<'_>) -> TagFields<'r> {
        TagFields { tags: request.tags, metadata: request.metadata.as_ref() }
    }

    fn remove_tags(request: &mut MessagesRequest<'_>) {
        request.tags = None;
        remove_listed_tags(request.metadata.as_mut());
    }

    fn links(request: &MessagesRequest<'_>, most: usize) -> Vec<(String, String)> {
        links::links(request, most)
    }

    fn fill_links<'a>(
        request: &mut MessagesRequest<'a>,
        content: &dyn Fn(&str) -> Option<&'a str>,
    ) {
        links::fill(request, content);
    }

    fn complete<'a>(
        request: &mut MessagesRequest<'a>,
        given: &'a Defaults,
    ) -> Result<(), serde_json::Error> {
        defaults::complete(request, given)
    }

    fn counts_only(request: &mut MessagesRequest<'_>) {
        request.stream = None;
        request.max_tokens.get_or_insert(1);
    }

    fn call_ids<'r>(request: &'r MessagesRequest<'_>) -> Vec<&'r str> {
        request.messages.iter().flat_map(conversation::call_ids).collect()
    }

    fn ask_again<'a>(request: &mut MessagesRequest<'a>, answer: &'a str, complaint: &'a str) {
        use schema::anthropic::messages::{Message, Role};
        for (role, text) in [(Role::Assistant, answer), (Role::User, complaint)] {
            let content = Content::Text(text.into());
            request.messages.push(Message { role, content, output_config: None });
        }
    }

    fn question<'q>(
        request: &'q MessagesRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q, MessagesReply>, Invalid> {
        converse::question(request, profile, input)
    }

    fn native_question<'q>(
        request: &'q MessagesRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Option<NativeQuestion<'q, MessagesReply>>, Invalid> {
        native::question(request, profile, input)
    }

    fn wanted(reply: &MessagesReply) -> Option<&Wanted> {
        reply.reply.wanted()
    }

    fn answer(
        converse: &ConverseResponse<'_>,
        reply: &MessagesReply,
        stamp: Stamp,
    ) -> Answered<MessagesAnswer> {
        answer::answered(converse, reply, stamp)
    }

    fn native_answer(
        body: &[u8],
        reply: &MessagesReply,
        stamp: Stamp,
    ) -> Result<NativeAnswered<MessagesAnswer>, serde_json::Error> {
        native_answer::answered(body, reply, &stamp)
    }

    fn checked_texts(answer: &MessagesAnswer) -> Vec<&str> {
        answer.checked().into_iter().collect()
    }

    fn gather(answers: Vec<MessagesAnswer>, total: Spent) -> Option<MessagesAnswer> {
        answer::gather(answers, total)
    }

    fn stream(reply: MessagesReply, stamp: Stamp, _: u32) -> MessagesStream {
        MessagesStream::new(reply, stamp)
    }
}

fn media(request: &MessagesRequest<'_>) -> MediaSize {
    use schema::anthropic::messages::content::Source;
    fn add(content: &Content<'_>, size: &mut MediaSize) {
        for block in content.blocks() {
            match &block.kind {
                BlockKind::Image { source } | BlockKind::Document { source, .. } => {
                    size.count += 1;
                    size.bytes += match source {
                        Source::Base64 { data, .. } => data.len(),
                        Source::Url(url) => url.len(),
                        Source::Text(_) | Source::Content(_) | Source::Other(_) => 0,
                    };
                }
                BlockKind::ToolResult { content: Some(content), .. } => add(content, size),
                _ => {}
            }
        }
    }
    let mut size = MediaSize::default();
    request.messages.iter().for_each(|message| add(&message.content, &mut size));
    size
}

/// The ids of the tool calls of the last few turns, the last first.
fn last_calls(request: &MessagesRequest<'_>) -> Vec<String> {
    let turns = request.messages.iter().rev();
    let turns = turns.filter(|message| conversation::call_ids(message).next().is_some());
    turns.take(TURNS).flat_map(conversation::call_ids).map(ToOwned::to_owned).collect()
}
