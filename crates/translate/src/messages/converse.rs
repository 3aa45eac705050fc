//! A messages request as a Converse call.

use schema::anthropic::messages::MessagesRequest;
use schema::converse::request::ConverseRequest;
use serde_json::{Map, Value};

use super::conversation::conversation;
use super::fields::{RequestWay, without_effect};
use super::{MessagesReply, limits, params, sealed, tools};
use crate::dialect::{Question, QuestionInput};
use crate::parts::betas;
use crate::parts::cache::{self, Asked, Automatic};
use crate::parts::conversation::Around;
use crate::parts::model_fields;
use crate::parts::params::{choose, inference_config};
use crate::parts::question::{Shaped, own_words, response_fields, shaped};
use crate::parts::request_metadata::request_metadata;
use crate::parts::service;
use crate::parts::tags::{self, TagsWanted};
use crate::parts::thinking::{Given, Plan};
use crate::parts::tools::{Tooling, delivery, tooling};
use crate::parts::written::Syntax;
use crate::profile::{Replay, ThinkingTags};
use crate::reasoning::RestoredReasoning;
use crate::reply::ReasoningShown;
use crate::report::LostReasoning;
use crate::stored_prompt::{VARIABLES, variables};
use crate::{Invalid, Profile, Reply, Report};

/// Path of the stop sequence in a model's own response.
const STOP_SEQUENCE: &str = "/stop_sequence";

/// Translates a request for a model of this profile.
///
/// # Errors
/// The request cannot be expressed for this model; the error names the field.
pub(super) fn question<'q>(
    request: &'q MessagesRequest<'_>,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<Question<'q, MessagesReply>, Invalid> {
    service::served(profile)?;
    service::named_guardrails(request.guardrails)?;
    limits::within_limits(request, profile)?;
    let mut report = Report::default();
    without_effect(request, RequestWay::Converse, &mut report);
    let restored = input.restored;
    let (declared, choice) = tools::declared(request, profile, &mut report)?;
    let own_words = own_words(profile, || params::format(request, profile))?;
    let (names, stores, own_words) = (&declared.names, input.stores, own_words.as_deref());
    let field = "messages.";
    let around = Around { names, recalled: restored, profile, stores, own_words, field };
    let mut conversation = conversation(request, around, &mut report)?;
    let sampling = params::sampling(request)?;
    let mut inference_config = inference_config(&sampling, profile, &mut report)?;
    let wish = params::reasoning_request(request)?;
    let raw = request.additional_model_request_fields.as_ref();
    let given = Given { raw, limit: inference_config.max_tokens, past: conversation.past };
    let thinking = Plan::new(&wish, profile, &given, &mut report);
    let count_path = thinking.count_path(profile);
    let lowered = thinking.lower(profile);
    let profile = &*lowered;
    let called = &conversation.called;
    let mut tooling = tooling(declared, "tools", choice, called, profile)?;
    let format = params::format(request, profile)?;
    let both = (&mut conversation, &mut tooling);
    let shaped = shaped(format, "tool_choice", both, profile, &mut report);
    let Shaped { output_config, answering_tool, wanted, preface } = shaped;
    let drops_calls = tooling.is_unwelcome();
    let cached = cached(request, profile, &mut report);
    let one_call = wants_one_call(request) && tooling.config.is_some();
    let mut fields = additional(request, &tooling, profile, &mut report)?;
    let tier = service::service_tier(params::service_tier(request), profile, &mut report);
    thinking.apply(
        profile,
        Some(params::MAX_TOKENS),
        &mut inference_config,
        &mut fields,
        &mut report,
    );
    choose(&mut inference_config, profile, &mut report);
    let metadata = params::CallMetadata::of(request);
    let request_metadata = request_metadata_of(&metadata, &mut report);
    let own = request.prompt_variables.as_ref();
    let prompt_variables = variables(own, VARIABLES, profile, &mut report)?;
    let stops = !inference_config.stop_sequences.is_empty();
    let paths = count_path.into_iter().chain(stops.then_some(STOP_SEQUENCE));
    let mut body = ConverseRequest {
        messages: conversation.messages,
        system: conversation.system,
        inference_config,
        tool_config: tooling.config,
        output_config,
        guardrail_config: request.guardrail_config.as_ref().map(Into::into),
        additional_model_request_fields: fields,
        additional_model_response_field_paths: response_fields(None, paths),
        performance_config: request.performance_config.as_ref().map(Into::into),
        service_tier: tier,
        request_metadata,
        prompt_variables,
    };
    cache::place_points(&mut body, cached, profile, &mut report);
    let written = Syntax::of(profile, body.tool_config.as_ref());
    let is_forgotten = restored.is_some_and(RestoredReasoning::is_forgotten);
    is_forgotten.then(|| report.lose_thoughts(LostReasoning::Dropped));
    // Reasoning has blocks of its own here, so that tags around it would be noise.
    let tags_wanted = (profile.thinking_tags != ThinkingTags::None).then_some(TagsWanted::Split);
    let delivery = delivery(&mut body, (request.stream == Some(true)).then_some(profile));
    let reply = Reply {
        names: tooling.names,
        stream_counts: profile.stream_counts,
        one_call,
        drops_calls,
        answering_tool,
        wanted,
        thoughts: ReasoningShown::of(&wish, profile),
        splits_tags: tags::are_split(tags_wanted, profile, &mut report),
        written,
        origin: restored.and_then(RestoredReasoning::target),
        preface,
        ..Reply::default()
    };
    let signs = profile.replay == Replay::Plain;
    let capsules = restored.and_then(RestoredReasoning::capsules).filter(|_| signs).cloned();
    let sealed = sealed::format(profile);
    let reply = MessagesReply { reply, sealed, capsules, is_native: false };
    Ok(Question { body, delivery, reply, report })
}

/// The metadata as owned pairs: those that are taken apart live no longer than this call.
fn request_metadata_of<'q>(
    metadata: &params::CallMetadata<'q>,
    report: &mut Report,
) -> std::collections::BTreeMap<schema::Str<'q>, schema::Str<'q>> {
    let pairs = request_metadata(&metadata.fields(), report);
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_string().into(), value.to_string().into()))
        .collect()
}

/// The caching options, and the marks on tools.
fn cached<'q>(
    request: &'q MessagesRequest<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Asked<'q> {
    let tools = request.tools.iter().flatten();
    let marks = tools.filter_map(|tool| {
        let mark = tool.members.cache_control.as_ref()?;
        Some((tool.members.name.as_deref(), params::cache_mark(mark)))
    });
    let tools = cache::marked_tools(marks, profile, report);
    let automatic = match &request.cache_control {
        Some(mark) => Automatic::asked(params::cache_mark(mark), profile, report),
        None => Automatic::unasked(profile),
    };
    Asked { tools, automatic }
}

/// Returns whether at most one call is requested.
pub(super) fn wants_one_call(request: &MessagesRequest<'_>) -> bool {
    let choice = request.tool_choice.as_ref();
    choice.is_some_and(|choice| choice.disable_parallel_tool_use == Some(true))
}

/// The caller's raw fields, and those that the translation adds as fields of the model's own.
fn additional(
    request: &MessagesRequest<'_>,
    tooling: &Tooling<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Result<Map<String, Value>, Invalid> {
    let mut fields = request.additional_model_request_fields.clone().unwrap_or_default();
    model_fields::of_calls(tooling, wants_one_call(request), &mut fields, profile);
    betas::of_body(request.anthropic_beta, &mut fields, profile, report)?;
    model_fields::sampling(&params::extras(request), &mut fields, profile, report)?;
    Ok(fields)
}
