//! The order of blocks in an assistant's turn. A history that separates text, calls and reasoning loses
//! it; the saved turn tells the original place of each reasoning block.

use std::ops::Range;

use schema::converse::message::ReasoningBlock;

use crate::parts::thinking::replay::{Order, ReplayStep};
use crate::reasoning::Passage;

/// A block of the turn under construction.
#[derive(Debug)]
pub(crate) enum Put<'a> {
    Reasoning(ReasoningBlock<'a>),
    /// A range of the message's text, in bytes.
    Text(Range<usize>),
    /// A call, by its index in the message.
    Call(usize),
}

/// The blocks of a turn in order: `steps` as far as they are known, then the rest of the text and
/// the calls. `None` where the place of a reasoning block is unknown and the model would refuse it
/// elsewhere.
pub(crate) fn arranged<'a>(
    steps: Vec<ReplayStep<'a>>,
    order: Order,
    text: &str,
    calls: &[&str],
) -> Option<Vec<Put<'a>>> {
    let count = steps.iter().filter(|step| matches!(step, ReplayStep::Reasoning(_))).count();
    let others = calls.len() + usize::from(!text.trim().is_empty());
    match order {
        Order::Any => return Some(ahead(steps, text, calls)),
        // A single reasoning block stands before its text and calls; several could stand anywhere.
        Order::Unknown if count < 2 || others < 2 => return Some(ahead(steps, text, calls)),
        Order::Unknown => return None,
        Order::Known => {}
    }
    if let Some(texts) = is_made_of(&steps, calls).then(|| cut(&steps, text)).flatten() {
        return Some(placed(steps, texts, text, calls));
    }
    let is_thought = |step: &ReplayStep<'_>| matches!(step, ReplayStep::Reasoning(_));
    let behind = steps.iter().skip_while(|step| is_thought(step));
    let are_ahead = !behind.into_iter().any(is_thought);
    are_ahead.then(|| ahead(steps, text, calls))
}

/// Reasoning first, then text, then calls.
pub(crate) fn ahead<'a>(steps: Vec<ReplayStep<'a>>, text: &str, calls: &[&str]) -> Vec<Put<'a>> {
    let mut all: Vec<Put<'a>> = Vec::with_capacity(steps.len() + calls.len() + 1);
    all.extend(steps.into_iter().filter_map(|step| match step {
        ReplayStep::Reasoning(block) => Some(Put::Reasoning(block)),
        ReplayStep::Text(_) | ReplayStep::Call(_) => None,
    }));
    if !text.is_empty() {
        all.push(Put::Text(0..text.len()));
    }
    all.extend((0..calls.len()).map(Put::Call));
    all
}

/// Returns whether the known calls are the message's first.
fn is_made_of(steps: &[ReplayStep<'_>], calls: &[&str]) -> bool {
    let known = steps.iter().filter_map(|step| match step {
        ReplayStep::Call(id) => Some(id),
        ReplayStep::Reasoning(_) | ReplayStep::Text(_) => None,
    });
    let mut calls = calls.iter();
    known.into_iter().all(|id| calls.next().is_some_and(|call| id.is_none_or(|id| id == *call)))
}

fn placed<'a>(
    steps: Vec<ReplayStep<'a>>,
    texts: Vec<Range<usize>>,
    text: &str,
    calls: &[&str],
) -> Vec<Put<'a>> {
    let mut all = Vec::with_capacity(steps.len() + calls.len() + 1);
    let (mut said, mut called) = (0, 0);
    let mut texts = texts.into_iter();
    for step in steps {
        match step {
            ReplayStep::Reasoning(block) => all.push(Put::Reasoning(block)),
            ReplayStep::Text(_) => {
                if let Some(range) = texts.next().filter(|range| !range.is_empty()) {
                    said = range.end;
                    all.push(Put::Text(range));
                }
            }
            ReplayStep::Call(_) => {
                all.push(Put::Call(called));
                called += 1;
            }
        }
    }
    if said < text.len() {
        // Text of unknown place goes after the known blocks, but before the last calls.
        let known = all.iter().rposition(|put| !matches!(put, Put::Call(_)));
        all.insert(known.map_or(0, |last| last + 1), Put::Text(said..text.len()));
    }
    all.extend((called..calls.len()).map(Put::Call));
    all
}

/// The ranges of the message's text that match the known texts, in order. Clients trim texts or
/// leave them out; `None` where the match is ambiguous.
fn cut(steps: &[ReplayStep<'_>], text: &str) -> Option<Vec<Range<usize>>> {
    let passages: Vec<Passage> = steps.iter().filter_map(passage).collect();
    if text.trim().is_empty() {
        return Some(vec![0..0; passages.len()]);
    }
    fitted(&passages, text).or_else(|| only(steps, text))
}

fn passage(step: &ReplayStep<'_>) -> Option<Passage> {
    match step {
        ReplayStep::Text(passage) => Some(*passage),
        ReplayStep::Reasoning(_) | ReplayStep::Call(_) => None,
    }
}

/// The ranges, where the text differs only by white space at its edges.
fn fitted(passages: &[Passage], text: &str) -> Option<Vec<Range<usize>>> {
    let whole = passages.iter().fold(Passage::default(), |all, one| all.and(*one));
    let lead = text.len() - text.trim_start().len();
    let gone = whole.lead.saturating_sub(lead);
    let mut from = 0;
    let mut ranges = Vec::with_capacity(passages.len());
    for passage in passages {
        let to = from + passage.bytes;
        let range = from.saturating_sub(gone)..to.saturating_sub(gone);
        let range = range.start.min(text.len())..range.end.min(text.len());
        text.get(range.clone())?;
        ranges.push(range);
        from = to;
    }
    let missing = from.saturating_sub(gone).saturating_sub(text.len());
    (missing <= whole.trail).then_some(ranges)
}

/// The whole text at the only place that had text.
fn only(steps: &[ReplayStep<'_>], text: &str) -> Option<Vec<Range<usize>>> {
    let mut ranges = Vec::new();
    let (mut is_open, mut is_spent) = (false, false);
    for step in steps {
        match step {
            ReplayStep::Text(passage) if passage.is_blank() => ranges.push(0..0),
            ReplayStep::Text(_) if is_open => ranges.push(0..0),
            ReplayStep::Text(_) if is_spent => return None,
            ReplayStep::Text(_) => {
                ranges.push(0..text.len());
                (is_open, is_spent) = (true, true);
            }
            ReplayStep::Reasoning(_) | ReplayStep::Call(_) => is_open = false,
        }
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn steps(word: &str) -> Vec<ReplayStep<'static>> {
        let step = |part: &str| match part.split_at(1) {
            ("R", name) => ReplayStep::Reasoning(thought(name)),
            ("T", "") => ReplayStep::Call(None),
            ("T", id) => ReplayStep::Call(Some(Box::leak(id.to_owned().into_boxed_str()))),
            (_, text) => ReplayStep::Text(Passage::of(&text.replace('_', " "))),
        };
        word.split(',').map(step).collect()
    }

    fn thought(name: &str) -> ReasoningBlock<'static> {
        ReasoningBlock::RedactedContent(Cow::Owned(name.to_owned()))
    }

    /// The blocks as they would be sent: reasoning and texts by content, calls by id.
    fn sent(word: &str, order: Order, text: &str, calls: &[&str]) -> Option<String> {
        let puts = arranged(steps(word), order, text, calls)?;
        let put = |put: &Put<'_>| match put {
            Put::Reasoning(ReasoningBlock::RedactedContent(name)) => format!("R{name}"),
            Put::Reasoning(ReasoningBlock::ReasoningText(_)) => "R?".to_owned(),
            Put::Text(range) => format!("X{}", &text[range.clone()]).replace(' ', "_"),
            Put::Call(at) => format!("T{}", calls[*at]),
        };
        Some(puts.iter().map(put).collect::<Vec<_>>().join(","))
    }

    #[track_caller]
    fn known(word: &str, text: &str, calls: &[&str], expected: &str) {
        assert_eq!(sent(word, Order::Known, text, calls).as_deref(), Some(expected));
    }

    #[test]
    fn every_block_goes_back_where_it_stood() {
        known("R1,Ta,R2,Tb", "", &["a", "b"], "R1,Ta,R2,Tb");
        known("R1,Xone,R2,Ta", "one", &["a"], "R1,Xone,R2,Ta");
        known("Xone,R1,Xtwo,Ta,R2", "onetwo", &["a"], "Xone,R1,Xtwo,Ta,R2");
        known("Ta,R1,Tb,Xend", "end", &["a", "b"], "Ta,R1,Tb,Xend");
        known("R1,T,R2,Xone", "onetwo", &["a", "b"], "R1,Ta,R2,Xone,Xtwo,Tb");
    }

    #[test]
    fn trimmed_text_does_not_move_reasoning() {
        known("R1,Xone_,R2,Xtwo__,Ta", "one two", &["a"], "R1,Xone_,R2,Xtwo,Ta");
        known("R1,X__one,R2,X_two,Ta", "one two", &["a"], "R1,Xone,R2,X_two,Ta");
        known("R1,X__,R2,X_two_,Ta", "two", &["a"], "R1,R2,Xtwo,Ta");
        known("R1,Xone,R2,Ta,Xtwo", "", &["a"], "R1,R2,Ta");
        known("R1,Ta,R2,Xone,Tb", "on", &["a", "b"], "R1,Ta,R2,Xon,Tb");
        known("R1,Ta,R2,Tb", "added", &["a", "b"], "R1,Ta,R2,Xadded,Tb");
        known("R1,Xone,R2,Ta", "one\u{fc}", &["a"], "R1,Xone,R2,X\u{fc},Ta");
    }

    #[test]
    fn leading_reasoning_stays_first_when_other_blocks_change() {
        known("R1,R2,Ta,Tb", "", &["b"], "R1,R2,Tb");
        known("R1,Xone,Ta,Xtwo", "on", &["a"], "R1,Xon,Ta");
    }

    #[test]
    fn reasoning_of_unknown_position_is_left_out() {
        let none = |word, order, text, calls: &[&str]| {
            assert_eq!(sent(word, order, text, calls), None, "{word}");
        };
        none("R1,Ta,R2,Tb", Order::Known, "", &["b"]);
        none("R1,Ta,R2,Tb", Order::Known, "", &["b", "a"]);
        none("R1,Xone,R2,Xtwo,Ta", Order::Known, "on", &["a"]);
        none("R1,X\u{fc},R2,Xab,Ta", Order::Known, "a\u{fc}bc", &["a"]);
        none("R1,R2", Order::Unknown, "", &["a", "b"]);
        none("R1,R2", Order::Unknown, "one", &["a"]);
        let first = |word, text, calls: &[&str], expected: &str| {
            assert_eq!(sent(word, Order::Unknown, text, calls).as_deref(), Some(expected));
        };
        first("R1", "one", &["a", "b"], "R1,Xone,Ta,Tb");
        first("R1,R2", "", &["a"], "R1,R2,Ta");
        assert_eq!(sent("R1,R2", Order::Any, "x", &["a"]).as_deref(), Some("R1,R2,Xx,Ta"));
    }
}
