//! Cache of compiled schemas: compiling costs far more than validating. The cache is bounded in number and
//! memory, and evicts the least used. A schema that may take long is compiled outside the worker, a few at
//! a time.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use translate::requested_format::Wanted;

use super::judge::{Criterion, SchemaValidator};
use super::patterns;
use crate::offload::Offload;

/// Most schemas cached.
const MOST: usize = 256;
/// Most memory for all of them together, in bytes.
const BUDGET: usize = 64 * 1024 * 1024;
/// Longest schema cached, in bytes; a larger one is compiled each time.
const LARGEST: usize = 64 * 1024;
/// Longest schema used for validation, in bytes.
const TOO_LARGE: usize = 1024 * 1024;
/// Longest schema without regular expressions compiled on the worker, in bytes: handing it to another
/// thread would take longer.
const SMALL: usize = 4 * 1024;
/// Approximate bytes of memory per byte of schema, parsed and compiled, without expressions.
const COPIES: usize = 32;

/// The schemas used for validation.
#[derive(Default)]
pub(crate) struct Validators {
    kept: Mutex<Kept>,
    offload: Offload,
}

#[derive(Default)]
struct Kept {
    by_text: HashMap<Arc<str>, Entry>,
    /// Memory that all of them may take.
    bytes: usize,
    /// Counts the uses.
    now: u64,
}

struct Entry {
    judge: Arc<Option<SchemaValidator>>,
    bytes: usize,
    used: u64,
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators").finish_non_exhaustive()
    }
}

impl Validators {
    /// An empty cache; long compilations run in `offload`.
    pub(crate) fn new(offload: Offload) -> Self {
        Self { kept: Mutex::default(), offload }
    }

    /// The validation of a request's answers.
    pub(crate) async fn criterion(&self, wanted: &Wanted) -> Criterion {
        match wanted {
            Wanted::Object => Criterion::Object,
            Wanted::Schema(text) => Criterion::Schema(self.of(text).await, self.offload.clone()),
        }
    }

    /// The compiled schema. Compilation holds no lock; at worst it runs twice.
    async fn of(&self, text: &Arc<str>) -> Arc<Option<SchemaValidator>> {
        if text.len() > TOO_LARGE {
            return Arc::default();
        }
        if let Some(judge) = self.find(text) {
            return judge;
        }
        let judge = if text.len() <= SMALL && !patterns::are_in(text) {
            SchemaValidator::of(text)
        } else {
            let text = Arc::clone(text);
            self.offload.away(move || SchemaValidator::of(&text)).await.ok().flatten()
        };
        let judge = Arc::new(judge);
        if text.len() <= LARGEST {
            self.keep(text, &judge);
        }
        judge
    }

    fn find(&self, text: &str) -> Option<Arc<Option<SchemaValidator>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let now = kept.now;
        let entry = kept.by_text.get_mut(text)?;
        entry.used = now;
        Some(Arc::clone(&entry.judge))
    }

    fn keep(&self, text: &Arc<str>, judge: &Arc<Option<SchemaValidator>>) {
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

#[cfg(test)]
mod tests {
    use super::super::judge::ANSWER_LIMIT;
    use super::super::{Reasons, ValidationResult};
    use super::*;
    use crate::cpu_time::cpu_time;

    fn judged(schema: &str, answer: &str) -> ValidationResult {
        found(&compiled(&Validators::default(), schema), answer)
    }

    #[tokio::main(flavor = "current_thread")]
    async fn found(criterion: &Criterion, answer: &str) -> ValidationResult {
        criterion.judge(answer, Reasons::Read).await
    }

    #[tokio::main(flavor = "current_thread")]
    async fn compiled(validators: &Validators, schema: &str) -> Criterion {
        validators.criterion(&Wanted::Schema(schema.into())).await
    }

    #[test]
    fn an_answer_is_validated_by_all_keywords_of_the_schema() {
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"multipleOf":2},"s":{"type":"string","pattern":"^(?!x)"}},"required":["n"]}"#;
        assert_eq!(judged(schema, r#"{"n":2,"s":"a"}"#), ValidationResult::Valid);
        let ValidationResult::Mismatch(reasons) = judged(schema, r#"{"n":1,"s":"xa"}"#) else {
            panic!()
        };
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons[0].starts_with("/n: ") || reasons[0].starts_with("/s: "), "{reasons:?}");
        let ValidationResult::Mismatch(reasons) = judged(schema, r#"{"n":2"#) else { panic!() };
        assert!(reasons[0].contains("not JSON"), "{reasons:?}");
    }

    #[test]
    fn any_object_is_accepted_without_a_schema() {
        let judged = |answer| found(&Criterion::Object, answer).conformity().word();
        for valid in ["{}", " {\"a\": [1, {\"b\": null}]}\n"] {
            assert_eq!(judged(valid), "valid", "{valid}");
        }
        for other in ["", "[]", "1", "{", "{} {}", "I cannot.", "{\"a\": }", "null"] {
            assert_eq!(judged(other), "mismatch", "{other}");
        }
        assert_eq!(judged(&" ".repeat(ANSWER_LIMIT + 1)), "unchecked");
    }

    #[test]
    fn remote_references_are_not_fetched_and_work_is_bounded() {
        for schema in [
            r#"{"$ref":"http://127.0.0.1:1/schema"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r##"{"$ref":"#"}"##,
            r#"{"type":"nonsense"}"#,
            r#"{"$schema":"https://127.0.0.1:1/meta","type":"object"}"#,
            r#"{"pattern":"(("}"#,
        ] {
            assert_eq!(judged(schema, "{}"), ValidationResult::Unchecked, "{schema}");
        }
        let twice =
            r##"{"properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}},"required":["b"]}"##;
        let deep = format!("{}{}{}", "{\"a\":".repeat(60), "{}", "}".repeat(60));
        assert_eq!(judged(twice, &deep), ValidationResult::Unchecked);
        let slow = r#"{"type":"string","pattern":"^(?=(a+)+$)x"}"#;
        let text = format!("\"{}b\"", "a".repeat(5000));
        assert_ne!(judged(slow, &text), ValidationResult::Valid);
    }

    #[test]
    fn the_cache_is_bounded() {
        let validators = Validators::default();
        for at in 0..(MOST + 20) {
            let schema = format!(r#"{{"type":"object","title":"{at}"}}"#);
            compiled(&validators, &schema);
            // Used all the time, so it stays in the cache.
            compiled(&validators, r#"{"type":"object"}"#);
        }
        let kept = validators.kept.lock().unwrap();
        assert_eq!(kept.by_text.len(), MOST);
        assert!(kept.by_text.contains_key(r#"{"type":"object"}"#));
        assert!(!kept.by_text.contains_key(r#"{"type":"object","title":"0"}"#));
    }

    /// A schema with expressions that are short to write and large in memory.
    fn costly(patterns: usize, mark: usize) -> String {
        let pattern = |at| format!(r#"{{"pattern":"(\\w{{5}}|\\W{{5}}){{9}}{mark}x{at}"}}"#);
        let patterns: Vec<String> = (0..patterns).map(pattern).collect();
        format!(r#"{{"anyOf":[{}]}}"#, patterns.join(","))
    }

    #[test]
    fn costly_expressions_are_limited_in_memory_and_time() {
        let validators = Validators::default();
        for patterns in [65, 1300, 9000] {
            let schema = costly(patterns, 0);
            assert_eq!(
                found(&compiled(&validators, &schema), "\"a\""),
                ValidationResult::Unchecked
            );
            let start = cpu_time();
            drop(SchemaValidator::of(&schema));
            assert!(cpu_time() - start < std::time::Duration::from_secs(10), "{patterns}");
        }
        let kept = validators.kept.lock().unwrap();
        assert!(kept.bytes <= 2 * LARGEST, "{}", kept.bytes);
    }

    #[test]
    fn the_memory_of_cached_expressions_is_bounded() {
        let validators = Validators::default();
        for mark in 0..20 {
            let fine: Vec<String> =
                (0..60).map(|at| format!(r#"{{"pattern":"^{mark}_{at}$"}}"#)).collect();
            let schema = format!(r#"{{"anyOf":[{}]}}"#, fine.join(","));
            assert_eq!(
                found(&compiled(&validators, &schema), &format!("\"{mark}_59\"")),
                ValidationResult::Valid
            );
        }
        let kept = validators.kept.lock().unwrap();
        assert!(kept.bytes <= BUDGET && kept.by_text.len() >= 7, "{}", kept.by_text.len());
        let sum: usize = kept.by_text.values().map(|entry| entry.bytes).sum();
        assert_eq!(kept.bytes, sum);
    }

    #[test]
    fn usual_schemas_are_accepted() {
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
            assert_ne!(judged(&schema, "\"x\""), ValidationResult::Unchecked, "{pattern}");
        }
    }
}
