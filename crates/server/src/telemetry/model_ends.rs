//! Calls of models near the end of their lives: counted, and told to the operator once a day for each model.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use routing::catalogue::{Day, ModelEnd};

/// The day on which each model was told of.
#[derive(Debug, Default)]
pub(crate) struct ModelEnds(Mutex<HashMap<String, Day>>);

impl ModelEnds {
    /// Tells of a call, unless one of the same model was told of today.
    pub(crate) fn called(&self, end: &ModelEnd, today: Day) {
        if !self.is_first(end, today) {
            return;
        }
        let ModelEnd { model, day, successor } = end;
        let verb = if *day <= today { "was" } else { "is" };
        match successor {
            Some(other) => log::warn!(
                "{model} is still called, and {day} {verb} the end of its life; use {other} instead"
            ),
            None => log::warn!("{model} is still called, and {day} {verb} the end of its life"),
        }
    }

    fn is_first(&self, end: &ModelEnd, today: Day) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(end.model.clone(), today) != Some(today)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_is_told_of_once_a_day() {
        let day = |text: &str| Day::parse(text).unwrap();
        let end = |model: &str| ModelEnd {
            model: model.to_owned(),
            day: day("2026-12-01"),
            successor: None,
        };
        let (ends, today) = (ModelEnds::default(), day("2026-11-01"));
        assert!(ends.is_first(&end("a"), today) && ends.is_first(&end("b"), today));
        assert!(!ends.is_first(&end("a"), today));
        assert!(ends.is_first(&end("a"), day("2026-11-02")));
    }
}
