//! `POST /v1/chat/completions` in Converse's terms: the question here, its messages, the whole
//! answer and the streamed answer in files of their own.

use schema::converse::request::ConverseRequest;
use schema::openai::chat::{ChatRequest, StreamOptions};
use schema::openai::tool::Tool;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::parts::format::{Shape, shape};
use crate::parts::params::{Sampling, inference_config};
use crate::parts::tools::{Declared, tooling};
use crate::reply::CallShape;
use crate::{Invalid, Profile, Reply, Report};

mod messages;
mod response;
mod stream;

pub use response::answer;
pub use stream::{ChatStream, Truncated};

/// A translated question: what to send, what the answer half must remember, what had no effect.
#[derive(Debug)]
pub struct Question<'a> {
    /// The body for Converse or ConverseStream.
    pub body: ConverseRequest<'a>,
    /// To be kept for the answer.
    pub reply: Reply,
    /// What could not be honoured.
    pub report: Report,
}

/// Translates a chat request for a model of this profile. The body borrows from the request: text
/// and images are not copied.
///
/// # Errors
/// The request asks for what cannot be expressed; the error names the field.
pub fn question<'a>(
    request: &'a ChatRequest<'a>,
    profile: &Profile,
) -> Result<Question<'a>, Invalid> {
    // Destructured whole: a new field does not compile until somebody decides where it goes. What
    // is bound to `_` here is judged in `without_effect`.
    let ChatRequest {
        model: _,
        messages,
        stream: _,
        stream_options,
        max_tokens,
        max_completion_tokens,
        temperature,
        top_p,
        stop,
        n: _,
        tools,
        tool_choice,
        functions,
        function_call,
        parallel_tool_calls: _,
        response_format,
        reasoning_effort: _,
        verbosity: _,
        service_tier: _,
        frequency_penalty: _,
        presence_penalty: _,
        seed: _,
        logprobs: _,
        top_logprobs: _,
        logit_bias: _,
        user: _,
        safety_identifier: _,
        metadata: _,
        modalities: _,
        audio: _,
        prediction: _,
        moderation: _,
        web_search_options: _,
        prompt_cache_key: _,
        prompt_cache_options: _,
        prompt_cache_retention: _,
        store: _,
        additional_model_request_fields,
        extra: _,
    } = request;
    let mut report = Report::default();
    without_effect(request, &mut report);

    let mut conversation = messages::conversation(messages, profile, &mut report)?;
    let sampling = Sampling {
        max_tokens: max_completion_tokens
            .map(|limit| ("max_completion_tokens", limit))
            .or(max_tokens.map(|limit| ("max_tokens", limit))),
        temperature: *temperature,
        top_p: *top_p,
        stop: stop.as_ref(),
    };
    let inference_config = inference_config(&sampling, &mut report)?;

    let legacy = functions.is_some() && !has_tools(request);
    let (declared, choice) = if legacy {
        (declared_functions(functions.as_deref()), function_call.as_ref())
    } else {
        (declared_tools(tools.as_deref(), &mut report)?, tool_choice.as_ref())
    };
    let mut tooling = tooling(&declared, choice, &conversation.called, profile)?;

    if tooling.choice_ignored {
        report.ignore("tool_choice");
    }
    choices(request.n)?;
    let (output_config, answering_tool) = match shape(response_format.as_ref(), profile)? {
        Shape::Free => (None, None),
        Shape::Native(config) => (Some(config), None),
        Shape::Tool(spec) => (None, tooling.answer_by(spec, profile)),
        Shape::Words(words) => {
            report.ignore("response_format");
            conversation.instruct(words, profile);
            (None, None)
        }
    };

    let StreamOptions { include_usage, include_obfuscation: _ } =
        stream_options.unwrap_or_default();
    Ok(Question {
        body: ConverseRequest {
            messages: conversation.messages,
            system: conversation.system,
            inference_config,
            tool_config: tooling.config,
            output_config,
            additional_model_request_fields: additional(
                additional_model_request_fields.as_ref(),
                tooling.forbid,
            ),
        },
        reply: Reply {
            names: tooling.names,
            include_usage: include_usage == Some(true),
            calls: if legacy { CallShape::Function } else { CallShape::Tools },
            answering_tool,
        },
        report,
    })
}

/// Notes the fields that ask for something the default does not give, and nothing here can.
fn without_effect(request: &ChatRequest<'_>, report: &mut Report) {
    let is_set = |raw: &Option<&RawValue>| raw.is_some_and(|raw| raw.get() != "{}");
    let tier = request.service_tier.as_deref();
    let fields = [
        ("n", request.n.is_some_and(|n| n > 1)),
        ("parallel_tool_calls", request.parallel_tool_calls == Some(false)),
        ("reasoning_effort", request.reasoning_effort.is_some()),
        ("verbosity", request.verbosity.as_deref().is_some_and(|value| value != "medium")),
        ("service_tier", tier.is_some_and(|tier| !matches!(tier, "auto" | "default"))),
        ("frequency_penalty", request.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("presence_penalty", request.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("seed", request.seed.is_some()),
        ("logprobs", request.logprobs == Some(true)),
        ("top_logprobs", request.top_logprobs.is_some_and(|count| count > 0)),
        ("logit_bias", is_set(&request.logit_bias)),
        ("user", request.user.is_some()),
        ("safety_identifier", request.safety_identifier.is_some()),
        ("metadata", is_set(&request.metadata)),
        ("modalities", request.modalities.iter().flatten().any(|modality| modality != "text")),
        ("audio", request.audio.is_some()),
        ("prediction", request.prediction.is_some()),
        ("moderation", request.moderation.is_some()),
        ("web_search_options", request.web_search_options.is_some()),
        ("prompt_cache_key", request.prompt_cache_key.is_some()),
        ("prompt_cache_options", request.prompt_cache_options.is_some()),
        ("prompt_cache_retention", request.prompt_cache_retention.is_some()),
        ("store", request.store == Some(true)),
        ("functions", request.functions.is_some() && has_tools(request)),
    ];
    let extra = request.extra.iter().map(|(field, value)| (field.as_str(), !value.is_null()));
    for (field, _) in fields.into_iter().chain(extra).filter(|(_, present)| *present) {
        report.ignore(field);
    }
}

fn has_tools(request: &ChatRequest<'_>) -> bool {
    request.tools.as_ref().is_some_and(|tools| !tools.is_empty())
}

fn choices(n: Option<i64>) -> Result<(), Invalid> {
    match n {
        Some(n) if n < 1 => Err(Invalid::value("n", format!("n must be at least 1, and is {n}."))
            .with_code("integer_below_min_value")),
        _ => Ok(()),
    }
}

fn declared_functions<'a>(
    functions: Option<&'a [schema::openai::tool::FunctionDefinition<'a>]>,
) -> Vec<Declared<'a>> {
    let functions = functions.unwrap_or_default().iter().enumerate();
    functions
        .map(|(at, definition)| Declared { definition, param: format!("functions[{at}]") })
        .collect()
}

/// The function tools; OpenAI's built-in tools cannot run here and are reported.
fn declared_tools<'a>(
    tools: Option<&'a [Tool<'a>]>,
    report: &mut Report,
) -> Result<Vec<Declared<'a>>, Invalid> {
    let mut declared = Vec::new();
    for (at, tool) in tools.unwrap_or_default().iter().enumerate() {
        if tool.kind != "function" {
            report.ignore(&format!("tools.{}", tool.kind));
            continue;
        }
        let Some(definition) = &tool.function else {
            let message = "A function tool needs a function with a name.";
            return Err(Invalid::value(format!("tools[{at}].function"), message)
                .with_code("missing_required_parameter"));
        };
        if definition.strict == Some(true) {
            report.ignore("tools.strict");
        }
        declared.push(Declared { definition, param: format!("tools[{at}].function") });
    }
    Ok(declared)
}

/// The caller's raw fields, with "call no tool" added where the provider has a word for it.
fn additional(fields: Option<&Map<String, Value>>, forbid: bool) -> Map<String, Value> {
    let mut fields = fields.cloned().unwrap_or_default();
    if forbid {
        fields.entry("tool_choice").or_insert_with(|| json!({ "type": "none" }));
    }
    fields
}
