//! The position of a reasoning block as a string: chat completions clients send reasoning back
//! apart from the text and calls around it, and models that sign their reasoning refuse it in
//! another position. The string is the `id` of a `reasoning_details` entry, which clients keep
//! unchanged: `outcrop.1.{steps}.{model}.{account}.{preface}`.

use std::fmt::Write as _;

use crate::reasoning::{Origin, Passage};

const HEAD: &str = "outcrop.1.";
/// Placeholder for an unknown part.
const UNKNOWN: &str = "x";

/// The position of a reasoning block, and its origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReasoningPlace {
    /// The blocks between the previous reasoning block, or the start of the turn, and this one;
    /// `None` if unknown.
    pub(crate) between: Option<Vec<Between>>,
    pub(crate) origin: Option<Origin>,
    /// Hash of the text added by the gateway at the end of the user's turn before it.
    pub(crate) preface: Option<u64>,
}

/// A block other than reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    Text(Passage),
    Call,
}

impl ReasoningPlace {
    /// The string form.
    pub(crate) fn word(&self) -> String {
        let Self { between, origin, preface } = self;
        let mut word = HEAD.to_owned();
        match between {
            None => word.push_str(UNKNOWN),
            Some(between) => between.iter().for_each(|one| one.write(&mut word)),
        }
        for hash in
            [origin.map(|origin| origin.model), origin.map(|origin| origin.account), *preface]
        {
            word.push('.');
            match hash {
                // Writing into a string does not fail.
                Some(hash) => write!(word, "{hash:016x}").unwrap_or_default(),
                None => word.push_str(UNKNOWN),
            }
        }
        word
    }

    /// The position in this string; `None` if it has another form or version.
    pub(crate) fn read(word: &str) -> Option<Self> {
        let mut parts = word.strip_prefix(HEAD)?.split('.');
        let between = match parts.next()? {
            UNKNOWN => None,
            steps => Some(read_between(steps)?),
        };
        let mut hash = || match parts.next()? {
            UNKNOWN => Some(None),
            hash => u64::from_str_radix(hash, 16).ok().map(Some),
        };
        let (model, account, preface) = (hash()?, hash()?, hash()?);
        let origin = model.zip(account).map(|(model, account)| Origin { model, account });
        Some(Self { between, origin, preface })
    }
}

impl Between {
    fn write(self, word: &mut String) {
        let Self::Text(Passage { bytes, lead, trail }) = self else {
            word.push('c');
            return;
        };
        for (letter, count) in [('t', bytes), ('l', lead), ('w', trail)] {
            if count > 0 || letter == 't' {
                write!(word, "{letter}{count}").unwrap_or_default();
            }
        }
    }
}

fn read_between(mut steps: &str) -> Option<Vec<Between>> {
    let mut all = Vec::new();
    while let Some(letter) = steps.chars().next() {
        let rest = steps.get(1..)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count = rest.get(..digits)?;
        steps = rest.get(digits..)?;
        match (letter, all.last_mut()) {
            ('c', _) if count.is_empty() => all.push(Between::Call),
            ('t', _) => {
                let bytes = count.parse().ok()?;
                all.push(Between::Text(Passage { bytes, ..Passage::default() }));
            }
            ('l', Some(Between::Text(passage))) => passage.lead = count.parse().ok()?,
            ('w', Some(Between::Text(passage))) => passage.trail = count.parse().ok()?,
            _ => return None,
        }
    }
    let is_sound = |one: &Between| match one {
        Between::Call => true,
        Between::Text(Passage { bytes, lead, trail }) => {
            lead.checked_add(*trail).is_some_and(|edges| edges <= *bytes)
        }
    };
    all.iter().all(is_sound).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_from_its_string() {
        let text = |text: &str| Between::Text(Passage::of(text));
        let origin = Some(Origin { model: 7, account: u64::MAX });
        for place in [
            ReasoningPlace::default(),
            ReasoningPlace { between: Some(Vec::new()), origin, preface: Some(9) },
            ReasoningPlace {
                between: Some(vec![
                    text("one"),
                    Between::Call,
                    Between::Call,
                    text(" two\n"),
                    text(""),
                ]),
                origin: None,
                preface: None,
            },
        ] {
            assert_eq!(ReasoningPlace::read(&place.word()), Some(place));
        }
        let word = ReasoningPlace {
            between: Some(vec![text(" a "), Between::Call]),
            origin,
            preface: None,
        };
        assert_eq!(word.word(), "outcrop.1.t3l1w1c.0000000000000007.ffffffffffffffff.x");
    }

    #[test]
    fn other_strings_have_no_position() {
        for word in [
            "",
            "rs_123",
            "outcrop.2..x.x.x",
            "outcrop.1.",
            "outcrop.1.c.x.x",
            "outcrop.1.q.x.x.x",
            "outcrop.1.t.x.x.x",
            "outcrop.1.l3.x.x.x",
            "outcrop.1.t1l1w1.x.x.x",
            "outcrop.1.t99999999999999999999999.x.x.x",
            "outcrop.1.t1\u{fc}.x.x.x",
            "outcrop.1.c.zz.x.x",
        ] {
            assert_eq!(ReasoningPlace::read(word), None, "{word}");
        }
    }
}
