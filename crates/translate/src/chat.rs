//! `POST /v1/chat/completions` as a Converse call: this file translates the request; messages, the
//! complete response and the streamed response have files of their own.

use schema::converse::request::ConverseRequest;
use schema::openai::chat::{ChatRequest, StreamOptions};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::parts;
use crate::parts::betas;
use crate::parts::conversation::Around;
use crate::parts::model_fields;
use crate::parts::params::{choices, choose, inference_config};
use crate::parts::question::{Shaped, own_words, response_fields, shaped};
use crate::parts::request_metadata::request_metadata;
use crate::parts::service;
use crate::parts::tags;
use crate::parts::thinking::{Given, Plan};
use crate::parts::tools::{Tooling, delivery, tooling};
use crate::parts::written::Syntax;
use crate::reasoning::{Origin, RestoredReasoning};
use crate::reply::ReasoningShown;
use crate::report::LostReasoning;
use crate::stored_prompt::{VARIABLES, variables};
use crate::{Invalid, Profile, Reply, Report, S3Access};
use format::format;

pub(crate) mod affinity;
pub(crate) mod cache;
mod choices;
pub(crate) mod defaults;
mod details;
mod dialect;
pub(crate) mod finish;
mod format;
pub(crate) mod limits;
pub(crate) mod media;
pub(crate) mod messages;
mod params;
pub(crate) mod reasoning;
pub(crate) mod response;
mod stream;
mod tools;
pub(crate) mod usage;

pub use crate::dialect::Question;
pub use crate::parts::digest::Digest;
pub use crate::parts::tools::Delivery;
pub use affinity::affinity;
pub use choices::gather;
pub use defaults::Defaults;
pub use dialect::Chat;
pub(crate) use dialect::media_of;
pub use response::answer;
pub use stream::ChatStream;

/// Translates a chat request for a model of this profile, without S3 access and without restored
/// reasoning.
///
/// # Errors
/// As [`question_with`].
pub fn question<'a>(
    request: &'a ChatRequest<'a>,
    profile: &Profile,
) -> Result<Question<'a>, Invalid> {
    question_with(request, profile, &S3Access::default(), None)
}

/// Translates a chat request for a model of this profile. The body borrows from the request: text
/// and images are not copied, nor is the reasoning in `recalled`, which is put back where clients
/// did not send it.
///
/// # Errors
/// The request cannot be expressed for this model; the error names the field.
pub fn question_with<'a>(
    request: &'a ChatRequest<'a>,
    profile: &Profile,
    stores: &S3Access,
    recalled: Option<&'a RestoredReasoning>,
) -> Result<Question<'a>, Invalid> {
    service::served(profile)?;
    limits::within_limits(request)?;
    let mut report = Report::default();
    without_effect(request, &mut report);
    let (tools_field, choice_field, calls) = tools::tool_fields(request);
    let (declared, choice) = tools::declared(request, calls, profile, &mut report)?;
    let own_words = own_words(profile, || format(request.response_format.as_ref(), profile))?;
    let names = &declared.names;
    let (own_words, field) = (own_words.as_deref(), "messages.");
    let around = Around { names, recalled, profile, stores, own_words, field };
    let mut conversation = messages::conversation(&request.messages, around, &mut report)?;
    let sampling = params::sampling(request);
    let limit_field = sampling.max_tokens.map(|(field, _)| field);
    let mut inference_config = inference_config(&sampling, profile, &mut report)?;
    let wish = reasoning::reasoning_request(request)?;
    let raw = request.additional_model_request_fields.as_ref();
    let limit = limit_field.and(inference_config.max_tokens);
    let given = Given { raw, limit, past: conversation.past };
    let thinking = Plan::new(&wish, profile, &given, &mut report);
    let count_path = thinking.count_path(profile);
    let lowered = thinking.lower(profile);
    let profile = &*lowered;
    let called = &conversation.called;
    let mut tooling = tooling(declared, tools_field, choice, called, profile)?;

    choices(request.n)?;
    service::named_guardrails(request.guardrails)?;
    let format = format(request.response_format.as_ref(), profile)?;
    let both = (&mut conversation, &mut tooling);
    let shaped = shaped(format, choice_field, both, profile, &mut report);
    let Shaped { output_config, answering_tool, wanted, preface } = shaped;
    let drops_calls = tooling.is_unwelcome();
    let cached = cache::asked(request, profile, &mut report);
    let one_call = wants_one_call(request) && tooling.config.is_some();
    let mut fields = additional(request, &tooling, profile, &mut report)?;
    let service_tier = service::service_tier(request.service_tier.as_deref(), profile, &mut report);
    thinking.apply(profile, limit_field, &mut inference_config, &mut fields, &mut report);
    choose(&mut inference_config, profile, &mut report);
    let mut body = ConverseRequest {
        messages: conversation.messages,
        system: conversation.system,
        inference_config,
        tool_config: tooling.config,
        output_config,
        guardrail_config: request.guardrail_config.as_ref().map(Into::into),
        additional_model_request_fields: fields,
        additional_model_response_field_paths: response_fields(
            request.additional_model_response_field_paths.as_deref(),
            count_path,
        ),
        performance_config: request.performance_config.as_ref().map(Into::into),
        service_tier,
        request_metadata: request_metadata(&params::metadata(request), &mut report),
        prompt_variables: variables(
            request.prompt_variables.as_ref(),
            VARIABLES,
            profile,
            &mut report,
        )?,
    };
    parts::cache::place_points(&mut body, cached, profile, &mut report);
    let written = Syntax::of(profile, body.tool_config.as_ref());
    let is_forgotten = recalled.is_some_and(RestoredReasoning::is_forgotten);
    is_forgotten.then(|| report.lose_thoughts(LostReasoning::Dropped));
    let tags_wanted = request.reasoning_format.map(format::tags_wanted);
    let delivery = delivery(&mut body, (request.stream == Some(true)).then_some(profile));
    Ok(Question {
        body,
        delivery,
        reply: Reply {
            drops_calls,
            names: tooling.names,
            include_usage: stream_options(request).include_usage == Some(true),
            stream_counts: profile.stream_counts,
            calls,
            one_call,
            echoes_tier: request.service_tier.is_some(),
            answering_tool,
            wanted,
            thoughts: ReasoningShown::of(&wish, profile),
            shows_fields: shows_fields(request),
            written,
            origin: recalled.and_then(RestoredReasoning::target),
            preface,
            splits_tags: tags::are_split(tags_wanted, profile, &mut report),
        },
        report,
    })
}

/// The target that made the last reasoning of a conversation, as far as the client and the
/// reasoning store tell. The next call should prefer it.
pub fn origin(request: &ChatRequest<'_>, recalled: Option<&RestoredReasoning>) -> Option<Origin> {
    reasoning::received::origin(&request.messages, recalled)
}

/// Reports the fields that ask for something other than the default and that cannot be honoured
/// here. Destructured without `..`: a new field does not compile until it is decided whether it is
/// honoured (`_` here) or reported.
fn without_effect(request: &ChatRequest<'_>, report: &mut Report) {
    let ChatRequest {
        model: _,
        messages: _,
        stream: _,
        stream_options: _,
        max_tokens: _,
        max_completion_tokens: _,
        temperature: _,
        top_p: _,
        top_k: _,
        stop: _,
        n: _,
        tools,
        tool_choice,
        functions,
        function_call,
        parallel_tool_calls: _,
        response_format: _,
        reasoning_effort: _,
        reasoning_format: _,
        verbosity: _,
        thinking: _,
        reasoning: _,
        service_tier: _,
        frequency_penalty: _,
        presence_penalty: _,
        seed: _,
        logprobs,
        top_logprobs,
        logit_bias,
        user: _,
        safety_identifier: _,
        metadata: _,
        modalities,
        audio,
        prediction,
        moderation,
        web_search_options: _,
        prompt_cache_key: _,
        prompt_cache_options: _,
        prompt_cache_retention,
        store,
        cache_control: _,
        additional_model_request_fields: _,
        additional_model_response_field_paths: _,
        guardrail_config: _,
        guardrails: _,
        performance_config: _,
        request_metadata: _,
        prompt_variables: _,
        anthropic_beta: _,
        tags,
        extra,
    } = request;
    let is_set = |raw: &Option<&RawValue>| raw.is_some_and(|raw| raw.get() != "{}");
    let has_tools = tools.as_ref().is_some_and(|tools| !tools.is_empty());
    let StreamOptions { include_usage: _, include_obfuscation: _, continuous_usage_stats } =
        stream_options(request);
    let fields = [
        ("stream_options.continuous_usage_stats", continuous_usage_stats == Some(true)),
        ("functions", functions.is_some() && has_tools),
        ("function_call", function_call.is_some() && (has_tools || functions.is_none())),
        ("tool_choice", tool_choice.is_some() && functions.is_some() && !has_tools),
        ("logprobs", *logprobs == Some(true)),
        ("top_logprobs", top_logprobs.is_some_and(|count| count > 0)),
        ("logit_bias", is_set(logit_bias)),
        ("modalities", modalities.iter().flatten().any(|modality| modality != "text")),
        ("audio", audio.is_some()),
        ("prediction", prediction.is_some()),
        ("moderation", moderation.is_some()),
        (
            "prompt_cache_retention",
            prompt_cache_retention.as_deref().is_some_and(|kept| kept != "in_memory"),
        ),
        ("store", *store == Some(true)),
        ("tags", tags.is_some()),
    ];
    let extra = extra.names().map(|field| (field, true));
    for (field, _) in fields.into_iter().chain(extra).filter(|(_, present)| *present) {
        report.ignore(field);
    }
}

fn stream_options(request: &ChatRequest<'_>) -> StreamOptions {
    request.stream_options.unwrap_or_default()
}

/// Returns whether at most one call is requested, by OpenAI's field or by Anthropic's.
fn wants_one_call(request: &ChatRequest<'_>) -> bool {
    let by_choice = request.tool_choice.as_ref().is_some_and(|field| field.one_call);
    request.parallel_tool_calls == Some(false) || by_choice
}

/// The caller's raw fields, and those that the translation adds as fields of the model's own.
fn additional(
    request: &ChatRequest<'_>,
    tooling: &Tooling<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Result<Map<String, Value>, Invalid> {
    let mut fields = request.additional_model_request_fields.clone().unwrap_or_default();
    model_fields::of_calls(tooling, wants_one_call(request), &mut fields, profile);
    betas::of_body(request.anthropic_beta, &mut fields, profile, report)?;
    model_fields::sampling(&params::extras(request), &mut fields, profile, report)?;
    model_fields::verbosity(request.verbosity.as_deref(), &mut fields, profile, report)?;
    Ok(fields)
}

/// Returns whether the caller asks for fields of the model's own response.
fn shows_fields(request: &ChatRequest<'_>) -> bool {
    request.additional_model_response_field_paths.iter().flatten().next().is_some()
}
