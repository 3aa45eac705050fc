//! Requests reasoning from a model. Clients use three vocabularies for it, which their dialects read
//! into one reasoning request, and model families eight: the request becomes the family's fields.

use std::borrow::Cow;

use schema::converse::request::InferenceConfig;
use serde_json::{Map, Value, json};

use super::params::leave_out;
use crate::Report;
use crate::profile::{Effort, Profile, Thinking, ThinkingOff};
use crate::report::LostReasoning;

pub(crate) mod capsule;
pub(crate) mod place;
pub(crate) mod received;
pub(crate) mod replay;
mod request;

pub(crate) use request::{Amount, ReasoningRequest, Says, Switch};

/// The smallest possible budget, in tokens.
const LEAST_BUDGET: u32 = 1024;
/// Tokens for the answer beside its reasoning, where the caller sets no limit.
const ANSWER_ROOM: u32 = 4096;
/// Path of the reasoning token counts in the model's own response.
const COUNT_PATH: &str = "/usage/output_tokens_details";

/// The reasoning settings of a call besides its messages.
#[derive(Debug)]
pub(crate) struct Plan {
    mode: Mode,
    /// Members of `additionalModelRequestFields`, each with the request field that it comes from.
    fields: Vec<(&'static str, Value)>,
    /// Budget for reasoning tokens, where the token limit includes them.
    budget: Option<u32>,
    /// Reasoning settings in the caller's own raw fields.
    raw: Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Thinks,
    Rests,
}

/// Reasoning settings in the caller's own raw fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Raw {
    Silent,
    Spoken,
    /// Settings that cannot be sent.
    Unsaid,
}

/// Presence of the reasoning before the answered tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// It is present, or none is needed.
    Whole,
    /// Some of it is lost.
    Lost,
    /// The first call was made without reasoning: it was off, or the model chose so.
    Unthought,
}

/// The parts of a request that are fixed before reasoning is planned.
pub(crate) struct Given<'a> {
    /// The caller's own request fields, which are never overruled.
    pub(crate) raw: Option<&'a Map<String, Value>>,
    /// The caller's token limit.
    pub(crate) limit: Option<u32>,
    /// The reasoning behind the tool calls that are being answered.
    pub(crate) past: Past,
}

impl Plan {
    /// Decides the settings.
    pub(crate) fn new(
        wish: &ReasoningRequest<'_>,
        profile: &Profile,
        given: &Given<'_>,
        report: &mut Report,
    ) -> Self {
        let &Given { raw, limit, past } = given;
        let mut plan = match spoken(profile, raw) {
            Some(mode) => {
                report.ignore_all(&wish.fields);
                Self { mode, fields: Vec::new(), budget: None, raw: Raw::Spoken }
            }
            None => Self::of(wish, profile, limit, report),
        };
        // With a budget, reasoning comes before the first call, or it was never on.
        let budgeted = plan.budget.is_some()
            || raw.is_some_and(|raw| raw.get("thinking").is_some_and(|it| it["type"] == "enabled"));
        let misses = past == Past::Lost || past == Past::Unthought && budgeted;
        if misses && plan.mode == Mode::Thinks {
            plan.forget(profile, report);
        }
        plan
    }

    fn of(
        wish: &ReasoningRequest<'_>,
        profile: &Profile,
        limit: Option<u32>,
        report: &mut Report,
    ) -> Self {
        let thinks_anyway = match (profile.thinking, profile.thinking_off) {
            (Thinking::None, _) | (_, ThinkingOff::Unsaid) => Mode::Rests,
            _ => Mode::Thinks,
        };
        let mut plan =
            Self { mode: thinks_anyway, fields: Vec::new(), budget: None, raw: Raw::Silent };
        report.ignore_all(&wish.overruled);
        if wish.between_tools && profile.thinking_off != ThinkingOff::BetweenTools {
            report.ignore("thinking.type");
        }
        match (wish.switch, profile.thinking) {
            (None, _) => {}
            (Some(Switch::Off), Thinking::None) => {}
            (Some(Switch::On), Thinking::None) => report.ignore_all(&wish.fields),
            (Some(Switch::On), Thinking::Native) => {
                if wish.amount != Amount::Unsaid {
                    report.ignore_all(&wish.fields);
                }
            }
            (Some(Switch::Off), _) => plan.rest(profile, &wish.fields, report),
            (Some(Switch::On), _) => plan.think(wish, profile, limit, report),
        }
        plan
    }

    fn rest(&mut self, profile: &Profile, asked: &[&'static str], report: &mut Report) {
        self.fields.clear();
        self.budget = None;
        let off = |kind: &str| ("thinking", json!({ "type": kind }));
        match profile.thinking_off {
            ThinkingOff::Unsaid => {}
            ThinkingOff::Disabled => self.fields.push(off("disabled")),
            ThinkingOff::BetweenTools => self.fields.push(off("between_tools")),
            ThinkingOff::EffortNone => self.fields.push(effort_field(profile.thinking, "none")),
            ThinkingOff::Impossible => {
                report.ignore_all(asked);
                return;
            }
        }
        self.mode = Mode::Rests;
    }

    fn think(
        &mut self,
        wish: &ReasoningRequest<'_>,
        profile: &Profile,
        limit: Option<u32>,
        report: &mut Report,
    ) {
        let named = matches!(wish.amount, Amount::Budget(_));
        match profile.thinking {
            Thinking::Budget => self.budget(wish, profile, limit, report),
            Thinking::AdaptiveOrBudget if named => self.budget(wish, profile, limit, report),
            Thinking::Adaptive | Thinking::AdaptiveOrBudget => self.adapt(wish, profile, report),
            Thinking::Effort
            | Thinking::NestedEffort
            | Thinking::ConfigWord
            | Thinking::ReasoningConfig => {
                let anyway = self.mode == Mode::Thinks && wish.amount == Amount::Unsaid;
                let usual = nearest(Effort::Medium, &profile.efforts).filter(|_| !anyway);
                if let Some(effort) = level(wish, profile, report).or(usual) {
                    self.fields.push(effort_field(profile.thinking, effort.name()));
                }
                if wish.display.is_some() {
                    report.ignore_all(&wish.display_field);
                }
                self.mode = Mode::Thinks;
            }
            Thinking::None | Thinking::Native => self.mode = Mode::Thinks,
        }
    }

    fn budget(
        &mut self,
        wish: &ReasoningRequest<'_>,
        profile: &Profile,
        limit: Option<u32>,
        report: &mut Report,
    ) {
        let Some(budget) = fitting(wish.amount, limit, profile.most_max_tokens) else {
            report.ignore_all(&wish.fields);
            return;
        };
        if wish.amount != Amount::Unsaid && wish.amount.budget() != budget {
            report.ignore_all(&wish.amount_field);
        }
        let mut thinking = shown(wish);
        thinking.insert("type".to_owned(), "enabled".into());
        thinking.insert("budget_tokens".to_owned(), budget.into());
        self.budget = Some(budget);
        self.fields.push(("thinking", thinking.into()));
        self.mode = Mode::Thinks;
    }

    fn adapt(&mut self, wish: &ReasoningRequest<'_>, profile: &Profile, report: &mut Report) {
        let mut thinking = shown(wish);
        thinking.insert("type".to_owned(), "adaptive".into());
        self.fields.push(("thinking", thinking.into()));
        if let Some(effort) = level(wish, profile, report) {
            self.fields.push(("output_config", json!({ "effort": effort.name() })));
        }
        self.mode = Mode::Thinks;
    }

    /// Adapts to lost reasoning: enabled reasoning without the reasoning before a tool call is
    /// refused, reasoning anew is not.
    fn forget(&mut self, profile: &Profile, report: &mut Report) {
        let said = self.fields.iter().any(|(field, _)| *field == "thinking");
        let told = said || self.raw == Raw::Spoken;
        if self.raw == Raw::Spoken {
            self.raw = Raw::Unsaid;
        }
        if profile.thinking_off == ThinkingOff::Impossible || !told {
            // The model reasons in any case, so the field is left out.
            self.fields.retain(|(field, _)| *field != "thinking");
            report.lose_thoughts(LostReasoning::Forgotten);
        } else {
            self.rest(profile, &[], report);
            report.lose_thoughts(LostReasoning::Dropped);
        }
    }

    /// Returns whether the model may reason in this call.
    pub(crate) fn thinks(&self) -> bool {
        self.mode == Mode::Thinks
    }

    /// The profile for this call: a model may support fewer tool choices while it reasons.
    pub(crate) fn lower<'p>(&self, profile: &'p Profile) -> Cow<'p, Profile> {
        if self.mode == Mode::Rests || profile.tool_choice <= profile.tool_choice_thinking {
            return Cow::Borrowed(profile);
        }
        Cow::Owned(Profile { tool_choice: profile.tool_choice_thinking, ..profile.clone() })
    }

    /// Path of the model's reasoning token counts, if it has them.
    pub(crate) fn count_path(&self, profile: &Profile) -> Option<&'static str> {
        (self.thinks() && profile.counts_thinking).then_some(COUNT_PATH)
    }

    /// Writes the plan into the request, and removes the parameters that reasoning forbids.
    pub(crate) fn apply(
        self,
        profile: &Profile,
        limit_field: Option<&'static str>,
        config: &mut InferenceConfig<'_>,
        fields: &mut Map<String, Value>,
        report: &mut Report,
    ) {
        if self.raw == Raw::Unsaid {
            fields.remove("thinking");
        }
        let restrained = matches!(
            profile.thinking,
            Thinking::Budget | Thinking::Adaptive | Thinking::AdaptiveOrBudget
        );
        if self.mode == Mode::Thinks && restrained {
            calm(config, fields, report);
        }
        if let Some(budget) = self.budget
            && limit_field.is_none()
        {
            let room = budget.saturating_add(ANSWER_ROOM).min(profile.most_max_tokens);
            config.max_tokens = config.max_tokens.max(Some(room));
        }
        let strained = profile.thinking == Thinking::ReasoningConfig
            && self.fields.iter().any(|(_, value)| value["maxReasoningEffort"] == "high");
        if strained {
            unlimited(config, fields, limit_field, report);
        }
        for (field, value) in self.fields {
            match (fields.get_mut(field), value) {
                (Some(Value::Object(known)), Value::Object(new)) => {
                    for (name, value) in new {
                        known.entry(name).or_insert(value);
                    }
                }
                (Some(_), _) => {}
                (None, value) => {
                    fields.insert(field.to_owned(), value);
                }
            }
        }
    }
}

/// The mode in the caller's own fields, where they match the family's.
fn spoken(profile: &Profile, raw: Option<&Map<String, Value>>) -> Option<Mode> {
    let field = match profile.thinking {
        Thinking::None | Thinking::Native => return None,
        Thinking::Budget | Thinking::Adaptive | Thinking::AdaptiveOrBudget => "thinking",
        Thinking::Effort => "reasoning_effort",
        Thinking::NestedEffort => "reasoning",
        Thinking::ReasoningConfig => "reasoningConfig",
        Thinking::ConfigWord => "reasoning_config",
    };
    let value = raw?.get(field)?;
    let word =
        value.as_str().or_else(|| value["type"].as_str()).or_else(|| value["effort"].as_str());
    let rests = matches!(word, Some("disabled" | "none" | "between_tools"));
    Some(if rests { Mode::Rests } else { Mode::Thinks })
}

fn effort_field(thinking: Thinking, effort: &str) -> (&'static str, Value) {
    match thinking {
        Thinking::NestedEffort => ("reasoning", json!({ "effort": effort })),
        Thinking::ConfigWord => ("reasoning_config", effort.into()),
        Thinking::ReasoningConfig => {
            ("reasoningConfig", json!({ "type": "enabled", "maxReasoningEffort": effort }))
        }
        Thinking::Effort
        | Thinking::None
        | Thinking::Native
        | Thinking::Budget
        | Thinking::Adaptive
        | Thinking::AdaptiveOrBudget => ("reasoning_effort", effort.into()),
    }
}

/// The members of `thinking` for the display of reasoning.
fn shown(wish: &ReasoningRequest<'_>) -> Map<String, Value> {
    let display = wish.display.map(|display| ("display".to_owned(), display.into()));
    display.into_iter().collect()
}

/// The level to send for the requested one. If it differs, the requesting field is reported;
/// `minimal` is OpenAI's name for the level that other families call `low`.
fn level(wish: &ReasoningRequest<'_>, profile: &Profile, report: &mut Report) -> Option<Effort> {
    let asked = wish.amount.effort()?;
    let sent = nearest(asked, &profile.efforts);
    let is_level = matches!(wish.amount, Amount::Level(_));
    let is_same = sent == Some(asked) || (asked, sent) == (Effort::Minimal, Some(Effort::Low));
    if !(is_level && is_same) {
        report.ignore_all(&wish.amount_field);
    }
    sent
}

/// The nearest level: the same, else the next lower, else the lowest.
fn nearest(effort: Effort, known: &[Effort]) -> Option<Effort> {
    let below = known.iter().copied().filter(|level| *level <= effort).max();
    below.or_else(|| known.iter().copied().min())
}

/// The nearest level by its name: the same, else the next lower, else the lowest. `None` for a word that
/// is no level, and for a model without levels.
pub(crate) fn nearest_effort(word: &str, known: &[Effort]) -> Option<&'static str> {
    nearest(Effort::named(word)?, known).map(Effort::name)
}

/// A budget within the limit, or within the model's maximum output `most`. Of the caller's limit, a
/// level leaves half to the answer; an explicit budget may use all but one token.
fn fitting(amount: Amount, limit: Option<u32>, most: u32) -> Option<u32> {
    let (limit, answer) = match (limit, amount) {
        (None, _) => (most, ANSWER_ROOM.min(most / 2)),
        (Some(limit), Amount::Budget(_)) => (limit, 1),
        (Some(limit), Amount::Level(_) | Amount::Unsaid) => (limit, limit.div_ceil(2)),
    };
    let most = limit.saturating_sub(answer).max(LEAST_BUDGET);
    (limit > LEAST_BUDGET).then(|| amount.budget().clamp(LEAST_BUDGET, most))
}

/// Removes sampling parameters that reasoning forbids: temperature must be 1, `top_p` at least
/// 0.95.
fn calm(config: &mut InferenceConfig<'_>, fields: &mut Map<String, Value>, report: &mut Report) {
    if config.temperature.take_if(|value| *value < 1.0).is_some() {
        report.ignore("temperature");
    }
    if config.top_p.take_if(|value| *value < 0.95).is_some() {
        report.ignore("top_p");
    }
    if fields.remove("top_k").is_some() {
        report.ignore("top_k");
    }
}

/// Removes limits and sampling parameters, which the highest effort of this form refuses.
fn unlimited(
    config: &mut InferenceConfig<'_>,
    fields: &mut Map<String, Value>,
    limit_field: Option<&'static str>,
    report: &mut Report,
) {
    leave_out("temperature", &mut config.temperature, report);
    leave_out("top_p", &mut config.top_p, report);
    if let Some(Value::Object(own)) = fields.get_mut("inferenceConfig") {
        if own.remove("topK").is_some() {
            report.ignore("top_k");
        }
        if own.is_empty() {
            fields.remove("inferenceConfig");
        }
    }
    if config.max_tokens.take().is_some()
        && let Some(field) = limit_field
    {
        report.ignore(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_level_is_the_same_or_below_or_the_least() {
        let levels = [Effort::Low, Effort::High];
        assert_eq!(nearest(Effort::High, &levels), Some(Effort::High));
        assert_eq!(nearest(Effort::Medium, &levels), Some(Effort::Low));
        assert_eq!(nearest(Effort::Max, &levels), Some(Effort::High));
        assert_eq!(nearest(Effort::Minimal, &levels), Some(Effort::Low));
        assert_eq!(nearest(Effort::Low, &[]), None);
    }

    #[test]
    fn a_budget_stays_below_the_limit_and_above_the_least() {
        let tokens = Amount::Budget;
        let within = |amount, limit| fitting(amount, limit, 32_000);
        assert_eq!(within(tokens(8192), None), Some(8192));
        assert_eq!(within(tokens(8192), Some(4096)), Some(4095));
        assert_eq!(within(tokens(1), Some(4096)), Some(1024));
        assert_eq!(within(tokens(8192), Some(1024)), None);
        assert_eq!(within(tokens(8192), Some(1025)), Some(1024));
        let high = Amount::Level(Effort::High);
        assert_eq!(within(high, Some(4096)), Some(2048));
        assert_eq!(within(high, Some(1500)), Some(1024));
        assert_eq!(within(tokens(32_000), None), Some(27_904), "the answer keeps its room");
        assert_eq!(within(Amount::Level(Effort::Max), None), Some(24_576));
        assert_eq!(fitting(high, None, 8192), Some(4096));
        assert_eq!(fitting(tokens(u32::MAX), None, u32::MAX), Some(u32::MAX - ANSWER_ROOM));
        assert_eq!(fitting(high, None, 1000), None);
    }
}
