//! Ranges, lengths, patterns and enumerations that the API's model sets for single members.

use serde_json::Value;

use super::{Mode, blocks, constraint, one_of};
use crate::{
    error::Refusal,
    json::{items, text},
};

const IMAGES: [&str; 4] = ["png", "jpeg", "gif", "webp"];
const DOCUMENTS: [&str; 9] = ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];
const VIDEOS: [&str; 9] = ["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"];
const AUDIO: [&str; 15] = [
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg",
    "mpga", "pcm", "webm",
];

/// Checks every constrained member of a well-formed request.
pub(super) fn check(body: &Value, mode: Mode) -> Result<(), Refusal> {
    inference(body)?;
    settings(body, mode)?;
    metadata(body)?;
    for place in blocks(body) {
        content(place.content, &place.path())?;
    }
    for (index, message) in items(body, "messages").iter().enumerate() {
        let role = message.get("role");
        one_of(role, &format!("messages.{index}.role"), &["user", "assistant", "system"])?;
    }
    for (index, block) in items(body, "system").iter().enumerate() {
        if block.get("text").and_then(Value::as_str) == Some("") {
            let rule = "Member must have length greater than or equal to 1";
            return Err(constraint(&Value::from(""), &format!("system.{index}.text"), rule));
        }
        cache_point(block, &format!("system.{index}"))?;
    }
    Ok(())
}

/// Whether `name` matches the pattern of tool names.
pub(super) fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(super) fn tool_name(name: &Value, place: &str) -> Result<(), Refusal> {
    if name.as_str().is_some_and(is_tool_name) {
        return Ok(());
    }
    let long = name.as_str().is_some_and(|name| name.len() > 64);
    let rule = if long {
        "Member must have length less than or equal to 64"
    } else {
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+"
    };
    Err(constraint(name, place, rule))
}

fn inference(body: &Value) -> Result<(), Refusal> {
    let config = body.get("inferenceConfig").unwrap_or(&Value::Null);
    for name in ["temperature", "topP"] {
        let Some(value) = config.get(name) else { continue };
        let number = value.as_f64().unwrap_or_default();
        let place = format!("inferenceConfig.{name}");
        if number > 1.0 {
            return Err(constraint(
                value,
                &place,
                "Member must have value less than or equal to 1",
            ));
        }
        if number < 0.0 {
            let rule = "Member must have value greater than or equal to 0";
            return Err(constraint(value, &place, rule));
        }
    }
    if let Some(most) = config.get("maxTokens").filter(|most| most.as_i64().is_some_and(|n| n < 1))
    {
        let rule = "Member must have value greater than or equal to 1";
        return Err(constraint(most, "inferenceConfig.maxTokens", rule));
    }
    let stops = items(config, "stopSequences");
    if stops.len() > 2_500 {
        let rule = "Member must have length less than or equal to 2500";
        return Err(constraint(&Value::from(stops.len()), "inferenceConfig.stopSequences", rule));
    }
    if let Some(index) = stops.iter().position(|stop| stop.as_str() == Some("")) {
        let place = format!("inferenceConfig.stopSequences.{}.member", index + 1);
        let rule = "Member must have length greater than or equal to 1";
        return Err(constraint(&Value::from(""), &place, rule));
    }
    Ok(())
}

fn settings(body: &Value, mode: Mode) -> Result<(), Refusal> {
    let at = |pointer: &str| body.pointer(pointer);
    one_of(
        at("/performanceConfig/latency"),
        "performanceConfig.latency",
        &["standard", "optimized"],
    )?;
    one_of(
        at("/serviceTier/type"),
        "serviceTier.type",
        &["priority", "default", "flex", "reserved"],
    )?;
    one_of(at("/outputConfig/textFormat/type"), "outputConfig.textFormat.type", &["json_schema"])?;
    let efforts = ["low", "medium", "high", "xhigh", "max"];
    one_of(at("/outputConfig/effort"), "outputConfig.effort", &efforts)?;
    let traces = ["enabled", "disabled", "enabled_full"];
    one_of(at("/guardrailConfig/trace"), "guardrailConfig.trace", &traces)?;
    let processing = at("/guardrailConfig/streamProcessingMode");
    if processing.is_some() && mode == Mode::Unary {
        let problem = "extraneous key [streamProcessingMode] is not permitted";
        return Err(Refusal::malformed("#/guardrailConfig", problem));
    }
    one_of(processing, "guardrailConfig.streamProcessingMode", &["sync", "async"])?;
    let paths = items(body, "additionalModelResponseFieldPaths");
    let pointers = paths.iter().filter_map(Value::as_str);
    if paths.len() > 10 || pointers.clone().any(|path| !(1..=256).contains(&path.len())) {
        let rule = "Member must have length less than or equal to 10, each between 1 and 256";
        return Err(constraint(&Value::from(paths), "additionalModelResponseFieldPaths", rule));
    }
    if let Some(path) = pointers.clone().find(|path| !path.starts_with('/')) {
        return Err(Refusal::validation(format!(
            "The JSON Pointer {path} in additionalModelResponseFieldPaths is not valid. Update the JSON Pointer and try again."
        )));
    }
    Ok(())
}

fn metadata(body: &Value) -> Result<(), Refusal> {
    let Some(members) = body.get("requestMetadata").and_then(Value::as_object) else {
        return Ok(());
    };
    let allowed = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || c.is_whitespace() || ":_@$#=/+,-.".contains(c))
    };
    if !(1..=16).contains(&members.len()) {
        let rule = "Member must have between 1 and 16 entries";
        return Err(constraint(&Value::from(members.len()), "requestMetadata", rule));
    }
    for (key, value) in members {
        let value_text = value.as_str().unwrap_or_default();
        let fits = (1..=256).contains(&key.len()) && value_text.len() <= 256;
        if !fits || !allowed(key) || !allowed(value_text) {
            let rule =
                "Member must satisfy regular expression pattern: [a-zA-Z0-9\\s:_@$#=/+,-.]{0,256}";
            return Err(constraint(value, &format!("requestMetadata.{key}"), rule));
        }
    }
    Ok(())
}

fn content(block: &Value, place: &str) -> Result<(), Refusal> {
    media(block, place)?;
    cache_point(block, place)?;
    if let Some(call) = block.get("toolUse") {
        tool_id(call, &format!("{place}.toolUse"))?;
        tool_name(call.get("name").unwrap_or(&Value::Null), &format!("{place}.toolUse.name"))?;
        if !call.get("input").is_some_and(Value::is_object) {
            return Err(Refusal::validation(format!(
                "The format of the value at {place}.toolUse.input is invalid. Provide a json object for the field and try again."
            )));
        }
    }
    if let Some(result) = block.get("toolResult") {
        let place = format!("{place}.toolResult");
        tool_id(result, &place)?;
        one_of(result.get("status"), &format!("{place}.status"), &["success", "error"])?;
        for (index, part) in items(result, "content").iter().enumerate() {
            media(part, &format!("{place}.content.{index}"))?;
        }
    }
    Ok(())
}

fn media(block: &Value, place: &str) -> Result<(), Refusal> {
    let kinds: [(&str, &[&str]); 4] =
        [("image", &IMAGES), ("document", &DOCUMENTS), ("video", &VIDEOS), ("audio", &AUDIO)];
    kinds.iter().try_for_each(|(kind, formats)| {
        let format = block.get(*kind).and_then(|medium| medium.get("format"));
        // The service was observed to accept a media type as the format of a video.
        let format = format.filter(|format| {
            *kind != "video" || !format.as_str().is_some_and(|name| name.starts_with("video/"))
        });
        one_of(format, &format!("{place}.{kind}.format"), formats)
    })
}

fn cache_point(block: &Value, place: &str) -> Result<(), Refusal> {
    let Some(point) = block.get("cachePoint") else { return Ok(()) };
    one_of(point.get("type"), &format!("{place}.cachePoint.type"), &["default"])?;
    one_of(point.get("ttl"), &format!("{place}.cachePoint.ttl"), &["5m", "1h"])
}

fn tool_id(block: &Value, place: &str) -> Result<(), Refusal> {
    let id = text(block, "toolUseId");
    let fits = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
    if fits {
        return Ok(());
    }
    let rule = if id.len() > 64 {
        "Member must have length less than or equal to 64"
    } else {
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+"
    };
    Err(constraint(&Value::from(id), &format!("{place}.toolUseId"), rule))
}
