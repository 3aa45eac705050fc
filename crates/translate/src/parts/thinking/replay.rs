//! Past reasoning sent back to the model. Clients send it under four names, mostly without the
//! signature; some families require it unchanged, others accept none.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use schema::converse::message::{ContentBlock, Message, ReasoningBlock, ReasoningText, Role};

use super::place::Between;
use super::received::{ReceivedReasoning, Sent};
use super::{Past, capsule};
use crate::Report;
use crate::profile::{Profile, Replay};
use crate::reasoning::{self, Origin, Passage, ReasoningItem, RestoredReasoning, Turn};

/// The reasoning of an assistant message, and its state.
#[derive(Debug)]
pub(crate) struct Replayed<'a> {
    /// The blocks of the turn, as far as they are known; texts and calls are the message's own.
    pub(crate) steps: Vec<ReplayStep<'a>>,
    pub(crate) order: Order,
    /// [`Past::Whole`] if the turn is known to have had exactly this reasoning.
    pub(crate) past: Past,
    /// The field of the reasoning; `None` where it is restored from the store.
    pub(crate) field: Option<&'static str>,
    /// Text added by the gateway at the end of the user's turn before it.
    pub(crate) preface: Option<Preface<'a>>,
}

/// An assistant message of the history, as far as its reasoning goes. `sent` reads the client's
/// version, where it is needed.
pub(crate) struct PastAnswer<'a, S> {
    /// Its turn, if restored.
    pub(crate) turn: Option<&'a Turn>,
    /// The field in which the client sends the positions of its reasoning, if it does.
    pub(crate) placed_by: Option<&'static str>,
    pub(crate) sent: S,
}

/// A block of a turn.
#[derive(Debug)]
pub(crate) enum ReplayStep<'a> {
    Reasoning(ReasoningBlock<'a>),
    Text(Passage),
    /// A call, by its id if known.
    Call(Option<&'a str>),
}

/// Knowledge of the order of a turn's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Completely known.
    Known,
    /// Unknown, and the model refuses reasoning in another position.
    Unknown,
    /// Unknown, but irrelevant.
    Any,
}

/// Text added by the gateway, in its saved form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preface<'a> {
    Words(&'a str),
    /// The hash that the client sent back.
    Hash(u64),
}

/// Source of past reasoning.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    recalled: Option<&'a RestoredReasoning>,
    /// The last message with a call of each id: some models restart their ids in every turn, and
    /// the saved turn belongs to the last.
    last: HashMap<&'a str, usize>,
}

impl Replayed<'_> {
    /// A turn whose reasoning is lost.
    fn lost() -> Self {
        Self { steps: Vec::new(), order: Order::Any, past: Past::Lost, field: None, preface: None }
    }
}

impl<'a> Memory<'a> {
    /// The restored turns of a conversation, by the ids of its calls. Each id comes with the index
    /// of its message, in the order of the conversation.
    pub(crate) fn new(
        recalled: Option<&'a RestoredReasoning>,
        calls: impl Iterator<Item = (usize, &'a str)>,
    ) -> Self {
        let mut last = HashMap::new();
        if recalled.is_some_and(|recalled| !recalled.is_empty()) {
            last.extend(calls.map(|(at, id)| (id, at)));
        }
        Self { recalled, last }
    }

    /// The turn of a message with these calls, if restored.
    pub(crate) fn turn(&self, at: usize, calls: impl Iterator<Item = &'a str>) -> Option<&'a Turn> {
        let ids = calls.filter(|id| self.last.get(id) == Some(&at));
        self.recalled?.turn(ids)
    }

    /// Returns whether the restored turn of a message replaces the reasoning among its parts.
    pub(crate) fn decides(&self, at: usize, calls: impl Iterator<Item = &'a str>) -> bool {
        self.is_forgotten() || self.turn(at, calls).is_some()
    }

    /// The reasoning of a capsule, if it opens.
    pub(crate) fn opened(&self, capsule: &str) -> Option<ReceivedReasoning<'a>> {
        capsule::opened(capsule, None, self.recalled?)
    }

    /// Returns whether a model of this profile, at the request's target, accepts reasoning that comes
    /// from a capsule.
    pub(crate) fn accepts(&self, received: &ReceivedReasoning<'_>, profile: &Profile) -> bool {
        let origin = received.place.as_ref().and_then(|place| place.origin);
        self.is_readable(origin, profile) && !is_foreign(received.format.as_deref(), profile)
    }

    /// Returns whether no reasoning is sent.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.recalled.is_some_and(RestoredReasoning::is_forgotten)
    }

    /// Returns whether this reasoning must not be sent.
    pub(crate) fn is_withheld(&self, thought: &str) -> bool {
        self.recalled.is_some_and(|recalled| recalled.is_withheld(thought))
    }

    /// Returns whether a model of this profile, at the request's target, accepts reasoning of this
    /// origin.
    fn is_readable(&self, origin: Option<Origin>, profile: &Profile) -> bool {
        match (origin, self.recalled.and_then(RestoredReasoning::target), profile.replay) {
            (_, _, Replay::Never | Replay::Plain) | (None, ..) | (_, None, _) => true,
            (Some(made), Some(asked), Replay::Signed | Replay::Redacted) => {
                made.model == asked.model
                    && (made.account == asked.account || !profile.thoughts_bound)
            }
        }
    }
}

/// The reasoning of an assistant message in the form that the model accepts. The restored turn of
/// its calls is preferred to the client's version, which may have lost parts; reasoning without its
/// signature is dropped where one is required.
pub(crate) fn replay<'a>(
    answer: PastAnswer<'a, impl FnOnce(&mut Report) -> Sent<'a>>,
    past: &Memory<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Replayed<'a> {
    let is_complete = |turn: &&Turn| match profile.replay {
        Replay::Signed => turn.thoughts().all(ReasoningItem::is_signed),
        Replay::Redacted => true,
        Replay::Never | Replay::Plain => false,
    };
    let PastAnswer { turn, placed_by, sent } = answer;
    let remembered = turn.filter(is_complete);
    let has_thoughts = remembered.is_some_and(|turn| turn.thoughts().next().is_some());
    if past.is_forgotten() && (has_thoughts || remembered.is_none()) {
        return Replayed::lost();
    }
    let replayed = match remembered {
        Some(turn) if has_thoughts && !past.is_readable(turn.origin, profile) => {
            if let Some(field) = placed_by {
                report.ignore(field);
            }
            report.forget_thoughts();
            return Replayed::lost();
        }
        Some(turn) => known(turn, profile),
        None => returned(sent(report), past, profile, report),
    };
    let is_withheld = |step: &ReplayStep<'_>| match step {
        ReplayStep::Reasoning(ReasoningBlock::ReasoningText(said)) => {
            past.recalled.is_some_and(|recalled| recalled.is_withheld(&said.text))
        }
        ReplayStep::Reasoning(ReasoningBlock::RedactedContent(_))
        | ReplayStep::Text(_)
        | ReplayStep::Call(_) => false,
    };
    if replayed.steps.iter().any(is_withheld) {
        return Replayed::lost();
    }
    replayed
}

/// A restored turn.
fn known<'a>(turn: &'a Turn, profile: &Profile) -> Replayed<'a> {
    let steps = turn.steps.iter().filter_map(|step| match step {
        reasoning::Step::Reasoning(thought) => match (profile.replay, thought) {
            (Replay::Redacted, ReasoningItem::Text { .. }) => None,
            _ => Some(ReplayStep::Reasoning(block(thought))),
        },
        reasoning::Step::Text(passage) => Some(ReplayStep::Text(*passage)),
        reasoning::Step::Call(id) => Some(ReplayStep::Call(Some(id))),
    });
    Replayed {
        steps: steps.collect(),
        order: if turn.placed { Order::Known } else { Order::Unknown },
        past: Past::Whole,
        field: None,
        preface: turn.preface.as_deref().map(Preface::Words),
    }
}

/// The reasoning that the client sends.
fn returned<'a>(
    Sent { field, entries }: Sent<'a>,
    past: &Memory<'a>,
    profile: &Profile,
    report: &mut Report,
) -> Replayed<'a> {
    let mut has_sent = false;
    let mut is_placed = true;
    let (mut steps, mut preface, mut count) = (Vec::new(), None, 0);
    for ReceivedReasoning { thought, place, format } in entries {
        let origin = place.as_ref().and_then(|place| place.origin);
        if !past.is_readable(origin, profile) || is_foreign(format.as_deref(), profile) {
            report.ignore(field);
            report.forget_thoughts();
            return Replayed::lost();
        }
        preface = preface.or(place.as_ref().and_then(|place| place.preface));
        match place.and_then(|place| place.between) {
            Some(between) => steps.extend(between.into_iter().map(|one| match one {
                Between::Text(passage) => ReplayStep::Text(passage),
                Between::Call => ReplayStep::Call(None),
            })),
            None => is_placed = false,
        }
        let Some(thought) = thought else { continue };
        has_sent = true;
        if let Some(block) = thought.taken(profile.replay) {
            count += 1;
            steps.push(ReplayStep::Reasoning(block));
        }
    }
    if has_sent && count == 0 {
        report.ignore(field);
    }
    if count == 0 {
        return Replayed::lost();
    }
    let order = match (is_placed, profile.replay) {
        (true, _) => Order::Known,
        (false, Replay::Signed | Replay::Redacted) => Order::Unknown,
        (false, Replay::Never | Replay::Plain) => Order::Any,
    };
    if order != Order::Known {
        steps.retain(|step| matches!(step, ReplayStep::Reasoning(_)));
    }
    let preface = preface.map(Preface::Hash);
    Replayed { steps, order, past: Past::Whole, field: Some(field), preface }
}

/// Returns whether the reasoning format belongs to a family whose reasoning the model refuses.
fn is_foreign(format: Option<&str>, profile: &Profile) -> bool {
    const UNKNOWN: &str = "unknown";
    let is_checked = match profile.replay {
        Replay::Never | Replay::Plain => false,
        Replay::Signed => profile.thoughts_format != UNKNOWN,
        Replay::Redacted => true,
    };
    is_checked
        && format.is_some_and(|format| format != UNKNOWN && format != profile.thoughts_format)
}

/// Presence of the reasoning that the turns being answered need. `lost` are the calls, by their
/// sent ids, of turns whose reasoning is unknown.
pub(crate) fn past(turns: &[Message<'_>], lost: &HashSet<Cow<'_, str>>, profile: &Profile) -> Past {
    if profile.replay != Replay::Signed {
        return Past::Whole;
    }
    // A turn may begin with text or a call, and have reasoning later.
    let thinks = |turn: &Message<'_>| {
        turn.content.iter().any(|block| matches!(block, ContentBlock::ReasoningContent(_)))
    };
    let answers = |turn: &Message<'_>| {
        turn.content.iter().any(|block| matches!(block, ContentBlock::ToolResult(_)))
    };
    // A prefill is the start of an answer, whose reasoning cannot be added.
    if turns.last().is_some_and(|turn| turn.role == Role::Assistant && !thinks(turn)) {
        return Past::Lost;
    }
    let mut first = None;
    for pair in turns.rchunks(2) {
        let [asked, answer] = pair else { break };
        if asked.role != Role::Assistant || !answers(answer) {
            break;
        }
        let calls = asked.content.iter().filter_map(|block| match block {
            ContentBlock::ToolUse(call) => Some(&call.tool_use_id),
            _ => None,
        });
        if !thinks(asked) && calls.into_iter().any(|id| lost.contains(id)) {
            return Past::Lost;
        }
        first = Some(asked);
    }
    match first {
        Some(turn) if !thinks(turn) => Past::Unthought,
        _ => Past::Whole,
    }
}

fn block(thought: &ReasoningItem) -> ReasoningBlock<'_> {
    match thought {
        ReasoningItem::Text { text, signature } => ReasoningBlock::ReasoningText(ReasoningText {
            text: Cow::Borrowed(text),
            signature: signature.as_deref().map(Cow::Borrowed),
        }),
        ReasoningItem::Redacted(data) => ReasoningBlock::RedactedContent(Cow::Borrowed(data)),
    }
}
