//! Compiled schemas, kept for the next request with the same one: to compile costs far more than to judge.
//! What is kept is bounded in number and in bytes of schema, and the least used goes first.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::{PatternOptions, Validator};
use serde::de::IgnoredAny;
use serde_json::Value;
use translate::structured::Wanted;

use super::Finding;
use super::burden::Burden;

/// Most schemas kept.
const MOST: usize = 256;
/// A larger schema is compiled anew each time, and so are the kept ones bounded in bytes.
const LARGEST: usize = 64 * 1024;
/// A larger answer is not judged.
pub(super) const ANSWER_LIMIT: usize = 1024 * 1024;
/// Reasons told to a model, and how long one may be.
const REASONS: usize = 8;
const REASON: usize = 300;
/// Steps of one regular expression on one text, and bytes it may take.
const BACKTRACKS: usize = 50_000;
const EXPRESSION: usize = 1024 * 1024;

/// The schemas that answers are judged by.
#[derive(Default)]
pub(crate) struct Validators {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_text: HashMap<Arc<str>, Entry>,
    /// Counts the uses.
    now: u64,
}

struct Entry {
    judge: Arc<Option<Judge>>,
    used: u64,
}

/// A schema to judge by.
struct Judge {
    validator: Validator,
    burden: Burden,
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators").finish_non_exhaustive()
    }
}

impl Validators {
    /// Judges an answer.
    pub(crate) fn judge(&self, wanted: &Wanted, answer: &str) -> Finding {
        if answer.len() > ANSWER_LIMIT {
            return Finding::Unchecked;
        }
        match wanted {
            Wanted::Object => object(answer),
            Wanted::Schema(text) => match &*self.of(text) {
                Some(judge) => judge.judge(answer),
                None => Finding::Unchecked,
            },
        }
    }

    /// The schema compiled. Compiling is done without the lock: at worst it is done twice.
    fn of(&self, text: &Arc<str>) -> Arc<Option<Judge>> {
        if let Some(judge) = self.find(text) {
            return judge;
        }
        let judge = Arc::new(Judge::of(text));
        if text.len() <= LARGEST {
            self.keep(text, &judge);
        }
        judge
    }

    fn find(&self, text: &str) -> Option<Arc<Option<Judge>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let now = kept.now;
        let entry = kept.by_text.get_mut(text)?;
        entry.used = now;
        Some(Arc::clone(&entry.judge))
    }

    fn keep(&self, text: &Arc<str>, judge: &Arc<Option<Judge>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_text.len() >= MOST {
            let oldest = kept.by_text.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(text, _)| Arc::clone(text)) {
                kept.by_text.remove(&oldest);
            }
        }
        let used = kept.now;
        kept.by_text.insert(Arc::clone(text), Entry { judge: Arc::clone(judge), used });
    }
}

impl Judge {
    /// `None` for a schema that nobody can judge by.
    fn of(text: &str) -> Option<Self> {
        let schema: Value = serde_json::from_str(text).ok()?;
        let burden = Burden::of(&schema)?;
        let patterns =
            PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS).size_limit(EXPRESSION);
        let validator =
            jsonschema::options().offline().with_pattern_options(patterns).build(&schema).ok()?;
        Some(Self { validator, burden })
    }

    fn judge(&self, answer: &str) -> Finding {
        let value: Value = match serde_json::from_str(answer) {
            Ok(value) if self.burden.allows(answer) => value,
            Ok(_) => return Finding::Unchecked,
            Err(error) => return no_json(&error),
        };
        if self.validator.is_valid(&value) {
            return Finding::Valid;
        }
        let reasons = self.validator.iter_errors(&value).take(REASONS).map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "the whole" } else { &place };
            let what: String = error.to_string().chars().take(REASON).collect();
            format!("{place}: {what}")
        });
        Finding::Mismatch(reasons.collect())
    }
}

fn object(answer: &str) -> Finding {
    match serde_json::from_str::<IgnoredAny>(answer) {
        _ if !answer.trim_start().starts_with('{') => {
            Finding::Mismatch(vec!["the whole: this is not a JSON object".to_owned()])
        }
        Ok(_) => Finding::Valid,
        Err(error) => no_json(&error),
    }
}

fn no_json(error: &serde_json::Error) -> Finding {
    Finding::Mismatch(vec![format!("the whole: this is not JSON: {error}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(schema: &str, answer: &str) -> Finding {
        Validators::default().judge(&Wanted::Schema(schema.into()), answer)
    }

    #[test]
    fn an_answer_is_judged_by_all_that_the_schema_says() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"multipleOf":2},"s":{"type":"string","pattern":"^(?!x)"}},"required":["n"]}"#;
        assert_eq!(judged(schema, r#"{"n":2,"s":"a"}"#), Finding::Valid);
        let Finding::Mismatch(reasons) = judged(schema, r#"{"n":1,"s":"xa"}"#) else { panic!() };
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons[0].starts_with("/n: ") || reasons[0].starts_with("/s: "), "{reasons:?}");
        let Finding::Mismatch(reasons) = judged(schema, r#"{"n":2"#) else { panic!() };
        assert!(reasons[0].contains("not JSON"), "{reasons:?}");
    }

    #[test]
    fn any_object_is_an_object() {
        let validators = Validators::default();
        let judged = |answer| validators.judge(&Wanted::Object, answer).word();
        for valid in ["{}", " {\"a\": [1, {\"b\": null}]}\n"] {
            assert_eq!(judged(valid), "valid", "{valid}");
        }
        for other in ["", "[]", "1", "{", "{} {}", "I cannot.", "{\"a\": }", "null"] {
            assert_eq!(judged(other), "mismatch", "{other}");
        }
        assert_eq!(judged(&" ".repeat(ANSWER_LIMIT + 1)), "unchecked");
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs_away() {
        for schema in [
            r#"{"$ref":"http://127.0.0.1:1/schema"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r##"{"$ref":"#"}"##,
            r#"{"type":"nonsense"}"#,
            r#"{"$schema":"https://127.0.0.1:1/meta","type":"object"}"#,
            r#"{"pattern":"(("}"#,
        ] {
            assert_eq!(judged(schema, "{}"), Finding::Unchecked, "{schema}");
        }
        let twice =
            r##"{"properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}},"required":["b"]}"##;
        let deep = format!("{}{}{}", "{\"a\":".repeat(60), "{}", "}".repeat(60));
        assert_eq!(judged(twice, &deep), Finding::Unchecked);
        let slow = r#"{"type":"string","pattern":"^(?=(a+)+$)x"}"#;
        let text = format!("\"{}b\"", "a".repeat(5000));
        assert_ne!(judged(slow, &text), Finding::Valid);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let validators = Validators::default();
        for at in 0..(MOST + 20) {
            let schema = format!(r#"{{"type":"object","title":"{at}"}}"#);
            validators.judge(&Wanted::Schema(schema.as_str().into()), "{}");
            // Used all the time, so it stays.
            validators.judge(&Wanted::Schema(r#"{"type":"object"}"#.into()), "{}");
        }
        let kept = validators.kept.lock().unwrap();
        assert_eq!(kept.by_text.len(), MOST);
        assert!(kept.by_text.contains_key(r#"{"type":"object"}"#));
        assert!(!kept.by_text.contains_key(r#"{"type":"object","title":"0"}"#));
    }
}
