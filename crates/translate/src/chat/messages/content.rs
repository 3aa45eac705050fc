//! Content of messages: text and parts as blocks.

use std::borrow::Cow;

use schema::converse::message::{ContentBlock, Role};
use schema::openai::cache::Mark;
use schema::openai::content::{Content, Part};
use schema::openai::message::Message as ChatMessage;

use super::Building;
use crate::Invalid;
use crate::chat::cache::mark as cache_mark;
use crate::chat::media;
use crate::chat::reasoning::received::of_part;
use crate::parts::conversation::Said;
use crate::parts::media::search_result;
use crate::profile::Medium;

impl<'a> Building<'a, '_> {
    pub(super) fn speak(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
        role: Role,
    ) -> Result<(), Invalid> {
        let said = self.said(at, message, role)?;
        self.builder.say(said, role);
        Ok(())
    }

    /// The content of a message, block by block.
    pub(super) fn said(
        &mut self,
        at: usize,
        message: &'a ChatMessage<'a>,
        role: Role,
    ) -> Result<Vec<Said<'a>>, Invalid> {
        let mut said = Vec::new();
        match &message.content {
            None => {}
            Some(Content::Text(content)) => said.push(Said::text(content.as_str())),
            Some(Content::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("messages[{at}].content[{index}]");
                    if let Some(block) = self.part(part, &param, role)? {
                        said.push(Said { block, mark: part.cache().map(cache_mark) });
                    }
                }
            }
        }
        // Some clients send a refusal both as a field and as a part.
        let in_parts = matches!(&message.content, Some(Content::Parts(parts))
            if parts.iter().any(|part| matches!(part, Part::Refusal { .. })));
        if let Some(refusal) = message.refusal.as_deref()
            && role == Role::Assistant
            && !in_parts
        {
            said.push(Said::text(refusal));
        }
        Ok(said)
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
            // No model accepts its own images and files back.
            Part::ImageUrl { .. } if role == Role::Assistant => return self.leave_out("image_url"),
            Part::InputAudio { .. } if role == Role::Assistant => {
                return self.leave_out("input_audio");
            }
            Part::File { .. } if role == Role::Assistant => return self.leave_out("file"),
            Part::VideoUrl { .. } if role == Role::Assistant => return self.leave_out("video_url"),
            Part::SearchResult { .. } if role == Role::Assistant => {
                return self.leave_out("search_result");
            }
            Part::ImageUrl { image, .. } => {
                if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.builder.report.ignore("messages.content.image_url.detail");
                }
                self.builder.attachments.attach(&media::link(image, Medium::Image, param))?
            }
            Part::InputAudio { audio, .. } => {
                self.builder.attachments.attach(&media::audio(audio, param))?
            }
            Part::File { file, .. } => {
                let (part, citing) = media::file(file, param)?;
                self.builder.attachments.document(&part, citing, self.builder.report)?
            }
            Part::SearchResult { result, .. } => {
                let block = media::search_result(result);
                search_result(block, param, self.builder.profile, self.builder.report)?
            }
            Part::VideoUrl { video, .. } => {
                self.builder.attachments.attach(&media::link(video, Medium::Video, param))?
            }
            Part::Moved => return Ok(None),
            Part::Thought(_) if role == Role::Assistant && self.has_thoughts => return Ok(None),
            Part::Thought(thought) if role == Role::Assistant => {
                match of_part(thought, self.builder.profile) {
                    Some(block) => ContentBlock::ReasoningContent(block),
                    None => return self.leave_out("thinking"),
                }
            }
            Part::Foreign(kind) if role == Role::Assistant => return self.leave_out(kind),
            Part::Foreign(kind) => return Err(unknown(kind, param)),
            Part::Thought(_) => return Err(unknown("thinking", param)),
            Part::Call(_) => return Err(unknown("tool_use", param)),
            Part::Result(_) => return Err(unknown("tool_result", param)),
        }))
    }

    /// Leaves out a part of an assistant message, and reports it.
    fn leave_out(&mut self, kind: &str) -> Result<Option<ContentBlock<'a>>, Invalid> {
        self.builder.report.ignore(&format!("messages.content.{kind}"));
        Ok(None)
    }
}

/// The texts of a message that can hold only text, and their marks.
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
        | Part::Thought(_)
        | Part::Call(_)
        | Part::Result(_)
        | Part::Moved
        | Part::Foreign(_) => {
            let param = format!("messages[{at}].content[{index}]");
            let message = "Only text parts are accepted here.";
            Err(Invalid::value(param, message).with_code("unsupported_value"))
        }
    });
    texts.collect()
}

/// The caller's content must not be lost: a part of an unknown type is refused.
fn unknown(kind: &str, param: &str) -> Invalid {
    let message = format!(
        "A part of the type {kind:?} is not known here. Send text, image_url, input_audio, file or video_url, or leave the part out."
    );
    Invalid::value(format!("{param}.type"), message)
}
