//! A messages request as a Converse call.

use schema::anthropic::messages::{MessagesRequest, OutputConfig};
use schema::converse::request::ConverseRequest;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::conversation::{TurnsAround, conversation};
use super::{MessagesReply, limits, params, sealed, tools};
use crate::dialect::{Question, QuestionInput};
use crate::parts::betas;
use crate::parts::cache::{self, Asked, Automatic};
use crate::parts::format::FormatPlan;
use crate::parts::model_fields;
use crate::parts::params::{choose, inference_config};
use crate::parts::request_metadata::request_metadata;
use crate::parts::service;
use crate::parts::tags::{self, TagsWanted};
use crate::parts::thinking::{Given, Plan};
use crate::parts::tools::{Tooling, delivery, tooling};
use crate::parts::written::Syntax;
use crate::profile::ThinkingTags;
use crate::reasoning::RestoredReasoning;
use crate::reply::ReasoningShown;
use crate::report::LostReasoning;
use crate::{Invalid, Profile, Reply, Report};

/// Instruction for a model that cannot be forbidden to call tools.
const NO_CALLS: &str = "Call no tools in this turn: answer in text.";
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
    limits::within_limits(request)?;
    let mut report = Report::default();
    without_effect(request, &mut report);
    let restored = input.restored;
    let (declared, choice) = tools::declared(request, profile, &mut report)?;
    let around = TurnsAround { names: &declared.names, restored, profile, stores: input.stores };
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
    let mut preface = None;
    let (output_config, answering_tool) = match format.shape {
        FormatPlan::Free => (None, None),
        FormatPlan::Native(config) => (Some(config), None),
        FormatPlan::Tool(spec, form) => (None, tooling.answer_by(spec, form, profile)),
        FormatPlan::Words(words) => {
            preface = conversation.instruct(words, profile);
            (None, None)
        }
    };
    if tooling.choice_ignored {
        report.ignore("tool_choice");
    }
    let unwelcome = tooling.is_unwelcome();
    if unwelcome && answering_tool.is_none() && !tooling.is_served() {
        preface = preface.or(conversation.instruct(NO_CALLS.to_owned(), profile));
    }
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
    let stops = !inference_config.stop_sequences.is_empty();
    let paths = count_path.into_iter().chain(stops.then_some(STOP_SEQUENCE)).collect();
    let mut body = ConverseRequest {
        messages: conversation.messages,
        system: conversation.system,
        inference_config,
        tool_config: tooling.config,
        output_config,
        guardrail_config: request.guardrail_config.as_ref().map(Into::into),
        additional_model_request_fields: fields,
        additional_model_response_field_paths: paths,
        performance_config: request.performance_config.as_ref().map(Into::into),
        service_tier: tier,
        request_metadata,
    };
    cache::place_points(&mut body, cached, profile, &mut report);
    let written = Syntax::of(profile, body.tool_config.as_ref());
    let is_forgotten = restored.is_some_and(RestoredReasoning::is_forgotten);
    is_forgotten.then(|| report.lose_thoughts(LostReasoning::Dropped));
    // Reasoning has blocks of its own here, so that tags around it would be noise.
    let wanted = (profile.thinking_tags != ThinkingTags::None).then_some(TagsWanted::Split);
    let delivery = delivery(&mut body, (request.stream == Some(true)).then_some(profile));
    let reply = Reply {
        names: tooling.names,
        stream_counts: profile.stream_counts,
        one_call,
        drops_calls: unwelcome,
        answering_tool,
        wanted: format.wanted,
        thoughts: ReasoningShown::of(&wish, profile),
        splits_tags: tags::are_split(wanted, profile, &mut report),
        written,
        origin: restored.and_then(RestoredReasoning::target),
        preface,
        ..Reply::default()
    };
    let reply = MessagesReply { reply, sealed: sealed::format(profile), is_native: false };
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

/// Reports the fields that ask for something other than the default and that cannot be honoured on
/// Converse. Destructured without `..`: a new field does not compile until it is decided whether it is
/// honoured (`_` here) or reported.
fn without_effect(request: &MessagesRequest<'_>, report: &mut Report) {
    let MessagesRequest {
        model: _,
        messages: _,
        max_tokens: _,
        system: _,
        stop_sequences: _,
        stream: _,
        temperature: _,
        top_p: _,
        top_k: _,
        tools: _,
        tool_choice: _,
        thinking: _,
        output_config,
        output_format: _,
        cache_control: _,
        metadata: _,
        service_tier: _,
        context_management,
        compaction,
        safeguards,
        mcp_servers,
        anthropic_beta: _,
        anthropic_version: _,
        additional_model_request_fields: _,
        guardrail_config: _,
        guardrails: _,
        performance_config: _,
        request_metadata: _,
        tags,
        extra,
    } = request;
    let task_budget = output_config.as_ref().and_then(|config| {
        let OutputConfig { effort: _, format: _, task_budget } = config;
        *task_budget
    });
    let is_set = |raw: &Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "[]" | "{}"));
    for (field, present) in [
        ("output_config.task_budget", task_budget.is_some()),
        ("context_management", is_set(context_management)),
        ("compaction", is_set(compaction)),
        ("safeguards", is_set(safeguards)),
        ("mcp_servers", is_set(mcp_servers)),
        ("tags", tags.is_some()),
    ] {
        if present {
            report.ignore(field);
        }
    }
    for field in extra.names() {
        report.ignore(field);
    }
}
