//! Order of roles, and non-empty content of every message.

use serde_json::Value;

use super::blocks;
use crate::{
    error::Refusal,
    json::{items, text},
    models::{Family, Model},
};

/// Checks the roles and texts of all messages.
pub(super) fn check(model: &Model, body: &Value) -> Result<(), Refusal> {
    let messages = items(body, "messages");
    let Some(last) = messages.last() else {
        return Err(Refusal::validation(
            "A conversation must contain at least one message. Add a message and try again.",
        ));
    };
    roles(model, messages)?;
    for (index, message) in messages.iter().enumerate() {
        if items(message, "content").is_empty() {
            return Err(Refusal::validation(format!(
                "The content field in the Message object at messages.{index} is empty. Add a ContentBlock object to the content field and try again."
            )));
        }
    }
    for place in blocks(body) {
        let (path, content) = (place.path(), place.content);
        if is_blank(content.get("text")) && !is_separator(content, messages.get(place.message)) {
            return Err(Refusal::validation(format!(
                "The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again."
            )));
        }
        if is_blank(content.pointer("/guardContent/text/text")) {
            return Err(Refusal::validation(format!(
                "The text field in the GuardrailConverseContentBlock object at {path}.guardContent is blank. Add text to the text field, and try again."
            )));
        }
    }
    system(model, body)?;
    prefill(model, last)
}

fn roles(model: &Model, messages: &[Value]) -> Result<(), Refusal> {
    let spoken: Vec<&str> = messages
        .iter()
        .map(|message| text(message, "role"))
        .filter(|role| *role != "system")
        .collect();
    if spoken.len() < messages.len() && model.family != Family::Claude {
        return Err(Refusal::validation(
            "This model doesn't support the system role in messages. Use the system field and try again.",
        ));
    }
    if spoken.first() == Some(&"assistant") && !model.has("lead") {
        return Err(Refusal::validation(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    if spoken.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refusal::validation(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
        ));
    }
    Ok(())
}

fn system(model: &Model, body: &Value) -> Result<(), Refusal> {
    let system = items(body, "system");
    if !system.is_empty() && model.has("no-system") {
        return Err(Refusal::validation(
            "This model doesn't support system messages. Try again without a system message or use a model that supports system messages.",
        ));
    }
    match system.iter().position(|block| is_blank(block.get("text"))) {
        Some(index) => Err(Refusal::validation(format!(
            "The text field in the SystemContentBlock object at system.{index} is blank. Add text to the text field, and try again."
        ))),
        None => Ok(()),
    }
}

fn prefill(model: &Model, last: &Value) -> Result<(), Refusal> {
    if text(last, "role") != "assistant" {
        return Ok(());
    }
    if model.has("no-prefill") {
        return Err(Refusal::from_model(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    let content = items(last, "content");
    if content.iter().any(|block| block.get("toolUse").is_some()) {
        return Ok(());
    }
    let end = content.last().map(|block| text(block, "text")).unwrap_or_default();
    if model.family == Family::Claude {
        return if end.ends_with(char::is_whitespace) {
            Err(Refusal::from_model(
                "messages: final assistant content cannot end with trailing whitespace",
            ))
        } else {
            Ok(())
        };
    }
    Err(Refusal::validation(
        "A conversation must end with a user message. Try again with a conversation that ends with a user message.",
    ))
}

/// A line end between other texts: the only blank text that the service was observed to accept.
fn is_separator(block: &Value, message: Option<&Value>) -> bool {
    let content = message.map(|message| items(message, "content")).unwrap_or_default();
    text(block, "text").contains('\n')
        && content.iter().any(|block| !text(block, "text").trim().is_empty())
}

fn is_blank(text: Option<&Value>) -> bool {
    text.and_then(Value::as_str).is_some_and(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Models;

    /// The service has retired the third generation of Claude; its rule stays in the table for reference.
    #[test]
    fn newer_claude_lets_the_assistant_begin() {
        let models = Models::load();
        let body = json!({"messages": [
            {"role": "assistant", "content": [{"text": "a"}]}, {"role": "user", "content": [{"text": "b"}]},
        ]});
        let begins = |id: &str| check(models.find(id).expect("a model"), &body);
        begins("anthropic.claude-sonnet-4-5-20250929-v1:0").expect("seen to be accepted");
        for id in
            ["anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-7-sonnet-20250219-v1:0"]
        {
            let refusal = begins(id).expect_err(id);
            assert!(refusal.message.starts_with("A conversation must start with a user message"));
        }
    }
}
