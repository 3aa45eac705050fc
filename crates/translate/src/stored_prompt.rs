//! Stored prompts of Prompt management, which Converse takes in place of a model. A prompt has a model, instructions,
//! tools and settings of its own: a request fills its variables, and adds messages after the prompt's.

use std::collections::BTreeMap;

use schema::Str;
use schema::converse::request::{ConverseRequest, InferenceConfig, PromptVariable};
use serde_json::{Map, Value};

use crate::profile::Surface;
use crate::{Invalid, Profile, Report};

/// The field of the values in every API but that of responses.
pub(crate) const VARIABLES: &str = "prompt_variables";

/// First segment of a prompt's name, before its id.
pub const PREFIX: &str = "prompt/";
/// Length of a prompt's id.
const ID_LENGTH: usize = 10;

/// Whether a text is an id of Prompt management.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Variables by name, as Converse takes them.
pub(crate) type Variables<'a> = BTreeMap<Str<'a>, PromptVariable<'a>>;

/// The values of a prompt's variables. Models have none, for which they are reported.
///
/// # Errors
/// A value is no text.
pub(crate) fn variables<'a>(
    given: Option<&'a Map<String, Value>>,
    field: &'static str,
    profile: &Profile,
    report: &mut Report,
) -> Result<Variables<'a>, Invalid> {
    let mut variables = Variables::new();
    for (name, value) in given.into_iter().flatten() {
        let text = text_of(value).ok_or_else(|| {
            let message = "a variable of a prompt takes a text: a string, a number, or an object with type input_text and text.";
            Invalid::value(format!("{field}.{name}"), format!("{field}.{name}: {message}"))
        })?;
        variables.insert(name.as_str().into(), PromptVariable { text });
    }
    if profile.surface != Surface::Prompt && !variables.is_empty() {
        report.ignore(field);
        variables.clear();
    }
    Ok(variables)
}

fn text_of(value: &Value) -> Option<Str<'_>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        Value::Object(part) if part.get("type")?.as_str()? == "input_text" => {
            part.get("text")?.as_str().map(Into::into)
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The refusal of tools, which stand in the prompt.
pub(crate) fn own_tools(field: &'static str) -> Invalid {
    Invalid::value(field, "A stored prompt has tools of its own: leave tools out.")
}

/// Leaves what a stored prompt has of its own out of a request: settings are reported.
///
/// # Errors
/// The request has instructions or fields of the model's own, without which it would mean something else.
pub fn fit(body: &mut ConverseRequest<'_>, report: &mut Report) -> Result<(), Invalid> {
    if !body.system.is_empty() {
        let message = "A stored prompt has instructions of its own: leave system and developer messages, instructions and a JSON format without a schema out.";
        return Err(Invalid::value("messages", message));
    }
    if !body.additional_model_request_fields.is_empty() {
        let field = "additional_model_request_fields";
        let message = "A stored prompt has fields of the model's own in itself: leave additional_model_request_fields, reasoning and betas out.";
        return Err(Invalid::value(field, message));
    }
    let InferenceConfig { max_tokens, temperature, top_p, stop_sequences } = &body.inference_config;
    let settings = [
        ("max_tokens", max_tokens.is_some()),
        ("temperature", temperature.is_some()),
        ("top_p", top_p.is_some()),
        ("stop", !stop_sequences.is_empty()),
    ];
    for (field, _) in settings.into_iter().filter(|(_, is_set)| *is_set) {
        report.ignore(field);
    }
    body.inference_config = InferenceConfig::default();
    Ok(())
}
