//! The events of a streamed response. Each names its type twice, in the `event` line and in its data.

use serde::Serialize;

use super::object::{OutputItem, OutputPart, ResponseObject, SummaryPart, TextAnnotation};

/// An event.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'e> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Counts all events of the stream, from 0.
    pub sequence_number: u64,
    #[serde(flatten)]
    pub body: EventBody<'e>,
}

/// The members of an event that depend on its type.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum EventBody<'e> {
    Response {
        response: ResponseObject<'e>,
    },
    Item {
        output_index: usize,
        item: &'e OutputItem,
    },
    Part {
        item_id: &'e str,
        output_index: usize,
        content_index: u32,
        part: &'e OutputPart,
    },
    Text {
        item_id: &'e str,
        output_index: usize,
        content_index: u32,
        text: &'e str,
        logprobs: [(); 0],
    },
    Annotation {
        item_id: &'e str,
        output_index: usize,
        content_index: u32,
        annotation_index: usize,
        annotation: &'e TextAnnotation,
    },
    Arguments {
        item_id: &'e str,
        output_index: usize,
        name: &'e str,
        arguments: &'e str,
    },
    Input {
        item_id: &'e str,
        output_index: usize,
        input: &'e str,
    },
    SummaryPart {
        item_id: &'e str,
        output_index: usize,
        summary_index: u32,
        part: &'e SummaryPart,
    },
    SummaryText {
        item_id: &'e str,
        output_index: usize,
        summary_index: u32,
        text: &'e str,
    },
}
