//! Requests that Bedrock refuses before a model reads them. The rules follow the API's documentation and
//! the service's messages; models differ by their row in the table of models.

mod caching;
mod family;
mod fields;
mod grammar;
pub(crate) mod guardrails;
mod limits;
mod media;
mod request;
mod shape;
pub(crate) mod thoughts;
mod tools;
mod turns;

use serde_json::{Value, json};
use thoughts::{Dropped, Replay};

use crate::{
    error::Refusal,
    json::items,
    model::tokens,
    models::{Family, Model, Purpose, Target},
};

/// The called Converse operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Unary,
    Stream,
}

/// A content block and its position.
pub(super) struct Place<'a> {
    pub(super) message: usize,
    pub(super) block: usize,
    pub(super) content: &'a Value,
}

/// Checks a Converse or ConverseStream request; returns the reasoning blocks that the model does not read.
pub(crate) fn converse(
    target: &Target,
    body: &Value,
    mode: Mode,
    replay: &Replay<'_>,
) -> Result<Vec<Dropped>, Refusal> {
    request::CONVERSE.check(body, "#")?;
    let model = &target.model;
    if model.purpose != Purpose::Chat || model.has("no-converse") {
        return Err(Refusal::validation(
            "The model that you are using doesn't support the Converse API. Use the InvokeModel operation instead.",
        ));
    }
    limits::check(body, mode)?;
    if target.prompt {
        stored_prompt(body)?;
        return Ok(Vec::new());
    }
    turns::check(model, body)?;
    media::check(model, body)?;
    tools::check(model, body, mode)?;
    family::check(model, body)?;
    let dropped = thoughts::check(model, body, replay)?;
    context(model, body)?;
    Ok(dropped)
}

/// `body` without the reasoning blocks in `dropped`.
pub(crate) fn without(mut body: Value, dropped: &[Dropped]) -> Value {
    for Dropped { message, block, .. } in dropped.iter().rev() {
        let content = body.pointer_mut(&format!("/messages/{message}/content"));
        if let Some(blocks) = content.and_then(Value::as_array_mut)
            && *block < blocks.len()
        {
            blocks.remove(*block);
        }
    }
    body
}

/// Checks a CountTokens request.
pub(crate) fn count_tokens(model: &Model, body: &Value) -> Result<(), Refusal> {
    request::COUNT_TOKENS.check(body, "#")?;
    if !model.has("count") {
        return Err(Refusal::validation("The provided model doesn't support counting tokens."));
    }
    match body.pointer("/input/converse") {
        Some(request) => turns::check(model, request),
        None => Ok(()),
    }
}

/// All content blocks of all messages.
pub(super) fn blocks(body: &Value) -> impl Iterator<Item = Place<'_>> {
    items(body, "messages").iter().enumerate().flat_map(|(message, content)| {
        items(content, "content").iter().enumerate().map(move |(block, content)| Place {
            message,
            block,
            content,
        })
    })
}

impl Place<'_> {
    pub(super) fn path(&self) -> String {
        format!("messages.{}.content.{}", self.message, self.block)
    }
}

fn stored_prompt(body: &Value) -> Result<(), Refusal> {
    for field in ["inferenceConfig", "system", "toolConfig", "additionalModelRequestFields"] {
        if body.get(field).is_some_and(|value| !value.is_null()) {
            return Err(Refusal::validation(format!(
                "The {field} field is not supported when you use a prompt from Prompt management. Remove {field} and try again."
            )));
        }
    }
    Ok(())
}

fn context(model: &Model, body: &Value) -> Result<(), Refusal> {
    let (count, most) = (tokens::of_request(body), model.context);
    if count <= most {
        return Ok(());
    }
    Err(match model.family {
        Family::Claude => {
            Refusal::from_model(&format!("prompt is too long: {count} tokens > {most} maximum"))
        }
        Family::Nova => Refusal::from_model(
            "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
        ),
        Family::Llama
        | Family::Mistral
        | Family::Kimi
        | Family::Gpt
        | Family::Grok
        | Family::DeepSeek
        | Family::Titan
        | Family::Cohere
        | Family::Marengo
        | Family::Other => Refusal::validation("Input is too long for requested model."),
    })
}

/// The refusal of a value that violates a constraint of the API's model.
pub(super) fn constraint(value: &Value, place: &str, rule: &str) -> Refusal {
    let shown = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Refusal::validation(format!(
        "1 validation error detected: Value '{shown}' at '{place}' failed to satisfy constraint: {rule}"
    ))
}

/// Refuses a string outside `allowed`.
pub(super) fn one_of(value: Option<&Value>, place: &str, allowed: &[&str]) -> Result<(), Refusal> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(()) };
    if value.as_str().is_some_and(|text| allowed.contains(&text)) {
        return Ok(());
    }
    let rule = format!(
        "Member must satisfy enum value set: {}",
        json!(allowed).to_string().replace('"', "")
    );
    Err(constraint(value, place, &rule))
}
