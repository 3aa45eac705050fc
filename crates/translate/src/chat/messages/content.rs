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
use crate::parts::conversation::{ConversationBuilder, Said};
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
        let thoughts = if self.has_thoughts { PartThoughts::Known } else { PartThoughts::Read };
        block_of(part, param, (role, thoughts), &mut self.builder)
    }
}

/// Reasoning among the parts of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartThoughts {
    /// It becomes a block.
    Read,
    /// It is known from elsewhere, and left out.
    Known,
}

/// The block of a part; `None` for a part that is left out.
///
/// # Errors
/// The part cannot be sent in a message of this role.
pub(crate) fn block_of<'a>(
    part: &'a Part<'a>,
    param: &str,
    (role, thoughts): (Role, PartThoughts),
    builder: &mut ConversationBuilder<'a, '_>,
) -> Result<Option<ContentBlock<'a>>, Invalid> {
    let left_out = |kind: &str, builder: &mut ConversationBuilder<'a, '_>| {
        builder.ignore_content(kind);
        Ok(None)
    };
    Ok(Some(match part {
        Part::Text { text, .. } => ContentBlock::Text(Cow::Borrowed(text)),
        Part::Refusal { text, .. } => ContentBlock::Text(Cow::Borrowed(text)),
        // No model accepts its own images and files back.
        Part::ImageUrl { .. } if role == Role::Assistant => return left_out("image_url", builder),
        Part::InputAudio { .. } if role == Role::Assistant => {
            return left_out("input_audio", builder);
        }
        Part::File { .. } if role == Role::Assistant => return left_out("file", builder),
        Part::VideoUrl { .. } if role == Role::Assistant => return left_out("video_url", builder),
        Part::SearchResult { .. } if role == Role::Assistant => {
            return left_out("search_result", builder);
        }
        Part::ImageUrl { image, .. } => {
            if image.detail.as_deref().is_some_and(|detail| detail != "auto") {
                builder.ignore_content("image_url.detail");
            }
            builder.attachments.attach(&media::link(image, Medium::Image, param))?
        }
        Part::InputAudio { audio, .. } => {
            builder.attachments.attach(&media::audio(audio, param))?
        }
        Part::File { file, .. } => {
            let (part, citing) = media::file(file, param)?;
            builder.attachments.document(&part, citing, builder.report)?
        }
        Part::SearchResult { result, .. } => {
            let block = media::search_result(result);
            search_result(block, param, builder.profile, builder.report)?
        }
        Part::VideoUrl { video, .. } => {
            builder.attachments.attach(&media::link(video, Medium::Video, param))?
        }
        Part::Moved => return Ok(None),
        Part::Thought(_) if role == Role::Assistant && thoughts == PartThoughts::Known => {
            return Ok(None);
        }
        Part::Thought(thought) if role == Role::Assistant => {
            match of_part(thought, builder.profile) {
                Some(block) => ContentBlock::ReasoningContent(block),
                None => return left_out("thinking", builder),
            }
        }
        Part::Foreign(kind) if role == Role::Assistant => return left_out(kind, builder),
        Part::Foreign(kind) => return Err(unknown(kind, param)),
        Part::Thought(_) => return Err(unknown("thinking", param)),
        Part::Call(_) => return Err(unknown("tool_use", param)),
        Part::Result(_) => return Err(unknown("tool_result", param)),
    }))
}

/// The texts of a message that can hold only text, and their marks; `path` is the field of the content.
pub(crate) fn texts<'a>(
    content: Option<&'a Content<'_>>,
    path: &str,
) -> Result<Vec<(&'a str, Option<Mark>)>, Invalid> {
    let parts = match content {
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
            let param = format!("{path}[{index}]");
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
