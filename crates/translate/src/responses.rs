//! `POST /v1/responses` as a Converse call: this file translates the request; items, tools, the response
//! and its events have files of their own.

use std::collections::HashMap;
use std::sync::Arc;

use schema::converse::request::ConverseRequest;
use schema::openai::responses::object::RequestEcho;
use schema::openai::responses::request::ResponsesRequest;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::capsule::Capsules;
use crate::chat::cache::automatic;
use crate::dialect::{Question, QuestionInput};
use crate::parts::betas;
use crate::parts::cache::{self, Asked};
use crate::parts::conversation::Around;
use crate::parts::model_fields;
use crate::parts::params::{choose, inference_config};
use crate::parts::question::{Shaped, own_words, response_fields, shaped};
use crate::parts::request_metadata::request_metadata;
use crate::parts::service;
use crate::parts::tags;
use crate::parts::thinking::{Given, Plan};
use crate::parts::tools::{Tooling, delivery, tooling};
use crate::parts::written::Syntax;
use crate::reasoning::RestoredReasoning;
use crate::reply::{CallShape, ReasoningShown};
use crate::report::LostReasoning;
use crate::{Invalid, Profile, Reply, Report};
use settings::InForce;
use tools::{ClientTool, ToolTable};

mod affinity;
pub mod background;
mod compaction;
mod dialect;
mod echo;
mod fields;
mod incoming;
mod items;
mod prompt;
mod settings;
mod stream;
mod tools;
mod whole;
mod writer;

pub use compaction::{Compact, CompactionReply, CompactionRequest, CompactionResponse};
pub use dialect::Responses;
pub use incoming::IncomingRequest;
pub use stream::ResponseStream;
pub use whole::WholeResponse;

/// The field that holds the conversation.
const INPUT: &str = "input";

/// State made by the question half and consumed by the answer half.
#[derive(Debug, Clone, Default)]
pub struct ResponseReply {
    reply: Reply,
    echo: Arc<RequestEcho>,
    /// The client's tools by their names for the model, where a call of them is not a plain function
    /// call.
    tools: Arc<HashMap<String, ClientTool>>,
    /// The client asks for capsules of reasoning that it is not shown.
    wants_capsules: bool,
    /// The response is made in the background.
    is_background: bool,
    /// Items are kept, because the client may refer to them by their ids.
    keeps_items: bool,
    /// The whole response is kept.
    keeps_answer: bool,
    capsules: Option<Arc<dyn Capsules>>,
}

/// Translates a request for a model of this profile.
///
/// # Errors
/// The request cannot be expressed for this model; the error names the field.
fn question<'q>(
    incoming: &'q IncomingRequest<'_>,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<Question<'q, ResponseReply>, Invalid> {
    let request = incoming.request();
    service::served(profile)?;
    fields::within_limits(request)?;
    fields::supported(request, incoming.known())?;
    let mut report = Report::default();
    fields::without_effect(request, incoming.known(), &mut report);
    let prompt_variables = prompt::variables(request, profile, &mut report)?;
    let table = incoming.tools();
    let declared = table.declared(profile, &mut report)?;
    let settings = InForce::of(request);
    let own_words = own_words(profile, || settings.format(profile))?;
    let recalled = input.restored;
    let (names, stores, field) = (&declared.names, input.stores, "input.");
    let own_words = own_words.as_deref();
    let around = Around { names, recalled, profile, stores, own_words, field };
    let mut conversation = items::conversation(request, (table, around), &mut report)?;
    let sampling = settings.sampling(request);
    let mut inference_config = inference_config(&sampling, profile, &mut report)?;
    let wish = settings.reasoning_request()?;
    let raw = request.additional_model_request_fields.as_ref();
    let limit_field = sampling.max_tokens.map(|(field, _)| field);
    let limit = limit_field.and(inference_config.max_tokens);
    let given = Given { raw, limit, past: conversation.past };
    let thinking = Plan::new(&wish, profile, &given, &mut report);
    let count_path = thinking.count_path(profile);
    let lowered = thinking.lower(profile);
    let profile = &*lowered;
    let choice = table.choice()?;
    let mut tooling = tooling(declared, "tools", choice, &conversation.called, profile)?;

    service::named_guardrails(request.guardrails)?;
    let both = (&mut conversation, &mut tooling);
    let shaped = shaped(settings.format(profile)?, "tool_choice", both, profile, &mut report);
    let Shaped { output_config, answering_tool, wanted, preface } = shaped;
    let cached = cache_plan(request, table, profile, &mut report);
    let one_call = request.parallel_tool_calls == Some(false) && tooling.config.is_some();
    let mut model_fields = additional(request, &settings, &tooling, profile, &mut report)?;
    let service_tier = service::service_tier(fields::tier(request), profile, &mut report);
    thinking.apply(profile, limit_field, &mut inference_config, &mut model_fields, &mut report);
    choose(&mut inference_config, profile, &mut report);
    let drops_calls = tooling.is_unwelcome();
    let asked_fields = request.additional_model_response_field_paths.as_deref();
    let mut body = ConverseRequest {
        messages: conversation.messages,
        system: conversation.system,
        inference_config,
        tool_config: tooling.config,
        output_config,
        guardrail_config: request.guardrail_config.as_ref().map(Into::into),
        additional_model_request_fields: model_fields,
        additional_model_response_field_paths: response_fields(asked_fields, count_path),
        performance_config: request.performance_config.as_ref().map(Into::into),
        service_tier,
        request_metadata: request_metadata(&fields::metadata(request), &mut report),
        prompt_variables,
    };
    cache::place_points(&mut body, cached, profile, &mut report);
    let written = Syntax::of(profile, body.tool_config.as_ref());
    let is_forgotten = recalled.is_some_and(RestoredReasoning::is_forgotten);
    is_forgotten.then(|| report.lose_thoughts(LostReasoning::Dropped));
    let delivery = delivery(&mut body, (request.stream == Some(true)).then_some(profile));
    let reply = Reply {
        drops_calls,
        names: tooling.names,
        include_usage: true,
        stream_counts: profile.stream_counts,
        calls: CallShape::Tools,
        one_call,
        echoes_tier: true,
        answering_tool,
        wanted,
        thoughts: ReasoningShown::of(&wish, profile),
        shows_fields: asked_fields.is_some_and(|fields| !fields.is_empty()),
        written,
        origin: recalled.and_then(RestoredReasoning::target),
        preface,
        splits_tags: tags::are_split(None, profile, &mut report),
    };
    Ok(Question {
        body,
        delivery,
        reply: ResponseReply {
            echo: Arc::new(echo::of(request, incoming.is_stored())),
            tools: Arc::new(table.client_tools()),
            wants_capsules: fields::includes_capsules(request),
            is_background: request.background == Some(true),
            keeps_items: request.store != Some(false),
            keeps_answer: incoming.keeps_answer(),
            capsules: recalled.and_then(RestoredReasoning::capsules).cloned(),
            reply,
        },
        report,
    })
}

/// The caching options, and the marks on tools.
fn cache_plan<'q>(
    request: &ResponsesRequest<'_>,
    table: &'q ToolTable<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Asked<'q> {
    Asked {
        tools: cache::marked_tools(table.cache_marks(), profile, report),
        automatic: automatic(request.cache_control, request.prompt_cache_options, profile, report),
    }
}

/// The caller's raw fields, and those that the translation adds as fields of the model's own.
fn additional(
    request: &ResponsesRequest<'_>,
    settings: &InForce<'_>,
    tooling: &Tooling<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Result<Map<String, Value>, Invalid> {
    let mut all = request.additional_model_request_fields.clone().unwrap_or_default();
    let one_call = request.parallel_tool_calls == Some(false);
    model_fields::of_calls(tooling, one_call, &mut all, profile);
    betas::of_body(request.anthropic_beta, &mut all, profile, report)?;
    model_fields::sampling(&fields::extras(request), &mut all, profile, report)?;
    model_fields::verbosity(settings.verbosity(), &mut all, profile, report)?;
    Ok(all)
}

/// An id, cut to a length that an error can hold.
fn shortened(id: &str) -> &str {
    &id[..id.floor_char_boundary(100)]
}

/// JSON as received, on one line.
fn on_one_line(raw: &RawValue) -> Box<RawValue> {
    crate::answer::sources::on_one_line(raw).unwrap_or_default()
}
