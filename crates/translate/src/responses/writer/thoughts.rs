//! Reasoning as items: a summary where one was requested, and a capsule that brings it back.

use bytes::BytesMut;
use schema::openai::responses::object::{OutputItem, OutputPart, Status};
use serde::Serialize;

use super::EventWriter;
use super::open::{self, OpenItem};
use crate::Reply;
use crate::answer::Written;
use crate::answer::turn::{AnswerTurn, Block};
use crate::answer_stream::KeptItem;
use crate::parts::thinking::capsule::sealed;

impl EventWriter {
    pub(super) fn think(&mut self, text: &str, out: &mut BytesMut) -> Written {
        self.start(out)?;
        self.open_thought(out)?;
        if let Some(OpenItem::Thought(thought)) = &mut self.open {
            thought.text(text, self.items.len(), &mut self.events, out)?;
        }
        Ok(())
    }

    /// Ends a reasoning block, whose item brings its capsule. One that is not shown becomes an item only if
    /// the client asked for capsules.
    pub(super) fn end_thought(
        &mut self,
        turn: &AnswerTurn,
        reply: &Reply,
        out: &mut BytesMut,
    ) -> Written {
        let last = turn.blocks().iter().rev().find_map(|block| match block {
            Block::Reasoning(thought) => Some(thought),
            Block::Text(_) | Block::Call(_) => None,
        });
        let capsules = self.reply.capsules.as_deref();
        let capsule = last.zip(capsules).filter(|_| reply.thoughts.placed);
        let capsule = capsule.and_then(|(thought, capsules)| sealed(thought, reply, capsules));
        let is_shown = matches!(self.open, Some(OpenItem::Thought(_)));
        let is_wanted = self.reply.wants_capsules && capsule.is_some();
        if !is_shown && !is_wanted && reply.thoughts.hidden {
            return Ok(());
        }
        self.start(out)?;
        self.open_thought(out)?;
        if let Some(OpenItem::Thought(thought)) = &mut self.open {
            thought.capsule = capsule;
        }
        self.close(Status::Completed, out)
    }

    fn open_thought(&mut self, out: &mut BytesMut) -> Written {
        if !matches!(self.open, Some(OpenItem::Thought(_))) {
            self.write_waiting(out)?;
            self.close(Status::Completed, out)?;
            let id = self.next_id("rs_");
            self.open = Some(open::thought(id, self.items.len(), &mut self.events, out)?);
        }
        Ok(())
    }

    /// Keeps an item that a client may refer to by its id alone, in the form in which a request repeats
    /// it.
    pub(super) fn keep(&mut self, item: &OutputItem) {
        if !self.reply.keeps_items {
            return;
        }
        let json = match item {
            OutputItem::Message { content, .. } => {
                serde_json::to_string(&KeptMessage { kind: "message", role: "assistant", content })
            }
            _ => serde_json::to_string(item),
        };
        if let Ok(json) = json {
            self.kept.push(KeptItem { id: item.id().to_owned(), json });
        }
    }
}

/// A message as a request repeats it.
#[derive(Serialize)]
struct KeptMessage<'m> {
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    content: &'m [OutputPart],
}
