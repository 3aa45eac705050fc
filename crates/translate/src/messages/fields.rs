//! The fields of a request that have no effect, by the way to the model.

use schema::anthropic::messages::{MessagesRequest, OutputConfig};
use serde_json::value::RawValue;

use crate::Report;

/// The way of a request to its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestWay {
    /// As a Converse call.
    Converse,
    /// In the model's own body.
    Native,
}

/// The ways on which a field has no effect.
#[derive(Clone, Copy)]
enum Lost {
    OnBoth,
    On(RequestWay),
}

/// Reports the fields that ask for something other than the default and that cannot be honoured on this
/// way. Destructured without `..`: a new field does not compile until it is decided whether it is honoured
/// on both ways (`_` here) or reported.
pub(super) fn without_effect(request: &MessagesRequest<'_>, way: RequestWay, report: &mut Report) {
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
        // A request with fields of the model's own goes to Converse.
        additional_model_request_fields: _,
        guardrail_config: _,
        guardrails: _,
        performance_config: _,
        request_metadata,
        prompt_variables,
        tags,
        extra,
    } = request;
    let task_budget = output_config.as_ref().and_then(|config| {
        let OutputConfig { effort: _, format: _, task_budget } = config;
        *task_budget
    });
    let is_set = |raw: &Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "[]" | "{}"));
    for (field, is_given, lost) in [
        ("output_config.task_budget", task_budget.is_some(), Lost::On(RequestWay::Converse)),
        ("context_management", is_set(context_management), Lost::On(RequestWay::Converse)),
        ("compaction", is_set(compaction), Lost::On(RequestWay::Converse)),
        ("safeguards", is_set(safeguards), Lost::On(RequestWay::Converse)),
        ("mcp_servers", is_set(mcp_servers), Lost::OnBoth),
        ("request_metadata", request_metadata.is_some(), Lost::On(RequestWay::Native)),
        ("prompt_variables", prompt_variables.is_some(), Lost::On(RequestWay::Native)),
        ("tags", tags.is_some(), Lost::OnBoth),
    ] {
        let is_lost = match lost {
            Lost::OnBoth => true,
            Lost::On(lost) => lost == way,
        };
        if is_given && is_lost {
            report.ignore(field);
        }
    }
    for field in extra.names() {
        report.ignore(field);
    }
}
