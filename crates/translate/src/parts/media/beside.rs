//! Media in tool results. Where the model accepts them inside a result they stay there; otherwise
//! they follow the results in the same turn, and a number in both places links them.

use std::borrow::Cow;

use schema::converse::message::ContentBlock;
use schema::converse::tool::ToolResultContent;

use crate::Report;
use crate::profile::{Media, Medium};

/// Media of one turn's results that the results cannot hold.
#[derive(Debug, Default)]
pub(crate) struct Beside<'a> {
    blocks: Vec<ContentBlock<'a>>,
    count: usize,
}

impl<'a> Beside<'a> {
    /// The replacement for a block in the result: the block itself, or a reference to its new
    /// place. Blank text and blocks that are not content are dropped.
    pub(crate) fn place(
        &mut self,
        block: ContentBlock<'a>,
        inside: Media,
        report: &mut Report,
    ) -> Option<ToolResultContent<'a>> {
        let (medium, block) = match block {
            ContentBlock::Text(text) if text.trim().is_empty() => return None,
            ContentBlock::Text(text) => return Some(ToolResultContent::Text(text)),
            ContentBlock::Image(image) if inside.has(Medium::Image) => {
                return Some(ToolResultContent::Image(image));
            }
            ContentBlock::Document(mut document) if inside.has(Medium::Document) => {
                // "Citations are not supported in tool result documents" (boto/boto3#4648, 2025-10-27).
                if document.citations.take().is_some() {
                    report.ignore("messages.content.file.citations");
                }
                return Some(ToolResultContent::Document(document));
            }
            ContentBlock::SearchResult(result) => {
                return Some(ToolResultContent::SearchResult(result));
            }
            ContentBlock::Video(video) if inside.has(Medium::Video) => {
                return Some(ToolResultContent::Video(video));
            }
            block @ ContentBlock::Image(_) => (Medium::Image, block),
            block @ ContentBlock::Document(_) => (Medium::Document, block),
            block @ ContentBlock::Video(_) => (Medium::Video, block),
            // A result cannot hold audio.
            block @ ContentBlock::Audio(_) => (Medium::Audio, block),
            ContentBlock::ToolUse(_)
            | ContentBlock::ToolResult(_)
            | ContentBlock::ReasoningContent(_)
            | ContentBlock::CachePoint(_) => {
                return None;
            }
        };
        self.count += 1;
        let label = format!("{} {}", medium.name(), self.count);
        let pointer = format!("[{label}: see below the results]");
        self.blocks.push(ContentBlock::Text(Cow::Owned(format!("[{label} of the results]"))));
        self.blocks.push(block);
        Some(ToolResultContent::Text(Cow::Owned(pointer)))
    }

    /// The blocks to add after the results.
    pub(crate) fn take(&mut self) -> Vec<ContentBlock<'a>> {
        self.count = 0;
        std::mem::take(&mut self.blocks)
    }
}
