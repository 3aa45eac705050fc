//! Compiled schemas, kept for the next request with the same one: to compile costs far more than to judge.
//! What is kept is bounded in number and in the memory it may take, and the least used goes first. A schema that
//! may take long is compiled away from the worker, which has others to serve, and a few at a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use translate::structured::Wanted;

use super::burden::Burden;
use super::{Finding, patterns};

/// Most schemas kept.
const MOST: usize = 256;
/// The memory that all of them together may take.
const BUDGET: usize = 64 * 1024 * 1024;
/// A larger schema is compiled anew each time.
const LARGEST: usize = 64 * 1024;
/// A still larger one is not judged by.
const TOO_LARGE: usize = 1024 * 1024;
/// A smaller one without regular expressions is compiled in less time than it takes to hand it to another thread.
const SMALL: usize = 4 * 1024;
/// Schemas compiled at once, away from the workers.
const AT_ONCE: usize = 2;
/// A larger answer is not judged.
pub(super) const ANSWER_LIMIT: usize = 1024 * 1024;
/// Reasons told to a model, and how long one may be.
const REASONS: usize = 8;
const REASON: usize = 300;
/// About how many bytes of memory a byte of schema takes once it is compiled, expressions aside.
const COPIES: usize = 24;

/// The schemas that answers are judged by.
pub(crate) struct Validators {
    kept: Mutex<Kept>,
    compiling: Arc<Semaphore>,
}

#[derive(Default)]
struct Kept {
    by_text: HashMap<Arc<str>, Entry>,
    /// What all of them may take.
    bytes: usize,
    /// Counts the uses.
    now: u64,
}

struct Entry {
    judge: Arc<Option<Judge>>,
    bytes: usize,
    used: u64,
}

/// What one request's answers are judged by.
#[derive(Debug, Clone)]
pub(crate) enum Criterion {
    /// Any JSON object will do.
    Object,
    /// What a schema says.
    Schema(Arc<Option<Judge>>),
}

/// A schema to judge by.
pub(crate) struct Judge {
    validator: Validator,
    burden: Burden,
    /// The memory that its regular expressions may take.
    patterns: usize,
}

impl Default for Validators {
    fn default() -> Self {
        Self { kept: Mutex::default(), compiling: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators").finish_non_exhaustive()
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl Criterion {
    /// Judges an answer.
    pub(crate) fn judge(&self, answer: &str) -> Finding {
        match self {
            _ if answer.len() > ANSWER_LIMIT => Finding::Unchecked,
            Self::Object => object(answer),
            Self::Schema(judge) => match &**judge {
                Some(judge) => judge.judge(answer),
                None => Finding::Unchecked,
            },
        }
    }
}

impl Validators {
    /// What the answers to a request are judged by.
    pub(crate) async fn criterion(&self, wanted: &Wanted) -> Criterion {
        match wanted {
            Wanted::Object => Criterion::Object,
            Wanted::Schema(text) => Criterion::Schema(self.of(text).await),
        }
    }

    /// The schema compiled. Compiling is done without the lock: at worst it is done twice.
    async fn of(&self, text: &Arc<str>) -> Arc<Option<Judge>> {
        if text.len() > TOO_LARGE {
            return Arc::default();
        }
        if let Some(judge) = self.find(text) {
            return judge;
        }
        let judge = if text.len() <= SMALL && !patterns::are_in(text) {
            Judge::of(text)
        } else {
            // Nobody closes it.
            let Ok(permit) = Arc::clone(&self.compiling).acquire_owned().await else {
                return Arc::default();
            };
            // Another request may have waited for the same.
            if let Some(judge) = self.find(text) {
                return judge;
            }
            let text = Arc::clone(text);
            let compiled = spawn_blocking(move || {
                // Kept to the end, even if nobody waits any more.
                let _permit = permit;
                Judge::of(&text)
            });
            compiled.await.ok().flatten()
        };
        let judge = Arc::new(judge);
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
        let bytes = match &**judge {
            Some(judge) => COPIES * text.len() + judge.patterns,
            None => text.len(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(text);
        while kept.by_text.len() >= MOST || kept.bytes + bytes > BUDGET {
            let oldest = kept.by_text.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(text, _)| Arc::clone(text)) else { return };
            kept.remove(&oldest);
        }
        let used = kept.now;
        kept.bytes += bytes;
        kept.by_text.insert(Arc::clone(text), Entry { judge: Arc::clone(judge), bytes, used });
    }
}

impl Kept {
    fn remove(&mut self, text: &str) {
        if let Some(entry) = self.by_text.remove(text) {
            self.bytes -= entry.bytes;
        }
    }
}

impl Judge {
    /// `None` for a schema that nobody can judge by.
    fn of(text: &str) -> Option<Self> {
        let schema: Value = serde_json::from_str(text).ok()?;
        let burden = Burden::of(&schema)?;
        let compiled =
            patterns::attempts(patterns::count(&schema)?).find_map(|(options, patterns)| {
                let options = jsonschema::options().offline().with_pattern_options(options);
                Some((options.build(&schema).ok()?, patterns))
            });
        let (validator, patterns) = compiled?;
        Some(Self { validator, burden, patterns })
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
        compiled(&Validators::default(), schema).judge(answer)
    }

    #[tokio::main(flavor = "current_thread")]
    async fn compiled(validators: &Validators, schema: &str) -> Criterion {
        validators.criterion(&Wanted::Schema(schema.into())).await
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
        let judged = |answer| Criterion::Object.judge(answer).word();
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
            compiled(&validators, &schema);
            // Used all the time, so it stays.
            compiled(&validators, r#"{"type":"object"}"#);
        }
        let kept = validators.kept.lock().unwrap();
        assert_eq!(kept.by_text.len(), MOST);
        assert!(kept.by_text.contains_key(r#"{"type":"object"}"#));
        assert!(!kept.by_text.contains_key(r#"{"type":"object","title":"0"}"#));
    }

    /// A schema with so many expressions that are short to write and large to hold.
    fn costly(patterns: usize, mark: usize) -> String {
        let pattern = |at| format!(r#"{{"pattern":"(\\w{{5}}|\\W{{5}}){{9}}{mark}x{at}"}}"#);
        let patterns: Vec<String> = (0..patterns).map(pattern).collect();
        format!(r#"{{"anyOf":[{}]}}"#, patterns.join(","))
    }

    #[test]
    fn a_schema_of_expressions_takes_neither_memory_nor_time() {
        let validators = Validators::default();
        for patterns in [65, 1300, 9000] {
            let (schema, start) = (costly(patterns, 0), std::time::Instant::now());
            assert_eq!(compiled(&validators, &schema).judge("\"a\""), Finding::Unchecked);
            assert!(start.elapsed() < std::time::Duration::from_secs(2), "{patterns}");
        }
        let kept = validators.kept.lock().unwrap();
        assert!(kept.bytes <= 2 * LARGEST, "{}", kept.bytes);
    }

    #[test]
    fn what_expressions_may_take_is_bounded_too() {
        let validators = Validators::default();
        for mark in 0..20 {
            let fine: Vec<String> =
                (0..60).map(|at| format!(r#"{{"pattern":"^{mark}_{at}$"}}"#)).collect();
            let schema = format!(r#"{{"anyOf":[{}]}}"#, fine.join(","));
            assert_eq!(
                compiled(&validators, &schema).judge(&format!("\"{mark}_59\"")),
                Finding::Valid
            );
        }
        let kept = validators.kept.lock().unwrap();
        assert!(kept.bytes <= BUDGET && kept.by_text.len() >= 7, "{}", kept.by_text.len());
        let sum: usize = kept.by_text.values().map(|entry| entry.bytes).sum();
        assert_eq!(kept.bytes, sum);
    }

    #[test]
    fn what_people_write_is_judged() {
        for pattern in [
            r"^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$",
            r"^(?=.*[A-Z])(?=.*\\d).{8,64}$",
            r"^\\+?[0-9 ()-]{7,20}$",
            r"^.{1,255}$",
            r"^\\S{1,200}$",
            r"^[A-Za-z0-9_-]{1,256}$",
            r"^\\w{1,64}$",
            r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
        ] {
            let schema = format!(r#"{{"type":"string","pattern":"{pattern}"}}"#);
            assert_ne!(judged(&schema, "\"x\""), Finding::Unchecked, "{pattern}");
        }
    }
}
