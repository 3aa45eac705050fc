//! A messages request in the model's own body, for InvokeModel. The body is written anew with the
//! caller's own text of every part that passes, so that keys keep their order; members that Bedrock
//! refuses for this model are left out and reported.

use std::borrow::Cow;

use schema::Raw;
use schema::anthropic::messages::MessagesRequest;
use schema::anthropic::messages::native::{NativeRequest, VERSION};
use schema::anthropic::object::RawObject;
use schema::converse::request::{InferenceConfig, Tier};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::fields::{RequestWay, without_effect};
use super::{MessagesReply, limits, params};
use crate::dialect::{NativeQuestion, QuestionInput};
use crate::parts::cache::Automatic;
use crate::parts::format::FormatPlan;
use crate::parts::model_fields;
use crate::parts::params::{choose, inference_config};
use crate::parts::service;
use crate::parts::thinking::{Given, Plan, nearest_effort};
use crate::profile::{MessagesOperation, Profile, Thinking};
use crate::reasoning::RestoredReasoning;
use crate::reply::ReasoningShown;
use crate::report::LostReasoning;
use crate::{Invalid, Reply, Report};
use automatic::Markable;
use content::{Writer, WrittenTurns};
use features::Features;
use marks::Marks;

mod automatic;
mod content;
mod features;
mod marks;
mod tools;

const TIER: &str = "x-amzn-bedrock-service-tier";
const LATENCY: &str = "x-amzn-bedrock-performanceconfig-latency";
const CONTEXT: &str = "context_management";

/// Translates a request into the model's own body. `None` where the model's row, or a part of the
/// request that only Converse has, wants it on Converse.
///
/// # Errors
/// The request cannot be expressed for this model; the error names the field.
pub(super) fn question<'q>(
    request: &'q MessagesRequest<'_>,
    profile: &Profile,
    input: &QuestionInput<'q>,
) -> Result<Option<NativeQuestion<'q, MessagesReply>>, Invalid> {
    if profile.messages == MessagesOperation::Converse
        || request.additional_model_request_fields.is_some()
    {
        return Ok(None);
    }
    service::served(profile)?;
    service::named_guardrails(request.guardrails)?;
    limits::within_limits(request, profile)?;
    let format = params::format(request, profile)?;
    let schema = match format.shape {
        FormatPlan::Free => None,
        FormatPlan::Native(config) => {
            Some(config.text_format.structure.json_schema.schema.to_string())
        }
        FormatPlan::Tool(..) | FormatPlan::Words(_) => return Ok(None),
    };
    let mut report = Report::default();
    without_effect(request, RequestWay::Native, &mut report);
    let mut marks = Marks::of(request, profile, &mut report);
    let mut features = Features::new(profile);
    let mut sent_tools = tools::tools(request, (&mut features, &mut marks), profile, &mut report)?;
    let (mut system, written) = {
        let both = (&mut features, &mut marks);
        let mut writer = Writer::new(request, input.restored, both, (profile, &mut report));
        let system = request.system.as_ref().map(|system| writer.system(system)).transpose()?;
        (system.flatten(), writer.messages(request)?)
    };
    let WrittenTurns { mut messages, past, thinks_back } = written;
    if marks.is_unmarked {
        let (tools, system) = (&mut sent_tools[..], system.as_mut());
        mark(Markable { tools, system, messages: &mut messages }, profile)?;
    }
    let mut inference = inference_config(&params::sampling(request)?, profile, &mut report)?;
    let wish = params::reasoning_request(request)?;
    let given = Given { raw: None, limit: inference.max_tokens, past };
    let plan = Plan::new(&wish, profile, &given, &mut report);
    let lowered = plan.lower(profile);
    let tool_choice = tools::choice(request, !sent_tools.is_empty(), &lowered, &mut report)?;
    let mut fields = Map::new();
    model_fields::sampling(&params::extras(request), &mut fields, profile, &mut report)?;
    plan.apply(profile, Some(params::MAX_TOKENS), &mut inference, &mut fields, &mut report);
    choose(&mut inference, profile, &mut report);
    let output_config = output_config(
        request,
        (fields.remove("output_config"), schema),
        &mut features,
        &mut report,
    )?;
    let InferenceConfig { max_tokens, temperature, top_p, stop_sequences } = inference;
    let edits = context_management(request, &mut features, &mut report)?;
    let compaction = whole(request.compaction, "compaction", &mut features, &mut report);
    let safeguards = whole(request.safeguards, "safeguards", &mut features, &mut report);
    let betas = features.betas(request.anthropic_beta, input.betas, &mut report)?;
    let has_betas = !betas.is_empty();
    let body = NativeRequest {
        anthropic_version: VERSION,
        anthropic_beta: betas,
        max_tokens: max_tokens.unwrap_or(1),
        tools: sent_tools,
        tool_choice,
        system,
        messages,
        stop_sequences,
        temperature,
        top_p,
        top_k: fields.get("top_k").and_then(Value::as_i64),
        thinking: fields.get("thinking").map(owned).transpose()?,
        output_config,
        context_management: edits,
        compaction,
        safeguards,
        metadata: metadata(request, &mut report)?,
    };
    let is_forgotten = input.restored.is_some_and(RestoredReasoning::is_forgotten);
    is_forgotten.then(|| report.lose_thoughts(LostReasoning::Dropped));
    let reply = Reply {
        wanted: format.wanted,
        thoughts: ReasoningShown::of(&wish, profile),
        origin: input.restored.and_then(RestoredReasoning::target),
        ..Reply::default()
    };
    let headers = headers(request, profile, &mut report);
    let body = serde_json::to_vec(&body)
        .map_err(|_| Invalid::value("messages", "The request cannot be written."))?;
    Ok(Some(NativeQuestion {
        body,
        headers,
        guardrail: request.guardrail_config.as_ref().map(Into::into),
        thinks_back,
        has_betas,
        reply: MessagesReply { reply, is_native: true, ..MessagesReply::default() },
        report,
    }))
}

fn owned<'q>(value: &Value) -> Result<Raw<'q>, Invalid> {
    let unwritable = |_| Invalid::value("thinking", "The field cannot be written.");
    to_raw_value(value).map(Cow::Owned).map_err(unwritable)
}

/// Sets the gateway's cache marks, where the operator has them set.
fn mark(parts: Markable<'_, '_>, profile: &Profile) -> Result<(), Invalid> {
    if Automatic::unasked(profile) != Automatic::Unmarked {
        return Ok(());
    }
    let unreadable = |_| Invalid::value("messages", "This content cannot be read.");
    automatic::set_all(parts, profile).map_err(unreadable)
}

/// Tier and latency, which this operation takes as headers.
fn headers(
    request: &MessagesRequest<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Vec<(&'static str, String)> {
    let tier = service::service_tier(params::service_tier(request), profile, report);
    let tier = tier.map(|tier| match tier.kind {
        Tier::Default => "default",
        Tier::Flex => "flex",
        Tier::Priority => "priority",
        Tier::Reserved => "reserved",
    });
    let latency = request.performance_config.as_ref().map(|config| config.latency.to_string());
    let tier = tier.map(|tier| (TIER, tier.to_owned()));
    tier.into_iter().chain(latency.map(|latency| (LATENCY, latency))).collect()
}

/// `output_config`: the effort that the model has, the schema in the form that its grammar takes, and
/// the budget of a task where the model knows it.
fn output_config<'q>(
    request: &'q MessagesRequest<'_>,
    (planned, schema): (Option<Value>, Option<String>),
    features: &mut Features<'_>,
    report: &mut Report,
) -> Result<Option<Raw<'q>>, Invalid> {
    let mut members = Map::new();
    let planned = planned.as_ref().and_then(|planned| planned.get("effort")).cloned();
    if let Some(effort) = planned.or_else(|| effort(request, features, report)) {
        members.insert("effort".to_owned(), effort);
    }
    if let Some(schema) = schema {
        let unreadable = |_| Invalid::value("output_config.format.schema", "Unreadable schema.");
        let schema: Value = serde_json::from_str(&schema).map_err(unreadable)?;
        members.insert("format".to_owned(), json!({ "type": "json_schema", "schema": schema }));
    }
    let budget = request.output_config.as_ref().and_then(|config| config.task_budget);
    if let Some(budget) = budget {
        const FIELD: &str = "output_config.task_budget";
        match (features.take(FIELD), serde_json::from_str(budget.get())) {
            (true, Ok(budget)) => {
                members.insert("task_budget".to_owned(), budget);
            }
            (_, _) => report.ignore(FIELD),
        }
    }
    if members.is_empty() { Ok(None) } else { owned(&Value::Object(members)).map(Some) }
}

/// The effort of a model that does not think, or thinks by a budget.
fn effort(
    request: &MessagesRequest<'_>,
    features: &mut Features<'_>,
    report: &mut Report,
) -> Option<Value> {
    let asked = params::effort(request)?;
    let profile = features.profile();
    let adapts = matches!(profile.thinking, Thinking::Adaptive | Thinking::AdaptiveOrBudget);
    let level = nearest_effort(asked, &profile.efforts);
    if !adapts && !features.take(params::EFFORT) {
        report.ignore(params::EFFORT);
        return None;
    }
    if level != Some(asked) {
        report.ignore(params::EFFORT);
    }
    level.map(Value::from)
}

/// A member that passes as it came, if the model has its feature.
fn whole<'q>(
    given: Option<&'q RawValue>,
    feature: &str,
    features: &mut Features<'_>,
    report: &mut Report,
) -> Option<Raw<'q>> {
    let given = given?;
    if features.take(feature) {
        return Some(Cow::Borrowed(given));
    }
    report.ignore(feature);
    None
}

/// The edits of the context that the model knows.
fn context_management<'q>(
    request: &'q MessagesRequest<'_>,
    features: &mut Features<'_>,
    report: &mut Report,
) -> Result<Option<Raw<'q>>, Invalid> {
    let Some(given) = request.context_management else { return Ok(None) };
    let unreadable = |_| Invalid::value(CONTEXT, "context_management is an object with edits.");
    let mut object = RawObject::of(given).map_err(unreadable)?;
    let edits: Vec<&RawValue> = match object.get("edits") {
        Some(edits) => serde_json::from_str(edits.get()).map_err(unreadable)?,
        None => Vec::new(),
    };
    let count = edits.len();
    let mut kept = Vec::with_capacity(count);
    for edit in edits {
        let value: Value = serde_json::from_str(edit.get()).map_err(unreadable)?;
        let kind = value["type"].as_str().unwrap_or_default();
        let feature = format!("{CONTEXT}.{kind}");
        if features.take(&feature) {
            kept.push(edit.to_owned());
        } else {
            report.ignore(&feature);
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    if kept.len() == count {
        return Ok(Some(Cow::Borrowed(given)));
    }
    object.set("edits", to_raw_value(&kept).map_err(unreadable)?);
    object.to_raw().map(|raw| Some(Cow::Owned(raw))).map_err(unreadable)
}

/// The end user, the only member that is accepted.
fn metadata<'q>(
    request: &MessagesRequest<'_>,
    report: &mut Report,
) -> Result<Option<Raw<'q>>, Invalid> {
    params::other_metadata(request, report);
    let id = params::user_id(request.metadata.as_ref());
    id.map(|id| owned(&json!({ "user_id": id }))).transpose()
}
