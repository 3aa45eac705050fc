//! Items of the input as turns. Items of the assistant in a row are one answer, in their order; the
//! outputs of its calls follow directly, wherever in the input they stand.

use std::borrow::Cow;
use std::collections::HashSet;

use schema::converse::message::{ContentBlock, Role};
use schema::openai::content::{Content, Part};
use schema::openai::message::Role as SentRole;
use schema::openai::responses::item::{
    CallItemKind, CompactionItem, Item, ItemMessage, OutputItem,
};
use schema::openai::responses::request::{Input, ResponsesRequest};

use super::compaction::summary;
use super::tools::ToolTable;
use super::{INPUT, shortened};
use crate::chat::cache::mark;
use crate::chat::messages::content::{PartThoughts, block_of, texts};
use crate::parts::conversation::{
    Around, CallKey, Conversation, ConversationBuilder, Results, Said,
};
use crate::parts::thinking::replay::Memory;
use crate::profile::Surface;
use crate::reasoning::RestoredReasoning;
use crate::{Invalid, Report};
use run::Run;

mod run;

/// Translates instructions and input.
///
/// # Errors
/// There is no input, an item is only a reference to one that is not known, or an output has no call.
pub(super) fn conversation<'a>(
    request: &'a ResponsesRequest<'_>,
    (table, around): (&'a ToolTable<'_>, Around<'a, '_>),
    report: &mut Report,
) -> Result<Conversation<'a>, Invalid> {
    let items = match &request.input {
        Some(Input::Items(items)) if !items.is_empty() => items.as_slice(),
        Some(Input::Text(text)) => {
            let mut builder =
                ConversationBuilder::new(around, Memory::new(None, [].into_iter()), report);
            builder.instruct(request.instructions.as_deref().unwrap_or_default(), None);
            builder.leave_head();
            builder.say(vec![Said::text(text.as_str())], Role::User);
            return builder.finish();
        }
        Some(Input::Items(_)) | None if around.profile.surface == Surface::Prompt => &[],
        Some(Input::Items(_)) | None => {
            let message = "input must hold a text or at least one item.";
            return Err(Invalid::value(INPUT, message).with_code("missing_required_parameter"));
        }
    };
    paired(items)?;
    let segments = segments(items);
    let calls = segments.iter().enumerate().flat_map(|(at, segment)| {
        segment.run.iter().filter_map(move |index| match items.get(*index)? {
            Item::Call(call) => Some((at, call.call_id.as_deref()?)),
            _ => None,
        })
    });
    let past = Memory::new(around.recalled, calls);
    let mut building = Building {
        builder: ConversationBuilder::new(around, past, report),
        results: index(items),
        table,
        recalled: around.recalled,
        items,
    };
    building.builder.instruct(request.instructions.as_deref().unwrap_or_default(), None);
    for (at, segment) in segments.iter().enumerate() {
        building.run(at, segment).map_err(as_sent)?;
        if let Some(index) = segment.other {
            building.other(index).map_err(as_sent)?;
        }
    }
    building.builder.finish()
}

/// Items of the assistant in a row, by their positions, and the item behind them.
#[derive(Default)]
struct Segment {
    run: Run,
    other: Option<usize>,
}

fn segments(items: &[Item<'_>]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open = Segment::default();
    for (index, item) in items.iter().enumerate() {
        match item {
            Item::Message(ItemMessage { role: SentRole::Assistant, .. })
            | Item::Call(_)
            | Item::Reasoning(_)
            | Item::AgentMessage(_) => open.run.push(index),
            Item::Message(_) | Item::Output(_) | Item::Reference(_) | Item::Compaction(_) => {
                open.other = Some(index);
                segments.push(std::mem::take(&mut open));
            }
            // These are no part of a turn.
            Item::AdditionalTools(_) | Item::Configuration(_) | Item::Hosted | Item::Unknown(_) => {
            }
        }
    }
    if !open.run.is_empty() {
        segments.push(open);
    }
    segments
}

/// The positions of calls and outputs.
fn index<'a>(items: &'a [Item<'_>]) -> Results<'a> {
    let mut results = Results::of(items.len());
    let mut last_command = None;
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::Call(call) => {
                let key = run::key_of(at, call);
                if call.kind == CallItemKind::LocalShell {
                    last_command = Some(key.clone());
                }
                results.made(key, at);
            }
            Item::Output(output) => {
                let key = output.call_id.as_deref().or(output.id.as_deref());
                let key = key.map(|id| CallKey::Id(Cow::Borrowed(id)));
                // The output of a command may say no more than that it is one.
                let key = match (&output.call_id, &last_command) {
                    (None, Some(command)) if output.kind == CallItemKind::LocalShell => {
                        Some(command.clone())
                    }
                    _ => key,
                };
                if let Some(key) = key {
                    results.given(key, at);
                }
            }
            _ => {}
        }
    }
    results
}

/// Refuses the output of a call that is not in the input: the model would see a result without its call.
fn paired(items: &[Item<'_>]) -> Result<(), Invalid> {
    let mut known: HashSet<&str> = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        match item {
            Item::Call(call) => {
                known.extend(call.call_id.as_deref());
                known.extend(call.id.as_deref());
            }
            Item::Output(OutputItem { call_id: Some(id), kind, .. }) if !known.contains(&**id) => {
                let kind = match kind {
                    CallItemKind::Function => "function",
                    CallItemKind::Custom => "custom tool",
                    _ => "tool",
                };
                let id = shortened(id);
                let message =
                    format!("No tool call found for {kind} call output with call_id {id}.");
                return Err(Invalid::value(INPUT, message));
            }
            Item::Reference(id) => return Err(not_found(id, at)),
            _ => {}
        }
    }
    Ok(())
}

fn not_found(id: &str, at: usize) -> Invalid {
    let id = shortened(id);
    let message = format!(
        "Item '{id}' is not stored here (input[{at}]). Set store: false (AI SDK: providerOptions.openai.store = false) so that the client sends items in full."
    );
    Invalid::value(INPUT, message).with_code("item_not_found")
}

/// The error with the path in the words of this API: media stand in their parts.
fn as_sent(mut invalid: Invalid) -> Invalid {
    invalid.param = invalid.param.map(|param| own_path(&param));
    invalid
}

/// A path of a medium in the words of this API.
pub(super) fn own_path(path: &str) -> String {
    path.replace(".image_url.url", ".image_url").replace(".file.file_", ".file_")
}

struct Building<'a, 'r> {
    builder: ConversationBuilder<'a, 'r>,
    results: Results<'a>,
    table: &'a ToolTable<'a>,
    recalled: Option<&'a RestoredReasoning>,
    items: &'a [Item<'a>],
}

impl<'a> Building<'a, '_> {
    /// An item that is not the assistant's.
    fn other(&mut self, at: usize) -> Result<(), Invalid> {
        let items = self.items;
        match items.get(at) {
            Some(Item::Message(message)) => self.message(at, message),
            Some(Item::Output(output)) => self.orphan(at, output),
            Some(Item::Compaction(compaction)) => {
                self.compaction(compaction);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Puts a summary in the place of the conversation that it summarises. One that was sealed elsewhere has
    /// no effect.
    fn compaction(&mut self, compaction: &CompactionItem<'_>) {
        let capsules = self.recalled.and_then(RestoredReasoning::capsules);
        let told = capsules.and_then(|capsules| summary::told(compaction, &**capsules));
        let Some(told) = told else {
            self.builder.report.ignore(&format!("{INPUT}.{}", compaction.kind));
            return;
        };
        self.builder.leave_head();
        self.builder.say(vec![Said::text(told)], Role::User);
    }

    fn message(&mut self, at: usize, message: &'a ItemMessage<'a>) -> Result<(), Invalid> {
        if !matches!(message.role, SentRole::System | SentRole::Developer) {
            self.builder.leave_head();
            let said = self.said(message.content.as_ref(), at, Role::User)?;
            self.builder.say(said, Role::User);
            return Ok(());
        }
        let path = format!("{INPUT}[{at}].content");
        for (text, sent_mark) in texts(message.content.as_ref(), &path)? {
            self.builder.instruct(text, sent_mark.map(mark));
        }
        Ok(())
    }

    /// The content of an item, block by block.
    fn said(
        &mut self,
        content: Option<&'a Content<'a>>,
        at: usize,
        role: Role,
    ) -> Result<Vec<Said<'a>>, Invalid> {
        match content {
            None => Ok(Vec::new()),
            Some(Content::Text(text)) => Ok(vec![Said::text(text.as_str())]),
            Some(Content::Parts(parts)) => {
                let mut said = Vec::with_capacity(parts.len());
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("{INPUT}[{at}].content[{index}]");
                    let place = (role, PartThoughts::Known);
                    if let Some(block) = block_of(part, &param, place, &mut self.builder)? {
                        said.push(Said { block, mark: part.cache().map(mark) });
                    }
                }
                Ok(said)
            }
        }
    }

    /// The blocks of an output. Parts that no model reads are left out.
    fn output(&mut self, at: usize) -> Result<Vec<ContentBlock<'a>>, Invalid> {
        let items = self.items;
        let Some(Item::Output(OutputItem { content, tools, .. })) = items.get(at) else {
            return Ok(Vec::new());
        };
        if content.is_none() && !tools.is_empty() {
            let names: Vec<&str> =
                tools.iter().filter_map(|tool| tool.fields.name.as_deref()).collect();
            let text = format!("{} tools loaded: {}", tools.len(), names.join(", "));
            return Ok(vec![ContentBlock::Text(text.into())]);
        }
        let parts = match content {
            None => return Ok(Vec::new()),
            Some(Content::Text(text)) => {
                return Ok(vec![ContentBlock::Text(Cow::Borrowed(text.as_str()))]);
            }
            Some(Content::Parts(parts)) => parts,
        };
        let mut blocks = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            if let Part::Foreign(kind) = part {
                self.builder.ignore_content(kind);
                continue;
            }
            let param = format!("{INPUT}[{at}].output[{index}]");
            let place = (Role::User, PartThoughts::Known);
            blocks.extend(block_of(part, &param, place, &mut self.builder)?);
        }
        Ok(blocks)
    }

    /// Keeps a second output of a call as the user's text.
    fn orphan(&mut self, at: usize, output: &'a OutputItem<'a>) -> Result<(), Invalid> {
        self.builder.leave_head();
        if self.results.is_taken(at) {
            return Ok(());
        }
        let id = output.call_id.as_deref().or(output.id.as_deref()).unwrap_or("unknown");
        let mut said = vec![Said::text(format!("Result of tool call {id}:"))];
        let blocks = self.output(at)?;
        said.extend(blocks.into_iter().map(|block| Said { block, mark: None }));
        self.builder.say(said, Role::User);
        Ok(())
    }
}
