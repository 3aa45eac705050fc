//! Responses as a dialect of the gateway.

use schema::Str;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::ChatRequest;
use schema::openai::message::Role;
use schema::openai::reasoning::{ReasoningField, ThinkingField};
use schema::openai::responses::item::{Item, ItemMessage};
use schema::openai::responses::request::{Input, ReasoningOptions, ResponsesRequest};

use super::affinity::affinity;
use super::items::own_path;
use super::prompt::model_name;
use super::settings::InForce;
use super::{INPUT, IncomingRequest, ResponseReply, ResponseStream, WholeResponse, question};
use crate::answer_stream::KeptItem;
use crate::chat::Defaults;
use crate::chat::defaults::{THINKING, join};
use crate::chat::media::links::{LinksFound, fill_content};
use crate::chat::media_of;
use crate::dialect::{
    Answered, Dialect, ErrorDialect, KnownState, MediaSize, Question, QuestionInput, Questions,
    RequestHead, StateFields, TagFields, end_user, remove_listed_tags,
};
use crate::requested_format::Wanted;
use crate::spent::Spent;
use crate::{Invalid, Profile, Stamp};

/// Calls of past turns that may have saved reasoning, the last first.
const LAST_CALLS: usize = 16;

/// `POST /v1/responses`.
#[derive(Debug, Clone, Copy)]
pub struct Responses;

impl Dialect for Responses {
    const NAME: &'static str = "responses";
    const CALL_TYPE: &'static str = "aresponses";
    const ID_PREFIX: &'static str = "resp_";
    const ERRORS: ErrorDialect = ErrorDialect::OpenAi;

    type Request<'a> = IncomingRequest<'a>;
    type Reply = ResponseReply;
    type Answer = WholeResponse;
    type Stream = ResponseStream;

    fn shorten<'s, 'l: 's>(request: IncomingRequest<'l>) -> IncomingRequest<'s> {
        request.shortened()
    }

    fn head(incoming: &IncomingRequest<'_>) -> RequestHead {
        let request = incoming.request();
        RequestHead {
            model: model_name(request),
            stream: request.stream == Some(true),
            n: None,
            questions: Questions { count: 1, param: INPUT },
            token_ids: false,
            format: InForce::of(request).kind(),
            max_tokens: request.max_output_tokens.and_then(|most| u64::try_from(most).ok()),
            media: media(request),
            prefix: affinity(incoming),
            last_calls: last_calls(request),
            origin: None,
            end_user: end_user(
                request.user.as_deref(),
                request.metadata.as_ref(),
                request.safety_identifier.as_deref(),
            ),
        }
    }

    fn tags<'r>(incoming: &'r IncomingRequest<'_>) -> TagFields<'r> {
        let request = incoming.request();
        TagFields { tags: request.tags, metadata: request.metadata.as_ref() }
    }

    fn remove_tags(incoming: &mut IncomingRequest<'_>) {
        let request = incoming.request_mut();
        request.tags = None;
        remove_listed_tags(request.metadata.as_mut());
    }

    fn links(incoming: &IncomingRequest<'_>, most: usize) -> Vec<(String, String)> {
        let mut found = LinksFound::new(most);
        for (at, item) in incoming.request().items().iter().enumerate() {
            match item {
                // Media in assistant turns are not sent.
                Item::Message(message) if message.role != Role::Assistant => {
                    found.add(message.content.as_ref(), &|| format!("{INPUT}[{at}].content"));
                }
                Item::Output(output) => {
                    found.add(output.content.as_ref(), &|| format!("{INPUT}[{at}].output"));
                }
                _ => {}
            }
        }
        let links = found.finish().into_iter();
        links.map(|(url, path)| (url, own_path(&path))).collect()
    }

    fn fill_links<'a>(
        incoming: &mut IncomingRequest<'a>,
        content: &dyn Fn(&str) -> Option<&'a str>,
    ) {
        let Some(Input::Items(items)) = &mut incoming.request_mut().input else { return };
        for item in items {
            let within = match item {
                Item::Message(message) => message.content.as_mut(),
                Item::Output(output) => output.content.as_mut(),
                _ => None,
            };
            if let Some(within) = within {
                fill_content(within, content);
            }
        }
    }

    fn item_ids<'r>(incoming: &'r IncomingRequest<'_>) -> Vec<&'r str> {
        incoming.request().items().iter().filter_map(referred).collect()
    }

    fn fill_items<'a>(incoming: &mut IncomingRequest<'a>, json: &dyn Fn(&str) -> Option<&'a str>) {
        let Some(Input::Items(items)) = &mut incoming.request_mut().input else { return };
        for item in items {
            let known = referred(item).and_then(json);
            if let Some(known) = known.and_then(|json| serde_json::from_str(json).ok()) {
                *item = known;
            }
        }
    }

    fn state<'r>(incoming: &'r IncomingRequest<'_>) -> StateFields<'r> {
        let request = incoming.request();
        let previous = request.previous_response_id.as_deref().filter(|id| !id.is_empty());
        let conversation = super::fields::conversation(request);
        let is_background = request.background == Some(true);
        StateFields {
            previous,
            conversation,
            may_store: request.store != Some(false),
            is_background,
        }
    }

    fn knows(incoming: &mut IncomingRequest<'_>, known: KnownState) {
        incoming.set_known(known);
    }

    fn complete<'a>(
        incoming: &mut IncomingRequest<'a>,
        defaults: &'a Defaults,
    ) -> Result<(), serde_json::Error> {
        complete(incoming.request_mut(), serde_json::from_str(defaults.body())?);
        Ok(())
    }

    fn call_ids<'r>(incoming: &'r IncomingRequest<'_>) -> Vec<&'r str> {
        call_ids(incoming.request()).collect()
    }

    fn ask_again<'a>(incoming: &mut IncomingRequest<'a>, answer: &'a str, complaint: &'a str) {
        let said = |role, text: &'a str| Item::Message(ItemMessage::of_text(role, text.into()));
        let mut items = incoming.take_items();
        items.extend([said(Role::Assistant, answer), said(Role::User, complaint)]);
        incoming.request_mut().input = Some(Input::Items(items));
    }

    fn question<'q>(
        request: &'q IncomingRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q, ResponseReply>, Invalid> {
        question(request, profile, input)
    }

    fn wanted(reply: &ResponseReply) -> Option<&Wanted> {
        reply.reply.wanted()
    }

    fn answer(
        converse: &ConverseResponse<'_>,
        reply: &ResponseReply,
        stamp: Stamp,
    ) -> Answered<WholeResponse> {
        super::whole::answered(converse, reply, &stamp)
    }

    fn kept_items(answer: &mut WholeResponse) -> Vec<KeptItem> {
        answer.kept()
    }

    fn kept_answer(answer: &WholeResponse) -> Option<KeptItem> {
        answer.kept_whole()
    }

    fn queued(reply: &ResponseReply, stamp: Stamp) -> Option<KeptItem> {
        super::background::queued(reply, stamp)
    }

    fn checked_texts(answer: &WholeResponse) -> Vec<&str> {
        answer.checked_texts()
    }

    fn gather(answers: Vec<WholeResponse>, total: Spent) -> Option<WholeResponse> {
        answers.into_iter().next().map(|answer| answer.at(total))
    }

    fn stream(reply: ResponseReply, stamp: Stamp, _: u32) -> ResponseStream {
        ResponseStream::new(reply, stamp)
    }
}

/// The id by which an item refers to another, or to the rest of itself: reasoning without its capsule.
fn referred<'r>(item: &'r Item<'_>) -> Option<&'r str> {
    match item {
        Item::Reference(id) => Some(id),
        Item::Reasoning(reasoning) if reasoning.encrypted_content.is_none() => {
            reasoning.id.as_deref()
        }
        _ => None,
    }
}

fn call_ids<'r>(request: &'r ResponsesRequest<'_>) -> impl DoubleEndedIterator<Item = &'r str> {
    request.items().iter().filter_map(|item| match item {
        Item::Call(call) => call.call_id.as_deref(),
        _ => None,
    })
}

fn last_calls(request: &ResponsesRequest<'_>) -> Vec<String> {
    call_ids(request).rev().take(LAST_CALLS).map(ToOwned::to_owned).collect()
}

fn media(request: &ResponsesRequest<'_>) -> MediaSize {
    let contents = request.items().iter().filter_map(|item| match item {
        Item::Message(message) => message.content.as_ref(),
        Item::Output(output) => output.content.as_ref(),
        _ => None,
    });
    media_of(contents)
}

/// Adds an operator's parameters, which are written in the words of a chat request, where the request
/// gives none. Members with one meaning are one choice.
fn complete<'a>(request: &mut ResponsesRequest<'a>, own: ChatRequest<'a>) {
    let most = own.max_completion_tokens.or(own.max_tokens);
    request.max_output_tokens = request.max_output_tokens.or(most);
    request.temperature = request.temperature.or(own.temperature);
    request.top_p = request.top_p.or(own.top_p);
    request.top_k = request.top_k.or(own.top_k);
    request.seed = request.seed.or(own.seed);
    request.frequency_penalty = request.frequency_penalty.or(own.frequency_penalty);
    request.presence_penalty = request.presence_penalty.or(own.presence_penalty);
    request.parallel_tool_calls = request.parallel_tool_calls.or(own.parallel_tool_calls);
    request.stop = request.stop.take().or(own.stop);
    request.service_tier = request.service_tier.take().or(own.service_tier);
    request.performance_config = request.performance_config.take().or(own.performance_config);
    request.anthropic_beta = request.anthropic_beta.or(own.anthropic_beta);
    request.user = request.user.take().or(own.user);
    request.safety_identifier = request.safety_identifier.take().or(own.safety_identifier);
    if own.verbosity.is_some() {
        let text = request.text.get_or_insert_default();
        text.verbosity = text.verbosity.take().or(own.verbosity);
    }
    if !chooses_reasoning(request) {
        reason(request, (own.thinking, own.reasoning, own.reasoning_effort));
    }
    join(&mut request.additional_model_request_fields, own.additional_model_request_fields);
    join(&mut request.request_metadata, own.request_metadata);
}

/// Whether a request says how to reason, in its words or in the model's own.
fn chooses_reasoning(request: &ResponsesRequest<'_>) -> bool {
    let says = |options: &ReasoningOptions<'_>| {
        options.effort.is_some() || options.max_tokens.is_some() || options.enabled.is_some()
    };
    let raw = request.additional_model_request_fields.as_ref();
    request.reasoning.as_ref().is_some_and(says)
        || raw.is_some_and(|raw| THINKING.iter().any(|name| raw.contains_key(*name)))
}

/// Adds an operator's reasoning, from any of the three fields of a chat request: of contradicting ones the first
/// counts.
fn reason<'a>(
    request: &mut ResponsesRequest<'a>,
    (thinking, reasoning, effort): (
        Option<ThinkingField<'a>>,
        Option<ReasoningField<'a>>,
        Option<Str<'a>>,
    ),
) {
    if thinking.is_none() && reasoning.is_none() && effort.is_none() {
        return;
    }
    let options = request.reasoning.get_or_insert_default();
    let ReasoningField { effort: level, max_tokens, enabled, exclude, summary } =
        reasoning.unwrap_or_default();
    options.effort = level.or(effort);
    options.max_tokens = max_tokens;
    options.enabled = enabled;
    if let Some(ThinkingField { kind, budget_tokens, display: _ }) = thinking {
        options.enabled = Some(matches!(&*kind, "enabled" | "adaptive"));
        options.max_tokens = budget_tokens.or(max_tokens);
    }
    options.exclude = options.exclude.or(exclude);
    options.summary = options.summary.take().or(summary);
}
