//! `prompt` of a request for a response: a stored prompt that stands in place of the model.

use schema::openai::responses::object::EchoedPrompt;
use schema::openai::responses::request::{PromptRef, ResponsesRequest};

use crate::profile::Surface;
use crate::stored_prompt::{self, PREFIX, Variables, is_id};
use crate::{Invalid, Profile, Report};

/// The field.
const PROMPT: &str = "prompt";
/// The field of its variables.
const VARIABLES: &str = "prompt.variables";

/// The name of the model, or that of the prompt which names one.
pub(super) fn model_name(request: &ResponsesRequest<'_>) -> String {
    match &request.prompt {
        Some(prompt) if request.model.is_empty() => name_of(prompt),
        Some(_) | None => request.model.to_string(),
    }
}

/// `prompt/ID:VERSION` of an id, and an ARN or a name of the gateway's as it is.
fn name_of(prompt: &PromptRef<'_>) -> String {
    let id = prompt.id.as_str();
    let mut name = if is_id(id) { format!("{PREFIX}{id}") } else { id.to_owned() };
    if let Some(version) = prompt.version.as_deref().filter(|_| takes_version(id)) {
        name.push(':');
        name.push_str(version);
    }
    name
}

/// Whether a version can be added: to an id, or to an ARN without one.
fn takes_version(id: &str) -> bool {
    let of_arn = id.strip_prefix("arn:").and_then(|rest| rest.rsplit_once(":prompt/"));
    is_id(id) || of_arn.is_some_and(|(_, id)| is_id(id))
}

/// The values of the prompt's variables.
///
/// # Errors
/// A value is no text, or the prompt is not the one that would be called.
pub(super) fn variables<'r>(
    request: &'r ResponsesRequest<'_>,
    profile: &Profile,
    report: &mut Report,
) -> Result<Variables<'r>, Invalid> {
    let Some(prompt) = &request.prompt else { return Ok(Variables::new()) };
    checked(prompt, &request.model, profile)?;
    stored_prompt::variables(prompt.variables.as_ref(), VARIABLES, profile, report)
}

fn checked(prompt: &PromptRef<'_>, model: &str, profile: &Profile) -> Result<(), Invalid> {
    if prompt.version.is_some() && !takes_version(&prompt.id) {
        let message = "prompt.version: this name of a prompt has its version already: leave the version out, or send the id of a prompt of Prompt management.";
        return Err(Invalid::value("prompt.version", message));
    }
    if profile.surface != Surface::Prompt {
        let message = "prompt.id is not a prompt of Prompt management: send its id of 10 characters, its ARN, or a name of the gateway's for it, and leave model out; or send the prompt's text in instructions or input.";
        return Err(Invalid::value(PROMPT, message));
    }
    if !model.is_empty() && *model != name_of(prompt) {
        let message = "A stored prompt names its model: leave model out beside prompt.";
        return Err(Invalid::value("model", message));
    }
    Ok(())
}

/// The member of the response.
pub(super) fn echoed(prompt: &PromptRef<'_>) -> EchoedPrompt {
    EchoedPrompt {
        id: prompt.id.to_string(),
        version: prompt.version.as_deref().map(ToOwned::to_owned),
        variables: prompt.variables.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_named_by_id_arn_or_name() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ";
        for (id, version, expected) in [
            ("ABCDEFGHIJ", None, "prompt/ABCDEFGHIJ".to_owned()),
            ("ABCDEFGHIJ", Some("2"), "prompt/ABCDEFGHIJ:2".to_owned()),
            (arn, Some("2"), format!("{arn}:2")),
            (&format!("{arn}:1"), Some("2"), format!("{arn}:1")),
            ("greeting", None, "greeting".to_owned()),
        ] {
            let version = version.map(Into::into);
            let prompt = PromptRef { id: id.into(), version, variables: None };
            assert_eq!(name_of(&prompt), expected);
        }
    }
}
