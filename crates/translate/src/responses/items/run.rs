//! One answer of the assistant: its items in a row, with reasoning out of capsules or of the reasoning
//! store, and the outputs of its calls.

use std::borrow::Cow;

use schema::converse::message::{ContentBlock, Role};
use schema::openai::responses::item::{CallItem, CallItemKind, Item};

use super::{Building, Segment};
use crate::Invalid;
use crate::parts::conversation::{CallKey, PastCall, PastTurn, Said};
use crate::parts::thinking::Past;
use crate::parts::thinking::capsule::opened;
use crate::parts::thinking::place::{Between, ReasoningPlace};
use crate::parts::thinking::received::{ReceivedReasoning, Sent};
use crate::parts::thinking::replay::{Order, PastAnswer, ReplayStep, replay};
use crate::parts::tools::CalledWith;
use crate::reasoning::Passage;

/// The field of past reasoning.
const REASONING: &str = "input.reasoning";

/// Positions of items of the assistant in a row.
pub(super) type Run = Vec<usize>;

/// The items of a run, as an answer.
#[derive(Default)]
struct Answer<'a> {
    said: Vec<Said<'a>>,
    calls: Vec<PastCall<'a>>,
    /// Positions of the calls' items.
    positions: Vec<usize>,
    /// Reasoning that a capsule held, each with the blocks before it.
    entries: Vec<ReceivedReasoning<'a>>,
    /// The texts and calls since the last reasoning.
    between: Vec<Between>,
    /// All texts and calls, in their order.
    order: Vec<Between>,
}

impl<'a> Building<'a, '_> {
    /// Adds the answer of a segment, and the outputs of its calls.
    pub(super) fn run(&mut self, at: usize, segment: &Segment) -> Result<(), Invalid> {
        if segment.run.is_empty() {
            return Ok(());
        }
        self.builder.leave_head();
        let mut answer = Answer::default();
        for index in &segment.run {
            self.item(*index, &mut answer)?;
        }
        let Answer { said, calls, positions, mut entries, between, order } = answer;
        if !entries.is_empty() {
            let place = ReasoningPlace { between: Some(between), ..ReasoningPlace::default() };
            entries.push(ReceivedReasoning { place: Some(place), ..ReceivedReasoning::default() });
        }
        let ids: Vec<&'a str> =
            calls.iter().map(|call| call.sent_id).filter(|id| !id.is_empty()).collect();
        let builder = &mut self.builder;
        let past = PastAnswer {
            turn: builder.past.turn(at, ids.into_iter()),
            placed_by: (!entries.is_empty()).then_some(REASONING),
            sent: |_: &mut _| Sent { field: REASONING, entries },
        };
        let mut replayed = replay(past, &builder.past, builder.profile, builder.report);
        if replayed.past == Past::Lost && replayed.steps.is_empty() {
            (replayed.steps, replayed.order) = (steps(&order), Order::Known);
        }
        let keys: Vec<CallKey<'a>> = calls.iter().map(|call| call.key.clone()).collect();
        let first = segment.run.first().copied().unwrap_or_default();
        let param = format!("{}[{first}]", super::INPUT);
        let ids = self.builder.answer(PastTurn { said, calls, replayed, param })?;
        for ((id, key), position) in ids.into_iter().zip(keys).zip(positions) {
            let found = self.results.take(&key, position);
            let blocks = found.map(|found| self.output(found)).transpose()?;
            let content = blocks.map(|blocks| self.builder.inside_result(blocks));
            self.builder.result(id, content);
        }
        self.builder.end_results();
        Ok(())
    }

    /// Adds an item to its answer.
    fn item(&mut self, at: usize, answer: &mut Answer<'a>) -> Result<(), Invalid> {
        let items = self.items;
        match items.get(at) {
            Some(Item::Message(message)) => {
                let said = self.said(message.content.as_ref(), at, Role::Assistant)?;
                answer.say(said);
            }
            Some(Item::AgentMessage(content)) => {
                let said = self.said(Some(content), at, Role::Assistant)?;
                answer.say(said);
            }
            Some(Item::Call(call)) => {
                let wire =
                    self.table.wire(call.kind, call.namespace.as_deref(), call.name.as_deref());
                answer.between.push(Between::Call);
                answer.order.push(Between::Call);
                answer.positions.push(at);
                answer.calls.push(past_call(at, call, wire));
            }
            Some(Item::Reasoning(reasoning)) => {
                let between = answer.between.clone();
                let capsule = self.recalled.zip(reasoning.encrypted_content.as_deref());
                let opened = capsule
                    .and_then(|(recalled, capsule)| opened(capsule, Some(between), recalled));
                if let Some(entry) = opened {
                    answer.between.clear();
                    answer.entries.push(entry);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Answer<'a> {
    fn say(&mut self, said: Vec<Said<'a>>) {
        for one in said {
            if let ContentBlock::Text(text) = &one.block
                && !text.is_empty()
            {
                let text = Between::Text(Passage::of(text));
                self.between.push(text);
                self.order.push(text);
            }
            self.said.push(one);
        }
    }
}

/// The blocks of an answer without its reasoning, in their order.
fn steps<'a>(order: &[Between]) -> Vec<ReplayStep<'a>> {
    let step = |one: &Between| match one {
        Between::Text(passage) => ReplayStep::Text(*passage),
        Between::Call => ReplayStep::Call(None),
    };
    order.iter().map(step).collect()
}

/// The key that links a call to its output.
pub(super) fn key_of<'a>(at: usize, call: &'a CallItem<'_>) -> CallKey<'a> {
    CallKey::Id(id_of(at, call))
}

fn id_of<'a>(at: usize, call: &'a CallItem<'_>) -> Cow<'a, str> {
    let id = call.call_id.as_deref().or(call.id.as_deref());
    id.map_or_else(|| Cow::Owned(format!("call_{at}")), Cow::Borrowed)
}

fn past_call<'a>(at: usize, call: &'a CallItem<'_>, name: &'a str) -> PastCall<'a> {
    let made_with = match call.kind {
        CallItemKind::Custom => CalledWith::Text(&call.input),
        CallItemKind::Function
        | CallItemKind::LocalShell
        | CallItemKind::Shell
        | CallItemKind::ApplyPatch
        | CallItemKind::ToolSearch => CalledWith::Arguments(&call.input),
    };
    let sent_id = call.call_id.as_deref().unwrap_or_default();
    PastCall { key: key_of(at, call), id: id_of(at, call), sent_id, name, made_with }
}
