//! Chat completions as a front door.

use schema::converse::response::ConverseResponse;
use schema::openai::chat::{ChatCompletion, ChatRequest, FinishReason};
use schema::openai::content::{Content, Part};
use schema::openai::format::FormatKind;
use schema::openai::message::{Message, Role};

use super::media::links;
use super::{ChatStream, Defaults, affinity, gather, origin, question_with, response};
use crate::dialect::{
    Answered, Dialect, ErrorDialect, MediaSize, Question, QuestionInput, Questions, RequestHead,
    TagFields, end_user, remove_listed_tags,
};
use crate::requested_format::Wanted;
use crate::spent::Spent;
use crate::{Invalid, Profile, Reply, Stamp};

/// `POST /v1/chat/completions`.
#[derive(Debug, Clone, Copy)]
pub struct Chat;

/// Turns searched for the origin of the last reasoning, because some turns have none.
const TURNS: usize = 4;

impl Dialect for Chat {
    const NAME: &'static str = "chat";
    const CALL_TYPE: &'static str = "acompletion";
    const ID_PREFIX: &'static str = "chatcmpl-";
    const ERRORS: ErrorDialect = ErrorDialect::OpenAi;

    type Request<'a> = ChatRequest<'a>;
    type Reply = Reply;
    type Answer = ChatCompletion;
    type Stream = ChatStream;

    fn shorten<'s, 'l: 's>(request: ChatRequest<'l>) -> ChatRequest<'s> {
        request
    }

    fn head(request: &ChatRequest<'_>) -> RequestHead {
        let max_tokens = request.max_completion_tokens.or(request.max_tokens);
        RequestHead {
            model: request.model.to_string(),
            stream: request.stream == Some(true),
            n: request.n,
            questions: Questions::default(),
            token_ids: false,
            format: request.response_format.as_ref().map_or(FormatKind::Text, |format| format.kind),
            max_tokens: max_tokens.and_then(|most| u64::try_from(most).ok()),
            media: media(request),
            prefix: affinity(request),
            last_calls: last_calls(request),
            origin: origin(request, None),
            end_user: end_user(
                request.user.as_deref(),
                request.metadata.as_ref(),
                request.safety_identifier.as_deref(),
            ),
        }
    }

    fn tags<'r>(request: &'r ChatRequest<'_>) -> TagFields<'r> {
        TagFields { tags: request.tags, metadata: request.metadata.as_ref() }
    }

    fn remove_tags(request: &mut ChatRequest<'_>) {
        request.tags = None;
        remove_listed_tags(request.metadata.as_mut());
    }

    fn links(request: &ChatRequest<'_>, most: usize) -> Vec<(String, String)> {
        links::links(request, most)
    }

    fn fill_links<'a>(request: &mut ChatRequest<'a>, content: &dyn Fn(&str) -> Option<&'a str>) {
        links::fill(request, content);
    }

    fn complete<'a>(
        request: &mut ChatRequest<'a>,
        defaults: &'a Defaults,
    ) -> Result<(), serde_json::Error> {
        defaults.fill(request)
    }

    fn call_ids<'r>(request: &'r ChatRequest<'_>) -> Vec<&'r str> {
        let calls = request.messages.iter().flat_map(|message| message.tool_calls.iter().flatten());
        calls.filter_map(|call| call.id.as_deref()).collect()
    }

    fn ask_again<'a>(request: &mut ChatRequest<'a>, answer: &'a str, complaint: &'a str) {
        request.messages.push(Message::text(Role::Assistant, answer));
        request.messages.push(Message::text(Role::User, complaint));
    }

    fn question<'q>(
        request: &'q ChatRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q>, Invalid> {
        question_with(request, profile, input.stores, input.restored)
    }

    fn wanted(reply: &Reply) -> Option<&Wanted> {
        reply.wanted()
    }

    fn answer(
        converse: &ConverseResponse<'_>,
        reply: &Reply,
        stamp: Stamp,
    ) -> Answered<ChatCompletion> {
        response::answered(converse, reply, stamp)
    }

    fn checked_texts(answer: &ChatCompletion) -> Vec<&str> {
        let whole = answer.choices.iter().filter(|choice| {
            choice.finish_reason == FinishReason::Stop
                && choice.message.tool_calls.is_empty()
                && choice.message.function_call.is_none()
                && choice.message.refusal.is_none()
        });
        whole.filter_map(|choice| choice.message.content.as_deref()).collect()
    }

    fn gather(answers: Vec<ChatCompletion>, total: Spent) -> Option<ChatCompletion> {
        gather(answers, total)
    }

    fn stream(reply: Reply, stamp: Stamp, index: u32) -> ChatStream {
        ChatStream::new(reply, stamp).of_choice(index)
    }
}

fn media(request: &ChatRequest<'_>) -> MediaSize {
    media_of(request.messages.iter().filter_map(|message| message.content.as_ref()))
}

/// The media in these contents.
pub(crate) fn media_of<'c>(contents: impl Iterator<Item = &'c Content<'c>>) -> MediaSize {
    let parts = contents.flat_map(|content| match content {
        Content::Parts(parts) => parts.as_slice(),
        Content::Text(_) => &[],
    });
    let sizes = parts.filter_map(size);
    sizes.fold(MediaSize::default(), |MediaSize { count, bytes }, size| MediaSize {
        count: count + 1,
        bytes: bytes + size,
    })
}

/// Bytes of a part that is not text.
fn size(part: &Part<'_>) -> Option<usize> {
    match part {
        Part::Text { .. }
        | Part::Refusal { .. }
        | Part::SearchResult { .. }
        | Part::Thought(_)
        | Part::Call(_)
        | Part::Result(_)
        | Part::Moved
        | Part::Foreign(_) => None,
        Part::ImageUrl { image: medium, .. } | Part::VideoUrl { video: medium, .. } => {
            Some(medium.url.len())
        }
        Part::InputAudio { audio, .. } => Some(audio.data.len()),
        Part::File { file, .. } => Some(file.file_data.as_ref().map_or(0, |data| data.len())),
    }
}

/// The ids of the tool calls of the last few turns, the last first.
fn last_calls(request: &ChatRequest<'_>) -> Vec<String> {
    let turns = request.messages.iter().rev().filter_map(|message| message.tool_calls.as_ref());
    let calls = turns.take(TURNS).flatten();
    calls.filter_map(|call| call.id.as_ref().map(ToString::to_string)).collect()
}
