//! Content of messages: text and parts as blocks.

use std::borrow::Cow;

use schema::converse::message::{ContentBlock, Role};
use schema::openai::cache::Mark;
use schema::openai::content::{Content, Part};
use schema::openai::message::Message as ChatMessage;

use super::Building;
use crate::Invalid;
use crate::parts::media::search_result;
use crate::profile::Medium;

impl<'a> Building<'a, '_> {
    pub(super) fn speak(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
        role: Role,
    ) -> Result<(), Invalid> {
        match &message.content {
            None => {}
            Some(Content::Text(text)) => {
                self.turns.push(role, ContentBlock::Text(Cow::Borrowed(text)));
            }
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("messages[{at}].content[{index}]");
                    if let Some(block) = self.part(part, &param, role)? {
                        self.turns.push(role, block);
                        self.mark(part.cache(), "messages.content.");
                    }
                }
            }
        }
        // Some clients replay a refusal in both places.
        let in_parts = matches!(&message.content, Some(Content::Parts(parts))
            if parts.iter().any(|part| matches!(part, Part::Refusal { .. })));
        if let Some(refusal) = message.refusal.as_deref()
            && role == Role::Assistant
            && !in_parts
        {
            self.turns.push(role, ContentBlock::Text(Cow::Borrowed(refusal)));
        }
        Ok(())
    }

    pub(super) fn part(
        &mut self,
        part: &'a Part<'a>,
        param: &str,
        role: Role,
    ) -> Result<Option<ContentBlock<'a>>, Invalid> {
        Ok(Some(match part {
            Part::Text { text, .. } => ContentBlock::Text(Cow::Borrowed(text)),
            Part::Refusal { text, .. } => ContentBlock::Text(Cow::Borrowed(text)),
            Part::ImageUrl { .. }
            | Part::InputAudio { .. }
            | Part::File { .. }
            | Part::VideoUrl { .. }
            | Part::SearchResult { .. }
                if role == Role::Assistant =>
            {
                let message = "Images, files, audio, video and search results are accepted from the user only.";
                return Err(Invalid::value(param, message).with_code("unsupported_value"));
            }
            Part::ImageUrl { image, .. } => {
                if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.report.ignore("messages.content.image_url.detail");
                }
                self.attachments.link(image, Medium::Image, param)?
            }
            Part::InputAudio { audio, .. } => self.attachments.audio(audio, param)?,
            Part::File { file, .. } => self.attachments.file(file, param, self.report)?,
            Part::SearchResult { result, .. } => {
                search_result(result, param, self.profile, self.report)?
            }
            Part::VideoUrl { video, .. } => self.attachments.link(video, Medium::Video, param)?,
            Part::Foreign(kind) => {
                let name = serde_json::to_string(kind).unwrap_or_default();
                self.report.ignore(&format!("messages.content.{}", name.trim_matches('"')));
                return Ok(None);
            }
        }))
    }
}

/// The texts of a message that can hold nothing else, and the marks on them.
pub(super) fn texts<'a>(
    at: usize,
    message: &'a ChatMessage<'a>,
) -> Result<Vec<(&'a str, Option<Mark>)>, Invalid> {
    let parts = match &message.content {
        None => return Ok(Vec::new()),
        Some(Content::Text(text)) => return Ok(vec![(text.as_str(), None)]),
        Some(Content::Parts(parts)) => parts,
    };
    let texts = parts.iter().enumerate().map(|(index, part)| match part {
        Part::Text { text, .. } | Part::Refusal { text, .. } => Ok((text.as_str(), part.cache())),
        Part::ImageUrl { .. }
        | Part::InputAudio { .. }
        | Part::File { .. }
        | Part::VideoUrl { .. }
        | Part::SearchResult { .. }
        | Part::Foreign(_) => {
            let param = format!("messages[{at}].content[{index}]");
            let message = "Only text parts are accepted here.";
            Err(Invalid::value(param, message).with_code("unsupported_value"))
        }
    });
    texts.collect()
}
