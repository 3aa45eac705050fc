//! Events on the wire: their type in a line of its own, then their data. Pieces of text, of which there
//! are many, share everything but number and text.

use bytes::{BufMut, BytesMut};
use schema::openai::responses::event::{Event, EventBody};

use crate::answer::Written;
use crate::sse;

/// Writes events and counts them.
#[derive(Debug, Default)]
pub(super) struct Events {
    sequence_number: u64,
    is_silent: bool,
}

/// The constant parts of an event for pieces of a text.
#[derive(Debug)]
pub(super) struct DeltaEvent {
    /// Up to the number.
    head: String,
    /// From the number to the text.
    middle: String,
    /// Behind the text.
    tail: &'static str,
}

impl Events {
    /// Writes no event from now on.
    pub(super) fn be_silent(&mut self) {
        self.is_silent = true;
    }

    pub(super) fn write(
        &mut self,
        kind: &'static str,
        body: EventBody<'_>,
        out: &mut BytesMut,
    ) -> Written {
        if self.is_silent {
            return Ok(());
        }
        let event = Event { kind, sequence_number: self.sequence_number, body };
        sse::write_named(out, kind, &event)?;
        self.sequence_number += 1;
        Ok(())
    }

    /// Writes a piece of a text.
    pub(super) fn piece(&mut self, event: &DeltaEvent, text: &str, out: &mut BytesMut) -> Written {
        if self.is_silent {
            return Ok(());
        }
        out.extend_from_slice(event.head.as_bytes());
        serde_json::to_writer((&mut *out).writer(), &self.sequence_number)?;
        out.extend_from_slice(event.middle.as_bytes());
        serde_json::to_writer((&mut *out).writer(), text)?;
        out.extend_from_slice(event.tail.as_bytes());
        self.sequence_number += 1;
        Ok(())
    }

    /// Counts on from the last event of a piece that was sent.
    pub(super) fn continue_after(&mut self, piece: &[u8]) {
        const NUMBER: &str = "\"sequence_number\":";
        let text = std::str::from_utf8(piece).unwrap_or_default();
        // In an event's data the number comes first; what follows may be the client's own JSON.
        let event = text.rsplit_once("\ndata: {").map_or(text, |(_, event)| event);
        let number = event.split_once(NUMBER).and_then(|(_, rest)| {
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<u64>().ok()
        });
        self.sequence_number = number.map_or(0, |number| number.saturating_add(1));
    }

    /// Ends the stream.
    pub(super) fn end(&self, out: &mut BytesMut) {
        if !self.is_silent {
            out.extend_from_slice(sse::DONE);
        }
    }
}

impl DeltaEvent {
    /// Pieces of a message's text.
    pub(super) fn of_text(id: &str, output_index: usize) -> Self {
        let within = r#","content_index":0"#;
        Self::new("response.output_text.delta", (id, output_index, within), ",\"logprobs\":[]}\n\n")
    }

    /// Pieces of a summary.
    pub(super) fn of_summary(id: &str, output_index: usize) -> Self {
        let within = r#","summary_index":0"#;
        Self::new("response.reasoning_summary_text.delta", (id, output_index, within), "}\n\n")
    }

    /// Pieces of a function's arguments.
    pub(super) fn of_arguments(id: &str, output_index: usize) -> Self {
        Self::new("response.function_call_arguments.delta", (id, output_index, ""), "}\n\n")
    }

    /// Pieces of a free-form input.
    pub(super) fn of_input(id: &str, output_index: usize) -> Self {
        Self::new("response.custom_tool_call_input.delta", (id, output_index, ""), "}\n\n")
    }

    /// Ids are of the gateway's own making, and need no escapes.
    fn new(
        kind: &str,
        (id, output_index, within): (&str, usize, &str),
        tail: &'static str,
    ) -> Self {
        Self {
            head: format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":"),
            middle: format!(
                ",\"item_id\":\"{id}\",\"output_index\":{output_index}{within},\"delta\":"
            ),
            tail,
        }
    }
}
