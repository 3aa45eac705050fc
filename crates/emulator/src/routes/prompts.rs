//! `GetPrompt` of bedrock-agent for the one stored prompt of this account, and that prompt in calls of Converse.

use serde_json::{Value, json};

use super::Request;
use crate::{delivery::Reply, error::Refusal, models::ACCOUNT};

/// Its id.
const ID: &str = "EMULPROMPT";
/// Its only version besides the draft.
const VERSION: &str = "1";
/// Its model.
const MODEL: &str = "us.amazon.nova-lite-v1:0";
/// Its text, with a variable.
const TEXT: &str = "Say one sentence about {{rock}}.";
/// The variable, and as it stands in the text.
const VARIABLE: (&str, &str) = ("rock", "{{rock}}");

/// Describes a prompt.
pub(super) fn describe(request: &Request<'_>, id: &str) -> Result<Reply, Refusal> {
    let version = request.parameter("promptVersion").filter(|version| version != "DRAFT");
    if id != ID || version.as_deref().is_some_and(|version| version != VERSION) {
        let message = format!("Prompt {id} could not be found.");
        return Err(Refusal::new(404, "ResourceNotFoundException", message));
    }
    let arn = format!("arn:aws:bedrock:{}:{ACCOUNT}:prompt/{ID}", request.region());
    let arn = version.as_ref().map_or(arn.clone(), |version| format!("{arn}:{version}"));
    let text = json!({ "text": TEXT, "inputVariables": [{ "name": VARIABLE.0 }] });
    Ok(Reply::json(
        200,
        &json!({
            "id": ID,
            "arn": arn,
            "name": "rocks",
            "version": version.as_deref().unwrap_or("DRAFT"),
            "defaultVariant": "plain",
            "variants": [{
                "name": "plain",
                "templateType": "TEXT",
                "templateConfiguration": { "text": text },
                "modelId": MODEL,
                "inferenceConfiguration": { "text": { "temperature": 0.2 } },
            }],
            "createdAt": "2026-11-01T00:00:00Z",
            "updatedAt": "2026-11-01T00:00:00Z",
        }),
    ))
}

/// Puts the text of the prompt with its variables before the messages of a call, if `model_id` is its ARN.
pub(super) fn fill(model_id: &str, body: &mut Value) -> Result<(), Refusal> {
    let name = model_id.rsplit_once(":prompt/").map(|(_, name)| name);
    if name.and_then(|name| name.split(':').next()) != Some(ID) {
        return Ok(());
    }
    let value = body.pointer(&format!("/promptVariables/{}/text", VARIABLE.0));
    let Some(value) = value.and_then(Value::as_str) else {
        return Err(Refusal::validation(format!(
            "The value for the variable {} is missing from promptVariables. Add it and try again.",
            VARIABLE.0
        )));
    };
    let text = TEXT.replace(VARIABLE.1, value);
    let first = json!({ "role": "user", "content": [{ "text": text }] });
    let added = body.get_mut("messages").and_then(Value::as_array_mut).map(std::mem::take);
    let all = std::iter::once(first).chain(added.into_iter().flatten());
    body["messages"] = all.collect();
    Ok(())
}
