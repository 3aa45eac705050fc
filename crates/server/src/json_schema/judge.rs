//! Validates one answer: whether it is JSON, an object, and valid for its schema. The work is counted in
//! advance; more than a small amount runs outside the worker, and too much is refused.

use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::validation_cost::ValidationCost;
use super::{ValidationResult, patterns, schema_cost};
use crate::offload::Offload;

/// Longest answer validated, in bytes.
pub(super) const ANSWER_LIMIT: usize = translate::answer_stream::CHECKED_LIMIT;
/// Longest answer validated on the worker, in bytes.
const SHORT: usize = 32 * 1024;
/// Most steps taken on the worker: a millisecond or two.
const STEPS_HERE: u64 = 100_000;
/// Most steps taken for one answer.
const STEPS: u64 = 20_000_000;
/// An expression that exceeds its backtracking limit is tried with each outcome, in up to 64 runs.
const RUNS: u64 = 64;
/// Most mismatches collected in order to report the first: each takes some hundred bytes.
const MISMATCHES: u64 = 16_384;
/// Most reasons sent to a model, and the longest reason.
const REASONS: usize = 8;
const REASON: usize = 300;

/// Whether the reasons for a mismatch are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reasons {
    /// For a repair call.
    Read,
    Unread,
}

/// The validation of one request's answers.
#[derive(Debug, Clone)]
pub(crate) enum Criterion {
    /// Any JSON object is valid.
    Object,
    /// A schema; the judge is empty if the schema cannot be used.
    Schema(Arc<Option<SchemaValidator>>, Offload),
}

/// A schema for validation.
pub(crate) struct SchemaValidator {
    schema: Value,
    validator: Validator,
    /// Memory that its regular expressions may take.
    pub(super) patterns: usize,
    /// Steps allowed for one answer.
    steps: u64,
    /// Mismatches that may be collected.
    mismatches: u64,
    /// Whether the validator stops at the first mismatch if only one is needed: for a value that fits none
    /// of several branches, it collects the mismatches of each branch.
    stops: bool,
}

impl fmt::Debug for SchemaValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl Criterion {
    /// Validates an answer.
    pub(crate) async fn judge(&self, answer: &str, reasons: Reasons) -> ValidationResult {
        let (judge, offload) = match self {
            _ if answer.len() > ANSWER_LIMIT => return ValidationResult::Unchecked,
            Self::Object => return object(answer),
            Self::Schema(judge, offload) => (judge, offload),
        };
        let Some(here) = &**judge else { return ValidationResult::Unchecked };
        if answer.len() <= SHORT
            && let Some(finding) = here.judge(answer, reasons, STEPS_HERE)
        {
            return finding;
        }
        let (judge, answer) = (Arc::clone(judge), answer.to_owned());
        let judged = offload.away(move || {
            let judge = judge.as_ref().as_ref()?;
            judge.judge(&answer, reasons, judge.steps)
        });
        judged.await.ok().flatten().unwrap_or(ValidationResult::Unchecked)
    }
}

impl SchemaValidator {
    /// `None` for a schema that cannot be used.
    pub(super) fn of(text: &str) -> Option<Self> {
        let schema: Value = serde_json::from_str(text).ok()?;
        if !schema_cost::is_bounded(&schema) {
            return None;
        }
        let compiled =
            patterns::attempts(patterns::count(&schema)?).find_map(|(options, patterns)| {
                let options = jsonschema::options().offline().with_pattern_options(options);
                Some((options.build(&schema).ok()?, patterns))
            });
        let (validator, patterns) = compiled?;
        let runs = if patterns::any_backtracks(&schema) { RUNS } else { 1 };
        let stops = !text.contains("\"anyOf\"") && !text.contains("\"oneOf\"");
        let (steps, mismatches) = (STEPS / runs, MISMATCHES / runs);
        Some(Self { schema, validator, patterns, steps, mismatches, stops })
    }

    /// `None` if it takes more than `most` steps.
    fn judge(&self, answer: &str, reasons: Reasons, most: u64) -> Option<ValidationResult> {
        let value: Value = match serde_json::from_str(answer) {
            Ok(value) => value,
            Err(error) => return Some(no_json(&error)),
        };
        let effort = ValidationCost::of(&self.schema, &value, most)?;
        if self.validator.is_valid(&value) {
            return Some(ValidationResult::Valid);
        }
        Some(ValidationResult::Mismatch(match reasons {
            Reasons::Unread => Vec::new(),
            Reasons::Read => self.reasons(&value, effort),
        }))
    }

    /// The mismatches of a value. The validator collects all before it reports the first, so if there may
    /// be many, it is asked for one or none.
    fn reasons(&self, value: &Value, effort: ValidationCost) -> Vec<String> {
        let told = |error: jsonschema::ValidationError<'_>| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "the whole" } else { &place };
            let what: String = error.to_string().chars().take(REASON).collect();
            format!("{place}: {what}")
        };
        if effort.mismatches <= self.mismatches {
            return self.validator.iter_errors(value).take(REASONS).map(told).collect();
        }
        let first = if self.stops { self.validator.validate(value).err() } else { None };
        vec![first.map_or_else(|| "the whole: this does not match the schema".to_owned(), told)]
    }
}

fn object(answer: &str) -> ValidationResult {
    match serde_json::from_str::<IgnoredAny>(answer) {
        _ if !answer.trim_start().starts_with('{') => {
            ValidationResult::Mismatch(vec!["the whole: this is not a JSON object".to_owned()])
        }
        Ok(_) => ValidationResult::Valid,
        Err(error) => no_json(&error),
    }
}

fn no_json(error: &serde_json::Error) -> ValidationResult {
    ValidationResult::Mismatch(vec![format!("the whole: this is not JSON: {error}")])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::cpu_time::cpu_time;

    fn found(schema: &Value, answer: &Value, reasons: Reasons) -> ValidationResult {
        let judge = Arc::new(SchemaValidator::of(&schema.to_string()));
        let (criterion, answer) =
            (Criterion::Schema(judge, Offload::default()), answer.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(criterion.judge(&answer, reasons))
    }

    fn required(names: usize) -> Value {
        let names: Vec<String> = (0..names).map(|at| format!("p{at}")).collect();
        json!({ "properties": { "a": { "items": { "type": "object", "required": names } } } })
    }

    fn branches(keyword: &str, count: usize) -> Value {
        let branches: Vec<Value> = (0..count).map(|at| json!({ "const": at })).collect();
        json!({ "properties": { "a": { "items": { keyword: branches } } } })
    }

    fn list(item: &Value, count: usize) -> Value {
        json!({ "a": vec![item; count] })
    }

    #[test]
    fn reasons_are_collected_only_if_needed_and_few() {
        let (schema, answer) = (required(10), list(&json!({}), 10));
        assert_eq!(
            found(&schema, &answer, Reasons::Unread),
            ValidationResult::Mismatch(Vec::new())
        );
        let ValidationResult::Mismatch(reasons) = found(&schema, &answer, Reasons::Read) else {
            panic!()
        };
        assert_eq!(reasons.len(), REASONS);
        // Ninety thousand properties are missing: the first is reported.
        let (schema, answer) = (required(300), list(&json!({}), 300));
        let ValidationResult::Mismatch(reasons) = found(&schema, &answer, Reasons::Read) else {
            panic!()
        };
        assert_eq!(reasons.len(), 1);
        assert!(reasons[0].starts_with("/a/0: \"p0\" is a required property"), "{reasons:?}");
        // The mismatches of every branch would be collected to report one.
        let (schema, answer) = (branches("anyOf", 300), list(&json!("x"), 300));
        let ValidationResult::Mismatch(reasons) = found(&schema, &answer, Reasons::Read) else {
            panic!()
        };
        assert_eq!(reasons, ["the whole: this does not match the schema"]);
    }

    #[test]
    fn validation_memory_is_proportional_to_the_answer() {
        for (schema, answer) in [
            (required(300), list(&json!({}), 3_000)),
            (branches("anyOf", 300), list(&json!("x"), 3_000)),
            (branches("oneOf", 300), list(&json!(7), 3_000)),
        ] {
            let judge = SchemaValidator::of(&schema.to_string()).unwrap();
            let answer = answer.to_string();
            for reasons in [Reasons::Unread, Reasons::Read] {
                let used = allocation_counter::measure(|| {
                    judge.judge(&answer, reasons, STEPS).unwrap();
                });
                let most = 64 * answer.len() as u64 + 64 * 1024;
                assert!(used.bytes_max < most, "{used:?} for {} bytes", answer.len());
            }
        }
    }

    #[test]
    fn the_cost_of_schema_times_answer_is_bounded() {
        for (schema, answer) in [
            (branches("anyOf", 10_000), list(&json!(9_999), 40_000)),
            (branches("oneOf", 10_000), list(&json!(9_999), 40_000)),
            (required(20_000), list(&json!({}), 40_000)),
        ] {
            assert_eq!(found(&schema, &answer, Reasons::Read), ValidationResult::Unchecked);
            let judge = SchemaValidator::of(&schema.to_string()).unwrap();
            let (answer, started) = (answer.to_string(), cpu_time());
            assert_eq!(judge.judge(&answer, Reasons::Read, judge.steps), None);
            let took = cpu_time() - started;
            assert!(took < Duration::from_secs(20), "{took:?}");
        }
        for (schema, answer) in [
            (branches("anyOf", 100), list(&json!(99), 20_000)),
            (required(3), list(&json!({ "p0": 1, "p1": 2, "p2": 3 }), 10_000)),
        ] {
            assert_eq!(found(&schema, &answer, Reasons::Read), ValidationResult::Valid);
        }
    }
}
