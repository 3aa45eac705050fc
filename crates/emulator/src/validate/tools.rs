//! Tools: their definitions, and a result in the next turn for every call in the history.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Mode, blocks, constraint, limits};
use crate::{
    error::Refusal,
    json::{items, text},
    model::prompt::tool_uses,
    models::Model,
};

/// Checks tool definitions, the choice among them, and the calls and results of the history.
pub(super) fn check(model: &Model, body: &Value, mode: Mode) -> Result<(), Refusal> {
    let config = body.get("toolConfig").filter(|config| !config.is_null());
    let used = blocks(body).any(|place| {
        place.content.get("toolUse").is_some() || place.content.get("toolResult").is_some()
    });
    let native = body.pointer("/additionalModelRequestFields/tool_choice/type");
    if native.is_some() && body.pointer("/toolConfig/toolChoice").is_some() {
        return Err(Refusal::validation(
            "The additional field tool_choice.type conflicts with toolConfig.toolChoice. Remove one of them and try again.",
        ));
    }
    match config {
        Some(config) => definitions(model, config)?,
        None if used => {
            return Err(Refusal::validation(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            ));
        }
        None => {}
    }
    pairs(items(body, "messages"))?;
    sharing(model, items(body, "messages"))?;
    if config.is_some() && mode == Mode::Stream && !model.streams_tools {
        return Err(Refusal::validation("This model doesn't support tool use in streaming mode."));
    }
    Ok(())
}

fn definitions(model: &Model, config: &Value) -> Result<(), Refusal> {
    let tools = items(config, "tools");
    if tools.is_empty() {
        let rule = "Member must have length greater than or equal to 1";
        return Err(constraint(&Value::from("[]"), "toolConfig.tools", rule));
    }
    if !model.takes_tools() {
        return Err(Refusal::validation("This model doesn't support tool use."));
    }
    let mut names = BTreeSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let place = format!("toolConfig.tools.{}.member.toolSpec", index + 1);
        let Some(spec) = tool.get("toolSpec") else { continue };
        limits::tool_name(spec.get("name").unwrap_or(&Value::Null), &format!("{place}.name"))?;
        if let Some(description) = spec.get("description").filter(|text| text.as_str() == Some(""))
        {
            let rule = "Member must have length greater than or equal to 1";
            return Err(constraint(description, &format!("{place}.description"), rule));
        }
        let schema = spec.pointer("/inputSchema/json").unwrap_or(&Value::Null);
        if text(schema, "type") != "object" {
            return Err(Refusal::validation(format!(
                "The value at toolConfig.tools.{index}.toolSpec.inputSchema.json.type must be one of the following: object."
            )));
        }
        if !names.insert(text(spec, "name")) {
            return Err(Refusal::from_model("tools: Tool names must be unique."));
        }
    }
    choice(model, config, &names)
}

fn choice(model: &Model, config: &Value, names: &BTreeSet<&str>) -> Result<(), Refusal> {
    let Some(choice) = config.get("toolChoice").and_then(Value::as_object) else { return Ok(()) };
    for kind in choice.keys() {
        if !model.allows_choice(kind) {
            return Err(Refusal::validation(format!(
                "This model doesn't support the toolConfig.toolChoice.{kind} field. Remove toolConfig.toolChoice.{kind} and try again."
            )));
        }
    }
    match choice.get("tool").map(|tool| text(tool, "name")) {
        Some(name) if !names.contains(name) => Err(Refusal::validation(format!(
            "The tool {name} in toolConfig.toolChoice.tool is not one of the tools in toolConfig.tools. Update the name and try again."
        ))),
        _ => Ok(()),
    }
}

fn pairs(messages: &[Value]) -> Result<(), Refusal> {
    let spoken: Vec<(usize, &Value)> = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| text(message, "role") != "system")
        .collect();
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for (index, message) in spoken {
        let results: Vec<&str> = items(message, "content")
            .iter()
            .filter_map(|block| block.get("toolResult"))
            .filter(|result| !text(result, "type").ends_with("_result"))
            .map(|result| text(result, "toolUseId"))
            .collect();
        let answered: BTreeSet<&str> = results.iter().copied().collect();
        let missing: Vec<&str> = open.difference(&answered).copied().collect();
        if !missing.is_empty() {
            return Err(Refusal::validation(format!(
                "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
                missing.join(", ")
            )));
        }
        if results.len() > open.len() || answered.len() < results.len() {
            return Err(Refusal::validation(format!(
                "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of previous turn."
            )));
        }
        open = BTreeSet::new();
        for block in items(message, "content").iter().filter_map(|block| block.get("toolUse")) {
            if text(block, "type") != "server_tool_use" && !open.insert(text(block, "toolUseId")) {
                return Err(Refusal::validation(format!(
                    "The toolUse blocks at messages.{index}.content contain duplicate Ids: {}",
                    text(block, "toolUseId")
                )));
            }
        }
        let from_user = text(message, "role") == "user" && tool_uses(message).next().is_some();
        if from_user || (text(message, "role") == "assistant" && !results.is_empty()) {
            return Err(Refusal::validation(format!(
                "The content block at messages.{index}.content is not supported for this role: toolUse belongs to the assistant, toolResult to the user."
            )));
        }
    }
    Ok(())
}

/// Checks the neighbours of calls and of tool results, and the members of results. Llama and Mistral
/// refused calls beside text (langchain-ai/langchain-aws#1118, quarkiverse/quarkus-langchain4j#1983).
fn sharing(model: &Model, messages: &[Value]) -> Result<(), Refusal> {
    for (index, message) in messages.iter().enumerate() {
        let content = items(message, "content");
        let together = |blocks: &str| {
            Refusal::validation(format!(
                "messages.{index}.content: Conversation blocks and {blocks} blocks cannot be provided in the same turn."
            ))
        };
        let spoken = ["text", "image", "document", "guardContent"];
        let speaks =
            content.iter().any(|block| spoken.iter().any(|kind| block.get(kind).is_some()));
        if model.has("call-alone") && speaks && tool_uses(message).next().is_some() {
            return Err(together("tool use"));
        }
        let results = content.iter().filter(|block| block.get("toolResult").is_some()).count();
        let marks = content.iter().filter(|block| block.get("cachePoint").is_some()).count();
        if results > 0 && results + marks < content.len() && model.has("alone") {
            return Err(together("tool result"));
        }
        if model.has("no-status") {
            let mut results = content.iter().filter_map(|block| block.get("toolResult"));
            if results.any(|result| result.get("status").is_some()) {
                return Err(Refusal::validation(
                    "This model doesn't support the status field in the toolResult content block. Remove status and try again.",
                ));
            }
        }
    }
    Ok(())
}
