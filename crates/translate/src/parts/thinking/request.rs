//! The reasoning request of a call, from one field or several that state it.

use crate::Invalid;
use crate::profile::Effort;

/// The fields of a request combined, the strongest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ReasoningRequest<'a> {
    /// Reasoning on or off; `None` if not stated.
    pub(crate) switch: Option<Switch>,
    pub(crate) amount: Amount,
    /// The field that states the amount.
    pub(crate) amount_field: Vec<&'static str>,
    /// Display of reasoning, as a value of the models that support several kinds.
    pub(crate) display: Option<&'a str>,
    pub(crate) display_field: Vec<&'static str>,
    /// The fields that contribute.
    pub(crate) fields: Vec<&'static str>,
    /// The fields that a stronger one contradicts.
    pub(crate) overruled: Vec<&'static str>,
    /// Whether "off" still allows reasoning between tool calls.
    pub(crate) between_tools: bool,
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
    /// The amount of a budget in tokens.
    ///
    /// # Errors
    /// The number is out of range.
    pub(crate) fn tokens(param: &'static str, tokens: Option<i64>) -> Result<Self, Invalid> {
        let Some(tokens) = tokens else { return Ok(Self::Unsaid) };
        match u32::try_from(tokens) {
            Ok(tokens) if tokens > 0 => Ok(Self::Budget(tokens)),
            _ => {
                let message =
                    format!("{param} must be a positive number of tokens, and is {tokens}.");
                Err(Invalid::value(param, message).with_code("integer_below_min_value"))
            }
        }
    }

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
pub(crate) struct Says {
    pub(crate) switch: Option<Switch>,
    pub(crate) amount: Amount,
}

impl ReasoningRequest<'_> {
    /// Adds the statement of a field, unless a stronger one contradicts it.
    pub(crate) fn hear(&mut self, field: &'static str, says: Says) {
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

impl Says {
    /// The statement of an effort, by its word.
    ///
    /// # Errors
    /// The word names no effort.
    pub(crate) fn effort(param: &'static str, word: &str) -> Result<Self, Invalid> {
        if word == "none" {
            return Ok(Self { switch: Some(Switch::Off), amount: Amount::Unsaid });
        }
        let Some(effort) = Effort::named(word) else {
            let message = format!(
                "{param} is none, minimal, low, medium, high, xhigh or max, and not {word:?}."
            );
            return Err(Invalid::value(param, message));
        };
        Ok(Self { switch: Some(Switch::On), amount: Amount::Level(effort) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_budgets_are_convertible() {
        for (effort, budget) in BUDGETS {
            assert_eq!(Amount::Level(effort).budget(), budget);
            assert_eq!(Amount::Budget(budget).effort(), Some(effort));
        }
        assert_eq!(Amount::Budget(2049).effort(), Some(Effort::Medium));
        assert_eq!(Amount::Budget(1_000_000).effort(), Some(Effort::Max));
    }
}
