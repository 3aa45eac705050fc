//! Checks of guardrail requests: ApplyGuardrail and InvokeGuardrailChecks, by the API's model.

use serde_json::Value;

use super::shape::{
    Shape::{self, Blob, List, Structure, Text, Union},
    may, must,
};
use super::{constraint, one_of};
use crate::{error::Refusal, json::items};

/// Content categories that can be checked without a guardrail.
pub(crate) const CATEGORIES: [&str; 5] = ["HATE", "INSULTS", "MISCONDUCT", "SEXUAL", "VIOLENCE"];
/// Kinds of prompt attacks that can be checked without a guardrail.
pub(crate) const ATTACKS: [&str; 3] = ["JAILBREAK", "PROMPT_INJECTION", "PROMPT_LEAKAGE"];

const APPLY: Shape =
    Structure(&[must("source", &Text), must("content", &List(&BLOCK)), may("outputScope", &Text)]);

const BLOCK: Shape = Union(&[
    may("text", &Structure(&[must("text", &Text), may("qualifiers", &List(&Text))])),
    may(
        "image",
        &Structure(&[must("format", &Text), must("source", &Union(&[may("bytes", &Blob)]))]),
    ),
]);

const CHECKS: Shape = Structure(&[
    must("messages", &List(&MESSAGE)),
    must(
        "checks",
        &Structure(&[
            may("contentFilter", &CATEGORY_CHECK),
            may("promptAttack", &CATEGORY_CHECK),
            may(
                "sensitiveInformation",
                &Structure(&[must("entities", &List(&Structure(&[must("type", &Text)])))]),
            ),
        ]),
    ),
]);

const CATEGORY_CHECK: Shape =
    Structure(&[must("categories", &List(&Structure(&[must("category", &Text)])))]);

const MESSAGE: Shape =
    Structure(&[must("role", &Text), must("content", &List(&Union(&[may("text", &Text)])))]);

/// Most kinds of personal data in one check.
const ENTITIES: usize = 31;

/// Checks an ApplyGuardrail request to a guardrail in a version.
pub(crate) fn apply(id: &str, version: &str, body: &Value) -> Result<(), Refusal> {
    identifier(id)?;
    let number = version.len() <= 8
        && version.bytes().all(|byte| byte.is_ascii_digit())
        && !version.starts_with('0');
    if version != "DRAFT" && (version.is_empty() || !number) {
        let rule = "Member must satisfy regular expression pattern: (|([1-9][0-9]{0,7})|(DRAFT))";
        return Err(constraint(&Value::from(version), "guardrailVersion", rule));
    }
    APPLY.check(body, "#")?;
    one_of(body.get("source"), "source", &["INPUT", "OUTPUT"])?;
    one_of(body.get("outputScope"), "outputScope", &["INTERVENTIONS", "FULL"])?;
    for block in items(body, "content") {
        one_of(block.pointer("/image/format"), "content.image.format", &["png", "jpeg"])?;
        let qualifiers = ["grounding_source", "query", "guard_content"];
        for qualifier in block.get("text").map_or(&[][..], |text| items(text, "qualifiers")) {
            one_of(Some(qualifier), "content.text.qualifiers", &qualifiers)?;
        }
    }
    Ok(())
}

/// Checks an InvokeGuardrailChecks request.
pub(crate) fn checks(body: &Value) -> Result<(), Refusal> {
    CHECKS.check(body, "#")?;
    if items(body, "messages").is_empty() {
        let rule = "Member must have length greater than or equal to 1";
        return Err(constraint(&Value::Array(Vec::new()), "messages", rule));
    }
    for message in items(body, "messages") {
        one_of(message.get("role"), "messages.role", &["user", "assistant", "system"])?;
    }
    for (check, allowed) in [("contentFilter", &CATEGORIES[..]), ("promptAttack", &ATTACKS)] {
        let Some(check_body) = body.pointer(&format!("/checks/{check}")) else { continue };
        for category in items(check_body, "categories") {
            let place = format!("checks.{check}.categories.category");
            one_of(category.get("category"), &place, allowed)?;
        }
    }
    let entities = body.pointer("/checks/sensitiveInformation/entities");
    if entities.and_then(Value::as_array).is_some_and(|entities| entities.len() > ENTITIES) {
        let rule = "Member must have length less than or equal to 31";
        let place = "checks.sensitiveInformation.entities";
        return Err(constraint(&Value::from("entities"), place, rule));
    }
    Ok(())
}

/// Checks an identifier: `[a-z0-9]+`, or an ARN.
fn identifier(id: &str) -> Result<(), Refusal> {
    let plain = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let arn = id.starts_with("arn:aws") && id.contains(":guardrail/");
    if !id.is_empty() && id.len() <= 2048 && (plain || arn) {
        return Ok(());
    }
    let rule = "Member must satisfy regular expression pattern: (|([a-z0-9]+)|(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+))";
    Err(constraint(&Value::from(id), "guardrailIdentifier", rule))
}
