//! Content blocks on Converse.

use std::borrow::Cow;

use schema::anthropic::messages::content::{Block, BlockKind, Source};
use schema::converse::media::{CitationsConfig, Passage, SearchResultBlock};
use schema::converse::message::{ContentBlock, Role};

use super::Building;
use crate::Invalid;
use crate::messages::foreign;
use crate::parts::media::{CitationOptions, MediaPart, search_result};
use crate::profile::Medium;

impl<'a> Building<'a, '_> {
    /// The block on Converse, or none where it has no content there. Calls, results and reasoning are
    /// placed elsewhere.
    ///
    /// # Errors
    /// The model cannot read it.
    pub(super) fn block(
        &mut self,
        block: &'a Block<'a>,
        place: &str,
        role: Role,
    ) -> Result<Option<ContentBlock<'a>>, Invalid> {
        Ok(Some(match &block.kind {
            BlockKind::Text { text } => ContentBlock::Text(Cow::Borrowed(text)),
            BlockKind::Image { .. } | BlockKind::Document { .. } if role == Role::Assistant => {
                self.builder.report.ignore("messages.content.image");
                return Ok(None);
            }
            BlockKind::Image { source } => {
                let part = self.part(source, (Medium::Image, None), place)?;
                self.builder.attachments.attach(&part)?
            }
            BlockKind::Document { source, title, context, cites } => {
                let title = title.as_deref().filter(|title| !title.trim().is_empty());
                let context = context.as_deref().filter(|text| !text.trim().is_empty());
                let citing = CitationOptions { cites: *cites, context };
                match source {
                    Source::Text(text) => {
                        let text = Cow::Borrowed(text.as_str());
                        self.builder.attachments.text_document(
                            (text, title),
                            citing,
                            self.builder.report,
                        )
                    }
                    Source::Content(content) => {
                        let text = Cow::Owned(content.joined_text());
                        self.builder.attachments.text_document(
                            (text, title),
                            citing,
                            self.builder.report,
                        )
                    }
                    source => {
                        let part = self.part(source, (Medium::Document, title), place)?;
                        self.builder.attachments.document(&part, citing, self.builder.report)?
                    }
                }
            }
            BlockKind::SearchResult { source, title, texts, cites } => {
                let content = texts.iter().map(|text| Passage { text: Cow::Borrowed(text) });
                let result = SearchResultBlock {
                    source: Cow::Borrowed(source),
                    title: Cow::Borrowed(title),
                    content: content.collect(),
                    citations: cites.then_some(CitationsConfig { enabled: true }),
                };
                search_result(result, place, self.builder.profile, self.builder.report)?
            }
            BlockKind::ToolReference { name } => {
                ContentBlock::Text(Cow::Owned(foreign::reference(name)))
            }
            BlockKind::Other { kind } => match foreign::text(kind, block.raw) {
                Some(text) => ContentBlock::Text(Cow::Owned(text)),
                None => return Err(foreign::unknown(kind, place)),
            },
            BlockKind::Thinking { .. } | BlockKind::RedactedThinking { .. } => {
                if role == Role::User {
                    return Err(foreign::unknown("thinking", place));
                }
                return Ok(None);
            }
            BlockKind::ToolUse { .. } => return Err(foreign::unknown("tool_use", place)),
            BlockKind::ToolResult { .. } => return Err(foreign::unknown("tool_result", place)),
        }))
    }

    fn part(
        &self,
        source: &'a Source<'a>,
        (medium, filename): (Medium, Option<&'a str>),
        place: &str,
    ) -> Result<MediaPart<'a>, Invalid> {
        let (text, format, field) = match source {
            Source::Base64 { media_type, data } => {
                // Bare base64 is recognised by its format.
                let format = media_type.as_deref().unwrap_or(medium.name());
                (data.as_str(), Some(format), "data")
            }
            Source::Url(url) => (url.as_str(), None, "url"),
            Source::Text(_) | Source::Content(_) => {
                return Err(foreign::source("text", place));
            }
            Source::Other(kind) => return Err(foreign::source(kind, place)),
        };
        let param = format!("{place}.source.{field}");
        Ok(MediaPart { text, medium, format, filename, param })
    }
}
