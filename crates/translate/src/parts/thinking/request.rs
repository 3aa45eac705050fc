//! The reasoning request of a call, from any of the three fields.

use schema::openai::chat::ChatRequest;
use schema::openai::reasoning::{ReasoningField, ReasoningFormat, ThinkingField};

use crate::Invalid;
use crate::profile::Effort;

/// The three fields combined.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ReasoningRequest<'a> {
    /// Reasoning on or off; `None` if not stated.
    pub(super) switch: Option<Switch>,
    pub(super) amount: Amount,
    /// The field that states the amount.
    pub(super) amount_field: Vec<&'static str>,
    /// Display of reasoning, as a value of the models that support several kinds.
    pub(super) display: Option<&'a str>,
    pub(super) display_field: Vec<&'static str>,
    /// The fields that contribute.
    pub(super) fields: Vec<&'static str>,
    /// The fields that a stronger one contradicts.
    pub(super) overruled: Vec<&'static str>,
    /// Whether "off" still allows reasoning between tool calls.
    pub(super) between_tools: bool,
    /// Whether the client asks for reasoning to be hidden.
    pub(crate) hidden: bool,
}

/// Reasoning on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    On,
    Off,
}

/// Amount of reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Amount {
    #[default]
    Unsaid,
    Level(Effort),
    /// Tokens.
    Budget(u32),
}

/// The mode that reasons only as far as tool calls need it.
const BETWEEN_TOOLS: &str = "between_tools";

/// Budget for each level, in tokens: the usual figures of other gateways, the last two low enough
/// for every model with a budget.
const BUDGETS: [(Effort, u32); 6] = [
    (Effort::Minimal, 1024),
    (Effort::Low, 2048),
    (Effort::Medium, 8192),
    (Effort::High, 16_384),
    (Effort::Xhigh, 20_480),
    (Effort::Max, 24_576),
];

impl Amount {
    /// The amount as a level: the lowest whose budget suffices.
    pub(super) fn effort(self) -> Option<Effort> {
        match self {
            Self::Unsaid => None,
            Self::Level(effort) => Some(effort),
            Self::Budget(tokens) => {
                let enough = BUDGETS.iter().find(|(_, budget)| *budget >= tokens);
                Some(enough.map_or(Effort::Max, |(effort, _)| *effort))
            }
        }
    }

    /// The amount in tokens; medium if not stated.
    pub(super) fn budget(self) -> u32 {
        let level = match self {
            Self::Budget(tokens) => return tokens,
            Self::Unsaid => Effort::Medium,
            Self::Level(effort) => effort,
        };
        BUDGETS.iter().find(|(effort, _)| *effort == level).map_or(8192, |(_, budget)| *budget)
    }
}

/// The statement of one field.
#[derive(Clone, Copy, Default)]
struct Says {
    switch: Option<Switch>,
    amount: Amount,
}

impl<'a> ReasoningRequest<'a> {
    /// Reads the fields.
    ///
    /// # Errors
    /// An unknown value, or a number out of range.
    pub(crate) fn of(request: &'a ChatRequest<'a>) -> Result<Self, Invalid> {
        let mut wish = Self::default();
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
            wish.hear("reasoning_effort", of_effort("reasoning_effort", effort)?);
        }
        if wish.display.is_some() && wish.switch.is_none() {
            wish.overruled.append(&mut wish.display_field);
        }
        Ok(wish)
    }

    /// Adds the statement of a field, unless a stronger one contradicts it.
    fn hear(&mut self, field: &'static str, says: Says) {
        let Some(switch) = says.switch else { return };
        match self.switch {
            None => self.switch = Some(switch),
            Some(known) if known != switch => return self.overruled.push(field),
            Some(_) => {}
        }
        match (self.amount, says.amount) {
            (_, Amount::Unsaid) => {}
            (Amount::Unsaid, amount) => {
                self.amount = amount;
                self.amount_field.push(field);
            }
            (known, amount) if known != amount => return self.overruled.push(field),
            (_, _) => {}
        }
        self.fields.push(field);
    }
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
    let amount = budget("thinking.budget_tokens", field.budget_tokens)?;
    Ok(Says { switch: Some(switch), amount })
}

fn of_reasoning(field: &ReasoningField<'_>) -> Result<Says, Invalid> {
    let level = match field.effort.as_deref() {
        Some(effort) => of_effort("reasoning.effort", effort)?,
        None => Says::default(),
    };
    let budget = budget("reasoning.max_tokens", field.max_tokens)?;
    let amount = if budget == Amount::Unsaid { level.amount } else { budget };
    let switch = match field.enabled {
        Some(false) => Some(Switch::Off),
        Some(true) => level.switch.or(Some(Switch::On)),
        None => level.switch.or((amount != Amount::Unsaid).then_some(Switch::On)),
    };
    Ok(Says { switch, amount })
}

fn of_effort(param: &'static str, word: &str) -> Result<Says, Invalid> {
    if word == "none" {
        return Ok(Says { switch: Some(Switch::Off), amount: Amount::Unsaid });
    }
    let Some(effort) = Effort::named(word) else {
        let message =
            format!("{param} is none, minimal, low, medium, high, xhigh or max, and not {word:?}.");
        return Err(Invalid::value(param, message));
    };
    Ok(Says { switch: Some(Switch::On), amount: Amount::Level(effort) })
}

fn budget(param: &'static str, tokens: Option<i64>) -> Result<Amount, Invalid> {
    let Some(tokens) = tokens else { return Ok(Amount::Unsaid) };
    match u32::try_from(tokens) {
        Ok(tokens) if tokens > 0 => Ok(Amount::Budget(tokens)),
        _ => {
            let message = format!("{param} must be a positive number of tokens, and is {tokens}.");
            Err(Invalid::value(param, message).with_code("integer_below_min_value"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn wish(fields: &serde_json::Value, check: impl FnOnce(ReasoningRequest<'_>)) {
        let mut body = json!({ "model": "m", "messages": [] });
        body.as_object_mut().unwrap().append(&mut fields.as_object().unwrap().clone());
        let body = body.to_string();
        let request: ChatRequest<'_> = serde_json::from_str(&body).unwrap();
        check(ReasoningRequest::of(&request).unwrap());
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
    fn levels_and_budgets_are_convertible() {
        for (effort, budget) in BUDGETS {
            assert_eq!(Amount::Level(effort).budget(), budget);
            assert_eq!(Amount::Budget(budget).effort(), Some(effort));
        }
        assert_eq!(Amount::Budget(2049).effort(), Some(Effort::Medium));
        assert_eq!(Amount::Budget(1_000_000).effort(), Some(Effort::Max));
    }

    #[test]
    fn hiding_reasoning_does_not_request_it() {
        wish(&json!({ "reasoning": { "exclude": true } }), |wish| {
            assert!(wish.hidden);
            assert_eq!(wish.switch, None);
        });
    }
}
