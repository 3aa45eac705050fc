//! Refusals of Claude's Messages body that Bedrock makes before the model reads it: members it does not know,
//! betas it does not know, and members without the beta that they need.

use serde_json::Value;

use crate::{
    error::Refusal,
    json::{items, text},
    models::Model,
};

/// Members of the body.
const MEMBERS: [&str; 17] = [
    "anthropic_version",
    "anthropic_beta",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "thinking",
    "output_config",
    "metadata",
    "context_management",
    "compaction",
    "safeguards",
];

/// Betas by the beginnings of their names; dates follow.
const BETAS: [&str; 17] = [
    "claude-code-",
    "compact-",
    "computer-use-",
    "context-1m-",
    "context-management-",
    "dangerous-tool-use-",
    "effort-",
    "fine-grained-tool-streaming-",
    "interleaved-thinking-",
    "mid-conversation-",
    "output-128k-",
    "per-turn-control-",
    "structured-outputs-",
    "thinking-",
    "token-efficient-tools-",
    "tool-examples-",
    "tool-search-tool-",
];

/// Members and the beginnings of the betas that they need, one of each.
const NEEDS: [(&str, &[&str]); 3] = [
    ("context_management", &["context-management-", "compact-"]),
    ("compaction", &["compact-"]),
    ("safeguards", &["dangerous-tool-use-"]),
];

/// Checks the roles of the messages: few models read instructions within the conversation.
pub(super) fn roles(model: &Model, body: &Value) -> Result<(), Refusal> {
    let is_system = |message: &Value| text(message, "role") == "system";
    if model.has("system-turns") || !items(body, "messages").iter().any(is_system) {
        return Ok(());
    }
    Err(Refusal::validation(
        "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.",
    ))
}

/// Checks a body.
pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    let Some(members) = body.as_object() else {
        return Err(Refusal::validation("Input should be an object"));
    };
    let betas: Vec<&str> = match body.get("anthropic_beta") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(betas)) => betas.iter().filter_map(Value::as_str).collect(),
        Some(_) => {
            return Err(Refusal::validation("anthropic_beta: Input should be a valid list"));
        }
    };
    if betas.iter().any(|beta| !BETAS.iter().any(|known| beta.starts_with(known))) {
        return Err(Refusal::validation("invalid beta flag"));
    }
    let has = |wanted: &[&str]| {
        betas.iter().any(|beta| wanted.iter().any(|wanted| beta.starts_with(wanted)))
    };
    for name in members.keys() {
        let needs = NEEDS.iter().find(|(member, _)| member == name);
        if !MEMBERS.contains(&name.as_str()) || needs.is_some_and(|(_, betas)| !has(betas)) {
            return Err(extra(name));
        }
    }
    for (at, tool) in items(body, "tools").iter().enumerate() {
        for (member, beta) in [
            ("defer_loading", "tool-search-tool-"),
            ("input_examples", "tool-examples-"),
            ("allowed_callers", "none"),
        ] {
            if tool.get(member).is_some() && !has(&[beta]) {
                return Err(extra(&format!("tools.{at}.custom.{member}")));
            }
        }
        scope(tool, &format!("tools.{at}.custom"))?;
    }
    let metadata = body.get("metadata").and_then(Value::as_object);
    let other = metadata.and_then(|metadata| metadata.keys().find(|name| *name != "user_id"));
    if let Some(name) = other {
        return Err(extra(&format!("metadata.{name}")));
    }
    for (at, block) in items(body, "system").iter().enumerate() {
        scope(block, &format!("system.{at}"))?;
    }
    for (at, message) in items(body, "messages").iter().enumerate() {
        for (place, block) in items(message, "content").iter().enumerate() {
            let path = format!("messages.{at}.content.{place}");
            scope(block, &path)?;
            let is_link = block.get("source").is_some_and(|source| text(source, "type") == "url");
            if is_link {
                return Err(Refusal::validation(format!(
                    "{path}.{}.source: URL sources are not supported",
                    text(block, "type")
                )));
            }
        }
    }
    Ok(())
}

/// Refuses the scope of a cache, which Bedrock does not have.
fn scope(part: &Value, path: &str) -> Result<(), Refusal> {
    match part.pointer("/cache_control/scope") {
        Some(_) => Err(extra(&format!("{path}.cache_control.ephemeral.scope"))),
        None => Ok(()),
    }
}

fn extra(path: &str) -> Refusal {
    Refusal::validation(format!("{path}: Extra inputs are not permitted"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(body: &Value) -> Option<String> {
        check(body).err().map(|refusal| format!("{refusal:?}"))
    }

    #[test]
    fn a_member_needs_its_beta() {
        for (member, value, beta) in [
            ("context_management", json!({ "edits": [] }), "context-management-2025-06-27"),
            ("compaction", json!({}), "compact-2026-09-04"),
            (
                "tools",
                json!([{ "name": "a", "defer_loading": true }]),
                "tool-search-tool-2025-10-19",
            ),
            ("tools", json!([{ "name": "a", "input_examples": [] }]), "tool-examples-2025-10-29"),
        ] {
            let mut body = json!({ member: value });
            assert!(refused(&body).unwrap().contains("Extra inputs are not permitted"), "{member}");
            body["anthropic_beta"] = json!([beta]);
            assert_eq!(refused(&body), None, "{member}");
        }
    }

    #[test]
    fn unknown_members_and_betas_are_refused() {
        for (body, told) in [
            (json!({ "anthropic_beta": ["no-such-2099-01-01"] }), "invalid beta flag"),
            (json!({ "model": "a" }), "model: Extra inputs"),
            (json!({ "stream": true }), "stream: Extra inputs"),
            (json!({ "metadata": { "trace": 1 } }), "metadata.trace: Extra inputs"),
            (
                json!({ "system": [{ "type": "text", "text": "a", "cache_control": { "type": "ephemeral", "scope": "global" } }] }),
                "system.0.cache_control.ephemeral.scope: Extra inputs",
            ),
            (
                json!({ "messages": [{ "role": "user", "content": [{ "type": "image", "source": { "type": "url", "url": "https://a.example" } }] }] }),
                "messages.0.content.0.image.source: URL sources",
            ),
        ] {
            assert!(refused(&body).unwrap().contains(told), "{told}");
        }
    }
}
