//! The reasoning fields of a chat request: the wish for reasoning, from any of three fields. Of
//! contradicting fields, `thinking` overrides `reasoning`, and `reasoning` overrides
//! `reasoning_effort`. The past reasoning in messages is read in `reasoning/received.rs`.

use schema::openai::chat::ChatRequest;
use schema::openai::reasoning::{ReasoningField, ReasoningFormat, ThinkingField};

use crate::Invalid;
use crate::parts::thinking::{Amount, ReasoningRequest, Says, Switch};

pub(super) mod received;

/// The mode that reasons only as far as tool calls need it.
const BETWEEN_TOOLS: &str = "between_tools";

/// Reads the fields that request reasoning.
///
/// # Errors
/// An unknown value, or a number out of range.
pub(super) fn reasoning_request<'a>(
    request: &'a ChatRequest<'a>,
) -> Result<ReasoningRequest<'a>, Invalid> {
    let mut wish = ReasoningRequest::default();
    if let Some(field) = &request.thinking {
        wish.hear("thinking", of_thinking(field)?);
        wish.between_tools = &*field.kind == BETWEEN_TOOLS;
        wish.display = field.display.as_deref();
        wish.display_field.extend(field.display.is_some().then_some("thinking.display"));
    }
    if let Some(field) = &request.reasoning {
        wish.hear("reasoning", of_reasoning(field)?);
        wish.hidden = field.exclude == Some(true);
        if field.summary.as_deref().is_some_and(|summary| summary != "none")
            && wish.display.is_none()
        {
            wish.display = Some("summarized");
            wish.display_field.push("reasoning.summary");
        }
    }
    wish.hidden |= request.reasoning_format == Some(ReasoningFormat::Hidden);
    if let Some(effort) = request.reasoning_effort.as_deref() {
        wish.hear("reasoning_effort", Says::effort("reasoning_effort", effort)?);
    }
    if wish.display.is_some() && wish.switch.is_none() {
        wish.overruled.append(&mut wish.display_field);
    }
    Ok(wish)
}

fn of_thinking(field: &ThinkingField<'_>) -> Result<Says, Invalid> {
    let switch = match &*field.kind {
        "enabled" | "adaptive" => Switch::On,
        "disabled" | BETWEEN_TOOLS => Switch::Off,
        other => {
            let message = format!(
                "thinking.type is enabled, adaptive, disabled or between_tools, and not {other:?}."
            );
            return Err(Invalid::value("thinking.type", message));
        }
    };
    let amount = Amount::tokens("thinking.budget_tokens", field.budget_tokens)?;
    Ok(Says { switch: Some(switch), amount })
}

pub(crate) fn of_reasoning(field: &ReasoningField<'_>) -> Result<Says, Invalid> {
    let level = match field.effort.as_deref() {
        Some(effort) => Says::effort("reasoning.effort", effort)?,
        None => Says::default(),
    };
    let budget = Amount::tokens("reasoning.max_tokens", field.max_tokens)?;
    let amount = if budget == Amount::Unsaid { level.amount } else { budget };
    let switch = match field.enabled {
        Some(false) => Some(Switch::Off),
        Some(true) => level.switch.or(Some(Switch::On)),
        None => level.switch.or((amount != Amount::Unsaid).then_some(Switch::On)),
    };
    Ok(Says { switch, amount })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::Effort;

    #[track_caller]
    fn wish(fields: &serde_json::Value, check: impl FnOnce(ReasoningRequest<'_>)) {
        let mut body = json!({ "model": "m", "messages": [] });
        body.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
        let body = body.to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        check(reasoning_request(&request).unwrap());
    }

    #[test]
    fn a_request_without_fields_requests_no_reasoning() {
        wish(&json!({}), |wish| assert_eq!(wish, ReasoningRequest::default()));
        wish(&json!({ "reasoning": {} }), |wish| assert_eq!(wish.switch, None));
    }

    #[test]
    fn the_stronger_field_wins_and_the_weaker_is_reported() {
        wish(&json!({ "thinking": { "type": "disabled" }, "reasoning_effort": "high" }), |wish| {
            assert_eq!(wish.switch, Some(Switch::Off));
            assert_eq!(wish.overruled, ["reasoning_effort"]);
        });
        wish(&json!({ "reasoning": { "effort": "low" }, "reasoning_effort": "high" }), |wish| {
            assert_eq!(wish.amount, Amount::Level(Effort::Low));
            assert_eq!(wish.overruled, ["reasoning_effort"]);
        });
        wish(&json!({ "thinking": { "type": "adaptive" }, "reasoning_effort": "max" }), |wish| {
            assert_eq!((wish.switch, wish.amount), (Some(Switch::On), Amount::Level(Effort::Max)));
            assert!(wish.overruled.is_empty(), "one says whether, the other how much");
        });
    }

    #[test]
    fn hiding_reasoning_does_not_request_it() {
        wish(&json!({ "reasoning": { "exclude": true } }), |wish| {
            assert!(wish.hidden);
            assert_eq!(wish.switch, None);
        });
    }
}
