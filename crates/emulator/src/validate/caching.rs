//! Cache points: their positions, number, lifetimes, and the models that support them.

use serde_json::Value;

use super::blocks;
use crate::{
    error::Refusal,
    json::{items, text},
    models::{Family, Model},
};

/// Most cache points in a request.
const MOST: usize = 4;

/// Checks the cache points of a request.
pub(super) fn check(model: &Model, body: &Value) -> Result<(), Refusal> {
    let tools = body.get("toolConfig").map(|config| items(config, "tools")).unwrap_or_default();
    let system = items(body, "system");
    let messages = blocks(body).map(|place| place.content);
    let points: Vec<&Value> = tools
        .iter()
        .chain(system)
        .chain(messages)
        .filter_map(|block| block.get("cachePoint"))
        .collect();
    if points.is_empty() {
        return Ok(());
    }
    if model.cache_minimum().is_some() && model.family == Family::Nova {
        behind_text(body, tools)?;
    }
    let in_tools = tools.iter().any(is_point);
    if model.cache_minimum().is_none() || (in_tools && !model.has("cache-tools")) {
        return Err(Refusal::new(
            403,
            "AccessDeniedException",
            "You invoked an unsupported model or your request did not allow prompt caching. See the documentation for more information.",
        ));
    }
    lifetimes(model, &points)?;
    if points.len() > MOST {
        return Err(Refusal::from_model(&format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {}.",
            points.len()
        )));
    }
    follows(tools, "toolConfig.tools")?;
    follows(system, "system")?;
    for (index, message) in items(body, "messages").iter().enumerate() {
        let content = items(message, "content");
        let place = format!("messages.{index}.content");
        follows(content, &place)?;
        media(content, &place)?;
    }
    Ok(())
}

/// Long-lived points must precede short-lived ones, in reading order.
fn lifetimes(model: &Model, points: &[&Value]) -> Result<(), Refusal> {
    let is_long = |point: &&Value| text(point, "ttl") == "1h";
    if model.has("cache-5m") && points.iter().any(is_long) {
        return Err(Refusal::validation(if model.family == Family::Claude {
            "This model doesn't support the cachePoint.ttl field with the value 1h. Use 5m and try again."
        } else {
            "Extended TTL for prompt caching is only supported for Anthropic models."
        }));
    }
    let mut points = points.iter();
    let short = points.find(|point| !is_long(point));
    if short.is_some() && points.any(is_long) {
        return Err(Refusal::from_model(
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.",
        ));
    }
    Ok(())
}

/// A point needs content before it in the same list.
fn follows(blocks: &[Value], place: &str) -> Result<(), Refusal> {
    if blocks.first().is_some_and(is_point) {
        return Err(Refusal::validation(format!(
            "The cachePoint block at {place}.0 has no content before it. Add content before the cachePoint block and try again."
        )));
    }
    Ok(())
}

/// Nova accepts points in the system prompt and after texts (earendil-works/pi#2053, zeroclaw#8720,
/// NousResearch/hermes-agent#97281, 2026-03 to 2026-08). The service has by then merged the point into the
/// block before it, which is the block that the refusal names.
fn behind_text(body: &Value, tools: &[Value]) -> Result<(), Refusal> {
    let refused = |place: String| {
        let problem = "extraneous key [cachePoint] is not permitted, please reformat your input and try again.";
        Refusal::from_model(&format!("Malformed input request: {place}: {problem}"))
    };
    if let Some(point) = tools.iter().position(is_point) {
        return Err(refused(format!("#/toolConfig/tools/{}", point.saturating_sub(1))));
    }
    for (index, message) in items(body, "messages").iter().enumerate() {
        let mut before = None;
        let mut place = 0;
        for block in items(message, "content") {
            if !is_point(block) {
                place += usize::from(before.is_some());
                before = Some(block);
            } else if before.is_some_and(|before| before.get("text").is_none()) {
                return Err(refused(format!("#/messages/{index}/content/{place}")));
            }
        }
    }
    Ok(())
}

/// Documents that reach the model as text, and video, cannot have a point.
fn media(content: &[Value], place: &str) -> Result<(), Refusal> {
    for (index, pair) in content.windows(2).enumerate() {
        let [before, point] = pair else { continue };
        let format = before.pointer("/document/format").and_then(Value::as_str);
        let refused = format.is_some_and(|format| format != "pdf") || before.get("video").is_some();
        if refused && is_point(point) {
            return Err(Refusal::validation(format!(
                "The cachePoint block at {place}.{} cannot follow a document of this format or a video. Move the cachePoint block and try again.",
                index + 1
            )));
        }
    }
    Ok(())
}

fn is_point(block: &Value) -> bool {
    block.get("cachePoint").is_some()
}
