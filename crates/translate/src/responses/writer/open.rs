//! Items that are being written.

use bytes::BytesMut;
use schema::openai::annotation::Cited;
use schema::openai::responses::event::EventBody;
use schema::openai::responses::object::{
    OutputItem, OutputPart, Status, SummaryPart, TextAnnotation,
};

use super::calls::OpenCall;
use super::events::{DeltaEvent, Events};
use crate::answer::Written;
use crate::answer::sources::web_page;
use crate::answer_stream::Unwritable;

/// The item being written.
#[derive(Debug)]
pub(super) enum OpenItem {
    Message(OpenMessage),
    Thought(OpenThought),
    Call(OpenCall),
}

/// A message, which has one part of text.
#[derive(Debug)]
pub(super) struct OpenMessage {
    id: String,
    text: String,
    annotations: Vec<TextAnnotation>,
    /// Characters of the answer's text before it.
    before: u64,
    delta: DeltaEvent,
}

/// Reasoning, which has one part of a summary or none.
#[derive(Debug)]
pub(super) struct OpenThought {
    pub(super) id: String,
    text: String,
    delta: DeltaEvent,
    pub(super) capsule: Option<String>,
}

/// Opens a message.
pub(super) fn message(
    id: String,
    before: u64,
    output_index: usize,
    events: &mut Events,
    out: &mut BytesMut,
) -> Result<OpenItem, Unwritable> {
    let (status, content) = (Status::InProgress, Vec::new());
    let item = OutputItem::Message { id: id.clone(), status, role: "assistant", content };
    added(&item, output_index, events, out)?;
    let part = part(String::new(), Vec::new());
    let body = EventBody::Part { item_id: &id, output_index, content_index: 0, part: &part };
    events.write("response.content_part.added", body, out)?;
    let delta = DeltaEvent::of_text(&id, output_index);
    let (text, annotations) = (String::new(), Vec::new());
    Ok(OpenItem::Message(OpenMessage { id, text, annotations, before, delta }))
}

/// Opens reasoning.
pub(super) fn thought(
    id: String,
    output_index: usize,
    events: &mut Events,
    out: &mut BytesMut,
) -> Result<OpenItem, Unwritable> {
    let (summary, encrypted_content) = (Vec::new(), None);
    let item = OutputItem::Reasoning { id: id.clone(), summary, encrypted_content };
    added(&item, output_index, events, out)?;
    let delta = DeltaEvent::of_summary(&id, output_index);
    Ok(OpenItem::Thought(OpenThought { id, text: String::new(), delta, capsule: None }))
}

/// Tells that an item begins.
pub(super) fn added(
    item: &OutputItem,
    output_index: usize,
    events: &mut Events,
    out: &mut BytesMut,
) -> Written {
    events.write("response.output_item.added", EventBody::Item { output_index, item }, out)
}

fn part(text: String, annotations: Vec<TextAnnotation>) -> OutputPart {
    OutputPart::OutputText { text, annotations, logprobs: [] }
}

impl OpenItem {
    /// Characters of a message's text.
    pub(super) fn said(&self) -> u64 {
        match self {
            Self::Message(message) => message.text.chars().count() as u64,
            Self::Thought(_) | Self::Call(_) => 0,
        }
    }

    /// Ends the item, but for its last event.
    pub(super) fn finish(
        self,
        output_index: usize,
        status: Status,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> Result<OutputItem, Unwritable> {
        match self {
            Self::Message(message) => message.finish(output_index, status, events, out),
            Self::Thought(thought) => thought.finish(output_index, events, out),
            Self::Call(call) => call.finish(output_index, status, events, out),
        }
    }
}

impl OpenMessage {
    pub(super) fn text(&mut self, text: &str, events: &mut Events, out: &mut BytesMut) -> Written {
        self.text.push_str(text);
        events.piece(&self.delta, text, out)
    }

    /// Adds the web pages among these citations. Their positions are counted from the beginning of the
    /// answer; those of text before this message are left out.
    pub(super) fn cite(
        &mut self,
        cited: &[Cited],
        output_index: usize,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> Written {
        for page in cited.iter().filter_map(web_page) {
            let (Some(start_index), Some(end_index)) = (
                page.start_index.checked_sub(self.before),
                page.end_index.checked_sub(self.before),
            ) else {
                continue;
            };
            let annotation = TextAnnotation::UrlCitation {
                start_index,
                end_index,
                url: page.url,
                title: page.title,
            };
            let body = EventBody::Annotation {
                item_id: &self.id,
                output_index,
                content_index: 0,
                annotation_index: self.annotations.len(),
                annotation: &annotation,
            };
            events.write("response.output_text.annotation.added", body, out)?;
            self.annotations.push(annotation);
        }
        Ok(())
    }

    fn finish(
        self,
        output_index: usize,
        status: Status,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> Result<OutputItem, Unwritable> {
        let Self { id, text, annotations, before: _, delta: _ } = self;
        let (item_id, content_index) = (&*id, 0);
        let body =
            EventBody::Text { item_id, output_index, content_index, text: &text, logprobs: [] };
        events.write("response.output_text.done", body, out)?;
        let part = part(text, annotations);
        let body = EventBody::Part { item_id, output_index, content_index, part: &part };
        events.write("response.content_part.done", body, out)?;
        Ok(OutputItem::Message { id, status, role: "assistant", content: vec![part] })
    }
}

impl OpenThought {
    pub(super) fn text(
        &mut self,
        text: &str,
        output_index: usize,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> Written {
        if self.text.is_empty() {
            let part = &SummaryPart::SummaryText { text: String::new() };
            let item_id = &self.id;
            let body = EventBody::SummaryPart { item_id, output_index, summary_index: 0, part };
            events.write("response.reasoning_summary_part.added", body, out)?;
        }
        self.text.push_str(text);
        events.piece(&self.delta, text, out)
    }

    fn finish(
        self,
        output_index: usize,
        events: &mut Events,
        out: &mut BytesMut,
    ) -> Result<OutputItem, Unwritable> {
        let Self { id, text, delta: _, capsule } = self;
        if text.is_empty() {
            let summary = Vec::new();
            return Ok(OutputItem::Reasoning { id, summary, encrypted_content: capsule });
        }
        let (item_id, summary_index) = (&*id, 0);
        let body = EventBody::SummaryText { item_id, output_index, summary_index, text: &text };
        events.write("response.reasoning_summary_text.done", body, out)?;
        let part = SummaryPart::SummaryText { text };
        let body = EventBody::SummaryPart { item_id, output_index, summary_index, part: &part };
        events.write("response.reasoning_summary_part.done", body, out)?;
        Ok(OutputItem::Reasoning { id, summary: vec![part], encrypted_content: capsule })
    }
}
