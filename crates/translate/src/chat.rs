//! `POST /v1/chat/completions` in Converse's terms: the question here, its messages, the whole
//! answer and the streamed answer in files of their own.

use schema::converse::request::ConverseRequest;
use schema::openai::chat::{ChatRequest, StreamOptions};
use schema::openai::format::FormatKind;
use schema::openai::tool::Tool;
use serde_json::{Map, Value, json};

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
    // Destructured whole: a new field does not compile until somebody decides where it goes.
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
        n,
        tools,
        tool_choice,
        functions,
        function_call,
        parallel_tool_calls,
        response_format,
        reasoning_effort,
        verbosity,
        service_tier,
        frequency_penalty,
        presence_penalty,
        seed,
        logprobs,
        top_logprobs,
        logit_bias,
        user,
        safety_identifier,
        metadata,
        modalities,
        audio,
        prediction,
        moderation,
        web_search_options,
        prompt_cache_key,
        prompt_cache_options,
        prompt_cache_retention,
        store,
        additional_model_request_fields,
        extra,
    } = request;
    let mut report = Report::default();

    let conversation = messages::conversation(messages, profile, &mut report)?;
    let sampling = Sampling {
        max_tokens: max_completion_tokens
            .map(|limit| ("max_completion_tokens", limit))
            .or(max_tokens.map(|limit| ("max_tokens", limit))),
        temperature: *temperature,
        top_p: *top_p,
        stop: stop.as_ref(),
    };
    let inference_config = inference_config(&sampling, &mut report)?;

    let legacy = tools.as_ref().is_none_or(Vec::is_empty) && functions.is_some();
    let (declared, choice) = if legacy {
        (declared_functions(functions.as_deref()), function_call.as_ref())
    } else {
        (declared_tools(tools.as_deref(), &mut report)?, tool_choice.as_ref())
    };
    let tooling = tooling(&declared, choice, &conversation.called, profile)?;

    choices(*n)?;
    // Present and asking for something the default does not give.
    let without_effect: [(&str, bool); 26] = [
        ("n", n.is_some_and(|n| n > 1)),
        ("tool_choice", tooling.choice_ignored),
        ("parallel_tool_calls", *parallel_tool_calls == Some(false)),
        (
            "response_format",
            response_format.as_ref().is_some_and(|format| format.kind != FormatKind::Text),
        ),
        ("reasoning_effort", reasoning_effort.is_some()),
        ("verbosity", verbosity.as_deref().is_some_and(|value| value != "medium")),
        ("service_tier", service_tier.as_deref().is_some_and(|tier| !is_default_tier(tier))),
        ("frequency_penalty", frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("presence_penalty", presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("seed", seed.is_some()),
        ("logprobs", *logprobs == Some(true)),
        ("top_logprobs", top_logprobs.is_some_and(|count| count > 0)),
        ("logit_bias", logit_bias.is_some_and(|bias| bias.get() != "{}")),
        ("user", user.is_some()),
        ("safety_identifier", safety_identifier.is_some()),
        ("metadata", metadata.is_some_and(|pairs| pairs.get() != "{}")),
        ("modalities", modalities.iter().flatten().any(|modality| modality != "text")),
        ("audio", audio.is_some()),
        ("prediction", prediction.is_some()),
        ("moderation", moderation.is_some()),
        ("web_search_options", web_search_options.is_some()),
        ("prompt_cache_key", prompt_cache_key.is_some()),
        ("prompt_cache_options", prompt_cache_options.is_some()),
        ("prompt_cache_retention", prompt_cache_retention.is_some()),
        ("store", *store == Some(true)),
        ("functions", functions.is_some() && !legacy),
    ];
    for (field, _) in without_effect.iter().filter(|(_, present)| *present) {
        report.ignore(field);
    }
    for (field, _) in extra.iter().filter(|(_, value)| !value.is_null()) {
        report.ignore(field);
    }

    let StreamOptions { include_usage, include_obfuscation: _ } =
        stream_options.unwrap_or_default();
    Ok(Question {
        body: ConverseRequest {
            messages: conversation.messages,
            system: conversation.system,
            inference_config,
            tool_config: tooling.config,
            output_config: None,
            additional_model_request_fields: additional(
                additional_model_request_fields.as_ref(),
                tooling.forbid,
            ),
        },
        reply: Reply {
            names: tooling.names,
            include_usage: include_usage == Some(true),
            calls: if legacy { CallShape::Function } else { CallShape::Tools },
        },
        report,
    })
}

fn choices(n: Option<i64>) -> Result<(), Invalid> {
    match n {
        Some(n) if n < 1 => Err(Invalid::value("n", format!("n must be at least 1, and is {n}."))
            .with_code("integer_below_min_value")),
        _ => Ok(()),
    }
}

fn is_default_tier(tier: &str) -> bool {
    matches!(tier, "auto" | "default")
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
