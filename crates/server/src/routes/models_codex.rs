//! The models in the form that Codex reads: those that call tools, with their windows and efforts.

use actix_web::HttpRequest;
use actix_web::web::Query;
use schema::openai::codex_models::{CodexModel, CodexModelList, ReasoningLevel, TruncationPolicy};
use schema::openai::models::{Capabilities, Model};
use serde::Deserialize;

use super::models_page::display_name;

/// Codex takes the system prompt of a model from this list. It says no more than every model needs.
const INSTRUCTIONS: &str = "You are Codex, a coding agent that works in the user's terminal and workspace. Work until the task is done: read the files that matter before you change them, run commands to find out instead of guessing, make the smallest change that solves the problem, and check it, by the project's tests where it has some. Keep to the conventions of the code around your change and to instructions in AGENTS.md files, the nearest first. Change files with apply_patch. Do not commit, push, delete or overwrite work that is not yours unless you are asked to. Say briefly what you are about to do before a group of commands; at the end say what you did, what you checked, and what is left, in plain and short sentences.";
/// The effort that is preferred as the usual one.
const USUAL: &str = "medium";
/// Tokens of a tool's output that Codex keeps.
const TOOL_OUTPUT: TruncationPolicy = TruncationPolicy { mode: "tokens", limit: 10_000 };
/// Kinds of content that Codex sends.
const MODALITIES: [&str; 2] = ["text", "image"];

/// The query of Codex.
#[derive(Debug, Deserialize)]
struct ClientVersion {
    client_version: Option<String>,
}

/// Whether a request for the list is one of Codex.
pub(super) fn is_for_codex(http: &HttpRequest) -> bool {
    Query::<ClientVersion>::from_query(http.query_string())
        .is_ok_and(|query| query.client_version.is_some())
}

/// The models that call tools, in the order of the list.
pub(super) fn list(models: Vec<Model>) -> CodexModelList {
    let usable = models.into_iter().filter_map(|model| {
        let capabilities = model.capabilities.clone()?;
        (capabilities.chat && capabilities.tools).then_some((model, capabilities))
    });
    let models = (1..)
        .zip(usable)
        .map(|(priority, (model, capabilities))| codex_model(model, &capabilities, priority));
    CodexModelList { models: models.collect() }
}

fn codex_model(model: Model, capabilities: &Capabilities, priority: u32) -> CodexModel {
    let Capabilities { reasoning_efforts: efforts, input_modalities, .. } = capabilities;
    let named = |effort: &&'static str| *effort == USUAL;
    let usual = efforts.iter().copied().find(|effort| named(effort)).or(efforts.first().copied());
    let levels = efforts.iter().map(|effort| ReasoningLevel {
        effort: (*effort).to_owned(),
        description: described(effort),
    });
    let reads = |kind: &&'static str| input_modalities.iter().any(|own| own == kind);
    let stands_for = model.stands_for.as_deref().unwrap_or(&model.id);
    CodexModel {
        display_name: display_name(&model.id),
        description: Some(format!("{stands_for} on Amazon Bedrock")),
        default_reasoning_level: usual,
        supported_reasoning_levels: levels.collect(),
        shell_type: "unified_exec",
        visibility: "list",
        supported_in_api: true,
        priority,
        upgrade: None,
        base_instructions: INSTRUCTIONS,
        supports_reasoning_summaries: !efforts.is_empty(),
        support_verbosity: false,
        default_verbosity: None,
        apply_patch_tool_type: "freeform",
        truncation_policy: TOOL_OUTPUT,
        supports_parallel_tool_calls: true,
        context_window: model.context_length,
        experimental_supported_tools: [],
        input_modalities: MODALITIES.into_iter().filter(|kind| reads(kind)).collect(),
        slug: model.id,
    }
}

fn described(effort: &str) -> &'static str {
    match effort {
        "minimal" => "Almost no reasoning",
        "low" => "Short reasoning, for quick answers",
        "medium" => "Reasoning for everyday tasks",
        "high" => "Long reasoning, for hard tasks",
        "xhigh" => "Very long reasoning, for very hard tasks",
        _ => "As much reasoning as the model does",
    }
}
