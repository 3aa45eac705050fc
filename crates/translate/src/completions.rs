//! `POST /v1/completions` as a Converse call: a text and its continuation. Models on Converse answer a
//! user, so that a bare prompt needs an instruction to be continued instead; code with a hole is asked
//! for in words, because no model there takes its own tokens for that.

use std::borrow::Cow;

use std::collections::BTreeMap;

use schema::converse::message::{ContentBlock, Message, Role, SystemBlock};
use schema::converse::request::ConverseRequest;
use schema::converse::response::ConverseResponse;
use schema::openai::chat::StreamOptions;
use schema::openai::completions::{Completion, CompletionRequest};
use schema::openai::embeddings::Input;
use schema::openai::format::FormatKind;
use serde_json::value::RawValue;

use crate::chat::{Defaults, Digest};
use crate::dialect::{
    Answered, Dialect, ErrorDialect, MediaSize, Question, QuestionInput, Questions, RequestHead,
    TagFields, end_user, remove_listed_tags,
};
use crate::parts::cache::{self, Asked, Automatic};
use crate::parts::model_fields::{self, Extras};
use crate::parts::params::{Sampling, choices, choose, inference_config};
use crate::parts::request_metadata::{MetadataFields, request_metadata};
use crate::parts::service;
use crate::parts::tags::{self, TagsWanted};
use crate::parts::thinking::{Given, Past, Plan, ReasoningRequest, Switch};
use crate::parts::tools::delivery;
use crate::profile::{StreamCounts, SystemPrompt, ThinkingOff};
use crate::requested_format::Wanted;
use crate::spent::Spent;
use crate::{Invalid, Profile, Report, Stamp};
use prompt::PromptTask;
use text::TextRules;

mod prompt;
mod response;
mod stream;
mod text;

pub use stream::CompletionStream;

/// Most tokens of an answer, where the request does not say: OpenAI's default.
const MAX_TOKENS: u32 = 16;

/// `POST /v1/completions`.
#[derive(Debug, Clone, Copy)]
pub struct Completions;

/// State made by the question half and consumed by the answer half.
#[derive(Debug, Clone, Default)]
pub struct CompletionReply {
    /// The prompt, which the answer is to begin with.
    echo: Option<String>,
    rules: TextRules,
    include_usage: bool,
    stream_counts: StreamCounts,
    /// Reasoning between tags is removed from the text.
    splits_tags: bool,
}

impl Dialect for Completions {
    const NAME: &'static str = "completions";
    const CALL_TYPE: &'static str = "atext_completion";
    const ID_PREFIX: &'static str = "cmpl-";
    const ERRORS: ErrorDialect = ErrorDialect::OpenAi;

    type Request<'a> = CompletionRequest<'a>;
    type Reply = CompletionReply;
    type Answer = Completion;
    type Stream = CompletionStream;

    fn shorten<'s, 'l: 's>(request: CompletionRequest<'l>) -> CompletionRequest<'s> {
        request
    }

    fn head(request: &CompletionRequest<'_>) -> RequestHead {
        let max_tokens = request.max_tokens.unwrap_or_else(|| i64::from(MAX_TOKENS));
        RequestHead {
            model: request.model.to_string(),
            stream: request.stream == Some(true),
            n: request.n,
            questions: Questions { count: prompt::count(request).max(1), param: prompt::PARAM },
            token_ids: matches!(request.prompt, Some(Input::Tokens(_) | Input::TokenLists(_))),
            format: FormatKind::Text,
            max_tokens: u64::try_from(max_tokens).ok(),
            media: MediaSize::default(),
            prefix: prefix(request),
            last_calls: Vec::new(),
            origin: None,
            end_user: end_user(
                request.user.as_deref(),
                request.metadata.as_ref(),
                request.safety_identifier.as_deref(),
            ),
        }
    }

    fn tags<'r>(request: &'r CompletionRequest<'_>) -> TagFields<'r> {
        TagFields { tags: request.tags, metadata: request.metadata.as_ref() }
    }

    fn remove_tags(request: &mut CompletionRequest<'_>) {
        request.tags = None;
        remove_listed_tags(request.metadata.as_mut());
    }

    fn links(_: &CompletionRequest<'_>, _: usize) -> Vec<(String, String)> {
        Vec::new()
    }

    fn fill_links<'a>(_: &mut CompletionRequest<'a>, _: &dyn Fn(&str) -> Option<&'a str>) {}

    fn complete<'a>(
        request: &mut CompletionRequest<'a>,
        defaults: &'a Defaults,
    ) -> Result<(), serde_json::Error> {
        prompt::complete(request, defaults)
    }

    fn call_ids<'r>(_: &'r CompletionRequest<'_>) -> Vec<&'r str> {
        Vec::new()
    }

    /// No format can be requested, so that no answer is corrected.
    fn ask_again<'a>(_: &mut CompletionRequest<'a>, _: &'a str, _: &'a str) {}

    fn question<'q>(
        request: &'q CompletionRequest<'_>,
        profile: &Profile,
        input: &QuestionInput<'q>,
    ) -> Result<Question<'q, CompletionReply>, Invalid> {
        question(request, profile, input)
    }

    fn wanted(_: &CompletionReply) -> Option<&Wanted> {
        None
    }

    fn answer(
        converse: &ConverseResponse<'_>,
        reply: &CompletionReply,
        stamp: Stamp,
    ) -> Answered<Completion> {
        response::answered(converse, reply, stamp)
    }

    fn checked_texts(_: &Completion) -> Vec<&str> {
        Vec::new()
    }

    fn gather(answers: Vec<Completion>, total: Spent) -> Option<Completion> {
        response::gather(answers, total)
    }

    fn stream(reply: CompletionReply, stamp: Stamp, index: u32) -> CompletionStream {
        CompletionStream::new(reply, stamp, index)
    }
}

fn question<'q>(
    request: &'q CompletionRequest<'_>,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<Question<'q, CompletionReply>, Invalid> {
    service::served(profile)?;
    service::named_guardrails(request.guardrails)?;
    choices(request.n)?;
    without_likelihoods(request)?;
    let mut report = Report::default();
    without_effect(request, &mut report);
    let text = prompt::text(request, input)?;
    let task = PromptTask::of(&text, request.suffix.as_deref());
    let rules = TextRules::of(&task);
    let echo = (request.echo == Some(true)).then(|| text.to_string());
    let (instruction, message) = (task.instruction(), task.message());
    let (system, messages) = turns(instruction, message.map_or(text, Cow::Owned), profile);

    let stop = request.stop.as_ref().map(|stop| ("stop", stop.sequences()));
    let max_tokens = request.max_tokens.map(|limit| ("max_tokens", limit));
    let (temperature, top_p) = (request.temperature, request.top_p);
    let sampling = Sampling { max_tokens, temperature, top_p, stop };
    let mut inference_config = inference_config(&sampling, profile, &mut report)?;
    if request.max_tokens.is_none() && profile.thinking_off != ThinkingOff::Impossible {
        let usual = MAX_TOKENS.max(profile.least_max_tokens);
        inference_config.max_tokens = Some(usual);
    }
    // Reasoning would have no place in the answer.
    let wish = ReasoningRequest { switch: Some(Switch::Off), ..ReasoningRequest::default() };
    let raw = request.additional_model_request_fields.as_ref();
    let given = Given { raw, limit: inference_config.max_tokens, past: Past::Whole };
    let thinking = Plan::new(&wish, profile, &given, &mut report);
    let mut fields = raw.cloned().unwrap_or_default();
    let extras = Extras {
        top_k: request.top_k,
        frequency_penalty: request.frequency_penalty,
        presence_penalty: request.presence_penalty,
        seed: request.seed,
    };
    model_fields::sampling(&extras, &mut fields, profile, &mut report)?;
    let limit_field = request.max_tokens.map(|_| "max_tokens");
    let service_tier = service::service_tier(request.service_tier.as_deref(), profile, &mut report);
    thinking.apply(profile, limit_field, &mut inference_config, &mut fields, &mut report);
    choose(&mut inference_config, profile, &mut report);
    let mut body = ConverseRequest {
        messages,
        system,
        inference_config,
        tool_config: None,
        output_config: None,
        guardrail_config: request.guardrail_config.as_ref().map(Into::into),
        additional_model_request_fields: fields,
        additional_model_response_field_paths: Vec::new(),
        performance_config: request.performance_config.as_ref().map(Into::into),
        service_tier,
        request_metadata: request_metadata(&metadata(request), &mut report),
        prompt_variables: BTreeMap::new(),
    };
    let tools = cache::marked_tools(std::iter::empty(), profile, &mut report);
    let asked = Asked { tools, automatic: Automatic::unasked(profile) };
    cache::place_points(&mut body, asked, profile, &mut report);
    let delivery = delivery(&mut body, (request.stream == Some(true)).then_some(profile));
    let reply = CompletionReply {
        echo,
        rules,
        include_usage: stream_options(request).include_usage == Some(true),
        stream_counts: profile.stream_counts,
        splits_tags: tags::are_split(Some(TagsWanted::Split), profile, &mut report),
    };
    Ok(Question { body, delivery, reply, report })
}

/// The system prompt and the one turn of the user.
fn turns<'q>(
    instruction: Option<&'static str>,
    text: Cow<'q, str>,
    profile: &Profile,
) -> (Vec<SystemBlock<'q>>, Vec<Message<'q>>) {
    let mut content = vec![ContentBlock::Text(text)];
    let mut system = Vec::new();
    match (instruction, profile.system) {
        (None, _) => {}
        (Some(instruction), SystemPrompt::Native) => {
            system.push(SystemBlock::Text(Cow::Borrowed(instruction)));
        }
        (Some(instruction), SystemPrompt::InUserTurn) => {
            content.insert(0, ContentBlock::Text(Cow::Borrowed(instruction)));
        }
    }
    (system, vec![Message { role: Role::User, content }])
}

/// Refuses the request for the likelihoods of the prompt's own tokens, which evaluation tools make: a
/// null there would be read as data.
fn without_likelihoods(request: &CompletionRequest<'_>) -> Result<(), Invalid> {
    if request.echo == Some(true) && request.max_tokens == Some(0) && is_asked(request.logprobs) {
        let message = "Bedrock returns no log probabilities, so that the tokens of a prompt cannot be scored. Leave logprobs out, and let max_tokens be at least 1.";
        return Err(Invalid::value("logprobs", message).with_code("unsupported_parameter"));
    }
    Ok(())
}

/// Reports the fields that ask for something other than the default and that cannot be honoured
/// here. Destructured without `..`: a new field does not compile until it is decided whether it is
/// honoured (`_` here) or reported.
fn without_effect(request: &CompletionRequest<'_>, report: &mut Report) {
    let CompletionRequest {
        model: _,
        prompt: _,
        suffix: _,
        stream: _,
        stream_options: _,
        max_tokens: _,
        temperature: _,
        top_p: _,
        top_k: _,
        stop: _,
        n,
        best_of,
        echo: _,
        logprobs,
        logit_bias,
        frequency_penalty: _,
        presence_penalty: _,
        seed: _,
        user: _,
        safety_identifier: _,
        metadata: _,
        service_tier: _,
        prompt_cache_key: _,
        additional_model_request_fields: _,
        guardrail_config: _,
        guardrails: _,
        performance_config: _,
        request_metadata: _,
        tags,
        extra,
    } = request;
    let StreamOptions { include_usage: _, include_obfuscation: _, continuous_usage_stats } =
        stream_options(request);
    let fields = [
        ("stream_options.continuous_usage_stats", continuous_usage_stats == Some(true)),
        ("best_of", best_of.is_some_and(|best| best > n.unwrap_or(1))),
        ("logprobs", is_asked(*logprobs)),
        ("logit_bias", logit_bias.is_some_and(|raw| raw.get() != "{}")),
        ("tags", tags.is_some()),
    ];
    let extra = extra.names().map(|field| (field, true));
    for (field, _) in fields.into_iter().chain(extra).filter(|(_, present)| *present) {
        report.ignore(field);
    }
}

fn is_asked(logprobs: Option<&RawValue>) -> bool {
    logprobs.is_some_and(|raw| !matches!(raw.get(), "false" | "null"))
}

fn stream_options(request: &CompletionRequest<'_>) -> StreamOptions {
    request.stream_options.unwrap_or_default()
}

fn metadata<'a>(request: &'a CompletionRequest<'_>) -> MetadataFields<'a> {
    MetadataFields {
        user: request.user.as_deref(),
        safety_identifier: request.safety_identifier.as_deref(),
        metadata: request.metadata.as_ref(),
        request_metadata: request.request_metadata.as_ref(),
    }
}

/// The key of the request's prefix: that of its prompt, where the client sends no other and it is long
/// enough for a cache.
fn prefix(request: &CompletionRequest<'_>) -> Option<u64> {
    if let Some(key) = request.prompt_cache_key.as_deref() {
        return Some(Digest::of(key.as_bytes()));
    }
    let Some(Input::Text(text)) = &request.prompt else { return None };
    let mut digest = Digest::default();
    digest.add_start(text.as_bytes());
    digest.is_long().then(|| digest.finish())
}
